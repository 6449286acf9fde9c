"""A task that is stopped loses nothing: the next try asks only what has no reply yet."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from mailvet.lab import Lab, World
from tests.airflow.conftest import RunDag, connect, make_contacts, rows
from tests.probing import asked

PEOPLE = [f"person{number}@slow.test" for number in range(120)]


@pytest.fixture
def slow_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    world = World().host("mx.slow.test").domain("slow.test", [(10, "mx.slow.test")])
    for address in PEOPLE:
        world.mailbox(address)
    with Lab(world, latency=0.3) as lab:
        config = tmp_path / "slow.toml"
        lab.write_config(config)
        connect(
            monkeypatch,
            "slow_lab",
            conn_type="mailvet",
            extra={"config": str(config), "connections_per_operator": 1},
        )
        make_contacts(tmp_path / "crm.duckdb", PEOPLE)
        connect(monkeypatch, "crm", conn_type="duckdb", host=str(tmp_path / "crm.duckdb"))
        yield lab


def operator(**more: Any) -> MailvetVerifyOperator:
    return MailvetVerifyOperator(
        task_id="verify", conn_id="crm", table="contacts", mailvet_conn_id="slow_lab", outlets=[], **more
    )


def test_a_kill_saves_what_was_answered_and_the_retry_goes_on(
    slow_lab: Lab, tmp_path: Path, metadata_database: Path
) -> None:
    first = operator()

    def terminate() -> None:
        until = time.monotonic() + 30
        while sum(asked(slow_lab).values()) < 25 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    # As Airflow's task runner does.
    before = signal.signal(signal.SIGTERM, lambda *_: first.on_kill())
    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        with pytest.raises(AirflowException, match=r"was stopped.*saved"):
            first.execute({})
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)
    ((saved,),) = rows(tmp_path / "crm.duckdb", "select count(*) from mailvet_verdicts")
    assert 10 <= saved < len(PEOPLE)
    known = {
        email
        for (email,) in rows(tmp_path / "crm.duckdb", "select email from mailvet_verdicts where reason <> 'not_probed'")
    }
    slow_lab.reset_counters()
    summary = operator().execute({})
    assert summary["rows"] == len(PEOPLE)
    assert summary["by_status"] == {"deliverable": len(PEOPLE)}
    again = {address for address in asked(slow_lab) if address in known}
    assert len(again) <= 3, "a known recipient or two"


def test_a_timeout_of_the_task_saves_too(run_dag: RunDag, slow_lab: Lab, tmp_path: Path) -> None:
    with DAG("timeout") as dag:
        operator_ = operator(execution_timeout=timedelta(seconds=6))
    assert operator_.dag is dag
    assert run_dag(dag).state == "failed"
    ((saved,),) = rows(tmp_path / "crm.duckdb", "select count(*) from mailvet_verdicts")
    assert saved >= 1


def test_a_limit_leaves_the_rest_due(slow_lab: Lab, tmp_path: Path, metadata_database: Path) -> None:
    summary = operator(max_addresses=7).execute({})
    assert (summary["due"], summary["checked"], summary["updates"]) == (len(PEOPLE), 7, 7)
    assert rows(tmp_path / "crm.duckdb", "select count(mailvet_status) from contacts") == [(7,)]


def test_a_run_without_dns_fails_the_try_or_warns(
    slow_lab: Lab, tmp_path: Path, metadata_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(
        monkeypatch,
        "no_dns",
        conn_type="mailvet",
        extra={
            "config": str(tmp_path / "slow.toml"),
            "nameservers": "127.0.0.1",
            "dns_port": 9,
        },
    )
    pushed: dict[str, Any] = {}

    class Instance:
        dag_id, run_id, task_id, map_index = "dag", "manual__1", "v", -1

        def xcom_push(self, key: str, value: Any) -> None:
            pushed[key] = value

    context: Any = {"ti": Instance()}
    broken: dict[str, Any] = {"mailvet_conn_id": "no_dns"}
    with pytest.raises(AirflowException, match="No DNS answers") as failure:
        MailvetVerifyOperator(task_id="v", conn_id="crm", table="contacts", outlets=[], **broken).execute(context)
    assert not isinstance(failure.value, AirflowFailException)  # a retry may find the network again
    assert pushed["return_value"]["health"].startswith("No DNS answers")
    summary = MailvetVerifyOperator(
        task_id="v", conn_id="crm", table="contacts", outlets=[], on_degraded="warn", **broken
    ).execute(context)
    assert summary["by_recommendation"] == {"reverify": len(PEOPLE)}
    assert not asked(slow_lab)
