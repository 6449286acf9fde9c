"""CSV is written with the delimiter, the byte order mark and the encoding that it came with, or that were asked for."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.files import Reading
from mailvet.warehouse.text_layout import TextLayout
from tests.warehouse.files.reading import Open, Write, verified

TEXT = "email;name\nann@x.test;Jürgen\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_file_comes_out_in_the_encoding_it_came_in(encoding: str, write: Write, opened: Open) -> None:
    path = write(TEXT.encode(encoding))
    reading = Reading("utf-8" if encoding.startswith("utf") else encoding)
    output = path.with_name("out.csv")
    verified(opened(path, reading=reading)).export(output, ["status"])
    expected = "email;name;mailvet_status\nann@x.test;Jürgen;deliverable\n"
    assert output.read_bytes() == expected.encode(encoding)


def test_encoding_and_delimiter_are_as_asked(write: Write, opened: Open) -> None:
    warehouse = verified(opened(write(TEXT)))
    output = warehouse.path.with_name("out.csv")
    warehouse.export(output, ["status"], layout=TextLayout.of("utf-8-sig", "tab"))
    assert output.read_bytes().startswith("\ufeffemail\tname\tmailvet_status\nann@x.test\tJürgen".encode())
    packed = warehouse.path.with_name("out.csv.gz")
    warehouse.export(packed, ["status"], layout=TextLayout.of("CP1252", ","))
    assert gzip.decompress(packed.read_bytes()).decode("cp1252").splitlines()[1] == "ann@x.test,Jürgen,deliverable"


def test_a_character_that_the_encoding_lacks_is_said_and_nothing_is_written(write: Write, opened: Open) -> None:
    warehouse = verified(opened(write("email,name\nann@x.test,用户\n")))
    output = warehouse.path.with_name("out.csv")
    with pytest.raises(SourceError, match=r"cannot be written in cp1252, which has no character U\+7528.*utf-8-sig"):
        warehouse.export(output, ["status"], layout=TextLayout.of("cp1252"))
    assert not list(output.parent.glob("*out*"))


def test_what_the_encoding_of_the_source_lacks_is_written_in_utf_8(
    write: Write, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("email,name\nann@x.test,Jürgen\n".encode("cp1252"))
    warehouse = opened(path, reading=Reading("cp1252"))
    verified(warehouse)
    warehouse._session.db.execute("update mailvet_input set name = '用户'")  # what no run does, but a suggestion might
    output = path.with_name("out.csv")
    with caplog.at_level(logging.WARNING, "mailvet"):
        warehouse.export(output, ["status"])
    assert output.read_bytes().startswith(b"\xef\xbb\xbfemail")
    assert "is written in UTF-8: cp1252 has no character U+7528" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("klingon", None), "output_encoding='klingon': there is no such encoding of text"),
        (("base64", None), "output_encoding='base64': there is no such encoding of text"),
        ((None, "-"), "delimiter='-': choose one of"),
    ],
)
def test_what_cannot_be_asked_for_is_said(arguments: tuple[str | None, str | None], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        TextLayout.of(*arguments)


def test_times_are_to_the_second_and_in_utc(write: Write, opened: Open) -> None:
    path = write("email\nann@x.test\n")
    output = path.with_name("out.csv")
    verified(opened(path)).export(output, STATUS_COLUMNS)
    assert Path(output).read_text().splitlines()[1].endswith(",2026-11-22T12:00:00Z")
