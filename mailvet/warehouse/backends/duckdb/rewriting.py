"""A DuckDB file without what was deleted from it: DuckDB keeps the blocks of deleted rows until it needs the room.

What is in the file is copied to a new one, which takes its place in one step. Only for files that hold nothing but
tables of mailvet's: of a user's file neither the settings nor the functions of other programs are known.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import duckdb

from mailvet.errors import LockedError, SourceError
from mailvet.private_files import PrivateFolder
from mailvet.warehouse.backends.duckdb.connection import MEMORY, open_database
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files import first_line
from mailvet.warehouse.identifiers import quoted
from mailvet.warehouse.tables import OWN_TABLES

__all__ = ["is_our_own", "rewrite"]

_ATTEMPTS = 3


def is_our_own(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether the database is a store of ours: a file with nothing in it but our tables."""
    names = db.execute(
        "select table_name from duckdb_tables() where database_name = current_database() and not temporary union all "
        "select view_name from duckdb_views() where database_name = current_database() and not internal "
        "and not temporary"
    ).fetchall()
    others = db.execute(
        "select count(*) from duckdb_functions() where database_name = current_database() and not internal"
    ).fetchall()
    return {name for (name,) in names} <= set(OWN_TABLES) and not others[0][0]


def rewrite(path: Path) -> None:
    """Replace a store of ours by a copy without deleted rows, and without a write-ahead log.

    No connection of this program to it may be open. Until the copy is complete and on the disk, the file is left as it
    is.

    Raises:
        LockedError: another program writes to it.
        SourceError: there is no room for the copy, or it cannot be made.
    """
    path = path.resolve()
    for _ in range(_ATTEMPTS):
        # As long as this connection lasts, nothing can write to the file, and nothing does itself.
        guard = open_database(path, read_only=True)
        try:
            if not Path(f"{path}.wal").exists():
                _replace(path)
                return
        finally:
            guard.close()
        # A log that another program left: into the file with it, or it would be taken for the copy's.
        writer = open_database(path)
        try:
            writer.execute("force checkpoint")
        finally:
            writer.close()
    raise LockedError(f"The store {path.name} is being written to by another program.")


def _replace(path: Path) -> None:
    try:
        with PrivateFolder(path.parent) as folder:
            copy = folder.new(".duckdb")
            _copy(path, copy, folder.new())
            details = path.stat()
            with copy.open("rb+") as file:
                os.fchmod(file.fileno(), stat.S_IMODE(details.st_mode))
                if hasattr(os, "fchown") and (details.st_uid, details.st_gid) != (os.getuid(), os.getgid()):
                    os.fchown(file.fileno(), details.st_uid, details.st_gid)
                os.fsync(file.fileno())
            os.replace(copy, path)
            _sync_folder(path.parent)
    except (duckdb.Error, OSError) as error:
        raise SourceError(
            f"The store {path.name} could not be written anew: {first_line(str(error))}. Give its folder as much free "
            "space as it has itself, and the right to write; then do the same again."
        ) from None


def _copy(path: Path, copy: Path, spill: Path) -> None:
    db = duckdb.connect(":memory:")
    try:
        db.execute(f"set memory_limit = '{MEMORY}'")
        db.execute(f"set temp_directory = {literal(str(spill))}")
        db.execute(f"attach {literal(str(path))} as store_before (read_only)")
        db.execute(f"attach {literal(str(copy))} as store_after")
        db.execute("copy from database store_before to store_after")
        tables = db.execute("select schema_name, table_name from duckdb_tables() where database_name = 'store_before'")
        for schema, table in tables.fetchall():
            name = f"{quoted(schema)}.{quoted(table)}"
            before, after = db.execute(
                f"select (select count(*) from store_before.{name}), (select count(*) from store_after.{name})"
            ).fetchall()[0]
            if before != after:
                raise OSError(f"of {before} rows of {table} {after} were copied")
        db.execute("checkpoint store_after")
        db.execute("detach store_after")
    finally:
        db.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
