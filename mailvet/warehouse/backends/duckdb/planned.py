"""A table in DuckDB after its planning: reading what is due, and what only the whole table shows about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mailvet.errors import SettingsError
from mailvet.reference.domains import free_domains
from mailvet.warehouse.backends.duckdb.connection import MEMORY_WHILE_SAVING
from mailvet.warehouse.backends.duckdb.expressions import FOLDED, KEY, SAY, is_blank, naive
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.identifiers import quoted
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.servers import CANARIES_PER_HOST, CANARY_AGE, CANARY_SCHEMA, MOST_CANARIES
from mailvet.warehouse.store import Plan
from mailvet.warehouse.table_signals import burst_sql, duplicates_sql, mailboxes_sql, numbered_sql, series_sql

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PlannedRelation", "with_keys"]

_FREE = "(select domain from mailvet_free)"


def with_keys(due: str) -> str:
    """What is due, with `email_key` and `folded`."""
    return f"(select *, {KEY} as email_key, {FOLDED} as folded from {due})"


class PlannedRelation:
    """What `Planner.plan` found, as `PlannedSource`.

    Args:
        source: the table.
        plan: the counts.
        due: a relation with what is due.
    """

    def __init__(self, source: ContactRelation, plan: Plan, due: str) -> None:
        self.plan = plan
        self._source, self._session, self._due = source, source.session, due

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `PlannedSource.due`. Spellings of one address (case, white space) stand next to each other."""
        session = self._session
        session.may_use(MEMORY_WHILE_SAVING)
        (count,) = session.one(f"select coalesce(max(rowid) + 1, 0) from {self._due}")
        signals, joined = ", 0 as series_size, false as burst, null::varchar as duplicate_of", ""
        if session.has_temporary("mailvet_signals"):
            signals = ", coalesce(s.series_size, 0) as series_size, coalesce(s.burst, false) as burst, s.duplicate_of"
            joined = "left join mailvet_signals s using (email_key)"
        for start in range(0, count, batch_rows):
            yield session.arrow(
                f"select d.* exclude (place, rechecked){signals} from (select *, {KEY} as email_key, "
                "rowid as place "
                f"from {self._due} where rowid >= {start} and rowid < {start + batch_rows}) d {joined} order by d.place"
            )

    def looks_numeric(self) -> bool:
        """See `PlannedSource.looks_numeric`."""
        filled = f"from mailvet_cells where not {is_blank('email')}"
        return bool(self._session.rows(f"select 1 {filled} limit 1")) and not self._session.rows(
            f"select 1 {filled} and try_cast(folded as double) is null limit 1"
        )

    def canaries(self, now: datetime) -> pa.Table:
        """See `PlannedSource.canaries`."""
        if not self._session.has(VERDICTS):
            return CANARY_SCHEMA.empty_table()
        return self._session.arrow(
            f"select v.mx_host, coalesce(v.email, t.email) as email, v.checked_at from {VERDICTS} v "
            "left join mailvet_cells t using (email_key) "
            "where v.reason = 'mailbox_accepted' and v.checked_at >= $1 and v.mx_host in "
            f"(select mx_host from {VERDICTS} where mx_host is not null and domain in "
            f"(select {SAY.after_at('folded')} from {with_keys(self._due)})) "
            "and coalesce(v.email, t.email) is not null "
            "qualify row_number() over (partition by v.mx_host order by v.checked_at desc, v.email_key) "
            f"<= {CANARIES_PER_HOST} order by v.checked_at desc limit {MOST_CANARIES}",
            [naive(now - CANARY_AGE)],
        ).cast(CANARY_SCHEMA)

    # ---------------------------------------------------------------- what the whole table shows

    def find_signals(self, *, signed_up: str | None, burst_window: timedelta) -> None:
        """See `PlannedSource.find_signals`."""
        session, db = self._session, self._session.db
        due, cells = session.one(f"select (select count(*) from {self._due}), (select count(*) from mailvet_texts)")
        if not due:
            return
        only = with_keys(self._due) if due < cells else None
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
                f"create or replace temp table mailvet_{name} as select email, {KEY} as email_key, "
                f"{FOLDED} as folded from mailvet_texts where rowid in ({places})"
            )
        session.drop("mailboxes")
        series = series_sql("mailvet_numbered", SAY, due=only, free=_FREE, everybody="mailvet_cells")
        found = [
            f"select email_key, series_size, false as burst, null as duplicate_of from ({series})",
            f"select email_key, 0, false, duplicate_of from ({duplicates_sql('mailvet_doubles', SAY)})",
        ]
        if signed_up is not None:
            signups = self._signups(signed_up)
            bursts = burst_sql(signups, SAY, due=only, free=_FREE, window=burst_window)
            found.append(f"select {SAY.key('cell')}, 0, true, null from ({bursts})")
        # The few rows with a signal, to be joined as the due ones are read.
        db.execute(
            "create or replace temp table mailvet_signals as select email_key, max(series_size)::integer as "
            f"series_size, bool_or(burst) as burst, max(duplicate_of)::varchar as duplicate_of "
            f"from ({' union all '.join(found)}) group by 1"
        )
        session.drop("doubles", "numbered")

    def _signups(self, signed_up: str) -> str:
        """The sign-ups of the source, as a query in brackets: email, folded, signed_up."""
        source = self._source
        described = {str(row[0]): str(row[1]) for row in self._session.rows(f"describe {source.relation}")}
        name = next((name for name in described if name.lower() == signed_up.lower()), None)
        if name is None:
            raise SettingsError(
                f"suspicion.signed_up: there is no column {signed_up} in {source.name}; it has: {', '.join(described)}."
            )
        kind = described[name]
        time = f"{quoted(name)}::timestamp" if kind.startswith("TIMESTAMP_") else quoted(name)
        if kind == "VARCHAR":  # as a file without types brings it
            time = f"try_cast({quoted(name)} as timestamp)"
        holds_times, filled = (
            self._session.one(
                f"select count({time}), count({quoted(name)}) from {source.relation} where {source.where}"
            )
            if kind.startswith(("VARCHAR", "TIMESTAMP", "DATE"))
            else (0, 1)
        )
        if filled and not holds_times:
            raise SettingsError(
                f"suspicion.signed_up: the column {name} of {source.name} ({kind}) holds no dates or times. Name the "
                "column with the time of each sign-up, or leave the setting out."
            )
        return (
            f"(select email as cell, {FOLDED} as folded, signed_up "
            f"from (select {source.cell} as email, {time} as signed_up from {source.relation} where {source.where}))"
        )
