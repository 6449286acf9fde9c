"""A connection to PostgreSQL through psycopg 3."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import psycopg
import pyarrow as pa
from psycopg import errors

from mailvet.errors import ConnectionLostError, LockedError, MailvetError, SourceError
from mailvet.warehouse.backends.postgres import rights
from mailvet.warehouse.backends.postgres.binary_copy import binary_copy, exact_or_none
from mailvet.warehouse.backends.sql.driver import Driver
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.conditions import refusal
from mailvet.warehouse.dialects import Postgres, literal
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.tables import Column, Relation, choose_table

__all__ = ["PsycopgDriver", "connect"]

_CANCEL_SECONDS = 1.0
_LOWERING = ("und-x-icu", "pg_unicode_fast", "pg_c_utf8", "C.utf8", "C.UTF-8")
"""Collations whose `lower` knows all scripts: ICU's, the server's own since 17 and 18, and the C library's."""
_LOCK_SECONDS = 30
"""How long a statement waits for a lock that another session holds, unless the user's settings say otherwise."""


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection of our own.

    Args:
        url: of libpq's form, `postgresql://user@host:5432/database`; what it leaves out libpq takes from PGHOST,
            PGPASSWORD, ~/.pgpass and so on.

    Raises:
        SourceError: no connection; the message never holds the password.
    """
    try:
        return psycopg.connect(url, autocommit=True, application_name="mailvet")
    except psycopg.Error as error:
        password = _password(url)
        text = first_line(str(error))
        raise source_error(
            f"There is no connection to PostgreSQL: {text.replace(password, '***') if password else text}. Check host, "
            "port, user, password and database in the URL. Nothing "
            "was changed.",
            error,
        ) from None


class PsycopgDriver(Driver):
    """A connection of psycopg 3.

    Args:
        connection: to the database.
        owned: it is closed at the end, and else left as it was.
        again: makes another connection of the same kind.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        owned: bool = True,
        again: Callable[[], psycopg.Connection[Any]] | None = None,
    ) -> None:
        say = Postgres()
        self.say, self.name = say, connection.info.dbname
        self.connection = connection
        self._again, self._owned = again, owned
        self._was_autocommit = connection.autocommit
        with Session(self).doing("begin a session"):
            self._begin()
            info = connection.info
            schema = self.rows("select current_schema()")[0][0]
            self._store_id = f"postgresql://{info.host}:{info.port}/{info.dbname}#{schema}"
            say.lowering = self._lowering_collation()
            say.is_utf8 = self.rows("show server_encoding")[0][0] == "UTF8"

    def _lowering_collation(self) -> str:
        """The first of the collations that lower all scripts which this server has; servers without ICU exist."""
        present = self.rows(
            "select collname::text from pg_collation where collnamespace = 'pg_catalog'::regnamespace "
            "and collencoding in (-1, pg_char_to_encoding(getdatabaseencoding()))"
        )
        names = {name for (name,) in present}
        return next((name for name in _LOWERING if name in names), "default")

    def _begin(self) -> None:
        if not self.connection.autocommit:
            self.connection.autocommit = True
        for statement in self.say.session:
            self.execute(statement)
        if self.rows("show lock_timeout")[0][0] == "0":
            self.execute(f"set lock_timeout = '{_LOCK_SECONDS}s'")
        # Our statements are large and few, and none of them is run often enough to be worth compiling.
        self.execute("set jit = off")

    @property
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""
        return self._store_id

    def reconnect(self) -> bool:
        """See `Driver.reconnect`."""
        if self._again is None:
            return False
        with contextlib.suppress(psycopg.Error):
            self.connection.close()
        self.connection = self._again()
        with Session(self).doing("connect again"):
            self._begin()
        return True

    # ---------------------------------------------------------------- what is there

    def find(self, table: str, database: str) -> Relation:
        rows = self.rows(
            "select n.nspname, c.relname, c.relkind in ('v', 'm'), pg_table_is_visible(c.oid) from pg_class c "
            "join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f') "
            "and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)' "
            "and has_schema_privilege(n.oid, 'usage') order by 1, 2"
        )
        return choose_table([Relation(*row) for row in rows], table, database)

    def described(self, found: Relation) -> Sequence[Column]:
        rows = self.rows(
            "select a.attname, format_type(a.atttypid, a.atttypmod), case when b.typcategory = 'S' or b.typname = "
            "'citext' then 'text' when b.typname in ('timestamp', 'timestamptz') then 'time' when b.typcategory = 'N' "
            "and b.typname <> 'money' then 'number' else 'other' end, case when b.typname in ('varchar', 'bpchar') and "
            "a.atttypmod > 0 then a.atttypmod - 4 when d.typtypmod > 0 and b.typname in ('varchar', 'bpchar') then "
            "d.typtypmod - 4 end, a.attgenerated <> '' or a.attidentity = 'a' from pg_attribute a join pg_type d on "
            "d.oid = a.atttypid join pg_type b on b.oid = case when d.typtype = 'd' then d.typbasetype else d.oid end "
            f"where a.attrelid = {literal(self.qualified(found))}::regclass and a.attnum > 0 and not a.attisdropped "
            "order by a.attnum"
        )
        return [Column(*row) for row in rows]

    def has(self, table: str) -> bool:
        return self.rows(f"select to_regclass(quote_ident(current_schema()) || '.{table}')")[0][0] is not None

    def has_table(self, table: TableName) -> bool:
        return bool(self.columns_of(table))

    def columns_of(self, table: TableName) -> Sequence[str]:
        schema = "current_schema()" if not table.schema else literal(table.schema)
        rows = self.rows(
            "select a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on "
            f"a.attrelid = c.oid where n.nspname = {schema} and c.relname = {literal(table.name)} order by a.attnum"
        )
        return [str(name) for (name,) in rows]

    def default_schema(self) -> str:
        return str(self.rows("select coalesce(current_schema(), '')")[0][0])

    def parse(self, query: str, where: str, table: str) -> None:
        # The extended protocol's Parse message takes one statement, and runs none (PostgreSQL manual, 54.2.3).
        encoding = self.connection.info.encoding
        parsed = self.connection.pgconn.prepare(b"", query.encode(encoding, "replace"))
        if parsed.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            raise refusal(table, parsed.error_message.decode(encoding, "replace").removeprefix("ERROR:").strip())

    def try_query(self, query: str, table: str) -> None:
        try:
            # A prepared statement is one statement, and what it does cannot last.
            with self.connection.transaction(force_rollback=True):
                self.connection.execute("set transaction read only")
                self.connection.execute(cast(Any, query), prepare=True)
        except psycopg.Error as error:
            raise refusal(table, str(error)) from None

    def create_as(self, table: str, query: str, *, guarded: bool) -> None:
        """See `Driver.create_as`; a condition is asked in a transaction that can change nothing but our own table."""
        if not guarded:
            super().create_as(table, query, guarded=guarded)
            return
        self.execute(f"create temporary table {table} as {query} with no data")
        with self.connection.transaction():
            self.connection.execute("set transaction read only")
            self.execute(f"insert into {table} {query}")

    def check_rights(self, source: ContactTable, *, writable: bool) -> None:
        """See `Driver.check_rights`."""
        rights.check_rights(self, source, writable=writable)

    def check_may_write(self, source: ContactTable, columns: Sequence[str]) -> None:
        """See `Driver.check_may_write`."""
        rights.check_may_write(self, source, columns)

    # ---------------------------------------------------------------- statements

    def execute(self, statement: str) -> int:
        return max(0, self.connection.execute(cast(Any, statement)).rowcount)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(cast(Any, query)).fetchall()

    def stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        with self.connection.transaction(), self.connection.cursor(name="mailvet_rows") as cursor:
            cursor.execute(cast(Any, query))
            while rows := cursor.fetchmany(batch_rows):
                yield rows

    def pages(self, table: str, query: str, batch_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """See `Driver.pages`: a server cursor that outlives the transactions in which verdicts are saved."""
        with self.connection.cursor(name="mailvet_due_rows", withhold=True) as cursor:
            cursor.execute(cast(Any, f"{query} order by d.place"))
            while rows := cursor.fetchmany(batch_rows):
                yield rows

    def append(self, table: str, rows: pa.Table) -> None:
        if "email" in rows.schema.names:
            place = rows.schema.get_field_index("email")
            rows = rows.set_column(place, rows.schema.field(place), exact_or_none(rows["email"]))
        names = ", ".join(map(self.say.own, rows.schema.names))
        statement = f"copy {table} ({names}) from stdin (format binary)"
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for block in binary_copy(rows):
                copy.write(block)

    def transaction(self) -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", self.connection.transaction())

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.connection.transaction():
            self.connection.execute("set transaction isolation level repeatable read, read only")
            yield

    def fault(self, error: BaseException, doing: str) -> MailvetError | None:
        if not isinstance(error, psycopg.Error):
            return None
        saved = "What was saved stays saved; run the same again to go on."
        text = first_line(error.diag.message_primary or str(error))
        if isinstance(error, (errors.LockNotAvailable, errors.DeadlockDetected)):
            return LockedError(
                f"Could not {doing}: another session holds a lock on the table ({text}). See pg_locks and "
                f"pg_stat_activity for who it is, wait for it to end, then run again. {saved}"
            )
        if isinstance(error, errors.SerializationFailure):
            return LockedError(
                f"Could not {doing}: another session changed the same rows at the same time ({text}). {saved}"
            )
        if isinstance(error, errors.InsufficientPrivilege):
            return SourceError(
                f"Could not {doing}: {text}. The rights that are needed stand in docs/warehouses.md. {saved}"
            )
        if self.connection.broken or self.connection.closed:
            return ConnectionLostError(f"Could not {doing}: the connection to the database was lost ({text}). {saved}")
        return source_error(f"Could not {doing}: {text}. {saved}", error)

    def interrupt(self) -> None:
        """See `Driver.interrupt`."""
        with contextlib.suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def close(self, staged: Sequence[str]) -> None:
        """See `Driver.close`."""
        if self._owned:
            self.connection.close()
            return
        with contextlib.suppress(psycopg.Error):
            for table in staged:
                self.execute(f"drop table if exists {table}")
            self.connection.autocommit = self._was_autocommit


def _password(url: str) -> str | None:
    from urllib.parse import unquote, urlsplit

    try:
        found = urlsplit(url).password
    except ValueError:
        return None
    return unquote(found) if found else None
