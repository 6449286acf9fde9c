"""A schema of a database to make tables in: statements of the test's own, tables opened as a run opens them."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mailvet.errors import SourceError
from mailvet.warehouse.dialects import Dialect, DuckDB, dialect_of
from mailvet.warehouse.events import EventStore
from mailvet.warehouse.opening import Database, duckdb_path, is_url, open_store, open_table
from mailvet.warehouse.schemas import engine_in
from mailvet.warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy.engine import Engine

    from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyDriver

__all__ = ["PREFIX", "DuckDBPlace", "EnginePlace", "Place", "place_of"]

PREFIX = "mailvet"
"""What every table that the test makes begins with, mailvet's own among them."""

_ROWS_A_STATEMENT = 200


class Place(ABC):
    """One schema, seen by a connection of the test's own.

    Attributes:
        backend: the dialect's name, for people and for the result.
        say: the dialect.
        schema: its name.
    """

    backend: str
    say: Dialect
    schema: str

    def __init__(self) -> None:
        self._opened: list[Warehouse | EventStore] = []

    # ---------------------------------------------------------------- statements

    @abstractmethod
    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""

    @abstractmethod
    def tables(self) -> Mapping[str, bool]:
        """The tables and views of the schema -> whether it is a view."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """A name in a statement."""

    def make(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        """Make a table.

        Args:
            table: its name as it is.
            columns: names as they are -> types by the names of `Dialect.types`.
            rows: texts, whole numbers, times (aware, UTC) and nulls.
        """
        say = self.say
        kinds = ", ".join(f"{self.quote(name)} {say.types[kind]}" for name, kind in columns.items())
        self.sql(f"create table {self.quote(table)} ({kinds}){say.table_options}")
        self.add(table, rows)

    def add(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows to a table of `make`."""
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            values = ", ".join(
                f"({', '.join(self._written(value) for value in row)})"
                for row in rows[start : start + _ROWS_A_STATEMENT]
            )
            self.sql(f"insert into {self.quote(table)} values {values}")

    def _written(self, value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, datetime):
            return self.say.moment(value)
        return self.say.literal(value) if isinstance(value, str) else str(value)

    # ---------------------------------------------------------------- as a run sees it

    def open(self, table: str, column: str | None = None, **options: Any) -> Warehouse:
        """The table as a warehouse, on a connection of its own where the database has several."""
        warehouse = open_table(self._database(), table, column, **options)
        self._opened.append(warehouse)
        return warehouse

    def events(self) -> EventStore:
        """Where events are kept."""
        store: Any = open_store(self._database(), read_only=False)
        self._opened.append(store)
        return cast("EventStore", store)

    @abstractmethod
    def _database(self) -> Database:
        """What `open_table` takes."""

    def close_opened(self) -> None:
        """Close what `open` and `events` gave."""
        while self._opened:
            with contextlib.suppress(Exception):  # also one whose connection is gone
                self._opened.pop().close()

    # ---------------------------------------------------------------- about the database

    def server_version(self) -> str | None:
        """What the server says of itself; None where it does not tell."""
        if self.say.version_query is None:
            return None
        try:
            return str(self.sql(self.say.version_query)[0][0])
        except Exception:  # a version that cannot be read is no reason to fail
            return None

    def cost(self, since: datetime) -> tuple[int, float | None] | None:
        """Bytes that statements have read since then, and credits where there are such; None if it does not tell."""
        if self.say.cost_query is None:
            return None
        query = self.say.cost_query.format(since=self.say.moment(since), location=self._location())
        read, credits = self.sql(query)[0]
        return int(read or 0), None if credits is None else float(credits)

    def _location(self) -> str:
        return "us"

    def known_words(self) -> Sequence[str]:
        """Names of the user's that must not leave this machine: database, host, user, schema."""
        return [self.schema]

    # ---------------------------------------------------------------- the end

    def clean(self, before: Mapping[str, bool]) -> Sequence[str]:
        """Drop what the test has made: tables of its names that were not there before. Those that are left."""
        self.close_opened()
        for name, is_view in sorted(self._made(before).items(), key=lambda item: not item[1]):
            with contextlib.suppress(Exception):  # the look that follows tells
                self.sql(f"drop {'view' if is_view else 'table'} {self.quote(name)}")
        return sorted(self._made(before))

    def _made(self, before: Mapping[str, bool]) -> dict[str, bool]:
        return {
            name: is_view
            for name, is_view in self.tables().items()
            if name not in before and name.lower().startswith(PREFIX)
        }

    @abstractmethod
    def close(self) -> None:
        """Drop the schema if it was made for the test, and close the connections."""


class DuckDBPlace(Place):
    """A schema of a DuckDB file.

    Args:
        path: of the file, which has to be there.
        schema: made for the test where it is not there.
    """

    backend, say = "duckdb", DuckDB()

    def __init__(self, path: Path, schema: str) -> None:
        from mailvet.warehouse.backends.duckdb.connection import open_database

        super().__init__()
        if not path.exists():
            raise SourceError(f"There is no database {path}. Check the path.")
        self.schema, self._path = schema, path
        self._db: duckdb.DuckDBPyConnection = open_database(path)
        try:
            there = self._db.execute(
                "select 1 from duckdb_schemas() where schema_name = ? and database_name = current_database()", [schema]
            ).fetchall()
            self._made_schema = not there
            if self._made_schema:
                self.sql(f"create schema {self.quote(schema)}")
            self._before = self.sql("select current_schema()")[0][0]
            self.sql(f"set schema = {self.say.literal(self.quote(schema))}")
        except BaseException:
            self._db.close()
            raise

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """See `Place.sql`."""
        return list(self._db.execute(statement).fetchall())

    def tables(self) -> Mapping[str, bool]:
        """See `Place.tables`."""
        rows = self._db.execute(
            "select table_name, table_type = 'VIEW' from information_schema.tables where table_schema = ? "
            "and table_catalog = current_database()",
            [self.schema],
        ).fetchall()
        return {str(name): bool(is_view) for name, is_view in rows}

    def quote(self, name: str) -> str:
        """See `Place.quote`."""
        return self.say.quote(name)

    def _database(self) -> Database:
        return self._db

    def known_words(self) -> Sequence[str]:
        """See `Place.known_words`."""
        return [self.schema, *self._path.resolve().parts, self._path.stem]

    def close(self) -> None:
        """See `Place.close`."""
        try:
            if self._made_schema:
                self.sql(f"set schema = {self.say.literal(self.quote(self._before))}")
                self.sql(f"drop schema {self.quote(self.schema)}")
        finally:
            self._db.close()


class EnginePlace(Place):
    """A schema of a database that SQLAlchemy reaches.

    Args:
        engine: of the database, in whose connections names without a schema are of this schema; disposed of at the
            end.
        schema: its name.
        drop: what drops the schema at the end, where it was made for the test.
    """

    def __init__(self, engine: Engine, schema: str, drop: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.schema, self._engine, self._drop = schema, engine, drop
        self._driver: SQLAlchemyDriver | None = None
        self.backend = str(engine.dialect.name)
        self.say = dialect_of(self.backend)

    @property
    def driver(self) -> SQLAlchemyDriver:
        """The test's own connection."""
        from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyDriver

        if self._driver is None:
            self._driver = SQLAlchemyDriver(self._engine, owned=False)
            self.say = self._driver.say
            self.backend = self.say.name
        return self._driver

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """See `Place.sql`."""
        return self.driver.run(statement)

    def tables(self) -> Mapping[str, bool]:
        """See `Place.tables`."""
        return self.driver.tables_of(self.schema)

    def quote(self, name: str) -> str:
        """See `Place.quote`."""
        return self.driver.quote(name)

    def _database(self) -> Database:
        return self._engine

    def _location(self) -> str:
        return str(getattr(self._engine.dialect, "location", None) or "us").lower()

    def known_words(self) -> Sequence[str]:
        """See `Place.known_words`."""
        url = self._engine.url
        parts = [url.username, url.password, url.host, url.database, *map(str, url.query.values()), self.schema]
        return [str(part) for part in parts if part]

    def close(self) -> None:
        """See `Place.close`."""
        try:
            if self._driver is not None:
                self._driver.close(())
        finally:
            self._engine.dispose()
            if self._drop is not None:
                self._drop()


@contextlib.contextmanager
def place_of(source: str, schema: str) -> Iterator[Place]:
    """The schema of a SOURCE, as the command line takes it; made where it is not there, and then dropped at the end.

    Args:
        source: the path of a DuckDB database, or a database URL.
        schema: its name.

    Raises:
        SourceError: a file of rows, no connection, or a schema that cannot be used; SettingsError: as `open_table`.
    """
    if is_url(source) and not source.lower().startswith("duckdb:"):
        engine, drop = engine_in(source, schema)
        place: Place = EnginePlace(engine, schema, drop)
    else:
        from mailvet.warehouse.files import format_of

        path = duckdb_path(source)
        if format_of(path) is not None:
            raise SourceError(
                f"{path.name} is a file of rows, and a write test is of a database: give a DuckDB database or a URL."
            )
        place = DuckDBPlace(path, schema)
    try:
        yield place
    finally:
        place.close()
