"""Excel workbooks (.xlsx): a sheet as text that is read like CSV, and rows as a sheet.

Read by openpyxl row by row, with the shared texts of the workbook in memory and no more. Its cells become what a person
sees in them as far as that is data: formulas their stored value, dates ISO 8601, numbers with a format of zeros the
zeros in front. Written by XlsxWriter row by row; texts are written as texts, so none is a formula.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.private_files import PrivateFolder

if TYPE_CHECKING:
    import duckdb

__all__ = ["MOST_ROWS", "header_of", "write_sheet", "write_text"]

MOST_ROWS = 1_048_576
"""Rows of a sheet, its header among them (Excel specifications and limits)."""
_MOST_COLUMNS = 16_384
_LONGEST_CELL = 32_767
_DIGITS = 15
_EXACT_DIGITS = 10**_DIGITS
"""Excel keeps 15 digits of a number; a longer one is written as text."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The first bytes of an old workbook, and of one that is encrypted."""
_ZEROS = re.compile(r"0{2,}")
_HEAD_ROWS = 50
_ROWS_AT_ONCE = 10_000
_WHEN = "yyyy-mm-dd hh:mm:ss"


# -------------------------------------------------------------------- reading


def write_text(path: Path, target: Path, sheet: str | None) -> None:
    """Write a sheet as text with tabs between the cells, in UTF-8.

    Args:
        path: of the workbook.
        target: the file to write.
        sheet: its name; None for the one sheet that is visible and not empty.

    Raises:
        SourceError: it is encrypted, damaged or no workbook, or has no such sheet, or several.
        SettingsError: openpyxl is not installed.
    """
    with _opened(path) as book:
        rows = _rows(_chosen(book, path, sheet))
        head = list(islice(rows, _HEAD_ROWS))
        if not head:
            raise SourceError(f"The file {path.name} is empty: its sheet has no cells. Nothing was read.")
        width = max(map(len, head))
        with target.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
            try:
                for row in chain(head, rows):
                    writer.writerow([*row, *[""] * (width - len(row))])
            except _DAMAGED as error:
                raise _damaged(path, error) from None


def header_of(path: Path) -> list[str]:
    """The cells of the first row of a workbook of ours.

    Raises:
        SourceError, SettingsError: as `write_text`.
    """
    with _opened(path) as book:
        return next(_rows(book.worksheets[0]), [])


_DAMAGED = (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, SyntaxError)
"""What openpyxl raises on a broken file; errors of its XML parser are syntax errors."""


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise _missing("openpyxl", path) from None
    with path.open("rb") as stream:
        if stream.read(len(_OLE)) == _OLE:
            raise SourceError(
                f"The file {path.name} is encrypted, or an old .xls workbook. Open it in Excel, take the password away "
                "and save it as .xlsx. Nothing was read."
            )
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except _DAMAGED as error:
        raise _damaged(path, error) from None
    try:
        yield book
    finally:
        book.close()


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(f"The file {path.name} cannot be read: it is damaged or no workbook ({type(error).__name__}).")


def _missing(library: str, path: Path) -> SettingsError:
    return SettingsError(f"{path.name} needs the package {library}: pip install 'mailvet[excel]'")


def _chosen(book: Any, path: Path, name: str | None) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    listed = ", ".join(sheets)
    if name is not None:
        if name not in sheets:
            raise SourceError(f"{argument('sheet', name)}: {path.name} has the sheets {listed}. Nothing was read.")
        return sheets[name]
    filled = [
        sheet for sheet in sheets.values() if sheet.sheet_state == "visible" and next(_rows(sheet), None) is not None
    ]
    if len(filled) > 1:
        names = ", ".join(sheet.title for sheet in filled)
        raise SourceError(
            f"The file {path.name} has several sheets: {names}. Name one with {argument('sheet')}. Nothing was read."
        )
    return filled[0] if filled else next(iter(sheets.values()))


def _rows(sheet: Any) -> Iterator[list[str]]:
    """The rows from the first to the last that is not blank, each without its blank cells at the end."""
    sheet.reset_dimensions()  # programs write wrong ones
    blank = 0
    begun = False
    for cells in sheet.iter_rows():
        row = [_text(cell) for cell in cells]
        while row and not row[-1]:
            row.pop()
        if not row:
            blank += begun
            continue
        yield from ([] for _ in range(blank))
        begun, blank = True, 0
        yield row


def _text(cell: Any) -> str:
    value = cell.value
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _number(value, cell.number_format)
    if isinstance(value, dt.datetime):
        value = (value + dt.timedelta(microseconds=500_000)).replace(microsecond=0)
        only_date = value.time() == dt.time() and "h" not in str(cell.number_format).lower()
        return value.date().isoformat() if only_date else value.isoformat(" ")
    if isinstance(value, dt.time):
        return value.replace(microsecond=0).isoformat()
    return str(value)


def _number(value: float, number_format: str) -> str:
    if float(value).is_integer() and abs(value) < _EXACT_DIGITS:
        digits = len(number_format) if _ZEROS.fullmatch(number_format) else 0
        return f"{int(value):0{digits}d}"
    return repr(value)


# -------------------------------------------------------------------- writing


def write_sheet(db: duckdb.DuckDBPyConnection, query: str, headers: Sequence[str], target: Path, output: Path) -> None:
    """Write the rows of a query of DuckDB's as a workbook of one sheet.

    Args:
        db: the connection of the query.
        query: of as many columns as there are headers.
        headers: the first row.
        target: the file to write.
        output: its name, for people.

    Raises:
        SourceError: there are more rows or columns than a sheet takes.
        SettingsError: XlsxWriter is not installed.
    """
    try:
        import xlsxwriter
    except ImportError:
        raise _missing("xlsxwriter", output) from None
    if len(headers) > _MOST_COLUMNS:
        raise SourceError(f"{output.name}: a sheet has at most {_MOST_COLUMNS:,} columns. Write CSV instead.")
    with PrivateFolder() as folder, _made(xlsxwriter, target, folder) as book:
        sheet = book.add_worksheet("contacts")
        when = book.add_format({"num_format": _WHEN})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        formats: Mapping[type, Any] = {dt.datetime: when, dt.date: day}
        for column, name in enumerate(headers):
            sheet.write_string(0, column, name[:_LONGEST_CELL])
        found = db.execute(query)
        number = 0
        while rows := found.fetchmany(_ROWS_AT_ONCE):
            if number + len(rows) >= MOST_ROWS:
                raise SourceError(
                    f"{output.name}: a sheet has at most {MOST_ROWS - 1:,} rows below its header. Write CSV instead, "
                    f"or split the result ({argument('split_by', 'recommendation')})."
                )
            for row in rows:
                number += 1
                for column, value in enumerate(row):
                    _write_cell(sheet, number, column, value, formats)


@contextlib.contextmanager
def _made(xlsxwriter: Any, target: Path, folder: PrivateFolder) -> Iterator[Any]:
    book = xlsxwriter.Workbook(str(target), {"constant_memory": True, "tmpdir": str(folder.path)})
    try:
        yield book
    finally:
        book.close()


def _is_exact(value: float | Decimal) -> bool:
    """Whether Excel keeps all digits of a number."""
    digits = len(value.as_tuple().digits) if isinstance(value, Decimal) else 0
    return abs(value) < _EXACT_DIGITS and digits <= _DIGITS


def _write_cell(sheet: Any, row: int, column: int, value: Any, formats: Mapping[type, Any]) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float, Decimal)) and _is_exact(value):
        sheet.write_number(row, column, float(value))
    elif type(value) in formats and value.year >= 1900 and getattr(value, "tzinfo", None) is None:
        sheet.write_datetime(row, column, value, formats[type(value)])
    else:
        text = str(value)
        if len(text) > _LONGEST_CELL:
            raise SourceError(
                f"A cell of row {row + 1} has more than the {_LONGEST_CELL:,} characters that Excel takes. Write CSV "
                "instead."
            )
        sheet.write_string(row, column, text)
