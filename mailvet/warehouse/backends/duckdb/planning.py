"""What is due of a table in DuckDB: what the user's events, lists and earlier verdicts say of its distinct texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from mailvet.errors import SettingsError, SourceError
from mailvet.history.facts import HISTORY_COLUMNS, Question
from mailvet.policies import base_of
from mailvet.settings import EVENT_COLUMNS
from mailvet.warehouse.backends.duckdb.cells import Cells, join_parts, stage_numbers
from mailvet.warehouse.backends.duckdb.connection import MEMORY
from mailvet.warehouse.backends.duckdb.expressions import FOLDED, KEY, SAY, is_blank, numbers
from mailvet.warehouse.backends.duckdb.planned import PlannedRelation, with_keys
from mailvet.warehouse.backends.duckdb.relations import find_table
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.due_rule import LISTS, DueRule
from mailvet.warehouse.files import first_line, table_function
from mailvet.warehouse.identifiers import quoted
from mailvet.warehouse.mailboxes import (
    EVENT_KEYS,
    history_sql,
    list_entry,
    mapped_events,
    recipients_sql,
    unknown_words_sql,
    warn_of_unknown_words,
)
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.store import Plan

__all__ = ["Planner"]

_NO_BOXES = "select '' as folded, '' as mailbox_key where false"

_NO_VERDICTS = (
    "(select null::varchar as email_key, null::varchar as reason, null::varchar as depth, 0 as attempts, "
    "null::timestamp as next_check_at, null::timestamp as checked_at, null::varchar as rules_version, "
    "null::varchar as flags, null::varchar as evidence where false)"
)


class Planner:
    """Finds out what is due.

    Args:
        source: the table.
        cells: its distinct texts.
    """

    def __init__(self, source: ContactRelation, cells: Cells) -> None:
        self._source, self._cells, self._session = source, cells, source.session

    def plan(self, rule: DueRule, listed: Mapping[str, Sequence[str]], *, count_domains: bool) -> PlannedRelation:
        """See `ContactSource.plan`."""
        session = self._session
        session.check_own_tables()
        session.changes += 1
        session.may_use(MEMORY)
        self._cells.stage()
        if rule.events:
            self._stage_history(rule.now)
        has_lists = any(listed.get(name) for name in LISTS)
        if has_lists:
            self._stage_lists(listed)
        due = self._stage_due(rule, has_lists=has_lists)
        session.drop("signals")
        rows, missing, addresses = session.one(
            "select coalesce(sum(repeats), 0)::bigint, coalesce(sum(repeats) filter (missing), 0)::bigint, "
            f"count(*) filter (not missing) from (select repeats, {is_blank('email')} as missing from mailvet_texts)"
        )
        count, rechecked = session.one(f"select count(*), count(*) filter (rechecked) from {due}")
        domains: list[tuple[str, int]] = []
        if count_domains:
            domains = session.rows(
                f"select split_part(folded, '@', -1), count(*) from {with_keys(due)} where contains(folded, '@') "
                "group by 1 order by 2 desc, 1"
            )
        return PlannedRelation(self._source, Plan(rows, missing, addresses, count, tuple(domains), rechecked), due)

    def _stage_history(self, now: datetime) -> None:
        """What the events say of each mailbox: `mailvet_history`."""
        session, db, events = self._session, self._session.db, self._source.events
        assert events is not None
        try:
            path = Path(str(events.events)).expanduser()
            source = self._source.event_rows
            if source is None:
                source = table_function(db, path) if path.is_file() else find_table(db, str(events.events), None)[0]
            described = {str(row[0]).lower() for row in session.rows(f"describe from {source}")}
            present = [name for name in EVENT_COLUMNS if name in described]
            columns = [*present, *events.columns]
            if set(columns).isdisjoint(EVENT_KEYS):
                raise SourceError("It names neither an email nor a mailbox_key or email_key.")
            source = mapped_events(source, present, events.columns, quoted)
            ask = Question(events, base_of(self._source.policy), now)
            query = recipients_sql(SAY, source, columns, ask)
            db.execute(f"create or replace temp table mailvet_recipients as {query}")
            labels = self._cells.stage_labels("mailvet_recipients")
            boxes = "(select email_key, null::varchar as mailbox_key from mailvet_cells where false)"
            if "email_key" in columns:
                boxes = f"({self._cells.boxes('mailvet_cells', ('email_key',))})"
            history = history_sql(SAY, "mailvet_recipients", boxes, ask, labels=labels)
            db.execute(f"create or replace temp table mailvet_history as {history}")
            session.drop("recipients")
            warn_of_unknown_words(session.rows(unknown_words_sql(SAY, source)))
        except SourceError as error:
            raise SettingsError(
                f"history.events ({events.events}) is neither a file nor a table beside the verdicts. {error}"
            ) from None
        except duckdb.Error as error:
            raise SettingsError(
                f"history.events ({events.events}) cannot be used: {first_line(str(error))}. It needs the columns "
                "email, event and occurred_at (UTC); history.columns gives other names."
            ) from None

    def _stage_lists(self, listed: Mapping[str, Sequence[str]]) -> None:
        """Which of the user's own lists each address is on, by itself, its domain or one above: `mailvet_on_lists`."""
        db = self._session.db
        db.execute("create or replace temp table mailvet_listed (list varchar, entry varchar)")
        for name in LISTS:
            if listed.get(name):
                entries = list(map(list_entry, listed[name]))
                db.execute("insert into mailvet_listed select $1, unnest($2::varchar[])", [name, entries])
        with_address = any("@" in entry.lstrip("@") for name in LISTS for entry in listed.get(name, ()))
        boxes = self._cells.boxes("mailvet_cells", ("folded",)) if with_address else _NO_BOXES
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
                select folded, list from ({boxes}) join mailvet_listed on entry = mailbox_key
                union all
                select folded, list from mailvet_cells
                join (select domain, list from above join mailvet_listed using (entry)) as found
                  on found.domain = split_part(folded, '@', -1)
            ) group by folded
            """
        )

    def _stage_due(self, rule: DueRule, *, has_lists: bool) -> str:
        """What has to be verified, as a relation: `mailvet_due`, or all texts there are."""
        session = self._session
        mixed = rule.depth_rank > 0  # spellings stand together, and addresses in no order, as mail servers are asked
        verdicts = VERDICTS if session.has(VERDICTS) else _NO_VERDICTS
        if not session.rows(f"select 1 from {verdicts} limit 1"):
            verdicts = _NO_VERDICTS  # everything is due, and nothing has to be joined to find that out
            if rule.among is None and not mixed and not rule.events:
                return f"(select email, false as rechecked, rowid from mailvet_texts where not {is_blank('email')})"
        condition, columns = rule.condition(SAY, listed=has_lists), {"email": "c.email", "rechecked": "false"}
        if rule.recheck is not None:
            by_itself = rule.by_itself().condition(SAY, listed=has_lists)
            columns["rechecked"] = f"not coalesce({by_itself}, false)"
        if verdicts == VERDICTS:
            columns |= {"previous_reason": "v.reason", "previous_attempts": "coalesce(v.attempts, 0)"}
        cells = "mailvet_cells"
        if verdicts == VERDICTS and self._is_mostly_fresh(fresh := rule.surely_fresh(SAY)):
            self._stage_open(fresh, events=rule.events)
            cells = "mailvet_open"
        joined = self._joined(cells, verdicts, events=rule.events, has_lists=has_lists)
        if rule.events:
            columns |= {name: f"h.{name}" for name in HISTORY_COLUMNS}
        selected = ", ".join(f"{value} as {name}" for name, value in columns.items())
        # What is due by itself comes first, so that no limit is used up by the others.
        order = ["rechecked"] * (rule.recheck is not None) + ["hash(c.folded)", "c.email"] * mixed
        ordered = f"order by {', '.join(order)}" if order else ""
        session.db.execute(f"create or replace temp table mailvet_due as select {selected} from {joined} where false")
        for part in self._cells.shares("c.folded") if cells == "mailvet_cells" else ("true",):
            session.db.execute(
                f"insert into mailvet_due select {selected} from {joined} where {part} and not {is_blank('c.email')} "
                f"and ({condition}) {ordered}"
            )
        return "mailvet_due"

    def _is_mostly_fresh(self, fresh: str) -> bool:
        (found,) = self._session.one(
            f"select coalesce(count(*) filter ({fresh}) * 2 > count(*), false) from {VERDICTS}"
        )
        return bool(found)

    def _joined(self, cells: str, verdicts: str, *, events: bool, has_lists: bool) -> str:
        """The cells `c` with their verdict `v`, their events `h` and the lists `l` they are on."""
        if events:
            cells = f"({self._cells.boxes(cells, ('email_key', 'email', 'folded'))})"
        joined = f"{cells} c left join {verdicts} v using (email_key)"
        if events:
            joined += " left join mailvet_history h on h.mailbox_key = c.mailbox_key"
        if has_lists:
            joined += " left join mailvet_on_lists l on l.folded = c.folded"
        return joined

    def _stage_open(self, fresh: str, *, events: bool) -> None:
        """The cells whose verdict is not fresh for sure: `mailvet_open`.

        On a list that is verified day by day they are few, so the others are told from them by numbers.
        """
        db = self._session.db
        stage_numbers(self._source, "rowid", "email", "mailvet_texts")
        db.execute("create or replace temp table mailvet_fresh (place bigint)")
        for part in join_parts(self._source):
            db.execute(
                f"insert into mailvet_fresh select place from (from mailvet_numbers where {part}) semi join "
                f"(select {numbers('email_key')} from {VERDICTS} where {fresh} and {part}) using (first, second)"
            )
        news = ""
        if events:
            boxes = self._cells.boxes(f"(select rowid as place, {FOLDED} as folded from mailvet_texts)", ("place",))
            with_news = "mailbox_key in (select mailbox_key from mailvet_history)"
            news = f" or rowid in (select place from ({boxes}) where {with_news})"
        db.execute(
            f"create or replace temp table mailvet_open as select email, {KEY} as email_key, {FOLDED} as "
            f"folded from mailvet_texts where rowid not in (select place from mailvet_fresh){news}"
        )
        self._session.drop("numbers", "fresh")
