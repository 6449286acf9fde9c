"""A table of a DuckDB database: plan, save, write back; each rule against a real database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from mailvet.errors import LockedError, SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS, email_key, verdict_schema
from mailvet.vocabulary import RULES_VERSION, Policy
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse, open_database
from mailvet.warehouse.store import SILENT, Plan
from tests.warehouse.answers import NO_LISTS, NOW, answers, later

RULES = RULES_VERSION
Open = Callable[..., DuckDBWarehouse]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crm.duckdb"


@pytest.fixture
def sql(path: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement on the database from outside."""

    def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path)) as db:
            return list(db.execute(statement, list(parameters) or None).fetchall())

    return run


@pytest.fixture
def contacts(sql: Any) -> Callable[..., None]:
    """Make the table contacts(id, email, country) with these cells."""

    def make(*cells: str | None) -> None:
        sql("create or replace table contacts (id integer, email varchar, country varchar)")
        countries = ["DE" if number % 2 else "FR" for number in range(1, len(cells) + 1)]
        sql(
            "insert into contacts select unnest(range(1, len($1) + 1)), unnest($1::varchar[]), unnest($2::varchar[])",
            list(cells),
            countries,
        )

    return make


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Open the table contacts; closed at the end of the test at the latest."""
    warehouses: list[DuckDBWarehouse] = []

    def open_table(table: str = "contacts", column: str | None = None, **options: Any) -> DuckDBWarehouse:
        warehouse = DuckDBWarehouse.of_table(path, table, column, **options)
        warehouses.append(warehouse)
        return warehouse

    yield open_table
    for warehouse in warehouses:
        warehouse.close()


def planned(warehouse: DuckDBWarehouse, *, now: datetime = NOW, **options: Any) -> Plan:
    values: dict[str, Any] = {"depth_rank": 2, "rules_version": RULES, "listed": NO_LISTS} | options
    return warehouse.plan(now=now, **values)


def due(warehouse: DuckDBWarehouse, batch_rows: int = 1000) -> list[str]:
    return [email for batch in warehouse.due(batch_rows) for email in batch["email"].to_pylist()]


def saved(warehouse: DuckDBWarehouse, reasons: dict[str, str], **changed: Any) -> DuckDBWarehouse:
    warehouse.open_for_writing()
    warehouse.save(answers(reasons, **changed))
    return warehouse


# -------------------------------------------------------------------- planning


def test_each_distinct_text_is_due_once(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "ann@a.test", "Ann@A.test", " ann@a.test", "bob@b.test", None, "", "  ", "\t\u00a0")
    warehouse = opened()
    plan = planned(warehouse)
    assert (plan.rows, plan.missing, plan.addresses, plan.due, plan.fresh) == (9, 4, 4, 4, 0)
    assert sorted(due(warehouse)) == sorted(["ann@a.test", "Ann@A.test", " ann@a.test", "bob@b.test"])
    assert plan.domains == (("a.test", 3), ("b.test", 1))


def test_batches_hold_every_due_text_once_and_spellings_together(contacts: Any, opened: Open) -> None:
    contacts(*(f"p{n}@x.test" for n in range(23)), *(f"P{n}@X.test" for n in range(23)))
    warehouse = opened()
    planned(warehouse)
    batches = [batch["email"].to_pylist() for batch in warehouse.due(10)]
    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 6]
    texts = [text for batch in batches for text in batch]
    assert len(set(texts)) == 46
    assert all(a.lower() == b.lower() for a, b in zip(texts[::2], texts[1::2], strict=True))
    keys = {
        text: key
        for batch in warehouse.due(50)
        for text, key in zip(batch["email"].to_pylist(), batch["email_key"].to_pylist(), strict=True)
    }
    assert keys == {text: email_key(text) for text in texts}


def test_a_verdict_is_due_again_from_its_date_on(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "x")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted", "x": "syntax_invalid"})
    assert planned(warehouse, now=later(days=59)).due == 0
    planned(warehouse, now=later(days=60))
    assert due(warehouse) == ["ann@a.test"]
    assert warehouse._rows("select previous_reason, previous_attempts from mailvet_due") == [("mailbox_accepted", 1)]


@pytest.mark.parametrize(
    ("had", "asked", "count"), [("offline", 1, 1), ("dns", 2, 1), ("dns", 1, 0), ("smtp", 0, 0), ("smtp", 2, 0)]
)
def test_a_verdict_is_due_when_more_depth_is_asked_for(
    contacts: Any, opened: Open, had: str, asked: int, count: int
) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "not_probed"}, depth=had)
    assert planned(warehouse, depth_rank=asked).due == count


def test_where_limits_what_is_planned(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "bob@b.test", "cid@c.test")
    for condition in ("country = 'FR'", "contacts.country = 'FR'", "country = 'FR' -- only these", "id in (2)"):
        warehouse = opened(where=condition)
        plan = planned(warehouse)
        assert (plan.rows, due(warehouse)) == (1, ["bob@b.test"]), condition
        warehouse.close()


@pytest.mark.parametrize(
    "condition", ["nonsense = 1", "country =", "1=1); drop table contacts; select (1", "id = ?", "sum(id) > 1"]
)
def test_a_condition_that_is_none_is_refused_and_changes_nothing(
    contacts: Any, opened: Open, sql: Any, condition: str
) -> None:
    contacts("ann@a.test")
    with pytest.raises(SourceError, match=r"^The condition where does not work on contacts: "):
        opened(where=condition)
    assert sql("select count(*) from contacts") == [(1,)]


def test_a_condition_that_fails_on_a_later_row_is_refused_without_its_cell(contacts: Any, opened: Open) -> None:
    contacts(*["1"] * 3000, "ann@a.test")
    with pytest.raises(SourceError, match="cannot be read with this where: ") as caught:
        planned(opened(where="cast(email as integer) = 1"))
    assert "ann@" not in str(caught.value)


# -------------------------------------------------------------------- own lists


@pytest.mark.parametrize(
    ("listed", "due_again"),
    [
        ({"suppress": ["ann@a.test"]}, ["Ann@a.test "]),
        ({"deny": ["a.test"]}, ["Ann@a.test "]),
        ({"deny": ["b.test"]}, ["bob@sub.b.test"]),
        ({"deny": ["test"]}, ["Ann@a.test ", "bob@sub.b.test"]),
        ({"deny": ["a.test"], "allow": ["a.test"]}, ["Ann@a.test "]),
        ({"allow": ["sub.b.test"]}, ["bob@sub.b.test"]),
        ({"extra_disposable": ["b.test"]}, ["bob@sub.b.test"]),
        ({"suppress": ["nn@a.test", "est", "c.test"]}, []),
    ],
)
def test_an_address_put_on_an_own_list_is_due(
    contacts: Any, opened: Open, listed: dict[str, list[str]], due_again: list[str]
) -> None:
    contacts("Ann@a.test ", "bob@sub.b.test")
    warehouse = saved(opened(), {"Ann@a.test ": "mailbox_accepted", "bob@sub.b.test": "mailbox_accepted"})
    planned(warehouse, rules_version=f"{RULES}+abc", listed=listed)
    assert sorted(due(warehouse)) == due_again


def test_an_address_taken_off_an_own_list_is_due(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "bob@b.test", "cid@c.test", "dan@d.test")
    warehouse = opened()
    warehouse.open_for_writing()
    listed = '[{"layer":"history","fact":"suppressed","detail":"on your own list"}]'
    left = '[{"layer":"history","fact":"suppressed","detail":"unsubscribed or complained on 2026-01-01"}]'
    before: dict[str, Any] = {"rules_version": f"{RULES}+abc"}
    warehouse.save(answers({"ann@a.test": "suppressed"}, evidence=listed, **before))
    warehouse.save(answers({"bob@b.test": "mailbox_accepted"}, flags="allowed,probed", **before))
    warehouse.save(answers({"cid@c.test": "suppressed"}, evidence=left, **before))
    warehouse.save(answers({"dan@d.test": "mailbox_accepted"}, **before))
    planned(warehouse)
    assert sorted(due(warehouse)) == ["ann@a.test", "bob@b.test"]


def test_lists_that_did_not_change_make_nothing_due(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    version = f"{RULES}+abc"
    # The verdict contradicts the list (allowed by a stronger rule, say), but has seen it.
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"}, rules_version=version)
    assert planned(warehouse, rules_version=version, listed={"deny": ["a.test"]}).due == 0


def test_new_rules_make_syntax_and_disposable_verdicts_due(contacts: Any, opened: Open) -> None:
    contacts("a", "b@b.test", "c@c.test")
    reasons = {"a": "syntax_invalid", "b@b.test": "disposable", "c@c.test": "mailbox_accepted"}
    warehouse = saved(opened(), reasons, rules_version="2026.10")
    planned(warehouse)
    assert sorted(due(warehouse)) == ["a", "b@b.test"]


def test_ten_thousand_listed_addresses_are_looked_up_in_a_moment(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("p1@d1.test")
    sql("insert into contacts select i, 'p' || i || '@d' || (i % 1000) || '.test', 'DE' from range(20000) r(i)")
    warehouse = opened()
    plan = planned(warehouse, rules_version="x+y", listed={"deny": [f"p{n}@d{n % 1000}.test" for n in range(10_000)]})
    assert plan.due == 20_000


# -------------------------------------------------------------------- history


def history(warehouse: DuckDBWarehouse) -> dict[str, str | None]:
    planned(warehouse)
    return dict(warehouse._rows("select email, history_reason from mailvet_due order by email"))


def test_times_with_a_zone_are_taken_as_utc_wherever_this_machine_is(
    contacts: Any, opened: Open, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts("ann@a.test")
    sql(
        "create table events as select 'ann@a.test' as email, 'hard_bounce' as event, "
        "timestamptz '2026-01-01 00:00:00+00' as occurred_at"
    )
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        warehouse = opened(events="events")
        planned(warehouse)
        assert warehouse._rows("select history_at from mailvet_due") == [(datetime(2026, 1, 1),)]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_events_may_be_a_file(contacts: Any, opened: Open, tmp_path: Path) -> None:
    contacts("ann@a.test")
    file = tmp_path / "events.csv"
    file.write_text("email,event,occurred_at\nann@a.test,hard_bounce,2026-01-01 10:00:00\n")
    assert history(opened(events=str(file))) == {"ann@a.test": "hard_bounced"}


@pytest.mark.parametrize(
    ("events", "says"),
    [("nowhere", "no table nowhere"), ("contacts", "email, event and occurred_at"), ("none.csv", "neither a file nor")],
)
def test_events_that_cannot_be_used_are_a_mistake_in_the_settings(
    contacts: Any, opened: Open, events: str, says: str
) -> None:
    contacts("ann@a.test")
    with pytest.raises(SettingsError, match=says):
        planned(opened(events=events))


# -------------------------------------------------------------------- saving


def stored(warehouse: DuckDBWarehouse, text: str) -> dict[str, Any]:
    row = warehouse.stored(text)
    assert row is not None
    return row


def test_a_batch_is_committed_when_save_returns(contacts: Any, opened: Open, path: Path) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"})
    with warehouse._db.cursor() as other:
        assert other.execute("select reason from mailvet_verdicts").fetchall() == [("mailbox_accepted",)]


def test_the_same_answers_saved_twice_are_kept_once(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@acme.test", "bob@acme.test")
    warehouse = opened()
    planned(warehouse)
    saved(warehouse, {"ann@acme.test": "mailbox_accepted"})
    saved(warehouse, {"bob@acme.test": "mailbox_accepted"})
    saved(warehouse, {"ann@acme.test": "mailbox_full", "cid@acme.test": "mailbox_full"})
    saved(warehouse, {"ann@acme.test": "mailbox_disabled", "cid@acme.test": "mailbox_disabled"})
    assert stored(warehouse, "ann@acme.test")["reason"] == "mailbox_disabled"
    warehouse.close()
    assert sql("select email, reason from mailvet_verdicts order by 1") == [
        ("ann@acme.test", "mailbox_disabled"),
        ("bob@acme.test", "mailbox_accepted"),
        ("cid@acme.test", "mailbox_disabled"),
    ]


def test_an_answer_that_somebody_else_saved_meanwhile_is_replaced(contacts: Any, path: Path) -> None:
    contacts("ann@acme.test")
    with duckdb.connect(str(path)) as db:
        warehouse = DuckDBWarehouse.of_connection(db, "contacts", "email")
        other = DuckDBWarehouse.of_connection(db.cursor(), "contacts", "email")
        saved(warehouse, {"bob@acme.test": "mailbox_accepted"})
        saved(other, {"ann@acme.test": "mailbox_accepted"})
        saved(warehouse, {"ann@acme.test": "mailbox_disabled"})
        warehouse.close()
        other.close()
        assert db.execute("select reason from mailvet_verdicts where email = 'ann@acme.test'").fetchall() == [
            ("mailbox_disabled",)
        ]


def test_answers_that_could_not_be_saved_are_saved_the_next_time(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@acme.test")
    opened_once = opened()
    opened_once.open_for_writing()
    opened_once.close()
    sql("alter table mailvet_verdicts add primary key (email_key)")
    warehouse = saved(opened(), {"bob@acme.test": "mailbox_accepted"})
    batch = answers({"ann@acme.test": "mailbox_accepted"})
    with pytest.raises(SourceError, match="cannot be saved"):
        warehouse.save(pa.concat_tables([batch, batch]))
    warehouse.save(batch)
    warehouse.close()
    assert sql("select email from mailvet_verdicts order by 1") == [("ann@acme.test",), ("bob@acme.test",)]


def test_a_cell_is_trimmed_as_python_trims_it(contacts: Any, opened: Open) -> None:
    marks = [*filter(str.isspace, map(chr, range(0x3001))), "\x7f", "~", "!", "é", "Ä", "\u200b"]
    cells = [f"{left}Ann{right}" for left in ["", *marks] for right in ["", *marks]]
    contacts(*cells, *marks)
    warehouse = opened()
    planned(warehouse)
    folded = dict(warehouse._db.execute("select email, folded from mailvet_cells").fetchall())
    assert folded == {cell: cell.strip().lower() for cell in [*cells, *marks]}


def test_what_is_saved_comes_back_as_it_was(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    batch = answers({"ann@a.test": "mailbox_full"}, smtp_code=452, smtp_reply="full", flags="role,probed", attempts=2)
    warehouse = opened()
    warehouse.open_for_writing()
    warehouse.save(batch)
    assert stored(warehouse, "ann@a.test") == batch.to_pylist()[0]


def test_an_answer_that_says_nothing_never_replaces_a_known_verdict(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    known = ("mailbox_accepted", "mailbox_not_found", "accept_all", "hard_bounced")
    cells = {f"{silent}.{reason}@a.test": (silent, reason) for silent in SILENT for reason in known}
    warehouse = saved(opened(), {cell: reason for cell, (_, reason) in cells.items()})
    before = {cell: stored(warehouse, cell) for cell in cells}
    warehouse.save(answers({cell: str(silent) for cell, (silent, _) in cells.items()}, now=later(days=60)))
    for cell in cells:
        after = stored(warehouse, cell)
        assert after == before[cell] | {"next_check_at": after["next_check_at"]}
        assert after["next_check_at"] > later(days=60)


def test_a_verdict_that_nobody_could_confirm_for_half_a_year_gives_way(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"})
    warehouse.save(answers({"ann@a.test": "connect_failed"}, now=later(days=181)))
    assert stored(warehouse, "ann@a.test")["reason"] == "connect_failed"


def test_an_unknown_verdict_gives_way_to_any_answer(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "greylisted"})
    for reason in ("not_probed", "mailbox_accepted", "mailbox_not_found", "accept_all"):
        warehouse.save(answers({"ann@a.test": reason}))
        assert stored(warehouse, "ann@a.test")["reason"] == reason


def test_a_silent_answer_that_went_deeper_is_not_asked_for_again_at_once(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "domain_not_found"}, depth="dns")
    warehouse.save(answers({"ann@a.test": "dns_timeout"}, depth="smtp"))
    assert stored(warehouse, "ann@a.test")["reason"] == "domain_not_found"
    assert planned(warehouse).due == 0


def test_a_shallow_run_does_not_put_off_a_deep_one(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"}, depth="smtp")
    before = stored(warehouse, "ann@a.test")
    warehouse.save(answers({"ann@a.test": "not_probed"}, depth="dns", now=later(days=61)))
    assert stored(warehouse, "ann@a.test") == before
    assert planned(warehouse, now=later(days=61)).due == 1


def test_what_was_asked_today_counts_by_operator(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = opened()
    assert warehouse.asked_today(NOW) == {}
    saved(warehouse, {"a@a.test": "mailbox_accepted", "b@a.test": "mailbox_not_found"}, operator="a", smtp_code=250)
    warehouse.save(answers({"c@a.test": "not_probed"}, operator="a"))
    warehouse.save(answers({"d@a.test": "mailbox_accepted"}, operator="a", smtp_code=250, now=later(days=-1)))
    assert warehouse.asked_today(later(hours=2)) == {"a": 2}
    assert warehouse.asked_today(later(hours=13)) == {}


def test_verdicts_not_renewed_are_forgotten(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted", "bob@a.test": "mailbox_accepted"})
    warehouse.save(answers({"bob@a.test": "mailbox_accepted"}, now=later(days=40)))
    assert warehouse.forget_before(later(days=30)) == 1
    assert warehouse.stored("ann@a.test") is None


def test_a_run_is_one_row_and_can_be_completed(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@a.test")
    warehouse = opened()
    warehouse.open_for_writing()
    warehouse.save_run({"run_id": "r1", "started_at": NOW, "due": 3})
    warehouse.save_run({"run_id": "r1", "started_at": NOW, "finished_at": later(hours=1), "by_status": {"risky": 3}})
    warehouse.close()
    rows = sql("select run_id, finished_at, by_status from mailvet_runs")
    assert rows == [("r1", later(hours=1).replace(tzinfo=None), json.dumps({"risky": 3}))]


# -------------------------------------------------------------------- writing back


def test_every_row_gets_its_status_duplicates_too_and_a_missing_cell_none(
    contacts: Any, opened: Open, sql: Any
) -> None:
    contacts("ann@a.test", "ann@a.test", None, "", "bob@b.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted", "": "syntax_invalid", "bob@b.test": "null_mx"})
    assert warehouse.write_back(STATUS_COLUMNS) == 3
    warehouse.close()
    assert sql("select id, email, country, mailvet_reason, mailvet_recommendation from contacts order by id") == [
        (1, "ann@a.test", "DE", "mailbox_accepted", "send"),
        (2, "ann@a.test", "FR", "mailbox_accepted", "send"),
        (3, None, "DE", None, None),
        (4, "", "FR", None, None),
        (5, "bob@b.test", "DE", "null_mx", "do_not_send"),
    ]
    kinds = dict(sql("select column_name, data_type from duckdb_columns() where table_name = 'contacts'"))
    assert kinds["mailvet_score"] == "SMALLINT"
    assert kinds["mailvet_checked_at"] == "TIMESTAMP"


def test_only_rows_whose_answer_changed_are_written(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "ann@a.test", "bob@b.test", "nobody@c.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "null_mx"})
    assert warehouse.write_back(STATUS_COLUMNS) == 3
    assert warehouse.write_back(STATUS_COLUMNS) == 0
    warehouse.save(answers({"bob@b.test": "mailbox_accepted"}))
    assert warehouse.write_back(STATUS_COLUMNS) == 1


def test_an_edited_row_is_left_alone_until_its_text_is_verified(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"})
    planned(warehouse)
    warehouse._db.execute("update contacts set email = 'other@a.test'")
    assert warehouse.write_back(STATUS_COLUMNS) == 0


def test_where_limits_what_is_written(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@a.test", "ann@a.test")
    # Each of these names stands in the verdict table as well.
    for condition in ("email like 'ann%' and id = 1", "contacts.id = 1"):
        warehouse = saved(opened(where=condition), {"ann@a.test": "mailbox_accepted"})
        warehouse.write_back(["status"])
        warehouse.close()
        assert sql("select mailvet_status from contacts order by id") == [("deliverable",), (None,)]


def test_another_policy_changes_recommendations_only(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("info@a.test", "ann@a.test")
    saved(opened(), {"info@a.test": "role_account", "ann@a.test": "mailbox_accepted"}).write_back(STATUS_COLUMNS)
    opened_again = opened(policy=Policy.transactional)
    planned(opened_again)
    assert opened_again.apply_policy() == 1
    assert opened_again.write_back(STATUS_COLUMNS) == 1
    assert stored(opened_again, "info@a.test")["recommendation"] == "send"
    assert stored(opened_again, "info@a.test")["reason"] == "role_account"


def test_columns_and_prefix_can_be_chosen(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@a.test")
    warehouse = saved(opened(prefix="Mail_"), {"ann@a.test": "mailbox_accepted"}, smtp_code=250)
    warehouse.write_back(["status", "smtp_code"])
    warehouse.close()
    assert sql("select * from contacts") == [(1, "ann@a.test", "DE", "deliverable", 250)]
    assert [row[0] for row in sql("describe contacts")][3:] == ["Mail_status", "Mail_smtp_code"]


@pytest.mark.parametrize(
    "table",
    [
        "create table contacts (id integer primary key, email varchar unique not null)",
        "create table contacts (id integer, email varchar, twice integer generated always as (id * 2))",
        "create table contacts (id integer, email varchar check (email <> ''), mailvet_status varchar, "
        "mailvet_checked_at timestamptz, mailvet_score double)",
        "create table contacts (id integer primary key, email varchar); create index by_email on contacts(email)",
        "create table contacts (id integer, email varchar, rowid varchar)",
        "create table contacts (id integer primary key, email varchar); "
        "create table orders (contact integer references contacts(id)); insert into contacts values (7, 'k'); "
        "insert into orders values (7); update contacts set email = 'k'",
    ],
)
def test_tables_with_keys_checks_and_columns_of_their_own_are_written(opened: Open, sql: Any, table: str) -> None:
    sql(table)
    sql("insert into contacts (id, email) values (1, 'ann@a.test')")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"})
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    assert warehouse.write_back(STATUS_COLUMNS) == 0
    warehouse.close()
    assert sql("select mailvet_status, mailvet_score from contacts where id = 1") == [("deliverable", 50)]


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (
        "due.PART_ROWS",
        "results.PART_ROWS",
        "due._JOINED_ROWS",
        "results._WRITTEN_ROWS",
    )
    for name in parts:
        monkeypatch.setattr(f"mailvet.warehouse.backends.duckdb.{name}", 2)


def test_a_table_planned_and_counted_in_parts_is_planned_and_counted_whole(
    contacts: Any, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    reasons = {f"p{number}@a.test": "mailbox_accepted" for number in range(9)} | {"q@a.test": "mailbox_not_found"}
    contacts(*reasons, "p1@a.test", "p1@a.test", "new@a.test", "newer@a.test", " ", None)
    warehouse = saved(opened(), reasons)
    warehouse.save(answers({"p3@a.test": "mailbox_accepted"}, next_check_at=later(days=1)))
    found = planned(warehouse, now=later(days=2))
    assert (found.rows, found.missing, found.addresses, found.due) == (16, 2, 12, 3)
    due = [row["email"] for batch in warehouse.due(100) for row in batch.to_pylist()]
    assert sorted(due) == ["new@a.test", "newer@a.test", "p3@a.test"]
    summary = warehouse.summary()
    assert (summary.rows, summary.missing, summary.verified) == (16, 2, 12)
    assert summary.by_reason == {"mailbox_accepted": 11, "mailbox_not_found": 1}
    assert summary.unverified == 2
    assert warehouse.write_back(STATUS_COLUMNS) == 12
    assert warehouse.summary() == summary


def test_the_summary_after_a_write_back_knows_what_was_saved_since(contacts: Any, opened: Open) -> None:
    contacts("a@a.test", "b@a.test")
    warehouse = saved(opened(), {"a@a.test": "mailbox_accepted", "b@a.test": "mailbox_accepted"})
    warehouse.write_back(STATUS_COLUMNS)
    warehouse.save(answers({"b@a.test": "mailbox_not_found"}, checked_at=later(days=1)))
    assert warehouse.summary().by_status == {"deliverable": 1, "undeliverable": 1}


def test_the_summary_is_of_the_rows_that_the_condition_chose_before_the_write_back(
    contacts: Any, opened: Open, sql: Any
) -> None:
    contacts("a@a.test", "b@a.test", "new@a.test")
    sql("alter table contacts add column mailvet_status varchar")
    sql("update contacts set mailvet_status = 'deliverable' where id = 1")
    warehouse = saved(
        opened(where="mailvet_status is null"), {"a@a.test": "mailbox_accepted", "b@a.test": "mailbox_accepted"}
    )
    planned(warehouse)
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    summary = warehouse.summary()
    assert (summary.rows, summary.verified) == (2, 1)


def test_a_table_written_in_parts_is_written_whole(
    contacts: Any, opened: Open, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    cells = [f"p{number}@a.test" for number in range(7)]
    contacts(*cells)
    sql("delete from contacts where email in ('p1@a.test', 'p3@a.test', 'p4@a.test')")
    warehouse = saved(opened(), dict.fromkeys(cells, "mailbox_accepted"))
    assert warehouse.write_back(STATUS_COLUMNS) == 4
    assert warehouse.write_back(STATUS_COLUMNS) == 0
    warehouse.close()
    assert sql("select email, mailvet_status from contacts order by email") == [
        (cell, "deliverable") for cell in ("p0@a.test", "p2@a.test", "p5@a.test", "p6@a.test")
    ]


def test_a_verdict_table_that_somebody_gave_a_primary_key_is_kept_up_to_date(
    contacts: Any, opened: Open, sql: Any
) -> None:
    contacts("ann@a.test", "bob@a.test")
    opened_once = opened()
    opened_once.open_for_writing()
    opened_once.close()
    sql("alter table mailvet_verdicts add primary key (email_key)")
    for reason in ("mailbox_full", "mailbox_accepted"):
        warehouse = saved(opened(), {"ann@a.test": reason, "bob@a.test": reason})
        warehouse.close()
        assert sql("select email, reason from mailvet_verdicts order by 1") == [
            ("ann@a.test", reason),
            ("bob@a.test", reason),
        ]


def test_a_write_back_that_fails_leaves_the_table_as_it_was(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("ann@a.test")
    sql("create or replace table contacts (id integer, email varchar, mailvet_status integer)")
    sql("insert into contacts values (1, 'ann@a.test', 5)")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"})
    with pytest.raises(SourceError, match="The table is unchanged"):
        warehouse.write_back(STATUS_COLUMNS)
    warehouse.close()
    assert sql("select * from contacts") == [(1, "ann@a.test", 5)]
    assert sql("select reason from mailvet_verdicts") == [("mailbox_accepted",)]


def test_a_suggestion_never_starts_a_formula(contacts: Any, opened: Open, sql: Any) -> None:
    contacts("a", "b")
    warehouse = saved(opened(), {"a": "syntax_invalid"}, suggestion="=cmd|' /C calc'!A0@a.test")
    warehouse.save(answers({"b": "syntax_invalid"}, suggestion="bob@b.test"))
    warehouse.write_back(["suggestion"])
    warehouse.close()
    assert sql("select mailvet_suggestion from contacts order by id") == [(None,), ("bob@b.test",)]


def test_the_summary_counts_rows(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test", "ann@a.test", "info@a.test", None, "new@a.test")
    warehouse = saved(opened(), {"ann@a.test": "mailbox_accepted"}, score=99)
    warehouse.save(answers({"info@a.test": "role_account"}, score=95))
    warehouse.save(answers({"": "syntax_invalid"}, score=0))
    planned(warehouse)
    summary = warehouse.summary()
    assert (summary.rows, summary.missing, summary.verified) == (5, 1, 3)
    assert summary.by_status == {"deliverable": 2, "risky": 1}
    assert list(summary.by_reason) == ["mailbox_accepted", "role_account"]
    assert summary.by_recommendation == {"send": 2, "do_not_send": 1}
    assert summary.bounce_before == pytest.approx((0.01 + 0.01 + 0.05 + 0.12) / 4)
    assert summary.bounce_after == pytest.approx(0.01)


# -------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ('odd "table" name', 'e "mail" column'),
        ("select", "order"),
        ("group by", "from"),
        ("1st.list", "E-Mail, 2"),
        ("Émails", "Überadresse"),
        ("a;b--c", "x'y"),
    ],
)
def test_any_name_can_be_used(opened: Open, sql: Any, table: str, column: str) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in (table, column)]
    sql(f"create table {quoted[0]} (id integer, {quoted[1]} varchar)")
    sql(f"insert into {quoted[0]} values (1, 'ann@a.test')")
    warehouse = opened(table, column, where="id > 0")
    planned(warehouse)
    assert due(warehouse) == ["ann@a.test"]
    assert saved(warehouse, {"ann@a.test": "mailbox_accepted"}).write_back(["status"]) == 1


def test_a_table_of_another_schema_is_named_with_it(opened: Open, sql: Any) -> None:
    # A schema may be called like the database itself.
    for schema in ("crm", "erp"):
        sql(f"create schema {schema}")
        sql(f"create table crm.{schema}.people (email varchar)")
    with pytest.raises(SourceError, match=r"ambiguous.*crm\.people, erp\.people"):
        opened("people")
    warehouse = saved(opened("crm.people"), {})
    assert warehouse.write_back(["status"]) == 0


@pytest.mark.parametrize(
    ("table", "column", "says"),
    [
        ("nothing", None, "no table nothing in crm.duckdb; there are: contacts, wide"),
        ("contacts", "mail", "no column mail in contacts; there are: id, email, country"),
        ("contacts", "id", "holds INTEGER, not text.*Text columns: email, country"),
        ("wide", None, "Which column of wide.*email_column; .*email, e_mail, tags"),
        ("wide", "tags", r"holds VARCHAR\[\], not text"),
    ],
)
def test_a_wrong_table_or_column_is_answered_with_what_there_is(
    contacts: Any, opened: Open, sql: Any, table: str, column: str | None, says: str
) -> None:
    contacts("ann@a.test")
    sql("create table wide (email varchar, e_mail varchar, tags varchar[])")
    with pytest.raises(SourceError, match=says):
        opened(table, column)


def test_a_column_of_digits_is_noticed(contacts: Any, opened: Open) -> None:
    contacts("0170 123", "12")
    warehouse = opened()
    planned(warehouse)
    assert not warehouse.looks_numeric()
    warehouse.close()
    contacts("0170", "12", None)
    warehouse = opened()
    planned(warehouse)
    assert warehouse.looks_numeric()


def test_a_view_is_read_but_not_written(contacts: Any, opened: Open, sql: Any, tmp_path: Path) -> None:
    contacts("ann@a.test", "bob@b.test")
    sql("create view v as select * from contacts")
    with pytest.raises(SourceError, match=r"is a view.*write_back=False"):
        opened("v")
    warehouse = saved(opened("v", updatable=False), {"ann@a.test": "mailbox_accepted"})
    assert planned(warehouse).due == 1
    warehouse.export(tmp_path / "out.csv", ["status"])
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["1,ann@a.test,DE,deliverable", "2,bob@b.test,FR,"]


def test_planning_needs_no_right_to_write(contacts: Any, opened: Open, path: Path) -> None:
    contacts("ann@a.test")
    before = path.read_bytes()
    warehouse = opened(writable=False, updatable=False)
    assert planned(warehouse).due == 1
    warehouse.close()
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("email\nann@a.test\n" * 10)
    with pytest.raises(SourceError, match="neither a DuckDB database nor"):
        DuckDBWarehouse.of_table(tmp_path / "x.db", "t", None)
    with pytest.raises(SourceError, match="no DuckDB database"):
        open_database(tmp_path / "x.db")
    with pytest.raises(SourceError, match="There is no file"):
        DuckDBWarehouse.of_table(tmp_path / "none.db", "t", None)
    with pytest.raises(SourceError, match="cannot be opened"):
        open_database(tmp_path)


def test_a_lock_is_reported_as_one(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def locked(*_: Any, **__: Any) -> None:
        raise duckdb.IOException('IO Error: Could not set lock on file "x": Conflicting lock is held (PID 4711).')

    monkeypatch.setattr(duckdb, "connect", locked)
    with pytest.raises(LockedError, match=r"open in another program \(process 4711\).*Nothing was changed"):
        open_database(path)


def test_what_cannot_be_saved_is_one_clear_error(contacts: Any, opened: Open) -> None:
    contacts("ann@a.test")
    warehouse = opened(writable=False, updatable=False)
    with pytest.raises(SourceError, match=r"Verdicts cannot be saved in crm\.duckdb"):
        warehouse.open_for_writing()


# -------------------------------------------------------------------- one address


def test_a_stored_verdict_is_found_by_its_text_else_by_another_spelling(contacts: Any, opened: Open) -> None:
    contacts("x")
    warehouse = opened()
    assert warehouse.stored("ann@a.test") is None
    saved(warehouse, {" Ann@a.test": "mailbox_accepted", "ann@a.test ": "null_mx"})
    assert stored(warehouse, "ann@a.test ")["reason"] == "null_mx"
    assert stored(warehouse, "ANN@a.test")["reason"] in ("mailbox_accepted", "null_mx")
    assert warehouse.stored("nn@a.test") is None


SPELLINGS = [
    "ann@a.test",
    "Ann@A.test",
    " ann@a.test\t",
    "Ann Lee <ann@a.test>",
    "mailto:ann@a.test",
    "ann@a.test; bob@b.test",
    "ann@a.test.",
    "ann@a.test,",
]
OTHERS = ["joann@a.test", "ann@a.testing", "ann@a.test.example", "ann.ann@a.test", "ann+x@a.test", "x-ann@a.test"]


def test_an_address_is_forgotten_in_every_spelling(contacts: Any, opened: Open, path: Path) -> None:
    contacts("x")
    warehouse = saved(opened(), dict.fromkeys(SPELLINGS + OTHERS, "mailbox_accepted"))
    warehouse.save(answers({"ann@a.tset": "typo_domain"}, suggestion="ann@a.test"))
    assert warehouse.forget(" ANN@a.test") == len(SPELLINGS) + 1
    left = warehouse._rows("select email from mailvet_verdicts order by 1")
    assert [email for (email,) in left] == sorted(OTHERS)
    assert warehouse.forget("ann@a.test") == 0


def test_usual_spellings_are_forgotten_where_addresses_are_not_stored(contacts: Any, opened: Open) -> None:
    contacts("x")
    spellings = ["ann@a.test", "Ann@a.test", "ANN@A.TEST", "ann@a.test ", " ann@a.test", "Ann@A.Test"]
    warehouse = saved(opened(), dict.fromkeys([*spellings, "bob@b.test"], "mailbox_accepted"), email=None)
    assert warehouse.forget("ann@a.test") == len(spellings)


def test_special_characters_in_an_address_are_no_pattern(contacts: Any, opened: Open) -> None:
    contacts("x")
    warehouse = saved(opened(), dict.fromkeys(["a.b+c@a.test", "axb+c@a.test", "a.b@a.test"], "mailbox_accepted"))
    assert warehouse.forget("a.b+c@a.test") == 1


# -------------------------------------------------------------------- size


@pytest.mark.slow
def test_a_million_rows_take_seconds_not_minutes(opened: Open, sql: Any) -> None:
    sql(
        "create table contacts as select i as id, 'person' || (i // 2) || '@d' || (i % 5000) || '.test' as email "
        "from range(1000000) r(i)"
    )
    warehouse = opened()
    plan = planned(warehouse, listed={"deny": ["d1.test"]}, rules_version="x+y")
    assert plan.rows == 1_000_000
    warehouse.open_for_writing()
    for batch in warehouse.due(100_000):
        count = batch.num_rows
        columns = {field.name: pa.nulls(count, field.type) for field in verdict_schema()}
        fixed = {
            "status": "deliverable",
            "reason": "mailbox_accepted",
            "recommendation": "send",
            "score": 99,
            "flags": "",
            "depth": "smtp",
            "evidence": "[]",
            "checked_at": NOW,
            "attempts": 1,
            "rules_version": RULES,
        }
        for name, value in fixed.items():
            columns[name] = pa.array([value] * count, verdict_schema().field(name).type)
        columns["email_key"], columns["email"] = batch["email_key"], batch["email"]
        warehouse.save(pa.table(columns, schema=verdict_schema()))
    assert warehouse.write_back(STATUS_COLUMNS) == 1_000_000
    assert warehouse.write_back(STATUS_COLUMNS) == 0
