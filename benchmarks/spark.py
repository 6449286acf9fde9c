"""
Spark on two cores beside one process on one core, each doing the whole of a run: a Parquet file of addresses in, the
table of their verdicts on disk out.

One process is `mailvet.run` with its verdicts in DuckDB; Spark is `mailvet.spark.verify` and `save`, with its verdicts
in Parquet, by way of a folder where its workers put them. Beside both stand the layers alone: one process that reads
and keeps nothing, at the same batch sizes. Neither looks for what only a whole table shows, because Spark's tasks
cannot. Depth offline: 90 % plain addresses, the rest mangled, international or blank, as in the part on syntax; no two
alike. Depth dns: one address for each of the domains of the part on mail routes, whose servers share the machine.

What is paid once stands apart from what is paid for each row. Once: what the first verification of a depth takes
beyond a later one of the same rows (code is compiled, workers start); the start of the session counts to the depth
that comes first, offline. For each verification: what one of few rows (1,000) takes in a session that is warm. That is
taken off before the rest is divided by the rows, for one process as for Spark. CPU seconds are those of the JVM and of
all workers, because cores that are shared with others make seconds of the clock swing. Verdicts by reason have to be
the same on all sides before a rate counts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import routing, syntax, worlds
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import ROOT, call, cores

__all__ = ["measure"]

_FEW = 1_000


def measure(offline: int = 1_000_000, domains: int = 100_000, runs: int = 3) -> dict[str, Any]:
    """
    Returns:
        `start` (seconds of a session), and by depth `rows`, `alone` (rows a second of one process on one core) and
        `spark` (rows a second of local[2]) by the clock, fixed costs included; `alone_cpu`, `layers_cpu` and
        `spark_cpu` (CPU seconds for 1,000 rows, fixed costs taken off), `ratio` (Spark to one process),
        `layers_ratio`, `fixed` (CPU seconds of Spark for each verification), each as median, least and most; and
        `once` (CPU seconds of Spark).

    Raises:
        AssertionError: they disagree.
    """
    found: dict[str, Any] = {"cores": 2, "runs": runs, "depths": {}}
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as home:
        table = str(Path(home, "offline.parquet"))
        call("benchmarks.spark:write", path=table, count=offline)
        names = str(Path(home, "dns.parquet"))
        call("benchmarks.spark:write_domains", path=names, count=domains)
        with routing.served(domains, None) as (_, port):
            paths = {"offline": table, "dns": names}
            seen = call("benchmarks.spark:side_by_side", paths=paths, port=port, runs=runs)
    found["start"] = [seen["start"]] * 3
    found["depths"] = {depth: _figures(each) for depth, each in seen["depths"].items()}
    return found


def _figures(seen: dict[str, Any]) -> dict[str, Any]:
    rows = sum(seen["spark"][0]["reasons"].values())
    for each in (*seen["alone"], *seen["layers"], *seen["spark"]):
        assert each["reasons"] == seen["spark"][0]["reasons"], f"{each['reasons']}: {seen['spark'][0]['reasons']}"
    cpu = {name: [_per_1000(each, rows) for each in seen[name]] for name in ("alone", "layers", "spark")}
    once = seen["first"] - spread([each["cpu"] for each in seen["spark"]])[0]
    return {
        "rows": rows,
        "alone": spread([rows / each["seconds"] for each in seen["alone"]]),
        "spark": spread([rows / each["seconds"] for each in seen["spark"]]),
        **{f"{name}_cpu": spread(values) for name, values in cpu.items()},
        "ratio": paired_ratios(cpu["spark"], cpu["alone"]),
        "layers_ratio": paired_ratios(cpu["spark"], cpu["layers"]),
        "fixed": spread([each["few_cpu"] for each in seen["spark"]]),
        "once": once,
    }


def _per_1000(figures: dict[str, Any], rows: int) -> float:
    """CPU seconds for 1,000 rows beyond those that a verification of few rows takes already."""
    return float((figures["cpu"] - figures["few_cpu"]) * 1000 / (rows - _few(rows)))


def _few(rows: int) -> int:
    return min(_FEW, rows // 10)


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


def _settings(port: int, depth: str) -> Any:
    chosen = routing.settings(port, depth)
    return chosen.model_copy(update={"suspicion": chosen.suspicion.model_copy(update={"whole_table": False})})


def _timed(work: Callable[[], object]) -> dict[str, Any]:
    cpu, began = _cpu(), time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - began, "cpu": _cpu() - cpu}


def alone(path: str, depth: str, port: int) -> dict[str, Any]:
    """A whole run of one process that is warm: its seconds, CPU, that of a run of few rows, and the reasons stored."""
    import duckdb
    import polars as pl

    from mailvet.runs.run import run
    from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse

    settings = _settings(port, depth)

    def work(source: Path, store: Path) -> None:
        warehouse = DuckDBWarehouse.of_file(source, "email", store)
        warehouse.open_for_writing()
        try:
            run(warehouse, settings, write_back=False)
        finally:
            warehouse.close()

    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name:
        home = Path(name)
        table = pl.read_parquet(path)
        table.head(_few(table.height)).write_parquet(home / "few.parquet")
        work(home / "few.parquet", home / "first.duckdb")
        few = _timed(lambda: work(home / "few.parquet", home / "few.duckdb"))
        figures = _timed(lambda: work(Path(path), home / "verdicts.duckdb")) | {"few_cpu": few["cpu"]}
        with duckdb.connect(str(home / "verdicts.duckdb")) as store:
            counted = store.execute("select reason, count(*) from mailvet_verdicts group by reason").fetchall()
    return figures | {"reasons": dict(sorted(counted))}


def layers(path: str, depth: str, port: int) -> dict[str, Any]:
    """The layers in one process and on one thread, in batches as large as those of a run; verdicts are counted only."""
    import asyncio

    import polars as pl

    from mailvet.runs.run import OFFLINE_BATCH_ROWS
    from mailvet.verification.stream import BATCH_ROWS, Stream
    from mailvet.verification.verifier import Verifier

    settings = _settings(port, depth)
    counted: Counter[str] = Counter()

    async def work(table: pl.DataFrame) -> None:
        batches = table.iter_slices(OFFLINE_BATCH_ROWS if depth == "offline" else BATCH_ROWS)

        async def read() -> pl.DataFrame | None:
            return next(batches, None)

        counted.clear()
        async with Verifier(settings) as verifier:
            async for verdicts in Stream(verifier, read):
                counted.update(dict(verdicts["reason"].value_counts().iter_rows()))

    few = pl.read_parquet(path)
    few = few.head(_few(few.height))
    asyncio.run(work(few))
    few_cpu = _timed(lambda: asyncio.run(work(few)))["cpu"]
    figures = _timed(lambda: asyncio.run(work(pl.read_parquet(path).unique()))) | {"few_cpu": few_cpu}
    return figures | {"reasons": dict(sorted(counted.items()))}


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


def side_by_side(paths: dict[str, str], port: int, runs: int) -> dict[str, Any]:
    """Spark in one session, and between its verifications the others, each in a fresh process pinned to one core."""
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-", dir=os.environ.get("TMPDIR")) as name:
        cpu, began = _cpu(), time.perf_counter()
        with _session(Path(name)) as session:
            start = {"seconds": time.perf_counter() - began, "cpu": _cpu() - cpu}
            seen = {
                depth: _at_depth(session, Path(name, depth), path, depth, port, runs) for depth, path in paths.items()
            }
    seen["offline"]["first"] += start["cpu"]
    return {"start": start["seconds"], "depths": seen}


def _at_depth(session: Any, home: Path, path: str, depth: str, port: int, runs: int) -> dict[str, Any]:
    from mailvet import spark as mv

    settings = _settings(port, depth)
    pair = cores()
    core = pair[0] if pair else None
    table = session.read.parquet(path)
    few = table.limit(_few(table.count()))

    def verify(frame: Any, to: Path) -> dict[str, Any]:
        return _timed(
            lambda: mv.save(mv.verify(frame, "email", settings=settings, staging=to / "staging"), to / "verdicts")
        )

    def reasons(to: Path) -> dict[str, int]:
        counted = mv.read_verdicts(session, to / "verdicts").groupBy("reason").count().collect()
        return dict(sorted((row["reason"], row["count"]) for row in counted))

    seen: dict[str, Any] = {"alone": [], "layers": [], "spark": [], "first": verify(table, home / "first")["cpu"]}
    verify(few, home / "first-few")
    for run in range(runs):
        for name in ("alone", "layers"):
            seen[name].append(call(f"benchmarks.spark:{name}", core=core, path=path, depth=depth, port=port))
        few_cpu = verify(few, home / f"{run}-few")["cpu"]
        seen["spark"].append(verify(table, home / str(run)) | {"few_cpu": few_cpu, "reasons": reasons(home / str(run))})
    return seen


def main() -> None:
    """Print the figures."""
    for depth, row in measure()["depths"].items():
        print(
            f"{depth}: CPU s for 1,000 rows: one process {row['alone_cpu'][0]:.4f}, its layers alone "
            f"{row['layers_cpu'][0]:.4f}, Spark {row['spark_cpu'][0]:.4f}: {row['ratio'][0]:.2f} times the process, "
            f"{row['layers_ratio'][0]:.2f} times the layers; {row['fixed'][0]:.1f} CPU s for each verification, "
            f"{row['once']:.1f} for each session"
        )


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    main()
