"""A file is a table too: every cell comes out as it went in, and what cannot be read is said in one sentence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailvet.errors import SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.files import INPUT, Reading, format_of, is_database, load, split_name
from tests.warehouse.answers import NO_LISTS, NOW, answers

Write = Callable[..., Path]
Open = Callable[..., DuckDBWarehouse]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Make a file of this text or these bytes."""

    def make(content: str | bytes, name: str = "contacts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    warehouses: list[DuckDBWarehouse] = []

    def open_file(path: Path, column: str | None = None, **options: Any) -> DuckDBWarehouse:
        warehouse = DuckDBWarehouse.of_file(path, column, tmp_path / "store" / "verdicts.duckdb", **options)
        warehouses.append(warehouse)
        warehouse.open_for_writing()
        return warehouse

    yield open_file
    for warehouse in warehouses:
        warehouse.close()


def rows_of(path: Path, encoding: str = "utf-8") -> list[tuple[Any, ...]]:
    with duckdb.connect() as db:
        load(db, path, Reading(encoding))
        return list(db.execute(f"select * from {INPUT} order by rowid").fetchall())


def columns_of(path: Path) -> list[str]:
    with duckdb.connect() as db:
        load(db, path)
        return [row[0] for row in db.execute(f"describe {INPUT}").fetchall()]


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


# -------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", ("csv", None)),
        ("a.CSV", ("csv", None)),
        ("a.tsv.gz", ("csv", "gzip")),
        ("a.b.txt", ("csv", None)),
        ("a.parquet", ("parquet", None)),
        ("a.jsonl", ("json", None)),
        ("a.ndjson.zst", ("json", "zstd")),
        ("a.duckdb", None),
        ("a.json", None),
        ("a.gz", None),
        ("a", None),
        (".csv", None),
    ],
)
def test_the_name_of_a_file_says_its_kind(name: str, kind: tuple[str, str | None] | None) -> None:
    assert format_of(Path(name)) == kind


def test_the_endings_of_a_name_are_kept_when_it_is_split() -> None:
    assert split_name(Path("x/my.list.csv.gz")) == ("my.list", ".csv.gz")
    assert split_name(Path("list.csv")) == ("list", ".csv")


def test_a_database_is_told_from_a_file(tmp_path: Path, write: Write) -> None:
    duckdb.connect(str(tmp_path / "a.db")).close()
    assert is_database(tmp_path / "a.db")
    assert not is_database(write("DUCK"))
    assert not is_database(tmp_path / "none")


# -------------------------------------------------------------------- reading CSV


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('id,email\n007,a@x.test\n1e5,"b@x.test"\n', [("007", "a@x.test"), ("1e5", "b@x.test")]),
        ('id,email\n1,\n2,""\n3, \n', [("1", None), ("2", ""), ("3", " ")]),
        ("id,email\n1,NULL\n2,null\n3,NA\n", [("1", "NULL"), ("2", "null"), ("3", "NA")]),
        ('id,email\n1,"say ""hi"", a@x.test"\n', [("1", 'say "hi", a@x.test')]),
        ('id,email\r\n1,"a\r\nb"\r\n2,"c\nd"\r\n', [("1", "a\r\nb"), ("2", "c\nd")]),
        ('id,email\n1,"a@x.test\r\n"\n2,b\n', [("1", "a@x.test\r\n"), ("2", "b")]),
        ("id,email\r1,a\r2,b\r", [("1", "a"), ("2", "b")]),
        ("id;email\n1;a@x.test, b@x.test\n", [("1", "a@x.test, b@x.test")]),
        ("id\temail\n1\ta;b,c|d\n", [("1", "a;b,c|d")]),
        ("id|email\n1|a;b\n", [("1", "a;b")]),
        ("email\na@x.test; b@x.test\n\nann@gmail,com\n", [("a@x.test; b@x.test",), (None,), ("ann@gmail,com",)]),
        ("email,id\n#a@x.test,1\n=cmd|' /C calc'!A0,2\n", [("#a@x.test", "1"), ("=cmd|' /C calc'!A0", "2")]),
        ("email,id\n用户@例子.测试,😀\n", [("用户@例子.测试", "😀")]),
        ("email,id\na\x00b@x.test,1\n\x01\x7f,2\n", [("a\x00b@x.test", "1"), ("\x01\x7f", "2")]),
        ("email,id", []),
        ("email,id\n", []),
        ('"e""mail","two\nlines"\na,1\n', [("a", "1")]),
        ("email,id\na,1", [("a", "1")]),
        ("email,on\n2020-01-01,true\n1.50,0x1F\n", [("2020-01-01", "true"), ("1.50", "0x1F")]),
    ],
)
def test_cells_are_read_as_the_text_they_are(write: Write, text: str, rows: list[tuple[Any, ...]]) -> None:
    assert rows_of(write(text)) == rows


def test_a_tsv_is_split_at_tabs_whatever_its_header_says(write: Write) -> None:
    path = write("a,b;c\temail\n1\tx\n", "contacts.tsv")
    assert columns_of(path) == ["a,b;c", "email"]


def test_names_of_columns_are_made_unique(write: Write) -> None:
    path = write(" Email ,email,,id,ID,email_2\n1,2,3,4,5,6\n")
    assert columns_of(path) == ["Email", "email_2", "column3", "id", "ID_2", "email_2_2"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "shift_jis", "utf-32"])
def test_any_encoding_that_is_named_is_read(write: Write, encoding: str) -> None:
    text = "id,email\n1,日本@x.test\n" if encoding == "shift_jis" else "id,email\n1,jörg@x.test\n"
    assert rows_of(write(text.encode(encoding)), encoding) == [("1", text.split(",")[-1].strip())]


def test_a_byte_order_mark_says_the_encoding(write: Write) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        path = write("email,id\njörg@x.test,1\n".encode(encoding))
        assert columns_of(path) == ["email", "id"]
        assert rows_of(path) == [("jörg@x.test", "1")]


def test_compressed_files_are_read(write: Write) -> None:
    text = b"email,id\na@x.test,1\n"
    assert rows_of(write(gzip.compress(text), "c.csv.gz")) == [("a@x.test", "1")]
    latin = "email,id\njörg@x.test,1\n".encode("latin-1")
    assert rows_of(write(gzip.compress(latin), "d.csv.gz"), "latin-1") == [("jörg@x.test", "1")]


def test_a_cell_of_ten_megabytes_is_read(write: Write) -> None:
    huge = "x" * 10_000_000
    assert rows_of(write(f"email,id\n{huge},1\nb@x.test,2\n")) == [(huge, "1"), ("b@x.test", "2")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "no header line"),
        ("email,id\njörg@secret.test,1\n".encode("latin-1"), r"not UTF-8 text in line 2.*encoding='cp1252'"),
        (b"email,id\n" + b"ann@x.test,1\n" * 5000 + b"\xff@secret.test,1\n", "not UTF-8 text in line 5002"),
        (b"email,id\nann@secret.test,1,2\n", "another number of columns than its header in line 2"),
        (b"email,id\nann@x.test,1\nann@secret.test\n", "another number of columns than its header in line 3"),
        (b'email,id\n"ann@secret.test,1\nb,2\n', "unclosed quotation mark.* in line 2"),
        (b'email,id\n"ann"@secret.test,1\n', "unclosed quotation mark.* in line 2"),
        (b"ann@secret.test,1\nbob@secret.test,2\n", "no header line: its first line holds an address.*header=False"),
        (b"Export of May\nid,email\n1,ann@secret.test\n", "text above its header, which is line 2.*lenient"),
    ],
)
def test_a_broken_csv_is_one_sentence_with_the_line_but_not_its_text(write: Write, content: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        rows_of(write(content))
    message = str(caught.value)
    assert "contacts.csv" in message
    assert "secret" not in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (
            b"id,email\r\n1,a@x.test\n2,b@x.test\r\n3,c@x.test\n",
            [("1", "a@x.test"), ("2", "b@x.test"), ("3", "c@x.test")],
        ),
        (b'id,email\n1,"a\r\nb"\r\n2,\n3,""\r4,d\n', [("1", "a\r\nb"), ("2", None), ("3", ""), ("4", "d")]),
        (b"sep=;\r\nid;email\r\n1;a@x.test, b@x.test\r\n", [("1", "a@x.test, b@x.test")]),
        (b'\xef\xbb\xbf"sep=|"\nid|email\n1|a;b\n', [("1", "a;b")]),
        (b"\n\nid,email\n1,a@x.test\n", [("1", "a@x.test")]),
        ("id,email\r\n1,jörg@x.test\r\n".encode("utf-16-le"), [("1", "jörg@x.test")]),
        ("id,email\n1,jörg@x.test\n".encode("utf-16-be"), [("1", "jörg@x.test")]),
        (
            b'id,email,name\n1,a@x.test,"say \\"hi\\", x"\n2,b,"c:\\d"\n',
            [("1", "a@x.test", 'say "hi", x'), ("2", "b", "c:\\d")],
        ),
    ],
    ids=[
        "line ends by turns",
        "all three line ends",
        "sep=",
        "sep= in quotes",
        "blank lines above",
        "UTF-16LE",
        "UTF-16BE",
        "backslash before a quotation mark",
    ],
)
def test_what_can_be_read_in_one_way_only_is_read(write: Write, content: bytes, rows: list[tuple[Any, ...]]) -> None:
    assert rows_of(write(content)) == rows


@pytest.mark.parametrize(
    ("content", "rows", "remark"),
    [
        (
            b"id,email,name\n1,a@x.test\n2,b@x.test,Bob\n3\n",
            [("1", "a@x.test", None), ("2", "b@x.test", "Bob"), ("3", None, None)],
            "2 rows of fewer cells than the header",
        ),
        (
            b"id,email\n1,a@x.test,Lee,Ann\n2,b@x.test\n",
            [("1", "a@x.test", "Lee", "Ann"), ("2", "b@x.test", None, None)],
            "1 row of more cells than the header",
        ),
        (
            b'id,email\n1,"a@x.test\n2,"b"@x.test\n3,c@x.test\n',
            [("1", '"a@x.test'), ("2", '"b"@x.test'), ("3", "c@x.test")],
            "2 rows with stray quotation marks",
        ),
        (
            b"Contacts\nas of May 2026\n\nid,email\n1,a@x.test\n",
            [("1", "a@x.test")],
            "2 lines above the header left out",
        ),
    ],
    ids=["short rows", "long rows", "stray quotation marks", "titles"],
)
def test_what_may_mean_two_things_is_read_on_request_and_counted(
    write: Write, content: bytes, rows: list[tuple[Any, ...]], remark: str
) -> None:
    path = write(content)
    with pytest.raises(SourceError, match="lenient"):
        rows_of(path)
    with duckdb.connect() as db:
        loaded = load(db, path, Reading(lenient=True))
        assert list(db.execute(f"select * from {INPUT} order by rowid").fetchall()) == rows
    assert loaded.remarks == (f"contacts.csv was read with {remark}.",)


def test_a_file_without_a_header_is_read_on_request_and_keeps_its_first_contact(write: Write, opened: Open) -> None:
    path = write("1;ann@x.test\n2;bob@x.test\n")
    warehouse = opened(path, reading=Reading(header=False))
    assert warehouse.column == "column2"
    output = path.with_name("out.csv")
    verified(warehouse).export(output, ["status"])
    assert cells(output, ";") == [
        ["column1", "column2", "mailvet_status"],
        ["1", "ann@x.test", "deliverable"],
        ["2", "bob@x.test", "undeliverable"],
    ]


ODD_NAMES = (
    "keep[1].csv",
    "contacts(1).csv",
    "a*b.csv",
    "q?.csv",
    "{x,y}.csv",
    "back\\slash.csv",
    "-dash.csv",
    "back\\[1].csv",
    'it\'s "odd" one.csv',
    "ünï 日本.csv",
    "k=v.csv",
    "[!a].csv",
    "**.csv",
    "~x.csv",
    "a%20b.csv",
    "s3:x.csv",
    "-- x.csv",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_file_named_is_the_one_that_is_read_and_written(write: Write, opened: Open, name: str) -> None:
    for decoy in ("keep1.csv", "axb.csv", "qq.csv", "x.csv", "b.csv", "back[1].csv"):
        write("id,email\n9,decoy@x.test\n", decoy)
    path = write("id,email\n1,ann@x.test\n", name)
    verified(opened(path)).export(path, ["status"])
    assert cells(path) == [["id", "email", "mailvet_status"], ["1", "ann@x.test", "deliverable"]]
    assert all(cells(path.with_name(decoy))[1] == ["9", "decoy@x.test"] for decoy in ("keep1.csv", "x.csv", "b.csv"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_odd_names_of_folders_and_files_are_no_patterns_and_no_columns(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "email=x@evil.test" / "id=7"
    folder.mkdir(parents=True)
    for name, who in (("p[1]", "ann@x.test"), ("p1", "decoy@x.test")):
        target = folder / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({"id": ["1"], "email": [who]}), target)
        else:
            target.write_text(f"id,email\n1,{who}\n" if kind == "csv" else f'{{"id": "1", "email": "{who}"}}\n')
    assert rows_of(folder / f"p[1].{kind}") == [("1", "ann@x.test")]
    assert columns_of(folder / f"p[1].{kind}") == ["id", "email"]


def test_a_wrong_encoding_is_said_to_be_wrong(write: Write) -> None:
    path = write("email\njörg@x.test\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"not UTF-16.* text"):
        rows_of(path, "utf-16")
    for name in ("klingon", "base64"):
        with pytest.raises(SettingsError, match="encoding="):
            rows_of(path, name)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("c.csv.gz", b"email\nann@secret.test\n", "cannot be read"),
        ("c.parquet", b"email\nann@secret.test\n", "cannot be read"),
        ("c.jsonl", b'{"email": "ann@secret.test"}\n{"email": \n', "JSON"),
        ("c.xlsx", b"PK", "neither a DuckDB database nor a file of a known kind"),
    ],
)
def test_other_broken_files_are_one_sentence_too(write: Write, name: str, content: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        rows_of(write(content, name))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no file"):
        rows_of(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match="is no file"):
        rows_of(tmp_path / "folder.csv")


# -------------------------------------------------------------------- the column of addresses


@pytest.mark.parametrize("header", ["email", "E-Mail", "e_mail", "Email Address", "mail", "EMAIL", " email "])
def test_the_usual_names_of_the_column_are_found(write: Write, opened: Open, header: str) -> None:
    assert opened(write(f"id,{header}\n1,a@x.test\n")).column == header.strip()


@pytest.mark.parametrize(
    ("header", "column", "says"),
    [
        ("id,email,mail", None, "Which column .* Name it with email_column; there are: id, email, mail"),
        ("id,contact", None, "Which column"),
        ("id,contact", "address", "no column address in contacts.csv; there are: id, contact"),
        ("email,email", None, "more than one column called email"),
        ("Email,email", "EMAIL", "more than one column called Email"),
    ],
)
def test_a_column_that_is_not_clear_is_asked_for(
    write: Write, opened: Open, header: str, column: str | None, says: str
) -> None:
    commas = "," * header.count(",")
    with pytest.raises(SourceError, match=says):
        opened(write(f"{header}\n{commas}\n"), column)


# -------------------------------------------------------------------- writing


def verified(warehouse: DuckDBWarehouse, **reasons: str) -> DuckDBWarehouse:
    warehouse.save(answers({"ann@x.test": "mailbox_accepted", "bob@x.test": "null_mx", "": "syntax_invalid"} | reasons))
    return warehouse


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
    [("out.xlsx", "must end in one of"), ("none/out.csv", "there is no folder"), ("folder.csv", "is a folder")],
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
    warehouse.plan(now=NOW, depth_rank=2, rules_version=RULES_VERSION, listed=NO_LISTS)
    warehouse.export(path.with_name("out.csv"), ["reason"])
    after = cells(path.with_name("out.csv"))
    assert [",".join(row[:2]) for row in after] == lines
    assert {row[2] for row in after[1:]} == {"mailbox_accepted"}


def test_verdicts_on_a_file_are_known_when_it_comes_again(write: Write, opened: Open, tmp_path: Path) -> None:
    path = write("email\nann@x.test\nbob@x.test\n")
    verified(opened(path)).close()
    other = write("mail\nbob@x.test\ncid@x.test\n", "other.csv")
    warehouse = opened(other)
    assert warehouse.plan(now=NOW, depth_rank=2, rules_version=RULES_VERSION, listed=NO_LISTS).due == 1


def test_planning_over_a_file_makes_no_store(write: Write, tmp_path: Path) -> None:
    store = tmp_path / "none" / "verdicts.duckdb"
    warehouse = DuckDBWarehouse.of_file(write("email\nann@x.test\n"), None, store, writable=False)
    assert warehouse.plan(now=NOW, depth_rank=2, rules_version="x", listed=NO_LISTS).due == 1
    warehouse.close()
    assert not store.parent.exists()


# -------------------------------------------------------------------- Parquet, JSON Lines


def test_parquet_keeps_its_types(tmp_path: Path, opened: Open) -> None:
    path, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "email": ["ann@x.test", None],
            "tags": [["a"], []],
            "on": [date(2020, 1, 2), None],
            "at": pa.array([datetime(2020, 1, 1), None], pa.timestamp("us", tz="UTC")),
            "score": pa.array([1.5, None], pa.float32()),
            "who": [{"a": 1}, None],
        }
    )
    pq.write_table(table, path)
    verified(opened(path)).export(output, ["status"])
    after = pq.read_table(output)
    assert after.drop_columns(["mailvet_status"]).cast(table.schema).equals(table)
    assert after["mailvet_status"].to_pylist() == ["deliverable", "undeliverable"]


def test_json_lines_keep_texts_that_look_like_dates_and_nested_values(write: Write, opened: Open) -> None:
    lines: Sequence[dict[str, Any]] = [
        {
            "id": "007",
            "email": "ann@x.test",
            "at": "2020-01-01T00:00:00Z",
            "on": "2020-01-02",
            "more": {"a": [1, None]},
            "u": "2F1A5B7C-0000-4000-8000-000000000000",
            "n": 12345678901234567,
            "ok": True,
        },
        {
            "id": "8",
            "email": None,
            "at": "2021-01-01 00:00",
            "on": "2021-02-03",
            "more": {"b": {}},
            "u": None,
            "n": 1,
            "ok": False,
        },
    ]
    path = write("".join(json.dumps(line) + "\n" for line in lines), "in.jsonl")
    output = path.with_name("out.jsonl")
    verified(opened(path)).export(output, ["status"])
    after = [json.loads(line) for line in output.read_text().splitlines()]
    assert [{k: v for k, v in line.items() if k != "mailvet_status"} for line in after] == lines
    assert [line["mailvet_status"] for line in after] == ["deliverable", "undeliverable"]


def test_a_column_of_numbers_is_refused(write: Write, opened: Open, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds BIGINT, not text"):
        opened(write('{"email": 1, "name": "a"}\n', "in.jsonl"))
    pq.write_table(pa.table({"email": [1.5]}), tmp_path / "in.parquet")
    with pytest.raises(SourceError, match="holds DOUBLE, not text"):
        opened(tmp_path / "in.parquet")
