"""The operators on PostgreSQL: mapped shards, and tables, rights and rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG, task

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from airflow_provider_mailvet.shards import plan_shards
from mailvet.lab import Lab
from tests.airflow.conftest import CELLS, MISSING, PEOPLE, RunDag, connect
from tests.postgresql import PostgresServer
from tests.probing import asked


@pytest.fixture
def database(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A database with the table `contacts`, and the Airflow connection `crm` to it."""
    url = postgres_server.new_database("airflow_crm")
    connect(
        monkeypatch,
        "crm",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="airflow_crm",
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table contacts (id int generated always as identity primary key, email text)")
        with connection.cursor() as cursor:
            cursor.executemany("insert into contacts (email) values (%s)", [(cell,) for cell in CELLS])
        yield connection


def test_mapped_tasks_own_whole_operators_and_leave_no_row_out(
    run_dag: RunDag, database: psycopg.Connection[Any], lab: Lab, lab_connection: str
) -> None:
    with DAG("mapped") as dag:

        @task
        def shards() -> list[dict[str, Any]]:
            return plan_shards(conn_id="crm", table="contacts", shards=2, mailvet_conn_id=lab_connection)

        MailvetVerifyOperator.partial(
            task_id="verify", conn_id="crm", table="contacts", mailvet_conn_id=lab_connection
        ).expand(shard=shards())
    done = run_dag(dag)
    assert done.state == "success"
    first, second = done.xcom("verify", 0), done.xcom("verify", 1)
    assert first["rows"] + second["rows"] == len(CELLS)
    assert {row["name"] for row in first["operators"]}.isdisjoint({row["name"] for row in second["operators"]})
    assert len(first["operators"]) + len(second["operators"]) == 3
    # Every row has its answer but those without an address, which are missing.
    unanswered = database.execute("select email from contacts where mailvet_status is null order by id").fetchall()
    assert unanswered == [(None,), (" ",)]
    assert first["missing"] + second["missing"] == MISSING
    owners = database.execute("select count(distinct shard), count(*) from mailvet_shards group by plan_id").fetchall()
    assert owners == [(2, 4)]
    assert sum(asked(lab)[address] for address in PEOPLE) <= len(PEOPLE) + 2
    assert all(set(shard) == {"plan_id", "shard"} for shard in done.xcom("shards"))


@pytest.mark.parametrize("day", ["all fresh", "empty table", "no row meets the condition"])
def test_a_day_without_anything_due_is_a_success_and_what_comes_after_the_verification_runs(
    run_dag: RunDag, database: psycopg.Connection[Any], lab: Lab, lab_connection: str, day: str
) -> None:
    where = "false" if day.startswith("no row") else None
    if day == "empty table":
        database.execute("delete from contacts")
    with DAG("quiet_day") as dag:

        @task
        def shards() -> list[dict[str, Any]]:
            return plan_shards(conn_id="crm", table="contacts", shards=3, mailvet_conn_id=lab_connection, where=where)

        verify = MailvetVerifyOperator.partial(
            task_id="verify",
            conn_id="crm",
            table="contacts",
            mailvet_conn_id=lab_connection,
            where=where,
            max_undeliverable_rate="50%",
        ).expand(shard=shards())
        gate = MailvetCheckOperator(
            task_id="gate", conn_id="crm", table="contacts", mailvet_conn_id=lab_connection, where=where
        )
        verify >> gate
    if day == "all fresh":
        MailvetVerifyOperator(
            task_id="before",
            conn_id="crm",
            table="contacts",
            mailvet_conn_id=lab_connection,
            outlets=[],
            wait_for_greylisting="20s",
        ).execute({})
        lab.reset_counters()
    done = run_dag(dag)
    assert (done.state, done.tasks) == (
        "success",
        {("shards", -1): "success", ("verify", 0): "success", ("gate", -1): "success"},
    )
    assert not asked(lab)
    assert done.xcom("verify", 0)["checked"] == 0
    assert done.xcom("gate")["passed"] is True
    assert done.xcom("gate")["rows"] == (len(CELLS) if day == "all fresh" else 0)
