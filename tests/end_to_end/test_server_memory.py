"""What one run learns about a server, the next one knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.lab import Lab, World
from mailvet.lab.guards import HarvestGuard
from mailvet.runs.results import RunResult
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from tests.end_to_end.conftest import make_table, rows, write_config
from tests.probing import asked

LabFactory = Callable[..., Lab]
CELLS = [f"person{number:03}@acme.test" for number in range(60)]
LIVING, DEAD = CELLS[::2], CELLS[1::2]


def acme(living: list[str], **options: Any) -> World:
    world = World().host("mx.acme.test", error_limit=None, **options)
    world.domain("acme.test", [(10, "mx.acme.test")])
    for person in living:
        world.mailbox(person)
    return world


@pytest.fixture
def verified(here: Path) -> Callable[..., RunResult]:
    """A run over `crm.duckdb`."""
    make_table(here / "crm.duckdb", CELLS)

    def work(lab: Lab, *, wait: float = 0.0, recheck: str | None = None) -> RunResult:
        lab.reset_counters()
        settings = Settings.load(write_config(lab, here))
        warehouse = open_source("crm.duckdb", settings, table="contacts")
        try:
            return run(warehouse, settings, wait=timedelta(seconds=wait), recheck=recheck)
        finally:
            warehouse.close()

    return work


def test_servers_that_shut_us_out_are_left_alone_by_the_next_run_too(
    mailvet_lab_factory: LabFactory, here: Path, verified: Callable[..., RunResult]
) -> None:
    lab = mailvet_lab_factory(acme(LIVING, guard=HarvestGuard(15)), latency=0.002)
    first = verified(lab)
    known = rows(here / "crm.duckdb", "select place, suspected_since, rest_until from mailvet_servers")
    assert len(known) == 1
    assert known[0][0] == f"{lab.world.hosts['mx.acme.test'].address}:{lab.smtp_port}"
    assert first.summary.by_reason.get("mailbox_not_found", 0) <= len(DEAD)
    assert verified(lab, recheck="all").probes == 0  # they rest
    # With time to wait for the end of the rest: one canary, and no unknown recipient before it is accepted.
    assert verified(lab, wait=8.0, recheck="all").probes <= 3
    assert not {*asked(lab)} & {*DEAD}
    dead = rows(here / "crm.duckdb", "select email from mailvet_verdicts where status = 'undeliverable'")
    assert {email for (email,) in dead} <= {*DEAD}


def test_a_suspicion_ends_when_a_canary_of_the_store_is_accepted(
    mailvet_lab_factory: LabFactory, here: Path, verified: Callable[..., RunResult]
) -> None:
    lab = mailvet_lab_factory(acme(LIVING), latency=0.002)
    verified(lab)
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute(
            "insert into mailvet_servers by name select $1 as place, now()::timestamp as suspected_since, "
            "now()::timestamp as changed_at, 1 as rests",
            [f"{lab.world.hosts['mx.acme.test'].address}:{lab.smtp_port}"],
        )
    result = verified(lab, wait=20.0, recheck="reason=mailbox_not_found")
    assert result.plan.due == len(DEAD)
    assert {*asked(lab)} & {*LIVING}, "no recipient known to exist was asked"
    assert rows(here / "crm.duckdb", "select * from mailvet_servers") == []
    checked = rows(
        here / "crm.duckdb", "select count(distinct run_id) from mailvet_verdicts where reason = 'mailbox_not_found'"
    )
    assert checked == [(1,)], "refusals were not proven by canaries of the store"


def test_refusals_of_everybody_on_three_days_count(
    mailvet_lab_factory: LabFactory, here: Path, verified: Callable[..., RunResult]
) -> None:
    lab = mailvet_lab_factory(acme([]), latency=0.002)
    for day in (1, 2, 3):
        result = verified(lab, recheck="all")
        # What was learnt today was learnt on an earlier day.
        with duckdb.connect(str(here / "crm.duckdb")) as db:
            (days,) = db.execute("select refused_days from mailvet_servers").fetchall()[0]
            assert len(days.split(",")) == day
            today = datetime.now(timezone.utc).date()
            earlier = ",".join(str(today - timedelta(days=3 * (day + 1 - back))) for back in range(1, day + 1))
            db.execute("update mailvet_servers set refused_days = $1", [earlier])
        counted = result.summary.by_reason.get("mailbox_not_found", 0)
        assert counted == len(CELLS) if day == 3 else counted <= 2
