"""Erasing a person, or everybody at a domain, from a store and from what runs have left for it on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailvet.runs.journal import journals_of, left_behind, save_newer
from mailvet.warehouse.base import Warehouse
from mailvet.warehouse.erasure import Wanted

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased, and what is out of reach."""

    verdicts: int
    remains: Sequence[str]
    """A sentence each."""


def forget(warehouse: Warehouse, address: str, *, domain: bool = False, journal: Path | None = None) -> Forgotten:
    """
    `Warehouse.forget`, after the journals of runs that have ended were saved, so that none brings the person back.

    Args:
        journal: `store.journal`.

    Raises:
        SettingsError: it is not clear who is meant; nothing was changed.
        SourceError: as `Warehouse.forget`.
    """
    Wanted.of(address, domain=domain)
    store = warehouse.store_id
    held: list[str] = []
    if store is not None:
        for found in left_behind(store, journal):
            verdicts = found.verdicts()
            if verdicts is None:
                found.set_aside()
                continue
            if verdicts.num_rows:
                warehouse.open_for_writing()
                save_newer(warehouse, verdicts)
            found.remove()
        held = [
            f"The journal {path} is damaged and cannot be searched: delete it."
            if path.suffix == ".damaged"
            else f"A run is at work and keeps results in {path}: erase again when it has ended."
            for path in journals_of(store, journal)
        ]
    count = warehouse.forget(address, domain=domain)
    return Forgotten(count, [*held, *warehouse.out_of_reach()])
