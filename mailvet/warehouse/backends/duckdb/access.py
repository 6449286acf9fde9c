"""A DuckDB database that mailvet opened itself: what it may reach, where it spills, and how private its files are."""

from __future__ import annotations

import contextlib
import threading
import weakref
from pathlib import Path
from typing import ClassVar

import duckdb

from mailvet.private_files import PrivateFolder, no_more_than
from mailvet.warehouse.dialects import literal

__all__ = ["DuckDBAccess"]

_STORE_MODE = 0o600


class DuckDBAccess:
    """The privileges of a connection, from before it opens to after it closes.

    What DuckDB cannot keep in memory it spills into a folder of ours (0700) beside the database. Its write-ahead log
    is as private as the database file, and a file that is made is 0600. Connections of one process to one file share
    DuckDB's instance, and with it all of this.

    Args:
        path: of the database; None for one in memory.
        read_only: nothing will be written to it.
    """

    def __init__(self, path: Path | None, *, read_only: bool) -> None:
        self._instance = _Instance.of(path, read_only)
        self._release = weakref.finalize(self, self._instance.release)

    @property
    def folder(self) -> PrivateFolder:
        """The folder for spilled data and for files on their way."""
        return self._instance.folder

    @property
    def closed_in(self) -> bool:
        """Whether access to other files is off."""
        return self._instance.closed_in

    def spill_here(self, db: duckdb.DuckDBPyConnection) -> None:
        """Let a connection spill into the folder, and take no Python variable for a table."""
        if not self.closed_in:
            db.execute(f"set temp_directory = {literal(str(self.folder.path / 'spilled'))}")
        db.execute("set python_enable_replacements = false")

    def close_in(self, db: duckdb.DuckDBPyConnection) -> None:
        """Switch off what is beyond the database and the folder: other files, the network, extensions.

        DuckDB does not let it be switched on again (DuckDB, "Securing DuckDB"); to be done before a text of the user's
        is run.
        """
        if not self.closed_in:
            db.execute(f"set allowed_directories = [{literal(str(self.folder.path))}]")
            db.execute("set enable_external_access = false")
            self._instance.closed_in = True

    def close(self) -> None:
        """Remove the folder, if no other connection needs it; after the connection is closed."""
        self._release()


class _Instance:
    """What the connections of this process to one database share."""

    _open: ClassVar[dict[Path, _Instance]] = {}
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, path: Path | None, read_only: bool) -> None:
        self.closed_in = False
        self._users = 0
        self._path = path
        self._held = contextlib.ExitStack()
        self.folder = self._held.enter_context(PrivateFolder(None if path is None else path.parent))
        if path is not None and not read_only:
            mode = path.stat().st_mode & 0o777 if path.exists() else _STORE_MODE
            self._held.enter_context(no_more_than(mode))

    @classmethod
    def of(cls, path: Path | None, read_only: bool) -> _Instance:
        """The instance of a database, with one user more."""
        with cls._lock:
            path = None if path is None else path.resolve()
            found = None if path is None else cls._open.get(path)
            if found is None:
                found = cls(path, read_only)
                if path is not None:
                    cls._open[path] = found
            found._users += 1
            return found

    def release(self) -> None:
        """One user less."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                if self._path is not None:
                    self._open.pop(self._path, None)
                self._held.close()
