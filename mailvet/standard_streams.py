"""
Standard output and standard error of the command line, whatever they are: full, closed, or in an encoding that cannot
say everything. What cannot be printed on standard output is an `OutputError`; standard error takes what it can.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["OutputError", "standard_streams"]


class OutputError(OSError):
    """Standard output takes nothing."""


class _Raw(io.RawIOBase):
    """A file descriptor to write to."""

    def __init__(self, descriptor: int, *, is_output: bool, is_closed: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._is_output = is_output
        self._is_closed = is_closed
        self.given_up = False
        """What is still to be written is not missed."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, octets: object) -> int:
        data = memoryview(octets).cast("B")  # type: ignore[call-overload]
        if self.given_up:
            return len(data)
        try:
            if self._is_closed:
                raise OSError(errno.EBADF, "it is closed")
            return os.write(self._descriptor, data)
        except OSError as error:
            if self._is_output:
                raise OutputError(error.errno, error.strerror) from None
            return len(data)


@contextmanager
def standard_streams() -> Iterator[None]:
    """
    Replace the process's standard streams for a while; those that somebody else has replaced already are left alone.
    """
    closed = _reserve_descriptors()
    before = sys.stdout, sys.stderr
    raws: list[_Raw] = []
    for name, descriptor, stream in (("stdout", 1, sys.__stdout__), ("stderr", 2, sys.__stderr__)):
        if getattr(sys, name) is not stream:
            continue
        raw = _Raw(descriptor, is_output=name == "stdout", is_closed=descriptor in closed)
        raws.append(raw)
        encoding = stream.encoding if stream is not None else "utf-8"
        wrapped = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding, errors="backslashreplace",
            line_buffering=name == "stderr" or raw.isatty(),
        )  # fmt: skip
        if stream is not None:
            with suppress(OSError):
                stream.flush()
        setattr(sys, name, wrapped)
    ours = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in ours:
            with suppress(OSError, ValueError):
                stream.flush()
        for raw in raws:
            raw.given_up = True
        sys.stdout, sys.stderr = before


def _reserve_descriptors() -> set[int]:
    """Which of the three are closed; a file opened later shall not take their place."""
    closed = set()
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(descriptor)
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:  # cannot be where a lower one is closed as well, since those come first
                os.dup2(opened, descriptor)
                os.close(opened)
    return closed
