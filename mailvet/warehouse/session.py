"""
One session with a SQL database: statements, tables for the moment, the table of the user's that it is about, and what
a driver has to do for it (psycopg for PostgreSQL, SQLAlchemy for the others).
"""

from __future__ import annotations

import contextlib
import uuid
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa

from mailvet.errors import MailvetError, SourceError, argument
from mailvet.settings import History
from mailvet.vocabulary import Policy
from mailvet.warehouse.conditions import forms
from mailvet.warehouse.dialects import Dialect
from mailvet.warehouse.events import add_events
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.tables import Column, Relation, choose_column

__all__ = ["UTC", "VERDICTS", "SQLSession", "arrays", "aware"]

VERDICTS = "mailvet_verdicts"
UTC = pa.timestamp("us", tz="UTC")
_Self = TypeVar("_Self", bound="SQLSession")


class SQLSession(ABC):
    """
    A session; `on_table` chooses its table, and without that it has only the verdicts of the database.

    Args of what derives from it: a connection of the driver's, `owned` (it is closed with the session), `policy`,
    `prefix` and `events` as for `mailvet.warehouse.opening.open_table`.
    """

    remarks: Sequence[str] = ()
    """See `Warehouse.remarks`."""

    abandoned = False

    def __init__(
        self,
        dialect: Dialect,
        *,
        name: str,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | History | None = None,
    ) -> None:
        self._say = dialect
        self.name = name
        self.policy = policy
        self._prefix = prefix
        self._events = History.of(events)
        self._staged: dict[str, str] = {}
        self._token = f"{datetime.now(timezone.utc):%Y%m%d}_{uuid.uuid4().hex[:8]}"

    def on_table(
        self: _Self,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> _Self:
        """
        The same session with a table of the database. If it cannot be, the session is closed.

        Args:
            table: name, also `schema.table`; names with odd characters as they are, or in quotes.
            column: the column of addresses; None finds it by its name.
            where: SQL condition on the table's rows.
            writable: verdicts will be saved.
            updatable: status columns will be written, so `table` must not be a view.

        Raises:
            SourceError: missing or unfit table or column, a condition that fails, a right that is missing.
        """
        try:
            with self._doing(f"look at {table}"):
                self._bind(table, column, where, writable=writable, updatable=updatable)
        except BaseException:
            self.close()
            raise
        return self

    def _bind(self, table: str, column: str | None, where: str | None, *, writable: bool, updatable: bool) -> None:
        """Choose the table and its column of addresses; everything that does not fit is said here."""
        database = self.name
        found = self._relation(table, database)
        if found.is_view and updatable:
            raise SourceError(
                f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
                f"{argument('write_back', False)} and join mailvet_verdicts on email_key."
            )
        self.name = f"{table} in {database}"
        self._found = found
        self.relation = self._qualified(found)
        self._columns = self._described()
        self.column = choose_column(self._columns, column, table)
        self._cell = f"coalesce({self._say.text(self._quote(self.column))}, '')"
        self.check_rights(writable=writable)
        self.narrowed = bool(where)
        # The line break ends a comment in the condition.
        self._where = f"({where}\n)" if where else "1 = 1"
        if where:
            self._try_condition(table, where)

    def _try_condition(self, table: str, where: str) -> None:
        """Parsed as it is and within brackets before it runs, and first run where nothing can be changed."""
        parsed = f"select 1 from {self.relation} where"
        for form in forms(where):
            self._parse(f"{parsed} {form}", where, table)
        self._try(self._say.limited(f"{parsed} {forms(where)[1]}", 1), table)

    # ---------------------------------------------------------------- what a subclass does

    @abstractmethod
    def _execute(self, statement: str) -> int:
        """Run one statement; the rows it concerned. Outside of `_transaction` it holds at once."""

    @abstractmethod
    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    @abstractmethod
    def _stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        """The rows of a query in batches; the client holds one of them at a time."""

    @abstractmethod
    def _append(self, table: str, rows: pa.Table) -> None:
        """Add rows to one of our own tables, columns by their names."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """Several statements that hold all or, where the database can do it, not at all."""

    @abstractmethod
    def _fault(self, error: BaseException, doing: str) -> MailvetError | None:
        """What is said about an error of the driver's while `doing`; None for what is no error of the driver's."""

    @abstractmethod
    def _has(self, table: str) -> bool:
        """Whether one of our own tables exists in the default schema."""

    @abstractmethod
    def _has_table(self, table: TableName) -> bool:
        """Whether there is a table or view that is called exactly so."""

    @abstractmethod
    def _columns_of(self, table: TableName) -> Sequence[str]:
        """The names of its columns."""

    @abstractmethod
    def _default_schema(self) -> str:
        """The schema of a name without one."""

    @abstractmethod
    def _relation(self, table: str, database: str) -> Relation:
        """The table or view that is called so; SourceError where there is none."""

    @abstractmethod
    def _described(self) -> Sequence[Column]:
        """The columns of the source, as they are now."""

    @abstractmethod
    def _parse(self, query: str, where: str, table: str) -> None:
        """Have the engine parse a query that ends in a condition of the user's, and run nothing; SourceError if not."""

    @abstractmethod
    def _try(self, query: str, table: str) -> None:
        """Run a query with a condition of the user's, able to change nothing; SourceError if it fails."""

    def _qualified(self, found: Relation) -> str:
        """The name of a table in a statement."""
        return TableName(found.name, found.schema).sql(self._quote)

    def _quote(self, name: str) -> str:
        return self._say.quote(name)

    def check_rights(self, *, writable: bool) -> None:
        """
        Whether this user may do what a run will do, as far as the database tells.

        Raises:
            SourceError: no, and which right is missing.
        """
        return None

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """Turn errors of the driver into ours; `what` completes "could not ..."."""
        try:
            yield
        except MailvetError:
            raise
        except Exception as error:
            fault = self._fault(error, what)
            if fault is None:
                raise
            raise fault from None

    def add_events(self, batches: Iterable[pa.Table]) -> int:
        """See `EventStore.add_events`."""
        return add_events(self, batches)

    # ---------------------------------------------------------------- tables for the moment

    def _table(self, name: str) -> str:
        """The name of a table for the moment."""
        if self._say.has_temporary:
            return f"{self._say.temporary_prefix}mailvet_{self._token[-8:]}_{name}"
        return f"mailvet_stage_{self._token}_{name}"

    def _stage(self, name: str, query: str) -> str:
        table = self._clear(name)
        self._execute(self._say.temporary.format(name=table, query=query))
        return self._analyzed(table)

    def _stage_empty(self, name: str, columns: Mapping[str, str]) -> str:
        table, types = self._clear(name), {**self._say.types, "key": self._say.key_type}
        listed = ", ".join(f"{self._say.own(column)} {types[kind]}" for column, kind in columns.items())
        self._execute(self._say.temporary_empty.format(name=table, columns=listed))
        return table

    def _clear(self, name: str) -> str:
        table = self._staged[name] = self._table(name)
        self._execute(self._say.drop.format(name=table))
        return table

    def _unstage(self, name: str) -> None:
        if name in self._staged:
            self._execute(self._say.drop.format(name=self._staged.pop(name)))

    def _indexed(self, table: str, column: str) -> None:
        if self._say.index:
            self._execute(self._say.index.format(table=table, column=column))

    def _analyzed(self, table: str) -> str:
        if self._say.analyze:
            self._execute(self._say.analyze.format(name=table))
        return table

    def _drop_staged(self) -> None:
        """Temporary tables go with the session; the others are dropped here."""
        if not self._say.has_temporary:
            for table in self._staged.values():
                with contextlib.suppress(Exception):
                    self._execute(self._say.drop.format(name=table))
        self._staged.clear()

    def _snapshot(self) -> AbstractContextManager[None]:
        """Several reads that see one state of the table."""
        return self._transaction()

    # ---------------------------------------------------------------- the end

    def interrupt(self) -> None:
        """See `Warehouse.interrupt`; not every driver can do it."""
        return None

    @abstractmethod
    def close(self) -> None:
        """See `Warehouse.close`."""


def arrays(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> list[pa.Array]:
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return [pa.array(_fit(values, field.type), field.type) for values, field in zip(columns, schema, strict=True)]


def _fit(values: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """What drivers give for a type, as Arrow takes it."""
    if pa.types.is_timestamp(kind):
        moments = [aware(value) for value in values]
        return moments if kind.tz else [None if at is None else at.replace(tzinfo=None) for at in moments]
    if pa.types.is_string(kind):
        return [value if value is None or isinstance(value, str) else str(value) for value in values]
    if pa.types.is_integer(kind):
        return [None if value is None else int(value) for value in values]
    if pa.types.is_decimal(kind):
        return [None if value is None else Decimal(str(value)) for value in values]
    if pa.types.is_boolean(kind):
        return [None if value is None else bool(value) for value in values]
    return values


def aware(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
