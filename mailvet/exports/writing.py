"""The files of a hand-over: the list as its tool wants it, in as many files as its limits ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailvet.errors import SettingsError, argument
from mailvet.exports.destinations import ListFormat
from mailvet.vocabulary import Reason
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files import split_name, unique_names
from mailvet.warehouse.files.writing import Query, copy_options, escape_formula_sql
from mailvet.warehouse.files.writing import check as check_place
from mailvet.warehouse.identifiers import quoted

if TYPE_CHECKING:
    import duckdb

    from mailvet.exports.rows import StagedRows

__all__ = [
    "MANIFEST_ENDING",
    "Names",
    "check_output",
    "left_out_query",
    "list_queries",
    "list_query",
    "make_list",
    "text_sql",
]

MANIFEST_ENDING = ".manifest.json"
_NUMBER = r"[+-][0-9][0-9 ().,/-]*"


@dataclass(frozen=True, slots=True)
class Names:
    """The files of one hand-over, from the name of its list: `crm.csv`."""

    output: Path

    def part(self, number: int) -> Path:
        """`crm.2.csv`, where one file would be too large."""
        return self._beside(f".{number}")

    def change(self, word: str) -> Path:
        """`crm.added.csv`."""
        return self._beside(f".{word}")

    @property
    def left_out(self) -> Path:
        """`crm.csv.left_out.csv`: the rows that do not go, and why."""
        return self.output.with_name(f"{self.output.name}.left_out.csv")

    @property
    def manifest(self) -> Path:
        """`crm.csv.manifest.json`."""
        return self.output.with_name(f"{self.output.name}{MANIFEST_ENDING}")

    def _beside(self, middle: str) -> Path:
        stem, ending = split_name(self.output)
        return self.output.with_name(f"{stem}{middle}{ending}")


def check_output(output: Path, form: ListFormat) -> None:
    """Find out whether a list of this form could be written under this name.

    Raises:
        SettingsError: the name has another ending, or there is no such folder. SourceError: it may not be written to.
    """
    if output.suffix.lower() != form.ending:
        raise SettingsError(f"{argument('output', output.name)}: the name must end in {form.ending} for this tool.")
    check_place(output)


def make_list(rows: StagedRows, form: ListFormat, columns: Mapping[str, str]) -> tuple[list[str], int]:
    """Make the table `list` of the rows that go.

    Its columns are `h0`, `h1` and so on as the tool wants them, `n` (the order, from 0) and `file` (which file a row
    goes to, from 1).

    Args:
        rows: after `mailvet.exports.selection.choose`.
        form: of the list.
        columns: column of the tool -> column of the source.

    Returns:
        The names of the columns, and the number of files.
    """
    db, headers = rows.db, form.headers(list(columns))
    kinds = {str(row[0]): str(row[1]) for row in db.execute("describe chosen").fetchall()}
    shown = {header: text_sql(rows.column(name), kinds[rows.column(name)]) for header, name in columns.items()}
    address = "sha256(written)" if form.hashed else "written"
    values = ", ".join(f"{_value(header, form, shown, address)} as h{place}" for place, header in enumerate(headers))
    db.execute(
        f"create table listed as select {values}, row_number() over () - 1 as n "
        "from (from chosen where left_out is null order by place)"
    )
    _number_files(db, form, headers)
    (files,) = db.execute("select coalesce(max(file), 1) from list").fetchall()[0]
    return headers, int(files)


def _value(header: str, form: ListFormat, shown: Mapping[str, str], address: str) -> str:
    if header == form.address:
        return address
    if header in form.always:
        return literal(form.always[header])
    if header == form.reason_column.get("name"):
        suppressed, other = literal(form.reason_column["suppressed"]), literal(form.reason_column["other"])
        return f"case when reason = {literal(Reason.suppressed)} then {suppressed} else {other} end"
    if header not in shown:
        return "null::varchar"
    text = shown[header]
    prepared, lower = form.prepared.get(header), f"nullif(lower(trim({text})), '')"
    if prepared is not None:  # a blank is never hashed
        return f"sha256({lower})" if prepared == "lower_hashed" else lower
    # A number or a telephone number begins with a sign too, and a tool does not read it behind an apostrophe.
    return f"case when regexp_full_match({text}, {literal(_NUMBER)}) then {text} else {escape_formula_sql(text)} end"


def text_sql(column: str, kind: str) -> str:
    """DuckDB's expression for a column as text: times to the second in ISO 8601, those with a zone in UTC.

    Args:
        column: an expression.
        kind: its type, as DuckDB names it.
    """
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ')"
    if kind.startswith("TIMESTAMP"):
        return f"strftime({column}::timestamp, '%Y-%m-%dT%H:%M:%S')"
    return f"{column}::varchar"


def _number_files(db: duckdb.DuckDBPyConnection, form: ListFormat, headers: Sequence[str]) -> None:
    """Make `list` of `listed`, with the file of each row: none has more rows or octets than the tool takes."""
    by_rows = f"n // {form.max_rows}" if form.max_rows is not None else "0"
    if form.max_bytes is None or form.format != "csv":
        db.execute(f"create table list as select *, ({by_rows} + 1)::integer as file from listed")
        return
    # A cell has at most its octets, one more for each quotation mark, two around it and a delimiter.
    cells = (f"2 * strlen(h{place}) - strlen(replace(h{place}, '\"', ''))" for place in range(len(headers)))
    size = " + ".join(f"coalesce({cell}, 0) + 3" for cell in cells)
    (largest,) = db.execute(f"select coalesce(max({size}), 0) from listed").fetchall()[0]
    above = 2 * sum(len(header.encode()) + 3 for header in headers)
    room = max(form.max_bytes - above - int(largest), 1)
    db.execute(
        f"""
        create table list as
        with sized as (select *, {size} as size, {by_rows} as by_rows from listed),
        summed as (
            select *, (sum(size) over (partition by by_rows order by n) - size) // {room} as by_bytes from sized
        )
        select * exclude (size, by_rows, by_bytes), dense_rank() over (order by by_rows, by_bytes)::integer as file
        from summed
        """
    )


def list_queries(output: Path, form: ListFormat, headers: Sequence[str], files: int) -> dict[Path, Query]:
    """What is written to each file of the list.

    Args:
        output: the file, where one is enough.
        form: of the list.
        headers: its columns.
        files: how many there are.
    """
    if files == 1:
        return {output: list_query(output, form, headers, "list")}
    names = Names(output)
    return {
        names.part(number): list_query(output, form, headers, f"(from list where file = {number})")
        for number in range(1, files + 1)
    }


def list_query(output: Path, form: ListFormat, headers: Sequence[str], rows: str) -> Query:
    """The query of one file over rows of the table `list`, and the options of COPY."""
    if form.format == "csv":
        names = unique_names(headers)
        shown = ", ".join(f"h{place} as {quoted(name)}" for place, name in enumerate(names))
        return f"select {shown} from {rows} order by n", copy_options(output, header=form.header)
    member = _nested(form.address)
    beside = "".join(f"{literal(value)} as {quoted(key)}, " for key, value in form.request.items())
    return (
        f"select {beside}list({member} order by n) as {quoted(form.member_list)} from {rows} "
        f"group by n // {form.request_rows} order by n // {form.request_rows}",
        copy_options(output),
    )


def _nested(path: str) -> str:
    """The address `h0` at a path such as `userData.userIdentifiers[].emailAddress`, as a struct of DuckDB's."""
    value = "h0"
    for part in reversed(path.split(".") if path else ()):
        key, is_list = part.removesuffix("[]"), part.endswith("[]")
        value = f"{{{literal(key)}: {f'[{value}]' if is_list else value}}}"
    return value


def left_out_query(rows: StagedRows, names: Names) -> Query:
    """The rows that do not go: their number in the source (from 1), their cell as it stands there, and the cause."""
    return (
        f"select place + 1 as row, {escape_formula_sql('cell')} as {quoted(rows.columns[0])}, left_out as cause, "
        "recommendation, reason from chosen where left_out is not null order by place",
        copy_options(names.left_out),
    )
