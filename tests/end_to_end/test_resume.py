"""Whatever stops a run, the next one goes on where it stopped and asks no server twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mailvet.errors import SourceError
from mailvet.lab import Lab, World
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from tests.end_to_end.conftest import make_table, rows, start, write_config
from tests.probing import asked

PEOPLE = [f"person{number:03}@d{number % 3}.test" for number in range(330)]


@pytest.fixture
def slow_lab(mailvet_lab_factory: Callable[..., Lab], here: Path) -> Lab:
    """Three operators that take their time; mailvet.toml and crm.duckdb in the current folder."""
    world = World()
    for number in range(3):
        # One by one: in groups the run would be over before the signal comes.
        world.host(f"mx.d{number}.test", pipelining=False).domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    for person in PEOPLE[::2]:
        world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.06)
    write_config(lab, here)
    make_table(here / "crm.duckdb", [*PEOPLE, *PEOPLE[:30]])
    return lab


def stopped_by(number: signal.Signals, lab: Lab, folder: Path, least: int) -> tuple[int, str]:
    """Start a run, send it a signal when so many recipients were asked; its exit code and stderr."""
    process = start("verify", "crm.duckdb", "--table", "contacts", folder=folder)
    try:
        until = time.monotonic() + 40
        while sum(asked(lab).values()) < least and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, err


def named_people(lab: Lab) -> Counter[str]:
    counts = asked(lab)
    return Counter({person: counts[person] for person in PEOPLE if counts[person]})


def go_on(folder: Path) -> subprocess.Popen[str]:
    process = start("verify", "crm.duckdb", "--table", "contacts", folder=folder)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    return process


def complete(folder: Path) -> None:
    """Everybody has the right answer, in the table and in the verdicts."""
    wrong = rows(
        folder / "crm.duckdb",
        "select email, mailvet_reason from contacts where mailvet_reason is distinct from "
        "case when substr(email, 7, 3)::int % 2 = 0 then 'mailbox_accepted' else 'mailbox_not_found' end",
    )
    assert wrong == []
    assert rows(folder / "crm.duckdb", "select count(*) from mailvet_verdicts") == [(len(PEOPLE),)]


def test_a_run_killed_in_the_middle_goes_on_without_asking_twice(slow_lab: Lab, here: Path) -> None:
    code, _ = stopped_by(signal.SIGKILL, slow_lab, here, least=200)
    assert code == -signal.SIGKILL
    before = named_people(slow_lab)
    saved = {row[0] for row in rows(here / "crm.duckdb", "select email from mailvet_verdicts")}
    assert saved, "the batches before the kill are committed"
    assert saved <= set(before)
    assert len(saved) < len(PEOPLE)
    # Nothing is half-written: the status columns come in one piece at the end.
    assert [row[0] for row in rows(here / "crm.duckdb", "describe contacts")] == ["id", "email"]
    unfinished = rows(here / "crm.duckdb", "select finished_at from mailvet_runs")
    assert unfinished == [(None,)]

    slow_lab.reset_counters()
    go_on(here)
    after = named_people(slow_lab)
    # A server's honesty may be proved with a mailbox known to exist, so only verdicts say who was asked anew.
    again = saved & set(after)
    renewed = rows(
        here / "crm.duckdb",
        "select email from mailvet_verdicts v join mailvet_runs r using (run_id) where r.finished_at is not null",
    )
    assert {row[0] for row in renewed} == set(PEOPLE) - saved
    assert again == set()
    complete(here)

    slow_lab.reset_counters()
    go_on(here)
    assert asked(slow_lab) == {}


def test_control_c_saves_what_was_answered_and_says_so(slow_lab: Lab, here: Path) -> None:
    code, err = stopped_by(signal.SIGINT, slow_lab, here, least=120)
    assert code == 130
    assert "Stopped. What was verified is saved." in err
    assert "Traceback" not in err
    before = named_people(slow_lab)
    saved = {row[0] for row in rows(here / "crm.duckdb", "select email from mailvet_verdicts")}
    # What lacks was under way: at most what fifteen conversations had been told and not yet proved.
    assert len(before) - 3 * 5 * 4 <= len(saved) < len(PEOPLE)
    slow_lab.reset_counters()
    go_on(here)
    assert saved & set(named_people(slow_lab)) == set()
    complete(here)


def test_an_interrupted_run_has_saved_every_answer_before_it_gives_back_the_database(
    slow_lab: Lab, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is saved in between, so what is there afterwards was saved on the way out.
    monkeypatch.setattr("mailvet.runs.run._SAVE_SECONDS", 1000.0)
    monkeypatch.setattr("mailvet.verification.stream._FLUSH_SECONDS", 1000.0)
    settings = Settings.load(here / "mailvet.toml")
    warehouse = open_source("crm.duckdb", settings, table="contacts")

    def interrupt() -> None:
        while sum(asked(slow_lab).values()) < 90:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    # A test run in the background is started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    helper = threading.Thread(target=interrupt)
    helper.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(warehouse, settings)
    finally:
        warehouse.close()
        helper.join()
        signal.signal(signal.SIGINT, before)
    known = set(named_people(slow_lab))
    saved = {row[0] for row in rows(here / "crm.duckdb", "select email from mailvet_verdicts")}
    assert saved <= known
    assert 0 < len(saved) < len(PEOPLE)


def test_a_run_that_fails_in_the_middle_keeps_what_it_saved(
    slow_lab: Lab, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(here / "mailvet.toml", depth="offline")
    save = DuckDBWarehouse.save
    calls: list[int] = []

    def once(self: DuckDBWarehouse, verdicts: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise SourceError("the disk is full")
        save(self, verdicts)

    monkeypatch.setattr("mailvet.runs.saving.SAVE_ROWS", 10)
    monkeypatch.setattr(DuckDBWarehouse, "save", once)
    warehouse = open_source("crm.duckdb", settings, table="contacts")
    with pytest.raises(SourceError, match="the disk is full"):
        run(warehouse, settings, batch_rows=50)
    warehouse.close()
    assert rows(here / "crm.duckdb", "select count(*) from mailvet_verdicts") == [(50,)]
    monkeypatch.setattr(DuckDBWarehouse, "save", save)
    warehouse = open_source("crm.duckdb", settings, table="contacts")
    assert run(warehouse, settings).checked == len(PEOPLE) - 50
    warehouse.close()


def test_a_database_that_another_process_holds_is_left_alone(here: Path) -> None:
    make_table(here / "crm.duckdb", ["ann@acme.test"])
    with duckdb.connect(str(here / "crm.duckdb")):
        process = start("verify", "crm.duckdb", "--table", "contacts", "--depth", "offline", folder=here)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "crm.duckdb is open in another program" in err
    assert "Traceback" not in err + out
    assert [row[0] for row in rows(here / "crm.duckdb", "show tables")] == ["contacts"]
