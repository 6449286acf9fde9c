"""
DuckDB: the warehouse of one machine, and the reader of files.

A table of a DuckDB database has its verdicts in the same database. A file (CSV, TSV, Parquet, JSON Lines, plain or
compressed) is read into a temporary table; its verdicts live in the store, another DuckDB file, so that a second run
over the same list asks only what is due.

Times are stored as TIMESTAMP in UTC: DuckDB's TIMESTAMP WITH TIME ZONE cannot be fetched from Python without a
further package.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet import ablation
from mailvet.errors import LockedError, SettingsError, SourceError
from mailvet.layers.history import EVENT_KINDS
from mailvet.lists import free_domains
from mailvet.verdict import Policy, Reason, email_key, recommendation_sql, verdict_schema
from mailvet.warehouse import output as output_files
from mailvet.warehouse.base import KNOWN_FOR, SILENT, Details, Plan, Standing, Summary
from mailvet.warehouse.dialects import WHITE_SPACE, DuckDB
from mailvet.warehouse.files import (
    FORMATS,
    INPUT,
    Loaded,
    first_line,
    format_of,
    is_database,
    literal,
    load,
    table_function,
    unique_names,
)
from mailvet.warehouse.planning import (
    LISTS,
    detailed,
    due_condition,
    falls_due,
    newest_events,
    rank,
    summarised,
    surely_fresh,
)
from mailvet.warehouse.signals import burst_sql, duplicates_sql, mailboxes_sql, numbered_sql, series_sql
from mailvet.warehouse.tables import Column, check_status_columns, choose_column, one_condition, spellings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBWarehouse", "open_database", "opening_failed"]

_TYPES = {
    "string": "VARCHAR", "int16": "SMALLINT", "int32": "INTEGER", "timestamp[us, tz=UTC]": "TIMESTAMP",
}  # fmt: skip
_ANSWER = (
    "email_key", "status", "reason", "recommendation", "score", "suggestion", "flags", "smtp_code", "smtp_reply",
    "depth", "attempts", "checked_at", "next_check_at", "rules_version",
)  # fmt: skip
"""What of a verdict can end up beside a contact or say when it is due."""
_STORED_AS = {"email_key": " using compression uncompressed", "email": " using compression uncompressed"}
"""No two rows are alike: to look for a way to make them smaller costs more than all the rest of saving."""
_RANK = rank("{}")
_SAY = DuckDB()
_DUE = "mailvet_due"
_STAGED = (
    "mailvet_texts",
    "mailvet_history",
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
_FOLDED = _SAY.fold("email")
_PLACE = '"mailvet\x1fplace"'  # a name that no column has
MEMORY = "500MB"
"""What DuckDB may use before it turns to the disk, so that a run of any size stays below 2 GB."""
_PART_ROWS = 20 * 122_880
"""Rows joined with the verdicts at once: twenty of DuckDB's row groups, a quarter of a gigabyte."""
_JOINED_ROWS = 3_200_000
"""Verdicts, as numbers, that are joined in memory: with their hash table a quarter of a gigabyte."""
_WRITTEN_ROWS = 10 * 122_880
"""Rows whose answers are joined and written at once."""


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
    if "lock" in text.lower():
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
    return SourceError(
        f"The database {path} cannot be opened{'' if read_only else ' for writing'}: {first_line(text)}. "
        "Check that the file and its folder may be written to."
    )


class DuckDBWarehouse:
    """
    One table or file and its verdicts. Build it with `of_table` or `of_file`.

    Not to be used from two threads at once, but for `interrupt`.
    """

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
        events: str | None = None,
        loaded: Loaded | None = None,
        is_view: bool = False,
        owned: bool = True,
    ) -> None:
        self._db = connection
        self._owned = owned
        self._has_cells = False
        self._due = _DUE
        self._stored_rows: int | None = None
        self._counts: list[tuple[Any, ...]] | None = None
        """What `summary` would find, where `write_back` has found it just now."""
        self.name = name
        self.path = path
        self.relation = relation
        self.column = column
        self._where = f"({where}\n)" if where else "true"  # the line break ends a comment in the condition
        self.narrowed = where is not None
        self._policy = policy
        self._prefix = prefix
        self._events = events
        self._loaded = loaded
        self._is_view = is_view
        self._cell = f"coalesce({_quote(column)}::varchar, '')"

    # ---------------------------------------------------------------- building

    @classmethod
    def of_table(
        cls,
        path: Path,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> DuckDBWarehouse:
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
                "table to a file and verify that with --output."
            )
        db = open_database(path, read_only=not writable)
        named: dict[str, Any] = {"where": where, "policy": policy, "prefix": prefix, "events": events}
        try:
            return cls._bound(db, path, table, column, updatable=updatable, owned=True, **named)
        except BaseException:
            db.close()
            raise

    @classmethod
    def of_connection(
        cls,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> DuckDBWarehouse:
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
        return cls._bound(connection, path, table, column, updatable=updatable, owned=False, **named)

    @classmethod
    def _bound(
        cls, db: duckdb.DuckDBPyConnection, path: Path, table: str, column: str | None, *, updatable: bool,
        owned: bool, where: str | None, **named: Any,
    ) -> DuckDBWarehouse:  # fmt: skip
        relation, is_view = _find_table(db, table, path)
        if is_view and updatable:
            raise SourceError(
                f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
                "--no-write-back and join mailvet_verdicts on email_key."
            )
        return cls(
            db, name=f"{table} in {path.name}", path=path, relation=relation,
            column=choose_column(_described(db, relation), column, table), where=_tried(db, relation, table, where),
            is_view=is_view, owned=owned, **named,
        )  # fmt: skip

    @classmethod
    def of_file(
        cls,
        path: Path,
        column: str | None,
        store: Path,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
        encoding: str = "utf-8",
        writable: bool = True,
    ) -> DuckDBWarehouse:
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
        db = open_database(store if writable or store.exists() else None, read_only=not writable and store.exists())
        try:
            loaded = load(db, path, encoding)
            found = choose_column(_described(db, INPUT), column, path.name, loaded.headers)
            return cls(
                db, name=path.name, path=path, relation=INPUT, column=found,
                where=_tried(db, INPUT, path.name, where), policy=policy, prefix=prefix, events=events, loaded=loaded,
            )  # fmt: skip
        except BaseException:
            db.close()
            raise

    @classmethod
    def of_store(cls, path: Path, *, read_only: bool) -> DuckDBWarehouse:
        """Only the verdicts of a database, without a source."""
        if not path.exists():
            raise SourceError(f"There is no database {path}: nothing has been verified there yet.")
        return cls(open_database(path, read_only=read_only), name=path.name, path=path)

    # ---------------------------------------------------------------- planning

    def plan(
        self,
        *,
        depth_rank: int,
        now: datetime,
        rules_version: str,
        listed: Mapping[str, Sequence[str]],
        among: Collection[Reason] | None = None,
        count_domains: bool = True,
    ) -> Plan:
        """See `Warehouse.plan`."""
        self._counts = None
        if self._events is not None:
            self._stage_history()
        self._stage_cells()
        has_lists = any(listed.get(name) for name in LISTS)
        if has_lists:
            self._stage_lists(listed)
        condition = due_condition(
            _SAY, depth_rank=depth_rank, now=now, rules_version=rules_version, events=self._events is not None,
            listed=has_lists, among=among,
        )  # fmt: skip
        fresh = surely_fresh(_SAY, depth_rank=depth_rank, now=now, rules_version=rules_version)
        self._stage_due(condition, fresh, has_lists, chosen=among is not None, mixed=depth_rank > 0)
        self._db.execute("drop table if exists temp.mailvet_signals")
        rows, blank, addresses, blanks = self._one(
            "select coalesce(sum(repeats), 0)::bigint, coalesce(sum(repeats) filter (blank), 0)::bigint, "
            f"count(*) filter (not blank), count(*) filter (blank) from (select repeats, {_is_blank('email')} as blank "
            "from mailvet_texts)"
        )
        due, blank_due = addresses, blanks
        if self._due == _DUE:
            due, blank_due = self._one(
                f"select count(*) filter (folded <> ''), count(*) filter (folded = '') from {self._due_cells()}"
            )
        domains: list[tuple[str, int]] = []
        if count_domains:
            domains = self._rows(
                f"select split_part(folded, '@', -1), count(*) from {self._due_cells()} where contains(folded, '@') "
                "group by 1 order by 2 desc, 1"
            )
        return Plan(rows, blank, addresses, due, tuple(domains), blank_due)

    def _stage_cells(self) -> None:
        """
        The distinct texts of the column: `mailvet_cells`. Only the texts are kept; keys of 64 characters, which cost
        little to compute, would take three times their room.
        """
        self._db.execute("create or replace temp table mailvet_texts (email varchar, repeats bigint)")
        try:
            for part in self._shares(_PART_ROWS, '"mailvet cell"'):
                self._db.execute(
                    f'insert into mailvet_texts select "mailvet cell", count(*) from (select {self._cell} as '
                    f'"mailvet cell" from {self.relation} where {self._where}) where {part} group by 1'
                )
        except duckdb.Error as error:
            raise SourceError(
                f"{self.name} cannot be read{' with this --where' if self.narrowed else ''}: {first_line(str(error))}."
            ) from None
        self._db.execute(
            f"create or replace temp view mailvet_cells as select email, sha256(email) as email_key, "
            f"{_FOLDED} as folded, repeats from mailvet_texts"
        )
        self._has_cells = True

    def _due_cells(self) -> str:
        return f"(select *, sha256(email) as email_key, {_FOLDED} as folded from {self._due})"

    def _need_cells(self) -> None:
        """For what is asked after a run that had nothing to plan."""
        if not self._has_cells:
            self._stage_cells()

    def _shares(self, size: int, text: str) -> list[str]:
        """Conditions that share out texts among parts of about so many rows of the source, at random."""
        (rows,) = self._one(f"select count(*) from {self.relation}")
        count = -(-rows // size) or 1
        return [f"hash({text}) % {count} = {number}" for number in range(count)] if count > 1 else ["true"]

    def _stage_history(self) -> None:
        """The newest event of each kind by address: `mailvet_history`."""
        source = "(select '' as email, '' as event, null::timestamp as occurred_at where false)"
        try:
            if self._events is not None:
                path = Path(self._events).expanduser()
                if path.is_file():
                    source = table_function(self._db, path)
                else:
                    source = _find_table(self._db, self._events, None)[0]
            self._db.execute(
                f"create or replace temp table mailvet_history as "
                f"select lower(trim(email, {literal(WHITE_SPACE)})) as recipient, {newest_events('occurred_at')} "
                f"from (select email, event, occurred_at::timestamp as occurred_at from {source}) group by 1"
            )
        except SourceError as error:
            raise SettingsError(
                f"history.events ({self._events}) is neither a file nor a table beside the verdicts. {error}"
            ) from None
        except duckdb.Error as error:
            raise SettingsError(
                f"history.events ({self._events}) cannot be used: {first_line(str(error))}. It needs the columns "
                "email, event and occurred_at (UTC)."
            ) from None

    def _stage_lists(self, listed: Mapping[str, Sequence[str]]) -> None:
        """Which of the user's own lists each address is on, by itself, its domain or one above: `mailvet_on_lists`."""
        db = self._db
        db.execute("create or replace temp table mailvet_listed (list varchar, entry varchar)")
        for name in LISTS:
            if listed.get(name):
                db.execute("insert into mailvet_listed select $1, unnest($2::varchar[])", [name, list(listed[name])])
        flags = ", ".join(f"bool_or(list = '{name}')::integer as on_{name}" for name in LISTS)
        db.execute(
            f"""
            create or replace temp table mailvet_on_lists as
            with domains as (
                select distinct split_part(folded, '@', -1) as domain from mailvet_cells
                where contains(folded, '@') and exists (from mailvet_listed)
            ), above as (
                select domain, array_to_string(labels[place:], '.') as entry
                from (select domain, string_split(domain, '.') as labels from domains where length(domain) < 256),
                     unnest(range(1, len(labels) + 1)) as places(place)
            )
            select folded, {flags} from (
                select folded, list from mailvet_cells join mailvet_listed on entry = folded
                union all
                select folded, list from mailvet_cells
                join (select domain, list from above join mailvet_listed using (entry)) as found
                  on found.domain = split_part(folded, '@', -1)
            ) group by folded
            """
        )

    def _stage_due(self, condition: str, fresh: str, has_lists: bool, *, chosen: bool, mixed: bool) -> None:
        """
        What has to be verified: `mailvet_due`, or all texts there are.

        Args:
            fresh: what is not due for sure, as of `surely_fresh`.
            chosen: by the reason of their verdicts.
            mixed: spellings of one address next to each other, and addresses in no order, as mail servers are asked.
        """
        verdicts = "mailvet_verdicts" if self._has("mailvet_verdicts") else _NO_VERDICTS
        columns = {"email": "c.email"}
        if self._rows(f"select 1 from {verdicts} limit 1"):
            columns |= {"previous_reason": "v.reason", "previous_attempts": "coalesce(v.attempts, 0)"}
        else:  # everything is due, and nothing has to be joined to find that out
            verdicts = _NO_VERDICTS
        self._due = _DUE
        if verdicts is _NO_VERDICTS and not chosen and not mixed and self._events is None:
            self._due = "(select email, rowid from mailvet_texts)"
            return
        cells = "mailvet_cells"
        mostly_fresh = f"select coalesce(count(*) filter ({fresh}) * 2 > count(*), false) from {verdicts}"
        if verdicts is not _NO_VERDICTS and self._one(mostly_fresh)[0]:
            self._stage_open(fresh)
            cells = "mailvet_open"
        joined = f"{cells} c left join {verdicts} v using (email_key)"
        if self._events is not None:
            columns |= {name: f"h.{name}" for name in EVENT_KINDS}
            joined += " left join mailvet_history h on h.recipient = c.folded"
        if has_lists:
            joined += " left join mailvet_on_lists l on l.folded = c.folded"
        selected = ", ".join(f"{value} as {name}" for name, value in columns.items())
        order = "order by hash(c.folded), c.email" if mixed else ""
        self._db.execute(f"create or replace temp table mailvet_due as select {selected} from {joined} where false")
        for part in self._shares(_PART_ROWS, "c.folded") if cells == "mailvet_cells" else ("true",):
            self._db.execute(
                f"insert into mailvet_due select {selected} from {joined} where {part} and ({condition}) {order}"
            )

    def _stage_open(self, fresh: str) -> None:
        """
        The cells whose verdict is not fresh for sure: `mailvet_open`. On a list that is verified day by day they are
        few, so the others are told from them by numbers.
        """
        self._stage_numbers("rowid", "email", "mailvet_texts")
        self._db.execute("create or replace temp table mailvet_fresh (place bigint)")
        for part in self._join_parts():
            self._db.execute(
                f"insert into mailvet_fresh select place from (from mailvet_numbers where {part}) semi join "
                f"(select {_numbers('email_key')} from mailvet_verdicts where {fresh} and {part}) using (first, second)"
            )
        news = f" or {_FOLDED} in (select recipient from mailvet_history)" if self._events is not None else ""
        self._db.execute(
            f"create or replace temp table mailvet_open as select email, sha256(email) as email_key, {_FOLDED} as "
            f"folded from mailvet_texts where rowid not in (select place from mailvet_fresh){news}"
        )
        self._drop("numbers", "fresh")

    def _stage_numbers(self, place: str, cell: str, rows: str) -> None:
        """The keys of cells as numbers, and whether they are blank: `mailvet_numbers`."""
        self._db.execute(
            f"create or replace temp table mailvet_numbers as select {place} as place, {_numbers(f'sha256({cell})')}, "
            f"{_is_blank(cell)} as blank from {rows}"
        )

    def _join_parts(self) -> list[str]:
        """
        Conditions that part `mailvet_numbers` and the verdicts alike, so that each part is joined in memory: a join
        that turns to the disk takes twice the time.
        """
        count = -(-self._count_stored() // _JOINED_ROWS) or 1
        return [f"first % {count} = {number}" for number in range(count)]

    def find_signals(self, *, signed_up: str | None, burst_window: timedelta) -> None:
        """See `TableSignals.find_signals`."""
        db = self._db
        due, cells = self._one(f"select (select count(*) from {self._due}), (select count(*) from mailvet_texts)")
        if not due:
            return
        only = self._due_cells() if due < cells else None
        db.execute("create or replace temp table mailvet_free (domain varchar)")
        db.execute("insert into mailvet_free select unnest($1::varchar[])", [sorted(free_domains())])
        # Numbers first: of the texts, only the few are taken up that can have a signal at all.
        texts = f"(select rowid as place, email, {_FOLDED} as folded from mailvet_texts)"
        db.execute(f"create or replace temp table mailvet_mailboxes as {mailboxes_sql(texts, _SAY)}")
        several = (
            "select place from mailvet_mailboxes where mailbox in (select mailbox from mailvet_mailboxes "
            "where mailbox in (select mailbox from mailvet_mailboxes where odd) group by 1 having count(*) > 1)"
        )
        # Materialized, or else everything is asked of all texts before the digit is.
        with_digit = (
            "(with numbered as materialized (select rowid as place, email from mailvet_texts where "
            f"{_SAY.has_digit_before_at('email')}) select place, {_FOLDED} as folded from numbered)"
        )
        for name, places in (("doubles", several), ("numbered", numbered_sql(with_digit, _SAY, free=_FREE))):
            db.execute(
                f"create or replace temp table mailvet_{name} as select email, sha256(email) as email_key, "
                f"{_FOLDED} as folded from mailvet_texts where rowid in ({places})"
            )
        db.execute("drop table temp.mailvet_mailboxes")
        series = series_sql("mailvet_numbered", _SAY, due=only, free=_FREE, everybody="mailvet_cells")
        found = [
            f"select email_key, series_size, false as burst, null as duplicate_of from ({series})",
            f"select email_key, 0, false, duplicate_of from ({duplicates_sql('mailvet_doubles', _SAY)})",
        ]
        if signed_up is not None:
            signups = self._signups(signed_up)
            bursts = burst_sql(signups, _SAY, due=only, free=_FREE, window=burst_window)
            found.append(f"select sha256(cell), 0, true, null from ({bursts})")
        # The few rows with a signal, to be joined as the due ones are read.
        db.execute(
            "create or replace temp table mailvet_signals as select email_key, max(series_size)::integer as "
            f"series_size, bool_or(burst) as burst, max(duplicate_of)::varchar as duplicate_of "
            f"from ({' union all '.join(found)}) group by 1"
        )
        self._drop("doubles", "numbered")

    def _signups(self, signed_up: str) -> str:
        """The sign-ups of the source, as a query in brackets: email, folded, signed_up."""
        described = {str(row[0]): str(row[1]) for row in self._rows(f"describe {self.relation}")}
        name = next((name for name in described if name.lower() == signed_up.lower()), None)
        if name is None:
            raise SettingsError(
                f"suspicion.signed_up: there is no column {signed_up} in {self.name}; it has: {', '.join(described)}."
            )
        kind = described[name]
        time = f"{_quote(name)}::timestamp" if kind.startswith("TIMESTAMP_") else _quote(name)
        if kind == "VARCHAR":  # as a file without types brings it
            time = f"try_cast({_quote(name)} as timestamp)"
        holds_times, filled = (
            self._one(f"select count({time}), count({_quote(name)}) from {self.relation} where {self._where}")
            if kind.startswith(("VARCHAR", "TIMESTAMP", "DATE"))
            else (0, 1)
        )
        if filled and not holds_times:
            raise SettingsError(
                f"suspicion.signed_up: the column {name} of {self.name} ({kind}) holds no dates or times. Name the "
                "column with the time of each sign-up, or leave the setting out."
            )
        return (
            f"(select email as cell, {_FOLDED} as folded, signed_up "
            f"from (select {self._cell} as email, {time} as signed_up from {self.relation} where {self._where}))"
        )

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.due`. Spellings of one address (case, white space) stand next to each other."""
        (count,) = self._one(f"select count(*) from {self._due}")
        signals, joined = ", 0 as series_size, false as burst, null::varchar as duplicate_of", ""
        if self._rows("select 1 from duckdb_tables() where table_name = 'mailvet_signals' and temporary"):
            signals = ", coalesce(s.series_size, 0) as series_size, coalesce(s.burst, false) as burst, s.duplicate_of"
            joined = "left join mailvet_signals s using (email_key)"
        for start in range(0, count, batch_rows):
            yield self._arrow(
                f"select d.* exclude (place){signals} from (select *, sha256(email) as email_key, rowid as place "
                f"from {self._due} where rowid >= {start} and rowid < {start + batch_rows}) d {joined} order by d.place"
            )

    def asked_today(self, now: datetime) -> dict[str, int]:
        """See `Warehouse.asked_today`."""
        if not self._has("mailvet_verdicts"):
            return {}
        return dict(
            self._rows(
                "select operator, count(*) from mailvet_verdicts where smtp_code is not null and operator is not null "
                "and checked_at >= date_trunc('day', $1::timestamp) group by 1",
                [_naive(now)],
            )
        )

    def looks_numeric(self) -> bool:
        """See `Warehouse.looks_numeric`."""
        filled = "from mailvet_cells where folded <> ''"
        return bool(self._rows(f"select 1 {filled} limit 1")) and not self._rows(
            f"select 1 {filled} and try_cast(folded as double) is null limit 1"
        )

    # ---------------------------------------------------------------- verdicts

    def open_for_writing(self) -> None:
        """See `Warehouse.open_for_writing`."""
        columns = ",\n  ".join(
            f"{field.name} {_TYPES[str(field.type)]}{_STORED_AS.get(field.name, '')}"
            + ("" if field.nullable else " not null")
            for field in verdict_schema()
        )
        with _writing(self.path):
            self._db.execute(f"create table if not exists mailvet_verdicts (\n  {columns}\n)")
            for statement in (_RUNS, *_RUNS_GREW):
                self._db.execute(statement)

    def save(self, verdicts: pa.Table) -> None:
        """
        See `Warehouse.save`. Old rows are deleted and new ones appended: an update in an order that is not the table's
        would cost a hundred times as much, and so would an index on keys of 64 characters, which a database with one
        writer can do without.
        """
        silent = ", ".join(literal(reason) for reason in SILENT)
        known = (
            f"b.reason in ({silent}) and v.status <> 'unknown' "
            f"and b.checked_at < v.checked_at + interval {KNOWN_FOR.days} days"
        )
        # How deep we asked and when to ask again go by the newest answer that went as deep.
        kept = (
            "select v.* replace (b.depth as depth, b.next_check_at as next_check_at), "
            f"{_RANK.format('b.depth')} >= {_RANK.format('v.depth')} as deep_enough "
            f"from mailvet_batch b join mailvet_verdicts v using (email_key) where {known}"
        )
        self._note_stored()
        stored = "select h from mailvet_stored where h in (select hash(email_key) from mailvet_batch)"
        with self._batch(verdicts):
            if self._rows(f"{stored} limit 1"):
                self._db.execute(f"create or replace temp table mailvet_kept as {kept}")
                self._db.execute(
                    "delete from mailvet_verdicts where email_key in (select email_key from mailvet_batch) "
                    "and email_key not in (select email_key from mailvet_kept where not deep_enough)"
                )
                self._db.execute(
                    "insert into mailvet_verdicts by name select * from mailvet_batch "
                    "where email_key not in (select email_key from mailvet_kept) "
                    "union all by name select * exclude (deep_enough) from mailvet_kept where deep_enough"
                )
                self._db.execute(
                    "insert into mailvet_stored select hash(email_key) as h from mailvet_batch "
                    f"where h not in ({stored})"
                )
            else:
                self._db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")
                self._db.execute("insert into mailvet_stored select hash(email_key) from mailvet_batch")
        self._stored_rows = self._count_stored()

    def _note_stored(self) -> None:
        """
        The keys of all verdicts as numbers of 64 bits: `mailvet_stored`. Most batches of a run hold nothing that is
        stored already, and this tells it without reading keys of 64 characters through and through.
        """
        count = self._count_stored()
        if self._stored_rows != count:
            self._db.execute(
                "create or replace temp table mailvet_stored as select hash(email_key) as h from mailvet_verdicts"
            )
            self._stored_rows = count

    def _count_stored(self) -> int:
        return int(self._one("select count(*) from mailvet_verdicts")[0])

    @contextlib.contextmanager
    def _batch(self, verdicts: pa.Table) -> Iterator[None]:
        """Verdicts as `mailvet_batch`, and a transaction around what is done with them."""
        db = self._db
        self._counts = None
        db.register("mailvet_batch", _without_zone(verdicts))
        try:
            with _writing(self.path):
                db.execute("begin")
                try:
                    yield
                    db.execute("commit")
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        db.execute("rollback")
                    raise
        finally:
            db.unregister("mailvet_batch")

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.replies`."""
        last = ""
        while self._has("mailvet_verdicts"):
            batch = _with_zone(
                self._arrow(
                    "select * from mailvet_verdicts where smtp_code >= 400 and smtp_reply is not null "
                    f"and email_key > {literal(last)} order by email_key limit {batch_rows}"
                )
            )
            if not batch.num_rows:
                return
            yield batch
            last = batch["email_key"][-1].as_py()

    def revise(self, verdicts: pa.Table) -> None:
        """See `Warehouse.revise`."""
        self._stored_rows = None
        with self._batch(verdicts):
            self._db.execute("delete from mailvet_verdicts where email_key in (select email_key from mailvet_batch)")
            self._db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")

    def fingerprint(self, context: str, now: datetime) -> str | None:
        """See `Recognising.fingerprint`: two sums of 64 bits over the rows of either table, in any order."""
        if not self._has("mailvet_verdicts"):
            return None
        columns = {name.lower(): name for name in _columns(self._db, self.relation)}
        written = [columns[own] for own in ((self._prefix + name).lower() for name in _ANSWER) if own in columns]
        sums = "select count(*), sum(h)::varchar, bit_xor(hash(h, 1)) from (select hash({}) as h from {})"
        source = sums.format(", ".join([self._cell, *map(_quote, written)]), f"{self.relation} where {self._where}")
        verdicts = sums.format(", ".join(_ANSWER), "mailvet_verdicts")
        if self._rows("select 1 from mailvet_verdicts where next_check_at <= $1 limit 1", [_naive(now)]):
            return None
        state = [context, self.relation, self.column, self._where, duckdb.__version__, written]
        state += [str(self._rows(query)) for query in (source, verdicts)]
        return email_key(json.dumps(state))

    def last_outcome(self, fingerprint: str) -> str | None:
        """See `Recognising.last_outcome`."""
        grown = "select 1 from duckdb_columns() where table_name = 'mailvet_runs' and column_name = 'fingerprint'"
        if not self._rows(grown):
            return None
        found = self._rows(
            "select outcome from mailvet_runs where fingerprint = $1 order by started_at desc limit 1", [fingerprint]
        )
        return found[0][0] if found else None

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `Warehouse.save_run`."""
        values = {
            name: json.dumps(value)
            if isinstance(value, dict)
            else _naive(value)
            if isinstance(value, datetime)
            else value
            for name, value in run.items()
        }
        places = ", ".join("$" + name for name in values)
        with _writing(self.path):
            self._db.execute(f"insert or replace into mailvet_runs ({', '.join(values)}) values ({places})", values)

    def forget_before(self, day: datetime) -> int:
        """See `Warehouse.forget_before`."""
        self._stored_rows = self._counts = None
        with _writing(self.path):
            return int(self._one("delete from mailvet_verdicts where checked_at < $1", [_naive(day)])[0])

    # ---------------------------------------------------------------- results

    def apply_policy(self) -> int:
        """See `Warehouse.apply_policy`."""
        self._need_cells()
        self._counts = None
        advice = recommendation_sql(self._policy, reason="reason", score="score", attempts="attempts")
        with _writing(self.path):
            return int(
                self._one(
                    f"update mailvet_verdicts set recommendation = {advice} where recommendation <> {advice} "
                    "and email_key in (select email_key from mailvet_cells)"
                )[0]
            )

    def _verdicts(self, columns: Sequence[str], *, also: str | None = None) -> str:
        """The verdict table under names that no condition of the user's can mean, and what is `also` selected."""
        advice = recommendation_sql(self._policy, reason="reason", score="score", attempts="attempts")
        values = {"recommendation": f"({advice})", "suggestion": _harmless("suggestion")}
        selected = ['email_key as "mailvet verdict key"', *([also] if also else [])]
        selected += [f'{values.get(name, name)} as "mailvet verdict {name}"' for name in columns]
        return f'(select {", ".join(selected)} from mailvet_verdicts) as "mailvet verdict"'

    def write_back(self, columns: Sequence[str]) -> int:
        """See `Warehouse.write_back`. Matches on the key of the text as it is now, so an edited row is left alone."""
        db = self._db
        names = {_quote(self._prefix + column): f'"mailvet verdict {column}"' for column in columns}
        sets = ", ".join(f"{name} = {value}" for name, value in names.items())
        changed = " or ".join(f"{name} is distinct from {value}" for name, value in names.items())
        count = 0
        db.execute("begin")
        try:
            for name, column in zip(names, columns, strict=True):
                kind = _TYPES[str(verdict_schema().field(column).type)]
                db.execute(f"alter table {self.relation} add column if not exists {name} {kind}")
            answer = self._stage_answers(columns)
            self._match(columns, answer)
            self._counts = self._count_matched()
            if self._numbers_rows():
                for part in self._parts():
                    count += self._one(
                        f"update {self.relation} set {sets} from (select place, answer from mailvet_matched where "
                        f"{part}) join mailvet_answers using (answer) where place = {self.relation}.rowid "
                        f"and ({changed})"
                    )[0]
            else:
                answers = self._verdicts(columns)
                matched = f'"mailvet verdict key" = sha256({self._cell}) and ({changed}) and {self._where}'
                (count,) = self._one(f"update {self.relation} set {sets} from {answers} where {matched}")
            self._drop("numbers", "matched", "answers")
            db.execute("commit")
        except duckdb.Error as error:
            self._counts = None
            with contextlib.suppress(duckdb.Error):
                db.execute("rollback")
            raise SourceError(
                f"The status columns could not be written to {self.name}: {first_line(str(error))}. The table is "
                "unchanged; the verdicts are saved in mailvet_verdicts."
            ) from None
        return count

    def _numbers_rows(self) -> bool:
        """Whether `rowid` means DuckDB's number of a row; views have none, and a table may have such a column."""
        return not self._is_view and "rowid" not in map(str.lower, _columns(self._db, self.relation))

    def _parts(self) -> list[str]:
        """Conditions on `place` that cut the rows of the source into parts whose answers fit into a little memory."""
        (rows,) = self._one(f"select count(*) from {self.relation}")
        starts = range(0, max(1, rows), _WRITTEN_ROWS)
        # Numbers have gaps where rows were deleted, so the last part has no end.
        ends = [f"place < {start + _WRITTEN_ROWS}" for start in starts[:-1]] + ["true"]
        return [f"place >= {start} and {end}" for start, end in zip(starts, ends, strict=True)]

    def _stage_answers(self, columns: Sequence[str]) -> str:
        """
        What these columns of the verdicts say, which is the same for thousands of them: `mailvet_answers`.

        Returns:
            The expression of `answer`, their number, over `_verdicts(columns)`.
        """
        said = ", ".join(f'"mailvet verdict {column}"' for column in columns)
        salt = 0
        while True:
            answer = f"hash({salt}, {said})"
            self._db.execute(
                f"create or replace temp table mailvet_answers as select distinct {answer} as answer, {said} "
                f"from {self._verdicts(columns)}"
            )
            if self._one("select count(*) = count(distinct answer) from mailvet_answers")[0]:
                return answer
            salt += 1

    def _match(self, columns: Sequence[str] = (), answer: str = "0") -> None:
        """
        Which verdict belongs to which row of the source as it is now: `mailvet_matched`. All of it are numbers, so that
        it stays small, and the rows can be updated in their own order: any other costs far more.
        """
        place = "rowid" if self._numbers_rows() else "null::bigint"
        self._stage_numbers(place, self._cell, f"{self.relation} where {self._where}")
        self._db.execute(
            "create or replace temp table mailvet_matched (place bigint, verdict bigint, answer ubigint, blank boolean)"
        )
        for part in self._join_parts():
            self._db.execute(
                f"""
                insert into mailvet_matched select place, verdict, answer, blank
                from (from mailvet_numbers where {part}) join (
                    select verdict, {_numbers('"mailvet verdict key"')}, {answer} as answer
                    from {self._verdicts(columns, also="rowid as verdict")} where {part}
                ) using (first, second)
                """
            )

    def _count_matched(self) -> list[tuple[Any, ...]]:
        """The groups of `summarised`, from `mailvet_matched`; in parts, as all the verdicts would take much room."""
        columns = ("status", "reason", "recommendation", "score", "evidence", "flags")
        found = ablation.evidence_sql('"mailvet verdict evidence"', '"mailvet verdict flags"', _SAY.position)
        groups: list[tuple[Any, ...]] = []
        (verdicts,) = self._one("select coalesce(max(verdict) + 1, 0) from mailvet_matched")
        for start in range(0, verdicts, _PART_ROWS):
            part = f"verdict >= {start} and verdict < {start + _PART_ROWS}"
            groups += self._rows(
                f"""
                select status, reason, advice, blank, on_lists, in_history, suspect, count(*), sum(repeats),
                       sum(repeats * bounce), sum(repeats * repeats * bounce * (100 - bounce))
                from (
                    select verdict, any_value(blank) as blank, count(*) as repeats from mailvet_matched where {part}
                    group by verdict
                )
                join (
                    select verdict, "mailvet verdict status" as status, "mailvet verdict reason" as reason,
                           "mailvet verdict recommendation" as advice, {found[0]} as on_lists, {found[1]} as in_history,
                           {found[2]} as suspect, 100 - "mailvet verdict score" as bounce
                    from {self._verdicts(columns, also="rowid as verdict")} where {part}
                ) using (verdict)
                group by all
                """
            )
        for blank, rows in self._rows("select blank, count(*) from mailvet_numbers group by 1"):
            known = sum(int(group[8]) for group in groups if group[3] == blank)
            groups.append((None, None, None, blank, 0, 0, 0, 0, rows - known, 0, 0))
        return groups

    def summary(self) -> Summary:
        """See `Warehouse.summary`."""
        if self._counts is None:
            if self._has("mailvet_verdicts"):
                self._match()
                self._counts = self._count_matched()
                self._drop("numbers", "matched")
            else:
                blank = _is_blank(self._cell)
                self._counts = [
                    (None, None, None, is_blank, 0, 0, 0, 0, rows, 0, 0)
                    for is_blank, rows in self._rows(
                        f"select {blank}, count(*) from {self.relation} where {self._where} group by 1"
                    )
                ]
        counts, self._counts = self._counts, None
        return summarised(counts)

    def check_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.check_write_back`."""
        check_status_columns(_described(self._db, self.relation), columns, self._prefix, self.name)

    def standing(self, *, stale_before: datetime | None = None) -> list[Standing]:
        """See `Warehouse.standing`."""
        self._need_cells()
        names = ("status", "reason", "recommendation", "score", "checked_at")
        said = ", ".join(f'"mailvet verdict {name}"' for name in names[:4])
        verdicts = self._verdicts(names)
        if not self._has("mailvet_verdicts"):
            nothing = ", ".join(f'null as "mailvet verdict {name}"' for name in names)
            verdicts = f'(select null as "mailvet verdict key", {nothing}) as "mailvet verdict"'
        rows = self._rows(
            f"""
            select {said}, coalesce("mailvet verdict checked_at"::timestamp < $before, false) as stale, folded = '',
                   sum(repeats)::bigint
            from mailvet_cells left join {verdicts} on "mailvet verdict key" = email_key group by all
            """,
            {"before": _naive(stale_before) if stale_before else None},
        )
        return [Standing(*row) for row in rows]

    def export_tables(
        self,
        names: Mapping[str, str],
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        replace: bool = False,
    ) -> None:
        """See `Warehouse.export_tables`."""
        self.check_keys(key_columns, unique=False)
        own = {(self._prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in _columns(self._db, self.relation) if name.lower() not in own]
        fields = [_quote(name) for name in kept]
        fields += [f'"mailvet verdict {column}" as {_quote(self._prefix + column)}' for column in columns]
        rows = (
            f"(select * from {self.relation} where {self._where}) as rows_kept "
            f"join {self._verdicts(list(dict.fromkeys([*columns, 'recommendation'])))} "
            f'on "mailvet verdict key" = sha256({self._cell})'
        )
        self._db.execute("begin")
        try:
            for word, name in names.items():
                if replace:
                    self._db.execute(f"drop table if exists {_quote(name)}")
                self._db.execute(
                    f"create table {_quote(name)} as select {', '.join(fields)} from {rows} "
                    f'where "mailvet verdict recommendation" = {literal(word)}'
                )
            self._db.execute("commit")
        except duckdb.Error as error:
            with contextlib.suppress(duckdb.Error):
                self._db.execute("rollback")
            raise SourceError(
                f"The lists of {self.name} could not be written: {first_line(str(error))}. No table was changed."
            ) from None

    def pending(self) -> tuple[int, datetime | None]:
        """See `Warehouse.pending`."""
        self._need_cells()
        if not self._has("mailvet_verdicts"):
            return 0, None
        count, moment = self._one(
            "select count(*), min(next_check_at) from mailvet_cells join mailvet_verdicts using (email_key) "
            "where reason = 'greylisted' and next_check_at is not null"
        )
        return count, moment and moment.replace(tzinfo=timezone.utc)

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `Warehouse.save_shards`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `Warehouse.keep_shard`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))

    def prepare_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.prepare_write_back`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `Warehouse.check_keys`."""
        present = _columns(self._db, self.relation)
        missing = [name for name in columns if name not in present]
        if missing:
            raise SourceError(f"There is no column {missing[0]} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(_quote, columns))
            if self._rows(f"select 1 from {self.relation} group by {keys} having count(*) > 1 limit 1"):
                raise SourceError(
                    f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                    "identify a row. Name a unique key."
                )

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `Detailed.details`."""
        self._need_cells()
        last_run = None
        if self._has("mailvet_runs"):
            found = self._db.execute(
                "select * from mailvet_runs where source = $1 and finished_at is not null "
                "order by started_at desc limit 1",
                [self.name],
            )
            names = [column[0] for column in found.description or ()]
            last_run = next((dict(zip(names, row, strict=True)) for row in found.fetchall()), None)
        if not self._has("mailvet_verdicts"):
            return Details(last_run=last_run)
        verdicts = "(select * from mailvet_cells join mailvet_verdicts using (email_key) where folded <> '')"
        operators = self._rows(
            f"select operator, status, count(*) from {verdicts} where operator is not null group by 1, 2"
        )
        due = self._rows(f"select {falls_due(_SAY, now)}, count(*) from {verdicts} group by 1")
        return detailed(operators, due, self._sources(by) if by is not None else (), last_run)

    def _sources(self, column: str) -> list[tuple[Any, ...]]:
        present = _columns(self._db, self.relation)
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {self.name}; there are: {', '.join(present)}.")
        return self._rows(
            f"""
            select coalesce({_quote(name)}::varchar, ''), "mailvet verdict recommendation", count(*),
                   sum(100 - "mailvet verdict score")
            from {self.relation}
            join {self._verdicts(("recommendation", "score"))} on "mailvet verdict key" = sha256({self._cell})
            where {self._where} and trim({self._cell}, {literal(WHITE_SPACE)}) <> '' group by 1, 2
            """
        )

    def check_output(self, output: Path, key_columns: Sequence[str] = ()) -> None:
        """See `Warehouse.check_output`."""
        output_files.check(output)
        if (self.narrowed or key_columns) and output.exists() and output.samefile(self.path):
            raise SettingsError(
                f"--output {output.name} is the input itself, and with --where or --key-column rows or columns of it "
                "would be lost. Choose another name."
            )
        kept = _columns(self._db, self.relation)
        for name in key_columns:
            if name not in kept:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(kept)}.")

    def export(
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
        parts: Sequence[str] = (),
        others: bool = True,
    ) -> list[Path]:
        """See `Warehouse.export`; the order of the rows is kept."""
        self.check_output(output, key_columns)
        present = _columns(self._db, self.relation)
        headers = dict(zip(present, self._loaded.headers if self._loaded else present, strict=True))
        # On a list verified before, our old columns make way for the new ones.
        own = {(self._prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in present if name.lower() not in own]
        place = "rowid" if self._numbers_rows() else "row_number() over ()"
        fields = [(headers[name], _quote(name)) for name in kept]
        for column in columns:
            value = f'"mailvet verdict {column}"'
            is_text = str(verdict_schema().field(column).type) == "string"
            fields.append((self._prefix + column, output_files.unarmed(value) if is_text else value))
        read = list(dict.fromkeys([*columns, *([split_by] if split_by else [])]))
        rows = (
            f"(select *, {place} as {_PLACE} from {self.relation} where {self._where}) as rows_kept "
            f'left join {self._verdicts(read)} on "mailvet verdict key" = sha256({self._cell})'
        )
        conditions = {output: "true"}
        if split_by is not None:
            part = f'"mailvet verdict {split_by}"'
            found = [word for (word,) in self._rows(f"select distinct {part} from {rows}")] if others else []
            conditions = {
                path: f"{part} is null" if word is None else f"{part} = {literal(word)}"
                for word, path in output_files.part_names(output, found, parts).items()
            }
        queries = {path: self._output(path, f"{rows} where {test}", fields) for path, test in conditions.items()}
        # Lists of people stay as private as the file they come from.
        mode = self.path.stat().st_mode if self.path.exists() else 0o600
        return output_files.publish(self._db, queries, mode)

    def _output(self, output: Path, rows: str, fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """The query of one file and the options of `COPY`."""
        names = output_files.quoted_names([name for name, _ in fields])
        values = ", ".join(f"{value} as {name}" for name, (_, value) in zip(names, fields, strict=True))
        query = f"select {values} from {rows} order by {_PLACE}"
        delimiter = self._loaded.delimiter if self._loaded and self._loaded.delimiter in (";", "|") else ","
        headers = [name for name, _ in fields]
        is_csv = (format_of(output) or ("", None))[0] == "csv"
        header = not is_csv or headers == unique_names(headers)
        if not header:  # blank and repeated names, which SQL does not know, become a first row
            texts = ", ".join(f"{value}::varchar as c{number}" for number, (_, value) in enumerate(fields))
            first = ", ".join(f"{literal(name)} as c{number}" for number, name in enumerate(headers))
            query = (
                f"select * exclude (place) from (select {first}, -1 as place union all "
                f"select {texts}, {_PLACE} as place from {rows}) order by place"
            )
        return query, output_files.copy_options(output, header=header, delimiter=delimiter)

    # ---------------------------------------------------------------- one address

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `Warehouse.stored`."""
        if not self._has("mailvet_verdicts"):
            return None
        rows = _with_zone(
            self._arrow(
                f"select * from mailvet_verdicts where email_key = sha256($text) "
                f"or lower(trim(email, {literal(WHITE_SPACE)})) = $folded "
                "order by email_key <> sha256($text), checked_at desc limit 1",
                {"text": address, "folded": address.strip().lower()},
            )
        )
        return rows.to_pylist()[0] if rows.num_rows else None

    def forget(self, address: str) -> int:
        """See `Warehouse.forget`."""
        if not self._has("mailvet_verdicts"):
            return 0
        folded = address.strip().lower()
        inside = rf"(^|[^\w.!#$%&'*+/=?^`{{|}}~-]){re.escape(folded)}($|[^\w.-]|\.([^\w-]|$))"
        self._stored_rows = self._counts = None
        with _writing(self.path):
            (count,) = self._one(
                "delete from mailvet_verdicts where list_contains($keys, email_key) "
                "or regexp_matches(lower(email), $inside) or lower(suggestion) = $folded",
                {"keys": [email_key(text) for text in spellings(address)], "inside": inside, "folded": folded},
            )
            self._db.execute("checkpoint")  # out of the write-ahead log as well
        return int(count)

    # ---------------------------------------------------------------- small things

    def interrupt(self) -> None:
        """See `Warehouse.interrupt`."""
        self._db.interrupt()

    def close(self) -> None:
        """See `Warehouse.close`."""
        if self._owned:
            self._db.close()
            return
        for table in _STAGED:
            self._db.execute(f"drop table if exists temp.{table}")

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


_ONE_WRITER = (
    "{name} lies in a DuckDB file, which has one writer at a time, so it is never verified in shards: let one task "
    "verify it, or move the table to PostgreSQL."
)


_NO_VERDICTS = (
    "(select null::varchar as email_key, null::varchar as reason, null::varchar as depth, 0 as attempts, "
    "null::timestamp as next_check_at, null::timestamp as checked_at, null::varchar as rules_version, "
    "null::varchar as flags, null::varchar as evidence where false)"
)

_RUNS = """
create table if not exists mailvet_runs (
  run_id varchar primary key, source varchar, started_at timestamp, finished_at timestamp, depth varchar,
  policy varchar, rows bigint, addresses bigint, due bigint, checked bigint, written bigint, by_status varchar,
  by_reason varchar, by_recommendation varchar, by_operator varchar, probes bigint, lookups bigint, seconds double,
  health varchar, mailvet_version varchar, rules_version varchar, fingerprint varchar, outcome varchar
)
"""
_RUNS_GREW = tuple(
    f"alter table mailvet_runs add column if not exists {name} varchar" for name in ("fingerprint", "outcome")
)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise SourceError(
            f"Verdicts cannot be saved in {path.name}: {first_line(str(error))}. Check that the file and its folder "
            "may be written to and that the disk is not full; what was saved before stays saved."
        ) from None


def _find_table(db: duckdb.DuckDBPyConnection, table: str, path: Path | None) -> tuple[str, bool]:
    """(quoted name, whether it is a view)."""
    rows = db.execute(
        "select table_schema, table_name, table_type, table_catalog from information_schema.tables "
        "where table_catalog = current_database() order by all"
    ).fetchall()
    for wanted in (table.lower(), table.replace('"', "").lower()):
        matches = [r for r in rows if wanted in (f"{r[0]}.{r[1]}".lower(), str(r[1]).lower())]
        exact = [r for r in matches if f"{r[0]}.{r[1]}".lower() == wanted or r[0] == "main"] or matches
        if exact:
            break
    if len(exact) == 1:
        schema, name, kind, catalog = exact[0]
        return f"{_quote(catalog)}.{_quote(schema)}.{_quote(name)}", kind == "VIEW"
    names = ", ".join(f"{r[0]}.{r[1]}" if r[0] != "main" else r[1] for r in rows if not r[1].startswith("mailvet_"))
    where = f" in {path.name}" if path else ""
    if len(exact) > 1:
        raise SourceError(f"{table}{where} is ambiguous; write schema.table. There are: {names}.")
    raise SourceError(f"There is no table {table}{where}; there are: {names or 'no tables at all'}.")


def _described(db: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    return [
        Column(str(row[0]), str(row[1]), _family(str(row[1]))) for row in db.execute(f"describe {relation}").fetchall()
    ]


def _columns(db: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [column.name for column in _described(db, relation)]


def _family(kind: str) -> str:
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return "text"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return "time"
    return "number" if kind.endswith("INT") or kind.startswith(("INTEGER", "DECIMAL", "DOUBLE", "FLOAT")) else "other"


def _tried(db: duckdb.DuckDBPyConnection, relation: str, table: str, where: str | None) -> str | None:
    """The condition, once it has been found to be one condition and to work, within brackets and without."""
    if where:
        one_condition(where)
        for condition in (f"({where}\n)", f"{where}\n"):
            try:
                db.execute(f"select 1 from {relation} where {condition} limit 1").fetchall()
            except duckdb.Error as error:
                raise SourceError(
                    f"The condition --where does not work on {table}: {first_line(str(error))}."
                ) from None
    return where


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _harmless(value: str) -> str:
    """A suggestion never starts a formula when the file is opened in a spreadsheet."""
    return f"case when regexp_matches({value}, '^[=+@\\t\\r\\n-]') then null else {value} end"


def _is_blank(cell: str) -> str:
    # Hardly a cell begins with anything but printable ASCII.
    return f"case when {cell} >= '!' and {cell} < '~' then false else trim({cell}, {literal(WHITE_SPACE)}) = '' end"


_FREE = "(select domain from mailvet_free)"


def _numbers(key: str) -> str:
    """A key as 128 bits, under the names `first` and `second`: a quarter of the room, and joined as surely."""
    return f"hash({key}) as first, hash(substr({key}, 1, 32)) as second"


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _without_zone(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    return table.cast(
        pa.schema([f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema])
    )


def _with_zone(table: pa.Table) -> pa.Table:
    return table.select(verdict_schema().names).cast(verdict_schema())
