"""No whole address leaves the tables: not in logs, not in errors, not where the settings say no."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailvet.lab import ORDINARY_PROFILES, Lab, World
from mailvet.verdict import email_key
from tests.end_to_end.conftest import Done, make_table, rows, write_config
from tests.probing import asked

Call = Callable[..., Done]
SLOW = {"silent", "tarpit", "exim"}


@pytest.fixture
def every_profile(mailvet_lab_factory: Callable[..., Lab], here: Path) -> tuple[Lab, list[str]]:
    """A world with one domain for each server profile, and the addresses of a table."""
    world, cells = World(), []
    for profile in ORDINARY_PROFILES:
        if profile in SLOW:
            continue
        host, domain = f"mx.{profile.replace('_', '-')}.test", f"{profile.replace('_', '-')}.test"
        world.host(host, profile).domain(domain, [(10, host)])
        world.mailbox(f"known.person@{domain}")
        cells += [f"known.person@{domain}", f"nobody.there@{domain}", f"Known.Person@{domain} "]
    world.domain("failing.test", dns="servfail").domain("null.test", [(0, ".")])
    cells += [
        "ann.lee@failing.test",
        "ann.lee@null.test",
        "ann.lee@nowhere.test",
        "ann..lee@acme.test",
        "Ann Lee <ann.lee@null.test>",
        "用户@failing.test",
        "ann.lee@gmial.com",
    ]
    lab = mailvet_lab_factory(world)
    write_config(lab, here)
    return lab, cells


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger at DEBUG."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    before = {logger: logger.level for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for logger, level in before.items():
        logger.setLevel(level)


def test_at_debug_level_no_address_is_logged_or_shown(
    every_profile: tuple[Lab, list[str]],
    here: Path,
    mailvet_command: Call,
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    lab, cells = every_profile
    make_table(here / "crm.duckdb", list(cells))
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts", "-v")
    assert done.code in (0, 3)
    assert sum(asked(lab).values()) > 20
    assert "addresses" in everything_logged.text
    texts = {"log": everything_logged.text, "stdout": done.out, "stderr": done.err}
    for where, text in texts.items():
        leaked = [cell for cell in cells if cell.strip().lower() in text.lower()]
        assert leaked == [], where
        assert "known.person" not in text.lower(), where
        assert "nobody.there" not in text.lower(), where
    replies = rows(here / "crm.duckdb", "select smtp_reply, evidence, email from mailvet_verdicts")
    assert any(reply for reply, _, _ in replies)
    for reply, evidence, _ in replies:
        assert "known.person" not in f"{reply} {evidence}".lower()
        assert "nobody.there" not in f"{reply} {evidence}".lower()
    assert "@" not in str(rows(here / "crm.duckdb", "from mailvet_runs"))


def test_addresses_need_not_be_stored_and_joins_still_work(
    config: Path, here: Path, lab: Lab, mailvet_command: Call
) -> None:
    config.write_text(config.read_text() + "store_addresses = false\n")
    cells = ["person1@acme.test", " Person1@acme.test", "stranger1@acme.test", None, "nonsense"]
    make_table(here / "crm.duckdb", cells)
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts")
    assert done.code == 0, done.err
    kept = str(rows(here / "crm.duckdb", "from mailvet_verdicts"))
    assert "person1" not in kept.lower()
    assert "stranger1" not in kept.lower()
    assert rows(here / "crm.duckdb", "select count(email) from mailvet_verdicts") == [(0,)]
    assert rows(here / "crm.duckdb", "select count(mailvet_status) from contacts") == [(4,)]
    keys = rows(here / "crm.duckdb", "select email_key from mailvet_verdicts where reason = 'mailbox_accepted'")
    assert {key for (key,) in keys} == {email_key(cells[0]), email_key(cells[1])}
    lab.reset_counters()
    mailvet_command("verify", "crm.duckdb", "--table", "contacts")
    assert asked(lab) == {}
    assert mailvet_command("forget", "Person1@acme.test", "--source", "crm.duckdb").out.startswith("2 verdicts")


def test_forgetting_erases_every_spelling_from_the_file_itself(config: Path, here: Path, mailvet_command: Call) -> None:
    spellings = [
        "gone.person@null.test",
        "Gone.Person@Null.test",
        " gone.person@null.test ",
        "mailto:gone.person@null.test",
        "Gone <gone.person@null.test>",
    ]
    make_table(here / "crm.duckdb", [*spellings, "other.gone.person@null.test"])
    mailvet_command("verify", "crm.duckdb", "--table", "contacts", "--depth", "dns", "--no-write-back")
    done = mailvet_command("forget", "gone.person@null.test", "--source", "crm.duckdb")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("5 verdicts erased from crm.duckdb.\nNot erased:\n* ")
    assert "rows of your own tables" in done.out
    left = str(rows(here / "crm.duckdb", "from mailvet_verdicts")).lower()
    assert left.count("gone.person@") == left.count("other.gone.person@") > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "secret.person@null.test", "--config", "none.toml"),
        ("explain", "secret.person@null.test"),
        ("forget", "secret.person@null.test", "--source", "none.duckdb"),
        ("plan", "list.csv", "--where", "email + 1 = 'secret.person@null.test'"),
        ("plan", "list.csv", "--where", "cast(email as integer) = 1"),
        ("plan", "broken.csv"),
        ("verify", "secret.person@null.test"),
    ],
)
def test_errors_hold_no_whole_address(
    config: Path, here: Path, mailvet_command: Call, arguments: tuple[Any, ...]
) -> None:
    (here / "list.csv").write_text("email\nsecret.person@null.test\n")
    (here / "broken.csv").write_text('email,id\n"secret.person@null.test,1\n')
    done = mailvet_command(*arguments)
    assert done.code == 2
    assert "secret.person" not in done.err + done.out
    assert "Traceback" not in done.err


def test_a_failing_run_in_a_loop_of_debug_shows_no_address(
    config: Path,
    here: Path,
    mailvet_command: Call,
    everything_logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mailvet.errors import SourceError
    from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse

    def full(*_: object) -> None:
        raise SourceError("the disk is full")

    monkeypatch.setattr(DuckDBWarehouse, "save", full)
    make_table(here / "crm.duckdb", ["secret.person@acme.test", "other.secret@acme.test"])
    done = mailvet_command("verify", "crm.duckdb", "--table", "contacts")
    assert done.code == 3
    assert "the disk is full" in done.err
    assert "secret" not in everything_logged.text + done.err + done.out
