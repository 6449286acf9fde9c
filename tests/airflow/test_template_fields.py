"""docs/airflow.md says of every template field what it allows."""

from __future__ import annotations

from pathlib import Path

from airflow.providers.common.sql.operators.sql import BaseSQLOperator

from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.export import MailvetExportOperator
from airflow_provider_mailvet.operators.import_events import MailvetImportEventsOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator

PAGE = (Path(__file__).parents[2] / "docs/airflow.md").read_text("utf-8")


def test_every_template_field_is_told_of() -> None:
    section = PAGE.split("## What a template field allows", 1)[1]
    operators = (MailvetVerifyOperator, MailvetCheckOperator, MailvetExportOperator, MailvetImportEventsOperator)
    fields = {name for operator in operators for name in operator.template_fields} | set(
        BaseSQLOperator.template_fields
    )
    untold = {name for name in fields if f"`{name}`" not in section and not name.startswith("max_")}
    assert untold == set()
