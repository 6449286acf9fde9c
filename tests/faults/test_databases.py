"""A database that hangs, is locked, or breaks the connection off costs no result."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from mailvet.lab import Lab, World
from tests.end_to_end.conftest import start, write_config
from tests.faults.test_signals import stop
from tests.postgresql import PostgresServer
from tests.probing import asked

MANY = [f"person{number:03}@d{number % 3}.test" for number in range(150)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with temporary files of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path


@pytest.fixture
def slow_lab(mailvet_lab_factory: Callable[..., Lab], here: Path) -> Lab:
    world = World()
    for number in range(3):
        world.host(f"mx.d{number}.test", pipelining=False).domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    for person in MANY[::2]:
        world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.25)
    write_config(lab, here)
    return lab


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    """contacts(id, email) in a database of PostgreSQL's."""
    made = postgres_server.new_database("faults")
    with psycopg.connect(made, autocommit=True) as db:
        db.execute("create table contacts (id integer primary key, email text)")
        db.cursor().executemany("insert into contacts values (%s, %s)", list(enumerate(MANY, 1)))
    return made


def fetched(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query).fetchall()


def journaled(here: Path) -> Sequence[str]:
    """The addresses in the journals."""
    emails: list[str] = []
    for path in (here / "tmp").glob("mailvet-*/*.arrow"):
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
        with path.open("rb") as file:
            try:
                stream = pa.ipc.open_stream(file)
                while True:
                    emails += stream.read_next_batch()["email"].to_pylist()
            except (StopIteration, pa.ArrowInvalid):
                continue
    return emails


def completes(url: str, here: Path, known: set[str]) -> None:
    """A run that goes on asks none of these again, and every verdict is that of an undisturbed run."""
    process = start("verify", url, "--table", "contacts", folder=here)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, (out, err)
    renewed = fetched(
        url, "select email from mailvet_verdicts join mailvet_runs using (run_id) where finished_at is not null"
    )
    assert {row[0] for row in renewed} & known == set()
    assert is_complete(url) == []
    assert journaled(here) == []


def is_complete(url: str) -> list[tuple[Any, ...]]:
    return fetched(
        url,
        "select email, mailvet_reason from contacts where mailvet_reason is distinct from case when "
        "substr(email, 7, 3)::int % 2 = 0 then 'mailbox_accepted' else 'mailbox_not_found' end",
    )


def test_a_run_stopped_while_the_database_hangs_keeps_its_results_in_the_journal(
    slow_lab: Lab, url: str, here: Path
) -> None:
    with psycopg.connect(url) as blocking:
        process = start("verify", url, "--table", "contacts", folder=here)

        def is_time() -> bool:
            if not blocking.info.transaction_status and sum(asked(slow_lab).values()) > 5:
                blocking.execute("lock table mailvet_verdicts in access exclusive mode")
            return sum(asked(slow_lab).values()) >= 80

        code, err, seconds = stop(process, signal.SIGTERM, is_time)
        assert code == 143, err
        assert "are in the journal in" in err
        assert "Traceback" not in err
        assert seconds < 8
        known = set(journaled(here))
        assert known
        blocking.rollback()
    saved = {row[0] for row in fetched(url, "select email from mailvet_verdicts")}
    named = {person for person in MANY if asked(slow_lab)[person]}
    assert len(saved | known) >= len(named) - 3 * 5 * 4
    completes(url, here, known | saved)


def test_a_killed_run_leaves_what_came_5_seconds_ago_in_the_journal(slow_lab: Lab, url: str, here: Path) -> None:
    with psycopg.connect(url) as blocking:
        process = start("verify", url, "--table", "contacts", folder=here)
        until = time.monotonic() + 40
        while not journaled(here) and process.poll() is None and time.monotonic() < until:
            if not blocking.info.transaction_status and sum(asked(slow_lab).values()) > 5:
                blocking.execute("lock table mailvet_verdicts in access exclusive mode")
            time.sleep(0.1)
        assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
        known = set(journaled(here))
        assert known
        blocking.rollback()
    completes(url, here, known)


def test_a_run_connects_again_to_a_database_that_broke_the_connection_off(slow_lab: Lab, url: str, here: Path) -> None:
    process = start("verify", url, "--table", "contacts", folder=here)
    until = time.monotonic() + 40
    while sum(asked(slow_lab).values()) < 60 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    ended = fetched(url, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailvet'")
    assert ended == [(True,)]
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, (out, err)
    assert "the connection to the database was lost" in err
    assert is_complete(url) == []
    assert journaled(here) == []


def test_a_second_run_over_a_table_says_who_is_at_work_and_asks_nobody(slow_lab: Lab, url: str, here: Path) -> None:
    first = start("verify", url, "--table", "contacts", folder=here)
    try:
        until = time.monotonic() + 40
        while sum(asked(slow_lab).values()) < 20 and first.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        second = start("verify", url, "--table", "contacts", folder=here)
        out, err = second.communicate(timeout=60)
        assert second.returncode == 3, (out, err)
        assert (
            f"Another run is at work on contacts in {url.rpartition('/')[2].partition('?')[0]}: process {first.pid}"
            in err
        )
        assert "since 20" in err
        out, err = first.communicate(timeout=90)
        assert first.returncode == 0, (out, err)
    finally:
        first.kill()
    named = [person for person in MANY if asked(slow_lab)[person]]
    assert len(named) == len(MANY)
    assert is_complete(url) == []
    assert fetched(url, "select count(*) from mailvet_leases") == [(0,)]


def test_the_lease_of_a_killed_run_is_broken_at_once_on_the_same_machine(slow_lab: Lab, url: str, here: Path) -> None:
    first = start("verify", url, "--table", "contacts", folder=here)
    until = time.monotonic() + 40
    while sum(asked(slow_lab).values()) < 20 and first.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    first.kill()
    first.communicate()
    assert fetched(url, "select count(*) from mailvet_leases") == [(1,)]
    completes(url, here, set(journaled(here)))


def test_a_lease_of_another_machine_holds_until_it_expires(slow_lab: Lab, url: str, here: Path) -> None:
    done = start("verify", url, "--table", "contacts", "--depth", "offline", folder=here)
    done.communicate(timeout=60)
    from mailvet.warehouse.opening import open_table

    warehouse = open_table(url, "contacts")
    other: Any = warehouse
    assert other.take_lease("theirs", "elsewhere.example.com 17 boot:1") is None
    held = other.take_lease("ours", "elsewhere.example.com 18 boot:1")
    assert (held.run_id, held.who) == ("theirs", "process 17 on elsewhere.example.com")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("update mailvet_leases set heartbeat_at = heartbeat_at - interval '61 seconds'")
    assert other.take_lease("ours", "elsewhere.example.com 18 boot:1") is None
    warehouse.close()
