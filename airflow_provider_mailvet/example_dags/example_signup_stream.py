"""Every few minutes: verify the addresses of new sign-ups, while the person is still there to correct a typing error.

The policy `signup` lets pass what is not known to be bad; `mailvet_suggestion` holds what was probably meant.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

DATABASE = os.environ.get("MAILVET_EXAMPLE_CONN", "crm")
TABLE = os.environ.get("MAILVET_EXAMPLE_TABLE", "contacts")
MAIL = os.environ.get("MAILVET_EXAMPLE_MAIL_CONN", "mail")

with DAG(
    "mailvet_signup_stream",
    schedule=timedelta(minutes=5),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["mailvet"],
    doc_md=__doc__,
) as dag:
    MailvetVerifyOperator(
        task_id="verify",
        conn_id=DATABASE,
        table=TABLE,
        mailvet_conn_id=MAIL,
        policy="signup",
        max_addresses=2_000,
        on_degraded="warn",
        execution_timeout=timedelta(minutes=4),
    )
