"""A run over a table of PostgreSQL, from the command line to the status columns; killed and cut off in the middle."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from mailvet.errors import SourceError
from mailvet.lab import Lab, World
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from tests.end_to_end.conftest import PEOPLE, STRANGERS, make_table, start, write_config
from tests.postgresql import PostgresServer
from tests.probing import asked

CELLS: list[str | None] = [
    *PEOPLE,
    *STRANGERS,
    PEOPLE[0],
    PEOPLE[1].upper(),
    None,
    "",
    " ",
    "no address",
    "ann@null.test",
    "full@acme.test",
    "ann@block.test",
    "ann@failing.test",
    "bob@all.test",
    "ann@nowhere.test",
    f" {PEOPLE[2]} ",
    "jörg@acme.test",
]


@pytest.fixture
def table(postgres_server: PostgresServer) -> Callable[[Sequence[str | None]], str]:
    """Make contacts(id, email) in a database of PostgreSQL's; its URL."""

    def make(cells: Sequence[str | None]) -> str:
        url = postgres_server.new_database("run")
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("create table contacts (id integer primary key, email text)")
            db.cursor().executemany("insert into contacts values (%s, %s)", list(enumerate(cells, 1)))
        return url

    return make


def fetched(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query).fetchall()


def test_a_table_of_postgresql_gets_the_same_answers_as_one_of_duckdb(
    table: Any, verify: Any, here: Path, lab: Lab, mailvet_command: Any
) -> None:
    url = table(CELLS)
    make_table(here / "crm.duckdb", CELLS)
    before = verify("crm.duckdb", table="contacts")
    lab.reset_counters()
    result = verify(url, table="contacts", work={"output": here / "out.csv"})
    assert (result.plan, result.summary, result.checked, result.written) == (
        before.plan,
        before.summary,
        before.checked,
        before.written,
    )
    query = "select id, email, mailvet_status, mailvet_reason, mailvet_recommendation from contacts order by id"
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        assert fetched(url, query) == db.execute(query).fetchall()
    assert len((here / "out.csv").read_text().splitlines()) == len(CELLS) + 1
    lab.reset_counters()
    again = verify(url, table="contacts")
    assert (again.checked, again.written, again.probes) == (0, 0, 0)
    assert asked(lab) == {}

    shown = mailvet_command("plan", url, "--table", "contacts")
    assert shown.code == 0
    assert "verdict still fresh" in shown.out
    shown = mailvet_command("explain", PEOPLE[0], "--source", url)
    assert "mailbox_accepted" in shown.out
    assert mailvet_command("forget", PEOPLE[0], "--source", url).out.startswith("1 verdict erased")


# -------------------------------------------------------------------- stopped in the middle

MANY = [f"person{number:03}@d{number % 3}.test" for number in range(120)]


@pytest.fixture
def slow_lab(mailvet_lab_factory: Callable[..., Lab], here: Path) -> Lab:
    world = World()
    for number in range(3):
        # One by one: in groups the run would be over before it is stopped.
        world.host(f"mx.d{number}.test", pipelining=False).domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    for person in MANY[::2]:
        world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.2)
    write_config(lab, here)
    return lab


def goes_on_and_completes(url: str, lab: Lab, here: Path, saved: set[str]) -> None:
    assert 0 < len(saved) < len(MANY)
    lab.reset_counters()
    process = start("verify", url, "--table", "contacts", folder=here)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    renewed = fetched(
        url, "select email from mailvet_verdicts join mailvet_runs using (run_id) where finished_at is not null"
    )
    assert {row[0] for row in renewed} <= set(MANY) - saved  # what was in the journal is not asked again either
    wrong = fetched(
        url,
        "select email from contacts where mailvet_reason is distinct from case when substr(email, 7, 3)::int % 2 "
        "= 0 then 'mailbox_accepted' else 'mailbox_not_found' end",
    )
    assert wrong == []


def verdicts(url: str) -> set[str]:
    if fetched(url, "select to_regclass('mailvet_verdicts') is null")[0][0]:
        return set()
    return {row[0] for row in fetched(url, "select email from mailvet_verdicts")}


def test_a_run_killed_in_the_middle_goes_on_without_asking_twice(slow_lab: Lab, table: Any, here: Path) -> None:
    url = table(MANY)
    process = start("verify", url, "--table", "contacts", folder=here)
    try:
        until = time.monotonic() + 40
        while len(verdicts(url)) < 8 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    columns = fetched(url, "select column_name from information_schema.columns where table_name = 'contacts'")
    assert sorted(columns) == [("email",), ("id",)]
    goes_on_and_completes(url, slow_lab, here, verdicts(url))


def test_a_connection_dropped_in_the_middle_ends_a_run_that_does_not_wait_and_the_next_one_goes_on(
    slow_lab: Lab, table: Any, here: Path
) -> None:
    url = table(MANY)
    settings = Settings.load(here / "mailvet.toml", store={"wait_for_database": "0s"})
    warehouse = open_source(url, settings, table="contacts")

    def drop() -> None:
        while len(verdicts(url)) < 8:
            time.sleep(0.05)
        fetched(url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailvet'")

    helper = threading.Thread(target=drop)
    helper.start()
    with pytest.raises(SourceError, match=r"connection to the database was lost.*What was saved stays saved") as caught:
        run(warehouse, settings)
    helper.join()
    warehouse.close()
    assert "@" not in str(caught.value)
    goes_on_and_completes(url, slow_lab, here, verdicts(url))
