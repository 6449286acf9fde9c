"""One DuckDB database that is open.

Times are stored as TIMESTAMP in UTC: DuckDB's TIMESTAMP WITH TIME ZONE cannot be fetched from Python without a
further package.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import SourceError
from mailvet.warehouse.backends.duckdb.access import DuckDBAccess
from mailvet.warehouse.backends.duckdb.relations import described
from mailvet.warehouse.identifiers import quoted
from mailvet.warehouse.own_tables import VERDICTS, problem_of_verdicts

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Session"]

_STAGED = (
    "mailvet_texts",
    "mailvet_history",
    "mailvet_recipients",
    "mailvet_labels",
    "mailvet_cell_labels",
    "mailvet_listed",
    "mailvet_on_lists",
    "mailvet_due",
    "mailvet_kept",
    "mailvet_free",
    "mailvet_mailboxes",
    "mailvet_doubles",
    "mailvet_numbered",
    "mailvet_signals",
    "mailvet_stored",
    "mailvet_answers",
    "mailvet_numbers",
    "mailvet_fresh",
    "mailvet_open",
    "mailvet_matched",
)


class Session:
    """A connection. Not to be used from two threads at once, but for `interrupt`.

    Args:
        connection: to the database.
        path: of its file; in memory any name for people.
        access: what a connection of our own may reach; without it the connection is the caller's, and stays open.

    Attributes:
        changes: how often verdicts or the plan of the source may have changed.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, path: Path, access: DuckDBAccess | None = None
    ) -> None:
        self.db = connection
        self.path = path
        self.access = access
        self.changes = 0
        self._file = self._identity()
        self._hide_duplicates()

    # ---------------------------------------------------------------- statements

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        # Every result is read to its end: an unfinished one blocks the connection.
        return list(self.db.execute(query, parameters).fetchall())

    def one(self, query: str, parameters: Any = None) -> tuple[Any, ...]:
        """The first row of a query."""
        return self.rows(query, parameters)[0]

    def arrow(self, query: str, parameters: Any = None) -> pa.Table:
        """The rows of a query as Arrow."""
        return self.db.sql(query, params=parameters).to_arrow_table()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that hold all or not at all."""
        self.db.execute("begin")
        try:
            yield
            self.db.execute("commit")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self.db.execute("rollback")
            raise

    def has(self, table: str) -> bool:
        """Whether one of our own tables exists in the default schema."""
        found = self.rows(
            "select 1 from duckdb_tables() where table_name = $1 and not temporary "
            "and database_name = current_database() and schema_name = current_schema()",
            [table],
        )
        return bool(found)

    def has_temporary(self, table: str) -> bool:
        """Whether a table for the moment exists."""
        return bool(self.rows("select 1 from duckdb_tables() where table_name = $1 and temporary", [table]))

    def drop(self, *names: str) -> None:
        """Drop tables for the moment, by their names without `mailvet_`."""
        for name in names:
            self.db.execute(f"drop table if exists temp.mailvet_{name}")

    def may_use(self, memory: str) -> None:
        """Limit the memory of a database of our own."""
        if self.access is not None:
            self.db.execute(f"set memory_limit = '{memory}'")

    # ---------------------------------------------------------------- the file

    @property
    def database_name(self) -> str:
        """For people."""
        (path,) = self.one("select path from duckdb_databases() where database_name = current_database()")
        return Path(path).name if path else "memory"

    def _identity(self) -> tuple[Path, int] | None:
        """The file of the database and what tells it from another of its name; None in memory."""
        found = self.rows("select path from duckdb_databases() where database_name = current_database()")
        if not found or not found[0][0]:
            return None
        path = Path(found[0][0])
        try:
            return path, path.stat().st_ino
        except OSError:
            return None

    def check_still_there(self) -> None:
        """See `VerdictStore.check_still_there`.

        Raises:
            SourceError: the file of the database was removed or replaced, so that what is saved would be lost.
        """
        if self._file is not None and self._identity() != self._file:
            raise SourceError(
                f"The database {self._file[0]} was removed or replaced while the run went on, so what is saved in it "
                "would be lost. Put it back, or run the same again to make it anew."
            )

    def replace(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Go on with another connection, to a file that was written anew."""
        self.db = connection
        self._file = self._identity()

    def _hide_duplicates(self) -> None:
        """Where nothing may be written, the newest of several verdicts of one key stands for them."""
        found = self.rows("select readonly from duckdb_databases() where database_name = current_database()")
        if not found or not found[0][0] or not self.has(VERDICTS):
            return
        rows, keys = self.one(f"select count(*), count(distinct hash(email_key)) from {VERDICTS}")
        if rows != keys:
            ours = self.one("select current_database(), current_schema()")
            table = ".".join(map(quoted, (*ours, VERDICTS)))
            self.db.execute(
                f"create or replace temp view {VERDICTS} as select * from {table} qualify row_number() over "
                "(partition by email_key order by checked_at desc nulls last) = 1"
            )

    def check_own_tables(self) -> None:
        """Whether the table of verdicts is one of ours.

        Raises:
            SourceError: mailvet did not make it, or a later version did.
        """
        if not self.has(VERDICTS):
            return
        problem = problem_of_verdicts(described(self.db, VERDICTS))
        if problem is not None:
            raise SourceError(
                f"The table {VERDICTS} in {self.database_name} is not as this version of mailvet makes it: "
                f"{problem}. Use the version that made it, or rename the table and verify anew. Nothing was changed."
            )

    # ---------------------------------------------------------------- the end

    def interrupt(self) -> None:
        """See `VerdictStore.interrupt`."""
        self.db.interrupt()

    def close(self) -> None:
        """Close a connection of our own; without the tables for the moment leave another open."""
        if self.access is not None:
            self.db.close()
            self.access.close()
            return
        for table in _STAGED:
            self.db.execute(f"drop table if exists temp.{table}")
