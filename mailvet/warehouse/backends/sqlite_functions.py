"""The functions that SQLite lacks: it knows no SHA-256, and no letters but those of ASCII."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from sqlalchemy.engine import Connection

from mailvet.syntax.missing import WHITE_SPACE, is_missing
from mailvet.verdict import email_key

__all__ = ["register_functions"]

_UP_TO_DIGITS = re.compile(r"^.*[0-9]", re.DOTALL)
_EMPTY = email_key("")


def register_functions(connection: Connection) -> None:
    """SQLite knows no SHA-256, and no letters but ASCII's."""
    raw: Any = connection.connection.driver_connection
    functions: Mapping[str, Any] = {
        "mailvet_key": _sqlite_key,
        "mailvet_fold": _sqlite_fold,
        "mailvet_utc": _sqlite_utc,
        "mailvet_any_utc": _sqlite_any_utc,
        "mailvet_after_digits": lambda text: text and _UP_TO_DIGITS.sub("", text),
        "mailvet_missing": is_missing,
        "mailvet_after_at": lambda text: None if text is None else text.rpartition("@")[2],
    }
    for name, function in functions.items():
        raw.create_function(name, 1, function, deterministic=True)


def _sqlite_key(text: str | None) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else _EMPTY


def _sqlite_fold(text: str | None) -> str | None:
    return None if text is None else text.strip(WHITE_SPACE).lower()


def _sqlite_utc(text: object) -> str | None:
    """A time as SQLite users write it (ISO 8601, or seconds since 1970), in the one form that sorts."""
    if text is None:
        return None
    if isinstance(text, (int, float)):
        moment = datetime.fromtimestamp(text, timezone.utc)
    else:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        moment = moment.astimezone(timezone.utc) if moment.tzinfo else moment
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def _sqlite_any_utc(text: object) -> str | None:
    """The same, and null for whatever is no time."""
    try:
        return _sqlite_utc(text)
    except (ValueError, OverflowError, OSError):
        return None
