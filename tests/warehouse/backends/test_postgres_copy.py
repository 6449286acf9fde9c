"""Verdicts that go into PostgreSQL by binary COPY."""

from __future__ import annotations

import struct
from datetime import datetime, timezone

import psycopg
import pyarrow as pa

from mailvet.warehouse.backends.postgres.binary_copy import binary_copy
from tests.warehouse.answers import answers, plan_of
from tests.warehouse.places import PostgresPlace


def test_binary_copy_writes_what_the_manual_says() -> None:
    table = pa.table({"t": pa.array(["é", None, ""]), "n": pa.array([1, None, -2], pa.int16())})
    data = b"".join(binary_copy(table))
    assert data[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    assert data[19:] == (
        struct.pack(">hi2sih", 2, 2, "é".encode(), 2, 1)
        + struct.pack(">hii", 2, -1, -1)
        + struct.pack(">hiih", 2, 0, 2, -2)
        + struct.pack(">h", -1)
    )


def test_binary_copy_of_a_slice_is_the_slice(postgres: PostgresPlace) -> None:
    moment = datetime(1987, 6, 5, 4, 3, 2, 1, tzinfo=timezone.utc)
    rows = [
        {"a": f"n{n}" if n % 3 else None, "b": n * 1000, "c": n / 7 if n % 5 else None, "d": moment}
        for n in range(-50, 50)
    ]
    schema = pa.schema([("a", pa.string()), ("b", pa.int64()), ("c", pa.float64()), ("d", pa.timestamp("us", "UTC"))])
    table = pa.concat_tables([pa.Table.from_pylist(rows, schema)] * 2).slice(70, 100)
    postgres.sql("create table t (a text, b bigint, c double precision, d timestamptz)")
    with (
        psycopg.connect(postgres.database) as db,
        db.cursor() as cursor,
        cursor.copy("copy t from stdin (format binary)") as copy,
    ):
        for block in binary_copy(table):
            copy.write(block)
    expected = [tuple(row.values()) for row in table.to_pylist()]
    assert postgres.sql("select * from t") == expected


def test_an_address_that_was_new_when_planned_is_saved_whoever_was_quicker(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "bob@a.test", "cid@a.test")
    first, second = postgres.opened(), postgres.opened()
    for warehouse in (first, second):
        assert plan_of(warehouse).due == 3
        warehouse.open_for_writing()
    first.save(answers({"ann@a.test": "mailbox_accepted"}))
    second.save(answers({"ann@a.test": "mailbox_full", "bob@a.test": "mailbox_accepted"}))
    second.save(answers({"bob@a.test": "greylisted", "cid@a.test": "greylisted"}))
    assert postgres.sql("select email, reason from mailvet_verdicts order by 1") == [
        ("ann@a.test", "mailbox_full"),
        ("bob@a.test", "mailbox_accepted"),
        ("cid@a.test", "greylisted"),
    ]
