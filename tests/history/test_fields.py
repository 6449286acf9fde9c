"""Records that are read many at once give the events that they give one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mailvet.history.event_columns import EVENT_COLUMNS, event_rows, events_of_fields, frame_of, masked, microseconds
from mailvet.history.fields import FieldReader
from mailvet.history.records import Event, Unusable, events_of, recognise, time_of, unwrapped
from mailvet.history.vocabulary import vendors
from mailvet.privacy import mask_text
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key

FIXTURES = Path(__file__).parent.parent / "data" / "events"
NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)
VENDORS = sorted(path.stem for path in FIXTURES.glob("*.json"))


@pytest.fixture
def reader() -> Iterator[FieldReader]:
    reader = FieldReader(None)
    yield reader
    reader.close()


def payloads(vendor: str) -> list[Any]:
    return [case["payload"] for case in json.loads((FIXTURES / f"{vendor}.json").read_text("utf-8"))]


def one_by_one(documents: list[Any], sender: str | None) -> tuple[list[Event], Counter[str]]:
    events, why = [], Counter[str]()
    for record in (record for document in documents for record in unwrapped(document)):
        own = recognise(record)
        if own is None and sender is None:
            why["other_sender"] += 1
            continue
        for found in events_of(record, sender or own or "", now=NOW):
            if isinstance(found, Unusable):
                why[found.why] += 1
            else:
                events.append(found)
    return events, why


def many_at_once(documents: list[Any], sender: str | None) -> tuple[pl.DataFrame, Counter[str], int]:
    """Their events, why others gave none, and how many had to be read one by one after all."""
    reader = FieldReader(sender)
    columns = reader.of_json(pl.Series([json.dumps(document) for document in documents], dtype=pl.String))
    frames, why = [pl.DataFrame(schema=EVENT_COLUMNS)], Counter[str]()
    for vendor, fields in columns.fields.items():
        events, tally = events_of_fields(fields, vendors()[vendor], NOW)
        frames.append(events)
        why += tally.unusable
    odd, odd_why = one_by_one([json.loads(text) for text in columns.odd], sender)
    reader.close()
    return pl.concat([*frames, frame_of(odd)]), why + odd_why, len(columns.odd)


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return Counter(one.rows()) == Counter(other.rows())


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("vendor", VENDORS)
def test_payloads_give_the_same_events_in_both_ways(vendor: str, named: bool) -> None:
    documents = payloads(vendor)
    sender = vendor if named else None
    events, why = one_by_one(documents, sender)
    frame, other_why, odd = many_at_once(documents, sender)
    assert same(frame, frame_of(events))
    assert other_why == why
    assert odd < len(documents) / 2 or vendor == "mandrill"


ODD: list[tuple[str, Any]] = [
    ("sendgrid", {"sg_event_id": 1.50, "event": "open", "email": "a@a.test", "timestamp": 1790000000}),
    ("sendgrid", {"sg_event_id": "12e3", "event": "open", "email": "a@a.test", "timestamp": "1790000000.5"}),
    ("sendgrid", {"sg_event_id": "1", "event": ["open"], "email": "a@a.test", "timestamp": 1790000000}),
    ("sendgrid", {"sg_event_id": "1", "event": "OPEN", "email": ["a@a.test"], "timestamp": 1790000000}),
    ("sendgrid", {"sg_event_id": "1", "event": "click", "email": " a@a.test ", "timestamp": True}),
    ("sendgrid", {"sg_event_id": "1", "event": "", "email": "a@a.test", "timestamp": 1790000000}),
    ("sendgrid", {"sg_event_id": None, "event": "open", "email": "a@a.test", "timestamp": 1790000000}),
    ("sendgrid", {"sg_event_id": "x", "event": "open", "email": "a@a.test", "timestamp": 9e18, "sg_machine_open": "1"}),
    ("sendgrid", {"sg_event_id": "x", "event": "open", "email": "\ud800@a.test", "timestamp": 1790000000}),
    (
        "mailgun",
        {"event-data": {"event": "failed", "severity": "permanent", "recipient": "a@a.test", "timestamp": 1.5e9}},
    ),
    ("mailgun", {"event": "failed", "severity": "temporary", "recipient": "a@a.test", "timestamp": 1521233195.375624}),
    ("mailgun", {"event-data": "x", "event": "delivered", "recipient": "a@a.test", "timestamp": "1521233195.375624"}),
    (
        "sparkpost",
        {"msys": {"a": {"type": "delivery", "rcpt_to": "a@a.test", "timestamp": "1790000000"}, "b": {"type": "x"}}},
    ),
    ("sparkpost", {"msys": {}}),
    ("sparkpost", {"msys": {"a": 1}}),
    (
        "resend",
        {
            "type": "email.opened",
            "created_at": "2026-11-22T23:41:12.126Z",
            "data": {"email_id": "1", "to": ["a@a.test", "b@b.test"]},
        },
    ),
    (
        "resend",
        {"type": "email.opened", "created_at": "2026-11-22T23:41:12.126Z", "data": {"email_id": "1", "to": "a@a.test"}},
    ),
    ("resend", {"type": "email.opened", "created_at": "2026-11-22T23:41:12.126Z", "data": {"email_id": "1", "to": []}}),
    (
        "resend",
        {"type": "email.opened", "created_at": "2026-11-22T23:41:12.126Z", "data": {"email_id": "1", "to": [None]}},
    ),
    (
        "ses",
        {
            "eventType": "Open",
            "mail.messageId": "m",
            "mail": {"destination": ["a@a.test"]},
            "open": {"timestamp": "2026-11-01"},
        },
    ),
    ("ses", {"Type": "Notification", "MessageId": "1", "Message": "{"}),
    (
        "ses",
        {"Type": "Notification", "MessageId": "1", "Message": '[{"eventType": "Send", "mail": {"messageId": "1"}}]'},
    ),
]


@pytest.mark.parametrize("number", range(len(ODD)))
def test_records_of_unusual_shape_give_the_same_events_in_both_ways(number: int) -> None:
    vendor, document = ODD[number]
    for documents in ([document], [[document]]):
        events, why = one_by_one(documents, vendor)
        frame, other_why, _ = many_at_once(documents, vendor)
        assert same(frame, frame_of(events))
        assert other_why == why


@pytest.mark.parametrize(
    "text",
    [
        "1763632800",
        "1763632800000",
        "1763632800.25",
        "1763632800000.5",
        "99999999999",
        "100000000000",
        "1e9",
        "-5",
        "2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00.9070259Z",
        "2026-11-20 10:00:00.5",
        "2026-11-20T10:00:60Z",
        "2026-02-30T10:00:00Z",
        "2026-11-20T24:00:00",
        "2026-11-20T10:00:00+02:00",
        "2026-11-20",
        "NaN",
        "x",
        "",
        "Thu, 20 Nov 2025 10:00:00 +0000",
        "0001-01-01T00:00:00Z",
        "1989-12-31T23:59:59Z",
        "4102444800000",
        "1_0",
        " 1763632800 ",
        "+1763632800",
        "20261120T100000Z",
    ],
)
def test_times_of_a_column_are_those_of_one_text(text: str) -> None:
    one = time_of(text)
    (many,) = microseconds(pl.Series([text], dtype=pl.String))
    assert many == (None if one is None else round(one.timestamp() * 1_000_000))


@pytest.mark.parametrize(
    "text",
    [
        "550 no such user ann@a.test",
        "call +49 30 1234567",
        "030 1234567 8",
        "(555) 123-4567",
        "x(030) 123456789",
        "ann at a.test",
        "ann(at)a.test",
        "ann%40a.test",
        "ann&#64;a.test",
        "5.1.1 nothing here",
        "a.b.c/555-123-4567",
        "id 14c5d75ce93.dfd.64b469",
        "\uff20",
        "123-456-7890",
    ],
)
def test_texts_of_a_column_are_masked_as_one_text_is(text: str) -> None:
    assert masked(pl.Series([text, None])).to_list() == [mask_text(text), None]


def test_rows_hold_the_keys_and_no_address(reader: FieldReader) -> None:
    addresses = ["Ann@Example.com", "d.o.t.s+x@googlemail.com", "ann@b\u00fccher.example", "no address", "a@a.test"]
    events = [
        Event(address, "open", NOW, "ses", message_id=f"<{number}@a.test>", reply=f"550 {address}")  # type: ignore[arg-type]
        for number, address in enumerate(addresses)
    ]
    rows = event_rows(frame_of(events), reader.computed)
    assert rows["email_key"].to_list() == list(map(email_key, addresses))
    assert rows["mailbox_key"].to_list() == list(map(mailbox_key, addresses))
    assert rows["event_id"].n_unique() == rows["message_id"].n_unique() == len(addresses)
    texts = " ".join(str(value) for row in rows.rows() for value in row)
    assert "@a.test" in texts  # a masked one: ***@a.test
    assert not [address for address in addresses if "@" in address and address in texts]
