"""The built wheel: what is in it, what is not, what it says of itself, and that it works once installed."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT, repository_files

TOP_LEVEL = {"mailvet", "airflow_provider_mailvet", "ge_expectations", "dbt_macros"}
NOT_SHIPPED = ("integration_tests", "target", "logs", "dbt_packages")
"""Folders of the dbt package that only its own tests and runs need."""


@pytest.fixture(scope="session")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_file_of_the_packages(names: set[str]) -> None:
    paths = [path.relative_to(ROOT) for path in repository_files()]
    expected = {
        path.as_posix()
        for path in paths
        if path.parts[0] in TOP_LEVEL and not (len(path.parts) > 2 and path.parts[1] in NOT_SHIPPED)
    }
    assert {"mailvet/py.typed", "mailvet/verdict.py"} <= expected
    expected.add("mailvet/constraints.txt")  # which lies at the root of the checkout
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_holds_no_tests_and_nothing_beside_the_packages(names: set[str]) -> None:
    assert {name.partition("/")[0] for name in names} - TOP_LEVEL == {"mailvet-0.1.0.dist-info"}
    assert not [name for name in names if "tests" in name.split("/")[:-1] and not name.startswith("dbt_macros/tests/")]


def test_the_licence_text_is_in_the_wheel(names: set[str]) -> None:
    assert {f"mailvet-0.1.0.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= names


def test_the_metadata_name_every_extra(metadata: Message) -> None:
    extras = {
        "airflow",
        "airflow-duckdb",
        "airflow-postgres",
        "gx",
        "gx-duckdb",
        "dbt",
        "dbt-postgres",
        "postgres",
        "sql",
        "spark",
        "excel",
        "s3",
        "gcs",
        "azure",
        "proxy",
        "lab",
        "service",
        "all",
        "dev",
        "bench",
    }
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_only_dbt_core_has_an_upper_bound(metadata: Message) -> None:
    """Its release 1.12 downloads a binary while it is installed."""
    specifiers = [requirement.partition(";")[0] for requirement in metadata.get_all("Requires-Dist", [])]
    assert len(specifiers) > 20
    bounded = [specifier for specifier in specifiers if "<" in specifier or "==" in specifier]
    assert {specifier.partition("<")[0] for specifier in bounded} == {"dbt-core"}


def test_the_wheel_announces_command_and_pytest_plugin(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        text = archive.read(name).decode()
    assert "mailvet = mailvet.cli.commands:main" in text
    assert "mailvet = mailvet.lab.pytest_plugin" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    install += ["--constraint", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], cwd=tmp_path, check=True, timeout=500)

    check = [
        str(environment / "bin" / "mailvet"),
        "check",
        "--depth",
        "offline",
        "--json",
        "ann@@example.com",
    ]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert "syntax_invalid" in done.stdout, done.stdout + done.stderr

    done = subprocess.run([*check[:1], "constraints"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == (ROOT / "constraints.txt").read_text()
