"""docs/accuracy.md: the judgement's figures, and a section of whole runs that is measured on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import judgement, whole_runs

__all__ = ["write"]

_BEGIN, _END = "<!-- generated: whole runs -->", "<!-- end: whole runs -->"


def write(folder: Path, results: dict[str, Any], about: dict[str, Any]) -> None:
    """Write anew what was measured without error (parts `judgement` and `worlds`) and leave the rest of the page."""
    page = folder / "accuracy.md"
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    text, section = _parted(before)
    if _measured(results, "judgement"):
        text = judgement.markdown(results["judgement"], about)
    if _measured(results, "worlds"):
        section = whole_runs.markdown(results["worlds"]["runs"], about)
    after = text.rstrip() + (f"\n\n{_BEGIN}\n\n{section}\n\n{_END}\n" if section else "\n")
    if after != before and after.strip():
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(after, encoding="utf-8")


def _measured(results: dict[str, Any], part: str) -> bool:
    return part in results and "error" not in results[part]


def _parted(page: str) -> tuple[str, str]:
    """The page without the section of whole runs, and that section."""
    if _BEGIN not in page:
        return page, ""
    head, rest = page.split(_BEGIN, 1)
    section, tail = rest.split(_END, 1)
    return head + tail.strip(), section.strip()
