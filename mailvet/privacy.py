"""
Texts of strangers, shown so that they do nothing: no formula in a spreadsheet, no command to a terminal, no line in a
log that is not ours, no letter that turns the reading direction.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import Final

__all__ = ["FORMULA_START", "PrintableFormatter", "escape_formula", "formula_sql", "is_formula", "printable"]

_SIGNS: Final = "=+-@"
FORMULA_START: Final = (
    f"{_SIGNS}"
    "\uff1d\uff0b\uff0d\uff20"  # full width, which spreadsheets of East Asia read like the others
    "\ufe66\ufe62\ufe63\ufe6b\u2212"  # small forms, and the minus sign
    "\t\r\n"
)
"""A cell that begins so is run as a formula by spreadsheets (OWASP, "CSV Injection")."""

_TURNS: Final = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that turn the reading direction or end a line (Unicode, UAX #9 and UAX #14)."""


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run the text as a formula."""
    return text[:1] in FORMULA_START if text else False


def escape_formula(text: str) -> str:
    """The text behind an apostrophe if a spreadsheet might run it, else as it is."""
    return f"'{text}" if is_formula(text) else text


def formula_sql(first_character: str) -> str:
    """`is_formula` as a SQL condition on the expression for a text's first character, which may be null."""
    signs = ", ".join(f"'{sign}'" for sign in FORMULA_START if sign.isprintable())
    return f"{first_character} in ({signs}, '\t', '\r', '\n')"


def printable(text: str, *, lines: bool = False) -> str:
    r"""
    The text with control characters, marks that turn the reading direction and lone surrogates written as escapes
    (`\x1b`, `\u202e`).

    Args:
        lines: line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(letter, lines) for letter in text)


def _shown(letter: str, lines: bool) -> str:
    if lines and letter in "\n\t":
        return letter
    if letter in _TURNS or unicodedata.category(letter) in ("Cc", "Cs"):
        code = ord(letter)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return letter


class PrintableFormatter(logging.Formatter):
    """A line of a log stays one line, whatever the names and replies in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line with its message made printable."""
        record.message = printable(record.message)
        return super().formatMessage(record)
