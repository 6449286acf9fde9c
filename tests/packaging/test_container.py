"""The container: its file is clean, its process is not root's, and its steps work in an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT, repository_files

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text("utf-8")


def steps(stage: int) -> list[str]:
    """The commands of the RUN lines of a stage."""
    text = re.split(r"^FROM .*$", TEXT.replace("\\\n", " "), flags=re.MULTILINE)[stage + 1]
    return [" ".join(command.split()) for command in re.findall(r"^RUN (.+)$", text, re.MULTILINE)]


def let_in() -> list[Path]:
    """The files that reach the build."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines[0] == "*"
    names = {line[1:] for line in lines if line.startswith("!")}
    return [path for path in repository_files() if path.relative_to(ROOT).parts[0] in names]


def test_the_linter_of_container_files_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_process_is_not_roots_and_is_watched() -> None:
    last = TEXT.split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)
    assert last.index("\nUSER ") < last.index("\nENTRYPOINT ")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_build_work_in_an_empty_environment(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "opt"
    for path in let_in():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables |= {"PATH": f"{Path(sys.base_prefix, 'bin')}{os.pathsep}{os.defpath}", "XDG_DATA_HOME": str(tmp_path)}
    for command in steps(0):
        here = command.replace("/opt/mailvet", f"{target}/mailvet")
        done = subprocess.run(
            ["sh", "-c", here], cwd=source, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    program = target / "mailvet" / "bin" / "mailvet"
    done = subprocess.run([program, "serve", "--help"], env=variables, capture_output=True, text=True, check=False)
    assert "--host" in done.stdout, done.stderr
