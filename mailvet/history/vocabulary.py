"""What senders' words for what happened to a message mean: the reader of `events.toml`.

`words_of` gives the spellings of our own words, for a table of one's own; `vendors` the mapping of each vendor, which
`mailvet.history.records` applies.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CLASS_MISSING",
    "EventWord",
    "Rule",
    "Vendor",
    "class_missing_words",
    "ignored_words",
    "own_words",
    "vendors",
    "words_of",
]

CLASS_MISSING = "class_missing"
"""A failure that does not say whether it is one for good: counted, never a hard bounce."""


class EventWord(str, Enum):
    """What happened to a message or to the wish to get messages."""

    sent = "sent"
    delivered = "delivered"
    hard_bounce = "hard_bounce"
    soft_bounce = "soft_bounce"
    block = "block"
    deferred = "deferred"
    open = "open"
    click = "click"
    reply = "reply"
    auto_reply = "auto_reply"
    unsubscribe = "unsubscribe"
    resubscribe = "resubscribe"
    complaint = "complaint"
    dropped = "dropped"
    failed_by_us = "failed_by_us"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a vendor's word means where these conditions hold."""

    words: tuple[str, ...]
    """In lower case."""
    when: tuple[tuple[str, tuple[str, ...]], ...]
    """Path -> patterns in lower case, of which one has to match; a star stands for any text, "" for no value."""
    event: EventWord
    echo: bool = False
    repeated: bool = False
    """It stands for several soft bounces in a row."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where one vendor's records keep what, and what the words mean."""

    name: str
    level: Literal["A", "B"]
    """A: read from the vendor's page and held by fixtures. B: columns alone."""
    page: str
    date: str
    signs: tuple[tuple[str, ...], ...]
    """Paths that a record of this vendor has, as alternatives."""
    event: tuple[str, ...]
    address: tuple[str, ...]
    time: tuple[str, ...]
    words: Mapping[str, EventWord | None]
    """Word in lower case -> event; None where only the class says which."""
    ignored: frozenset[str]
    rules: Mapping[str, tuple[Rule, ...]]
    """Word in lower case -> rules, of which the first that holds decides."""
    record: str = ""
    """Path to the record in what is posted; the last part may be a star."""
    id: tuple[str, ...] = ()
    message: tuple[str, ...] = ()
    bounce_class: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()
    topic_words: frozenset[str] = frozenset()
    """The words whose topic limits what they say; empty for all words."""
    machine: tuple[str, ...] = ()
    machine_events: frozenset[str] = frozenset()
    machine_known: bool = False
    """An open that is not called a machine's is a person's."""
    only_one: str = ""
    """Path to the recipients of the message: an open or click that names none counts only where there is one."""


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("mailvet.history").joinpath("events.toml").read_text("utf-8"))


@cache
def words_of(event: EventWord) -> tuple[str, ...]:
    """The spellings of one of our words, in lower case, itself among them."""
    return tuple(dict.fromkeys((str(event), *_document()["events"][str(event)])))


@cache
def own_words() -> Mapping[str, EventWord]:
    """Every spelling of our own words -> the word."""
    return {word: event for event in EventWord for word in words_of(event)}


@cache
def ignored_words() -> frozenset[str]:
    """Words that say nothing about a mailbox, in lower case."""
    return frozenset(_document()["ignored"])


@cache
def class_missing_words() -> frozenset[str]:
    """Words for a failure that do not say whether it is one for good, in lower case."""
    return frozenset(_document()["class_missing"]["words"])


@cache
def vendors() -> Mapping[str, Vendor]:
    """The vendors by name, in the order of the file."""
    return {name: _vendor(name, row) for name, row in _document()["vendors"].items()}


def _vendor(name: str, row: Mapping[str, Any]) -> Vendor:
    rules: dict[str, list[Rule]] = {}
    for entry in row.get("rules", ()):
        rule = _rule(entry)
        for word in rule.words:
            rules.setdefault(word, []).append(rule)
    signs = [row["signs"], *row.get("other_signs", ())]
    return Vendor(
        name=name,
        level=row["level"],
        page=row.get("page", ""),
        date=str(row.get("date", _document()["date"])),
        signs=tuple(tuple(paths) for paths in signs),
        event=tuple(row["event"]),
        address=tuple(row["address"]),
        time=tuple(row["time"]),
        words={
            word.lower(): None if event == CLASS_MISSING else EventWord(event) for word, event in row["words"].items()
        },
        ignored=frozenset(word.lower() for word in row["ignored"]),
        rules={word: tuple(found) for word, found in rules.items()},
        record=row.get("record", ""),
        id=tuple(row.get("id", ())),
        message=tuple(row.get("message", ())),
        bounce_class=tuple(row.get("class", ())),
        reply=tuple(row.get("reply", ())),
        topic=tuple(row.get("topic", ())),
        topic_words=frozenset(word.lower() for word in row.get("topic_words", ())),
        machine=tuple(row.get("machine", ())),
        machine_events=frozenset(word.lower() for word in row.get("machine_events", ())),
        machine_known=row.get("machine_known", False),
        only_one=row.get("only_one", ""),
    )


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        words=tuple(entry["word"].lower().split("|")),
        when=tuple((path, tuple(text.lower() for text in patterns)) for path, patterns in entry["when"].items()),
        event=EventWord(entry["event"]),
        echo=entry.get("echo", False),
        repeated=entry.get("repeated", False),
    )
