"""Standard output and standard error of the command line, whatever they are.

Full, closed, or in an encoding that cannot say everything. What cannot be printed on standard output is an
`OutputError`; standard error takes what it can.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["OutputError", "give_up_output", "says_everything", "standard_streams"]

_PLAIN = {"\u2588": "#", "\u2026": "...", "\u2500": "-", "\u2014": "-", "\u2013": "-", "\u2019": "'", "\u00b7": "*"}
"""What our own texts hold beyond ASCII, in an encoding that cannot say it."""


class OutputError(Exception):
    """Standard output takes nothing.

    No OSError, since libraries take a broken pipe for a reason to exit with 1, which means that a gate failed.
    """


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

    def write(self, octets: Any) -> int:
        data = memoryview(octets).cast("B")
        if self.given_up:
            return len(data)
        fault: str | None = "it is closed"
        if not self._is_closed:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                fault = error.strerror
        if self._is_output:
            raise OutputError(fault)
        return len(data)


_raws: list[_Raw] = []


def give_up_output() -> None:
    """What is still to be written to standard output is not missed."""
    for raw in _raws:
        raw.given_up = True


def says_everything() -> bool:
    """Whether the encoding of standard output has every character."""
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name.startswith("utf")


def _in_plain_words(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    texts = [
        _PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode()
        for each in error.object[error.start : error.end]
    ]
    return "".join(texts), error.end


codecs.register_error("mailvet.plain", _in_plain_words)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Replace the process's standard streams for a while, but for those that were replaced already."""
    closed = _reserve_descriptors()
    before = sys.stdout, sys.stderr
    _raws.clear()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream: Any = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__"):
            continue
        raw = _Raw(descriptor, is_output=name == "stdout", is_closed=descriptor in closed)
        _raws.append(raw)
        encoding = stream.encoding if stream is not None else "utf-8"
        wrapped = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding,
            errors="mailvet.plain",
            line_buffering=name == "stderr" or raw.isatty(),
        )
        if stream is not None:
            with suppress(OSError):
                stream.flush()
        setattr(sys, name, wrapped)
    try:
        yield
    finally:
        with suppress(OSError, ValueError, OutputError):
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        give_up_output()
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
