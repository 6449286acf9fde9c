"""What the replies of one domain mean together."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailvet.smtp.recipients import Asked, DomainState, Heard, MailboxAnswer, control_local_part, listen

from mailvet.layers.route import MailHost, Route
from mailvet.smtp.replies import Stage
from mailvet.smtp.session import Reply
from mailvet.verdict import REASONS, Reason, Status

ROUTE = Route("acme.test", hosts=(MailHost("mx.acme.test", 10, ("192.0.2.1",)),))
YES, NO = (250, "2.1.5 Ok"), (550, "5.1.1 User unknown")
MAYBE = (550, "5.4.1 Recipient address rejected: Access denied")
LATER, GREY, BLOCK = (
    (451, "4.3.0 Temporary failure"),
    (450, "4.2.0 Greylisted"),
    (554, "5.7.1 Client host blocked using zen.spamhaus.org"),
)


def heard(domain: DomainState, local: str, reply: tuple[int, str], *, control: bool = False) -> Heard:
    asked = Asked(local, domain, ROUTE, None if control else lambda *_: None)
    code, text = reply
    return listen(asked, Reply(Stage.rcpt, code, text, 0.0), "mx.acme.test", ())


def control(domain: DomainState, reply: tuple[int, str] | None) -> None:
    """The control address was asked; None: it got no reply."""
    domain.control_done = True
    if reply is not None:
        domain.compare(heard(domain, "random", reply, control=True))


def answers(domain: DomainState, *, elsewhere: bool = False, last_call: bool = False) -> dict[str, MailboxAnswer]:
    ready = domain.ready(honest_elsewhere=elsewhere, last_call=last_call)
    return {one.asked.recipient.local: answer for one, answer in ready}


@pytest.mark.parametrize(
    ("reply", "accept_all", "reason"),
    [
        (YES, True, Reason.accept_all),
        (NO, False, Reason.mailbox_accepted),
        (MAYBE, False, Reason.mailbox_accepted),
        (LATER, None, Reason.provider_unverifiable),
        (GREY, None, Reason.greylisted),
        (BLOCK, None, Reason.provider_unverifiable),
        (None, None, Reason.provider_unverifiable),
    ],
)
def test_a_yes_is_worth_what_the_random_address_got(
    reply: tuple[int, str] | None, accept_all: bool | None, reason: Reason
) -> None:
    domain = DomainState("acme.test", "mixed")
    assert domain.hear(heard(domain, "ann", YES)) is not None
    assert not answers(domain), "nobody is answered before the comparison"
    control(domain, reply)
    answer = answers(domain)["ann"]
    assert (answer.reason, answer.accept_all) == (reason, accept_all)
    assert not domain.undecided


def test_the_control_address_is_wanted_once() -> None:
    domain = DomainState("acme.test", "mixed")
    wanted = [domain.hear(heard(domain, f"p{n}", YES if n % 2 else MAYBE)) for n in range(6)]
    assert [one is not None for one in wanted] == [True] + [False] * 5


def test_after_greylisting_the_same_control_address_is_asked_once_more() -> None:
    domain = DomainState("acme.test", "mixed")
    first = domain.hear(heard(domain, "ann", YES))
    domain.hear(heard(domain, "bob", YES))
    control(domain, GREY)
    assert {answer.reason for answer in answers(domain).values()} == {Reason.greylisted}
    assert domain.hear(heard(domain, "ann", YES)) == first
    assert domain.hear(heard(domain, "bob", YES)) is None
    assert not answers(domain)
    control(domain, NO)
    assert {answer.reason for answer in answers(domain).values()} == {Reason.mailbox_accepted}


@pytest.mark.parametrize("reply", [LATER, BLOCK, None])
def test_only_greylisting_makes_it_worth_to_ask_again(reply: tuple[int, str] | None) -> None:
    domain = DomainState("acme.test", "mixed")
    domain.hear(heard(domain, "ann", YES))
    control(domain, reply)
    assert answers(domain)["ann"].reason is not Reason.greylisted


def test_an_operator_whose_answers_say_nothing_needs_no_control() -> None:
    domain = DomainState("acme.test", "unverifiable")
    assert domain.hear(heard(domain, "ann", YES)) is None
    assert answers(domain)["ann"].reason is Reason.provider_unverifiable


def test_a_gateway_that_takes_everybody_is_a_gateway() -> None:
    domain = DomainState("acme.test", "gateway")
    domain.hear(heard(domain, "ann", YES))
    control(domain, YES)
    assert answers(domain)["ann"].reason is Reason.security_gateway
    assert domain.asked_in_vain().reason is Reason.security_gateway


def test_a_gateway_that_tells_people_apart_is_believed() -> None:
    domain = DomainState("acme.test", "gateway")
    domain.hear(heard(domain, "ann", YES))
    control(domain, NO)
    assert answers(domain)["ann"].reason is Reason.mailbox_accepted


def test_an_ambiguous_no_waits_for_somebody_s_yes() -> None:
    domain = DomainState("acme.test", "mixed")
    domain.hear(heard(domain, "eve", MAYBE))
    control(domain, MAYBE)
    assert not answers(domain)
    domain.hear(heard(domain, "ann", YES))
    result = answers(domain)
    assert result["ann"].reason is Reason.mailbox_accepted
    assert result["eve"].reason is Reason.mailbox_not_found


def test_a_yes_elsewhere_is_proof_as_well() -> None:
    domain = DomainState("acme.test", "mixed")
    domain.hear(heard(domain, "eve", MAYBE))
    control(domain, MAYBE)
    assert answers(domain, elsewhere=True)["eve"].reason is Reason.mailbox_not_found


def test_without_any_yes_an_ambiguous_no_stays_open_to_the_end() -> None:
    domain = DomainState("acme.test", "mixed")
    domain.hear(heard(domain, "eve", MAYBE))
    control(domain, MAYBE)
    answer = answers(domain, last_call=True)["eve"]
    assert REASONS[answer.reason].status is Status.unknown


def test_an_ambiguous_no_that_differs_from_the_control_s_is_not_called_unknown_mailbox() -> None:
    domain = DomainState("acme.test", "mixed")
    domain.hear(heard(domain, "eve", MAYBE))
    domain.hear(heard(domain, "ann", YES))
    control(domain, NO)
    assert REASONS[answers(domain)["eve"].reason].status is Status.unknown


@given(
    replies=st.lists(st.sampled_from([YES, MAYBE]), min_size=1, max_size=8),
    asked=st.sampled_from([YES, NO, MAYBE, LATER, GREY, BLOCK, None]),
    worth=st.sampled_from(["reliable", "mixed", "gateway", "unverifiable"]),
    elsewhere=st.booleans(),
)
def test_everybody_is_answered_at_the_last_call_and_deliverable_needs_a_refused_control(
    replies: list[tuple[int, str]], asked: tuple[int, str] | None, worth: str, elsewhere: bool
) -> None:
    domain = DomainState("acme.test", worth)
    wanted = False
    for number, reply in enumerate(replies):
        wanted |= domain.hear(heard(domain, f"p{number}", reply)) is not None
    if wanted:
        control(domain, asked)
    result = answers(domain, elsewhere=elsewhere, last_call=True)
    assert len(result) == len(replies)
    assert not domain.undecided
    for answer in result.values():
        if answer.reason is Reason.mailbox_accepted:
            assert asked in (NO, MAYBE)
        if REASONS[answer.reason].status is Status.undeliverable:
            assert asked == MAYBE, "the very same refusal"
            assert elsewhere or YES in replies


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
    asked = heard(domain, "ann", YES).asked
    assert asked.patience(5.0) == pytest.approx(5.0, abs=0.1)
    assert asked.patience(500.0) <= 5.0


def test_what_is_kept_of_a_reply_holds_no_address() -> None:
    domain = DomainState("acme.test", "mixed")
    kept = heard(domain, "ann.lee", (550, "5.1.1 <ann.lee@acme.test>: user ann.lee unknown " + "x" * 900))
    assert "ann.lee" not in kept.masked
    assert len(kept.masked) <= 500
