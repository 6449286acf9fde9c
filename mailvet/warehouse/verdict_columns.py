"""The columns of the verdict table as they are shown beside the rows of a source."""

from __future__ import annotations

from collections.abc import Sequence

from mailvet.policies import recommendation_sql
from mailvet.privacy import formula_sql
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.vocabulary import Policy
from mailvet.warehouse.dialects import Dialect
from mailvet.warehouse.identifiers import OWN

__all__ = ["recommended", "shown_columns"]


def recommended(policy: Policy, before: str = "") -> str:
    """What the policy recommends for a stored verdict.

    Args:
        policy: of the source.
        before: what stands before the names of the verdict's columns, as `v.`.
    """
    names = {name: f"{before}{name}" for name in ("reason", "score", "attempts")}
    return recommendation_sql(policy, **names, stored=f"{before}recommendation")


def shown_columns(
    say: Dialect, policy: Policy, columns: Sequence[str], key: str = "email_key", *, has_probability: bool = True
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
        "recommendation": f"({recommended(policy)})",
        # A suggestion never starts a formula when the table is opened in a spreadsheet.
        "suggestion": f"case when {formula} then null else suggestion end",
        "bounce_probability": bounce_probability_sql(has_column=has_probability),
    }
    return ", ".join([f"{key} as {OWN}key", *(f"{values.get(name, name)} as {OWN}{name}" for name in columns)])
