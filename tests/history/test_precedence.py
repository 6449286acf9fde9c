"""Which reason decides where the history says one thing and another layer the other: each cell of the table in docs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from mailvet.vocabulary import REASONS, Reason
from tests.scoring.test_columns import of_layer, verdicts

PAGE = Path(__file__).parents[2] / "docs" / "history.md"


@cache
def cells() -> dict[tuple[str, str], str]:
    """(reason of the history, other reason) -> the one that decides."""
    text = PAGE.read_text("utf-8")
    part = text.split("<!-- generated: precedence -->")[1].split("<!-- end: precedence -->")[0]
    head, _, *rows = [re.findall(r"`(\w+)`", line) for line in part.strip().splitlines()]
    return {(reason, row[0]): decides for row in rows for reason, decides in zip(head, row[1:], strict=True)}


@cache
def judged() -> dict[tuple[str, str], str]:
    rows = [{"history_reason": reason, f"{of_layer(Reason(other))}_reason": other} for reason, other in cells()]
    return dict(zip(cells(), (str(found["reason"]) for found in verdicts(*rows)), strict=True))


@pytest.mark.parametrize("cell", cells())
def test_the_reason_of_the_table_decides(cell: tuple[str, str]) -> None:
    assert judged()[cell] == cells()[cell]


def test_the_table_has_every_reason() -> None:
    assert {other for _, other in cells()} == {str(r.reason) for r in REASONS.values() if r.layer != "history"}
    assert {reason for reason, _ in cells()} == {str(r.reason) for r in REASONS.values() if r.layer == "history"}


@pytest.mark.parametrize(
    ("history", "other", "decides"),
    [
        ("recently_delivered", "mailbox_not_found", "mailbox_not_found"),
        ("recently_engaged", "domain_not_found", "domain_not_found"),
        ("recently_engaged", "role_account", "recently_engaged"),
        ("recently_delivered", "accept_all", "recently_delivered"),
        ("recently_delivered", "greylisted", "recently_delivered"),
        ("recently_delivered", "not_probed", "recently_delivered"),
        ("recently_engaged", "suspected_trap", "suspected_trap"),
        ("hard_bounced", "mailbox_accepted", "hard_bounced"),
        ("inactive", "mailbox_accepted", "inactive"),
        ("suppressed", "syntax_invalid", "suppressed"),
    ],
)
def test_what_was_decided_on_purpose(history: str, other: str, decides: str) -> None:
    assert cells()[history, other] == decides


def test_the_allow_list_does_not_outweigh_a_complaint_and_an_engaged_role_is_sent_to() -> None:
    allowed, role = verdicts(
        {"history_reason": "suppressed", "allowed": True},
        {"history_reason": "recently_engaged", "reference_reason": "role_account", "role": True},
    )
    assert (allowed["reason"], allowed["recommendation"]) == ("suppressed", "do_not_send")
    assert (role["reason"], role["recommendation"]) == ("recently_engaged", "send")
