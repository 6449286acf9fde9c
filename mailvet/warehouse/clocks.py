"""Verdicts from the future: a clock that was ahead, once, would make them fresh for as long.

What is dated more than a few minutes beyond now is not believed; that is more than clocks of machines that are kept
right differ by.
"""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["CLOCK_TOLERANCE", "future_note", "latest_believed"]

CLOCK_TOLERANCE = timedelta(minutes=5)


def latest_believed(now: datetime) -> datetime:
    """A verdict made after this time (aware, UTC) is not believed.

    >>> from datetime import timezone
    >>> latest_believed(datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)).minute
    5
    """
    return now + CLOCK_TOLERANCE


def future_note(count: int) -> str:
    """What is said about so many of them."""
    return (
        f"{count:,} verdicts are dated in the future: the clock of a machine was wrong, there or here. They are not "
        "believed, and are due."
    )
