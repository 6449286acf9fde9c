"""The SQLite file of the service: keys, what they have used, and jobs. Several processes of one machine share it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailvet.errors import LockedError, SourceError

__all__ = ["State", "default_state"]

_VERSION = 1
_BUSY_SECONDS = 5.0
_SCHEMA = """
create table keys (
    id text primary key, owner text not null, name text not null, digest blob not null, webhook_secret text not null,
    scopes text not null,
    per_second integer not null, per_minute_and_client integer, per_day integer, created_at real not null,
    expires_at real, revoked_at real
) strict;
create table used_days (
    owner text not null, day text not null, used integer not null, primary key (owner, day)
) strict, without rowid;
create table rates (bucket text primary key, full_at real not null) strict, without rowid;
create table jobs (
    id text primary key, owner text not null, key_id text not null, state text not null, created_at real not null,
    started_at real,
    finished_at real, depth text not null, policy text not null, rows integer not null, due integer,
    done integer not null default 0, error text, summary text, worker text, alive_at real,
    webhook text, webhook_state text, webhook_tries integer not null default 0, webhook_at real
) strict;
create index jobs_by_state on jobs (state, created_at);
create table repeated_requests (
    owner text not null, name text not null, digest blob not null, job_id text not null, created_at real not null,
    primary key (owner, name)
) strict, without rowid;
create table erasures (number integer primary key) strict;
"""


def default_state() -> Path:
    """Where the file lies unless `service.state` says otherwise."""
    import platformdirs

    return Path(platformdirs.user_data_dir("mailvet", appauthor=False)) / "service.sqlite"


class State:
    """The file, open. Fit for several threads.

    Args:
        path: of the file; made (0600) if it is not there.

    Raises:
        SourceError: it cannot be made or read, or a later version made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # SQLite gives its log the same mode
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._prepare()
        except OSError as error:
            raise SourceError(
                f"The state of the service cannot be kept in {path}: {error.strerror}. Set service.state to a file in "
                "a folder that may be written to."
            ) from None
        except sqlite3.Error as error:
            raise _fault(path, error) from None

    def _prepare(self) -> None:
        with self.transaction():
            (version,) = self._db.execute("pragma user_version").fetchone()
            if version > _VERSION:
                raise SourceError(
                    f"{self.path} was made by a later version of mailvet. Use that version, or name another file in "
                    "service.state."
                )
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"pragma user_version = {_VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that hold all or not at all, and that no other process comes between."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """The rows that a statement returns; it is committed.

        Raises:
            SourceError: the file cannot be read or written.
        """
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise _fault(self.path, error) from None

    def row(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first of them, None where there is none."""
        return next(iter(self.rows(statement, *values)), None)

    def changed_by_others(self) -> int:
        """A number that is another one after another process or connection has changed the file."""
        return int(self.rows("pragma data_version")[0][0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _fault(path: Path, error: sqlite3.Error) -> SourceError:
    if "locked" in str(error) or "busy" in str(error):
        return LockedError(f"The state of the service, {path}, is held by another program. Try again.")
    return SourceError(
        f"The state of the service, {path}, cannot be used: {error}. Check that it is the file that `mailvet serve` "
        "made and that the disk is not full."
    )
