"""Rows of a table in DuckDB with their verdicts, on their way into files and into tables of the same database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Recommendation
from mailvet.warehouse.backends.duckdb.connection import writing
from mailvet.warehouse.backends.duckdb.expressions import SAY
from mailvet.warehouse.backends.duckdb.matching import Matches
from mailvet.warehouse.backends.duckdb.relations import columns_of
from mailvet.warehouse.backends.duckdb.source import ContactRelation
from mailvet.warehouse.backends.duckdb.status_columns import StatusWriter
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line, format_of, unique_names
from mailvet.warehouse.files import writing as output_files
from mailvet.warehouse.identifiers import OWN, TableName, parse_table, quoted
from mailvet.warehouse.sends import KNOWN_THEN, DuckDBSends, campaign_name
from mailvet.warehouse.tables import check_targets, may_replace
from mailvet.warehouse.text_layout import AS_IT_CAME, TextLayout
from mailvet.warehouse.verdict_columns import part_within, within_column

if TYPE_CHECKING:
    from mailvet.scoring.budget import Chosen

__all__ = ["Exporter"]

_PLACE = f"{OWN}place"


class Exporter:
    """Writes lists.

    Args:
        source: the table.
        matches: the verdicts of its rows.
        statuses: its status columns.
    """

    def __init__(self, source: ContactRelation, matches: Matches, statuses: StatusWriter) -> None:
        self._source, self._matches, self._statuses = source, matches, statuses
        self._session = source.session

    def check_output(self, output: Path, key_columns: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
        """See `ContactSource.check_output`."""
        source = self._source
        output_files.check(output)
        if not key_columns:
            self._statuses.check_ours(columns)
        if (source.narrowed or key_columns) and output.exists() and output.samefile(source.path):
            raise SettingsError(
                f"{argument('output', output.name)} is the input itself, and with {argument('where')} or "
                f"{argument('key_column')} rows or columns of it would be lost. Choose another name."
            )
        kept = source.columns()
        for name in key_columns:
            if name not in kept:
                raise SourceError(f"There is no column {name} in {source.name}; it has: {', '.join(kept)}.")

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
        """See `ContactSource.export`; the order of the rows is kept."""
        source, session = self._source, self._session
        self.check_output(output, key_columns, columns)
        present = source.columns()
        headers = dict(zip(present, source.loaded.headers if source.loaded else present, strict=True))
        # On a list verified before, our old columns make way for the new ones.
        own = {(source.prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in present if name.lower() not in own]
        place = "rowid" if source.numbers_rows() else "row_number() over ()"
        fields = [(headers[name], quoted(name)) for name in kept]
        for column in columns:
            value = f"{OWN}{column}"
            fields.append((source.prefix + column, value))
        read = list(dict.fromkeys([*columns, *([split_by] if split_by else [])]))
        rows = (
            f"(select *, {place} as {_PLACE} from {source.relation} where {source.where}) as rows_kept "
            f"left join {self._matches.shown(read, also=self._within(chosen))} on {OWN}key = {SAY.key(source.cell)}"
        )
        conditions = {output: "true"}
        if split_by is not None:
            part = part_within(source.part(split_by), chosen)
            found = [word for (word,) in session.rows(f"select distinct {part} from {rows}")] if others else []
            conditions = output_files.part_conditions(part, output, found, parts)
        # Lists of people stay as private as the file they come from.
        if mode is None:
            mode = source.path.stat().st_mode & 0o777 if source.path.exists() else 0o600
        via = session.access.folder if session.access is not None and session.access.closed_in else None
        contents = {
            path: self._output(path, f"{rows} where {test}", fields, layout, via) for path, test in conditions.items()
        }
        return output_files.publish(session.db, contents, mode, via, check=source.check_unchanged)

    def _output(
        self,
        output: Path,
        rows: str,
        fields: Sequence[tuple[str, str]],
        layout: TextLayout,
        via: PrivateFolder | None,
    ) -> output_files.Query | output_files.Writer:
        """What is written to one file."""
        source = self._source
        kind = (format_of(output) or ("", None))[0]
        ours = {f"{OWN}{name}": name for name in verdict_schema().names}
        fields = [
            (name, output_files.shown_sql(value, ours[value], kind) if value in ours else value)
            for name, value in fields
        ]
        names = output_files.quoted_names([name for name, _ in fields])
        values = ", ".join(f"{value} as {name}" for name, (_, value) in zip(names, fields, strict=True))
        query = f"select {values} from {rows} order by {_PLACE}"
        headers = [name for name, _ in fields]
        if kind == "csv" and headers != unique_names(
            headers
        ):  # blank and repeated names, which SQL does not know, become a first row
            texts = ", ".join(f"{value}::varchar as c{number}" for number, (_, value) in enumerate(fields))
            first = ", ".join(f"{literal(name)} as c{number}" for number, name in enumerate(headers))
            query = (
                f"select * exclude (place) from (select {first}, -1 as place union all "
                f"select {texts}, {_PLACE} as place from {rows}) order by place"
            )
        came = AS_IT_CAME
        if source.loaded is not None:
            delimiter = source.loaded.delimiter if source.loaded.delimiter in (";", "|") else ","
            came = TextLayout(source.loaded.encoding, delimiter)
        return output_files.content_of(self._session.db, output, query, headers, layout=layout, came=came, via=via)

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
        source, session = self._source, self._session
        source.check_keys(key_columns, unique=False)
        targets = {word: parse_table(name) for word, name in names.items()}
        if not key_columns:
            self._statuses.check_ours(columns)
        check_targets(targets, parse_table(source.relation), session.one("select current_schema()")[0])
        present = [target for target in targets.values() if self._has_table(target)]
        for target in present:
            may_replace(
                target, columns_of(session.db, target.sql()), source.prefix, replace=replace, overwrite=overwrite
            )
        own = {(source.prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in source.columns() if name.lower() not in own]
        fields = [quoted(name) for name in kept]
        fields += [f"{OWN}{column} as {quoted(source.prefix + column)}" for column in columns]
        shown = list(dict.fromkeys([*columns, "recommendation"]))
        rows = (
            f"(select * from {source.relation} where {source.where}) as rows_kept "
            f"left join {self._matches.shown(shown, also=self._within(chosen))} "
            f"on {OWN}key = {SAY.key(source.cell)}"
        )
        part = part_within(source.part("recommendation"), chosen)
        try:
            with session.transaction():
                for target in present:
                    session.db.execute(f"drop table {target.sql()}")
                for word, target in targets.items():
                    session.db.execute(
                        f"create table {target.sql()} as select {', '.join(fields)} from {rows} "
                        f"where {part} = {literal(word)}"
                    )
        except duckdb.Error as error:
            raise source_error(
                f"The lists of {source.name} could not be written: {first_line(str(error))}. No table was changed.",
                error,
            ) from None

    def record_sends(
        self, campaign: str, now: datetime, *, keys: Sequence[str] | None = None, chosen: Chosen | None = None
    ) -> int:
        """See `ContactSource.record_sends`."""
        source, session = self._source, self._session
        name = campaign_name(campaign)
        with writing(session.path):
            if keys is not None:
                session.db.register("mailvet_sent", pa.table({"key": pa.array(keys, pa.string())}))
                selected = f"select * from {self._matches.shown(KNOWN_THEN)} where {OWN}key in (from mailvet_sent)"
            else:
                part = part_within(source.part("recommendation"), chosen)
                selected = (
                    f"select {OWN}key, {', '.join(OWN + column for column in KNOWN_THEN)} "
                    f"from (select * from {source.relation} where {source.where}) as rows_kept "
                    f"left join {self._matches.shown(KNOWN_THEN, also=self._within(chosen))} "
                    f"on {OWN}key = {SAY.key(source.cell)} where {part} = {literal(Recommendation.send)}"
                )
            try:
                return DuckDBSends(session).record(name, now, selected)
            finally:
                if keys is not None:
                    session.db.unregister("mailvet_sent")

    def _within(self, chosen: Chosen | None) -> str | None:
        """The column that says whether a row is in the audience, where there is one."""
        if chosen is None:
            return None
        return within_column(chosen, has_probability=self._matches.has_probability())

    def _has_table(self, table: TableName) -> bool:
        return bool(
            self._session.rows(
                "select 1 from information_schema.tables where lower(table_name) = lower($1) and "
                "lower(table_schema) = lower(coalesce(nullif($2, ''), current_schema())) and "
                "lower(table_catalog) = lower(coalesce(nullif($3, ''), current_database()))",
                [table.name, table.schema, table.catalog],
            )
        )
