"""Rows that are put off because their operator has enough to do.

So a slow operator never keeps the others waiting, and a run over a table of any size holds few rows in memory.
They are kept with the evidence found so far: the small part in memory, the rest in a temporary directory (some hundred
octets a row), which is removed at the end.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mailvet.errors import MailvetError
from mailvet.private_files import PrivateFolder

__all__ = ["Backlog"]

_IN_MEMORY = 50_000  # rows


class Backlog:
    """Rows by operator, first in, first out. Use it as a context manager, or call `close`."""

    def __init__(self) -> None:
        self._begun: dict[str, pl.DataFrame] = {}  # what is left of the rows taken last
        self._recent: dict[str, list[pl.DataFrame]] = {}
        self._stored: dict[str, deque[Path]] = {}
        self._rows: dict[str, int] = {}
        self._in_memory = 0
        self._home: PrivateFolder | None = None
        self._numbers = itertools.count()

    def __enter__(self) -> Backlog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Rows of all operators."""
        return sum(self._rows.values())

    def __contains__(self, operator: str) -> bool:
        return operator in self._rows

    def __iter__(self) -> Iterator[str]:
        """Operators with rows, also while rows are put and taken."""
        return iter(list(self._rows))

    @property
    def in_memory(self) -> int:
        """Rows that are not on disk."""
        return self._in_memory

    def put(self, operator: str, rows: pl.DataFrame) -> None:
        """Put rows off.

        Raises:
            MailvetError: the temporary directory cannot be written to.
        """
        self._recent.setdefault(operator, []).append(rows)
        self._rows[operator] = self._rows.get(operator, 0) + rows.height
        self._in_memory += rows.height
        while self._recent and self._in_memory > _IN_MEMORY:
            self._store(max(self._recent, key=lambda name: sum(frame.height for frame in self._recent[name])))

    def take(self, operator: str, most: int) -> pl.DataFrame:
        """At least one and at most so many rows, those that have waited longest first."""
        rows = self._begun.pop(operator, None)
        if rows is None:
            stored = self._stored.get(operator)
            if stored:
                rows = self._load(stored.popleft())
                self._in_memory += rows.height
            else:
                rows = pl.concat(self._recent.pop(operator))
        taken, rest = rows.head(most), rows.slice(most)
        self._in_memory -= taken.height
        if rest.height:
            self._begun[operator] = rest
        self._rows[operator] -= taken.height
        if not self._rows[operator]:
            del self._rows[operator]
            self._stored.pop(operator, None)
        return taken

    def _store(self, operator: str) -> None:
        rows = pl.concat(self._recent.pop(operator))
        try:
            if self._home is None:
                self._home = PrivateFolder()
            path = self._home.path / f"{next(self._numbers)}.arrow"
            rows.write_ipc(path, compression="zstd")
        except OSError as error:
            self._recent[operator] = [rows]
            raise MailvetError(
                f"The rows of a slow mail operator cannot be put off: {error.strerror or error} in "
                f"{tempfile.gettempdir()}. Free some space there or set TMPDIR to another directory, then run again; "
                "only what is due will be asked."
            ) from None
        self._stored.setdefault(operator, deque()).append(path)
        self._in_memory -= rows.height

    @staticmethod
    def _load(path: Path) -> pl.DataFrame:
        rows = pl.read_ipc(io.BytesIO(path.read_bytes()))
        path.unlink()
        return rows

    def close(self) -> None:
        """Forget all rows and remove what is on disk."""
        self._begun, self._recent, self._stored, self._rows, self._in_memory = {}, {}, {}, {}, 0
        if self._home is not None:
            self._home.close()
            self._home = None
