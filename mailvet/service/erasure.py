"""Erasing an address or a domain from all that the service keeps."""

from __future__ import annotations

from mailvet.errors import SettingsError
from mailvet.service.database import Database
from mailvet.service.models import Erased, Erasure
from mailvet.service.state import State
from mailvet.warehouse.erasure import Wanted

__all__ = ["erase"]


def erase(database: Database, state: State, who: Erasure) -> Erased:
    """Erase from verdicts, events and batches.

    Raises:
        SettingsError: it is not clear who is meant.
    """
    if (who.address is None) == (who.domain is None):
        raise SettingsError("Name either an address or a domain.")
    is_domain = who.domain is not None
    text = who.domain if who.domain is not None else who.address or ""
    wanted = Wanted.of(text, domain=is_domain)
    # Batches first: a batch at work saves no verdict of a row that is gone when its next part is read.
    rows = database.erase_from_batches(wanted)
    found = database.forget(text, domain=is_domain)
    state.rows("insert into erasures default values")
    return Erased(verdicts=found.verdicts, batch_rows=rows, remains=list(found.remains))
