"""The real servers behave as the cases say; asked with dnspython and smtplib only, without mailvet."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.servers.real_mail import CASES, GREYLIST_SECONDS, HOSTS, RECIPIENT_RATE, Case, RealMail

pytestmark = pytest.mark.servers

SOURCE = "127.0.1.1"
"""These tests come from a network of their own, so that greylisting and rate limits count them apart."""


@contextmanager
def conversation(mail: RealMail, host: str, *, tls: bool = False) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(HOSTS[host], mail.smtp_port, mail.hello_name, timeout=15, source_address=(SOURCE, 0)) as smtp:
        smtp.ehlo()
        if tls:
            smtp.starttls()
            smtp.ehlo()
        yield smtp


def reply_to(smtp: smtplib.SMTP, sender: str, *recipients: str) -> list[tuple[int, str]]:
    smtp.mail(sender)
    return [(code, text.decode()) for code, text in (smtp.rcpt(recipient) for recipient in recipients)]


def ask(mail: RealMail, name: str, kind: str) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    return dns.query.udp(query, mail.nameserver[0], port=mail.nameserver[1], timeout=2)


@pytest.mark.parametrize(
    ("name", "kind", "answers"),
    [
        ("ok.test", "MX", ["10 mx1.ok.test."]),
        ("null.test", "MX", ["0 ."]),
        ("multi.test", "MX", ["10 dead.multi.test.", "20 mx1.ok.test."]),
        ("noaddr.test", "MX", ["10 gone.noaddr.test."]),
        ("aonly.test", "MX", []),
        ("aonly.test", "A", ["127.0.0.2"]),
        ("aonly.test", "AAAA", []),
        ("textonly.test", "MX", []),
        ("textonly.test", "A", []),
        ("probe.test", "A", ["127.0.0.1"]),
        ("mx.grey.test", "A", ["127.0.0.3"]),
    ],
)
def test_a_name_of_the_zone_has_its_records(real_mail: RealMail, name: str, kind: str, answers: list[str]) -> None:
    reply = ask(real_mail, name, kind)
    wanted = dns.rdatatype.from_text(kind)
    found = sorted(str(record) for rrset in reply.answer if rrset.rdtype == wanted for record in rrset)
    assert (reply.rcode(), found) == (dns.rcode.NOERROR, answers)


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("missing.test", "NXDOMAIN"),
        ("gone.noaddr.test", "NXDOMAIN"),
        ("servfail.example", "SERVFAIL"),
        ("elsewhere.example", "REFUSED"),
    ],
)
def test_a_name_without_answer_has_its_error(real_mail: RealMail, name: str, rcode: str) -> None:
    assert dns.rcode.to_text(ask(real_mail, name, "MX").rcode()) == rcode


WORDS = {
    "known": "2.1.5",
    "unknown": "5.1.1 <nobody@ok.test>: Recipient address rejected: User unknown in local recipient table",
    "full": "4.2.2 <full@ok.test>: Recipient address rejected: The email account that you tried to reach",
    "disabled": "5.2.1 <disabled@ok.test>: Recipient address rejected: The email account that you tried to",
    "moved": "5.1.6 <moved@ok.test>: Recipient address rejected: The mailbox has moved",
    "policy": "5.7.1 <barred@policy.test>: Recipient address rejected: Recipient not accepted by policy",
    "relay denied": "5.7.1 <alice@notserved.test>: Relay access denied",
    "greylisted known": "4.2.0 <alice@grey.test>: Recipient address rejected: Greylisted",
    "greylisted unknown": "5.1.1 <nobody@grey.test>: Recipient address rejected: User unknown",
    "verified by the next hop": "2.1.5",
    "refused by the next hop": "5.1.1 <nobody@relay.test>: Recipient address rejected: undeliverable address",
    "catch-all": "2.1.5",
    "client refused at the recipient": "5.7.1 <unknown[127.0.1.1]>: Client host rejected: your IP is listed",
    "mail only under TLS": "2.1.5",
    "unknown, told only under TLS": "5.1.1 <nobody@tls.test>: Recipient address rejected: User unknown",
}
"""Case -> how the server's reply to RCPT TO begins, enhanced code first."""


@pytest.mark.parametrize("case", [case for case in CASES if case.name in WORDS], ids=lambda case: case.name)
def test_a_recipient_gets_its_reply(real_mail: RealMail, case: Case) -> None:
    assert case.mx_host is not None
    with conversation(real_mail, case.mx_host, tls=case.domain == "tls.test") as smtp:
        [(code, text)] = reply_to(smtp, real_mail.mail_from, case.email)
    assert (code, text[: len(WORDS[case.name])]) == (case.smtp_code, WORDS[case.name])


@pytest.mark.parametrize("recipient", ["alice@aonly.test", "alice@multi.test"])
def test_a_domain_without_server_of_its_own_is_served(real_mail: RealMail, recipient: str) -> None:
    with conversation(real_mail, "mx1.ok.test") as smtp:
        assert reply_to(smtp, real_mail.mail_from, recipient)[0][0] == 250


def test_a_random_recipient_is_accepted_only_by_the_catch_all(real_mail: RealMail) -> None:
    with conversation(real_mail, "mx.catchall.test") as smtp:
        assert reply_to(smtp, real_mail.mail_from, "q7x2kd0wvz31@catchall.test")[0][0] == 250
    with conversation(real_mail, "mx1.ok.test") as smtp:
        assert reply_to(smtp, real_mail.mail_from, "q7x2kd0wvz31@ok.test")[0][0] == 550


def test_greylisting_ends_after_its_delay(real_mail: RealMail) -> None:
    def once() -> int:
        with conversation(real_mail, "mx.grey.test") as smtp:
            return reply_to(smtp, real_mail.mail_from, "bob@grey.test")[0][0]

    assert once() == 450
    assert once() == 450, "coming back at once does not help"
    time.sleep(GREYLIST_SECONDS + 0.5)
    assert once() == 250


def test_a_blocked_client_is_refused_in_the_greeting(real_mail: RealMail) -> None:
    with pytest.raises(smtplib.SMTPConnectError) as refused, conversation(real_mail, "mx.blocked.test"):
        pass
    assert refused.value.smtp_code == 554
    assert "Client host rejected: your IP is listed" in str(refused.value.smtp_error)


def test_recipients_above_the_rate_are_put_off(real_mail: RealMail) -> None:
    recipients = [f"user{number}@rate.test" for number in range(1, RECIPIENT_RATE + 3)]
    with conversation(real_mail, "mx.rate.test") as smtp:
        replies = reply_to(smtp, real_mail.mail_from, *recipients)
    assert [code for code, _ in replies] == [250] * RECIPIENT_RATE + [450] * 2
    assert "too many recipients from 127.0.1.1" in replies[-1][1]


def test_too_many_refusals_end_the_conversation(real_mail: RealMail) -> None:
    with conversation(real_mail, "mx.errors.test") as smtp:
        replies = reply_to(smtp, real_mail.mail_from, *(f"nobody{number}@errors.test" for number in range(3)))
        # smtplib closes on 421, and says so itself afterwards.
        code, text = smtp.rcpt("alice@errors.test")
    assert [code for code, _ in replies] == [550, 550, 550]
    assert (code, text) == (421, b"4.7.0 mx.errors.test Error: too many errors")


def test_mail_without_tls_is_refused_where_tls_is_required(real_mail: RealMail) -> None:
    with conversation(real_mail, "mx.tls.test") as smtp:
        assert smtp.has_extn("starttls")
        code, text = smtp.mail(real_mail.mail_from)
    assert (code, text) == (530, b"5.7.0 Must issue a STARTTLS command first")


@pytest.mark.parametrize(("host", "offered"), [("mx1.ok.test", True), ("mx.ascii.test", False)])
def test_smtputf8_is_offered_or_not(real_mail: RealMail, host: str, offered: bool) -> None:
    with conversation(real_mail, host) as smtp:
        assert smtp.has_extn("smtputf8") is offered


def test_nobody_listens_on_the_dead_server(real_mail: RealMail) -> None:
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.99", real_mail.smtp_port, timeout=2)
