"""The verify operator on DuckDB, in DAGs that run in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from mailvet.lab import Lab
from tests.airflow.conftest import CELLS, PEOPLE, SHY, STRANGERS, RunDag, rows
from tests.probing import asked


def test_the_answers_stand_beside_the_addresses_and_the_counts_in_xcom(
    run_dag: RunDag, crm: Path, lab: Lab, lab_connection: str
) -> None:
    with DAG("plain") as dag:
        MailvetVerifyOperator(
            task_id="verify",
            conn_id="crm",
            table="contacts",
            mailvet_conn_id=lab_connection,
            key_columns="id",
            deferrable=True,
            wait_for_greylisting="20s",
        )
    done = run_dag(dag)
    assert done.state == "success"

    # The table: every row has its answer, those that waited for the greylisting server too.
    found = dict(rows(crm, "select email, mailvet_recommendation from contacts where email is not null"))
    assert all(found[address] == "send" for address in PEOPLE)

    assert all(found[address] == "send" for address in SHY)
    assert found["ann@null.test"] == found["ann at acme.test"] == found["stranger0@acme.test"] == "do_not_send"
    assert (
        sum(asked(lab)[address] for address in PEOPLE) <= len(PEOPLE) + 2
    )  # the prober may ask a known recipient again
    assert max(asked(lab)[address] for address in SHY) >= 2

    # XCom: the contract with the page.
    summary = done.xcom("verify")
    assert len(json.dumps(summary)) < 2048
    assert "@" not in json.dumps(summary)
    assert summary["mailvet"] == 1
    assert (summary["rows"], summary["missing"], summary["addresses"], summary["due"]) == (len(CELLS), 2, 23, 23)
    assert summary["checked"] == 23  # however often they were asked
    assert summary["updates"] >= len(CELLS) + len(SHY)  # once when they were kept back, once when they were let in
    assert (summary["pending"], summary["next_check_at"]) == (0, None)
    assert summary["by_status"]["deliverable"] == 16
    assert summary["by_reason"]["mailbox_not_found"] == 4
    assert summary["source"] == "contacts in crm.duckdb"
    assert (summary["conn_id"], summary["table"], summary["health"]) == ("crm", "contacts", "ok")
    operators = {row["name"]: row for row in summary["operators"]}
    assert operators["acme.test"] | {"state": ""} == {
        "name": "acme.test",
        "asked": 17,
        "accepted": 13,
        "refused": 4,
        "unclear": 0,
        "state": "",
    }
    assert operators["grey.test"]["accepted"] == 3
    assert operators["grey.test"]["unclear"] == 0
    assert summary["layers"]["syntax"] == 1

    # The asset's event carries counts, and the link leads to the page.
    ((uri, extra),) = done.asset_events()
    assert uri == "mailvet://crm/contacts"
    assert extra["checked"] == 23
    assert done.xcom("verify", key="_link_VerificationReportLink").startswith("/mailvet/runs/plain/manual__")


def test_a_recheck_asks_fresh_verdicts_again_and_nothing_twice_in_a_dag_run(
    run_dag: RunDag, crm: Path, lab: Lab, lab_connection: str
) -> None:
    def dag_of(name: str, recheck: str | None) -> DAG:
        with DAG(name, params={"which": "reason=mailbox_not_found"}) as dag:
            options: dict[str, Any] = {
                "conn_id": "crm",
                "table": "contacts",
                "mailvet_conn_id": lab_connection,
                "where": "email like '%acme.test'",
                "recheck": recheck,
            }
            # The second asks as a retry would: in the same DAG run.
            MailvetVerifyOperator(task_id="verify", **options) >> MailvetVerifyOperator(task_id="again", **options)
        return dag

    assert run_dag(dag_of("first", None)).state == "success"
    lab.reset_counters()
    done = run_dag(dag_of("rechecked", "{{ params.which }}"))
    assert done.state == "success"
    counts = asked(lab)
    assert [counts[stranger] for stranger in STRANGERS] == [1] * len(STRANGERS)
    assert (done.xcom("verify")["checked"], done.xcom("again")["checked"]) == (4, 0)
