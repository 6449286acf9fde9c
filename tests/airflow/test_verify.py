"""The verify operator on DuckDB, in DAGs that run in this process."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from tests.airflow.conftest import RunDag, rows


def test_the_answers_stand_beside_the_addresses(run_dag: RunDag, crm: Path, lab_connection: str) -> None:
    with DAG("plain") as dag:
        MailvetVerifyOperator(task_id="verify", conn_id="crm", table="contacts", mailvet_conn_id=lab_connection)
    done = run_dag(dag)
    assert done.state == "success"
    print(done.xcom("verify"))
    print(done.asset_events())
    print(rows(crm, "from contacts"))
    assert 0
