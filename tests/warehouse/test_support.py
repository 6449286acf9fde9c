"""The support table says what the files of write tests say, and no more."""

from __future__ import annotations

from mailvet.doctor.write_test import CheckOutcome, WriteTest
from tests.warehouse import support


def test_the_page_shows_the_files_there_are() -> None:
    text = support.PAGE.read_text("utf-8")
    assert support.page(text, support.results()) == text, "run: python -m tests.warehouse.support"


def test_a_database_without_a_file_counts_none_and_one_that_failed_is_named() -> None:
    versions = {"mailvet": "1.0", "python": "3.11.1", "system": "Linux", "trino": "0.3", "server": "470"}
    failed = WriteTest("trino", versions, [CheckOutcome("keys", False, 1.0, "found a|b")])
    lines = support.table({"trino": [failed]}).splitlines()
    assert "| trino | 1 | 0 | 470 | 1.0 | trino 0.3 | - |" in lines
    assert "| | | | | | | `keys` failed: found a/b |" in lines
    assert "| snowflake | 0 | | | | | |" in lines
