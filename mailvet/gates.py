"""Gates: the one definition of what is counted over a table, of the figures made of it, and of the limits on them.

The command line, Python, the report, Airflow and Great Expectations call this; the dbt package gets `COUNTS` and
`FIGURES` as SQL from `dbt_macros/generate.py`. Pure: nothing here reads a table.

All counts are rows, since a message goes to each. The interval around the expected bounces takes rows with the same
text for one mailbox: they bounce together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from statistics import NormalDist
from typing import Any

from mailvet.errors import SettingsError, argument
from mailvet.policies import AnyPolicy, possible_recommendations
from mailvet.settings import parse_duration, parse_share
from mailvet.vocabulary import REASONS, Reason, Recommendation, Status

__all__ = [
    "ADDRESS_LIMITS",
    "COUNTED_BY",
    "COUNTS",
    "FIGURES",
    "JUDGE_BY",
    "ROUNDING",
    "SENDINGS",
    "UNVERIFIED_TOLERATED",
    "BounceEstimate",
    "Count",
    "Counts",
    "Figure",
    "GateResult",
    "LimitResult",
    "Limits",
    "VerdictCount",
    "among_words",
    "audience_words",
    "count",
    "estimate_bounces",
    "expected_bounces",
    "in_audience",
    "judge",
]

JUDGE_BY = ("estimate", "upper")
"""What `max_bounce_rate` may bound."""

ROUNDING = 1e-9
"""What floating point may add to a figure that equals its limit: less than one address of a table."""

UNVERIFIED_TOLERATED = 0.05
"""A larger share of unverified addresses is worth a warning where no limit looks at it."""


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """Rows of which the same is known; without a verdict status, reason, recommendation and probability are None."""

    status: str | None
    reason: str | None
    recommendation: str | None
    bounce_probability: float | None
    stale: bool
    """The verdict is older than asked for."""
    missing: bool
    """The cells are null or blank."""
    rows: int
    squares: int
    """Sum over the distinct texts of the square of their rows."""


# -------------------------------------------------------------------- what is counted


@dataclass(frozen=True, slots=True)
class Count:
    """One count of a gate: the same condition as SQL and as Python."""

    name: str
    sql: str
    """Over status, reason, recommendation, is_missing and is_stale (1 or 0); `{audience}` is that condition."""
    wanted: Callable[[VerdictCount, bool], bool]
    """Whether a group counts; the second argument says whether it is in the audience."""
    about: str


COUNTS = (
    Count("rows", "1 = 1", lambda group, audience: True, "rows of the table, with its condition"),
    Count("missing", "is_missing = 1", lambda group, audience: group.missing, "rows whose cell is null or blank"),
    Count("addresses", "is_missing = 0", lambda group, audience: not group.missing, "rows that are not missing"),
    Count(
        "verified",
        "is_missing = 0 and status is not null",
        lambda group, audience: not group.missing and group.status is not None,
        "addresses with a verdict",
    ),
    Count(
        "unverified",
        "is_missing = 0 and status is null",
        lambda group, audience: not group.missing and group.status is None,
        "addresses without a verdict",
    ),
    Count(
        "unprobed",
        f"is_missing = 0 and reason = '{Reason.not_probed}'",
        lambda group, audience: not group.missing and group.reason == Reason.not_probed,
        f"addresses whose verdict is `{Reason.not_probed}`",
    ),
    Count(
        "stale",
        "is_missing = 0 and is_stale = 1",
        lambda group, audience: not group.missing and group.stale,
        "addresses verified longer ago than `max_age`",
    ),
    Count(
        "audience",
        "{audience}",
        lambda group, audience: audience,
        "all addresses, or those whose recommendation is in `among` under the policy",
    ),
    Count(
        "audience_verified",
        "{audience} and status is not null",
        lambda group, audience: audience and group.status is not None,
        "addresses of the audience with a verdict",
    ),
    Count(
        "undeliverable",
        f"{{audience}} and status = '{Status.undeliverable}'",
        lambda group, audience: audience and group.status == Status.undeliverable,
        "of the audience",
    ),
    Count(
        "unknown",
        f"{{audience}} and status = '{Status.unknown}'",
        lambda group, audience: audience and group.status == Status.unknown,
        "of the audience",
    ),
    Count(
        "do_not_send",
        f"{{audience}} and recommendation = '{Recommendation.do_not_send}'",
        lambda group, audience: audience and group.recommendation == Recommendation.do_not_send,
        "of the audience",
    ),
)
"""Every count of a gate, in rows."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of `COUNTS`."""

    rows: int
    missing: int
    addresses: int
    verified: int
    unverified: int
    unprobed: int
    stale: int
    audience: int
    audience_verified: int
    undeliverable: int
    unknown: int
    do_not_send: int


def count(groups: Iterable[VerdictCount], among: Collection[str] = ()) -> Counts:
    """Count a table.

    Args:
        groups: rows that have the same verdict, with their number.
        among: recommendations or statuses that make the audience; empty for all addresses.
    """
    totals = dict.fromkeys((each.name for each in COUNTS), 0)
    for group in groups:
        inside = in_audience(group, among)
        for each in COUNTS:
            if each.wanted(group, inside):
                totals[each.name] += group.rows
    return Counts(**totals)


def in_audience(group: VerdictCount, among: Collection[str]) -> bool:
    """Whether a group is an address of the audience; `among` is empty for all addresses."""
    return not group.missing and (not among or group.recommendation in among or group.status in among)


# -------------------------------------------------------------------- the bounces to expect


@dataclass(frozen=True, slots=True)
class BounceEstimate:
    """The bounces to expect, as shares between 0 and 1.

    The interval covers chance alone: between `low` and `high` lies the share of bounces in one sending with the given
    confidence, if the probabilities are right.
    """

    addresses: int
    rate: float
    low: float
    high: float


def estimate_bounces(groups: Iterable[tuple[float, int, int]], confidence: float) -> BounceEstimate | None:
    """The expected share of bounces with its central interval.

    The bounces of independent mailboxes of unlike probabilities have the Poisson binomial distribution; this is its
    normal approximation with continuity correction, which every database can compute as well. At the usual confidence
    its ends lie within about one message of the exact ones (`tests/test_gates.py` compares them).

    Args:
        groups: P(hard bounce), how many rows have it, and the sum over their distinct texts of the square of the rows;
            in any order, as the sums are exact.
        confidence: of the interval, between 0 and 1, both excluded.

    Returns:
        None when there are no rows.
    """
    counted = list(groups)
    total = sum(rows for _, rows, _ in counted)
    if not total:
        return None
    middle = math.fsum(probability * rows for probability, rows, _ in counted)
    spread = math.sqrt(math.fsum(probability * (1 - probability) * squares for probability, _, squares in counted))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread + (0.5 if spread else 0.0)
    low, high = max(0.0, middle - reach), min(float(total), middle + reach)
    return BounceEstimate(total, middle / total, low / total, high / total)


def expected_bounces(
    groups: Iterable[VerdictCount],
    wanted: Callable[[VerdictCount], bool],
    *,
    confidence: float,
    unverified_bounce_rate: float,
) -> BounceEstimate | None:
    """The bounces to expect when the wanted groups are sent to; missing cells get no message.

    Args:
        groups: rows that have the same verdict, with their number.
        wanted: whether a group is sent to.
        confidence: of the interval, between 0 and 1.
        unverified_bounce_rate: between 0 and 1, for addresses without a verdict: the base rate of `not_probed`.
    """
    return estimate_bounces(
        (
            (
                unverified_bounce_rate if group.bounce_probability is None else group.bounce_probability,
                group.rows,
                group.squares,
            )
            for group in groups
            if not group.missing and wanted(group)
        ),
        confidence,
    )


SENDINGS: dict[str, Callable[[VerdictCount], bool]] = {
    "everything": lambda group: True,
    "without_do_not_send": lambda group: group.recommendation != Recommendation.do_not_send,
    "send": lambda group: group.recommendation == Recommendation.send,
}
"""What may be sent to: every address, all but those recommended not to be sent to, those recommended to be sent to."""


# -------------------------------------------------------------------- figures and limits


@dataclass(frozen=True, slots=True)
class Figure:
    """One share: a count divided by another."""

    name: str
    part: str
    whole: str
    limit: str
    """The argument that bounds it."""
    words: str
    """In a sentence, behind the percentage."""


FIGURES = (
    Figure("undeliverable_rate", "undeliverable", "audience_verified", "max_undeliverable_rate", "undeliverable"),
    Figure("expected_bounce_rate", "expected_bounces", "audience", "max_bounce_rate", "hard bounces expected"),
    Figure("unknown_rate", "unknown", "audience_verified", "max_unknown_rate", "unknown"),
    Figure("do_not_send_rate", "do_not_send", "audience_verified", "max_do_not_send_rate", "not to be sent to"),
    Figure("unverified_rate", "unverified", "addresses", "max_unverified_rate", "without a verdict"),
    Figure("unprobed_rate", "unprobed", "addresses", "max_unprobed_rate", "not probed"),
    Figure("stale_rate", "stale", "addresses", "max_stale_rate", "with a verdict that is too old"),
    Figure("missing_rate", "missing", "rows", "max_missing_rate", "missing"),
)
"""Every figure of a gate. Its limit fails above it, and also where nothing of the addresses concerned is verified."""

ADDRESS_LIMITS = frozenset(f.limit for f in FIGURES if f.whole in ("addresses", "rows"))
"""Limits that look at all addresses, whatever the audience."""

COUNTED_BY = {
    "max_undeliverable_rate": "undeliverable",
    "max_unknown_rate": "unknown",
    "max_do_not_send_rate": "do_not_send",
}
"""What the addresses are that a limit counts: a status or a recommendation."""

_WORDS = frozenset(str(word) for kind in (Recommendation, Status) for word in kind)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a table has to keep to.

    Shares between 0 and 1; a limit that is None is not applied; what equals it passes. Build it with `of`, which reads
    "2%" and "30d".
    """

    max_undeliverable_rate: float | None = None
    max_bounce_rate: float | None = None
    max_unknown_rate: float | None = None
    max_do_not_send_rate: float | None = None
    max_unverified_rate: float | None = None
    max_unprobed_rate: float | None = None
    max_stale_rate: float | None = None
    max_missing_rate: float | None = None
    max_age: timedelta | None = None
    """Verdicts made longer ago are stale; alone it means `max_stale_rate` 0."""
    judge_by: str = "estimate"
    """What `max_bounce_rate` bounds: the `estimate`, or the `upper` end of its interval."""
    confidence: float = 0.95
    """Of the interval."""
    among: tuple[str, ...] = ()
    """The audience: recommendations (or statuses); empty for all addresses."""

    @classmethod
    def of(cls, **given: Any) -> Limits:
        """Limits as people write them; None and "" are not given.

        Raises:
            SettingsError: a value that cannot be read, or an argument that does not exist.
        """
        known = {each.name for each in fields(cls)}
        if odd := sorted(set(given) - known):
            raise SettingsError(
                f"There is no limit {argument(odd[0])}; there are: {', '.join(map(argument, sorted(known)))}."
            )
        read: dict[str, Any] = {}
        for name, value in given.items():
            if value is None or value == "":
                continue
            try:
                read[name] = _READERS.get(name, _share)(value)
            except ValueError as error:
                raise SettingsError(f"{argument(name)}: {error}.") from None
        if read.get("max_stale_rate") is not None and read.get("max_age") is None:
            raise SettingsError(
                f"{argument('max_stale_rate')} needs {argument('max_age')}: how old a verdict may be before it is "
                "stale."
            )
        if read.get("max_age") is not None:
            read.setdefault("max_stale_rate", 0.0)
        return cls(**read)

    @property
    def applied(self) -> dict[str, float]:
        """The limits that are given, by name, in the order of `FIGURES`."""
        found = {figure.limit: getattr(self, figure.limit) for figure in FIGURES}
        return {name: limit for name, limit in found.items() if limit is not None}


def _share(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no share; write for example '2%' or '0.02'")
    return parse_share(str(value))


def _confidence(value: object) -> float:
    try:
        found = _share(value)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise ValueError(f"{value!r} is no confidence; give a number between 0 and 1, such as 0.95")
    return found


def _judge_by(value: object) -> str:
    if value not in JUDGE_BY:
        raise ValueError(f"{value!r} is unknown; choose 'estimate' or 'upper'")
    return str(value)


def among_words(value: object) -> tuple[str, ...]:
    """The words of an audience, each once: a list, or text with commas.

    Raises:
        ValueError: a word that is neither a recommendation nor a status.
    """
    parts: list[object] = [value]
    if isinstance(value, str):
        parts = [*value.split(",")]
    elif isinstance(value, Iterable):
        parts = [*value]
    # A template may have rendered a list as text, with brackets and quotation marks.
    stripped = (str(part).strip(" \t\n[]()'\"") for part in parts)
    words = tuple(dict.fromkeys(word for word in stripped if word))
    if odd := [word for word in words if word not in _WORDS]:
        raise ValueError(f"{odd[0]!r} is unknown; choose from {', '.join(sorted(_WORDS))}")
    return words


_READERS: dict[str, Callable[[Any], Any]] = {
    "max_age": parse_duration,
    "judge_by": _judge_by,
    "confidence": _confidence,
    "among": among_words,
}


@dataclass(frozen=True, slots=True)
class LimitResult:
    """How one limit was kept."""

    name: str
    limit: float
    figure: float | None
    """What was held against it; None where there was nothing to divide by."""
    passed: bool
    text: str
    """What was found, in words, for logs and errors."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "limit": self.limit, "figure": self.figure, "passed": self.passed}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The counts and figures of a table, and whether it kept to its limits."""

    source: str
    policy: str
    counts: Counts
    figures: Mapping[str, float | None]
    """By name, with `low` and `high`, the ends of the interval of `expected_bounce_rate`; None for 0 of 0."""
    limits: tuple[LimitResult, ...]
    warnings: tuple[str, ...]
    asked: Limits = field(default_factory=Limits)

    @property
    def passed(self) -> bool:
        """Whether every limit was kept."""
        return all(limit.passed for limit in self.limits)

    @property
    def failed(self) -> tuple[LimitResult, ...]:
        """The limits that were not kept."""
        return tuple(limit for limit in self.limits if not limit.passed)

    def __getattr__(self, name: str) -> Any:
        """A count or figure by its name: `result.undeliverable_rate`, `result.addresses`."""
        if not name.startswith("_"):
            if name in self.figures:
                return self.figures[name]
            if hasattr(self.counts, name):
                return getattr(self.counts, name)
        raise AttributeError(f"a gate's result has no {name!r}")

    def __getitem__(self, name: str) -> Any:
        """The same, and everything else of `as_dict`, by name."""
        return self.as_dict()[name]

    def keys(self) -> Collection[str]:
        """The names of `as_dict`, so that `dict(result)` is the same."""
        return self.as_dict().keys()

    def as_json(self) -> str:
        """`as_dict` as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def as_dict(self) -> dict[str, Any]:
        """One object of plain values: every count and figure by its name, `passed`, `limits` and `warnings`."""
        age = self.asked.max_age
        return {
            "source": self.source,
            "passed": self.passed,
            "policy": self.policy,
            "among": list(self.asked.among),
            "max_age": age.total_seconds() if age is not None else None,
            "judge_by": self.asked.judge_by,
            "confidence": self.asked.confidence,
            **{each.name: getattr(self.counts, each.name) for each in COUNTS},
            **self.figures,
            "limits": [limit.as_dict() for limit in self.limits],
            "warnings": list(self.warnings),
        }


def judge(
    groups: Collection[VerdictCount],
    limits: Limits,
    *,
    source: str,
    policy: AnyPolicy,
    unverified_bounce_rate: float,
) -> GateResult:
    """Hold a table against limits.

    Args:
        groups: all rows of the table, with recommendations under `policy` and `stale` by `limits.max_age`.
        limits: what the table has to keep to.
        source: name of the table, for people.
        policy: that the recommendations follow.
        unverified_bounce_rate: as for `expected_bounces`.
    """
    counts = count(groups, limits.among)
    estimate = expected_bounces(
        groups,
        lambda group: in_audience(group, limits.among),
        confidence=limits.confidence,
        unverified_bounce_rate=unverified_bounce_rate,
    )
    figures: dict[str, float | None] = {}
    for figure in FIGURES:
        if figure.name == "expected_bounce_rate":
            figures[figure.name] = estimate.rate if estimate else None
            figures["low"] = estimate.low if estimate else None
            figures["high"] = estimate.high if estimate else None
            continue
        whole = getattr(counts, figure.whole)
        figures[figure.name] = getattr(counts, figure.part) / whole if whole else None
    if limits.max_age is None:
        figures["stale_rate"] = None
    return GateResult(
        source,
        str(policy),
        counts,
        figures,
        tuple(_held(figure, limits, counts, figures) for figure in FIGURES if figure.limit in limits.applied),
        tuple(_warnings(limits, counts, figures, policy)),
        limits,
    )


def _held(figure: Figure, limits: Limits, counts: Counts, figures: Mapping[str, float | None]) -> LimitResult:
    limit = limits.applied[figure.limit]
    value = figures[figure.name]
    said = "nothing of it" if value is None else _percent(value)
    text = f"{said} {figure.words}"
    if figure.limit == "max_bounce_rate" and value is not None:
        text += f" ({_percent(figures['low'])} to {_percent(figures['high'])} at {100 * limits.confidence:.4g}%)"
        value = value if limits.judge_by == "estimate" else figures["high"]
    everything = figure.limit in ADDRESS_LIMITS
    concerned = counts.addresses if everything else counts.audience
    verified = counts.verified if everything else counts.audience_verified
    if concerned and not verified:
        return LimitResult(figure.limit, limit, value, False, f"{text}, and nothing is verified")
    return LimitResult(figure.limit, limit, value, value is None or value <= limit + ROUNDING, text)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"


def _warnings(limits: Limits, counts: Counts, figures: Mapping[str, float | None], policy: AnyPolicy) -> Iterable[str]:
    unverified = figures["unverified_rate"] or 0.0
    if limits.max_unverified_rate is None and unverified > UNVERIFIED_TOLERATED + ROUNDING:
        yield (
            f"{counts.unverified:,} of {counts.addresses:,} addresses ({_percent(unverified)}) have no verdict, and no "
            "max_unverified_rate limits that"
        )
    for name, limit in limits.applied.items():
        if limit >= 1:
            yield f"{name} of 100% cannot fail"
        elif limits.among and name in COUNTED_BY and audience_words(name, policy).isdisjoint(limits.among):
            yield (
                f"{name} cannot fail among {', '.join(limits.among)}: under the policy {policy} no such address is "
                f"{COUNTED_BY[name]}"
            )


def audience_words(limit: str, policy: AnyPolicy) -> frozenset[str]:
    """The words of `among` that let an address into the audience which this limit counts; empty for other limits."""
    wanted = COUNTED_BY.get(limit)
    return frozenset(
        str(word)
        for reason, rule in REASONS.items()
        for recommendation in possible_recommendations(reason, policy)
        if wanted in (rule.status, recommendation)
        for word in (rule.status, recommendation)
    )
