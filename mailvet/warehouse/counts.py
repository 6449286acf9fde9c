"""The rows of a source by what is known of them: the one query behind gates, reports and plug-ins."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from mailvet.gates import VerdictCount
from mailvet.policies import AnyPolicy
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.warehouse.clocks import latest_believed
from mailvet.warehouse.dialects import Dialect
from mailvet.warehouse.verdict_columns import recommended

__all__ = ["count_query", "counted"]

_SAID = ("status", "reason", "recommendation", "bounce_probability", "stale", "missing")


def count_query(
    say: Dialect,
    cells: str,
    verdicts: str | None,
    *,
    policy: AnyPolicy,
    stale_before: datetime | None = None,
    has_probability: bool = True,
) -> str:
    """Rows by status, reason, recommendation, P(hard bounce), whether stale and whether missing.

    With them comes the sum over the texts of the square of their rows.

    Args:
        say: the dialect.
        cells: the distinct texts of the source: email, email_key, repeats.
        verdicts: the verdict table; None where there is none yet.
        policy: what recommendations follow, whatever was stored.
        stale_before: aware, UTC; verdicts made before it are stale. None: none is.
        has_probability: the verdict table has the column `bounce_probability`.
    """
    values = dict.fromkeys(_SAID[:4], "null")
    values |= {"stale": "0", "missing": f"case when {say.missing('c.email')} then 1 else 0 end"}
    if verdicts is not None:
        values |= {name: f"v.{name}" for name in ("status", "reason")}
        values["bounce_probability"] = bounce_probability_sql("v.", has_column=has_probability)
        values["recommendation"] = recommended(say, policy, "v.", has_probability=has_probability)
        if stale_before is not None:
            future = say.moment(latest_believed(datetime.now(timezone.utc)))
            values["stale"] = (
                f"case when v.checked_at < {say.moment(stale_before)} or v.checked_at > {future} then 1 else 0 end"
            )
    joined = f" left join {verdicts} v on v.email_key = c.email_key" if verdicts is not None else ""
    selected = ", ".join(f"{value} as mailvet__{name}" for name, value in values.items())
    groups = ", ".join(f"mailvet__{name}" for name in _SAID)
    square = f"{say.real('mailvet__repeats')} * mailvet__repeats"
    return (
        f"select {groups}, sum(mailvet__repeats), sum({square}) from (select {selected}, c.repeats as mailvet__repeats "
        f"from {cells} c{joined}) as mailvet__counted group by {groups}"
    )


def counted(rows: Iterable[tuple[Any, ...]]) -> list[VerdictCount]:
    """The rows of `count_query`."""
    return [
        VerdictCount(
            status,
            reason,
            recommendation,
            None if probability is None else float(probability),
            bool(stale),
            bool(missing),
            int(count),
            int(squares),
        )
        for status, reason, recommendation, probability, stale, missing, count, squares in rows
    ]
