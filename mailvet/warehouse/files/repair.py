r"""A CSV file that does not follow the rules of CSV (RFC 4180), copied into one that does.

Line ends of several kinds and quotation marks written as \" are read in any case, since they can be read in one way
only. What may mean two things (rows of uneven length, stray quotation marks, a title above the header) is read when
asked for, every cell is kept, and what was odd is counted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO

from mailvet.errors import SourceError
from mailvet.warehouse.files.csv_layout import LONGEST_LINE, Layout
from mailvet.warehouse.files.encodings import opened_text

__all__ = ["Oddities", "UnevenError", "physical_lines", "rewritten"]

_LONGEST_RECORD = 1000  # lines over which one quoted cell may go; a mark that stays open longer is a stray one

_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(slots=True)
class Oddities:
    """What was odd in a file, in rows."""

    short: int = 0
    """Fewer cells than the header: the missing ones are null."""
    long: int = 0
    """More cells than the header: the others stand in columns of their own."""
    stray_quotes: int = 0
    """A quotation mark that opens or closes nothing: the row was split at its delimiters as it is."""
    titles: int = 0
    """Lines above the header."""

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    def sentence(self, name: str) -> str:
        """What was odd, for people, as "contacts.csv was read with 2 rows of fewer cells than the header."."""
        words = (
            (self.titles, "line above the header left out", "lines above the header left out"),
            (self.short, "row of fewer cells than the header", "rows of fewer cells than the header"),
            (self.long, "row of more cells than the header", "rows of more cells than the header"),
            (self.stray_quotes, "row with a stray quotation mark", "rows with stray quotation marks"),
        )
        said = [f"{count:,} {one if count == 1 else many}" for count, one, many in words if count]
        return f"{name} was read with {', '.join(said)}."


class UnevenError(Exception):
    """A fault that only the lenient way passes over; `what` and the line are for people."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"{what} in line {line}")
        self.what, self.line = what, line


def rewritten(
    path: Path, layout: Layout, target: Path, *, header: bool, lenient: bool, backslash: bool
) -> tuple[list[str], Oddities]:
    r"""Copy the rows of a file in UTF-8 into a well-formed CSV file with commas and without a header line.

    Args:
        path: of the file.
        layout: how it is laid out.
        target: the file to write.
        header: the first record names the columns.
        lenient: pass over rows of uneven length and stray quotation marks, and count them.
        backslash: a quotation mark inside quotes is written \".

    Returns:
        The names of all columns, blank for those that the header does not have; and what was odd.

    Raises:
        UnevenError: the file has such a row and `lenient` is false. SourceError: it cannot be read.
    """
    odd = Oddities(titles=layout.titles)
    width = len(layout.first)
    widest = width
    csv.field_size_limit(LONGEST_LINE)
    with opened_text(path) as source, target.open("w", encoding="utf-8", newline="") as copy:
        records = _records(source, layout, odd, lenient=lenient, backslash=backslash)
        for position, (line, cells) in enumerate(records):
            if header and position == 0:
                continue
            if len(cells) != width and not (len(cells) == 0 and width == 1):
                if not lenient:
                    raise UnevenError("uneven", line)
                if len(cells) > width:
                    odd.long += 1
                elif cells:
                    odd.short += 1
            if cells or width == 1:
                widest = max(widest, len(cells))
                copy.write(",".join(map(_quoted, cells)) + "\n")
    names = [*layout.first] if header else [f"column{number}" for number in range(1, width + 1)]
    return [*names, *[""] * (widest - width)], odd


def _quoted(cell: str | None) -> str:
    """A cell as DuckDB reads it back: null where nothing stands, else in quotes."""
    return "" if cell is None else '"' + cell.replace('"', '""') + '"'


def _records(
    source: TextIO, layout: Layout, odd: Oddities, *, lenient: bool, backslash: bool
) -> Iterator[tuple[int, Sequence[str | None]]]:
    """(number of its first line, cells) of each record; a blank line has none."""
    lines = physical_lines(source)
    for _ in range(layout.skipped):
        next(lines, None)
    waiting: list[str] = []
    number = layout.skipped
    while True:
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            return
        number += 1
        bare = line.rstrip("\r\n").removeprefix("\ufeff" if number == 1 else "\0\0")
        if not bare:
            yield number, []
            continue
        taken = [line]
        cells = _cells(bare, layout.delimiter, backslash=backslash)
        while cells is _OPEN and len(taken) < _LONGEST_RECORD:
            more = waiting.pop(0) if waiting else next(lines, None)
            if more is None:
                break
            taken.append(more)
            if '"' in more:
                cells = _cells("".join(taken).rstrip("\r\n"), layout.delimiter, backslash=backslash)
        if cells is None or cells is _OPEN:
            if not lenient:
                raise UnevenError("quote", number)
            odd.stray_quotes += 1
            waiting[:0] = taken[1:]
            yield number, [cell or None for cell in bare.split(layout.delimiter)]
            continue
        yield number, cells
        number += len(taken) - 1


_OPEN: list[str | None] = []
"""The record goes on in the next line."""


def _cells(text: str, delimiter: str, *, backslash: bool) -> list[str | None] | None:
    """The cells of one record; `_OPEN` where a quotation mark is not closed, None where text follows a closing one.

    An empty cell is None, one that is written "" is the empty text.
    """
    cells: list[str | None] = []
    position, end = 0, len(text)
    while True:
        if text.startswith('"', position):
            parts: list[str] = []
            position += 1
            while True:
                stop = text.find('"', position)
                if stop < 0:
                    return _OPEN
                if backslash and stop > position and text[stop - 1] == "\\":
                    parts.append(text[position : stop - 1] + '"')
                    position = stop + 1
                elif text.startswith('"', stop + 1):
                    parts.append(text[position : stop + 1])
                    position = stop + 2
                else:
                    parts.append(text[position:stop])
                    position = stop + 1
                    break
            if position < end and not text.startswith(delimiter, position):
                return None
            cells.append("".join(parts))
        else:
            stop = text.find(delimiter, position)
            cell = text[position : stop if stop >= 0 else end]
            cells.append(cell or None)
            position += len(cell)
        if position >= end:
            return cells
        position += 1
        if position == end:
            cells.append(None)
            return cells


def physical_lines(source: TextIO) -> Iterator[str]:
    """Lines with their ends, of whatever kind each has: CRLF, LF or CR."""
    rest = ""
    while text := source.read(1 << 20):
        lines = _split_ends(rest + text)
        rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            raise SourceError("A line has more than 64 MB. Nothing was read.")
        yield from lines
    if rest:
        yield from (each for each in _split_ends(rest) if each)


def _split_ends(text: str) -> list[str]:
    """Split behind CRLF, LF and CR; the last piece may go on, also if it ends with CR."""
    pieces: list[str] = []
    start = 0
    for end in _LINE_END.finditer(text):
        pieces.append(text[start : end.end()])
        start = end.end()
    pieces.append(text[start:])
    return pieces
