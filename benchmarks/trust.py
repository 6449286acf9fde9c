"""
docs/trust.md, section "Data and access": what the attacks of `tests/attacks` tried, and how many got through.

    python benchmarks/trust.py      (make trust)

The tests are the attacks, and say how many inputs of each kind they tried; a test that fails is an attack that got
through.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

__all__ = ["Attacks", "fill_in", "section"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "trust.md"
HEADING = "## Data and access"
_HEAD = """# Trust

What mailvet promises of your data, and how the promise is tested. Every number of attacks that got through is 0, or the
section says why not.
"""


class Attacks:
    """A plugin of pytest that counts what tests of attacks report as properties (`attack` -> inputs tried)."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.through: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test has ended."""
        if report.when != "call":
            return
        for kind, tried in report.user_properties:
            if kind.startswith("attack: "):
                name = kind.removeprefix("attack: ")
                self.tried[name] += int(str(tried))
                self.through[name] += int(report.failed)


def section(attacks: Attacks, day: date) -> str:
    """The text of the section."""
    rows = [f"| {kind} | {attacks.tried[kind]:,} | {attacks.through[kind]:,} |" for kind in sorted(attacks.tried)]
    return "\n".join(
        [
            HEADING,
            "",
            f"<!-- Written by `make trust` on {day:%Y-%m-%d}. Changes by hand are lost. -->",
            "",
            "Each attack is a test in `tests/attacks`, on DuckDB, PostgreSQL, MariaDB and SQLite where it concerns a "
            "database. An input is tried once for each of them.",
            "",
            "| attack | inputs tried | got through |",
            "|---|--:|--:|",
            *rows,
            "",
        ]
    )


def fill_in(page: str, text: str) -> str:
    """A page with one section (from its heading to the next of its level) replaced, or added at the end."""
    heading = text.partition("\n")[0]
    found = re.search(rf"^{re.escape(heading)}$.*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    if found is None:
        return f"{page.rstrip()}\n\n{text}"
    rest = page[found.end() :]
    return page[: found.start()] + text + (f"\n{rest}" if rest else "")


def main() -> int:
    """Run the attacks and write the section; 1 if one got through."""
    attacks = Attacks()
    ended = pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "attacks")], plugins=[attacks])
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else _HEAD
    PAGE.write_text(fill_in(page, section(attacks, date.today())), encoding="utf-8")
    for kind in sorted(attacks.tried):
        print(f"{attacks.tried[kind]:7,} {kind}: {attacks.through[kind]:,} got through")
    return int(ended)


if __name__ == "__main__":
    sys.exit(main())
