"""Fuzz the readers of what strangers wrote, and measure how their time grows with the input.

    python -m tests.fuzz --seconds 600                  every target for ten minutes; keeps what breaks a rule
    python -m tests.fuzz --seconds 60 --target reply

Half of the time goes to inputs of hypothesis, half to atheris, which follows the code's branches. Where atheris is
not installed, all of it goes to hypothesis, and the figures say so. Figures go to benchmarks/data/fuzz.json; the
exit code is 1 when a rule was broken or a time grew faster than its input.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.fuzz.random_inputs import INPUTS_BY_TARGET
from tests.fuzz.targets import TARGETS, keep, shaped

FIGURES = Path(__file__).parents[2] / "benchmarks" / "data" / "fuzz.json"
_SIZES = (131_072, 1_048_576)  # octets
_STEEPEST = 1.3  # growth exponent; 1 is linear, and a busy machine errs by some tenths
_TOO_SHORT = 0.02  # seconds, below which a time says nothing
_REPEATED = 3  # measurements, of which the shortest counts


def with_hypothesis(target: str, seconds: float) -> tuple[int, bytes | None]:
    """Executions within so many seconds, and the least input found that breaks a rule."""
    until = time.monotonic() + seconds
    executions = 0
    broken: list[bytes] = []  # the last is the least: hypothesis makes it smaller

    @settings(max_examples=2_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(INPUTS_BY_TARGET[target])
    def check(octets: bytes) -> None:
        nonlocal executions
        if time.monotonic() > until and not broken:
            return
        executions += 1
        try:
            TARGETS[target](octets)
        except Exception:
            broken.append(octets)
            raise

    while time.monotonic() < until and not broken:
        try:
            check()
        except Exception as error:
            if not broken:
                raise
            print(f"{target}: {type(error).__name__}: {error}"[:500], file=sys.stderr)
    return executions, broken[-1] if broken else None


def with_atheris(target: str, seconds: float) -> tuple[int, bytes | None]:
    """The same with inputs that follow the branches of the code."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.fuzz.coverage_guided", target, folder, "--seconds", str(int(seconds))]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
        crashes = [path for kind in ("crash-*", "timeout-*", "oom-*") for path in Path(folder).glob(kind)]
        if ended.returncode and not crashes:
            raise RuntimeError(f"atheris did not run: {ended.stderr[-2000:]}")
        if crashes:
            print(ended.stderr[-3000:], file=sys.stderr)
        return int(executions[1]) if executions else 0, crashes[0].read_bytes() if crashes else None


def growth(target: str) -> dict[str, Any]:
    """Seconds for each shape of a long input, and the exponent with which they grow; None where they are too short."""
    found = {}
    for shape, of_size in shaped(target).items():
        times = []
        for size in _SIZES:
            octets = of_size(size)
            times.append(min(_seconds(target, octets) for _ in range(_REPEATED)))
        exponent = None
        if times[1] > _TOO_SHORT:
            exponent = round(math.log(times[1] / max(times[0], 1e-4)) / math.log(_SIZES[1] / _SIZES[0]), 2)
        found[shape] = {"seconds_for_1_mb": round(times[1], 3), "exponent": exponent}
    return found


def _seconds(target: str, octets: bytes) -> float:
    began = time.perf_counter()
    TARGETS[target](octets)
    return time.perf_counter() - began


def main() -> int:
    """Fuzz as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of what strangers wrote.")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target (default: 600)")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="default: all of them")
    options = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None
    share = options.seconds / 2 if guided else options.seconds
    figures: dict[str, Any] = {"seconds_per_target": options.seconds, "coverage_guided": guided, "targets": {}}
    good = True
    for target in options.target or sorted(TARGETS):
        runs = [with_hypothesis(target, share), *([with_atheris(target, share)] if guided else [])]
        crashes = [octets for _, octets in runs if octets is not None]
        for octets in crashes:
            print("kept:", keep(target, octets, hashlib.sha256(octets).hexdigest()[:12]), file=sys.stderr)
        times = growth(target)
        steep = [shape for shape, each in times.items() if (each["exponent"] or 0.0) > _STEEPEST]
        good = good and not crashes and not steep
        figures["targets"][target] = {
            "executions": sum(executions for executions, _ in runs),
            "crashes": len(crashes),
            "steep": steep,
            "growth": times,
        }
        print(target, json.dumps(figures["targets"][target]))
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
