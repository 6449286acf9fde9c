"""Exports, webhook dumps and bounce mail into `mailvet_events`, each event once."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.history.bounce_mail import BOUNCE_MAIL, events_of_mail
from mailvet.history.reading import Portion, Reader
from mailvet.history.records import OWN, Event, Unusable, events_of, recognise, unwrapped
from mailvet.history.vocabulary import vendors
from mailvet.privacy import mask_text, printable
from mailvet.warehouse.events import EventStore, Import

if TYPE_CHECKING:
    import polars as pl

    from mailvet.history.event_columns import Tally

__all__ = ["AUTO", "MOST_UNKNOWN", "ImportResult", "UnknownWordsError", "import_events"]

AUTO = "auto"
"""Each record says by its fields whose it is."""

MOST_UNKNOWN = 0.01
"""The share of records that may have unknown words, or be of another sender than the one named."""

_ROWS = 20_000

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
    continued: bool = False
    """Only what was added to the source since the last import was read."""


def import_events(
    source: Path | Iterable[Mapping[str, Any]],
    target: EventStore,
    sender: str,
    *,
    allow_unknown: bool = False,
    from_start: bool = False,
    now: datetime | None = None,
    name: str | None = None,
) -> ImportResult:
    """Read what a sender says happened, and keep it.

    Of a file that has grown since the last import, only what was added is read; a file that has not changed is not
    read again.

    Args:
        source: a file, a folder of mails, or records.
        target: where the events are kept.
        sender: a vendor of `mailvet.history.vocabulary.vendors`, "mailvet" for our own words, or "auto".
        allow_unknown: go on although many words are not known.
        from_start: read all of the source again, such as when a new version knows more words.
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
    now = now or datetime.now(timezone.utc)
    reader, portions = None, _in_portions(source) if not isinstance(source, Path) else iter(())
    source_key = ""
    if isinstance(source, Path):
        source_key = hashlib.sha256(f"{sender}|{source.resolve()}".encode()).hexdigest()
        reader = Reader(source, None if from_start else target.place_of(source_key))
        portions = reader.portions()
        name = name or source.name
    about = Import(source_key, mask_text(name or "records")[:200], sender, uuid.uuid4().hex, now)
    reading = _Reading(sender, now)

    def batches() -> Iterator[pa.Table]:
        for portion in portions:
            for rows in reading.rows_of(portion):
                yield about.of_this(rows)
        reading.check(allow_unknown=allow_unknown)

    try:
        result = reading.result
        result.added = target.add_events(batches(), about, lambda: reader.place if reader is not None else None)
    finally:
        reading.close()
    result.continued = reader is not None and reader.after is not None and reader.resumed
    return result


def _in_portions(records: Iterable[Mapping[str, Any]]) -> Iterator[Portion]:
    waiting = iter(records)
    while rows := list(itertools.islice(waiting, _ROWS)):
        yield Portion(rows=[dict(row) for row in rows])


class _Reading:
    """Portions of one source become rows of events; what does not is counted."""

    def __init__(self, sender: str, now: datetime) -> None:
        from mailvet.history.fields import FieldReader

        self.sender = sender
        self.now = now
        self.result = ImportResult()
        self._fields = FieldReader(None if sender == AUTO else sender)
        self.close = self._fields.close

    def rows_of(self, portion: Portion) -> Iterator[pl.DataFrame]:
        """The events of a portion, as `mailvet.history.event_columns.event_rows` gives them."""
        from mailvet.history.event_columns import event_rows, events_of_fields, frame_of

        result = self.result
        result.records += portion.broken
        if portion.broken:
            result.unusable["broken"] += portion.broken
        found: list[Event] = []
        columns = (
            self._fields.of_json(portion.texts)
            if portion.texts is not None
            else self._fields.of_table(portion.table)
            if portion.table is not None
            else None
        )
        if columns is not None:
            result.records += columns.records
            for other, count in columns.others.items():
                result.unusable["other_sender"] += count
                result.senders[other or "not recognised"] += count
            for vendor, fields in columns.fields.items():
                result.senders[vendor] += fields.height
                events, tally = events_of_fields(fields, vendors()[vendor], self.now)
                self._add(tally)
                if events.height:
                    yield event_rows(events, self._fields.computed)
            found += self._of_records(_documents(columns.odd))
        found += self._of_records(portion.rows)
        for raw in portion.mails:
            result.records += 1
            found += self._counted(events_of_mail(raw, now=self.now))
        if found:
            yield event_rows(frame_of(found), self._fields.computed)

    def _of_records(self, records: Iterable[Mapping[str, Any] | None]) -> Iterator[Event]:
        for record in records:
            self.result.records += 1
            if record is None:
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

    def _add(self, tally: Tally) -> None:
        result = self.result
        result.events.update(tally.events)
        result.echoes += tally.echoes
        result.unusable.update(tally.unusable)
        result.unknown.update(tally.unknown)
        result.class_missing.update(tally.class_missing)

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


def _documents(texts: Sequence[str]) -> Iterator[Mapping[str, Any] | None]:
    """The records of JSON texts; None for each that holds none."""
    for text in texts:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            yield None
            continue
        found = False
        for record in unwrapped(document):
            found = True
            yield record
        if not found and document != []:
            yield None
