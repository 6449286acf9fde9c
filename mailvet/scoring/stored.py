"""P(hard bounce) of a verdict that is stored: the one rule for every reader of the verdict table.

A verdict holds the probability itself. One of an older version holds the score alone, which is that probability in
whole per cent; it is taken for want of better.
"""

from __future__ import annotations

__all__ = ["bounce_probability_sql", "stored_bounce_probability"]


def bounce_probability_sql(before: str = "", *, has_column: bool = True) -> str:
    """P(hard bounce) of a stored verdict, between 0 and 1; null where there is no verdict.

    Args:
        before: what stands before the names of the verdict's columns, as `v.`.
        has_column: the table has the column `bounce_probability`; one of an older version that was not written to since
            lacks it.

    >>> bounce_probability_sql("v.", has_column=False)
    '((100 - v.score) / 100.0)'
    """
    by_score = f"((100 - {before}score) / 100.0)"
    return f"coalesce({before}bounce_probability, {by_score})" if has_column else by_score


def stored_bounce_probability(score: int, probability: float | None) -> float:
    """The same of one row.

    >>> stored_bounce_probability(88, None)
    0.12
    """
    return (100 - score) / 100 if probability is None else probability
