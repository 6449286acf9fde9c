"""One run over one table or file: what is asked, what is saved, what is written."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.errors import SettingsError
from mailvet.lab import Lab
from mailvet.runs.results import Progress, RunResult
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.store import Plan
from tests.end_to_end.conftest import PEOPLE, STRANGERS, Done, make_table, rows, write_config
from tests.probing import asked

Verify = Callable[..., RunResult]
CELLS: list[str | None] = [
    *PEOPLE,
    *STRANGERS,
    PEOPLE[0],
    f" {PEOPLE[1]}",
    PEOPLE[2].upper(),
    None,
    "",
    "  ",
    "not an address",
    "ann@null.test",
    "ann@failing.test",
    "ann@nowhere.test",
    "any@all.test",
    "info@acme.test",
    "full@acme.test",
    "ann@mailinator.com",
]
EXPECTED: dict[str | None, str | None] = {
    **dict.fromkeys(PEOPLE, "mailbox_accepted"),
    **dict.fromkeys(STRANGERS, "mailbox_not_found"),
    f" {PEOPLE[1]}": "mailbox_accepted",
    PEOPLE[2].upper(): "mailbox_accepted",
    None: None,
    "": None,
    "  ": None,
    "not an address": "syntax_invalid",
    "ann@null.test": "null_mx",
    "ann@failing.test": "dns_error",
    "ann@nowhere.test": "domain_not_found",
    "any@all.test": "accept_all",
    "info@acme.test": "role_account",
    "full@acme.test": "mailbox_full",
}


@pytest.fixture
def crm(here: Path) -> Path:
    make_table(here / "crm.duckdb", CELLS)
    return here / "crm.duckdb"


def test_every_row_of_a_table_has_an_answer_after_one_run(lab: Lab, crm: Path, verify: Verify) -> None:
    result = verify("crm.duckdb", table="contacts")
    found = dict(
        rows(crm, "select email, mailvet_reason from contacts where email not like '%mailinator%' or email is null")
    )
    assert found == EXPECTED
    assert rows(crm, "select count(*) from contacts where mailvet_checked_at is null") == [(3,)]  # blank cells
    assert result.written == result.summary.verified == len(CELLS) - 3
    assert (result.summary.rows, result.summary.missing, result.plan.missing) == (len(CELLS), 3, 3)
    assert result.checked == result.plan.due == len(set(CELLS) - {None, "", "  "})
    assert result.degraded is None
    assert rows(crm, "select id, email from contacts order by id") == list(enumerate(CELLS, 1))


def test_each_mailbox_is_asked_once_whatever_its_spelling(lab: Lab, crm: Path, verify: Verify) -> None:
    result = verify("crm.duckdb", table="contacts")
    counts = asked(lab)
    for address in (*PEOPLE, *STRANGERS, "info@acme.test"):
        assert counts[address] == 1 or address in PEOPLE  # a known recipient may be named again as a proof
    assert sum(counts[person] for person in PEOPLE) <= len(PEOPLE) + 3
    assert not [address for address in counts if address.rpartition("@")[2] in ("null.test", "mailinator.com")]
    assert result.probes == sum(counts.values())


def test_a_second_run_asks_nobody_and_changes_no_row(lab: Lab, crm: Path, verify: Verify) -> None:
    verify("crm.duckdb", table="contacts")
    lab.reset_counters()
    queries = sum(lab.dns_queries().values())
    result = verify("crm.duckdb", table="contacts")
    assert asked(lab) == {}
    assert sum(lab.dns_queries().values()) == queries
    assert (result.plan.due, result.checked, result.written, result.probes, result.lookups) == (0, 0, 0, 0, 0)
    assert (result.summary.verified, result.summary.missing) == (len(CELLS) - 3, 3)


def test_a_source_in_which_nothing_changed_is_recognised_and_any_change_is_seen(
    crm: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = verify("crm.duckdb", table="contacts")
    planned: list[DuckDBWarehouse] = []
    plan = DuckDBWarehouse.plan

    def counted(self: DuckDBWarehouse, **named: Any) -> Plan:
        planned.append(self)
        return plan(self, **named)

    monkeypatch.setattr(DuckDBWarehouse, "plan", counted)
    again = verify("crm.duckdb", table="contacts")
    assert not planned
    assert (again.summary, again.written) == (first.summary, 0)
    assert (again.plan.rows, again.plan.missing, again.plan.addresses) == (
        first.plan.rows,
        first.plan.missing,
        first.plan.addresses,
    )
    changes = {
        "update contacts set mailvet_status = 'deliverable' where mailvet_status = 'undeliverable'": True,
        "update mailvet_verdicts set score = 3 where score <> 3": True,
        "insert into contacts (id, email) select 1000, email from contacts limit 1": True,
        "delete from contacts where id in (1, 1000)": False,
    }
    for change, writes in changes.items():
        with duckdb.connect(str(crm)) as db:
            db.execute(change)
        before = len(planned)
        assert bool(verify("crm.duckdb", table="contacts").written) is writes, change
        assert len(planned) == before + 1, change
        verify("crm.duckdb", table="contacts")
        assert len(planned) == before + 1, change
    verify("crm.duckdb", table="contacts", policy="transactional")
    assert len(planned) == len(changes) + 1


def test_new_rows_are_all_that_a_later_run_asks_about(lab: Lab, crm: Path, verify: Verify) -> None:
    verify("crm.duckdb", table="contacts")
    lab.reset_counters()
    with duckdb.connect(str(crm)) as db:
        db.execute("insert into contacts (id, email) values (100, 'stranger99@acme.test'), (101, $1)", [PEOPLE[0]])
        db.execute("update contacts set email = 'any@all.test' where id = 1")
    result = verify("crm.duckdb", table="contacts")
    assert result.checked == 1
    assert asked(lab)["stranger99@acme.test"] == 1
    assert result.written == 3
    assert rows(crm, "select mailvet_reason from contacts where id in (1, 100, 101) order by id") == [
        ("accept_all",),
        ("mailbox_not_found",),
        ("mailbox_accepted",),
    ]


def test_another_policy_changes_recommendations_and_asks_nobody(lab: Lab, crm: Path, verify: Verify) -> None:
    verify("crm.duckdb", table="contacts")
    facts = "select id, mailvet_status, mailvet_reason, mailvet_score, mailvet_checked_at from contacts order by id"
    before = rows(crm, facts)
    lab.reset_counters()
    result = verify("crm.duckdb", table="contacts", policy="transactional")
    assert asked(lab) == {}
    assert rows(crm, facts) == before
    changed = rows(crm, "select email, mailvet_recommendation from contacts where mailvet_reason = 'role_account'")
    assert changed == [("info@acme.test", "send")]
    assert result.written is not None
    assert 0 < result.written < 5
    stored = rows(crm, "select recommendation from mailvet_verdicts where reason = 'role_account'")
    assert stored == [("send",)]
    assert verify("crm.duckdb", table="contacts", policy="transactional").written == 0


def test_more_depth_makes_shallower_verdicts_due_and_less_does_not(lab: Lab, here: Path, verify: Verify) -> None:
    make_table(here / "crm.duckdb", [PEOPLE[0], STRANGERS[0], "ann@nowhere.test"])

    def reasons() -> list[Any]:
        return [row[0] for row in rows(here / "crm.duckdb", "select mailvet_reason from contacts order by id")]

    verify("crm.duckdb", table="contacts", depth="offline")
    assert reasons() == ["not_probed", "not_probed", "not_probed"]
    assert sum(lab.dns_queries().values()) == 0
    verify("crm.duckdb", table="contacts", depth="dns")
    assert reasons() == ["not_probed", "not_probed", "domain_not_found"]
    assert asked(lab) == {}
    assert verify("crm.duckdb", table="contacts", depth="smtp").checked == 3
    assert reasons() == ["mailbox_accepted", "mailbox_not_found", "domain_not_found"]
    assert verify("crm.duckdb", table="contacts", depth="dns").checked == 0
    assert reasons() == ["mailbox_accepted", "mailbox_not_found", "domain_not_found"]


def test_where_limits_what_is_asked_and_written(lab: Lab, crm: Path, verify: Verify) -> None:
    result = verify("crm.duckdb", table="contacts", where="email like 'stranger%' and id <> 21")
    assert result.checked == result.written == len(STRANGERS) - 1
    assert {address for address in asked(lab) if address.startswith("person")} == set()
    assert STRANGERS[0] not in asked(lab)
    assert rows(crm, "select count(*) from contacts where mailvet_status is not null") == [(len(STRANGERS) - 1,)]


def test_where_may_ask_for_rows_without_a_status(lab: Lab, crm: Path, verify: Verify) -> None:
    verify("crm.duckdb", table="contacts", where="id <= 3", depth="offline")
    result = verify(
        "crm.duckdb",
        table="contacts",
        where="mailvet_status is null",
        depth="offline",
        work={"output": crm.with_name("new.csv")},
    )
    assert result.written == len(CELLS) - 3 - 3  # and three cells are blank
    assert result.summary.rows == len(CELLS) - 3
    with crm.with_name("new.csv").open(newline="") as stream:
        assert len(list(csv.reader(stream))) == len(CELLS) - 3 + 1


def test_without_write_back_the_table_is_left_alone(lab: Lab, crm: Path, verify: Verify) -> None:
    result = verify("crm.duckdb", table="contacts", depth="offline", work={"write_back": False})
    assert result.written is None
    assert [row[0] for row in rows(crm, "describe contacts")] == ["id", "email"]
    join = "contacts c join mailvet_verdicts v on v.email_key = sha256(coalesce(c.email, ''))"
    joined = rows(crm, f"select count(*) from {join}")
    assert joined == [(len(CELLS) - 3,)]  # three cells are blank


def test_columns_that_are_none_are_refused_before_anybody_is_asked(lab: Lab, crm: Path, verify: Verify) -> None:
    for work, says in (
        ({"columns": ["status", "colour"]}, "no status column 'colour'"),
        ({"columns": ["email"]}, "no status column 'email'"),
        ({"split_by": "colour", "output": crm.with_name("out.csv")}, "split_by='colour': choose one of"),
    ):
        with pytest.raises(SettingsError, match=says):
            verify("crm.duckdb", table="contacts", work=work)
    assert asked(lab) == {}
    assert [row[0] for row in rows(crm, "show tables")] == ["contacts"]


def test_a_file_run_keeps_every_row_and_remembers_its_verdicts(lab: Lab, here: Path, verify: Verify) -> None:
    lines = [["id", "email", "note"]] + [[f"{number:04}", cell or "", "a;b"] for number, cell in enumerate(CELLS)]
    with (here / "list.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    result = verify("list.csv", work={"output": here / "out.csv"})
    with (here / "out.csv").open(newline="", encoding="utf-8") as stream:
        written = list(csv.reader(stream))
    assert [row[:3] for row in written] == lines
    position = written[0].index("mailvet_reason")
    assert all(row[position] == (EXPECTED.get(row[1], row[position]) or "") for row in written[1:])
    assert all(bool(row[position]) is bool(row[1].strip()) for row in written[1:])
    assert list(result.outputs) == [here / "out.csv"]
    lab.reset_counters()
    again = verify("list.csv", work={"output": here / "again.csv"})
    assert (again.checked, asked(lab)) == (0, {})
    assert (here / "again.csv").read_bytes() == (here / "out.csv").read_bytes()


def test_greylisting_is_waited_for_as_long_as_was_said(lab: Lab, here: Path, verify: Verify) -> None:
    make_table(here / "crm.duckdb", ["ann@grey.test", "new@grey.test"])
    reasons = "select email, mailvet_reason from contacts order by id"
    verify("crm.duckdb", table="contacts")
    assert rows(here / "crm.duckdb", reasons) == [("ann@grey.test", "greylisted"), ("new@grey.test", "greylisted")]
    due_in = rows(here / "crm.duckdb", "select max(next_check_at - checked_at) from mailvet_verdicts")[0][0]
    assert timedelta(seconds=1) <= due_in <= timedelta(minutes=30)
    assert verify("crm.duckdb", table="contacts").checked == 0

    make_table(here / "other.duckdb", ["bob@grey.test", "ann+wait@grey.test"])
    result = verify("other.duckdb", table="contacts", work={"wait": timedelta(seconds=10)})
    assert rows(here / "other.duckdb", reasons) == [
        ("bob@grey.test", "mailbox_not_found"),
        ("ann+wait@grey.test", "mailbox_accepted"),
    ]
    assert result.seconds < 9


def test_an_own_event_outweighs_what_the_server_says(lab: Lab, here: Path, verify: Verify) -> None:
    make_table(here / "crm.duckdb", PEOPLE[:4])
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute("create table events (email varchar, event varchar, occurred_at timestamp)")
        db.executemany(
            "insert into events values (?, ?, ?)",
            [
                (PEOPLE[0], "hard_bounce", "2026-05-01"),
                (PEOPLE[1], "hard_bounce", "2026-05-01"),
                (PEOPLE[1].upper(), "delivered", "2026-06-01"),
                (PEOPLE[2], "unsubscribe", "2026-05-01"),
            ],
        )

    def reasons() -> list[Any]:
        return [row[0] for row in rows(here / "crm.duckdb", "select mailvet_reason from contacts order by id")]

    events = {"events": "events"}
    verify("crm.duckdb", table="contacts", history=events)
    assert reasons() == ["hard_bounced", "mailbox_accepted", "suppressed", "mailbox_accepted"]
    assert PEOPLE[2] not in asked(lab)
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute("insert into events values ($1, 'complaint', now()::timestamp)", [PEOPLE[3]])
        db.execute("insert into events values ($1, 'delivered', now()::timestamp)", [PEOPLE[0]])
    assert verify("crm.duckdb", table="contacts", history=events).checked == 2
    assert reasons() == ["mailbox_accepted", "mailbox_accepted", "suppressed", "suppressed"]
    assert verify("crm.duckdb", table="contacts", history=events).checked == 0


def test_putting_an_address_on_an_own_list_changes_its_verdict_in_the_next_run(
    lab: Lab, here: Path, verify: Verify
) -> None:
    make_table(here / "crm.duckdb", [*PEOPLE[:3], "ann@mailinator.com", "any@all.test"])

    def reasons() -> list[Any]:
        return [row[0] for row in rows(here / "crm.duckdb", "select mailvet_reason from contacts order by id")]

    def changed_by(**lists: list[str]) -> int:
        return verify("crm.duckdb", table="contacts", lists=lists).checked

    changed_by()
    before = reasons()
    assert before[:3] == ["mailbox_accepted"] * 3
    (here / "deny.txt").write_text(f"{PEOPLE[1].title()}\n")
    own = {"suppress": [PEOPLE[0].upper()], "deny": ["./deny.txt"], "allow": ["mailinator.com"]}
    assert changed_by(**own) == 3
    assert reasons()[:3] == ["suppressed", "suppressed", "mailbox_accepted"]
    assert reasons()[3] != "disposable"
    assert changed_by(**own) == 0
    assert changed_by(**own, extra_disposable=["all.test"]) == 1
    assert reasons()[4] == "disposable"
    lab.reset_counters()
    assert changed_by() >= 3
    assert reasons() == before
    assert PEOPLE[2] not in asked(lab)


def test_a_blocked_run_never_replaces_a_known_verdict(
    lab: Lab, here: Path, verify: Verify, mailvet_lab_factory: Callable[..., Lab]
) -> None:
    from mailvet.lab import World

    make_table(here / "crm.duckdb", [*PEOPLE[:3], STRANGERS[0], "new@acme.test"])
    verify("crm.duckdb", table="contacts", where="id < 5")
    seen = "select id, mailvet_status, mailvet_reason, mailvet_checked_at from contacts where id < 5 order by id"
    before = rows(here / "crm.duckdb", seen)
    with duckdb.connect(str(here / "crm.duckdb")) as db:
        db.execute("update mailvet_verdicts set next_check_at = checked_at - interval 1 day")
    world = World().host("mx.acme.test", "blocks_at_connect").domain("acme.test", [(10, "mx.acme.test")])
    blocking = mailvet_lab_factory(world)
    write_config(blocking, here)
    result = verify("crm.duckdb", table="contacts")
    assert result.checked == 5
    assert rows(here / "crm.duckdb", seen) == before
    left = rows(here / "crm.duckdb", "select mailvet_status, mailvet_recommendation from contacts where id = 5")
    assert left == [("unknown", "reverify")]
    assert rows(
        here / "crm.duckdb", "select count(*) from mailvet_verdicts where next_check_at <= now()::timestamp"
    ) == [(0,)]


def test_each_run_is_recorded_with_its_counts(lab: Lab, crm: Path, verify: Verify) -> None:
    result = verify("crm.duckdb", table="contacts")
    ((record),) = rows(crm, "from mailvet_runs")
    names = [row[0] for row in rows(crm, "describe mailvet_runs")]
    found = dict(zip(names, record, strict=True))
    assert found["run_id"] == result.run_id
    assert found["finished_at"] >= found["started_at"]
    assert (found["rows"], found["due"], found["checked"], found["health"]) == (
        len(CELLS),
        result.plan.due,
        result.checked,
        "ok",
    )
    assert json.loads(found["by_reason"]) == dict(result.summary.by_reason)
    assert json.loads(found["by_operator"])["acme.test"] >= len(PEOPLE) + len(STRANGERS)
    assert rows(crm, "select distinct run_id from mailvet_verdicts") == [(result.run_id,)]


def test_verdicts_not_renewed_for_long_are_forgotten_but_not_before_they_were_written(
    lab: Lab, crm: Path, verify: Verify
) -> None:
    verify("crm.duckdb", table="contacts", depth="offline")
    with duckdb.connect(str(crm)) as db:
        old = "update mailvet_verdicts set checked_at = checked_at - interval 40 days where email = $1"
        db.execute(old, [PEOPLE[3]])
    result = verify("crm.duckdb", table="contacts", depth="offline", store={"keep_days": 30})
    assert (result.summary.verified, result.summary.missing) == (len(CELLS) - 3, 3)
    left = {email for (email,) in rows(crm, "select email from mailvet_verdicts")}
    assert {cell for cell in CELLS if (cell or "").strip()} - left == {PEOPLE[3]}


def test_small_batches_give_the_same_answers(lab: Lab, crm: Path, verify: Verify) -> None:
    verify("crm.duckdb", table="contacts", work={"batch_rows": 3})
    found = dict(rows(crm, "select email, mailvet_reason from contacts"))
    assert {cell: found[cell] for cell in EXPECTED} == EXPECTED


@pytest.mark.parametrize("cells", [[], [None], ["", "  "], ["nonsense"]])
def test_a_table_without_any_address_is_a_run_too(lab: Lab, here: Path, verify: Verify, cells: list[Any]) -> None:
    make_table(here / "crm.duckdb", cells)
    result = verify("crm.duckdb", table="contacts")
    assert result.written == sum(1 for cell in cells if (cell or "").strip())
    assert result.summary.rows == len(cells)
    assert result.degraded is None
    assert asked(lab) == {}


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.seen: list[Progress] = []

    def planned(self, source: str, plan: Plan) -> None:
        self.plans.append(plan)

    def progressed(self, progress: Progress) -> None:
        self.seen.append(progress)


def test_a_watcher_hears_the_plan_and_how_far_the_run_is(lab: Lab, crm: Path, verify: Verify) -> None:
    notes = Notes()
    result = verify("crm.duckdb", table="contacts", work={"watcher": notes})
    assert notes.plans == [result.plan]
    assert [progress.done for progress in notes.seen] == sorted(progress.done for progress in notes.seen)
    assert notes.seen[-1].done == notes.seen[-1].due == result.plan.due


def test_log_lines_of_a_run_name_nobody(lab: Lab, crm: Path, verify: Verify, caplog: pytest.LogCaptureFixture) -> None:
    from mailvet.cli.progress import LogWatcher

    with caplog.at_level(logging.INFO):
        verify("crm.duckdb", table="contacts", depth="offline", work={"watcher": LogWatcher()})
    assert "addresses" in caplog.text
    assert "@" not in caplog.text


def test_split_and_chosen_columns_come_from_the_command_line(
    config: Path, here: Path, mailvet_command: Callable[..., Done]
) -> None:
    (here / "list.csv").write_text("id,email\n1,info@acme.test\n2,nonsense\n3,ann@null.test\n")
    done = mailvet_command(
        "verify",
        "list.csv",
        "--output",
        "out.csv",
        "--split-by",
        "recommendation",
        "--columns",
        "reason, smtp_code",
        "--key-column",
        "id",
        "--depth",
        "dns",
    )
    assert done.code == 0, done.err
    texts = {path.name: path.read_text().splitlines() for path in here.glob("out*")}
    header = "id,mailvet_reason,mailvet_smtp_code"
    assert texts == {
        "out.send.csv": [header],
        "out.reverify.csv": [header],
        "out.do_not_send.csv": [header, "1,role_account,", "2,syntax_invalid,", "3,null_mx,"],
    }
