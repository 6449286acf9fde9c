"""One rule says which cells are missing: in Python, Polars, every database, Spark and dbt."""

from __future__ import annotations

import sqlite3
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import psycopg
import pytest
import sqlglot

from mailvet.syntax.missing import BLANK, WHITE_SPACE, ZERO_WIDTH, is_missing, missing_expression
from mailvet.warehouse.dialects import DIALECTS, missing_sql

if TYPE_CHECKING:
    from tests.mariadb import MariaDBServer
    from tests.postgresql import PostgresServer

MISSING: tuple[str | None, ...] = (
    *(None, "", " ", "   ", "\r\n", "\x1c\x1f", "\u2028\u2029", "\u200c\u200d", " \xad\u200b\xa0", BLANK),
    *BLANK,
)
PRESENT = (
    *(
        "a",
        " a ",
        "\u200ba",
        "a\ufeff",
        "n/a",
        "-",
        ".",
        "0",
        "~",
        "~a",
        "!",
        "@",
        "'",
        '"',
        "\\",
        "[",
        "]",
        "^",
        "_",
        "%",
        "|",
    ),
    *("u200b", "xAD", "null", "\u00e4", "\u0301", "\u200b\u0301", "\U0001f600", "\u4e2d", "\u3002", "\ufffd"),
    *("\u200b\n.\n", "ann@example.com"),
)
CELLS = [*((cell, True) for cell in MISSING), *((cell, False) for cell in PRESENT)]


def test_every_character_of_the_rule_shows_nothing() -> None:
    assert len(set(BLANK)) == len(BLANK)
    for character in BLANK:
        about = unicodedata.category(character), f"{ord(character):04X}"
        # Separators, format characters and the controls that are white space; what else is blank is named.
        assert about[0] in ("Zs", "Zl", "Zp", "Cf") or about[1] in {
            *(f"{ord(c):04X}" for c in "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85"),
            *("034F", "115F", "1160", "17B4", "17B5", "180B", "180C", "180D", "180F", "2065", "2800", "3164", "FFA0"),
            *(f"{code:04X}" for code in (*range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9))),
        }, about


def test_no_format_character_or_white_space_is_forgotten() -> None:
    shown = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")  # signs of Arabic and Syriac
    for character in map(chr, range(0x10000)):
        if character.isspace() or (unicodedata.category(character) == "Cf" and character not in shown):
            assert character in BLANK, f"{ord(character):04X}"
    assert set(WHITE_SPACE).isdisjoint(ZERO_WIDTH)


@pytest.mark.parametrize(("cell", "missing"), CELLS)
def test_a_cell_of_white_space_and_zero_width_characters_is_missing(cell: str | None, missing: bool) -> None:
    assert is_missing(cell) is missing


def test_polars_says_the_same() -> None:
    frame = pl.DataFrame({"cell": [cell for cell, _ in CELLS]}, schema={"cell": pl.String})
    assert frame.select(missing_expression(pl.col("cell")))["cell"].to_list() == [missing for _, missing in CELLS]


def test_duckdb_says_the_same() -> None:
    with duckdb.connect() as db:
        db.execute("create table cells (id integer, cell varchar)")
        db.executemany("insert into cells values (?, ?)", _numbered())
        assert _wrong(db.execute(_query("duckdb")).fetchall()) == []


def test_postgresql_says_the_same(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.new_database("missing")) as connection, connection.cursor() as cursor:
        cursor.execute("create table cells (id integer, cell text)")
        cursor.executemany("insert into cells values (%s, %s)", _numbered())
        assert _wrong(cursor.execute(_query("postgresql")).fetchall()) == []


def test_sqlite_says_the_same(tmp_path: Path) -> None:
    import sqlalchemy as sa

    from mailvet.warehouse.backends.sqlite_functions import register_functions

    path = tmp_path / "cells.db"
    with sqlite3.connect(path) as db:
        db.execute("create table cells (id integer, cell text)")
        db.executemany("insert into cells values (?, ?)", _numbered())
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        register_functions(connection)
        assert _wrong([tuple(row) for row in connection.exec_driver_sql(_query("sqlite"))]) == []
    engine.dispose()


def test_mariadb_says_the_same(mariadb_server: MariaDBServer) -> None:
    mariadb_server.new_database("missing")
    with mariadb_server.connect("missing") as connection, connection.cursor() as cursor:
        cursor.execute("create table cells (id integer, cell text)")  # of a collation that ignores what is zero-width
        cursor.executemany("insert into cells values (%s, %s)", _numbered())
        cursor.execute(_query("mariadb"))
        assert _wrong(cursor.fetchall()) == []


def test_spark_says_the_same(spark: Any) -> None:
    spark.createDataFrame(_numbered(), "id int, cell string").createOrReplaceTempView("cells")
    assert _wrong([tuple(row) for row in spark.sql(_query("spark")).collect()]) == []


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_dialect_has_the_condition(name: str) -> None:
    parser = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"}.get(name, name)
    (parsed,) = sqlglot.parse(f"select 1 from cells where {missing_sql('cell', name)}", read=parser)
    assert parsed is not None


def _numbered() -> list[tuple[int, str | None]]:
    return [(number, cell) for number, (cell, _) in enumerate(CELLS)]


def _query(dialect: str) -> str:
    return f"select id, case when {missing_sql('cell', dialect)} then 1 else 0 end from cells"


def _wrong(rows: Any) -> list[str | None]:
    found = dict(rows)
    assert len(found) == len(CELLS)
    return [cell for number, (cell, missing) in enumerate(CELLS) if bool(found[number]) is not missing]
