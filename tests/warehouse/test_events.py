"""Imports into `mailvet_events`, on every database, and what the layer makes of them."""

from __future__ import annotations

import json
import mailbox
import tracemalloc
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.history.reading import Reader
from mailvet.runs.event_import import ImportResult, UnknownWordsError, import_events
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.opening import open_events, table_rows
from tests.history.test_bounce_mail import report
from tests.warehouse.answers import NO_LISTS, NOW
from tests.warehouse.places import DuckDBPlace, Place

REPORT = report("failed", "5.1.1", "smtp; 550 5.1.1 no such user")


def sendgrid(event: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "email": f"n{number}@acme.example",
        "timestamp": 1795168800 + number,  # 2026-11-20
        "event": event,
        "sg_event_id": f"{event}-{number}",
        "sg_message_id": f"m{number}",
    } | more


def imported(place: Place, source: Any, sender: str = "sendgrid", **options: Any) -> ImportResult:
    store = open_events(place.database)
    try:
        return import_events(source, store, sender, now=NOW, **options)
    finally:
        store.close()


@pytest.fixture
def duck(tmp_path: Path) -> DuckDBPlace:
    return DuckDBPlace(tmp_path / "events.duckdb")


def test_each_event_is_kept_once_however_often_it_comes(place: Place) -> None:
    records = [sendgrid("delivered"), sendgrid("open", sg_machine_open=True), sendgrid("delivered")]
    first = imported(place, records)
    assert (first.records, first.events.total(), first.added) == (3, 3, 2)
    again = imported(place, [*records, sendgrid("bounce", type="bounce", reason="550 to n1@acme.example")])
    assert (again.events.total(), again.added) == (4, 1)
    columns = "event, machine, echo, vendor, email_key, mailbox_key, reply, message_id"
    rows = place.sql(f"select {columns} from mailvet_events order by event")
    keys = (email_key("n1@acme.example"), mailbox_key("n1@acme.example"))
    assert rows == [
        ("delivered", None, 0, "sendgrid", *keys, None, "m1"),
        ("hard_bounce", None, 0, "sendgrid", *keys, "550 to n***@acme.example", "m1"),
        ("open", 1, 0, "sendgrid", *keys, None, "m1"),
    ]


def test_without_an_id_two_deferrals_of_one_message_are_two(duck: DuckDBPlace) -> None:
    records = [{"event": "deferral", "ts": 1795168800 + n, "msg": {"email": "a@a.test", "_id": "m"}} for n in (1, 2, 1)]
    assert imported(duck, records, "mandrill").added == 2


def test_what_is_imported_decides_about_the_contacts(place: Place) -> None:
    place.contacts("n1@acme.example", "N2@acme.example", "n3@acme.example", "n4@acme.example")
    imported(
        place,
        [
            sendgrid("delivered", 1, timestamp=1794000000),
            sendgrid("spamreport", 2),
            sendgrid("open", 3, sg_machine_open=False),
            sendgrid("dropped", 4, reason="Bounced Address"),
        ],
    )
    warehouse = place.opened(events="mailvet_events")
    planned = warehouse.plan(now=NOW, depth_rank=1, rules_version=RULES_VERSION, listed=NO_LISTS)
    found = {row["email"]: row["history_reason"] for batch in planned.due(100) for row in batch.to_pylist()}
    assert found == {
        "n1@acme.example": "recently_delivered",
        "N2@acme.example": "suppressed",
        "n3@acme.example": "recently_engaged",
        "n4@acme.example": None,
    }


def test_too_many_unknown_words_write_nothing(place: Place) -> None:
    records = [*(sendgrid("delivered", n) for n in range(97)), *(sendgrid("teleported", n) for n in range(2))]
    with pytest.raises(UnknownWordsError, match=r"2 of 99 .*'teleported' \(2\)"):
        imported(place, records)
    assert "mailvet_events" not in place.tables() or place.sql("select count(*) from mailvet_events") == [(0,)]
    done = imported(place, records, allow_unknown=True)
    assert (done.added, done.unknown["teleported"]) == (97, 2)


def test_at_most_one_in_a_hundred_unknown_words_is_counted_alone(duck: DuckDBPlace) -> None:
    done = imported(duck, [*(sendgrid("delivered", n) for n in range(99)), sendgrid("teleported")])
    assert (done.added, done.unknown.total()) == (99, 1)


def test_a_file_of_another_sender_is_refused(duck: DuckDBPlace) -> None:
    with pytest.raises(UnknownWordsError, match="not of the sender ses: sendgrid"):
        imported(duck, [sendgrid("delivered")], "ses")
    with pytest.raises(SettingsError, match="no sender that is known"):
        imported(duck, [], "sendgird")


def test_several_senders_in_one_file_are_told_apart(duck: DuckDBPlace) -> None:
    records = [
        sendgrid("delivered"),
        {"RecordType": "Delivery", "Recipient": "a@a.test", "DeliveredAt": "2026-11-20T10:00:00Z", "MessageID": "p"},
    ]
    assert imported(duck, records, "auto").senders == {"sendgrid": 1, "postmark": 1}


def test_every_kind_of_file_gives_the_same_events(duck: DuckDBPlace, tmp_path: Path) -> None:
    records = [sendgrid("delivered", n) for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "c.json").write_text("".join(json.dumps([record]) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "d.parquet")
    names = list(records[0])
    lines = [";".join(names), *(";".join(str(record[name]) for name in names) for record in records)]
    (tmp_path / "e.csv").write_text("\ufeff" + "\r\n".join(lines))
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.write(tmp_path / "a.json", "deep/a.json")
    done = [imported(duck, tmp_path / name) for name in ("a.json", "b.jsonl", "c.json", "d.parquet", "e.csv", "f.zip")]
    assert [(each.records, each.added) for each in done] == [(3, 3), *[(3, 0)] * 5]


def test_broken_lines_are_counted_and_the_others_kept(duck: DuckDBPlace, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    whole = json.dumps(sendgrid("delivered")).encode()
    deep = b"[" * 100_000
    file.write_bytes(b"\n".join([whole, b"{", b"null", b'"x"', b"\xff\xfe", deep, b"", whole]))
    done = imported(duck, file)
    assert (done.records, done.added, done.unusable["broken"]) == (7, 1, 5)
    csv = tmp_path / "events.csv"
    csv.write_text("email,event,timestamp,sg_event_id\na@a.test,open,1795168800,1\na@a.test,open,1,2,3,4\n")
    assert imported(duck, csv).unusable["broken"] == 1


def test_what_gives_no_event_is_counted_by_why(duck: DuckDBPlace) -> None:
    odd: dict[str, Any] = {"email": ["x"], "event": {"a": 1}, "timestamp": [], "sg_event_id": "1"}
    records = [
        sendgrid("delivered", timestamp=None),
        sendgrid("delivered", timestamp=4e9),
        sendgrid("delivered", email=""),
        sendgrid("processed"),
        sendgrid("bounce"),
        odd,
        sendgrid("delivered", timestamp="NaN"),
    ]
    done = imported(duck, records)
    assert done.unusable == {"no_time": 2, "future": 1, "no_address": 1, "ignored": 1, "class_missing": 1, "no_word": 1}
    assert done.added == 0


def test_an_audience_export_says_by_its_files_what_happened(duck: DuckDBPlace, tmp_path: Path) -> None:
    head = "Email Address,MEMBER_RATING,LAST_CHANGED,LEID\n"
    with zipfile.ZipFile(tmp_path / "audience.zip", "w") as archive:
        for number, name in enumerate(("subscribed", "unsubscribed", "cleaned")):
            line = f"n{number}@acme.example,2,2026-11-01 10:00:00,{number}\n"
            archive.writestr(f"{name}_members_export_ab12.csv", head + line)
    done = imported(duck, tmp_path / "audience.zip", "mailchimp")
    assert done.events == {"unsubscribe": 1, "soft_bounce": 1}
    duck.contacts(*(f"n{number}@acme.example" for number in range(3)))
    warehouse = duck.opened(events="mailvet_events")
    planned = warehouse.plan(now=NOW, depth_rank=1, rules_version=RULES_VERSION, listed=NO_LISTS)
    found = {row["email"]: row["history_reason"] for batch in planned.due(100) for row in batch.to_pylist()}
    assert list(dict(sorted(found.items())).values()) == [None, "suppressed", "repeated_soft_bounce"]
    warehouse.close()


def test_bounce_mail_in_every_box(duck: DuckDBPlace, tmp_path: Path) -> None:
    raw = report("failed", "5.1.1", "smtp; 550 5.1.1 <ann@acme.example> unknown user")
    (tmp_path / "one.eml").write_bytes(raw)
    box = mailbox.mbox(tmp_path / "box")
    folder = mailbox.Maildir(tmp_path / "dir")
    for kept in (box, folder):
        kept.add(raw)
        kept.add(b"From: a\n\nFrom here on it is no report.\n")
        kept.close()
    done = [imported(duck, tmp_path / name, "bounce_mail") for name in ("one.eml", "box", "dir")]
    assert [(each.records, each.added, each.events.total()) for each in done] == [(1, 1, 1), (2, 0, 1), (2, 0, 1)]
    assert duck.sql("select event, reply from mailvet_events") == [
        ("hard_bounce", "550 5.1.1 <a***@acme.example> unknown user")
    ]


def test_a_table_of_a_database_is_read_too(place: Place, duck: DuckDBPlace) -> None:
    place.sql("create table log (email varchar(99), event varchar(20), occurred_at varchar(30))")
    place.sql("insert into log values (?, ?, ?)", [("a@a.test", "Delivered", "2026-11-20 10:00:00")])
    assert imported(duck, table_rows(place.database, "log"), "auto").events == {"delivered": 1}


@pytest.mark.parametrize("name", ["none.csv", "x.pdf", "bad.zip", "bad.parquet", "bomb.zip", "empty.zip"])
def test_a_file_that_cannot_be_read_is_a_clear_error(duck: DuckDBPlace, tmp_path: Path, name: str) -> None:
    if name not in ("none.csv", "bomb.zip", "empty.zip"):
        (tmp_path / name).write_bytes(b"nonsense")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 10_000_000)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a.txt.bin", b"")
    with pytest.raises(SourceError):
        imported(duck, tmp_path / name)


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_of_a_file_that_grew_only_what_was_added_is_read(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "webhooks.jsonl"
    file.write_text(lines(sendgrid("delivered", 1), sendgrid("delivered", 2)))
    assert imported(place, file).records == 2
    unchanged = imported(place, file)
    assert (unchanged.records, unchanged.continued) == (0, True)
    with file.open("a") as stream:
        stream.write(lines(sendgrid("delivered", 3)) + '{"email": "n4@ac')  # the last line is still being written
    grown = imported(place, file)
    assert (grown.records, grown.added, grown.unusable["broken"]) == (2, 1, 1)
    with file.open("a") as stream:
        stream.write('me.example", "timestamp": 1795168804, "event": "open", "sg_event_id": "o"}\n')
    assert imported(place, file).added == 1
    assert imported(place, file, from_start=True).records == 4


def test_a_file_that_was_replaced_is_read_from_its_start(duck: DuckDBPlace, tmp_path: Path) -> None:
    file = tmp_path / "webhooks.jsonl"
    file.write_text(lines(sendgrid("delivered", 1)))
    imported(duck, file)
    file.write_text(lines(sendgrid("delivered", 2), sendgrid("delivered", 3)))
    done = imported(duck, file)
    assert (done.records, done.added, done.continued) == (2, 2, False)


def test_a_refused_import_does_not_move_the_place_in_the_source(duck: DuckDBPlace, tmp_path: Path) -> None:
    file = tmp_path / "webhooks.jsonl"
    file.write_text(lines(sendgrid("teleported")))
    with pytest.raises(UnknownWordsError):
        imported(duck, file)
    assert imported(duck, file, allow_unknown=True).unknown == {"teleported": 1}


def test_csv_and_zip_and_mbox_are_read_on_too(duck: DuckDBPlace, tmp_path: Path) -> None:
    head = "email,event,timestamp,sg_event_id\n"
    (tmp_path / "a.csv").write_text(head + "a@a.test,open,1795168800,1\n")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.csv", head + "b@a.test,open,1795168800,2\n")
    box = mailbox.mbox(tmp_path / "c.mbox")
    box.add(REPORT)
    box.flush()
    for name, sender in (("a.csv", "sendgrid"), ("b.zip", "sendgrid"), ("c.mbox", "bounce_mail")):
        assert imported(duck, tmp_path / name, sender).added == 1, name
    with (tmp_path / "a.csv").open("a") as stream:
        stream.write("c@a.test,open,1795168800,3\n")
    box.add(REPORT.replace(b"report-1@", b"report-2@"))
    box.flush()
    grown = imported(duck, tmp_path / "a.csv")
    assert (grown.records, grown.added) == (1, 1)
    assert imported(duck, tmp_path / "b.zip").records == 0
    mails = imported(duck, tmp_path / "c.mbox", "bounce_mail")
    assert (mails.continued, mails.added) == (True, 1)


def test_a_table_of_events_of_an_older_version_is_upgraded_in_place(place: Place) -> None:
    place.sql(
        f"create table mailvet_events (email_key varchar(64), mailbox_key varchar(64), event varchar(40), bounce_class "
        f"varchar(40), occurred_at {place.time}, message_id varchar(100), source varchar(100))"
    )
    place.sql(
        "insert into mailvet_events values (?, ?, 'hard_bounce', null, '2026-11-01 10:00:00', 'm', 'crm')",
        [(email_key("old@acme.example"), mailbox_key("old@acme.example"))],
    )
    assert imported(place, [sendgrid("delivered")]).added == 1
    assert imported(place, [sendgrid("delivered")]).added == 0
    rows = place.sql("select event, echo from mailvet_events where event_id is not null order by event")
    assert rows == [("delivered", 0), ("hard_bounce", 0)]
    place.contacts("old@acme.example")
    warehouse = place.opened(events="mailvet_events")
    planned = warehouse.plan(now=NOW, depth_rank=1, rules_version=RULES_VERSION, listed=NO_LISTS)
    assert [row["history_reason"] for batch in planned.due(9) for row in batch.to_pylist()] == ["hard_bounced"]


def test_a_table_of_that_name_which_is_not_ours_is_left_alone(place: Place) -> None:
    place.sql("create table mailvet_events (id integer, what varchar(9))")
    with pytest.raises(SourceError, match="not mailvet's: it has no column email_key, event, occurred_at"):
        imported(place, [sendgrid("delivered")])
    assert place.sql("select count(*) from mailvet_events") == [(0,)]


def test_forget_erases_what_was_imported_of_a_person_and_of_a_domain(place: Place) -> None:
    imported(place, [sendgrid("delivered", 1), sendgrid("delivered", 2), sendgrid("open", 3, email="x@b.example")])
    place.contacts("N1@acme.example", "n2@acme.example")
    warehouse = place.opened()
    warehouse.open_for_writing()
    warehouse.forget("N1@ACME.example")
    assert place.sql("select count(*) from mailvet_events") == [(2,)]


def test_old_opens_and_clicks_are_deleted_alone(place: Place) -> None:
    store = open_events(place.database)
    import_events([sendgrid(word) for word in ("delivered", "open", "click")], store, "sendgrid", now=NOW)
    assert store.forget_engagement_before(NOW - timedelta(days=365)) == 0
    assert store.forget_engagement_before(NOW) == 2
    store.close()
    assert place.sql("select event from mailvet_events") == [("delivered",)]


@pytest.mark.slow
def test_a_box_of_two_gigabytes_is_read_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "large.mbox"
    bounce = b"From x\n" + REPORT + b"\n"
    with file.open("wb") as stream:
        stream.write(bounce)
        stream.write(b"From x\nSubject: large\n\n")
        stream.seek(2 * 2**30, 1)  # a hole, which takes no room on the disk
        stream.write(b"\n\n" + bounce)
    sizes = []
    tracemalloc.start()
    for portion in Reader(file).portions():
        sizes += [len(mail) for mail in portion.mails]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sizes) == 3
    assert peak < 64 * 2**20
