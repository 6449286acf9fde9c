"""How long a run will take, from its plan."""

from __future__ import annotations

from typing import Any

import pytest

from mailvet.data.operators import operators
from mailvet.runs import forecast
from mailvet.runs.forecast import estimate
from mailvet.settings import Settings
from mailvet.warehouse.store import Plan


def plan(**domains: int) -> Plan:
    pairs = tuple((name.replace("_", "."), count) for name, count in domains.items())
    due = sum(domains.values())
    return Plan(rows=due, missing=0, addresses=due, due=due, domains=pairs)


def seconds(due: Plan, depth: str = "smtp", **settings: Any) -> float:
    return estimate(due, Settings.load(depth=depth, **settings)).seconds


def test_domains_of_one_operator_are_counted_together() -> None:
    forecast = estimate(plan(gmail_com=5, acme_test=3, googlemail_com=2), Settings.load())
    assert list(forecast.by_operator.items()) == [("google", 7), ("acme.test", 3)]


def test_deeper_takes_longer() -> None:
    due = plan(acme_test=100, other_test=50)
    assert 0 < seconds(due, "offline") < seconds(due, "dns") < seconds(due, "smtp")


def test_nothing_due_takes_no_time() -> None:
    assert seconds(plan()) == 0


def test_the_slowest_operator_sets_the_time() -> None:
    one = seconds(plan(acme_test=1000))
    assert seconds(plan(acme_test=1000, other_test=10)) == pytest.approx(one, rel=0.01)
    assert seconds(plan(acme_test=2000)) == pytest.approx(2 * one, rel=0.01)


def test_more_connections_to_an_operator_make_it_faster() -> None:
    due = plan(acme_test=1000)
    assert seconds(due, pacing={"connections_per_operator": 10}) < seconds(due, pacing={"connections_per_operator": 2})


def test_all_connections_together_are_a_limit() -> None:
    due = plan(**{f"d{number}_test": 20 for number in range(100)})
    assert seconds(due, pacing={"connections": 5}) > 3 * seconds(due, pacing={"connections": 100})


def test_an_operator_that_takes_few_recipients_at_a_time_takes_longer() -> None:
    few = next(o for o in operators() if o.recipients_per_session == 1 and o.domains and o.answers == "reliable")
    due = Plan(100, 0, 100, 100, ((few.domains[0], 100),))
    same = {"connections_per_operator": 1}
    assert seconds(due, pacing=same) > 3 * seconds(plan(acme_test=100), pacing=same)


def test_where_recipients_may_be_named_in_groups_they_share_round_trips() -> None:
    alone = seconds(plan(acme_test=1000), pacing={"recipients_per_session": 1})
    opened = 1000 * forecast._INTERNET.per_conversation / 5
    together = seconds(plan(acme_test=1000), pacing={"recipients_per_session": 50})
    assert together < (alone - opened) / 2 + opened / 50
    one_by_one = next(o for o in operators() if not o.pipelining)
    assert forecast._work(one_by_one.name, 100, Settings.load()) > 2 * forecast._work("acme.test", 100, Settings.load())


def test_an_operator_whose_answers_say_nothing_costs_no_conversation() -> None:
    mute = next(o for o in operators() if o.answers == "accepts_all" and o.domains)
    due = Plan(10_000, 0, 10_000, 10_000, ((mute.domains[0], 10_000),))
    assert seconds(due, "smtp") == pytest.approx(seconds(due, "dns"))


def test_a_daily_limit_shortens_the_run() -> None:
    due = plan(acme_test=10_000)
    assert seconds(due, pacing={"daily_limits": {"default": 100}}) < seconds(due) / 50
    assert seconds(due, pacing={"daily_limits": {"acme.test": 100}}) < seconds(due) / 50
    assert seconds(due, pacing={"daily_limits": {"other.test": 100}}) == pytest.approx(seconds(due))


def test_probes_are_those_of_operators_that_are_asked_within_their_daily_limits() -> None:
    mute = next(o for o in operators() if o.answers == "accepts_all" and o.domains)
    due = Plan(150, 0, 150, 150, (("acme.test", 100), (mute.domains[0], 30), ("other.test", 20)))
    limits = {"daily_limits": {"acme.test": 60}}
    forecast = estimate(due, Settings.load(depth="smtp", pacing=limits))
    assert forecast.probes == 60 + 20
    assert forecast.seconds_by_operator[mute.name] == 0
    assert forecast.seconds_by_operator["acme.test"] > forecast.seconds_by_operator["other.test"] > 0
    assert estimate(due, Settings.load(depth="dns")).probes == 0


def test_servers_on_this_machine_have_no_round_trips_of_the_internet() -> None:
    due = plan(hotmail_com=300)
    lab: dict[str, Any] = {"dns": {"nameservers": ["127.0.0.1"]}, "smtp": {"allow_private_networks": ["127.0.0.0/8"]}}
    assert seconds(due, **lab) < seconds(due) / 5
    assert seconds(due, dns={"nameservers": ["127.0.0.1"]}) == seconds(due)  # a resolver of one's own is no lab


def test_among_many_domains_some_servers_never_reply() -> None:
    few, many = (plan(**{f"d{number}_test": 1 for number in range(count)}) for count in (190, 210))
    for timeout, budget, expected in ((10, 120, 40), (2, 8, 8), (2, 4, 4)):
        smtp = {"connect_timeout": timeout, "address_budget": budget}
        assert seconds(few, smtp=smtp) < 3
        assert seconds(many, smtp=smtp) == pytest.approx(expected, abs=0.5)
    assert seconds(many, "dns") < 1
