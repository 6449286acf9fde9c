"""Replies of others, and wordings in many languages, are read as they are labelled."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from mailvet.smtp.reply_reading import read_reply
from mailvet.vocabulary import REASONS, Reason, Status

DATA = Path(__file__).parents[1] / "data"


class Public(NamedTuple):
    stage: str
    code: int
    text: str
    expected: frozenset[str]


def rows(name: str, delimiter: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        if delimiter == "\t":
            return list(csv.DictReader(lines, dialect="excel-tab", quoting=csv.QUOTE_NONE))
        return list(csv.DictReader(lines))


PUBLIC = [
    Public(row["stage"], int(row["code"]), row["text"].replace("\\n", "\n"), frozenset(row["expected"].split("|")))
    for row in rows("replies_public.tsv", "\t")
]
WORDINGS = [(row["about"], int(row["code"]), row["text"]) for row in rows("replies_wordings.csv", ",")]


def reason_of(stage: str, code: int, text: str) -> Reason | None:
    return read_reply(stage, code, text, recipient="ann@example.com").reason


def status_of(reason: Reason | None) -> Status:
    return Status.deliverable if reason is None else REASONS[reason].status


def test_the_sets_are_large_enough() -> None:
    assert len(PUBLIC) == 1362
    assert len(WORDINGS) >= 500


@pytest.mark.parametrize("reply", PUBLIC, ids=lambda reply: f"{reply.code} {reply.text[:40]}")
def test_a_public_reply_has_the_status_of_its_label(reply: Public) -> None:
    reason = reason_of(reply.stage, reply.code, reply.text)
    if reply.expected == {"ambiguous"}:
        assert status_of(reason) is not Status.undeliverable
    else:
        assert status_of(reason) in {status_of(Reason(name)) for name in reply.expected if name != "ambiguous"}


@pytest.mark.parametrize(("about", "code", "text"), WORDINGS, ids=lambda value: str(value)[:40])
def test_a_wording_is_read_by_its_subject(about: str, code: int, text: str) -> None:
    reason = reason_of("rcpt", code, text)
    if about == "full":
        assert reason is Reason.mailbox_full
    else:
        assert (status_of(reason) is Status.undeliverable) == (about == "unknown")


@pytest.mark.parametrize("code", [421, 450, 451])
def test_the_same_words_in_a_temporary_reply_are_never_undeliverable(code: int) -> None:
    texts = [text for _, _, text in WORDINGS] + [reply.text for reply in PUBLIC]
    assert [text for text in texts if status_of(reason_of("rcpt", code, text)) is Status.undeliverable] == []


@pytest.mark.parametrize("stage", ["connect", "hello", "mail"])
def test_the_same_words_before_rcpt_are_never_undeliverable(stage: str) -> None:
    texts = [text for _, _, text in WORDINGS] + [reply.text for reply in PUBLIC]
    assert [text for text in texts if status_of(reason_of(stage, 550, text)) is Status.undeliverable] == []
