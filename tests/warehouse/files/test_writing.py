"""A list comes out of a file as it went in, with the status behind it."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailvet.errors import SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse
from mailvet.warehouse.binding import Binding
from tests.warehouse.answers import NO_LISTS, NOW, answers, plan_of
from tests.warehouse.files.reading import Open, Write, cells, rows_of, verified

MESSY = (
    "id,email,name,email_note\n"
    '007,ann@x.test,"Lee; Ann",=cmd|calc\n'
    '08,ann@x.test,"say ""hi""",\n'
    '1.50,,"two\nlines",""\n'
    '+4,"",用户,NULL\n'
    "-1,bob@x.test, space ,'quoted'\n"
    "9e5,nobody@x.test,\t,#N/A\n"
)


def test_every_row_and_cell_is_kept_in_order_and_the_status_stands_behind(write: Write, opened: Open) -> None:
    path = write(MESSY)
    output = path.with_name("out.csv")
    assert verified(opened(path)).export(output, ["status", "recommendation"]) == [output]
    before, after = cells(path), cells(output)
    assert [row[:4] for row in after] == before
    assert [row[4:] for row in after] == [
        ["mailvet_status", "mailvet_recommendation"],
        ["deliverable", "send"],
        ["deliverable", "send"],
        ["undeliverable", "do_not_send"],
        ["undeliverable", "do_not_send"],
        ["undeliverable", "do_not_send"],
        ["", ""],
    ]
    # A missing cell and an empty one are told apart as far as CSV can say.
    assert ',"two\nlines","",' in output.read_text()
    assert '+4,"",用户' in output.read_text()
    assert '1.50,,"two' in output.read_text()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)] * 2),
        min_size=1,
        max_size=8,
    )
)
def test_any_cell_survives(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("email", "name"), *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    warehouse = DuckDBWarehouse.of_file(path, "email", tmp_path / "verdicts.duckdb")
    try:
        warehouse.open_for_writing()
        warehouse.export(output, ["status"])
    finally:
        warehouse.close()
    assert [tuple(row[:2]) for row in cells(output)[1:]] == rows


def test_headers_come_out_as_they_went_in(write: Write, opened: Open) -> None:
    path = write(' Name ,email,,Name,"a,b"\n1,ann@x.test,3,4,5\n6,bob@x.test,8,9,10\n')
    output = path.with_name("out.csv")
    verified(opened(path)).export(output, ["status"])
    assert cells(output) == [
        [" Name ", "email", "", "Name", "a,b", "mailvet_status"],
        ["1", "ann@x.test", "3", "4", "5", "deliverable"],
        ["6", "bob@x.test", "8", "9", "10", "undeliverable"],
    ]


def test_our_columns_are_replaced_not_doubled(write: Write, opened: Open) -> None:
    path = write("mailvet_status,email,MAILVET_Score,mailvet_other\nunknown,ann@x.test,1,kept\n")
    output = path.with_name("out.csv")
    verified(opened(path)).export(output, ["status", "score"])
    assert cells(output) == [
        ["email", "mailvet_other", "mailvet_status", "mailvet_score"],
        ["ann@x.test", "kept", "deliverable", "50"],
    ]


@pytest.mark.parametrize(
    ("text", "name", "delimiter"),
    [
        ("id;email\n1;ann@x.test\n", "out.csv", ";"),
        ("id|email\n1|ann@x.test\n", "out.csv", "|"),
        ("id;email\n1;ann@x.test\n", "out.tsv", "\t"),
        ("id\temail\n1\tann@x.test\n", "out.csv", ","),
        ("id,email\n1,ann@x.test\n", "out.txt", ","),
    ],
)
def test_the_delimiter_of_the_input_is_kept(write: Write, opened: Open, text: str, name: str, delimiter: str) -> None:
    path = write(text)
    output = path.with_name(name)
    verified(opened(path)).export(output, ["status"])
    assert cells(output, delimiter) == [["id", "email", "mailvet_status"], ["1", "ann@x.test", "deliverable"]]


def test_a_list_of_one_column_is_kept_row_by_row(write: Write, opened: Open) -> None:
    path = write("email\nann@x.test; bob@x.test\n\nann@gmail,com\n")
    output = path.with_name("out.csv")
    verified(opened(path)).export(output, ["status"])
    assert [row[0] for row in cells(output)] == ["email", "ann@x.test; bob@x.test", "", "ann@gmail,com"]


def test_key_columns_let_a_result_travel_without_addresses(write: Write, opened: Open) -> None:
    path = write("id,email,name\n7,ann@x.test,Ann\n")
    output = path.with_name("out.csv")
    verified(opened(path)).export(output, ["status"], key_columns=["id"])
    assert output.read_text() == "id,mailvet_status\n7,deliverable\n"


def test_where_limits_what_is_written(write: Write, opened: Open) -> None:
    path = write("id,email\n1,ann@x.test\n2,bob@x.test\n")
    output = path.with_name("out.csv")
    verified(opened(path, where="id = '2'")).export(output, ["status"])
    assert cells(output)[1:] == [["2", "bob@x.test", "undeliverable"]]


def test_a_split_result_has_a_file_for_every_part_and_loses_no_row(write: Write, opened: Open) -> None:
    path = write(MESSY)
    output = path.with_name("out.csv")
    parts = ("send", "reverify", "do_not_send")
    written = verified(opened(path)).export(output, ["status"], split_by="recommendation", parts=parts)
    assert [file.name for file in written] == [
        "out.send.csv",
        "out.reverify.csv",
        "out.do_not_send.csv",
        "out.missing.csv",
        "out.unverified.csv",
    ]
    rows = {file.name.split(".")[1]: [row[0] for row in cells(file)[1:]] for file in written}
    assert rows == {
        "send": ["007", "08"],
        "reverify": [],
        "do_not_send": ["-1"],
        "missing": ["1.50", "+4"],
        "unverified": ["9e5"],
    }
    assert not output.exists()


def test_what_servers_wrote_starts_no_formula(write: Write, opened: Open) -> None:
    path = write("email\nann@x.test\n")
    warehouse = opened(path)
    hostile = "=HYPERLINK(0)"
    warehouse.save(answers({"ann@x.test": "mailbox_not_found"}, smtp_reply=hostile, suggestion=hostile, mx_host="-1"))
    warehouse.export(path.with_name("out.csv"), ["suggestion", "smtp_reply", "mx_host"])
    assert cells(path.with_name("out.csv"))[1] == ["ann@x.test", "", "'=HYPERLINK(0)", "'-1"]


@pytest.mark.parametrize(
    "name", ["out.csv", "out.csv.gz", "out.csv.zst", "out.tsv", "out.parquet", "out.jsonl", "out.ndjson.gz", "out.txt"]
)
def test_every_kind_that_is_read_is_written(write: Write, opened: Open, name: str) -> None:
    path = write('id,email,note\n007,ann@x.test,\n008,bob@x.test,""\n')
    output = path.with_name(name)
    verified(opened(path)).export(output, STATUS_COLUMNS)
    rows = rows_of(output)
    assert [row[:3] for row in rows] == [("007", "ann@x.test", None), ("008", "bob@x.test", "")]
    assert [row[3] for row in rows] == ["deliverable", "undeliverable"]


def test_the_output_may_replace_the_input(write: Write, opened: Open) -> None:
    path = write("id,email\n1,ann@x.test\n")
    for _ in range(2):
        warehouse = verified(opened(path))
        warehouse.export(path, ["status"])
        warehouse.close()
        assert cells(path) == [["id", "email", "mailvet_status"], ["1", "ann@x.test", "deliverable"]]


def test_rows_and_columns_of_the_input_cannot_be_lost_by_overwriting_it(write: Write, opened: Open) -> None:
    text = "id,email\n1,ann@x.test\n2,bob@x.test\n"
    path = write(text)
    with pytest.raises(SettingsError, match="is the input itself"):
        (narrowed := opened(path, where="id = '1'")).check_output(path)
    narrowed.close()
    warehouse = opened(path)
    with pytest.raises(SettingsError, match="is the input itself"):
        warehouse.export(path, ["status"], key_columns=["id"])
    assert path.read_text() == text


def test_a_result_is_as_private_as_its_input(write: Write, opened: Open) -> None:
    path = write("email\nann@x.test\n")
    path.chmod(0o600)
    verified(opened(path)).export(path.with_name("out.csv"), ["status"])
    assert stat.S_IMODE(path.with_name("out.csv").stat().st_mode) == 0o600


def test_a_result_that_cannot_be_written_leaves_nothing_behind(
    write: Write, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("email\nann@x.test\n")
    output = path.with_name("out.csv")
    output.write_text("from yesterday")
    files = set(path.parent.iterdir())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    warehouse = verified(opened(path))
    files |= set(path.parent.iterdir())
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SourceError, match=r"out\.csv cannot be written.*No space left"):
        warehouse.export(output, ["status"])
    assert set(path.parent.iterdir()) - {path.parent / "store"} == files - {path.parent / "store"}
    assert output.read_text() == "from yesterday"


@pytest.mark.parametrize(
    ("name", "says"),
    [("out.xls", "must end in one of"), ("none/out.csv", "there is no folder"), ("folder.csv", "is a folder")],
)
def test_an_output_that_cannot_be_is_refused_beforehand(write: Write, opened: Open, name: str, says: str) -> None:
    path = write("email\nann@x.test\n")
    (path.parent / "folder.csv").mkdir()
    with pytest.raises(SettingsError, match=says):
        opened(path).check_output(path.parent / name)


def test_a_key_column_that_is_not_there_is_refused_beforehand(write: Write, opened: Open) -> None:
    path = write("id,email\n1,ann@x.test\n")
    with pytest.raises(SourceError, match=r"no column nr in contacts\.csv; it has: id, email"):
        opened(path).check_output(path.with_name("out.csv"), ["nr"])


@pytest.mark.parametrize("name", ["rowid", "place", "email_key", "status", "mailvet place", "repeats", "folded"])
def test_a_column_may_be_called_as_one_of_ours_within(write: Write, opened: Open, name: str) -> None:
    lines = [f"{name},email", *(f"{900 - number},p{number}@x.test" for number in range(300))]
    path = write("\n".join(lines) + "\n")
    warehouse = opened(path, where=f"\"{name}\" <> '0'")
    warehouse.save(answers({f"p{number}@x.test": "mailbox_accepted" for number in range(300)}))
    plan_of(warehouse, now=NOW, depth_rank=2, rules_version=RULES_VERSION, listed=NO_LISTS)
    warehouse.export(path.with_name("out.csv"), ["reason"])
    after = cells(path.with_name("out.csv"))
    assert [",".join(row[:2]) for row in after] == lines
    assert {row[2] for row in after[1:]} == {"mailbox_accepted"}


def test_verdicts_on_a_file_are_known_when_it_comes_again(write: Write, opened: Open, tmp_path: Path) -> None:
    path = write("email\nann@x.test\nbob@x.test\n")
    verified(opened(path)).close()
    other = write("mail\nbob@x.test\ncid@x.test\n", "other.csv")
    warehouse = opened(other)
    assert plan_of(warehouse, now=NOW, depth_rank=2, rules_version=RULES_VERSION, listed=NO_LISTS).due == 1


def test_planning_over_a_file_makes_no_store(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "none" / "verdicts.duckdb"
    warehouse = DuckDBWarehouse.of_file(write("email\nann@x.test\n"), None, store, Binding(writable=False))
    assert plan_of(warehouse, now=NOW, depth_rank=2, rules_version="x", listed=NO_LISTS).due == 1
    warehouse.close()
    assert not store.parent.exists()
