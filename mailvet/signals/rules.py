"""From which figures on a series or a burst counts: the one set for columns, single addresses and SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

__all__ = [
    "BURST_ROWS",
    "BURST_SIGMAS",
    "BURST_WINDOW",
    "FREE_DIGITS",
    "FREE_GAP",
    "FREE_SIZE",
    "LONGEST_COUNTER",
    "SERIES_GAP",
    "SERIES_SHARE",
    "SERIES_SIZE",
    "YEARS",
    "half_window",
]

SERIES_SIZE: Final = 5
"""Different counters that make a series at a domain of its own."""
SERIES_SHARE: Final = 200
"""A series has at least one in so many rows of its domain: where thousands have mailboxes, ann1 to ann9 are people."""
SERIES_GAP: Final = 4
"""The next counter of a series is at most so much higher."""
# At free mail providers people add a year or two digits to a name that is taken: only longer counters in one unbroken
# run count there.
FREE_SIZE: Final = 12
FREE_GAP: Final = 1
FREE_DIGITS: Final = 3
YEARS: Final = (1930, 2029)
LONGEST_COUNTER: Final = 18
"""Digits of a counter; more are no counter."""

BURST_WINDOW: Final = timedelta(hours=1)
BURST_ROWS: Final = 10
"""Fewer sign-ups than this are never a burst."""
BURST_SIGMAS: Final = 8
"""A burst exceeds what was expected by so many times the square root of what was expected."""


def half_window(window: timedelta) -> int:
    """Seconds of half a window; ValueError where that is no whole number of at least one."""
    half, rest = divmod(window // timedelta(seconds=1), 2)
    if half < 1 or rest or window.microseconds:
        raise ValueError("burst_window must be a whole and even number of seconds")
    return half
