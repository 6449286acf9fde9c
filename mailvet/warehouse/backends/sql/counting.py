"""What is counted over a table of a SQL database by its verdicts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mailvet.errors import SourceError
from mailvet.scoring.budget import Budget, Chosen, bounds_sql, candidates_sql, chosen_of
from mailvet.warehouse import attribution
from mailvet.warehouse.backends.sql.planning import Cells, known_verdicts
from mailvet.warehouse.backends.sql.records import Runs
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.clocks import aware
from mailvet.warehouse.counts import count_query, counted
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.store import Details, Summary
from mailvet.warehouse.summaries import detailed, falls_due, summarised
from mailvet.warehouse.verdict_columns import recommended, shown_columns

if TYPE_CHECKING:
    from mailvet.gates import VerdictCount

__all__ = ["Counter"]


class Counter:
    """Counts a table by its verdicts.

    Args:
        source: the table.
        cells: its distinct texts.
    """

    def __init__(self, source: ContactTable, cells: Cells) -> None:
        self._source, self._cells = source, cells
        self._session, self._say = source.session, source.session.say

    def apply_policy(self) -> int:
        """See `ContactSource.apply_policy`."""
        advice = self._recommended()
        with self._session.doing("bring the recommendations in line with the policy"):
            return self._session.execute(
                f"update {VERDICTS} set recommendation = {advice} where recommendation <> {advice} "
                # Behind a fence, since MariaDB would look it up once for each verdict.
                f"and email_key in (select email_key from (select email_key from {self._cells.name()}"
                f"{self._say.fence}) as mailvet__cells)"
            )

    def summary(self) -> Summary:
        """See `ContactSource.summary`."""
        session, say = self._session, self._say
        names = ("status", "reason", "recommendation", "bounce_probability", "evidence", "flags")
        on_lists, in_history, suspicious = attribution.evidence_sql(f"{OWN}evidence", f"{OWN}flags", say.position)
        groups = ", ".join(
            f"{OWN}{name}"
            for name in (
                "status",
                "reason",
                "recommendation",
                "blank",
                "listed",
                "past",
                "suspect",
                "bounce_probability",
            )
        )
        with session.doing(f"count {self._source.name}"):
            shown = shown_columns(say, self._source.policy, names, has_probability=self._has_probability())
            verdicts = f"(select {shown} from {known_verdicts(self._source)}{say.materialized})"
            return summarised(
                session.rows(
                    f"select {groups}, count(*), sum(repeats) from ("
                    f"select {OWN}status, {OWN}reason, {OWN}recommendation, "
                    f"case when {say.missing('email')} then 1 else 0 end as {OWN}blank, {on_lists} as {OWN}listed, "
                    f"{in_history} as {OWN}past, {suspicious} as {OWN}suspect, repeats, {OWN}bounce_probability "
                    f"from {self._cells.name()} left join {verdicts} as {OWN}verdict "
                    f"on {OWN}key = email_key) as {OWN}rows group by {groups}"
                )
            )

    def verdict_counts(self, *, stale_before: datetime | None = None) -> list[VerdictCount]:
        """See `ContactSource.verdict_counts`."""
        with self._session.doing(f"count {self._source.name}"):
            verdicts = VERDICTS if self._session.has(VERDICTS) else None
            query = count_query(
                self._say,
                self._cells.name(),
                verdicts,
                policy=self._source.policy,
                stale_before=stale_before,
                has_probability=verdicts is not None and self._has_probability(),
            )
            return counted(self._session.rows(query))

    def choose(self, budget: Budget) -> Chosen:
        """See `ContactSource.choose`."""
        session, say = self._session, self._say
        with session.doing(f"choose the audience of {self._source.name}"):
            if not session.has(VERDICTS):
                return chosen_of(budget, ())
            candidates = candidates_sql(
                self._cells.name(),
                VERDICTS,
                f"({self._recommended('v.')})",
                has_column=self._has_probability(),
                is_missing=say.missing("c.email"),
            )
            return chosen_of(budget, session.rows(bounds_sql(candidates, budget)))

    def _recommended(self, before: str = "") -> str:
        """See `recommended`."""
        return recommended(self._say, self._source.policy, before, has_probability=self._has_probability())

    def _has_probability(self) -> bool:
        """Whether the verdict table has the probabilities; an older one lacks them until it is written to."""
        return self._session.has_column(VERDICTS, "bounce_probability")

    def pending(self) -> tuple[int, datetime | None]:
        """See `ContactSource.pending`."""
        with self._session.doing("read the verdicts"):
            if not self._session.has(VERDICTS):
                return 0, None
            count, moment = self._session.rows(
                f"select count(*), min(v.next_check_at) from {self._cells.name()} c join {VERDICTS} v "
                "on v.email_key = c.email_key where v.reason = 'greylisted' and v.next_check_at is not null"
            )[0]
        return int(count), aware(moment)

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `ContactSource.details`."""
        session, say = self._session, self._say
        with session.doing(f"count {self._source.name}"):
            last_run = Runs(session).last(self._source.name)
            if not session.has(VERDICTS):
                return Details(last_run=last_run)
            joined = f"from {self._cells.name()} c join {VERDICTS} v on v.email_key = c.email_key "
            joined += f"where not {say.missing('c.email')}"
            operators = session.rows(
                f"select v.operator, v.status, count(*) {joined} and v.operator is not null group by v.operator, "
                "v.status"
            )
            advice = self._recommended("v.")
            due = session.rows(
                f"select label, advice, count(*) from (select {falls_due(say, now)} as label, {advice} as advice "
                f"{joined}) as labels group by label, advice"
            )
            return detailed(operators, due, self._by_source(by) if by is not None else (), last_run)

    def _by_source(self, column: str) -> list[tuple[Any, ...]]:
        session, say, source = self._session, self._say, self._source
        present = [found.name for found in source.columns]
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {source.name}; there are: {', '.join(present)}.")
        value = say.exact(f"coalesce({say.text(session.driver.quote(name))}, '')")
        names = ("recommendation", "bounce_probability")
        shown = shown_columns(say, source.policy, names, has_probability=self._has_probability())
        return session.rows(
            f"select {OWN}value, {OWN}recommendation, count(*), sum({OWN}bounce_probability) from (select {value} "
            f"as {OWN}value, {say.key(source.cell)} as {OWN}cell_key from {source.relation} where {source.where} "
            f"and not {source.missing}) as {OWN}rows left join "
            f"(select {shown} from {VERDICTS}{say.materialized}) as {OWN}verdict on {OWN}key = {OWN}cell_key "
            f"group by {OWN}value, {OWN}recommendation"
        )
