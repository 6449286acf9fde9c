"""Stored replies read again after the rules have improved: what changes, and what must not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mailvet.errors import SourceError
from mailvet.probing.domain import MailboxResult
from mailvet.reference.own_lists import OwnLists
from mailvet.runs.reclassify import open_verdicts, reclassify, reread
from mailvet.settings import Settings
from mailvet.verdict import Evidence, Verdict, verdict_schema
from mailvet.verification import scalar
from mailvet.verification.verdict_settings import VerdictSettings
from mailvet.vocabulary import RULES_VERSION, Reason, Recommendation, Status
from mailvet.warehouse.opening import open_store

SETTINGS = Settings.load(depth="offline")
LONG_AGO = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
UNKNOWN = "5.1.1 <recipient>: Recipient address rejected: User unknown"
POLICY = "5.7.1 Your address is on a block list, see <blocklist>"


def stored(
    reason: Reason, code: int, reply: str, detail: str | None = None, cell: str = "ann@acme.com", attempts: int = 1
) -> Verdict:
    """A verdict as a run with other rules would have stored it."""
    finding = scalar.examine(cell, OwnLists(), allow_special_use=False)
    finding.add_mailbox_result(MailboxResult(reason, code, reply, "mx.acme.com", detail=detail))
    verdict = scalar.judge(finding, VerdictSettings.of(SETTINGS), lists_digest="own")
    next_check_at = LONG_AGO + timedelta(days=1)
    return replace(
        verdict, checked_at=LONG_AGO, next_check_at=next_check_at, rules_version="2025.01+own", attempts=attempts
    )


def test_a_reply_that_is_read_as_before_leaves_the_verdict_alone() -> None:
    verdict = stored(Reason.mailbox_not_found, 550, UNKNOWN)
    assert reread(verdict, SETTINGS) is verdict


def test_a_refusal_once_taken_for_ours_becomes_what_it_says() -> None:
    verdict = stored(Reason.sender_blocked, 550, UNKNOWN, attempts=4)
    now = reread(verdict, SETTINGS)
    assert now is not None
    assert (now.status, now.reason) == (Status.undeliverable, Reason.mailbox_not_found)
    assert now.recommendation is Recommendation.do_not_send
    assert now.score < verdict.score
    assert now.attempts == 1
    # The answer is as old as it was, and so is its due date.
    assert now.checked_at == LONG_AGO
    assert now.next_check_at == LONG_AGO + timedelta(days=180)
    assert now.evidence == (Evidence("mailbox", "mailbox_not_found", UNKNOWN),)
    assert now.rules_version == f"{RULES_VERSION}+own"
    kept = ("email_key", "email", "smtp_code", "smtp_reply", "mx_host", "flags", "run_id", "depth")
    assert [getattr(now, name) for name in kept] == [getattr(verdict, name) for name in kept]


def test_a_mailbox_wrongly_called_dead_comes_back() -> None:
    now = reread(stored(Reason.mailbox_not_found, 550, POLICY), SETTINGS)
    assert now is not None
    assert (now.status, now.reason) == (Status.unknown, Reason.sender_blocked)


@pytest.mark.parametrize(
    ("reason", "code", "reply", "detail"),
    [
        (Reason.mailbox_not_found, 550, "5.7.1 Access denied", "compared with a random address"),
        (Reason.accept_all, 250, "2.1.5 Ok", None),
        (Reason.mailbox_accepted, 250, "2.1.5 Ok", None),
        (Reason.sender_throttled, 550, UNKNOWN, "the server began to refuse everybody"),
    ],
)
def test_what_rested_on_other_replies_is_kept(reason: Reason, code: int, reply: str, detail: str | None) -> None:
    assert reread(stored(reason, code, reply, detail), SETTINGS) is None


@pytest.mark.parametrize("stage", ["connect", "hello", "mail"])
def test_a_refusal_before_rcpt_never_speaks_of_a_mailbox(stage: str) -> None:
    verdict = stored(Reason.protocol_error, 550, UNKNOWN, f"at {stage}: {UNKNOWN}")
    now = reread(verdict, SETTINGS)
    assert now is not None
    assert now.status is Status.unknown


def test_a_reply_that_has_to_be_compared_is_due_and_keeps_its_verdict() -> None:
    verdict = stored(Reason.mailbox_not_found, 550, "5.7.1 <recipient>: Recipient address rejected: Access denied")
    now = reread(verdict, SETTINGS)
    assert now is not None
    assert now.reason is Reason.mailbox_not_found
    assert now.next_check_at == LONG_AGO
    assert reread(now, SETTINGS) == now


def test_what_other_layers_found_still_counts() -> None:
    verdict = stored(Reason.mailbox_not_found, 550, POLICY)
    bounced = replace(
        verdict, reason=Reason.hard_bounced, evidence=(Evidence("history", "hard_bounced"), *verdict.evidence)
    )
    now = reread(bounced, SETTINGS)
    assert now is not None
    assert now.reason is Reason.hard_bounced
    assert now.next_check_at == bounced.next_check_at
    assert now.evidence[1].fact == "sender_blocked"


def test_an_address_that_needs_smtputf8_is_read_as_such() -> None:
    verdict = stored(Reason.sender_blocked, 553, "non-ASCII address", cell="änn@acme.com")
    now = reread(verdict, SETTINGS)
    assert now is not None
    assert now.reason is Reason.smtputf8_unsupported


# --- a store ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.duckdb"
    duckdb.connect(str(path)).close()
    warehouse = open_store(path, read_only=False)
    warehouse.open_for_writing()
    verdicts = [
        stored(Reason.sender_blocked, 550, UNKNOWN, cell="ann@acme.com"),
        stored(Reason.sender_blocked, 550, UNKNOWN, cell="bob@acme.com"),
        stored(Reason.mailbox_not_found, 550, POLICY, cell="cid@acme.com"),
        stored(Reason.mailbox_not_found, 550, UNKNOWN, cell="dan@acme.com"),
        stored(Reason.mailbox_not_found, 550, "no", "compared with a random address", cell="eve@acme.com"),
        stored(Reason.mailbox_accepted, 250, "Ok", cell="fay@acme.com"),
    ]
    rows = [scalar.as_row(verdict) for verdict in verdicts]
    warehouse.save(pa.Table.from_pylist(rows, schema=verdict_schema()))
    warehouse.close()
    return path


def contents(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute("select * from mailvet_verdicts order by email").fetchall()


EXPECTED = {
    (Reason.sender_blocked, Reason.mailbox_not_found): 2,
    (Reason.mailbox_not_found, Reason.sender_blocked): 1,
}


def test_a_dry_run_counts_and_writes_nothing(store: Path) -> None:
    before = contents(store)
    warehouse = open_store(store, read_only=True)
    result = reclassify(warehouse, SETTINGS)
    warehouse.close()
    assert (result.replies, result.in_context, result.changed) == (5, 1, 3)
    assert result.changes == EXPECTED
    assert contents(store) == before


def test_what_is_written_is_read_again_without_a_change(store: Path) -> None:
    warehouse = open_store(store, read_only=False)
    assert reclassify(warehouse, SETTINGS, write=True).changes == EXPECTED
    assert reclassify(warehouse, SETTINGS, write=True).changed == 0
    warehouse.close()
    with duckdb.connect(str(store), read_only=True) as db:
        found = dict(db.execute("select email, reason from mailvet_verdicts").fetchall())
    assert found["ann@acme.com"] == found["bob@acme.com"] == found["eve@acme.com"] == "mailbox_not_found"
    # A silent answer does not replace a verdict in a run; here it does, because the verdict was wrong.
    assert found["cid@acme.com"] == "sender_blocked"


def test_many_replies_come_in_batches(store: Path) -> None:
    warehouse = open_store(store, read_only=True)
    assert [batch.num_rows for batch in warehouse.replies(2)] == [2, 2, 1]
    warehouse.close()


def test_a_source_that_is_missing_is_named(tmp_path: Path) -> None:
    for source in ("nothing.duckdb", "nothing.csv"):
        with pytest.raises(SourceError, match=r"There is no (database|file) .*nothing"):
            open_verdicts(str(tmp_path / source), SETTINGS, None, writable=False)
