"""How a CSV file is laid out: its delimiter, its header, and what stands above it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailvet.warehouse.address_column import is_address_column

__all__ = ["LONGEST_LINE", "NO_DELIMITER", "Layout", "layout_of", "split_record"]

LONGEST_LINE = 64 * 1024 * 1024
NO_DELIMITER = "\x1f"
"""Stands in no cell, so that in a file of one column "ann@gmail,com" stays in one piece."""

_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)  # the line that Excel writes and reads
_AN_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the first lines of a CSV file say."""

    delimiter: str
    skipped: int
    """Lines above the record in `first`: a `sep=` line is one."""
    titles: int
    """Lines of them that hold text: a title above the table."""
    first: Sequence[str]
    """The cells of the first record: the header, unless `holds_address`."""
    holds_address: bool
    """An address stands in the first record, so it is no header."""


def layout_of(lines: Sequence[str], *, tabs: bool = False) -> Layout | None:
    """The layout of a file that begins with these lines, without their line ends; None where they are blank.

    Args:
        lines: the first lines of the file.
        tabs: the name of the file says that tabs stand between the cells.
    """
    lines = list(lines)
    if lines:
        lines[0] = lines[0].removeprefix("\ufeff")
    skipped, delimiter = 0, "\t" if tabs else None
    separator = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if separator is not None:
        skipped, delimiter = 1, separator[1]
    above = _above_header(lines[skipped:], delimiter)
    titles = sum(1 for line in lines[skipped : skipped + above] if line.strip())
    skipped += above
    rest = lines[skipped:]
    if not rest or not rest[0].strip():
        return None
    chosen = delimiter or _likely_delimiter(rest)
    first = split_record(rest, chosen)
    holds_address = any(_AN_ADDRESS.fullmatch(cell.strip()) for cell in first)
    return Layout(chosen, skipped, titles, first, holds_address)


def split_record(lines: Sequence[str], delimiter: str) -> list[str]:
    """The cells of the record that begins in the first of these lines, whose quoted names may go on in the next."""
    csv.field_size_limit(LONGEST_LINE)
    head = lines[0] if lines[0].count('"') % 2 == 0 else "\n".join(lines)
    return next(csv.reader(head.splitlines(keepends=True), delimiter=delimiter))


def _likely_delimiter(lines: Sequence[str]) -> str:
    """Names of columns hold no delimiters, cells may; a quoted name that goes on in the next line counts whole."""
    header = lines[0] if lines[0].count('"') % 2 == 0 else "\n".join(lines)
    bare = re.sub(r'"[^"]*"', "", header)
    counts = {mark: bare.count(mark) for mark in _DELIMITERS}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else NO_DELIMITER


def _above_header(lines: Sequence[str], delimiter: str | None) -> int:
    """How many lines above the header are none of the table.

    Blank ones and titles, if a line with the column of addresses and more columns than those above follows.
    """
    for number, line in enumerate(lines[:20]):
        if not line.strip():
            continue
        if '"' in line and line.count('"') % 2:
            return 0
        mark = delimiter or _likely_delimiter([line])
        cells = split_record([line], mark)
        if any(is_address_column(cell) for cell in cells) and not any(_AN_ADDRESS.fullmatch(c.strip()) for c in cells):
            above = [split_record([other], mark) for other in lines[:number] if other.strip()]
            return number if all(len([c for c in each if c.strip()]) < len(cells) for each in above) else 0
        if any(_AN_ADDRESS.fullmatch(cell.strip()) for cell in cells):
            return 0
    return 0
