"""When our own network fails, no server is said to have failed, and the same command asks again what was not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mailvet.lab import Lab, World
from mailvet.runs.results import RunResult
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from tests.end_to_end.conftest import make_table, rows, write_config

DOMAINS = 12
PEOPLE = [f"person{number:03}@d{number % DOMAINS}.test" for number in range(240)]


@pytest.fixture
def lab(mailvet_lab_factory: Callable[..., Lab], here: Path) -> Lab:
    """Twelve servers; `crm.duckdb` with twenty addresses at each, half of which exist."""
    world = World()
    for number in range(DOMAINS):
        world.host(f"mx.d{number}.test").domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    for person in PEOPLE:
        if int(person[6:9]) // DOMAINS % 2 == 0:
            world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.01)
    make_table(here / "crm.duckdb", PEOPLE)
    return lab


def verified(
    lab: Lab, here: Path, *, wait: float = 0.0, outage_after: str = "2s", after_failure: str = "1s"
) -> RunResult:
    path = write_config(lab, here)
    retry = {"after_failure": after_failure, "outage_after": outage_after}
    settings = Settings.load(path, retry=retry)
    warehouse = open_source("crm.duckdb", settings, table="contacts")
    try:
        return run(warehouse, settings, wait=timedelta(seconds=wait))
    finally:
        warehouse.close()


def reasons(here: Path) -> Counter[str]:
    return Counter(reason for (reason,) in rows(here / "crm.duckdb", "select reason from mailvet_verdicts"))


def complete(here: Path) -> None:
    found = {
        row[0]: row[1:] for row in rows(here / "crm.duckdb", "select email, reason, evidence from mailvet_verdicts")
    }
    wrong = {
        (person, *found[person])
        for person in PEOPLE
        if found[person][0] != ("mailbox_accepted" if int(person[6:9]) // DOMAINS % 2 == 0 else "mailbox_not_found")
    }
    assert not wrong


@pytest.mark.parametrize("wait", [0.0, 30.0])
def test_a_network_that_stays_down_is_said_and_the_next_run_asks_the_rest(lab: Lab, here: Path, wait: float) -> None:
    lab.plan_outage(after=60)
    result = verified(lab, here, wait=wait)
    assert result.degraded is not None
    assert result.degraded.startswith("The network went down during the run: none of ")
    found = reasons(here)
    odd = rows(
        here / "crm.duckdb",
        "select reason, evidence from mailvet_verdicts where reason not in "
        "('mailbox_accepted', 'mailbox_not_found', 'not_probed')",
    )
    assert not odd
    assert found["not_probed"] > 100
    assert rows(
        here / "crm.duckdb",
        "select count(*) from mailvet_verdicts where reason = 'not_probed' and next_check_at > checked_at",
    ) == [(0,)]
    lab.end_outage()
    again = verified(lab, here)
    assert again.degraded is None
    assert again.plan.due == found["not_probed"]
    complete(here)


@pytest.mark.parametrize("wait", [0.0, 30.0])
def test_two_seconds_of_refusals_cost_no_address(lab: Lab, here: Path, wait: float) -> None:
    lab.plan_outage(after=60, seconds=2.0)
    result = verified(lab, here, wait=wait, outage_after="60s", after_failure="5s")
    assert result.degraded is None
    complete(here)
