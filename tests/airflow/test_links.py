"""Where the link from a task leads."""

from __future__ import annotations

import pytest
from airflow.sdk.types import TaskInstanceKey

from airflow_provider_mailvet.links import VerificationReportLink
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator


@pytest.mark.parametrize(
    ("base", "begins"),
    [("http://airflow.example.com", "/mailvet/"), ("https://tools.example.com/airflow/", "/airflow/mailvet/")],
)
def test_the_link_leads_to_the_page_also_behind_a_path_of_a_proxy(
    base: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    operator = MailvetVerifyOperator(task_id="verify", conn_id="crm", table="contacts")
    key = TaskInstanceKey(
        dag_id="cam paign", task_id="verify", run_id="manual__2026-11-01T00:00:00+00:00", map_index=-1
    )
    link = VerificationReportLink().get_link(operator, ti_key=key)
    assert link == begins + "runs/cam%20paign/manual__2026-11-01T00%3A00%3A00%2B00%3A00/verify/-1"
