"""How many of so many addresses will hard-bounce, when each does so with its own probability."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

__all__ = ["BounceEstimate", "estimate_bounces"]

_NEGLIGIBLE = 1e-18  # a chance that cannot move a percentile
_EXACT_UP_TO = 2_000  # addresses; beyond, the normal approximation is within a hundredth of a percent


@dataclass(frozen=True)
class BounceEstimate:
    """
    Shares between 0 and 1. The interval covers chance alone: between `low` and `high` lies the share of bounces in one
    sending with the given confidence, if the probabilities are right.
    """

    addresses: int
    rate: float
    low: float
    high: float


def estimate_bounces(groups: Iterable[tuple[float, int]], confidence: float) -> BounceEstimate | None:
    """
    The expected share of bounces with its central interval.

    The number of bounces among independent addresses of unlike probabilities has the Poisson binomial distribution:
    exact for small columns, its normal approximation with continuity correction for large ones.

    Args:
        groups: probability of a hard bounce (0-1), and how many addresses have it.
        confidence: of the interval, between 0 and 1, both excluded.

    Returns:
        None when there are no addresses.
    """
    held = [(p, n) for p, n in groups if n]
    total = sum(n for _, n in held)
    if not total:
        return None
    expected = sum(p * n for p, n in held)
    tail = (1 - confidence) / 2
    if total <= _EXACT_UP_TO:
        low, high = _exact(held, tail)
    else:
        spread = math.sqrt(sum(p * (1 - p) * n for p, n in held))
        reach = NormalDist().inv_cdf(1 - tail) * spread + (0.5 if spread else 0.0)
        low, high = max(0.0, expected - reach), min(float(total), expected + reach)
    return BounceEstimate(total, expected / total, low / total, high / total)


def _exact(groups: list[tuple[float, int]], tail: float) -> tuple[float, float]:
    chances = [1.0]
    for p, n in sorted(groups, key=lambda group: group[1]):
        chances = _convolved(chances, _binomial(p, n))
    below = list(accumulate(chances))
    low, high = bisect_left(below, tail), bisect_left(below, 1 - tail)
    return float(low), float(min(high, len(chances) - 1))


def _convolved(left: list[float], right: list[float]) -> list[float]:
    """The distribution of a sum, from those of two independent counts."""
    short, long = sorted((left, right), key=len)
    total = [0.0] * (len(left) + len(right) - 1)
    for place, chance in enumerate(short):
        if chance > _NEGLIGIBLE:
            for other, its in enumerate(long, place):
                total[other] += chance * its
    return total


def _binomial(p: float, n: int) -> list[float]:
    if p in (0.0, 1.0):
        chances = [0.0] * (n + 1)
        chances[n if p else 0] = 1.0
        return chances
    whole = math.lgamma(n + 1)
    return [
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p))
        for k in range(n + 1)
    ]
