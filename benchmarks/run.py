"""
Measure everything and write docs/benchmarks.md and docs/accuracy.md:
`python benchmarks/run.py [--only PART]... [--quick] [--docs FOLDER]`.

Nothing leaves the machine. Exit code 1 when a part failed or an answer of mailvet's was wrong where speed is measured;
a target that is missed is said so on the page and is no failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The folder of this file must not come first: its modules are named after what they measure.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import (
    accuracy,
    accuracy_page,
    airflow,
    charts,
    dbt,
    judgement,
    lists,
    machine,
    postgres,
    probing,
    report,
    routing,
    scale,
    single,
    spark,
    storage,
    suggesting,
    targets,
    whole_runs,
)
from benchmarks.processes import ROOT, JobFailedError, call

__all__ = ["PARTS", "main", "run"]


def _syntax(**options: int) -> Any:
    return call("benchmarks.syntax:measure", **options)


def _great_expectations(**options: int) -> Any:
    return call("benchmarks.gx:figures", **options)


PARTS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "accuracy": (accuracy.measure, {"rows": 300, "peers": False, "wait": "0s"}),
    "judgement": (judgement.measure, {"mail_domains": 200, "blocked": 2}),
    "worlds": (whole_runs.measure, {"seeds": (7,), "rows": 60, "wait": "0s"}),
    "syntax": (_syntax, {"count": 5_000, "sample": 200, "runs": 1}),
    "probing": (
        probing.measure,
        {"count": 200, "domains": 10, "hosts": 4, "latencies": (0.002,), "runs": 1, "single_sample": 20},
    ),
    "routes": (routing.measure, {"count": 500, "sample": 50, "runs": 1}),
    "single": (single.measure, {"calls": 20, "runs": 1, "imports": 1}),
    "storage": (storage.measure, {"rows": 5_000, "sample": 50, "runs": 1}),
    "scale": (scale.measure, {"sizes": (2_000, 20_000)}),
    "postgres": (postgres.measure, {"rows": 5_000, "sample": 500, "runs": 1}),
    "airflow": (airflow.measure, {"rows": 5_000, "runs": 1}),
    "lists": (lists.measure, {"count": 5_000, "sample": 500, "runs": 1}),
    "suggestions": (suggesting.measure, {"count": 5_000, "sample": 50, "runs": 1}),
    "spark": (spark.measure, {"offline": 20_000, "domains": 500, "runs": 1}),
    "gx": (_great_expectations, {"rows": 2_000, "bad": 400}),
    "dbt": (dbt.measure, {"rows": 5_000}),
}
"""What is measured by each part, and its options under `--quick`."""


def run(only: Sequence[str] = (), *, quick: bool = False) -> dict[str, Any]:
    """Measure the parts named, or all; a part that fails has an `error` instead of figures."""
    results: dict[str, Any] = {}
    for part, (measure, small) in PARTS.items():
        if only and part not in only:
            continue
        began = time.perf_counter()
        try:
            results[part] = measure(**(small if quick else {}))
        except (AssertionError, JobFailedError) as error:
            results[part] = {"error": str(error)}
        except Exception:  # one part's misfortune leaves the others their figures
            results[part] = {"error": traceback.format_exc()}
        failed = " failed" if "error" in results[part] else ""
        print(f"{part}{failed} after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure mailvet and write docs/benchmarks.md.")
    parser.add_argument("--only", action="append", choices=list(PARTS), default=[], help="this part (repeatable)")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work, not how fast")
    parser.add_argument("--docs", type=Path, help="where to write benchmarks.md and images/ (default: docs)")
    parser.add_argument("--json", type=Path, help="write the figures here too; with --only, take the others from it")
    chosen = parser.parse_args(arguments)

    about = machine.describe()
    results = run(chosen.only, quick=chosen.quick)
    if chosen.json:
        if chosen.only and chosen.json.exists():
            results = json.loads(chosen.json.read_text())["results"] | results
        chosen.json.write_text(json.dumps({"machine": about, "results": results}, indent=1))
    for target in [] if chosen.quick else targets.judge(results):
        print(f"{'reached' if target.reached else 'MISSED '}  {target.part:>8}  {target.aim}: {target.measured}")
    for part, figures in results.items():
        if "error" in figures:
            print(f"failed   {part:>8}  {figures['error'].splitlines()[-1]}")

    if chosen.docs or not chosen.quick:
        accuracy_page.write(chosen.docs or ROOT / "docs", results, about)

    complete = set(results) == set(PARTS) and not chosen.quick
    docs = chosen.docs or (ROOT / "docs" if complete else None)
    if docs is None:
        print("docs/benchmarks.md is left as it is: it takes a full run, or --docs.")
    else:
        drawn = charts.draw(results, docs / "images")
        page = report.markdown(results, about, drawn, quick=chosen.quick)
        (docs / "benchmarks.md").write_text(page, encoding="utf-8")
        figures = json.dumps({"machine": about, "results": results}, indent=1)
        (docs / "benchmarks.json").write_text(f"{figures}\n", encoding="utf-8")
        report.fill_in(docs, results, about)
    return int(any("error" in figures for figures in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
