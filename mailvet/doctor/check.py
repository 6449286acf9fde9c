"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Check", "State"]

State = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    """resolver, honest_resolver, host_name, port_25, reverse_dns, spf, block_lists, clock, lists, store, tables."""
    state: State
    found: str
    """What is so, in a sentence."""
    advice: str | None = None
    """What to do about it, in a sentence; None when there is nothing to do."""

    def as_dict(self) -> dict[str, str | None]:
        """Plain values for JSON."""
        return asdict(self)
