"""What happened when we last wrote to a mailbox: strong evidence, and one join.

The warehouse brings what a company's own events say of the mailbox (`mailvet.history.facts`), whichever spelling of its
address they were about; this layer words it as evidence. Weights learnt from events have their place in
`mailvet.scoring.columns.judge(learnt=...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailvet.history.facts import HISTORY_COLUMNS
from mailvet.privacy import mask_address
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DETAILS", "examine"]

DETAILS = {
    Reason.suppressed: "unsubscribed or complained on ",
    Reason.hard_bounced: "newest hard bounce on ",
    Reason.repeated_soft_bounce: "bounced softly several times, the last time on ",
    Reason.recently_engaged: "opened, clicked or replied on ",
    Reason.recently_delivered: "delivered and not bounced on ",
    Reason.inactive: "no sign of life from its deliveries, the last one on ",
}
"""What stands in the evidence before the day of the event."""


def examine(batch: pl.DataFrame, *, keep_addresses: bool = True) -> pl.DataFrame:
    """Reasons from a company's own mail events: columns `history_reason` and `history_detail`, both nullable.

    In the order of the batch. An address without events gets nulls, as does a batch without the columns.

    Args:
        batch: `email`, and where there are events `HISTORY_COLUMNS`.
        keep_addresses: the detail may hold an address; otherwise it is masked.
    """
    import polars as pl  # here, since Spark's workers import this module before they know how many threads to take

    if not set(HISTORY_COLUMNS) <= set(batch.columns):
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, batch.height)
        return pl.DataFrame({"history_reason": nothing, "history_detail": nothing})
    words = {str(reason): text for reason, text in DETAILS.items()}
    what = pl.col("history_reason").replace_strict(words, default=None, return_dtype=pl.String)
    spelling = _other_spelling(batch, keep_addresses)
    as_spelt = pl.when(spelling.is_not_null()).then(pl.lit(" as ") + spelling)
    day = pl.col("history_at").dt.strftime("%Y-%m-%d")
    detail = pl.concat_str(what, day, as_spelt, ignore_nulls=True)
    return batch.select("history_reason", pl.when(what.is_not_null()).then(detail).alias("history_detail"))


def _other_spelling(batch: pl.DataFrame, keep_addresses: bool) -> pl.Series:
    """The address an event was about, where it is written otherwise than the cell."""
    import polars as pl

    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, batch.height)
    spelling = batch["history_as"]
    rows = (spelling.is_not_null() & (spelling != batch["email"].str.strip_chars().str.to_lowercase())).arg_true()
    found = spelling.gather(rows)
    if not keep_addresses:
        found = pl.Series([mask_address(text) for text in found], dtype=pl.String)
    return nothing.scatter(rows, found)
