"""What is due of a table: its distinct texts, and what the user's events, lists and earlier verdicts say of them.

All of it happens in the database, in tables for the moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.history.facts import HISTORY_COLUMNS, Question
from mailvet.policies import base_of
from mailvet.settings import EVENT_COLUMNS, History
from mailvet.warehouse.backends.sql.arrow import UTC
from mailvet.warehouse.backends.sql.planned import PlannedTable
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.due_rule import LISTS, DueRule
from mailvet.warehouse.identifiers import quoted
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
from mailvet.warehouse.own_tables import VERDICTS, verdict_kinds
from mailvet.warehouse.store import Plan

__all__ = ["Cells", "Planner", "known_verdicts"]

_MOST_LABELS = 128  # a domain name has no more


class Cells:
    """The distinct texts of a column of addresses, in a table for the moment: email, email_key, folded, repeats.

    Args:
        source: the table they stand in.
    """

    def __init__(self, source: ContactTable) -> None:
        self._source = source

    @property
    def staged(self) -> str | None:
        """Its name in a statement, once it is made."""
        return self._source.session.staged.get("cells")

    def name(self) -> str:
        """Its name in a statement; made where it is not there yet."""
        return self.staged or self.stage()

    def stage(self) -> str:
        """Make it anew from the table as it is now."""
        source, session = self._source, self._source.session
        say = session.say
        if say.groups_exactly:
            distinct = (
                f"select email, {say.key('email')} as email_key, repeats from (select mailvet__cell as email, "
                f"count(*) as repeats from (select {say.exact(source.cell)} as mailvet__cell from {source.relation} "
                f"where {source.where}) as mailvet__cells group by mailvet__cell) as mailvet__grouped"
            )
        else:  # the key tells apart what GROUP BY does not
            distinct = (
                "select min(mailvet__cell) as email, mailvet__key as email_key, count(*) as repeats from (select "
                f"{source.cell} as mailvet__cell, {say.key(source.cell)} as mailvet__key from {source.relation} "
                f"where {source.where}) as mailvet__cells group by mailvet__key"
            )
        return session.stage(
            "cells",
            f"select email, email_key, {say.fold('email')} as folded, repeats from ({distinct}) as mailvet__distinct",
            guarded=source.narrowed,
        )


class Planner:
    """Finds out what is due.

    Args:
        source: the table.
        cells: its distinct texts.
    """

    def __init__(self, source: ContactTable, cells: Cells) -> None:
        self._source, self._cells, self._session = source, cells, source.session

    def plan(self, rule: DueRule, listed: Mapping[str, Sequence[str]], *, count_domains: bool) -> PlannedTable:
        """See `ContactSource.plan`."""
        session, source = self._session, self._source
        narrowed = f" with this {argument('where')}" if source.narrowed else ""
        with session.doing(f"plan over {source.name}{narrowed}"):
            session.unstage("signals")
            cells = self._cells.stage()
            has_lists = any(listed.get(name) for name in LISTS)
            boxes = self._stage_boxes(cells) if has_lists or rule.events else ""
            history = self._stage_history(rule.now, boxes) if rule.events else None
            on_lists = self._stage_lists(listed, cells, boxes) if has_lists else None
            due = self._stage_due(rule, cells, history, on_lists, boxes)
            plan = self._counted(cells, due, count_domains=count_domains)
        return PlannedTable(source, plan, cells, due, events=rule.events)

    def _counted(self, cells: str, due: str, *, count_domains: bool) -> Plan:
        session, say = self._session, self._session.say
        is_missing = say.missing("email")
        rows, missing, addresses = session.rows(
            f"select coalesce(sum(repeats), 0), coalesce(sum(case when {is_missing} then repeats else 0 end), 0), "
            f"coalesce(sum(case when {is_missing} then 0 else 1 end), 0) from {cells}"
        )[0]
        count, rechecked = session.rows(f"select count(*), coalesce(sum(rechecked), 0) from {due}")[0]
        domains: list[tuple[Any, ...]] = []
        if count_domains:
            domains = session.rows(
                f"select mailvet__domain, count(*) as mailvet__count from (select {say.after_at('folded')} as "
                f"mailvet__domain from {due} where {say.position(literal('@'), 'folded')} > 0) as mailvet__domains "
                "group by mailvet__domain order by mailvet__count desc, mailvet__domain"
            )
        by_domain = tuple((str(domain), int(number)) for domain, number in domains)
        return Plan(int(rows), int(missing), int(addresses), int(count), by_domain, int(rechecked))

    def _stage_boxes(self, cells: str) -> str:
        """The mailbox that each text reaches: email_key, folded, mailbox_key."""
        say = self._session.say
        boxes = with_mailbox(say, cells, ("email_key", "folded"), labels=self._stage_labels(cells))
        return self._session.stage(
            "boxes",
            f"select email_key, folded, {say.key('mailbox')} as mailbox_key from ({boxes}) m where mailbox is not null",
            key="email_key",
        )

    def _stage_labels(self, relation: str) -> str | None:
        """The domains of the texts (`folded`) that are not ASCII, with their A-labels; None where there are none."""
        session = self._session
        names = ascii_names(str(domain) for (domain,) in session.rows(odd_domains(session.say, relation)))
        if not names:
            return None
        labels = session.stage_empty("labels", {"domain": "string", "ascii_name": "string"})
        session.append(labels, pa.table({"domain": list(names), "ascii_name": list(names.values())}))
        session.analyze(labels)
        return labels

    def _stage_history(self, now: datetime, boxes: str) -> str:
        """What the events say of each mailbox."""
        session, events = self._session, self._source.events
        assert events is not None
        try:
            source, columns = self._event_rows(events)
            with session.doing("read the events"):
                ask = Question(events, base_of(self._source.policy), now)
                recipients = session.stage("recipients", recipients_sql(session.say, source, columns, ask))
                labels = self._stage_labels(recipients)
                history = history_sql(session.say, recipients, boxes, ask, labels=labels)
                staged = session.stage("history", history, key="mailbox_key")
                warn_of_unknown_words(session.rows(unknown_words_sql(session.say, source)))
                return staged
        except SourceError as error:
            raise SettingsError(
                f"history.events ({events.events}) cannot be used: it has to be a file, or a table beside the "
                "verdicts, with the columns email, event and occurred_at (UTC); history.columns gives other names. "
                f"{error}"
            ) from None

    def _event_rows(self, events: History) -> tuple[str, list[str]]:
        """The events in a statement, and which of `EVENT_COLUMNS` they have."""
        session, driver = self._session, self._session.driver
        path = Path(str(events.events)).expanduser()
        if path.is_file():
            kinds = dict.fromkeys(EVENT_COLUMNS, "string") | {"occurred_at": "timestamp"}
            staged = session.stage_empty("events", kinds)
            session.append(staged, _events_of_file(path, events.columns))
            return staged, list(EVENT_COLUMNS)
        table = driver.qualified(driver.find(str(events.events), "the database"))
        present = [name for name in EVENT_COLUMNS if session.has_column(table, name)]
        columns = [*present, *events.columns]
        if set(columns).isdisjoint(EVENT_KEYS):
            raise SourceError("It names neither an email nor a mailbox_key or email_key.")
        return mapped_events(table, present, events.columns, driver.quote), columns

    def _stage_lists(self, listed: Mapping[str, Sequence[str]], cells: str, boxes: str) -> str:
        """Which of the user's own lists each address is on, by itself, its domain or one above."""
        session, say = self._session, self._session.say
        entries = session.stage_empty("listed", {"list_name": "string", "entry": "string"})
        named = [(name, list_entry(entry)) for name in LISTS for entry in listed.get(name, ())]
        columns = {"list_name": [name for name, _ in named], "entry": [entry for _, entry in named]}
        session.append(entries, pa.table(columns))
        session.analyze(entries)
        found = session.stage(
            "found", f"select b.folded, l.list_name from {boxes} b join {entries} l on l.entry = b.mailbox_key"
        )
        domains = self._stage_listed_domains(cells, entries)
        session.execute(
            f"insert into {found} select c.folded, d.list_name from {cells} c join {domains} d "
            f"on d.domain = {say.after_at('c.folded')} where {say.position(literal('@'), 'c.folded')} > 0"
        )
        flags = ", ".join(f"max(case when list_name = '{name}' then 1 else 0 end) as on_{name}" for name in LISTS)
        return session.stage("on_lists", f"select folded, {flags} from {found} group by folded")

    def _stage_listed_domains(self, cells: str, entries: str) -> str:
        """The domains that are on a list, or lie below one that is: domain, list_name."""
        session, say = self._session, self._session.say
        domain, has_at = say.after_at("folded"), f"{say.position(literal('@'), 'folded')} > 0"
        above = session.stage(
            "above0", f"select distinct {domain} as domain, {domain} as entry from {cells} where {has_at}"
        )
        matched = "select a.domain, l.list_name from {} a join {} l on l.entry = a.entry".format
        domains = session.stage("domains", matched(above, entries))
        dotted = f"{say.position(literal('.'), 'entry')} > 0"
        for level in range(1, _MOST_LABELS):
            lower = above
            above = session.stage(
                f"above{level % 2}", f"select domain, {say.after_dot('entry')} as entry from {lower} where {dotted}"
            )
            if not session.any_row(f"select 1 from {above}"):
                break
            session.execute(f"insert into {domains} {matched(above, entries)}")
        return domains

    def _stage_due(self, rule: DueRule, cells: str, history: str | None, on_lists: str | None, boxes: str) -> str:
        """What has to be verified: place, folded, email, email_key, what is known, and `rechecked` (1 or 0)."""
        session, say = self._session, self._session.say
        condition = rule.condition(say, listed=on_lists is not None)
        rechecked, first = "0", ""
        if rule.recheck is not None:
            # What is due by itself comes first, so that no limit is used up by the others.
            by_itself = rule.by_itself().condition(say, listed=on_lists is not None)
            rechecked = f"case when {by_itself} then 0 else 1 end"
            first = f"{rechecked}, "
        events, joined = "", ""
        if history is not None:
            events = "".join(f", h.{name}" for name in HISTORY_COLUMNS)
            joined = (
                f"left join {boxes} b on b.email_key = c.email_key "
                f"left join {history} h on h.mailbox_key = b.mailbox_key "
            )
        if on_lists is not None:
            joined += f"left join {on_lists} l on l.folded = c.folded "
        return session.stage(
            "due",
            f"select row_number() over (order by {first}{say.shuffled('c.folded')}) - 1 as place, c.folded, c.email, "
            f"c.email_key, v.reason as previous_reason, coalesce(v.attempts, 0) as previous_attempts, {rechecked} as "
            f"rechecked{events} from {cells} c left join {known_verdicts(self._source)} v "
            f"on v.email_key = c.email_key {joined}where not {say.missing('c.email')} and ({condition})",
            key="place",
        )


def known_verdicts(source: ContactTable) -> str:
    """The verdict table, or an empty one like it where there is none yet."""
    session = source.session
    return VERDICTS if session.has(VERDICTS) else session.stage_empty("no_verdicts", verdict_kinds())


def _events_of_file(path: Path, columns: Mapping[str, str]) -> pa.Table:
    import duckdb

    from mailvet.warehouse.files import first_line, table_function

    schema = pa.schema([pa.field(name, UTC if name == "occurred_at" else pa.string()) for name in EVENT_COLUMNS])
    without_zone = pa.schema([field.with_type(pa.timestamp("us")) if field.type == UTC else field for field in schema])
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        try:
            source = table_function(db, path)
            present = {str(row[0]).lower() for row in db.execute(f"describe from {source}").fetchall()}
            source = mapped_events(source, present & set(EVENT_COLUMNS), columns, quoted)
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
