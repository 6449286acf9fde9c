"""Every `pip install` of the documentation brings what it says, from the built wheel, in an empty environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.packaging.checkout import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
EXTRAS = re.compile(r"'mailvet\[([\w,-]+)\]'")

WORKS = {
    "airflow": """
        from airflow.providers_manager import ProvidersManager
        from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
        assert ProvidersManager().hooks["mailvet"].hook_name
    """,
    "airflow-duckdb": """
        from airflow.providers_manager import ProvidersManager
        assert ProvidersManager().hooks["duckdb"].hook_name
    """,
    "airflow-postgres": """
        from airflow.providers_manager import ProvidersManager
        assert ProvidersManager().hooks["postgres"].hook_name
        import psycopg, sqlalchemy
    """,
    "dbt": """
        import dbt.adapters.duckdb, dbt.cli.main, mailvet.dbt
    """,
    "dbt-postgres": """
        import dbt.adapters.postgres, psycopg
    """,
    "gx": """
        import ge_expectations
        ge_expectations.ExpectColumnBounceRateToBeBelow
    """,
    "gx-duckdb": """
        import duckdb_engine, ge_expectations
    """,
    "spark": """
        import pyspark.sql.connect.client
        from mailvet import spark
        spark.verify
    """,
    "lab": """
        from mailvet.lab import Lab, World
        with Lab(World.default()) as lab:
            assert lab.smtp_port
    """,
    "s3": "import fsspec, s3fs",
    "gcs": "import fsspec, gcsfs",
    "azure": "import adlfs, fsspec",
    "excel": "import openpyxl, xlsxwriter",
    "proxy": "import python_socks.async_.asyncio",
    "postgres": "import psycopg, sqlalchemy",
    "sql": "import pymysql, sqlalchemy, sqlglot",
    "service": "from mailvet.service.app import create_app",
}
"""What works after an installation with an extra."""


def documented_extras() -> list[str]:
    """The extras of each line, as they are written, without repetition."""
    return sorted({match[1] for page in PAGES for match in EXTRAS.finditer(page.read_text())})


def test_every_extra_of_an_install_line_has_its_check() -> None:
    assert len(documented_extras()) >= 5
    assert {extra for line in documented_extras() for extra in line.split(",")} <= set(WORKS)


@pytest.mark.slow
@pytest.mark.parametrize("extras", documented_extras())
def test_an_install_line_brings_what_it_says(wheel: Path, tmp_path: Path, extras: str) -> None:
    environment = tmp_path / "environment"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    python = environment / "bin" / "python"
    requirement = f"mailvet[{extras}] @ {wheel.as_uri()}"
    install = ["pip", "install", "--python", str(python), "--constraint", str(ROOT / "constraints.txt"), requirement]
    for command in (["venv", "--python", sys.executable, str(environment)], install):
        done = subprocess.run([*uv, *command], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    program = "\n".join(dedent(WORKS[extra]) for extra in extras.split(","))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AIRFLOW"))}
    variables |= {"AIRFLOW_HOME": str(tmp_path / "airflow"), "HOME": str(tmp_path)}
    ran = subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path, env=variables
    )
    assert ran.returncode == 0, ran.stderr
