"""A column of the user's is never written over, and none is lost from a result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailvet.errors import SourceError
from mailvet.runs.run import run
from mailvet.runs.sources import open_source
from mailvet.settings import Settings
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.store import Warehouse
from tests.attacks.counting import Tried
from tests.warehouse.answers import answers
from tests.warehouse.places import Place
from tests.warehouse.test_contract import planned


def _verified(warehouse: Warehouse, columns: Sequence[str] = STATUS_COLUMNS) -> int:
    planned(warehouse)
    warehouse.check_write_back(columns)
    warehouse.open_for_writing()
    warehouse.save(answers({"ann@a.test": "mailbox_accepted"}))
    return warehouse.write_back(columns)


def test_the_column_of_addresses_is_no_status_column(place: Place, tried: Tried) -> None:
    tried("columns of the user that would be written over", 1)
    place.sql("create table contacts (id integer, mailvet_status varchar(60))")
    place.sql("insert into contacts values (?, ?)", [(1, "ann@a.test")])
    warehouse = place.opened(column="mailvet_status")
    with pytest.raises(SourceError, match=r"mailvet_status of contacts .* is named as the one of addresses"):
        warehouse.check_write_back(STATUS_COLUMNS)


@pytest.mark.parametrize(
    ("column", "value", "prefix"),
    [
        ("email_status", "vip", "email_"),
        ("mailvet_status", "vip", "mailvet_"),
        ("email_reason", "customer since 2009", "email_"),
        ("email_recommendation", "call", "email_"),
        ("email_suggestion", "buy more", "email_"),
    ],
)
def test_a_column_of_the_users_is_refused_by_name(
    place: Place, column: str, value: str, prefix: str, tried: Tried
) -> None:
    tried("columns of the user that would be written over", 2)
    place.sql(f"create table contacts (email varchar(60), {column} varchar(300))")
    place.sql("insert into contacts values (?, ?)", [("ann@a.test", value)])
    warehouse = place.opened(column="email", prefix=prefix)
    with pytest.raises(SourceError, match=rf"The column {column} of contacts .* holds what mailvet did not write"):
        warehouse.check_write_back(STATUS_COLUMNS)
    with pytest.raises(SourceError, match=column):
        warehouse.export_tables({"send": "list_send"}, STATUS_COLUMNS)
    assert place.sql(f"select {column} from contacts") == [(value,)]


def test_a_score_or_a_time_of_the_users_is_refused(place: Place, tried: Tried) -> None:
    tried("columns of the user that would be written over", 2)
    place.sql(f"create table contacts (email varchar(60), email_score integer, email_checked_at {place.time})")
    place.sql("insert into contacts values (?, ?, ?)", [("ann@a.test", 40, "2026-01-01 00:00:00")])
    warehouse = place.opened(column="email", prefix="email_")
    for name in ("score", "checked_at"):
        with pytest.raises(SourceError, match=f"email_{name}"):
            warehouse.check_write_back([name])


def test_columns_of_an_earlier_run_are_ours_also_with_reasons_of_a_newer_version(place: Place) -> None:
    place.contacts("ann@a.test", None)
    assert _verified(place.opened()) >= 1
    place.sql("update contacts set mailvet_reason = 'a_newer_reason' where id = 1")
    place.sql("update mailvet_verdicts set reason = 'a_newer_reason'")
    place.opened().check_write_back(STATUS_COLUMNS)


def test_an_empty_column_of_our_name_is_taken(place: Place) -> None:
    place.sql("create table contacts (email varchar(60), mailvet_status varchar(60))")
    place.sql("insert into contacts values (?, ?)", [("ann@a.test", None)])
    assert _verified(place.opened(column="email"), ("status",)) == 1


def test_a_result_loses_no_column_of_the_users(tmp_path: Path) -> None:
    source = tmp_path / "contacts.csv"
    source.write_text("email,mailvet_status\nann@a.test,vip\n")
    settings = Settings(depth="offline", store={"path": tmp_path / "store.duckdb"})
    for column in (None, "mailvet_status"):
        warehouse = open_source(str(source), settings, column=column)
        try:
            with pytest.raises(SourceError, match="mailvet_status"):
                run(warehouse, settings, write_back=False, output=tmp_path / "out.csv")
        finally:
            warehouse.close()
    assert not (tmp_path / "out.csv").exists()


def test_a_result_is_verified_again(tmp_path: Path) -> None:
    source, result = tmp_path / "contacts.csv", tmp_path / "out.csv"
    source.write_text("email,id\nann@gmial.com,1\n,2\nnot an address,3\n")
    settings = Settings(depth="offline", store={"path": tmp_path / "store.duckdb"})
    for path in (source, result):
        warehouse = open_source(str(path), settings)
        try:
            run(warehouse, settings, write_back=False, output=result)
        finally:
            warehouse.close()
    assert result.read_text().splitlines()[0].count("mailvet_status") == 1
