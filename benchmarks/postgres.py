"""
PostgreSQL: saving a million verdicts and writing their answers back beside a million contacts, through the warehouse
that a run uses; beside it a hand-written UPDATE of the same six columns, and SQLAlchemy's INSERT and UPDATE of many
rows on a sample. The server has its settings as installed, and keeps its data on this machine's disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import call

if TYPE_CHECKING:
    import psycopg

__all__ = ["measure"]

_BATCH = 100_000
"""Verdicts saved at once, as a run does whose answers come fast: those of a second or so."""


def measure(rows: int = 1_000_000, sample: int = 20_000, runs: int = 3, settings: Sequence[str] = ()) -> dict[str, Any]:
    """
    Args:
        rows: contacts in the table.
        sample: rows for SQLAlchemy.
        runs: how often all is measured.
        settings: of the server, such as `shared_buffers=1GB`, where they are not to be those it is installed with.

    Returns:
        Rows a second, as median, least and most: `plan`; `read` (what is due); `save` (batches of 100,000, each
        committed); `renew` (the same keys when they have become due again); `write_back` (onto a table without the
        status columns), `again` (nothing has changed) and `tenth` (a tenth of the answers has; rows of the whole table,
        vacuumed as it is by itself after a while); `insert` and `update` of SQLAlchemy. What the server can do at all:
        `bare` (one UPDATE of the six columns, written by hand), `constant` (the six columns of every contact set to
        constants, which joins nothing and compares nothing) and `copy` (the same verdicts into a table without an
        index). And the ratios of ours to these.
    """
    seen = [call("benchmarks.postgres:once", rows=rows, sample=sample, settings=list(settings)) for _ in range(runs)]
    server = {name: seen[0].pop(name) for name in list(seen[0]) if isinstance(seen[0][name], str)}
    rates = {name: [run[name] for run in seen] for name in seen[0]}
    return {
        "rows": rows,
        "sample": sample,
        "runs": runs,
        "batch": _BATCH,
        **server,
        **{name: spread(values) for name, values in rates.items()},
        "save_ratio": paired_ratios(rates["save"], rates["insert"]),
        "write_back_ratio": paired_ratios(rates["write_back"], rates["update"]),
        "copy_ratio": paired_ratios(rates["save"], rates["copy"]),
        "bare_ratio": paired_ratios(rates["write_back"], rates["bare"]),
    }


def once(rows: int, sample: int, settings: Sequence[str] = ()) -> dict[str, Any]:
    """In the measured process: one round on a server of its own."""
    import duckdb
    import psycopg

    from benchmarks.storage import _verdicts
    from mailvet.verdict import STATUS_COLUMNS
    from mailvet.vocabulary import RULES_VERSION
    from mailvet.warehouse.opening import open_table
    from tests.postgresql import running_server

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name, running_server(settings) as server:
        path = Path(name, "crm.duckdb")
        emails = "'person' || {} || '@company-' || {} % 5000 || '.test'"
        with duckdb.connect(str(path)) as database:
            database.execute(
                f"create table contacts as select range as id, {emails.format('range', 'range')} as email "
                "from range($1)",
                [rows],
            )
        verdicts = _verdicts(path, rows)
        url = server.new_database("crm")
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("create table contacts (id integer primary key, email text, country text)")
            db.execute(
                f"insert into contacts select g, {emails.format('g', 'g')}, 'DE' from generate_series(0, {rows - 1}) g"
            )
            db.execute("create index on contacts (email)")
            db.execute("vacuum analyze contacts")
            shown = ("shared_buffers", "max_wal_size", "fsync", "synchronous_commit", "full_page_writes")
            measured: dict[str, Any] = {
                "server": ", ".join(f"{name}={db.execute(f'show {name}').fetchall()[0][0]}" for name in shown),
                "version": db.execute("show server_version").fetchall()[0][0],
            }

            @contextmanager
            def timed(name: str) -> Iterator[None]:
                db.execute("checkpoint")  # what was written before is in no measurement
                began = time.perf_counter()
                yield
                measured[name] = rows / (time.perf_counter() - began)

            def save(name: str) -> None:
                with timed(name):
                    for start in range(0, rows, _BATCH):
                        warehouse.save(verdicts.slice(start, _BATCH))

            now = datetime.now(timezone.utc)
            asked: dict[str, Any] = {"depth_rank": 2, "rules_version": RULES_VERSION, "listed": {}}
            warehouse = open_table(url, "contacts", "email")
            with timed("plan"):
                plan = warehouse.plan(now=now, **asked)
            assert plan.due == rows, f"{plan.due} of {rows} addresses are due"
            with timed("read"):
                assert sum(batch.num_rows for batch in warehouse.due(_BATCH)) == rows
            warehouse.open_for_writing()
            save("save")
            db.execute("vacuum analyze mailvet_verdicts")
            with timed("write_back"):
                written = warehouse.write_back(STATUS_COLUMNS)
            assert written == rows, f"{written} of {rows} rows were written"
            with timed("again"):
                assert warehouse.write_back(STATUS_COLUMNS) == 0, "nothing has changed, yet rows were written"
            db.execute("vacuum analyze contacts")
            changed = db.execute("update mailvet_verdicts set score = 50 where email_key < '1a'").rowcount
            with timed("tenth"):
                written = warehouse.write_back(STATUS_COLUMNS)
            assert written == changed, f"{changed} answers have changed, but {written} rows were written"
            wrong = db.execute(
                "select count(*) from contacts c left join mailvet_verdicts v "
                "on v.email_key = encode(sha256(convert_to(c.email, 'UTF8')), 'hex') "
                "where v.reason is null or c.mailvet_reason <> v.reason or c.mailvet_score <> v.score"
            ).fetchall()[0][0]
            assert wrong == 0, f"{wrong} contacts carry another answer than their verdict"
            for name, statement in _BY_HAND.items():
                db.execute(_WITHOUT_COLUMNS)
                db.execute(_WITH_COLUMNS)
                db.execute("vacuum full analyze contacts")  # its pages as full as they were before the write-back
                with timed(name):
                    assert db.execute(statement).rowcount == rows
            db.execute("create table plain (like mailvet_verdicts)")
            with timed("copy"):
                for start in range(0, rows, _BATCH):
                    _copy(db, verdicts.slice(start, _BATCH))
            # At the end, for it leaves the table of verdicts twice as large, which no first write-back meets.
            assert warehouse.plan(now=now + timedelta(days=400), **asked).due == rows
            save("renew")
            warehouse.close()
        return measured | _peer(server.url("crm", driver="psycopg"), verdicts.slice(0, sample))


_KINDS = {
    "status": "text",
    "reason": "text",
    "recommendation": "text",
    "score": "smallint",
    "suggestion": "text",
    "checked_at": "timestamptz",
}
_WITHOUT_COLUMNS = f"alter table contacts {', '.join(f'drop column if exists mailvet_{name}' for name in _KINDS)}"
_WITH_COLUMNS = f"alter table contacts {', '.join(f'add mailvet_{name} {kind}' for name, kind in _KINDS.items())}"
_BY_HAND = {
    "bare": f"update contacts c set {', '.join(f'mailvet_{name} = v.{name}' for name in _KINDS)} from mailvet_verdicts "
    "v where v.email_key = encode(sha256(convert_to(c.email, 'UTF8')), 'hex')",
    "constant": "update contacts set mailvet_status = 'deliverable', mailvet_reason = 'mailbox_accepted', "
    "mailvet_recommendation = 'send', mailvet_score = 97, mailvet_checked_at = now()",
}


def _copy(database: psycopg.Connection[Any], rows: Any) -> None:
    from mailvet.warehouse.backends.postgres import binary_copy

    with database.cursor() as cursor, cursor.copy("copy plain from stdin (format binary)") as copy:
        for block in binary_copy(rows):
            copy.write(block)


def _peer(url: str, verdicts: Any) -> dict[str, float]:
    """Rows a second of SQLAlchemy's INSERT of many rows, and of its UPDATE by key, each in one transaction."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    kinds: dict[str, Any] = {
        "score": sa.SmallInteger,
        "smtp_code": sa.SmallInteger,
        "attempts": sa.Integer,
        "checked_at": sa.DateTime(timezone=True),
        "next_check_at": sa.DateTime(timezone=True),
    }
    table = sa.Table(
        "peer_verdicts",
        sa.MetaData(),
        *(sa.Column(name, kinds.get(name, sa.Text), primary_key=name == "email_key") for name in verdicts.schema.names),
    )
    records = verdicts.to_pylist()
    table.create(engine)
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(sa.insert(table), records)
    inserted = time.perf_counter() - began
    update = (
        sa.update(table)
        .where(table.c.email_key == sa.bindparam("wanted"))
        .values(status=sa.bindparam("new_status"), reason=sa.bindparam("new_reason"))
    )
    answers = [{"wanted": r["email_key"], "new_status": "risky", "new_reason": r["reason"]} for r in records]
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(update, answers)
    updated = time.perf_counter() - began
    engine.dispose()
    return {"insert": len(records) / inserted, "update": len(records) / updated}
