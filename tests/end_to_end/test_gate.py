"""`mailvet gate`: exit codes, the JSON object, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mailvet
from mailvet.errors import SettingsError
from mailvet.gates import COUNTS, FIGURES
from mailvet.warehouse.opening import open_table
from tests.end_to_end.conftest import Done, make_table

Call = Callable[..., Done]

CELLS = ["ann@mailinator.com", "info@acme.test", "not an address", "x@acme.test", "x@acme.test", None, " "]
"""Offline: one disposable, one role, one invalid, two not probed; two cells are missing."""


@pytest.fixture
def table(config: Path, here: Path, mailvet_command: Call) -> tuple[str, ...]:
    """A verified table, as the arguments that name it."""
    make_table(here / "crm.duckdb", CELLS)
    source = ("crm.duckdb", "--table", "contacts")
    assert mailvet_command("verify", *source, "--depth", "offline", "--no-write-back").code == 0
    return source


def told(mailvet_command: Call, *arguments: str) -> dict[str, Any]:
    done = mailvet_command("gate", *arguments, "--json")
    assert done.code in (0, 1), done.err
    found: dict[str, Any] = json.loads(done.out)
    assert found["passed"] is (done.code == 0)
    return found


def test_one_object_holds_every_count_figure_limit_and_warning(table: tuple[str, ...], mailvet_command: Call) -> None:
    found = told(mailvet_command, *table, "--max-undeliverable-rate", "10%", "--max-missing-rate", "0.5")
    assert {each.name for each in COUNTS} | {figure.name for figure in FIGURES} | {"low", "high"} <= set(found)
    counts = ("rows", "missing", "addresses", "verified", "unprobed", "audience", "undeliverable")
    assert [found[name] for name in counts] == [7, 2, 5, 5, 2, 5, 1]
    assert (found["undeliverable_rate"], found["missing_rate"], found["stale_rate"]) == (0.2, 2 / 7, None)
    assert found["limits"] == [
        {"name": "max_undeliverable_rate", "limit": 0.1, "figure": 0.2, "passed": False},
        {"name": "max_missing_rate", "limit": 0.5, "figure": 2 / 7, "passed": True},
    ]
    assert (found["passed"], found["warnings"]) == (False, [])


def test_the_exit_code_says_whether_every_limit_was_kept(table: tuple[str, ...], mailvet_command: Call) -> None:
    kept = mailvet_command("gate", *table, "--max-undeliverable-rate", "20%", "--max-unverified-rate", "0")
    assert (kept.code, "passed" in kept.out, "failed" in kept.out) == (0, True, False)
    broken = mailvet_command("gate", *table, "--max-undeliverable-rate", "19%", "--max-unprobed-rate", "50%")
    assert broken.code == 1
    assert "Failed: 20.00% undeliverable, where max_undeliverable_rate allows 19 %." in " ".join(broken.out.split())
    assert mailvet_command("gate", *table).code == 0  # without limits there is nothing to fail


def test_where_among_and_policy_choose_what_is_judged(table: tuple[str, ...], mailvet_command: Call) -> None:
    assert told(mailvet_command, *table, "--where", "email like '%acme%'")["rows"] == 3
    assert told(mailvet_command, *table, "--among", "send")["audience"] == 0
    assert told(mailvet_command, *table, "--among", "send", "--policy", "signup")["audience"] == 3
    assert told(mailvet_command, *table, "--among", "do_not_send", "--among", "reverify")["audience"] == 5
    idle = told(mailvet_command, *table, "--among", "send", "--max-undeliverable-rate", "2%")
    assert idle["passed"]
    assert "cannot fail among send" in idle["warnings"][0]


def test_a_table_and_a_file_that_were_never_verified_keep_no_limit(
    config: Path, here: Path, mailvet_command: Call
) -> None:
    make_table(here / "crm.duckdb", CELLS)
    (here / "list.csv").write_text("id,email\n1,ann@acme.test\n2,\n")
    for source in (("crm.duckdb", "--table", "contacts"), ("list.csv",)):
        found = told(mailvet_command, *source, "--max-undeliverable-rate", "2%", "--max-age", "30d")
        assert [limit["passed"] for limit in found["limits"]] == [False, False]
        assert (found["verified"], found["unverified_rate"]) == (0, 1)
        assert "have no verdict" in found["warnings"][0]


def test_a_file_is_judged_by_the_store_of_verdicts(config: Path, here: Path, mailvet_command: Call) -> None:
    (here / "list.csv").write_text("id,email\n1,ann@mailinator.com\n2,not an address\n3,\n")
    assert mailvet_command("verify", "list.csv", "--output", "out.csv", "--depth", "offline").code == 0
    found = told(mailvet_command, "list.csv", "--max-unverified-rate", "0")
    assert (found["rows"], found["missing"], found["verified"], found["undeliverable_rate"]) == (3, 1, 2, 0.5)
    assert mailvet.gate("list.csv", max_unverified_rate=0, settings=_settings(config)).as_dict() == found


def _settings(config: Path) -> mailvet.Settings:
    return mailvet.Settings.load(config)


def test_an_open_table_is_judged_as_it_was_opened(table: tuple[str, ...], here: Path) -> None:
    warehouse = open_table(here / "crm.duckdb", "contacts", where="email like '%acme%'", updatable=False)
    try:
        assert mailvet.gate(warehouse, max_unverified_rate=0).rows == 3
        with pytest.raises(SettingsError, match="open table"):
            mailvet.gate(warehouse, table="contacts")
    finally:
        warehouse.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-bounce-rate", "many"), "--max-bounce-rate: 'many' is no share"),
        (("--max-bounce-rate", "120%"), "--max-bounce-rate: '120%' is no share"),
        (("--max-age", "soon"), "--max-age: 'soon' is no duration"),
        (("--max-stale-rate", "1%"), "--max-stale-rate needs --max-age"),
        (("--among", "nice"), "--among: 'nice' is unknown"),
        (("--judge-by", "mood"), "--judge-by: 'mood' is unknown"),
        (("--confidence", "1"), "--confidence: '1' is no confidence"),
        (("--policy", "spam"), "'spam' is no policy"),
        (("--where", "colour = 1"), "does not work"),
        (("--email-column", "mail"), "There is no column mail"),
    ],
)
def test_what_cannot_be_read_is_bad_input(
    table: tuple[str, ...], mailvet_command: Call, options: tuple[str, ...], said: str
) -> None:
    done = mailvet_command("gate", *table, *options)
    assert done.code == 2
    assert said in " ".join(done.err.split())
