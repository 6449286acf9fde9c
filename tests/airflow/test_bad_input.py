"""What does not fit fails the task at once, says what to do, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from airflow_provider_mailvet.shards import plan_shards
from mailvet.lab import Lab
from tests.airflow.conftest import PEOPLE, connect
from tests.core.probing import asked
from tests.postgresql import PostgresServer


def verify(**arguments: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"conn_id": "crm", "table": "contacts", "mailvet_conn_id": "mail_lab", **arguments}
    return MailvetVerifyOperator(task_id="verify", outlets=[], **given).execute({})


def refused(match: str, lab: Lab, **arguments: Any) -> str:
    with pytest.raises(AirflowFailException, match=match) as failure:
        verify(**arguments)
    assert not asked(lab), "somebody was asked"
    assert "@" not in str(failure.value)
    return str(failure.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"conn_id": "nowhere"}, "nowhere.*Make the Airflow connection"),
        ({"mailvet_conn_id": "nowhere"}, "nowhere"),
        ({"table": "customers"}, "no table customers.*there are: contacts"),
        ({"email_column": "mail"}, "no column mail.*there are: id, email"),
        ({"email_column": "id"}, "not text"),
        ({"where": "emial is not null"}, "--where does not work|does not work"),
        ({"where": "true); drop table contacts; --"}, "statement|does not work"),
        ({"columns": ["mood"]}, "no status column 'mood'"),
        ({"key_columns": ["number"]}, "no column number"),
        ({"depth": "deep"}, "depth"),
        ({"max_undeliverable_rate": "a few"}, "max_undeliverable_rate: 'a few' is no share"),
        ({"max_addresses": "-3"}, "max_addresses='-3': give a whole number"),
        ({"wait_for_greylisting": "soon"}, "wait_for_greylisting: 'soon' is no duration"),
        ({"shard": {"plan_id": "p", "shard": 0}}, "one writer at a time"),
    ],
)
def test_it_is_refused_before_anything_is_asked(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, arguments: dict[str, Any], match: str
) -> None:
    refused(match, lab, **arguments)


def test_duckdb_files_that_are_missing_unnamed_or_held(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, "crm", conn_type="duckdb", host=str(crm.with_name("none.duckdb")))
    refused("There is no file", lab)
    assert not crm.with_name("none.duckdb").exists()
    connect(monkeypatch, "crm", conn_type="duckdb")
    refused("names no DuckDB file", lab)
    connect(monkeypatch, "crm", conn_type="duckdb", host=str(crm))
    with pytest.raises(AirflowFailException, match="never verified in shards"):
        plan_shards(conn_id="crm", table="contacts", shards=2, mailvet_conn_id="mail_lab")


def test_a_duckdb_file_that_another_program_holds_is_named(
    crm: Path, metadata_database: Path, lab: Lab, lab_connection: str
) -> None:
    import subprocess
    import sys

    program = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(crm)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert str(holder.pid) in refused("open in another program", lab)
    finally:
        holder.communicate("", timeout=20)


@pytest.fixture
def database(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    url = postgres_server.new_database("airflow_bad_input")
    connect(
        monkeypatch, "pg", conn_type="postgres", host="127.0.0.1", port=postgres_server.port, login="postgres",
        schema="airflow_bad_input",
    )  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('create table "order" (id int, "select" text, "it""s" text)')
        connection.execute('insert into "order" values (1, %s, %s), (1, null, %s)', (PEOPLE[1], PEOPLE[2], ""))
        connection.execute('create view seen as select * from "order"')
        connection.execute("drop role if exists reader")
        connection.execute("create role reader login")
        connection.execute('grant select on "order" to reader')
        yield connection
        connection.execute("reassign owned by reader to postgres")
        connection.execute("drop owned by reader")


def test_postgresql_views_roles_keys_and_servers_that_do_not_fit(
    database: psycopg.Connection[Any], metadata_database: Path, lab: Lab, lab_connection: str, postgres_server:
    PostgresServer, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    common = {"conn_id": "pg", "table": "order", "email_column": "select"}
    refused("is a view", lab, **{**common, "table": "seen"})
    refused("share the same id", lab, **common, key_columns="id")
    refused("no plan p of shards", lab, **common, shard={"plan_id": "p", "shard": 0})
    refused("does not work", lab, **common, where="id = 'x'")
    connect(monkeypatch, "pg", conn_type="postgres", host="127.0.0.1", port=postgres_server.port, login="reader",
            schema="airflow_bad_input")  # fmt: skip
    assert "grant" in refused("lacks rights", lab, **common)
    connect(monkeypatch, "pg", conn_type="postgres", host="127.0.0.1", port=1, login="reader", schema="x")
    with pytest.raises(AirflowException, match="Connection refused") as failure:  # which the next try may find cured
        verify(**common)
    assert not isinstance(failure.value, AirflowFailException)


def test_reserved_words_and_quotes_in_names_work(
    database: psycopg.Connection[Any], metadata_database: Path, lab: Lab, lab_connection: str
) -> None:
    verify(conn_id="pg", table="order", email_column='it"s', depth="offline")
    assert database.execute('select count(mailvet_status) from "order"').fetchone() == (2,)


def test_a_table_that_another_session_locks_fails_before_anybody_is_asked(
    database: psycopg.Connection[Any], metadata_database: Path, lab: Lab, lab_connection: str,
    monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer,
) -> None:  # fmt: skip
    connect(monkeypatch, "pg", conn_type="postgres", host="127.0.0.1", port=postgres_server.port, login="postgres",
            schema="airflow_bad_input", extra={"options": "-c lock_timeout=300"})  # fmt: skip
    with psycopg.connect(postgres_server.url("airflow_bad_input")) as other:
        other.execute('lock table "order" in access exclusive mode')
        refused("lock", lab, conn_id="pg", table="order", email_column="select")
