"""The campaign DAG on PostgreSQL under a real Airflow: scheduler, triggerer and API server, each a process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psycopg
import pytest

import airflow_provider_mailvet
from mailvet.lab import Lab
from mailvet.lab.world import MAIL_FROM
from tests.airflow.conftest import CELLS
from tests.airflow.deployment import Deployment
from tests.postgresql import PostgresServer


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_campaign_runs_under_standalone_with_its_deferral(
    postgres_server: PostgresServer, session_lab: Lab, tmp_path: Path
) -> None:
    url = postgres_server.new_database("airflow_standalone")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("create table contacts (id int generated always as identity primary key, email text)")
        with database.cursor() as cursor:
            cursor.executemany("insert into contacts (email) values (%s)", [(cell,) for cell in CELLS])
    config = tmp_path / "mailvet.toml"
    config.write_text(session_lab.config().replace('["2s", "4s"]', '["1s", "1s", "1s"]'))
    with Deployment(tmp_path) as airflow:
        examples = Path(airflow_provider_mailvet.__file__).parent / "example_dags"
        shutil.copy(examples / "example_verify_and_gate.py", airflow.home / "dags")
        airflow.environment |= {
            "AIRFLOW_CONN_CRM": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": "127.0.0.1",
                    "port": postgres_server.port,
                    "login": "postgres",
                    "schema": "airflow_standalone",
                }
            ),
            # A sender of its own: greylisting servers remember whom they have seen.
            "AIRFLOW_CONN_MAIL": json.dumps(
                {"conn_type": "mailvet", "login": f"standalone.{MAIL_FROM}", "extra": {"config": str(config)}}
            ),
        }
        airflow.start("standalone", ["airflow", "standalone"])
        run, state, tasks = airflow.run_dag("mailvet_verify_and_gate")
        assert state == "success", [(task["task_id"], task["state"]) for task in tasks]
        summary = airflow.xcom(run, "verify")
        assert (summary["checked"], summary["pending"]) == (23, 0)
        assert {row["name"]: row["accepted"] for row in summary["operators"]}["grey.test"] == 3
        links = airflow.call(f"{run}/taskInstances/verify/links")["extra_links"]
        assert links["Verification report"].startswith("/mailvet/runs/mailvet_verify_and_gate/")
    with psycopg.connect(url) as database:
        assert database.execute("select count(*) from audience_send").fetchone() == (16,)
    logs = airflow.task_logs()
    assert "without a worker" in logs, "the task did not defer"
    assert "@acme.test" not in logs
