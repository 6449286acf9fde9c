"""
A million contacts in PostgreSQL, verified by the Airflow operator at depth offline: how fast their verdicts come to
stand beside them, with everything the operator does; and the write-back alone, when the verdicts are there already.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.intervals import spread
from benchmarks.processes import call

__all__ = ["measure"]


def measure(rows: int = 1_000_000, runs: int = 3) -> dict[str, Any]:
    """
    Returns:
        Rows a second, as median, least and most: `whole` (plan, judge, save, write back, count), `known` (the operator
        over a table whose verdicts are all there: plan, write back, count), and `write_back`, that step of it alone.
    """
    seen = [call("benchmarks.airflow:once", rows=rows) for _ in range(runs)]
    return {
        "rows": rows,
        "runs": runs,
        "import": spread([run["import"] for run in seen]),
        **{name: spread([rows / run[name] for run in seen]) for name in ("whole", "known", "write_back")},
    }


def once(rows: int) -> dict[str, float]:
    """In the measured process: one round on a server of its own, with its settings as installed; seconds."""
    import psycopg

    from tests.postgresql import running_server

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name, running_server(settings=()) as server:
        os.environ |= {
            "AIRFLOW_HOME": name,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW_CONN_CRM": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": "127.0.0.1",
                    "port": server.port,
                    "login": "postgres",
                    "schema": "crm",
                }
            ),
        }
        Path(name, "dags").mkdir()
        with psycopg.connect(server.new_database("crm"), autocommit=True) as database:
            database.execute("create table contacts (id integer primary key, email text)")
            database.execute(
                "insert into contacts select g, 'person' || g || '@company-' || g % 5000 || '.com' "
                f"from generate_series(1, {rows}) g"
            )
            database.execute("create index on contacts (email)")
            database.execute("vacuum analyze contacts")
            began = time.perf_counter()
            from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

            seconds = {"import": time.perf_counter() - began}
            began = time.perf_counter()
            MailvetVerifyOperator(
                task_id="verify", conn_id="crm", table="contacts", depth="offline", outlets=[]
            ).execute({})
            seconds["whole"] = time.perf_counter() - began
            row = database.execute("select count(mailvet_status) from contacts").fetchone()
            assert row == (rows,), f"{row} of {rows} rows have an answer"
            database.execute(
                "alter table contacts drop column mailvet_status, drop column mailvet_reason, "
                "drop column mailvet_recommendation, drop column mailvet_score, "
                "drop column mailvet_suggestion, drop column mailvet_checked_at"
            )
            database.execute("vacuum full analyze contacts")
            database.execute("checkpoint")
            operator = MailvetVerifyOperator(
                task_id="again", conn_id="crm", table="contacts", depth="offline", outlets=[]
            )
            from mailvet.warehouse.backends.postgres import PostgresWarehouse

            write_back = PostgresWarehouse.write_back

            def timed(warehouse: Any, columns: Sequence[str]) -> int:
                began = time.perf_counter()
                count = write_back(warehouse, columns)
                seconds["write_back"] = time.perf_counter() - began
                return count

            PostgresWarehouse.write_back = timed  # type: ignore[method-assign,assignment]
            began = time.perf_counter()
            summary = operator.execute({})
            seconds["known"] = time.perf_counter() - began
            assert (summary["checked"], summary["updates"]) == (0, rows), summary
    return seconds
