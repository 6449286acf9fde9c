"""Two runs whose verdicts meet in one table, and what has to come of it, by the warehouse that people know best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from tests.warehouse.answers import answers, later

KNOWN = {
    "kept@a.test": "mailbox_accepted",
    "gone@a.test": "mailbox_accepted",
    "open@a.test": "greylisted",
    "old@a.test": "mailbox_accepted",
    "alone@a.test": "role_account",
    "shallow@a.test": "mailbox_not_found",
}


def two_runs() -> tuple[pa.Table, pa.Table]:
    """What is known, and what comes: silent answers, news, and an address never met."""
    known = pa.concat_tables(
        [
            answers({k: v for k, v in KNOWN.items() if k != "old@a.test"}),
            answers({"old@a.test": KNOWN["old@a.test"]}, now=later(days=-400)),
        ]
    )
    fresh = pa.concat_tables(
        [
            answers(
                {
                    "kept@a.test": "smtp_timeout",
                    "gone@a.test": "mailbox_not_found",
                    "open@a.test": "connect_failed",
                    "old@a.test": "smtp_timeout",
                    "new@a.test": "mailbox_full",
                },
                now=later(days=3),
            ),
            answers({"shallow@a.test": "dns_timeout"}, now=later(days=3), depth="dns"),
        ]
    )
    return known, fresh


def rows_of(table: Any) -> list[dict[str, Any]]:
    found = table.toArrow() if not isinstance(table, pa.Table) else table
    rows = found.select(verdict_schema().names).to_pylist()
    return sorted(
        (
            {
                name: value.replace(tzinfo=None) if name.endswith("_at") and value else value
                for name, value in row.items()
            }
            for row in rows
        ),
        key=lambda row: str(row["email"]),
    )


def as_duckdb_saves(folder: Path) -> list[dict[str, Any]]:
    """What the DuckDB warehouse makes of the two runs."""
    path = folder / "crm.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create table contacts as select 'kept@a.test' as email")
    warehouse = DuckDBWarehouse.of_table(path, "contacts", "email")
    warehouse.open_for_writing()
    for run in two_runs():
        warehouse.save(run)
    warehouse.close()
    with duckdb.connect(str(path)) as db:
        return rows_of(db.sql("from mailvet_verdicts").to_arrow_table())
