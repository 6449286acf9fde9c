"""
PostgreSQL: saving a million verdicts and writing their answers back beside a million contacts, through the warehouse
that a run uses; a SQLAlchemy INSERT and UPDATE of many rows on a sample for comparison, against the same server.
"""

from __future__ import annotations

import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import tests.postgresql
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import call

__all__ = ["measure"]

_BATCH = 100_000
"""Verdicts saved at once, as a run does whose answers come fast: those of a second or so."""


def measure(rows: int = 1_000_000, sample: int = 20_000, runs: int = 3) -> dict[str, Any]:
    """
    Returns:
        Rows a second, as median, least and most: `save` (batches of 100,000, each committed), `renew` (the same keys
        for the second time), `write_back`, `read` (what is due); `insert` and `update` of SQLAlchemy; and the ratios
        of ours to these. `copy` (the same rows into a table without an index) and `constant` (one column of every
        contact set to a constant) are what the server can do at all on this machine.
    """
    seen = [call("benchmarks.postgres:once", rows=rows, sample=sample) for _ in range(runs)]
    rates = {name: [run[name] for run in seen] for name in seen[0]}
    return {
        "rows": rows, "sample": sample, "runs": runs, "batch": _BATCH, "server": tests.postgresql.SETTINGS,
        **{name: spread(values) for name, values in rates.items()},
        "save_ratio": paired_ratios(rates["save"], rates["insert"]),
        "write_back_ratio": paired_ratios(rates["write_back"], rates["update"]),
        "copy_ratio": paired_ratios(rates["save"], rates["copy"]),
        "constant_ratio": paired_ratios(rates["write_back"], rates["constant"]),
    }  # fmt: skip


def once(rows: int, sample: int) -> dict[str, float]:
    """In the measured process: one round on a server of its own, whose data lies on this machine's disk."""
    import duckdb
    import psycopg

    from benchmarks.storage import _verdicts
    from mailvet.verdict import RULES_VERSION, STATUS_COLUMNS
    from mailvet.warehouse.opening import open_table
    from tests.postgresql import running_server

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name, running_server() as server:
        path = Path(name, "crm.duckdb")
        emails = "'person' || {} || '@company-' || {} % 5000 || '.test'"
        with duckdb.connect(str(path)) as database:
            database.execute(
                f"create table contacts as select range as id, {emails.format('range', 'range')} as email "
                "from range($1)", [rows],
            )  # fmt: skip
        verdicts = _verdicts(path, rows)
        url = server.new_database("crm")
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("create table contacts (id integer primary key, email text, country text)")
            db.execute(
                f"insert into contacts select g, {emails.format('g', 'g')}, 'DE' from generate_series(0, {rows - 1}) g"
            )
            db.execute("create index on contacts (email)")
            db.execute("vacuum analyze contacts")
        rates: dict[str, float] = {}

        def timed(name: str, count: int, began: float) -> None:
            rates[name] = count / (time.perf_counter() - began)

        warehouse = open_table(url, "contacts", "email")
        began = time.perf_counter()
        plan = warehouse.plan(depth_rank=2, now=datetime.now(timezone.utc), rules_version=RULES_VERSION, listed={})
        timed("plan", plan.addresses, began)
        assert plan.due == rows, f"{plan.due} of {rows} addresses are due"
        began = time.perf_counter()
        assert sum(batch.num_rows for batch in warehouse.due(_BATCH)) == rows
        timed("read", rows, began)
        warehouse.open_for_writing()
        for name in ("save", "renew"):
            began = time.perf_counter()
            for start in range(0, rows, _BATCH):
                warehouse.save(verdicts.slice(start, _BATCH))
            timed(name, rows, began)
        began = time.perf_counter()
        written = warehouse.write_back(STATUS_COLUMNS)
        timed("write_back", rows, began)
        assert written == rows, f"{written} of {rows} rows were written"
        began = time.perf_counter()
        assert warehouse.write_back(STATUS_COLUMNS) == 0, "nothing has changed, yet rows were written"
        timed("again", rows, began)
        warehouse.close()
        with psycopg.connect(url) as db:
            wrong = db.execute(
                "select count(*) from contacts c left join mailvet_verdicts v "
                "on v.email_key = encode(sha256(convert_to(c.email, 'UTF8')), 'hex') "
                "where v.reason is null or c.mailvet_reason <> v.reason or c.mailvet_score <> v.score"
            ).fetchall()[0][0]
        assert wrong == 0, f"{wrong} contacts carry another answer than their verdict"
        rates |= _ceilings(url, verdicts)
        rates |= _peer(server.url("crm", driver="psycopg"), verdicts.slice(0, sample))
    return rates


def _ceilings(url: str, verdicts: Any) -> dict[str, float]:
    """Rows a second of COPY into a table without an index, and of the plainest UPDATE of all contacts."""
    import psycopg

    from mailvet.warehouse.postgres import binary_copy

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("create table plain (like mailvet_verdicts)")
        began = time.perf_counter()
        for start in range(0, verdicts.num_rows, _BATCH):
            with db.cursor() as cursor, cursor.copy("copy plain from stdin (format binary)") as copy:
                for block in binary_copy(verdicts.slice(start, _BATCH)):
                    copy.write(block)
        copied = time.perf_counter() - began
        # Pages as full as they were before the write-back.
        db.execute("vacuum full contacts")
        began = time.perf_counter()
        changed = db.execute("update contacts set country = 'FR'").rowcount
        return {"copy": verdicts.num_rows / copied, "constant": changed / (time.perf_counter() - began)}


def _peer(url: str, verdicts: Any) -> dict[str, float]:
    """Rows a second of SQLAlchemy's INSERT of many rows, and of its UPDATE by key, each in one transaction."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    kinds: dict[str, Any] = {"score": sa.SmallInteger, "smtp_code": sa.SmallInteger, "attempts": sa.Integer,
             "checked_at": sa.DateTime(timezone=True), "next_check_at": sa.DateTime(timezone=True)}  # fmt: skip
    table = sa.Table("peer_verdicts", sa.MetaData(), *(
        sa.Column(name, kinds.get(name, sa.Text), primary_key=name == "email_key") for name in verdicts.schema.names
    ))  # fmt: skip
    records = verdicts.to_pylist()
    table.create(engine)
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(sa.insert(table), records)
    inserted = time.perf_counter() - began
    update = (
        sa.update(table).where(table.c.email_key == sa.bindparam("wanted"))
        .values(status=sa.bindparam("new_status"), reason=sa.bindparam("new_reason"))
    )  # fmt: skip
    answers = [{"wanted": r["email_key"], "new_status": "risky", "new_reason": r["reason"]} for r in records]
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(update, answers)
    updated = time.perf_counter() - began
    engine.dispose()
    return {"insert": len(records) / inserted, "update": len(records) / updated}
