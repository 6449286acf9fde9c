"""
PostgreSQL through psycopg 3: verdicts go in by binary COPY and one upsert, answers come back by UPDATE ... FROM, which
touches only the rows whose answer changed, and what is due is read through a server cursor.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import errors

from mailvet.errors import ConnectionLostError, LockedError, MailvetError, SourceError, argument
from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.sql import LEASES, OUTPUTS, SQLWarehouse, newest_of_each
from mailvet.warehouse.conditions import refusal
from mailvet.warehouse.dialects import Postgres, literal
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.rules import ADDED_LATER, RUN_COLUMNS
from mailvet.warehouse.servers import SERVER_SCHEMA, SERVERS
from mailvet.warehouse.session import VERDICTS
from mailvet.warehouse.store import Plan
from mailvet.warehouse.tables import Column, Relation, choose_table

__all__ = ["PostgresWarehouse", "binary_copy", "connect"]

_CLASHES = 3
"""Batches that may turn out not to be new before COPY into the table of verdicts is no longer tried."""
_CANCEL_SECONDS = 1.0
_LOCK_SECONDS = 30
"""How long a statement waits for a lock that another session holds, unless the user's settings say otherwise."""


def connect(url: str) -> psycopg.Connection[Any]:
    """
    A connection of our own.

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


class PostgresWarehouse(SQLWarehouse):
    """The verdicts of a PostgreSQL database, and one table of it after `on_table`."""

    _say: Postgres

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        owned: bool = True,
        again: Callable[[], psycopg.Connection[Any]] | None = None,
        **named: Any,
    ) -> None:
        super().__init__(Postgres(), name=connection.info.dbname, **named)
        self._db = connection
        self._again = again
        """Makes another connection of the same kind."""
        self._owned = owned
        self._was_autocommit = connection.autocommit
        self._clashes_left = 0
        with self._doing("begin a session"):
            self._begin()
            info = connection.info
            schema = self._rows("select current_schema()")[0][0]
            self._store_id = f"postgresql://{info.host}:{info.port}/{info.dbname}#{schema}"
            self._say.has_icu = bool(self._rows("select 1 from pg_collation where collname = 'und-x-icu'"))
            self._say.is_utf8 = self._rows("show server_encoding")[0][0] == "UTF8"

    def _begin(self) -> None:
        if not self._db.autocommit:
            self._db.autocommit = True
        for statement in self._say.session:
            self._execute(statement)
        if self._rows("show lock_timeout")[0][0] == "0":
            self._execute(f"set lock_timeout = '{_LOCK_SECONDS}s'")
        # Our statements are large and few, and none of them is run often enough to be worth compiling.
        self._execute("set jit = off")

    @property
    def store_id(self) -> str | None:
        """See `Warehouse.store_id`."""
        return self._store_id

    def reconnect(self) -> bool:
        """See `Warehouse.reconnect`."""
        if self._again is None:
            return False
        with contextlib.suppress(psycopg.Error):
            self._db.close()
        self._staged.clear()
        self._db = self._again()
        with self._doing("connect again"):
            self._begin()
        return True

    # ---------------------------------------------------------------- what is there

    def _relation(self, table: str, database: str) -> Relation:
        rows = self._rows(
            "select n.nspname, c.relname, c.relkind in ('v', 'm'), pg_table_is_visible(c.oid) from pg_class c "
            "join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f') "
            "and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)' "
            "and has_schema_privilege(n.oid, 'usage') order by 1, 2"
        )
        return choose_table([Relation(*row) for row in rows], table, database)

    def _described(self) -> Sequence[Column]:
        rows = self._rows(
            "select a.attname, format_type(a.atttypid, a.atttypmod), case when b.typcategory = 'S' or b.typname = "
            "'citext' then 'text' when b.typname in ('timestamp', 'timestamptz') then 'time' when b.typcategory = 'N' "
            "and b.typname <> 'money' then 'number' else 'other' end, case when b.typname in ('varchar', 'bpchar') and "
            "a.atttypmod > 0 then a.atttypmod - 4 when d.typtypmod > 0 and b.typname in ('varchar', 'bpchar') then "
            "d.typtypmod - 4 end, a.attgenerated <> '' or a.attidentity = 'a' from pg_attribute a join pg_type d on "
            "d.oid = a.atttypid join pg_type b on b.oid = case when d.typtype = 'd' then d.typbasetype else d.oid end "
            f"where a.attrelid = {literal(self.relation)}::regclass and a.attnum > 0 and not a.attisdropped "
            "order by a.attnum"
        )
        return [Column(*row) for row in rows]

    def _has(self, table: str) -> bool:
        return self._rows(f"select to_regclass(quote_ident(current_schema()) || '.{table}')")[0][0] is not None

    def _has_table(self, table: TableName) -> bool:
        return bool(self._columns_of(table))

    def _columns_of(self, table: TableName) -> Sequence[str]:
        schema = "current_schema()" if not table.schema else literal(table.schema)
        rows = self._rows(
            "select a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on "
            f"a.attrelid = c.oid where n.nspname = {schema} and c.relname = {literal(table.name)} order by a.attnum"
        )
        return [str(name) for (name,) in rows]

    def _default_schema(self) -> str:
        return str(self._rows("select coalesce(current_schema(), '')")[0][0])

    def _parse(self, query: str, where: str, table: str) -> None:
        # The extended protocol's Parse message takes one statement, and runs none (PostgreSQL manual, 54.2.3).
        encoding = self._db.info.encoding
        parsed = self._db.pgconn.prepare(b"", query.encode(encoding, "replace"))
        if parsed.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            raise refusal(table, parsed.error_message.decode(encoding, "replace").removeprefix("ERROR:").strip())

    def _try(self, query: str, table: str) -> None:
        try:
            # A prepared statement is one statement, and what it does cannot last.
            with self._db.transaction(force_rollback=True):
                self._db.execute("set transaction read only")
                self._db.execute(cast(Any, query), prepare=True)
        except psycopg.Error as error:
            raise refusal(table, str(error)) from None

    def _stage(self, name: str, query: str) -> str:
        """A condition of the user's is asked in a transaction that can change nothing but our temporary table."""
        if name != "cells" or not self.narrowed:
            return super()._stage(name, query)
        table = self._clear(name)
        self._execute(f"create temporary table {table} as {query} with no data")
        with self._db.transaction():
            self._db.execute("set transaction read only")
            self._execute(f"insert into {table} {query}")
        return self._analyzed(table)

    def check_rights(self, *, writable: bool) -> None:
        """See `SQLWarehouse.check_rights`."""
        source = literal(self.relation)
        user, reading, schema, creating, temporary, recovering, read_only = self._rows(
            f"select current_user, has_column_privilege({source}, {literal(self.column)}, 'select'), current_schema(), "
            "current_schema() is not null and has_schema_privilege(current_schema(), 'create'), "
            "has_database_privilege(current_database(), 'temporary'), pg_is_in_recovery(), "
            "current_setting('transaction_read_only')::boolean"
        )[0]
        if recovering:
            raise SourceError(
                f"{self.name} is on a standby server, where not even temporary tables can be made. Name the primary "
                "server in the URL. Nothing was changed."
            )
        if read_only:
            raise SourceError(
                f"The sessions of the user {user} are read-only (default_transaction_read_only), so not even temporary "
                "tables can be made. Add ?options=-cdefault_transaction_read_only%3Doff to the URL, or name another "
                "user. Nothing was changed."
            )
        for table in (VERDICTS, "mailvet_runs", SERVERS):
            if self._has(table):
                self._check_own_table(table, schema)
        missing = []
        if not reading:
            missing.append(f"grant select on {self.relation} to {user}")
        if not temporary:
            missing.append(f"grant temporary on database {self._quote(self._db.info.dbname)} to {user}")
        if writable:
            if schema is None:
                raise SourceError(
                    "There is no schema to keep mailvet_verdicts in: the search_path names none that exists. Set it "
                    "for this user (alter role ... set search_path) or in the URL (?options=-csearch_path%3Dmailvet)."
                )
            for name in (VERDICTS, "mailvet_runs", SERVERS, LEASES, OUTPUTS):
                if not self._has(name):
                    # A user who may make no table goes on without those that a run does not need.
                    if not creating and name in (VERDICTS, "mailvet_runs"):
                        missing.append(f"grant create on schema {self._quote(schema)} to {user}")
                    continue
                rights = ", ".join(
                    f"has_table_privilege(quote_ident(current_schema()) || '.{name}', '{right}')"
                    for right in _OWN_RIGHTS
                )
                lacking = [
                    right for right, has in zip(_OWN_RIGHTS, self._rows(f"select {rights}")[0], strict=True) if not has
                ]
                if lacking:
                    missing.append(f"grant {', '.join(lacking)} on {self._quote(schema)}.{name} to {user}")
        if missing:
            raise SourceError(
                f"The user {user} lacks rights for {self.name}: {'; '.join(dict.fromkeys(missing))}. Nothing was "
                "changed."
            )

    def _check_own_table(self, table: str, schema: str) -> None:
        """Whether a table that is called like one of ours is ours."""
        relation = f"to_regclass(quote_ident(current_schema()) || '.{table}')"
        has = [name for (name,) in self._rows(f"select attname from pg_attribute where attrelid = {relation}")]
        ours = {
            VERDICTS: [name for name in verdict_schema().names if name not in ADDED_LATER],
            SERVERS: SERVER_SCHEMA.names,
        }
        lacking = [name for name in ours.get(table, list(RUN_COLUMNS)) if name not in has]
        if lacking:
            raise SourceError(
                f"The table {self._quote(schema)}.{table} is not as mailvet makes it: it has no column {lacking[0]}. "
                "Rename it, or set another schema for mailvet's tables (?options=-csearch_path%3Dmailvet,public). "
                "Nothing was changed."
            )

    def _check_may_write(self, columns: Sequence[str]) -> None:
        """See `SQLWarehouse._check_may_write`."""
        source = literal(self.relation)
        present = {column.name.lower(): column.name for column in self._described()}
        wanted = [self._prefix + column for column in columns]
        user, owner = self._rows(
            f"select current_user, pg_has_role(relowner, 'usage') from pg_class where oid = {source}::regclass"
        )[0]
        new = [name for name in wanted if name.lower() not in present]
        if new and not owner:
            adds = ", ".join(f"add column {self._quote(name)} {self._type_of(name)}" for name in new)
            raise SourceError(
                f"The user {user} does not own {self.name}, so it cannot add the status columns. Its owner can: alter "
                f"table {self.relation} {adds}; grant update ({', '.join(map(self._quote, new))}) on {self.relation} "
                f"to {user}. Or use {argument('write_back', False)} and join mailvet_verdicts on email_key. "
                "Nothing was checked."
            )
        old = [present[name.lower()] for name in wanted if name.lower() in present]
        refused = {
            right: names
            for right in ("select", "update")
            if (
                names := [
                    self._quote(name)
                    for name in old
                    if not self._rows(f"select has_column_privilege({source}, {literal(name)}, '{right}')")[0][0]
                ]
            )
        }
        if refused:
            grants = ", ".join(f"{right} ({', '.join(names)})" for right, names in refused.items())
            raise SourceError(
                f"The user {user} may not read and write the status columns of {self.name}: grant {grants} on "
                f"{self.relation} to {user}. Nothing was checked."
            )
        may_be_null = [name for name in columns if verdict_schema().field(name).nullable]
        listed = ", ".join(literal(present.get((self._prefix + name).lower())) for name in may_be_null) or "null"
        for (name,) in self._rows(
            f"select attname from pg_attribute where attrelid = {source}::regclass and attnotnull "
            f"and attname in ({listed})"
        ):
            raise SourceError(
                f"The column {name} of {self.name} must not be null, but not every address has one: alter table "
                f"{self.relation} alter column {self._quote(name)} drop not null. Nothing was checked."
            )

    def _type_of(self, status_column: str) -> str:
        from mailvet.warehouse.rules import verdict_kinds

        return self._say.types[verdict_kinds()[status_column.removeprefix(self._prefix)]]

    # ---------------------------------------------------------------- statements

    def _execute(self, statement: str) -> int:
        return max(0, self._db.execute(cast(Any, statement)).rowcount)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._db.execute(cast(Any, query)).fetchall()

    def _stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        with self._db.transaction(), self._db.cursor(name="mailvet_rows") as cursor:
            cursor.execute(cast(Any, query))
            while rows := cursor.fetchmany(batch_rows):
                yield rows

    def _due_rows(self, batch_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """A server cursor that outlives the transactions in which answers are saved."""
        with self._db.cursor(name="mailvet_due_rows", withhold=True) as cursor:
            cursor.execute(cast(Any, f"{self._due_query()} order by d.place"))
            while rows := cursor.fetchmany(batch_rows):
                yield rows

    def _append(self, table: str, rows: pa.Table) -> None:
        if "email" in rows.schema.names:
            place = rows.schema.get_field_index("email")
            rows = rows.set_column(place, rows.schema.field(place), _exact_or_none(rows["email"]))
        names = ", ".join(map(self._say.own, rows.schema.names))
        with self._db.cursor() as cursor, cursor.copy(f"copy {table} ({names}) from stdin (format binary)") as copy:
            for block in binary_copy(rows):
                copy.write(block)

    def plan(self, **asked: Any) -> Plan:
        """See `Warehouse.plan`."""
        planned = super().plan(**asked)
        with self._doing(f"plan over {self.name}"):
            renewed = f"select exists (select from {self._staged['due']} where previous_reason is not null)"
            self._clashes_left = 0 if self._rows(renewed)[0][0] else _CLASHES
        return planned

    def save(self, verdicts: pa.Table) -> None:
        """
        See `Warehouse.save`. While all is new, rows go straight into the table by COPY, which takes half the time of a
        staging table and an INSERT; a batch of which the table has a key already is saved the other way.
        """
        if self._clashes_left:
            with self._doing("save verdicts"):
                try:
                    with self._transaction():
                        self._append(VERDICTS, newest_of_each(verdicts).to_arrow().cast(verdict_schema()))
                    return
                except errors.UniqueViolation:  # asked for a second time, or saved by another session
                    self._clashes_left -= 1
        super().save(verdicts)

    def _stage_batch(self) -> str:
        """Made once for the session, empty again after each transaction."""
        table = self._table("batch")
        if "batch" not in self._staged:
            super()._stage_batch()
        else:
            self._execute(f"truncate {table}")
        return table

    def _transaction(self) -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", self._db.transaction())

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._db.transaction():
            self._db.execute("set transaction isolation level repeatable read, read only")
            yield

    def _fault(self, error: BaseException, doing: str) -> MailvetError | None:
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
        if self._db.broken or self._db.closed:
            return ConnectionLostError(f"Could not {doing}: the connection to the database was lost ({text}). {saved}")
        return source_error(f"Could not {doing}: {text}. {saved}", error)

    def interrupt(self) -> None:
        """See `Warehouse.interrupt`."""
        with contextlib.suppress(psycopg.Error):
            self._db.cancel_safe(timeout=_CANCEL_SECONDS)

    def close(self) -> None:
        """See `Warehouse.close`."""
        if self.abandoned:
            return
        if self._owned:
            self._db.close()
            return
        with contextlib.suppress(psycopg.Error):
            for table in self._staged.values():
                self._execute(f"drop table if exists {table}")
            self._db.autocommit = self._was_autocommit


_OWN_RIGHTS = ("select", "insert", "update", "delete")


# -------------------------------------------------------------------- binary COPY

_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_TAIL = struct.pack(">h", -1)
_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970
_BLOCK_ROWS = 10_000  # a few MB: the server takes one in while the next is made


def binary_copy(rows: pa.Table) -> Iterator[bytes]:
    """
    A table in the format of `COPY ... (FORMAT binary)` (PostgreSQL manual, COPY, "Binary Format"), in blocks: built
    from whole columns, without a Python object for any cell.

    Args:
        rows: columns of text, int16, int32, int64, float64 or microseconds in UTC.
    """
    yield _COPY_HEAD
    count = pa.scalar(struct.pack(">h", rows.num_columns), pa.binary())
    for start in range(0, rows.num_rows, _BLOCK_ROWS):
        block = rows.slice(start, _BLOCK_ROWS).combine_chunks()
        pieces: list[Any] = [count]
        for column in block.columns:
            pieces += _field(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
        joined = pc.binary_join_element_wise(
            *pieces, pa.scalar(b"", pa.binary()), null_handling="replace", null_replacement=b""
        )
        for chunk in joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]:
            _, ends, data = chunk.buffers()
            (first,), (last,) = (struct.unpack_from("=i", ends, 4 * (chunk.offset + n)) for n in (0, len(chunk)))
            yield data.slice(first, last - first).to_pybytes()
    yield _COPY_TAIL


def _exact_or_none(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the texts that PostgreSQL cannot hold, for without its NUL a text would be another one."""
    return pc.if_else(pc.match_substring(texts, "\0"), pa.scalar(None, pa.string()), texts)


def _field(column: pa.Array) -> list[pa.Array]:
    """The length of each value and the value, as big-endian bytes; a null has length -1 and no value."""
    if pa.types.is_string(column.type):
        value = pc.replace_substring(column, "\0", "").cast(pa.binary())  # PostgreSQL keeps no NUL in a text
        length = pc.fill_null(pc.binary_length(value), -1)
    else:
        if pa.types.is_timestamp(column.type):
            column = pc.subtract(column.cast(pa.int64()), _EPOCH)
        width = column.type.bit_width // 8
        value = pc.if_else(column.is_valid(), _big_endian(pc.fill_null(column, 0)), pa.scalar(None, pa.binary()))
        length = pc.if_else(column.is_valid(), pa.scalar(width, pa.int32()), pa.scalar(-1, pa.int32()))
    return [_big_endian(length), value]


def _big_endian(numbers: pa.Array) -> pa.Array:
    """Numbers without nulls as a column of bytes."""
    width = numbers.type.bit_width // 8
    swapped = array(_CODES[str(numbers.type)])
    swapped.frombytes(numbers.buffers()[1].slice(numbers.offset * width, len(numbers) * width))
    if sys.byteorder == "little":
        swapped.byteswap()
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(numbers), [None, pa.py_buffer(swapped)])
    return fixed.cast(pa.binary())


_CODES = {"int16": "h", "int32": "i", "int64": "q", "double": "d"}


def _password(url: str) -> str | None:
    from urllib.parse import unquote, urlsplit

    try:
        found = urlsplit(url).password
    except ValueError:
        return None
    return unquote(found) if found else None
