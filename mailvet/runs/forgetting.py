"""Erasing a person, or everybody at a domain, from a store and from what runs have left for it on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailvet.runs.journal import is_in_use, recover, set_aside
from mailvet.warehouse.erasure import Wanted
from mailvet.warehouse.store import VerdictStore

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased, and what is out of reach."""

    verdicts: int
    remains: Sequence[str]
    """A sentence each."""


def forget(warehouse: VerdictStore, address: str, *, domain: bool = False, journal: Path | None = None) -> Forgotten:
    """
    `VerdictStore.forget`, after the journals of runs that have ended were saved, so that none brings the person back.

    Args:
        journal: `store.journal`.

    Raises:
        SettingsError: it is not clear who is meant; nothing was changed.
        SourceError: as `VerdictStore.forget`.
    """
    Wanted.of(address, domain=domain)
    store = warehouse.store_id
    recover(warehouse, journal)
    held: list[str] = []
    if store is not None:
        held = [
            f"The journal {path} is damaged and cannot be searched: delete it." for path in set_aside(store, journal)
        ]
        if is_in_use(store, journal):
            held.append("A run is at work, and its journal may hold the address. Forget it again when it has ended.")
    count = warehouse.forget(address, domain=domain)
    return Forgotten(count, [*held, *warehouse.out_of_reach()])
