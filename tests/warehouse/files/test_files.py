"""A file is a table too: every cell comes out as it went in, and what cannot be read is said in one sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.warehouse.files import INPUT, Reading, format_of, is_database, load, split_name
from tests.warehouse.files.reading import Open, Write, cells, columns_of, rows_of, verified

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
    assert warehouse._source.column == "column2"
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
        ("c.xls", b"PK", "neither a DuckDB database nor a file of a known kind"),
        ("c.xlsx", b"PK", "damaged or no workbook"),
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
    assert opened(write(f"id,{header}\n1,a@x.test\n"))._source.column == header.strip()


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
