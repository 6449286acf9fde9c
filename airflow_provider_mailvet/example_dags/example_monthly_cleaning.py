"""Every month: verify again what is due, at most so many addresses a night, and keep the suppression list up to date.

What is due is known to the verdicts: each has a time at which it should be looked at again, so addresses that were
checked last week are not asked this month.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

DATABASE = os.environ.get("MAILVET_EXAMPLE_CONN", "crm")
TABLE = os.environ.get("MAILVET_EXAMPLE_TABLE", "contacts")
MAIL = os.environ.get("MAILVET_EXAMPLE_MAIL_CONN", "mail")

with DAG(
    "mailvet_monthly_cleaning",
    schedule="@monthly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["mailvet"],
    doc_md=__doc__,
) as dag:
    clean = MailvetVerifyOperator(
        task_id="clean",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        max_addresses=200_000,
        on_degraded="warn",
        wait_for_greylisting="6h",
        deferrable=True,
        execution_timeout=timedelta(hours=8),
        retries=2,
    )
    suppress = MailvetExportOperator(
        task_id="suppress",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        output_table="contacts",
        lists=["do_not_send"],
        key_columns=["id"],
        columns=["reason", "checked_at"],
        if_exists="replace",
    )
    clean >> suppress
