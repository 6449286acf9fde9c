"""The campaign DAG on PostgreSQL under a real Airflow: scheduler, triggerer and API server, each a process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest

import airflow_provider_mailvet
from mailvet.lab import Lab
from tests.airflow.conftest import CELLS
from tests.postgresql import PostgresServer

ROOT = Path(airflow_provider_mailvet.__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    config, home, port = tmp_path / "mailvet.toml", tmp_path / "home", free_port()
    config.write_text(session_lab.config().replace('["2s", "4s"]', '["1s", "1s", "1s"]'))
    (home / "dags").mkdir(parents=True)
    examples = Path(airflow_provider_mailvet.__file__).parent / "example_dags"
    shutil.copy(examples / "example_verify_and_gate.py", home / "dags")
    address = f"http://127.0.0.1:{port}"
    crm = {"conn_type": "postgres", "host": "127.0.0.1", "port": postgres_server.port, "login": "postgres",
           "schema": "airflow_standalone"}  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MAILVET_"))}
    environment |= {
        "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/", "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false", "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": address, "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(48), "AIRFLOW_CONN_CRM": json.dumps(crm),
        "AIRFLOW_CONN_MAIL": json.dumps({"conn_type": "mailvet", "extra": {"config": str(config)}}),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    with (tmp_path / "standalone.log").open("w") as log:
        process = subprocess.Popen(
            ["airflow", "standalone"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + 300
        token: list[str] = []

        def call(path: str, body: Any = None) -> Any:
            headers = {"Content-Type": "application/json"}
            if token:
                headers["Authorization"] = f"Bearer {token[0]}"
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{address}{path}", data, headers)
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)

        def wait_for(path: str, wanted: Any, body: Any = None) -> Any:
            while time.monotonic() < until:
                assert process.poll() is None, (tmp_path / "standalone.log").read_text()[-3000:]
                try:
                    found = call(path, body)
                    if wanted(found):
                        return found
                except OSError:
                    pass
                time.sleep(1)
            pytest.fail((tmp_path / "standalone.log").read_text()[-3000:])

        token.append(wait_for("/auth/token", lambda found: True)["access_token"])
        dag = "/api/v2/dags/mailvet_verify_and_gate"
        wait_for(dag, lambda found: True)
        run = wait_for(f"{dag}/dagRuns", lambda found: True, {"logical_date": None})["dag_run_id"]
        done = wait_for(f"{dag}/dagRuns/{run}", lambda found: found["state"] in ("success", "failed"))
        tasks = call(f"{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        assert done["state"] == "success", [(task["task_id"], task["state"]) for task in tasks]
        summary = call(f"{dag}/dagRuns/{run}/taskInstances/verify/xcomEntries/return_value")["value"]
        summary = json.loads(summary) if isinstance(summary, str) else summary
        assert (summary["checked"], summary["pending"]) == (23, 0)
        assert {row["name"]: row["accepted"] for row in summary["operators"]}["grey.test"] == 3
        links = call(f"{dag}/dagRuns/{run}/taskInstances/verify/links")["extra_links"]
        assert links["Verification report"].startswith("/mailvet/runs/mailvet_verify_and_gate/")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with psycopg.connect(url) as database:
        assert database.execute("select count(*) from audience_send").fetchone() == (16,)
    logs = "".join(path.read_text(errors="replace") for path in (home / "logs").rglob("*") if path.is_file())
    assert "without a worker" in logs, "the task did not defer"
    assert "@acme.test" not in logs
