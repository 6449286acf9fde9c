"""The macro `mailvet.is_missing` says of every cell what the core says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

from tests.dbt.compile_as import DISPATCH
from tests.dbt.conftest import PACKAGE
from tests.syntax.test_missing import CELLS

if TYPE_CHECKING:
    from tests.postgresql import PostgresServer

_ADAPTERS = {**DISPATCH, "duckdb": ("duckdb", "default"), "postgres": ("postgres", "default")}


class _Macros:
    """The package's macros as dbt finds them for one adapter: by prefix, with `return` ending in a value."""

    def __init__(self, adapter: str) -> None:
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(extensions=["jinja2.ext.do"])
        self._adapter = adapter
        self._returned: Any = None
        context = {"mailvet": self, "adapter": self, "return": self._return}
        sources = [
            "generated/syntax.sql",
            "helpers/text.sql",
            "helpers/types.sql",
            "keys/email_key.sql",
            "keys/is_missing.sql",
        ]
        text = "\n".join((PACKAGE / "macros" / source).read_text("utf-8") for source in sources)
        self._module: Any = environment.from_string(text).make_module(context)

    def _return(self, value: Any) -> str:
        self._returned = value
        return ""

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self._returned = None
            text = str(getattr(self._module, name)(*arguments, **named))
            returned, self._returned = self._returned, None
            return text if returned is None else returned

        return call

    def dispatch(self, name: str, package: str) -> Any:
        prefixes = _ADAPTERS[self._adapter]
        return next(getattr(self, f"{p}__{name}") for p in prefixes if hasattr(self._module, f"{p}__{name}"))


def _query(adapter: str) -> str:
    return f"select id, {_Macros(adapter).is_missing('cell')} from cells"


def _numbered() -> list[tuple[int, str | None]]:
    return [(number, cell) for number, (cell, _) in enumerate(CELLS)]


def test_on_duckdb() -> None:
    with duckdb.connect() as db:
        db.execute("create table cells (id integer, cell varchar)")
        db.executemany("insert into cells values (?, ?)", _numbered())
        assert dict(db.execute(_query("duckdb")).fetchall()) == {n: missing for n, (_, missing) in enumerate(CELLS)}


def test_on_postgresql(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.new_database("missing_dbt")) as connection, connection.cursor() as cursor:
        cursor.execute("create table cells (id integer, cell text)")
        cursor.executemany("insert into cells values (%s, %s)", _numbered())
        cursor.execute(_query("postgres"))
        assert dict(cursor.fetchall()) == {n: missing for n, (_, missing) in enumerate(CELLS)}


def test_on_spark(spark: Any) -> None:
    spark.createDataFrame(_numbered(), "id int, cell string").createOrReplaceTempView("cells")
    found = dict(tuple(row) for row in spark.sql(_query("spark")).collect())
    assert found == {n: missing for n, (_, missing) in enumerate(CELLS)}


@pytest.mark.parametrize("adapter", sorted(DISPATCH))
def test_in_every_dialect(adapter: str) -> None:
    import sqlglot

    (parsed,) = sqlglot.parse(_query(adapter), read=adapter)
    assert parsed is not None
