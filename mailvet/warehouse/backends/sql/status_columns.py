"""The status columns on a table of a SQL database: checked, added and written."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence

from mailvet.errors import LockedError
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.own_tables import VERDICTS, verdict_kinds
from mailvet.warehouse.status_columns import StatusColumns
from mailvet.warehouse.verdict_columns import shown_columns

__all__ = ["StatusWriter"]

log = logging.getLogger("mailvet")

_WRITE_TRIES = 5


class StatusWriter:
    """Writes verdicts beside the rows of a table.

    Args:
        source: the table.
    """

    def __init__(self, source: ContactTable) -> None:
        self._source, self._session, self._say = source, source.session, source.session.say

    def check(self, columns: Sequence[str]) -> None:
        """See `ContactSource.check_write_back`."""
        with self._session.doing(f"read the columns of {self._source.name}"):
            self._wanted(columns).check_types()
            self._session.driver.check_may_write(self._source, columns)
            self._check_ours(columns)

    def check_ours(self, columns: Sequence[str]) -> None:
        """Whether the status columns that are there are ours; SourceError if not."""
        with self._session.doing(f"read the columns of {self._source.name}"):
            self._check_ours(columns)

    def _check_ours(self, columns: Sequence[str]) -> None:
        session, relation = self._session, self._source.relation
        self._wanted(columns).check_ours(
            lambda condition: session.any_row(f"select 1 from {relation} where {condition}"),
            f"select reason from {VERDICTS}" if session.has(VERDICTS) else None,
        )

    def _wanted(self, columns: Sequence[str]) -> StatusColumns:
        source = self._source
        return StatusColumns(
            say=self._say,
            table=source.name,
            address=source.column,
            present=source.described(),
            columns=columns,
            prefix=source.prefix,
            quote=self._session.driver.quote,
        )

    def prepare(self, columns: Sequence[str]) -> None:
        """See `ContactSource.prepare_write_back`."""
        with self._session.doing(f"add the status columns to {self._source.name}"):
            for name, kind in self._lacking(columns).items():
                self._add(name, kind)

    def _lacking(self, columns: Sequence[str]) -> dict[str, str]:
        """The status columns that are not there, in quotes, and their types."""
        kinds = verdict_kinds()
        present = {column.name.lower() for column in self._source.described()}
        return {
            self._source.status_column(column): self._say.types[kinds[column]]
            for column in columns
            if (self._source.prefix + column).lower() not in present
        }

    def _add(self, name: str, kind: str) -> None:
        self._session.execute(self._say.add_column.format(table=self._source.relation, name=name, kind=kind))

    def write(self, columns: Sequence[str]) -> int:
        """See `ContactSource.write_back`; tried again where other transactions are in the way."""
        for attempt in range(1, _WRITE_TRIES):
            try:
                return self._write(columns)
            except LockedError as error:
                log.warning("%s The status columns are written once more.", error)
                time.sleep(0.1 * attempt)
        return self._write(columns)

    def _write(self, columns: Sequence[str]) -> int:
        """Matches on the text as it is now, by its key or by itself, so an edited row is left alone.

        The columns are added first, in a statement of their own: that takes the whole table, but for no time, while
        the update, which takes long, holds only the rows it changes.
        """
        session, added = self._session, list[str]()
        try:
            with session.doing(f"write the status columns to {self._source.name}"):
                for name, kind in self._lacking(columns).items():
                    self._add(name, kind)
                    added.append(name)
                with session.transaction():
                    for statement in self._say.planner_hints:
                        session.execute(statement)
                    statements = [*self._updates(columns), self._clearing(columns)]
                    return sum(session.execute(statement) for statement in statements)
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be gone; empty columns do no harm
                for name in added:
                    session.execute(self._say.drop_column.format(table=self._source.relation, name=name))
            raise

    def _updates(self, columns: Sequence[str]) -> list[str]:
        """The UPDATEs, which hold together or not at all; each row is changed by one of them at most."""
        say, policy, cell = self._say, self._source.policy, self._source.cell
        shown = shown_columns(say, policy, columns)
        if not say.matches_texts:
            return [self._update(columns, f"(select {shown} from {VERDICTS}{say.materialized})", say.key(cell))]
        # A key has to be computed for each row, and takes longer than to compare the text that it stands for.
        by_text = f"(select {shown_columns(say, policy, columns, 'email')} from {VERDICTS} where email is not null)"
        by_key = f"(select {shown} from {VERDICTS} where email is null)"
        return [self._update(columns, by_text, say.exact(cell)), self._update(columns, by_key, say.key(cell))]

    def _update(self, columns: Sequence[str], verdicts: str, cell: str) -> str:
        """An UPDATE of the rows whose `cell` is the key of one of these verdicts, and that do not show it."""
        say, source = self._say, self._source
        names = {source.status_column(column): f"{OWN}{column}" for column in columns}
        changed = " or ".join(say.differs(f"{source.relation}.{name}", value) for name, value in names.items())
        condition = f"({changed}) and not {source.missing} and {source.where}"
        return say.update_from(source.relation, f"{verdicts} as {OWN}verdict", f"{OWN}key = {cell}", names, condition)

    def _clearing(self, columns: Sequence[str]) -> str:
        """The UPDATE that empties the status columns of rows without an address."""
        source = self._source
        names = [source.status_column(column) for column in columns]
        sets = ", ".join(f"{name} = null" for name in names)
        filled = " or ".join(f"{source.relation}.{name} is not null" for name in names)
        return f"update {source.relation} set {sets} where {source.missing} and ({filled}) and {source.where}"
