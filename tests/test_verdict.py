"""The vocabulary: one table, the same answers in Python and in SQL."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.policies import recommend, recommendation_sql
from mailvet.privacy import mask_address
from mailvet.verdict import STATUS_COLUMNS, Evidence, Verdict, email_key, verdict_schema
from mailvet.vocabulary import REASONS, SEND_FROM_SCORE, Depth, Policy, Reason, Recommendation, Status


def test_every_reason_has_exactly_one_rule() -> None:
    assert set(REASONS) == set(Reason)
    assert [rule.reason for rule in REASONS.values()] == list(REASONS)


def test_words_print_compare_and_serialise_as_their_text() -> None:
    assert str(Status.risky) == "risky"
    assert "risky" in list(Status)
    assert f"{Recommendation.do_not_send}" == "do_not_send"
    assert json.dumps(Reason.null_mx) == '"null_mx"'


@pytest.mark.parametrize("policy", Policy)
def test_sql_recommends_what_python_recommends(policy: Policy) -> None:
    cases = [
        (str(reason), score, attempts)
        for reason in Reason
        for score in sorted({0, 39, 40, 41, 59, 60, 61, 89, 90, 91, 100, *SEND_FROM_SCORE.values()})
        for attempts in (0, 1, 2, 3, 4, 50)
    ]
    table = pa.table({name: list(column) for name, column in zip("rsn", zip(*cases, strict=True), strict=True)})
    with duckdb.connect() as db:
        db.register("cases", table)
        expression = recommendation_sql(policy, reason="r", score="s", attempts="n")
        answers = db.execute(f"select r, s, n, {expression} from cases").fetchall()
    assert len(answers) == len(cases)
    different = [
        (reason, score, attempts, said)
        for reason, score, attempts, said in answers
        if said != str(recommend(Reason(reason), policy, score, attempts))
    ]
    assert different == []


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize(
    "reason", [r for r in Reason if REASONS[r].status is Status.unknown and r is not Reason.missing]
)
def test_an_unknown_mailbox_is_never_recommended_as_do_not_send(reason: Reason, policy: Policy) -> None:
    for score in (0, 50, 100):
        assert recommend(reason, policy, score, 99) is not Recommendation.do_not_send


@pytest.mark.parametrize("policy", Policy)
def test_no_policy_sends_to_an_undeliverable_address(policy: Policy) -> None:
    for reason, rule in REASONS.items():
        if rule.status is Status.undeliverable:
            assert recommend(reason, policy, 100, 1) is not Recommendation.send


def test_whatever_is_to_be_verified_again_says_when() -> None:
    for rule in REASONS.values():
        if Recommendation.reverify in (rule.marketing, rule.transactional, rule.signup):
            assert rule.recheck, rule.reason
        assert all(wait > timedelta(0) for wait in rule.recheck)


def test_a_mailbox_full_three_times_is_given_up() -> None:
    policy = Policy.marketing
    assert recommend(Reason.mailbox_full, policy, 75, 2) is Recommendation.reverify
    assert recommend(Reason.mailbox_full, policy, 75, 3) is Recommendation.do_not_send


@pytest.mark.parametrize(("policy", "least"), SEND_FROM_SCORE.items())
def test_an_accept_all_domain_is_sent_to_from_the_score_of_the_policy_on(policy: Policy, least: int) -> None:
    assert recommend(Reason.accept_all, policy, least, 1) is Recommendation.send
    assert recommend(Reason.accept_all, policy, least - 1, 1) is Recommendation.reverify


ODD_TEXTS = [
    "",
    " ",
    "ann@acme.test",
    "Ann@Acme.Test ",
    "ann@müller.test",
    "用户@例子.测试",
    "a\x00b@x.test",
    "\x00",
    "a\r\nb",
    "\t",
    "'; drop table contacts; --",
    '"quoted"@x.test',
    "😀@x.test",
    "e\u0301@x.test",
    "\ufeffann@x.test",
    "\u200b",
    "x" * 100_000,
    "\U0010ffff",
    "\\",
    "%",
    "NULL",
]


def keys_in_sql(texts: list[str]) -> list[str]:
    with duckdb.connect() as db:
        db.register("texts", pa.table({"n": range(len(texts)), "t": pa.array(texts, pa.string())}))
        return [row[0] for row in db.execute("select sha256(t) from texts order by n").fetchall()]


def test_sql_computes_the_same_key_of_odd_texts() -> None:
    assert keys_in_sql(ODD_TEXTS) == [email_key(text) for text in ODD_TEXTS]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=40))
def test_sql_computes_the_same_key_of_any_text(texts: list[str]) -> None:
    assert keys_in_sql(texts) == [email_key(text) for text in texts]


def test_a_missing_cell_has_the_key_of_the_empty_text() -> None:
    assert email_key(None) == email_key("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_lone_surrogate_has_a_key_and_no_error() -> None:
    assert len(email_key("\ud800@x.test")) == 64


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("ann.lee@example.com", "a***@example.com"),
        ("a@b.c", "***@b.c"),
        ("an@b.c", "a***@b.c"),
        (" ann@x.test ", "a***@x.test"),
        ("", "***"),
        ("ann", "a***"),
        ("@x.test", "***@x.test"),
        ("a@b@c.test", "a***@c.test"),
    ],
)
def test_a_masked_address_keeps_one_letter_and_the_domain(address: str, masked: str) -> None:
    assert mask_address(address) == masked


@given(st.text(min_size=3), st.from_regex(r"[a-z]{1,10}\.test", fullmatch=True))
def test_masking_hides_the_local_part(local: str, domain: str) -> None:
    masked = mask_address(f"{local}@{domain}")
    assert masked.endswith(f"***@{domain}")
    assert len(masked) <= len(domain) + 5


def row(**changed: Any) -> dict[str, Any]:
    now = datetime(2026, 11, 1, tzinfo=timezone.utc)
    plain: dict[str, Any] = {
        "email_key": email_key("ann@acme.test"),
        "email": "ann@acme.test",
        "status": "risky",
        "reason": "accept_all",
        "recommendation": "reverify",
        "score": 80,
        "suggestion": None,
        "flags": "role,tagged",
        "domain": "acme.test",
        "operator": "acme.test",
        "mx_host": "mx.acme.test",
        "smtp_code": 250,
        "smtp_reply": "ok",
        "depth": "smtp",
        "evidence": '[{"layer":"mailbox","fact":"accept_all","detail":"250"}]',
        "checked_at": now,
        "next_check_at": now + timedelta(days=30),
        "attempts": 1,
        "run_id": "r",
        "rules_version": "2026.11",
    }
    return plain | changed


def test_a_row_of_the_verdict_table_becomes_a_verdict() -> None:
    table = pa.Table.from_pylist([row()], schema=verdict_schema())
    verdict = Verdict.from_row(table.to_pylist()[0])
    assert (verdict.status, verdict.reason, verdict.depth) == (Status.risky, Reason.accept_all, Depth.smtp)
    assert verdict.flags == ("role", "tagged")
    assert verdict.evidence == (Evidence("mailbox", "accept_all", "250"),)
    assert Verdict.from_row(row(flags="", evidence="[]")).flags == ()


def test_a_verdict_is_plain_json() -> None:
    plain = Verdict.from_row(row()).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["checked_at"] == "2026-11-01T00:00:00+00:00"
    assert plain["evidence"] == [{"layer": "mailbox", "fact": "accept_all", "detail": "250"}]


def test_status_columns_are_columns_of_the_verdict_table() -> None:
    assert set(STATUS_COLUMNS) <= set(verdict_schema().names)
    assert list(Verdict.__slots__) == verdict_schema().names


def test_depths_are_ordered() -> None:
    assert [depth.rank for depth in (Depth.offline, Depth.dns, Depth.smtp)] == [0, 1, 2]
