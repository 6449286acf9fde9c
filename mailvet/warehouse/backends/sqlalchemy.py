"""Every database that SQLAlchemy reaches and no warehouse of its own serves.

SQLite, MySQL and MariaDB, SQL Server, Snowflake, BigQuery, Redshift, Databricks, Trino. Verdicts go in by INSERTs of
many rows into a staging table, then by one set-based statement.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from mailvet.errors import ConnectionLostError, LockedError, MailvetError, SettingsError, SourceError
from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.sql.driver import Driver
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sqlite_functions import register_functions
from mailvet.warehouse.conditions import parse_with_sqlglot, refusal
from mailvet.warehouse.dialects import dialect_of
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import TableName, parse_table
from mailvet.warehouse.own_tables import ADDED_LATER, VERDICTS
from mailvet.warehouse.tables import Column, Relation, choose_table, readings_of

if TYPE_CHECKING:
    from mailvet.warehouse.backends.sql.source import ContactTable

__all__ = ["DRIVERS", "SQLAlchemyDriver", "create_engine"]

DRIVERS = {
    "mysql": "pymysql",
    "mariadb": "pymysql",
    "mssql": "pyodbc",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift redshift_connector",
    "databricks": "databricks-sqlalchemy",
    "trino": "trino[sqlalchemy]",
}
"""What to install for a kind of database, beside `mailvet[sql]`."""

_FOLD_NO_CASE = ("sqlite", "mysql", "mariadb", "mssql")
"""Where a name in quotation marks means what it means without, so that no list of reserved words is needed."""

_PURE_PYTHON = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
"""The driver we mean where a URL names none."""


def create_engine(url: str) -> Engine:
    """An engine for a URL of SQLAlchemy's form.

    Raises:
        SettingsError: the URL cannot be read, or its driver is not installed; never with the password.
    """
    kind = url.partition("://")[0]
    dialect = kind.partition("+")[0].lower()
    dialect_of(dialect)  # refuses what is not supported
    try:
        parsed = sa.make_url(url).set(drivername=_PURE_PYTHON.get(kind, kind))
    except (ArgumentError, ValueError):
        raise SettingsError(
            f"The database URL {kind}://... cannot be read; give {dialect}://HOST:PORT/DATABASE, with user and "
            "password before the host and special characters of the password percent-encoded."
        ) from None
    try:
        # Without it the driver of SQL Server sends one row at a time.
        options: dict[str, Any] = {"fast_executemany": True} if kind in ("mssql", "mssql+pyodbc") else {}
        return sa.create_engine(parsed, **options)
    except (NoSuchModuleError, ImportError):
        packages = DRIVERS.get(dialect, dialect)
        raise SettingsError(
            f"The driver for {kind}:// is not installed: pip install 'mailvet[sql]' {packages}"
        ) from None


class SQLAlchemyDriver(Driver):
    """A connection of SQLAlchemy.

    Args:
        engine: of the database.
        owned: it is disposed of at the end.
    """

    def __init__(self, engine: Engine, *, owned: bool = True) -> None:
        url = engine.url
        self.say = dialect_of(engine.dialect.name)
        self.name = str(url.database or url.host or engine.dialect.name).replace("\\", "/").rpartition("/")[2]
        self._engine = engine
        self._owned = owned
        try:
            self._db: Connection = engine.connect()
        except (SQLAlchemyError, OSError) as error:
            text = first_line(str(getattr(error, "orig", None) or error))
            text = text.replace(url.password, "***") if isinstance(url.password, str) and url.password else text
            raise source_error(
                f"There is no connection to {url.render_as_string(hide_password=True)}: {text}. Check host, port, "
                "user, password and database of the URL. Nothing was changed.",
                error,
            ) from None
        if getattr(engine.dialect, "is_mariadb", False):  # a server that says so, though the URL said mysql://
            self.say = dialect_of("mariadb")
        try:
            with Session(self).doing("begin a session"):
                self._begin()
        except BaseException:
            self.close(())
            raise

    def _begin(self) -> None:
        if self._engine.dialect.name == "sqlite":
            register_functions(self._db)
        for statement in self.say.session:
            self.execute(statement)

    # ---------------------------------------------------------------- what is there

    def _inspected(self) -> Any:
        """Reads its own connection anew, since an inspector keeps what it has seen."""
        return sa.inspect(self._db)

    def find(self, table: str, database: str) -> Relation:
        with self._reading():
            inspector = self._inspected()
            readings = readings_of(table)
            for wanted in readings:
                # What is called exactly so is found without listing a whole warehouse.
                if inspector.has_table(wanted.name, schema=_schema_of(wanted)):
                    views = _views(inspector, _schema_of(wanted))
                    return Relation(_schema_of(wanted) or "", wanted.name, wanted.name in views)
            schema = readings[-1].schema
            relations = []
            default = inspector.default_schema_name
            for there in dict.fromkeys([None, *_schemas(inspector, schema)]):
                if there is not None and there == default:
                    continue
                views = _views(inspector, there)
                names = {*inspector.get_table_names(schema=there), *views}
                relations += [Relation(there or "", n, n in views, there is None) for n in sorted(names)]
        found = choose_table(
            [Relation(r.schema or str(default or ""), r.name, r.is_view, r.visible) for r in relations], table, database
        )
        return Relation("" if found.visible else found.schema, found.name, found.is_view)

    def qualified(self, found: Relation) -> str:
        # A schema that SQLAlchemy found may be `catalog.schema`.
        schema = parse_table(found.schema).parts if found.schema else ()
        return ".".join(map(self.quote, (*schema, found.name)))

    def quote(self, name: str) -> str:
        """As SQLAlchemy does, which knows the reserved words and how each database folds the case of names."""
        if self.say.name in _FOLD_NO_CASE or not name or "\0" in name:
            return self.say.quote(name)
        preparer: Any = self._engine.dialect.identifier_preparer
        text = str(preparer.quote(name))
        # Written twice for drivers that fill in parameters, which we never let them do.
        return text.replace("%%", "%") if getattr(preparer, "_double_percents", False) else text

    def described(self, found: Relation) -> Sequence[Column]:
        with self._reading():
            columns = self._inspected().get_columns(found.name, schema=found.schema or None)
        return [
            Column(
                self._reflected(str(c["name"])),
                _kind(c["type"], self._engine),
                _family(c["type"]),
                self._length(c["type"]),
                bool(c.get("computed")) or bool((c.get("identity") or {}).get("always")),
            )
            for c in columns
        ]

    def _reflected(self, name: str) -> str:
        """A column's name as it is: SQLAlchemy reads those of MySQL as they stand in CREATE TABLE."""
        return name.replace("``", "`") if self.say.name in ("mysql", "mariadb") else name

    def _length(self, kind: Any) -> int | None:
        """How many characters fit; SQLite takes any number into any column."""
        limited = isinstance(kind, sa.String) and not isinstance(kind, sa.Text) and self.say.name != "sqlite"
        length = kind.length if limited else None
        return length if isinstance(length, int) and length > 0 else None

    def check_rights(self, source: ContactTable, *, writable: bool) -> None:
        """See `Driver.check_rights`: whether the table of verdicts is one of mailvet's."""
        if not self.has(VERDICTS):
            return
        with self._reading():
            names = {str(column["name"]).lower() for column in self._inspected().get_columns(VERDICTS)}
        lacking = [name for name in verdict_schema().names if name not in names and name not in ADDED_LATER]
        if lacking:
            raise SourceError(
                f"The table {VERDICTS} in {self._engine.url.database or 'this database'} is not as this version of "
                f"mailvet makes it: it has no column {lacking[0]}. Use the version that made it, or rename the table "
                "and verify anew. Nothing was changed."
            )

    def has(self, table: str) -> bool:
        with self._reading():
            return bool(self._inspected().has_table(table))

    @property
    def files(self) -> Mapping[str, Path]:
        """See `Driver.files`."""
        database = self._engine.url.database
        is_file = self.say.name == "sqlite" and database and database != ":memory:"
        return {"the source": Path(str(database))} if is_file else {}

    def tables_of(self, schema: str) -> dict[str, bool]:
        """The tables and views of a schema -> whether it is a view."""
        with self._reading():
            inspector = self._inspected()
            named = None if schema == inspector.default_schema_name else schema
            views = _views(inspector, named)
            return dict.fromkeys(inspector.get_table_names(schema=named), False) | dict.fromkeys(views, True)

    def has_table(self, table: TableName) -> bool:
        with self._reading():
            inspector = self._inspected()
            return bool(inspector.has_table(table.name, schema=_schema_of(table)))

    def columns_of(self, table: TableName) -> Sequence[str]:
        with self._reading():
            found = self._inspected().get_columns(table.name, schema=_schema_of(table))
        return [self._reflected(str(column["name"])) for column in found]

    def default_schema(self) -> str:
        with self._reading():
            return str(self._inspected().default_schema_name or "")

    def parse(self, query: str, where: str, table: str) -> None:
        template = self.say.parsing
        if template is None:
            parse_with_sqlglot(where, table, self.say.name)
            return
        try:
            self.run(template.format(query=query, literal=self.say.literal(query)))
        except (DBAPIError, sqlite3.Warning) as error:  # Python's SQLite says so of two statements
            raise refusal(table, _words(error)) from None
        if self.say.parsed:
            self.execute(self.say.parsed)

    def try_query(self, query: str, table: str) -> None:
        begin, end = self.say.read_only
        try:
            if begin:
                self.execute(begin)
            self.rows(query)
        except DBAPIError as error:
            raise refusal(table, _words(error)) from None
        finally:
            if end:
                self.execute(end)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any."""
        with self.transaction():
            done = self._db.exec_driver_sql(statement, execution_options={"no_parameters": True})
            return [tuple(row) for row in done] if done.returns_rows else []

    def leftovers(self) -> Sequence[str]:
        """See `Driver.leftovers`."""
        if self.say.has_temporary:
            return ()
        with self._reading():
            names: Sequence[str] = self._inspected().get_table_names()
        before = f"{datetime.now(timezone.utc) - _LEFTOVERS_AFTER:%Y%m%d}"
        return [name for name in names if (staged := _STAGED.fullmatch(name.lower())) and staged[1] < before]

    # ---------------------------------------------------------------- statements

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self._db.in_transaction():
            yield
            return
        with self._db.begin():
            yield

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A look that leaves no transaction open behind it."""
        with self.transaction():
            yield

    def execute(self, statement: str) -> int:
        with self.transaction():
            done = self._db.exec_driver_sql(statement, execution_options={"no_parameters": True})
            return max(0, done.rowcount)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.transaction():
            done = self._db.exec_driver_sql(query, execution_options={"no_parameters": True})
            return [tuple(row) for row in done]

    def stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        options = {"no_parameters": True, "stream_results": True, "max_row_buffer": batch_rows}
        with self.transaction(), self._db.exec_driver_sql(query, execution_options=options) as result:
            for rows in result.partitions(batch_rows):
                yield [tuple(row) for row in rows]

    def append(self, table: str, rows: pa.Table) -> None:
        names = rows.schema.names
        say = self.say
        target = sa.table(sa.quoted_name(table, False), *(sa.column(sa.quoted_name(name, None)) for name in names))
        columns = [_plain(column, say.name) for column in rows.columns]
        records = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        with self.transaction():
            if say.executes_many:
                self._db.execute(sa.insert(target), records)
                return
            count = max(1, min(say.rows_a_statement, say.parameters_a_statement // len(names)))
            for start in range(0, len(records), count):
                self._db.execute(sa.insert(target).values(records[start : start + count]))

    def fault(self, error: BaseException, doing: str) -> MailvetError | None:
        if not isinstance(error, SQLAlchemyError):
            return None
        saved = "What was saved stays saved; run the same again to go on."
        cause = getattr(error, "orig", None) or error
        code = cause.args[0] if cause.args and isinstance(cause.args[0], int) else None
        text = first_line(str(cause.args[1] if code is not None and len(cause.args) > 1 else cause))
        if code in (1205, 1213) or "database is locked" in text or "database table is locked" in text:
            return LockedError(f"Could not {doing}: another session holds a lock ({text}). {saved}")
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return ConnectionLostError(f"Could not {doing}: the connection to the database was lost ({text}). {saved}")
        return source_error(f"Could not {doing}: {text}. {saved}", error)

    @property
    def store_id(self) -> str | None:
        """See `Driver.store_id`."""
        url = self._engine.url
        if self.say.name == "sqlite":
            in_memory = url.database in (None, "", ":memory:")
            return None if in_memory else f"sqlite:{os.path.realpath(str(url.database))}"
        return url.set(password=None).render_as_string()

    def reconnect(self) -> bool:
        """See `Driver.reconnect`."""
        with contextlib.suppress(SQLAlchemyError):
            self._db.invalidate()
            self._db.close()
        self._engine.dispose()
        with Session(self).doing("connect again"):
            self._db = self._engine.connect()
            self._begin()
        return True

    def interrupt(self) -> None:
        """See `Driver.interrupt`."""
        stop = getattr(self._db.connection.driver_connection, "interrupt", None)
        if stop is not None:
            stop()

    def close(self, staged: Sequence[str]) -> None:
        """See `Driver.close`."""
        if self._db.closed:
            return
        self._db.invalidate()  # a session whose settings we changed, with our temporary tables, goes back to no pool
        self._db.close()
        if self._owned:
            self._engine.dispose()


def _words(error: BaseException) -> str:
    """The database's own words for an error."""
    cause = getattr(error, "orig", None) or error
    coded = len(cause.args) > 1 and isinstance(cause.args[0], int)
    return str(cause.args[1] if coded else cause)


# -------------------------------------------------------------------- columns


def _family(kind: Any) -> str:
    if isinstance(kind, (sa.String, sa.Enum)):
        return "text"
    if isinstance(kind, (sa.Boolean,)):
        return "other"
    if isinstance(kind, (sa.Integer, sa.Numeric)):
        return "number"
    if isinstance(kind, sa.DateTime) or type(kind).__name__.upper().startswith(("TIMESTAMP", "DATETIME")):
        return "time"  # Snowflake's own types derive from nothing that says so
    return "other"


def _kind(kind: Any, engine: Engine) -> str:
    try:
        return str(kind.compile(dialect=engine.dialect))
    except SQLAlchemyError:
        return type(kind).__name__


def _schemas(inspector: Any, wanted: str) -> Sequence[str]:
    if not wanted:
        return []
    names: Sequence[str] = inspector.get_schema_names()
    return [name for name in names if name.lower() == wanted.lower()]


def _schema_of(table: TableName) -> str | None:
    return ".".join(part for part in (table.catalog, table.schema) if part) or None


def _views(inspector: Any, schema: str | None) -> set[str]:
    return {*inspector.get_view_names(schema=schema), *_materialized(inspector, schema)}


def _materialized(inspector: Any, schema: str | None) -> Sequence[str]:
    with contextlib.suppress(NotImplementedError, AttributeError):
        names: Sequence[str] = inspector.get_materialized_view_names(schema=schema)
        return names
    return []


def _plain(column: pa.ChunkedArray, dialect: str) -> list[Any]:
    """Values as every driver takes them; times in UTC without saying so, but where the type keeps a zone."""
    values: list[Any] = column.to_pylist()
    if not pa.types.is_timestamp(column.type):
        return values
    moments = [None if at is None else at.replace(tzinfo=timezone.utc) for at in values]
    if dialect == "bigquery":
        return moments
    if dialect == "sqlite":
        return [None if at is None else f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in moments]
    return [None if at is None else at.replace(tzinfo=None) for at in moments]


_STAGED = re.compile(r"mailvet_stage_(\d{8})_[0-9a-f]{8}_\w+")
_LEFTOVERS_AFTER = timedelta(days=30)
"""No run takes so long, so its tables are no longer in use."""
