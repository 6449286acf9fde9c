"""A store that is damaged, foreign, from the future or gone is told in a sentence, and never multiplies rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.errors import LockedError, SourceError
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from mailvet.warehouse.backends.duckdb.session import opening_failed
from mailvet.warehouse.backends.duckdb.verdicts import DuckDBVerdicts
from tests.end_to_end.conftest import rows

PEOPLE = [f"person{number}@example.com" for number in range(50)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def settings(here: Path) -> Settings:
    return Settings.load(depth="offline", store={"path": here / "store.duckdb"})


@pytest.fixture
def verified(here: Path, settings: Settings) -> Callable[..., Any]:
    """Verify people.csv offline into out.csv."""
    (here / "people.csv").write_text("email\n" + "".join(f"{person}\n" for person in PEOPLE))

    def verify(output: str = "out.csv") -> Any:
        warehouse = open_source("people.csv", settings)
        try:
            return run(warehouse, settings, output=here / output)
        finally:
            warehouse.close()

    return verify


def change(path: Path, statement: str) -> None:
    with duckdb.connect(str(path)) as db:
        db.execute(statement)


def test_a_block_that_cannot_be_read_is_no_lock() -> None:
    error = duckdb.IOException("Could not read block 7: checksum mismatch, the block is corrupt")
    found = opening_failed(error, Path("crm.duckdb"))
    assert not isinstance(found, LockedError)
    assert "is damaged" in str(found)
    held = duckdb.IOException('Could not set lock on file "crm.duckdb": Conflicting lock is held in python (PID 12)')
    assert isinstance(opening_failed(held, Path("crm.duckdb")), LockedError)


def test_a_damaged_store_is_refused_in_a_sentence(here: Path, verified: Any) -> None:
    verified()
    whole = (here / "store.duckdb").read_bytes()
    for place in (12_288 + 8, len(whole) // 2, len(whole) - 5_000):
        damaged = bytearray(whole)
        damaged[place : place + 4_096] = os.urandom(4_096)
        (here / "store.duckdb").write_bytes(damaged)
        said = ""
        try:
            verified("again.csv")
        except (SourceError, duckdb.Error) as error:  # the command line makes a sentence of either
            said = str(error)
        assert "another program" not in said


def test_duplicate_verdicts_never_multiply_rows(here: Path, settings: Settings, verified: Any) -> None:
    verified()
    change(here / "store.duckdb", "insert into mailvet_verdicts select * from mailvet_verdicts")
    warehouse = open_source("people.csv", settings, writable=False)
    assert sum(count.rows for count in _planned(warehouse, settings).verdict_counts()) == len(PEOPLE)
    warehouse.close()
    result = verified("again.csv")
    assert result.summary.rows == len(PEOPLE)
    assert len((here / "again.csv").read_text().splitlines()) == len(PEOPLE) + 1
    assert rows(here / "store.duckdb", "select count(*) from mailvet_verdicts") == [(len(PEOPLE),)]


def _planned(warehouse: Any, settings: Settings) -> Any:
    from mailvet.runs.planning import plan

    plan(warehouse, settings)
    return warehouse


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("alter table mailvet_verdicts drop column evidence", "it has no column evidence"),
        ("alter table mailvet_verdicts alter column score type varchar", "its column score holds VARCHAR, not number"),
    ],
)
def test_a_foreign_table_of_verdicts_is_refused(here: Path, verified: Any, statement: str, said: str) -> None:
    verified()
    change(here / "store.duckdb", statement)
    with pytest.raises(SourceError, match=said):
        verified("again.csv")
    assert not (here / "again.csv").exists()


def test_a_store_that_vanished_during_the_run_is_noticed(
    here: Path, verified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = DuckDBVerdicts.save

    def vanish(self: DuckDBVerdicts, verdicts: Any) -> None:
        save(self, verdicts)
        (here / "store.duckdb").unlink()

    monkeypatch.setattr(DuckDBVerdicts, "save", vanish)
    with pytest.raises(SourceError, match="was removed or replaced while the run went on"):
        verified()


def test_verdicts_from_the_future_are_not_believed_and_told(here: Path, verified: Any) -> None:
    verified()
    change(
        here / "store.duckdb",
        "update mailvet_verdicts set checked_at = checked_at + interval 1 year, "
        "next_check_at = checked_at + interval 2 year",
    )
    result = verified("again.csv")
    assert result.checked == len(PEOPLE)
    assert any("dated in the future" in note for note in result.notes)
    again = verified("third.csv")
    assert (again.checked, again.notes) == (0, ())


def test_a_clock_four_minutes_ahead_is_believed(here: Path, verified: Any) -> None:
    verified()
    change(here / "store.duckdb", "update mailvet_verdicts set checked_at = checked_at + interval 4 minute")
    assert verified("again.csv").checked == 0


def test_a_file_that_grew_during_the_run_is_not_replaced(
    here: Path, verified: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = DuckDBVerdicts.save

    def grow(self: DuckDBVerdicts, verdicts: Any) -> None:
        save(self, verdicts)
        with (here / "people.csv").open("a") as file:
            file.write("new@example.com\n")

    monkeypatch.setattr(DuckDBVerdicts, "save", grow)
    with pytest.raises(SourceError, match=r"people\.csv was changed while the run went on"):
        verified("people.csv")
    lines = (here / "people.csv").read_text().splitlines()
    assert lines == ["email", *PEOPLE, "new@example.com"]
    monkeypatch.setattr(DuckDBVerdicts, "save", save)
    assert verified("people.csv").checked == 1
    assert len((here / "people.csv").read_text().splitlines()) == len(PEOPLE) + 2
