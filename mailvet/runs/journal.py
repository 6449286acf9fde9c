"""Results that the database does not hold yet, on the worker's own disk.

A save may cost a MERGE, so a warehouse gets results in batches; until then they are in the journal, which a killed
process leaves behind and the next run on the machine saves. One file holds what came between two saves: an Arrow stream
of verdicts (columnar IPC format, "Streaming format"), which can be read up to its last whole batch, wherever a kill or
a full disk cut it off. The process that writes a file holds its lock (flock), so no other takes its results; the
kernel frees the lock when the process ends, however that happens.

The folder and its files are readable by this user alone (0700, 0600). They hold what `mailvet_verdicts` will hold: no
clear address where `store.store_addresses` is false.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mailvet.verdict import verdict_schema
from mailvet.warehouse.clocks import latest_believed

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.warehouse.store import Warehouse

__all__ = ["Journal", "LeftBehind", "default_folder", "is_in_use", "left_behind", "recover", "set_aside"]

log = logging.getLogger("mailvet")

_ENDING = ".arrow"
_DAMAGED = ".damaged"


def default_folder() -> Path:
    """Where journals are kept unless `store.journal` says otherwise: a folder of this user's among temporary files."""
    user = os.getuid() if sys.platform != "win32" else "user"
    return Path(tempfile.gettempdir()) / f"mailvet-{user}"


class Journal:
    """The journal of one run.

    Args:
        store: what names the database of the verdicts on this machine (`Warehouse.store_id`).
        run_id: of the run.
        folder: is made if it is not there.
    """

    def __init__(self, store: str, run_id: str, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else default_folder()
        self._stem = f"{_digest(store)}-{run_id}"
        self._number = 0
        self._file: IO[bytes] | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._paths: dict[int, Path] = {}
        self._files: dict[int, IO[bytes]] = {}

    @property
    def paths(self) -> list[Path]:
        """The files that hold results which are not saved yet."""
        return list(self._paths.values())

    def append(self, verdicts: pa.Table) -> None:
        """Keep verdicts; they are on the disk when this returns.

        Raises:
            OSError: they could not be written; what was appended before stays.
        """
        import pyarrow as pa

        try:
            if self._writer is None:
                self._begin()
            assert self._writer is not None
            assert self._file is not None
            self._writer.write_table(verdicts)
            self._file.flush()
            os.fsync(self._file.fileno())
        except (OSError, pa.ArrowException) as error:
            self.cut()  # behind a batch that was cut off nothing can be read
            raise error if isinstance(error, OSError) else OSError(str(error)) from None

    def _begin(self) -> None:
        import pyarrow as pa

        _make_private(self._folder)
        path = self._folder / f"{self._stem}-{self._number:06}{_ENDING}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._file = self._files[self._number] = os.fdopen(descriptor, "wb", buffering=0)
        self._paths[self._number] = path
        _lock(descriptor)
        self._writer = pa.ipc.new_stream(self._file, verdict_schema())

    def cut(self) -> int:
        """What is appended from now on is in another file; the number up to which `drop` may go."""
        self._writer = self._file = None
        self._number += 1
        return self._number

    def drop(self, number: int) -> None:
        """Remove what was appended before `cut` returned this number: it is saved."""
        for each in [each for each in self._paths if each < number]:
            with contextlib.suppress(OSError):
                self._paths[each].unlink()
            with contextlib.suppress(OSError):
                self._files.pop(each).close()
            del self._paths[each]

    def close(self) -> None:
        """Leave the files that are not dropped to the next run."""
        self.cut()
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
        self._files.clear()


class LeftBehind:
    """A file of a run that has ended without saving it; locked until `close`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def verdicts(self) -> pa.Table | None:
        """Its verdicts, up to the last whole batch; None where not even their names can be read."""
        import pyarrow as pa

        batches: list[pa.RecordBatch] = []
        with self.path.open("rb") as file:
            try:
                stream = pa.ipc.open_stream(file)
            except (pa.ArrowException, OSError):
                return verdict_schema().empty_table() if not self.path.stat().st_size else None
            with contextlib.suppress(pa.ArrowException, OSError, StopIteration):
                while True:
                    batches.append(stream.read_next_batch())
        return _as_verdicts(pa.Table.from_batches(batches, stream.schema))

    def remove(self) -> None:
        """It is saved."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def set_aside(self) -> None:
        """It cannot be read; said once, and not tried again."""
        with contextlib.suppress(OSError):
            self.path.rename(self.path.with_suffix(_DAMAGED))

    def close(self) -> None:
        """Free the lock."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def left_behind(store: str, folder: Path | None = None) -> Iterator[LeftBehind]:
    """The files of this store whose runs have ended, in the order in which they were written."""
    folder = folder if folder is not None else default_folder()
    try:
        paths = sorted(folder.glob(f"{_digest(store)}-*{_ENDING}"))
        is_ours = not paths or _is_private(folder)
    except OSError:
        return
    if not is_ours:
        log.warning("The journals in %s are not read: the folder belongs to another user or is open to others", folder)
        return
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        try:
            _lock(descriptor)
        except OSError:  # its run is still at work
            os.close(descriptor)
            continue
        found = LeftBehind(path, descriptor)
        try:
            yield found
        finally:
            found.close()


def set_aside(store: str, folder: Path | None = None) -> list[Path]:
    """The files of this store that could not be read."""
    folder = folder if folder is not None else default_folder()
    return sorted(folder.glob(f"{_digest(store)}-*{_DAMAGED}"))


def _save_newer(warehouse: Warehouse, verdicts: pa.Table) -> int:
    """Save verdicts of a journal, but those of addresses that have been verified since; how many were saved.

    Of the same address the last one counts.
    """
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(verdicts)).unique("email_key", keep="last", maintain_order=True)
    believed = latest_believed(datetime.now(timezone.utc))
    known = {
        key: moment for key, moment in warehouse.checked_at(frame["email_key"].to_list()).items() if moment <= believed
    }
    is_newer = [
        key not in known or known[key] < moment for key, moment in frame.select("email_key", "checked_at").iter_rows()
    ]
    newer = frame.filter(pl.Series(is_newer, dtype=pl.Boolean))
    if newer.height:
        warehouse.save(newer.to_arrow().cast(verdict_schema()))
    return newer.height


def recover(warehouse: Warehouse, folder: Path | None = None) -> int:
    """Save what earlier runs on this machine left in their journals; how many verdicts that were."""
    store, saved = warehouse.store_id, 0
    if store is None:
        return 0
    for found in left_behind(store, folder):
        verdicts = found.verdicts()
        if verdicts is None:
            log.warning("The journal %s is damaged and was set aside.", found.path)
            found.set_aside()
            continue
        if verdicts.num_rows:
            warehouse.open_for_writing()
            saved += _save_newer(warehouse, verdicts)
        found.remove()
    return saved


def is_in_use(store: str, folder: Path | None = None) -> bool:
    """Whether a run that is at work on this machine has results of this store in its journal."""
    folder = folder if folder is not None else default_folder()
    left = {found.path for found in left_behind(store, folder)}
    return any(path not in left for path in folder.glob(f"{_digest(store)}-*{_ENDING}"))


def _digest(store: str) -> str:
    return hashlib.sha256(store.encode()).hexdigest()[:16]


def _make_private(folder: Path) -> None:
    """Make a folder that no other user can read.

    Raises:
        OSError: it cannot be made, or is another user's or open to others: in a folder that all can write to, another
            user may have prepared it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(folder):
        raise PermissionError(f"{folder} belongs to another user or is open to others; make it private (chmod 700)")


def _is_private(folder: Path) -> bool:
    if sys.platform == "win32":
        return True
    found = folder.lstat()
    return not folder.is_symlink() and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _lock(descriptor: int) -> None:
    """Lock an open file.

    Raises:
        OSError: another process holds it.
    """
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _as_verdicts(found: pa.Table) -> pa.Table:
    """Verdicts of this version; what an older one did not know is null."""
    import pyarrow as pa

    columns = [
        found[field.name].cast(field.type) if field.name in found.schema.names else pa.nulls(found.num_rows, field.type)
        for field in verdict_schema()
    ]
    return pa.Table.from_arrays(columns, names=verdict_schema().names).cast(verdict_schema())
