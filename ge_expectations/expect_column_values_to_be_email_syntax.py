"""ExpectColumnValuesToBeEmailSyntax: every text can be an e-mail address at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar  # pydantic v1 reads them

from great_expectations.compatibility import pydantic
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.validator.metric_configuration import MetricConfiguration

from ge_expectations import fields, presentation
from ge_expectations.metrics import TALLY, VERDICTS, syntax_source
from ge_expectations.presentation import EmailExpectation, unexpected_in_words, without_addresses
from ge_expectations.tally import Tally, blank_as_null
from mailvet import Reason

__all__ = ["ExpectColumnValuesToBeEmailSyntax"]

_TITLE = "Expect the values of a column to be written as e-mail addresses."


class ExpectColumnValuesToBeEmailSyntax(EmailExpectation, ColumnMapExpectation):
    """Expect the values of a column to be written as e-mail addresses.

    Judged by RFC 5321, 5322 and 6531 as mailvet does everywhere, after trimming surrounding white space, in any
    script. Needs neither network nor verdict table. It says nothing of whether the mailbox exists.

    Args:
        column: The column of addresses. Nulls are not judged.
        international: False refuses addresses that need SMTPUTF8 (RFC 6531), such as those with a local part beyond
            ASCII. International domain names are always fine.
        config: Path of a mailvet.toml; only a lab's settings make a difference (names such as `.test`).
        show_addresses: Let results show failing values; without it they hold counts and ids.

    Other Parameters:
        mostly: Share of the rows with an address that have to pass. Default 1.
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `result["details"]["failing_by_error"]` counts failing rows by what is
        wrong (missing_at, domain_no_tld, several_addresses, ...).

    Supported Data Sources:
        Pandas, Spark, SQLite, PostgreSQL, DuckDB.

    Example Data:
        | id | email             |
        |----|-------------------|
        | 1  | jürgen@example.de |
        | 2  | jürgen at example |

        Passing case: `ExpectColumnValuesToBeEmailSyntax(column="email", mostly=0.5)`
        Failing case: `ExpectColumnValuesToBeEmailSyntax(column="email")`
    """

    column: fields.Column = fields.COLUMN
    international: fields.Flag = pydantic.Field(
        default=True, description="Whether addresses that need SMTPUTF8 (RFC 6531) pass."
    )
    config: fields.OptionalText = fields.CONFIG
    show_addresses: fields.Flag = fields.SHOW_ADDRESSES

    map_metric: ClassVar[str] = "column_values.mailvet_email_syntax"
    success_keys: ClassVar[tuple[str, ...]] = ("international", "config", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "international")

    @pydantic.validator("mostly", pre=True)
    def _mostly_is_a_share(cls, share: Any) -> Any:
        return fields.checked_share(share)

    class Config:
        title = "Expect column values to be e-mail syntax"

        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[ExpectColumnValuesToBeEmailSyntax]) -> None:
            ColumnMapExpectation.Config.schema_extra(schema, model)
            presentation.describe_schema(schema, _TITLE, DataQualityIssues.VALIDITY.value)

    @classmethod
    def _sentence(cls, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        params: dict[str, Any] = {}
        template = "values must be written as e-mail addresses"
        if not given["international"]:
            template += " that need no SMTPUTF8"
        return template + cls._mostly(given, params), params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        return unexpected_in_words(result, "failing_by_error")

    def _dependencies(self, execution_engine: Any, runtime_configuration: Any) -> Any:
        """The metrics of a map expectation, and the counts by verdict."""
        dependencies = super()._dependencies(execution_engine, runtime_configuration)
        domain = get_metric_kwargs(TALLY, self.configuration, runtime_configuration)["metric_domain_kwargs"]
        values = syntax_source({"config": self.config})
        for name in (VERDICTS, TALLY):
            dependencies.set_metric_configuration(name, MetricConfiguration(name, domain, values))
        return dependencies

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        outcome: dict[str, Any] = super()._validate(blank_as_null(metrics), runtime_configuration, execution_engine)
        if not self.show_addresses:
            without_addresses(outcome, self.column, keep_query=not metrics[VERDICTS].staged)
        if "result" in outcome:
            tally: Tally = metrics[TALLY]
            errors = tally.by(
                lambda known: known.detail or known.reason,
                lambda known: (
                    known is not None
                    and (known.reason == Reason.syntax_invalid or (not self.international and known.detail == "eai"))
                ),
            )
            outcome["result"]["details"] = {"failing_by_error": errors}
        return outcome
