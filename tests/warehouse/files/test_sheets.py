"""Excel workbooks are read as people see them, and written without a formula."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.files import Reading, sheets
from tests.warehouse.files.reading import Open, columns_of, rows_of, verified


def workbook(path: Path, **named: list[list[Any]]) -> Path:
    """A workbook with these sheets; a pair is a value and its number format."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in named.items():
        sheet = book.create_sheet(title)
        for number, row in enumerate(rows, 1):
            for place, cell in enumerate(row, 1):
                value, number_format = cell if isinstance(cell, tuple) else (cell, None)
                found = sheet.cell(number, place, value)
                if number_format is not None:
                    found.number_format = number_format
    book.save(path)
    return path


def table_of(path: Path) -> list[list[Any]]:
    book = openpyxl.load_workbook(path)
    return [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]


def test_cells_are_read_as_people_see_them(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "crm.xlsx",
        people=[
            ["email", "text", "number", "when"],
            ["ann@x.test", "007", (42, "00000"), (dt.datetime(2026, 1, 2), "yyyy-mm-dd")],
            ["bob@x.test", "a\tb", 1234567, (dt.datetime(2026, 1, 2, 3, 4, 5, 999_900), "yyyy-mm-dd hh:mm:ss")],
            [None, 'say "hi"\nthere', 0.25, True],
            ["Jürgen@x.test", "a,b;c|d", 12.0, (dt.time(9, 30), "hh:mm")],
        ],
    )
    assert columns_of(path) == ["email", "text", "number", "when"]
    assert rows_of(path) == [
        ("ann@x.test", "007", "00042", "2026-01-02"),
        ("bob@x.test", "a\tb", "1234567", "2026-01-02 03:04:06"),
        (None, 'say "hi"\nthere', "0.25", "TRUE"),
        ("Jürgen@x.test", "a,b;c|d", "12", "09:30:00"),
    ]


def test_formulas_are_read_as_their_stored_values(tmp_path: Path) -> None:
    path = workbook(tmp_path / "crm.xlsx", people=[["email"], ["=1&2"]])
    entry = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    stored = b'<c r="A2" t="str"><f>1&amp;2</f><v>ann@x.test</v></c>'
    before, _, after = parts[entry].partition(b'<c r="A2"')
    parts[entry] = before + stored + after.partition(b"</c>")[2]
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    assert rows_of(path) == [("ann@x.test",)]


def test_blank_rows_are_kept_between_rows_and_dropped_around_them(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[], ["email", "name"], ["ann@x.test"], [], ["bob@x.test", "Bob"], [None, None], [""]]
    path = workbook(tmp_path / "crm.xlsx", people=rows)
    assert rows_of(path) == [("ann@x.test", None), (None, None), ("bob@x.test", "Bob")]


def test_one_of_several_sheets_is_named(tmp_path: Path, opened: Open) -> None:
    people = [["email"], ["ann@x.test"]]
    path = workbook(tmp_path / "crm.xlsx", first=people, second=[["mail"], ["bob@x.test"]], empty=[])
    with pytest.raises(SourceError, match=r"crm\.xlsx has several sheets: first, second\. Name one with sheet"):
        opened(path)
    with pytest.raises(SourceError, match=r"sheet='third': crm\.xlsx has the sheets first, second, empty"):
        opened(path, reading=Reading(sheet="third"))
    assert opened(path, reading=Reading(sheet="second")).address_column == "mail"
    assert opened(workbook(tmp_path / "one.xlsx", people=people, empty=[])).address_column == "email"
    csv = tmp_path / "crm.csv"
    csv.write_text("email\nann@x.test\n")
    with pytest.raises(SettingsError, match="has no sheets"):
        opened(csv, reading=Reading(sheet="first"))


def test_titles_and_missing_headers_are_said_as_for_csv(tmp_path: Path, opened: Open) -> None:
    titled = workbook(tmp_path / "titled.xlsx", people=[["Our customers"], ["email", "name"], ["ann@x.test", "Ann"]])
    with pytest.raises(SourceError, match="text above its header"):
        opened(titled)
    assert opened(titled, reading=Reading(lenient=True)).address_column == "email"
    bare = workbook(tmp_path / "bare.xlsx", people=[["ann@x.test", "Ann"]])
    with pytest.raises(SourceError, match="has no header line"):
        opened(bare)
    assert opened(bare, reading=Reading(header=False)).address_column == "column1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"is encrypted, or an old \.xls workbook"),
        (b"PK\x03\x04 and no more", "damaged or no workbook"),
        (b"email\nann@x.test\n", "damaged or no workbook"),
    ],
)
def test_what_is_no_workbook_is_said_in_one_sentence(content: bytes, said: str, tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "crm.xlsx"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        opened(path)
    assert "ann@" not in str(caught.value)


def test_a_workbook_of_other_parts_is_damaged(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "crm.xlsx"
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("word/document.xml", "<x/>")
    with pytest.raises(SourceError, match="damaged or no workbook"):
        opened(path)


def test_results_are_written_with_texts_as_texts(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "crm.csv"
    path.write_text('id,email,note\n007,ann@x.test,"=cmd|calc"\n008,bob@x.test,+49 170\n009,,\n')
    output = tmp_path / "out.xlsx"
    assert verified(opened(path)).export(output, STATUS_COLUMNS) == [output]
    found = table_of(output)
    assert found[0] == ["id", "email", "note", *(f"mailvet_{name}" for name in STATUS_COLUMNS)]
    assert found[1][:5] == ["007", "ann@x.test", "=cmd|calc", "deliverable", "mailbox_accepted"]
    assert found[1][6] == 50
    assert found[1][-1] == "2026-11-22T12:00:00Z"
    assert found[2][2] == "+49 170"
    assert found[3][:3] == ["009", None, None]
    kinds = {cell.data_type for row in openpyxl.load_workbook(output).worksheets[0].iter_rows() for cell in row}
    assert "f" not in kinds


def test_a_workbook_comes_out_as_it_went_in(tmp_path: Path, opened: Open) -> None:
    path = workbook(tmp_path / "crm.xlsx", people=[["id", "email"], ["007", "ann@x.test"], ["008", None]])
    verified(opened(path)).export(tmp_path / "out.xlsx", ["status"])
    assert rows_of(tmp_path / "out.xlsx") == [("007", "ann@x.test", "deliverable"), ("008", None, "undeliverable")]
    verified(opened(path)).export(tmp_path / "out.csv", ["status"])
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfid,email,mailvet_status\n")


def test_a_sheet_takes_no_more_rows_than_excel(tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 3)
    path = tmp_path / "crm.csv"
    path.write_text("email\nann@x.test\nbob@x.test\ncat@x.test\n")
    with pytest.raises(SourceError, match=r"out\.xlsx: a sheet has at most 2 rows below its header"):
        verified(opened(path)).export(tmp_path / "out.xlsx", ["status"])
    assert not list(tmp_path.glob("*out*"))
    assert verified(opened(path, where="email < 'c'")).export(tmp_path / "out.xlsx", ["status"])


def test_numbers_times_and_repeated_headers_keep_their_form(tmp_path: Path, opened: Open) -> None:
    import duckdb

    from mailvet.warehouse.opening import open_table

    with duckdb.connect(str(tmp_path / "crm.duckdb")) as db:
        db.execute(
            "create table contacts as select 'ann@x.test' as email, 12345678901234567 as long, 1.5 as price, "
            "true as yes, date '2026-01-02' as day, timestamp '2026-01-02 03:04:05' as at, null::integer as nothing"
        )
    warehouse = open_table(tmp_path / "crm.duckdb", "contacts")
    warehouse.open_for_writing()
    warehouse.export(tmp_path / "out.xlsx", ["status"])
    warehouse.close()
    row = table_of(tmp_path / "out.xlsx")[1]
    when = dt.datetime(2026, 1, 2, 3, 4, 5)
    assert row[:7] == ["ann@x.test", "12345678901234567", 1.5, True, dt.datetime(2026, 1, 2), when, None]
