"""What fits between two acceptances depends on how long acceptances and refusals take, each by itself."""

from __future__ import annotations

import pytest

from mailvet.probing.reply_times import ReplyTimes


def _times(acceptance: float, refusal: float) -> ReplyTimes:
    times = ReplyTimes(slowest=max(acceptance, refusal))
    times.take(acceptance, accepted=True)
    times.take(refusal, accepted=False)
    return times


@pytest.mark.parametrize(
    ("acceptance", "refusal", "between", "allowed"),
    [(0.001, 3.0, 1, True), (0.75, 0.75, 4, True), (0.0, 0.001, 4500, True), (2.0, 2.0, 1, False)],
)
def test_as_many_refusals_stand_between_two_canaries_as_fit_into_the_time(
    acceptance: float, refusal: float, between: int, allowed: bool
) -> None:
    times = _times(acceptance, refusal)
    assert (times.most_between_canaries, times.allow_proof) == (between, allowed)


def test_a_canary_is_due_before_one_more_slow_refusal_would_be_too_late() -> None:
    times = _times(0.001, 3.0)
    assert times.proof_is_late(3.0)
    assert not times.proof_is_late(0.5)
    assert times.is_old(2.0)
    assert not times.is_old(1.0)


def test_slow_refusals_of_earlier_conversations_are_expected_again() -> None:
    times = ReplyTimes(3.0)
    times.take(0.001, accepted=True)
    assert times.refusal == 3.0
    times.take(0.002, accepted=False)
    assert times.refusal == 0.002
