"""
One address at a time, as a form or a notebook asks: `mailvet.verify(address, depth="dns")` with the route known, and
what `import mailvet` costs a process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import loopback
from benchmarks.intervals import spread
from benchmarks.processes import ROOT, LabProcess, call, environment

__all__ = ["measure"]


def measure(calls: int = 300, runs: int = 5, imports: int = 15) -> dict[str, Any]:
    """
    Returns:
        `median`, `p95`, `first` (seconds; each as median, least, most over the runs), `calls`, and `import` (seconds of
        a process that imports mailvet less those of one that does not).
    """
    with LabProcess("probing", count=200, domains=10, hosts=2) as lab:
        seen = [call("benchmarks.single:ask", about=lab.about, calls=calls) for _ in range(runs)]
    bare, loaded = [], []
    for _ in range(imports):
        bare.append(_start("pass"))
        loaded.append(_start("import mailvet"))
    return {
        "calls": calls,
        "runs": runs,
        "imports": imports,
        "median": spread([run["median"] for run in seen]),
        "p95": spread([run["p95"] for run in seen]),
        "first": spread([run["first"] for run in seen]),
        "import": spread([one - other for one, other in zip(loaded, bare, strict=True)]),
        "bare": statistics.median(bare),
    }


def _start(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True)
    return time.perf_counter() - began


def ask(about: dict[str, Any], calls: int) -> dict[str, float]:
    """In the measured process: the first call, then `calls` more, over the ten domains in turn."""
    loopback.install(about["names"], (about["nameserver"][0], about["nameserver"][1]), about["smtp_port"])
    import mailvet
    from mailvet.settings import Settings

    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "mailvet.toml")
        path.write_text(about["config"])
        settings = Settings.load(path)

    def once(number: int) -> float:
        began = time.perf_counter()
        verdict = mailvet.verify(f"ann{number}@company-{number % 10:03d}.test", depth="dns", settings=settings)
        seconds = time.perf_counter() - began
        assert verdict.mx_host == f"mx.operator-{number % 10 % 2:02d}.test", "the route is wrong"
        return seconds

    first = once(0)
    for number in range(20):
        once(number)
    times = sorted(once(number) for number in range(calls))
    return {"first": first, "median": statistics.median(times), "p95": times[int(len(times) * 0.95)]}
