"""The counts of a database, put together as a summary and as the details of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mailvet.scoring.priors import bounce_probability
from mailvet.vocabulary import Reason, Recommendation, Status
from mailvet.warehouse import attribution
from mailvet.warehouse.dialects import Dialect, literal
from mailvet.warehouse.store import MOST_NAMED, Details, OperatorShare, SourceShare, Summary

__all__ = ["UNVERIFIED_BOUNCES", "detailed", "falls_due", "summarised"]

UNVERIFIED_BOUNCES = bounce_probability(Reason.not_probed)
"""P(hard bounce) of addresses without a verdict."""


def falls_due(say: Dialect, now: datetime) -> str:
    """In which of the spans of `Details.due` the column `next_check_at` lies."""
    spans = " ".join(
        f"when next_check_at <= {say.moment(now + timedelta(days=days))} then {literal(label)}"
        for label, days in _SPANS.items()
    )
    return f"case when next_check_at is null then 'never' {spans} else 'later' end"


_SPANS = {"overdue": 0, "1 day": 1, "7 days": 7, "30 days": 30, "90 days": 90}
"""Days from now, by their label."""


def detailed(
    operators: Iterable[tuple[Any, ...]],
    due: Iterable[tuple[Any, ...]],
    sources: Iterable[tuple[Any, ...]],
    last_run: Mapping[str, Any] | None,
) -> Details:
    """The parts of a report that counts of rows do not hold.

    Args:
        operators: (operator, status, addresses).
        due: (label of `falls_due`, recommendation, addresses).
        sources: (value, recommendation, rows, sum over the rows of P(hard bounce)); no recommendation and no sum
            where there is no verdict.
        last_run: the newest row of `mailvet_runs`.
    """
    by_status: dict[str, dict[str, int]] = {}
    for name, status, count in operators:
        by_status.setdefault(str(name), {})[str(status)] = int(count)
    by_advice: dict[str, dict[str, int]] = {}
    bounces: dict[str, float] = {}
    unverified: dict[str, int] = {}
    for value, advice, count, expected in sources:
        counts, name = by_advice.setdefault(str(value), {}), str(value)
        if advice is None:
            unverified[name] = int(count)
        else:
            counts[str(advice)] = int(count)
        bounces[name] = bounces.get(name, 0) + (UNVERIFIED_BOUNCES * int(count) if advice is None else float(expected))
    falling: dict[str, int] = {}
    reverified: dict[str, int] = {}
    for label, advice, count in due:
        falling[str(label)] = falling.get(str(label), 0) + int(count)
        if advice == Recommendation.reverify:
            reverified[str(label)] = reverified.get(str(label), 0) + int(count)
    named_operators, other_operators = _largest(by_status)
    named_sources, other_sources = _largest(by_advice, unverified)
    labels = (*_SPANS, "later", "never")
    return Details(
        tuple(OperatorShare(name, sum(counts.values()), counts) for name, counts in named_operators),
        other_operators,
        {label: falling[label] for label in labels if label in falling},
        {label: reverified[label] for label in labels if label in reverified},
        tuple(
            SourceShare(value, total, counts, bounces[value] / total, unverified.get(value, 0))
            for value, counts in named_sources
            for total in [sum(counts.values()) + unverified.get(value, 0)]
        ),
        other_sources,
        last_run,
    )


def _largest(
    groups: Mapping[str, dict[str, int]], more: Mapping[str, int] | None = None
) -> tuple[list[tuple[str, dict[str, int]]], int]:
    """The largest by the sum of their counts (and what is `more` of each), and how many others there are."""
    ranked = sorted(
        ((name, dict(sorted(counts.items()))) for name, counts in groups.items()),
        key=lambda group: (-sum(group[1].values()) - (more or {}).get(group[0], 0), group[0]),
    )
    return ranked[:MOST_NAMED], max(0, len(ranked) - MOST_NAMED)


def summarised(groups: Iterable[tuple[Any, ...]]) -> Summary:
    """A summary of groups of distinct texts.

    (status, reason, recommendation, whether missing, on lists, in history, suspicious, P(hard bounce), texts, rows), in
    any order. The three in the middle are as in `attribution.Group`.
    """
    by_status: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    by_advice: dict[str, int] = {}
    again: dict[str, int] = {}
    layers: list[attribution.Group] = []
    total = missing_rows = verified = unverified = undeliverable = 0
    everything, but_forbidden, sent = _Bounces(), _Bounces(), _Bounces()
    for status, reason, advice, missing, on_lists, in_history, suspicious, probability, texts, repeats in groups:
        count = int(repeats)
        total += count
        if missing:
            missing_rows += count
            continue
        unverified += count if status is None else 0
        expected = count * (UNVERIFIED_BOUNCES if status is None else float(probability))
        everything.add(count, expected)
        if advice != Recommendation.do_not_send:
            but_forbidden.add(count, expected)
        if advice == Recommendation.send:
            sent.add(count, expected)
        if status is None:
            continue
        verified += count
        for counts, word in ((by_status, status), (by_reason, reason), (by_advice, advice)):
            counts[word] = counts.get(word, 0) + count
        if advice == Recommendation.reverify:
            again[reason] = again.get(reason, 0) + count
        layers.append(attribution.Group(reason, bool(on_lists), bool(in_history), bool(suspicious), int(texts), count))
        undeliverable += count if status == Status.undeliverable else 0
    return Summary(
        total,
        missing_rows,
        verified,
        _most_first(by_status),
        _most_first(by_reason),
        _most_first(by_advice),
        everything.share,
        sent.share,
        but_forbidden.share,
        undeliverable / verified if verified else None,
        attribution.by_layer(layers) if verified else {},
        unverified,
        _most_first(again),
    )


@dataclass(slots=True)
class _Bounces:
    """Expected hard bounces, added up."""

    rows: int = 0
    expected: list[float] = field(default_factory=list)

    def add(self, rows: int, expected: float) -> None:
        self.rows += rows
        self.expected.append(expected)

    @property
    def share(self) -> float | None:
        # Exactly added up, whatever the order.
        return math.fsum(self.expected) / self.rows if self.rows else None


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
