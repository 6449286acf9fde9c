"""One table verified by two Celery workers: Redis, metadata in PostgreSQL, every part of Airflow a process."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from mailvet.lab import Lab, World
from mailvet.syntax.missing import is_missing
from tests.airflow.deployment import Deployment, free_port
from tests.postgresql import PostgresServer
from tests.programs import require

OPERATORS = ("north.test", "south.test", "east.test", "west.test")
CAP = 2
"""Connections that may be open to one operator."""

_DAG = """
from airflow.sdk import DAG, task

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from airflow_provider_mailvet.shards import plan_shards

TABLE = {"conn_id": "crm", "table": "contacts", "mailvet_conn_id": "mail"}

with DAG("mailvet_shards", schedule=None):

    @task
    def shards():
        return plan_shards(shards=2, **TABLE)

    MailvetVerifyOperator.partial(task_id="verify", **TABLE).expand_kwargs(
        shards().map(lambda shard: {"shard": shard})
    )
"""


def _world() -> tuple[World, list[str | None]]:
    """Four operators with two domains each; a table of their mailboxes, of strangers, and of cells that are none."""
    world, cells = World(), list[str | None]([None, " ", "ann at north.test", "ann@null.test"])
    for operator in OPERATORS:
        world.host(f"mx.{operator}")
        for name in ("shop", "office"):
            domain = f"{operator.removesuffix('.test')}-{name}.test"
            world.domain(domain, [(10, f"mx.{operator}")])
            people = [f"person{number}@{domain}" for number in range(60)]
            for address in people:
                world.mailbox(address)
            cells += [*people, *(f"stranger{number}@{domain}" for number in range(20))]
    world.domain("null.test", [(0, ".")])
    return world, cells


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_workers_verify_one_table_and_no_operator_is_asked_by_both(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    require("redis-server")
    world, cells = _world()
    metadata = postgres_server.new_database("airflow_celery")
    url = postgres_server.new_database("airflow_celery_crm")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("create table contacts (id int generated always as identity primary key, email text)")
        with database.cursor() as cursor:
            cursor.executemany("insert into contacts (email) values (%s)", [(cell,) for cell in cells])
    redis, config = free_port(), tmp_path / "mailvet.toml"
    with Lab(world, latency=0.05) as lab, Deployment(tmp_path) as airflow:
        config.write_text(f"{lab.config()}\n[pacing]\nconnections_per_operator = {CAP}\n")
        (airflow.home / "dags" / "mailvet_shards.py").write_text(_DAG)
        crm = {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": postgres_server.port,
            "login": "postgres",
            "schema": "airflow_celery_crm",
        }
        airflow.environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.replace("postgresql:", "postgresql+psycopg2:"),
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"redis://127.0.0.1:{redis}/1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW_CONN_CRM": json.dumps(crm),
            "AIRFLOW_CONN_MAIL": json.dumps({"conn_type": "mailvet", "extra": {"config": str(config)}}),
        }
        airflow.start(
            "redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        )
        airflow.run("migrate", ["airflow", "db", "migrate"])
        for part in ("api-server", "scheduler", "dag-processor"):
            airflow.start(part, ["airflow", part])
        for worker in ("first", "second"):
            airflow.start(
                worker, ["airflow", "celery", "worker", "-H", f"{worker}@here", "-c", "1", "--skip-serve-logs"]
            )
        for worker in ("first", "second"):
            airflow.wait_for_log(worker, "ready.")
        run, state, _ = airflow.run_dag("mailvet_shards")
        assert state == "success", airflow.task_logs()[-3000:]
        summaries = [airflow.xcom(run, "verify", shard) for shard in range(2)]
        counters = lab.counters()

    # Every row has an answer, and no address was asked twice for it.
    assert sum(summary["rows"] for summary in summaries) == len(cells)
    with psycopg.connect(url) as database:
        missing = database.execute("select count(*) from contacts where mailvet_status is null").fetchone()
        askers = database.execute(
            "select operator, count(distinct run_id), count(*) from mailvet_verdicts where operator is not null "
            "group by operator"
        ).fetchall()
    assert missing == (sum(map(is_missing, cells)),)
    asked = {address: times for seen in counters.values() for address, times in seen.recipients.items()}
    named = {cell for cell in cells if cell and "@" in cell} - {"ann@null.test"}
    assert named <= set(asked)
    assert max(asked[address] for address in named if address.startswith("stranger")) == 1
    # Whole operators to each shard.
    assert sorted(askers) == sorted((operator, 1, 160) for operator in OPERATORS)
    first, second = ({row["name"] for row in summary["operators"]} for summary in summaries)
    assert first.isdisjoint(second)
    assert len(first) == len(second) == 2
    # Both workers had a part in it, and the cap held.
    taken = {worker: airflow.log(worker).count("] received") for worker in ("first", "second")}
    assert min(taken.values()) >= 1, taken
    assert sum(taken.values()) == 3, taken
    assert max(seen.peak_connections for seen in counters.values()) == CAP
    assert sum(seen.data for seen in counters.values()) == 0
    logs = airflow.task_logs()
    assert not [address for address in named if address in logs]
