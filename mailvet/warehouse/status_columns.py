"""The status columns that a table has already: whether they can take a verdict, and whether they are ours to write to.

A column is ours if it is not there yet, or if it has one of our names and holds nothing but what mailvet writes under
that name. What a user wrote is never written over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mailvet.errors import SourceError
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Depth, Reason, Recommendation, Status
from mailvet.warehouse.dialects import Dialect, literal
from mailvet.warehouse.tables import Column

__all__ = ["StatusColumns"]

_WORDS: Mapping[str, Sequence[str]] = {
    "status": tuple(map(str, Status)),
    "reason": tuple(map(str, Reason)),
    "recommendation": tuple(map(str, Recommendation)),
    "depth": tuple(map(str, Depth)),
}
"""Columns with a closed list of values."""

_COMPANIONS = ("status", "reason", "recommendation")
"""Where one of these is empty, no verdict was written to the row."""

_OURS = "mailvet"
"""How the names of columns begin that no one else has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusColumns:
    """The status columns that are to be put on a table, and the columns it has.

    Attributes:
        say: the dialect.
        table: its name, for people.
        address: its column of addresses.
        present: all its columns.
        columns: of the verdict table, to be written.
        prefix: before their names.
        quote: a column's name in a statement.
    """

    say: Dialect
    table: str
    address: str
    present: Sequence[Column]
    columns: Sequence[str]
    prefix: str
    quote: Callable[[str], str]

    def _existing(self, name: str) -> Column | None:
        wanted = (self.prefix + name).lower()
        return next((column for column in self.present if column.name.lower() == wanted), None)

    def check_types(self) -> None:
        """Whether the status columns that are there can take every verdict.

        Raises:
            SourceError: one is too narrow, of another type, or computed.
        """
        for name in self.columns:
            found = self._existing(name)
            if found is not None:
                _check_type(found, name, self.table)

    def check_ours(self, holds: Callable[[str], bool], reasons: str | None = None) -> None:
        """Whether the column of addresses, or what mailvet did not write, would be written over.

        Args:
            holds: whether any row of the table fulfils a condition.
            reasons: a query for the reasons of the stored verdicts, of which a newer version may know more than this
                one.

        Raises:
            SourceError: it would, by the column's name.
        """
        for name in self.columns:
            if (self.prefix + name).lower() == self.address.lower():
                raise SourceError(
                    f"The column {self.address} of {self.table} is named as the one of addresses, and the {name} of "
                    "each verdict would be written to it. Name the column of addresses, choose another store.prefix, "
                    "or leave out that status column. Nothing was checked."
                )
        companion = next((found for name in _COMPANIONS if (found := self._existing(name))), None)
        for name in self.columns:
            found = self._existing(name)
            if found is None:
                continue
            cell = self.quote(found.name)
            foreign = _foreign(self.say, found, name, cell, reasons)
            if name not in _COMPANIONS and companion is not None:
                foreign = [*foreign, f"{self.quote(companion.name)} is null"]
            elif name not in _COMPANIONS and not self.prefix.lower().startswith(_OURS):
                foreign = ["1 = 1"]
            # Files have no null: a suggestion that went through one comes back as an empty text.
            filled = f"{cell} <> ''" if name == "suggestion" and found.family == "text" else f"{cell} is not null"
            if foreign and holds(f"{filled} and ({' or '.join(foreign)})"):
                raise SourceError(
                    f"The column {found.name} of {self.table} holds what mailvet did not write, and the {name} of each "
                    "verdict would be written over it. Rename it, choose another store.prefix, or leave out that "
                    "status column. Nothing was checked."
                )


def _check_type(found: Column, name: str, table: str) -> None:
    kind = verdict_schema().field(name).type
    family = "text" if pa.types.is_string(kind) else "time" if pa.types.is_timestamp(kind) else "number"
    advice = "Drop or rename it (it will be made anew), or choose another store.prefix. Nothing was checked."
    if found.generated:
        raise SourceError(f"The column {found.name} of {table} is computed, so no {name} can be written. {advice}")
    if found.family != family:
        raise SourceError(
            f"The column {found.name} of {table} holds {found.kind}, but a {name} is a "
            f"{'timestamp' if family == 'time' else family}. {advice}"
        )
    if found.length is not None and found.length < (needed := _LENGTHS.get(name, 255)):
        raise SourceError(
            f"The column {found.name} of {table} is too narrow for a {name}: it takes {found.length} characters, "
            f"and up to {needed} are needed. Widen it, or drop it (it will be made anew). Nothing was checked."
        )


def _foreign(say: Dialect, column: Column, name: str, cell: str, reasons: str | None) -> list[str]:
    """Conditions under which a value that is not null is none that mailvet writes."""
    text = column.family == "text"
    if name in _WORDS:
        listed = f"{cell} not in ({', '.join(map(literal, _WORDS[name]))})"
        known = f" and {cell} not in ({reasons})" if name == "reason" and reasons else ""
        return [f"({listed}{known})"] if text else ["1 = 1"]
    limits = {
        "score": (0, 100),
        "smtp_code": (200, 599),
        "attempts": (0, 32_767),
        "bounce_probability": (0, 1),
    }.get(name)
    if limits is not None:
        number = f"try_cast({cell} as double)" if text and say.name == "duckdb" else cell
        if text and say.name != "duckdb":
            return ["1 = 1"]
        return [f"coalesce({number}, -1) < {limits[0]}", f"coalesce({number}, -1) > {limits[1]}"]
    if name == "suggestion":
        return [f"{say.position(literal('@'), cell)} = 0"] if text else ["1 = 1"]
    length = {"run_id": 24, "mailbox_key": 64}.get(name)
    return [f"{say.length(cell)} <> {length}"] if length and text else []


_LENGTHS = {
    "status": max(map(len, map(str, Status))),
    "reason": max(map(len, map(str, Reason))),
    "recommendation": max(map(len, map(str, Recommendation))),
    "depth": max(map(len, map(str, Depth))),
    "suggestion": 254,
    "rules_version": 40,
    "run_id": 24,
    "smtp_reply": 512,
    "evidence": 4000,
}
"""Characters that a column of the verdict table may need; an address has at most 254 (RFC 5321, section 4.5.3.1.3)."""
