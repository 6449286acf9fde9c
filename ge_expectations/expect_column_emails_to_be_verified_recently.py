"""ExpectColumnEmailsToBeVerifiedRecently: every address has a verdict that is not too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar  # pydantic v1 reads them

from great_expectations.compatibility import pydantic
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.validator.metric_configuration import MetricConfiguration

from ge_expectations import fields, presentation
from ge_expectations.metrics import TALLY, VERDICTS, recently_source
from ge_expectations.presentation import EmailExpectation, oldest_of, unexpected_in_words, without_addresses
from ge_expectations.tally import Tally, blank_as_null
from ge_expectations.verification import NOT_TEXT

__all__ = ["ExpectColumnEmailsToBeVerifiedRecently"]

_TITLE = "Expect the e-mail addresses of a column to have been verified recently."


class ExpectColumnEmailsToBeVerifiedRecently(EmailExpectation, ColumnMapExpectation):
    """Expect the e-mail addresses of a column to have been verified recently.

    Looks at the verdict table alone; no server is asked. A verdict is too old exactly when it counts in the
    `stale_rate` of a gate. One that never needs renewal (malformed text, your own suppression list) is deep enough for
    any depth.

    Args:
        column: The column of addresses. Nulls are not judged.
        max_age: How old a verdict may be, such as "30d" or "12h". Default: 30d.
        depth: Verdicts have to go at least so far: offline, dns or smtp. Default: any depth.
        verdict_table: Where verdicts are stored. Default: mailvet_verdicts.
        config: Path of a mailvet.toml.
        show_addresses: Let results show failing addresses; without it they hold counts and ids.

    Other Parameters:
        mostly: Share of the rows with an address that have to pass. Default 1.
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `result["details"]` counts rows never verified and verified too long ago,
        and says when the oldest verdict was made.

    Supported Data Sources:
        Pandas, Spark, SQLite, PostgreSQL, DuckDB.

    Example Data:
        | id | email           | verified     |
        |----|-----------------|--------------|
        | 1  | ann@example.com | yesterday    |
        | 2  | bob@example.com | a year ago   |

        Passing case: `ExpectColumnEmailsToBeVerifiedRecently(column="email", max_age="400d")`
        Failing case: `ExpectColumnEmailsToBeVerifiedRecently(column="email", max_age="30d")`
    """

    column: fields.Column = fields.COLUMN
    max_age: fields.Text = pydantic.Field(default="30d", description="How old a verdict may be, such as 30d or 12h.")
    depth: fields.Depth = pydantic.Field(
        default=None, description="Verdicts have to go at least so far: offline, dns or smtp. Default: any depth."
    )
    verdict_table: fields.OptionalText = fields.VERDICT_TABLE
    config: fields.OptionalText = fields.CONFIG
    show_addresses: fields.Flag = fields.SHOW_ADDRESSES

    map_metric: ClassVar[str] = "column_values.mailvet_verified_recently"
    success_keys: ClassVar[tuple[str, ...]] = ("max_age", "depth", "verdict_table", "config", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "max_age")

    @pydantic.validator("max_age")
    def _max_age_is_a_duration(cls, text: Any) -> Any:
        return fields.checked_duration(text)

    @pydantic.validator("mostly", pre=True)
    def _mostly_is_a_share(cls, share: Any) -> Any:
        return fields.checked_share(share)

    class Config:
        title = "Expect column e-mails to be verified recently"

        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[ExpectColumnEmailsToBeVerifiedRecently]) -> None:
            ColumnMapExpectation.Config.schema_extra(schema, model)
            presentation.describe_schema(schema, _TITLE, DataQualityIssues.VALIDITY.value)

    @classmethod
    def _sentence(cls, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        params = {"max_age": given["max_age"]}
        template = "values must be e-mail addresses verified within the last $max_age"
        if given["depth"]:
            params["depth"] = given["depth"]
            template += " as far as $depth"
        return template + cls._mostly(given, params), params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        text = unexpected_in_words(result, "failing_by_reason")
        oldest = (result.get("details") or {}).get("oldest_checked_at")
        return f"{text}; oldest verdict of {oldest[:10]}" if text and oldest else text

    def _dependencies(self, execution_engine: Any, runtime_configuration: Any) -> Any:
        """The metrics of a map expectation, and the counts by verdict."""
        dependencies = super()._dependencies(execution_engine, runtime_configuration)
        domain = get_metric_kwargs(TALLY, self.configuration, runtime_configuration)["metric_domain_kwargs"]
        values = recently_source({"config": self.config, "verdict_table": self.verdict_table})
        for name in (VERDICTS, TALLY):
            dependencies.set_metric_configuration(name, MetricConfiguration(name, domain, values))
        return dependencies

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        outcome: dict[str, Any] = super()._validate(blank_as_null(metrics), runtime_configuration, execution_engine)
        if not self.show_addresses:
            without_addresses(outcome, self.column, keep_query=True)
        if "result" in outcome:
            tally: Tally = metrics[TALLY]
            failing = outcome["result"].get("unexpected_count") or 0
            odd = tally.count(lambda known: known is not None and known.detail == NOT_TEXT)
            counts = {
                "never_verified": tally.unverified,
                NOT_TEXT: odd,
                "verified_too_long_ago": failing - tally.unverified - odd,
            }
            outcome["result"]["details"] = {
                "failing_by_reason": {name: count for name, count in counts.items() if count},
                "oldest_checked_at": oldest_of(tally),
            }
        return outcome
