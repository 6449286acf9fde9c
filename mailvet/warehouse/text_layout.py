"""How CSV is to be written: its delimiter and its encoding, as the source came in or as asked."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from mailvet.errors import SettingsError, argument

__all__ = ["AS_IT_CAME", "DELIMITERS", "WITH_MARK", "TextLayout"]

DELIMITERS = {",": ",", ";": ";", "|": "|", "\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""What may be asked for between the cells -> the character."""

WITH_MARK = "utf-8-sig"
"""UTF-8 with a byte order mark, by which Excel knows it."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How CSV is to be written; None is as the source came in, and where that is no CSV file UTF-8 with commas."""

    encoding: str | None = None
    delimiter: str | None = None

    @classmethod
    def of(cls, encoding: str | None = None, delimiter: str | None = None) -> TextLayout:
        """Read the two as they were given.

        Raises:
            SettingsError: there is no such encoding of text, or no such delimiter.
        """
        if encoding is not None:
            try:
                found = codecs.lookup(encoding)
                "a".encode(encoding)
            except LookupError:
                raise SettingsError(
                    f"{argument('output_encoding', encoding)}: there is no such encoding of text; common ones are "
                    f"utf-8, {WITH_MARK} (for Excel), utf-16, cp1252."
                ) from None
            encoding = found.name
        if delimiter is not None and delimiter not in DELIMITERS:
            raise SettingsError(f"{argument('delimiter', delimiter)}: choose one of , ; | tab.")
        return cls(encoding, None if delimiter is None else DELIMITERS[delimiter])


AS_IT_CAME = TextLayout()
