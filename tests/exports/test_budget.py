"""A risk budget chooses from the list as it is written: one row a mailbox, the riskiest left out."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from mailvet.errors import SettingsError
from mailvet.exports.export import ExportResult, export
from mailvet.scoring.budget import Address, Budget, choose, upper_end
from mailvet.settings import Settings
from mailvet.verdict import email_key
from mailvet.vocabulary import Reason
from mailvet.warehouse.opening import open_table
from tests.exports.conftest import Hand
from tests.exports.test_export import rows_of
from tests.warehouse.answers import answers

SCORES = {f"person{number}@firm{number % 7}.example": 60 + number for number in range(40)}
TWICE = ["PERSON5@firm5.example", " person5@firm5.example"]
"""Other spellings of one mailbox."""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.duckdb"
    cells = [*SCORES, *TWICE, "gone@firm1.example"]
    with duckdb.connect(str(path)) as db:
        db.execute("create table contacts as select unnest($1::varchar[]) as email", [cells])
    warehouse = open_table(path, "contacts")
    warehouse.open_for_writing()
    batches = [answers({cell: "accept_all"}, score=score) for cell, score in SCORES.items()]
    batches += [answers({cell: "accept_all"}, score=65) for cell in TWICE]
    batches.append(answers({"gone@firm1.example": "mailbox_not_found"}, score=1))
    warehouse.save(pa.concat_tables(batches))
    warehouse.close()
    return path


def handed(path: Path, rate: str) -> ExportResult:
    warehouse = open_table(path, "contacts", writable=False, updatable=False)
    try:
        return export(warehouse, Settings.load(), to="brevo", output=path.with_name("out.csv"), max_bounce_rate=rate)
    finally:
        warehouse.close()


@pytest.mark.parametrize("rate", ["5%", "20%", "30%"])
def test_the_rows_are_those_that_python_chooses_of_distinct_mailboxes(rate: str, listed: Path) -> None:
    result = handed(listed, rate)
    candidates = [
        Address(email_key(cell), upper_end(Reason.accept_all, (100 - score) / 100), cell.partition("@")[2], None)
        for cell, score in SCORES.items()
    ]
    expected = choose(candidates, Budget.of(rate))
    taken = sorted(candidates, key=lambda each: (each.probability, each.key))[: expected.rows]
    written = {email_key(row["EMAIL"]) for row in rows_of(listed.with_name("out.csv"))}
    assert written == {each.key for each in taken}
    assert result.written == expected.rows
    assert result.left_out.get("over_budget", 0) == len(SCORES) - expected.rows
    assert (result.left_out["duplicate"], result.left_out["not_recommended"]) == (2, 1)
    assert result.budget == pytest.approx(expected.as_dict())
    assert any("The bound rests on no outcome of yours" in note for note in result.notes)


def test_a_limit_that_no_row_keeps_to_leaves_all_out(listed: Path) -> None:
    result = handed(listed, "0%")
    assert (result.written, result.left_out["over_budget"]) == (0, len(SCORES))
    assert handed(listed, "100%").written == len(SCORES)


@pytest.mark.parametrize("options", [{"among": "send"}, {"kind": "suppression"}])
def test_a_budget_is_for_contacts_and_instead_of_among(options: dict[str, str], hand: Hand) -> None:
    with pytest.raises(SettingsError, match="chooses contacts from all rows that may be sent to"):
        hand("brevo", "list.csv", max_bounce_rate="2%", **options)
