"""
What happened when we last wrote to an address. Strong evidence, and one join: the warehouse brings the newest event
of each kind beside the address, this layer says what follows.

The interface is the three columns of `EVENT_COLUMNS`. Weights learnt from these events have their place in
`mailvet.scoring.judge(learnt=...)`.
"""

from __future__ import annotations

import polars as pl

from mailvet.verdict import Reason

__all__ = ["EVENT_COLUMNS", "EVENT_KINDS", "examine"]

EVENT_KINDS = {
    "unsubscribed_at": ("unsubscribe", "unsubscribed", "complaint", "spam_complaint"),
    "bounced_at": ("hard_bounce", "hard_bounced", "bounce_hard"),
    "delivered_at": ("delivered", "delivery", "opened", "open", "clicked", "click"),
}
"""Which words of the `event` column count as what; compared in lower case."""

EVENT_COLUMNS = tuple(EVENT_KINDS)
"""Columns of the batch: UTC time of the newest event of the kind, or null."""


def examine(batch: pl.DataFrame) -> pl.DataFrame:
    """
    Reasons from a company's own mail events: columns `history_reason` and `history_detail`, both nullable, in the
    order of the batch. An address without events gets nulls, as does a batch without the columns.
    """
    if not set(EVENT_COLUMNS) <= set(batch.columns):
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, batch.height)
        return pl.DataFrame({"history_reason": nothing, "history_detail": nothing})
    unsubscribed, bounced = pl.col("unsubscribed_at"), pl.col("bounced_at")
    bounced_last = bounced.is_not_null() & (pl.col("delivered_at").is_null() | (bounced > pl.col("delivered_at")))
    return batch.select(
        pl.when(unsubscribed.is_not_null())
        .then(pl.lit(str(Reason.suppressed)))
        .when(bounced_last)
        .then(pl.lit(str(Reason.hard_bounced)))
        .alias("history_reason"),
        pl.when(unsubscribed.is_not_null())
        .then(pl.lit("unsubscribed or complained on ") + unsubscribed.dt.strftime("%Y-%m-%d"))
        .when(bounced_last)
        .then(pl.lit("newest hard bounce on ") + bounced.dt.strftime("%Y-%m-%d"))
        .alias("history_detail"),
    )
