"""DuckDB files, opened: the mistakes people make become errors that say what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from mailvet.errors import LockedError, SourceError
from mailvet.warehouse.backends.duckdb.access import DuckDBAccess
from mailvet.warehouse.driver_errors import source_error
from mailvet.warehouse.files import first_line

__all__ = ["MEMORY", "MEMORY_WHILE_SAVING", "open_database", "opened", "opening_failed", "writing"]

MEMORY = "700MB"
"""
What DuckDB may use before it spills to the disk, so that a run of any size stays below 2 GB. An update of all rows in
one transaction needs most of it: with 400 MB, ten million rows could not be written.
"""
MEMORY_WHILE_SAVING = "400MB"
"""The same while addresses are verified, which takes memory of its own."""


def open_database(path: Path | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file, or one in memory; the mistakes people make become errors that say what to do.

    Raises:
        LockedError: another process has it open.
        SourceError: it is no DuckDB file, or may not be read or written.
    """
    try:
        db = duckdb.connect(":memory:" if path is None else str(path), read_only=read_only)
    except duckdb.Error as error:
        raise opening_failed(error, path, read_only=read_only) from None
    # What the user's own columns hold with a time zone is compared and written in UTC, whatever the machine's zone.
    with contextlib.suppress(duckdb.Error):  # a build without time zones knows only UTC
        db.execute("set TimeZone = 'UTC'")
    db.execute(f"set memory_limit = '{MEMORY}'")
    return db


def opening_failed(error: duckdb.Error, path: Path | None, *, read_only: bool = False) -> SourceError:
    """What to tell people for DuckDB's own error on opening a file: who holds it, or what is wrong with it."""
    text = str(error)
    if _HELD.search(text):
        holder = re.search(r"PID (\d+)", text)
        who = f" (process {holder[1]})" if holder else ""
        return LockedError(
            f"The database {path.name if path else 'in memory'} is open in another program{who}. DuckDB allows one "
            "writer at a time: close it there (a notebook, dbt, or another run), then start again. Nothing was changed."
        )
    if "not a valid DuckDB" in text:
        return SourceError(
            f"{path} is no DuckDB database. For a list of addresses give a CSV, Parquet or JSON Lines file."
        )
    if _NEWER.search(text):
        return SourceError(
            f"The database {path} was made by another version of DuckDB, which this one ({duckdb.__version__}) cannot "
            f"read: {first_line(text)}. Upgrade DuckDB (pip install --upgrade duckdb), or name another database. "
            "Nothing was changed."
        )
    if _DAMAGED.search(text):
        return SourceError(
            f"The database {path} is damaged: {first_line(text)}. Put back a copy of it, or move it away, with its "
            ".wal file if there is one, and verify anew. Nothing was changed."
        )
    return SourceError(
        f"The database {path} cannot be opened{'' if read_only else ' for writing'}: {first_line(text)}. "
        "Check that the file and its folder may be written to."
    )


_HELD = re.compile(r"could not set lock|conflicting lock|lock is held|used by another process", re.IGNORECASE)
_NEWER = re.compile(r"storage version|version number|newer version|older version", re.IGNORECASE)
_DAMAGED = re.compile(
    r"corrupt|checksum|serialization error|deserializ|internal error|failed to load|replaying wal"
    r"|could not read block|fatal error|unexpected end of file|invalid block",
    re.IGNORECASE,
)


@contextlib.contextmanager
def opened(path: Path | None, *, read_only: bool) -> Iterator[tuple[duckdb.DuckDBPyConnection, DuckDBAccess]]:
    """A database of our own, closed again if what follows fails."""
    access = DuckDBAccess(path, read_only=read_only)
    try:
        db = open_database(path, read_only=read_only)
        try:
            access.spill_here(db)
            yield db, access
        except BaseException:
            db.close()
            raise
    except BaseException:
        access.close()
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of DuckDB while verdicts are written into ours."""
    try:
        yield
    except duckdb.Error as error:
        raise source_error(
            f"Verdicts cannot be saved in {path.name}: {first_line(str(error))}. Check that the file and its folder "
            "may be written to and that the disk is not full; what was saved before stays saved.",
            error,
        ) from None
