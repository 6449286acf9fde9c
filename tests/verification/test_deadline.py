"""Verdicts in time, and what is found out afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from mailvet.errors import SettingsError
from mailvet.lab import FaultyResolver, Lab
from mailvet.settings import Settings
from mailvet.verdict import Verdict
from mailvet.verification import api, deadline
from mailvet.verification.open_verifiers import OpenVerifiers
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Reason, Status
from tests.probing import acme, asked, lab_settings

LabFactory = Callable[..., Lab]

SLOW_DNS: dict[str, Any] = {"timeout": 1.0, "lifetime": 1.0}
"""Longer than the deadlines below, so that the deadline is over first."""


@pytest.fixture
def lab(mailvet_lab_factory: LabFactory) -> Lab:
    world = acme("postfix", "ann", "bob:full")
    world.domain("dead.test", [(10, "mx.acme.test")], dns="dropped")
    return mailvet_lab_factory(world)


@pytest.fixture
def slow_lab(mailvet_lab_factory: LabFactory) -> Lab:
    return mailvet_lab_factory(acme("postfix", "ann", reply_delay=0.2))


def run_detail(verdict: Verdict) -> str:
    return next((str(fact.detail) for fact in verdict.evidence if fact.layer == "run"), "")


def eventually(ask: Callable[[], Verdict], reason: Reason) -> Verdict:
    """The first verdict with this reason; the test's own time-out is the limit."""
    while (verdict := ask()).reason is not reason:
        time.sleep(0.05)
    return verdict


def test_a_call_with_time_enough_has_the_verdict_of_one_without_deadline(lab: Lab) -> None:
    settings = lab_settings(lab)
    for cell in ("ann@acme.test", "nobody@acme.test", "ann@gone.test", "no address", "postmaster@acme.test", ""):
        for depth in ("offline", "dns", "smtp"):
            with_deadline = api.verify(cell, depth=depth, settings=settings, deadline=30)
            without = api.verify(cell, depth=depth, settings=settings)
            assert (with_deadline.reason, with_deadline.score) == (without.reason, without.score), (cell, depth)


def test_dead_name_servers_leave_not_probed_and_the_next_call_has_what_was_found_out(lab: Lab) -> None:
    settings = lab_settings(lab, depth="dns", dns=SLOW_DNS)
    api.verify("ann@acme.test", settings=settings)  # the resolver is known to reply
    verdict = api.verify("ann@dead.test", settings=settings, deadline=0.05)
    assert verdict.reason is Reason.not_probed
    assert run_detail(verdict) == "the deadline of 0.05 s passed before DNS had replied"
    found = eventually(lambda: api.verify("ann@dead.test", settings=settings, deadline=0.05), Reason.dns_timeout)
    assert found.status is Status.unknown


def test_what_syntax_and_lists_know_is_said_in_time_all_the_same(lab: Lab) -> None:
    settings = lab_settings(lab, depth="dns", dns=SLOW_DNS)
    api.verify("ann@acme.test", settings=settings)
    assert api.verify("info@dead.test", settings=settings, deadline=0.05).reason is Reason.role_account
    assert api.verify("@@", settings=settings, deadline=0.05).reason is Reason.syntax_invalid


def test_the_evidence_says_that_the_mail_server_was_late_and_keeps_the_route(slow_lab: Lab) -> None:
    settings = lab_settings(slow_lab)
    api.verify("ann@acme.test", settings=settings, deadline=30)
    verdict = api.verify("bob@acme.test", settings=settings, deadline=0.05)
    assert verdict.reason is Reason.not_probed
    assert verdict.mx_host == "mx.acme.test"
    assert "before the mail server had replied" in run_detail(verdict)
    eventually(lambda: api.verify("bob@acme.test", settings=settings, deadline=0.05), Reason.mailbox_not_found)


def test_a_mailbox_that_was_asked_for_one_caller_is_not_asked_again_for_the_next(slow_lab: Lab) -> None:
    settings = lab_settings(slow_lab)
    eventually(lambda: api.verify("ann@acme.test", settings=settings, deadline=0.05), Reason.mailbox_accepted)
    assert api.verify("ann@acme.test", settings=settings, deadline=0.05).reason is Reason.mailbox_accepted
    assert asked(slow_lab)["ann@acme.test"] == 1


def test_a_silent_resolver_does_not_delay_the_first_call(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(acme("postfix", "ann"), resolver=FaultyResolver("dropped"))
    settings = lab_settings(lab, depth="dns", dns={"timeout": 30.0, "lifetime": 30.0})
    verdict = api.verify("ann@acme.test", settings=settings, deadline=0.05)
    assert verdict.reason is Reason.not_probed
    assert "before DNS had replied" in run_detail(verdict)


async def test_calls_for_one_domain_share_its_lookup(lab: Lab) -> None:
    async with Verifier(lab_settings(lab, depth="dns", dns=SLOW_DNS)) as verifier:
        cells = [f"p{n}@dead.test" for n in range(20)]
        await asyncio.gather(*(verifier.examine_within(cell, 0.05) for cell in cells))
        assert verifier.routes is not None
        assert verifier.routes.lookups == 1
        assert verifier.under_way == 20
        verdicts = await asyncio.gather(*(verifier.examine_within(cell, 30) for cell in cells))
        assert {verdict.reason for verdict in verdicts} == {Reason.dns_timeout}
        assert verifier.under_way == 0


async def test_beyond_the_limit_nothing_more_is_started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "MOST_UNDER_WAY", 3)
    async with Verifier(lab_settings(lab, depth="dns", dns=SLOW_DNS)) as verifier:
        cells = [f"ann@d{n}.dead.test" for n in range(5)]
        verdicts = await asyncio.gather(*(verifier.examine_within(cell, 0.01) for cell in cells))
        assert sum("too many" in run_detail(verdict) for verdict in verdicts) == 2
        assert verifier.under_way == 3


async def test_closing_ends_what_is_under_way(lab: Lab) -> None:
    verifiers = OpenVerifiers()
    settings = lab_settings(lab, depth="dns", dns={"timeout": 30.0, "lifetime": 30.0})
    await verifiers.get(settings)
    await verifiers.examine_within("ann@dead.test", settings, 0.01)
    verifier = await verifiers.get(settings)
    assert verifier.under_way == 1
    await verifiers.close()
    assert verifier.under_way == 0


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "0.3", 1e9])
def test_a_deadline_that_is_none_is_refused_before_anything_is_asked(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="is no deadline"):
        api.verify("ann@example.com", settings=Settings.load(depth="offline"), deadline=wrong)


async def test_averify_takes_the_same_deadline(lab: Lab) -> None:
    settings = lab_settings(lab, depth="dns", dns=SLOW_DNS)
    verdict = await api.averify("ann@dead.test", settings=settings, deadline=0.02)
    assert verdict.reason is Reason.not_probed
