"""Verify without end against healthy and hostile mail servers, and see whether anything grows.

    python -m tests.soak --seconds 3600

It verifies in runs of 4,000 addresses, as a pipeline does it. After each, the memory, the open files and the tasks
of this process are noted; the servers run in another one. What the second quarter of the notes shows is what a process
needs; what the last shows beyond that, grew. Figures go to benchmarks/data/soak.json; the exit code is 1 when something
grew.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.soak.run import flat, soak

FIGURES = Path(__file__).parents[2] / "benchmarks" / "data" / "soak.json"


def main() -> int:
    """Run as long as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Verify without end, and see whether anything grows.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="default: an hour")
    figures = soak(parser.parse_args().seconds)
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    return 0 if flat(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
