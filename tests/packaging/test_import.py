"""`import mailvet` stays light: plug-ins import it where every process pays for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("cell", ["ann@acme.com", "ann@gmial.com", "ann@gmail.com", "Ann <ann@acme.com>", "n/a"])
def test_the_first_verdict_offline_needs_no_library_of_tables_settings_or_networks(cell: str) -> None:
    loaded = modules_after(f"import mailvet; mailvet.verify({cell!r}, depth='offline'), mailvet.suggest({cell!r})")
    assert "mailvet" in loaded
    assert not loaded & {*HEAVY, "asyncio", "logging", "tomllib", "ssl"}


def test_a_reply_is_read_without_them() -> None:
    assert not modules_after("import mailvet; mailvet.classify_reply('rcpt', 550, '5.1.1 User unknown')") & HEAVY


def test_a_single_address_is_checked_on_the_command_line_without_tables() -> None:
    program = "import sys; sys.argv = ['mailvet', 'check', 'ann@acme.com', '--depth', 'offline']; "
    program += "import contextlib, io; from mailvet.cli.commands import main\n"
    program += "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    main()\n"
    loaded = modules_after(f"exec({program!r})")
    assert "typer" in loaded
    assert not loaded & {"polars", "pyarrow", "duckdb", "pandas", "numpy", "aiodns", "dns", "aiosmtplib"}


_WITHOUT_TABLES = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("polars", "pyarrow", "duckdb"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
"""Where the packages of tables are not installed."""


def test_single_addresses_and_replies_need_no_package_of_tables() -> None:
    work = _WITHOUT_TABLES + (
        "import asyncio, mailvet\n"
        "print(mailvet.verify('ann@gmial.com', depth='offline').suggestion, mailvet.suggest('bob@hotmial.com'))\n"
        "print(asyncio.run(mailvet.averify('ann@acme.com', depth='offline')).reason)\n"
        "closed = mailvet.Settings(dns={'nameservers': ['127.0.0.1'], 'port': 9, 'timeout': 0.2, 'lifetime': 0.2})\n"
        "print(mailvet.verify('ann@acme.com', depth='dns', settings=closed).evidence[0].detail)\n"
        "print(mailvet.classify_reply('rcpt', 550, '5.1.1 User unknown'))\n"
    )
    done = subprocess.run([sys.executable, "-c", work], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "ann@gmail.com bob@hotmail.com",
        "not_probed",
        "no resolver answers",
        "mailbox_not_found",
    ]


@pytest.mark.parametrize(
    "work", ["mailvet.verify_many(['ann@acme.com'], depth='offline')", "mailvet.open_table('a.csv')", "mailvet.run"]
)
def test_where_tables_cannot_be_worked_on_it_says_what_to_install(work: str) -> None:
    program = _WITHOUT_TABLES + (
        f"import mailvet\ntry:\n    {work}\n"
        "except mailvet.MailvetError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingPackageError Tables need the package ")
    assert "Install polars, pyarrow, duckdb" in done.stdout


def test_the_command_line_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("email\nann@acme.com\n")
    program = _WITHOUT_TABLES + (
        f"sys.argv = ['mailvet', 'verify', {str(tmp_path / 'a.csv')!r}, '--depth', 'offline']\n"
        "from mailvet.cli.commands import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Install polars, pyarrow, duckdb" in " ".join(done.stderr.split())
