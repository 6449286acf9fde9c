"""ExpectNoUndeliverableRows: no row's address has a verdict that forbids sending."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic
from great_expectations.core.suite_parameters import is_suite_parameter
from great_expectations.execution_engine import (  # type: ignore[attr-defined]
    PandasExecutionEngine,
    SparkDFExecutionEngine,
)
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.expectations.row_conditions import RowConditionType
from great_expectations.validator.metric_configuration import MetricConfiguration

from ge_expectations import fields, presentation
from ge_expectations.metrics import TALLY, UNDELIVERABLE_ROWS, VERDICTS, recently_source
from ge_expectations.presentation import EmailExpectation, counted
from ge_expectations.tally import Tally
from ge_expectations.verification import DEFAULT_VERDICT_TABLE, Acceptance, VerdictSource, is_file_of_verdicts
from mailvet import Recommendation, Status
from mailvet.sdk import missing_sql, parse_table, quoted, recommendation_sql

__all__ = ["ExpectNoUndeliverableRows"]

_TITLE = "Expect no row to have an undeliverable e-mail address, by the verdict table."
_QUERY_METRICS = ("unexpected_rows_query.table", "unexpected_rows_query.row_count")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_KEY = {
    "postgresql": "encode(sha256(convert_to(cast({0} as text), 'UTF8')), 'hex')",
    "duckdb": "sha256(cast({0} as varchar))",
    "sqlite": "mailvet_email_key({0})",
    "spark": "sha2({0}, 256)",
}


class ExpectNoUndeliverableRows(EmailExpectation, UnexpectedRowsExpectation):
    """Expect no row to have an undeliverable e-mail address, by the verdict table.

    Joins the batch with the verdict table; no server is asked. Rows without verdict are not found: pair it with
    ExpectColumnEmailsToBeVerifiedRecently. All failing rows, not just the first 200, come from
    `validation_definition.get_unexpected_rows(expectation)` on databases and Spark. A row shows the columns named as
    ids, the key of the address and the verdict, not the address.

    Args:
        column: The column of addresses.
        forbid: Statuses and recommendations that no row may have. Default: undeliverable.
        id_columns: Columns that identify a row, to be shown of failing rows.
        verdict_table: Where verdicts are stored. Default: mailvet_verdicts.
        policy: For recommendations: a name, also of the config. Default: as the settings say.
        config: Path of a mailvet.toml.
        dialect: postgresql, duckdb, sqlite or spark. Only for `get_unexpected_rows` when the verdict table keeps no
            addresses (`store_addresses = false`): it makes the query join by key instead of by address.

    Other Parameters:
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `observed_value` is the number of failing rows and `result["details"]`
        counts them by reason; with the result format COMPLETE it holds the first 200 of them.

    Supported Data Sources:
        Pandas, Spark, SQLite, PostgreSQL, DuckDB.

    Example Data:
        | id | email              | verdict                            |
        |----|--------------------|------------------------------------|
        | 1  | ann@example.com    | deliverable, mailbox_accepted      |
        | 2  | nobody@example.com | undeliverable, mailbox_not_found   |

        Passing case: `ExpectNoUndeliverableRows(column="email", row_condition=Column("id") == 1)`
        Failing case: `ExpectNoUndeliverableRows(column="email", id_columns=["id"])`
    """

    column: fields.Column = fields.COLUMN
    forbid: fields.Words = pydantic.Field(
        default=["undeliverable"], description="Statuses and recommendations that no row may have."
    )
    id_columns: fields.Words = pydantic.Field(default=[], description="Columns to show of failing rows.")
    verdict_table: fields.OptionalText = fields.VERDICT_TABLE
    policy: fields.Policy = fields.POLICY
    config: fields.OptionalText = fields.CONFIG
    dialect: Literal["postgresql", "duckdb", "sqlite", "spark"] | fields.Parameter | None = pydantic.Field(
        default=None, description="Join by key in this dialect of SQL when all failing rows are fetched."
    )
    row_condition: RowConditionType = None
    condition_parser: str | None = None
    unexpected_rows_query: str = pydantic.Field(default="", description="Made from the other arguments.")

    metric_dependencies: ClassVar[tuple[str, ...]] = ()
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "column", "row_condition", "condition_parser")
    success_keys: ClassVar[tuple[str, ...]] = (
        "config",
        "verdict_table",
        "policy",
        "forbid",
        "id_columns",
        "dialect",
        "unexpected_rows_query",
    )
    args_keys: ClassVar[tuple[str, ...]] = ("column", "forbid")

    @pydantic.validator("forbid", pre=True)
    def _forbid_is_known(cls, words: Any) -> Any:
        return fields.checked_words(words)

    @pydantic.validator("column", "id_columns")
    def _names_have_no_braces(cls, names: Any) -> Any:
        for name in [names] if isinstance(names, str) else names:
            if "{" in name or "}" in name:
                raise ValueError("names with braces cannot be put into a query")
        return names

    @pydantic.root_validator(skip_on_failure=True)
    def _write_query(cls, values: dict[str, Any]) -> dict[str, Any]:
        # With the values of suite parameters the expectation is built once more, and then it can be written.
        waits = any(is_suite_parameter(value) for value in values.values())
        values["unexpected_rows_query"] = "" if waits else cls._query(values, values["dialect"])
        return values

    class Config:
        title = "Expect no undeliverable rows"

        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[ExpectNoUndeliverableRows]) -> None:
            BatchExpectation.Config.schema_extra(schema, model)
            presentation.describe_schema(schema, _TITLE, DataQualityIssues.SQL.value)

    @classmethod
    def _query(cls, given: Mapping[str, Any], dialect: str | None) -> str:
        """The failing rows; by address unless a dialect is named, by key then."""
        policy = VerdictSource(config=given["config"]).chosen_policy(given["policy"])
        advice = recommendation_sql(
            policy, reason="v.reason", score="v.score", attempts="v.attempts", stored="v.recommendation"
        )
        cell = f"b.{_quoted(given['column'], dialect)}"
        match = f"v.email_key = {_KEY[dialect].format(cell)}" if dialect else f"v.email = {cell}"
        name = given["verdict_table"] or DEFAULT_VERDICT_TABLE
        table = (
            f"parquet.{_quoted(str(Path(name).absolute()), dialect)}"
            if dialect == "spark" and is_file_of_verdicts(name)
            else parse_table(name).sql(partial(_quoted, dialect=dialect))
        )
        present = f" and not {missing_sql(cell, dialect)}" if dialect else ""
        ids = "".join(f"b.{_quoted(name, dialect)}, " for name in given["id_columns"])
        statuses = [word for word in given["forbid"] if word in {str(each) for each in Status}]
        advised = [word for word in given["forbid"] if word in {str(each) for each in Recommendation}]
        forbidden = []
        if statuses:
            forbidden.append(f"v.status in ({_listed(statuses)})")
        if advised:
            forbidden.append(f"({advice}) in ({_listed(advised)})")
        return (
            f"select {ids}v.email_key, v.status, v.reason, {advice} as recommendation, v.checked_at\n"
            f"from {{batch}} b join {table} v on {match}{present}\nwhere {' or '.join(forbidden)}"
        )

    @classmethod
    def _sentence(cls, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        params = {"forbid": presentation.either(given["forbid"] or ["undeliverable"])}
        params["verdict_table"] = given["verdict_table"] or DEFAULT_VERDICT_TABLE
        return "must not be an address that $verdict_table calls $forbid, in any row.", params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        rows = result.get("observed_value")
        if rows is None:
            return None
        text = f"{rows:,} row" if rows == 1 else f"{rows:,} rows"
        counts = (result.get("details") or {}).get("failing_by_reason") or {}
        return f"{text}: {counted(counts)}" if counts else text

    def _dependencies(self, execution_engine: Any, runtime_configuration: Any) -> Any:
        """The counts by verdict, and the rows: by a query, on Pandas without."""
        dependencies = BatchExpectation.get_validation_dependencies(self, execution_engine, runtime_configuration)
        kwargs = get_metric_kwargs(TALLY, self.configuration, runtime_configuration)
        domain, values = kwargs["metric_domain_kwargs"], recently_source(self.dict())
        for name in (VERDICTS, TALLY):
            dependencies.set_metric_configuration(name, MetricConfiguration(name, domain, values))
        if isinstance(execution_engine, PandasExecutionEngine):
            kwargs = get_metric_kwargs(UNDELIVERABLE_ROWS, self.configuration, runtime_configuration)
            dependencies.set_metric_configuration(
                UNDELIVERABLE_ROWS,
                MetricConfiguration(UNDELIVERABLE_ROWS, kwargs["metric_domain_kwargs"], kwargs["metric_value_kwargs"]),
            )
            return dependencies
        dialect = _dialect_of(execution_engine)
        if dialect == "sqlite":  # has no SHA-256 of its own
            from ge_expectations.relation import prepare

            prepare(execution_engine)
        query = self._query(self.dict(), dialect if dialect in _KEY else None)
        for name in _QUERY_METRICS:
            kwargs = get_metric_kwargs(name, self.configuration, runtime_configuration)
            dependencies.set_metric_configuration(
                name,
                MetricConfiguration(name, kwargs["metric_domain_kwargs"], {"unexpected_rows_query": query}),
            )
        return dependencies

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        if UNDELIVERABLE_ROWS in metrics:
            rows = metrics[UNDELIVERABLE_ROWS]
            metrics = {**metrics, _QUERY_METRICS[0]: rows[:200], _QUERY_METRICS[1]: len(rows)}
        outcome: Any = super()._validate(metrics, runtime_configuration, execution_engine)
        if "result" in outcome:
            tally: Tally = metrics[TALLY]
            acceptance = Acceptance.of(VerdictSource(config=self.config), self.policy, self.forbid, "fail")
            details = outcome["result"].setdefault("details", {})
            details["failing_by_reason"] = tally.by(lambda known: known.reason, acceptance.allows)
        return outcome


def _dialect_of(engine: Any) -> str | None:
    if isinstance(engine, SparkDFExecutionEngine):
        return "spark"
    return str(engine.engine.dialect.name) if engine is not None else None


def _quoted(name: str, dialect: str | None) -> str:
    if _PLAIN.fullmatch(name):
        return name
    return quoted(name, ("`", "`")) if dialect == "spark" else quoted(name)


def _listed(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
