"""No output takes the place of an input, of another output, or of a file that mailvet did not write."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mailvet.cli.commands import ExitCode, app
from mailvet.errors import MailvetError, SettingsError, SourceError
from mailvet.runs.outputs import Input, Output, check_outputs, is_report, same_file
from tests.attacks.counting import Tried

runner = CliRunner()
_CONTACTS = "email,country\nann@a.test,DE\nnot an address,FR\n"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stderr: str


def mailvet(*arguments: str) -> Done:
    """The command line, in this process; what an error on purpose says stands in `stderr`."""
    done = runner.invoke(app, list(arguments))
    if isinstance(done.exception, MailvetError):
        return Done(int(ExitCode.bad_input), str(done.exception))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.output)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with contacts, a store, settings, a list and events."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contacts.csv").write_text(_CONTACTS)
    (tmp_path / "suppress.txt").write_text("no@a.test\n")
    (tmp_path / "events.csv").write_text("email,event,occurred_at\nann@a.test,open,2026-01-01\n")
    (tmp_path / "mailvet.toml").write_text(
        'depth = "offline"\n[store]\npath = "store.duckdb"\n[lists]\nsuppress = ["suppress.txt"]\n'
        '[history]\nevents = "events.csv"\n'
    )
    assert mailvet("verify", "contacts.csv", "--output", "first.csv").returncode == 0
    return tmp_path


_INPUTS = ("contacts.csv", "store.duckdb", "mailvet.toml", "suppress.txt", "events.csv")


@pytest.mark.parametrize("name", _INPUTS)
@pytest.mark.parametrize("how", ["itself", "link", "hard link", "dots"])
def test_no_report_replaces_an_input(home: Path, name: str, how: str, tried: Tried) -> None:
    tried("outputs over inputs", 2)
    before = (home / name).read_bytes()
    path = home / name
    if how != "itself":
        path = home / "report.html"
    if how == "link":
        path.symlink_to(home / name)
    elif how == "hard link":
        os.link(home / name, path)
    elif how == "dots":
        (home / "sub").mkdir()
        path = home / "sub" / ".." / name
    for arguments in (
        ("report", "contacts.csv", "--output", str(path), "--overwrite"),
        ("verify", "contacts.csv", "--output", "new.csv", "--report", str(path), "--overwrite"),
    ):
        done = mailvet(*arguments)
        assert done.returncode == 2, done.stderr
        assert "would replace it" in done.stderr
    assert (home / name).read_bytes() == before
    assert not (home / "new.csv").exists()


@pytest.mark.parametrize("name", ["store.duckdb", "mailvet.toml", "suppress.txt", "events.csv"])
def test_no_result_replaces_an_input(home: Path, name: str, tried: Tried) -> None:
    tried("outputs over inputs", 1)
    before = (home / name).read_bytes()
    (home / "out.csv").symlink_to(home / name)
    done = mailvet("verify", "contacts.csv", "--output", "out.csv", "--overwrite")
    assert done.returncode == 2
    assert "would replace it" in done.stderr
    assert (home / name).read_bytes() == before


def test_no_part_of_a_split_result_replaces_the_source(home: Path, tried: Tried) -> None:
    tried("outputs over inputs", 1)
    (home / "contacts.csv").rename(home / "list.send.csv")
    done = mailvet("verify", "list.send.csv", "--output", "list.csv", "--split-by", "recommendation", "--overwrite")
    assert done.returncode == 2
    assert "is the source itself" in done.stderr
    assert (home / "list.send.csv").read_text() == _CONTACTS


def test_two_outputs_are_two_files(home: Path) -> None:
    done = mailvet("verify", "contacts.csv", "--output", "new.csv", "--report", "NEW.csv")
    assert done.returncode == 2
    assert "both name" in done.stderr


def test_a_list_is_verified_in_place_with_every_row_kept(home: Path) -> None:
    assert mailvet("verify", "contacts.csv", "--output", "contacts.csv").returncode == 0
    lines = (home / "contacts.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("email,country,mailvet_status")


def test_what_mailvet_wrote_is_replaced_and_nothing_else(home: Path, tried: Tried) -> None:
    tried("outputs over files that mailvet did not write", 3)
    again = ("verify", "contacts.csv", "--output", "first.csv", "--report", "report.html")
    for _ in range(2):
        assert mailvet(*again).returncode == 0
    theirs = (home / "first.csv").read_text() + "added@by.hand,DE,,,,,,\n"
    (home / "first.csv").write_text(theirs)
    done = mailvet(*again)
    assert done.returncode == 2
    assert "was changed since mailvet wrote it" in done.stderr
    assert (home / "first.csv").read_text() == theirs
    assert mailvet(*again, "--overwrite").returncode == 0
    (home / "notes.html").write_text("<p>mine</p>")
    (home / "notes.csv").write_text("mine\n")
    for arguments in (("--report", "notes.html"), ("--output", "notes.csv")):
        rest = () if "--output" in arguments else ("--output", "other.csv")
        done = mailvet("verify", "contacts.csv", *rest, *arguments)
        assert done.returncode == 2
        assert "was not written by mailvet" in done.stderr
    assert (home / "notes.html").read_text() == "<p>mine</p>"
    assert (home / "notes.csv").read_text() == "mine\n"


def test_a_lab_writes_over_no_settings_of_the_users(home: Path, tried: Tried) -> None:
    tried("outputs over files that mailvet did not write", 3)
    before = (home / "mailvet.toml").read_bytes()
    for arguments in (("--config", "mailvet.toml"), ("--counters", "contacts.csv"), ("--counters", "mailvet-lab.toml")):
        done = mailvet("lab", *arguments)
        assert done.returncode == 2, done.stderr
    assert (home / "mailvet.toml").read_bytes() == before
    assert (home / "contacts.csv").read_text() == _CONTACTS


def _folders(tmp_path: Path) -> Sequence[tuple[Path, Path, bool]]:
    (tmp_path / "a.csv").write_text("a")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "hard.csv")
    (tmp_path / "b.csv").write_text("b")
    (tmp_path / "folder").symlink_to(tmp_path)
    return (
        (tmp_path / "a.csv", tmp_path / "link.csv", True),
        (tmp_path / "a.csv", tmp_path / "hard.csv", True),
        (tmp_path / "a.csv", tmp_path / "folder" / "a.csv", True),
        (tmp_path / "a.csv", tmp_path / "b.csv", False),
        (tmp_path / "new.csv", tmp_path / "folder" / "new.csv", True),
        (tmp_path / "new.csv", tmp_path / "NEW.csv", True),
        (tmp_path / "n\u00e9w.csv", tmp_path / "ne\u0301w.csv", True),
        (tmp_path / "new.csv", tmp_path / "newer.csv", False),
    )


def test_paths_are_compared_as_files(tmp_path: Path) -> None:
    for left, right, same in _folders(tmp_path):
        assert same_file(left, right) is same, (left, right)
        assert same_file(right, left) is same, (left, right)


def test_overwriting_is_a_leave_for_files_not_for_inputs(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    outputs = [Output("--report", path, is_report)]
    with pytest.raises(SourceError, match="not written by mailvet"):
        check_outputs(outputs, [])
    check_outputs(outputs, [], overwrite=True)
    with pytest.raises(SettingsError, match="the source itself"):
        check_outputs(outputs, [Input("the source", path)], overwrite=True)


def test_a_partial_file_of_another_does_not_lead_a_result_astray(home: Path, tried: Tried) -> None:
    """Names that an attacker could foresee are links to a file that is to be destroyed."""
    tried("links in the way of temporary files", 5)
    victim = home / "victim"
    victim.write_text("kept")
    for name in (
        ".new.csv.part",
        "new.csv.part",
        ".report.html.part",
        f"report.html.{os.getpid()}.part",
        "tmp_new.csv",
    ):
        (home / name).symlink_to(victim)
    assert mailvet("verify", "contacts.csv", "--output", "new.csv", "--report", "report.html").returncode == 0
    assert victim.read_text() == "kept"


def test_files_are_as_private_as_the_source_and_keep_their_mode(home: Path) -> None:
    os.chmod(home / "contacts.csv", 0o640)
    assert mailvet("verify", "contacts.csv", "--output", "new.csv", "--report", "report.html").returncode == 0
    modes = {name: stat.S_IMODE((home / name).stat().st_mode) for name in ("new.csv", "report.html", "store.duckdb")}
    assert modes == {"new.csv": 0o640, "report.html": 0o640, "store.duckdb": 0o600}
    os.chmod(home / "new.csv", 0o604)
    assert mailvet("verify", "contacts.csv", "--output", "new.csv").returncode == 0
    assert stat.S_IMODE((home / "new.csv").stat().st_mode) == 0o604
    with (home / "mailvet.toml").open("a") as settings:
        settings.write('[output]\nmode = "0664"\n')
    assert mailvet("verify", "contacts.csv", "--output", "shared.csv").returncode == 0
    assert stat.S_IMODE((home / "shared.csv").stat().st_mode) == 0o664


def test_an_error_of_an_output_says_which(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(MailvetError, match="--report and --output both name"):
        check_outputs([Output("--output", path, is_report), Output("--report", path, is_report)], [])
