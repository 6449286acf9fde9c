"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["lazy_pattern"]


def lazy_pattern(pattern: str, flags: int | re.RegexFlag = 0) -> re.Pattern[str]:
    """A regular expression that is compiled when it is first used: compiling takes longer than most uses.

    >>> lazy_pattern("[0-9]+").sub("n", "a1b22")
    'anbn'
    """
    found: Any = _LazyPattern(pattern, flags)
    return found  # type: ignore[no-any-return]


class _LazyPattern:
    def __init__(self, pattern: str, flags: int | re.RegexFlag) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        # Once found, the method stands on the instance, and this one is not called again.
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)
        return value
