"""Counts, figures, limits and intervals of a gate."""

from __future__ import annotations

import itertools
import json
import math
from datetime import timedelta
from typing import Any

import pytest

from mailvet.errors import SettingsError
from mailvet.gates import FIGURES, GateResult, Limits, VerdictCount, estimate_bounces, judge
from mailvet.policies import recommend
from mailvet.vocabulary import Policy, Reason

BASE = 0.12


def known(reason: Reason, rows: int, *, score: int = 50, stale: bool = False, **more: Any) -> VerdictCount:
    from mailvet.vocabulary import REASONS

    advice = recommend(reason, Policy.marketing, score, 1)
    values: dict[str, Any] = {"status": str(REASONS[reason].status), "recommendation": str(advice), "squares": rows}
    values |= more
    return VerdictCount(
        reason=str(reason), bounce_probability=(100 - score) / 100, stale=stale, missing=False, rows=rows, **values
    )


def unverified(rows: int) -> VerdictCount:
    return VerdictCount(None, None, None, None, False, False, rows, rows)


def missing(rows: int) -> VerdictCount:
    return VerdictCount(None, None, None, None, False, True, rows, rows * rows)


def held(*groups: VerdictCount, policy: Policy = Policy.marketing, **limits: Any) -> GateResult:
    return judge(groups, Limits.of(**limits), source="contacts", policy=policy, unverified_bounce_rate=BASE)


HALF_BAD = (
    known(Reason.mailbox_not_found, 10, score=1, stale=True),
    known(Reason.mailbox_accepted, 6, score=98),
    known(Reason.not_probed, 4, score=88),
    unverified(80),
    missing(25),
)
"""125 rows; 100 addresses, 20 of them verified, 10 of those undeliverable."""


def test_every_figure_is_as_the_table_says() -> None:
    found = held(*HALF_BAD, max_age="30d")
    counts = ("rows", "missing", "addresses", "verified", "unverified", "unprobed", "stale", "audience")
    assert [getattr(found.counts, name) for name in counts] == [125, 25, 100, 20, 80, 4, 10, 100]
    bounces = (10 * 99 + 6 * 2 + 4 * 12 + 80 * 12) / 100
    assert {name: found.figures[name] for name in (figure.name for figure in FIGURES)} == {
        "undeliverable_rate": 10 / 20,
        "expected_bounce_rate": pytest.approx(bounces / 100),
        "unknown_rate": 4 / 20,
        "do_not_send_rate": 10 / 20,
        "unverified_rate": 80 / 100,
        "unprobed_rate": 4 / 100,
        "stale_rate": 10 / 100,
        "missing_rate": 25 / 125,
    }
    assert found.low < found.expected_bounce_rate < found.high


def test_the_audience_is_those_so_recommended() -> None:
    found = held(*HALF_BAD, among=["send"])
    assert (found.audience, found.audience_verified, found.addresses) == (6, 6, 100)
    assert found.expected_bounce_rate == pytest.approx(0.02)
    assert (found.unverified_rate, found.unprobed_rate) == (0.8, 0.04)
    for written in ("send,reverify", "send, reverify", "['send', 'reverify']", ("send", "reverify", "send")):
        assert held(*HALF_BAD, among=written).audience == 10
    assert held(*HALF_BAD, among=["undeliverable"]).undeliverable_rate == 1


@pytest.mark.parametrize("figure", [figure for figure in FIGURES if figure.name != "expected_bounce_rate"])
def test_a_limit_that_is_equalled_passes_and_one_exceeded_fails(figure: Any) -> None:
    age: dict[str, Any] = {"max_age": "30d"} if figure.name == "stale_rate" else {}
    value = held(*HALF_BAD, **age).figures[figure.name]
    assert value is not None
    for limit, passed in ((value, True), (f"{100 * value}%", True), (value - 0.001, False)):
        found = held(*HALF_BAD, **(age | {figure.limit: limit}))
        (each,) = found.limits
        assert (each.name, each.figure, each.passed, found.passed) == (figure.limit, value, passed, passed)


@pytest.mark.parametrize("text", ["0.7%", "0.1%", "2.3%", "29%", "57%"])
def test_a_percentage_is_read_as_a_decimal_number(text: str) -> None:
    (limit,) = Limits.of(max_bounce_rate=text).applied.values()
    bad = round(limit * 1000)
    assert limit == bad / 1000
    groups = (known(Reason.mailbox_not_found, bad, score=0), known(Reason.mailbox_accepted, 1000 - bad, score=100))
    assert held(*groups, max_undeliverable_rate=text, max_bounce_rate=text).passed


def test_the_expected_rate_that_equals_its_limit_passes() -> None:
    for rows in (1, 3, 7, 100, 999_999):
        assert held(known(Reason.mailbox_accepted, rows, score=98), max_bounce_rate="2%").passed


def test_bounces_are_judged_by_the_estimate_or_by_the_upper_end() -> None:
    group = known(Reason.mailbox_accepted, 100, score=98)
    assert held(group, max_bounce_rate=0.03).passed
    (limit,) = held(group, max_bounce_rate=0.03, judge_by="upper").limits
    assert not limit.passed
    assert limit.figure == held(group).high
    assert held(group, max_bounce_rate=0.05, judge_by="upper", confidence="50%").passed


@pytest.mark.parametrize("name", [figure.limit for figure in FIGURES])
def test_a_limit_fails_where_nothing_is_verified_and_passes_without_addresses(name: str) -> None:
    limit: dict[str, Any] = {name: 0.99} | ({"max_age": "1d"} if name == "max_stale_rate" else {})
    assert not held(unverified(10), **limit).passed
    assert held(**limit).passed
    assert held(missing(3), **limit).passed is (name != "max_missing_rate")


def test_an_empty_audience_passes_and_limits_on_all_addresses_still_hold() -> None:
    bad = known(Reason.mailbox_not_found, 10, score=1)
    assert held(bad, among=["send"], max_bounce_rate=0, max_unknown_rate=0, max_do_not_send_rate=0).passed
    assert not held(bad, unverified(10), among=["send"], max_unverified_rate="10%").passed


def test_a_limit_that_is_not_given_is_not_applied() -> None:
    found = held(*HALF_BAD, max_bounce_rate=None, max_unknown_rate="")
    assert (found.limits, found.passed, found.stale_rate) == ((), True, None)


def test_a_maximum_age_alone_allows_no_stale_verdict() -> None:
    (limit,) = held(*HALF_BAD, max_age=timedelta(days=30)).limits
    assert (limit.name, limit.limit, limit.figure, limit.passed) == ("max_stale_rate", 0.0, 0.1, False)


@pytest.mark.parametrize(
    ("limits", "warned"),
    [
        ({}, ["80 of 100 addresses"]),
        ({"max_unverified_rate": 0.9}, []),
        ({"max_unverified_rate": 0.9, "among": "send", "max_undeliverable_rate": 0.02}, ["cannot fail among send"]),
        ({"max_unverified_rate": 0.9, "among": "send,reverify", "max_undeliverable_rate": 0.02}, []),
        ({"max_unverified_rate": 0.9, "among": "send", "max_do_not_send_rate": 0}, ["cannot fail"]),
        ({"max_unverified_rate": 0.9, "among": "send", "max_unknown_rate": 0}, ["cannot fail"]),
        ({"max_unverified_rate": 0.9, "max_undeliverable_rate": 0.02, "max_unknown_rate": 0}, []),
        ({"max_unverified_rate": 0.9, "max_bounce_rate": "100%"}, ["cannot fail"]),
    ],
)
def test_what_no_limit_looks_at_and_what_cannot_fail_is_a_warning(limits: dict[str, Any], warned: list[str]) -> None:
    found = held(*HALF_BAD, **limits).warnings
    assert len(found) == len(warned)
    assert all(part in text for part, text in zip(warned, found, strict=True))


def test_unknown_addresses_may_be_sent_to_under_another_policy() -> None:
    asked: dict[str, Any] = {"among": "send", "max_unknown_rate": 0, "max_unverified_rate": 1}
    sent = [text for text in held(*HALF_BAD, policy=Policy.signup, **asked).warnings if "among" in text]
    assert not sent


def test_up_to_a_twentieth_unverified_is_no_warning() -> None:
    assert not held(known(Reason.mailbox_accepted, 95), unverified(5)).warnings
    assert held(known(Reason.mailbox_accepted, 94), unverified(6)).warnings


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_bounce_rate": "many"}, "max_bounce_rate: 'many' is no share"),
        ({"max_bounce_rate": 2}, "max_bounce_rate: '2' is no share"),
        ({"max_unknown_rate": True}, "max_unknown_rate: True is no share"),
        ({"max_age": "soon"}, "max_age: 'soon' is no duration"),
        ({"max_stale_rate": 0.1}, "max_stale_rate needs max_age"),
        ({"judge_by": "mood"}, "choose 'estimate' or 'upper'"),
        ({"confidence": 1}, "confidence: 1 is no confidence"),
        ({"among": ["nice"]}, "among: 'nice' is unknown"),
        ({"max_bounces": 1}, "There is no limit max_bounces"),
    ],
)
def test_a_limit_that_cannot_be_read_is_refused_by_its_name(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Limits.of(**limits)


def test_a_result_is_one_object_with_every_name() -> None:
    found = held(*HALF_BAD, max_bounce_rate="2%")
    told = json.loads(found.as_json())
    assert told == dict(found) == found.as_dict()
    for name in ("rows", "missing", "addresses", "verified", "unprobed", "audience", "low", "high", "passed"):
        assert found[name] == told[name]
    assert told["limits"] == [
        {"name": "max_bounce_rate", "limit": 0.02, "figure": found.expected_bounce_rate, "passed": False}
    ]
    with pytest.raises(AttributeError):
        _ = found.bounces


# -------------------------------------------------------------------- the interval


def exact_interval(chances: list[float], confidence: float) -> tuple[int, int]:
    """The central interval of the Poisson binomial distribution, by convolution."""
    counts = [1.0]
    for p in chances:
        counts = [a * (1 - p) + b * p for a, b in zip([*counts, 0.0], [0.0, *counts], strict=True)]
    below = list(itertools.accumulate(counts))
    tail = (1 - confidence) / 2
    low = next(number for number, chance in enumerate(below) if chance >= tail)
    return low, next(number for number, chance in enumerate(below) if chance >= 1 - tail - 1e-12)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
@pytest.mark.parametrize(
    "groups",
    [
        [(1, 8)],
        [(2, 3), (99, 6)],
        [(50, 4), (12, 3), (90, 2)],
        [(100, 2), (30, 5)],
        [(1, 300)],
        [(2, 500), (12, 40)],
        [(1, 1000), (98, 10)],
        [(30, 700)],
    ],
)
def test_the_interval_lies_within_about_one_message_of_the_exact_one(
    groups: list[tuple[int, int]], confidence: float
) -> None:
    found = estimate_bounces(((p / 100, n, n) for p, n in groups), confidence)
    assert found is not None
    chances = [p / 100 for p, n in groups for _ in range(n)]
    low, high = exact_interval(chances, confidence)
    assert found.rate == pytest.approx(math.fsum(chances) / len(chances))
    assert found.low * len(chances) == pytest.approx(low, abs=1.25)
    assert found.high * len(chances) == pytest.approx(high, abs=1.25)


def test_rows_with_the_same_text_bounce_together() -> None:
    apart, together = estimate_bounces([(0.02, 900, 900)], 0.95), estimate_bounces([(0.02, 900, 900 * 9)], 0.95)
    assert apart is not None
    assert together is not None
    assert (together.rate, together.high > apart.high) == (apart.rate, True)


def test_what_the_score_rounds_off_counts() -> None:
    """A score of 100 is any probability below half a per cent, and half a per cent of a million is 5,000 bounces."""
    found = held(known(Reason.recently_engaged, 1_000_000, score=100), max_bounce_rate=0)
    assert found.expected_bounce_rate == 0
    engaged = VerdictCount("deliverable", "recently_engaged", "send", 0.004, False, False, 1_000_000, 1_000_000)
    assert held(engaged).expected_bounce_rate == pytest.approx(0.004)
    assert not held(engaged, max_bounce_rate="0.3%").passed


def test_certainty_leaves_no_interval_and_no_addresses_no_estimate() -> None:
    sure = estimate_bounces([(1.0, 30_000, 30_000), (0.0, 30_000, 30_000)], 0.95)
    assert sure is not None
    assert (sure.low, sure.rate, sure.high) == (0.5, 0.5, 0.5)
    assert estimate_bounces([], 0.95) is None
    assert estimate_bounces([(0.3, 0, 0)], 0.95) is None
