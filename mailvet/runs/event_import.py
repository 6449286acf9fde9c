"""Exports, webhook dumps and bounce mail into `mailvet_events`, each event once."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.history.bounce_mail import BOUNCE_MAIL, events_of_mail
from mailvet.history.reading import BROKEN, is_mail, mails_of, records_of
from mailvet.history.records import OWN, Event, Unusable, events_of, recognise
from mailvet.history.vocabulary import vendors
from mailvet.privacy import mask_text, printable
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key
from mailvet.warehouse.events import EVENTS_SCHEMA, EventStore

__all__ = ["AUTO", "MOST_UNKNOWN", "ImportResult", "UnknownWordsError", "import_events"]

AUTO = "auto"
"""Each record says by its fields whose it is."""

MOST_UNKNOWN = 0.01
"""The share of records that may have unknown words, or be of another sender than the one named."""

_BATCH = 20_000
_LONGEST_REPLY = 500
_LONGEST_TEXT = 300

log = logging.getLogger("mailvet")


class UnknownWordsError(SourceError):
    """Too many records whose words are not known, or of another sender; nothing was written."""


@dataclass
class ImportResult:
    """What came of an import."""

    records: int = 0
    """Records, lines and mails that were read."""
    events: Counter[str] = field(default_factory=Counter)
    """Events that were understood, by our own word."""
    added: int = 0
    """Of these, those that were not there yet."""
    echoes: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    """Records that gave no event, by why: see `mailvet.history.records.Unusable`; `broken`, `other_sender`."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Words that are not known."""
    class_missing: Counter[str] = field(default_factory=Counter)
    """Words of failures that did not say whether for good."""
    senders: Counter[str] = field(default_factory=Counter)


def import_events(
    source: Path | Iterable[Mapping[str, Any]],
    target: EventStore,
    sender: str,
    *,
    allow_unknown: bool = False,
    now: datetime | None = None,
    name: str | None = None,
) -> ImportResult:
    """Read what a sender says happened, and keep it.

    Args:
        source: a file, a folder of mails, or records.
        target: where the events are kept.
        sender: a vendor of `mailvet.history.vocabulary.vendors`, "mailvet" for our own words, or "auto".
        allow_unknown: go on although many words are not known.
        now: aware, UTC; None for this moment.
        name: of the source, stored beside each event; None for the name of the file.

    Raises:
        SettingsError: there is no such sender.
        SourceError: the source cannot be read; UnknownWordsError: more than 1 % of the records have words that are not
            known, or are of another sender. Nothing was written.
    """
    if sender not in (AUTO, OWN, BOUNCE_MAIL, *vendors()):
        raise SettingsError(
            f"{sender!r} is no sender that is known. Write {argument('sender', AUTO)}, or one of: "
            f"{', '.join((*vendors(), OWN, BOUNCE_MAIL))}."
        )
    reading = _Reading(sender, now or datetime.now(timezone.utc))
    if isinstance(source, Path):
        name = name or source.name
        events = reading.of_mails(source) if is_mail(source) else reading.of_records(records_of(source))
    else:
        events = reading.of_records(source)
    rows = _Rows(name or "records", reading.now)

    def batches() -> Iterator[pa.Table]:
        waiting: list[Event] = []
        for event in events:
            waiting.append(event)
            if len(waiting) == _BATCH:
                yield rows.table(waiting)
                waiting = []
        if waiting:
            yield rows.table(waiting)
        reading.check(allow_unknown=allow_unknown)

    reading.result.added = target.add_events(batches())
    return reading.result


class _Reading:
    """Records of one source become events; what does not is counted."""

    def __init__(self, sender: str, now: datetime) -> None:
        self.sender = sender
        self.now = now
        self.result = ImportResult()

    def of_mails(self, path: Path) -> Iterator[Event]:
        for raw in mails_of(path):
            self.result.records += 1
            yield from self._counted(events_of_mail(raw, now=self.now))

    def of_records(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
        for record in records:
            self.result.records += 1
            if record is BROKEN:
                self.result.unusable["broken"] += 1
                continue
            own = recognise(record)
            # An export may lack the fields by which a sender is recognised; then the name that was given counts.
            sender = own if self.sender == AUTO else self.sender
            if sender is None or (own is not None and own != sender):
                self.result.unusable["other_sender"] += 1
                self.result.senders[own or "not recognised"] += 1
                continue
            self.result.senders[sender] += 1
            try:
                found = events_of(record, sender, now=self.now)
            except (ValueError, TypeError, AttributeError, OverflowError):  # a value of a shape that no vendor has
                found = [Unusable("broken")]
            yield from self._counted(found)

    def _counted(self, found: Iterable[Event | Unusable]) -> Iterator[Event]:
        result = self.result
        for each in found:
            if isinstance(each, Event):
                result.events[str(each.event)] += 1
                result.echoes += each.echo
                yield each
                continue
            result.unusable[each.why] += 1
            if each.why == "unknown_word":
                result.unknown[each.word] += 1
            elif each.why == "class_missing":
                result.class_missing[each.word] += 1

    def check(self, *, allow_unknown: bool) -> None:
        """Whether what was read may be kept."""
        result = self.result
        if not result.records:
            return
        if result.unusable["other_sender"] > MOST_UNKNOWN * result.records:
            seen = ", ".join(f"{name} ({count:,})" for name, count in result.senders.most_common(5))
            raise UnknownWordsError(
                f"{result.unusable['other_sender']:,} of {result.records:,} records are not of the sender "
                f"{self.sender}: {seen}. Name the right one with {argument('sender')}. Nothing was written."
            )
        if result.unusable["unknown_word"] > MOST_UNKNOWN * result.records and not allow_unknown:
            words = ", ".join(f"{printable(word)[:60]!r} ({count:,})" for word, count in result.unknown.most_common(10))
            raise UnknownWordsError(
                f"{result.unusable['unknown_word']:,} of {result.records:,} records have words that are not known: "
                f"{words}. Nothing was written. {argument('allow_unknown', True)} imports the others all the same."
            )


class _Rows:
    """Events as rows of `mailvet_events`."""

    def __init__(self, source: str, now: datetime) -> None:
        self._common = {"source": source, "loaded_at": now, "import_id": uuid.uuid4().hex}

    def table(self, events: list[Event]) -> pa.Table:
        return pa.Table.from_pylist([self._row(event) for event in events], schema=EVENTS_SCHEMA)

    def _row(self, event: Event) -> dict[str, Any]:
        key, mailbox = _keys(event.email)
        return {
            **self._common,
            "event_id": _event_id(event, mailbox or key),
            "email_key": key,
            "mailbox_key": mailbox,
            "event": str(event.event),
            "bounce_class": _short(event.bounce_class),
            "occurred_at": event.occurred_at,
            "message_id": _short(event.message_id),
            "vendor": event.vendor,
            "machine": None if event.machine is None else int(event.machine),
            "topic": _short(event.topic),
            "reply": None if event.reply is None else mask_text(event.reply[:_LONGEST_REPLY]),
            "echo": int(event.echo),
        }


@lru_cache(maxsize=100_000)
def _keys(address: str) -> tuple[str, str | None]:
    return email_key(address), mailbox_key(address)


def _event_id(event: Event, mailbox: str) -> str:
    """What makes it the same event: the vendor's id, which some reuse on other days and share among recipients.

    Without one it is the recipient, message, event and time: two deferrals of one message are two.
    """
    what = f"{event.occurred_at:%Y-%m-%d}" if event.event_id else f"{event.message_id}|{event.occurred_at.isoformat()}"
    text = f"{event.vendor}|{event.event_id or ''}|{mailbox}|{event.event}|{int(event.echo)}|{what}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(text: str | None) -> str | None:
    return None if text is None else mask_text(text[:_LONGEST_TEXT])
