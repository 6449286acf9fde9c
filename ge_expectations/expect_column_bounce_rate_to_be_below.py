"""ExpectColumnBounceRateToBeBelow: a mailing to the column would not bounce too often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from great_expectations.compatibility import pydantic
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metadata_types import DataQualityIssues

from ge_expectations import fields, presentation
from ge_expectations.metrics import SOURCE_KEYS, TALLY
from ge_expectations.presentation import EmailExpectation, percent
from ge_expectations.tally import Tally
from ge_expectations.verification import Gate, Known, VerdictSource
from mailvet.bounces import estimate_bounces
from mailvet.scoring import bounce_probability
from mailvet.verdict import Reason

__all__ = ["ExpectColumnBounceRateToBeBelow"]

_TITLE = "Expect the share of hard bounces to expect of a column of e-mail addresses to be below a limit."


class ExpectColumnBounceRateToBeBelow(EmailExpectation, ColumnAggregateExpectation):
    """
    Expect the share of hard bounces to expect of a column of e-mail addresses to be below a limit.

    Every verdict has a score of 100 x (1 - P(hard bounce)); the mean of those probabilities over the rows is the share
    to expect, and its interval is what chance makes of it in one mailing. Rows never verified count with the share
    usual for such addresses. When verification is not possible the expectation raises: it does not fail.

    Args:
        column: The column of addresses. Nulls are left out.
        max_rate: The limit, a share between 0 and 1. Default: 0.02, where mailbox providers begin to object.
        judge_by: estimate compares the expected share with the limit, upper the upper end of the interval.
        confidence: Of the interval. Default: 0.95.
        among: Only rows whose recommendation or status is one of these, such as ["send"]. Default: all rows.
        policy: marketing, transactional or signup, for recommendations. Default: as the settings say.
        depth, config, verdict_table, verify: As for ExpectColumnValuesToBeDeliverableEmail.

    Other Parameters:
        severity: critical, warning or info.

    Returns:
        An ExpectationSuiteValidationResult; `observed_value` is the expected share, None without addresses, which
        passes; `result["details"]` holds the interval.

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

    max_rate: float | SuiteParameterDict[str, Any] = pydantic.Field(
        default=0.02, description="The limit, a share between 0 and 1."
    )
    judge_by: Literal["estimate", "upper"] = pydantic.Field(
        default="estimate", description="Compare the expected share with the limit, or the upper end of its interval."
    )
    confidence: float = pydantic.Field(default=0.95, gt=0, lt=1, description="Of the interval.")
    among: list[str] | None = pydantic.Field(
        default=None, description="Only rows whose recommendation or status is one of these. Default: all rows."
    )
    policy: fields.PolicyName | None = fields.POLICY
    depth: fields.DepthName | None = fields.DEPTH
    config: str | None = fields.CONFIG
    verdict_table: str | None = fields.VERDICT_TABLE
    verify: fields.VerifyRule = fields.VERIFY

    metric_dependencies: ClassVar[tuple[str, ...]] = (TALLY,)
    success_keys: ClassVar[tuple[str, ...]] = (
        *SOURCE_KEYS, "policy", "max_rate", "judge_by", "confidence", "among",
    )  # fmt: skip
    args_keys: ClassVar[tuple[str, ...]] = ("column", "max_rate")

    @pydantic.validator("max_rate")
    def _max_rate_is_a_share(cls, rate: Any) -> Any:
        if isinstance(rate, (int, float)) and not 0 <= rate <= 1:
            raise ValueError("a share lies between 0 and 1; write 0.02 for 2 %")
        return rate

    @pydantic.validator("among")
    def _among_is_known(cls, words: list[str] | None) -> list[str] | None:
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
            params["confidence"] = percent(given["confidence"])
            template += " with $confidence confidence"
        if given["among"]:
            params["among"] = " or ".join(given["among"])
            template += ", among rows whose verdict is $among"
        return template + ".", params

    @classmethod
    def _observed(cls, result: Mapping[str, Any]) -> str | None:
        details = result.get("details") or {}
        rate = result.get("observed_value")
        if rate is None:
            return "no addresses" if details else None
        span = f"{percent(details['low'])} to {percent(details['high'])}"
        text = f"{percent(rate)} of {details['addresses']:,} addresses ({span} at {percent(details['confidence'])})"
        causes = presentation.counted(details["expected_bounces_by_reason"])
        return f"{text}; expected bounces: {causes}" if causes else text

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        tally: Tally = metrics[TALLY]
        counted = tally.groups
        if self.among is not None:
            source = VerdictSource(self.depth, self.config, self.verdict_table, self.verify)
            gate = Gate.of(source, self.policy, self.among, "fail")
            counted = tuple((known, rows) for known, rows in counted if gate.allows(known))
        limit = float(self._get_success_kwarg("max_rate"))
        estimate = estimate_bounces(((_probability(known), rows) for known, rows in counted), self.confidence)
        unverified = sum(rows for known, rows in counted if known is None)
        if estimate is None:
            details: dict[str, Any] = {"addresses": 0, "unverified": 0}
            return {"success": True, "result": {"observed_value": None, "details": details}}
        judged = estimate.rate if self.judge_by == "estimate" else estimate.high
        details = {
            "addresses": estimate.addresses,
            "low": round(estimate.low, 6),
            "high": round(estimate.high, 6),
            "confidence": self.confidence,
            "judged_by": self.judge_by,
            "unverified": unverified,
            "expected_bounces_by_reason": _causes(counted),
        }
        return {
            "success": judged <= limit,
            "result": {"observed_value": round(estimate.rate, 6), "details": details},
        }


def _probability(known: Known | None) -> float:
    return bounce_probability(Reason.not_probed) if known is None else 1 - known.score / 100


def _causes(groups: tuple[tuple[Known | None, int], ...]) -> dict[str, int]:
    """Bounces to expect by reason, in whole mails, most first; less than half a mail is none."""
    expected: dict[str, float] = {}
    for known, rows in groups:
        name = "unverified" if known is None else known.reason
        expected[name] = expected.get(name, 0.0) + _probability(known) * rows
    whole = {name: round(mails) for name, mails in sorted(expected.items(), key=lambda item: -item[1])}
    return {name: mails for name, mails in whole.items() if mails}
