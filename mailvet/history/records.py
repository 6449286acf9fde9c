"""A vendor's record of what happened, as events in our own words.

A record is what JSON, a CSV line or a row of a table gives: names and values, nested or flat (a flat name may hold the
dots of the path). One record may be about several recipients.
"""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from mailvet.history.vocabulary import (
    EventWord,
    Rule,
    Vendor,
    class_missing_words,
    ignored_words,
    own_words,
    vendors,
)

__all__ = [
    "AHEAD",
    "EARLIEST",
    "OWN",
    "REPEATED",
    "Event",
    "Unusable",
    "events_of",
    "is_true",
    "meaning",
    "recognise",
    "time_of",
    "unwrapped",
]

OWN = "mailvet"
"""The key of a source in our own words: columns email, event, occurred_at, and where known the rest."""

REPEATED = "repeated"
"""`bounce_class` of an event that stands for several soft bounces in a row."""

EARLIEST = datetime(1990, 1, 1, tzinfo=timezone.utc)
"""What is dated before it has no time."""
AHEAD = timedelta(days=1)
"""A clock may be ahead by this much; a later time is a mistake."""
_MOST_WRAPPED = 4


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, in our own words."""

    email: str
    event: EventWord
    occurred_at: datetime
    """Aware, UTC."""
    vendor: str
    event_id: str | None = None
    message_id: str | None = None
    bounce_class: str | None = None
    machine: bool | None = None
    """Opened or clicked by a program; None where the vendor does not tell."""
    topic: str | None = None
    reply: str | None = None
    """As the vendor gives it, not masked."""
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a record gave no event."""

    why: str
    """ignored, unknown_word, class_missing, no_word, no_address, no_time or future."""
    word: str = ""


def unwrapped(document: Any) -> Iterator[Mapping[str, Any]]:
    """The records of what was posted.

    Lists are gone through, and JSON in a string (Amazon SNS, `mandrill_events`) is read. What is no record is left out.
    """
    yield from _unwrapped(document, {}, _MOST_WRAPPED)


def _unwrapped(document: Any, outer: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, list):
        for part in document:
            yield from _unwrapped(part, outer, depth)
        return
    if not isinstance(document, Mapping):
        return
    inner, more = document.get("Message"), {}
    if isinstance(inner, str) and "Type" in document and "MessageId" in document:
        more = {"sns_message_id": document["MessageId"]}
    else:
        inner = document.get("mandrill_events")
    if isinstance(inner, str) and depth:
        try:
            yield from _unwrapped(json.loads(inner), more, depth - 1)
            return
        except (ValueError, RecursionError):
            pass
    yield {**document, **outer} if outer else document


def recognise(record: Mapping[str, Any]) -> str | None:
    """The vendor whose record this is, or `OWN`; None where no one's signs are there."""
    for vendor in vendors().values():
        if any(all(_first(record, path) is not None for path in signs) for signs in vendor.signs):
            return vendor.name
    return OWN if {"email", "event", "occurred_at"} <= record.keys() else None


def events_of(record: Mapping[str, Any], vendor: str, *, now: datetime) -> list[Event | Unusable]:
    """The events of one record, one for each recipient.

    Args:
        record: of this vendor.
        vendor: a key of `vendors()`, or `OWN`.
        now: aware, UTC; what lies more than a day after it is in the future.
    """
    if vendor == OWN:
        return [_own_event(record, now)]
    mapping = vendors()[vendor]
    found: list[Event | Unusable] = []
    for inner in _inner(record, mapping.record):
        found += _events(inner, mapping, now)
    return found


def _inner(record: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """The record in what was posted, or what was posted itself, as an export holds it."""
    parts = path.split(".") if path else []
    inner: Any = record
    for part in parts:
        if part == "*":
            yield from (value for value in inner.values() if isinstance(value, Mapping))
            return
        if not isinstance(inner.get(part), Mapping):
            yield record
            return
        inner = inner[part]
    yield inner


def _events(record: Mapping[str, Any], vendor: Vendor, now: datetime) -> list[Event | Unusable]:
    word = _text(_either(record, vendor.event))
    if not word:
        return [Unusable("no_word")]
    folded = word.lower()
    meant = meaning(record, vendor, folded)
    if isinstance(meant, Unusable):
        return [Unusable(meant.why, word)]
    event, rule = meant
    at = time_of(_either(record, vendor.time))
    if at is None:
        return [Unusable("no_time", word)]
    if at > now + AHEAD:
        return [Unusable("future", word)]
    addresses = [text for text in map(_text, _all(record, vendor.address)) if text]
    if event in (EventWord.open, EventWord.click) and vendor.only_one and len(addresses) > 1:
        addresses = []  # it names none of them
    if not addresses:
        return [Unusable("no_address", word)]
    has_topic = not vendor.topic_words or folded in vendor.topic_words
    common: dict[str, Any] = {
        "vendor": vendor.name,
        "event_id": _text(_either(record, vendor.id)) or None,
        "message_id": _text(_either(record, vendor.message)) or None,
        "bounce_class": REPEATED
        if rule is not None and rule.repeated
        else _text(_either(record, vendor.bounce_class)) or None,
        "machine": _machine(record, vendor, folded, event),
        "topic": (_text(_either(record, vendor.topic)) or None) if has_topic else None,
        "reply": _text(_either(record, vendor.reply)) or None,
        "echo": rule is not None and rule.echo,
    }
    return [Event(address.strip(), event, at, **common) for address in dict.fromkeys(addresses)]


def meaning(record: Mapping[str, Any], vendor: Vendor, word: str) -> tuple[EventWord, Rule | None] | Unusable:
    """What a vendor's word (in lower case) means in a record, and the rule that says so; or why it means nothing."""
    for rule in vendor.rules.get(word, ()):
        if all(_matches(record, path, patterns) for path, patterns in rule.when):
            return rule.event, rule
    if word in vendor.words:
        event = vendor.words[word]
        return Unusable("class_missing") if event is None else (event, None)
    return Unusable("ignored" if word in vendor.ignored else "unknown_word")


def _matches(record: Mapping[str, Any], path: str, patterns: Sequence[str]) -> bool:
    values = [text.lower() for text in map(_text, _values(record, path)) if text] or [""]
    return any(fnmatch.fnmatchcase(value, pattern) for value in values for pattern in patterns)


def _machine(record: Mapping[str, Any], vendor: Vendor, word: str, event: EventWord) -> bool | None:
    if event not in (EventWord.open, EventWord.click):
        return None
    if word in vendor.machine_events:
        return True
    told = _either(record, vendor.machine)
    if told is not None:
        return is_true(told)
    return False if vendor.machine_known else None


def _own_event(record: Mapping[str, Any], now: datetime) -> Event | Unusable:
    word = _text(record.get("event"))
    folded = word.strip().lower()
    event = own_words().get(folded)
    if not folded:
        return Unusable("no_word")
    if event is None:
        why = (
            "ignored"
            if folded in ignored_words()
            else "class_missing"
            if folded in class_missing_words()
            else "unknown_word"
        )
        return Unusable(why, word)
    at = time_of(record.get("occurred_at"))
    if at is None:
        return Unusable("no_time", word)
    if at > now + AHEAD:
        return Unusable("future", word)
    email = _text(record.get("email")).strip()
    if not email:
        return Unusable("no_address", word)
    machine = record.get("machine")
    return Event(
        email,
        event,
        at,
        vendor=_text(record.get("vendor")) or OWN,
        event_id=_text(record.get("event_id")) or None,
        message_id=_text(record.get("message_id")) or None,
        bounce_class=_text(record.get("bounce_class")) or None,
        machine=None if machine in (None, "") else is_true(machine),
        topic=_text(record.get("topic")) or None,
        reply=_text(record.get("reply")) or None,
        echo=is_true(record.get("echo")),
    )


# -------------------------------------------------------------------- paths and values


@lru_cache(maxsize=1024)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.replace("[]", ".[]").split("."))


def _values(record: Mapping[str, Any], path: str) -> list[Any]:
    """Every value at a path; none where there is none."""
    if path in record:
        value = record[path]
        return [] if value is None else [value]
    found: list[Any] = [record]
    for part in _parts(path):
        following: list[Any] = []
        for value in found:
            if part == "[]":
                following += value if isinstance(value, list) else [value]
            elif isinstance(value, Mapping) and value.get(part) is not None:
                following.append(value[part])
        found = following
        if not found:
            break
    return found


def _first(record: Mapping[str, Any], path: str) -> Any:
    return next(iter(_values(record, path)), None)


def _all(record: Mapping[str, Any], paths: Sequence[str]) -> list[Any]:
    """The values at the first path that holds any."""
    return next((found for path in paths if (found := _values(record, path))), [])


def _either(record: Mapping[str, Any], paths: Sequence[str]) -> Any:
    return next(iter(_all(record, paths)), None)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Mapping | list):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def is_true(value: Any) -> bool:
    """Whether a value says yes."""
    return _text(value).strip().lower() in ("true", "1", "yes", "t", "1.0")


def time_of(value: Any) -> datetime | None:
    """A time in UTC from seconds or milliseconds since 1970, ISO 8601, or the date of a mail; None where it is none."""
    if isinstance(value, datetime):
        at: datetime | None = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        at = _since_1970(float(value))
    else:
        at = _time_of_text(_text(value).strip())
    if at is None or at < EARLIEST:
        return None
    return at.astimezone(timezone.utc)


def _since_1970(number: float) -> datetime | None:
    if not math.isfinite(number):
        return None
    seconds = number / 1000 if abs(number) >= 1e11 else number
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None


def _time_of_text(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return _since_1970(float(text))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(_iso(text))
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _iso(text: str) -> str:
    """ISO 8601 as Python 3.10 reads it: no Z, microseconds of six digits."""
    if text.endswith(("Z", "z")):
        text = f"{text[:-1]}+00:00"
    elif text.endswith(" UTC"):
        text = f"{text[:-4]}+00:00"
    if len(text) > 3 and text[-3] in "+-" and text[-2:].isdigit() and ":" in text:
        text += ":00"
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    return text
