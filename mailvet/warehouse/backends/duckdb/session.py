"""
One DuckDB database that is open, and the table or file of the user's that it is about.

Times are stored as TIMESTAMP in UTC: DuckDB's TIMESTAMP WITH TIME ZONE cannot be fetched from Python without a
further package.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from mailvet.errors import LockedError, SettingsError, SourceError, argument
from mailvet.settings import History
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Policy
from mailvet.warehouse.backends.duckdb.access import DuckDBAccess
from mailvet.warehouse.conditions import check_borrowed, forms, parse_duckdb, refusal
from mailvet.warehouse.dialects import DuckDB
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.events import add_events_in_duckdb
from mailvet.warehouse.files import FORMATS, INPUT, Loaded, Reading, first_line, is_database, load, table_function
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.identifiers import quoted as quote
from mailvet.warehouse.own_tables import problem_of_verdicts
from mailvet.warehouse.tables import Column, Relation, choose_column, choose_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FOLDED",
    "MEMORY",
    "MEMORY_WHILE_SAVING",
    "SAY",
    "TYPES",
    "DuckDBSession",
    "columns_of",
    "described",
    "find_table",
    "is_blank",
    "naive",
    "numbers",
    "open_database",
    "opening_failed",
    "quote",
    "with_zone",
    "without_zone",
    "writing",
]

_Self = TypeVar("_Self", bound="DuckDBSession")
MEMORY = "700MB"
"""
What DuckDB may use before it spills to the disk, so that a run of any size stays below 2 GB. An update of all rows in
one transaction needs most of it: with 400 MB, ten million rows could not be written.
"""
MEMORY_WHILE_SAVING = "400MB"
"""The same while addresses are verified, which takes memory of its own."""

TYPES = {
    "string": "VARCHAR",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "timestamp[us, tz=UTC]": "TIMESTAMP",
}

SAY = DuckDB()

FOLDED = SAY.fold("email")

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


class DuckDBSession:
    """
    A table or file and the database of its verdicts. Build it with `of_table`, `of_connection`, `of_file` or
    `of_store`.

    Not to be used from two threads at once, but for `interrupt`.
    """

    abandoned = False

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        name: str,
        path: Path,
        relation: str = "",
        column: str = "",
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | History | None = None,
        loaded: Loaded | None = None,
        is_view: bool = False,
        access: DuckDBAccess | None = None,
        event_rows: str | None = None,
        store: Path | None = None,
        state: tuple[int, ...] | None = None,
    ) -> None:
        self._db = connection
        self._access = access
        self._owned = access is not None
        self._event_rows = event_rows
        self._store = store
        self.name = name
        self.path = path
        self.relation = relation
        self.column = column
        self._where = forms(where)[1] if where is not None else "true"
        self.narrowed = where is not None
        self.policy = policy
        self._prefix = prefix
        self._events = History.of(events)
        self._loaded = loaded
        self._is_view = is_view
        self._file = self._identity()
        self._state = state
        self._cell = f"coalesce({quote(column)}::varchar, '')" if column else "''"
        self._hide_duplicates()

    @classmethod
    def of_table(
        cls: type[_Self],
        path: Path,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | History | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> _Self:
        """
        A table of a DuckDB database.

        Args:
            table: name, also `schema.table`; names with odd characters as they are, or in quotes.
            column: the column of addresses; None finds it by its name.
            where: SQL condition on the table's rows.
            writable: verdicts will be saved.
            updatable: status columns will be written, so `table` must not be a view.

        Raises:
            SourceError: missing or unfit table or column, a condition that fails, a read-only file; LockedError.
        """
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if path.is_file() and path.stat().st_size and not is_database(path):
            raise SourceError(
                f"{path.name} is neither a DuckDB database nor a file of a known kind "
                f"({', '.join(FORMATS)}, also with .gz or .zst). Rename or convert it."
            )
        if writable and not os.access(path, os.W_OK):
            raise SourceError(
                f"The database {path} is read-only, so verdicts cannot be saved in it. Make it writable, or copy the "
                f"table to a file and verify that with {argument('output')}."
            )
        named: dict[str, Any] = {"where": where, "policy": policy, "prefix": prefix, "events": events}
        with _opening(path, read_only=not writable) as (db, access):
            return cls._bound(db, path, table, column, updatable=updatable, access=access, **named)

    @classmethod
    def of_connection(
        cls: type[_Self],
        connection: duckdb.DuckDBPyConnection,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | History | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> _Self:
        """
        A table of a database that is open already; arguments and errors as `of_table`. The connection stays open, and
        in its session times are UTC from now on.
        """
        row = connection.execute(
            "select coalesce(path, ''), readonly from duckdb_databases() where database_name = current_database()"
        ).fetchall()[0]
        if writable and row[1]:
            raise SourceError("The DuckDB connection is read-only, so verdicts cannot be saved. Open it for writing.")
        with contextlib.suppress(duckdb.Error):
            connection.execute("set TimeZone = 'UTC'")
        path = Path(row[0] or "memory")
        named: dict[str, Any] = {"where": where, "policy": policy, "prefix": prefix, "events": events}
        return cls._bound(connection, path, table, column, updatable=updatable, access=None, **named)

    @classmethod
    def _bound(
        cls: type[_Self],
        db: duckdb.DuckDBPyConnection,
        path: Path,
        table: str,
        column: str | None,
        *,
        updatable: bool,
        access: DuckDBAccess | None,
        where: str | None,
        **named: Any,
    ) -> _Self:
        if where is not None:
            parse_duckdb(where, table)
        relation, is_view = find_table(db, table, path)
        if is_view and updatable:
            raise SourceError(
                f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
                f"{argument('write_back', False)} and join mailvet_verdicts on email_key."
            )
        column = choose_column(described(db, relation), column, table)
        return cls(
            db,
            name=f"{table} in {path.name}",
            path=path,
            relation=relation,
            column=column,
            is_view=is_view,
            access=access,
            **_narrowed(db, relation, table, where, access, named["events"]),
            **named,
        )

    @classmethod
    def of_file(
        cls: type[_Self],
        path: Path,
        column: str | None,
        store: Path,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | History | None = None,
        reading: Reading | None = None,
        writable: bool = True,
    ) -> _Self:
        """
        A file of addresses; `store` is the DuckDB file of its verdicts, made if missing and `writable`.

        Raises:
            SourceError: missing, empty or unreadable file, missing column; LockedError for the store.
        """
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if writable:
            try:
                store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise SourceError(
                    f"The folder {store.parent} for the store of verdicts cannot be made: {error.strerror}. Set "
                    "store.path to a file in a folder that may be written to."
                ) from None
        if where is not None:
            parse_duckdb(where, path.name)
        kept = store if writable or store.exists() else None
        with _opening(kept, read_only=not writable and store.exists()) as (db, access):
            if access.closed_in:
                raise LockedError(
                    f"The store {store.name} is open in this program with a condition on the rows "
                    f"({argument('where')}), and then "
                    "no other file can be read. Close that source first. Nothing was read."
                )
            state = _state(path)
            loaded = load(db, path, reading)
            column = column or loaded.address_column
            found = choose_column(described(db, INPUT), column, path.name, loaded.headers)
            return cls(
                db,
                name=path.name,
                path=path,
                relation=INPUT,
                column=found,
                policy=policy,
                prefix=prefix,
                events=events,
                loaded=loaded,
                access=access,
                store=store,
                state=state,
                **_narrowed(db, INPUT, path.name, where, access, events),
            )

    @classmethod
    def of_store(cls: type[_Self], path: Path, *, read_only: bool) -> _Self:
        """Only the verdicts of a database, without a source."""
        if not path.exists():
            raise SourceError(f"There is no database {path}: nothing has been verified there yet.")
        with _opening(path, read_only=read_only) as (db, access):
            return cls(db, name=path.name, path=path, access=access)

    def add_events(self, batches: Iterable[pa.Table]) -> int:
        """See `EventStore.add_events`."""
        return add_events_in_duckdb(self, batches)

    def _hide_duplicates(self) -> None:
        """Where nothing may be written, the newest of several verdicts of one key stands for them."""
        found = self._rows("select readonly from duckdb_databases() where database_name = current_database()")
        if not found or not found[0][0] or not self._has("mailvet_verdicts"):
            return
        rows, keys = self._one("select count(*), count(distinct hash(email_key)) from mailvet_verdicts")
        if rows != keys:
            ours = self._one("select current_database(), current_schema()")
            table = ".".join(map(quote, (*ours, "mailvet_verdicts")))
            self._db.execute(
                f"create or replace temp view mailvet_verdicts as select * from {table} qualify row_number() over "
                "(partition by email_key order by checked_at desc nulls last) = 1"
            )

    def _check_own_tables(self) -> None:
        """
        Raises:
            SourceError: a table of verdicts that mailvet did not make, or a later version did.
        """
        if not self._has("mailvet_verdicts"):
            return
        problem = problem_of_verdicts(described(self._db, "mailvet_verdicts"))
        if problem is not None:
            raise SourceError(
                f"The table mailvet_verdicts in {self._database_name} is not as this version of mailvet makes it: "
                f"{problem}. Use the version that made it, or rename the table and verify anew. Nothing was changed."
            )

    @property
    def _database_name(self) -> str:
        (path,) = self._one("select path from duckdb_databases() where database_name = current_database()")
        return Path(path).name if path else "memory"

    def _check_unchanged(self, target: Path) -> None:
        """
        Raises:
            SourceError: `target` is the file that was read, and it is not what it was then.
        """
        if self._state is not None and target == self.path.resolve() and _state(self.path) != self._state:
            raise SourceError(
                f"{self.path.name} was changed while the run went on, so it was not replaced: the changes would be "
                "lost. Run the same again; only what is new will be asked."
            )

    def _identity(self) -> tuple[Path, int] | None:
        """The file of the database and what tells it from another of its name; None in memory."""
        found = self._rows("select path from duckdb_databases() where database_name = current_database()")
        if not found or not found[0][0]:
            return None
        path = Path(found[0][0])
        try:
            return path, path.stat().st_ino
        except OSError:
            return None

    def check_still_there(self) -> None:
        """
        See `Warehouse.check_still_there`.

        Raises:
            SourceError: the file of the database was removed or replaced, so that what is saved would be lost.
        """
        if self._file is not None and self._identity() != self._file:
            raise SourceError(
                f"The database {self._file[0]} was removed or replaced while the run went on, so what is saved in it "
                "would be lost. Put it back, or run the same again to make it anew."
            )

    def _numbers_rows(self) -> bool:
        """Whether `rowid` means DuckDB's number of a row; views have none, and a table may have such a column."""
        return not self._is_view and "rowid" not in map(str.lower, columns_of(self._db, self.relation))

    @property
    def files(self) -> Mapping[str, Path]:
        """See `Warehouse.files`."""
        found = {"the source": self.path}
        for kept in (self.path if self._store is None else self._store,):
            found["the store of verdicts"] = kept
            found["the log of the store"] = kept.with_name(f"{kept.name}.wal")
        return found

    @property
    def remarks(self) -> Sequence[str]:
        """See `Warehouse.remarks`."""
        return () if self._loaded is None else self._loaded.remarks

    def interrupt(self) -> None:
        """See `Warehouse.interrupt`."""
        self._db.interrupt()

    def close(self) -> None:
        """See `Warehouse.close`."""
        if self.abandoned:
            return
        if self._access is not None:
            self._db.close()
            self._access.close()
            return
        for table in _STAGED:
            self._db.execute(f"drop table if exists temp.{table}")

    def _may_use(self, memory: str) -> None:
        if self._owned:
            self._db.execute(f"set memory_limit = '{memory}'")

    def _drop(self, *names: str) -> None:
        for name in names:
            self._db.execute(f"drop table if exists temp.mailvet_{name}")

    def _has(self, table: str) -> bool:
        found = self._rows(
            "select 1 from duckdb_tables() where table_name = $1 and not temporary "
            "and database_name = current_database() and schema_name = current_schema()",
            [table],
        )
        return bool(found)

    def _rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        # Every result is read to its end: an unfinished one blocks the connection.
        return list(self._db.execute(query, parameters).fetchall())

    def _one(self, query: str, parameters: Any = None) -> tuple[Any, ...]:
        return self._rows(query, parameters)[0]

    def _arrow(self, query: str, parameters: Any = None) -> pa.Table:
        return self._db.sql(query, params=parameters).to_arrow_table()


def open_database(path: Path | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """
    Open a DuckDB file, or one in memory; the mistakes people make become errors that say what to do.

    Raises:
        LockedError: another process has it open.
        SourceError: it is no DuckDB file, or may not be read or written.
    """
    try:
        db = duckdb.connect(":memory:" if path is None else str(path), read_only=read_only)
    except duckdb.Error as error:
        raise opening_failed(error, path, read_only=read_only) from None
    # What the user's own columns hold with a time zone is compared and written in UTC, whatever the machine's zone.
    with contextlib.suppress(duckdb.Error):  # a build without time zones knows only UTC
        db.execute("set TimeZone = 'UTC'")
    db.execute(f"set memory_limit = '{MEMORY}'")
    return db


def opening_failed(error: duckdb.Error, path: Path | None, *, read_only: bool = False) -> SourceError:
    """What to tell people for DuckDB's own error on opening a file: who holds it, or what is wrong with it."""
    text = str(error)
    if _HELD.search(text):
        holder = re.search(r"PID (\d+)", text)
        who = f" (process {holder[1]})" if holder else ""
        return LockedError(
            f"The database {path.name if path else 'in memory'} is open in another program{who}. DuckDB allows one "
            "writer at a time: close it there (a notebook, dbt, or another run), then start again. Nothing was changed."
        )
    if "not a valid DuckDB" in text:
        return SourceError(
            f"{path} is no DuckDB database. For a list of addresses give a CSV, Parquet or JSON Lines file."
        )
    if _NEWER.search(text):
        return SourceError(
            f"The database {path} was made by another version of DuckDB, which this one ({duckdb.__version__}) cannot "
            f"read: {first_line(text)}. Upgrade DuckDB (pip install --upgrade duckdb), or name another database. "
            "Nothing was changed."
        )
    if _DAMAGED.search(text):
        return SourceError(
            f"The database {path} is damaged: {first_line(text)}. Put back a copy of it, or move it away, with its "
            ".wal file if there is one, and verify anew. Nothing was changed."
        )
    return SourceError(
        f"The database {path} cannot be opened{'' if read_only else ' for writing'}: {first_line(text)}. "
        "Check that the file and its folder may be written to."
    )


_HELD = re.compile(r"could not set lock|conflicting lock|lock is held|used by another process", re.IGNORECASE)
_NEWER = re.compile(r"storage version|version number|newer version|older version", re.IGNORECASE)
_DAMAGED = re.compile(
    r"corrupt|checksum|serialization error|deserializ|internal error|failed to load|replaying wal"
    r"|could not read block|fatal error|unexpected end of file|invalid block",
    re.IGNORECASE,
)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise source_error(
            f"Verdicts cannot be saved in {path.name}: {first_line(str(error))}. Check that the file and its folder "
            "may be written to and that the disk is not full; what was saved before stays saved.",
            error,
        ) from None


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes with a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def find_table(db: duckdb.DuckDBPyConnection, table: str, path: Path | None) -> tuple[str, bool]:
    """(quoted name, whether it is a view)."""
    rows = db.execute(
        "select table_schema, table_name, table_type = 'VIEW', table_schema in (current_schema(), 'main'), "
        "table_catalog from information_schema.tables where table_catalog = current_database() order by all"
    ).fetchall()
    found = choose_table([Relation(*row) for row in rows], table, path.name if path else "the database", known="")
    return TableName(found.name, found.schema, found.catalog).sql(), found.is_view


def described(db: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    return [
        Column(str(row[0]), str(row[1]), _family(str(row[1]))) for row in db.execute(f"describe {relation}").fetchall()
    ]


def columns_of(db: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [column.name for column in described(db, relation)]


def _family(kind: str) -> str:
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return "text"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return "time"
    return "number" if kind.endswith("INT") or kind.startswith(("INTEGER", "DECIMAL", "DOUBLE", "FLOAT")) else "other"


@contextlib.contextmanager
def _opening(path: Path | None, *, read_only: bool) -> Iterator[tuple[duckdb.DuckDBPyConnection, DuckDBAccess]]:
    """A database of our own, closed again if what follows fails."""
    access = DuckDBAccess(path, read_only=read_only)
    try:
        db = open_database(path, read_only=read_only)
        try:
            access.spill_here(db)
            yield db, access
        except BaseException:
            db.close()
            raise
    except BaseException:
        access.close()
        raise


def _narrowed(
    db: duckdb.DuckDBPyConnection,
    relation: str,
    table: str,
    where: str | None,
    access: DuckDBAccess | None,
    events: str | History | None,
) -> dict[str, Any]:
    """
    A condition that was parsed, once it is sure that it reads nothing but the database and works; and the events, if
    they are in a file, since no file can be read after it.
    """
    if where is None:
        return {}
    event_rows = None
    if access is None:
        known = db.execute("select table_name from duckdb_tables() union all select view_name from duckdb_views()")
        check_borrowed(where, table, [name for (name,) in known.fetchall()])
    else:
        event_rows = _loaded_events(db, events)
        access.close_in(db)
    try:
        db.execute(f"select 1 from {relation} where {forms(where)[1]} limit 1").fetchall()
    except duckdb.Error as error:
        raise refusal(table, str(error)) from None
    return {"where": where, "event_rows": event_rows}


def _loaded_events(db: duckdb.DuckDBPyConnection, events: str | History | None) -> str | None:
    """A temporary table of a file of events; None where there is no such file."""
    history = History.of(events)
    if history is None or not (path := Path(str(history.events)).expanduser()).is_file():
        return None
    try:
        db.execute(f"create temp table mailvet_event_rows as from {table_function(db, path)}")
    except (duckdb.Error, SourceError) as error:
        raise SettingsError(f"history.events ({history.events}) cannot be used: {first_line(str(error))}.") from None
    return "temp.mailvet_event_rows"


def is_blank(cell: str) -> str:
    return SAY.missing(cell)


def numbers(key: str) -> str:
    """A key as 128 bits, under the names `first` and `second`: a quarter of the room, and joined as surely."""
    return f"hash({key}) as first, hash(substr({key}, 1, 32)) as second"


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def without_zone(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    return table.cast(
        pa.schema([f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema])
    )


def with_zone(table: pa.Table) -> pa.Table:
    """Verdicts as they are stored; what a table of an older version has no column for is null."""
    import pyarrow as pa

    for field in verdict_schema():
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(verdict_schema().names).cast(verdict_schema())
