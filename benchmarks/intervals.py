"""Intervals around what was counted and measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["paired_ratios", "spread", "wilson"]


def wilson(hits: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share of which `hits` of `of` were seen (Wilson 1927); (0, 1) when nothing was."""
    if of == 0:
        return 0.0, 1.0
    share = hits / of
    middle = share + z * z / (2 * of)
    width = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * width) / (1 + z * z / of) for sign in (-1, 1))
    return (0.0 if hits == 0 else max(0.0, low)), (1.0 if hits == of else min(1.0, high))


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most of ours / theirs, run by run: what ran side by side shares the load of the moment."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])
