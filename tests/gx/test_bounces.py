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
        ({"max_rate": 0.40, "judge_by": "upper"}, False),
        ({"max_rate": 0.02, "among": ["send"]}, True),
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


def test_rows_nobody_verified_count_with_the_usual_share(
    homes: Callable[[str], Home], make_home: Callable[..., Home], config: str
) -> None:
    home = make_home("duckdb", rows=[(i, f"new{i}@acme.test", "a") for i in range(20)])
    expectation = mx.ExpectColumnBounceRateToBeBelow(
        column="email", config=config, verdict_table=home.verdict_table, verify="never", max_rate=0.15
    )
    result = home.validate(expectation)
    assert result.success is True
    assert result.result["observed_value"] == pytest.approx(0.12)
    assert result.result["details"]["unverified"] == 20


def test_a_rate_that_is_no_share_is_refused() -> None:
    for odd in ({"max_rate": 2}, {"max_rate": -0.1}, {"confidence": 1.0}, {"among": ["nice"]}):
        with pytest.raises(ValueError, match=r"share|confidence|among"):
            mx.ExpectColumnBounceRateToBeBelow(column="email", **odd)
