"""The rule of tests/conftest.py that a skipped test is a failure where CI is set."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT

PASSED = "def test_good(): assert 1 + 1 == 2\n"
SKIPPED = PASSED + "def test_left_out(): import pytest; pytest.skip('no server here')\n"


@pytest.mark.parametrize(
    ("tests", "ci", "exit_code", "named"),
    [(SKIPPED, "true", 1, True), (SKIPPED, "", 0, False), (PASSED, "true", 0, False)],
    ids=["skipped on CI", "skipped elsewhere", "nothing skipped"],
)
def test_a_skipped_test_fails_the_run_only_on_ci(
    tmp_path: Path, tests: str, ci: str, exit_code: int, named: bool
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert ("test_it.py::test_left_out: Skipped: no server here" in done.stdout) is named
