"""Data files as tables in which every cell is what it was in the file.

CSV is read as text without guessing: the header line is parsed here, so that names need not be unique and a sniffer
never sees the messy cells (`a@x.com; b@y.com`) that would mislead it. What DuckDB refuses and can be read in one way
only is rewritten first (`repair`). Of JSON Lines, texts that look like dates stay texts and nested values stay JSON.
What cannot be read becomes a `SourceError` that names the line, never its text.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.warehouse.address_column import is_address_column
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files.csv_layout import LONGEST_LINE, Layout, layout_of
from mailvet.warehouse.files.encodings import in_utf8, opened_text
from mailvet.warehouse.files.faults import unreadable
from mailvet.warehouse.files.formats import FORMATS, format_of, is_tab_separated
from mailvet.warehouse.files.names import sql_path, unique_names
from mailvet.warehouse.files.repair import Oddities, UnevenError, physical_lines, rewritten
from mailvet.warehouse.text_layout import WITH_MARK

__all__ = ["INPUT", "Loaded", "Reading", "load", "table_function"]

INPUT = "temp.mailvet_input"
"""The table that `load` makes."""

_HEAD_LINES = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text file is to be read."""

    encoding: str = "utf-8"
    """Any that Python knows; a byte order mark is stronger than the default."""
    header: bool = True
    """The first line of a CSV file names the columns; else they are called column1, column2, ..."""
    lenient: bool = False
    """Read CSV rows of uneven length, stray quotation marks and titles above the header, and count them."""
    sheet: str | None = None
    """Of an Excel workbook; None for the one that is visible and not empty."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a file was written, to write it again alike."""

    headers: Sequence[str]
    """Names of the columns as they stand in the file; the table's are these, made unique."""
    delimiter: str
    remarks: Sequence[str] = field(default=())
    """What was odd about the file, a sentence each."""
    address_column: str | None = None
    """Of a file without a header: the one column whose first cell is an address."""
    encoding: str = "utf-8"
    """`utf-8-sig` where it begins with a byte order mark, and for a workbook, whose users open CSV in Excel."""


def load(db: duckdb.DuckDBPyConnection, path: Path, reading: Reading | None = None) -> Loaded:
    """Read a file into the temporary table `INPUT`, rows and columns in the order of the file.

    Raises:
        SourceError: missing, empty, of no known kind, or not well formed; SettingsError: no such encoding.
    """
    reading = reading or Reading()
    kind = _look(path)
    if kind == "xlsx":
        return _load_sheet(db, path, reading)
    if reading.sheet is not None:
        raise SettingsError(f"{argument('sheet', reading.sheet)} is for Excel workbooks; {path.name} has no sheets.")
    if kind != "csv" and not reading.header:
        raise SettingsError(f"{argument('header', False)} is for CSV; {path.name} names its columns itself.")
    with in_utf8(path, reading.encoding) as (readable, encoding):
        try:
            if kind == "csv":
                return _load_csv(db, path, readable, encoding, reading)
            reader = _reader(db, readable, kind)
            _keep(db, reader)
            return Loaded(_described(db, reader)[0], ",")
        except duckdb.Error as error:
            raise unreadable(path, str(error), encoding) from None


def table_function(db: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The SQL table function that reads a file in UTF-8, with the names of its header."""
    kind = _look(path)
    if kind == "xlsx":
        raise SourceError(f"{path.name} is an Excel workbook, which is not read here. Save it as CSV or Parquet.")
    try:
        if kind == "csv":
            layout = _layout(path, path, Reading())
            if layout.skipped:
                raise SourceError(f"The file {path.name} does not begin with its header. Delete what stands above.")
            return _csv_reader(path, layout, header=True)
        return _reader(db, path, kind)
    except duckdb.Error as error:
        raise unreadable(path, str(error), "utf-8") from None


def _look(path: Path) -> str:
    """The kind of a file that is there and not empty."""
    if not path.exists():
        raise SourceError(f"There is no file {path}. Check the path.")
    if not path.is_file():
        raise SourceError(f"{path} is no file. Give one CSV, Parquet or JSON Lines file, or a DuckDB database.")
    kind = format_of(path)
    if kind is None:
        raise SourceError(
            f"{path.name} is neither a DuckDB database nor a file of a known kind "
            f"({', '.join(FORMATS)}, also with .gz or .zst). Rename or convert it."
        )
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise SourceError(f"The file {path} is empty: there is not even a header line.")
    except OSError as error:
        raise SourceError(f"The file {path} cannot be read: {error.strerror or error}.") from None
    return kind[0]


def _keep(db: duckdb.DuckDBPyConnection, reader: str) -> None:
    db.execute(f"create or replace temp table mailvet_input as select * from {reader}")


# ---------------------------------------------------------------- workbooks


def _load_sheet(db: duckdb.DuckDBPyConnection, path: Path, reading: Reading) -> Loaded:
    """A sheet as it is read from a file with tabs between its cells."""
    from mailvet.warehouse.files.sheets import write_text

    with PrivateFolder() as folder:
        text = folder.path / f"{path.stem}.tsv"
        write_text(path, text, reading.sheet)
        try:
            loaded = _load_csv(db, path, text, "utf-8", reading)
        except duckdb.Error as error:
            raise unreadable(path, str(error), "utf-8") from None
    return replace(loaded, delimiter=",", encoding=WITH_MARK)


# ---------------------------------------------------------------- CSV


def _load_csv(db: duckdb.DuckDBPyConnection, path: Path, readable: Path, encoding: str, reading: Reading) -> Loaded:
    layout = _layout(path, readable, reading)
    addresses = [number for number, cell in enumerate(layout.first, 1) if "@" in cell]
    found = f"column{addresses[0]}" if not reading.header and len(addresses) == 1 else None
    if not layout.skipped:  # DuckDB's option to skip lines reads their quotation marks
        try:
            _keep(db, _csv_reader(readable, layout, header=reading.header))
        except duckdb.Error as error:
            if "unicode" in str(error).lower() or "utf-8" in str(error).lower() or "line size" in str(error).lower():
                raise
        else:
            names = layout.first if reading.header else unique_names([""] * len(layout.first))
            return Loaded(names, layout.delimiter, (), found, _as_it_came(readable, encoding))
    with PrivateFolder() as folder:
        names, odd = _repaired(path, readable, folder.path / "input.csv", layout, reading)
        copy = sql_path(folder.path / "input.csv")
        padded = ", null_padding = true, parallel = false" if odd.short or odd.long else ""
        _keep(db, f"read_csv({copy}, header = false, new_line = '\\n', {_columns(names)}, {_csv_options(',')}{padded})")
    remarks = (odd.sentence(path.name),) if odd else ()
    return Loaded(names, layout.delimiter, remarks, found, _as_it_came(readable, encoding))


def _as_it_came(readable: Path, encoding: str) -> str:
    """The encoding in which a file is written again alike."""
    if encoding != "utf-8":
        return encoding
    with opened_text(readable, errors="replace") as text:
        return WITH_MARK if text.read(1) == "\ufeff" else encoding


def _layout(path: Path, readable: Path, reading: Reading) -> Layout:
    """The layout of a CSV file, if it can be read as asked.

    Raises:
        SourceError: it has no header where one is expected, or lines above it.
    """
    with opened_text(readable, errors="replace") as text:
        lines = [line.rstrip("\r\n") for line in itertools.islice(physical_lines(text), _HEAD_LINES)]
    layout = layout_of(lines, tabs=is_tab_separated(readable) or is_tab_separated(path))
    if layout is None:
        raise SourceError(f"The file {path.name} has no header line: its first line is blank. Name its columns there.")
    if reading.header and layout.holds_address and not any(map(is_address_column, layout.first)):
        raise SourceError(
            f"The file {path.name} has no header line: its first line holds an address. Add a line with names, or read "
            f"it with {argument('header', False)}, which calls the columns column1, column2 and so on. "
            "Nothing was read."
        )
    if layout.titles and not reading.lenient:
        raise SourceError(
            f"The file {path.name} has text above its header, which is line {layout.skipped + 1}. Delete what stands "
            f"above, or leave it out with {argument('lenient', True)}. Nothing was read."
        )
    return layout


def _repaired(path: Path, readable: Path, target: Path, layout: Layout, reading: Reading) -> tuple[list[str], Oddities]:
    """Rewrite a file that DuckDB refused.

    Raises:
        SourceError: it can be read in more than one way, and that was not asked for.
    """
    escapes = (False, True) if _holds_backslash_quote(readable) else (False,)
    faults: list[UnevenError] = []
    try:
        for backslash in escapes:
            try:
                return rewritten(readable, layout, target, header=reading.header, lenient=False, backslash=backslash)
            except UnevenError as fault:
                faults.append(fault)
        if not reading.lenient:
            said = "unterminated quote" if faults[0].what == "quote" else "expected number of columns"
            raise unreadable(path, f"{said}, line {faults[0].line}", "utf-8")
        tried = [
            rewritten(readable, layout, target, header=reading.header, lenient=True, backslash=backslash)
            for backslash in escapes
        ]
        if len(tried) > 1 and tried[0][1].stray_quotes <= tried[1][1].stray_quotes:
            return rewritten(readable, layout, target, header=reading.header, lenient=True, backslash=False)
        return tried[-1]
    except UnicodeError:
        raise unreadable(path, "unicode", "utf-8") from None


def _holds_backslash_quote(path: Path) -> bool:
    rest = ""
    with opened_text(path, errors="replace") as text:
        while chunk := text.read(1 << 20):
            if '\\"' in rest + chunk:
                return True
            rest = chunk[-1:]
    return False


def _csv_reader(path: Path, layout: Layout, *, header: bool) -> str:
    kind = format_of(path)
    assert kind is not None
    names = layout.first if header else [""] * len(layout.first)
    compression = f", compression = '{kind[1]}'" if kind[1] else ""
    return (
        f"read_csv({sql_path(path)}, header = {str(header).lower()}, {_columns(names)}, "
        f"{_csv_options(layout.delimiter)}{compression})"
    )


def _columns(names: Sequence[str]) -> str:
    named = ", ".join(f"{literal(unique)}: 'VARCHAR'" for unique in unique_names(names))
    return f"columns = {{{named}}}"


def _csv_options(delimiter: str) -> str:
    return (
        f"auto_detect = false, hive_partitioning = false, delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
        f"nullstr = '', allow_quoted_nulls = false, max_line_size = {LONGEST_LINE}, buffer_size = {2 * LONGEST_LINE}"
    )


# ---------------------------------------------------------------- Parquet and JSON Lines


def _reader(db: duckdb.DuckDBPyConnection, path: Path, kind: str) -> str:
    """The table function for a file that names its columns itself."""
    if kind == "parquet":
        return f"read_parquet({sql_path(path)}, hive_partitioning = false)"
    options = f"format = 'newline_delimited', hive_partitioning = false, maximum_object_size = {LONGEST_LINE}"
    names, kinds = _described(db, f"read_json({sql_path(path)}, {options}, sample_size = -1)")
    columns = ", ".join(f"{literal(key)}: {literal(_kept(kind))}" for key, kind in zip(names, kinds, strict=True))
    return f"read_json({sql_path(path)}, {options}, columns = {{{columns}}})"


def _kept(kind: str) -> str:
    """The type in which a JSON value comes out as it went in: no date is reformatted, no nested key added."""
    if kind.startswith(("DATE", "TIME", "UUID")):
        return "VARCHAR"
    return "JSON" if kind.startswith(("STRUCT", "MAP")) or kind.endswith("]") else kind


def _described(db: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[str], list[str]]:
    rows = db.execute(f"describe select * from {relation}").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]
