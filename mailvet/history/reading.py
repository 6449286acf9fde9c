"""Exports, webhook dumps and bounce mail as records: CSV, JSON, JSON Lines, Parquet, zip; mbox, maildir, .eml."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from mailvet.errors import SourceError
from mailvet.history.bounce_mail import LONGEST_MAIL
from mailvet.history.records import unwrapped

__all__ = ["BROKEN", "is_mail", "mails_of", "records_of"]

BROKEN: Mapping[str, Any] = {}
"""Stands for what could not be read: a broken line, a row with too many cells."""

_ENDINGS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "lines", ".ndjson": "lines"}
_MOST_EXPANDED = 200
"""A member of an archive that unpacks to more than so many times its size is not read."""
_ROWS = 10_000
_LONGEST_CELL = 16 * 2**20
_FIRST_WORD = re.compile(r"[A-Za-z]+")


def is_mail(path: Path) -> bool:
    """Whether a path is bounce mail: a maildir, an .eml file, or an mbox."""
    if path.is_dir():
        return (path / "cur").is_dir() or (path / "new").is_dir() or any(path.glob("*.eml"))
    if path.suffix.lower() in (".eml", ".mbox"):
        return True
    if not path.is_file() or path.suffix.lower() in (*_ENDINGS, ".zip", ".parquet"):
        return False
    with path.open("rb") as file:
        return file.read(5) == b"From "


def mails_of(path: Path) -> Iterator[bytes]:
    """The mails of a maildir, a folder of .eml files, an .eml file or an mbox, each read alone.

    Raises:
        SourceError: a file cannot be read.
    """
    try:
        if path.is_dir():
            for folder in (path / "cur", path / "new", path):
                for file in sorted(folder.glob("*.eml" if folder == path else "*")) if folder.is_dir() else ():
                    if file.is_file():
                        with file.open("rb") as stream:
                            yield stream.read(LONGEST_MAIL)
        elif path.suffix.lower() == ".eml":
            with path.open("rb") as stream:
                yield stream.read(LONGEST_MAIL)
        else:
            with path.open("rb") as stream:
                yield from _of_mbox(stream)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from None


def _of_mbox(stream: IO[bytes]) -> Iterator[bytes]:
    """Mails of a file of any size; of each only its beginning is kept."""
    lines: list[bytes] = []
    size, after_blank = 0, True
    while line := stream.readline(2**16):
        if after_blank and line.startswith(b"From "):
            if lines:
                yield b"".join(lines)
            lines, size = [], 0
        elif size < LONGEST_MAIL:
            lines.append(line[1:] if line.startswith(b">From ") else line)
            size += len(line)
        after_blank = not line.strip()
    if lines:
        yield b"".join(lines)


def records_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The records of a file, and `BROKEN` for each that cannot be read.

    Raises:
        SourceError: the file is not there, of no known kind, or cannot be read.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            yield from _of_parquet(path)
        elif ending == ".zip":
            yield from _of_zip(path)
        elif ending in _ENDINGS:
            with path.open("rb") as stream:
                yield from _of_stream(stream, path.name)
        else:
            raise SourceError(
                f"{path.name} is no kind of file that events are read from: csv, tsv, json, jsonl, ndjson, parquet, "
                "zip of these, mbox, maildir, eml."
            )
    except FileNotFoundError:
        raise SourceError(f"There is no file {path}. Check the path.") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from None


def _of_stream(stream: IO[bytes], name: str) -> Iterator[Mapping[str, Any]]:
    kind = _ENDINGS[Path(name).suffix.lower()]
    if kind == "lines":
        yield from _of_lines(stream)
    elif kind == "json":
        yield from _of_json(stream.read())
    else:
        yield from _of_csv(io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline=""), name)


def _of_lines(stream: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in stream:
        if not line.strip():
            continue
        try:
            document = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError):
            yield BROKEN
            continue
        yield from _records(document)


def _of_json(text: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        document = json.loads(text.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):  # several documents, one a line, are often called .json
        yield from _of_lines(io.BytesIO(text))
        return
    yield from _records(document)


def _records(document: Any) -> Iterator[Mapping[str, Any]]:
    found = False
    for record in unwrapped(document):
        found = True
        yield record
    if not found and document != []:
        yield BROKEN


def _of_csv(text: IO[str], name: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_LONGEST_CELL)
    # An export of an audience says by the name of its file what happened to those in it.
    word = _FIRST_WORD.match(Path(name).name)
    file_name = word[0].lower() if word else ""
    head = text.readline()
    delimiter = max(",;\t|", key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    rows = csv.reader(text, delimiter=delimiter)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            yield BROKEN
            continue
        if row is None:
            return
        if not any(row):
            continue
        if len(row) > len(names):
            yield BROKEN
            continue
        cells = {key.strip(): value for key, value in zip(names, row, strict=False) if value != ""}
        yield {**cells, "file_name": file_name} if "file_name" not in cells else cells


def _of_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path.name} is no Parquet file: {error}.") from None


def _of_zip(path: Path) -> Iterator[Mapping[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if Path(member.filename).suffix.lower() in _ENDINGS and not member.is_dir()
        ]
        if not members:
            raise SourceError(f"{path.name} holds no file of events: csv, tsv, json, jsonl or ndjson.")
        for member in members:
            if member.file_size > _MOST_EXPANDED * max(1, member.compress_size):
                raise SourceError(f"{member.filename} in {path.name} unpacks to too much to be an export of events.")
            with archive.open(member) as stream:
                yield from _of_stream(stream, member.filename)
