"""PostgreSQL in the hands of other people: locks, rights, sessions that end; for tables see `test_postgres_tables`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mailvet.errors import LockedError, SettingsError, SourceError
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.opening import open_store, open_table
from mailvet.warehouse.store import Warehouse
from tests.warehouse.answers import answers, plan_of
from tests.warehouse.places import PostgresPlace
from tests.warehouse.test_contract import due, saved

IMPATIENT = "?options=-clock_timeout%3D300"


@pytest.fixture
def other(postgres: PostgresPlace) -> Iterator[psycopg.Connection[Any]]:
    """A second session, which commits when it is told to."""
    with psycopg.connect(postgres.database) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def role(postgres: PostgresPlace) -> Iterator[str]:
    """The URL of a user who may do nothing but connect."""
    postgres.sql("drop role if exists reader")
    postgres.sql("create role reader login")
    postgres.sql("revoke create on schema public from public")
    yield postgres.database.replace("postgres@", "reader@")
    postgres.close_warehouses()
    postgres.sql("drop owned by reader; drop role reader")


def written(warehouse: Warehouse, cell: str = "ann@a.test") -> int:
    plan_of(warehouse)
    saved(warehouse, {cell: "mailbox_accepted"})
    warehouse.check_write_back(STATUS_COLUMNS)
    return warehouse.write_back(STATUS_COLUMNS)


# -------------------------------------------------------------------- other sessions


def test_a_row_edited_under_our_hands_is_left_alone(postgres: PostgresPlace, other: Any) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "null_mx"})
    warehouse.write_back(("status",))
    postgres.sql("alter table contacts add mailvet_reason text")  # so that only the row's own lock is waited for
    saved(warehouse, {"ann@a.test": "mailbox_not_found", "bob@b.test": "mailbox_not_found"})
    other.execute("update contacts set email = 'new@a.test' where id = 1")  # not committed: the row is locked
    written: list[int] = []
    writing = threading.Thread(target=lambda: written.append(warehouse.write_back(("status", "reason"))))
    writing.start()
    while not postgres.sql("select 1 from pg_stat_activity where wait_event_type = 'Lock'"):
        time.sleep(0.01)
    other.commit()
    writing.join()
    assert written == [1]
    assert postgres.sql("select id, email, mailvet_reason from contacts order by id") == [
        (1, "new@a.test", None),
        (2, "bob@b.test", "mailbox_not_found"),
    ]


@pytest.mark.parametrize("mode", ["row exclusive", "access exclusive"])
def test_a_table_locked_by_another_session_is_a_clear_error(postgres: PostgresPlace, other: Any, mode: str) -> None:
    postgres.contacts("ann@a.test")
    postgres.database += IMPATIENT
    warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted"})
    other.execute(f"lock table contacts in {mode} mode")
    with pytest.raises(LockedError, match="another session holds a lock") as caught:
        warehouse.write_back(STATUS_COLUMNS)
    assert "stays saved" in str(caught.value)
    other.rollback()
    assert postgres.columns() == ["id", "email", "country"]
    assert warehouse.write_back(STATUS_COLUMNS) == 1


def test_columns_added_for_nothing_are_taken_away_again(postgres: PostgresPlace, other: Any) -> None:
    postgres.contacts("ann@a.test")
    postgres.database += IMPATIENT
    warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted"})
    postgres.sql(
        "create function no() returns trigger language plpgsql as $$ begin raise 'hands off ann@a.test'; end $$; "
        "create trigger no before update on contacts for each row execute function no()"
    )
    with pytest.raises(SourceError, match="hands off <address>"):
        warehouse.write_back(STATUS_COLUMNS)
    assert postgres.columns() == ["id", "email", "country"]


def test_what_a_rollback_takes_away_is_made_anew(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    store = open_store(postgres.database, read_only=False)
    store.open_for_writing()
    postgres.sql("alter table mailvet_verdicts add constraint no check (reason <> 'null_mx')")
    with pytest.raises(SourceError):
        store.save(answers({"ann@a.test": "null_mx"}))
    store.save(answers({"ann@a.test": "mailbox_accepted"}))
    store.close()
    assert postgres.sql("select email, reason from mailvet_verdicts") == [("ann@a.test", "mailbox_accepted")]


def test_a_session_ended_by_the_server_loses_nothing_that_was_saved(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    warehouse = postgres.opened()
    plan_of(warehouse)
    saved(warehouse, {"ann@a.test": "mailbox_accepted"})
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailvet'")
    with pytest.raises(SourceError, match=r"connection to the database was lost.*run the same again"):
        warehouse.save(answers({"bob@b.test": "null_mx"}))
    warehouse.close()
    warehouse = postgres.opened()
    plan_of(warehouse)
    assert due(warehouse) == ["bob@b.test"]


def waiting_for_a_lock(postgres: PostgresPlace, work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Work in a thread, as soon as it waits for another session; and what it comes to: its result or its error."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except SourceError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not postgres.sql("select 1 from pg_stat_activity where wait_event_type = 'Lock'"):
        time.sleep(0.01)
    return thread, outcome


def test_a_session_ended_during_the_write_back_leaves_every_row_as_it_was(postgres: PostgresPlace, other: Any) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(postgres.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    warehouse.write_back(("reason",))
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    other.execute("select from contacts where id = 2 for update")  # the first row is written, the second is waited for
    thread, outcome = waiting_for_a_lock(postgres, lambda: warehouse.write_back(("reason",)))
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailvet'")
    thread.join()
    other.rollback()
    assert "connection to the database was lost" in str(outcome[0])
    assert postgres.sql("select distinct mailvet_reason from contacts") == [("null_mx",)]
    warehouse.close()
    assert postgres.opened().write_back(("reason",)) == 2


def test_a_session_ended_during_a_save_saves_all_of_a_batch_or_nothing(postgres: PostgresPlace, other: Any) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(postgres.opened(), {"bob@b.test": "null_mx"})
    other.execute("select from mailvet_verdicts for update")
    batch = answers({"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    thread, outcome = waiting_for_a_lock(postgres, lambda: warehouse.save(batch))
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mailvet'")
    thread.join()
    other.rollback()
    assert "connection to the database was lost" in str(outcome[0])
    assert postgres.sql("select email, reason from mailvet_verdicts") == [("bob@b.test", "null_mx")]


def deadlocked(postgres: PostgresPlace, other: Any) -> tuple[Warehouse, threading.Thread, list[object]]:
    """A write-back that met a deadlock with another session, which goes on holding its rows."""
    postgres.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(postgres.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    warehouse.write_back(("reason",))
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    other.execute("set deadlock_timeout = '60s'")  # so that it is ours that finds out
    other.execute("select from contacts where id = 2 for update")
    thread, outcome = waiting_for_a_lock(postgres, lambda: warehouse.write_back(("reason",)))
    other.execute("select from contacts where id = 1 for update")
    return warehouse, thread, outcome


def test_a_deadlock_with_another_session_is_a_lock_to_wait_for(
    postgres: PostgresPlace, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailvet.warehouse.backends.sql.status_columns._WRITE_TRIES", 1)
    warehouse, thread, outcome = deadlocked(postgres, other)
    thread.join()
    other.rollback()
    assert isinstance(outcome[0], LockedError)
    assert "deadlock" in str(outcome[0])
    assert warehouse.write_back(("reason",)) == 2


def test_a_write_back_is_tried_again_after_a_deadlock(
    postgres: PostgresPlace, other: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, thread, outcome = deadlocked(postgres, other)
    other.rollback()
    thread.join()
    assert outcome == [2]
    assert "deadlock" in caplog.text
    assert postgres.sql("select distinct mailvet_reason from contacts") == [("mailbox_accepted",)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter table contacts rename column email to mail", 'column "email" does not exist'),
        ("alter table contacts drop column email", 'column "email" does not exist'),
        ("alter table contacts add mailvet_status varchar(5)", "too long"),
        ("alter table contacts rename to people; create view contacts as select * from people", "ADD COLUMN"),
        ("drop table contacts", "does not exist"),
    ],
)
def test_a_table_that_changed_its_form_meanwhile_is_told_and_left_as_it_is(
    postgres: PostgresPlace, change: str, says: str
) -> None:
    postgres.contacts("ann@a.test")
    warehouse = postgres.opened()
    plan_of(warehouse)
    saved(warehouse, {"ann@a.test": "mailbox_accepted"})
    warehouse.check_write_back(STATUS_COLUMNS)
    postgres.sql(change)
    before = postgres.columns()
    with pytest.raises(SourceError, match=rf"Could not write the status columns.*{says}.*stays saved"):
        warehouse.write_back(STATUS_COLUMNS)
    assert postgres.columns() == before


def test_a_status_column_dropped_meanwhile_is_made_anew(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    warehouse = postgres.opened()
    assert written(warehouse) == 1
    postgres.sql("alter table contacts drop column mailvet_reason")
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    assert postgres.sql("select mailvet_reason from contacts") == [("mailbox_accepted",)]


def test_two_runs_over_one_database_do_not_disturb_each_other(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "bob@b.test")
    first, second = postgres.opened(), postgres.opened()
    for warehouse in (first, second):
        plan_of(warehouse)
        warehouse.open_for_writing()
    first.save(answers({"ann@a.test": "mailbox_accepted"}))
    second.save(answers({"ann@a.test": "mailbox_not_found", "bob@b.test": "null_mx"}))
    assert sorted(due(first)) == sorted(due(second)) == ["ann@a.test", "bob@b.test"]
    assert postgres.sql("select email, reason from mailvet_verdicts order by 1") == [
        ("ann@a.test", "mailbox_not_found"),
        ("bob@b.test", "null_mx"),
    ]


def test_a_statement_can_be_ended_from_another_thread(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    slow = "pg_sleep(case when current_query() like '%limit 1' then 0 else 30 end) is not null"
    warehouse = postgres.opened(where=slow)
    threading.Timer(0.3, warehouse.interrupt).start()
    with pytest.raises(SourceError, match="canceling statement"):
        plan_of(warehouse)


# -------------------------------------------------------------------- rights


def test_missing_rights_are_told_with_the_grant_that_is_needed(postgres: PostgresPlace, role: str) -> None:
    postgres.contacts("ann@a.test")
    with pytest.raises(SourceError, match=r"no table contacts|grant select"):
        open_table(role, "contacts")
    postgres.sql("grant usage on schema public to reader; grant select on contacts to reader")
    with pytest.raises(SourceError, match=r"reader lacks rights .*grant create on schema \"public\" to reader"):
        open_table(role, "contacts")
    warehouse = open_table(role, "contacts", writable=False, updatable=False)
    assert plan_of(warehouse).due == 1
    warehouse.close()
    saved(postgres.opened(), {})
    postgres.sql("create table mailvet_shards (plan_id text, domain text, shard integer, planned_at timestamptz)")
    for table in ("mailvet_verdicts", "mailvet_shards"):
        with pytest.raises(SourceError, match=rf"grant select, insert, update, delete on \"public\".{table} to"):
            open_table(role, "contacts", updatable=False)


def test_the_grants_of_the_docs_are_enough(postgres: PostgresPlace, role: str, tmp_path: Path) -> None:
    postgres.contacts("ann@a.test")
    owner = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted"})
    assert owner.take_lease("first", "elsewhere.example.com 17 boot:1") is None
    owner.release_lease("first")
    owner.note_written({tmp_path / "out.csv": "digest"})
    postgres.sql("grant usage on schema public to reader")
    postgres.sql("grant select on contacts to reader")
    postgres.sql("grant select, insert, update, delete on mailvet_verdicts, mailvet_runs, mailvet_servers to reader")
    with pytest.raises(SourceError, match=r"delete on \"public\".mailvet_leases to .* \"public\".mailvet_outputs to"):
        open_table(role, "contacts")
    postgres.sql("grant select, insert, update, delete on mailvet_leases, mailvet_outputs to reader")
    warehouse = open_table(role, "contacts")
    assert warehouse.written_digest(tmp_path / "out.csv") == "digest"
    assert warehouse.take_lease("second", "elsewhere.example.com 18 boot:1") is None
    warehouse.renew_lease("second")
    warehouse.release_lease("second")
    warehouse.note_written({tmp_path / "out.csv": "another"})
    assert warehouse.written_digest(tmp_path / "out.csv") == "another"
    with pytest.raises(SourceError, match="does not own contacts in contract") as caught:
        warehouse.check_write_back(STATUS_COLUMNS)
    advice = str(caught.value).partition("Its owner can: ")[2].partition(". Or use")[0]
    postgres.sql(advice)
    warehouse.check_write_back(STATUS_COLUMNS)
    plan_of(warehouse)
    saved(warehouse, {"ann@a.test": "null_mx"})
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    assert warehouse.summary().by_reason == {"null_mx": 1}
    warehouse.close()
    postgres.sql("revoke update (mailvet_status) on contacts from reader")
    warehouse = open_table(role, "contacts")
    with pytest.raises(SourceError, match=r"grant update \(\"mailvet_status\"\) on"):
        warehouse.check_write_back(STATUS_COLUMNS)
    warehouse.close()


_WITH_COLUMNS = (
    "alter table contacts add mailvet_status text, add mailvet_reason text, add mailvet_recommendation text, "
    "add mailvet_score smallint, add mailvet_suggestion text, add mailvet_checked_at timestamptz"
)


def test_status_columns_that_may_not_be_read_are_told_before_anybody_is_asked(
    postgres: PostgresPlace, role: str
) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql(_WITH_COLUMNS)
    saved(postgres.opened(), {})
    postgres.sql("grant usage on schema public to reader; grant select (email), update on contacts to reader")
    postgres.sql("grant select, insert, update, delete on mailvet_verdicts, mailvet_runs, mailvet_servers to reader")
    warehouse = open_table(role, "contacts")
    with pytest.raises(SourceError, match=r"grant select \(\"mailvet_status\", .*Nothing was checked") as caught:
        warehouse.check_write_back(STATUS_COLUMNS)
    postgres.sql(str(caught.value).partition("columns of contacts in contract: ")[2].partition(". Nothing")[0])
    assert written(warehouse) == 1
    warehouse.close()


def test_rows_that_a_policy_keeps_from_us_are_left_alone(postgres: PostgresPlace, role: str) -> None:
    postgres.contacts("ann@a.test", "ann@a.test", "ann@a.test")
    postgres.sql(_WITH_COLUMNS)
    saved(postgres.opened(), {})
    postgres.sql(
        "grant usage on schema public to reader; grant select, update on contacts to reader; "
        "grant select, insert, update, delete on mailvet_verdicts, mailvet_runs, mailvet_servers to reader; "
        "alter table contacts enable row level security; create policy seen on contacts for select "
        "using (id < 3); create policy ours on contacts for update using (id = 1)"
    )
    warehouse = open_table(role, "contacts")
    assert plan_of(warehouse).rows == 2
    assert written(warehouse) == 1
    assert postgres.sql("select id from contacts where mailvet_status is not null") == [(1,)]
    postgres.sql("create policy none on contacts as restrictive for update with check (mailvet_status is null)")
    saved(warehouse, {"ann@a.test": "null_mx"})
    with pytest.raises(SourceError, match="row-level security policy"):
        warehouse.write_back(STATUS_COLUMNS)
    warehouse.close()


def test_a_user_whose_sessions_are_read_only_is_told_so(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    with pytest.raises(SourceError, match="sessions of the user postgres are read-only"):
        open_table(postgres.database + "?options=-cdefault_transaction_read_only%3Don", "contacts", writable=False)


@pytest.mark.parametrize("made", ["table mailvet_verdicts (email text)", "view mailvet_runs as select 1 as run_id"])
def test_a_table_of_somebody_elses_that_is_called_like_ours_is_told(postgres: PostgresPlace, made: str) -> None:
    postgres.contacts("ann@a.test")
    postgres.sql(f"create {made}")
    with pytest.raises(SourceError, match=r"mailvet_\w+ is not as mailvet makes it: it has no column \w+. Rename it"):
        postgres.opened()


# -------------------------------------------------------------------- whose answer it is


def test_an_answer_finds_its_rows_with_and_without_its_address_stored(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test", "bob@b.test", "Bob@b.test", None, "bob@b.test")
    warehouse = saved(postgres.opened(), {"ann@a.test": "mailbox_accepted", "": "syntax_invalid"})
    warehouse.save(answers({"bob@b.test": "null_mx"}, email=None))
    assert warehouse.write_back(("reason",)) == 3  # a blank cell is missing, whatever is stored
    assert postgres.sql("select email, mailvet_reason from contacts order by id") == [
        ("ann@a.test", "mailbox_accepted"),
        ("bob@b.test", "null_mx"),
        ("Bob@b.test", None),
        (None, None),
        ("bob@b.test", "null_mx"),
    ]
    assert warehouse.write_back(("reason",)) == 0


def test_a_text_that_postgresql_cannot_hold_gives_its_answer_to_nobody_else(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    warehouse = saved(postgres.opened(), {"ann\0@a.test": "syntax_invalid"})
    assert warehouse.write_back(("reason",)) == 0
    saved(warehouse, {"ann@a.test": "mailbox_accepted"})
    assert warehouse.write_back(("reason",)) == 1
    assert postgres.sql("select mailvet_reason from contacts") == [("mailbox_accepted",)]


def test_verdicts_without_their_text_are_found_without_reading_the_others(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    saved(postgres.opened(), {f"n{n}@a.test": "mailbox_accepted" for n in range(5000)})
    postgres.sql("analyze mailvet_verdicts")
    plan = postgres.sql("explain select from mailvet_verdicts where email is null")
    assert "mailvet_verdicts_unnamed" in str(plan)


def test_spellings_fold_as_python_folds_them(postgres: PostgresPlace) -> None:
    blanks = [chr(code) for code in range(1, 0x3001) if chr(code).isspace()]
    texts = ["", "A", "Ann@A.Test", "ÉVA@a.test", "straße@A.test", "Ann\u0301@A.test", "~A~", "!A", "\x7fA\x7f"]
    for blank in blanks:
        texts += [blank, f"{blank}Aé", f"Aé{blank}", f"{blank}A@b", f"A@b{blank}{blank}", f"A{blank}B", f"\x01{blank}A"]
    postgres.contacts(*texts)
    warehouse = postgres.opened()
    plan_of(warehouse)
    session = getattr(warehouse, "_session")  # noqa: B009
    folded = session.rows(f"select email, folded from {session.staged['cells']}")
    assert dict(folded) == {text: text.strip().lower() for text in texts}


# -------------------------------------------------------------------- opening


def test_a_url_in_any_form_and_an_engine_reach_the_same_table(postgres: PostgresPlace) -> None:
    postgres.contacts("ann@a.test")
    rest = postgres.database.partition("://")[2]
    forms: list[Any] = [
        f"{kind}://{rest}" for kind in ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2")
    ]
    engine = sa.create_engine(f"postgresql+psycopg://{rest}")
    for database in (*forms, engine):
        warehouse = open_table(database, "contacts")
        assert plan_of(warehouse).due == 1
        warehouse.close()
    with engine.connect() as connection:  # the engine still serves its owner
        assert connection.execute(sa.text("select count(*) from contacts")).scalar() == 1
    engine.dispose()
    saved(postgres.opened(), {"ann@a.test": "mailbox_accepted"})
    store = open_store(postgres.database, read_only=True)
    assert (store.stored("ann@a.test") or {})["reason"] == "mailbox_accepted"
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/crm",
        "postgresql://ann:s3cret@127.0.0.1:port/crm",
        "mysql://ann:s3cret@127.0.0.1:1/crm",
        "mariadb://ann:s3cret@[/crm",
        "mssql://ann:s3cret@nowhere/crm",
        "snowflake://ann:s3cret@account/crm",
        "oracle://ann:s3cret@127.0.0.1/crm",
        "nonsense://ann:s3cret@x/y",
    ],
)
def test_what_cannot_be_opened_is_told_without_the_password(url: str) -> None:
    with pytest.raises((SourceError, SettingsError)) as caught:
        open_table(url, "contacts")
    assert "s3cret" not in str(caught.value)
    if url.startswith(("mssql", "snowflake")):
        assert "pip install" in str(caught.value)
