"""
What happened when we last wrote to a mailbox. Strong evidence, and one join: the warehouse brings the newest event
of each kind beside the address, whichever spelling of the mailbox it was about; this layer says what follows.

The interface is the columns of `EVENT_COLUMNS`. Weights learnt from these events have their place in
`mailvet.scoring.columns.judge(learnt=...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailvet.privacy import mask_address
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EVENT_COLUMNS", "EVENT_KINDS", "EVENT_SPELLINGS", "EVENT_TIMES", "examine"]

EVENT_KINDS = {
    "unsubscribed_at": ("unsubscribe", "unsubscribed", "complaint", "spam_complaint"),
    "bounced_at": ("hard_bounce", "hard_bounced", "bounce_hard"),
    "delivered_at": ("delivered", "delivery", "opened", "open", "clicked", "click"),
}
"""Which words of the `event` column count as what; compared in lower case."""

EVENT_TIMES = tuple(EVENT_KINDS)
"""Columns of the batch: UTC time of the newest event of the kind for the mailbox, or null."""

EVENT_SPELLINGS = {"unsubscribed_at": "unsubscribed_as", "bounced_at": "bounced_as"}
"""Kind -> the column that holds the address that event was about: lower case, trimmed; null where it is not known."""

EVENT_COLUMNS = (*EVENT_TIMES, *EVENT_SPELLINGS.values())
"""All columns that a batch has of a company's own events."""


def examine(batch: pl.DataFrame, *, keep_addresses: bool = True) -> pl.DataFrame:
    """
    Reasons from a company's own mail events: columns `history_reason` and `history_detail`, both nullable, in the
    order of the batch. An address without events gets nulls, as does a batch without the columns.

    Args:
        batch: `email`, and `EVENT_TIMES`; where known, the columns of `EVENT_SPELLINGS` too.
        keep_addresses: the detail may hold an address; otherwise it is masked.
    """
    import polars as pl  # here, since Spark's workers import this module before they know how many threads to take

    if not set(EVENT_TIMES) <= set(batch.columns):
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, batch.height)
        return pl.DataFrame({"history_reason": nothing, "history_detail": nothing})
    unsubscribed, bounced = pl.col("unsubscribed_at"), pl.col("bounced_at")
    bounced_last = bounced.is_not_null() & (pl.col("delivered_at").is_null() | (bounced > pl.col("delivered_at")))
    complained_as, bounced_as = (
        _other_spelling(batch, name, keep_addresses) for name in ("unsubscribed_as", "bounced_as")
    )
    return batch.select(
        pl.when(unsubscribed.is_not_null())
        .then(pl.lit(str(Reason.suppressed)))
        .when(bounced_last)
        .then(pl.lit(str(Reason.hard_bounced)))
        .alias("history_reason"),
        pl.when(unsubscribed.is_not_null())
        .then(_dated("unsubscribed or complained on ", unsubscribed, complained_as))
        .when(bounced_last)
        .then(_dated("newest hard bounce on ", bounced, bounced_as))
        .alias("history_detail"),
    )


def _dated(what: str, at: pl.Expr, spelling: pl.Series) -> pl.Expr:
    import polars as pl

    as_spelt = pl.when(spelling.is_not_null()).then(pl.lit(" as ") + spelling)
    return pl.concat_str(pl.lit(what), at.dt.strftime("%Y-%m-%d"), as_spelt, ignore_nulls=True)


def _other_spelling(batch: pl.DataFrame, name: str, keep_addresses: bool) -> pl.Series:
    """The address an event was about, where it is written otherwise than the cell."""
    import polars as pl

    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, batch.height)
    if name not in batch.columns:
        return nothing
    spelling = batch[name]
    rows = (spelling.is_not_null() & (spelling != batch["email"].str.strip_chars().str.to_lowercase())).arg_true()
    found = spelling.gather(rows)
    if not keep_addresses:
        found = pl.Series([mask_address(text) for text in found], dtype=pl.String)
    return nothing.scatter(rows, found)
