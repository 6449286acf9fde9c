"""Fuzz one target with atheris, guided by coverage, in a process of its own: libFuzzer ends it.

    python -m tests.fuzz.coverage_guided reply FOLDER --seconds 60

FOLDER takes the inputs found. One that breaks a rule is written there as `crash-...`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mailvet"]):
    from tests.fuzz.targets import INPUTS, TARGETS

_LONGEST_INPUT = 8_192  # octets; longer ones show no other paths, only time, which is measured by itself
_SLOWEST = 20  # seconds for one input


def main() -> None:
    """Run until the time is up, or an input breaks a rule."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, required=True)
    options = parser.parse_args()
    kept = INPUTS / options.target
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            f"-max_len={_LONGEST_INPUT}",
            f"-timeout={_SLOWEST}",
            "-print_final_stats=1",
            f"-artifact_prefix={options.folder}/",
            str(options.folder),
            str(kept),
        ],
        TARGETS[options.target],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
