"""Conversations with whole servers: their pace, their groups, and what is done when a server breaks the rules."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from mailvet.lab import Lab, World
from mailvet.probing import pacing
from mailvet.probing.pool import Mailboxes
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason
from tests.probing import acme, lab_settings, people, probe, recipient_at, total

LabFactory = Callable[..., Lab]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.05)


def cut_off(session: Session) -> None:
    """The connection ends without a word."""
    assert session._transport is not None
    session._transport.close()


# ---------------------------------------------------------------- pace and caps


async def test_an_operator_never_sees_more_connections_than_its_cap(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(120)]
    lab = lab_of(acme("postfix", *locals_, latency=0.002))
    probed = await probe(lab, people(*locals_), pacing={"connections_per_operator": 3, "recipients_per_session": 10})
    assert set(probed.reasons().values()) == {"mailbox_accepted"}
    assert lab.counters()["mx.acme.test"].peak_connections == 3


async def test_servers_of_one_operator_share_its_cap(lab_of: LabFactory) -> None:
    world = World()
    for n in range(6):
        world.host(f"mx{n}.acme.test", latency=0.005).domain(f"d{n}.test", [(10, f"mx{n}.acme.test")])
    lab = lab_of(world)
    await probe(lab, [f"p{i}@d{n}.test" for n in range(6) for i in range(5)], pacing={"connections_per_operator": 2})
    assert sum(counters.peak_connections for counters in lab.counters().values()) >= 6  # every server was asked


async def test_all_operators_together_keep_the_global_cap_and_none_starves(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    for n in range(12):
        world.host(f"mx.firm{n}.test", latency=0.002).domain(f"firm{n}.test", [(10, f"mx.firm{n}.test")])
        world.mailbox(f"ann@firm{n}.test")
    lab = lab_of(world)
    open_now, peak = 0, 0
    begin, end = Session.open.__func__, Session.close  # type: ignore[attr-defined]

    async def opened(cls: type[Session], *args: Any, **options: Any) -> Session:
        nonlocal open_now, peak
        session: Session = await begin(cls, *args, **options)
        open_now += 1
        peak = max(peak, open_now)
        return session

    async def closed(self: Session) -> None:
        nonlocal open_now
        await end(self)
        open_now -= 1

    monkeypatch.setattr(Session, "open", classmethod(opened))
    monkeypatch.setattr(Session, "close", closed)
    cells = [f"{local}@firm{n}.test" for n in range(12) for local in ("ann", "eve", "fay")]
    probed = await probe(lab, cells, pacing={"connections": 3})
    assert len(probed.rows) == len(cells)
    assert "not_probed" not in probed.reasons().values()
    assert 1 < peak <= 3


async def test_a_big_operator_does_not_keep_small_ones_waiting_to_the_end(lab_of: LabFactory) -> None:
    world = World().host("mx.big.test", latency=0.002).domain("big.test", [(10, "mx.big.test")])
    world.host("mx.small.test").domain("small.test", [(10, "mx.small.test")])
    lab = lab_of(world)
    configured = lab_settings(lab, pacing={"connections": 1, "recipients_per_session": 5})
    done: list[str] = []
    mailboxes = Mailboxes(configured)
    futures = []
    for recipient in [
        *(recipient_at(lab, f"p{n}", "big.test") for n in range(60)),
        recipient_at(lab, "x", "small.test"),
    ]:
        future = mailboxes.submit(recipient)
        future.add_done_callback(partial(_note, done, recipient.domain))
        futures.append(future)
    await asyncio.wait_for(asyncio.gather(*futures), 10)
    await mailboxes.close()
    assert done.index("small.test") < 30


def _note(done: list[str], name: str, _: object) -> None:
    done.append(name)


async def test_each_recipient_is_asked_once(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(60)]
    lab = lab_of(acme("postfix", *locals_[:50]))
    await probe(lab, people(*locals_))
    asked = total(lab).recipients
    assert set(people(*locals_)) <= set(asked)
    assert sum(1 for n in asked.values() if n > 1) <= 4, "only canaries may be asked again"


async def test_two_spellings_of_one_mailbox_are_asked_once(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    probed = await probe(lab, ["ann@acme.test", "Ann@ACME.test", "ANN@acme.test", " ann@acme.test"])
    assert set(probed.reasons().values()) == {"mailbox_accepted"}
    assert total(lab).recipients["ann@acme.test"] == 1


async def test_too_many_connections_is_learnt_and_everybody_still_gets_an_answer(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(80)]
    lab = lab_of(acme("connection_limit", *locals_, latency=0.002))
    probed = await probe(lab, people(*locals_), pacing={"recipients_per_session": 10})
    assert set(probed.reasons().values()) == {"mailbox_accepted"}
    assert lab.counters()["mx.acme.test"].refused <= 3


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_too_many_errors_is_learnt_and_everybody_still_gets_an_answer(lab_of: LabFactory, limit: int) -> None:
    locals_ = [f"p{n}" for n in range(24)]
    lab = lab_of(acme("postfix", "p0", error_limit=limit))
    probed = await probe(lab, people(*locals_))
    assert probed["p0@acme.test"]["status"] in ("deliverable", "unknown")
    dead = [probed[cell]["reason"] for cell in people(*locals_[1:])]
    assert set(dead) == {"mailbox_not_found"}
    if limit > 1:
        counters = lab.counters()["mx.acme.test"]
        assert counters.connections - counters.quits <= 5, "from then on it is we who end the conversation"


async def test_a_server_that_asks_for_less_is_paused_and_finished(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(12)]
    busy = "451 4.7.500 Server busy. Please try again later"
    lab = lab_of(acme("postfix", *locals_, "busy:temporary", replies={"temporary": busy}))
    probed = await probe(lab, people(*locals_, "busy"))
    assert probed["busy@acme.test"]["reason"] == "sender_throttled"
    assert {probed[cell]["reason"] for cell in people(*locals_)} == {"mailbox_accepted"}


async def test_a_server_that_only_asks_for_less_is_given_up(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.002)
    lab = lab_of(acme("postfix", temporary_reply="421 4.7.0 Too many messages, slow down"))
    probed = await probe(lab, people(*(f"p{n}" for n in range(30))))
    assert set(probed.statuses().values()) == {"unknown"}
    assert set(probed.reasons().values()) <= {"sender_throttled", "not_probed"}
    assert total(lab).connections <= 12


async def test_the_daily_limit_of_an_operator_is_never_passed(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(20)]
    lab = lab_of(acme("postfix", *locals_))
    probed = await probe(
        lab, people(*locals_), pacing={"daily_limits": {"acme.test": 10}}, asked_today={"acme.test": 3}
    )
    assert total(lab).commands["RCPT"] == 7
    assert probed["p19@acme.test"]["reason"] == "not_probed"
    assert probed["p0@acme.test"]["reason"] == "mailbox_accepted"


async def test_the_default_daily_limit_holds_for_operators_without_their_own(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix"))
    probed = await probe(lab, people("eve", "fay", "gil"), pacing={"daily_limits": {"default": 1}})
    assert sorted(probed.reasons().values()) == ["mailbox_not_found", "not_probed", "not_probed"]


async def test_in_quiet_hours_nobody_is_asked(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    now = datetime.now(timezone.utc)
    span = f"{now.hour}-{(now.hour + 2) % 24}"
    row = (await probe(lab, people("ann"), pacing={"quiet_hours": span}))["ann@acme.test"]
    assert row["reason"] == "not_probed"
    assert total(lab).connections == 0
    assert row["next_check_at"] - now <= timedelta(hours=2)


@pytest.mark.parametrize(
    ("span", "hour", "seconds"),
    [
        ("22-06", 23, 7 * 3600),
        ("22-06", 5, 3600),
        ("22-06", 6, None),
        ("22-06", 21, None),
        ("9-17", 16, 3600),
        ("9-17", 17, None),
        ("9-17", 9, 8 * 3600),
    ],
)
def test_quiet_hours_may_pass_midnight(span: str, hour: int, seconds: float | None) -> None:
    assert pacing.quiet_for(span, datetime(2026, 1, 1, hour, tzinfo=timezone.utc)) == seconds


# ---------------------------------------------------------------- groups and the error budget


async def test_recipients_are_named_in_groups_only_where_the_server_offers_it(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(60)]
    world = acme("postfix", *locals_, starttls=False).host("mx.old.test", pipelining=False, starttls=False)
    world.domain("old.test", [(10, "mx.old.test")])
    for local in locals_:
        world.mailbox(f"{local}@old.test")
    lab = lab_of(world)
    probed = await probe(lab, people(*locals_) + people(*locals_, domain="old.test"))
    assert set(probed.reasons().values()) == {"mailbox_accepted"}
    counters = lab.counters()
    assert counters["mx.acme.test"].pipelined > 0
    assert counters["mx.old.test"].pipelined == 0
    assert total(lab).pipelined_unasked == 0


async def test_an_operator_that_does_not_like_groups_is_asked_one_by_one(lab_of: LabFactory) -> None:
    host = "outlook-com.olc.protection.outlook.com"
    world = World().host(host, "outlook_com", recipients_per_session=50).domain("outlook.com", [(5, host)])
    cells = people(*(f"p{n}" for n in range(20)), domain="outlook.com")
    for cell in cells:
        world.mailbox(cell)
    lab = lab_of(world)
    await probe(lab, cells)
    assert total(lab).pipelined == 0


@pytest.mark.parametrize("limit", [3, 5, 8, 12, 20])
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_server_that_hangs_up_in_a_group_loses_nobody(lab_of: LabFactory, limit: int, pipelining: bool) -> None:
    living = [f"p{n}" for n in range(40)]
    dead = [f"d{n}" for n in range(40)]
    mixed = [name for pair in zip(living, dead, strict=True) for name in pair]
    lab = lab_of(acme("postfix", *living, error_limit=limit, pipelining=pipelining, starttls=False))
    probed = await probe(lab, people(*mixed))
    for local in mixed:
        expected = "mailbox_accepted" if local.startswith("p") else "mailbox_not_found"
        assert probed[f"{local}@acme.test"]["reason"] == expected
    counters = lab.counters()["mx.acme.test"]
    assert counters.connections - counters.quits <= 5, "learnt once by each conversation that was open then"
    assert counters.peak_connections <= 5


@pytest.mark.parametrize("limit", [12, 15, 18])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_limit_of_errors_once_learnt_neither_pauses_the_operator_nor_shortens_conversations(
    lab_of: LabFactory, limit: int, seed: int
) -> None:
    living = [f"p{n}" for n in range(300)]
    locals_ = living + [f"d{n}" for n in range(150)]
    random.Random(seed).shuffle(locals_)
    lab = lab_of(acme("postfix", *living, error_limit=limit, starttls=False, latency=0.01))
    mailboxes = Mailboxes(lab_settings(lab))
    answers = await asyncio.wait_for(
        asyncio.gather(*(mailboxes.submit(recipient_at(lab, local, "acme.test")) for local in locals_)), 20
    )
    await mailboxes.close()
    assert [answer.reason for answer in answers] == [
        Reason.mailbox_accepted if local.startswith("p") else Reason.mailbox_not_found for local in locals_
    ]
    operator = mailboxes.known.operators["acme.test"]
    assert operator.errors.limit in (limit - 1, 19), "learnt, unless no conversation came so far"
    assert operator.pace.resume_at == 0, "a conversation that was beyond the limit already is no reason to pause"
    assert {place.refusals_allowed for place in mailboxes.known.places.values()} == {1 << 30}, "it never shut us out"
    assert lab.counters()["mx.acme.test"].connections < 450 / limit


async def test_a_server_that_slows_down_after_errors_is_not_driven_there_again(lab_of: LabFactory) -> None:
    living = [f"p{n}" for n in range(30)]
    dead = [f"d{n}" for n in range(60)]
    rng = random.Random(3)
    locals_ = living + dead
    rng.shuffle(locals_)
    world = acme("postfix", *living, starttls=False, soft_error_limit=7, soft_error_delay=0.6)
    lab = lab_of(world)
    mailboxes = Mailboxes(lab_settings(lab, smtp={"command_timeout": 5.0, "address_budget": 20.0}))
    answers = await asyncio.wait_for(
        asyncio.gather(*(mailboxes.submit(recipient_at(lab, local, "acme.test")) for local in locals_)), 30
    )
    assert [answer.reason for answer in answers] == [
        Reason.mailbox_accepted if local.startswith("p") else Reason.mailbox_not_found for local in locals_
    ]
    assert mailboxes.known.operators["acme.test"].errors.limit <= 6
    await mailboxes.close()


async def test_a_conversation_bears_more_errors_where_the_server_does_not_mind(lab_of: LabFactory) -> None:
    locals_ = ["p0", *(f"d{n}" for n in range(120))]
    lab = lab_of(acme("postfix", "p0", error_limit=None, starttls=False))
    probed = await probe(lab, people(*locals_))
    assert Counter(probed.reasons().values()) == {"mailbox_accepted": 1, "mailbox_not_found": 120}
    counters = lab.counters()["mx.acme.test"]
    assert counters.commands["RCPT"] / counters.connections > 7


async def test_short_conversations_with_groups_end_properly_and_are_proven(lab_of: LabFactory) -> None:
    living = [f"p{n}" for n in range(60)]
    dead = [f"d{n}" for n in range(30)]
    mixed = [*living, *dead]
    random.Random(5).shuffle(mixed)
    lab = lab_of(acme("postfix", *living, starttls=False, latency=0.005))
    probed = await probe(lab, people(*mixed), pacing={"recipients_per_session": 12})
    for local in mixed:
        expected = "mailbox_accepted" if local.startswith("p") else "mailbox_not_found"
        assert probed[f"{local}@acme.test"]["reason"] == expected
    counters = lab.counters()["mx.acme.test"]
    assert counters.aborted == 0
    assert counters.quits == counters.connections
    assert counters.peak_connections <= 5
    assert counters.commands["RCPT"] <= 90 + 2 * counters.connections


@pytest.mark.parametrize("limit", [4, 5, 7])
async def test_a_server_that_turns_against_everybody_in_the_last_group_is_seen_through(
    lab_of: LabFactory, limit: int
) -> None:
    living, dead = [f"p{n}" for n in range(40)], [f"d{n}" for n in range(40)]
    mixed = [*living, *dead]
    random.Random(limit).shuffle(mixed)
    lab = lab_of(acme("harvest_guard", *living, harvest_limit=limit, starttls=False))
    probed = await probe(lab, people(*mixed), pacing={"recipients_per_session": 12})
    for local in living:
        assert probed[f"{local}@acme.test"]["status"] in ("deliverable", "unknown"), local


async def test_no_conversation_ends_early_before_it_is_known_how_many_errors_are_borne(lab_of: LabFactory) -> None:
    locals_ = [f"p{n}" for n in range(200)]
    living = [local for number, local in enumerate(locals_) if number % 3]
    lab = lab_of(acme("postfix", *living, starttls=False, latency=0.01))
    mailboxes = Mailboxes(lab_settings(lab))
    await asyncio.wait_for(
        asyncio.gather(*(mailboxes.submit(recipient_at(lab, local, "acme.test")) for local in locals_)), 20
    )
    assert not mailboxes.known.operators["acme.test"].errors.growing
    await mailboxes.close()
    counters = lab.counters()["mx.acme.test"]
    assert counters.connections == counters.quits, "and never at the limit of the server"


# ---------------------------------------------------------------- honesty


@pytest.mark.parametrize("limit", [2, 3, 5])
@pytest.mark.parametrize("order", ["living last", "living first", "mixed", "one living at the end"])
async def test_a_server_that_turns_against_everybody_never_makes_the_living_undeliverable(
    lab_of: LabFactory, limit: int, order: str
) -> None:
    dead, living = [f"d{n}" for n in range(12)], [f"p{n}" for n in range(12)]
    locals_ = {
        "living last": dead + living,
        "living first": living + dead,
        "mixed": [name for pair in zip(dead, living, strict=True) for name in pair],
        "one living at the end": [*dead[: limit + 1], "p0"],
    }[order]
    lab = lab_of(acme("harvest_guard", *living, harvest_limit=limit))
    probed = await probe(lab, people(*locals_))
    for local in locals_:
        row = probed[f"{local}@acme.test"]
        if local.startswith("p"):
            assert row["status"] in ("deliverable", "unknown"), local
        else:
            assert row["status"] in ("undeliverable", "unknown"), local
    statuses = Counter(probed.statuses().values())
    assert statuses["unknown"] <= 2, "and hardly anybody is left without an answer"


async def test_one_canary_proves_many_refusals(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann", "bob"))
    await probe(lab, people("ann", "bob", *(f"d{n}" for n in range(40))))
    counters = lab.counters()["mx.acme.test"]
    again = sum(counters.recipients[cell] - 1 for cell in people("ann", "bob"))
    assert 4 <= again <= 4 + 2 * counters.connections
    assert sum(counters.recipients[cell] - 1 for cell in people(*(f"d{n}" for n in range(40)))) <= 4


# ---------------------------------------------------------------- when they refuse us


@pytest.mark.parametrize("profile", ["blocks_at_connect", "blocks_at_hello", "blocks_at_mail", "proofpoint"])
async def test_a_server_that_refuses_us_before_the_recipient_stops_its_operator(
    lab_of: LabFactory, profile: str
) -> None:
    lab = lab_of(acme(profile, "ann"))
    probed = await probe(lab, people(*(f"p{n}" for n in range(30)), "ann"))
    assert set(probed.statuses().values()) == {"unknown"}
    reasons = Counter(probed.reasons().values())
    assert reasons["sender_blocked"] >= 1
    assert reasons["sender_blocked"] + reasons["not_probed"] == 31
    assert total(lab).connections <= 3
    assert not total(lab).recipients
    assert probed.degraded is None


async def test_a_server_that_refuses_us_at_every_recipient_stops_its_operator(lab_of: LabFactory) -> None:
    reply = "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
    lab = lab_of(acme("blocks_at_rcpt", "ann", block_reply=reply))
    probed = await probe(lab, people(*(f"p{n}" for n in range(30)), "ann"))
    assert set(probed.statuses().values()) == {"unknown"}
    assert set(probed.reasons().values()) == {"sender_blocked", "not_probed"}
    assert total(lab).commands["RCPT"] <= 8


async def test_a_callout_that_fails_for_our_sender_says_nothing_of_therecipient_at(lab_of: LabFactory) -> None:
    probed = await probe(lab_of(acme("sender_callout", "ann")), people("ann", "eve"))
    assert set(probed.statuses().values()) == {"unknown"}


async def test_one_operator_that_blocks_us_leaves_the_others_alone(lab_of: LabFactory) -> None:
    world = acme("postfix", "ann").host("mx.bad.test", "blocks_at_connect").domain("bad.test", [(1, "mx.bad.test")])
    probed = await probe(lab_of(world), ["ann@acme.test", "ann@bad.test"])
    assert probed.reasons() == {"ann@acme.test": "mailbox_accepted", "ann@bad.test": "sender_blocked"}
    assert probed.degraded is None


async def test_many_operators_that_block_us_stop_the_run_and_everybody_is_answered(lab_of: LabFactory) -> None:
    world = World()
    for n in range(12):
        world.host(f"mx.bad{n}.test", "blocks_at_connect").domain(f"bad{n}.test", [(1, f"mx.bad{n}.test")])
    lab = lab_of(world)
    cells = [f"{local}@bad{n}.test" for n in range(12) for local in "abc"]
    probed = await probe(lab, cells, pacing={"connections": 2})
    assert set(probed.rows) == set(cells)
    assert set(probed.statuses().values()) == {"unknown"}
    assert probed.degraded is not None
    assert "block list" in probed.degraded
    assert sum(1 for counters in lab.counters().values() if counters.connections) < 12, "the rest was not probed"


@pytest.mark.parametrize("count", [3, 12])
async def test_when_no_server_can_be_reached_the_run_says_that_port_25_is_closed(
    lab_of: LabFactory, count: int
) -> None:
    world = World()
    for n in range(count):
        world.host(f"mx.off{n}.test", "port_closed").domain(f"off{n}.test", [(1, f"mx.off{n}.test")])
    cells = [f"ann@off{n}.test" for n in range(count)]
    probed = await probe(lab_of(world), cells)
    assert set(probed.reasons().values()) <= {"connect_failed", "not_probed"}
    assert len(probed.rows) == count
    assert probed.degraded is not None
    assert "port 25" in probed.degraded


# ---------------------------------------------------------------- broken servers


@pytest.mark.parametrize(
    ("profile", "options", "reasons"),
    [
        ("garbage", {}, {"protocol_error"}),
        ("silent", {}, {"smtp_timeout"}),
        ("closes_at_connect", {}, {"protocol_error"}),
        ("closes_at_mail", {}, {"protocol_error"}),
        ("closes_at_rcpt", {}, {"protocol_error"}),
        ("port_closed", {}, {"connect_failed"}),
        ("tarpit", {}, {"smtp_timeout", "tarpit"}),
        ("postfix", {"reply_delay": 0.22}, {"tarpit", "mailbox_accepted", "mailbox_not_found"}),
        ("temporary", {}, {"server_temporary_error"}),
        ("relay_denied", {}, {"relay_denied"}),
    ],
)
async def test_a_server_that_does_not_answer_properly_never_says_undeliverable(
    lab_of: LabFactory, profile: str, options: dict[str, Any], reasons: set[str]
) -> None:
    lab = lab_of(acme(profile, "ann", **options))
    short = {"command_timeout": 0.4, "address_budget": 1.0}
    probed = await probe(lab, people("ann", "eve", "fay", "gil"), smtp=short)
    assert set(probed.reasons().values()) <= reasons
    if "mailbox_not_found" not in reasons:
        assert set(probed.statuses().values()) == {"unknown"}
    assert total(lab).connections <= 6


async def test_a_connection_that_is_cut_in_the_middle_is_taken_up_again(lab_of: LabFactory) -> None:
    """Recipients that had not been asked are asked in the next conversation, and none has two results."""
    locals_ = [f"p{n}" for n in range(30)]
    lab = lab_of(acme("postfix", *locals_))
    say, calls = Session.send_rcpt, itertools.count(1)

    def cut(self: Session, local: str, domain: str, **options: Any) -> None:
        if next(calls) % 7 == 0:
            cut_off(self)
        say(self, local, domain, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "send_rcpt", cut)
        probed = await probe(lab, people(*locals_))
    assert set(probed.reasons().values()) <= {"mailbox_accepted", "provider_unverifiable"}


# ---------------------------------------------------------------- international addresses


async def test_an_international_address_is_asked_with_smtputf8(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "jörg", "ann"))
    probed = await probe(lab, people("jörg", "käthe", "ann"))
    assert probed.reasons() == {
        "jörg@acme.test": "mailbox_accepted",
        "käthe@acme.test": "mailbox_not_found",
        "ann@acme.test": "mailbox_accepted",
    }
    assert total(lab).data == 0


@pytest.mark.parametrize("profile", ["exim", "helo_only"])
async def test_without_smtputf8_at_any_server_an_international_address_cannot_be_reached(
    lab_of: LabFactory, profile: str
) -> None:
    probed = await probe(lab_of(acme(profile, "jörg", "ann")), people("jörg", "ann"))
    assert probed.reasons() == {"jörg@acme.test": "smtputf8_unsupported", "ann@acme.test": "mailbox_accepted"}


@pytest.mark.parametrize(
    ("second", "reason"),
    [("postfix", "mailbox_accepted"), ("port_closed", "connect_failed"), ("silent", "smtp_timeout")],
)
async def test_smtputf8_is_only_missing_when_every_server_says_so(lab_of: LabFactory, second: str, reason: str) -> None:
    world = World().host("mx1.acme.test", "exim").host("mx2.acme.test", second).mailbox("jörg@acme.test")
    world.domain("acme.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")])
    probed = await probe(lab_of(world), people("jörg"), smtp={"command_timeout": 0.4})
    assert probed["jörg@acme.test"]["reason"] == reason
