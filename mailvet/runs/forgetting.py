"""Erasing a person, or everybody at a domain, from a store and from what runs have left for it on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailvet.runs.journal import is_in_use, recover, set_aside
from mailvet.syntax.mailbox_key import key_of, mailbox_of, mailbox_rules
from mailvet.warehouse.erasure import Wanted
from mailvet.warehouse.store import Warehouse

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased, and what is out of reach."""

    verdicts: int
    remains: Sequence[str]
    """A sentence each."""
    deleted: Sequence[Path] = ()
    """Damaged journals that held something of it."""


def forget(warehouse: Warehouse, address: str, *, domain: bool = False, journal: Path | None = None) -> Forgotten:
    """`Warehouse.forget`, after the journals of runs that have ended were saved.

    So no journal brings the person back. A damaged one, which cannot be saved, is searched byte by byte, and deleted
    where it holds something.

    Args:
        warehouse: of the store.
        address: in any spelling, or a domain.
        domain: everybody at this domain.
        journal: `store.journal`.

    Raises:
        SettingsError: it is not clear who is meant; nothing was changed.
        SourceError: as `Warehouse.forget`.
    """
    wanted = Wanted.of(address, domain=domain)
    store = warehouse.store_id
    recover(warehouse, journal)
    remains: list[str] = []
    deleted: list[Path] = []
    for path in set_aside(store, journal) if store is not None else ():
        if _holds(path.read_bytes(), wanted):
            path.unlink()
            deleted.append(path)
        else:
            remains.append(f"The journal {path} is damaged. Nothing was found in it; delete it to be sure.")
    if store is not None and is_in_use(store, journal):
        remains.append("A run is at work, and its journal may hold the address. Forget it again when it has ended.")
    count = warehouse.forget(address, domain=domain)
    return Forgotten(count, [*remains, *warehouse.out_of_reach()], deleted)


def _holds(content: bytes, wanted: Wanted) -> bool:
    """Whether the bytes of a damaged journal hold what is to be erased.

    Its keys, its domain, or its mailbox in whatever spelling. Arrow writes the texts of a column one behind the other,
    so a local part, of 64 octets at most (RFC 5321 section 4.5.3.1.1), may begin anywhere: `steve@acme.com` counts as
    holding `eve@acme.com`, and what cannot be read is rather deleted than kept.
    """
    folded = content.lower()
    keys = {*wanted.keys, *([key_of(wanted.mailbox)] if wanted.mailbox is not None else ())}
    if any(key.encode() in folded for key in keys):
        return True
    if wanted.domain is not None:
        return wanted.domain.encode() in folded or wanted.text.lower().encode() in folded
    if wanted.mailbox is None:
        return wanted.text.lower().encode() in folded
    local = wanted.mailbox.rpartition("@")[0]
    domains = {wanted.mailbox.rpartition("@")[2], *mailbox_rules().main_domain}
    same = [name for name in domains if mailbox_of(local, name) == wanted.mailbox]
    at_domain = re.compile(rb"([^\x00-\x20@]{1,64})@(?:%s)" % b"|".join(re.escape(name.encode()) for name in same))
    for found in at_domain.finditer(folded):
        run = found[1].decode("utf-8", "replace")
        if any(mailbox_of(run[start:], same[0]) == wanted.mailbox for start in range(len(run))):
            return True
    return False
