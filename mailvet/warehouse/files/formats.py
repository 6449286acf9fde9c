"""The kinds of files, known by the endings of their names."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FORMATS", "format_of", "is_database", "is_tab_separated", "split_name"]

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".xlsx": "xlsx",
}
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_DUCKDB_MAGIC = b"DUCK"  # at offset 8 of a database file


def format_of(path: Path) -> tuple[str, str | None] | None:
    """("csv" | "parquet" | "json" | "xlsx", compression or None) of a file name, None for what is no data file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSION.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    kind = FORMATS.get(suffixes[-1]) if suffixes else None
    if kind == "xlsx" and compression:  # a workbook is compressed in itself
        return None
    return (kind, compression) if kind else None


def is_tab_separated(path: Path) -> bool:
    """Whether the name says that tabs stand between the cells."""
    return ".tsv" in [suffix.lower() for suffix in path.suffixes]


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
