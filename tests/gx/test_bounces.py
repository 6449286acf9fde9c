"""The bounce rate of a column, and its limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ge_expectations as mx

from .conftest import Home


@pytest.mark.parametrize(
    ("arguments", "success"),
    [
        ({"max_rate": 0.40}, True),
        ({"max_rate": 0.30}, False),
        ({"max_rate": "40%", "judge_by": "upper"}, False),
        ({"max_rate": "2%", "among": ["send"]}, True),
        ({"max_rate": 0.02, "among": ["undeliverable"]}, False),
        ({"max_rate": 0.0, "among": ["risky"]}, True),  # there are none
    ],
)
def test_estimate_upper_end_and_rows_considered(
    arguments: dict[str, Any], success: bool, homes: Callable[[str], Home], config: str
) -> None:
    home = homes("sqlite")
    expectation = mx.ExpectColumnBounceRateToBeBelow(
        column="email", config=config, verdict_table=home.verdict_table, verify="never", **arguments
    )
    assert home.validate(expectation).success is success


def test_unverified_rows_count_with_the_base_rate_and_never_pass_alone(
    make_home: Callable[..., Home], config: str
) -> None:
    home = make_home("duckdb", rows=[(i, f"new{i}@acme.test", "a") for i in range(20)])
    expectation = mx.ExpectColumnBounceRateToBeBelow(
        column="email", config=config, verdict_table=home.verdict_table, verify="never", max_rate="15%"
    )
    result = home.validate(expectation)
    assert result.success is False
    assert result.result["observed_value"] == pytest.approx(0.12)
    assert result.result["details"]["unverified"] == 20
    assert result.result["details"]["warnings"]


def test_a_rate_that_is_no_share_is_refused() -> None:
    rates = [{"max_rate": odd} for odd in (2, -0.1, "200%", "few", True)]
    for odd in (*rates, {"confidence": 1.0}, {"among": ["nice"]}):
        with pytest.raises(ValueError, match=r"share|confidence|among"):
            mx.ExpectColumnBounceRateToBeBelow(column="email", **odd)
