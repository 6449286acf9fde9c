"""Verdicts from the future: a clock that was ahead, once, would make them fresh for as long.

What is dated more than a few minutes beyond now is not believed; that is more than clocks of machines that are kept
right differ by.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

__all__ = ["CLOCK_TOLERANCE", "aware", "future_note", "latest_believed"]

CLOCK_TOLERANCE = timedelta(minutes=5)


def aware(value: Any) -> datetime | None:
    """What a driver gives for a time, as one in UTC."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


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
