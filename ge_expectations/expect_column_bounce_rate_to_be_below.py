"""ExpectColumnBounceRateToBeBelow: a mailing to the column would not bounce too often."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues

from ge_expectations import fields, presentation
from ge_expectations.metrics import SOURCE_KEYS, TALLY
from ge_expectations.presentation import EmailExpectation, percent
from ge_expectations.tally import Tally
from ge_expectations.verification import VerdictSource
from mailvet import Reason
from mailvet.sdk import Limits, VerdictCount, bounce_probability, in_audience, judge

__all__ = ["ExpectColumnBounceRateToBeBelow"]

log = logging.getLogger("mailvet")

_TITLE = "Expect the share of hard bounces to expect of a column of e-mail addresses to be below a limit."


class ExpectColumnBounceRateToBeBelow(EmailExpectation, ColumnAggregateExpectation):
    """Expect the share of hard bounces to expect of a column of e-mail addresses to be below a limit.

    Every verdict has a P(hard bounce), its `bounce_probability`; the mean of those over the rows is the share
    to expect, and its interval is what chance makes of it in one mailing. Rows never verified count with the base rate
    of such addresses; null and blank cells get no message. When verification is not possible the expectation raises:
    it does not fail.

    Args:
        column: The column of addresses. Nulls are left out.
        max_rate: The limit on the figure `expected_bounce_rate` of a mailvet gate (`max_bounce_rate` elsewhere), such
            as 0.02 or "2%"; what equals it passes, and where nothing is verified it fails. Default: 0.02, where mailbox
            providers begin to object.
        judge_by: estimate compares the expected share with the limit, upper the upper end of the interval.
        confidence: Of the interval. Default: 0.95.
        among: The audience: rows whose recommendation (or status) is one of these, as ["send"]. Default: all rows.
        policy: For recommendations: a name, also of the config. Default: as the settings say.
        depth, config, verdict_table, verify: As for ExpectColumnValuesToBeDeliverableEmail.

    Other Parameters:
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `observed_value` is the expected share, None without addresses, which
        passes; `result["details"]` holds the interval and every other count and figure of the gate but the stale.

    Supported Data Sources:
        Pandas, Spark, SQLite, PostgreSQL, DuckDB.

    Example Data:
        | id | email              | score |
        |----|--------------------|-------|
        | 1  | ann@example.com    | 99    |
        | 2  | nobody@example.com | 2     |

        Passing case: `ExpectColumnBounceRateToBeBelow(column="email", max_rate=0.6)`
        Failing case: `ExpectColumnBounceRateToBeBelow(column="email")`
    """

    column: fields.Column = fields.COLUMN
    max_rate: fields.Share = pydantic.Field(
        default=0.02, description="The limit on the figure expected_bounce_rate: a share such as 0.02 or 2%."
    )
    judge_by: Literal["estimate", "upper"] | fields.Parameter = pydantic.Field(
        default="estimate", description="Compare the expected share with the limit, or the upper end of its interval."
    )
    confidence: fields.Share = pydantic.Field(default=0.95, description="Of the interval, between 0 and 1.")
    among: fields.OptionalWords = pydantic.Field(
        default=None, description="Only rows whose recommendation or status is one of these. Default: all rows."
    )
    policy: fields.Policy = fields.POLICY
    depth: fields.Depth = fields.DEPTH
    config: fields.OptionalText = fields.CONFIG
    verdict_table: fields.OptionalText = fields.VERDICT_TABLE
    verify: fields.VerifyRule = fields.VERIFY

    metric_dependencies: ClassVar[tuple[str, ...]] = (TALLY,)
    success_keys: ClassVar[tuple[str, ...]] = (
        *SOURCE_KEYS,
        "policy",
        "max_rate",
        "judge_by",
        "confidence",
        "among",
    )
    args_keys: ClassVar[tuple[str, ...]] = ("column", "max_rate")

    @pydantic.validator("max_rate", pre=True)
    def _max_rate_is_a_share(cls, rate: Any) -> Any:
        return fields.checked_share(rate)

    @pydantic.validator("confidence", pre=True)
    def _confidence_is_one(cls, share: Any) -> Any:
        return fields.checked_confidence(share)

    @pydantic.validator("among", pre=True)
    def _among_is_known(cls, words: Any) -> Any:
        return None if words is None else fields.checked_words(words)

    class Config:
        title = "Expect column bounce rate to be below"

        @staticmethod
        def schema_extra(schema: dict[str, Any], model: type[ExpectColumnBounceRateToBeBelow]) -> None:
            ColumnAggregateExpectation.Config.schema_extra(schema, model)
            presentation.describe_schema(schema, _TITLE, DataQualityIssues.VALIDITY.value)

    @classmethod
    def _sentence(cls, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        limit = given["max_rate"]
        params = {"max_rate": percent(limit) if isinstance(limit, (int, float)) else limit}
        template = "hard bounces to expect must stay below $max_rate"
        if given["judge_by"] == "upper":
            confidence = given["confidence"]
            params["confidence"] = percent(confidence) if isinstance(confidence, (int, float)) else confidence
            template += " with $confidence confidence"
        if given["among"]:
            params["among"] = presentation.either(given["among"])
            template += ", among rows whose verdict is $among"
        return template + ".", params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        details = result.get("details") or {}
        rate = result.get("observed_value")
        if rate is None:
            return "no addresses" if details else None
        span = f"{percent(details['low'])} to {percent(details['high'])}"
        text = f"{percent(rate)} of {details['audience']:,} addresses ({span} at {percent(details['confidence'])})"
        causes = presentation.counted(details["expected_bounces_by_reason"])
        return f"{text}; expected bounces: {causes}" if causes else text

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        tally: Tally = metrics[TALLY]
        source = VerdictSource(self.depth, self.config, self.verdict_table, self.verify)
        policy = source.chosen_policy(self.policy)
        limits = Limits.of(
            max_bounce_rate=self._get_success_kwargs()["max_rate"],
            judge_by=self.judge_by,
            confidence=self.confidence,
            among=self.among,
        )
        base = bounce_probability(Reason.not_probed)
        groups = tally.verdict_counts(policy)
        gate = judge(groups, limits, source=self.column, policy=policy, unverified_bounce_rate=base)
        for warning in gate.warnings:
            log.warning("%s: %s", self.column, warning)
        details = gate.as_dict()
        for name in ("source", "passed", "max_age", "stale", "stale_rate"):
            del details[name]
        details["expected_bounces_by_reason"] = _causes(group for group in groups if in_audience(group, limits.among))
        return {
            "success": gate.passed,
            "result": {"observed_value": gate.figures["expected_bounce_rate"], "details": details},
        }


def _causes(groups: Iterable[VerdictCount]) -> dict[str, int]:
    """Bounces to expect by reason, in whole mails, most first; less than half a mail is none."""
    expected: dict[str, float] = {}
    for group in groups:
        name = group.reason or "unverified"
        known = group.bounce_probability
        chance = bounce_probability(Reason.not_probed) if known is None else known
        expected[name] = expected.get(name, 0.0) + chance * group.rows
    whole = {name: round(mails) for name, mails in sorted(expected.items(), key=lambda item: -item[1])}
    return {name: mails for name, mails in whole.items() if mails}
