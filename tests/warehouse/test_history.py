"""What the events say of a mailbox, held to a second reading of the rules in Python, on every database."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailvet.history.records import REPEATED
from mailvet.settings import History
from mailvet.vocabulary import RULES_VERSION, Policy
from tests.warehouse.answers import NO_LISTS, NOW, answers
from tests.warehouse.places import Place

FAILURES = ("hard_bounce", "soft_bounce", "dropped")
WORDS = (
    "sent",
    "delivered",
    "hard_bounce",
    "soft_bounce",
    "block",
    "deferred",
    "open",
    "click",
    "reply",
    "auto_reply",
    "unsubscribe",
    "resubscribe",
    "complaint",
    "dropped",
    "failed_by_us",
    "bounce",
    "other",
)


@dataclass(frozen=True)
class Row:
    """One event."""

    event: str
    at: datetime
    machine: bool | None = None
    topic: str | None = None
    echo: bool = False
    bounce_class: str | None = None


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def events_table(place: Place, rows: Iterable[tuple[str, Row]]) -> None:
    place.sql(
        f"create table events (email varchar(99), event varchar(30), occurred_at {place.time}, machine varchar(5), "
        "topic varchar(20), echo varchar(5), bounce_class varchar(20))"
    )
    cells = [
        (
            email,
            row.event,
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            None if row.machine is None else str(row.machine).lower(),
            row.topic,
            "true" if row.echo else None,
            row.bounce_class,
        )
        for email, row in rows
    ]
    place.sql("insert into events values (?, ?, ?, ?, ?, ?, ?)", cells)


def reasons(
    place: Place, *, policy: Policy = Policy.marketing, events: str = "events", **options: Any
) -> dict[str, Any]:
    warehouse = place.opened(events=History(events=events, **options), policy=policy)
    warehouse.plan(now=NOW, depth_rank=1, rules_version=RULES_VERSION, listed=NO_LISTS)
    found = {row["email"]: row["history_reason"] for batch in warehouse.due(1000) for row in batch.to_pylist()}
    warehouse.close()
    return found


def expected(events: list[Row], policy: Policy, topic: str | None, *, tracked: bool) -> str | None:
    """The rules once more, event by event."""

    def newest(wanted: Iterable[Row]) -> datetime | None:
        return max((row.at for row in wanted), default=None)

    def of(*words: str) -> list[Row]:
        return [row for row in events if row.event in words]

    if of("complaint"):
        return "suppressed"
    if policy is not Policy.transactional:
        for scope in {None, topic}:
            left = newest(row for row in of("unsubscribe") if row.topic == scope)
            back = newest(row for row in of("resubscribe") if row.topic == scope)
            if left and (back is None or back <= left):
                return "suppressed"
    alive = [
        row
        for row in events
        if row.event == "delivered" or (row.event in ("open", "click", "reply") and row.machine is not True)
    ]
    delivered = newest(alive)
    bounced = newest(row for row in of("hard_bounce") if not row.echo)
    if bounced and (delivered is None or bounced > delivered):
        return "hard_bounced"
    softs = {
        row.at: 3 if row.bounce_class == REPEATED else 1
        for row in sorted(of("soft_bounce"), key=lambda row: row.bounce_class == REPEATED)
        if not row.echo
        and (row.at >= ago(days=14) or row.bounce_class == REPEATED)
        and (delivered is None or row.at > delivered)
    }
    if sum(softs.values()) >= 3:
        return "repeated_soft_bounce"
    failed = newest(of(*FAILURES))

    def stands(sign: datetime | None, days: int) -> bool:
        no_failure = failed is None or (sign is not None and failed < sign - timedelta(hours=1))
        return sign is not None and sign >= ago(days=days) and no_failure

    engaged = newest(
        row
        for row in events
        if (row.event == "open" and row.machine is False)
        or (row.event in ("click", "reply") and row.machine is not True)
    )
    if stands(engaged, 180):
        return "recently_engaged"
    unsure = newest(row for row in of("open") if row.machine is not False)
    long_mailed = any(row.at <= ago(days=180) for row in of("delivered"))
    lately = [row for row in of("delivered") if row.at >= ago(days=180)]
    silent = all(sign is None or sign < ago(days=180) for sign in (engaged, unsure))
    if len(lately) >= 6 and long_mailed and silent and tracked:
        return "inactive"
    settled = newest(row for row in alive if row.at <= ago(hours=48))
    return "recently_delivered" if stands(settled, 90) else None


CASES: dict[str, tuple[list[Row], str | None]] = {
    "complaint": ([Row("complaint", ago(days=900)), Row("click", ago(days=1))], "suppressed"),
    "unsubscribe": ([Row("unsubscribe", ago(days=900)), Row("delivered", ago(days=5))], "suppressed"),
    "resubscribe": (
        [Row("unsubscribe", ago(days=9)), Row("resubscribe", ago(days=8)), Row("delivered", ago(days=5))],
        "recently_delivered",
    ),
    "unsubscribed again": (
        [Row("unsubscribe", ago(days=9)), Row("resubscribe", ago(days=8)), Row("unsubscribe", ago(days=5))],
        "suppressed",
    ),
    "another topic": (
        [Row("unsubscribe", ago(days=9), topic="shoes"), Row("delivered", ago(days=5))],
        "recently_delivered",
    ),
    "hard": ([Row("delivered", ago(days=9)), Row("hard_bounce", ago(days=8))], "hard_bounced"),
    "hard before a delivery": ([Row("hard_bounce", ago(days=9)), Row("delivered", ago(days=8))], "recently_delivered"),
    "an echo alone": ([Row("hard_bounce", ago(days=9), echo=True)], None),
    "an echo after a delivery": ([Row("delivered", ago(days=9)), Row("hard_bounce", ago(days=8), echo=True)], None),
    "three soft": ([Row("soft_bounce", ago(days=n)) for n in (1, 2, 3)], "repeated_soft_bounce"),
    "three soft, one of them long ago": ([Row("soft_bounce", ago(days=n)) for n in (1, 2, 30)], None),
    "one soft three times": ([Row("soft_bounce", ago(days=1))] * 3, None),
    "three soft with a delivery between": (
        [*(Row("soft_bounce", ago(days=n)) for n in (1, 2, 5)), Row("delivered", ago(days=4))],
        None,
    ),
    "cleaned": ([Row("soft_bounce", ago(days=300), bounce_class=REPEATED)], "repeated_soft_bounce"),
    "delivered": ([Row("delivered", ago(days=11))], "recently_delivered"),
    "delivered an hour ago": ([Row("delivered", ago(hours=1))], None),
    "delivered an hour and ten days ago": (
        [Row("delivered", ago(hours=1)), Row("delivered", ago(days=10))],
        "recently_delivered",
    ),
    "delivered and softly bounced since": ([Row("delivered", ago(days=11)), Row("soft_bounce", ago(days=1))], None),
    "delivered and blocked since": ([Row("delivered", ago(days=11)), Row("block", ago(days=1))], "recently_delivered"),
    "delivered long ago": ([Row("delivered", ago(days=91))], None),
    "opened by a person": ([Row("open", ago(hours=5), machine=False)], "recently_engaged"),
    "opened by a machine": ([Row("open", ago(days=5), machine=True)], None),
    "opened, not known by whom": ([Row("open", ago(days=5))], "recently_delivered"),
    "clicked": ([Row("click", ago(days=170))], "recently_engaged"),
    "clicked by a scanner": ([Row("click", ago(days=5), machine=True)], None),
    "opened and bounced in the same minute": (
        [Row("open", ago(days=5), machine=False), Row("hard_bounce", ago(days=5))],
        None,
    ),
    "auto-reply": ([Row("auto_reply", ago(days=5))], None),
    "inactive": ([Row("delivered", ago(days=n)) for n in (5, 35, 65, 95, 125, 155, 185)], "inactive"),
    "five deliveries": ([Row("delivered", ago(days=n)) for n in (35, 65, 95, 125, 155, 185)], "recently_delivered"),
    "mailed since two months": ([Row("delivered", ago(days=n)) for n in (5, 15, 25, 35, 45, 55)], "recently_delivered"),
    "opened by machines alone": (
        [
            *(Row("delivered", ago(days=n)) for n in (5, 35, 65, 95, 125, 155, 185)),
            Row("open", ago(days=5), machine=True),
        ],
        "recently_delivered",
    ),
    "in the future": ([Row("complaint", ago(days=-30))], None),
    "a failure without its class": ([Row("bounce", ago(days=3))], None),
}


def box(number: int) -> str:
    return f"n{number}@a.test"


def test_each_rule_of_the_layer(place: Place) -> None:
    place.contacts(*map(box, range(len(CASES))), "reader@a.test")
    rows = [(box(number), row) for number, (events, _) in enumerate(CASES.values()) for row in events]
    events_table(place, [*rows, ("reader@a.test", Row("click", ago(days=1)))])
    found = reasons(place)
    assert {name: found[box(number)] for number, name in enumerate(CASES)} == {
        name: reason for name, (_, reason) in CASES.items()
    }
    for number, (name, (events, reason)) in enumerate(CASES.items()):
        if name != "in the future":
            assert expected(events, Policy.marketing, None, tracked=True) == reason, (name, number)


@pytest.mark.parametrize(
    ("policy", "topic"),
    [(Policy.marketing, None), (Policy.signup, "shoes"), (Policy.transactional, None), (Policy.transactional, "shoes")],
)
def test_any_events_give_the_reason_that_the_rules_give(place: Place, policy: Policy, topic: str | None) -> None:
    chance = random.Random(7)
    by_box: dict[str, list[Row]] = {}
    for number in range(300):
        likely = chance.sample(WORDS, 3) + (["delivered"] * 3 if number % 3 else [])
        by_box[box(number)] = [
            Row(
                chance.choice(likely),
                ago(hours=chance.choice([1, 30, 60, 24 * chance.randrange(3, 20), 24 * chance.randrange(3, 300)])),
                machine=chance.choice([None, True, False]),
                topic=chance.choice([None, None, "shoes", "hats"]),
                echo=chance.random() < 0.1,
                bounce_class=chance.choice([None, None, None, REPEATED]),
            )
            for _ in range(chance.randrange(1, 10))
        ]
    place.contacts(*by_box)
    events_table(place, [(email, row) for email, rows in by_box.items() for row in rows])
    found = reasons(place, policy=policy, topic=topic)
    wanted = {email: expected(rows, policy, topic, tracked=True) for email, rows in by_box.items()}
    assert found == wanted
    assert len(set(wanted.values())) >= 5


def test_transactional_mail_ignores_an_unsubscribe_and_heeds_a_complaint(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test")
    events_table(
        place,
        [
            ("ann@a.test", Row("unsubscribe", ago(days=5))),
            ("bob@b.test", Row("complaint", ago(days=5))),
            ("cid@c.test", Row("unsubscribe", ago(days=5), topic="shoes")),
        ],
    )
    by_policy = {policy: set(filter(reasons(place, policy=policy).get, reasons(place))) for policy in Policy}
    assert by_policy[Policy.marketing] == by_policy[Policy.signup] == {"ann@a.test", "bob@b.test"}
    assert by_policy[Policy.transactional] == {"bob@b.test"}
    assert reasons(place, topic="shoes")["cid@c.test"] == "suppressed"
    assert reasons(place, topic="hats")["cid@c.test"] is None


def test_an_address_is_inactive_only_where_engagement_is_tracked(place: Place) -> None:
    place.contacts("ann@a.test")
    events_table(place, [("ann@a.test", row) for row in CASES["inactive"][0]])
    assert reasons(place) == {"ann@a.test": "recently_delivered"}


def test_the_windows_are_settings(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test")
    events_table(
        place,
        [
            ("ann@a.test", Row("delivered", ago(days=100))),
            ("bob@b.test", Row("soft_bounce", ago(days=20))),
            ("bob@b.test", Row("soft_bounce", ago(days=21))),
            ("cid@c.test", Row("delivered", ago(hours=3))),
        ],
    )
    assert set(reasons(place).values()) == {None}
    assert reasons(place, delivered_for="120d", soft_bounces=2, soft_bounce_window="30d", bounce_delay="1h") == {
        "ann@a.test": "recently_delivered",
        "bob@b.test": "repeated_soft_bounce",
        "cid@c.test": "recently_delivered",
    }


def test_a_table_may_call_its_columns_otherwise(place: Place, tmp_path: Path) -> None:
    place.contacts("ann@a.test", "bob@b.test")
    place.sql(f"create table log (recipient varchar(99), what varchar(20), ts {place.time})")
    place.sql("insert into log values (?, ?, ?)", [("Ann@a.test", "Complained", "2026-11-01 00:00:00")])
    columns = {"email": "recipient", "event": "what", "occurred_at": "ts"}
    assert reasons(place, events="log", columns=columns) == {"ann@a.test": "suppressed", "bob@b.test": None}
    file = tmp_path / "log.csv"
    file.write_text("recipient,what,ts\nbob@b.test,complaint,2026-11-01 00:00:00\n")
    assert reasons(place, events=str(file), columns=columns) == {"ann@a.test": None, "bob@b.test": "suppressed"}


def test_words_that_count_for_nothing_are_said(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.contacts("ann@a.test")
    events_table(place, [("ann@a.test", Row(word, ago(days=5))) for word in ("spam_button", "spam_button", "opened")])
    with caplog.at_level(logging.WARNING, "mailvet"):
        reasons(place)
    assert "'spam_button' (2)" in caplog.text
    assert "opened" not in caplog.text


@pytest.mark.parametrize(
    ("held", "fact", "events", "is_due"),
    [
        ("mailbox_accepted", None, [Row("hard_bounce", ago(days=30))], True),
        ("mailbox_accepted", "recently_delivered", [Row("delivered", ago(days=30))], False),
        ("mailbox_not_found", "recently_delivered", [Row("delivered", ago(days=30))], False),
        ("mailbox_not_found", "recently_delivered", [Row("click", ago(days=30))], True),
        ("not_probed", None, [Row("delivered", ago(days=30))], True),
        ("recently_delivered", "recently_delivered", [Row("delivered", ago(days=91))], True),
        ("recently_delivered", "recently_delivered", [Row("delivered", ago(days=30))], False),
        ("hard_bounced", "hard_bounced", [], True),
        ("inactive", "inactive", [Row("click", ago(days=1))], True),
        ("suppressed", "suppressed", [], False),
        ("suppressed", "suppressed", [Row("delivered", ago(days=30))], False),
        ("suppressed", "suppressed", [Row("unsubscribe", ago(days=9)), Row("resubscribe", ago(days=8))], True),
        ("not_probed", None, [Row("other", ago(days=3))], False),
    ],
)
def test_a_verdict_is_due_when_the_events_no_longer_say_what_it_holds(
    place: Place, held: str, fact: str | None, events: list[Row], is_due: bool
) -> None:
    place.contacts("ann@a.test")
    events_table(place, [("ann@a.test", row) for row in events] or [("bob@b.test", Row("sent", ago(days=3)))])
    warehouse = place.opened(events="events")
    warehouse.open_for_writing()
    evidence = f'[{{"layer":"history","fact":"{fact}","detail":"x"}}]' if fact else "[]"
    warehouse.save(answers({"ann@a.test": held}, evidence=evidence))
    plan = warehouse.plan(now=NOW, depth_rank=1, rules_version=RULES_VERSION, listed=NO_LISTS)
    assert plan.due == int(is_due)
