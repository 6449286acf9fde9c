"""`import mailvet` stays light: plug-ins import it where every process pays for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.packaging.checkout import ROOT

HEAVY = {
    "aiodns",
    "aiosmtplib",
    "airflow",
    "dbt",
    "dns",
    "duckdb",
    "email_validator",
    "great_expectations",
    "numpy",
    "pandas",
    "polars",
    "publicsuffixlist",
    "pyarrow",
    "pydantic",
    "pyspark",
    "rapidfuzz",
    "rich",
    "sqlalchemy",
    "typer",
}


def modules_after(statement: str) -> set[str]:
    """Top-level names that a fresh interpreter has loaded for the statement, beyond those it starts with."""
    program = f"import sys; before = set(sys.modules); {statement}; import json; "
    program += "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded: list[str] = json.loads(done.stdout)
    return set(loaded)


@pytest.mark.parametrize(
    "statement",
    ["import mailvet", "import mailvet.sdk", "import mailvet.verdict, mailvet.errors"],
    ids=["mailvet", "sdk", "vocabulary"],
)
def test_the_import_pulls_in_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement)
    assert "mailvet" in loaded
    assert not loaded & HEAVY


def test_the_import_leaves_out_even_typing() -> None:
    assert not modules_after("import mailvet, mailvet.sdk") & {"typing"}


def test_a_heavy_module_would_be_seen() -> None:
    assert modules_after("import duckdb") & HEAVY


def test_the_modules_that_docs_call_by_name_are_found_in_a_fresh_process() -> None:
    assert "dns" in modules_after("import mailvet; mailvet.doctor.checks.examine, mailvet.spark.verify")
    assert not modules_after("import mailvet; dir(mailvet)") & HEAVY
