"""Two runs at the same time, each a process of its own, are one client to a mail server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailvet.lab import Lab, World
from tests.end_to_end.conftest import make_table, rows, start, write_config

CELLS = [f"person{number:03}@d{number % 8}.test" for number in range(400)]


def test_two_processes_together_keep_to_the_cap_of_an_address(
    mailvet_lab_factory: Callable[..., Lab], here: Path
) -> None:
    world = World().host("mx.shared.test", pipelining=False)
    for number in range(8):
        world.domain(f"d{number}.test", [(10, "mx.shared.test")])
    for cell in CELLS[::2]:
        world.mailbox(cell)
    lab = mailvet_lab_factory(world, latency=0.02)
    write_config(lab, here, "\n[pacing]\nconnections_per_operator = 3\n")
    tables = ("one", "two")
    for number, name in enumerate(tables):
        make_table(here / f"{name}.duckdb", CELLS[number::2])
    runs = [start("verify", f"{name}.duckdb", "--table", "contacts", folder=here) for name in tables]
    try:
        ends = [process.communicate(timeout=120) for process in runs]
    finally:
        for process in runs:
            process.kill()
    assert [process.returncode for process in runs] == [0, 0], ends
    peak = max(counters.peak_connections for counters in lab.counters_by_address().values())
    assert 1 < peak <= 3
    for name in tables:
        assert rows(here / f"{name}.duckdb", "select count(*) from mailvet_verdicts") == [(200,)]
