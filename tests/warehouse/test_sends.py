"""Who was handed on, what was known then, and what became of it: on every database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError
from mailvet.runs.event_import import import_events
from mailvet.runs.run import run
from mailvet.settings import Settings
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key
from mailvet.warehouse.opening import open_events, open_table
from tests.warehouse.answers import NOW, answers
from tests.warehouse.places import DuckDBPlace, Place

REASONS = {"Ann@a.test": "mailbox_accepted", "bob@b.test": "recently_delivered", "eve@c.test": "mailbox_not_found"}


def prepared(place: Place) -> Any:
    place.contacts("Ann@a.test", "Ann@a.test", "bob@b.test", "eve@c.test", "new@d.test", None)
    warehouse = place.opened()
    warehouse.open_for_writing()
    warehouse.save(answers(REASONS, mailbox_key=None))
    for text in REASONS:
        place.sql(
            f"update mailvet_verdicts set mailbox_key = '{mailbox_key(text)}' where email_key = '{email_key(text)}'"
        )
    return warehouse


def test_the_rows_that_are_sent_to_are_recorded_once_with_what_was_known(place: Place) -> None:
    warehouse = prepared(place)
    assert warehouse.record_sends("spring", NOW) == 2
    assert warehouse.record_sends("spring", NOW + timedelta(hours=1)) == 2
    assert warehouse.record_sends("summer", NOW) == 2
    rows = place.sql(
        "select campaign, email_key, mailbox_key, recommendation, reason from mailvet_sends "
        "where campaign = 'spring' order by reason"
    )
    assert rows == [
        ("spring", email_key("Ann@a.test"), mailbox_key("ann@a.test"), "send", "mailbox_accepted"),
        ("spring", email_key("bob@b.test"), mailbox_key("bob@b.test"), "send", "recently_delivered"),
    ]
    ((least, most),) = place.sql("select min(bounce_probability), max(bounce_probability) from mailvet_sends")
    assert least == most == 0.5


def test_rows_that_are_named_by_key_are_recorded_whatever_is_recommended(place: Place) -> None:
    warehouse = prepared(place)
    keys = [email_key("eve@c.test"), email_key("nobody@z.test")]
    assert warehouse.record_sends("all", NOW, keys=keys) == 1
    assert place.sql("select reason from mailvet_sends") == [("mailbox_not_found",)]


def test_later_events_are_compared_with_what_was_known_then(place: Place) -> None:
    warehouse = prepared(place)
    warehouse.record_sends("spring", NOW - timedelta(days=20))
    place.close_warehouses()
    store = open_events(place.database)
    (before,) = store.campaign_outcomes()
    assert (before.recipients, before.unknown, before.hard_bounces) == (2, 2, 0)
    at = (NOW - timedelta(days=10)).timestamp()
    early = (NOW - timedelta(days=25)).timestamp()
    records = [
        {"email": "ann@A.test", "event": "delivered", "timestamp": at, "sg_event_id": "1"},
        {"email": "ann@A.test", "event": "bounce", "type": "bounce", "timestamp": at + 60, "sg_event_id": "2"},
        {"email": "bob@b.test", "event": "delivered", "timestamp": at, "sg_event_id": "3"},
        {"email": "bob@b.test", "event": "spamreport", "timestamp": early, "sg_event_id": "4"},
        {"email": "bob@b.test", "event": "unsubscribe", "timestamp": at, "sg_event_id": "5"},
    ]
    import_events(records, store, "sendgrid", now=NOW)
    (after,) = store.campaign_outcomes()
    store.close()
    assert (after.campaign, after.exported_at) == ("spring", NOW - timedelta(days=20))
    assert (after.delivered, after.hard_bounces, after.complaints, after.unsubscribes, after.unknown) == (1, 1, 0, 1, 0)
    assert after.expected_bounces == 1.0


def test_forget_erases_the_sends_of_a_person(place: Place) -> None:
    warehouse = prepared(place)
    warehouse.record_sends("spring", NOW)
    warehouse.forget("ANN@a.test")
    assert place.sql("select reason from mailvet_sends") == [("recently_delivered",)]


@pytest.mark.parametrize("name", ["", "x" * 201, "for ann@a.test", "two\nlines"])
def test_a_name_that_cannot_be_one_is_refused(place: Place, name: str) -> None:
    warehouse = prepared(place)
    with pytest.raises(SettingsError, match="name of a campaign"):
        warehouse.record_sends(name, NOW)
    assert "mailvet_sends" not in place.tables()


def test_a_run_records_its_list_and_refuses_a_campaign_without_one(tmp_path: Path) -> None:
    place = DuckDBPlace(tmp_path / "crm.duckdb")
    place.contacts("ann@acme.example", "bob@acme.example")
    store = open_events(place.database)
    at = (datetime.now(timezone.utc) - timedelta(days=10)).timestamp()
    record = {"email": "ann@acme.example", "event": "delivered", "timestamp": at, "sg_event_id": "1"}
    import_events([record], store, "sendgrid")
    store.close()
    settings = Settings.load(depth="offline", history={"events": "mailvet_events"})
    warehouse = open_table(place.database, "contacts", events=settings.history)
    output = tmp_path / "out.csv"
    with pytest.raises(SettingsError, match="campaign records the rows of the list to send to"):
        run(warehouse, settings, output=output, campaign="spring")
    run(warehouse, settings, output=output, split_by="recommendation", campaign="spring")
    warehouse.close()
    assert place.sql("select campaign, reason from mailvet_sends") == [("spring", "recently_delivered")]
    assert "ann@acme.example" in (tmp_path / "out.send.csv").read_text()
