"""What is counted over a table in DuckDB by its verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import SourceError
from mailvet.scoring.budget import Budget, Chosen, bounds_sql, candidates_sql, chosen_of
from mailvet.verdict import email_key
from mailvet.warehouse.backends.duckdb.cells import Cells
from mailvet.warehouse.backends.duckdb.connection import MEMORY, writing
from mailvet.warehouse.backends.duckdb.expressions import SAY, is_blank, naive
from mailvet.warehouse.backends.duckdb.matching import Matches
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.counts import count_query, counted
from mailvet.warehouse.identifiers import OWN, quoted
from mailvet.warehouse.own_tables import RUNS, VERDICTS
from mailvet.warehouse.store import Details, Summary
from mailvet.warehouse.summaries import detailed, falls_due, summarised
from mailvet.warehouse.verdict_columns import recommended

if TYPE_CHECKING:
    from mailvet.gates import VerdictCount

__all__ = ["Counter"]

_SHOWN_OR_DUE = (
    "email_key",
    "status",
    "reason",
    "recommendation",
    "score",
    "suggestion",
    "flags",
    "smtp_code",
    "smtp_reply",
    "depth",
    "attempts",
    "checked_at",
    "next_check_at",
    "rules_version",
)
"""What of a verdict can end up beside a contact or say when it is due."""
_WRITTEN = (*_SHOWN_OR_DUE, "bounce_probability")


class Counter:
    """Counts a table by its verdicts.

    Args:
        source: the table.
        cells: its distinct texts.
        matches: the verdicts of its rows.
    """

    def __init__(self, source: ContactRelation, cells: Cells, matches: Matches) -> None:
        self._source, self._cells, self._matches, self._session = source, cells, matches, source.session

    def apply_policy(self) -> int:
        """See `ContactSource.apply_policy`; a run does this when everything is saved."""
        session = self._session
        session.may_use(MEMORY)
        self._cells.need()
        session.changes += 1
        advice = self._recommended()
        with writing(session.path):
            return int(
                session.one(
                    f"update {VERDICTS} set recommendation = {advice} where recommendation <> {advice} "
                    "and email_key in (select email_key from mailvet_cells)"
                )[0]
            )

    def summary(self) -> Summary:
        """See `ContactSource.summary`."""
        counts = self._matches.noted_counts()
        if counts is not None:
            return summarised(counts)
        if self._session.has(VERDICTS):
            self._matches.match()
            counts = self._matches.counted()
            self._matches.drop()
            return summarised(counts)
        source = self._source
        rows = self._session.rows(
            f"select {source.missing}, count(*) from {source.relation} where {source.where} group by 1"
        )
        return summarised((None, None, None, missing, 0, 0, 0, None, 0, count) for missing, count in rows)

    def verdict_counts(self, *, stale_before: datetime | None = None) -> list[VerdictCount]:
        """See `ContactSource.verdict_counts`."""
        self._cells.need()
        verdicts = VERDICTS if self._session.has(VERDICTS) else None
        query = count_query(
            SAY,
            "mailvet_cells",
            verdicts,
            policy=self._source.policy,
            stale_before=stale_before,
            has_probability=verdicts is not None and self._matches.has_probability(),
        )
        return counted(self._session.rows(query))

    def choose(self, budget: Budget) -> Chosen:
        """See `ContactSource.choose`."""
        self._cells.need()
        if not self._session.has(VERDICTS):
            return chosen_of(budget, ())
        candidates = candidates_sql(
            "mailvet_cells",
            VERDICTS,
            f"({self._recommended('v.')})",
            has_column=self._matches.has_probability(),
            is_missing=is_blank("c.email"),
        )
        return chosen_of(budget, self._session.rows(bounds_sql(candidates, budget)))

    def _recommended(self, before: str = "") -> str:
        """See `recommended`."""
        return recommended(SAY, self._source.policy, before, has_probability=self._matches.has_probability())

    def pending(self) -> tuple[int, datetime | None]:
        """See `ContactSource.pending`."""
        self._cells.need()
        if not self._session.has(VERDICTS):
            return 0, None
        count, moment = self._session.one(
            f"select count(*), min(next_check_at) from mailvet_cells join {VERDICTS} using (email_key) "
            "where reason = 'greylisted' and next_check_at is not null"
        )
        return count, moment and moment.replace(tzinfo=timezone.utc)

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `ContactSource.details`."""
        self._cells.need()
        session, last_run = self._session, self._last_run()
        if not session.has(VERDICTS):
            return Details(last_run=last_run)
        cells = f"(select email_key from mailvet_cells where not {is_blank('email')})"
        verdicts = f"(select * from {cells} join {VERDICTS} using (email_key))"
        operators = session.rows(
            f"select operator, status, count(*) from {verdicts} where operator is not null group by 1, 2"
        )
        advice = self._recommended()
        due = session.rows(f"select {falls_due(SAY, now)}, {advice}, count(*) from {verdicts} group by 1, 2")
        return detailed(operators, due, self._by_source(by) if by is not None else (), last_run)

    def _last_run(self) -> Mapping[str, Any] | None:
        if not self._session.has(RUNS):
            return None
        found = self._session.db.execute(
            f"select * from {RUNS} where source = $1 and finished_at is not null order by started_at desc limit 1",
            [self._source.name],
        )
        names = [column[0] for column in found.description or ()]
        return next((dict(zip(names, row, strict=True)) for row in found.fetchall()), None)

    def _by_source(self, column: str) -> list[tuple[Any, ...]]:
        source, present = self._source, self._source.columns()
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {source.name}; there are: {', '.join(present)}.")
        verdicts = self._matches.shown(("recommendation", "bounce_probability"))
        return self._session.rows(
            f"""
            select coalesce({quoted(name)}::varchar, ''), {OWN}recommendation, count(*),
                   sum({OWN}bounce_probability)
            from {source.relation}
            left join {verdicts} on {OWN}key = {SAY.key(source.cell)}
            where {source.where} and not {source.missing} group by 1, 2
            """
        )

    def fingerprint(self, context: str, now: datetime) -> str | None:
        """See `HasFingerprint.fingerprint`: two sums of 64 bits over the rows of either table, in any order."""
        source, session = self._source, self._session
        if not session.has(VERDICTS):
            return None
        columns = {name.lower(): name for name in source.columns()}
        written = [columns[own] for own in ((source.prefix + name).lower() for name in _WRITTEN) if own in columns]
        sums = "select count(*), sum(h)::varchar, bit_xor(hash(h, 1)) from (select hash({}) as h from {})"
        rows = sums.format(", ".join([source.cell, *map(quoted, written)]), f"{source.relation} where {source.where}")
        shown = (*_SHOWN_OR_DUE, *(["bounce_probability"] if self._matches.has_probability() else []))
        verdicts = sums.format(", ".join(shown), VERDICTS)
        if session.rows(f"select 1 from {VERDICTS} where next_check_at <= $1 limit 1", [naive(now)]):
            return None
        state = [context, source.relation, source.column, source.where, duckdb.__version__, written]
        state += [str(session.rows(query)) for query in (rows, verdicts)]
        return email_key(json.dumps(state))
