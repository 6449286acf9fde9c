"""The mailbox layer against servers of every profile: what it concludes, and what it does to them on the way."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailvet.dns.routes import MailHost, Route
from mailvet.errors import SettingsError
from mailvet.lab import ORDINARY_PROFILES, Lab, World
from mailvet.lab.world import HELLO_NAME, MAIL_FROM
from mailvet.probing import conversation, pacing, queues
from mailvet.probing import pool as layer
from mailvet.probing.pool import Mailboxes, Recipient
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason
from tests.probing import Probed, acme, lab_settings, probe, total

LabFactory = Callable[..., Lab]

_CONTROL = re.compile(r"(?:[b-z][aeiou]){5}[a-z]\d{4}@")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.05)


@pytest.fixture
def lab_of(mailvet_lab_factory: LabFactory) -> Iterator[LabFactory]:
    """Starts labs and looks afterwards whether anybody broke the rules that hold everywhere."""
    started: list[Lab] = []

    def start(world: World, **options: Any) -> Lab:
        started.append(mailvet_lab_factory(world, **options))
        return started[-1]

    yield start
    for lab in started:
        counters = total(lab)
        assert counters.data == 0
        assert not {"VRFY", "EXPN", "AUTH", "?"} & set(counters.commands)
        assert counters.hello_names <= {HELLO_NAME}
        assert counters.mail_from <= {MAIL_FROM}


def people(*locals_: str, domain: str = "acme.test") -> list[str]:
    return [f"{local}@{domain}" for local in locals_]


def cut_off(session: Session) -> None:
    """The connection ends without a word."""
    assert session._transport is not None
    session._transport.close()


def controls(lab: Lab) -> Counter[str]:
    """Random addresses that were asked: recipients nobody submitted."""
    return Counter({name: n for name, n in total(lab).recipients.items() if _CONTROL.match(name)})


# ---------------------------------------------------------------- what a mailbox's state comes to


@pytest.mark.parametrize(
    ("profile", "state", "reason"),
    [
        ("postfix", "live", "mailbox_accepted"),
        ("postfix", "unknown", "mailbox_not_found"),
        ("postfix", "disabled", "mailbox_disabled"),
        ("postfix", "full", "mailbox_full"),
        ("postfix", "moved", "mailbox_moved"),
        ("postfix", "throttled", "recipient_throttled"),
        ("postfix", "temporary", "server_temporary_error"),
        ("postfix", "forwarded", "mailbox_accepted"),
        ("exchange", "restricted", "restricted_recipient"),
        ("exim", "unknown", "mailbox_not_found"),
        ("qmail", "unknown", "mailbox_not_found"),
        ("sendmail", "unknown", "mailbox_not_found"),
        ("yandex", "unknown", "mailbox_not_found"),
        ("helo_only", "live", "mailbox_accepted"),
        ("tls_required", "live", "mailbox_accepted"),
        ("chinese", "unknown", "mailbox_not_found"),
    ],
)
async def test_a_mailbox_is_what_its_server_says(lab_of: LabFactory, profile: str, state: str, reason: str) -> None:
    boxes = ["ann"] if state == "unknown" else ["ann", f"bob:{state}"]
    lab = lab_of(acme(profile, *boxes))
    probed = await probe(lab, people("ann", "bob"))
    assert probed.reasons() == {"ann@acme.test": "mailbox_accepted", "bob@acme.test": reason}
    counters = lab.counters()["mx.acme.test"]
    assert counters.aborted == 0
    assert counters.quits == counters.connections


async def test_an_allow_list_of_a_person_is_no_block_of_us(lab_of: LabFactory) -> None:
    reply = "550 5.7.1 <{recipient}>: this mailbox only accepts mail from known senders"
    lab = lab_of(acme("postfix", "ann", "bob:restricted", "cid", replies={"restricted": reply}))
    probed = await probe(lab, people("bob", "ann", "cid"))
    assert probed.reasons() == {
        "ann@acme.test": "mailbox_accepted",
        "bob@acme.test": "sender_not_known",
        "cid@acme.test": "mailbox_accepted",
    }


async def test_a_dead_mailbox_with_an_apostrophe_is_found_and_no_half_of_its_name_is_kept(lab_of: LabFactory) -> None:
    reply = "550 5.4.1 <{recipient}>: Recipient address rejected: Access denied"
    lab = lab_of(acme("postfix", "ann", replies={"unknown": reply}))
    row = (await probe(lab, people("ann", "o'neil")))["o'neil@acme.test"]
    assert row["reason"] == "mailbox_not_found"
    assert "neil" not in row["smtp_reply"]


async def test_one_conversation_asks_all_recipients_of_a_server(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann", "bob"))
    await probe(lab, people("ann", "bob", "eve"))
    counters = lab.counters()["mx.acme.test"]
    assert counters.connections == 1
    assert counters.commands["MAIL"] == 1
    assert counters.commands["RCPT"] == 4  # and one random address


async def test_a_reply_in_another_encoding_is_stored_as_text(lab_of: LabFactory) -> None:
    reply = "550 5.1.1 Empf\udce4nger unbekannt, Postfach existiert nicht"  # Latin-1 on the wire
    lab = lab_of(acme("postfix", "ann", replies={"unknown": reply}))
    row = (await probe(lab, people("ann", "bob")))["bob@acme.test"]
    assert row["reason"] == "mailbox_not_found"
    assert "Empfänger" in row["smtp_reply"]


# ---------------------------------------------------------------- the control address


async def test_a_control_address_is_asked_once_per_domain_and_only_after_an_acceptance(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann", "bob", "cid"))
    await probe(lab, people("ann", "bob", "cid", "eve", "fay"))
    assert sorted(controls(lab).values()) == [1]


async def test_no_control_address_is_asked_where_every_recipient_is_clearly_unknown(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix"))
    probed = await probe(lab, people("eve", "fay"))
    assert set(probed.reasons().values()) == {"mailbox_not_found"}
    assert not controls(lab)


async def test_the_real_address_comes_before_the_control_address(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    await probe(lab, people("ann"))
    first, second = total(lab).recipients  # in the order of the first time
    assert first == "ann@acme.test"
    assert _CONTROL.match(second)


async def test_an_accept_all_domain_is_not_asked_any_more_after_the_control(lab_of: LabFactory) -> None:
    lab = lab_of(acme("catch_all"))
    cells = people(*(f"p{n}" for n in range(40)))
    probed = await probe(lab, cells)
    assert set(probed.reasons().values()) == {"accept_all"}
    assert all("accept_all" in row["flags"].split(",") for row in probed.rows.values())
    assert sum(total(lab).recipients.values()) <= 4
    assert sum(controls(lab).values()) == 1


async def test_accept_all_is_a_property_of_the_domain_not_of_the_server(lab_of: LabFactory) -> None:
    world = acme("postfix", "ann").domain("all.test", [(10, "mx.acme.test")], accepts_all=True)
    probed = await probe(lab_of(world), ["ann@acme.test", "ann@all.test", "eve@acme.test"])
    assert probed.reasons() == {
        "ann@acme.test": "mailbox_accepted",
        "ann@all.test": "accept_all",
        "eve@acme.test": "mailbox_not_found",
    }


@pytest.mark.parametrize(
    "reply",
    ["451 4.3.0 Temporary lookup failure", "450 4.2.0 Greylisted", "554 5.7.1 Client host blocked using spamhaus"],
)
async def test_an_unclear_reply_to_the_control_is_could_not_tell(lab_of: LabFactory, reply: str) -> None:
    lab = lab_of(acme("postfix", "ann", replies={"unknown": reply}))
    row = (await probe(lab, people("ann")))["ann@acme.test"]
    assert (row["status"], row["reason"]) == ("unknown", "provider_unverifiable")
    assert sum(controls(lab).values()) == (2 if reply.startswith("45") else 1), "a temporary reply is asked for again"
    assert "accept_all_unknown" in row["flags"].split(",")
    assert "accept_all" not in row["flags"].split(",")


async def test_a_server_that_hangs_up_on_the_control_could_not_be_compared(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(acme("postfix", "ann"))
    say = Session.send_rcpt

    def said(self: Session, local: str, domain: str, **options: Any) -> None:
        if local != "ann":
            cut_off(self)
        say(self, local, domain, **options)

    monkeypatch.setattr(Session, "send_rcpt", said)
    row = (await probe(lab, people("ann")))["ann@acme.test"]
    assert row["reason"] == "provider_unverifiable"


# ---------------------------------------------------------------- operators with profiles of their own


async def test_an_operator_whose_answers_say_nothing_is_not_asked(lab_of: LabFactory) -> None:
    world = World().host("mta5.am0.yahoodns.net", "yahoo").domain("yahoo.com", [(1, "mta5.am0.yahoodns.net")])
    lab = lab_of(world.mailbox("ann@yahoo.com"))
    probed = await probe(lab, people("ann", "eve", domain="yahoo.com"))
    assert set(probed.reasons().values()) == {"provider_unverifiable"}
    assert total(lab).data == 0


async def test_a_filter_in_front_that_accepts_everybody_is_a_security_gateway(lab_of: LabFactory) -> None:
    world = World().host("d1.ess.barracudanetworks.com", "barracuda")
    world.domain("acme.test", [(10, "d1.ess.barracudanetworks.com")]).mailbox("ann@acme.test")
    probed = await probe(lab_of(world), people("ann", "eve"))
    assert set(probed.reasons().values()) == {"security_gateway"}
    assert set(probed.statuses().values()) == {"risky"}


def _outlook(limit: int = 1) -> World:
    host = "outlook-com.olc.protection.outlook.com"
    world = World().host(host, "outlook_com", recipients_per_session=limit).domain("outlook.com", [(5, host)])
    return world.mailbox("ann@outlook.com").mailbox("bob@outlook.com")


async def test_outlook_is_asked_one_recipient_per_conversation(lab_of: LabFactory) -> None:
    lab = lab_of(_outlook())
    cells = people("ann", "bob", "eve", "fay", domain="outlook.com")
    probed = await probe(lab, cells)
    assert list(probed.reasons().values()).count("mailbox_accepted") == 2
    assert list(probed.reasons().values()).count("mailbox_not_found") == 2
    counters = total(lab)
    assert counters.commands["RCPT"] <= 7  # the control, and a canary after three refusals
    assert counters.connections == counters.commands["RCPT"]


async def test_a_limit_of_recipients_is_learnt_from_the_reply_452(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", *(f"p{n}" for n in range(30)), recipients_per_session=3))
    probed = await probe(lab, people(*(f"p{n}" for n in range(30))))
    assert set(probed.reasons().values()) == {"mailbox_accepted"}
    extra = {name: n for name, n in total(lab).recipients.items() if n > 1}
    assert sum(n - 1 for n in extra.values()) <= 8  # one group too many for each conversation while it was learnt


async def test_microsoft_365_is_read_by_comparison(lab_of: LabFactory) -> None:
    host = "acme-test.mail.protection.outlook.com"
    world = World().host(host, "microsoft365").domain("acme.test", [(0, host)]).mailbox("ann@acme.test")
    probed = await probe(lab_of(world), people("eve", "ann", "fay"))
    assert probed.reasons() == {
        "ann@acme.test": "mailbox_accepted",
        "eve@acme.test": "mailbox_not_found",
        "fay@acme.test": "mailbox_not_found",
    }


async def test_an_ambiguous_refusal_of_everybody_says_nothing(lab_of: LabFactory) -> None:
    world = acme("microsoft365")
    probed = await probe(lab_of(world), people("eve", "fay"))
    assert set(probed.statuses().values()) == {"unknown"}


async def test_the_acceptance_of_one_customer_explains_no_refusal_of_another(lab_of: LabFactory) -> None:
    world = World()
    for name, host in (
        ("one.test", "one-test.mail.protection.outlook.com"),
        ("two.test", "two-test.mail.protection.outlook.com"),
        ("three.test", "mx.lone.test"),
        ("four.test", "mx2.lone.test"),
    ):
        world.host(host, "microsoft365").domain(name, [(0, host)])
    world.mailbox("ann@one.test").mailbox("ann@three.test")
    probed = await probe(lab_of(world), ["ann@one.test", "eve@two.test", "ann@three.test", "eve@four.test"])
    assert probed["ann@one.test"]["reason"] == "mailbox_accepted"
    assert probed["eve@two.test"]["status"] == "unknown"
    assert probed["eve@four.test"]["status"] == "unknown"


# ---------------------------------------------------------------- greylisting


async def test_greylisting_without_time_to_wait_is_asked_again_by_the_schedule(lab_of: LabFactory) -> None:
    lab = lab_of(acme("greylisting", "ann"))
    before = datetime.now(timezone.utc)
    row = (await probe(lab, people("ann"), retry={"after_greylisting": ("7m",)}))["ann@acme.test"]
    assert (row["status"], row["reason"]) == ("unknown", "greylisted")
    assert timedelta(minutes=7) <= row["next_check_at"] - before < timedelta(minutes=8)


@pytest.mark.parametrize("profile", ["greylisting", "greylisting_known", "mimecast"])
async def test_with_time_to_wait_a_greylisted_mailbox_gets_its_answer(lab_of: LabFactory, profile: str) -> None:
    lab = lab_of(acme(profile, "ann"), greylist_delay=0.25)
    probed = await probe(lab, people("ann", "eve"), wait=5)
    assert probed.reasons() == {"ann@acme.test": "mailbox_accepted", "eve@acme.test": "mailbox_not_found"}
    counters = total(lab)
    assert counters.mail_from == {MAIL_FROM}
    assert len(controls(lab)) == 1, "greylisting remembers the recipient: the control must come back as the same"


async def test_a_greylisted_control_says_could_not_tell_when_there_is_no_more_time(lab_of: LabFactory) -> None:
    lab = lab_of(acme("greylisting", "ann"), greylist_delay=0.25)
    row = (await probe(lab, people("ann"), wait=0.5, retry={"after_greylisting": ("0.3s",)}))["ann@acme.test"]
    assert (row["status"], row["reason"]) == ("unknown", "greylisted")


async def test_a_control_is_asked_again_at_the_age_of_a_recipient_that_an_earlier_run_found_greylisted(
    lab_of: LabFactory,
) -> None:
    lab = lab_of(acme("greylisting", "ann"), greylist_delay=0.25)
    schedule = {"after_greylisting": ("0.4s",)}
    first = await probe(lab, people("ann"), retry=schedule)
    assert first.reasons() == {"ann@acme.test": "greylisted"}
    assert not controls(lab)
    await asyncio.sleep(0.4)
    again = await probe(lab, people("ann"), retry=schedule, previous_reason="greylisted")
    assert again.reasons() == {"ann@acme.test": "greylisted"}, "the control is new to the server"
    await asyncio.sleep(0.4)
    last = await probe(lab, people("ann"), retry=schedule, previous_reason="greylisted")
    assert last.reasons() == {"ann@acme.test": "mailbox_accepted"}


async def test_greylisting_that_never_ends_is_greylisted(lab_of: LabFactory) -> None:
    lab = lab_of(acme("greylisting", "ann"), greylist_delay=60)
    probed = await probe(lab, people("ann", "eve"), wait=5, retry={"after_greylisting": ("0.1s", "0.1s")})
    assert set(probed.reasons().values()) == {"greylisted"}
    assert total(lab).recipients["ann@acme.test"] == 3


async def test_greylisting_of_the_sender_is_not_remembered_as_a_failure(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann", blocks="mail", block_reply="450 4.7.1 Greylisted, come back later"))
    probed = await probe(lab, people("ann"), wait=2, retry={"after_greylisting": ("0.1s",) * 5})
    assert set(probed.reasons().values()) == {"greylisted"}
    assert total(lab).commands["MAIL"] == 6, "every time it was due"


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
    for recipient in [*(_recipient(lab, f"p{n}", "big.test") for n in range(60)), _recipient(lab, "x", "small.test")]:
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
        asyncio.gather(*(mailboxes.submit(_recipient(lab, local, "acme.test")) for local in locals_)), 20
    )
    await mailboxes.close()
    assert [answer.reason for answer in answers] == [
        Reason.mailbox_accepted if local.startswith("p") else Reason.mailbox_not_found for local in locals_
    ]
    operator = mailboxes.known.operators["acme.test"]
    assert operator.errors.limit in (limit - 1, 19), "learnt, unless nobody came so far"
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
        asyncio.gather(*(mailboxes.submit(_recipient(lab, local, "acme.test")) for local in locals_)), 30
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
        asyncio.gather(*(mailboxes.submit(_recipient(lab, local, "acme.test")) for local in locals_)), 20
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


async def test_a_callout_that_fails_for_our_sender_says_nothing_of_the_recipient(lab_of: LabFactory) -> None:
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
    """Whoever had not been asked is asked in the next conversation, and nobody is answered twice."""
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


# ---------------------------------------------------------------- several servers


async def test_a_dead_first_server_is_passed_over_and_left_aside(lab_of: LabFactory) -> None:
    world = World().host("mx1.acme.test", "silent").host("mx2.acme.test").mailbox("ann@acme.test")
    world.domain("acme.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")])
    lab = lab_of(world)
    cells = people("ann", *(f"d{n}" for n in range(12)))
    probed = await probe(lab, cells, smtp={"command_timeout": 0.4}, pacing={"recipients_per_session": 3})
    assert probed["ann@acme.test"]["reason"] == "mailbox_accepted"
    assert probed["ann@acme.test"]["mx_host"] == "mx2.acme.test"
    assert {probed[cell]["reason"] for cell in cells[1:]} == {"mailbox_not_found"}
    assert lab.counters()["mx1.acme.test"].connections <= 2


async def test_a_server_that_cannot_serve_now_is_passed_over(lab_of: LabFactory) -> None:
    busy = "421 4.3.2 Service not available, closing transmission channel"
    world = World().host("mx1.acme.test", blocks="connect", block_reply=busy).host("mx2.acme.test")
    world.domain("acme.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")]).mailbox("ann@acme.test")
    probed = await probe(lab_of(world), people("ann"))
    assert probed["ann@acme.test"]["reason"] == "mailbox_accepted"


async def test_the_preferred_server_is_asked_and_equals_take_turns(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = (MailHost("a", 10, ("192.0.2.1",)), MailHost("b", 10, ("192.0.2.2",)), MailHost("c", 20, ("192.0.2.3",)))
    orders = {tuple(host.name for host in queues.in_order(hosts)) for _ in range(60)}
    assert orders == {("a", "b", "c"), ("b", "a", "c")}


async def test_a_server_with_ipv6_only_is_reached(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann", ipv4=False))
    if not lab.ipv6:
        assert (await probe(lab, people("ann")))["ann@acme.test"]["reason"] == "connect_failed"
        return
    assert (await probe(lab, people("ann")))["ann@acme.test"]["reason"] == "mailbox_accepted"


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


# ---------------------------------------------------------------- nobody is forgotten


def _recipient(lab: Lab, local: str, domain: str) -> Recipient:
    hosts = tuple(MailHost(to.name, 10, (to.address,)) for to in lab.world.routes(domain) if not isinstance(to, str))
    return Recipient(local, domain, Route(domain, hosts=hosts))


@pytest.mark.parametrize("farewell", [0.0, 2.0])
async def test_closing_in_the_middle_answers_everybody_and_says_goodbye(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch, farewell: float
) -> None:
    monkeypatch.setattr(layer, "_SHUTDOWN_TIMEOUT", farewell)
    locals_ = [f"p{n}" for n in range(60)]
    lab = lab_of(acme("postfix", *locals_, latency=0.02, starttls=False, pipelining=False))
    mailboxes = Mailboxes(lab_settings(lab))
    futures = [mailboxes.submit(_recipient(lab, local, "acme.test")) for local in locals_]
    await asyncio.sleep(0.25)
    await mailboxes.close()
    answers = await asyncio.wait_for(asyncio.gather(*futures), 1)
    assert Reason.not_probed in {answer.reason for answer in answers}
    late = await asyncio.wait_for(mailboxes.submit(_recipient(lab, "late", "acme.test")), 1)
    assert late.reason is Reason.not_probed
    await asyncio.sleep(0.1)
    counters = lab.counters()["mx.acme.test"]
    assert counters.aborted == 0
    assert counters.quits == counters.connections > 0 or not farewell


async def test_a_fault_of_our_own_reaches_whoever_waits(lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_of(acme("postfix", "ann"))

    def faulty(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(conversation, "read_recipient_reply", faulty)
    with pytest.raises(ZeroDivisionError):
        await probe(lab, people("ann", "bob", "cid"))


async def test_a_source_address_that_is_not_ours_is_a_mistake_in_the_settings(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    with pytest.raises(SettingsError, match="source_addresses"):
        await probe(lab, people("ann"), smtp={"source_addresses": ("192.0.2.9",)})


async def test_the_same_servers_always_see_the_same_source_address(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    for n in range(8):
        world.host(f"mx.firm{n}.test").domain(f"firm{n}.test", [(10, f"mx.firm{n}.test")])
    lab = lab_of(world)
    seen: dict[str, set[str | None]] = {}
    begin = Session.open.__func__  # type: ignore[attr-defined]

    async def opened(cls: type[Session], *args: Any, **options: Any) -> Session:
        seen.setdefault(args[0], set()).add(options["source"])
        session: Session = await begin(cls, *args, **options)
        return session

    monkeypatch.setattr(Session, "open", classmethod(opened))
    cells = [f"{local}@firm{n}.test" for n in range(8) for local in "abcdef"]
    ours = ("127.0.0.2", "127.0.0.3", "::1")
    await probe(lab, cells, smtp={"source_addresses": ours}, pacing={"recipients_per_session": 2})
    assert all(len(sources) == 1 for sources in seen.values())
    assert set.union(*seen.values()) == {"127.0.0.2", "127.0.0.3"}


async def test_a_future_that_is_cancelled_is_not_asked_any_more(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix"))
    mailboxes = Mailboxes(lab_settings(lab))
    futures = [mailboxes.submit(_recipient(lab, local, "acme.test")) for local in ("eve", "fay")]
    futures[1].cancel()
    assert (await asyncio.wait_for(futures[0], 3)).reason is Reason.mailbox_not_found
    await mailboxes.close()
    assert set(total(lab).recipients) == {"eve@acme.test"}


async def test_progress_shows_every_operator_and_ends_with_nobody_waiting(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    mailboxes = Mailboxes(lab_settings(lab))
    future = mailboxes.submit(_recipient(lab, "ann", "acme.test"))
    assert [(row.name, row.waiting) for row in mailboxes.progress()] == [("acme.test", 1)]
    await asyncio.wait_for(future, 3)
    await mailboxes.close()
    assert [(row.name, row.asked, row.waiting, row.connections) for row in mailboxes.progress()] == [
        ("acme.test", 2, 0, 0)
    ]


# ---------------------------------------------------------------- everything at once


def _every_profile(rng: random.Random) -> tuple[World, list[str]]:
    """A domain for every profile there is, some of them sharing servers, with all kinds of mailboxes."""
    world, cells = World(), []
    special: dict[str, dict[str, Any]] = {
        "tarpit": {"banner_delay": 0.15, "reply_delay": 0.15},
        "blocks_at_rcpt": {"block_reply": "554 5.7.1 Client host [{client}] blocked using zen.spamhaus.org"},
    }
    for number, profile in enumerate(sorted(ORDINARY_PROFILES)):
        domain, host = f"d{number}.test", f"mx.d{number}.test"
        options: dict[str, Any] = {"latency": rng.choice([0.0, 0.003]), **special.get(profile, {})}
        world.host(host, profile, **options)
        world.domain(domain, [(10, host)], accepts_all=rng.random() < 0.1)
        for local, state in (("ann", "live"), ("bob", "full"), ("cid", "disabled"), ("dan", "temporary")):
            world.mailbox(f"{local}@{domain}", state)  # type: ignore[arg-type]
        cells += [f"{local}@{domain}" for local in ("ann", "bob", "cid", "dan", "eve", "fay", "gil", "jörg")]
    rng.shuffle(cells)
    return world, cells


async def _probe_all(lab: Lab, cells: list[str]) -> Probed:
    return await probe(
        lab, cells, limit=60, wait=1, smtp={"command_timeout": 0.25, "connect_timeout": 0.3, "address_budget": 1.0}
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_in_a_world_of_every_profile_and_random_cuts_everybody_is_answered_and_nobody_living_is_lost(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.01)
    rng = random.Random(seed)
    world, cells = _every_profile(rng)
    lab = lab_of(world, greylist_delay=0.2)
    say, heard_already = Session.send_rcpt, Session.received

    def sometimes_cut(self: Session, local: str, domain: str, **options: Any) -> None:
        if rng.random() < 0.03:
            cut_off(self)
        say(self, local, domain, **options)

    def cut_in_a_group(self: Session) -> Any:
        replies = heard_already(self)
        if replies and rng.random() < 0.03:
            cut_off(self)
        return replies

    monkeypatch.setattr(Session, "send_rcpt", sometimes_cut)
    monkeypatch.setattr(Session, "received", cut_in_a_group)
    probed = await _probe_all(lab, cells)
    assert set(probed.rows) == set(cells)
    for cell, row in probed.rows.items():
        if row["status"] == "undeliverable":
            if row["reason"] == "smtputf8_unsupported":
                assert not cell.isascii()
                continue
            truth = lab.truth(cell)
            assert "undeliverable" in truth.expected, (cell, truth.kind, row["reason"], row["smtp_reply"])
            assert 500 <= row["smtp_code"] <= 599
    counters = lab.counters()
    assert max(one.peak_connections for one in counters.values()) <= 5
    assert all(n <= 1 for n in Counter(name.partition("@")[2] for name in controls(lab)).values())


_TEXTS = st.sampled_from(
    [
        "{code} {enhanced} user unknown",
        "{code} no such user here",
        "{code} {enhanced} mailbox unavailable",
        "{code} {enhanced} Recipient address rejected: User unknown in virtual mailbox table",
        "{code} {enhanced} this account has been disabled",
        "{code} try again later, greylisted",
        "{code} {enhanced} blocked using spamhaus",
        "{code} {enhanced} does not exist",
        "{code} {enhanced} over quota",
        "{code} too many errors",
    ]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXTS, code=st.integers(400, 459), middle=st.integers(0, 7), last=st.integers(0, 30))
def test_a_temporary_reply_never_says_undeliverable(
    monkeypatch: pytest.MonkeyPatch, text: str, code: int, middle: int, last: int
) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.002)
    reply = text.format(code=code, enhanced=f"4.{middle}.{last}")
    with Lab(acme("postfix", "ann", temporary_reply=reply)) as lab:
        probed = asyncio.run(probe(lab, people("ann", "bob")))
    assert set(probed.statuses().values()) <= {"unknown", "risky"}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXTS, code=st.integers(500, 559), where=st.sampled_from(["connect", "hello", "mail"]))
def test_a_refusal_before_the_recipient_never_says_undeliverable(
    monkeypatch: pytest.MonkeyPatch, text: str, code: int, where: str
) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.002)
    reply = text.format(code=code, enhanced="5.1.1")
    with Lab(acme("postfix", "ann", blocks=where, block_reply=reply)) as lab:
        probed = asyncio.run(probe(lab, people("ann", "bob")))
    assert set(probed.statuses().values()) == {"unknown"}
