"""DuckDB: verdicts beside the rows of the source: status columns, and what is counted over all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import SourceError
from mailvet.policies import recommendation_sql
from mailvet.privacy import formula_sql
from mailvet.verdict import verdict_schema
from mailvet.warehouse import attribution
from mailvet.warehouse.backends.duckdb.due import PART_ROWS
from mailvet.warehouse.backends.duckdb.session import SAY, TYPES, columns_of, described, is_blank, numbers, quote
from mailvet.warehouse.backends.duckdb.verdicts import DuckDBVerdicts
from mailvet.warehouse.counts import count_query, counted
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.rules import detailed, falls_due, summarised
from mailvet.warehouse.status_columns import check_address_column, check_status_columns, refuse_foreign
from mailvet.warehouse.store import Details, Summary

if TYPE_CHECKING:
    from mailvet.gates import VerdictCount

__all__ = ["DuckDBResults"]

_COUNTED = ("status", "reason", "recommendation", "score")
_SIGNS = ("on_lists", "in_history", "suspect")
"""What a summary counts verdicts by."""

_WRITTEN_ROWS = 10 * 122_880
"""Rows whose answers are joined and written at once."""


class DuckDBResults(DuckDBVerdicts):
    """A session that writes answers back and counts them."""

    def _verdicts(self, columns: Sequence[str], *, also: str | None = None) -> str:
        """The verdict table under names that no condition of the user's can mean, and what is `also` selected."""
        advice = recommendation_sql(
            self.policy, reason="reason", score="score", attempts="attempts", stored="recommendation"
        )
        formula = formula_sql("substr(suggestion, 1, 1)")  # a suggestion never starts one in a spreadsheet
        suggestion = f"case when {formula} then null else suggestion end"
        values = {"recommendation": f"({advice})", "suggestion": suggestion}
        selected = [f"email_key as {OWN}key", *([also] if also else [])]
        selected += [f"{values.get(name, name)} as {OWN}{name}" for name in columns]
        return f"(select {', '.join(selected)} from mailvet_verdicts) as {OWN}verdicts"

    def check_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.check_write_back`."""
        check_status_columns(described(self._db, self.relation), columns, self._prefix, self.name)
        self._check_ours(columns)

    def _check_ours(self, columns: Sequence[str]) -> None:
        """Whether the status columns that are there are ours."""
        check_address_column(self.column, columns, self._prefix, self.name)
        refuse_foreign(
            SAY,
            described(self._db, self.relation),
            columns,
            self._prefix,
            self.name,
            quote=quote,
            holds=lambda condition: bool(self._rows(f"select 1 from {self.relation} where {condition} limit 1")),
            reasons="select reason from mailvet_verdicts" if self._has("mailvet_verdicts") else None,
        )

    def write_back(self, columns: Sequence[str]) -> int:
        """See `Warehouse.write_back`. Matches on the key of the text as it is now, so an edited row is left alone."""
        db = self._db
        names = {quote(self._prefix + column): f"{OWN}{column}" for column in columns}
        sets = ", ".join(f"{name} = {value}" for name, value in names.items())
        changed = " or ".join(f"{name} is distinct from {value}" for name, value in names.items())
        count = 0
        db.execute("begin")
        try:
            for name, column in zip(names, columns, strict=True):
                kind = TYPES[str(verdict_schema().field(column).type)]
                db.execute(f"alter table {self.relation} add column if not exists {name} {kind}")
            self._match(columns)
            self._counts = self._count_matched()
            if self._numbers_rows():
                for part in self._parts():
                    count += self._one(
                        f"update {self.relation} set {sets} from (select place as {OWN}place, answer as {OWN}answer "
                        f"from mailvet_matched where {part}) join (select * exclude (answer), answer as {OWN}answer "
                        f"from mailvet_answers) using ({OWN}answer) where {OWN}place = {self.relation}.rowid "
                        f"and ({changed})"
                    )[0]
            else:
                answers = self._verdicts(columns)
                matched = f"{OWN}key = sha256({self._cell}) and not {is_blank(self._cell)} "
                matched += f"and ({changed}) and {self._where}"
                (count,) = self._one(f"update {self.relation} set {sets} from {answers} where {matched}")
            self._drop("numbers", "matched", "answers")
            # What has no address has no answer, whatever it held before.
            (cleared,) = self._one(
                f"update {self.relation} set {', '.join(f'{name} = null' for name in names)} where "
                f"{is_blank(self._cell)} and ({' or '.join(f'{name} is not null' for name in names)}) and {self._where}"
            )
            count += int(cleared)
            db.execute("commit")
        except duckdb.Error as error:
            self._counts = None
            with contextlib.suppress(duckdb.Error):
                db.execute("rollback")
            raise source_error(
                f"The status columns could not be written to {self.name}: {first_line(str(error))}. The table is "
                "unchanged; the verdicts are saved in mailvet_verdicts.",
                error,
            ) from None
        return count

    def _parts(self) -> list[str]:
        """Conditions on `place` that cut the rows of the source into parts whose answers fit into a little memory."""
        (rows,) = self._one(f"select count(*) from {self.relation}")
        starts = range(0, max(1, rows), _WRITTEN_ROWS)
        # Numbers have gaps where rows were deleted, so the last part has no end.
        ends = [f"place < {start + _WRITTEN_ROWS}" for start in starts[:-1]] + ["true"]
        return [f"place >= {start} and {end}" for start, end in zip(starts, ends, strict=True)]

    def _match(self, columns: Sequence[str] = ()) -> None:
        """
        Which verdict belongs to which row of the source as it is now: `mailvet_matched`. All of it are numbers, so that
        it stays small, and the rows can be updated in their own order: any other costs far more. What a verdict says,
        in these columns and for the summary, is the same for thousands of them: `mailvet_answers`.
        """
        said = [f"{OWN}{column}" for column in dict.fromkeys([*columns, *_COUNTED])]
        found = attribution.evidence_sql(f"{OWN}evidence", f"{OWN}flags", SAY.position)
        named = [*said, *(f"{sign} as {name}" for name, sign in zip(_SIGNS, found, strict=True))]
        verdicts = self._verdicts([*dict.fromkeys([*columns, *_COUNTED, "evidence", "flags"])], also="rowid as verdict")
        salt = 0
        while True:
            answer = f"hash({', '.join([str(salt), *said, *found])})"
            self._db.execute(
                f"create or replace temp table mailvet_answers as select distinct {answer} as answer, "
                f"{', '.join(named)} from {verdicts}"
            )
            if self._one("select count(*) = count(distinct answer) from mailvet_answers")[0]:
                break
            salt += 1
        place = "rowid" if self._numbers_rows() else "null::bigint"
        self._stage_numbers(place, self._cell, f"{self.relation} where {self._where}")
        self._db.execute(
            "create or replace temp table mailvet_matched (place bigint, verdict bigint, answer ubigint, blank boolean)"
        )
        key = f"{OWN}key"
        for part in self._join_parts():
            self._db.execute(
                f"""
                insert into mailvet_matched select place, verdict, answer, blank
                from (from mailvet_numbers where {part} and not blank) join (
                    select verdict, {numbers(key)}, {answer} as answer from {verdicts} where {part}
                ) using (first, second)
                """
            )

    def _count_matched(self) -> list[tuple[Any, ...]]:
        """The groups of `summarised`, from `mailvet_matched`; in parts, as all the verdicts would take much room."""
        groups: list[tuple[Any, ...]] = []
        status, reason, advice, score = (f"{OWN}{column}" for column in _COUNTED)
        (verdicts,) = self._one("select coalesce(max(verdict) + 1, 0) from mailvet_matched")
        for start in range(0, verdicts, PART_ROWS):
            groups += self._rows(
                f"""
                select {status}, {reason}, {advice}, blank, {", ".join(_SIGNS)}, sum(texts), sum(rows),
                       sum(rows * (100 - {score}))
                from (
                    select answer, blank, count(*) as texts, sum(repeats) as rows
                    from (
                        select any_value(answer) as answer, any_value(blank) as blank, count(*) as repeats
                        from mailvet_matched where verdict >= {start} and verdict < {start + PART_ROWS}
                        group by verdict
                    ) group by all
                ) join mailvet_answers using (answer)
                group by all
                """
            )
        for blank, rows in self._rows("select blank, count(*) from mailvet_numbers group by 1"):
            known = sum(int(group[8]) for group in groups if group[3] == blank)
            groups.append((None, None, None, blank, 0, 0, 0, 0, rows - known, 0))
        return groups

    def summary(self) -> Summary:
        """See `Warehouse.summary`."""
        if self._counts is None:
            if self._has("mailvet_verdicts"):
                self._match()
                self._counts = self._count_matched()
                self._drop("numbers", "matched", "answers")
            else:
                blank = is_blank(self._cell)
                self._counts = [
                    (None, None, None, is_blank, 0, 0, 0, 0, rows, 0)
                    for is_blank, rows in self._rows(
                        f"select {blank}, count(*) from {self.relation} where {self._where} group by 1"
                    )
                ]
        counts, self._counts = self._counts, None
        return summarised(counts)

    def verdict_counts(self, *, stale_before: datetime | None = None) -> list[VerdictCount]:
        """See `Warehouse.verdict_counts`."""
        self._need_cells()
        verdicts = "mailvet_verdicts" if self._has("mailvet_verdicts") else None
        return counted(
            self._rows(count_query(SAY, "mailvet_cells", verdicts, policy=self.policy, stale_before=stale_before))
        )

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

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `HasDetails.details`."""
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
        cells = f"(select email_key from mailvet_cells where not {is_blank('email')})"
        verdicts = f"(select * from {cells} join mailvet_verdicts using (email_key))"
        operators = self._rows(
            f"select operator, status, count(*) from {verdicts} where operator is not null group by 1, 2"
        )
        advice = recommendation_sql(
            self.policy, reason="reason", score="score", attempts="attempts", stored="recommendation"
        )
        due = self._rows(f"select {falls_due(SAY, now)}, {advice}, count(*) from {verdicts} group by 1, 2")
        return detailed(operators, due, self._sources(by) if by is not None else (), last_run)

    def _sources(self, column: str) -> list[tuple[Any, ...]]:
        present = columns_of(self._db, self.relation)
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {self.name}; there are: {', '.join(present)}.")
        return self._rows(
            f"""
            select coalesce({quote(name)}::varchar, ''), {OWN}recommendation, count(*),
                   sum(100 - {OWN}score)
            from {self.relation}
            left join {self._verdicts(("recommendation", "score"))} on {OWN}key = sha256({self._cell})
            where {self._where} and not {is_blank(self._cell)} group by 1, 2
            """
        )
