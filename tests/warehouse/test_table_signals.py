"""The same signals in memory, one by one, and as queries on DuckDB and PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.signals import columns as signals
from mailvet.signals import scalar as signals_scalar
from mailvet.signals.keyboard import walk_runs
from mailvet.syntax.missing import is_missing
from mailvet.verdict import email_key
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.dialects import Dialect, DuckDB, Postgres
from mailvet.warehouse.table_signals import burst_sql, duplicates_sql, series_sql
from tests.postgresql import PostgresServer

START = datetime(2025, 6, 1)
Query = Callable[[str], list[tuple[Any, ...]]]


def contacts(count: int, seed: int = 13) -> list[tuple[str, datetime | None]]:
    """A table with series, bursts, free providers, tags, dots, odd spellings, texts without @ and missing times."""
    choice = random.Random(seed)
    rows: list[tuple[str, datetime | None]] = [(f"till{number}@c7.com", None) for number in range(1, 30, 2)]
    for row in range(count):
        domain = choice.choice(
            ("gmail.com", "googlemail.com", "gmx.de", "isp.example", f"c{choice.randrange(400)}.com")
        )
        stem = choice.choice(("ann", "user", "test.", "m", "", "bot-", "Info", "+a", "o'", "a.b"))
        tail = choice.choice(("", "", "", "+tag7", "x", ".a"))
        year = str(choice.randrange(1900, 2100))
        number = choice.choice(("", str(choice.randrange(60)), f"{choice.randrange(300):03}", year))
        when = START + timedelta(seconds=choice.randrange(200 * 86_400))
        if choice.random() < 0.1:
            domain = f"c{choice.randrange(40)}.com"
            when = START + timedelta(days=int(domain[1:-4]), minutes=choice.randrange(50))
        address = f"{stem}{number}{tail}@{domain}" if (stem + number) else f"p{row}@{domain}"
        address = choice.choice((address, address, address, f" {address}", address.upper()))
        odd = choice.choice(("", "no address", "@", "user1@", f"@c{choice.randrange(400)}.com"))
        rows.append((odd if choice.random() < 0.01 else address, None if choice.random() < 0.01 else when))
    return rows


ROWS = contacts(12_000)
TEXTS = list(dict.fromkeys(text for text, _ in ROWS))
CELLS = [(text, email_key(text), text.strip().lower()) for text in TEXTS]


@pytest.fixture(scope="module")
def in_memory() -> dict[str, signals_scalar.TableSignals]:
    """What `examine` says, by text."""
    keys = pl.Series([key for _, key, _ in CELLS])
    found = signals.examine_table(pl.Series(TEXTS), keys)
    folded = pl.DataFrame({"folded": [text.strip().lower() for text, _ in ROWS]})
    parts = pl.col("folded").str.extract_groups("^(.+)@([^@]+)$")
    split = folded.select(local=parts.struct[0], domain=parts.struct[1])
    burst = signals.examine(split, signed_up=pl.Series([when for _, when in ROWS]))["burst"]
    hit = {text for (text, _), in_burst in zip(ROWS, burst, strict=True) if in_burst}
    # The table has enough of everything for a comparison to mean something.
    assert 200 < (found["series_size"] > 0).sum() < 11_000
    assert 200 < found["duplicate_of"].is_not_null().sum() < 11_000
    assert 200 < len(hit) < 10_000
    return {
        text: signals_scalar.TableSignals(size, first, text in hit)
        for text, (size, first) in zip(TEXTS, found.iter_rows(), strict=True)
    }


@pytest.fixture(scope="module")
def on_duckdb() -> Iterator[Query]:
    with duckdb.connect() as db:
        cells = pl.DataFrame(CELLS, schema=["email", "email_key", "folded"], orient="row")
        rows = pl.DataFrame(
            [(text, text.strip().lower(), when) for text, when in ROWS],
            schema=["cell", "folded", "signed_up"],
            orient="row",
            infer_schema_length=None,
        )
        db.register("frame", cells.to_arrow())
        db.register("rows_frame", rows.to_arrow())
        db.execute("create table cells as select * from frame")
        db.execute("create table signups as select * from rows_frame")
        yield lambda query: list(db.execute(query).fetchall())


@pytest.fixture(scope="module")
def on_postgres(postgres_server: PostgresServer) -> Iterator[Query]:
    with psycopg.connect(postgres_server.new_database("suspicion")) as db:
        db.execute("create table cells (email text, email_key text, folded text)")
        db.execute("create table signups (cell text, folded text, signed_up timestamp)")
        with db.cursor() as cursor:
            with cursor.copy("copy cells from stdin") as copy:
                for cell in CELLS:
                    copy.write_row(cell)
            with cursor.copy("copy signups from stdin") as copy:
                for text, when in ROWS:
                    copy.write_row((text, text.strip().lower(), when))
        db.execute("set enable_nestloop = off")  # as the module advises
        yield lambda query: list(db.execute(query.encode()).fetchall())


@pytest.fixture(params=["duckdb", "postgres", "generic"])
def database(request: pytest.FixtureRequest) -> tuple[Query, Dialect]:
    """A database with the tables, and its dialect; the generic one is run where standard SQL is understood."""
    names = {
        "duckdb": ("on_duckdb", DuckDB()),
        "postgres": ("on_postgres", Postgres()),
        "generic": ("on_postgres", Dialect()),
    }
    fixture, dialect = names[request.param]
    return request.getfixturevalue(fixture), dialect


Signals = dict[str, signals_scalar.TableSignals]


def test_queries_find_the_same_series(database: tuple[Query, Dialect], in_memory: Signals) -> None:
    ask, dialect = database
    expected = {email_key(text): found.series_size for text, found in in_memory.items() if found.series_size}
    assert dict(ask(series_sql("cells", dialect))) == expected


def test_queries_find_the_same_duplicates(database: tuple[Query, Dialect], in_memory: Signals) -> None:
    ask, dialect = database
    expected = {email_key(text): found.duplicate_of for text, found in in_memory.items() if found.duplicate_of}
    assert dict(ask(duplicates_sql("cells", dialect))) == expected


def test_queries_find_the_same_bursts(database: tuple[Query, Dialect], in_memory: Signals) -> None:
    ask, dialect = database
    expected = sorted(text for text, found in in_memory.items() if found.burst)
    assert sorted(text for (text,) in ask(burst_sql("signups", dialect))) == expected


def test_what_is_not_due_is_not_looked_for(database: tuple[Query, Dialect], in_memory: Signals) -> None:
    ask, dialect = database
    due = "(select folded from cells where folded like '%@c7.com')"
    series = {key for key, _ in ask(series_sql("cells", dialect, due=due))}
    at_domain = {text: found for text, found in in_memory.items() if text.strip().lower().endswith("@c7.com")}
    assert series == {email_key(text) for text, found in at_domain.items() if found.series_size}
    bursts = {text for (text,) in ask(burst_sql("signups", dialect, due=due))}
    assert bursts == {text for text, found in at_domain.items() if found.burst}
    assert series
    assert bursts


def test_who_is_a_free_provider_can_be_said(database: tuple[Query, Dialect]) -> None:
    ask, dialect = database
    domain_of = dict((key, folded.rpartition("@")[2]) for _, key, folded in CELLS)

    def found(free: str) -> set[str]:
        return {domain_of[key] for key, _ in ask(series_sql("cells", dialect, free=free))}

    assert "c7.com" in found("('gmail.com')")
    assert "c7.com" not in found("(select 'c7.com' union select folded from cells where 1 = 0)")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_times_with_a_zone_and_dates_are_counted_alike(on_duckdb: Query, zone: str) -> None:
    on_duckdb(f"set TimeZone = '{zone}'")
    plain = on_duckdb(burst_sql("signups", DuckDB()))
    zoned = "(select cell, folded, signed_up at time zone 'UTC' as signed_up from signups)"
    assert sorted(on_duckdb(burst_sql(zoned, DuckDB()))) == sorted(plain)
    dates = "(select cell, folded, signed_up::date as signed_up from signups)"
    assert on_duckdb(f"select count(*) from ({burst_sql(dates, DuckDB())})")[0][0] > 0


# -------------------------------------------------------------------- a few addresses without tables

_CELL = st.builds(
    "{}{}{}@{}".format,
    st.sampled_from(["user", "U", "", "a.b", "+x", "é"]),
    st.integers(0, 30),
    st.sampled_from(["", "+t", ".c", " "]),
    st.sampled_from(["acme.com", "gmail.com", "googlemail.com", "x@y.com", ""]),
)


@settings(max_examples=60)
@given(cells=st.lists(st.one_of(_CELL, st.text(max_size=8)), max_size=40, unique=True))
def test_a_few_cells_show_the_same_without_tables(cells: list[str]) -> None:
    clean = list(dict.fromkeys(cell.encode("utf-8", "replace").decode() for cell in cells))
    table = signals.examine_table(
        pl.Series(clean, dtype=pl.String), pl.Series([email_key(cell) for cell in clean], dtype=pl.String)
    )
    alone = signals_scalar.examine_table(clean)
    found = [alone.get(cell, signals_scalar.NOTHING) for cell in clean]
    assert table["series_size"].to_list() == [one.series_size for one in found]
    assert table["duplicate_of"].to_list() == [one.duplicate_of for one in found]


def test_many_cells_show_the_same_without_tables(in_memory: Signals) -> None:
    alone = signals_scalar.examine_table(TEXTS)
    for text, found in in_memory.items():
        one = alone.get(text, signals_scalar.NOTHING)
        assert (one.series_size, one.duplicate_of) == (found.series_size, found.duplicate_of), text


def test_a_table_of_duckdbs_shows_what_the_table_in_memory_does(in_memory: Signals, tmp_path: Path) -> None:
    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as db:
        rows = pl.DataFrame(ROWS, schema=["email", "signed_up"], orient="row", infer_schema_length=None).to_arrow()
        db.register("frame", rows)
        db.execute("create table contacts as select * from frame")
    warehouse = DuckDBWarehouse.of_table(path, "contacts", "email")
    try:
        warehouse.plan(depth_rank=0, now=START.replace(tzinfo=timezone.utc), rules_version="1", listed={})
        warehouse.find_signals(signed_up="signed_up", burst_window=timedelta(hours=1))
        batches = [batch.to_pylist() for batch in warehouse.due(5_000)]
    finally:
        warehouse.close()
    found = {
        row["email"]: signals_scalar.TableSignals(row["series_size"], row["duplicate_of"], row["burst"])
        for batch in batches
        for row in batch
    }
    assert found == {text: signals for text, signals in in_memory.items() if not is_missing(text)}


def test_local_parts_look_the_same_without_tables() -> None:
    choice = random.Random(3)
    keys = "qwertzuiopasdfghjklyxcvbnm1234567890aaaa...-_"
    runs = walk_runs()
    pieces = [*sorted(runs.some | runs.long | runs.digits), "1", "a", "ab", "."]
    texts = ["".join(choice.choices(keys, k=choice.randint(1, 20))) for _ in range(5_000)]
    texts += ["".join(choice.choices(pieces, k=choice.randint(1, 5))) for _ in range(5_000)]
    texts += ["a" * 60 + "b", "0" * 60 + "a", "äöäöäö", "", ".", "ann.lee"]
    columns = signals.examine_addresses(pl.Series("base", texts))
    assert columns["gibberish"].to_list() == [signals_scalar.is_gibberish(text) for text in texts]
    assert columns["keyboard_walk"].to_list() == [signals_scalar.is_keyboard_walk(text) for text in texts]
    assert 1_000 < columns["gibberish"].sum() < 9_000
    assert 1_000 < columns["keyboard_walk"].sum() < 9_000
