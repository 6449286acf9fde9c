"""Which verdict belongs to which row of a source in DuckDB, in numbers that are few and quick to join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailvet.warehouse import attribution
from mailvet.warehouse.backends.duckdb.cells import PART_ROWS, join_parts, stage_numbers
from mailvet.warehouse.backends.duckdb.expressions import SAY, numbers
from mailvet.warehouse.backends.duckdb.relations import columns_of
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.verdict_columns import shown_columns

__all__ = ["Matches"]

_COUNTED = ("status", "reason", "recommendation", "bounce_probability")
_SIGNS = ("on_lists", "in_history", "suspect")
"""What a summary counts verdicts by."""


class Matches:
    """The verdicts of the rows of a source.

    Args:
        source: the table.
    """

    def __init__(self, source: ContactRelation) -> None:
        self._source, self._session = source, source.session
        self._counts: list[tuple[Any, ...]] | None = None
        self._counted_at = 0

    def shown(self, columns: Sequence[str], *, also: str | None = None) -> str:
        """The verdict table under names that no condition of the user's can mean, and what is `also` selected."""
        shown = shown_columns(SAY, self._source.policy, columns, has_probability=self.has_probability())
        return f"(select {shown}{f', {also}' if also else ''} from {VERDICTS}) as {OWN}verdicts"

    def has_probability(self) -> bool:
        """Whether the verdict table has the probabilities; an older one lacks them until it is written to."""
        return "bounce_probability" in columns_of(self._session.db, VERDICTS)

    def match(self, columns: Sequence[str] = ()) -> None:
        """Which verdict belongs to which row of the source as it is now: `mailvet_matched`.

        All of it are numbers, so that it stays small, and the rows can be updated in their own order: any other costs
        far more. What a verdict says, in these columns and for the summary, is the same for thousands of them:
        `mailvet_answers`.
        """
        source = self._source
        shown = [f"{OWN}{column}" for column in dict.fromkeys([*columns, *_COUNTED])]
        found = attribution.evidence_sql(f"{OWN}evidence", f"{OWN}flags", SAY.position)
        named = [*shown, *(f"{sign} as {name}" for name, sign in zip(_SIGNS, found, strict=True))]
        verdicts = self.shown([*dict.fromkeys([*columns, *_COUNTED, "evidence", "flags"])], also="rowid as verdict")
        salt = 0
        while True:
            answer = f"hash({', '.join([str(salt), *shown, *found])})"
            self._session.db.execute(
                f"create or replace temp table mailvet_answers as select distinct {answer} as answer, "
                f"{', '.join(named)} from {verdicts}"
            )
            if self._session.one("select count(*) = count(distinct answer) from mailvet_answers")[0]:
                break
            salt += 1
        place = "rowid" if self._source.numbers_rows() else "null::bigint"
        stage_numbers(self._source, place, source.cell, f"{source.relation} where {source.where}")
        self._session.db.execute(
            "create or replace temp table mailvet_matched (place bigint, verdict bigint, answer ubigint, blank boolean)"
        )
        key = f"{OWN}key"
        for part in join_parts(self._source):
            self._session.db.execute(
                f"""
                insert into mailvet_matched select place, verdict, answer, blank
                from (from mailvet_numbers where {part} and not blank) join (
                    select verdict, {numbers(key)}, {answer} as answer from {verdicts} where {part}
                ) using (first, second)
                """
            )

    def note_counts(self) -> None:
        """Count what was matched, for the summary that comes next."""
        self._counts, self._counted_at = self.counted(), self._session.changes

    def noted_counts(self) -> list[tuple[Any, ...]] | None:
        """What was counted, once, if no verdict has changed since."""
        counts, self._counts = self._counts, None
        return counts if self._counted_at == self._session.changes else None

    def counted(self) -> list[tuple[Any, ...]]:
        """The groups of `summarised`, from `mailvet_matched`; in parts, as all the verdicts would take much room."""
        groups: list[tuple[Any, ...]] = []
        status, reason, advice, probability = (f"{OWN}{column}" for column in _COUNTED)
        (verdicts,) = self._session.one("select coalesce(max(verdict) + 1, 0) from mailvet_matched")
        for start in range(0, verdicts, PART_ROWS):
            groups += self._session.rows(
                f"""
                select {status}, {reason}, {advice}, blank, {", ".join(_SIGNS)}, {probability},
                       sum(texts), sum(rows)
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
        for blank, rows in self._session.rows("select blank, count(*) from mailvet_numbers group by 1"):
            known = sum(int(group[9]) for group in groups if group[3] == blank)
            groups.append((None, None, None, blank, 0, 0, 0, None, 0, rows - known))
        return groups

    def drop(self) -> None:
        """Drop the tables for the moment."""
        self._session.drop("numbers", "matched", "answers")
