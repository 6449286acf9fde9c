"""What the replies of one domain mean together."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailvet.dns.routes import MailHost, Route
from mailvet.probing.domain import (
    DomainAtPlace,
    DomainState,
    MailboxResult,
    Probe,
    RecipientReply,
    Role,
    cannot_say,
    control_local_part,
    read_recipient_reply,
    says_accept_all,
    unknown_for_now,
)
from mailvet.smtp.outcomes import Reply
from mailvet.smtp.reply_reading import Stage
from mailvet.vocabulary import REASONS, Reason, Status

ROUTE = Route("acme.test", hosts=(MailHost("mx.acme.test", 10, ("192.0.2.1",)),))
PLACE = "192.0.2.1:25"
YES, NO = (250, "2.1.5 Ok"), (550, "5.1.1 User unknown")
MAYBE = (550, "5.4.1 Recipient address rejected: Access denied")
POLICY = (550, "5.7.1 Denied by policy")
LATER, GREY, BLOCK = (
    (451, "4.3.0 Temporary failure"),
    (450, "4.2.0 Greylisted"),
    (554, "5.7.1 Client host blocked using zen.spamhaus.org"),
)
UNKNOWN_FOR_NOW = (450, "4.1.1 User unknown in local recipient table")


def said(
    domain: DomainState, local: str, reply: tuple[int, str], *, role: Role = Role.recipient, preferred: bool = True
) -> RecipientReply:
    probe = Probe(local, domain, ROUTE, None if role is Role.control else lambda *_: None, role=role)
    code, text = reply
    whole = Reply(Stage.rcpt, code, text, 0.0)
    return read_recipient_reply(probe, whole, "mx.acme.test", (), place=PLACE, preferred=preferred)


def control(at: DomainAtPlace, reply: tuple[int, str] | None) -> None:
    """The control was asked; None: it got no reply."""
    at.control_done = True
    if reply is not None:
        at.compare(said(at.domain, "random", reply, role=Role.control))


def results(at: DomainAtPlace, *, final: bool = False) -> dict[str, MailboxResult | None]:
    return {one.probe.local: result for one, result in at.ready(final=final)}


def result(at: DomainAtPlace, local: str, *, final: bool = False) -> MailboxResult:
    found = results(at, final=final)[local]
    assert found is not None
    return found


def here(answers: str = "mixed") -> DomainAtPlace:
    return DomainState("acme.test", answers).at(PLACE)


@pytest.mark.parametrize(
    ("reply", "accept_all", "reason"),
    [
        (YES, True, Reason.accept_all),
        (NO, False, Reason.mailbox_accepted),
        (MAYBE, False, Reason.mailbox_accepted),
        (POLICY, False, Reason.mailbox_accepted),
        (UNKNOWN_FOR_NOW, False, Reason.mailbox_accepted),
        (LATER, None, Reason.provider_unverifiable),
        (GREY, None, Reason.provider_unverifiable),
        (BLOCK, None, Reason.provider_unverifiable),
        ((252, "2.1.5 Cannot VRFY user"), None, Reason.provider_unverifiable),
        (None, None, Reason.provider_unverifiable),
    ],
)
def test_an_acceptance_is_worth_what_the_control_got(
    reply: tuple[int, str] | None, accept_all: bool | None, reason: Reason
) -> None:
    at = here()
    at.take(said(at.domain, "ann", YES))
    assert not results(at), "no recipient is decided before the comparison"
    control(at, reply)
    got = result(at, "ann")
    assert (got.reason, got.accept_all) == (reason, accept_all)
    assert not at.undecided


def test_what_one_place_said_is_compared_with_its_own_control_alone() -> None:
    domain = DomainState("acme.test", "mixed")
    preferred, backup = domain.at("192.0.2.1:25"), domain.at("192.0.2.2:25")
    control(preferred, NO)
    backup.take(said(domain, "ann", YES))
    assert not results(backup)


def test_a_backup_that_accepts_anybody_tells_nothing() -> None:
    at = here()
    at.take(said(at.domain, "ann", YES, preferred=False))
    control(at, YES)
    assert results(at) == {"ann": None}


def test_an_operator_whose_acceptances_say_nothing_needs_no_control() -> None:
    at = here("unverifiable")
    at.take(said(at.domain, "ann", YES))
    assert result(at, "ann").reason is Reason.provider_unverifiable


def test_a_gateway_that_takes_everybody_is_a_gateway() -> None:
    at = here("gateway")
    at.take(said(at.domain, "ann", YES))
    control(at, YES)
    assert result(at, "ann").reason is Reason.security_gateway
    assert at.domain.accept_all_result().reason is Reason.security_gateway


def test_a_gateway_that_tells_recipients_apart_is_believed() -> None:
    at = here("gateway")
    at.take(said(at.domain, "ann", YES))
    control(at, NO)
    assert result(at, "ann").reason is Reason.mailbox_accepted


@pytest.mark.parametrize("words", [MAYBE, POLICY])
def test_an_ambiguous_or_policy_refusal_waits_for_an_acceptance_after_the_control(words: tuple[int, str]) -> None:
    at = here()
    at.take(said(at.domain, "eve", words))
    control(at, words)
    assert not results(at)
    at.accepted_after_control = True
    assert result(at, "eve").reason is Reason.mailbox_not_found


@pytest.mark.parametrize("words", [MAYBE, POLICY])
def test_without_any_acceptance_an_ambiguous_or_policy_refusal_stays_open(words: tuple[int, str]) -> None:
    at = here()
    at.take(said(at.domain, "eve", words))
    control(at, words)
    assert REASONS[result(at, "eve", final=True).reason].status is Status.unknown


@pytest.mark.parametrize("words", [MAYBE, POLICY])
def test_a_refusal_in_other_words_than_the_control_s_is_not_called_unknown_mailbox(words: tuple[int, str]) -> None:
    at = here()
    at.take(said(at.domain, "eve", words))
    control(at, NO)
    at.accepted_after_control = True
    assert REASONS[result(at, "eve").reason].status is Status.unknown


@given(
    replies=st.lists(st.sampled_from([YES, MAYBE, POLICY]), min_size=1, max_size=8),
    asked=st.sampled_from([YES, NO, MAYBE, POLICY, LATER, GREY, BLOCK, UNKNOWN_FOR_NOW, None]),
    worth=st.sampled_from(["reliable", "mixed", "gateway", "unverifiable"]),
    after=st.booleans(),
)
def test_in_the_end_every_recipient_is_decided_and_deliverable_needs_a_refused_control(
    replies: list[tuple[int, str]], asked: tuple[int, str] | None, worth: str, after: bool
) -> None:
    at = here(worth)
    for number, reply in enumerate(replies):
        at.take(said(at.domain, f"p{number}", reply))
    control(at, asked)
    at.accepted_after_control = after and at.accept_all is False
    found = results(at, final=True)
    assert len(found) == len(replies)
    assert not at.undecided
    for number, reply in enumerate(replies):
        one = found[f"p{number}"]
        assert one is not None
        if one.reason is Reason.mailbox_accepted:
            assert asked in (NO, MAYBE, POLICY, UNKNOWN_FOR_NOW)
        if REASONS[one.reason].status is Status.undeliverable:
            assert asked == reply, "the very same refusal"
            assert after


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (UNKNOWN_FOR_NOW, True),
        ((450, "4.1.1 <eve@acme.test>: Recipient address rejected: User unknown"), True),
        ((550, "5.1.1 User unknown"), False),
        (GREY, False),
        (LATER, False),
        ((452, "4.2.2 Mailbox full"), False),
    ],
)
def test_a_temporary_refusal_of_an_unknown_recipient_is_told_from_greylisting(
    reply: tuple[int, str], expected: bool
) -> None:
    assert unknown_for_now(said(DomainState("acme.test", "mixed"), "eve", reply)) is expected


def test_only_250_and_251_accept() -> None:
    domain = DomainState("acme.test", "mixed")
    assert [says_accept_all(said(domain, "x", (code, "ok"))) for code in (250, 251, 252, 299)] == [
        True,
        True,
        None,
        None,
    ]
    assert [cannot_say(said(domain, "x", (code, "ok"))) for code in (250, 251, 252, 299)] == [False, False, True, True]


def test_a_control_address_looks_like_one_that_people_choose() -> None:
    made = {control_local_part(f"company-{number}.test") for number in range(500)}
    assert len(made) > 495
    assert all(re.fullmatch(r"[a-z]{11}\d{4}", one) for one in made)


def test_the_control_address_of_a_domain_stays_the_same_for_a_month() -> None:
    made = {control_local_part("acme.test", today=date(2026, 11, day)) for day in range(1, 31)}
    assert len(made) == 1
    assert control_local_part("acme.test", today=date(2026, 12, 1)) not in made


def test_the_budget_of_an_address_begins_when_it_is_first_asked() -> None:
    domain = DomainState("acme.test", "mixed")
    probe = said(domain, "ann", YES).probe
    assert probe.timeout(5.0) == pytest.approx(5.0, abs=0.1)
    assert probe.timeout(500.0) <= 5.0


def test_what_is_kept_of_a_reply_holds_no_address() -> None:
    domain = DomainState("acme.test", "mixed")
    kept = said(domain, "ann.lee", (550, "5.1.1 <ann.lee@acme.test>: user ann.lee unknown " + "x" * 900))
    assert "ann.lee" not in kept.masked
    assert len(kept.masked) <= 500
