"""
A table of a SQL database and its verdicts, for every database: what is asked is written here once, in the words of a
`Dialect`; how a statement gets there is up to the subclass (psycopg for PostgreSQL, SQLAlchemy for the others).

The verdict table lies in the default schema of the connection. Keys are computed by the database from the text as it
is at that moment, so a row that was edited meanwhile matches no answer.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mailvet import ablation
from mailvet.errors import MailvetError, SettingsError, SourceError
from mailvet.layers.history import EVENT_COLUMNS, EVENT_KINDS
from mailvet.verdict import Policy, Reason, email_key, recommendation_sql, verdict_schema
from mailvet.warehouse import output as files_out
from mailvet.warehouse.base import KNOWN_FOR, SILENT, Details, Plan, Standing, Summary
from mailvet.warehouse.dialects import Dialect, literal
from mailvet.warehouse.planning import (
    LISTS,
    RUN_COLUMNS,
    detailed,
    due_condition,
    falls_due,
    newest_events,
    rank,
    summarised,
    verdict_kinds,
)
from mailvet.warehouse.signals import burst_sql, duplicates_sql, series_sql
from mailvet.warehouse.tables import (
    Column,
    Relation,
    check_status_columns,
    choose_column,
    one_condition,
    spellings,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["VERDICTS", "SQLWarehouse", "newest_of_each"]

VERDICTS = "mailvet_verdicts"
_RUNS = "mailvet_runs"
_SHARDS = "mailvet_shards"
_SHARDS_KEPT = timedelta(days=7)
_KNOWN_SINCE = "known_since"
_EXPORT_ROWS = 20_000
_LONGEST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3
_MOST_LABELS = 128  # a domain name has no more
_UTC = pa.timestamp("us", tz="UTC")
_RUN_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "timestamp": _UTC}
_TIMES = re.compile(r"date|(timestamp|datetime).*")
"""Types of columns that hold a day or a point in time."""


class SQLWarehouse(ABC):
    """
    One table and its verdicts. Not to be used from two threads at once, but for `interrupt`.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        name: str,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
    ) -> None:
        self._say = dialect
        self.name = name
        self._policy = policy
        self._prefix = prefix
        self._events = events
        self._staged: dict[str, str] = {}
        self._token = uuid.uuid4().hex[:8]

    def _bind(self, table: str, column: str | None, where: str | None, *, writable: bool, updatable: bool) -> None:
        """Choose the table and its column of addresses; everything that does not fit is said here."""
        database = self.name
        found = self._relation(table, database)
        if found.is_view and updatable:
            raise SourceError(
                f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
                "--no-write-back and join mailvet_verdicts on email_key."
            )
        self.name = f"{table} in {database}"
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
        """Once within brackets and once without: both only work on one whole condition."""
        one_condition(where)
        for condition in (f"({where}\n)", f"{where}\n"):
            self._try(self._say.limited(f"select 1 from {self.relation} where {condition}", 1), table)

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
    def _relation(self, table: str, database: str) -> Relation:
        """The table or view that is called so; SourceError where there is none."""

    @abstractmethod
    def _described(self) -> Sequence[Column]:
        """The columns of the source, as they are now."""

    @abstractmethod
    def _try(self, query: str, table: str) -> None:
        """Run a query with a condition of the user's; SourceError if it fails."""

    def _qualified(self, found: Relation) -> str:
        """The name of a table in a statement."""
        return f"{self._quote(found.schema)}.{self._quote(found.name)}" if found.schema else self._quote(found.name)

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

    # ---------------------------------------------------------------- tables for the moment

    def _table(self, name: str) -> str:
        """The name of a table for the moment."""
        if self._say.has_temporary:
            return f"{self._say.temporary_prefix}mailvet_{name}"
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
        say = self._say
        condition = " with this --where" if self.narrowed else ""
        with self._doing(f"plan over {self.name}{condition}"):
            self._unstage("signals")
            if self._events is not None:
                self._stage_history()
            cells = self._stage_cells()
            has_lists = any(listed.get(name) for name in LISTS)
            if has_lists:
                self._stage_lists(listed)
            due = self._stage_due(
                due_condition(
                    say, depth_rank=depth_rank, now=now, rules_version=rules_version,
                    events=self._events is not None, listed=has_lists, among=among,
                ),
                has_lists,
            )  # fmt: skip
            rows, blank, addresses = self._rows(
                "select coalesce(sum(repeats), 0), coalesce(sum(case when folded = '' then repeats else 0 end), 0), "
                f"coalesce(sum(case when folded <> '' then 1 else 0 end), 0) from {cells}"
            )[0]
            count, blank_due = self._rows(
                "select coalesce(sum(case when folded <> '' then 1 else 0 end), 0), "
                f"coalesce(sum(case when folded = '' then 1 else 0 end), 0) from {due}"
            )[0]
            domains: list[tuple[Any, ...]] = []
            if count_domains:
                domains = self._rows(
                    f"select mailvet__domain, count(*) as mailvet__count from (select {say.after_at('folded')} as "
                    f"mailvet__domain from {due} where {say.position(literal('@'), 'folded')} > 0) as mailvet__domains "
                    "group by mailvet__domain order by mailvet__count desc, mailvet__domain"
                )
        return Plan(
            int(rows), int(blank), int(addresses), int(count), tuple((str(d), int(n)) for d, n in domains),
            int(blank_due),
        )  # fmt: skip

    def _stage_cells(self) -> str:
        """The distinct texts of the column: email, email_key, folded, repeats."""
        say = self._say
        if say.groups_exactly:
            distinct = (
                f"select email, {say.key('email')} as email_key, repeats from (select mailvet__cell as email, "
                f"count(*) as repeats from (select {say.exact(self._cell)} as mailvet__cell from {self.relation} "
                f"where {self._where}) as mailvet__cells group by mailvet__cell) as mailvet__grouped"
            )
        else:  # the key tells apart what GROUP BY does not
            distinct = (
                "select min(mailvet__cell) as email, mailvet__key as email_key, count(*) as repeats from (select "
                f"{self._cell} as mailvet__cell, {say.key(self._cell)} as mailvet__key from {self.relation} "
                f"where {self._where}) as mailvet__cells group by mailvet__key"
            )
        return self._stage(
            "cells",
            f"select email, email_key, {say.fold('email')} as folded, repeats from ({distinct}) as mailvet__distinct",
        )

    def _stage_history(self) -> None:
        """The newest event of each kind by address."""
        say = self._say
        path = Path(str(self._events)).expanduser()
        try:
            if path.is_file():
                source = self._stage_empty("events", {"email": "string", "event": "string", "occurred_at": "timestamp"})
                self._append(source, _events_of_file(path))
            else:
                source = self._qualified(self._relation(str(self._events), "the database"))
            with self._doing("read the events"):
                self._stage(
                    "history",
                    f"select {say.fold(say.text('email'))} as recipient, {newest_events('occurred_at')} from (select "
                    f"email, event, {say.as_moment('occurred_at')} as occurred_at from {source}) as mailvet__events "
                    f"group by {say.fold(say.text('email'))}",
                )
        except SourceError as error:
            raise SettingsError(
                f"history.events ({self._events}) cannot be used: it has to be a file, or a table beside the verdicts, "
                f"with the columns email, event and occurred_at (UTC). {error}"
            ) from None

    def _stage_lists(self, listed: Mapping[str, Sequence[str]]) -> None:
        """Which of the user's own lists each address is on, by itself, its domain or one above."""
        say, cells = self._say, self._staged["cells"]
        entries = self._stage_empty("listed", {"list_name": "string", "entry": "string"})
        names = [(name, entry) for name in LISTS for entry in listed.get(name, ())]
        self._append(
            entries, pa.table({"list_name": [name for name, _ in names], "entry": [entry for _, entry in names]})
        )
        self._analyzed(entries)
        at = f"{say.position(literal('@'), 'folded')} > 0"
        self._stage(
            "found", f"select c.folded, l.list_name from {cells} c join {entries} l on l.entry = c.folded"
        )  # fmt: skip
        above = self._stage(
            "above0", f"select distinct {say.after_at('folded')} as domain, {say.after_at('folded')} as entry "
            f"from {cells} where {at}"
        )  # fmt: skip
        self._stage("domains", f"select a.domain, l.list_name from {above} a join {entries} l on l.entry = a.entry")
        domains = self._staged["domains"]
        dotted = f"{say.position(literal('.'), 'entry')} > 0"
        for level in range(1, _MOST_LABELS):
            lower = above
            above = self._stage(
                f"above{level % 2}", f"select domain, {say.after_dot('entry')} as entry from {lower} where {dotted}"
            )
            if not self._rows(say.limited(f"select 1 from {above}", 1)):
                break
            self._execute(
                f"insert into {domains} select a.domain, l.list_name from {above} a join {entries} l "
                "on l.entry = a.entry"
            )
        self._execute(
            f"insert into {self._staged['found']} select c.folded, d.list_name from {cells} c join {domains} d "
            f"on d.domain = {say.after_at('c.folded')} where {say.position(literal('@'), 'c.folded')} > 0"
        )
        flags = ", ".join(f"max(case when list_name = '{name}' then 1 else 0 end) as on_{name}" for name in LISTS)
        self._stage("on_lists", f"select folded, {flags} from {self._staged['found']} group by folded")

    def _stage_due(self, condition: str, has_lists: bool) -> str:
        say = self._say
        events = ", ".join(["", *(f"h.{name}" for name in EVENT_KINDS)]) if self._events is not None else ""
        history = f"left join {self._staged['history']} h on h.recipient = c.folded " if events else ""
        lists = f"left join {self._staged['on_lists']} l on l.folded = c.folded " if has_lists else ""
        due = self._stage(
            "due",
            f"select row_number() over (order by {say.shuffled('c.folded')}) - 1 as place, c.folded, c.email, "
            f"c.email_key, v.reason as previous_reason, coalesce(v.attempts, 0) as previous_attempts{events} "
            f"from {self._staged['cells']} c left join {self._known()} v on v.email_key = c.email_key "
            f"{history}{lists}where {condition}",
        )
        self._indexed(due, "place")
        return due

    def _known(self) -> str:
        """The verdict table, or an empty one like it where there is none yet."""
        if self._has(VERDICTS):
            return VERDICTS
        return self._stage_empty("no_verdicts", verdict_kinds())

    # ---------------------------------------------------------------- what the whole table shows

    def find_signals(self, *, signed_up: str | None, burst_window: timedelta) -> None:
        """See `TableSignals.find_signals`; nothing is found where the database cannot be asked."""
        say, cells, due = self._say, self._staged["cells"], self._staged["due"]
        with self._doing(f"look over the whole of {self.name}"):
            signups = self._signups(signed_up) if signed_up is not None else None
            counts = self._rows(f"select (select count(*) from {due}) as due, (select count(*) from {cells}) as texts")
            if not say.finds_signals or not counts[0][0]:
                return
            only = due if counts[0][0] < counts[0][1] else None
            texts = (
                f"(select email_key, {say.short('email')} as email, {say.short('folded')} as folded from {cells} "
                f"where {say.length('email')} <= {_LONGEST_ADDRESS})"
            )
            # One statement each: their columns need no types, and no database has to plan all three together.
            found = self._stage_empty(
                "found_signals",
                {"email_key": "key", "series_size": "int32", "burst": "int16", "duplicate_of": "key"},
            )  # fmt: skip
            queries = {
                "email_key, series_size, 0": ("email_key, series_size, burst", series_sql(texts, say, due=only)),
                "email_key, 0, 0, duplicate_of": (
                    "email_key, series_size, burst, duplicate_of", duplicates_sql(texts, say)
                ),
            }  # fmt: skip
            if signups is not None:
                key = say.key("cell") if say.groups_exactly else "cell"
                bursts = burst_sql(signups, say, due=only, window=burst_window)
                queries[f"{key}, 0, 1"] = ("email_key, series_size, burst", bursts)
            with self._transaction():
                for statement in say.before_guesses:
                    self._execute(statement)
                for selected, (columns, query) in queries.items():
                    self._execute(f"insert into {found} ({columns}) select {selected} from ({query}) as mailvet__found")
            # The few rows with a signal, to be joined as the due ones are read.
            signals = self._stage(
                "signals",
                "select email_key, max(series_size) as series_size, max(burst) as burst, max(duplicate_of) as "
                f"duplicate_of from {found} group by email_key",
            )
            self._indexed(signals, "email_key")

    def _signups(self, signed_up: str) -> str:
        """The sign-ups of the source, as a query in brackets: cell, folded, signed_up."""
        say = self._say
        columns = {column.name: column.kind for column in self._columns}
        name = next((name for name in columns if name.lower() == signed_up.lower()), None)
        if name is None:
            raise SettingsError(
                f"suspicion.signed_up: there is no column {signed_up} in {self.name}; it has: {', '.join(columns)}."
            )
        at = say.any_moment(self._quote(name))
        holds_times, filled = 0, 1
        if not say.typed or _TIMES.fullmatch(columns[name].lower()):
            holds_times, filled = self._rows(
                f"select count({at}), count({self._quote(name)}) from {self.relation} where {self._where}"
            )[0]
        if filled and not holds_times:
            raise SettingsError(
                f"suspicion.signed_up: the column {name} of {self.name} ({columns[name]}) holds no dates or times. "
                "Name the column with the time of each sign-up, or leave the setting out."
            )
        text = "mailvet__cell" if say.groups_exactly else say.key("mailvet__cell")
        return (
            f"(select {text} as cell, {say.short(say.fold('mailvet__cell'))} as folded, mailvet__at as signed_up "
            f"from (select {say.exact(self._cell)} as mailvet__cell, {at} as mailvet__at from {self.relation} "
            f"where {self._where}) as mailvet__cells where {say.length('mailvet__cell')} <= {_LONGEST_ADDRESS})"
        )

    # ---------------------------------------------------------------- what is due

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.due`. Spellings of one address (case, white space) stand next to each other."""
        with self._doing(f"read what is due of {self.name}"):
            for rows in self._due_rows(batch_rows):
                yield _due_table(rows, self._events is not None, "signals" in self._staged)

    def _due_query(self) -> str:
        names = ["email", "email_key", "previous_reason", "previous_attempts"]
        selected = [f"d.{name}" for name in (*names, *(EVENT_KINDS if self._events is not None else ()))]
        joined = ""
        if signals := self._staged.get("signals"):
            selected += ["coalesce(s.series_size, 0)", "coalesce(s.burst, 0)", "s.duplicate_of"]
            joined = f" left join {signals} s on s.email_key = d.email_key"
        return f"select {', '.join(selected)} from {self._staged['due']} d{joined}"

    def _due_rows(self, batch_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """Page by page, since answers are saved in between."""
        (last,) = self._rows(f"select max(place) from {self._staged['due']}")[0]
        for start in range(0, 0 if last is None else int(last) + 1, batch_rows):
            yield self._rows(
                f"{self._due_query()} where d.place >= {start} and d.place < {start + batch_rows} order by d.place"
            )

    def asked_today(self, now: datetime) -> dict[str, int]:
        """See `Warehouse.asked_today`."""
        with self._doing(f"read the verdicts of {self.name}"):
            if not self._has(VERDICTS):
                return {}
            midnight = now.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
            rows = self._rows(
                f"select operator, count(*) from {VERDICTS} where smtp_code is not null and operator is not null and "
                f"checked_at >= {self._say.moment(midnight)} group by operator"
            )
        return {str(operator): int(count) for operator, count in rows}

    def looks_numeric(self) -> bool:
        """See `Warehouse.looks_numeric`."""
        cells, filled = self._staged["cells"], False
        at = self._say.position(literal("@"), "folded")
        with self._doing(f"read {self.name}"):
            if self._rows(self._say.limited(f"select 1 from {cells} where {at} > 0", 1)):
                return False
            with contextlib.closing(self._stream(f"select folded from {cells} where folded <> ''", 1000)) as batches:
                for batch in batches:  # ends at the first that is none, as a rule in the first batch
                    filled = True
                    if not all(_is_number(text) for (text,) in batch):
                        return False
        return filled

    # ---------------------------------------------------------------- verdicts

    def open_for_writing(self) -> None:
        """See `Warehouse.open_for_writing`."""
        say = self._say
        verdicts = ", ".join(
            f"{say.own(field.name)} "
            + (f"{say.key_type} not null{say.primary_key}" if field.name == "email_key" else
               say.types[kind] + ("" if field.nullable else " not null"))
            for field, kind in zip(verdict_schema(), verdict_kinds().values(), strict=True)
        )  # fmt: skip
        runs = ", ".join(
            f"{say.own(name)} " + (f"{say.key_type} not null{say.primary_key}" if name == "run_id" else say.types[kind])
            for name, kind in RUN_COLUMNS.items()
        )
        with self._doing("make the table of verdicts"):
            for table, columns in ((VERDICTS, verdicts), (_RUNS, runs)):
                if self._has(table):
                    continue
                try:
                    self._execute(f"create table {table} ({columns}){say.table_options}")
                except Exception:
                    if not self._has(table):  # unless another run was quicker
                        raise

    def save(self, verdicts: pa.Table) -> None:
        """See `Warehouse.save`."""
        import polars as pl

        frame = newest_of_each(verdicts).with_columns((pl.col("checked_at") - KNOWN_FOR).alias(_KNOWN_SINCE))
        is_silent = pl.col("reason").is_in([str(reason) for reason in SILENT])
        with self._doing("save verdicts"), self._transaction():
            for silent, part in ((False, frame.filter(~is_silent)), (True, frame.filter(is_silent))):
                if part.height:
                    batch = self._stage_batch()
                    self._append(batch, part.to_arrow().cast(_batch_schema()))
                    for statement in self._saving(batch, silent):
                        self._execute(statement)

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.replies`."""
        say, last = self._say, ""
        names = verdict_schema().names
        with self._doing("read the verdicts"):
            while self._has(VERDICTS):
                rows = self._rows(
                    say.limited(
                        f"select {', '.join(map(say.own, names))} from {VERDICTS} where smtp_code >= 400 and "
                        f"smtp_reply is not null and email_key > {literal(last)} order by email_key",
                        batch_rows,
                    )
                )
                if not rows:
                    return
                batch = pa.Table.from_arrays(_arrays(rows, verdict_schema()), schema=verdict_schema())
                yield batch
                last = batch["email_key"][-1].as_py()

    def revise(self, verdicts: pa.Table) -> None:
        """See `Warehouse.revise`."""
        with self._doing("save verdicts"), self._transaction():
            batch = self._stage_batch()
            known_since = pa.nulls(verdicts.num_rows, _UTC)  # for the rule of `save`, which does not hold here
            self._append(batch, verdicts.append_column(_KNOWN_SINCE, known_since).cast(_batch_schema()))
            for statement in self._saving(batch, silent=False):
                self._execute(statement)

    def _stage_batch(self) -> str:
        return self._stage_empty("batch", {**verdict_kinds(), _KNOWN_SINCE: "timestamp"})

    def _saving(self, batch: str, silent: bool) -> list[str]:
        """
        The statements that bring a batch into the verdict table; each alone leaves it in order.

        Args:
            silent: its answers say nothing of the mailbox.
        """
        say = self._say
        names = verdict_schema().names
        renewed = {name: f"b.{name}" for name in names if name != "email_key"}
        listed = ", ".join(map(say.own, names))
        values = ", ".join(f"b.{name}" for name in names)
        same = f"{VERDICTS}.email_key = b.email_key"
        keep = f"{VERDICTS}.status <> 'unknown' and {VERDICTS}.checked_at > b.{_KNOWN_SINCE}"
        statements = []
        if silent:  # how deep we asked and when to ask again go by the newest answer that went as deep
            deep_enough = f"{rank('b.depth')} >= {rank(f'{VERDICTS}.depth')}"
            again = {"depth": "b.depth", "next_check_at": "b.next_check_at"}
            statements.append(self._update(VERDICTS, f"{batch} b", same, again, f"{keep} and {deep_enough}"))
        if say.upsert == "conflict":
            sets = ", ".join(f"{name} = excluded.{name}" for name in renewed)
            news = f"not exists (select 1 from {VERDICTS} where {same} and {keep})" if silent else "1 = 1"
            statements.append(
                f"insert into {VERDICTS} ({listed}) select {values} from {batch} b where {news} "
                f"on conflict (email_key) do update set {sets}"
            )
        elif say.upsert == "merge":
            sets = ", ".join(f"{name} = {new}" for name, new in renewed.items())
            news = f" and not ({keep})" if silent else ""
            statements.append(
                f"merge into {VERDICTS} using {batch} b on {same} when matched{news} then update set {sets} "
                f"when not matched then insert ({listed}) values ({values}){say.statement_end}"
            )
        else:
            news = f"not ({keep})" if silent else "1 = 1"
            statements += [
                self._update(VERDICTS, f"{batch} b", same, renewed, news),
                f"insert into {VERDICTS} ({listed}) select {values} from {batch} b where not exists "
                f"(select 1 from {VERDICTS} where {same})",
            ]
        return statements

    def _update(self, table: str, source: str, match: str, sets: Mapping[str, str], condition: str) -> str:
        """One UPDATE of a table by another; the table is spoken of by its name, as a user's condition may do."""
        style = self._say.update
        plain = ", ".join(f"{name} = {value}" for name, value in sets.items())
        if style == "join":
            dotted = ", ".join(f"{table}.{name} = {value}" for name, value in sets.items())
            return f"update {table} join {source} on {match} set {dotted} where {condition}"
        if style == "from_join":
            return f"update {table} set {plain} from {table} join {source} on {match} where {condition}"
        if style == "merge":
            return f"merge into {table} using {source} on {match} and {condition} when matched then update set {plain}"
        return f"update {table} set {plain} from {source} where {match} and {condition}"

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `Warehouse.save_run`."""
        values = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in run.items()}
        row = pa.table({name: pa.array([value], _RUN_TYPES[RUN_COLUMNS[name]]) for name, value in values.items()})
        with self._doing("save the record of the run"), self._transaction():
            self._execute(f"delete from {_RUNS} where run_id = {literal(str(run['run_id']))}")
            self._append(_RUNS, row)

    def forget_before(self, day: datetime) -> int:
        """See `Warehouse.forget_before`."""
        with self._doing("drop old verdicts"):
            return self._execute(f"delete from {VERDICTS} where checked_at < {self._say.moment(day)}")

    # ---------------------------------------------------------------- results

    def _advice(self) -> str:
        return recommendation_sql(self._policy, reason="reason", score="score", attempts="attempts")

    def apply_policy(self) -> int:
        """See `Warehouse.apply_policy`."""
        advice = self._advice()
        with self._doing("bring the recommendations in line with the policy"):
            return self._execute(
                f"update {VERDICTS} set recommendation = {advice} where recommendation <> {advice} "
                f"and email_key in (select email_key from {self._staged['cells']})"
            )

    def _verdicts(self, columns: Sequence[str], table: str = VERDICTS) -> str:
        """The verdict table under names that no condition of the user's can mean."""
        return f"(select {self._said(columns)} from {table}{self._say.computed_once})"

    def _said(self, columns: Sequence[str], match: str = "email_key") -> str:
        formula = f"{self._say.first_character('suggestion')} in ('=', '+', '@', '-')"
        values = {
            "recommendation": f"({self._advice()})",
            # A suggestion never starts a formula when the table is opened in a spreadsheet.
            "suggestion": f"case when {formula} then null else suggestion end",
        }
        selected = "".join(f", {values.get(name, name)} as mailvet__{name}" for name in columns)
        return f"{match} as mailvet__key{selected}"

    def check_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.check_write_back`."""
        with self._doing(f"read the columns of {self.name}"):
            check_status_columns(self._described(), columns, self._prefix, self.name)

    def write_back(self, columns: Sequence[str]) -> int:
        """
        See `Warehouse.write_back`. Matches on the text as it is now, by its key or by itself, so an edited row is left
        alone.

        The columns are added first, in a statement of their own: that takes the whole table, but for no time, while
        the update, which takes long, holds only the rows it changes.
        """
        added: list[str] = []
        try:
            with self._doing(f"write the status columns to {self.name}"):
                self._add_columns(columns, added)
                with self._transaction():
                    for statement in self._say.before_guesses:
                        self._execute(statement)
                    return sum(self._execute(statement) for statement in self._writing_back(columns))
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be gone; empty columns do no harm
                for name in added:
                    self._execute(self._say.drop_column.format(table=self.relation, name=name))
            raise

    def _status_type(self, column: str, kind: str) -> str:
        return self._say.types[kind]

    def _writing_back(self, columns: Sequence[str]) -> list[str]:
        """The UPDATEs, which hold together or not at all; each row is changed by one of them at most."""
        say, key = self._say, self._say.key(self._cell)
        if not say.matches_texts:
            return [self._answering(columns, self._verdicts(columns), key)]
        # A key has to be computed for each row, and takes longer than to compare the text that it stands for.
        by_text = f"(select {self._said(columns, 'email')} from {VERDICTS} where email is not null)"
        by_key = f"(select {self._said(columns)} from {VERDICTS} where email is null)"
        return [
            self._answering(columns, by_text, say.exact(self._cell)),
            self._answering(columns, by_key, key),
        ]  # fmt: skip

    def _answering(self, columns: Sequence[str], verdicts: str, cell: str) -> str:
        """An UPDATE of the rows whose `cell` is the `mailvet__key` of one of these verdicts, and that say otherwise."""
        say = self._say
        names = {self._quote(self._prefix + column): f"mailvet__{column}" for column in columns}
        changed = " or ".join(say.differs(f"{self.relation}.{name}", value) for name, value in names.items())
        return self._update(
            self.relation, f"{verdicts} as mailvet__verdict", f"mailvet__key = {cell}", names,
            f"({changed}) and {self._where}",
        ) + (say.statement_end if say.update == "merge" else "")  # fmt: skip

    def summary(self) -> Summary:
        """See `Warehouse.summary`."""
        say = self._say
        names = ("status", "reason", "recommendation", "score", "evidence", "flags")
        on_lists, in_history, suspicious = ablation.evidence_sql("mailvet__evidence", "mailvet__flags", say.position)
        groups = "mailvet__status, mailvet__reason, mailvet__recommendation, mailvet__blank, mailvet__listed, "
        groups += "mailvet__past, mailvet__suspect"
        verdicts = self._verdicts(names, self._known())
        with self._doing(f"count {self.name}"):
            return summarised(
                self._rows(
                    f"select {groups}, count(*), sum(repeats), sum(repeats * (100 - mailvet__score)), "
                    "sum(repeats * repeats * (100 - mailvet__score) * mailvet__score) from ("
                    "select mailvet__status, mailvet__reason, mailvet__recommendation, "
                    f"case when folded = '' then 1 else 0 end as mailvet__blank, {on_lists} as mailvet__listed, "
                    f"{in_history} as mailvet__past, {suspicious} as mailvet__suspect, repeats, mailvet__score "
                    f"from {self._staged['cells']} left join {verdicts} as mailvet__verdict "
                    f"on mailvet__key = email_key) as mailvet__rows group by {groups}"
                )
            )

    def standing(self, *, stale_before: datetime | None = None) -> list[Standing]:
        """See `Warehouse.standing`."""
        names = ("status", "reason", "recommendation", "score")
        said = ", ".join(f"mailvet__{name}" for name in names)
        stale = "0" if stale_before is None else (
            f"case when mailvet__checked_at < {self._say.moment(stale_before)} then 1 else 0 end"
        )  # fmt: skip
        cells = self._staged["cells"]
        with self._doing(f"count {self.name}"):
            if self._has(VERDICTS):
                known = f"select {said}, {stale} as mailvet__stale, folded, repeats from {cells} left join " + (
                    f"{self._verdicts((*names, 'checked_at'))} as mailvet__verdict on mailvet__key = email_key"
                )
            else:
                nothing = ", ".join(f"null as mailvet__{name}" for name in names)
                known = f"select {nothing}, 0 as mailvet__stale, folded, repeats from {cells}"
            rows = self._rows(
                f"select {said}, mailvet__stale, mailvet__blank, sum(repeats) from (select {said}, mailvet__stale, "
                f"case when folded = '' then 1 else 0 end as mailvet__blank, repeats from ({known}) as mailvet__known) "
                f"as mailvet__rows group by {said}, mailvet__stale, mailvet__blank"
            )
        return [
            Standing(status, reason, advice, score, bool(old), bool(blank), int(count))
            for status, reason, advice, score, old, blank, count in rows
        ]

    def pending(self) -> tuple[int, datetime | None]:
        """See `Warehouse.pending`."""
        with self._doing("read the verdicts"):
            if not self._has(VERDICTS):
                return 0, None
            count, moment = self._rows(
                f"select count(*), min(v.next_check_at) from {self._staged['cells']} c join {VERDICTS} v "
                "on v.email_key = c.email_key where v.reason = 'greylisted' and v.next_check_at is not null"
            )[0]
        return int(count), self._aware(moment)

    @staticmethod
    def _aware(moment: Any) -> datetime | None:
        """A time of ours as the driver gives it, as an aware one in UTC."""
        if isinstance(moment, str):  # SQLite knows no type for times
            moment = datetime.fromisoformat(moment)
        if not isinstance(moment, datetime):
            return None
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `Warehouse.check_keys`."""
        present = [column.name for column in self._columns]
        for name in columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(self._quote, columns))
            query = f"select 1 from {self.relation} group by {keys} having count(*) > 1"
            with self._doing(f"read the keys of {self.name}"):
                if self._rows(self._say.limited(query, 1)):
                    raise SourceError(
                        f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                        "identify a row. Name a unique key."
                    )

    # ---------------------------------------------------------------- shards

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `Warehouse.save_shards`."""
        kinds = {"plan_id": "string", "domain": "string", "shard": "int32", "planned_at": "timestamp"}
        with self._doing("save the shards"):
            if not self._has(_SHARDS):
                columns = ", ".join(f"{name} {self._say.types[kind]}" for name, kind in kinds.items())
                self._execute(f"create table {_SHARDS} ({columns})")
            rows = pa.table(
                {
                    "plan_id": pa.array([plan_id] * len(shards), pa.string()),
                    "domain": pa.array(list(shards), pa.string()),
                    "shard": pa.array(list(shards.values()), pa.int32()),
                    "planned_at": pa.array([now] * len(shards), _UTC),
                }
            )
            with self._transaction():
                self._execute(f"delete from {_SHARDS} where planned_at < {self._say.moment(now - _SHARDS_KEPT)}")
                self._append(_SHARDS, rows)

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `Warehouse.keep_shard`."""
        with self._doing("read the shards"):
            if not self._has(_SHARDS) or not self._rows(
                self._say.limited(f"select 1 from {_SHARDS} where plan_id = {literal(plan_id)}", 1)
            ):
                raise SourceError(
                    f"There is no plan {plan_id} of shards for {self.name}: run plan_shards() first, and verify within "
                    f"{_SHARDS_KEPT.days} days."
                )
        domain = self._say.after_at(self._say.fold(self._cell))
        which = "<> 0" if shard == 0 else f"= {int(shard)}"
        listed = (
            f"{domain} {'not ' if shard == 0 else ''}in (select domain from {_SHARDS} "
            f"where plan_id = {literal(plan_id)} and shard {which})"
        )
        self._where = f"({self._where} and {listed})"
        self.narrowed = True

    def prepare_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.prepare_write_back`."""
        with self._doing(f"add the status columns to {self.name}"):
            self._add_columns(columns)

    def _add_columns(self, columns: Sequence[str], added: list[str] | None = None) -> None:
        kinds = verdict_kinds()
        present = {column.name.lower() for column in self._described()}
        for column in columns:
            if (self._prefix + column).lower() not in present:
                name = self._quote(self._prefix + column)
                kind = self._status_type(column, kinds[column])
                self._execute(self._say.add_column.format(table=self.relation, name=name, kind=kind))
                if added is not None:
                    added.append(name)

    # ---------------------------------------------------------------- tables

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
        kept = [c.name for c in self._columns if (c.name in key_columns if key_columns else c.name.lower() not in own)]
        fields = [f"{self.relation}.{self._quote(name)}" for name in kept]
        fields += [f"mailvet__{column} as {self._quote(self._prefix + column)}" for column in columns]
        read = list(dict.fromkeys([*columns, "recommendation"]))
        rows = (
            f"from {self.relation} join {self._verdicts(read)} as mailvet__verdict "
            f"on mailvet__key = {self._say.key(self._cell)} where {self._where}"
        )
        present = [name for name in names.values() if self._has(name)]
        if present and not replace:
            raise SourceError(f"There is a table {present[0]} already. Choose another name, or replace it.")
        with self._doing(f"write the lists of {self.name}"), self._transaction():
            for word, name in names.items():
                if name in present:
                    self._execute(f"drop table {self._quote(name)}")
                self._execute(
                    f"create table {self._quote(name)} as select {', '.join(fields)} {rows} "
                    f"and mailvet__recommendation = {literal(word)}"
                )

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `Detailed.details`."""
        with self._doing(f"count {self.name}"):
            last_run = self._last_run() if self._has(_RUNS) else None
            if not self._has(VERDICTS):
                return Details(last_run=last_run)
            joined = (
                f"from {self._staged['cells']} c join {VERDICTS} v on v.email_key = c.email_key where c.folded <> ''"
            )
            operators = self._rows(
                f"select v.operator, v.status, count(*) {joined} and v.operator is not null group by v.operator, "
                "v.status"
            )
            due = self._rows(
                f"select label, count(*) from (select {falls_due(self._say, now)} as label {joined}) as labels "
                "group by label"
            )
            return detailed(operators, due, self._sources(by) if by is not None else (), last_run)

    def _last_run(self) -> Mapping[str, Any] | None:
        schema = pa.schema([pa.field(name, _RUN_TYPES[kind]) for name, kind in RUN_COLUMNS.items()])
        rows = self._rows(
            self._say.limited(
                f"select {', '.join(map(self._say.own, schema.names))} from {_RUNS} where source = "
                f"{self._say.literal(self.name)} and finished_at is not null order by started_at desc", 1,
            )
        )  # fmt: skip
        found = pa.Table.from_arrays(_arrays(rows, schema), schema=schema).to_pylist()
        return found[0] if found else None

    def _sources(self, column: str) -> list[tuple[Any, ...]]:
        say, present = self._say, [found.name for found in self._columns]
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {self.name}; there are: {', '.join(present)}.")
        value = say.exact(f"coalesce({say.text(self._quote(name))}, '')")
        return self._rows(
            f"select mailvet__value, mailvet__recommendation, count(*), sum(100 - mailvet__score) from (select {value} "
            f"as mailvet__value, {say.key(self._cell)} as mailvet__cell_key from {self.relation} where {self._where} "
            f"and {say.fold(self._cell)} <> '') as mailvet__rows join {self._verdicts(('recommendation', 'score'))} as "
            "mailvet__verdict on mailvet__key = mailvet__cell_key group by mailvet__value, mailvet__recommendation"
        )

    # ---------------------------------------------------------------- files

    def check_output(self, output: Path, key_columns: Sequence[str] = ()) -> None:
        """See `Warehouse.check_output`."""
        files_out.check(output)
        present = [column.name for column in self._columns]
        for name in key_columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(present)}.")

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
        """See `Warehouse.export`. All files show the table as it was at one moment, where the database can do that."""
        import duckdb

        self.check_output(output, key_columns)
        own = {(self._prefix + column).lower() for column in columns}
        kept = [c for c in self._columns if (c.name in key_columns if key_columns else c.name.lower() not in own)]
        verdict = verdict_schema()
        fields = [(c.name, *self._exported(c)) for c in kept]
        for name in columns:
            kind = verdict.field(name).type
            # Files hold times in UTC without saying so in every cell.
            without_zone = pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
            fields.append((self._prefix + name, f"mailvet__{name}", without_zone))
        read = list(dict.fromkeys([*columns, *([split_by] if split_by else [])]))
        rows = (
            f"from {self.relation} left join {self._verdicts(read)} as mailvet__verdict "
            f"on mailvet__key = {self._say.key(self._cell)} where {self._where}"
        )
        # Numbered, so that no name has to be one that Arrow and DuckDB can tell from the others.
        selected = ", ".join(f"{value} as mailvet__c{place}" for place, (_, value, _) in enumerate(fields))
        schema = pa.schema([pa.field(f"c{place}", kind) for place, (_, _, kind) in enumerate(fields)])
        names = files_out.quoted_names([name for name, _, _ in fields])
        shown = ", ".join(
            f"{files_out.unarmed(f'c{place}') if place >= len(kept) and pa.types.is_string(kind) else f'c{place}'} "
            f"as {name}"
            for place, (name, (_, _, kind)) in enumerate(zip(names, fields, strict=True))
        )
        with self._doing(f"read {self.name}"), self._snapshot(), duckdb.connect() as db:
            db.execute("set TimeZone = 'UTC'")
            conditions: dict[Path, str] = {output: "1 = 1"}
            if split_by is not None:
                part = f"mailvet__{split_by}"
                found = [word for (word,) in self._rows(f"select distinct {part} {rows}")] if others else []
                conditions = {
                    path: f"{part} is null" if word is None else f"{part} = {literal(word)}"
                    for word, path in files_out.part_names(output, found, parts).items()
                }
            queries = {}
            for number, (path, condition) in enumerate(conditions.items()):
                batches = self._batches(f"select {selected} {rows} and {condition}", schema)
                db.register(f"part{number}", pa.RecordBatchReader.from_batches(schema, batches))
                queries[path] = (f"select {shown} from part{number}", files_out.copy_options(path))
            return files_out.publish(db, queries, 0o600)

    def _exported(self, column: Column) -> tuple[str, pa.DataType]:
        """(SQL expression, Arrow type) under which a column of the source travels."""
        name = f"{self.relation}.{self._quote(column.name)}"
        if (number := _DECIMAL.fullmatch(column.kind.lower())) and 0 < int(number[1]) <= 38:
            return name, pa.decimal128(int(number[1]), int(number[2] or 0))
        for kinds, arrow in _TRAVELS:
            if re.fullmatch(kinds, column.kind.lower()):
                return name, arrow
        return self._say.text(name), pa.string()

    def _batches(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for rows in self._stream(query, _EXPORT_ROWS):
            yield pa.RecordBatch.from_arrays(_arrays(rows, schema), schema=schema)

    def _snapshot(self) -> AbstractContextManager[None]:
        """Several reads that see one state of the table."""
        return self._transaction()

    # ---------------------------------------------------------------- one address

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `Warehouse.stored`."""
        if not self._has(VERDICTS):
            return None
        say, key, folded = self._say, email_key(address), email_key(address.strip().lower())
        names = verdict_schema().names
        with self._doing("read the verdicts"):
            rows = self._rows(
                say.limited(
                    f"select {', '.join(map(say.own, names))} from {VERDICTS} where email_key = {literal(key)} or "
                    f"{say.key(say.fold('email'))} = {literal(folded)} "
                    f"order by case when email_key = {literal(key)} then 0 else 1 end, checked_at desc",
                    1,
                )
            )
        if not rows:
            return None
        table = pa.Table.from_arrays(_arrays(rows, verdict_schema()), schema=verdict_schema())
        found: dict[str, Any] = table.to_pylist()[0]
        return found

    def forget(self, address: str) -> int:
        """See `Warehouse.forget`."""
        if not self._has(VERDICTS):
            return 0
        say = self._say
        folded = address.strip().lower()
        inside = re.compile(rf"(^|[^\w.!#$%&'*+/=?^`{{|}}~-]){re.escape(folded)}($|[^\w.-]|\.([^\w-]|$))")
        with self._doing("erase the address"):
            # The address itself travels as data, never within a statement.
            wanted = self._stage_empty("wanted", {"entry": "string"})
            self._append(wanted, pa.table({"entry": [folded]}))
            with self._transaction():
                near = self._rows(
                    f"select v.email_key, v.email, v.suggestion from {VERDICTS} v join {wanted} w on "
                    f"{say.position('w.entry', 'lower(v.email)')} > 0 or lower(v.suggestion) = w.entry"
                )
                keys = {email_key(text) for text in spellings(address)}
                for key, email, suggestion in near:
                    if inside.search(str(email or "").lower()) or str(suggestion or "").lower() == folded:
                        keys.add(str(key))
                self._execute(self._say.drop.format(name=wanted))
                listed = ", ".join(map(literal, sorted(keys)))
                return self._execute(f"delete from {VERDICTS} where email_key in ({listed})")

    # ---------------------------------------------------------------- the end

    def interrupt(self) -> None:
        """See `Warehouse.interrupt`; not every driver can do it."""
        return None

    @abstractmethod
    def close(self) -> None:
        """See `Warehouse.close`."""


_DECIMAL = re.compile(r"(?:decimal|numeric|number)\((\d+)(?:, ?(\d+))?\)")
_TRAVELS: tuple[tuple[str, pa.DataType], ...] = (
    (r"(tiny|small|medium|big)?int(eger)?(\(\d+\))?|int[248]|(small|big)?serial", pa.int64()),
    (r"double( precision)?|float[48]?|real", pa.float64()),
    (r"bool(ean)?", pa.bool_()),
    (r"date", pa.date32()),
)
"""Types of columns that keep their type in a file; all others travel as the text that the database makes of them."""


def newest_of_each(verdicts: pa.Table) -> pl.DataFrame:
    """The last row of each key, in the order of the keys, which suits an index."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(verdicts)).unique("email_key", keep="last").sort("email_key")


def _batch_schema() -> pa.Schema:
    return verdict_schema().append(pa.field(_KNOWN_SINCE, _UTC))


def _due_table(rows: list[tuple[Any, ...]], events: bool, signals: bool) -> pa.Table:
    fields = [
        pa.field("email", pa.string()), pa.field("email_key", pa.string()), pa.field("previous_reason", pa.string()),
        pa.field("previous_attempts", pa.int32()),
    ]  # fmt: skip
    if events:
        fields += [pa.field(name, _UTC) for name in EVENT_COLUMNS]
    if signals:
        fields += [
            pa.field("series_size", pa.int32()), pa.field("burst", pa.bool_()), pa.field("duplicate_of", pa.string())
        ]  # fmt: skip
    schema = pa.schema(fields)
    return pa.Table.from_arrays(_arrays(rows, schema), schema=schema)


def _arrays(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> list[pa.Array]:
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return [pa.array(_fit(values, field.type), field.type) for values, field in zip(columns, schema, strict=True)]


def _fit(values: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """What drivers give for a type, as Arrow takes it."""
    if pa.types.is_timestamp(kind):
        moments = [_aware(value) for value in values]
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


def _aware(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _events_of_file(path: Path) -> pa.Table:
    import duckdb

    from mailvet.warehouse.files import first_line, table_function

    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        try:
            return db.sql(
                "select email::varchar as email, event::varchar as event, occurred_at::timestamp as occurred_at "
                f"from {table_function(db, path)}"
            ).to_arrow_table().cast(
                pa.schema([("email", pa.string()), ("event", pa.string()), ("occurred_at", pa.timestamp("us"))])
            ).cast(pa.schema([("email", pa.string()), ("event", pa.string()), ("occurred_at", _UTC)]))  # fmt: skip
        except duckdb.Error as error:
            raise SourceError(f"{first_line(str(error))}.") from None


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
