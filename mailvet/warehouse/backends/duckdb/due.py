"""DuckDB: what of a table or file is due, and what the whole of it shows about each address."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.history.facts import HISTORY_COLUMNS, Question
from mailvet.reference.domains import free_domains
from mailvet.runs.recheck import Recheck
from mailvet.settings import EVENT_COLUMNS
from mailvet.vocabulary import Policy, Reason
from mailvet.warehouse.backends.duckdb.session import (
    FOLDED,
    MEMORY,
    MEMORY_WHILE_SAVING,
    SAY,
    DuckDBSession,
    find_table,
    is_blank,
    naive,
    numbers,
    quote,
)
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line, table_function
from mailvet.warehouse.identifiers import OWN
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
from mailvet.warehouse.rules import LISTS, due_condition, surely_fresh
from mailvet.warehouse.store import Plan
from mailvet.warehouse.table_signals import burst_sql, duplicates_sql, mailboxes_sql, numbered_sql, series_sql

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PART_ROWS", "PlannedDuckDB"]

_DUE = "mailvet_due"

PART_ROWS = 20 * 122_880
"""Rows joined with the verdicts at once: twenty of DuckDB's row groups, a quarter of a gigabyte."""

_JOINED_ROWS = 2_400_000
"""Verdicts, as numbers, that are joined in memory: with their hash table a fifth of a gigabyte."""

_FREE = "(select domain from mailvet_free)"

_NO_BOXES = "select '' as folded, '' as mailbox_key where false"

_NO_VERDICTS = (
    "(select null::varchar as email_key, null::varchar as reason, null::varchar as depth, 0 as attempts, "
    "null::timestamp as next_check_at, null::timestamp as checked_at, null::varchar as rules_version, "
    "null::varchar as flags, null::varchar as evidence where false)"
)


class PlannedDuckDB(DuckDBSession):
    """A session that plans and reads what is due."""

    _has_cells = False
    _due = _DUE
    _counts: list[tuple[Any, ...]] | None = None
    """What `summary` would find, where `write_back` has found it just now."""

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
        self._check_own_tables()
        self._counts = None
        self._may_use(MEMORY)
        self._stage_cells()
        if self._events is not None:
            self._stage_history(now)
        has_lists = any(listed.get(name) for name in LISTS)
        if has_lists:
            self._stage_lists(listed)
        condition = partial(
            due_condition,
            SAY,
            depth_rank=depth_rank,
            now=now,
            rules_version=rules_version,
            events=self._events is not None,
            listed=has_lists,
            among=among,
        )
        fresh = surely_fresh(SAY, depth_rank=depth_rank, now=now, rules_version=rules_version, recheck=recheck)
        self._stage_due(
            condition(recheck=recheck),
            condition() if recheck is not None else None,
            fresh,
            has_lists,
            chosen=among is not None,
            mixed=depth_rank > 0,
        )
        self._db.execute("drop table if exists temp.mailvet_signals")
        rows, missing, addresses = self._one(
            "select coalesce(sum(repeats), 0)::bigint, coalesce(sum(repeats) filter (missing), 0)::bigint, "
            f"count(*) filter (not missing) from (select repeats, {is_blank('email')} as missing from mailvet_texts)"
        )
        due, rechecked = self._one(f"select count(*), count(*) filter (rechecked) from {self._due}")
        domains: list[tuple[str, int]] = []
        if count_domains:
            domains = self._rows(
                f"select split_part(folded, '@', -1), count(*) from {self._due_cells()} where contains(folded, '@') "
                "group by 1 order by 2 desc, 1"
            )
        return Plan(rows, missing, addresses, due, tuple(domains), rechecked)

    def _stage_cells(self) -> None:
        """
        The distinct texts of the column: `mailvet_cells`. Only the texts are kept; keys of 64 characters, which cost
        little to compute, would take three times their room.
        """
        self._db.execute("create or replace temp table mailvet_texts (email varchar, repeats bigint)")
        try:
            for part in self._shares(PART_ROWS, f"{OWN}cell"):
                self._db.execute(
                    f"insert into mailvet_texts select {OWN}cell, count(*) from (select {self._cell} as "
                    f"{OWN}cell from {self.relation} where {self._where}) where {part} group by 1"
                )
        except duckdb.Error as error:
            condition = f" with this {argument('where')}" if self.narrowed else ""
            raise source_error(f"{self.name} cannot be read{condition}: {first_line(str(error))}.", error) from None
        self._db.execute(
            f"create or replace temp view mailvet_cells as select email, sha256(email) as email_key, "
            f"{FOLDED} as folded, repeats from mailvet_texts"
        )
        self._has_cells = True

    def _due_cells(self) -> str:
        return f"(select *, sha256(email) as email_key, {FOLDED} as folded from {self._due})"

    def _need_cells(self) -> None:
        """For what is asked after a run that had nothing to plan."""
        if not self._has_cells:
            self._stage_cells()

    def _shares(self, size: int, text: str) -> list[str]:
        """Conditions that share out texts among parts of about so many rows of the source, at random."""
        (rows,) = self._one(f"select count(*) from {self.relation}")
        count = -(-rows // size) or 1
        return [f"hash({text}) % {count} = {number}" for number in range(count)] if count > 1 else ["true"]

    def _stage_history(self, now: datetime) -> None:
        """What the events say of each mailbox: `mailvet_history`."""
        db, events = self._db, self._events
        assert events is not None
        try:
            path = Path(str(events.events)).expanduser()
            source = self._event_rows
            if source is None:
                source = table_function(db, path) if path.is_file() else find_table(db, str(events.events), None)[0]
            described = {str(row[0]).lower() for row in db.execute(f"describe from {source}").fetchall()}
            present = [name for name in EVENT_COLUMNS if name in described]
            columns = [*present, *events.columns]
            if set(columns).isdisjoint(EVENT_KEYS):
                raise SourceError("It names neither an email nor a mailbox_key or email_key.")
            source = mapped_events(source, present, events.columns, quote)
            ask = Question(events, Policy(self.policy), now)
            query = recipients_sql(SAY, source, columns, ask)
            db.execute(f"create or replace temp table mailvet_recipients as {query}")
            labels = self._stage_labels("mailvet_recipients")
            boxes = "(select email_key, null::varchar as mailbox_key from mailvet_cells where false)"
            if "email_key" in columns:
                boxes = f"({self._boxes('mailvet_cells', ('email_key',))})"
            history = history_sql(SAY, "mailvet_recipients", boxes, ask, labels=labels)
            db.execute(f"create or replace temp table mailvet_history as {history}")
            self._drop("recipients")
            warn_of_unknown_words(self._rows(unknown_words_sql(SAY, source)))
        except SourceError as error:
            raise SettingsError(
                f"history.events ({events.events}) is neither a file nor a table beside the verdicts. {error}"
            ) from None
        except duckdb.Error as error:
            raise SettingsError(
                f"history.events ({events.events}) cannot be used: {first_line(str(error))}. It needs the columns "
                "email, event and occurred_at (UTC); history.columns gives other names."
            ) from None

    def _boxes(self, relation: str, columns: Sequence[str]) -> str:
        """A query for these columns of a relation with `folded`, and the `mailbox_key` of each text (null for none)."""
        found = with_mailbox(SAY, relation, columns, labels=self._stage_labels("mailvet_cells", "cell_labels"))
        return f"select {', '.join(columns)}, sha256(mailbox) as mailbox_key from ({found})"

    def _stage_labels(self, relation: str, name: str = "labels") -> str | None:
        """The domains of the texts (`folded`) that are not ASCII, with their A-labels; None where there are none."""
        names = ascii_names(domain for (domain,) in self._rows(odd_domains(SAY, relation)))
        if not names:
            return None
        self._db.execute(f"create or replace temp table mailvet_{name} (domain varchar, ascii_name varchar)")
        self._db.execute(
            f"insert into mailvet_{name} select unnest($1::varchar[]), unnest($2::varchar[])",
            [list(names), list(names.values())],
        )
        return f"mailvet_{name}"

    def _stage_lists(self, listed: Mapping[str, Sequence[str]]) -> None:
        """Which of the user's own lists each address is on, by itself, its domain or one above: `mailvet_on_lists`."""
        db = self._db
        db.execute("create or replace temp table mailvet_listed (list varchar, entry varchar)")
        for name in LISTS:
            if listed.get(name):
                entries = list(map(list_entry, listed[name]))
                db.execute("insert into mailvet_listed select $1, unnest($2::varchar[])", [name, entries])
        with_address = any("@" in entry.lstrip("@") for name in LISTS for entry in listed.get(name, ()))
        boxes = self._boxes("mailvet_cells", ("folded",)) if with_address else _NO_BOXES
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

    def _stage_due(
        self, condition: str, by_itself: str | None, fresh: str, has_lists: bool, *, chosen: bool, mixed: bool
    ) -> None:
        """
        What has to be verified: `mailvet_due`, or all texts there are.

        Args:
            by_itself: without what is asked again although it is fresh; None where nothing is.
            fresh: what is not due for sure, as of `surely_fresh`.
            chosen: by the reason of their verdicts.
            mixed: spellings of one address next to each other, and addresses in no order, as mail servers are asked.
        """
        verdicts = "mailvet_verdicts" if self._has("mailvet_verdicts") else _NO_VERDICTS
        columns = {
            "email": "c.email",
            "rechecked": "false" if by_itself is None else f"not coalesce({by_itself}, false)",
        }
        if self._rows(f"select 1 from {verdicts} limit 1"):
            columns |= {"previous_reason": "v.reason", "previous_attempts": "coalesce(v.attempts, 0)"}
        else:  # everything is due, and nothing has to be joined to find that out
            verdicts = _NO_VERDICTS
        self._due = _DUE
        if verdicts is _NO_VERDICTS and not chosen and not mixed and self._events is None:
            self._due = f"(select email, false as rechecked, rowid from mailvet_texts where not {is_blank('email')})"
            return
        cells = "mailvet_cells"
        mostly_fresh = f"select coalesce(count(*) filter ({fresh}) * 2 > count(*), false) from {verdicts}"
        if verdicts is not _NO_VERDICTS and self._one(mostly_fresh)[0]:
            self._stage_open(fresh)
            cells = "mailvet_open"
        joined = f"{cells} c left join {verdicts} v using (email_key)"
        if self._events is not None:
            columns |= {name: f"h.{name}" for name in HISTORY_COLUMNS}
            boxes = self._boxes(cells, ("email_key", "email", "folded"))
            joined = joined.replace(f"{cells} c", f"({boxes}) c", 1)
            joined += " left join mailvet_history h on h.mailbox_key = c.mailbox_key"
        if has_lists:
            joined += " left join mailvet_on_lists l on l.folded = c.folded"
        selected = ", ".join(f"{value} as {name}" for name, value in columns.items())
        # What is due by itself comes first, so that no limit is used up by the others.
        order = ["rechecked"] * (by_itself is not None) + ["hash(c.folded)", "c.email"] * mixed
        ordered = f"order by {', '.join(order)}" if order else ""
        self._db.execute(f"create or replace temp table mailvet_due as select {selected} from {joined} where false")
        for part in self._shares(PART_ROWS, "c.folded") if cells == "mailvet_cells" else ("true",):
            self._db.execute(
                f"insert into mailvet_due select {selected} from {joined} where {part} and not {is_blank('c.email')} "
                f"and ({condition}) {ordered}"
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
                f"(select {numbers('email_key')} from mailvet_verdicts where {fresh} and {part}) using (first, second)"
            )
        news = ""
        if self._events is not None:
            boxes = self._boxes(f"(select rowid as place, {FOLDED} as folded from mailvet_texts)", ("place",))
            with_news = "mailbox_key in (select mailbox_key from mailvet_history)"
            news = f" or rowid in (select place from ({boxes}) where {with_news})"
        self._db.execute(
            f"create or replace temp table mailvet_open as select email, sha256(email) as email_key, {FOLDED} as "
            f"folded from mailvet_texts where rowid not in (select place from mailvet_fresh){news}"
        )
        self._drop("numbers", "fresh")

    def _stage_numbers(self, place: str, cell: str, rows: str) -> None:
        """The keys of cells as numbers, and whether they are blank: `mailvet_numbers`."""
        self._db.execute(
            f"create or replace temp table mailvet_numbers as select {place} as place, {numbers(f'sha256({cell})')}, "
            f"{is_blank(cell)} as blank from {rows}"
        )

    def _join_parts(self) -> list[str]:
        """
        Conditions that part `mailvet_numbers` and the verdicts alike, so that each part is joined in memory: a join
        that spills to the disk takes twice the time.
        """
        count = -(-self._count_stored() // _JOINED_ROWS) or 1
        return [f"first % {count} = {number}" for number in range(count)]

    def _count_stored(self) -> int:
        return int(self._one("select count(*) from mailvet_verdicts")[0])

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
        texts = f"(select rowid as place, email, {FOLDED} as folded from mailvet_texts)"
        db.execute(f"create or replace temp table mailvet_mailboxes as {mailboxes_sql(texts, SAY)}")
        several = (
            "select place from mailvet_mailboxes where mailbox in (select mailbox from mailvet_mailboxes "
            "where mailbox in (select mailbox from mailvet_mailboxes where odd) group by 1 having count(*) > 1)"
        )
        # Materialized, or else everything is asked of all texts before the digit is.
        with_digit = (
            "(with numbered as materialized (select rowid as place, email from mailvet_texts where "
            f"{SAY.has_digit_before_at('email')}) select place, {FOLDED} as folded from numbered)"
        )
        for name, places in (("doubles", several), ("numbered", numbered_sql(with_digit, SAY, free=_FREE))):
            db.execute(
                f"create or replace temp table mailvet_{name} as select email, sha256(email) as email_key, "
                f"{FOLDED} as folded from mailvet_texts where rowid in ({places})"
            )
        db.execute("drop table temp.mailvet_mailboxes")
        series = series_sql("mailvet_numbered", SAY, due=only, free=_FREE, everybody="mailvet_cells")
        found = [
            f"select email_key, series_size, false as burst, null as duplicate_of from ({series})",
            f"select email_key, 0, false, duplicate_of from ({duplicates_sql('mailvet_doubles', SAY)})",
        ]
        if signed_up is not None:
            signups = self._signups(signed_up)
            bursts = burst_sql(signups, SAY, due=only, free=_FREE, window=burst_window)
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
        time = f"{quote(name)}::timestamp" if kind.startswith("TIMESTAMP_") else quote(name)
        if kind == "VARCHAR":  # as a file without types brings it
            time = f"try_cast({quote(name)} as timestamp)"
        holds_times, filled = (
            self._one(f"select count({time}), count({quote(name)}) from {self.relation} where {self._where}")
            if kind.startswith(("VARCHAR", "TIMESTAMP", "DATE"))
            else (0, 1)
        )
        if filled and not holds_times:
            raise SettingsError(
                f"suspicion.signed_up: the column {name} of {self.name} ({kind}) holds no dates or times. Name the "
                "column with the time of each sign-up, or leave the setting out."
            )
        return (
            f"(select email as cell, {FOLDED} as folded, signed_up "
            f"from (select {self._cell} as email, {time} as signed_up from {self.relation} where {self._where}))"
        )

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.due`. Spellings of one address (case, white space) stand next to each other."""
        self._may_use(MEMORY_WHILE_SAVING)
        (count,) = self._one(f"select coalesce(max(rowid) + 1, 0) from {self._due}")
        signals, joined = ", 0 as series_size, false as burst, null::varchar as duplicate_of", ""
        if self._rows("select 1 from duckdb_tables() where table_name = 'mailvet_signals' and temporary"):
            signals = ", coalesce(s.series_size, 0) as series_size, coalesce(s.burst, false) as burst, s.duplicate_of"
            joined = "left join mailvet_signals s using (email_key)"
        for start in range(0, count, batch_rows):
            yield self._arrow(
                f"select d.* exclude (place, rechecked){signals} from (select *, sha256(email) as email_key, "
                "rowid as place "
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
                [naive(now)],
            )
        )

    def looks_numeric(self) -> bool:
        """See `Warehouse.looks_numeric`."""
        filled = f"from mailvet_cells where not {is_blank('email')}"
        return bool(self._rows(f"select 1 {filled} limit 1")) and not self._rows(
            f"select 1 {filled} and try_cast(folded as double) is null limit 1"
        )
