"""A table after its planning: reading what is due, and what only the whole table shows about it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pyarrow as pa

from mailvet.errors import SettingsError
from mailvet.history.facts import HISTORY_COLUMNS
from mailvet.warehouse.backends.sql.arrow import UTC, table_of
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.servers import CANARIES_PER_HOST, CANARY_AGE, CANARY_SCHEMA, MOST_CANARIES
from mailvet.warehouse.store import Plan
from mailvet.warehouse.table_signals import burst_sql, duplicates_sql, series_sql

__all__ = ["PlannedTable"]

_LONGEST_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3
_TIMES = re.compile(r"date|(timestamp|datetime).*")
"""Types of columns that hold a day or a point in time."""
_SIGNALS = {"email_key": "key", "series_size": "int32", "burst": "int16", "duplicate_of": "key"}


class PlannedTable:
    """What `Planner.plan` found, as `PlannedSource`.

    Args:
        source: the table.
        plan: the counts.
        cells: the table for the moment with its distinct texts.
        due: the one with what is due.
        events: what is due has the columns of events.
    """

    def __init__(self, source: ContactTable, plan: Plan, cells: str, due: str, *, events: bool) -> None:
        self.plan = plan
        self._source, self._session, self._cells, self._due = source, source.session, cells, due
        self._events = events
        self._signals: str | None = None

    # ---------------------------------------------------------------- reading

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `PlannedSource.due`. Spellings of one address (case, white space) stand next to each other."""
        schema, query = self._due_schema(), self._due_query()
        with self._session.doing(f"read what is due of {self._source.name}"):
            for rows in self._session.driver.pages(self._due, query, batch_rows):
                yield table_of(rows, schema)

    def _due_query(self) -> str:
        names = ["email", "email_key", "previous_reason", "previous_attempts"]
        selected = [f"d.{name}" for name in (*names, *(HISTORY_COLUMNS if self._events else ()))]
        joined = ""
        if self._signals is not None:
            selected += ["coalesce(s.series_size, 0)", "coalesce(s.burst, 0)", "s.duplicate_of"]
            joined = f" left join {self._signals} s on s.email_key = d.email_key"
        return f"select {', '.join(selected)} from {self._due} d{joined}"

    def _due_schema(self) -> pa.Schema:
        texts = ("email", "email_key", "previous_reason")
        fields = [*(pa.field(name, pa.string()) for name in texts), pa.field("previous_attempts", pa.int32())]
        if self._events:
            fields += [pa.field(name, UTC if name == "history_at" else pa.string()) for name in HISTORY_COLUMNS]
        if self._signals is not None:
            kinds = {"series_size": pa.int32(), "burst": pa.bool_(), "duplicate_of": pa.string()}
            fields += [pa.field(name, kind) for name, kind in kinds.items()]
        return pa.schema(fields)

    def renews(self) -> bool:
        """Whether anything due has a verdict already."""
        with self._session.doing(f"plan over {self._source.name}"):
            return self._session.any_row(f"select 1 from {self._due} where previous_reason is not null")

    def looks_numeric(self) -> bool:
        """See `PlannedSource.looks_numeric`."""
        session, say, filled = self._session, self._session.say, False
        filled_cells = f"select folded from {self._cells} where not {say.missing('email')}"
        at = say.position(literal("@"), "folded")
        with session.doing(f"read {self._source.name}"):
            if session.any_row(f"select 1 from {self._cells} where {at} > 0"):
                return False
            with contextlib.closing(session.driver.stream(filled_cells, 1000)) as batches:
                for batch in batches:  # ends at the first that is none, as a rule in the first batch
                    filled = True
                    if not all(_is_number(text) for (text,) in batch):
                        return False
        return filled

    def canaries(self, now: datetime) -> pa.Table:
        """See `PlannedSource.canaries`."""
        session, say = self._session, self._session.say
        if not session.has(VERDICTS):
            return CANARY_SCHEMA.empty_table()
        query = (
            "select mailvet__host, mailvet__email, mailvet__at from (select v.mx_host as mailvet__host, "
            "coalesce(v.email, c.email) as mailvet__email, v.checked_at as mailvet__at, row_number() over "
            "(partition by v.mx_host order by v.checked_at desc, v.email_key) as mailvet__place "
            f"from {VERDICTS} v left join {self._cells} c on c.email_key = v.email_key "
            f"where v.reason = 'mailbox_accepted' and v.checked_at >= {say.moment(now - CANARY_AGE)} and v.mx_host in "
            f"(select w.mx_host from {VERDICTS} w where w.mx_host is not null and w.domain in "
            f"(select {say.after_at('folded')} from {self._due})) and coalesce(v.email, c.email) is not null) "
            f"as mailvet__known where mailvet__place <= {CANARIES_PER_HOST} order by mailvet__at desc"
        )
        with session.doing("read the recipients that are known to exist"):
            return table_of(session.rows(say.limited(query, MOST_CANARIES)), CANARY_SCHEMA)

    # ---------------------------------------------------------------- what the whole table shows

    def find_signals(self, *, signed_up: str | None, burst_window: timedelta) -> None:
        """See `PlannedSource.find_signals`; nothing is found where the database cannot be asked."""
        session, say, cells, due = self._session, self._session.say, self._cells, self._due
        with session.doing(f"look over the whole of {self._source.name}"):
            signups = self._signups(signed_up) if signed_up is not None else None
            if not say.finds_signals or not session.any_row(f"select 1 from {due}"):
                return
            counts = session.rows(
                f"select (select count(*) from {due}) as due, (select count(*) from {cells}) as texts"
            )
            only = due if counts[0][0] < counts[0][1] else None
            texts = (
                f"(select email_key, {say.short('email')} as email, {say.short('folded')} as folded from {cells} "
                f"where {say.length('email')} <= {_LONGEST_ADDRESS})"
            )
            # One statement each: their columns need no types, and no database has to plan all three together.
            numbered = "email_key, series_size, burst"
            queries = [
                (numbered, "email_key, series_size, 0", series_sql(texts, say, due=only)),
                (f"{numbered}, duplicate_of", "email_key, 0, 0, duplicate_of", duplicates_sql(texts, say)),
            ]
            if signups is not None:
                key = say.key("cell") if say.groups_exactly else "cell"
                bursts = burst_sql(signups, say, due=only, window=burst_window)
                queries.append((numbered, f"{key}, 0, 1", bursts))
            self._signals = self._stage_signals(queries)

    def _stage_signals(self, queries: list[tuple[str, str, str]]) -> str:
        """The few rows with a signal, to be joined as the due ones are read.

        Args:
            queries: columns to fill, the values for them, and the query they come from.
        """
        session = self._session
        found = session.stage_empty("found_signals", _SIGNALS)
        with session.transaction():
            for statement in session.say.planner_hints:
                session.execute(statement)
            for columns, values, query in queries:
                session.execute(f"insert into {found} ({columns}) select {values} from ({query}) as mailvet__found")
        return session.stage(
            "signals",
            "select email_key, max(series_size) as series_size, max(burst) as burst, max(duplicate_of) as "
            f"duplicate_of from {found} group by email_key",
            key="email_key",
        )

    def _signups(self, signed_up: str) -> str:
        """The sign-ups of the source, as a query in brackets: cell, folded, signed_up."""
        source, session, say = self._source, self._session, self._session.say
        columns = {column.name: column.kind for column in source.columns}
        name = next((name for name in columns if name.lower() == signed_up.lower()), None)
        if name is None:
            raise SettingsError(
                f"suspicion.signed_up: there is no column {signed_up} in {source.name}; it has: {', '.join(columns)}."
            )
        quoted = session.driver.quote(name)
        at = say.any_moment(quoted)
        holds_times, filled = 0, 1
        if not say.typed or _TIMES.fullmatch(columns[name].lower()):
            holds_times, filled = session.rows(
                f"select count({at}), count({quoted}) from {source.relation} where {source.where}"
            )[0]
        if filled and not holds_times:
            raise SettingsError(
                f"suspicion.signed_up: the column {name} of {source.name} ({columns[name]}) holds no dates or times. "
                "Name the column with the time of each sign-up, or leave the setting out."
            )
        text = "mailvet__cell" if say.groups_exactly else say.key("mailvet__cell")
        return (
            f"(select {text} as cell, {say.short(say.fold('mailvet__cell'))} as folded, mailvet__at as signed_up "
            f"from (select {say.exact(source.cell)} as mailvet__cell, {at} as mailvet__at from {source.relation} "
            f"where {source.where}) as mailvet__cells where {say.length('mailvet__cell')} <= {_LONGEST_ADDRESS})"
        )


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
