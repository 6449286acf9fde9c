"""MailvetReportAction: what a checkpoint found, told without addresses, and told apart from an outage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from great_expectations.checkpoint.actions import ValidationAction

from ge_expectations.verification import VerificationError
from mailvet.sdk import replaces

__all__ = ["MailvetReportAction", "Outcome", "errors_of", "outcome_of"]

Outcome = Literal["passed", "failed", "error"]


class MailvetReportAction(ValidationAction):
    """Write a summary of a checkpoint run, and tell a failure of the data from an outage.

    A stored checkpoint that has this action cannot be loaded without `import ge_expectations`; without the action,
    Great Expectations drops the expectations it does not know and lets the checkpoint pass.

    Args:
        name: any name.
        path: JSON file to write the summary to; None only returns it. Holds counts, never addresses.
        on_error: "raise" makes the checkpoint's run raise `VerificationError` when an expectation could not be
            evaluated (no DNS, wrong column, ...), so that a scheduler retries instead of blocking a good table;
            "report" leaves it to the summary's `outcome`.
    """

    type: Literal["mailvet_report"] = "mailvet_report"
    path: str | None = None
    on_error: Literal["report", "raise"] = "report"

    def run(self, checkpoint_result: Any, action_context: Any = None) -> dict[str, Any]:
        """The summary: outcome, and for each expectation its sentence, outcome and counts.

        Raises:
            VerificationError: an expectation could not be evaluated and `on_error` is "raise".
        """
        results = [_told(result) for result in _results(checkpoint_result)]
        summary: dict[str, Any] = {
            "outcome": outcome_of(checkpoint_result),
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "expectations": results,
        }
        if self.path is not None:
            target = Path(self.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with replaces(target) as partial:
                partial.write_text(json.dumps(summary, indent=2, default=str) + "\n", encoding="utf-8")
        if self.on_error == "raise" and summary["outcome"] == "error":
            messages = [result["error"] for result in results if result["outcome"] == "error"]
            raise VerificationError("; ".join(dict.fromkeys(messages)))
        return summary


def outcome_of(result: Any) -> Outcome:
    """Whether a checkpoint or validation result passed, failed, or is an error.

    An expectation could not be evaluated, so that nothing is known of the data.
    """
    if any(errors_of(each) for each in _results(result)):
        return "error"
    return "passed" if result.success else "failed"


def errors_of(result: Any) -> list[str]:
    """The messages of what one expectation's evaluation raised, each once; empty when it was evaluated."""
    info = result.exception_info or {}
    raised = [info] if "raised_exception" in info else [each for each in info.values() if isinstance(each, dict)]
    return list(dict.fromkeys(str(each["exception_message"]) for each in raised if each.get("raised_exception")))


def _results(result: Any) -> Iterator[Any]:
    """The results of single expectations in a checkpoint's or a validation's result."""
    for validation in result.run_results.values() if hasattr(result, "run_results") else [result]:
        yield from validation.results if hasattr(validation, "results") else [validation]


def _told(result: Any) -> dict[str, Any]:
    config = result.expectation_config
    errors = errors_of(result)
    found = result.result or {}
    told = {
        "expectation": config.type,
        "column": config.kwargs.get("column"),
        "severity": str(getattr(config.severity, "value", config.severity)),
        "outcome": "error" if errors else "passed" if result.success else "failed",
    }
    if errors:
        return {**told, "error": "; ".join(errors)}
    counts = {name: found[name] for name in ("element_count", "missing_count", "unexpected_count") if name in found}
    if isinstance(found.get("observed_value"), (int, float)):
        counts["observed_value"] = found["observed_value"]
    details = found.get("details")
    if isinstance(details, dict) and config.type in OURS:
        counts["details"] = {name: value for name, value in details.items() if name != "unexpected_rows"}
    return {**told, **counts}


OURS = frozenset(
    {
        "expect_column_values_to_be_deliverable_email",
        "expect_column_bounce_rate_to_be_below",
        "expect_column_emails_to_be_verified_recently",
        "expect_no_undeliverable_rows",
        "expect_column_values_to_be_email_syntax",
    }
)
"""Types of our expectations. Details of others may hold values of the table."""
