"""What a driver does for a session with a SQL database: psycopg for PostgreSQL, SQLAlchemy for the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mailvet.errors import MailvetError
from mailvet.warehouse.dialects import Dialect
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.tables import Column, Relation

if TYPE_CHECKING:
    from mailvet.warehouse.backends.sql.source import ContactTable

__all__ = ["Driver"]


class Driver(ABC):
    """One connection. Not to be used from two threads at once, but for `interrupt`.

    Attributes:
        say: the dialect of the database.
        name: of the database, for people.
    """

    say: Dialect
    name: str

    # ---------------------------------------------------------------- statements

    @abstractmethod
    def execute(self, statement: str) -> int:
        """Run one statement; the rows it concerned. Outside of `transaction` it holds at once."""

    @abstractmethod
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    @abstractmethod
    def stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        """The rows of a query in batches; the client holds one of them at a time."""

    def pages(self, table: str, query: str, batch_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query in batches, while other statements run in between.

        Args:
            table: of ours, with the column `place` that counts its rows from 0.
            query: over that table under the name `d`, without a condition or an order.
            batch_rows: rows of a batch.
        """
        (last,) = self.rows(f"select max(place) from {table}")[0]
        for start in range(0, 0 if last is None else int(last) + 1, batch_rows):
            yield self.rows(f"{query} where d.place >= {start} and d.place < {start + batch_rows} order by d.place")

    @abstractmethod
    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows to one of our own tables, columns by their names."""

    def create_as(self, table: str, query: str, *, guarded: bool) -> None:
        """Make a table for the moment from a query.

        Args:
            table: its name.
            query: what it holds.
            guarded: the query holds a condition of the user's, which is to change nothing where that can be held.
        """
        self.execute(self.say.temporary.format(name=table, query=query))

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Several statements that hold all or, where the database can do it, not at all."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads that see one state of the table."""
        return self.transaction()

    @abstractmethod
    def fault(self, error: BaseException, doing: str) -> MailvetError | None:
        """What to raise for an error of the driver's while `doing`; None for what is no error of the driver's."""

    # ---------------------------------------------------------------- what is there

    @abstractmethod
    def has(self, table: str) -> bool:
        """Whether one of our own tables exists in the default schema."""

    @abstractmethod
    def has_table(self, table: TableName) -> bool:
        """Whether there is a table or view that is called exactly so."""

    @abstractmethod
    def columns_of(self, table: TableName) -> Sequence[str]:
        """The names of its columns."""

    @abstractmethod
    def default_schema(self) -> str:
        """The schema of a name without one."""

    @abstractmethod
    def find(self, table: str, database: str) -> Relation:
        """The table or view that is called so; SourceError where there is none."""

    @abstractmethod
    def described(self, found: Relation) -> Sequence[Column]:
        """The columns of a table, as they are now."""

    def qualified(self, found: Relation) -> str:
        """The name of a table in a statement."""
        return TableName(found.name, found.schema).sql(self.quote)

    def quote(self, name: str) -> str:
        """A name in a statement."""
        return self.say.quote(name)

    # ---------------------------------------------------------------- a condition of the user's

    @abstractmethod
    def parse(self, query: str, where: str, table: str) -> None:
        """Have the engine parse a query that ends in a condition of the user's, and run nothing; SourceError if not."""

    @abstractmethod
    def try_query(self, query: str, table: str) -> None:
        """Run a query with a condition of the user's, able to change nothing; SourceError if it fails."""

    # ---------------------------------------------------------------- rights

    def check_rights(self, source: ContactTable, *, writable: bool) -> None:
        """Whether this user may do what a run will do, as far as the database tells.

        Raises:
            SourceError: no, and which right is missing.
        """
        return

    def check_may_write(self, source: ContactTable, columns: Sequence[str]) -> None:
        """Whether the status columns may be added, read and written, before any is read; where that can be told."""
        return

    # ---------------------------------------------------------------- the connection

    @property
    @abstractmethod
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""

    @property
    def files(self) -> Mapping[str, Path]:
        """See `ContactSource.files`."""
        return {}

    def leftovers(self) -> Sequence[str]:
        """Names of tables for the moment that runs which were killed have left behind long ago."""
        return ()

    @abstractmethod
    def reconnect(self) -> bool:
        """Connect anew after the connection was lost; False where that is for the caller."""

    def interrupt(self) -> None:
        """End the statement that is running, from another thread; not every driver can do it."""
        return None

    @abstractmethod
    def close(self, staged: Sequence[str]) -> None:
        """Close the connection, or leave it as it was found; `staged` are tables for the moment that may be left."""
