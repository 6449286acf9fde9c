"""How fast operators are asked, and when the run itself is at fault."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailvet.probing.health import RunHealth
from mailvet.probing.pacing import ErrorBudget, Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_it_starts_low_and_grows_with_clean_answers() -> None:
    pace = Pace(5)
    assert pace.limit == 2
    grown = [pace.clean() for _ in range(10)]
    assert grown == [False] * 9 + [True]
    assert pace.limit == 3


def test_a_cap_of_one_is_kept_from_the_start() -> None:
    assert Pace(1).limit == 1


def test_throttling_halves_and_pauses_longer_every_time(clock: list[float]) -> None:
    pace = Pace(20)
    for _ in range(100):
        pace.clean()
    assert pace.limit == 12
    pauses = []
    for _ in range(4):
        pace.throttled()
        pauses.append(pace.pause_left())
        clock[0] = pace.resume_at
        assert pace.pause_left() == 0
    assert pauses == [2, 4, 8, 16]
    assert pace.limit == 1


@pytest.mark.parametrize(("asked_for", "pause"), [(None, 2), (1, 2), (60, 60), (86400, 300)])
def test_a_named_time_is_waited_for_within_reason(clock: list[float], asked_for: float | None, pause: float) -> None:
    pace = Pace(5)
    pace.throttled(asked_for)
    assert pace.pause_left() == pause


def test_an_operator_that_throttles_again_and_again_is_left_alone(clock: list[float]) -> None:
    pace = Pace(5)
    for n in range(8):
        assert pace.stopped is None, n
        pace.throttled()
    assert pace.stopped


def test_clean_answers_are_forgiven_for_throttling(clock: list[float]) -> None:
    pace = Pace(5)
    for _ in range(40):
        pace.throttled()
        for _ in range(10):
            pace.clean()
    assert pace.stopped is None


def test_a_refusal_of_us_stops_at_once() -> None:
    pace = Pace(5)
    pace.blocked()
    assert pace.stopped


@given(cap=st.integers(1, 50), events=st.lists(st.sampled_from(["clean", "throttled", "blocked", "cap"]), max_size=200))
def test_the_limit_is_always_between_one_and_the_cap(cap: int, events: list[str]) -> None:
    pace = Pace(cap)
    for event in events:
        if event == "clean":
            pace.clean()
        elif event == "throttled":
            pace.throttled()
        elif event == "blocked":
            pace.blocked()
        assert 1 <= pace.limit <= cap


# ---------------------------------------------------------------- the error budget


def test_a_budget_starts_below_the_tenth_error_and_grows_with_what_is_borne() -> None:
    budget = ErrorBudget(19)
    assert budget.room(0) == 9
    for errors in range(30):
        budget.tolerate(errors)
        assert errors + max(0, budget.room(errors)) <= max(19, errors)
    assert budget.room(0) == 19


def test_what_a_server_complained_of_is_never_reached_again() -> None:
    budget = ErrorBudget(19)
    budget.tolerate(12)
    assert budget.limit_reached(10)
    budget.tolerate(18)
    assert budget.room(0) == 9
    assert budget.limit_reached(15), "nothing new, but a conversation that was beyond the limit already"
    assert budget.room(0) == 9
    assert budget.limit_reached(1)
    assert budget.room(0) == 1, "one recipient has to be asked"
    assert not budget.limit_reached(1), "no limit explains that"
    assert not budget.limit_reached(0)


def test_who_is_as_prompt_after_the_tenth_error_is_asked_up_to_the_setting_at_once() -> None:
    budget = ErrorBudget(19)
    for errors in range(11):
        budget.tolerate(errors)
        assert budget.room(0) == max(9, errors + 4)
        assert budget.growing
    budget.tolerate(11)
    assert budget.room(0) == 19
    assert not budget.growing


@given(events=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=60), most=st.integers(1, 40))
def test_the_room_is_never_beyond_a_complaint_nor_the_setting(events: list[tuple[bool, int]], most: int) -> None:
    budget, complaints = ErrorBudget(most), [most + 1]
    for complained, errors in events:
        if complained:
            budget.limit_reached(errors)
            complaints += [errors] * (errors > 0)
        else:
            budget.tolerate(errors)
        assert budget.room(0) <= max(1, min(complaints) - 1)


# ---------------------------------------------------------------- the run


def test_many_unreachable_operators_and_no_success_mean_that_port_25_is_closed() -> None:
    health = RunHealth()
    for n in range(7):
        health.connection_failed(f"op{n}")
    assert health.degraded is None
    health.connection_failed("op7")
    assert "port 25" in str(health.degraded)


def test_one_reachable_operator_shows_that_port_25_is_open() -> None:
    health = RunHealth()
    health.connection_made("good")
    for n in range(50):
        health.connection_failed(f"op{n}")
    health.finish()
    assert health.degraded is None


@pytest.mark.parametrize(("count", "degraded"), [(0, False), (1, False), (2, True)])
def test_at_the_end_two_unreachable_operators_are_enough(count: int, degraded: bool) -> None:
    health = RunHealth()
    for n in range(count):
        health.connection_failed(f"op{n}")
    health.finish()
    assert (health.degraded is not None) is degraded


@pytest.mark.parametrize(
    ("blocking", "fine", "degraded"), [(4, 0, False), (5, 0, True), (5, 5, True), (5, 6, False), (30, 100, False)]
)
def test_the_run_is_degraded_when_at_least_five_and_half_of_the_operators_block_us(
    blocking: int, fine: int, degraded: bool
) -> None:
    health = RunHealth()
    for n in range(fine):
        health.connection_made(f"fine{n}")
    for n in range(blocking):
        health.connection_made(f"bad{n}")
    for n in range(blocking):
        health.operator_blocks(f"bad{n}")
    assert (health.degraded is not None) is degraded
