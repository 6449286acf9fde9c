"""What waits at a quiet place for a reply that never comes: it is looked at every second, and stays open in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from mailvet.probing import decisions as module
from mailvet.probing.canary import Place
from mailvet.probing.domain import Role
from mailvet.vocabulary import Reason
from tests.probing.replies import ACCEPTED, UNKNOWN, Script, Unserved


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.002)
    monkeypatch.setattr(module, "_LOOK_AFTER", 0.002)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


def _count_looks(unserved: Unserved, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often in a row the place had been found quiet, at each look that decides with what there is."""
    looks: list[int] = []
    decisions = unserved.pool.decisions
    flush = decisions.flush

    def counted(place: Place) -> None:
        looks.append(place.looks)
        flush(place)

    monkeypatch.setattr(decisions, "flush", counted)
    return looks


def _an_acceptance_without_its_control(unserved: Unserved) -> Script:
    """An accepted recipient whose control was sent, and got lost without anything that says so."""
    lost = unserved.conversation("acme.test")
    lost.ask("ann", ACCEPTED)
    lost.check()
    at = next(iter(lost.proof.touched))
    at.control_in_flight = True
    at.take(lost.proof.exchanges[0].reply)
    lost.proof.trailing.clear()
    lost.proof.exchanges.clear()
    lost.place.undecided[at] = lost.servers
    return lost


async def test_an_acceptance_whose_control_never_comes_stays_open_after_a_few_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    lost = _an_acceptance_without_its_control(unserved)
    looks = _count_looks(unserved, monkeypatch)
    unserved.pool.decisions.settle(lost.servers, lost.place)
    await until(lambda: "ann@acme.test" in unserved.results)
    result = unserved.results["ann@acme.test"]
    assert (result.reason, "no clear reply" in (result.detail or "")) == (Reason.provider_unverifiable, True)
    assert sorted(set(looks)) == [0, 1, 2, 3, 4, 5]
    assert not lost.place.pending
    assert lost.place.look_alarm is None


async def test_refusals_whose_canary_never_comes_stay_open_after_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = Unserved.start(monkeypatch)
    known = unserved.conversation("acme.test")
    known.ask("ann", ACCEPTED)
    known.control(UNKNOWN)
    known.finish()
    short = unserved.conversation("acme.test")
    short.place.free_refusals = 0
    short.ask("eve", UNKNOWN)
    short.place.canary_at = short.servers  # queued, and then lost
    short.finish(short=True)
    assert len(short.place.open) == 1
    await until(lambda: "eve@acme.test" in unserved.results)
    assert unserved.results["eve@acme.test"].reason is Reason.sender_throttled
    assert unserved.results["eve@acme.test"].detail == "refusals_unproven"
    assert not short.place.pending
    assert short.place.canary_at is None, "no recipient is kept waiting for it"


async def test_nothing_is_given_up_while_recipients_are_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = Unserved.start(monkeypatch)
    lost = _an_acceptance_without_its_control(unserved)
    waits = True
    seen = 0

    def retries_pending() -> bool:
        nonlocal seen
        seen += 1
        return waits

    unserved.pool.retries_pending = retries_pending
    unserved.pool.decisions.settle(lost.servers, lost.place)
    await until(lambda: seen > 40)
    assert not unserved.results
    waits = False
    await until(lambda: "ann@acme.test" in unserved.results)


async def test_a_conversation_that_goes_on_is_left_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = Unserved.start(monkeypatch)
    lost = _an_acceptance_without_its_control(unserved)
    unserved.pool.decisions.settle(lost.servers, lost.place)
    lost.place.conversations = 1
    await until(lambda: lost.place.look_alarm is None)
    assert not unserved.results
    assert lost.place.looks == 0
    lost.place.conversations = 0
    unserved.pool.decisions.settle(lost.servers, lost.place)
    await until(lambda: "ann@acme.test" in unserved.results)


async def test_a_new_contact_begins_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = Unserved.start(monkeypatch)
    lost = _an_acceptance_without_its_control(unserved)
    lost.place.looks = module._MOST_LOOKS - 1
    lost.place.contacted(time.monotonic())
    assert lost.place.looks == 0


async def test_the_control_that_was_lost_is_asked_again_before_anything_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    lost = _an_acceptance_without_its_control(unserved)
    next(iter(lost.place.undecided)).control_in_flight = False
    unserved.pool.decisions.settle(lost.servers, lost.place)
    assert len(unserved.of(Role.control)) == 1
    assert not unserved.results
