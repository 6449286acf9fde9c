"""The columns of the verdict table as they are shown beside the rows of a source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from mailvet.policies import AnyPolicy, recommendation_sql
from mailvet.privacy import formula_sql
from mailvet.scoring.budget import upper_end_sql
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.vocabulary import Recommendation
from mailvet.warehouse.dialects import Dialect
from mailvet.warehouse.identifiers import OWN

if TYPE_CHECKING:
    from mailvet.scoring.budget import Chosen

__all__ = ["part_within", "recommended", "shown_columns", "within_column"]


def recommended(say: Dialect, policy: AnyPolicy, before: str = "", *, has_probability: bool = True) -> str:
    """What the policy recommends for a stored verdict now, as SQL.

    Args:
        say: the dialect.
        policy: of the source.
        before: what stands before the names of the verdict's columns, as `v.`.
        has_probability: the verdict table has the column `bounce_probability`.
    """
    now = datetime.now(timezone.utc)
    names = {name: f"{before}{name}" for name in ("reason", "score", "attempts")}
    return recommendation_sql(
        policy,
        **names,
        stored=f"{before}recommendation",
        probability=bounce_probability_sql(before, has_column=has_probability),
        is_younger=lambda span: f"{before}checked_at >= {say.moment(now - span)}",
    )


def shown_columns(
    say: Dialect, policy: AnyPolicy, columns: Sequence[str], key: str = "email_key", *, has_probability: bool = True
) -> str:
    """These columns as the list of a SELECT, under names that no condition of the user's can mean.

    Args:
        say: the dialect.
        policy: what recommendations follow, whatever was stored.
        columns: of the verdict table.
        key: what a row of the source is matched with: `email_key` or `email`.
        has_probability: the verdict table has the column `bounce_probability`.
    """
    formula = formula_sql(say.first_character("suggestion"))
    values = {
        "recommendation": f"({recommended(say, policy, has_probability=has_probability)})",
        # A suggestion never starts a formula when the table is opened in a spreadsheet.
        "suggestion": f"case when {formula} then null else suggestion end",
        "bounce_probability": bounce_probability_sql(has_column=has_probability),
    }
    return ", ".join([f"{key} as {OWN}key", *(f"{values.get(name, name)} as {OWN}{name}" for name in columns)])


def within_column(chosen: Chosen, *, has_probability: bool = True) -> str:
    """What tells behind `shown_columns` whether a verdict is in the audience, were its recommendation no obstacle."""
    within = chosen.takes_sql(upper_end_sql(has_column=has_probability), "email_key")
    return f"case when {within} then 1 else 0 end as {OWN}within"


def part_within(part: str, chosen: Chosen | None) -> str:
    """The part of a result that a row belongs to where `send` is an audience: who may be sent to is in it or waits."""
    if chosen is None:
        return part
    may = ", ".join(f"'{word}'" for word in (Recommendation.send, Recommendation.reverify))
    return (
        f"case when {part} in ({may}) then case when {OWN}within = 1 then '{Recommendation.send}' "
        f"else '{Recommendation.reverify}' end else {part} end"
    )
