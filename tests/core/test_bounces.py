"""The interval of the bounce rate."""

from __future__ import annotations

import itertools
import math

import pytest

from mailvet.bounces import estimate_bounces


def brute_force(chances: list[float], confidence: float) -> tuple[int, int]:
    """The central interval by adding up every outcome."""
    counts = [0.0] * (len(chances) + 1)
    for outcome in itertools.product((0, 1), repeat=len(chances)):
        counts[sum(outcome)] += math.prod(p if hit else 1 - p for p, hit in zip(chances, outcome, strict=True))
    tail, below, low, high = (1 - confidence) / 2, 0.0, None, len(chances)
    for number, chance in enumerate(counts):
        below += chance
        if low is None and below >= tail:
            low = number
        if below >= 1 - tail:
            high = number
            break
    assert low is not None
    return low, high


@pytest.mark.parametrize(
    ("groups", "confidence"),
    [
        ([(0.01, 8)], 0.95),
        ([(0.98, 3), (0.01, 6)], 0.95),
        ([(0.5, 4), (0.12, 3), (0.9, 2)], 0.8),
        ([(1.0, 2), (0.3, 5)], 0.95),
    ],
)
def test_a_small_column_has_the_exact_interval(groups: list[tuple[float, int]], confidence: float) -> None:
    chances = [p for p, n in groups for _ in range(n)]
    found = estimate_bounces(groups, confidence)
    assert found is not None
    low, high = brute_force(chances, confidence)
    assert found.rate == pytest.approx(sum(chances) / len(chances))
    assert (round(found.low * len(chances)), round(found.high * len(chances))) == (low, high)


def test_the_approximation_meets_the_exact_interval_where_it_takes_over() -> None:
    exact = estimate_bounces([(0.02, 1_000), (0.3, 1_000)], 0.95)
    approximate = estimate_bounces([(0.02, 1_001), (0.3, 1_001)], 0.95)
    assert exact is not None
    assert approximate is not None
    assert approximate.low == pytest.approx(exact.low, abs=0.002)
    assert approximate.high == pytest.approx(exact.high, abs=0.002)


def test_certainty_leaves_no_interval_and_no_addresses_no_estimate() -> None:
    sure = estimate_bounces([(1.0, 30_000), (0.0, 30_000)], 0.95)
    assert sure is not None
    assert (sure.low, sure.rate, sure.high) == (0.5, 0.5, 0.5)
    assert estimate_bounces([], 0.95) is None
    assert estimate_bounces([(0.3, 0)], 0.95) is None
