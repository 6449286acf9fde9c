"""From a database, however it is named, to the warehouse that serves it.

The one door for the command line and for every plug-in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast
from urllib.parse import unquote, urlsplit

from mailvet.errors import SettingsError, SourceError
from mailvet.policies import AnyPolicy
from mailvet.settings import History
from mailvet.vocabulary import Policy
from mailvet.warehouse.binding import Binding
from mailvet.warehouse.events import EventStore
from mailvet.warehouse.identifiers import parse_table
from mailvet.warehouse.store import VerdictStore, Warehouse

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy.engine import Engine

    from mailvet.warehouse.backends.postgres.driver import PsycopgDriver
    from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyDriver

__all__ = ["Database", "duckdb_path", "engine_of", "is_url", "open_events", "open_store", "open_table"]

Database = Union[str, Path, "duckdb.DuckDBPyConnection", "Engine"]
"""The path of a DuckDB file, an open DuckDB connection, a database URL, or a SQLAlchemy engine."""

_POSTGRES = ("postgresql", "postgres")


def is_url(source: str) -> bool:
    """Whether this is a database URL and not a path."""
    return "://" in source


def open_table(  # the public call: all but three by keyword
    database: Database,
    table: str,
    column: str | None = None,
    *,
    where: str | None = None,
    policy: AnyPolicy = Policy.marketing,
    prefix: str = "mailvet_",
    events: str | History | None = None,
    writable: bool = True,
    updatable: bool = True,
) -> Warehouse:
    """A table of a database and its verdicts.

    Args:
        database: the path of a DuckDB file; an open DuckDB connection, which stays open and is the caller's to close;
            a URL in SQLAlchemy's form, also `duckdb:///path`; or a SQLAlchemy engine, whose pool stays the caller's.
        table: name, also `schema.table`; names with odd characters as they are, or in quotes.
        column: the column of addresses; None finds it by its name.
        where: SQL condition on the table's rows.
        policy: what is recommended for each reason.
        prefix: of the status columns.
        events: a table of the same database, or a file, with your own mail events (email, event, occurred_at), or the
            settings of one.
        writable: verdicts will be saved.
        updatable: status columns will be written, so `table` must not be a view.

    Raises:
        SourceError: no connection, a missing or unfit table or column, a condition that fails, a missing right.
        SettingsError: a URL that cannot be read, or of a kind whose driver is not installed.
        LockedError: another process holds the database.
    """
    binding = Binding(
        where=where or None,
        policy=policy,
        prefix=prefix,
        events=History.of(events),
        writable=writable,
        updatable=updatable,
    )
    kind = _kind(database)
    if kind == "duckdb":
        from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse

        connection = _duckdb_connection(database)
        if connection is not None:
            return DuckDBWarehouse.of_connection(connection, table, column, binding)
        return DuckDBWarehouse.of_table(duckdb_path(database), table, column, binding)
    if kind in _POSTGRES:
        driver = _psycopg_driver(database)
        from mailvet.warehouse.backends.postgres.warehouse import open_warehouse

        return open_warehouse(driver, table, column, binding)
    from mailvet.warehouse.backends.sql.session import Session
    from mailvet.warehouse.backends.sql.source import bind
    from mailvet.warehouse.backends.sql.warehouse import SQLWarehouse

    return SQLWarehouse(bind(Session(_sqlalchemy_driver(database)), table, column, binding))


def open_store(database: Database, *, read_only: bool) -> VerdictStore:
    """Only the verdicts of a database, for `stored`, `forget` and events; an open connection stays open.

    Raises:
        SourceError: there is none, or no connection; SettingsError: as `open_table`.
    """
    kind = _kind(database)
    if kind == "duckdb":
        from mailvet.warehouse.backends.duckdb.warehouse import open_verdicts, verdicts_of

        connection = _duckdb_connection(database)
        if connection is not None:
            return verdicts_of(connection)
        return open_verdicts(duckdb_path(database), read_only=read_only)
    from mailvet.warehouse.backends.sql.session import Session
    from mailvet.warehouse.backends.sql.warehouse import SQLStore

    driver = _psycopg_driver(database) if kind in _POSTGRES else _sqlalchemy_driver(database)
    return SQLStore(Session(driver))


def open_events(database: Database) -> EventStore:
    """Where events are kept: a database beside the contacts, or a DuckDB file, which is made if it is not there.

    Raises:
        SourceError: no connection, or the file cannot be made; SettingsError: as `open_table`.
    """
    if _kind(database) == "duckdb":
        path = duckdb_path(database)
        if not path.exists():
            import duckdb

            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                duckdb.connect(str(path)).close()
            except (OSError, duckdb.Error) as error:
                raise SourceError(f"The database {path} cannot be made: {error}.") from None
    store: Any = open_store(database, read_only=False)
    return cast("EventStore", store)


def table_rows(database: Database, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table of any columns, as names and values, read in portions.

    Raises:
        SourceError: there is no such table, or no connection.
    """
    if _kind(database) == "duckdb":
        import duckdb

        path = duckdb_path(database)
        if not path.exists():
            raise SourceError(f"There is no database {path}. Check the path.")
        try:
            with duckdb.connect(str(path), read_only=True) as db:
                rows = db.table(table).to_arrow_reader(_ROWS_AT_ONCE)
                for batch in rows:
                    yield from batch.to_pylist()
        except duckdb.Error as error:
            raise SourceError(
                f"The table {table} of {path.name} cannot be read: {str(error).splitlines()[0]}."
            ) from None
        return
    import sqlalchemy as sa

    engine = engine_of(database)
    name = parse_table(table)
    try:
        with engine.connect() as connection:
            columns = sa.text("*")
            query = sa.select(columns).select_from(sa.table(name.name, schema=name.schema or None))
            for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
                yield dict(row._mapping)
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"The table {table} cannot be read: {str(error).splitlines()[0]}.") from None
    finally:
        if engine is not database:
            engine.dispose()


_ROWS_AT_ONCE = 10_000


def _kind(database: Database) -> str:
    """The name of the dialect."""
    if isinstance(database, Path) or (isinstance(database, str) and not is_url(database)):
        return "duckdb"
    if isinstance(database, str):
        return database.partition("://")[0].partition("+")[0].lower()
    dialect = getattr(database, "dialect", None)
    return str(dialect.name) if dialect is not None else "duckdb"


# -------------------------------------------------------------------- DuckDB


def duckdb_path(database: Any) -> Path:
    """The path of a DuckDB file, of itself or of its URL."""
    if not isinstance(database, (str, Path)):
        raise SettingsError("Give the path of the DuckDB file here, not a connection.")
    text = str(database)
    if is_url(text):
        parts = urlsplit(text)
        text = unquote(parts.path).removeprefix("/") if not parts.netloc else ""
        if not text or text == ":memory:":
            raise SettingsError(
                "The URL names no DuckDB file; write duckdb:///relative/path.duckdb or duckdb:////absolute/path.duckdb."
            )
    return Path(text).expanduser()


def _duckdb_connection(database: Any) -> duckdb.DuckDBPyConnection | None:
    import duckdb

    if isinstance(database, duckdb.DuckDBPyConnection):
        return database
    if isinstance(database, (str, Path)):
        return None
    # An engine: duckdb-engine wraps the one connection that its pool shares.
    inner = database.raw_connection().driver_connection
    for _ in range(3):
        if isinstance(inner, duckdb.DuckDBPyConnection):
            return inner
        inner = getattr(inner, "_ConnectionWrapper__c", None) or getattr(inner, "c", None)
    raise SettingsError("This engine for DuckDB is of an unknown make; give the path of the file instead.")


# -------------------------------------------------------------------- PostgreSQL


def _psycopg_driver(database: Any) -> PsycopgDriver:
    """A connection of psycopg that is ours to close."""
    try:
        from mailvet.warehouse.backends.postgres.driver import PsycopgDriver, connect
    except ImportError as error:
        raise _missing("psycopg", "mailvet[postgres]", error) from None
    if not isinstance(database, str) and database.driver == "psycopg":

        def again() -> Any:
            pooled = database.raw_connection()  # with all the engine was made with; the pool makes itself another
            link = pooled.driver_connection
            pooled.detach()
            return link
    else:
        url = database if isinstance(database, str) else database.url.render_as_string(hide_password=False)
        location = url.partition("://")[2]

        def again() -> Any:
            return connect(f"postgresql://{location}")

    return PsycopgDriver(again(), again=again)


# -------------------------------------------------------------------- all others


def _sqlalchemy_driver(database: Any) -> SQLAlchemyDriver:
    engine = engine_of(database)
    from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyDriver

    return SQLAlchemyDriver(engine, owned=isinstance(database, str))


def engine_of(database: Any) -> Engine:
    """The engine itself, or one for a URL.

    Raises:
        SettingsError: as `open_table`.
    """
    try:
        from mailvet.warehouse.backends.sqlalchemy import create_engine
    except ImportError as error:
        raise _missing("sqlalchemy", "mailvet[sql]", error) from None
    if not isinstance(database, str):
        return cast("Engine", database)
    scheme, _, location = database.partition("://")
    return create_engine(f"postgresql+psycopg://{location}" if scheme in _POSTGRES else database)


def _missing(module: str, package: str, error: ImportError) -> SettingsError:
    if error.name is not None and not error.name.startswith(module):
        raise error
    return SettingsError(f"The driver for this database is not installed: pip install '{package}'")
