"""A text file in any encoding as one in UTF-8, which is what DuckDB reads."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.warehouse.files.faults import unreadable
from mailvet.warehouse.files.formats import format_of, is_tab_separated

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["in_utf8", "opened_text"]

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ENDINGS = {"csv": ".csv", "json": ".jsonl"}


@contextmanager
def in_utf8(path: Path, encoding: str) -> Iterator[tuple[Path, str]]:
    """The file, or a copy of it in UTF-8 if it is written otherwise; and the name of its encoding.

    A byte order mark is stronger than the default, and so are the zero bytes of UTF-16 without one. A name that DuckDB
    cannot be given (`sql_path` knows no escape for a backslash before a bracket) is replaced by that of a link.

    Raises:
        SettingsError: there is no such encoding. SourceError: the file is not in it.
    """
    kind = format_of(path)
    assert kind is not None
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise SettingsError(
            f"{argument('encoding', encoding)}: there is no such encoding; common ones are utf-8, utf-16, "
            "latin-1, cp1252."
        ) from None
    if kind[0] != "parquet" and kind[1] is None and name == "utf-8":
        with path.open("rb") as stream:
            name = _marked(stream.read(1024)) or name
    as_it_is = kind[0] == "parquet" or name in ("utf-8", "utf-8-sig", "ascii")
    if as_it_is and "\\" not in str(path.absolute()):
        yield path, "utf-8"
        return
    with PrivateFolder() as folder:
        if as_it_is:
            link = folder.path / f"input{''.join(path.suffixes[-2:]) if kind[1] else path.suffix}"
            link.symlink_to(path.absolute())
            yield link, "utf-8"
            return
        copy = folder.path / f"input{'.tsv' if is_tab_separated(path) else _ENDINGS[kind[0]]}"
        try:
            with opened_text(path, name) as source, copy.open("w", encoding="utf-8", newline="") as target:
                while text := source.read(1 << 20):
                    target.write(text)
        except UnicodeError:
            raise unreadable(path, "unicode", name) from None
        except LookupError:  # base64 and the like
            raise SettingsError(f"{argument('encoding', encoding)} is no encoding of text.") from None
        yield copy, name


def _marked(start: bytes) -> str | None:
    """The encoding that the first bytes of a file show."""
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    # No text holds zero bytes at every second place unless it is UTF-16; a header is mostly ASCII in any language.
    even, odd = start[0::2], start[1::2]
    if odd and odd.count(0) > 0.7 * len(odd) and even.count(0) == 0:
        return "utf-16-le"
    if even and even.count(0) > 0.7 * len(even) and odd.count(0) == 0:
        return "utf-16-be"
    return None


def opened_text(path: Path, encoding: str = "utf-8", *, errors: str = "strict") -> TextIO:
    """A file, compressed or not, as text with the line ends that it has.

    Raises:
        SourceError: it cannot be opened.
    """
    import pyarrow as pa

    kind = format_of(path)
    try:
        raw = pa.OSFile(str(path))
        stream = raw if kind is None or kind[1] is None else pa.CompressedInputStream(raw, kind[1])
        return io.TextIOWrapper(io.BufferedReader(_Faults(stream, path)), encoding=encoding, errors=errors, newline="")
    except OSError as error:
        raise SourceError(f"The file {path} cannot be read: {error.strerror or error}.") from None


class _Faults(io.RawIOBase):
    """A stream of Arrow's whose faults, such as a damaged archive, are told as those of the file."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream = stream
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        try:
            data: bytes = self._stream.read(len(memoryview(buffer)))
        except OSError as error:
            raise SourceError(f"The file {self._path.name} cannot be read: it is damaged or no archive.") from error
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
