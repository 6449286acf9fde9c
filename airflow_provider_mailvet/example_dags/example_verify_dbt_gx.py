"""From the contacts to an audience that is fit to be written to.

Mailvet verifies, dbt joins the verdicts and takes the audience from them, Great Expectations lets it through or does
not, and only then a campaign begins.

Connections: `crm` (a DuckDB file) and `mail` (of the type mailvet). The dbt project is one with the package mailvet,
such as `examples/dbt_project`, which finds the database in `CRM_DATABASE` and the package in `MAILVET_DBT_PATH`. Change
the constants, or set the environment variables of these names. Needs the extras airflow, dbt and gx-duckdb.

A DuckDB file has one writer at a time: the tasks come one after the other, and each closes the file.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, BaseHook, task

from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

DATABASE = os.environ.get("MAILVET_EXAMPLE_CONN", "crm")
TABLE = os.environ.get("MAILVET_EXAMPLE_TABLE", "contacts")
MAIL = os.environ.get("MAILVET_EXAMPLE_MAIL_CONN", "mail")
PROJECT = os.environ.get("MAILVET_EXAMPLE_DBT_PROJECT", "/opt/airflow/dbt/newsletter")

with DAG(
    "mailvet_verify_dbt_gx",
    schedule=None,
    catchup=False,
    tags=["mailvet", "dbt", "great expectations"],
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

    @task
    def dbt_build() -> None:
        """Join the verdicts to the contacts, take the audience from them, test both; in a process of its own."""
        import subprocess
        import sys

        from airflow.sdk.exceptions import AirflowException

        from mailvet.dbt import package_path
        from mailvet.sdk import mask_addresses

        environment = os.environ | {
            "CRM_DATABASE": str(BaseHook.get_connection(DATABASE).host),
            "MAILVET_DBT_PATH": str(package_path()),
        }
        dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--no-use-colors"]
        # The package's lists are for mailvet.offline_checks only, which that project does not use.
        for command in (["deps"], ["build", "--exclude", "package:mailvet,resource_type:seed"]):
            done = subprocess.run(
                [*dbt, *command, "--project-dir", PROJECT, "--profiles-dir", PROJECT],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            print(mask_addresses(done.stdout))
            if done.returncode:
                raise AirflowException(f"dbt {command[0]} ended with {done.returncode}; its words stand above.")

    @task
    def gate() -> dict[str, bool]:
        """Hold the audience against expectations; fail when it is not fit, try again when it cannot be judged."""
        import great_expectations as gx
        from airflow.sdk.exceptions import AirflowException, AirflowFailException

        import ge_expectations as mx
        from ge_expectations.duckdb import connection_string

        config = BaseHook.get_connection(MAIL).extra_dejson.get("config")
        context = gx.get_context(mode="ephemeral")
        source = context.data_sources.add_sql(
            "crm", connection_string=connection_string(str(BaseHook.get_connection(DATABASE).host))
        )
        rows = source.add_table_asset("audience").add_batch_definition_whole_table("all")
        expectations = [
            mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", config=config, max_age="30d"),
            mx.ExpectColumnValuesToBeDeliverableEmail(column="email", config=config, verify="never"),
            mx.ExpectColumnBounceRateToBeBelow(column="email", config=config, verify="never", max_rate="2%"),
            mx.ExpectNoUndeliverableRows(column="email", config=config, id_columns=["id"]),
        ]
        suite = context.suites.add(gx.ExpectationSuite(name="audience", expectations=expectations))
        validation = context.validation_definitions.add(
            gx.ValidationDefinition(name="audience", data=rows, suite=suite)
        )
        try:
            result = validation.run(result_format=mx.private_result_format("id"))
        finally:
            source.get_execution_engine().close()
            source.get_engine().dispose()
        outcome = mx.outcome_of(result)
        held = {told.type: bool(each.success) for each in result.results if (told := each.expectation_config)}
        print(held)
        if outcome == "error":
            raise AirflowException("Great Expectations could not tell whether the audience is fit; see the log.")
        if outcome == "failed":
            failed = ", ".join(name for name, success in held.items() if not success)
            raise AirflowFailException(f"The audience is not fit to be written to: {failed}.")
        return held

    @task
    def send() -> None:
        """Here your campaign begins: it reads the table `audience`."""

    verify >> dbt_build() >> gate() >> send()
