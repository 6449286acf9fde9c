"""mailvet's answers about real servers: NSD, Postfix and postgrey, through the public interface."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

import mailvet
from mailvet.probing import pacing
from mailvet.settings import Settings
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import REASONS, Reason
from tests.servers.real_mail import CASES, GREYLIST_SECONDS, RECIPIENT_RATE, Case, RealMail

pytestmark = pytest.mark.servers

# A server that refuses us may rightly stop its operator, even the run; so these are asked one by one.
REFUSE_US = ("policy", "client refused in the greeting", "client refused at the recipient")
FRIENDLY = tuple(case for case in CASES if case.name not in REFUSE_US)
HOSTILE = tuple(case for case in CASES if case.name in REFUSE_US)


def verify(mail: RealMail, *addresses: str) -> list[dict[str, Any]]:
    settings = Settings.load(mail.settings_path)
    rows: list[dict[str, Any]] = mailvet.verify_many(addresses, depth="smtp", settings=settings).to_pylist()
    assert [row["email"] for row in rows] == list(addresses)
    return rows


@pytest.fixture(scope="module")
def answers(real_mail: RealMail) -> dict[str, dict[str, Any]]:
    """Case name -> verdict row, all asked in one run."""
    rows = verify(real_mail, *(case.email for case in FRIENDLY))
    return dict(zip((case.name for case in FRIENDLY), rows, strict=True))


def assert_is(case: Case, row: dict[str, Any]) -> None:
    assert row["reason"] in case.reasons, row
    assert row["status"] == REASONS[Reason(row["reason"])].status
    assert case.email not in (row["smtp_reply"] or "")
    if case.mx_host is not None:
        assert row["mx_host"] == case.mx_host
    if case.smtp_code is not None and len(case.reasons) == 1 and row["reason"] != "smtputf8_unsupported":
        assert row["smtp_code"] == case.smtp_code


@pytest.mark.parametrize("case", FRIENDLY, ids=lambda case: case.name)
def test_each_manner_has_its_reason(answers: dict[str, dict[str, Any]], case: Case) -> None:
    assert_is(case, answers[case.name])


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_a_refusal_of_us_has_its_reason(real_mail: RealMail, case: Case) -> None:
    [row] = verify(real_mail, case.email)
    assert_is(case, row)


def test_a_refusal_of_us_never_says_undeliverable(real_mail: RealMail) -> None:
    rows = verify(real_mail, "alice@blocked.test", "alice@delayed.test", "unheard.of@blocked.test")
    assert {row["status"] for row in rows} == {"unknown"}
    assert {row["recommendation"] for row in rows} == {"reverify"}


def test_a_temporary_reply_never_says_undeliverable(answers: dict[str, dict[str, Any]]) -> None:
    temporary = [row for row in answers.values() if row["smtp_code"] and 400 <= row["smtp_code"] < 500]
    assert temporary, "full and greylisted mailboxes answer so"
    assert "undeliverable" not in {row["status"] for row in temporary}


def test_undeliverable_by_smtp_rests_on_a_permanent_reply(answers: dict[str, dict[str, Any]]) -> None:
    layers = {reason: rule.layer for reason, rule in REASONS.items()}
    refused = [
        row
        for row in answers.values()
        if row["status"] == "undeliverable"
        and layers[Reason(row["reason"])] == "mailbox"
        and row["reason"] != "smtputf8_unsupported"
    ]
    assert refused
    assert all(500 <= row["smtp_code"] < 600 for row in refused)


def test_the_table_keeps_order_length_and_schema(real_mail: RealMail) -> None:
    addresses = ["alice@ok.test", "no address", "nobody@ok.test", "alice@ok.test", "alice@null.test"]
    table = mailvet.verify_many(addresses, depth="smtp", settings=Settings.load(real_mail.settings_path))
    assert table.schema.equals(verdict_schema())
    assert table["email"].to_pylist() == addresses
    assert table["reason"].to_pylist() == [
        "mailbox_accepted",
        "syntax_invalid",
        "mailbox_not_found",
        "mailbox_accepted",
        "null_mx",
    ]


def test_a_greylisted_mailbox_is_unknown_first_and_accepted_later(real_mail: RealMail) -> None:
    [first] = verify(real_mail, "carol@grey.test")
    assert (first["status"], first["reason"]) == ("unknown", "greylisted")
    assert first["next_check_at"] > first["checked_at"]
    time.sleep(GREYLIST_SECONDS + 0.5)
    [second] = verify(real_mail, "carol@grey.test")
    assert (second["status"], second["reason"]) == ("deliverable", "mailbox_accepted")


def test_a_rate_limit_leaves_the_rest_for_later(real_mail: RealMail, monkeypatch: pytest.MonkeyPatch) -> None:
    # The pauses that follow each other (2, 4, 8, ... s) are tested elsewhere; Postfix counts over a minute.
    monkeypatch.setattr(pacing, "_FIRST_PAUSE", 0.05)
    rows = verify(real_mail, *(f"user{number}@rate.test" for number in range(1, RECIPIENT_RATE + 4)))
    reasons = [row["reason"] for row in rows]
    assert "sender_throttled" in reasons
    # Beside it only good answers, and what was left alone after the first "too many".
    assert set(reasons) <= {"sender_throttled", "mailbox_accepted", "accept_all", "not_probed"}
    assert all(row["next_check_at"] for row in rows if row["status"] == "unknown")


def test_a_server_that_hangs_up_after_errors_loses_nobody(real_mail: RealMail) -> None:
    unknown = [f"nobody{number}@errors.test" for number in range(6)]
    *refused, known = verify(real_mail, *unknown, "alice@errors.test")
    assert known["status"] in {"deliverable", "unknown"}
    assert {row["status"] for row in refused} <= {"undeliverable", "unknown"}
    assert "mailbox_not_found" in {row["reason"] for row in refused}
    assert all(row["smtp_code"] == 550 for row in refused if row["status"] == "undeliverable")


def test_the_error_limits_of_postfix_are_learnt_and_nobody_living_is_lost(real_mail: RealMail) -> None:
    living = [f"member{number}@slow.test" for number in range(20)]
    dead = [f"nobody{number}@slow.test" for number in range(120)]
    mixed = [cell for group in zip(living, *(dead[n::6] for n in range(6)), strict=True) for cell in group]
    log = real_mail.logs / "postfix" / "postfix.log"
    before = len(log.read_text(errors="replace"))
    rows = dict(zip(mixed, verify(real_mail, *mixed), strict=True))
    assert {rows[cell]["reason"] for cell in living} == {"mailbox_accepted"}
    assert {rows[cell]["reason"] for cell in dead} == {"mailbox_not_found"}
    time.sleep(0.3)
    assert "too many errors" not in log.read_text(errors="replace")[before:], "the hard limit was never reached"


def test_no_conversation_sends_or_is_left_hanging(real_mail: RealMail, answers: dict[str, dict[str, Any]]) -> None:
    assert answers
    time.sleep(0.3)  # Postfix writes its last line when the client is gone
    log = (real_mail.logs / "postfix" / "postfix.log").read_text(errors="replace")
    ends = re.findall(r"disconnect from unknown\[127\.0\.0\.1\](.*)", log)
    assert ends
    assert not [end for end in ends if re.search(r"\b(data|bdat|vrfy|expn|unknown)=", end)]
    left = re.findall(r"lost connection after .* from unknown\[127\.0\.0\.1\]", log)
    assert not left, "every conversation ends with QUIT"
