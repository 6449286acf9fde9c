"""One checkpoint with all five expectations, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import great_expectations as gx
import pytest

import ge_expectations as mx

from .conftest import ENGINES, PLANTED, Home, five


def _run(home: Home, expectations: list[Any], name: str, result_format: Any) -> Any:
    suite = home.context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    definition = home.context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=home.definition, suite=suite)
    )
    checkpoint = home.context.checkpoints.add(
        gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            actions=[mx.MailvetReportAction(name="report")],
            result_format=result_format,
        )
    )
    return checkpoint.run(batch_parameters=home.parameters or None)


@pytest.mark.parametrize("engine", ENGINES)
def test_all_five_pass_and_fail_as_planted(engine: str, homes: Callable[[str], Home], config: str) -> None:
    home = homes(engine)
    passing = _run(home, five(home, config, lenient=True), f"{engine}_lenient", mx.private_result_format("id"))
    failing = _run(home, five(home, config, lenient=False), f"{engine}_strict", "COMPLETE")
    (good,), (bad,) = passing.run_results.values(), failing.run_results.values()
    assert [mx.errors_of(result) for result in [*good.results, *bad.results]] == [[]] * 10
    assert [result.success for result in good.results] == [True] * 5
    assert [result.success for result in bad.results] == [False] * 5
    assert (mx.outcome_of(passing), mx.outcome_of(failing)) == ("passed", "failed")

    by_type = {result.expectation_config.type: result.result for result in bad.results}
    deliverable = by_type["expect_column_values_to_be_deliverable_email"]
    assert deliverable["details"] == {
        "by_status": {"deliverable": 5, "undeliverable": 3, "unknown": 1},
        "failing_by_reason": {"dns_error": 1, "mailbox_not_found": 1, "null_mx": 1, "syntax_invalid": 1},
        "unknown": 1,
    }
    assert (deliverable["element_count"], deliverable["missing_count"], deliverable["unexpected_count"]) == (10, 1, 4)
    rate = by_type["expect_column_bounce_rate_to_be_below"]
    assert rate["observed_value"] == pytest.approx(0.347, abs=0.02)
    assert rate["details"]["low"] <= rate["observed_value"] <= rate["details"]["high"]
    recently = by_type["expect_column_emails_to_be_verified_recently"]
    # As in the stale_rate of a gate, also a verdict that never needs another look becomes too old.
    assert recently["details"]["failing_by_reason"] == {"verified_too_long_ago": 9}
    rows = by_type["expect_no_undeliverable_rows"]
    assert rows["observed_value"] == 3
    assert sorted(row["id"] for row in rows["details"]["unexpected_rows"]) == [4, 5, 6]
    assert rows["details"]["failing_by_reason"] == {"mailbox_not_found": 1, "null_mx": 1, "syntax_invalid": 1}
    assert by_type["expect_column_values_to_be_email_syntax"]["details"]["failing_by_error"] == {"missing_at": 1}

    text = str(passing.describe_dict()) + str([result.to_json_dict() for result in [*good.results, *bad.results]])
    assert not [email for _, email, _ in PLANTED if email and email in text]
