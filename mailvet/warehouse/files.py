"""
Data files: which kinds there are, and how each becomes a table in which every cell is what it was in the file.

CSV is read as text without guessing: the header line is parsed here, so that names need not be unique and a sniffer
never sees the messy cells (`a@x.com; b@y.com`) that would mislead it. Of JSON Lines, texts that look like dates stay
texts and nested values stay JSON. What cannot be read becomes a `SourceError` that names the line, never its text.
"""

from __future__ import annotations

import codecs
import csv
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import duckdb

from mailvet.errors import SettingsError, SourceError
from mailvet.warehouse.dialects import literal

__all__ = [
    "FORMATS",
    "INPUT",
    "Loaded",
    "first_line",
    "format_of",
    "is_database",
    "literal",
    "load",
    "split_name",
    "table_function",
    "unique_names",
]

FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
INPUT = "temp.mailvet_input"
"""The table that `load` makes."""

_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_LONGEST_LINE = 64 * 1024 * 1024
_NO_DELIMITER = "\x1f"
"""Stands in no cell, so that in a file of one column "ann@gmail,com" stays in one piece."""
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ENDINGS = {"csv": ".csv", "json": ".jsonl"}
_DUCKDB_MAGIC = b"DUCK"  # at offset 8 of a database file


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a file was written, to write it again alike."""

    headers: Sequence[str]
    """Names of the columns as they stand in the file; the table's are these, made unique."""
    delimiter: str


def format_of(path: Path) -> tuple[str, str | None] | None:
    """("csv" | "parquet" | "json", compression or None) of a file name, None for what is no data file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSION.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    kind = FORMATS.get(suffixes[-1]) if suffixes else None
    return (kind, compression) if kind else None


def split_name(path: Path) -> tuple[str, str]:
    """("contacts", ".csv.gz"): the name and the endings that say the format."""
    kind = "".join(path.suffixes[-2:]) if path.suffixes[-1].lower() in _COMPRESSION else path.suffixes[-1]
    return path.name[: -len(kind)], kind


def is_database(path: Path) -> bool:
    """Whether the file begins as DuckDB's do."""
    try:
        with path.open("rb") as stream:
            return stream.read(12)[8:] == _DUCKDB_MAGIC
    except OSError:
        return False


def load(db: duckdb.DuckDBPyConnection, path: Path, encoding: str = "utf-8") -> Loaded:
    """
    Read a file into the temporary table `INPUT`, rows and columns in the order of the file.

    Args:
        encoding: of a text file, any that Python knows; a byte order mark is stronger than the default.

    Raises:
        SourceError: missing, empty, of no known kind, or not well formed; SettingsError: no such encoding.
    """
    _look(path)
    with _in_utf8(path, encoding) as (readable, told):
        try:
            reader, headers, delimiter = _reader(db, readable)
            db.execute(f"create or replace temp table mailvet_input as select * from {reader}")
        except duckdb.Error as error:
            raise _unreadable(path, str(error), told) from None
    return Loaded(headers, delimiter)


def table_function(db: duckdb.DuckDBPyConnection, path: Path) -> str:
    """The SQL table function that reads a file in UTF-8, with the names of its header."""
    _look(path)
    try:
        return _reader(db, path)[0]
    except duckdb.Error as error:
        raise _unreadable(path, str(error), "utf-8") from None


def first_line(text: str) -> str:
    """The first line of a database's message, without addresses: it may quote cells."""
    line = text.strip().splitlines()[0].rstrip(".") if text.strip() else "no reason given"
    return re.sub(r"[^\s\"'<>,;()]+@[^\s\"'<>,;()]+", "<address>", line)


def _look(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"There is no file {path}. Check the path.")
    if not path.is_file():
        raise SourceError(f"{path} is no file. Give one CSV, Parquet or JSON Lines file, or a DuckDB database.")
    if format_of(path) is None:
        raise SourceError(
            f"{path.name} is neither a DuckDB database nor a file of a known kind "
            f"({', '.join(FORMATS)}, also with .gz or .zst). Rename or convert it."
        )
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise SourceError(f"The file {path} is empty: there is not even a header line.")
    except OSError as error:
        raise SourceError(f"The file {path} cannot be read: {error.strerror or error}.") from None


# ---------------------------------------------------------------- encodings


@contextmanager
def _in_utf8(path: Path, encoding: str) -> Iterator[tuple[Path, str]]:
    """The file, or a copy of it in UTF-8 if it is written otherwise; and the name of its encoding."""
    kind = format_of(path)
    assert kind is not None
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise SettingsError(
            f"--encoding {encoding}: there is no such encoding; common ones are utf-8, utf-16, latin-1, cp1252."
        ) from None
    if kind[0] == "parquet":
        yield path, name
        return
    if kind[1] is None and name == "utf-8":
        with path.open("rb") as stream:
            start = stream.read(4)
        name = next((marked for mark, marked in _BOMS if start.startswith(mark)), name)
    if name in ("utf-8", "utf-8-sig", "ascii"):
        yield path, "utf-8"
        return
    with tempfile.TemporaryDirectory(prefix="mailvet-") as folder:
        copy = Path(folder) / f"input{'.tsv' if _is_tsv(path) else _ENDINGS[kind[0]]}"
        try:
            with _opened(path, kind[1], name) as source, copy.open("w", encoding="utf-8", newline="") as target:
                while text := source.read(1 << 20):
                    target.write(text)
        except UnicodeError:
            raise _unreadable(path, "unicode", name) from None
        except LookupError:  # base64 and the like
            raise SettingsError(f"--encoding {encoding} is no encoding of text.") from None
        except (OSError, EOFError) as error:
            raise SourceError(f"The file {path} cannot be read: {error}.") from None
        yield copy, name


def _opened(path: Path, compression: str | None, encoding: str) -> TextIO:
    if compression == "zstd":
        raise SourceError(f"{path.name} is compressed and not in UTF-8. Decompress it first, then give its encoding.")
    if compression == "gzip":
        import gzip

        return cast(TextIO, gzip.open(path, "rt", encoding=encoding, newline=""))
    return path.open(encoding=encoding, newline="")


# ---------------------------------------------------------------- readers


def _reader(db: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, list[str], str]:
    """(table function, names of the columns in the file, delimiter)"""
    kind = format_of(path)
    assert kind is not None
    name = literal(str(path))
    if kind[0] == "parquet":
        reader = f"read_parquet({name})"
        return reader, _described(db, reader)[0], ","
    if kind[0] == "json":
        reader = _json_reader(db, name)
        return reader, _described(db, reader)[0], ","
    compression = f", compression = '{kind[1]}'" if kind[1] else ""
    record, delimiter = _header(db, path, name, compression)
    columns = ", ".join(f"{literal(unique)}: 'VARCHAR'" for unique in unique_names(record))
    reader = (
        f"read_csv({name}, auto_detect = false, header = true, columns = {{{columns}}}, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, "
        f"max_line_size = {_LONGEST_LINE}, buffer_size = {2 * _LONGEST_LINE}{compression})"
    )
    return reader, record, delimiter


def _json_reader(db: duckdb.DuckDBPyConnection, name: str) -> str:
    options = f"format = 'newline_delimited', maximum_object_size = {_LONGEST_LINE}"
    names, kinds = _described(db, f"read_json({name}, {options}, sample_size = -1)")
    columns = ", ".join(f"{literal(key)}: {literal(_kept(kind))}" for key, kind in zip(names, kinds, strict=True))
    return f"read_json({name}, {options}, columns = {{{columns}}})"


def _kept(kind: str) -> str:
    """The type in which a JSON value comes out as it went in: no date is reformatted, no nested key added."""
    if kind.startswith(("DATE", "TIME", "UUID")):
        return "VARCHAR"
    return "JSON" if kind.startswith(("STRUCT", "MAP")) or kind.endswith("]") else kind


def _described(db: duckdb.DuckDBPyConnection, relation: str) -> tuple[list[str], list[str]]:
    rows = db.execute(f"describe select * from {relation}").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def _header(db: duckdb.DuckDBPyConnection, path: Path, name: str, compression: str) -> tuple[list[str], str]:
    """The first record of a CSV file and its delimiter."""

    def lines(count: int) -> list[str]:
        rows = db.execute(
            f"select line from read_csv({name}, auto_detect = false, header = false, columns = {{'line': 'VARCHAR'}}, "
            f"delim = '{_NO_DELIMITER}', quote = '', escape = '', strict_mode = false, "
            f"max_line_size = {_LONGEST_LINE}, buffer_size = {2 * _LONGEST_LINE}{compression}) limit {count}"
        ).fetchall()
        return [row[0] or "" for row in rows]

    head = lines(1)
    if head and head[0].count('"') % 2:  # a name that goes on in the next line
        head = ["\n".join(lines(50))]
    text = (head[0] if head else "").removeprefix("\ufeff")
    if not text.strip():
        raise SourceError(f"The file {path.name} has no header line: its first line is blank. Name its columns there.")
    delimiter = "\t" if _is_tsv(path) else _likely_delimiter(text)
    csv.field_size_limit(_LONGEST_LINE)
    return next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter)), delimiter


def _likely_delimiter(header: str) -> str:
    """Names of columns hold no delimiters, cells may."""
    bare = re.sub(r'"[^"]*"', "", header)
    counts = {mark: bare.count(mark) for mark in (",", ";", "\t", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else _NO_DELIMITER


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names for SQL: never blank, never twice (SQL does not tell Email from email)."""
    taken: set[str] = set()
    unique = []
    for position, name in enumerate(names, 1):
        base = name.strip() or f"column{position}"
        candidate, number = base, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def _is_tsv(path: Path) -> bool:
    return ".tsv" in [suffix.lower() for suffix in path.suffixes]


# ---------------------------------------------------------------- what goes wrong


def _unreadable(path: Path, text: str, encoding: str) -> SourceError:
    """DuckDB quotes the offending line, addresses and all; only its number and the kind of fault are passed on."""
    line = re.search(r"[Ll]ine:? (\d+)", text)
    where = f" in line {line[1]}" if line else ""
    lowered = text.lower()
    if "unicode" in lowered or "utf-8" in lowered or "utf8" in lowered:
        advice = (
            "Spreadsheets on Windows often write cp1252 (latin-1): try --encoding cp1252, or save it again as UTF-8."
            if encoding == "utf-8"
            else "Try another --encoding, or save it again as UTF-8."
        )
        return SourceError(f"The file {path.name} is not {encoding.upper()} text{where}. {advice} Nothing was read.")
    if "quote" in lowered and "unterminated" in lowered:
        return SourceError(
            f'The file {path.name} has an unclosed quotation mark, or text after a closing one{where}. Inside "quotes" '
            'a quotation mark is written twice (""). Nothing was read.'
        )
    if "expected number of columns" in lowered:
        return SourceError(
            f"The file {path.name} has a row with another number of columns than its header{where}: probably a "
            'missing quotation mark or a delimiter inside a cell. Put such cells in "quotes". Nothing was read.'
        )
    if "line size" in lowered or "maximum_object_size" in lowered:
        return SourceError(f"The file {path.name} has a line of more than 64 MB{where}. Nothing was read.")
    if "state machine" in lowered:
        return SourceError(
            f"The file {path.name} mixes line endings (Windows and Unix){where}. Save it again with one kind. Nothing "
            "was read."
        )
    if "json" in lowered and "malformed" in lowered:
        return SourceError(
            f"The file {path.name} is not well-formed JSON Lines{where}: one object a line. Nothing was read."
        )
    return SourceError(f"The file {path.name} cannot be read{where}: {first_line(text)}. Nothing was read.")
