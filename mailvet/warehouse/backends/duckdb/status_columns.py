"""The status columns on a table in DuckDB: checked, and written."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.duckdb.expressions import SAY, TYPES
from mailvet.warehouse.backends.duckdb.matching import Matches
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.backends.duckdb.verdicts import one_writer
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import OWN, quoted
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.status_columns import StatusColumns

__all__ = ["StatusWriter"]

_WRITTEN_ROWS = 10 * 122_880
"""Rows whose verdicts are joined and written at once."""


class StatusWriter:
    """Writes verdicts beside the rows of a table.

    Args:
        source: the table.
        matches: the verdicts of its rows.
    """

    def __init__(self, source: ContactRelation, matches: Matches) -> None:
        self._source, self._session, self._matches = source, source.session, matches

    def check(self, columns: Sequence[str]) -> None:
        """See `ContactSource.check_write_back`."""
        self._wanted(columns).check_types()
        self.check_ours(columns)

    def check_ours(self, columns: Sequence[str]) -> None:
        """Whether the status columns that are there are ours; SourceError if not."""
        relation, session = self._source.relation, self._session
        self._wanted(columns).check_ours(
            lambda condition: bool(session.rows(f"select 1 from {relation} where {condition} limit 1")),
            f"select reason from {VERDICTS}" if session.has(VERDICTS) else None,
        )

    def _wanted(self, columns: Sequence[str]) -> StatusColumns:
        source = self._source
        return StatusColumns(
            say=SAY,
            table=source.name,
            address=source.column,
            present=source.described(),
            columns=columns,
            prefix=source.prefix,
            quote=quoted,
        )

    def prepare(self, columns: Sequence[str]) -> None:
        """See `ContactSource.prepare_write_back`."""
        raise one_writer(self._source.name)

    def write(self, columns: Sequence[str]) -> int:
        """See `ContactSource.write_back`. Matches on the key of the text as it is now; edited rows are left alone."""
        try:
            with self._session.transaction():
                return self._write(columns)
        except duckdb.Error as error:
            raise source_error(
                f"The status columns could not be written to {self._source.name}: {first_line(str(error))}. The table "
                f"is unchanged; the verdicts are saved in {VERDICTS}.",
                error,
            ) from None

    def _write(self, columns: Sequence[str]) -> int:
        source, session, matches = self._source, self._session, self._matches
        names = {quoted(source.prefix + column): f"{OWN}{column}" for column in columns}
        for name, column in zip(names, columns, strict=True):
            kind = TYPES[str(verdict_schema().field(column).type)]
            session.db.execute(f"alter table {source.relation} add column if not exists {name} {kind}")
        matches.match(columns)
        matches.note_counts()
        count = self._update_by_number(names) if source.numbers_rows() else self._update_by_key(names, columns)
        matches.drop()
        # What has no address has no verdict, whatever it held before.
        filled = " or ".join(f"{name} is not null" for name in names)
        (cleared,) = session.one(
            f"update {source.relation} set {', '.join(f'{name} = null' for name in names)} where "
            f"{source.missing} and ({filled}) and {source.where}"
        )
        return count + int(cleared)

    def _update_by_number(self, names: dict[str, str]) -> int:
        source, count = self._source, 0
        for part in self._parts():
            count += self._session.one(
                # Joined before the table is: else rows of one answer may be chained, and come out one by one.
                f"update {source.relation} set {_sets(names)} from (with answered as materialized (select place as "
                f"{OWN}place, mailvet_answers.* exclude (answer) from mailvet_matched join mailvet_answers "
                f"using (answer) where {part}) select * from answered) where {OWN}place = {source.relation}.rowid "
                f"and ({_changed(names)})"
            )[0]
        return count

    def _update_by_key(self, names: dict[str, str], columns: Sequence[str]) -> int:
        source = self._source
        matched = f"{OWN}key = {SAY.key(source.cell)} and not {source.missing} and ({_changed(names)})"
        verdicts = self._matches.shown(columns)
        return int(
            self._session.one(
                f"update {source.relation} set {_sets(names)} from {verdicts} where {matched} and {source.where}"
            )[0]
        )

    def _parts(self) -> list[str]:
        """Conditions on `place` that cut the rows of the source into parts whose verdicts fit into a little memory."""
        (rows,) = self._session.one(f"select count(*) from {self._source.relation}")
        starts = range(0, max(1, rows), _WRITTEN_ROWS)
        # Numbers have gaps where rows were deleted, so the last part has no end.
        ends = [f"place < {start + _WRITTEN_ROWS}" for start in starts[:-1]] + ["true"]
        return [f"place >= {start} and {end}" for start, end in zip(starts, ends, strict=True)]


def _sets(names: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in names.items())


def _changed(names: dict[str, str]) -> str:
    return " or ".join(f"{name} is distinct from {value}" for name, value in names.items())
