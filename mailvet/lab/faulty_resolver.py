"""Resolvers that fail or lie as a whole.

Split horizons and closed networks that find nothing, portals and providers that invent an address for what does not
exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Literal

__all__ = ["FaultyResolver"]

_INVENTED: dict[str, str] = {"A": "127.76.{0}.{1}", "AAAA": "fd76::{0:x}:{1:x}", "MX": "10 mx-{0}-{1}.invented.test."}
"""Values by type: no server listens on these addresses, and none is outside of this machine."""


@dataclass(frozen=True)
class FaultyResolver:
    """How the lab's DNS server answers instead of truly.

    Names that end in one of `spares` are answered truly.

    `nxdomain`: no name exists. `servfail`, `dropped`: that, or no response, to every question. `invents`: for names
    that do not exist there are records of the `types`, and nothing of other types; with `everything` also for names
    that do exist, in place of what they have.
    """

    fault: Literal["nxdomain", "servfail", "dropped", "invents"]
    types: tuple[str, ...] = ("A",)
    """Of A, AAAA and MX."""
    everything: bool = False
    address: str | None = None
    """The invented IPv4 address; None: another one in each response."""
    spares: tuple[str, ...] = ()
    _numbers: count[int] = field(default_factory=count, repr=False, compare=False)

    def concerns(self, name: str) -> bool:
        """Whether a name (lower case, without the final dot) is not spared."""
        return not any(name == end.strip(".") or name.endswith(f".{end.strip('.')}") for end in self.spares)

    def invented(self, type: str) -> str | None:
        """A record's value for that type, another one with each call; None for types it does not invent."""
        if type not in self.types:
            return None
        if type == "A" and self.address is not None:
            return self.address
        number = next(self._numbers)
        return _INVENTED[type].format(number // 250 % 250, number % 250 + 1)
