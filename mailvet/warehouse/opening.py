"""
From a database, however it is named, to the warehouse that serves it. The one door for the command line and for every
plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast
from urllib.parse import unquote, urlsplit

from mailvet.errors import SettingsError, SourceError
from mailvet.settings import History
from mailvet.vocabulary import Policy
from mailvet.warehouse.events import EventStore
from mailvet.warehouse.identifiers import parse_table
from mailvet.warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb
    from sqlalchemy.engine import Engine

    from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
    from mailvet.warehouse.backends.postgres import PostgresWarehouse
    from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyWarehouse

__all__ = ["Database", "is_url", "open_store", "open_table"]

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
    policy: Policy = Policy.marketing,
    prefix: str = "mailvet_",
    events: str | History | None = None,
    writable: bool = True,
    updatable: bool = True,
) -> Warehouse:
    """
    A table of a database and its verdicts.

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
    kind = _kind(database)
    how: dict[str, Any] = {"policy": policy, "prefix": prefix, "events": events}
    what: dict[str, Any] = {"where": where or None, "writable": writable, "updatable": updatable}
    if kind == "duckdb":
        duck = _duckdb()
        connection = _duckdb_connection(database)
        if connection is not None:
            return duck.of_connection(connection, table, column, **how, **what)
        return duck.of_table(_duckdb_path(database), table, column, **how, **what)
    if kind in _POSTGRES:
        again = _psycopg_connection(database)
        return _postgres()(again(), again=again, **how).on_table(table, column, **what)
    return _sqlalchemy()(_engine(database), owned=isinstance(database, str), **how).on_table(table, column, **what)


def open_store(database: Database, *, read_only: bool) -> Warehouse:
    """
    Only the verdicts of a database, for `stored` and `forget`.

    Raises:
        SourceError: there is none, or no connection; SettingsError: as `open_table`.
    """
    kind = _kind(database)
    if kind == "duckdb":
        return _duckdb().of_store(_duckdb_path(database), read_only=read_only)
    if kind in _POSTGRES:
        return _postgres()(_psycopg_connection(database)())
    return _sqlalchemy()(_engine(database), owned=isinstance(database, str))


def open_events(database: Database) -> EventStore:
    """
    Where events are kept: a database beside the contacts, or a DuckDB file, which is made if it is not there.

    Raises:
        SourceError: no connection, or the file cannot be made; SettingsError: as `open_table`.
    """
    if _kind(database) == "duckdb":
        path = _duckdb_path(database)
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
    """
    The rows of a table of any columns, as names and values, read in portions.

    Raises:
        SourceError: there is no such table, or no connection.
    """
    if _kind(database) == "duckdb":
        import duckdb

        path = _duckdb_path(database)
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

    url = str(database)
    engine = _engine(url.replace("://", "+psycopg://", 1) if url.partition("://")[0] in _POSTGRES else database)
    name = parse_table(table)
    try:
        with engine.connect() as connection:
            columns = sa.text("*")
            query = sa.select(columns).select_from(sa.table(name.name, schema=name.schema or None))
            for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
                yield dict(row._mapping)
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"The table {table} cannot be read: {str(error).splitlines()[0]}.") from None


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


def _duckdb() -> type[DuckDBWarehouse]:
    from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse

    return DuckDBWarehouse


def _duckdb_path(database: Any) -> Path:
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


def _postgres() -> type[PostgresWarehouse]:
    try:
        from mailvet.warehouse.backends.postgres import PostgresWarehouse
    except ImportError as error:
        raise _missing("psycopg", "mailvet[postgres]", error) from None
    return PostgresWarehouse


def _psycopg_connection(database: Any) -> Callable[[], Any]:
    """What makes connections that are ours to close."""
    _postgres()
    from mailvet.warehouse.backends.postgres import connect

    if isinstance(database, str):
        return lambda: connect("postgresql://" + database.partition("://")[2])
    if database.driver != "psycopg":
        url = database.url.render_as_string(hide_password=False)
        return lambda: connect("postgresql://" + url.partition("://")[2])

    def detached() -> Any:
        pooled = database.raw_connection()  # with everything the engine was made with; the pool makes itself another
        link = pooled.driver_connection
        pooled.detach()
        return link

    return detached


# -------------------------------------------------------------------- all others


def _sqlalchemy() -> type[SQLAlchemyWarehouse]:
    try:
        from mailvet.warehouse.backends.sqlalchemy import SQLAlchemyWarehouse
    except ImportError as error:
        raise _missing("sqlalchemy", "mailvet[sql]", error) from None
    return SQLAlchemyWarehouse


def _engine(database: Any) -> Engine:
    if not isinstance(database, str):
        engine: Engine = database
        return engine
    from mailvet.warehouse.backends.sqlalchemy import create_engine

    return create_engine(database)


def _missing(module: str, package: str, error: ImportError) -> SettingsError:
    if error.name is not None and not error.name.startswith(module):
        raise error
    return SettingsError(f"The driver for this database is not installed: pip install '{package}'")
