"""The distinct texts of a column of addresses in DuckDB, their mailboxes, and their keys as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from mailvet.errors import argument
from mailvet.warehouse.backends.duckdb.expressions import FOLDED, KEY, SAY, is_blank, numbers
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.mailboxes import ascii_names, odd_domains, with_mailbox
from mailvet.warehouse.own_tables import VERDICTS

__all__ = ["PART_ROWS", "Cells", "join_parts", "stage_numbers"]

PART_ROWS = 20 * 122_880
"""Rows joined with the verdicts at once: twenty of DuckDB's row groups, a quarter of a gigabyte."""

_JOINED_ROWS = 2_400_000
"""Verdicts, as numbers, that are joined in memory: with their hash table a fifth of a gigabyte."""


class Cells:
    """The distinct texts, without their keys.

    `mailvet_texts` has (email, repeats); over it `mailvet_cells` has (email, email_key, folded, repeats). Keys of 64
    characters cost little to compute and would take three times the room of the texts.

    Args:
        source: the table they stand in.
    """

    def __init__(self, source: ContactRelation) -> None:
        self._source, self._session = source, source.session
        self.staged = False

    def need(self) -> None:
        """Make them where they are not there yet: for what is asked after a run that had nothing to plan."""
        if not self.staged:
            self.stage()

    def stage(self) -> None:
        """Make them anew from the table as it is now."""
        source, db = self._source, self._session.db
        db.execute("create or replace temp table mailvet_texts (email varchar, repeats bigint)")
        try:
            for part in self.shares(f"{OWN}cell"):
                db.execute(
                    f"insert into mailvet_texts select {OWN}cell, count(*) from (select {source.cell} as "
                    f"{OWN}cell from {source.relation} where {source.where}) where {part} group by 1"
                )
        except duckdb.Error as error:
            condition = f" with this {argument('where')}" if source.narrowed else ""
            raise source_error(f"{source.name} cannot be read{condition}: {first_line(str(error))}.", error) from None
        db.execute(
            f"create or replace temp view mailvet_cells as select email, {KEY} as email_key, "
            f"{FOLDED} as folded, repeats from mailvet_texts"
        )
        self.staged = True

    def shares(self, text: str) -> list[str]:
        """Conditions that share out texts among parts of about `PART_ROWS` rows of the source, at random."""
        (rows,) = self._session.one(f"select count(*) from {self._source.relation}")
        count = -(-rows // PART_ROWS) or 1
        return [f"hash({text}) % {count} = {number}" for number in range(count)] if count > 1 else ["true"]

    def boxes(self, relation: str, columns: Sequence[str]) -> str:
        """A query for these columns of a relation with `folded`, and the `mailbox_key` of each text (null for none)."""
        found = with_mailbox(SAY, relation, columns, labels=self.stage_labels("mailvet_cells", "cell_labels"))
        return f"select {', '.join(columns)}, {SAY.key('mailbox')} as mailbox_key from ({found})"

    def stage_labels(self, relation: str, name: str = "labels") -> str | None:
        """The domains of the texts (`folded`) that are not ASCII, with their A-labels; None where there are none."""
        names = ascii_names(domain for (domain,) in self._session.rows(odd_domains(SAY, relation)))
        if not names:
            return None
        db = self._session.db
        db.execute(f"create or replace temp table mailvet_{name} (domain varchar, ascii_name varchar)")
        db.execute(
            f"insert into mailvet_{name} select unnest($1::varchar[]), unnest($2::varchar[])",
            [list(names), list(names.values())],
        )
        return f"mailvet_{name}"


def stage_numbers(source: ContactRelation, place: str, cell: str, rows: str) -> None:
    """The keys of cells as numbers, and whether they are blank: `mailvet_numbers`."""
    source.session.db.execute(
        f"create or replace temp table mailvet_numbers as select {place} as place, {numbers(SAY.key(cell))}, "
        f"{is_blank(cell)} as blank from {rows}"
    )


def join_parts(source: ContactRelation) -> list[str]:
    """Conditions that part `mailvet_numbers` and the verdicts alike, so that each part is joined in memory.

    A join that spills to the disk takes twice the time.
    """
    (stored,) = source.session.one(f"select count(*) from {VERDICTS}")
    count = -(-int(stored) // _JOINED_ROWS) or 1
    return [f"first % {count} = {number}" for number in range(count)]
