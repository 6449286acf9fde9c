"""What can be wrong with a data file, in one sentence that names the line and never quotes its text."""

from __future__ import annotations

import re
from pathlib import Path

from mailvet.errors import SourceError, argument
from mailvet.privacy import database_message as first_line

__all__ = ["first_line", "unreadable"]

_LENIENT = f"Correct it, or go on with {argument('lenient', True)}, which keeps every cell and counts such rows."


def unreadable(path: Path, text: str, encoding: str) -> SourceError:
    """DuckDB quotes the offending line, addresses and all; only its number and the kind of fault are passed on."""
    line = re.search(r"[Ll]ine:? (\d+)", text)
    where = f" in line {line[1]}" if line else ""
    lowered = text.lower()
    if "unicode" in lowered or "utf-8" in lowered or "utf8" in lowered:
        advice = (
            "Spreadsheets on Windows often write cp1252 (latin-1): try "
            f"{argument('encoding', 'cp1252')}, or save it again as UTF-8."
            if encoding == "utf-8"
            else f"Try another {argument('encoding')}, or save it again as UTF-8."
        )
        return SourceError(f"The file {path.name} is not {encoding.upper()} text{where}. {advice} Nothing was read.")
    if "quote" in lowered and "unterminated" in lowered:
        return SourceError(
            f'The file {path.name} has an unclosed quotation mark, or text after a closing one{where}. Inside "quotes" '
            f'a quotation mark is written twice (""). {_LENIENT} Nothing was read.'
        )
    if "expected number of columns" in lowered:
        return SourceError(
            f"The file {path.name} has a row with another number of columns than its header{where}: probably a "
            f'missing quotation mark or a delimiter inside a cell. Put such cells in "quotes". {_LENIENT} Nothing was '
            "read."
        )
    if "line size" in lowered or "maximum_object_size" in lowered:
        return SourceError(f"The file {path.name} has a line of more than 64 MB{where}. Nothing was read.")
    if "json" in lowered and "malformed" in lowered:
        return SourceError(
            f"The file {path.name} is not well-formed JSON Lines{where}: one object a line. Nothing was read."
        )
    return SourceError(f"The file {path.name} cannot be read{where}: {first_line(text)}. Nothing was read.")
