"""Connections to a server address, counted over all processes of one machine and user.

Each of the connections that an address may have is a lock file, and who holds the lock may connect. The kernel frees a
lock when its process ends, however that happens, so no connection stays counted. The names of the files are digests
with a key of the folder's own, and the files are gone with their connections, so the folder tells nothing of those that
were asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mailvet.probing.memory import ConnectionSlots, LocalSlots, place_of

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from mailvet.settings import Pacing

__all__ = ["SharedSlots", "connection_slots", "default_folder"]

log = logging.getLogger("mailvet")

_FIRST_PAUSE = 0.02  # seconds until a full address is looked at again; grows by half, so waiting costs nothing
_LONGEST_PAUSE = 0.25
_SALT = "salt"


def default_folder() -> Path:
    """Where the processes of this user find each other's locks unless `pacing.shared_folder` says otherwise."""
    import platformdirs

    return Path(platformdirs.user_state_dir("mailvet", appauthor=False)) / "connections"


def connection_slots(pacing: Pacing, port: int) -> ConnectionSlots:
    """What bounds the connections to an address.

    Shared over processes where `pacing.shared` says so and the folder can be written to, else those of this run alone,
    with a warning.

    Args:
        pacing: how connections are counted and shared.
        port: of the servers.
    """
    if not pacing.shared:
        return LocalSlots()
    folder = pacing.shared_folder or default_folder()
    try:
        return SharedSlots(folder, port)
    except OSError as error:
        _warn(folder, error)
        return LocalSlots()


def _warn(folder: Path, error: OSError) -> None:
    """Say once for each folder that it cannot be used."""
    if folder not in _warned:
        _warned.add(folder)
        log.warning(
            "Connections are not counted over processes: the folder %s cannot be used (%s). Set pacing.shared_folder "
            "to a folder that this user can write to, or pacing.shared to false.",
            folder,
            error.strerror or error,
        )


_warned: set[Path] = set()


class SharedSlots:
    """The slots of all processes that use one folder.

    A file is locked for each open connection, and one more by the process that waits for the next, so that a process
    which has connections to give back does not take them again before others. Files are deleted by those that hold
    their locks.

    Args:
        folder: is made if it is not there. It has to lie on this machine, not on a network file system.
        port: of the servers; another port of an address is another server.

    Raises:
        OSError: it cannot be made or written to, or the system has no such locks.
    """

    def __init__(self, folder: Path, port: int) -> None:
        if sys.platform == "win32":
            raise OSError("this system has no locks of that kind")
        self._folder = folder
        self._port = port
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._salt = self._read_salt()
        self._local = LocalSlots()
        self._lost = False
        probe = self._try(self._path(f"{os.getpid()}.{secrets.token_hex(4)}", "probe"))
        if probe is not None:
            _free(*probe)

    def _read_salt(self) -> bytes:
        """The same for all that use the folder; the first process makes it."""
        path = self._folder / _SALT
        with contextlib.suppress(FileNotFoundError):
            return path.read_bytes()
        made = self._folder / f"{_SALT}.{os.getpid()}.{secrets.token_hex(4)}"
        made.write_bytes(secrets.token_bytes(16))
        try:
            with contextlib.suppress(FileExistsError):
                os.link(made, path)  # appears complete, and only once
        finally:
            made.unlink()
        return path.read_bytes()

    def _path(self, name: str, what: str) -> Path:
        digest = hashlib.blake2b(name.encode(), key=self._salt, digest_size=12).hexdigest()
        return self._folder / f"{digest}.{what}"

    async def acquire(self, address: str, most: int) -> Callable[[], None]:
        """See `ConnectionSlots.acquire`.

        A lock that is held is tried again now and then; the event loop is not blocked.
        """
        free_local = await self._local.acquire(address, most)
        name = place_of(address, self._port)
        queue = slot = None
        try:
            if not self._lost:
                queue = await self._wait(lambda: self._try(self._path(name, "next")))
                slot = await self._wait(lambda: self._any(name, most))
        except BaseException:
            free_local()
            raise
        finally:
            if queue is not None:
                _free(*queue)
        return _Held(slot, free_local)

    async def _wait(self, attempt: Callable[[], _Lock | None]) -> _Lock | None:
        """The lock, as soon as it can be had; None when the folder cannot be used any more."""
        pause = _FIRST_PAUSE
        while True:
            try:
                lock = attempt()
            except OSError as error:
                if not self._lost:
                    self._lost = True
                    _warn(self._folder, error)
                return None
            if lock is not None:
                return lock
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _any(self, name: str, most: int) -> _Lock | None:
        for number in range(max(1, most)):
            lock = self._try(self._path(name, str(number)))
            if lock is not None:
                return lock
        return None

    @staticmethod
    def _try(path: Path) -> _Lock | None:
        """Lock a file, which is made if it is not there; None where another holds the lock."""
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # A lock of the open file, not of the process: two runs of one process exclude each other too.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(handle, path):
                    _handles.add(handle)
                    return handle, path
            except BlockingIOError:
                os.close(handle)
                return None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # it was deleted between opening and locking


_Lock = tuple[int, Path]
_handles: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _free(handle: int, path: Path) -> None:
    """Delete the file and free its lock."""
    if handle not in _handles:  # of the process that this one was forked from
        return
    _handles.discard(handle)
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(handle)


def _forked() -> None:
    # The locks are the parent's; a copy that stays open here would keep them after it.
    for handle in _handles:
        with contextlib.suppress(OSError):
            os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class _Held:
    """Frees one slot; calling it twice does no harm."""

    __slots__ = ("_free_local", "_held", "_lock")

    def __init__(self, lock: _Lock | None, free_local: Callable[[], None]) -> None:
        self._lock = lock
        self._free_local = free_local
        self._held = True

    def __call__(self) -> None:
        if not self._held:
            return
        self._held = False
        if self._lock is not None:
            _free(*self._lock)
        self._free_local()
