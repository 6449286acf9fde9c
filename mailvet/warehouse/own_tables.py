"""Is a table that is called like one of mailvet's what mailvet makes? Older ones are upgraded, others are refused."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mailvet.verdict import verdict_schema
from mailvet.warehouse.rules import ADDED_LATER
from mailvet.warehouse.tables import Column

__all__ = ["problem_of_verdicts"]


def problem_of_verdicts(present: Sequence[Column]) -> str | None:
    """
    What is the matter with a table of verdicts that has these columns; None where it can be used.

    >>> problem_of_verdicts([])
    'it has no column email_key'
    """
    columns = {column.name.lower(): column for column in present}
    for field in verdict_schema():
        found = columns.get(field.name)
        if found is None:
            if field.name in ADDED_LATER:
                continue
            return f"it has no column {field.name}"
        if found.family != "other" and found.family != (wanted := _family(field.type)):
            return f"its column {field.name} holds {found.kind}, not {wanted}"
    return None


def _family(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "time"
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "text"
