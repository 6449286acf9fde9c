"""Values as they stand in a DAG, or come out of a template as text."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta
from typing import Any

__all__ = ["NOT_GIVEN", "count", "duration", "given", "renamed"]

NOT_GIVEN: Any = "not given"
"""The default of arguments for which None means something."""


def given(value: Any) -> Any:
    """A value, or None where a template rendered nothing: "", "None" or null."""
    return None if isinstance(value, str) and value.strip() in ("", "None") else value


def renamed(old: str, new: str, value: Any) -> Any:
    """
    The value of an argument that has another name now, with a DeprecationWarning.

    A flag becomes the limit it stands for: True allows none, False is no limit.
    """
    warnings.warn(f"{old} is called {new} now.", DeprecationWarning, stacklevel=3)
    return (0.0 if value else None) if isinstance(value, bool) else value


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
