"""What is kept about server addresses between runs, in every warehouse alike."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pytest

from mailvet.probing.memory import Canary, RefusedRuns, Suspicion
from mailvet.warehouse.servers import CANARIES_PER_HOST, SERVER_SCHEMA, StoredServers
from mailvet.warehouse.store import Warehouse
from tests.warehouse.answers import NOW, answers, later, plan_of, planned_source
from tests.warehouse.places import Place

SUSPICION = Suspicion(NOW - timedelta(hours=1), 2, NOW + timedelta(minutes=1))
REFUSED = RefusedRuns("550 5.1.1 <recipient> it's unknown\n", (date(2026, 11, 21), date(2026, 11, 22)))


def known(warehouse: Warehouse) -> StoredServers:
    return StoredServers(warehouse.servers(), planned_source(warehouse).canaries(NOW), special_use=True)


def test_suspicions_and_refused_days_come_back_as_they_were(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    before = known(warehouse)
    assert before.changes(NOW) is None
    before.memory.suspicions["192.0.2.1:25"] = SUSPICION
    before.memory.suspicions["operator:google"] = Suspicion(NOW)
    before.memory.refused_runs["[2001:db8:1234:5678:9abc:def0:1234:5678]:25"] = REFUSED
    before.memory.refused_runs["192.0.2.1:25"] = REFUSED
    changed = before.changes(NOW)
    assert changed is not None
    warehouse.save_servers(changed)
    after = known(warehouse)
    assert after.memory.suspicions == before.memory.suspicions
    assert after.memory.refused_runs == before.memory.refused_runs

    # What has ended is removed, and nothing else is written.
    del after.memory.suspicions["192.0.2.1:25"], after.memory.refused_runs["192.0.2.1:25"]
    after.memory.suspicions["operator:google"] = SUSPICION
    changed = after.changes(later(days=1))
    assert changed is not None
    assert changed["place"].to_pylist() == ["192.0.2.1:25", "operator:google"]
    warehouse.save_servers(changed)
    last = known(warehouse).memory
    assert last.suspicions == {"operator:google": SUSPICION}
    assert list(last.refused_runs) == ["[2001:db8:1234:5678:9abc:def0:1234:5678]:25"]


def test_a_table_of_an_older_version_gets_the_table_of_servers_when_a_run_writes(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    place.sql("drop table mailvet_servers")
    assert warehouse.servers().num_rows == 0
    warehouse.open_for_writing()
    assert place.sql("select count(*) from mailvet_servers") == [(0,)]


def test_rows_about_servers_are_forgotten_with_old_verdicts(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    row = {"place": "192.0.2.1:25", "suspected_since": NOW, "rests": 1, "changed_at": NOW}
    warehouse.save_servers(pa.Table.from_pylist([row], schema=SERVER_SCHEMA))
    warehouse.forget_before(later(days=-1))
    assert warehouse.servers().num_rows == 1
    warehouse.forget_before(later(days=1))
    assert warehouse.servers().num_rows == 0


@pytest.mark.parametrize("stored", [True, False])
def test_canaries_are_recipients_accepted_lately_by_hosts_of_due_domains(place: Place, stored: bool) -> None:
    """`stored`: whether the store keeps addresses; without, the texts come from the source."""
    people = [f"p{number}@a.test" for number in range(12)]
    place.contacts(*people, " Neighbour@b.test", "old@a.test", "elsewhere@c.test", "gone@a.test", "new@a.test")
    warehouse = place.opened()
    warehouse.open_for_writing()
    host = {"mx_host": "mx.a.test"} | ({} if stored else {"email": None})
    for number, person in enumerate(people):
        warehouse.save(answers({person: "mailbox_accepted"}, now=later(days=-20, minutes=number), **host))
    warehouse.save(answers({" Neighbour@b.test": "mailbox_accepted"}, now=later(days=-1), **host))
    warehouse.save(answers({"old@a.test": "mailbox_accepted"}, now=later(days=-31), **host))
    warehouse.save(answers({"gone@a.test": "mailbox_not_found"}, now=later(days=-1), **host))
    warehouse.save(answers({"elsewhere@c.test": "mailbox_accepted"}, now=later(days=-1), mx_host="mx.c.test"))
    plan_of(warehouse)  # due: new@a.test
    memory = known(warehouse).memory
    assert list(memory.canaries) == ["mx.a.test"]
    canaries = memory.canaries["mx.a.test"]
    assert canaries[-1] == Canary("Neighbour", "b.test", later(days=-1))
    assert [canary.local for canary in canaries[:-1]] == [f"p{n}" for n in range(13 - CANARIES_PER_HOST, 12)]


def test_where_nothing_was_verified_nothing_is_known(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    plan_of(warehouse)
    memory = known(warehouse).memory
    assert (memory.suspicions, memory.canaries, memory.refused_runs) == ({}, {}, {})
