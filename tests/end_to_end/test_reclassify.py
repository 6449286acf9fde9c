"""`mailvet reclassify` over what a run has stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mailvet.lab import Lab
from tests.end_to_end.conftest import PEOPLE, STRANGERS, Done, make_table, rows
from tests.probing import asked

Call = Callable[..., Done]
CELLS = [*PEOPLE[:3], *STRANGERS, "full@acme.test", "disabled@acme.test", "ann@block.test", "x@all.test"]


@pytest.fixture
def database(config: Path, here: Path, mailvet_command: Call) -> Path:
    path = here / "crm.duckdb"
    make_table(path, CELLS)
    done = mailvet_command("verify", path, "--table", "contacts", "--depth", "smtp")
    assert done.code == 0, done.err
    return path


def test_what_was_just_read_is_read_the_same(database: Path, mailvet_command: Call, lab: Lab) -> None:
    lab.reset_counters()
    done = mailvet_command("reclassify", database)
    assert done.code == 0, done.err
    assert "Nothing changes." in done.out
    assert not asked(lab)


def test_verdicts_of_older_rules_become_those_of_today(database: Path, mailvet_command: Call, lab: Lab) -> None:
    lab.reset_counters()
    query = "select email, status, reason, recommendation, score, evidence from mailvet_verdicts order by email"
    right = rows(database, query)
    with duckdb.connect(str(database)) as db:
        db.execute(
            "update mailvet_verdicts set status = 'unknown', reason = 'sender_blocked', recommendation = 'reverify', "
            "score = 88, evidence = replace(evidence, '\"mailbox_not_found\"', '\"sender_blocked\"'), "
            "next_check_at = checked_at + interval 1 day where reason = 'mailbox_not_found'"
        )
    dry = mailvet_command("reclassify", database)
    assert "sender_blocked" in dry.out
    assert "add --write" in dry.out
    assert rows(database, query) != right
    done = mailvet_command("reclassify", database, "--write")
    assert done.code == 0, done.err
    assert rows(database, query) == right
    assert "@" not in dry.out + done.out
    assert not asked(lab)


def test_a_file_has_its_verdicts_in_the_store(config: Path, here: Path, mailvet_command: Call) -> None:
    # People who are accepted prove the refusals of the others.
    (here / "list.csv").write_text("email\n" + "\n".join([*PEOPLE[:3], *STRANGERS]) + "\n")
    assert mailvet_command("verify", "list.csv", "--depth", "smtp", "--output", "out.csv").code == 0
    done = mailvet_command("reclassify", "list.csv")
    assert done.code == 0, done.err
    assert f"{len(STRANGERS)} refusals stored in verdicts.duckdb" in done.out


def test_nothing_verified_yet_is_said_so(config: Path, here: Path, mailvet_command: Call) -> None:
    done = mailvet_command("reclassify", "crm.duckdb")
    assert done.code == 2
    assert "There is no database crm.duckdb" in done.err
