"""Bounce mail becomes events, by our own reading of the reply."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from mailvet.history.bounce_mail import events_of_mail
from mailvet.history.records import Event, Unusable

NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)


def report(action: str, status: str, diagnostic: str, *, recipient: str = "rfc822; ann@acme.example") -> bytes:
    return f"""From: MAILER-DAEMON@mx.example
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <report-1@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}

--b
Content-Type: message/rfc822

Message-ID: <news-1@shop.example>
From: news@shop.example
To: ann@acme.example

hello
--b--
""".encode()


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "event"),
    [
        (
            "failed",
            "5.1.1",
            "smtp; 550 5.1.1 <ann@acme.example>: Recipient address rejected: User unknown",
            "hard_bounce",
        ),
        ("failed", "5.1.1", "smtp; 550 No such user here", "hard_bounce"),
        ("failed", "4.2.2", "smtp; 452 4.2.2 Mailbox full", "soft_bounce"),
        ("failed", "5.2.2", "smtp; 552 5.2.2 Mailbox over quota", "soft_bounce"),
        ("failed", "5.7.1", "smtp; 550 5.7.1 Your IP address is listed at zen.spamhaus.org", "block"),
        ("failed", "4.4.1", "smtp; connect to mx.example: timed out", "soft_bounce"),
        ("delayed", "4.4.1", "smtp; 450 4.4.1 try later", "deferred"),
        ("delivered", "2.1.5", "smtp; 250 ok", "delivered"),
    ],
)
def test_a_delivery_report_gets_the_event_its_reply_means(
    action: str, status: str, diagnostic: str, event: str
) -> None:
    (found,) = events_of_mail(report(action, status, diagnostic), now=NOW)
    assert isinstance(found, Event)
    assert (str(found.event), found.email) == (event, "ann@acme.example")
    assert (found.event_id, found.message_id) == ("<report-1@mx.example>", "<news-1@shop.example>")
    assert found.occurred_at == datetime(2026, 11, 20, 10, tzinfo=timezone.utc)


def test_a_failure_that_says_nothing_is_class_missing() -> None:
    (found,) = events_of_mail(report("failed", "", ""), now=NOW)
    assert found == Unusable("class_missing", "action failed")


def complaint(kind: str, fields: str = "Original-Rcpt-To: <ann@acme.example>\n") -> bytes:
    return f"""From: fbl@isp.example
Date: Fri, 20 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
{fields}
--b
Content-Type: message/rfc822

From: news@shop.example
To: Ann <ann@acme.example>
Message-ID: <news-1@shop.example>

hello
--b--
""".encode()


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (complaint("abuse"), "complaint"),
        (complaint("abuse", ""), "complaint"),
        (complaint("opt-out"), "unsubscribe"),
    ],
)
def test_a_feedback_report_is_a_complaint_or_an_opt_out(raw: bytes, event: str) -> None:
    (found,) = events_of_mail(raw, now=NOW)
    assert isinstance(found, Event)
    assert (str(found.event), found.email) == (event, "ann@acme.example")


def test_a_report_of_microsofts_program_is_a_complaint() -> None:
    raw = b"""From: staff@hotmail.com
Date: Fri, 20 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: ann@outlook.example
From: news@shop.example
Message-ID: <news-1@shop.example>

hello
--b--
"""
    (found,) = events_of_mail(raw, now=NOW)
    assert isinstance(found, Event)
    assert (str(found.event), found.email) == ("complaint", "ann@outlook.example")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"From: a\n\nan ordinary mail",
        b"Content-Type: multipart/report; boundary=x\n\n--x\n" * 400,
        b"Content-Type: message/delivery-status\n\nAction: failed\nFinal-Recipient: rfc822;" + b"a" * 10_000,
        b"Content-Type: message/feedback-report; charset=nonsense\nContent-Transfer-Encoding: base64\n\n!!!",
        report("failed", "5.1.1", "smtp; 550 no", recipient="rfc822; =?x?y?z?="),
        report("failed", "5.1.1", "smtp; 550 " + "(" * 20_000),
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\nContent-Type: message/rfc822\n\n" * 3000,
    ],
)
def test_mail_that_is_none_or_made_to_break_parsers_gives_at_most_a_count(raw: bytes) -> None:
    found = events_of_mail(raw, now=NOW)
    assert found
    assert all(isinstance(each, Unusable) or each.email == "ann@acme.example" for each in found)


def test_a_report_dated_in_the_future_is_counted() -> None:
    raw = report("failed", "5.1.1", "smtp; 550 5.1.1 no").replace(b"2026 10", b"2036 10")
    assert events_of_mail(raw, now=NOW) == [Unusable("future", "hard_bounce")]
