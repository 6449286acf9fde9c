"""Names of tables and columns in SQL: how each is quoted, and how `catalog.schema.table` is read.

Every name that becomes part of a statement goes through here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from mailvet.errors import SourceError

__all__ = ["OWN", "STANDARD_MARKS", "TableName", "parse_table", "quoted", "unquoted_parts"]

STANDARD_MARKS = ('"', '"')
"""What stands before and behind a quoted name in standard SQL."""

OWN = f"mailvet_{secrets.token_hex(6)}_"
"""
Before the names that our statements give to what stands beside the user's columns: valid without quotation marks in
every database, and such that no column is called so by chance or on purpose.
"""

_MARKS = {'"': '"', "`": "`", "[": "]"}
_MOST_PARTS = 3


def quoted(name: str, marks: tuple[str, str] = STANDARD_MARKS) -> str:
    """One name for a statement, whatever it holds.

    Raises:
        SourceError: it is empty or holds a NUL, at which databases stop reading.
    """
    if not name or "\0" in name:
        raise SourceError("A name of a table or column is empty or holds a NUL character.")
    opening, closing = marks
    return opening + name.replace(closing, closing * 2) + closing


@dataclass(frozen=True, slots=True)
class TableName:
    """The name of a table, in parts; those that were not given are empty."""

    name: str
    schema: str = ""
    catalog: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Those that were given, the widest first."""
        return tuple(part for part in (self.catalog, self.schema, self.name) if part)

    def sql(self, quote: Callable[[str], str] = quoted) -> str:
        """The name for a statement."""
        return ".".join(map(quote, self.parts))

    def with_suffix(self, suffix: str) -> TableName:
        """The table called so with this behind its own name."""
        return TableName(self.name + suffix, self.schema, self.catalog)

    def __str__(self) -> str:
        """As `parse_table` reads it: a part is in quotation marks only where it would be taken for several."""
        return ".".join(quoted(part) if "." in part or part[0] in _MARKS else part for part in self.parts)


def parse_table(text: str) -> TableName:
    """Read `table`, `schema.table` or `catalog.schema.table`; a part in quotation marks (", ` or [ ]) may hold dots.

    Raises:
        SourceError: a part is empty or not closed, or there are more than three.
    """
    parts: list[str] = []
    place = 0
    while True:
        part, place = _part(text, place)
        parts.append(part)
        if place == len(text):
            break
        if text[place] != "." or place + 1 == len(text):
            raise _unreadable(text)
        place += 1
    if len(parts) > _MOST_PARTS or not all(parts) or "\0" in text:
        raise _unreadable(text)
    return TableName(*reversed(parts))


def unquoted_parts(text: str) -> list[str]:
    """A table's name for tools that know no quotation marks, in parts; one, where it cannot be read."""
    try:
        return list(parse_table(text).parts)
    except SourceError:
        return [text]


def _part(text: str, start: int) -> tuple[str, int]:
    """(one part, where it ends)."""
    closing = _MARKS.get(text[start : start + 1])
    if closing is None:
        end = text.find(".", start)
        end = len(text) if end < 0 else end
        return text[start:end], end
    found: list[str] = []
    place = start + 1
    while (end := text.find(closing, place)) >= 0:
        found.append(text[place:end])
        if text[end + 1 : end + 2] != closing:
            return "".join(found), end + 1
        found.append(closing)
        place = end + 2
    raise _unreadable(text)


def _unreadable(text: str) -> SourceError:
    return SourceError(
        f"The name of a table {text!r} cannot be read. Write table, schema.table or catalog.schema.table, with a part "
        'that holds a dot in quotation marks: "schema"."a.b".'
    )
