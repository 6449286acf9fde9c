"""Hostile mail servers, and what became of a run that met them: writes the section "Hostile servers" of docs/trust.md.

    python -m tests.hostile

Every server that holds a client without end stands beside a healthy one, one run for each; then 400 stalled ones stand
among 40 healthy ones. What `python -m tests.fuzz` and `python -m tests.soak` measured last is told too. Figures go to
benchmarks/data/hostile.json; the exit code is 1 when a number is not 0 where 0 is right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.hostile.page import replace_section, section
from tests.hostile.runs import measure

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "benchmarks" / "data"


def main() -> int:
    """Measure, write, and say whether all is well."""
    figures = measure()
    (FIGURES / "hostile.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    known = {
        name: json.loads(path.read_text(encoding="utf-8")) if (path := FIGURES / f"{name}.json").exists() else None
        for name in ("fuzz", "soak")
    }
    replace_section(ROOT / "docs" / "trust.md", section(figures, known["fuzz"], known["soak"]))
    return 1 if figures["held"] or figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
