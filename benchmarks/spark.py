"""
Spark on two cores beside one process on one core: the same Parquet file of addresses in, the same counts of verdicts
out.

Depth offline: 90 % plain addresses, the rest mangled, international or blank, as in the part on syntax; no two alike.
Depth dns: one address for each of the domains of the part on mail routes, whose servers share the machine. Spark's
time runs from the call to the counted result, in a session that has verified 200,000 rows (dns: 2,000) before; the
time to start the session stands apart. "A core" divides by CPU seconds, those of the JVM and of all workers, because
cores that are shared with others make seconds of the clock swing. Verdicts by reason have to be the same on both sides
before a rate counts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import routing, syntax, worlds
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import ROOT, call, cores

__all__ = ["measure"]

_BATCH = 20_000
_WARM_UP = 200_000  # rows at depth offline, and a hundredth of them at depth dns


def measure(offline: int = 2_000_000, domains: int = 50_000, runs: int = 3) -> dict[str, Any]:
    """
    Returns:
        `start` (seconds of a session), and by depth `rows`, `alone` (rows a second of one process on one core) and
        `spark` (rows a second of local[2]) by the clock, `alone_cpu` and `spark_cpu` (CPU seconds for 1,000 rows) and
        `ratio` of these, each as median, least and most.

    Raises:
        AssertionError: the two disagree.
    """
    pair = cores()
    found: dict[str, Any] = {"cores": 2, "runs": runs, "depths": {}}
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as home:
        table = str(Path(home, "offline.parquet"))
        call("benchmarks.spark:write", path=table, count=offline)
        found["depths"]["offline"], found["start"] = _compare(table, "offline", 53, runs, pair)
        names = str(Path(home, "dns.parquet"))
        call("benchmarks.spark:write_domains", path=names, count=domains)
        with routing.served(domains, None) as (_, port):
            found["depths"]["dns"], _ = _compare(names, "dns", port, runs, pair)
    return found


def _compare(
    path: str, depth: str, port: int, runs: int, pair: tuple[int, int] | None
) -> tuple[dict[str, Any], tuple[float, float, float]]:
    ones, twos = [], []
    for _ in range(runs):
        ones.append(call("benchmarks.spark:alone", core=pair[0] if pair else None, path=path, depth=depth, port=port))
        twos.append(call("benchmarks.spark:by_spark", path=path, depth=depth, port=port))
        one, two = ones[-1]["reasons"], twos[-1]["reasons"]
        assert one == two, f"Spark answers {two}, one process {one}"
    rows = sum(ones[0]["reasons"].values())
    cpu = [[run["cpu"] * 1000 / rows for run in each] for each in (ones, twos)]
    figures = {
        "rows": rows, "alone": spread([rows / run["seconds"] for run in ones]),
        "spark": spread([rows / run["seconds"] for run in twos]), "alone_cpu": spread(cpu[0]),
        "spark_cpu": spread(cpu[1]), "ratio": paired_ratios(cpu[1], cpu[0]),
    }  # fmt: skip
    return figures, spread([run["start"] for run in twos])


# -------------------------------------------------------------------- inside the measured processes


def write(path: str, count: int) -> None:
    """A table of distinct cells of the mix of the part on syntax."""
    import polars as pl

    cells = pl.Series("email", syntax.mixed_cells(250_000), dtype=pl.String)
    number = pl.int_range(0, pl.len()).cast(pl.String)
    frames = []
    for part in range(-(-count // len(cells))):
        # Each copy has other local parts, so that every text is distinct.
        frames.append(
            cells.to_frame().select(pl.lit(f"{part}.") + number + pl.lit("x") + pl.col("email").fill_null(""))
        )
    pl.concat(frames).head(count).rename({"literal": "email"}).sample(fraction=1.0, shuffle=True, seed=7).write_parquet(
        path, row_group_size=100_000
    )


def write_domains(path: str, count: int) -> None:
    """One address for each domain of the routes' zone."""
    import polars as pl

    _, right = worlds.routing_zone(count)
    pl.DataFrame({"email": [f"ann@{domain}" for domain in right]}).write_parquet(path)


def alone(path: str, depth: str, port: int) -> dict[str, Any]:
    """One process, its batches as a run reads them, on one core and with one thread."""
    import asyncio
    from collections import Counter

    import polars as pl

    from mailvet.verifier import Verifier

    settings = routing.settings(port, depth)

    async def work(table: pl.DataFrame) -> Counter[str]:
        batches = iter(table.iter_slices(_BATCH))
        counted: Counter[str] = Counter()

        async def read() -> pl.DataFrame | None:
            return next(batches, None)

        async with Verifier(settings) as verifier:
            async for verdicts in verifier.stream(read):
                counted.update(dict(verdicts["reason"].value_counts().iter_rows()))
        return counted

    asyncio.run(work(pl.DataFrame({"email": ["warm.up@example.com"] * 10})))
    cpu, began = _cpu(), time.perf_counter()
    counted = asyncio.run(work(pl.read_parquet(path).unique()))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": _cpu() - cpu, "reasons": dict(sorted(counted.items()))}


def _cpu() -> float:
    """CPU seconds of this process and of all that descend from it, also of those that have ended."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(name))
            ticks[int(name)] = sum(map(int, fields[11:15]))  # proc(5): utime, stime, cutime, cstime
    found, waiting = 0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        found += ticks.get(process, 0)
        waiting += children.get(process, [])
    return found / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _session(home: Path) -> Iterator[Any]:
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    for name in ("host", "bindAddress"):
        builder = builder.config(f"spark.driver.{name}", "127.0.0.1")
    builder = builder.config("spark.driver.memory", "2g").config("spark.sql.shuffle.partitions", "4")
    session = builder.config("spark.sql.warehouse.dir", str(home / "warehouse")).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()


def by_spark(path: str, depth: str, port: int) -> dict[str, Any]:
    """The same through Spark; the reasons are counted by it."""
    from mailvet import spark as mv

    settings = routing.settings(port, depth)
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-", dir=os.environ.get("TMPDIR")) as name:
        home = Path(name)
        began = time.perf_counter()
        with _session(home) as session:
            start = time.perf_counter() - began

            def count(frame: Any, staging: Path) -> dict[str, int]:
                verdicts = mv.verify(frame, "email", settings=settings, staging=staging)
                return {row["reason"]: row["count"] for row in verdicts.groupBy("reason").count().collect()}

            table = session.read.parquet(path)
            count(table.limit(_WARM_UP if depth == "offline" else _WARM_UP // 100), home / "warm")
            cpu, began = _cpu(), time.perf_counter()
            counted = count(table, home / "staging")
            seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    return {"seconds": seconds, "cpu": cpu, "start": start, "reasons": dict(sorted(counted.items()))}


def main() -> None:
    """Print the figures."""
    for depth, row in measure()["depths"].items():
        print(f"{depth}: one process {row['alone'][0]:,.0f} a second, local[2] {row['spark'][0]:,.0f}, "
              f"{row['ratio'][0]:.2f} times the CPU")  # fmt: skip


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    main()
