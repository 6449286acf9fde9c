"""Databases that SQLAlchemy reaches, in the hands of other people: engines, locks, sessions that end."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailvet.errors import LockedError, SourceError
from mailvet.warehouse.dialects import SQLite
from mailvet.warehouse.opening import open_table
from tests.mariadb import MariaDBServer
from tests.warehouse.answers import answers, plan_of
from tests.warehouse.places import MariaDBPlace, SQLitePlace
from tests.warehouse.test_contract import due, saved

_REFUSES_BOB = (
    "create trigger no before update on contacts for each row begin if new.id = 2 then "
    "signal sqlstate '45000' set message_text = 'hands off'; end if; end"
)


@pytest.fixture
def mariadb(mariadb_server: MariaDBServer) -> Iterator[MariaDBPlace]:
    """MariaDB, empty."""
    place = MariaDBPlace(mariadb_server)
    yield place
    place.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLitePlace]:
    """SQLite, empty."""
    place = SQLitePlace(tmp_path / "crm.db")
    yield place
    place.close()


# -------------------------------------------------------------------- tables without transactions


def test_verdicts_have_transactions_whatever_the_server_does_by_default(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test")
    mariadb.sql("set global default_storage_engine = 'MyISAM'")
    try:
        saved(mariadb.opened(), {"ann@a.test": "mailbox_accepted"})
    finally:
        mariadb.sql("set global default_storage_engine = 'InnoDB'")
    engines = mariadb.sql("select distinct engine from information_schema.tables where table_name like 'mailvet_%'")
    assert engines == [("InnoDB",)]


def test_in_a_table_without_transactions_each_row_is_right_and_the_next_run_goes_on(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test", "bob@b.test")
    mariadb.sql("alter table contacts engine = MyISAM")
    warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    mariadb.sql(_REFUSES_BOB)
    with pytest.raises(SourceError, match="hands off"):
        warehouse.write_back(("reason",))
    assert mariadb.columns() == ["id", "email", "country"]  # the columns that were added for it are gone
    mariadb.sql("drop trigger no")
    assert warehouse.write_back(("reason",)) == 2
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    mariadb.sql(_REFUSES_BOB)
    with pytest.raises(SourceError, match="hands off"):
        warehouse.write_back(("reason",))
    assert set(mariadb.sql("select id, mailvet_reason from contacts")) == {(1, "mailbox_accepted"), (2, "null_mx")}
    mariadb.sql("drop trigger no")
    assert warehouse.write_back(("reason",)) == 1


def test_in_a_table_with_transactions_all_rows_are_written_or_none(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    assert warehouse.write_back(("reason",)) == 2
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    mariadb.sql(_REFUSES_BOB)
    with pytest.raises(SourceError, match="hands off"):
        warehouse.write_back(("reason",))
    assert mariadb.sql("select distinct mailvet_reason from contacts") == [("null_mx",)]


# -------------------------------------------------------------------- tables for the moment


def test_where_there_are_no_temporary_tables_those_of_runs_long_dead_are_cleared_away(
    sqlite: SQLitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "has_temporary", False)
    monkeypatch.setattr(SQLite, "temporary", "create table {name} as {query}")
    monkeypatch.setattr(SQLite, "index", None)
    sqlite.contacts("ann@a.test")
    others = {f"mailvet_stage_{day}_0123abcd_cells" for day in ("20200101", "29990101")} | {"mailvet_stage_of_mine"}
    for name in others:
        sqlite.sql(f"create table {name} (x int)")
    warehouse = sqlite.opened()
    plan_of(warehouse)
    assert len(sqlite.tables() - others) > 1  # its own are there for as long as it runs
    saved(warehouse, {"ann@a.test": "null_mx"})
    assert warehouse.write_back(("reason",)) == 1
    warehouse.close()
    kept = others - {"mailvet_stage_20200101_0123abcd_cells"}
    assert sqlite.tables() == {"contacts", "mailvet_verdicts", "mailvet_runs", "mailvet_servers"} | kept


# -------------------------------------------------------------------- other sessions


def test_a_session_killed_during_the_write_back_leaves_every_row_as_it_was(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    warehouse.write_back(("reason",))
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    mariadb.sql("begin")
    mariadb.sql("select * from contacts where id = 2 for update")
    outcome: list[object] = []

    def write_back() -> None:
        try:
            outcome.append(warehouse.write_back(("reason",)))
        except SourceError as error:
            outcome.append(error)

    thread = threading.Thread(target=write_back)
    thread.start()
    query = "select id from information_schema.processlist where info like 'update%' and id <> connection_id()"
    while not (found := mariadb.sql(query)):
        time.sleep(0.01)
    mariadb.sql(f"kill {found[0][0]}")
    thread.join()
    mariadb.sql("rollback")
    assert "connection to the database was lost" in str(outcome[0])
    assert mariadb.sql("select distinct mailvet_reason from contacts") == [("null_mx",)]
    mariadb.close_warehouses()
    assert mariadb.opened().write_back(("reason",)) == 2


def test_a_row_locked_by_another_session_is_a_clear_error(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test", "bob@b.test")
    mariadb.sql("set global innodb_lock_wait_timeout = 1")
    try:
        warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    finally:
        mariadb.sql("set global innodb_lock_wait_timeout = 50")
    warehouse.write_back(("reason",))
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_accepted"})
    mariadb.sql("begin")
    mariadb.sql("select * from contacts where id = 2 for update")
    with pytest.raises(LockedError, match="another session holds a lock"):
        warehouse.write_back(("reason",))
    mariadb.sql("rollback")
    assert mariadb.sql("select distinct mailvet_reason from contacts") == [("null_mx",)]
    assert warehouse.write_back(("reason",)) == 2


def test_a_column_renamed_meanwhile_is_told_and_no_column_is_left_behind(mariadb: MariaDBPlace) -> None:
    mariadb.contacts("ann@a.test")
    warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx"})
    mariadb.sql("alter table contacts change email mail varchar(300)")
    with pytest.raises(SourceError, match=r"Unknown column 'email'.*stays saved"):
        warehouse.write_back(("reason",))
    assert mariadb.columns() == ["id", "mail", "country"]


def test_a_partitioned_table_is_written_like_any_other(mariadb: MariaDBPlace) -> None:
    mariadb.sql("create table contacts (id int, email varchar(300)) partition by hash (id) partitions 3")
    mariadb.sql("insert into contacts values (1, 'ann@a.test'), (2, 'bob@b.test')")
    warehouse = saved(mariadb.opened(), {"ann@a.test": "null_mx", "bob@b.test": "null_mx"})
    assert [warehouse.write_back(("reason",)) for _ in range(2)] == [2, 0]


def test_a_file_that_another_process_writes_to_is_a_clear_error(sqlite: SQLitePlace) -> None:
    sqlite.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(open_table(f"{sqlite.database}?timeout=0.1", "contacts"), {"ann@a.test": "null_mx"})
    plan_of(warehouse)
    with sqlite3.connect(sqlite.database.removeprefix("sqlite:///")) as other:
        other.execute("begin immediate")
        with pytest.raises(LockedError, match=r"another session holds a lock.*stays saved"):
            warehouse.save(answers({"bob@b.test": "null_mx"}))
        with pytest.raises(LockedError, match="another session holds a lock"):
            warehouse.write_back(("reason",))
        other.rollback()
    assert due(warehouse) == ["bob@b.test"]
    assert warehouse.write_back(("reason",)) == 1
    warehouse.close()
