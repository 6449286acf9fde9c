"""The databases that the contract of a warehouse is held to, each a real one with a table `contacts` of its own."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from mailvet.warehouse.dialects import Snowflake
from mailvet.warehouse.opening import open_table
from mailvet.warehouse.store import Warehouse
from tests.mariadb import MariaDBServer

__all__ = ["DuckDBPlace", "MariaDBPlace", "Place", "PostgresPlace", "SQLitePlace"]


class Place(ABC):
    """One database, seen from outside by a connection of its own."""

    name: str
    database: Any
    """What `open_table` and the command line take."""
    text = "varchar(300)"
    time = "timestamp"
    any_width = False
    """Whether a varchar(5) takes any text."""

    def __init__(self) -> None:
        self._opened: list[Warehouse] = []

    @abstractmethod
    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, or for each of `rows` one with `?` in it; its result."""

    def contacts(self, *cells: str | None) -> None:
        """Make the table contacts(id, email, country) with these cells."""
        self.sql(f"create table contacts (id integer, email {self.text}, country varchar(2))")
        self.sql(
            "insert into contacts values (?, ?, ?)",
            [(number, cell, "DE" if number % 2 else "FR") for number, cell in enumerate(cells, 1)],
        )

    def opened(self, table: str = "contacts", column: str | None = None, **options: Any) -> Warehouse:
        """The table as a warehouse; closed at the end of the test at the latest."""
        warehouse = open_table(self.database, table, column, **options)
        self._opened.append(warehouse)
        return warehouse

    def columns(self, table: str = "contacts") -> list[str]:
        """Names of a table's columns."""
        return [
            str(row[0]).lower()
            for row in self.sql(
                f"select column_name from information_schema.columns where table_name = '{table}' "
                f"and table_schema = '{self.schema}' order by ordinal_position"
            )
        ]

    def tables(self) -> set[str]:
        """Tables that are there for good, by their names."""
        found = self.sql(f"select table_name from information_schema.tables where table_schema = '{self.schema}'")
        return {str(row[0]).lower() for row in found}

    schema = "public"

    def close_warehouses(self) -> None:
        """Close what was opened."""
        for warehouse in self._opened:
            warehouse.close()
        self._opened.clear()

    def close(self) -> None:
        """Close everything."""
        self.close_warehouses()


class DuckDBPlace(Place):
    """A file of DuckDB's."""

    name, schema, any_width = "duckdb", "main", True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.database = str(path)

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.database) as db:
            if rows is not None:
                db.executemany(statement, list(rows))
                return []
            return list(db.execute(statement).fetchall())


class PostgresPlace(Place):
    """A database of PostgreSQL's."""

    name, text = "postgresql", "text"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.database = url
        self._db = psycopg.connect(url, autocommit=True)
        self._db.execute("drop schema public cascade; create schema public")

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        if rows is not None:
            self._db.cursor().executemany(statement.replace("?", "%s"), rows)
            return []
        cursor = self._db.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        super().close()
        self._db.close()


class MariaDBPlace(Place):
    """A database of MariaDB's."""

    name, schema, time = "mariadb", "contract", "datetime"

    def __init__(self, server: MariaDBServer) -> None:
        super().__init__()
        self.database = server.new_database(self.schema)
        self._db = server.connect(self.schema)

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        with self._db.cursor() as cursor:
            if rows is not None:
                cursor.executemany(statement.replace("?", "%s"), rows)
                return []
            cursor.execute(statement)
            return list(cursor.fetchall())

    def close(self) -> None:
        super().close()
        self._db.close()


class SQLitePlace(Place):
    """A file of SQLite's."""

    name, any_width = "sqlite", True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.database = f"sqlite:///{path}"
        self._db = sqlite3.connect(path, timeout=5)

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        with self._db:
            if rows is not None:
                self._db.executemany(statement, rows)
                return []
            return [tuple(row) for row in self._db.execute(statement)]

    def columns(self, table: str = "contacts") -> list[str]:
        return [str(row[1]).lower() for row in self.sql(f"pragma table_info({table})")]

    def tables(self) -> set[str]:
        return {str(row[0]).lower() for row in self.sql("select name from sqlite_master where type = 'table'")}

    def close(self) -> None:
        super().close()
        self._db.close()


class SnowflakePlace(Place):
    """A stand-in for Snowflake: its dialect, driver and SQL over DuckDB (the package fakesnow)."""

    name, schema = "snowflake", "PUBLIC"

    def __init__(self) -> None:
        fakesnow: Any = import_module("fakesnow")
        import sqlalchemy as sa

        super().__init__()
        self._patch = fakesnow.patch()
        self._patch.__enter__()
        Snowflake.session = ()  # it knows no time zones
        self._engine = sa.create_engine("snowflake://user:password@account/crm/public")
        self.database = self._engine
        self._db = self._engine.connect()

    def sql(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> list[tuple[Any, ...]]:
        with self._db.begin():
            given: Sequence[Sequence[Any]] = rows if rows is not None else [()]
            for record in given:
                values = iter(
                    "null"
                    if v is None
                    else repr(v)
                    if isinstance(v, int)
                    else "'" + str(v).replace("\\", "\\\\").replace("'", "''") + "'"
                    for v in record
                )
                text = "".join(next(values) if c == "?" else c for c in statement) if record else statement
                done = self._db.exec_driver_sql(text, execution_options={"no_parameters": True})
            return [tuple(found) for found in done] if rows is None and done.returns_rows else []

    def columns(self, table: str = "contacts") -> list[str]:
        return [str(row[0]).lower() for row in self.sql(f"describe table {table}")]

    def close(self) -> None:
        super().close()
        self._db.close()
        self._engine.dispose()
        self._patch.__exit__(None, None, None)
