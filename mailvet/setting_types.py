"""What the settings are made of: durations, shares, and the sections that hold them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["DURATION_SECONDS", "Duration", "Seconds", "Section", "parse_duration", "parse_share"]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""What the units of a duration stand for."""
_LONGEST = 36_525 * 86400.0


def parse_duration(value: object) -> timedelta:
    """Read "90s", "10m", "4h", "2d" or a number of seconds; at most 100 years.

    Raises:
        ValueError: the text is none of these.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value))
    if match:
        seconds = float(match[1]) * DURATION_SECONDS[match[2]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{value!r} is no duration; write for example '30s', '10m', '4h' or '2d'")
    return timedelta(seconds=seconds)


def parse_share(value: str) -> float:
    """Read a share such as "2%" or "0.02" as a number between 0 and 1.

    Raises:
        ValueError: the text is no share.
    """
    text = value.strip()
    try:
        # As a decimal number, since 0.7 / 100 is less than 0.007 in binary, and seven of a thousand keep to 0.7 %.
        share = float(Decimal(text[:-1]) / 100) if text.endswith("%") else float(text)
    except (ValueError, InvalidOperation):
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{value!r} is no share; write for example '2%' or '0.02'")
    return share


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of `mailvet.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
