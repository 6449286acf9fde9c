"""Rows of a table of a SQL database with their verdicts, written to files and to tables of the same database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mailvet.errors import SourceError
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Recommendation
from mailvet.warehouse.backends.sql.arrow import arrays
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.backends.sql.status_columns import StatusWriter
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files import format_of, unique_names
from mailvet.warehouse.files import writing as files_out
from mailvet.warehouse.identifiers import OWN, TableName, parse_table
from mailvet.warehouse.own_tables import VERDICTS
from mailvet.warehouse.sends import KNOWN_THEN, SQLSends, campaign_name
from mailvet.warehouse.tables import Column, check_targets, may_replace
from mailvet.warehouse.text_layout import AS_IT_CAME, TextLayout
from mailvet.warehouse.verdict_columns import part_within, shown_columns, within_column

if TYPE_CHECKING:
    from mailvet.scoring.budget import Chosen

__all__ = ["Exporter"]

_EXPORT_ROWS = 20_000
_DECIMAL = re.compile(r"(?:decimal|numeric|number)\((\d+)(?:, ?(\d+))?\)")
_TRAVELS: tuple[tuple[str, pa.DataType], ...] = (
    (r"(tiny|small|medium|big)?int(eger)?(\(\d+\))?|int[248]|(small|big)?serial", pa.int64()),
    (r"double( precision)?|float[48]?|real", pa.float64()),
    (r"bool(ean)?", pa.bool_()),
    (r"date", pa.date32()),
)
"""Types of columns that keep their type in a file; all others travel as the text that the database makes of them."""


class Exporter:
    """Writes lists.

    Args:
        source: the table.
        statuses: its status columns.
    """

    def __init__(self, source: ContactTable, statuses: StatusWriter) -> None:
        self._source, self._statuses = source, statuses
        self._session, self._say = source.session, source.session.say

    def check_output(self, output: Path, key_columns: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
        """See `ContactSource.check_output`."""
        files_out.check(output)
        if not key_columns:
            self._statuses.check_ours(columns)
        present = [column.name for column in self._source.columns]
        for name in key_columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self._source.name}; it has: {', '.join(present)}.")

    def to_files(  # noqa: PLR0913  # as `ContactSource.export`
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
        parts: Sequence[str] = (),
        others: bool = True,
        mode: int | None = None,
        layout: TextLayout = AS_IT_CAME,
        chosen: Chosen | None = None,
    ) -> list[Path]:
        """See `ContactSource.export`. All show the table as it was at one moment, where the database can do that."""
        import duckdb

        self.check_output(output, key_columns, columns)
        session, source = self._session, self._source
        fields, theirs = self._fields(columns, key_columns)
        rows = self._rows([*columns, *([split_by] if split_by else [])], chosen)
        # Numbered, so that no name has to be one that Arrow and DuckDB can tell from the others.
        selected = ", ".join(f"{value} as {OWN}c{place}" for place, (_, value, _) in enumerate(fields))
        schema = pa.schema([pa.field(f"c{place}", kind) for place, (_, _, kind) in enumerate(fields)])
        with session.doing(f"read {source.name}"), session.driver.snapshot(), duckdb.connect() as db:
            db.execute("set TimeZone = 'UTC'")
            conditions: dict[Path, str] = {output: "1 = 1"}
            if split_by is not None:
                part = part_within(source.part(split_by), chosen)
                found = [word for (word,) in session.rows(f"select distinct {part} {rows}")] if others else []
                conditions = files_out.part_conditions(part, output, found, parts)
            contents: dict[Path, files_out.Query | files_out.Writer] = {}
            headers = [name for name, _, _ in fields]
            for number, (path, condition) in enumerate(conditions.items()):
                batches = self._batches(f"select {selected} {rows} and {condition}", schema)
                db.register(f"part{number}", pa.RecordBatchReader.from_batches(schema, batches))
                shown = _shown(fields, theirs, columns, (format_of(path) or ("", None))[0])
                contents[path] = files_out.content_of(
                    db, path, f"select {shown} from part{number}", unique_names(headers), layout=layout
                )
            return files_out.publish(db, contents, 0o600 if mode is None else mode)

    def to_tables(
        self,
        names: Mapping[str, str],
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        replace: bool = False,
        overwrite: bool = False,
        chosen: Chosen | None = None,
    ) -> None:
        """See `ContactSource.export_tables`."""
        session, source, driver = self._session, self._source, self._session.driver
        source.check_keys(key_columns, unique=False)
        targets = {word: parse_table(name) for word, name in names.items()}
        fields = [f"{source.relation}.{driver.quote(column.name)}" for column in self._kept(columns, key_columns)]
        fields += [f"{OWN}{column} as {source.status_column(column)}" for column in columns]
        rows = self._rows([*columns, "recommendation"], chosen)
        part = part_within(source.part("recommendation"), chosen)
        with session.doing(f"write the lists of {source.name}"):
            if not key_columns:
                self._statuses.check_ours(columns)
            check_targets(targets, TableName(source.found.name, source.found.schema), driver.default_schema())
            present = [target for target in targets.values() if driver.has_table(target)]
            for target in present:
                may_replace(target, driver.columns_of(target), source.prefix, replace=replace, overwrite=overwrite)
            with session.transaction():
                for target in present:
                    session.execute(f"drop table {target.sql(driver.quote)}")
                for word, target in targets.items():
                    session.execute(
                        f"create table {target.sql(driver.quote)} as select {', '.join(fields)} {rows} "
                        f"and {part} = {literal(word)}"
                    )

    def record_sends(
        self, campaign: str, now: datetime, *, keys: Sequence[str] | None = None, chosen: Chosen | None = None
    ) -> int:
        """See `ContactSource.record_sends`."""
        source, session = self._source, self._session
        name = campaign_name(campaign)
        listed = ", ".join([f"{OWN}key", *(OWN + column for column in KNOWN_THEN)])
        if keys is not None:
            with session.doing("record who was handed on"):
                staged = session.stage_empty("sent", {"email_key": "key"})
                session.append(staged, pa.table({"email_key": pa.array(keys, pa.string())}))
            has_probability = session.has_column(VERDICTS, "bounce_probability")
            shown = shown_columns(self._say, source.policy, KNOWN_THEN, has_probability=has_probability)
            selected = f"select {shown} from {VERDICTS} where email_key in (select email_key from {staged})"
            return SQLSends(session).record(name, now, selected)
        part = part_within(source.part("recommendation"), chosen)
        rows = self._rows(KNOWN_THEN, chosen)
        return SQLSends(session).record(
            name, now, f"select {listed} {rows} and {part} = {literal(Recommendation.send)}"
        )

    def _kept(self, columns: Sequence[str], key_columns: Sequence[str]) -> list[Column]:
        """The columns of the source that are written; our old ones make way for the new ones."""
        if key_columns:
            by_name = {column.name: column for column in self._source.columns}
            return [by_name[name] for name in key_columns]
        own = {(self._source.prefix + column).lower() for column in columns}
        return [column for column in self._source.columns if column.name.lower() not in own]

    def _rows(self, columns: Sequence[str], chosen: Chosen | None = None) -> str:
        """The rows of the source with these columns of their verdicts: FROM and WHERE."""
        source, say = self._source, self._say
        has_probability = self._session.has_column(VERDICTS, "bounce_probability")
        shown = shown_columns(say, source.policy, list(dict.fromkeys(columns)), has_probability=has_probability)
        if chosen is not None:
            shown += f", {within_column(chosen, has_probability=has_probability)}"
        return (
            f"from {source.relation} left join (select {shown} from {VERDICTS}{say.materialized}) as {OWN}verdict "
            f"on {OWN}key = {say.key(source.cell)} where {source.where}"
        )

    def _fields(
        self, columns: Sequence[str], key_columns: Sequence[str]
    ) -> tuple[list[tuple[str, str, pa.DataType]], int]:
        """Name, expression and type of each column of a file, and how many of them are the source's."""
        kept = self._kept(columns, key_columns)
        fields: list[tuple[str, str, Any]] = [(column.name, *self._travelling(column)) for column in kept]
        for name in columns:
            kind = verdict_schema().field(name).type
            # Files hold times in UTC without saying so in every cell.
            without_zone = pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
            fields.append((self._source.prefix + name, f"{OWN}{name}", without_zone))
        return fields, len(kept)

    def _travelling(self, column: Column) -> tuple[str, pa.DataType]:
        """(SQL expression, Arrow type) under which a column of the source travels."""
        name = f"{self._source.relation}.{self._session.driver.quote(column.name)}"
        if (number := _DECIMAL.fullmatch(column.kind.lower())) and 0 < int(number[1]) <= 38:
            return name, pa.decimal128(int(number[1]), int(number[2] or 0))
        for kinds, arrow in _TRAVELS:
            if re.fullmatch(kinds, column.kind.lower()):
                return name, arrow
        return self._say.text(name), pa.string()

    def _batches(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for rows in self._session.driver.stream(query, _EXPORT_ROWS):
            yield pa.RecordBatch.from_arrays(arrays(rows, schema), schema=schema)


def _shown(fields: list[tuple[str, str, pa.DataType]], theirs: int, columns: Sequence[str], kind: str) -> str:
    """The columns of a file as a SELECT over `c0`, `c1` and so on, the source's before those of the verdicts."""
    values = [f"c{place}" for place in range(theirs)]
    values += [files_out.shown_sql(f"c{place}", column, kind) for place, column in enumerate(columns, theirs)]
    names = files_out.quoted_names([name for name, _, _ in fields])
    return ", ".join(f"{value} as {name}" for value, name in zip(values, names, strict=True))
