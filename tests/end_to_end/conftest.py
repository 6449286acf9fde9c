"""One mail world for all runs, and the command line as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

import mailvet
from mailvet.cli.commands import main
from mailvet.lab import Lab, World
from mailvet.runs.results import RunResult
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings

ROOT = Path(mailvet.__file__).parent.parent
PEOPLE = [f"person{number}@acme.test" for number in range(20)]
STRANGERS = [f"stranger{number}@acme.test" for number in range(6)]


def small_world() -> World:
    """acme.test answers honestly; the other domains are named after what is the matter with them."""
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    for address in (*PEOPLE, "info@acme.test"):
        world.mailbox(address)
    for state in ("full", "disabled"):
        world.mailbox(f"{state}@acme.test", state)
    world.host("mx.all.test", "catch_all").domain("all.test", [(10, "mx.all.test")])
    world.host("mx.grey.test", "greylisting").domain("grey.test", [(10, "mx.grey.test")]).mailbox("ann@grey.test")
    world.host("mx.block.test", "blocks_at_connect").domain("block.test", [(10, "mx.block.test")])
    world.domain("null.test", [(0, ".")])
    world.domain("failing.test", dns="servfail")
    return world


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    with Lab(small_world(), greylist_delay=1.0) as lab:
        yield lab


@pytest.fixture
def lab(session_lab: Lab) -> Lab:
    """The running mail world, its counters at nothing."""
    session_lab.reset_counters()
    return session_lab


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def config(lab: Lab, here: Path) -> Path:
    """`mailvet.toml` in the current folder, so that it is found by itself: the lab, and a store of its own."""
    return write_config(lab, here)


def write_config(lab: Lab, folder: Path, more: str = "") -> Path:
    path = folder / "mailvet.toml"
    path.write_text(f'{lab.config()}{more}\n[store]\npath = "verdicts.duckdb"\n')
    return path


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def mailvet_command(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Call `mailvet` in the current folder, within this process."""

    def call(*arguments: object) -> Done:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["mailvet", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Done(int(code), captured.out, captured.err)

    return call


def start(*arguments: object, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start `mailvet` as a process of its own in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILVET_")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "XDG_DATA_HOME": str(folder / "data")}
    return subprocess.Popen(
        [sys.executable, "-m", "mailvet", *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        text=True,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )


def make_table(path: Path, cells: Sequence[str | None], table: str = "contacts") -> None:
    """A DuckDB database with `contacts(id, email)`."""
    with duckdb.connect(str(path)) as db:
        db.execute(
            f"create table {table} as select unnest(range(1, len($1) + 1))::integer as id, "
            "unnest($1::varchar[]) as email",
            [list(cells)],
        )


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as db:
        return list(db.execute(query).fetchall())


@pytest.fixture
def verify(config: Path, here: Path) -> Callable[..., RunResult]:
    """Run over a source in the current folder: settings by name, `source_` and `run_` options apart."""

    def work(
        source: str,
        *,
        table: str | None = None,
        where: str | None = None,
        column: str | None = None,
        work: dict[str, Any] | None = None,
        **settings: Any,
    ) -> RunResult:
        loaded = Settings.load(config, **settings)
        back = table is not None and (work or {}).get("write_back", True)
        warehouse = open_source(source, loaded, table=table, column=column, where=where, updatable=back)
        try:
            options: dict[str, Any] = {"write_back": back, **(work or {})}
            return run(warehouse, loaded, **options)
        finally:
            warehouse.close()

    return work
