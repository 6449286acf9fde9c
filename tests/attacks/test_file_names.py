"""A file is the file named, byte for byte, whatever pattern, folder or link its name might be taken for."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mailvet.private_files import PrivateFolder, new_beside, replaces
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from tests.attacks.counting import Tried

_NAMES = (
    "keep[1]",
    "contacts(1)",
    "a*b",
    "a?b",
    "{a,b}",
    "a b",
    " leading",
    "-dash",
    "--output",
    "quo'te",
    'quo"te',
    "名前",
    "semi;colon",
    "per%20cent",
    "$HOME",
    "~",
    "a\\b",
    "a\\[1]",
    "a\nb",
    "#hash",
    "x=1",
    "http:x",
    "\u202eevil",
    "é",
    "**",
)
_NEIGHBOURS = ("keep1", "aXb", "ab", "a", "b", "leading")
_KINDS = {".csv": "format csv", ".jsonl": "format json", ".parquet": "format parquet"}


def _written(path: Path, query: str) -> bytes:
    plain = path.parent / "plain"
    with duckdb.connect() as db:
        db.execute(f"copy ({query}) to '{plain}' ({_KINDS[path.suffix]})")
    plain.rename(path)
    return path.read_bytes()


@pytest.mark.parametrize("ending", _KINDS)
def test_the_file_named_is_read_and_written_and_no_other(tmp_path: Path, ending: str, tried: Tried) -> None:
    tried("odd file names", len(_NAMES))
    folder = tmp_path / "email=wrong@a.test" / "country=XX"  # as a partition would be called
    folder.mkdir(parents=True)
    neighbours = {
        path: _written(path, "select 'not@a.test' as email, 'no' as id")
        for path in (folder / f"{name}{ending}" for name in _NEIGHBOURS)
    }
    settings = Settings(depth="offline", store={"path": tmp_path / "store.duckdb"})
    for number, name in enumerate(_NAMES):
        source, output = folder / f"{name}{ending}", folder / f"out {name}{ending}"
        before = _written(source, f"select 'n{number}@a.test' as email, 'mine' as id")
        warehouse = open_source(str(source), settings)
        try:
            result = run(warehouse, settings, write_back=False, output=output)
        finally:
            warehouse.close()
        assert result.plan.addresses == 1, name
        assert source.read_bytes() == before, name
        content = output.read_bytes()
        assert f"n{number}@a.test".encode() in content, name
        assert b"not@a.test" not in content, name
        assert b"wrong@a.test" not in content, name
        source.unlink()
    assert {path: path.read_bytes() for path in neighbours} == neighbours
    assert not [path for path in folder.iterdir() if path.name.startswith(".mailvet-")]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, sys, signal; from pathlib import Path; "
        "from mailvet.private_files import PrivateFolder, new_beside; "
        "folder = PrivateFolder(Path(sys.argv[1])); (folder.path / 'spilled').write_text('ann@a.test'); "
        "new_beside(Path(sys.argv[1], 'out.csv')).write_text('ann@a.test'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with PrivateFolder(tmp_path) as living, PrivateFolder(tmp_path), replaces(tmp_path / "out.csv") as partial:
        partial.write_text("new")
        assert living.path.is_dir()
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv"}


def test_temporary_files_are_private_from_the_first_byte_and_gone_after_a_failure(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with PrivateFolder(tmp_path) as folder:
            assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        partial = new_beside(tmp_path / "out.csv")
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        partial.unlink()
        with pytest.raises(OSError, match="full"), replaces(tmp_path / "out.csv"):
            raise OSError("the disk is full")
    finally:
        os.umask(old)
    assert list(tmp_path.iterdir()) == []


def test_a_store_and_its_log_are_private_from_the_first_byte(tmp_path: Path) -> None:
    store, contacts = tmp_path / "store.duckdb", tmp_path / "contacts.csv"
    contacts.write_text("email\nann@a.test\n")
    settings = Settings(depth="offline", store={"path": store})
    old = os.umask(0)
    try:
        warehouse = open_source(str(contacts), settings)
        try:
            warehouse.open_for_writing()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("store.duckdb*")}
        finally:
            warehouse.close()
        assert os.umask(0) == 0
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(modes, 0o600)
    assert "store.duckdb.wal" in modes


def test_a_folder_that_its_owner_removes_meanwhile_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / ".mailvet-gone"
    gone.mkdir()
    seen = list(os.scandir(tmp_path))
    gone.rmdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: seen)
        folder = PrivateFolder(tmp_path)
    assert folder.path.parent == tmp_path
    folder.close()
