"""ExpectColumnValuesToBeDeliverableEmail: every address is one that may be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar  # pydantic v1 reads them

from great_expectations.compatibility import pydantic
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.validator.metric_configuration import MetricConfiguration

from ge_expectations import fields, presentation
from ge_expectations.metrics import SOURCE_KEYS, TALLY, VERDICTS
from ge_expectations.presentation import EmailExpectation, unexpected_in_words, without_addresses
from ge_expectations.tally import Tally, blank_as_null
from ge_expectations.verification import Acceptance, UnknownVerdictsError, VerdictSource

__all__ = ["ExpectColumnValuesToBeDeliverableEmail"]

_TITLE = "Expect the e-mail addresses of a column to be deliverable."


class ExpectColumnValuesToBeDeliverableEmail(EmailExpectation, ColumnMapExpectation):
    """Expect the e-mail addresses of a column to be deliverable.

    A row passes when the recommendation or the status of its address is among those allowed. Stored verdicts are
    used where they hold; the rest is verified once, however many expectations and result formats ask. When that is
    not possible (no DNS, servers refuse this host) the expectation raises: it does not fail.

    Args:
        column: The column of addresses. Nulls are not judged.
        depth: How far to verify: offline, dns or smtp. Default: as the settings say.
        config: Path of a mailvet.toml. Default: the environment alone.
        verdict_table: Where verdicts are stored. Default: mailvet_verdicts where it exists.
        verify: never, missing or always.
        policy: For recommendations: a name, also of the config. Default: as the settings say.
        allow: Recommendations (send, reverify, do_not_send) and statuses (deliverable, risky, unknown, undeliverable)
            that pass. Default: send.
        unknown: What becomes of addresses about which nothing definite is known, or which were never verified: pass,
            fail or error, which raises.
        show_addresses: Let results show failing addresses; without it they hold counts and ids.

    Other Parameters:
        mostly: Share of the rows with an address that have to pass. Default 1.
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `result["details"]` counts rows by status and failing rows by reason.

    Supported Data Sources:
        Pandas, Spark, SQLite, PostgreSQL, DuckDB.

    Example Data:
        | id | email                |
        |----|----------------------|
        | 1  | ann@example.com      |
        | 2  | nobody@example.com   |

        Passing case: `ExpectColumnValuesToBeDeliverableEmail(column="email", mostly=0.5)`
        Failing case: `ExpectColumnValuesToBeDeliverableEmail(column="email")`
    """

    column: fields.Column = fields.COLUMN
    depth: fields.Depth = fields.DEPTH
    config: fields.OptionalText = fields.CONFIG
    verdict_table: fields.OptionalText = fields.VERDICT_TABLE
    verify: fields.VerifyRule = fields.VERIFY
    policy: fields.Policy = fields.POLICY
    allow: fields.Words = pydantic.Field(default=["send"], description="Recommendations and statuses that pass.")
    unknown: fields.UnknownRule = pydantic.Field(
        default="fail", description="What becomes of addresses without definite verdict: pass, fail or error."
    )
    show_addresses: fields.Flag = fields.SHOW_ADDRESSES

    map_metric: ClassVar[str] = "column_values.mailvet_deliverable"
    success_keys: ClassVar[tuple[str, ...]] = (*SOURCE_KEYS, "policy", "allow", "unknown", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "allow", "unknown")

    @pydantic.validator("allow", pre=True)
    def _allow_is_known(cls, words: Any) -> Any:
        return fields.checked_words(words)

    @pydantic.validator("mostly", pre=True)
    def _mostly_is_a_share(cls, share: Any) -> Any:
        return fields.checked_share(share)

    class Config:
        title = "Expect column values to be deliverable e-mail"

        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[ExpectColumnValuesToBeDeliverableEmail]) -> None:
            ColumnMapExpectation.Config.schema_extra(schema, model)
            presentation.describe_schema(schema, _TITLE, DataQualityIssues.VALIDITY.value)

    @classmethod
    def _sentence(cls, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        params = {"allow": presentation.either(given["allow"] or ["send"])}
        template = "values must be e-mail addresses whose verdict is $allow"
        if given["policy"]:
            params["policy"] = given["policy"]
            template += " for $policy mail"
        if given["depth"]:
            params["depth"] = given["depth"]
            template += " (verified as far as $depth)"
        if given["unknown"] != "fail":
            params["unknown"] = "raise an error" if given["unknown"] == "error" else given["unknown"]
            template += "; addresses of unknown verdict $unknown"
        return template + cls._mostly(given, params), params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        return unexpected_in_words(result, "failing_by_reason")

    def _dependencies(self, execution_engine: Any, runtime_configuration: Any) -> Any:
        """The metrics of a map expectation, and the counts by verdict."""
        dependencies = super()._dependencies(execution_engine, runtime_configuration)
        for name in (VERDICTS, TALLY):
            kwargs = get_metric_kwargs(name, self.configuration, runtime_configuration)
            dependencies.set_metric_configuration(
                name, MetricConfiguration(name, kwargs["metric_domain_kwargs"], kwargs["metric_value_kwargs"])
            )
        return dependencies

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        tally: Tally = metrics[TALLY]
        source = VerdictSource(self.depth, self.config, self.verdict_table, self.verify)
        acceptance = Acceptance.of(source, self.policy, self.allow, self.unknown)
        undecided = tally.count(acceptance.undecided)
        if self.unknown == "error" and undecided:
            reasons = presentation.counted(tally.by(lambda known: known.reason, acceptance.undecided))
            raise UnknownVerdictsError(
                f"{undecided} of {tally.rows} addresses have no definite verdict ({reasons}), and unknown is "
                '"error". Verify them again later, or set unknown to "pass" or "fail".'
            )
        outcome: dict[str, Any] = super()._validate(blank_as_null(metrics), runtime_configuration, execution_engine)
        if not self.show_addresses:
            without_addresses(outcome, self.column, keep_query=not metrics[VERDICTS].staged)
        if "result" in outcome:
            outcome["result"]["details"] = {
                "by_status": tally.by(lambda known: known.status),
                "failing_by_reason": tally.by(lambda known: known.reason, lambda known: not acceptance.passes(known)),
                "unknown": undecided,
            }
        return outcome
