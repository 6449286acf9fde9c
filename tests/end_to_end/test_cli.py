"""The command line as its users meet it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mailvet.lab import Lab
from tests.end_to_end.conftest import PEOPLE, ROOT, STRANGERS, Done, make_table, rows, start
from tests.probing import asked

Call = Callable[..., Done]


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, contextlib\nsys.argv = ['mailvet', '--help']\nfrom mailvet.cli.commands import main\n"
        "with contextlib.suppress(SystemExit):\n    main()\n"
        "heavy = {'polars', 'duckdb', 'pyarrow', 'aiodns', 'dns', 'email_validator', 'pydantic', 'aiosmtplib'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    for command in ("check", "verify", "plan", "explain", "reclassify", "forget", "lists", "lab"):
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE), command
    assert "Exit codes: 0 done, 1 a gate failed, 2 bad input" in done.stdout
    assert "HEAVY []" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_without_a_command_it_shows_how_to_begin(mailvet_command: Call) -> None:
    done = mailvet_command()
    assert done.code == 0
    assert "Usage: mailvet" in done.out
    assert "mailvet check ann@gmial.com --depth offline" in done.out


def test_the_options_of_a_command_are_listed_by_name(mailvet_command: Call) -> None:
    options = re.findall(r"^  (?:-\w, )?--([\w-]+)", mailvet_command("verify", "--help").out, re.MULTILINE)
    assert options == sorted(options)
    assert "no-write-back" in options


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    asked_for = {"COMP_WORDS": "mailvet ver", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "mailvet ver"}
    completes = {"_MAILVET_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    program = "from mailvet.cli.commands import main\nmain()\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT), **asked_for, **completes}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert "verify" in done.stdout


def test_the_version_is_shown(mailvet_command: Call) -> None:
    import mailvet

    assert mailvet_command("--version") == Done(0, f"{mailvet.__version__}\n", "")


# -------------------------------------------------------------------- check


def test_check_explains_single_addresses(config: Path, lab: Lab, mailvet_command: Call) -> None:
    done = mailvet_command("check", PEOPLE[0], STRANGERS[0], "--depth", "smtp")
    assert done.code == 0, done.err
    assert "mailbox_accepted: the server accepts this recipient and not a random one" in done.out
    assert "mailbox_not_found" in done.out
    assert "mx.acme.test · acme.test" in done.out
    assert asked(lab)[PEOPLE[0]] >= 1


def test_check_asks_the_dns_only_unless_told_otherwise(config: Path, lab: Lab, mailvet_command: Call) -> None:
    assert "null_mx" in mailvet_command("check", "ann@null.test").out
    assert "typo_domain" in mailvet_command("check", "ann@gmial.com", "--depth", "offline").out
    assert asked(lab) == {}


def test_check_as_json_is_one_object_a_line(config: Path, mailvet_command: Call) -> None:
    done = mailvet_command("check", "jörg@null.test", "nonsense", "--json")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert (first["email"], first["reason"], first["depth"]) == ("jörg@null.test", "null_mx", "dns")
    assert second["reason"] == "syntax_invalid"


def test_check_stores_nothing(config: Path, here: Path, mailvet_command: Call) -> None:
    mailvet_command("check", PEOPLE[0])
    assert [path.name for path in here.iterdir()] == ["mailvet.toml"]


def test_a_policy_changes_the_advice_of_a_check(config: Path, mailvet_command: Call) -> None:
    assert "do_not_send" in mailvet_command("check", "info@acme.test").out
    assert "do_not_send" not in mailvet_command("check", "info@acme.test", "--policy", "transactional").out


# -------------------------------------------------------------------- verify, plan, explain, forget, lists


def test_verify_writes_back_and_sums_up(config: Path, here: Path, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", [*PEOPLE, *STRANGERS, None])
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts")
    assert done.code == 0, done.err
    for said in (
        "27 rows, 26 addresses verified",
        "depth smtp, policy marketing",
        "no message sent",
        "74.1 %",
        "mailbox_not_found",
        "Status columns written back: 26 rows changed",
    ):
        assert said in done.out
    assert rows(here / "crm.duckdb", "select count(*) from contacts where mailvet_recommendation = 'send'") == [(20,)]


def test_the_gate_is_about_the_share_of_undeliverable_addresses(
    config: Path, here: Path, mailvet_command: Call
) -> None:
    # Blank rows hold no address: 1 of 4 addresses is undeliverable, whatever the number of blank rows.
    make_table(here / "crm.duckdb", ["info@acme.test", "ann@acme.test", "x@null.test", "bob@acme.test", None, "", " "])
    verify = ("verify", "crm.duckdb", "--table", "contacts", "--depth", "dns", "--max-undeliverable-rate")
    failed = mailvet_command(*verify, "24.9%")
    assert failed.code == 1
    assert "25.0 % of the addresses are undeliverable, more than the 24.9 % allowed" in failed.err
    assert rows(here / "crm.duckdb", "select count(mailvet_status) from contacts") == [(4,)], "written all the same"
    assert mailvet_command(*verify, "25%").code == 0
    assert mailvet_command(*verify, "0.3").code == 0


def test_plan_asks_nobody_and_changes_nothing(config: Path, here: Path, lab: Lab, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", [*PEOPLE, "ann@gmail.com", "x@grey.test", None])
    before = (here / "crm.duckdb").read_bytes()
    queries = sum(lab.dns_queries().values())
    done = mailvet_command("plan", "crm.duckdb", "--table", "contacts")
    assert done.code == 0, done.err
    for said in ("distinct addresses", "No server was asked", "acme.test", "google"):
        assert said in done.out
    assert re.search(r"due +22\b", done.out)
    assert (asked(lab), sum(lab.dns_queries().values())) == ({}, queries)
    assert (here / "crm.duckdb").read_bytes() == before
    assert sorted(path.name for path in here.iterdir()) == ["crm.duckdb", "mailvet.toml"]


def test_plan_over_a_file_knows_what_was_verified(config: Path, here: Path, mailvet_command: Call) -> None:
    (here / "list.csv").write_text("email\nann@null.test\nbob@null.test\n")
    assert re.search(r"due +2\b", mailvet_command("plan", "list.csv", "--depth", "dns").out)
    assert not (here / "verdicts.duckdb").exists()
    mailvet_command("verify", "list.csv", "--output", "out.csv", "--depth", "dns", "--where", "email like 'ann%'")
    assert re.search(r"due +1\b", mailvet_command("plan", "list.csv", "--depth", "dns").out)


def test_explain_shows_the_evidence_of_a_stored_verdict(config: Path, here: Path, mailvet_command: Call) -> None:
    (here / "list.csv").write_text("email\nstranger1@acme.test \n")
    mailvet_command("verify", "list.csv", "--output", "out.csv")
    done = mailvet_command("explain", "Stranger1@acme.test")
    assert done.code == 0
    assert "mailbox_not_found" in done.out
    assert "550" in done.out
    assert mailvet_command("explain", "Stranger1@acme.test", "--source", "list.csv") == done
    gone = mailvet_command("explain", "Stranger1@acme.test", "--source", "gone.csv")
    assert gone.code == 2
    assert "There is no file gone.csv" in gone.err
    missing = mailvet_command("explain", "nobody.known@acme.test")
    assert missing.code == 2
    assert "mailvet check" in missing.err
    assert "nobody.known@" not in missing.err


def test_explain_and_forget_know_the_databases_of_tables_too(config: Path, here: Path, mailvet_command: Call) -> None:
    make_table(here / "crm.duckdb", ["ann@null.test", "ANN@null.test", " ann@null.test", "ann@failing.test"])
    mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--depth", "dns")
    assert "null_mx" in mailvet_command("explain", "ann@null.test", "--source", "crm.duckdb").out
    assert mailvet_command("forget", "ann@null.test", "--source", "crm.duckdb").out.startswith(
        "3 verdicts erased from crm.duckdb.\n"
    )
    assert rows(here / "crm.duckdb", "select email from mailvet_verdicts") == [("ann@failing.test",)]
    assert rows(here / "crm.duckdb", "select count(*) from contacts") == [(4,)]
    assert mailvet_command("forget", "ann@null.test", "--source", "none.duckdb").code == 2


def test_lists_say_how_old_they_are_and_how_long_ours(config: Path, here: Path, mailvet_command: Call) -> None:
    with config.open("a") as stream:
        stream.write('\n[lists]\ndeny = ["deny.txt", "acme.test"]\n')
    (here / "deny.txt").write_text("ann@x.test\nbob@x.test\n")
    done = mailvet_command("lists")
    assert done.code == 0
    assert re.search(r"typo_domains +[\d,]+ +\d{4}\.\d+ +\d{4}-\d\d-\d\d +Apache-2\.0", done.out)
    assert re.search(r"your own: deny +3 +[0-9a-f]{12}", done.out)
    assert "disposable-email-domains" in done.out


def test_settings_come_from_the_current_folder_or_the_file_named(
    config: Path, here: Path, mailvet_command: Call
) -> None:
    (here / "other.toml").write_text('[smtp]\nport = "many"\n')
    assert mailvet_command("check", "ann@null.test").code == 0
    failed = mailvet_command("check", "ann@null.test", "--config", "other.toml")
    assert failed.code == 2
    assert "smtp.port" in failed.err


# -------------------------------------------------------------------- processes and terminals


def on_a_terminal(width: int, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run `mailvet` on a terminal so many columns wide; exit code and everything it drew."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAILVET_", "COLUMNS", "NO_COLOR", "CI"))}
    run = subprocess.Popen(
        [sys.executable, "-m", "mailvet", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(ours, 65536):
            drawn += piece
    os.close(ours)
    return run.wait(30), drawn.decode()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_run_live_and_no_line_breaks_its_width(config: Path, here: Path, width: int) -> None:
    make_table(here / "crm.duckdb", [*PEOPLE, *STRANGERS, "ann@nowhere.test", "x@block.test"])
    code, drawn = on_a_terminal(width, here, "verify", "crm.duckdb", "--table", "contacts")
    assert code == 0
    assert "\x1b[?25l" in drawn, "the cursor is hidden while the view lives"
    assert drawn.count("\x1b[?25h") >= 1, "and comes back"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert "28 due" in plain
    assert "of 28" in plain
    assert "mailbox_not_found" in plain
    assert " INFO " not in plain
    assert max(len(part) for line in plain.split("\n") for part in line.split("\r")) <= width


def test_without_a_terminal_there_are_log_lines_on_stderr_and_a_summary_on_stdout(config: Path, here: Path) -> None:
    make_table(here / "crm.duckdb", [*PEOPLE, *STRANGERS])
    out, err = start("verify", "crm.duckdb", "--table", "contacts", folder=here).communicate(timeout=60)
    lines = err.strip().splitlines()
    assert "mailvet INFO contacts in crm.duckdb: 26 rows, 26 addresses, 26 due, 0 still fresh" in lines[0]
    assert re.search(r"26 of 26 addresses \(100 %\), \d+/s, done$", lines[-1])
    assert all(re.search(r"of 26 addresses \(\d+ %\)", line) for line in lines[1:])
    assert "\x1b" not in out + err
    assert "mailbox_not_found" in out


def test_the_lab_runs_until_it_is_stopped_and_then_says_what_it_saw(here: Path) -> None:
    lab = start(
        "lab",
        "--config",
        "lab.toml",
        "--contacts",
        "people.duckdb",
        "--rows",
        "50",
        "--counters",
        "seen.json",
        folder=here,
    )
    try:
        until = time.monotonic() + 30
        while not (here / "lab.toml").exists() and time.monotonic() < until and lab.poll() is None:
            time.sleep(0.05)
        run = start("check", "ann@gmail.com", "--depth", "smtp", "--config", "lab.toml", folder=here)
        out, err = run.communicate(timeout=30)
        assert run.returncode == 0, err
        assert "mailbox_" in out
        lab.send_signal(signal.SIGINT)
        out, err = lab.communicate(timeout=30)
    finally:
        lab.kill()
    assert (lab.returncode, err) == (0, "")
    assert "50 contacts in people.duckdb" in out
    assert "--config lab.toml" in out
    assert json.loads((here / "seen.json").read_text())["hosts"]
    with duckdb.connect(str(here / "people.duckdb")) as db:
        assert db.execute("select count(*) from contacts").fetchall() == [(50,)]
