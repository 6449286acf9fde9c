"""What every warehouse does alike, whichever database it is: the rules of `Warehouse`, each on real servers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.runs.recheck import parse_recheck
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.syntax.missing import is_missing
from mailvet.verdict import email_key
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.store import Warehouse
from tests.warehouse.answers import NOW, answers, later, plan_of, planned_source
from tests.warehouse.places import Place

RULES = RULES_VERSION


def due(warehouse: Warehouse, batch_rows: int = 1000) -> list[str]:
    return [email for batch in planned_source(warehouse).due(batch_rows) for email in batch["email"].to_pylist()]


def saved(warehouse: Warehouse, reasons: dict[str, str], **changed: Any) -> Warehouse:
    warehouse.open_for_writing()
    warehouse.save(answers(reasons, **changed))
    return warehouse


def stored(warehouse: Warehouse, text: str) -> dict[str, Any]:
    row = warehouse.stored(text)
    assert row is not None
    return row


# -------------------------------------------------------------------- planning


def test_each_distinct_text_is_due_once_whatever_the_collation(place: Place) -> None:
    cells = (
        "ann@a.test",
        "ann@a.test",
        "Ann@A.test",
        " ann@a.test",
        "ann@a.test ",
        "bob@b.test",
        None,
        "",
        "  ",
        "\t\u00a0",
    )
    place.contacts(*cells)
    warehouse = place.opened()
    plan = plan_of(warehouse)
    assert (plan.rows, plan.missing, plan.addresses, plan.due, plan.fresh) == (10, 4, 5, 5, 0)
    assert plan.domains == (("a.test", 4), ("b.test", 1))
    batches = list(planned_source(warehouse).due(1000))
    texts = [text for batch in batches for text in batch["email"].to_pylist()]
    assert sorted(texts) == sorted({cell for cell in cells if cell is not None and not is_missing(cell)})
    keys = [key for batch in batches for key in batch["email_key"].to_pylist()]
    assert keys == [email_key(text) for text in texts]
    # Spellings of one address stand next to each other.
    spellings = [position for position, text in enumerate(texts) if text.strip().lower() == "ann@a.test"]
    assert max(spellings) - min(spellings) == 3


def test_keys_are_those_of_python_for_any_text(place: Place) -> None:
    cells = [
        "jörg@bücher.example",
        "用户@例子.测试",
        "a'b\"c\\d%e`f@x.test",
        "Ünal@x.test",
        "😀@x.test",
        "a:b@x.test",
        "x" * 250 + "@x.test",
        "%(name)s@x.test",
        "A@X.TEST\n",
    ]
    place.contacts(*cells)
    warehouse = saved(place.opened(), {cell: "mailbox_accepted" for cell in cells})
    assert plan_of(warehouse).due == 0
    assert warehouse.write_back(("reason",)) == len(cells)
    assert place.sql("select count(*) from contacts where mailvet_reason = 'mailbox_accepted'") == [(len(cells),)]


def test_batches_hold_every_due_text_once(place: Place) -> None:
    place.contacts(*(f"p{n}@x.test" for n in range(23)))
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    sizes, texts = [], []
    for batch in planned_source(warehouse).due(10):  # answers are saved in between, as in a run
        sizes.append(batch.num_rows)
        texts += batch["email"].to_pylist()
        warehouse.save(answers(dict.fromkeys(batch["email"].to_pylist(), "mailbox_accepted")))
    assert sizes == [10, 10, 3]
    assert sorted(texts) == sorted(f"p{n}@x.test" for n in range(23))


def test_a_verdict_is_due_again_from_its_date_on(place: Place) -> None:
    place.contacts("ann@a.test", "x")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "x": "syntax_invalid"})
    assert plan_of(warehouse, now=later(days=59)).due == 0
    plan_of(warehouse, now=later(days=60))
    (batch,) = planned_source(warehouse).due(10)
    assert batch.select(["email", "previous_reason", "previous_attempts"]).to_pylist() == [
        {"email": "ann@a.test", "previous_reason": "mailbox_accepted", "previous_attempts": 1}
    ]


@pytest.mark.parametrize(
    ("had", "asked", "count"), [("offline", 1, 1), ("dns", 2, 1), ("dns", 1, 0), ("smtp", 0, 0), ("smtp", 2, 0)]
)
def test_a_verdict_is_due_when_more_depth_is_asked_for(place: Place, had: str, asked: int, count: int) -> None:
    place.contacts("ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "not_probed"}, depth=had)
    assert plan_of(warehouse, depth_rank=asked).due == count


def test_where_limits_what_is_planned_and_written(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test")
    for number, condition in enumerate(
        ("country = 'FR'", "contacts.country = 'FR'", "country = 'FR' -- only these", "country like 'F%'", "id in (2)")
    ):
        both = dict.fromkeys(("ann@a.test", "bob@b.test"), "mailbox_accepted")
        warehouse = saved(place.opened(where=condition, prefix=f"m{number}_"), both)
        plan = plan_of(warehouse, now=later(days=100))
        assert (plan.rows, due(warehouse)) == (1, ["bob@b.test"]), condition
        assert warehouse.write_back(("reason",)) == 1, condition
        assert place.sql(f"select id from contacts where m{number}_reason is not null") == [(2,)], condition
        warehouse.close()


@pytest.mark.parametrize(
    "condition",
    [
        "nonsense = 1",
        "country =",
        "1=1); drop table contacts; select (1",
        "1 = 1; drop table contacts",
        "sum(id) > 1",
        "1 = 0) or (1 = 1",
        "1 = 1 limit 1",
    ],
)
def test_what_is_not_one_condition_is_refused_and_changes_nothing(place: Place, condition: str) -> None:
    place.contacts("ann@a.test")
    before = place.tables()
    with pytest.raises(SourceError, match=r"^The condition where does not work on contacts: "):
        place.opened(where=condition)
    assert place.sql("select count(*) from contacts") == [(1,)]
    assert place.tables() == before


def test_planning_alone_leaves_nothing_behind(place: Place) -> None:
    place.contacts("ann@a.test")
    before = place.tables()
    warehouse = place.opened(writable=False, updatable=False)
    assert plan_of(warehouse).due == 1
    warehouse.close()
    assert place.tables() == before
    assert place.columns() == ["id", "email", "country"]


@pytest.mark.parametrize("cells", [("1", "22", None), ("1.5", "-2")])
def test_a_column_of_numbers_is_told(place: Place, cells: tuple[str | None, ...]) -> None:
    place.contacts(*cells)
    warehouse = place.opened()
    plan_of(warehouse)
    assert planned_source(warehouse).looks_numeric()
    place.sql("insert into contacts values (9, 'x', 'DE')")
    plan_of(warehouse)
    assert not planned_source(warehouse).looks_numeric()


@pytest.mark.parametrize(
    ("recheck", "asked_again"),
    [
        ("all", ["gone@a.test", "old@a.test", "well@a.test", "x"]),
        ("reason=mailbox_not_found", ["gone@a.test", "old@a.test"]),
        ("reason=mailbox_not_found,syntax_invalid", ["gone@a.test", "old@a.test", "x"]),
        ("older-than=30d", ["old@a.test"]),
        ("reason=mailbox_accepted,older-than=30d", []),
        ("reason=mailbox_full", []),
    ],
)
def test_a_recheck_makes_fresh_verdicts_due_after_what_is_due_by_itself(
    place: Place, recheck: str, asked_again: list[str]
) -> None:
    place.contacts("gone@a.test", "old@a.test", "well@a.test", "x", "again@a.test", "new@a.test", "")
    reasons = {"gone@a.test": "mailbox_not_found", "well@a.test": "mailbox_accepted", "x": "syntax_invalid"}
    warehouse = saved(place.opened(), reasons, now=later(days=-1))
    warehouse.save(answers({"old@a.test": "mailbox_not_found"}, now=later(days=-40)))
    warehouse.save(answers({"again@a.test": "mailbox_accepted"}, now=later(days=-61)))
    plan = plan_of(warehouse, recheck=parse_recheck(recheck, now=NOW))
    found = due(warehouse)
    assert sorted(found[:2]) == ["again@a.test", "new@a.test"]
    assert sorted(found[2:]) == asked_again
    assert (plan.due, plan.rechecked, plan.fresh) == (2 + len(asked_again), len(asked_again), 4)
    assert sum(count for _, count in plan.domains) == plan.due - asked_again.count("x")


def test_a_recheck_at_depth_offline_asks_again_too(place: Place) -> None:
    place.contacts("x", "y")
    warehouse = saved(place.opened(), {"x": "syntax_invalid", "y": "syntax_invalid"}, depth="offline")
    assert plan_of(warehouse, depth_rank=0, recheck=parse_recheck("all")).due == 2
    assert sorted(due(warehouse)) == ["x", "y"]


def test_a_recheck_of_a_table_without_verdicts_is_a_first_run(place: Place) -> None:
    place.contacts("ann@a.test", "")
    plan = plan_of(place.opened(), recheck=parse_recheck("all"))
    assert (plan.due, plan.rechecked, plan.fresh) == (1, 0, 0)


# -------------------------------------------------------------------- own lists and events


@pytest.mark.parametrize(
    ("listed", "due_again"),
    [
        ({"suppress": ["ann@a.test"]}, ["Ann@a.test "]),
        ({"deny": ["a.test"]}, ["Ann@a.test "]),
        ({"deny": ["b.test"]}, ["bob@sub.b.test"]),
        ({"allow": ["sub.b.test"]}, ["bob@sub.b.test"]),
        ({"deny": ["test"]}, ["Ann@a.test ", "bob@sub.b.test"]),
        ({"deny": ["a.test"], "allow": ["a.test"]}, ["Ann@a.test "]),
        ({"extra_disposable": ["b.test"]}, ["bob@sub.b.test"]),
        ({"traps": ["b.test"]}, ["bob@sub.b.test"]),
        ({"traps": ["b.test"], "allow": ["sub.b.test"]}, ["bob@sub.b.test"]),
        ({"suppress": ["nn@a.test", "est", "c.test", "o'x@a.test"]}, []),
    ],
)
def test_an_address_put_on_an_own_list_is_due(place: Place, listed: dict[str, list[str]], due_again: list[str]) -> None:
    place.contacts("Ann@a.test ", "bob@sub.b.test")
    warehouse = saved(place.opened(), {"Ann@a.test ": "mailbox_accepted", "bob@sub.b.test": "mailbox_accepted"})
    plan_of(warehouse, rules_version=f"{RULES}+abc", listed=listed)
    assert sorted(due(warehouse)) == due_again


@pytest.mark.parametrize("name", ["suppress", "deny", "allow"])
def test_an_own_list_holds_for_every_spelling_of_a_mailbox(place: Place, name: str) -> None:
    cells = ["D.o.ts+x@gmail.com", "dots@googlemail.com ", "ANN@b\xfccher.test", "ann+x@a.test", "d.ots@a.test"]
    place.contacts(*cells)
    warehouse = saved(place.opened(), dict.fromkeys(cells, "mailbox_accepted"))
    listed = {name: ["dots@gmail.com", "ann@xn--bcher-kva.test", "ann@a.test", "dots@a.test"]}
    plan_of(warehouse, rules_version=f"{RULES}+abc", listed=listed)
    assert sorted(due(warehouse)) == sorted(cells[:3])


def test_an_event_holds_for_every_spelling_of_its_mailbox(place: Place) -> None:
    cells = [
        "dots@gmail.com",
        "d.o.t.s+shop@gmail.com",
        "DOTS@googlemail.com",
        "d.o.t.s@a.test",
        "ann@b\xfccher.test",
        "bob+x@outlook.com",
    ]
    place.contacts(*cells)
    place.sql("create table events (email varchar(99), event varchar(20), occurred_at timestamp)")
    place.sql(
        "insert into events values (?, ?, ?)",
        [
            ("D.ots@gmail.com", "complaint", "2026-01-01 10:00:00"),
            ("dots@gmail.com", "complaint", "2026-01-02 10:00:00"),
            ("ann@xn--bcher-kva.test", "complaint", "2026-01-01 00:00:00"),
            ("bob@outlook.com", "hard_bounce", "2026-01-01 00:00:00"),
            ("Bob+y@outlook.com", "delivered", "2026-01-03 00:00:00"),
        ],
    )
    warehouse = saved(place.opened(events="events"), dict.fromkeys(cells, "mailbox_accepted"))
    plan_of(warehouse)
    rows = {row["email"]: row for batch in planned_source(warehouse).due(100) for row in batch.to_pylist()}
    assert sorted(rows) == sorted([*cells[:3], "ann@b\xfccher.test"])
    for cell in cells[:3]:
        assert (f"{rows[cell]['history_at']:%d}", rows[cell]["history_as"]) == ("02", "dots@gmail.com")
    assert rows["ann@b\xfccher.test"]["history_as"] == "ann@xn--bcher-kva.test"
    warehouse.close()
    fresh = place.opened(events="events")
    plan_of(fresh, depth_rank=2, now=later(days=100))
    (bob,) = [row for batch in planned_source(fresh).due(100) for row in batch.to_pylist() if row["email"] == cells[5]]
    assert bob["history_reason"] is None, "delivered after the bounce, and too long ago to count"


@pytest.mark.parametrize("column", ["mailbox_key", "email_key"])
def test_events_may_say_by_keys_alone_whose_they_are(place: Place, column: str) -> None:
    place.contacts("D.o.ts+x@gmail.com", "dots@googlemail.com", "ann@a.test")
    place.sql(f"create table events ({column} varchar(64), event varchar(20), occurred_at timestamp)")
    key = mailbox_key("dots@gmail.com") if column == "mailbox_key" else email_key("dots@googlemail.com")
    place.sql("insert into events values (?, ?, ?)", [(key, "complaint", "2026-01-02 10:00:00")])
    found = history(place.opened(events="events"))
    assert [bool(found[cell][0]) for cell in ("D.o.ts+x@gmail.com", "dots@googlemail.com", "ann@a.test")] == [
        True,
        True,
        False,
    ]


def test_an_address_taken_off_an_own_list_is_due(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test", "dan@d.test")
    warehouse = place.opened()
    warehouse.open_for_writing()
    listed = '[{"layer":"history","fact":"suppressed","detail":"on your own list"}]'
    left = '[{"layer":"history","fact":"suppressed","detail":"unsubscribed or complained on 2026-01-01"}]'
    before: dict[str, Any] = {"rules_version": f"{RULES}+abc"}
    warehouse.save(answers({"ann@a.test": "suppressed"}, evidence=listed, **before))
    warehouse.save(answers({"bob@b.test": "mailbox_accepted"}, flags="allowed,probed", **before))
    warehouse.save(answers({"cid@c.test": "suppressed"}, evidence=left, **before))
    warehouse.save(answers({"dan@d.test": "mailbox_accepted"}, **before))
    plan_of(warehouse)
    assert sorted(due(warehouse)) == ["ann@a.test", "bob@b.test"]


def test_new_rules_make_syntax_and_disposable_verdicts_due(place: Place) -> None:
    place.contacts("a", "b@b.test", "c@c.test")
    reasons = {"a": "syntax_invalid", "b@b.test": "disposable", "c@c.test": "mailbox_accepted"}
    warehouse = saved(place.opened(), reasons, rules_version="2026.10")
    plan_of(warehouse)
    assert sorted(due(warehouse)) == ["a", "b@b.test"]


def history(warehouse: Warehouse) -> dict[str, tuple[str | None, datetime | None]]:
    plan_of(warehouse)
    rows = [row for batch in planned_source(warehouse).due(100) for row in batch.to_pylist()]
    return {row["email"]: (row["history_reason"], row["history_at"]) for row in rows}


def test_events_stand_beside_the_address_whatever_its_spelling(place: Place, tmp_path: Path) -> None:
    place.contacts("Ann@a.test ", "bob@b.test", "cid@c.test")
    events = [
        ("ann@A.test", "Delivered", "2026-01-01 10:00:00"),
        ("ann@a.test", "Hard_Bounce", "2026-02-01 00:00:00"),
        ("bob@b.test", "complaint", "2026-01-01 00:00:00"),
        ("cid@c.test", "other", "2026-01-01 00:00:00"),
    ]
    place.sql("create table events (email varchar(99), event varchar(20), occurred_at timestamp)")
    place.sql("insert into events values (?, ?, ?)", events)
    file = tmp_path / "events.csv"
    file.write_text("email,event,occurred_at\n" + "".join(",".join(event) + "\n" for event in events))
    for source in ("events", str(file)):
        warehouse = place.opened(events=source)
        found = {text: (reason, at and f"{at:%Y-%m-%d %H}") for text, (reason, at) in history(warehouse).items()}
        assert found == {
            "Ann@a.test ": ("hard_bounced", "2026-02-01 00"),
            "bob@b.test": ("suppressed", "2026-01-01 00"),
            "cid@c.test": (None, None),
        }, source
        warehouse.close()


@pytest.mark.parametrize("events", ["nowhere", "contacts", "none.csv"])
def test_events_that_cannot_be_used_are_a_mistake_in_the_settings(place: Place, events: str) -> None:
    place.contacts("ann@a.test")
    with pytest.raises(SettingsError, match=r"history\.events"):
        plan_of(place.opened(events=events))
