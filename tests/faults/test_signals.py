"""Whatever signal stops a run, what was learnt is kept, nothing else is told, and it ends in time."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailvet.lab import Lab, World
from tests.end_to_end.conftest import make_table, rows, start, write_config
from tests.probing import asked, total

PEOPLE = [f"person{number:03}@d{number % 3}.test" for number in range(330)]
SECONDS = 8.0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with temporary files of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path


@pytest.fixture
def slow_lab(mailvet_lab_factory: Callable[..., Lab], here: Path) -> Lab:
    """Three operators that take their time; mailvet.toml and crm.duckdb in the current folder."""
    world = World()
    for number in range(3):
        world.host(f"mx.d{number}.test", pipelining=False).domain(f"d{number}.test", [(10, f"mx.d{number}.test")])
    for person in PEOPLE[::2]:
        world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.06)
    write_config(lab, here)
    make_table(here / "crm.duckdb", PEOPLE)
    return lab


def wait_for(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """Return once it is time, while the process runs."""
    until = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()


def stop(process: subprocess.Popen[str], number: signal.Signals, ready: Callable[[], bool]) -> tuple[int, str, float]:
    """Send a signal once it is time; exit code, stderr, and the seconds until the end."""
    try:
        wait_for(process, ready)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        return process.returncode, err, time.monotonic() - began
    finally:
        process.kill()


def correct(folder: Path) -> bool:
    """Whether every stored verdict is what an undisturbed run finds."""
    wrong = rows(
        folder / "crm.duckdb",
        "select email, reason from mailvet_verdicts where reason <> "
        "case when substr(email, 7, 3)::int % 2 = 0 then 'mailbox_accepted' else 'mailbox_not_found' end",
    )
    return wrong == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_keeps_what_was_learnt_and_nothing_else(
    slow_lab: Lab, here: Path, number: signal.Signals, code: int
) -> None:
    process = start("verify", "crm.duckdb", "--table", "contacts", folder=here)
    returned, err, seconds = stop(process, number, lambda: sum(asked(slow_lab).values()) >= 150)
    assert returned == code, err
    assert "Stopped. What was verified is saved." in err
    assert "Traceback" not in err
    assert seconds < SECONDS
    named = {person for person in PEOPLE if asked(slow_lab)[person]}
    saved = {email for (email,) in rows(here / "crm.duckdb", "select email from mailvet_verdicts")}
    assert saved <= named
    assert len(saved) >= len(named) - 3 * 5 * 4  # what lacks was not proven yet, in fifteen conversations at most
    assert correct(here)
    assert [row[0] for row in rows(here / "crm.duckdb", "describe contacts")] == ["id", "email"]
    slow_lab.reset_counters()
    again = start("verify", "crm.duckdb", "--table", "contacts", folder=here)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, (out, err)
    renewed = rows(
        here / "crm.duckdb",
        "select email from mailvet_verdicts v join mailvet_runs r using (run_id) where r.finished_at is not null",
    )
    assert {row[0] for row in renewed} & saved == set()
    assert correct(here)
    assert rows(here / "crm.duckdb", "select count(*) from mailvet_verdicts") == [(len(PEOPLE),)]
    assert [path for path in (here / "tmp").rglob("*") if path.is_file()] == []


def held_lab(mailvet_lab_factory: Callable[..., Lab], here: Path, profile: str) -> Lab:
    """One operator whose server holds its clients; mailvet.toml and crm.duckdb in the current folder."""
    world = World().host("mx.held.test", profile).domain("held.test", [(10, "mx.held.test")])
    people = [f"person{number}@held.test" for number in range(20)]
    for person in people:
        world.mailbox(person)
    lab = mailvet_lab_factory(world)
    config = write_config(lab, here)
    patient = re.sub(r"(?m)^(command_timeout|address_budget) = .*$", r"\1 = 60.0", config.read_text())
    assert patient.count("60.0") == 2
    config.write_text(patient)
    make_table(here / "crm.duckdb", people)
    return lab


def test_a_second_signal_ends_the_process_at_once(mailvet_lab_factory: Callable[..., Lab], here: Path) -> None:
    lab = held_lab(mailvet_lab_factory, here, "stalls_at_rcpt")
    process = start("verify", "crm.duckdb", "--table", "contacts", folder=here)
    try:
        wait_for(process, lambda: total(lab).commands["RCPT"] > 0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # it waits for replies meanwhile, 2.5 seconds at most
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Stopped at once." in err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["drips_at_rcpt", "drips_at_hello"])
def test_a_server_that_drips_its_reply_does_not_hold_up_a_stop(
    mailvet_lab_factory: Callable[..., Lab], here: Path, profile: str
) -> None:
    lab = held_lab(mailvet_lab_factory, here, profile)
    process = start("verify", "crm.duckdb", "--table", "contacts", folder=here)
    command = "RCPT" if profile == "drips_at_rcpt" else "EHLO"
    returned, err, seconds = stop(process, signal.SIGINT, lambda: total(lab).commands[command] > 0)
    assert returned == 130, err
    assert "Stopped. " in err
    assert "Traceback" not in err
    assert seconds < SECONDS
    assert rows(here / "crm.duckdb", "select count(*) from mailvet_verdicts where status = 'undeliverable'") == [(0,)]
