"""What counts as a missing cell: a null, or a text of nothing that can be seen.

The one rule, for Python, Polars, SQL (`mailvet.warehouse.dialects.Dialect.missing`), Spark and dbt
(`mailvet.is_missing`). A missing cell is no address: it gets no verdict row, its status columns are null, and it is
counted as `missing`. What stands for an address that is not there ("n/a", "-") can be seen, and is `syntax_invalid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BLANK", "WHITE_SPACE", "ZERO_WIDTH", "is_missing", "missing_expression"]

WHITE_SPACE: Final = "".join(filter(str.isspace, map(chr, range(0x3001))))
"""White space: what Python's `str.strip` removes, line ends, no-break and ideographic spaces included."""

ZERO_WIDTH: Final = "".join(
    map(
        chr,
        (
            0x00AD,  # soft hyphen
            0x034F,  # combining grapheme joiner
            0x061C,  # Arabic letter mark
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # fillers of Hangul, blank since they stand for no letter
            *(0x17B4, 0x17B5),  # inherent vowels of Khmer
            *range(0x180B, 0x1810),  # Mongolian variation selectors and vowel separator
            *range(0x200B, 0x2010),  # zero-width space, joiners, marks of direction
            *range(0x202A, 0x202F),  # embeddings and overrides of direction
            *range(0x2060, 0x2070),  # word joiner, invisible operators, isolates of direction
            0x2800,  # Braille pattern of no dots
            *range(0xFE00, 0xFE10),  # variation selectors
            0xFEFF,  # byte order mark, zero-width no-break space
            *range(0xFFF0, 0xFFFC),  # reserved as ignorable; anchors of interlinear annotation
        ),
    )
)
"""
Characters that show nothing: Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt) in the Basic
Multilingual Plane, with the blank Braille pattern and the anchors of annotations. Those beyond that plane (tags and
further variation selectors) stand behind a character that shows; not every database can name them.
"""

BLANK: Final = WHITE_SPACE + ZERO_WIDTH
"""The characters a missing cell may consist of."""


def is_missing(text: str | None) -> bool:
    r"""Whether a cell holds nothing: null, empty, or white space and zero-width characters alone.

    >>> [is_missing(cell) for cell in (None, "", " \u00a0\u200b", "n/a")]
    [True, True, True, False]
    """
    return not text or not text.strip(BLANK)


def missing_expression(cell: pl.Expr) -> pl.Expr:
    """`is_missing` of a column of texts; never null."""
    # A pattern is done with most cells after one character; `strip_chars` looks at both ends of each.
    ranges = "".join(f"\\x{{{ord(character):X}}}" for character in BLANK)
    return cell.is_null() | cell.str.contains(f"^[{ranges}]*$").fill_null(value=False)
