"""Signals, layers and the HTML report of a run, as the user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb

from mailvet.lab import Lab
from tests.end_to_end.conftest import PEOPLE, STRANGERS, Done, make_table, rows

Call = Callable[..., Done]
CELLS = [
    *PEOPLE[:6],
    *STRANGERS[:3],
    "info@acme.test",
    "nonsense",
    "x@null.test",
    "xkqjzvbwmt@all.test",
    "p1@all.test",
    "p2@all.test",
    "p3@all.test",
    "p4@all.test",
    "p5@all.test",
    "P5@all.test",
    "",
]


def test_a_run_flags_what_the_whole_table_shows_and_explains_it(
    config: Path, here: Path, mailvet_command: Call
) -> None:
    make_table(here / "crm.duckdb", CELLS)
    assert mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--no-write-back").code == 0
    with duckdb.connect(str(here / "crm.duckdb"), read_only=True) as db:
        flags = {
            email: set(text.split(","))
            for email, text in db.execute("select email, flags from mailvet_verdicts").fetchall()
        }
        scores = dict(db.execute("select email, score from mailvet_verdicts").fetchall())
        statuses = dict(db.execute("select email, status from mailvet_verdicts").fetchall())
    assert {email for email, found in flags.items() if "series" in found} >= {f"p{n}@all.test" for n in range(1, 6)}
    assert "gibberish" in flags["xkqjzvbwmt@all.test"]
    assert (
        len({"p5@all.test", "P5@all.test"} & {email for email, found in flags.items() if "duplicate_of" in found}) == 1
    )
    assert "series" not in flags["xkqjzvbwmt@all.test"]
    # Accept-all in every case: suspicion lowers the score and leaves the status.
    assert scores["xkqjzvbwmt@all.test"] < 80
    assert {statuses[email] for email in statuses if email.endswith("@all.test")} == {"risky"}
    shown = mailvet_command("explain", "xkqjzvbwmt@all.test", "--source", "crm.duckdb").out
    assert "gibberish: random characters" in shown
    assert "accept_all: the server says yes" in " ".join(shown.split())
    assert "(log-odds of a bounce -1.4)" in " ".join(shown.split())


def test_signals_can_be_switched_off(config: Path, here: Path, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", CELLS)
    config.write_text(config.read_text() + "\n[suspicion]\nwhole_table = false\n")
    assert mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--depth", "offline").code == 0
    with duckdb.connect(str(here / "crm.duckdb"), read_only=True) as db:
        assert db.execute("select count(*) from mailvet_verdicts where contains(flags, 'series')").fetchall() == [(0,)]


def test_a_wrong_sign_up_column_stops_before_anything_is_written(
    config: Path, here: Path, mailvet_command: Call
) -> None:
    make_table(here / "crm.duckdb", CELLS)
    config.write_text(config.read_text() + '\n[suspicion]\nsigned_up = "joined"\n')
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts")
    assert done.code == 2
    assert "there is no column joined" in " ".join(done.err.split())
    with duckdb.connect(str(here / "crm.duckdb"), read_only=True) as db:
        assert db.execute("select count(*) from duckdb_tables() where table_name like 'mailvet%'").fetchall() == [(0,)]


def test_verify_and_report_write_the_same_page_without_addresses(
    config: Path, here: Path, lab: Lab, mailvet_command: Call
) -> None:
    make_table(here / "crm.duckdb", CELLS)
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--report", "first.html")
    assert done.code == 0, done.err
    assert "Report: first.html" in done.out
    assert "first found by" in done.out
    before = rows(here / "crm.duckdb", "from contacts order by id")
    lab.reset_counters()
    done = mailvet_command("report", "crm.duckdb", "--table", "contacts", "--by", "id", "--output", "second.html")
    assert done.code == 0, done.err
    assert "first found by" in done.out
    assert not any(counters.connections for counters in lab.counters().values())
    assert rows(here / "crm.duckdb", "from contacts order by id") == before
    first, second = ((here / name).read_text("utf-8") for name in ("first.html", "second.html"))
    assert "Where the rows came from" in second
    assert "Where the rows came from" not in first
    for page in (first, second):
        assert "What each layer was worth" in page
        assert "contacts in crm.duckdb" in page
        for cell in (*PEOPLE, *STRANGERS, "xkqjzvbwmt"):
            assert cell not in page


def test_a_report_of_what_was_never_verified_says_what_to_do(config: Path, here: Path, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", CELLS)
    done = mailvet_command("report", "crm.duckdb", "--table", "contacts")
    assert done.code == 2
    assert "Run first: mailvet verify" in " ".join(done.err.split())
    assert not list(here.glob("*.html"))


def test_a_report_that_cannot_be_written_is_refused_before_the_run(
    config: Path, here: Path, lab: Lab, mailvet_command: Call
) -> None:
    make_table(here / "crm.duckdb", CELLS)
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--report", "nowhere/report.html")
    assert done.code == 2
    assert "There is no folder" in " ".join(done.err.split())
    assert not any(counters.connections for counters in lab.counters().values())


def test_the_doctor_says_what_is_wrong_and_what_to_do(config: Path, mailvet_command: Call) -> None:
    done = mailvet_command("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)}
    assert checks["resolver"]["state"] == "ok"
    assert checks["spf"]["state"] == "ok"
    shown = mailvet_command("doctor")
    assert shown.code == done.code == (3 if any(check["state"] == "fail" for check in checks.values()) else 0)
    assert checks["reverse_dns"]["found"] in " ".join(shown.out.split())


def test_no_report_counts_by_a_column_of_people(config: Path, here: Path, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", CELLS)
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute("alter table contacts add column disguised varchar")
        db.execute("alter table contacts add column hashed varchar")
        db.execute("update contacts set disguised = replace(email, '@', ' (at) '), hashed = sha256(email)")
    assert mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--depth", "offline").code == 0
    for column in ("email", "disguised", "hashed"):
        done = mailvet_command("report", "crm.duckdb", "--table", "contacts", "--by", column, "--output", "by.html")
        assert done.code == 2
        assert "holds addresses or other marks" in " ".join(done.err.split())
        assert not (here / "by.html").exists()
