"""A newer list of disposable domains replaces the packaged one whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailvet import verify
from mailvet.cli.commands import app
from mailvet.data.lists import packaged_disposable_domains
from mailvet.errors import SettingsError
from mailvet.reference.own_lists import OwnLists
from mailvet.reference.updated_list import forget_kept
from mailvet.reference.updates import update_disposable


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "lists"
    monkeypatch.setenv("MAILVET_LISTS_FOLDER", str(place))
    forget_kept()
    yield place
    monkeypatch.undo()
    forget_kept()


def packaged(*more: str) -> str:
    return "\n".join([*sorted(packaged_disposable_domains()), *more])


def test_an_update_says_what_changed_and_counts_at_once(tmp_path: Path, folder: Path) -> None:
    assert "disposable" not in verify("ann@newly-thrown-away.org", depth="offline").flags
    digest = OwnLists().digest
    source = tmp_path / "newer.txt"
    source.write_text(
        f"# a comment\n{packaged('newly-thrown-away.org', 'gmail.com', 'bücher-weg.de')}\n", encoding="utf-8"
    )
    done = update_disposable(source)
    assert (done.added, done.removed) == (2, 0)
    assert "gmail.com" in done.left_out
    assert done.path.parent == folder
    assert "disposable" in verify("ann@newly-thrown-away.org", depth="offline").flags
    assert "disposable" not in verify("ann@gmail.com", depth="offline").flags
    assert OwnLists().digest != digest


@pytest.mark.parametrize(
    ("suffix", "write"),
    [(".json", json.dumps), (".csv", lambda names: "\n".join(["kind,domain", *(f"x,{name}" for name in names)]))],
)
def test_csv_and_json_are_read_too(suffix: str, write: object, tmp_path: Path) -> None:
    source = tmp_path / f"newer{suffix}"
    assert callable(write)
    source.write_text(write([*sorted(packaged_disposable_domains()), "newly-thrown-away.org"]), encoding="utf-8")
    assert update_disposable(source).added == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no domain"),
        ("no domain\nmailinator.com\n", "no domain in line 1"),
        ("mailinator.com\n", "--force"),
        ("ann@mailinator.com\n", "no domain in line 1"),
    ],
)
def test_a_list_that_cannot_be_right_changes_nothing(text: str, said: str, tmp_path: Path, folder: Path) -> None:
    source = tmp_path / "newer.txt"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        update_disposable(source)
    assert not folder.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        update_disposable(tmp_path / "missing.txt")


def test_a_list_that_cannot_be_kept_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be", encoding="utf-8")
    source = tmp_path / "newer.txt"
    source.write_text(packaged("newly-thrown-away.org"), encoding="utf-8")
    with pytest.raises(SettingsError, match="MAILVET_LISTS_FOLDER"):
        update_disposable(source)
    assert folder.read_text("utf-8") == "a file where the folder should be"


def test_the_command_line_updates_and_lists(tmp_path: Path) -> None:
    source = tmp_path / "newer.txt"
    source.write_text("mailinator.com\nnewly-thrown-away.org\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["lists", "update", "--from", str(source), "--force"])
    assert done.exit_code == 0, done.output
    assert "1 added" in done.output
    assert "removed" in done.output
    shown = CliRunner().invoke(app, ["lists"])
    assert shown.exit_code == 0
    assert "disposable_domains" in shown.output
