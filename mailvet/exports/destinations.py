"""What each tool takes: the reader of `destinations.toml`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from mailvet.errors import SettingsError, argument

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["LISTS", "Destination", "ListFormat", "Written", "destination", "destinations"]

Written = Literal["plain", "lower", "gmail"]
LISTS = ("contacts", "suppression")
"""The lists that a tool may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFormat:
    """The files of one list of one tool, as its page describes them."""

    page: str
    date: str
    """When the page was read."""
    format: Literal["csv", "requests"] = "csv"
    header: bool = True
    address: str
    """The column of addresses; in requests the path of an address within a member, empty where it is the member."""
    written: Written = "plain"
    hashed: bool = False
    fixed: tuple[str, ...] = ()
    columns: str | tuple[str, ...] = ()
    """Which further columns there may be: "any", a pattern of their names, or the names."""
    prepared: Mapping[str, str]
    """Column -> `lower` or `lower_hashed`."""
    always: Mapping[str, str]
    """Column -> its value in every row."""
    reason_column: Mapping[str, str]
    """Empty, or `name`, `suppressed` (its value for that reason) and `other`."""
    ascii_local_part: bool = False
    max_rows: int | None = None
    max_bytes: int | None = None
    max_columns: int | None = None
    min_rows: int = 0
    request_rows: int = 1
    member_list: str = ""
    request: Mapping[str, str]
    advice: str = ""

    @property
    def ending(self) -> str:
        """What the name of a file ends in."""
        return ".csv" if self.format == "csv" else ".jsonl"

    def headers(self, written: Sequence[str]) -> list[str]:
        """The columns of a CSV file in their order.

        Args:
            written: the columns that rows of the user's are written to.
        """
        if self.fixed:
            return list(self.fixed)
        ours = [*self.always, *([self.reason_column["name"]] if self.reason_column else [])]
        return [self.address, *ours, *(name for name in written if name not in ours)]

    def check_columns(self, tool: str, written: Sequence[str]) -> None:
        """Find out whether the tool takes columns of these names.

        Raises:
            SettingsError: it does not, and which it takes.
        """
        for name in written:
            if name == self.address or name in self.always or name == self.reason_column.get("name"):
                raise SettingsError(f"exports.{tool}.columns: {name} is written by mailvet. Leave it out.")
            if not self._takes(name):
                raise SettingsError(f"exports.{tool}.columns: there is no place for {name!r}; {self._taken()}.")
        if self.max_columns is not None and len(self.headers(written)) > self.max_columns:
            raise SettingsError(
                f"exports.{tool}.columns: a file has at most {self.max_columns} columns there. Name fewer."
            )

    def _takes(self, name: str) -> bool:
        if not isinstance(self.columns, str):
            return name in self.columns
        return bool(name.strip()) and (self.columns == "any" or re.fullmatch(self.columns, name) is not None)

    def _taken(self) -> str:
        if isinstance(self.columns, str):
            return "names of columns there " + (
                "are not blank" if self.columns == "any" else f"have the form {self.columns}"
            )
        return f"it takes: {', '.join(self.columns)}" if self.columns else "it takes addresses alone"


@dataclass(frozen=True, slots=True)
class Destination:
    """One tool."""

    name: str
    label: str
    lists: Mapping[str, ListFormat]
    """By `LISTS`; those that the tool takes."""

    def list_format(self, name: str) -> ListFormat:
        """The format of one of its lists.

        Raises:
            SettingsError: the tool takes no such list.
        """
        if name not in self.lists:
            raise SettingsError(
                f"{argument('kind', name)}: {self.label} takes {' and '.join(self.lists)}. Choose one of these."
            )
        return self.lists[name]


@cache
def destinations() -> Mapping[str, Destination]:
    """All tools by name, in the order of the file."""
    document = tomllib.loads(resources.files("mailvet.exports").joinpath("destinations.toml").read_text("utf-8"))
    date = str(document.pop("date"))
    return {name: _destination(name, row, date) for name, row in document.items()}


def destination(name: str) -> Destination:
    """The tool of this name.

    Raises:
        SettingsError: none is called so.
    """
    try:
        return destinations()[name]
    except KeyError:
        raise SettingsError(
            f"{argument('to', name)}: no such destination is known; choose one of {', '.join(destinations())}."
        ) from None


def _destination(name: str, row: Mapping[str, Any], date: str) -> Destination:
    return Destination(name, row["label"], {kind: _format(row[kind], date) for kind in LISTS if kind in row})


def _format(row: Mapping[str, Any], date: str) -> ListFormat:
    values = {"prepared": {}, "always": {}, "reason_column": {}, "request": {}, "date": date, **row}
    if values.get("written", "plain") not in get_args(Written):
        raise ValueError(f"destinations.toml: written = {values['written']!r}; use one of {get_args(Written)}")
    for name in ("fixed", "columns"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    values["date"] = str(values["date"])
    return ListFormat(**values)
