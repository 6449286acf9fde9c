"""Each vendor's documented payloads become the event they mean."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mailvet.history.records import OWN, Event, Unusable, events_of, recognise, unwrapped
from mailvet.history.vocabulary import EventWord, vendors

NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)
FIXTURES = Path(__file__).parents[1] / "data" / "events"
LEVEL_A = [name for name, vendor in vendors().items() if vendor.level == "A"]


def cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{number}-{case['expect']}")
        for name in LEVEL_A
        for number, case in enumerate(json.loads((FIXTURES / f"{name}.json").read_text("utf-8")))
    ]


def read(payload: Any, vendor: str) -> list[Event | Unusable]:
    return [event for record in unwrapped(payload) for event in events_of(record, vendor, now=NOW)]


@pytest.mark.parametrize(("vendor", "case"), cases())
def test_a_documented_payload_gets_its_event(vendor: str, case: dict[str, Any]) -> None:
    (found,) = read(case["payload"], vendor)
    if isinstance(found, Unusable):
        assert found.why == case["expect"]
        return
    assert str(found.event) == case["expect"]
    assert found.email == "ann@acme.example"
    assert found.vendor == vendor
    assert timedelta(0) <= NOW - found.occurred_at < timedelta(days=60)
    assert found.echo == case.get("echo", False)
    for name in ("machine", "topic", "event_id", "bounce_class"):
        if name in case:
            assert getattr(found, name) == case[name], name


@pytest.mark.parametrize(("vendor", "case"), cases())
def test_a_payload_is_recognised_as_its_vendors(vendor: str, case: dict[str, Any]) -> None:
    assert {recognise(record) for record in unwrapped(case["payload"])} == {vendor}


@pytest.mark.parametrize("name", LEVEL_A)
def test_every_word_and_every_rule_of_a_vendor_has_a_payload(name: str) -> None:
    vendor = vendors()[name]
    cases = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    found = [event for case in cases for event in read(case["payload"], name)]
    events = {(event.event, event.echo) for event in found if isinstance(event, Event)}
    ruled = {(rule.event, rule.echo) for rules in vendor.rules.values() for rule in rules}
    assert ruled <= events
    assert {event for event in vendor.words.values() if event is not None} <= {event for event, _ in events}
    assert (vendor.page, vendor.date) != ("", "")


def test_all_failures_without_a_class_are_class_missing_and_never_hard() -> None:
    for name, vendor in vendors().items():
        for word, event in vendor.words.items():
            if event is None:
                bare: dict[str, Any] = {}
                for path, value in ((vendor.event[0], word), (vendor.address[0], "ann@a.test"), (vendor.time[0], 17e8)):
                    bare[path] = value
                (found,) = events_of(bare, name, now=NOW)
                assert found == Unusable("class_missing", word), (name, word)


def test_our_own_words_are_read_with_whatever_else_is_known() -> None:
    record = {
        "email": " Ann@a.test ",
        "event": "Bounce_Hard",
        "occurred_at": "2026-11-01 10:00:00",
        "machine": "",
        "message_id": "m1",
        "echo": "true",
    }
    assert recognise(record) == OWN
    (found,) = events_of(record, OWN, now=NOW)
    assert isinstance(found, Event)
    assert (found.email, found.event, found.echo, found.machine) == ("Ann@a.test", EventWord.hard_bounce, True, None)
    assert found.occurred_at == datetime(2026, 11, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"event": "bounce"}, "class_missing"),
        ({"event": "processed"}, "ignored"),
        ({"event": "teleported"}, "unknown_word"),
        ({"event": ""}, "no_word"),
        ({"occurred_at": None}, "no_time"),
        ({"occurred_at": "yesterday"}, "no_time"),
        ({"occurred_at": "0001-01-01"}, "no_time"),
        ({"occurred_at": 1e300}, "no_time"),
        ({"occurred_at": "2027-01-01"}, "future"),
        ({"email": " "}, "no_address"),
    ],
)
def test_why_a_record_gives_no_event(changed: dict[str, Any], why: str) -> None:
    record = {"email": "ann@a.test", "event": "open", "occurred_at": "2026-11-01"} | changed
    (found,) = events_of(record, OWN, now=NOW)
    assert isinstance(found, Unusable)
    assert found.why == why


@pytest.mark.parametrize(
    "text",
    [
        1763632800,
        1763632800.0,
        1763632800000,
        "1763632800",
        "2026-11-20T10:00:00Z",
        "2025-11-20T10:00:00Z",
        "2025-11-20T10:00:00.0000000Z",
        "2025-11-20 12:00:00+02",
        "2025-11-20 10:00:00 UTC",
        "Thu, 20 Nov 2025 10:00:00 +0000",
        datetime(2025, 11, 20, 10),
    ],
)
def test_times_in_the_forms_of_the_vendors(text: Any) -> None:
    (found,) = events_of({"email": "a@a.test", "event": "open", "occurred_at": text}, OWN, now=NOW)
    assert isinstance(found, Event)
    assert found.occurred_at.replace(year=2025) == datetime(2025, 11, 20, 10, tzinfo=timezone.utc)


def test_a_bounce_of_several_recipients_is_one_event_each() -> None:
    recipients = [{"emailAddress": "a@a.test"}, {"emailAddress": "b@b.test"}]
    bounce = {"bounceType": "Permanent", "bouncedRecipients": recipients, "timestamp": "2026-11-20T10:00:05Z"}
    record = {"eventType": "Bounce", "mail": {"messageId": "1", "destination": ["x@x.test"]}, "bounce": bounce}
    assert [event.email for event in events_of(record, "ses", now=NOW) if isinstance(event, Event)] == [
        "a@a.test",
        "b@b.test",
    ]


@pytest.mark.parametrize("document", [None, 7, "x", [[]], [None, [3]], {"Type": "x", "MessageId": 1, "Message": "{"}])
def test_what_is_no_record_gives_none_or_itself(document: Any) -> None:
    assert all(isinstance(record, dict) for record in unwrapped(document))
