"""Where results go: a file of this machine, or one in an object store, which is written here and then uploaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailvet.errors import SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.runs.outputs import digest
from mailvet.warehouse.files.remote import beside, is_remote, name_of, remote_digest, send, stored_name

if TYPE_CHECKING:
    from mailvet.warehouse.store import Warehouse

__all__ = ["Delivery", "delivered"]


class Delivery:
    """The files of one result.

    Args:
        path: what is written on this machine.
        url: where it goes; None where it stays.
        warehouse: that keeps the hashes of what was written.
        overwrite: what mailvet did not write may make way too.

    Attributes:
        path: what is written on this machine.
    """

    def __init__(self, path: Path, url: str | None, warehouse: Warehouse, overwrite: bool) -> None:
        self.path, self._url = path, url
        self._warehouse, self._overwrite = warehouse, overwrite

    @property
    def is_remote(self) -> bool:
        """Whether it goes to an object store."""
        return self._url is not None

    def target(self, path: Path) -> Path | str:
        """Where a file that is written beside `path` goes."""
        return path if self._url is None else beside(self._url, path.name)

    def check(self, paths: Sequence[Path], listed: Mapping[str, str] | None = None) -> None:
        """See that no file in an object store is replaced that mailvet did not write.

        Args:
            paths: as they are written on this machine.
            listed: name -> hash of what an earlier export says that it wrote.

        Raises:
            SourceError: one would be.
        """
        if self._url is None or self._overwrite:
            return
        for path in paths:
            url = beside(self._url, path.name)
            found = remote_digest(url)
            known = {self._warehouse.written_digest(stored_name(url)), (listed or {}).get(path.name)}
            if found is not None and found not in known:
                raise SourceError(
                    f"{argument('output')} {url} is there already and was not written by mailvet, or was changed "
                    f"since. Choose another name, or let it be overwritten ({argument('overwrite', True)}). Nothing "
                    "was written."
                )

    def send(self, paths: Sequence[Path]) -> Sequence[str]:
        """Upload files in this order, where they go to an object store; their URLs."""
        if self._url is None:
            return ()
        for path in paths:
            send(path, beside(self._url, path.name))
        self._warehouse.note_written({stored_name(beside(self._url, path.name)): digest(path) for path in paths})
        return [beside(self._url, path.name) for path in paths]


@contextlib.contextmanager
def delivered(output: Path | str, warehouse: Warehouse, *, overwrite: bool) -> Iterator[Delivery]:
    """Write a result here, or in a private folder on its way to an object store.

    Args:
        output: a path, or a URL (`mailvet.warehouse.files.remote`).
        warehouse: that keeps the hashes of what was written.
        overwrite: what mailvet did not write may make way too.
    """
    if not is_remote(output):
        yield Delivery(Path(output), None, warehouse, overwrite)
        return
    with PrivateFolder() as folder:
        yield Delivery(folder.path / name_of(str(output)), str(output), warehouse, overwrite)
