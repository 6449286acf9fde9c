"""Names of files and of columns as DuckDB has to be given them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mailvet.warehouse.dialects import literal

__all__ = ["sql_path", "unique_names"]


def sql_path(path: Path) -> str:
    """A SQL literal that makes DuckDB's readers open exactly this file.

    To them a path is a pattern, in which `*`, `?` and `[` stand for themselves only inside brackets (DuckDB, "File
    Globbing").
    """
    text = str(path.absolute())  # a relative name may look like a URL or an option
    return literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in text))


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names for SQL: never blank, never twice (SQL does not tell Email from email)."""
    taken: set[str] = set()
    unique = []
    for position, name in enumerate(names, 1):
        base = name.strip() or f"column{position}"
        candidate, number = base, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique
