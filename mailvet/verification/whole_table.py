"""A column in memory as one table, with the signals that only all of its cells show."""

from __future__ import annotations

import polars as pl

from mailvet.signals import columns as signals
from mailvet.verification.columns import keys_of
from mailvet.verification.stream import BATCH_ROWS, Stream
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Depth

__all__ = ["verify_column"]

_OFFLINE_ROWS = 122_880
"""Rows of a batch where nothing is asked: what a batch costs apart from its rows is shared by more of them."""


async def verify_column(verifier: Verifier, cells: list[str]) -> pl.DataFrame:
    """The verdicts of distinct cells, in their order.

    Args:
        verifier: opened.
        cells: distinct texts.
    """
    emails = pl.Series("email", cells, dtype=pl.String)
    keys = keys_of(emails)
    found = signals.examine_table(emails, keys) if verifier.settings.suspicion.whole_table else ()
    table = pl.DataFrame([emails, keys, *found])
    batches = iter(table.iter_slices(_OFFLINE_ROWS if verifier.depth is Depth.offline else BATCH_ROWS))

    async def read() -> pl.DataFrame | None:
        return next(batches, None)

    frames = [frame async for frame in Stream(verifier, read)]
    verdicts = pl.concat(frames)
    if verdicts["email_key"].equals(keys):  # nothing had to be waited for
        return verdicts
    return keys.to_frame().join(verdicts, on="email_key", how="left", maintain_order="left")
