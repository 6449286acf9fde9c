"""No address leaves the warehouse: not into logs at DEBUG, XCom, rendered fields, links, assets or lineage."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk import DAG

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from tests.airflow.conftest import HOME, RunDag, connect
from tests.postgresql import PostgresServer

# Put together here, because Airflow keeps the source of every file with a DAG, and this is one.
SECRETS = [".".join(name) for name in (("secret", "person"), ("other", "secret"), ("shy", "secret"))]
CELLS = [
    f"{SECRETS[0]}@acme.test",
    f"{SECRETS[1]}@null.test",
    f"{SECRETS[2].title()}@grey.test",
    f"{SECRETS[1]}(at)acme",
]


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    root = logging.getLogger()
    before = root.level
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "airflow", "airflow.task", "mailvet", "psycopg"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield caplog
    root.setLevel(before)


def leaks(text: str) -> list[str]:
    return [word for word in SECRETS if word in text.lower()]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_no_address_is_left_anywhere_in_airflow(
    kind: str,
    run_dag: RunDag,
    lab_connection: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    postgres_server: PostgresServer,
    metadata_database: Path,
) -> None:
    if kind == "duckdb":
        import duckdb

        with duckdb.connect(str(tmp_path / "crm.duckdb")) as database:
            database.execute("create table people as select unnest($1::varchar[]) as email", [CELLS])
        connect(monkeypatch, "private", conn_type="duckdb", host=str(tmp_path / "crm.duckdb"))
    else:
        with psycopg.connect(postgres_server.new_database("airflow_private"), autocommit=True) as connection:
            connection.execute("create table people (email text)")
            for cell in CELLS:
                connection.execute("insert into people values (%s)", (cell,))
        connect(
            monkeypatch,
            "private",
            conn_type="postgres",
            host="127.0.0.1",
            port=postgres_server.port,
            login="postgres",
            schema="airflow_private",
        )
    common: dict[str, Any] = {"conn_id": "private", "table": "people", "mailvet_conn_id": lab_connection}
    with DAG(f"private_{kind}") as dag:
        verify = MailvetVerifyOperator(task_id="verify", wait_for_greylisting="9s", deferrable=True, **common)
        gate = MailvetCheckOperator(task_id="gate", max_undeliverable_rate=0, on_failure="warn", **common)
        lists = MailvetExportOperator(task_id="lists", output_table="audience", **common)
        # A cast of the cells makes PostgreSQL and DuckDB quote one in their error.
        broken = MailvetVerifyOperator(task_id="broken", where="cast(email as integer) > 0", **common)
        gated = MailvetVerifyOperator(
            task_id="gated", max_undeliverable_rate=0, trigger_rule="all_done", write_back=False, outlets=[], **common
        )
        verify >> gate >> lists >> broken >> gated
    done = run_dag(dag)
    assert done.tasks[("verify", -1)] == done.tasks[("lists", -1)] == "success"
    assert done.tasks[("broken", -1)] == done.tasks[("gated", -1)] == "failed"
    assert done.xcom("gated")["by_status"]["undeliverable"] == len(CELLS)  # what failed the gate can be seen

    captured = capfd.readouterr()
    logged = everything_logged.text + captured.out + captured.err
    assert "addresses verified" in logged
    assert leaks(logged) == []
    for file in HOME.rglob("*"):
        if file.is_file():
            assert leaks(file.read_bytes().decode("latin-1")) == [], file.name


def test_lineage_names_tables_and_shares_only(crm: Path, metadata_database: Path, lab_connection: str) -> None:
    operator = MailvetVerifyOperator(
        task_id="verify",
        conn_id="crm",
        table="contacts",
        mailvet_conn_id=lab_connection,
        depth="offline",
        max_undeliverable_rate=0.9,
        outlets=[],
    )
    operator.execute({})
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert [dataset.name for dataset in lineage.inputs] == ["contacts"]
    assert [dataset.name for dataset in lineage.outputs] == ["mailvet_verdicts", "contacts"]
    facet = lineage.inputs[0].facets["dataQualityAssertions"]
    found = {row.assertion: (row.success, row.column, row.expected) for row in facet.assertions}
    assert found["email_undeliverable_rate"] == (True, "email", "<= 0.9")
    assert "@" not in str(lineage)
