"""Exports, webhook dumps and bounce mail, read in portions: CSV, JSON, JSON Lines, Parquet, zip; mbox, maildir, .eml.

A file that grows is read from where the last import came to (`Place`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import polars as pl

from mailvet.errors import SourceError
from mailvet.history.bounce_mail import LONGEST_MAIL

__all__ = ["Place", "Portion", "Reader", "is_mail"]

_ENDINGS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "lines", ".ndjson": "lines"}
_MOST_EXPANDED = 200
"""A member of an archive that unpacks to more than so many times its size is not read."""
_ROWS = 50_000
"""Records of one portion."""
_BLOCK = 16 * 2**20
"""Octets of JSON lines that are read at once."""
_HEAD, _TAIL = 2**16, 2**12
"""Octets at the front, and before a place in it, by which a file that has grown is known again."""
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


@dataclass(frozen=True, slots=True)
class Place:
    """How far a source was read.

    Of a file that lines or mails are added to, `octets` from its start; of one that is read as a whole its size; of a
    folder of mails the time of change of the newest in nanoseconds.
    """

    octets: int
    digest: str
    """SHA-256 of what tells the file from another of the same name: of the whole, or its front and what stands before
    the place."""


@dataclass(slots=True)
class Portion:
    """A portion of a source: one of these, and what could not be read of it."""

    texts: pl.Series | None = None
    """JSON documents."""
    table: pl.DataFrame | None = None
    """Texts under the names of columns; null where there is none."""
    rows: Sequence[dict[str, Any]] = ()
    """Records with values of all kinds."""
    mails: Sequence[bytes] = ()
    broken: int = 0


@dataclass(slots=True)
class Reader:
    """A file or folder.

    Args:
        path: of it.
        after: where the last import came to.
    """

    path: Path
    after: Place | None = None
    place: Place | None = field(default=None, init=False)
    """Where this reading has come to, when it is at its end."""
    resumed: bool = field(default=False, init=False)
    """Only what was added since `after` was read, or nothing where nothing was."""

    def portions(self) -> Iterator[Portion]:
        """What is new.

        Raises:
            SourceError: the source is not there, of no known kind, or cannot be read.
        """
        path = self.path
        try:
            if is_mail(path):
                yield from self._mails()
            elif path.suffix.lower() in (".parquet", ".zip", ".json"):
                yield from self._whole()
            elif path.suffix.lower() in _ENDINGS:
                yield from self._growing()
            else:
                raise SourceError(
                    f"{path.name} is no kind of file that events are read from: csv, tsv, json, jsonl, ndjson, "
                    "parquet, zip of these, mbox, maildir, eml."
                )
        except FileNotFoundError:
            raise SourceError(f"There is no file {path}. Check the path.") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise SourceError(f"{path} cannot be read: {error}.") from None

    # ---------------------------------------------------------------- files

    def _whole(self) -> Iterator[Portion]:
        """A file that is read again as a whole when it has changed."""
        with self.path.open("rb") as stream:
            digest = _of(stream)
            self.place = Place(stream.tell(), digest)
            if self.place == self.after:
                self.resumed = True
                return
            stream.seek(0)
            if self.path.suffix.lower() == ".parquet":
                yield from _of_parquet(self.path)
            elif self.path.suffix.lower() == ".zip":
                yield from _of_zip(self.path)
            else:
                yield from _of_json(stream.read())

    def _growing(self) -> Iterator[Portion]:
        """A file that lines are added to."""
        with self.path.open("rb") as stream:
            start = self._start(stream)
            if _ENDINGS[self.path.suffix.lower()] == "lines":
                end = yield from _of_lines(stream, start)
            else:
                yield from _of_csv(stream, self.path.name, start)
                end = _last_line_end(stream)
            self.place = Place(end, _digest(stream, end))

    def _start(self, stream: IO[bytes]) -> int:
        """Where to read on: at the front where it is another file now."""
        if self.after is None or _digest(stream, self.after.octets) != self.after.digest:
            return 0
        self.resumed = True
        return self.after.octets

    # ---------------------------------------------------------------- mail

    def _mails(self) -> Iterator[Portion]:
        path = self.path
        if path.is_dir():
            yield from self._folder()
        elif path.suffix.lower() == ".eml":
            yield Portion(mails=[_beginning(path)])
        else:
            with path.open("rb") as stream:
                start = self._start(stream)
                stream.seek(start)
                end = start
                for begins, mail in _of_mbox(stream, start):
                    end = begins
                    yield Portion(mails=[mail])
                # The last mail may not have been written to its end; it is read again, and kept once.
                self.place = Place(end, _digest(stream, end))

    def _folder(self) -> Iterator[Portion]:
        self.resumed = self.after is not None
        newest = after = self.after.octets if self.after is not None else 0
        for folder in (self.path / "cur", self.path / "new", self.path):
            for file in sorted(folder.glob("*.eml" if folder == self.path else "*")) if folder.is_dir() else ():
                if not file.is_file():
                    continue
                changed = file.stat().st_mtime_ns
                if changed >= after:  # a mail keeps its time when it is moved to another folder
                    newest = max(newest, changed)
                    yield Portion(mails=[_beginning(file)])
        self.place = Place(newest, "")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LONGEST_MAIL)


def _of_mbox(stream: IO[bytes], start: int) -> Iterator[tuple[int, bytes]]:
    """Mails of a file of any size, each with where it begins; of each only its beginning is kept."""
    lines: list[bytes] = []
    size, after_blank, begins, at = 0, True, start, start
    while line := stream.readline(2**16):
        if after_blank and line.startswith(b"From "):
            if lines:
                yield begins, b"".join(lines)
            lines, size, begins = [], 0, at
        elif size < LONGEST_MAIL:
            lines.append(line[1:] if line.startswith(b">From ") else line)
            size += len(line)
        after_blank = not line.strip()
        at += len(line)
    if lines:
        yield begins, b"".join(lines)


def _of(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := stream.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _digest(stream: IO[bytes], end: int) -> str:
    """Of the front of a file and of what stands before a place in it."""
    stream.seek(0)
    head = stream.read(min(_HEAD, end))
    stream.seek(max(0, end - _TAIL))
    return hashlib.sha256(head + stream.read(min(_TAIL, end))).hexdigest()


def _last_line_end(stream: IO[bytes]) -> int:
    """Where the last whole line ends: what stands behind it may not have been written to its end."""
    end = stream.seek(0, io.SEEK_END)
    while end:
        begin = max(0, end - _HEAD)
        stream.seek(begin)
        place = stream.read(end - begin).rfind(b"\n")
        if place >= 0:
            return begin + place + 1
        end = begin
    return 0


# -------------------------------------------------------------------- kinds of files


def _of_lines(stream: IO[bytes], start: int) -> Generator[Portion, None, int]:
    """JSON Lines from a place on; returns where the last whole line ended."""
    stream.seek(start)
    end, rest = start, b""
    while block := stream.read(_BLOCK):
        whole, newline, rest_of_block = block.rpartition(b"\n")
        if not newline:
            rest += block
            continue
        lines = rest + whole + newline
        rest = rest_of_block
        end += len(lines)
        yield from _lines(lines)
    if rest.strip():
        yield from _lines(rest)
    return end


def _lines(block: bytes) -> Iterator[Portion]:
    block = block.removeprefix(b"\xef\xbb\xbf")
    broken = 0
    try:
        text = block.decode()
    except UnicodeDecodeError:
        kept = []
        for line in block.split(b"\n"):
            try:
                kept.append(line.decode())
            except UnicodeDecodeError:
                broken += 1
        text = "\n".join(kept)
    lines = pl.Series([text]).str.split("\n").explode().str.strip_chars()
    lines = lines.filter(lines != "")
    for begin in range(0, max(1, len(lines)), _ROWS):
        yield Portion(texts=lines.slice(begin, _ROWS), broken=broken if begin == 0 else 0)


def _of_json(text: bytes) -> Iterator[Portion]:
    """One document; or several, one a line, which are often called .json as well."""
    import duckdb

    try:
        document = text.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        yield from _lines(text)
        return
    if not document.lstrip().startswith("["):
        with duckdb.connect(":memory:") as db:
            (is_one,) = db.execute("select json_valid($1)", [document]).fetchone() or (False,)
        if is_one:
            yield Portion(texts=pl.Series([document]))
        else:
            yield from _lines(text)
        return
    with duckdb.connect(":memory:", config={"threads": 1}) as db:
        try:
            query = "select unnest(json_extract($1, '$[*]'))::varchar as line"
            reader = db.sql(query, params=[document]).to_arrow_reader(_ROWS)
            for batch in reader:
                yield Portion(texts=pl.Series(pl.from_arrow(batch.column(0)), dtype=pl.String))
        except duckdb.Error:
            yield from _lines(text)


def _of_csv(stream: IO[bytes], name: str, start: int) -> Iterator[Portion]:
    csv.field_size_limit(_LONGEST_CELL)
    # An export of an audience says by the name of its file what happened to those in it.
    word = _FIRST_WORD.match(Path(name).name)
    stream.seek(0)
    line = stream.readline()
    head = line.decode("utf-8-sig", "replace")
    delimiter = max(",;\t|", key=head.count)
    names = [each.strip() for each in next(csv.reader([head], delimiter=delimiter), [])]
    stream.seek(max(start, len(line)))
    rows = csv.reader(
        io.TextIOWrapper(io.BufferedReader(_Kept(stream)), "utf-8", errors="replace", newline=""), delimiter=delimiter
    )
    waiting: list[list[str]] = []
    broken, count = 0, len(names)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            broken += 1
            continue
        if row is not None:
            if len(row) > count:
                broken += 1
            elif any(row):
                waiting.append(row if len(row) == count else row + [""] * (count - len(row)))
        if len(waiting) == _ROWS or row is None:
            yield Portion(table=_table(names, waiting, word[0].lower() if word else ""), broken=broken)
            waiting, broken = [], 0
        if row is None:
            return


class _Kept(io.RawIOBase):
    """A stream that stays open when its reader is gone."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], file_name: str) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for name, cells in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        column = pl.Series(name, cells, dtype=pl.String)
        column = column.set(column == "", None)
        if name in columns:  # of several columns of one name, the last that holds anything
            column = pl.select(pl.coalesce(column, columns[name])).to_series().alias(name)
        columns[name] = column
    table = pl.DataFrame(columns)
    if "file_name" not in columns and rows:
        table = table.with_columns(file_name=pl.lit(file_name))
    return table


def _of_parquet(path: Path) -> Iterator[Portion]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                yield of_rows(batch)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path.name} is no Parquet file: {error}.") from None


def of_rows(batch: Any) -> Portion:
    """A batch of rows (Arrow): as texts where all columns are plain, else one by one."""
    frame = pl.DataFrame(pl.from_arrow(batch))
    plain = all(
        kind.is_integer() or kind in (pl.String, pl.Boolean, pl.Null) or isinstance(kind, pl.Datetime)
        for kind in frame.dtypes
    )
    if not plain:
        return Portion(rows=batch.to_pylist())
    return Portion(table=frame.select(_as_text(name, kind) for name, kind in frame.schema.items()))


def _as_text(name: str, kind: Any) -> pl.Expr:
    column = pl.col(name)
    if not isinstance(kind, pl.Datetime):
        return column.cast(pl.String)
    at = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else column
    return at.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")


def _of_zip(path: Path) -> Iterator[Portion]:
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
                kind = _ENDINGS[Path(member.filename).suffix.lower()]
                if kind == "lines":
                    yield from _of_lines(stream, 0)
                elif kind == "json":
                    yield from _of_json(stream.read())
                else:
                    yield from _of_csv(stream, member.filename, 0)
