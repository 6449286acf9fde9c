"""A journal keeps what was appended whole, privately, until it is saved."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyarrow as pa
import pytest

import mailvet
from mailvet.runs.journal import Journal, is_in_use, left_behind
from mailvet.runs.saving import JOURNAL_AFTER, TICK

STORE = "duckdb:/somewhere/store.duckdb"


def verdicts(*addresses: str) -> pa.Table:
    return mailvet.verify_many(addresses, depth="offline")


def found(folder: Path) -> list[str]:
    emails: list[str] = []
    for each in left_behind(STORE, folder):
        table = each.verdicts()
        assert table is not None
        emails += table["email"].to_pylist()
    return emails


def test_what_was_appended_is_found_when_the_run_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(STORE, "run1", folder)
    journal.append(verdicts("ann@example.com"))
    journal.append(verdicts("bob@example.com", "cy@example.com"))
    assert found(folder) == []  # its run is at work
    assert is_in_use(STORE, folder)
    journal.close()
    assert found(folder) == ["ann@example.com", "bob@example.com", "cy@example.com"]
    assert not is_in_use(STORE, folder)
    assert list(left_behind("duckdb:/another.duckdb", folder)) == []


def test_folder_and_files_are_for_their_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(STORE, "run1", folder)
    journal.append(verdicts("ann@example.com"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in journal.paths] == [0o600]
    journal.close()


def test_a_folder_that_is_open_to_others_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="open to others"):
        Journal(STORE, "run1", folder).append(verdicts("ann@example.com"))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        Journal(STORE, "run1", tmp_path / "link").append(verdicts("ann@example.com"))


def test_what_is_saved_is_dropped_and_what_came_later_is_not(tmp_path: Path) -> None:
    journal = Journal(STORE, "run1", tmp_path / "journal")
    journal.append(verdicts("ann@example.com"))
    number = journal.cut()
    journal.append(verdicts("bob@example.com"))
    journal.drop(number)
    journal.close()
    assert found(tmp_path / "journal") == ["bob@example.com"]


@pytest.mark.parametrize("cut", [1, 40, 400, 1_000])
def test_a_file_that_was_cut_off_is_read_up_to_its_last_whole_batch(tmp_path: Path, cut: int) -> None:
    journal = Journal(STORE, "run1", tmp_path / "journal")
    journal.append(verdicts("ann@example.com"))
    journal.append(verdicts("bob@example.com"))
    journal.close()
    (path,) = (tmp_path / "journal").iterdir()
    os.truncate(path, path.stat().st_size - cut)
    assert found(tmp_path / "journal") == ["ann@example.com"]


def test_a_file_that_is_no_journal_is_told_and_set_aside(tmp_path: Path) -> None:
    journal = Journal(STORE, "run1", tmp_path / "journal")
    journal.append(verdicts("ann@example.com"))
    journal.close()
    (path,) = (tmp_path / "journal").iterdir()
    path.write_bytes(b"something else " * 100)
    (each,) = left_behind(STORE, tmp_path / "journal")
    assert each.verdicts() is None
    each.set_aside()
    assert list(left_behind(STORE, tmp_path / "journal")) == []


def test_a_result_is_in_the_journal_at_the_latest_after_5_seconds() -> None:
    assert JOURNAL_AFTER + 2 * TICK < 5
