"""The contract that every database is held to, by our tests and by `mailvet doctor --write-test` alike."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from mailvet.cli.commands import app
from mailvet.doctor.write_test import CHECKS, ContractCheck, Place, place_of, read_result, write_test
from mailvet.doctor.write_test.notes import public_note
from mailvet.errors import SettingsError, SourceError
from mailvet.settings import Settings

SCHEMA = "mailvet_space"
_NUMBERS = itertools.count()


def source_of(name: str, request: pytest.FixtureRequest, folder: Path) -> tuple[str, str]:
    """A database of this kind, and a schema for the test."""
    if name == "postgresql":
        return request.getfixturevalue("postgres_server").new_database(f"write_test_{next(_NUMBERS)}"), SCHEMA
    if name == "mariadb":
        return request.getfixturevalue("mariadb_server").new_database(f"write_test_{next(_NUMBERS)}"), SCHEMA
    if name == "sqlite":
        sqlite3.connect(folder / "crm.db").close()
        return f"sqlite:///{folder / 'crm.db'}", "main"
    duckdb.connect(str(folder / "crm.duckdb")).close()
    return str(folder / "crm.duckdb"), SCHEMA


@pytest.fixture(scope="module", params=["duckdb", "sqlite", "postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A schema of each database in turn."""
    source, schema = source_of(request.param, request, tmp_path_factory.mktemp("write_test"))
    with place_of(source, schema) as found:
        yield found


_LONG = ("ten_thousand",)


@pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.name, marks=[pytest.mark.slow] if check.name in _LONG else []) for check in CHECKS],
)
def test_every_database_keeps_the_contract(place: Place, check: ContractCheck) -> None:
    before = place.tables()
    check.run(place, Settings.load())
    assert place.tables() == before


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A DuckDB file with a table of the user's."""
    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("create table contacts as select 1 as id")
    return path


def tables(path: Path) -> list[tuple[str, str]]:
    with duckdb.connect(str(path)) as db:
        return db.execute("select table_schema, table_name from information_schema.tables order by 1, 2").fetchall()


def broken(place: Place, settings: Settings) -> str | None:
    place.make("mailvet_test_one", {"id": "int32"}, [(1,)])
    place.sql("select payroll.secret from payroll where name = 'ann@corp.example'")
    return None


def stopped(place: Place, settings: Settings) -> str | None:
    place.make("mailvet_test_one", {"id": "int32"}, [(1,)])
    raise KeyboardInterrupt


def test_a_check_that_fails_is_told_and_leaves_nothing(crm: Path) -> None:
    checks = [ContractCheck("broken", "", broken), *CHECKS[:1]]
    with place_of(str(crm), SCHEMA) as place:
        result = write_test(place, Settings.load(), checks=checks)
    assert [(check.name, check.passed) for check in result.checks] == [
        ("broken", False),
        ("tables", True),
        ("cost", True),
    ]
    assert not result.passed
    assert tables(crm) == [("main", "contacts")]
    note = result.checks[0].note
    assert note.startswith("CatalogException: Catalog Error: Table with name ")
    assert not any(word in note for word in ("payroll", "secret", "corp", "ann", crm.name))


def test_a_stop_leaves_nothing(crm: Path) -> None:
    with pytest.raises(KeyboardInterrupt), place_of(str(crm), SCHEMA) as place:
        write_test(place, Settings.load(), checks=[ContractCheck("stopped", "", stopped)])
    assert tables(crm) == [("main", "contacts")]
    with duckdb.connect(str(crm)) as db:
        assert db.execute("select count(*) from duckdb_schemas() where schema_name = ?", [SCHEMA]).fetchall() == [(0,)]


@pytest.mark.parametrize("kind", ["duckdb", "postgresql"])
def test_a_signal_in_the_middle_leaves_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source, schema = source_of(kind, request, tmp_path)
    words = [sys.executable, "-m", "mailvet", "doctor", source, "--write-test", schema]
    output = tmp_path / "result.json"
    with subprocess.Popen(
        [*words, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "tables" in process.stdout.readline()  # the first check is over
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130, said
    assert schema in said
    assert not output.exists()
    with place_of(source, schema) as place:
        assert place.tables() == {}


def test_a_schema_with_tables_of_mailvets_is_refused(crm: Path) -> None:
    with duckdb.connect(str(crm)) as db:
        db.execute("create table mailvet_verdicts (email_key varchar)")
    before = tables(crm)
    with place_of(str(crm), "main") as place, pytest.raises(SourceError, match="holds tables of mailvet's already"):
        write_test(place, Settings.load())
    assert tables(crm) == before


def run_doctor(*words: str) -> int:
    return int(app(["doctor", *words], prog_name="mailvet", standalone_mode=False) or 0)


def test_the_result_is_a_file_without_names_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailvet.doctor.write_test.contract.TEN_THOUSAND", 500)
    path = tmp_path / "payroll-of-acme.db"
    sqlite3.connect(path).close()
    output = tmp_path / "result.json"
    assert run_doctor(f"sqlite:///{path}", "--write-test", "main", "--output", str(output)) == 0
    found = json.loads(output.read_text())
    assert found.keys() == {"backend", "versions", "passed", "checks"}
    assert found["backend"] == "sqlite"
    assert found["passed"] is True
    assert [check["name"] for check in found["checks"]] == [*(check.name for check in CHECKS), "cost"]
    assert all(check.keys() == {"name", "passed", "seconds", "note"} for check in found["checks"])
    assert "acme" not in output.read_text()
    assert read_result(output).as_dict() == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["crm.duckdb"], "needs a database and a schema"),
        (["--output", "x.json"], "needs a database and a schema"),
        (["crm.duckdb", "--write-test", "s", "--depth", "dns"], "--depth does not go with it"),
        (["crm.duckdb", "--write-test", "s", "--output", "/nowhere/x.json"], "no folder /nowhere"),
        (["crm.duckdb", "--write-test", "s", "--output", __file__], "no result of a write test"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_made(words: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        run_doctor(*words)


@pytest.mark.parametrize(
    ("source", "says"), [("nowhere.duckdb", "There is no database"), ("list.csv", "is a file of rows")]
)
def test_a_source_that_is_no_database_is_told(source: str, says: str) -> None:
    with pytest.raises(SourceError, match=says), place_of(source, "s"):
        pass


def test_a_schema_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no schema other"), place_of(f"sqlite:///{tmp_path / 'a.db'}", "other"):
        pass


def test_a_note_holds_words_that_any_database_says_and_no_others() -> None:
    error = SourceError("Could not read customers of acme: no")
    error.__context__ = LookupError('column "salary" of relation staff.people does not exist at bob@acme.example')
    note = public_note(error)
    assert note == 'LookupError: column "..." of ... does not exist at ...'
