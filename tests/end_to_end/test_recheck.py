"""Fresh verdicts are asked again on request, from the command line and from Python, and only those."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from mailvet.errors import SettingsError
from mailvet.lab import Lab
from mailvet.runs.planning import plan as plan_run
from mailvet.runs.results import RunResult
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from tests.end_to_end.conftest import PEOPLE, STRANGERS, Done, make_table, rows, write_config
from tests.probing import asked

Verify = Callable[..., RunResult]
Command = Callable[..., Done]
TABLE = ("crm.duckdb", "--table", "contacts")


@pytest.fixture
def crm(config: Path, here: Path, verify: Verify, lab: Lab) -> Path:
    """A table that was verified just now; the servers' counters at nothing."""
    make_table(here / "crm.duckdb", [*PEOPLE, *STRANGERS, "ann@null.test", ""])
    verify("crm.duckdb", table="contacts")
    lab.reset_counters()
    return here / "crm.duckdb"


def called_dead(crm: Path) -> None:
    """A bad day: the first three people were refused."""
    with duckdb.connect(str(crm)) as db:
        db.execute(
            "update mailvet_verdicts set reason = 'mailbox_not_found', status = 'undeliverable', next_check_at = "
            "next_check_at + interval 100 day where email = any($1)",
            [PEOPLE[:3]],
        )


def test_a_bad_day_is_undone_by_asking_its_refusals_again(lab: Lab, crm: Path, mailvet_command: Command) -> None:
    called_dead(crm)
    assert mailvet_command("verify", *TABLE).code == 0
    assert not asked(lab)
    done = mailvet_command("verify", *TABLE, "--recheck", "reason=mailbox_not_found")
    assert done.code == 0, done.err
    assert {address for address in asked(lab) if address in (*PEOPLE[:3], *STRANGERS)} == {*PEOPLE[:3], *STRANGERS}
    reasons = dict(rows(crm, "select email, mailvet_reason from contacts where email <> ''"))
    assert {reasons[person] for person in PEOPLE} == {"mailbox_accepted"}
    assert {reasons[stranger] for stranger in STRANGERS} == {"mailbox_not_found"}


def test_the_plan_says_what_a_recheck_would_ask(crm: Path, mailvet_command: Command) -> None:
    lines = {
        " ".join(line.split()[:-1]): line.split()[-1]
        for line in mailvet_command("plan", *TABLE, "--recheck", "all").out.splitlines()
        if line.strip()
    }
    assert lines["verdict still fresh"] == lines["of these to be asked again"] == lines["due"] == "27"
    assert lines["Recipients that would be named to mail servers:"] == "27"
    assert "asked again" not in mailvet_command("plan", *TABLE).out


def test_an_age_and_a_reason_narrow_each_other(lab: Lab, crm: Path, mailvet_command: Command) -> None:
    with duckdb.connect(str(crm)) as db:
        db.execute(
            "update mailvet_verdicts set checked_at = checked_at - interval 40 day where email = $1", [STRANGERS[0]]
        )
    both = ("--recheck", "reason=mailbox_not_found,mailbox_accepted", "--recheck", "older-than=30d")
    assert mailvet_command("verify", *TABLE, *both).code == 0
    assert {address for address in asked(lab) if address in STRANGERS} == {STRANGERS[0]}


def test_daily_limits_hold_for_a_recheck(lab: Lab, here: Path, crm: Path, mailvet_command: Command) -> None:
    write_config(lab, here, "\n[pacing]\ndaily_limits = { default = 5 }\n")
    assert mailvet_command("verify", *TABLE, "--recheck", "all").code == 0
    assert not [address for address in asked(lab) if address.endswith("@acme.test")]  # all 26 were asked today
    assert rows(crm, "select count(*) from mailvet_verdicts where reason = 'not_probed'") == [(0,)]


@pytest.mark.parametrize("text", ["everything", "reason=gone", "older-than=soon", "all,older-than=1d"])
def test_what_cannot_be_read_is_refused_before_anything_is_touched(
    crm: Path, here: Path, mailvet_command: Command, text: str
) -> None:
    for command in (("verify", *TABLE), ("plan", *TABLE)):
        done = mailvet_command(*command, "--recheck", text)
        assert done.code == 2
        assert "recheck:" in done.err
    warehouse = open_source("crm.duckdb", Settings.load(here / "mailvet.toml"), table="contacts")
    try:
        with pytest.raises(SettingsError, match="recheck"):
            plan_run(warehouse, Settings.load(here / "mailvet.toml"), recheck=text)
    finally:
        warehouse.close()


def test_a_limited_recheck_begins_with_what_is_due_by_itself(lab: Lab, crm: Path, verify: Verify) -> None:
    with duckdb.connect(str(crm)) as db:
        db.execute(
            "update mailvet_verdicts set next_check_at = checked_at - interval 1 day where email = $1", [PEOPLE[7]]
        )
    result = verify("crm.duckdb", table="contacts", work={"recheck": "all", "limit": 1})
    assert (result.plan.due, result.plan.rechecked, result.checked) == (27, 26, 1)
    assert {address for address in asked(lab) if address in PEOPLE} == {PEOPLE[7]}


def test_a_recheck_says_how_to_go_on_after_an_interruption(
    crm: Path, mailvet_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> RunResult:
        raise KeyboardInterrupt

    monkeypatch.setattr("mailvet.runs.run.run", stop)
    done = mailvet_command("verify", *TABLE, "--recheck", "reason=mailbox_full", "--wait", "0s")
    assert done.code == 130
    assert "--recheck reason=mailbox_full,older-than=20" in done.err
    assert "--recheck" not in mailvet_command("verify", *TABLE).err


def test_an_accepted_recipient_behind_greylisting_is_asked_again(
    lab: Lab, config: Path, here: Path, verify: Verify
) -> None:
    make_table(here / "shy.duckdb", ["ann+shy@grey.test"])
    verify("shy.duckdb", table="contacts", work={"wait": timedelta(seconds=20)})
    result = verify("shy.duckdb", table="contacts", work={"recheck": ["all"]})
    assert result.summary.by_reason == {"mailbox_accepted": 1}
