"""The section of the page about hostile servers replaces itself and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.page import replace_section, section

FIGURES = {"servers": {"stalls_at_rcpt": {"reasons": {"smtp_timeout": 2}, "seconds": 3.2}}, "held": 0, "wrong": 0}


def test_the_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "trust.md"
    path.write_text("# Trust\n\n## Faults\n\nNone.\n\n## Hostile servers\n\nOld.\n\n## Files\n\nPrivate.\n", "utf-8")
    for _ in range(2):
        replace_section(path, section(FIGURES, None, None))
    page = path.read_text("utf-8")
    assert "Old." not in page
    assert page.count("## Hostile servers") == 1
    assert page.startswith("# Trust\n\n## Faults\n\nNone.\n\n## Hostile servers\n")
    assert page.endswith("\n\n## Files\n\nPrivate.\n")
    assert "| `stalls_at_rcpt` | smtp_timeout | 3.2 |" in page


def test_a_page_that_is_not_there_is_begun(tmp_path: Path) -> None:
    soak = {
        "seconds": 60,
        "addresses": 1234,
        "memory_mb": [236.0, 238.0],
        "files": [9, 9],
        "tasks": [4, 4],
        "longest_pause": 0.2,
    }
    replace_section(tmp_path / "trust.md", section(FIGURES, None, soak))
    page = (tmp_path / "trust.md").read_text("utf-8")
    assert page.startswith("# Trust\n")
    assert "1,234 verdicts" in page
    assert "megabytes of memory 236.0 and 238.0" in page
