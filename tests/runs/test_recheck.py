"""What `--recheck` may say, and what it means."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from mailvet.errors import SettingsError
from mailvet.runs.recheck import Recheck, RecheckText, parse_recheck
from mailvet.vocabulary import Reason

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=timezone.utc)
MONTH = NOW - timedelta(days=30)
NOT_FOUND, FULL = Reason.mailbox_not_found, Reason.mailbox_full


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("all", Recheck()),
        (" ALL ", Recheck()),
        ("reason=mailbox_not_found", Recheck(frozenset({NOT_FOUND}))),
        ("reason=mailbox_not_found,mailbox_full", Recheck(frozenset({NOT_FOUND, FULL}))),
        ("reason = mailbox_not_found , reason=Mailbox_Full,", Recheck(frozenset({NOT_FOUND, FULL}))),
        (["reason=mailbox_not_found", "reason=mailbox_full"], Recheck(frozenset({NOT_FOUND, FULL}))),
        ("older-than=30d", Recheck(None, MONTH)),
        ("older_than=720h", Recheck(None, MONTH)),
        ("older-than=2026-11-01T13:00:00+01:00", Recheck(None, MONTH)),
        ("older-than=2026-11-01T12:00:00z", Recheck(None, MONTH)),
        ("older-than=2026-11-01", Recheck(None, datetime(2026, 11, 1, tzinfo=timezone.utc))),
        ("reason=mailbox_full,older-than=30d", Recheck(frozenset({FULL}), MONTH)),
        (("older-than=30d", "reason=mailbox_full"), Recheck(frozenset({FULL}), MONTH)),
        (Recheck(frozenset({FULL})), Recheck(frozenset({FULL}))),
        (None, None),
        ("", None),
        (" , ", None),
        ([], None),
    ],
)
def test_what_is_asked_again_is_read_from_one_text_or_several(text: RecheckText, meant: Recheck | None) -> None:
    assert parse_recheck(text, now=NOW) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("everything", "'everything' cannot be read"),
        ("mailbox_not_found", "cannot be read"),
        ("reason=mailbox_gone", "'mailbox_gone' is no reason; there are: .*mailbox_not_found"),
        ("reason=", "needs a reason"),
        ("reason=mailbox_full,all", "all goes with nothing else"),
        ("all,older-than=30d", "all goes with nothing else"),
        ("older-than=a month", "neither a duration nor a time"),
        ("older-than=", "neither a duration nor a time"),
        ("older-than=-3d", "neither a duration nor a time"),
        ("older-than=30d,older-than=40d", "given twice"),
        ("older-than=30d,40d", "'40d' cannot be read"),
        ("newer-than=3d", "cannot be read"),
        ("status=unknown", "cannot be read"),
        ([3], "is no text"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(text: RecheckText, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_recheck(text, now=NOW)


@pytest.mark.parametrize("text", ["all", "reason=mailbox_full,mailbox_not_found", "older-than=30d"])
def test_what_is_written_out_is_read_again(text: str) -> None:
    recheck = parse_recheck(text, now=NOW)
    assert parse_recheck(str(recheck), now=NOW + timedelta(days=1)) == recheck


def test_what_was_asked_since_the_start_is_not_asked_again() -> None:
    assert Recheck().not_since(NOW) == Recheck(None, NOW)
    assert Recheck(None, MONTH).not_since(NOW) == Recheck(None, MONTH)
    assert Recheck(frozenset({FULL}), NOW).not_since(MONTH) == Recheck(frozenset({FULL}), MONTH)
