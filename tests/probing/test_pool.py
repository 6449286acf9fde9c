"""The mailbox layer against servers of every profile: what it concludes, and that every recipient has a result."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailvet.dns.routes import MailHost
from mailvet.errors import SettingsError
from mailvet.lab import ORDINARY_PROFILES, Lab, World
from mailvet.lab.world import MAIL_FROM
from mailvet.probing import conversation, pacing, queues
from mailvet.probing import pool as layer
from mailvet.probing.pool import Mailboxes
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason
from tests.probing import Probed, acme, controls, lab_settings, people, probe, recipient_at, total

LabFactory = Callable[..., Lab]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.05)


def cut_off(session: Session) -> None:
    """The connection ends without a word."""
    assert session._transport is not None
    session._transport.close()


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
    assert second in controls(lab)


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


# ---------------------------------------------------------------- every recipient has a result


@pytest.mark.parametrize("seconds", [0.0, 2.0])
async def test_closing_in_the_middle_answers_everybody_and_says_goodbye(
    lab_of: LabFactory, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(layer, "_SHUTDOWN_TIMEOUT", seconds)
    locals_ = [f"p{n}" for n in range(60)]
    lab = lab_of(acme("postfix", *locals_, latency=0.02, starttls=False, pipelining=False))
    mailboxes = Mailboxes(lab_settings(lab))
    futures = [mailboxes.submit(recipient_at(lab, local, "acme.test")) for local in locals_]
    await asyncio.sleep(0.25)
    await mailboxes.close()
    answers = await asyncio.wait_for(asyncio.gather(*futures), 1)
    assert Reason.not_probed in {answer.reason for answer in answers}
    late = await asyncio.wait_for(mailboxes.submit(recipient_at(lab, "late", "acme.test")), 1)
    assert late.reason is Reason.not_probed
    await asyncio.sleep(0.1)
    counters = lab.counters()["mx.acme.test"]
    assert counters.aborted == 0
    assert counters.quits == counters.connections > 0 or not seconds


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
    futures = [mailboxes.submit(recipient_at(lab, local, "acme.test")) for local in ("eve", "fay")]
    futures[1].cancel()
    assert (await asyncio.wait_for(futures[0], 3)).reason is Reason.mailbox_not_found
    await mailboxes.close()
    assert set(total(lab).recipients) == {"eve@acme.test"}


async def test_progress_shows_every_operator_and_ends_with_nobody_waiting(lab_of: LabFactory) -> None:
    lab = lab_of(acme("postfix", "ann"))
    mailboxes = Mailboxes(lab_settings(lab))
    future = mailboxes.submit(recipient_at(lab, "ann", "acme.test"))
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
