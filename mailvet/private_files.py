"""Files that mailvet makes for itself: as private as what they are made from, from the first byte on.

A new file is made with O_EXCL under a name that cannot be guessed, so that no link that waits under that name is
followed. A folder for the moment is removed with its owner; one whose process was killed is removed by the next that
looks into the same place, which tells by a lock that the dead no longer hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PrivateFolder", "new_beside", "no_more_than", "replaces"]

_PREFIX = ".mailvet-"
_LOCK = "lock"
_PRIVATE = 0o600


class PrivateFolder:
    """A folder of our own (0700), for spilled data and for files on their way.

    Args:
        place: the folder to make it in; where that may not be written to, and for None, the system's folder for
            temporary files is.
    """

    def __init__(self, place: Path | None = None) -> None:
        places = [] if place is None else [place]
        for parent in [*places, Path(tempfile.gettempdir())]:
            _remove_left_behind(parent)
            with contextlib.suppress(OSError):
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).absolute()
                break
        else:
            raise OSError(f"no folder for temporary files can be made in {tempfile.gettempdir()}")
        # Under its name only once it is locked, so that no other process takes the folder for one left behind.
        self._lock = os.open(self.path / "locking", os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE)
        _locked(self._lock)
        os.rename(self.path / "locking", self.path / _LOCK)
        self._remove = weakref.finalize(self, _removed, self.path, self._lock)

    def new(self, ending: str = "") -> Path:
        """The name of a file in it that is not there yet."""
        return self.path / f"{secrets.token_hex(8)}{ending}"

    def close(self) -> None:
        """Remove it with all it holds."""
        self._remove()

    def __enter__(self) -> PrivateFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _removed(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.close(lock)


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now; where there are no such locks, none is taken."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_left_behind(parent: Path) -> None:
    """Remove the folders, and the partial files, of processes that were killed."""
    try:
        found = [entry for entry in os.scandir(parent) if entry.name.startswith(_PREFIX)]
    except OSError:
        return
    for entry in found:
        try:
            if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != _user():
                continue
            lock = os.open(Path(entry.path, _LOCK), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # just being made, not ours, or removed by its owner meanwhile
        if _locked(lock):
            _removed(Path(entry.path), lock)
        else:
            os.close(lock)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def new_beside(target: Path) -> Path:
    """An empty file (0600) in the folder of `target`, to be written and then moved onto it.

    What killed processes left of earlier ones for the same target is removed.

    Raises:
        OSError: none can be made there.
    """
    beginning = f"{_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}."
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            if entry.name.startswith(beginning) and entry.name.endswith(".part"):
                _remove_if_abandoned(Path(entry.path))
    partial = target.with_name(f"{beginning}{os.getpid()}.{secrets.token_hex(8)}.part")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), _PRIVATE))
    return partial


def _remove_if_abandoned(partial: Path) -> None:
    """Remove a partial file of this user's whose process has ended."""
    process = partial.name.split(".")[-3]
    details = partial.lstat()
    if not stat.S_ISREG(details.st_mode) or details.st_uid != _user() or not process.isdecimal():
        return
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        partial.unlink(missing_ok=True)
    except (OSError, OverflowError):
        return


@contextlib.contextmanager
def replaces(target: Path, mode: int = _PRIVATE) -> Iterator[Path]:
    """A partial file to write; at the end it takes the place of `target` in one step, or after an error is removed.

    Args:
        target: where it is a link, the file behind it is replaced and the link stays.
        mode: permissions of a file that is new; one that exists keeps its own.
    """
    target = target.resolve()
    partial = new_beside(target)
    try:
        yield partial
        partial.chmod(stat.S_IMODE(target.stat().st_mode) & 0o777 if target.exists() else mode & 0o777)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


_masks: list[int] = []
_masks_lock = threading.Lock()
_mask_before = 0


@contextlib.contextmanager
def no_more_than(mode: int) -> Iterator[None]:
    """While this lasts, no file that the process makes gets more permissions than `mode`.

    For what a library writes that asks for no mode (DuckDB's database, its write-ahead log). The process has one such
    mask; several at a time add up.
    """
    global _mask_before
    mask = ~mode & 0o777
    with _masks_lock:
        if not _masks:
            _mask_before = os.umask(0o077)
        _masks.append(mask)
        _set_mask()
    try:
        yield
    finally:
        with _masks_lock:
            _masks.remove(mask)
            _set_mask()


def _set_mask() -> None:
    combined = _mask_before
    for mask in _masks:
        combined |= mask
    os.umask(combined)
