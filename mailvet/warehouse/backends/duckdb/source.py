"""The table or file of the user's that a DuckDB session is about, and its column of addresses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mailvet.errors import LockedError, SettingsError, SourceError, argument
from mailvet.policies import AnyPolicy
from mailvet.settings import History
from mailvet.warehouse.backends.duckdb.connection import opened
from mailvet.warehouse.backends.duckdb.expressions import is_blank
from mailvet.warehouse.backends.duckdb.relations import columns_of, described, find_table
from mailvet.warehouse.backends.duckdb.session import Session
from mailvet.warehouse.binding import Binding, refuse_view
from mailvet.warehouse.conditions import check_borrowed, forms, parse_duckdb, refusal
from mailvet.warehouse.files import FORMATS, INPUT, Loaded, Reading, first_line, is_database, load, table_function
from mailvet.warehouse.identifiers import OWN, quoted
from mailvet.warehouse.tables import Column, choose_column

__all__ = ["ContactRelation", "bind_connection", "bind_database", "bind_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRelation:
    """A table, a view, or a file that was read into a table for the moment.

    Attributes:
        session: with the database of its verdicts.
        name: for people: `contacts in crm.duckdb`.
        path: of the database, or of the file.
        relation: its name in a statement.
        column: of addresses.
        binding: how it is used.
        where: the condition on its rows.
        loaded: what was read from a file.
        is_view: it is a view.
        event_rows: a table for the moment with the events of a file.
        store: the file of the verdicts, where that is not `path`.
        state: what would change with the file that was read.
    """

    session: Session
    name: str
    path: Path
    relation: str
    column: str
    binding: Binding
    where: str = "true"
    loaded: Loaded | None = None
    is_view: bool = False
    event_rows: str | None = None
    store: Path | None = None
    state: tuple[int, ...] | None = None

    @property
    def cell(self) -> str:
        """A cell of the column of addresses as text, never null."""
        return f"coalesce({quoted(self.column)}::varchar, '')"

    @property
    def missing(self) -> str:
        """The condition that a row has no address."""
        return is_blank(self.cell)

    @property
    def narrowed(self) -> bool:
        """There is a condition on its rows."""
        return self.binding.where is not None

    @property
    def prefix(self) -> str:
        """Of the status columns."""
        return self.binding.prefix

    @property
    def policy(self) -> AnyPolicy:
        """What recommendations follow."""
        return self.binding.policy

    @property
    def events(self) -> History | None:
        """How to read a table or file of the user's own mail events."""
        return self.binding.events

    def part(self, column: str) -> str:
        """Which part of a result a row belongs to, by a column of the verdict table."""
        return f"case when {self.missing} then 'missing' else {OWN}{column} end"

    def described(self) -> list[Column]:
        """Its columns as they are now."""
        return described(self.session.db, self.relation)

    def columns(self) -> list[str]:
        """The names of its columns as they are now."""
        return columns_of(self.session.db, self.relation)

    def numbers_rows(self) -> bool:
        """Whether `rowid` means DuckDB's number of a row; views have none, and a table may have such a column."""
        return not self.is_view and "rowid" not in map(str.lower, self.columns())

    @property
    def files(self) -> Mapping[str, Path]:
        """See `ContactSource.files`."""
        store = self.path if self.store is None else self.store
        log = store.with_name(f"{store.name}.wal")
        return {"the source": self.path, "the store of verdicts": store, "the log of the store": log}

    @property
    def remarks(self) -> Sequence[str]:
        """See `ContactSource.remarks`."""
        return () if self.loaded is None else self.loaded.remarks

    def check_unchanged(self, target: Path) -> None:
        """Whether a file may be replaced.

        Raises:
            SourceError: `target` is the file that was read, and it is not what it was then.
        """
        if self.state is not None and target == self.path.resolve() and _state(self.path) != self.state:
            raise SourceError(
                f"{self.path.name} was changed while the run went on, so it was not replaced: the changes would be "
                "lost. Run the same again; only what is new will be asked."
            )

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `ContactSource.check_keys`."""
        present = self.columns()
        missing = [name for name in columns if name not in present]
        if missing:
            raise SourceError(f"There is no column {missing[0]} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(quoted, columns))
            if self.session.rows(f"select 1 from {self.relation} group by {keys} having count(*) > 1 limit 1"):
                raise SourceError(
                    f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                    "identify a row. Name a unique key."
                )


def bind_database(path: Path, table: str, column: str | None, binding: Binding) -> ContactRelation:
    """A table of a DuckDB file.

    Args:
        path: of the file.
        table: name, also `schema.table`; names with odd characters as they are, or in quotes.
        column: the column of addresses; None finds it by its name.
        binding: how it is to be used.

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
    if binding.writable and not os.access(path, os.W_OK):
        raise SourceError(
            f"The database {path} is read-only, so verdicts cannot be saved in it. Make it writable, or copy the "
            f"table to a file and verify that with {argument('output')}."
        )
    with opened(path, read_only=not binding.writable) as (db, access):
        return _bound(Session(db, path=path, access=access), table, column, binding)


def bind_connection(
    connection: duckdb.DuckDBPyConnection, table: str, column: str | None, binding: Binding
) -> ContactRelation:
    """A table of a database that is open already; arguments and errors as `bind_database`.

    The connection stays open, and in its session times are UTC from now on.
    """
    row = connection.execute(
        "select coalesce(path, ''), readonly from duckdb_databases() where database_name = current_database()"
    ).fetchall()[0]
    if binding.writable and row[1]:
        raise SourceError("The DuckDB connection is read-only, so verdicts cannot be saved. Open it for writing.")
    with contextlib.suppress(duckdb.Error):
        connection.execute("set TimeZone = 'UTC'")
    return _bound(Session(connection, path=Path(row[0] or "memory")), table, column, binding)


def _bound(session: Session, table: str, column: str | None, binding: Binding) -> ContactRelation:
    if binding.where is not None:
        parse_duckdb(binding.where, table)
    relation, is_view = find_table(session.db, table, session.path)
    if is_view and binding.updatable:
        raise refuse_view(table)
    column = choose_column(described(session.db, relation), column, table)
    event_rows = _narrowed(session, relation, table, binding)
    return ContactRelation(
        session=session,
        name=f"{table} in {session.path.name}",
        path=session.path,
        relation=relation,
        column=column,
        binding=binding,
        where=forms(binding.where)[1] if binding.where is not None else "true",
        is_view=is_view,
        event_rows=event_rows,
    )


def bind_file(
    path: Path, column: str | None, store: Path, binding: Binding, reading: Reading | None = None
) -> ContactRelation:
    """A file of addresses.

    Args:
        path: of the file.
        column: the column of addresses; None finds it by its name.
        store: the DuckDB file of its verdicts, made if it is missing and `binding` says writable.
        binding: how it is to be used.
        reading: how it is to be read.

    Raises:
        SourceError: missing, empty or unreadable file, missing column; LockedError for the store.
    """
    if not path.exists():
        raise SourceError(f"There is no file {path}. Check the path.")
    if binding.writable:
        try:
            store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"The folder {store.parent} for the store of verdicts cannot be made: {error.strerror}. Set "
                "store.path to a file in a folder that may be written to."
            ) from None
    if binding.where is not None:
        parse_duckdb(binding.where, path.name)
    kept = store if binding.writable or store.exists() else None
    with opened(kept, read_only=not binding.writable and store.exists()) as (db, access):
        if access.closed_in:
            raise LockedError(
                f"The store {store.name} is open in this program with a condition on the rows "
                f"({argument('where')}), and then no other file can be read. Close that source first. Nothing was read."
            )
        state = _state(path)
        loaded = load(db, path, reading)
        found = choose_column(described(db, INPUT), column or loaded.address_column, path.name, loaded.headers)
        session = Session(db, path=path, access=access)
        event_rows = _narrowed(session, INPUT, path.name, binding)
        return ContactRelation(
            session=session,
            name=path.name,
            path=path,
            relation=INPUT,
            column=found,
            binding=binding,
            where=forms(binding.where)[1] if binding.where is not None else "true",
            loaded=loaded,
            event_rows=event_rows,
            store=store,
            state=state,
        )


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes with a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _narrowed(session: Session, relation: str, table: str, binding: Binding) -> str | None:
    """Whether a condition that was parsed reads nothing but the database, and works.

    Returns:
        The table for the moment of the events, if they are in a file, since no file can be read after it.
    """
    where, db, access = binding.where, session.db, session.access
    if where is None:
        return None
    event_rows = None
    if access is None:
        known = db.execute("select table_name from duckdb_tables() union all select view_name from duckdb_views()")
        check_borrowed(where, table, [name for (name,) in known.fetchall()])
    else:
        event_rows = _loaded_events(db, binding.events)
        access.close_in(db)
    try:
        db.execute(f"select 1 from {relation} where {forms(where)[1]} limit 1").fetchall()
    except duckdb.Error as error:
        raise refusal(table, str(error)) from None
    return event_rows


def _loaded_events(db: duckdb.DuckDBPyConnection, events: History | None) -> str | None:
    """A temporary table of a file of events; None where there is no such file."""
    if events is None or not (path := Path(str(events.events)).expanduser()).is_file():
        return None
    try:
        db.execute(f"create temp table mailvet_event_rows as from {table_function(db, path)}")
    except (duckdb.Error, SourceError) as error:
        raise SettingsError(f"history.events ({events.events}) cannot be used: {first_line(str(error))}.") from None
    return "temp.mailvet_event_rows"
