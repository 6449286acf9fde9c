"""
DuckDB: the warehouse of one machine, and the reader of files.

A table of a DuckDB database has its verdicts in the same database. A file (CSV, TSV, Parquet, JSON Lines, plain or
compressed) is read into a temporary table; its verdicts live in the store, another DuckDB file, so that a second run
over the same list asks only what is due.

Each room has one idea: `session` (the database that is open), `due` (what is due), `verdicts`
(saving), `results` (status columns and counts); here they are one warehouse, with what leaves it for files and
tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.duckdb.results import DuckDBResults
from mailvet.warehouse.backends.duckdb.session import columns_of, is_blank, open_database, opening_failed, quote
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line, format_of, unique_names
from mailvet.warehouse.files import writing as output_files
from mailvet.warehouse.identifiers import OWN, TableName, parse_table
from mailvet.warehouse.tables import check_targets, may_replace

__all__ = ["DuckDBWarehouse", "open_database", "opening_failed"]

_PLACE = f"{OWN}place"

_ONE_WRITER = (
    "{name} lies in a DuckDB file, which has one writer at a time, so it is never verified in shards: let one task "
    "verify it, or move the table to PostgreSQL."
)


class DuckDBWarehouse(DuckDBResults):
    """
    One table or file and its verdicts. Build it with `of_table` or `of_file`.

    Not to be used from two threads at once, but for `interrupt`.
    """

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `Warehouse.check_keys`."""
        present = columns_of(self._db, self.relation)
        missing = [name for name in columns if name not in present]
        if missing:
            raise SourceError(f"There is no column {missing[0]} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(quote, columns))
            if self._rows(f"select 1 from {self.relation} group by {keys} having count(*) > 1 limit 1"):
                raise SourceError(
                    f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                    "identify a row. Name a unique key."
                )

    def check_output(self, output: Path, key_columns: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
        """See `Warehouse.check_output`."""
        output_files.check(output)
        if not key_columns:
            self._check_ours(columns)
        if (self.narrowed or key_columns) and output.exists() and output.samefile(self.path):
            raise SettingsError(
                f"{argument('output', output.name)} is the input itself, and with {argument('where')} or "
                f"{argument('key_column')} rows or columns of it would be lost. Choose another name."
            )
        kept = columns_of(self._db, self.relation)
        for name in key_columns:
            if name not in kept:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(kept)}.")

    def export(
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
        parts: Sequence[str] = (),
        others: bool = True,
        mode: int | None = None,
    ) -> list[Path]:
        """See `Warehouse.export`; the order of the rows is kept."""
        self.check_output(output, key_columns, columns)
        present = columns_of(self._db, self.relation)
        headers = dict(zip(present, self._loaded.headers if self._loaded else present, strict=True))
        # On a list verified before, our old columns make way for the new ones.
        own = {(self._prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in present if name.lower() not in own]
        place = "rowid" if self._numbers_rows() else "row_number() over ()"
        fields = [(headers[name], quote(name)) for name in kept]
        for column in columns:
            value = f"{OWN}{column}"
            is_text = str(verdict_schema().field(column).type) == "string"
            fields.append((self._prefix + column, output_files.escape_formula_sql(value) if is_text else value))
        read = list(dict.fromkeys([*columns, *([split_by] if split_by else [])]))
        rows = (
            f"(select *, {place} as {_PLACE} from {self.relation} where {self._where}) as rows_kept "
            f"left join {self._verdicts(read)} on {OWN}key = sha256({self._cell})"
        )
        conditions = {output: "true"}
        if split_by is not None:
            part = self._part(split_by)
            found = [word for (word,) in self._rows(f"select distinct {part} from {rows}")] if others else []
            conditions = {
                path: f"{part} is null" if word is None else f"{part} = {literal(word)}"
                for word, path in output_files.part_names(output, found, parts).items()
            }
        queries = {path: self._output(path, f"{rows} where {test}", fields) for path, test in conditions.items()}
        # Lists of people stay as private as the file they come from.
        if mode is None:
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o600
        via = self._access.folder if self._access is not None and self._access.closed_in else None
        return output_files.publish(self._db, queries, mode, via, check=self._check_unchanged)

    def _part(self, column: str) -> str:
        """Which part of a result a row belongs to, by a column of the verdict table."""
        return f"case when {is_blank(self._cell)} then 'missing' else {OWN}{column} end"

    def _output(self, output: Path, rows: str, fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """The query of one file and the options of `COPY`."""
        names = output_files.quoted_names([name for name, _ in fields])
        values = ", ".join(f"{value} as {name}" for name, (_, value) in zip(names, fields, strict=True))
        query = f"select {values} from {rows} order by {_PLACE}"
        delimiter = self._loaded.delimiter if self._loaded and self._loaded.delimiter in (";", "|") else ","
        headers = [name for name, _ in fields]
        is_csv = (format_of(output) or ("", None))[0] == "csv"
        header = not is_csv or headers == unique_names(headers)
        if not header:  # blank and repeated names, which SQL does not know, become a first row
            texts = ", ".join(f"{value}::varchar as c{number}" for number, (_, value) in enumerate(fields))
            first = ", ".join(f"{literal(name)} as c{number}" for number, name in enumerate(headers))
            query = (
                f"select * exclude (place) from (select {first}, -1 as place union all "
                f"select {texts}, {_PLACE} as place from {rows}) order by place"
            )
        return query, output_files.copy_options(output, header=header, delimiter=delimiter)

    def export_tables(
        self,
        names: Mapping[str, str],
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        replace: bool = False,
        overwrite: bool = False,
    ) -> None:
        """See `Warehouse.export_tables`."""
        self.check_keys(key_columns, unique=False)
        targets = {word: parse_table(name) for word, name in names.items()}
        if not key_columns:
            self._check_ours(columns)
        check_targets(targets, parse_table(self.relation), self._one("select current_schema()")[0])
        present = [target for target in targets.values() if self._has_table(target)]
        for target in present:
            may_replace(target, columns_of(self._db, target.sql()), self._prefix, replace=replace, overwrite=overwrite)
        own = {(self._prefix + column).lower() for column in columns}
        kept = list(key_columns) or [name for name in columns_of(self._db, self.relation) if name.lower() not in own]
        fields = [quote(name) for name in kept]
        fields += [f"{OWN}{column} as {quote(self._prefix + column)}" for column in columns]
        rows = (
            f"(select * from {self.relation} where {self._where}) as rows_kept "
            f"left join {self._verdicts(list(dict.fromkeys([*columns, 'recommendation'])))} "
            f"on {OWN}key = sha256({self._cell})"
        )
        part = self._part("recommendation")
        self._db.execute("begin")
        try:
            for target in present:
                self._db.execute(f"drop table {target.sql()}")
            for word, target in targets.items():
                self._db.execute(
                    f"create table {target.sql()} as select {', '.join(fields)} from {rows} "
                    f"where {part} = {literal(word)}"
                )
            self._db.execute("commit")
        except duckdb.Error as error:
            with contextlib.suppress(duckdb.Error):
                self._db.execute("rollback")
            raise source_error(
                f"The lists of {self.name} could not be written: {first_line(str(error))}. No table was changed.", error
            ) from None

    def _has_table(self, table: TableName) -> bool:
        return bool(
            self._rows(
                "select 1 from information_schema.tables where lower(table_name) = lower($1) and "
                "lower(table_schema) = lower(coalesce(nullif($2, ''), current_schema())) and "
                "lower(table_catalog) = lower(coalesce(nullif($3, ''), current_database()))",
                [table.name, table.schema, table.catalog],
            )
        )

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `Warehouse.save_shards`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `Warehouse.keep_shard`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))

    def prepare_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.prepare_write_back`."""
        raise SourceError(_ONE_WRITER.format(name=self.name))
