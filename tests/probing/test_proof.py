"""What the replies of several conversations with one place prove about each other."""

from __future__ import annotations

import pytest

from mailvet.probing.domain import Role
from mailvet.vocabulary import Reason
from tests.probing.replies import ACCEPTED, UNKNOWN, Script, Unserved


def _idle_with_an_acceptance(unserved: Unserved) -> Script:
    """A conversation whose domain is known to tell recipients apart, and that waits with one acceptance."""
    before = unserved.conversation("acme.test")
    before.ask("ann", ACCEPTED)
    before.control(UNKNOWN)
    before.check()
    assert unserved.results["ann@acme.test"].reason is Reason.mailbox_accepted
    before.finish()
    waiting = unserved.conversation("acme.test")
    waiting.ask("bob", ACCEPTED)
    waiting.check()
    waiting.proof.hand_over()
    waiting.place.conversations = waiting.place.idle = 1
    assert "bob@acme.test" not in unserved.results
    return waiting


async def test_one_refusal_of_another_conversation_confirms_what_an_idle_one_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    idle = _idle_with_an_acceptance(unserved)
    other = unserved.conversation("firm.test")
    assert other.place is idle.place, "two names of one server are one place"
    other.ask("eve", UNKNOWN)
    other.check()
    assert unserved.results["bob@acme.test"].reason is Reason.mailbox_accepted
    assert not idle.place.unconfirmed
    idle.finish()
    assert unserved.of(Role.recipient) == unserved.of(Role.closing) == [], "nothing is asked again"


async def test_an_acceptance_that_is_handed_over_twice_has_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    unserved = Unserved.start(monkeypatch)
    idle = _idle_with_an_acceptance(unserved)
    idle.ask("cid", ACCEPTED)
    idle.check()
    idle.proof.hand_over()
    assert [exchange.probe.local for _, exchange in idle.place.unconfirmed] == ["bob", "cid"]
    other = unserved.conversation("firm.test")
    other.ask("eve", UNKNOWN)
    other.check()
    idle.finish()
    assert {local for local in ("bob", "cid") if f"{local}@acme.test" in unserved.results} == {"bob", "cid"}


async def test_a_refusal_that_began_before_an_acceptance_was_handed_over_confirms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    idle = _idle_with_an_acceptance(unserved)
    idle.place.unconfirmed[0][1].came += 60
    other = unserved.conversation("firm.test")
    other.ask("eve", UNKNOWN)
    other.check()
    assert "bob@acme.test" not in unserved.results
    assert len(idle.place.unconfirmed) == 1


async def test_what_was_handed_over_before_the_server_accepts_all_is_asked_again_and_never_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    idle = _idle_with_an_acceptance(unserved)
    idle.control(ACCEPTED, Role.closing)
    idle.check()
    assert idle.proof.over, "no reply of this conversation tells anything any more"
    assert unserved.of(Role.recipient) == ["bob@acme.test"]
    assert "bob@acme.test" not in unserved.results
    idle.place.conversations = idle.place.idle = 0
    idle.finish()
    (again,) = (probe for probe in unserved.queued if probe.role is Role.recipient)
    # The server goes on accepting all: bob is asked again a few times, and his result stays open.
    for _ in range(8):
        if "bob@acme.test" in unserved.results:
            break
        later = unserved.conversation("acme.test")
        later.take(again, ACCEPTED)
        later.control(ACCEPTED, Role.closing)
        later.finish()
    assert unserved.results["bob@acme.test"].reason is Reason.sender_throttled
    assert unserved.results["bob@acme.test"].detail == "refusals_unproven"


async def test_what_another_conversation_handed_over_stays_where_this_one_finds_that_all_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unserved = Unserved.start(monkeypatch)
    idle = _idle_with_an_acceptance(unserved)
    other = unserved.conversation("firm.test")
    other.ask("eve", ACCEPTED)
    other.control(ACCEPTED, Role.closing)
    other.check()
    assert [exchange.probe.local for _, exchange in idle.place.unconfirmed] == ["bob"], "no refusal has come since"
    assert "bob@acme.test" not in unserved.results
    assert "eve@firm.test" not in unserved.results
