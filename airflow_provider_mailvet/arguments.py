"""Values as they stand in a DAG, or come out of a template as text."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["count", "duration", "share"]


def share(value: float | str | None, name: str) -> float | None:
    """
    "2%", 0.02 or "0.02" as a number between 0 and 1; None and "" as None.

    Raises:
        SettingsError: it is no share.
    """
    from mailvet.errors import SettingsError
    from mailvet.settings import parse_share

    if value is None or value == "":
        return None
    try:
        return parse_share(str(value))
    except ValueError as error:
        raise SettingsError(f"{name}: {error}.") from None


def duration(value: timedelta | str | float | None, name: str) -> timedelta:
    """
    "45m", seconds or a timedelta; None and "" as no time at all.

    Raises:
        SettingsError: it is no duration.
    """
    from mailvet.errors import SettingsError
    from mailvet.settings import parse_duration

    if value is None or value == "":
        return timedelta(0)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}.") from None


def count(value: int | str | None, name: str) -> int | None:
    """
    A whole number above 0; None and "" as None.

    Raises:
        SettingsError: it is none.
    """
    from mailvet.errors import SettingsError

    if value is None or value == "":
        return None
    if not re.fullmatch(r"[1-9]\d*", str(value)):
        raise SettingsError(f"{name}={value!r}: give a whole number above 0, or leave it out.")
    return int(value)
