"""
What is due of a table of a SQL database: its distinct texts, what the user's events, lists and earlier verdicts say of
them, the signals that only the whole table shows; and reading it. Everything but the last happens in the database.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.history.facts import HISTORY_COLUMNS, Question
from mailvet.runs.recheck import Recheck
from mailvet.settings import EVENT_COLUMNS
from mailvet.vocabulary import Policy, Reason
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.mailboxes import (
    EVENT_KEYS,
    ascii_names,
    history_sql,
    list_entry,
    mapped_events,
    odd_domains,
    recipients_sql,
    unknown_words_sql,
    warn_of_unknown_words,
    with_mailbox,
)
from mailvet.warehouse.rules import LISTS, due_condition, verdict_kinds
from mailvet.warehouse.session import UTC, VERDICTS, SQLSession, arrays
from mailvet.warehouse.store import Plan
from mailvet.warehouse.table_signals import burst_sql, duplicates_sql, series_sql

__all__ = ["PlannedTable"]

_LONGEST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3
_MOST_LABELS = 128  # a domain name has no more
_TIMES = re.compile(r"date|(timestamp|datetime).*")
"""Types of columns that hold a day or a point in time."""


class PlannedTable(SQLSession):
    """One table, and which of its addresses are due."""

    def plan(
        self,
        *,
        depth_rank: int,
        now: datetime,
        rules_version: str,
        listed: Mapping[str, Sequence[str]],
        among: Collection[Reason] | None = None,
        recheck: Recheck | None = None,
        count_domains: bool = True,
    ) -> Plan:
        """See `Warehouse.plan`."""
        say = self._say
        narrowed = f" with this {argument('where')}" if self.narrowed else ""
        with self._doing(f"plan over {self.name}{narrowed}"):
            self._unstage("signals")
            cells = self._stage_cells()
            has_lists = any(listed.get(name) for name in LISTS)
            if has_lists or self._events is not None:
                self._stage_boxes()
            if self._events is not None:
                self._stage_history(now)
            if has_lists:
                self._stage_lists(listed)
            is_due = partial(
                due_condition,
                say,
                depth_rank=depth_rank,
                now=now,
                rules_version=rules_version,
                events=self._events is not None,
                listed=has_lists,
                among=among,
            )
            due = self._stage_due(is_due(recheck=recheck), is_due() if recheck is not None else None, has_lists)
            is_missing = say.missing("email")
            rows, missing, addresses = self._rows(
                f"select coalesce(sum(repeats), 0), coalesce(sum(case when {is_missing} then repeats else 0 end), 0), "
                f"coalesce(sum(case when {is_missing} then 0 else 1 end), 0) from {cells}"
            )[0]
            count, rechecked = self._rows(f"select count(*), coalesce(sum(rechecked), 0) from {due}")[0]
            domains: list[tuple[Any, ...]] = []
            if count_domains:
                domains = self._rows(
                    f"select mailvet__domain, count(*) as mailvet__count from (select {say.after_at('folded')} as "
                    f"mailvet__domain from {due} where {say.position(literal('@'), 'folded')} > 0) as mailvet__domains "
                    "group by mailvet__domain order by mailvet__count desc, mailvet__domain"
                )
        return Plan(
            int(rows),
            int(missing),
            int(addresses),
            int(count),
            tuple((str(d), int(n)) for d, n in domains),
            int(rechecked),
        )

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

    def _stage_boxes(self) -> None:
        """The mailbox that each text reaches: email_key, folded, mailbox_key."""
        say, cells = self._say, self._staged["cells"]
        boxes = with_mailbox(say, cells, ("email_key", "folded"), labels=self._stage_labels(cells))
        self._indexed(
            self._stage(
                "boxes",
                f"select email_key, folded, {say.key('mailbox')} as mailbox_key from ({boxes}) m "
                "where mailbox is not null",
            ),
            "email_key",
        )

    def _stage_labels(self, relation: str) -> str | None:
        """The domains of the texts (`folded`) that are not ASCII, with their A-labels; None where there are none."""
        names = ascii_names(str(domain) for (domain,) in self._rows(odd_domains(self._say, relation)))
        if not names:
            return None
        labels = self._stage_empty("labels", {"domain": "string", "ascii_name": "string"})
        self._append(labels, pa.table({"domain": list(names), "ascii_name": list(names.values())}))
        return self._analyzed(labels)

    def _stage_history(self, now: datetime) -> None:
        """What the events say of each mailbox."""
        say, events = self._say, self._events
        assert events is not None
        path = Path(str(events.events)).expanduser()
        try:
            if path.is_file():
                kinds = dict.fromkeys(EVENT_COLUMNS, "string") | {"occurred_at": "timestamp"}
                source, columns = self._stage_empty("events", kinds), list(EVENT_COLUMNS)
                self._append(source, _events_of_file(path, events.columns))
            else:
                table = self._qualified(self._relation(str(events.events), "the database"))
                present = [name for name in EVENT_COLUMNS if self._has_column(table, name)]
                source = mapped_events(table, present, events.columns, self._quote)
                columns = [*present, *events.columns]
                if set(columns).isdisjoint(EVENT_KEYS):
                    raise SourceError("It names neither an email nor a mailbox_key or email_key.")
            with self._doing("read the events"):
                ask = Question(events, Policy(self.policy), now)
                recipients = self._stage("recipients", recipients_sql(say, source, columns, ask))
                labels = self._stage_labels(recipients)
                history = history_sql(say, recipients, self._staged["boxes"], ask, labels=labels)
                self._indexed(self._stage("history", history), "mailbox_key")
                warn_of_unknown_words(self._rows(unknown_words_sql(say, source)))
        except SourceError as error:
            raise SettingsError(
                f"history.events ({events.events}) cannot be used: it has to be a file, or a table beside the "
                "verdicts, with the columns email, event and occurred_at (UTC); history.columns gives other names. "
                f"{error}"
            ) from None

    def _has_column(self, relation: str, name: str) -> bool:
        try:
            self._try(f"select {name} from {relation} where 1 = 0", relation)
        except SourceError:
            return False
        return True

    def _stage_lists(self, listed: Mapping[str, Sequence[str]]) -> None:
        """Which of the user's own lists each address is on, by itself, its domain or one above."""
        say, cells = self._say, self._staged["cells"]
        entries = self._stage_empty("listed", {"list_name": "string", "entry": "string"})
        names = [(name, list_entry(entry)) for name in LISTS for entry in listed.get(name, ())]
        self._append(
            entries, pa.table({"list_name": [name for name, _ in names], "entry": [entry for _, entry in names]})
        )
        self._analyzed(entries)
        at = f"{say.position(literal('@'), 'folded')} > 0"
        boxes = self._staged["boxes"]
        self._stage("found", f"select b.folded, l.list_name from {boxes} b join {entries} l on l.entry = b.mailbox_key")
        above = self._stage(
            "above0",
            f"select distinct {say.after_at('folded')} as domain, {say.after_at('folded')} as entry "
            f"from {cells} where {at}",
        )
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

    def _stage_due(self, condition: str, by_itself: str | None, has_lists: bool) -> str:
        """
        What has to be verified: place, folded, email, email_key, what is known, and `rechecked` (1 or 0).

        Args:
            by_itself: without what is asked again although it is fresh; None where nothing is.
        """
        say = self._say
        # What is due by itself comes first, so that no limit is used up by the others.
        rechecked = "0" if by_itself is None else f"case when {by_itself} then 0 else 1 end"
        first = "" if by_itself is None else f"{rechecked}, "
        events = ", ".join(["", *(f"h.{name}" for name in HISTORY_COLUMNS)]) if self._events is not None else ""
        history = (
            f"left join {self._staged['boxes']} b on b.email_key = c.email_key "
            f"left join {self._staged['history']} h on h.mailbox_key = b.mailbox_key "
            if events
            else ""
        )
        lists = f"left join {self._staged['on_lists']} l on l.folded = c.folded " if has_lists else ""
        due = self._stage(
            "due",
            f"select row_number() over (order by {first}{say.shuffled('c.folded')}) - 1 as place, c.folded, c.email, "
            f"c.email_key, v.reason as previous_reason, coalesce(v.attempts, 0) as previous_attempts, {rechecked} as "
            f"rechecked{events} from {self._staged['cells']} c left join {self._known()} v "
            f"on v.email_key = c.email_key {history}{lists}where not {say.missing('c.email')} and ({condition})",
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
            if not say.finds_signals or not self._rows(say.limited(f"select 1 from {due}", 1)):
                return
            counts = self._rows(f"select (select count(*) from {due}) as due, (select count(*) from {cells}) as texts")
            only = due if counts[0][0] < counts[0][1] else None
            texts = (
                f"(select email_key, {say.short('email')} as email, {say.short('folded')} as folded from {cells} "
                f"where {say.length('email')} <= {_LONGEST_ADDRESS})"
            )
            # One statement each: their columns need no types, and no database has to plan all three together.
            found = self._stage_empty(
                "found_signals",
                {"email_key": "key", "series_size": "int32", "burst": "int16", "duplicate_of": "key"},
            )
            queries = {
                "email_key, series_size, 0": ("email_key, series_size, burst", series_sql(texts, say, due=only)),
                "email_key, 0, 0, duplicate_of": (
                    "email_key, series_size, burst, duplicate_of",
                    duplicates_sql(texts, say),
                ),
            }
            if signups is not None:
                key = say.key("cell") if say.groups_exactly else "cell"
                bursts = burst_sql(signups, say, due=only, window=burst_window)
                queries[f"{key}, 0, 1"] = ("email_key, series_size, burst", bursts)
            with self._transaction():
                for statement in say.planner_hints:
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
        selected = [f"d.{name}" for name in (*names, *(HISTORY_COLUMNS if self._events is not None else ()))]
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
        filled_cells = f"select folded from {cells} where not {self._say.missing('email')}"
        at = self._say.position(literal("@"), "folded")
        with self._doing(f"read {self.name}"):
            if self._rows(self._say.limited(f"select 1 from {cells} where {at} > 0", 1)):
                return False
            with contextlib.closing(self._stream(filled_cells, 1000)) as batches:
                for batch in batches:  # ends at the first that is none, as a rule in the first batch
                    filled = True
                    if not all(_is_number(text) for (text,) in batch):
                        return False
        return filled


def _due_table(rows: list[tuple[Any, ...]], events: bool, signals: bool) -> pa.Table:
    fields = [
        pa.field("email", pa.string()),
        pa.field("email_key", pa.string()),
        pa.field("previous_reason", pa.string()),
        pa.field("previous_attempts", pa.int32()),
    ]
    if events:
        fields += [pa.field(name, UTC if name == "history_at" else pa.string()) for name in HISTORY_COLUMNS]
    if signals:
        fields += [
            pa.field("series_size", pa.int32()),
            pa.field("burst", pa.bool_()),
            pa.field("duplicate_of", pa.string()),
        ]
    schema = pa.schema(fields)
    return pa.Table.from_arrays(arrays(rows, schema), schema=schema)


def _events_of_file(path: Path, columns: Mapping[str, str]) -> pa.Table:
    import duckdb

    from mailvet.warehouse.backends.duckdb.session import quote
    from mailvet.warehouse.files import first_line, table_function

    schema = pa.schema([pa.field(name, UTC if name == "occurred_at" else pa.string()) for name in EVENT_COLUMNS])
    without_zone = pa.schema([field.with_type(pa.timestamp("us")) if field.type == UTC else field for field in schema])
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        try:
            source = table_function(db, path)
            present = {str(row[0]).lower() for row in db.execute(f"describe from {source}").fetchall()}
            source = mapped_events(source, present & set(EVENT_COLUMNS), columns, quote)
            present |= columns.keys()
            if present.isdisjoint(EVENT_KEYS):
                raise SourceError("It names neither an email nor a mailbox_key or email_key.")
            listed = ", ".join(
                f"{name if name in present or name == 'event' else 'null'}::varchar as {name}"
                for name in EVENT_COLUMNS
                if name != "occurred_at"
            )
            ordered = ", ".join(EVENT_COLUMNS)
            events = f"select {ordered} from (select {listed}, occurred_at::timestamp as occurred_at from {source})"
            return db.sql(events).to_arrow_table().cast(without_zone).cast(schema)
        except duckdb.Error as error:
            raise SourceError(f"{first_line(str(error))}.") from None


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
