"""The pieces of keyboard walks: runs of neighbouring keys on QWERTY, QWERTZ and AZERTY, the alphabet, and digits."""

from __future__ import annotations

import string
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

__all__ = ["WalkRuns", "walk_runs"]

_KEY_ROWS: Final = (
    *("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiop", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn"),
    string.ascii_lowercase,
)
_KEY_COLUMNS: Final = ("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "2wsy", "6zhn", "1aqw")
_DIGIT_ROWS: Final = ("1234567890", "0123456789", "147", "258", "369")
_NAMES: Final = ("azer", "reza", "wert", "trew")
"""Four neighbouring keys that are a name or a word; five of the row still are a walk."""
_BEGINNINGS: Final = ("abc", "qwe", "asd", "zxc", "yxc", "aze", "qsd", "wxc", "qaz", "wsx")
"""Three keys that make a walk together with 123."""


def _runs(lines: Iterable[str], sizes: Iterable[int]) -> set[str]:
    """Every run of neighbours of these sizes, in both directions."""
    both = [way for line in lines for way in (line, line[::-1])]
    return {way[at : at + size] for size in sizes for way in both for at in range(len(way) - size + 1)}


class WalkRuns(NamedTuple):
    """The runs of three to five keys that every longer walk is made of."""

    some: frozenset[str]
    """Two of these make a walk."""
    long: frozenset[str]
    """One of these does."""
    digits: frozenset[str]
    """Any number of these, and nothing else, does."""
    counted: str
    """A regular expression for three keys together with 123."""


@cache
def walk_runs() -> WalkRuns:
    """The pieces of keyboard walks, in lower case."""
    columns = [column.strip(string.digits) for column in _KEY_COLUMNS]
    beginnings = "|".join(_BEGINNINGS)
    return WalkRuns(
        some=frozenset(_runs(_KEY_ROWS, (3, 4, 5)) | _runs(columns, (3,)) | _repeated(string.ascii_lowercase, 3)),
        long=frozenset(_runs(_KEY_ROWS, (4, 5)) | _runs(_KEY_COLUMNS, (4,)) | _repeated(string.ascii_lowercase, 4))
        - set(_NAMES),
        digits=frozenset(_runs(_DIGIT_ROWS, (3, 4, 5)) | _repeated(string.digits, 3)),
        counted=f"^(?:(?:{beginnings})1234?5?6?7?8?9?0?|1234?5?6?7?8?9?0?(?:{beginnings}))$",
    )


def _repeated(keys: str, least: int) -> set[str]:
    return {key * size for key in keys for size in range(least, 6)}
