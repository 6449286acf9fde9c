"""Exit codes: 1 means that a gate failed and nothing else, whatever standard output, locale and limits are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a line of the shell in which `$M` is mailvet; people.csv is in the current folder."""
    (tmp_path / "people.csv").write_text("email\nann@example.com\nb\u00e9a@example.com\n", encoding="utf-8")

    def call(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith("MAILVET_")}
        known |= {"PYTHONPATH": str(ROOT), "M": f"{sys.executable} -m mailvet", "COLUMNS": "120"}
        known |= {"MAILVET_STORE__PATH": str(tmp_path / "store.duckdb"), "TMPDIR": str(tmp_path)}
        return subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=known | environment,
            capture_output=True,
            timeout=60,
            check=False,
            encoding="utf-8",
        )

    return call


@pytest.mark.parametrize("output", ["> /dev/full", ">&-"])
def test_a_summary_that_cannot_be_printed_does_not_make_verify_fail(shell: Shell, tmp_path: Path, output: str) -> None:
    done = shell(f"$M verify people.csv --depth offline --output out.csv {output}")
    assert done.returncode == 0, done.stderr
    assert "The summary could not be printed" in done.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("command", ["check ann@example.com --depth offline", "plan people.csv", "lists"])
@pytest.mark.parametrize("output", ["> /dev/full", ">&-", "| true; exit ${PIPESTATUS[0]}"])
def test_output_that_is_the_product_is_an_error_where_it_cannot_be_written(
    shell: Shell, command: str, output: str
) -> None:
    done = shell(f"$M {command} {output}")
    assert done.returncode == 2, done.stderr
    assert "The output could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_error_that_is_closed_is_no_fault(shell: Shell) -> None:
    assert shell("$M verify people.csv --depth offline --output out.csv 2>&-").returncode == 0


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_an_ascii_locale_is_no_fault(shell: Shell) -> None:
    done = shell("$M verify people.csv --depth offline --output out.csv", **ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    done = shell("$M check b\u00e9a@example.com --depth offline --json", **ASCII)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["email"] == "b\u00e9a@example.com"


def test_64_file_descriptors_are_enough_offline(shell: Shell) -> None:
    assert shell("ulimit -n 64; $M verify people.csv --depth offline --output out.csv").returncode == 0


def test_a_fault_of_our_own_is_4_with_a_file_to_send(shell: Shell, tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['mailvet', 'lists']; import mailvet.reference.list_sources; "
        "mailvet.reference.list_sources.list_infos = lambda: 1 / len('' * len('ann@example.com')); "
        "import mailvet.cli.commands; mailvet.cli.commands.main()"
    )
    (tmp_path / "fault.py").write_text(program)
    done = shell(f"{sys.executable} fault.py")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    (report,) = tmp_path.glob("mailvet-fault-*.txt")
    assert report.name in "".join(done.stderr.split())
    text = report.read_text()
    assert "ZeroDivisionError" in text
    assert "ann@example.com" not in text


def test_usage_is_2(shell: Shell) -> None:
    done: Any = shell("$M nonsense")
    assert (done.returncode, "No such command" in done.stderr) == (2, True)
