"""What a watcher of a run is told, while one server takes its time."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from mailvet.lab import Lab, World
from mailvet.runs.results import Progress
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from mailvet.warehouse.store import Plan

FAST = [f"person{number}@fast.test" for number in range(60)]


class Record:
    """Keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[Progress] = []

    def planned(self, source: str, plan: Plan) -> None:
        pass

    def progressed(self, progress: Progress) -> None:
        self.told.append(progress)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["silent", "tarpit"])
def test_the_time_left_follows_the_server_that_takes_its_time(profile: str, tmp_path: Path) -> None:
    world = World().host("mx.fast.test").domain("fast.test", [(10, "mx.fast.test")])
    world.host("mx.slow.test", profile).domain("slow.test", [(10, "mx.slow.test")]).mailbox("ann@slow.test")
    for address in FAST:
        world.mailbox(address)
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as database:
        database.execute("create table contacts as select unnest($1::varchar[]) as email", [[*FAST, "ann@slow.test"]])
    record = Record()
    with Lab(world) as lab:
        lab.write_config(tmp_path / "mailvet.toml")
        settings = Settings.load(tmp_path / "mailvet.toml", smtp={"command_timeout": 4.0, "address_budget": 8.0})
        warehouse = open_source(str(tmp_path / "crm.duckdb"), settings, table="contacts")
        try:
            run(warehouse, settings, watcher=record)
        finally:
            warehouse.close()
    waiting = [progress for progress in record.told if progress.due - progress.done == 1]
    assert len(waiting) > 8  # for two seconds and more only the slow server was left
    late = waiting[len(waiting) // 2]
    began = waiting[0].seconds
    assert late.seconds_left is not None
    # At the rate of all addresses it would be a fraction of a second.
    assert 1 / late.rate < 0.5
    assert late.seconds_left > (late.seconds - began) / 2
    assert late.seconds_left < 60
