"""Text files in another encoding than UTF-8."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from mailvet.errors import SourceError, argument
from mailvet.private_files import PrivateFolder
from mailvet.warehouse.files.formats import format_of
from mailvet.warehouse.text_layout import WITH_MARK

__all__ = ["encoded"]

log = logging.getLogger("mailvet")

_BLOCK = 1 << 20


def encoded(
    copy: Callable[[Path], object], output: Path, encoding: str, *, asked: bool
) -> Callable[[Path, Mapping[Path, Path]], None]:
    """A writer of one file (`mailvet.warehouse.files.writing.Writer`) in another encoding than UTF-8.

    Args:
        copy: writes the text in UTF-8, not compressed, to a path.
        output: the name of the file, which says whether it is compressed.
        encoding: that Python knows.
        asked: it was asked for. Otherwise the source was written so, and what cannot be is written in UTF-8 with a byte
            order mark instead.
    """

    def write(partial: Path, _: Mapping[Path, Path]) -> None:
        with PrivateFolder() as folder:
            text = folder.new(".csv")
            copy(text)
            try:
                _transcode(text, partial, output, encoding)
            except UnicodeEncodeError as error:
                letter = f"U+{ord(error.object[error.start]):04X}"
                if asked:
                    raise SourceError(
                        f"{output.name} cannot be written in {encoding}, which has no character {letter}. Choose "
                        f"{argument('output_encoding', WITH_MARK)}, which Excel reads too. Nothing was written."
                    ) from None
                log.warning("%s is written in UTF-8: %s has no character %s.", output.name, encoding, letter)
                _transcode(text, partial, output, WITH_MARK)

    return write


def _transcode(source: Path, target: Path, output: Path, encoding: str) -> None:
    import pyarrow as pa

    kind = format_of(output)
    compression = kind[1] if kind is not None else None
    encoder = codecs.getincrementalencoder(encoding)()
    with source.open(encoding="utf-8", newline="") as text, pa.OSFile(str(target), "wb") as raw:
        stream = raw if compression is None else pa.CompressedOutputStream(raw, compression)
        while block := text.read(_BLOCK):
            stream.write(encoder.encode(block))
        stream.write(encoder.encode("", final=True))
        stream.close()
