"""The operators on PostgreSQL: mapped shards, and tables, rights and rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG, task

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from airflow_provider_mailvet.shards import plan_shards
from mailvet.lab import Lab
from tests.airflow.conftest import CELLS, PEOPLE, RunDag, connect
from tests.core.probing import asked
from tests.postgresql import PostgresServer


@pytest.fixture
def database(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A database with the table `contacts`, and the Airflow connection `crm` to it."""
    url = postgres_server.new_database("airflow_crm")
    connect(
        monkeypatch, "crm", conn_type="postgres", host="127.0.0.1", port=postgres_server.port, login="postgres",
        schema="airflow_crm",
    )  # fmt: skip
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
    assert database.execute("select count(*) from contacts where mailvet_status is null").fetchone() == (0,)
    owners = database.execute("select count(distinct shard), count(*) from mailvet_shards group by plan_id").fetchall()
    assert owners == [(2, 4)]
    assert sum(asked(lab)[address] for address in PEOPLE) <= len(PEOPLE) + 2
    assert all(set(shard) == {"plan_id", "shard"} for shard in done.xcom("shards"))
