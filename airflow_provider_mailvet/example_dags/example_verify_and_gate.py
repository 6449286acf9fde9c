"""Verify the contacts before a campaign and hand over the lists.

The verdicts are written beside the contacts, and the addresses it would bounce at are left out.

Connections: `crm` (the database; DuckDB or PostgreSQL) and `mail` (of the type mailvet). Change the constants, or set
the environment variables of these names.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

DATABASE = os.environ.get("MAILVET_EXAMPLE_CONN", "crm")
TABLE = os.environ.get("MAILVET_EXAMPLE_TABLE", "contacts")
MAIL = os.environ.get("MAILVET_EXAMPLE_MAIL_CONN", "mail")

with DAG(
    "mailvet_verify_and_gate",
    schedule=None,
    catchup=False,
    tags=["mailvet"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
) as dag:
    verify = MailvetVerifyOperator(
        task_id="verify",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        wait_for_greylisting="2h",
        deferrable=True,
    )
    gate = MailvetCheckOperator(
        task_id="gate",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        among=["send"],
        max_bounce_rate="2%",
        max_age="30d",
    )
    lists = MailvetExportOperator(
        task_id="lists",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        output_table="audience",
        if_exists="replace",
    )

    @task
    def send(lists: Any) -> int:
        """Here your campaign begins: it reads the table `audience_send`."""
        return int(lists["audience_send"])

    verify >> gate >> lists
    send(lists.output)
