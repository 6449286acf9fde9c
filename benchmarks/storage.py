"""
DuckDB: saving a million verdicts and writing their answers back beside a million contacts, through the warehouse that a
run uses; row by row with `executemany` on a small sample for comparison.
"""

from __future__ import annotations

import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import call

__all__ = ["measure"]

_BATCH = 122_880
"""Verdicts saved at once: a row group of DuckDB's, the least that a run saves whose answers come fast."""


def measure(rows: int = 1_000_000, sample: int = 2_000, runs: int = 3) -> dict[str, Any]:
    """
    Returns:
        Seconds, as median, least and most, to `save` (in batches, each committed), to `save_at_once`, to
        `write_back`, and save and write back `together`; `rows_per_second` of both ways and of `executemany`.
    """
    seen = [call("benchmarks.storage:once", rows=rows, sample=sample) for _ in range(runs)]
    together = [run["save"] + run["write_back"] for run in seen]
    saving = [rows / run["save"] for run in seen]
    slow = [run["executemany"] for run in seen]
    return {
        "rows": rows,
        "sample": sample,
        "runs": runs,
        "batch": _BATCH,
        **{
            name: spread([run[name] for run in seen]) for name in ("save", "save_at_once", "write_back", "again", "cpu")
        },
        "together": spread(together),
        "rows_per_second": spread(saving),
        "executemany": spread(slow),
        "ratio": paired_ratios(saving, slow),
    }


def once(rows: int, sample: int) -> dict[str, float]:
    """In the measured process: one round on a new database."""
    import duckdb

    from mailvet.verdict import STATUS_COLUMNS
    from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name:
        path = Path(name, "crm.duckdb")
        with duckdb.connect(str(path)) as database:
            database.execute(
                "create table contacts as select range as id, 'person' || range || '@company-' || range % 5000 || "
                "'.test' as email from range($1)",
                [rows],
            )
        verdicts = _verdicts(path, rows)
        seconds: dict[str, float] = {}
        warehouse = DuckDBWarehouse.of_table(path, "contacts", "email")
        warehouse.open_for_writing()
        cpu = time.process_time()
        began = time.perf_counter()
        for start in range(0, rows, _BATCH):
            warehouse.save(verdicts.slice(start, _BATCH))
        seconds["save"] = time.perf_counter() - began
        began = time.perf_counter()
        written = warehouse.write_back(STATUS_COLUMNS)
        seconds["write_back"] = time.perf_counter() - began
        seconds["cpu"] = time.process_time() - cpu
        assert written == rows, f"{written} of {rows} rows were written"
        began = time.perf_counter()
        assert warehouse.write_back(STATUS_COLUMNS) == 0, "nothing has changed, yet rows were written"
        seconds["again"] = time.perf_counter() - began
        warehouse.close()
        with duckdb.connect(str(path)) as database:
            wrong = database.execute(
                "select count(*) from contacts c left join mailvet_verdicts v on v.email_key = sha256(c.email) "
                "where v.reason is null or c.mailvet_reason <> v.reason or c.mailvet_score <> v.score"
            ).fetchall()[0][0]
        assert wrong == 0, f"{wrong} contacts carry another answer than their verdict"
        seconds["save_at_once"] = _at_once(Path(name, "other.duckdb"), path, verdicts)
        seconds["executemany"] = _row_by_row(Path(name, "slow.duckdb"), verdicts.slice(0, sample))
    return seconds


def _verdicts(path: Path, rows: int) -> Any:
    """As many verdicts as contacts, a third of them bad, in the schema of `mailvet_verdicts`."""
    import duckdb
    import pyarrow as pa

    from mailvet.verdict import verdict_schema
    from mailvet.vocabulary import RULES_VERSION

    with duckdb.connect(str(path), read_only=True) as database:
        columns = database.sql(
            """
            select sha256(email) as email_key, email,
                   case when id % 3 = 0 then 'undeliverable' else 'deliverable' end as status,
                   case when id % 3 = 0 then 'mailbox_not_found' else 'mailbox_accepted' end as reason,
                   case when id % 3 = 0 then 'do_not_send' else 'send' end as recommendation,
                   case when id % 3 = 0 then 1 else 97 end as score, null as suggestion, '' as flags,
                   split_part(email, '@', 2) as domain, 'operator-' || id % 20 as operator,
                   'mx.operator-' || id % 20 || '.test' as mx_host,
                   case when id % 3 = 0 then 550 else 250 end as smtp_code, '5.1.1 User unknown' as smtp_reply,
                   'smtp' as depth, '[{"layer": "mailbox", "fact": "mailbox_accepted"}]' as evidence, 1 as attempts,
                   'run-1' as run_id, sha256(lower(email)) as mailbox_key,
                   case when id % 3 = 0 then 0.99 else 0.03 end::double as bounce_probability
            from contacts order by md5(email)
            """
        ).to_arrow_table()
    now = datetime.now(timezone.utc)
    fixed = {"checked_at": now, "next_check_at": now + timedelta(days=60), "rules_version": RULES_VERSION}
    for name, value in fixed.items():
        kind = verdict_schema().field(name).type
        columns = columns.append_column(name, pa.repeat(pa.scalar(value, kind), rows))
    return columns.select(verdict_schema().names).cast(verdict_schema())


def _at_once(path: Path, contacts: Path, verdicts: Any) -> float:
    import shutil

    import duckdb

    from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse

    shutil.copy(contacts, path)
    with duckdb.connect(str(path)) as database:
        database.execute("drop table mailvet_verdicts")
    warehouse = DuckDBWarehouse.of_table(path, "contacts", "email")
    warehouse.open_for_writing()
    began = time.perf_counter()
    warehouse.save(verdicts)
    seconds = time.perf_counter() - began
    warehouse.close()
    return seconds


def _row_by_row(path: Path, verdicts: Any) -> float:
    """Rows a second of `executemany`, in one transaction, into a table of the same columns and key."""
    import duckdb

    names = verdicts.schema.names
    rows = [
        [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row.values()]
        for row in verdicts.to_pylist()
    ]
    with duckdb.connect(str(path)) as database:
        columns = ", ".join(
            f"{name} {_TYPES.get(name, 'varchar')}{' primary key' if name == 'email_key' else ''}" for name in names
        )
        database.execute(f"create table mailvet_verdicts ({columns})")
        began = time.perf_counter()
        database.execute("begin")
        database.executemany(f"insert into mailvet_verdicts values ({', '.join('?' * len(names))})", rows)
        database.execute("commit")
        return len(rows) / (time.perf_counter() - began)


_TYPES = {
    "score": "smallint",
    "smtp_code": "smallint",
    "checked_at": "timestamp",
    "next_check_at": "timestamp",
    "attempts": "integer",
}
