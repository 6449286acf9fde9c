"""The tables that mailvet keeps: their names and columns, and whether a table that is called like one of them is one.

Older ones are upgraded, others are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mailvet.scoring.stored import bounce_probability_sql
from mailvet.verdict import verdict_schema
from mailvet.warehouse.servers import SERVER_SCHEMA, SERVERS
from mailvet.warehouse.tables import Column

__all__ = [
    "ADDED_LATER",
    "BACKFILL_PROBABILITY",
    "LEASES",
    "LEASE_COLUMNS",
    "OUTPUTS",
    "OUTPUT_COLUMNS",
    "RUNS",
    "RUN_COLUMNS",
    "SERVERS",
    "SERVER_COLUMNS",
    "SHARDS",
    "SHARD_COLUMNS",
    "VERDICTS",
    "problem_of_verdicts",
    "verdict_kinds",
]

VERDICTS = "mailvet_verdicts"
RUNS = "mailvet_runs"
SHARDS = "mailvet_shards"
OUTPUTS = "mailvet_outputs"
LEASES = "mailvet_leases"

ADDED_LATER = ("mailbox_key", "bounce_probability")
"""Columns that a table of verdicts of an older version lacks; it is upgraded when it is written to."""

BACKFILL_PROBABILITY = (
    f"update {VERDICTS} set bounce_probability = {bounce_probability_sql(has_column=False)} "
    "where bounce_probability is null"
)
"""Gives verdicts of an older version the probability that their score was rounded from, as near as it tells."""

RUN_COLUMNS = {
    "run_id": "string",
    "source": "string",
    "started_at": "timestamp",
    "finished_at": "timestamp",
    "depth": "string",
    "policy": "string",
    "rows": "int64",
    "addresses": "int64",
    "due": "int64",
    "checked": "int64",
    "written": "int64",
    "by_status": "string",
    "by_reason": "string",
    "by_recommendation": "string",
    "by_operator": "string",
    "probes": "int64",
    "lookups": "int64",
    "seconds": "double",
    "health": "string",
    "mailvet_version": "string",
    "rules_version": "string",
}
"""Columns of `mailvet_runs` and their types by the names of `Dialect.types`."""

SERVER_COLUMNS = {field.name: str(field.type).partition("[")[0] for field in SERVER_SCHEMA}
"""The same of `mailvet_servers`."""

SHARD_COLUMNS = {"plan_id": "string", "domain": "string", "shard": "int32", "planned_at": "timestamp"}
"""The same of `mailvet_shards`."""

OUTPUT_COLUMNS = {"path": "string", "digest": "string"}
"""The same of `mailvet_outputs`."""

LEASE_COLUMNS = {
    "source": "key",
    "run_id": "key",
    "holder": "string",
    "started_at": "timestamp",
    "heartbeat_at": "timestamp",
}
"""The same of `mailvet_leases`."""


def verdict_kinds() -> dict[str, str]:
    """Columns of `mailvet_verdicts` and their types by the names of `Dialect.types`."""
    return {field.name: str(field.type).partition("[")[0] for field in verdict_schema()}


def problem_of_verdicts(present: Sequence[Column]) -> str | None:
    """What is the matter with a table of verdicts that has these columns; None where it can be used.

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
