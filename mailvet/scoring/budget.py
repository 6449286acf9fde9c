"""The largest audience whose hard bounces stay below a limit, by the verdicts: a risk budget.

Addresses are taken in the order of their probability, the lowest first, as long as the upper bound of the bounces keeps
to the limit. The rule is the same in Python (`choose`), in the SQL of every warehouse (`bounds_sql`) and in dbt, where
it is generated from here.

The bound. Bounces come in clusters: a company's domain dies as a whole, an operator closes many mailboxes at once. With
`s = rows * sqrt(m * (1 - m))` of an address, the variance of the bounces is

    sum of s^2  +  SAME_DOMAIN * sum over pairs of one domain of 2*s*s'  +  SAME_OPERATOR * the same over an operator

and the upper bound is the sum of `m * rows` plus the one-sided normal quantile times the square root of that. `m` is
the probability at the upper end of what is known of it (`upper_end`): without outcomes of the user's own that is the
upper end of the table of scores, since its middle may be off for a list as a whole, and such an error is no chance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

from mailvet.errors import SettingsError, argument
from mailvet.scoring.priors import PRIORS
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.settings import parse_share
from mailvet.vocabulary import Reason, Recommendation

__all__ = [
    "DEFAULT_CONFIDENCE",
    "NO_OUTCOMES",
    "SAME_DOMAIN",
    "SAME_OPERATOR",
    "Address",
    "Bound",
    "Budget",
    "Chosen",
    "bounded_sql",
    "bounds_sql",
    "candidates_sql",
    "choose",
    "chosen_of",
    "cluster_sql",
    "keeps_sql",
    "upper_end",
    "upper_end_of_sql",
    "upper_end_sql",
]

DEFAULT_CONFIDENCE = 0.9
"""One-sided: in one sending of ten more may bounce than the bound says."""

SAME_DOMAIN = 0.1
"""
Correlation of the bounces of two addresses of one domain. Judgement: where a tenth of the risk of an address is that
its whole domain dies, two of its addresses are correlated by about that much. Domains of mailbox providers (flag
`free`) do not die, and their addresses are clustered by operator alone.
"""

SAME_OPERATOR = 0.0005
"""
The same of two addresses of one operator. Judgement: an operator that closes unused mailboxes moves the bounces of all
its addresses by about two per cent of their standard deviation (0.02^2).
"""

_UNITS = 1_000_000_000.0
"""Probabilities of the budget are whole numbers of billionths."""

NO_OUTCOMES = "The bound rests on no outcome of yours, so it takes the upper end of the table of scores."


class Address(NamedTuple):
    """A candidate: one distinct text of the table."""

    key: str
    """`email_key`; it decides between equal probabilities."""
    probability: float
    """At the upper end (`upper_end`), between 0 and 1."""
    domain: str | None
    """Of its cluster; None for an address that shares none, such as one at a mailbox provider."""
    operator: str | None
    rows: int = 1


class Bound(NamedTuple):
    """What is to be expected of the addresses up to one in the order of the budget."""

    rows: int
    expected: float
    """Hard bounces expected, at the upper ends of the probabilities."""
    upper: float
    """Their upper bound with chance and clusters."""
    probability: float
    """Of the last address among them."""
    key: str
    """Of the last address among them."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What an audience has to keep to."""

    max_bounce_rate: float
    """Share of the audience, between 0 and 1."""
    confidence: float = DEFAULT_CONFIDENCE
    """One-sided, between 0.5 and 1."""

    @classmethod
    def of(cls, max_bounce_rate: float | str, confidence: float | str = DEFAULT_CONFIDENCE) -> Budget:
        """A budget as people write it: `2%` or `0.02`.

        Raises:
            SettingsError: a value that cannot be read, or a confidence at which no bound would lie above the middle.
        """
        found = []
        for name, value in (("max_bounce_rate", max_bounce_rate), ("confidence", confidence)):
            try:
                if isinstance(value, bool):
                    raise ValueError(f"{value!r} is no share; write for example '2%' or '0.02'")
                found.append(parse_share(str(value)))
            except ValueError as error:
                raise SettingsError(f"{argument(name)}: {error}.") from None
        if not 0.5 <= found[1] < 1:
            raise SettingsError(f"{argument('confidence')}: give a number from 0.5 to below 1, such as 0.9.")
        return cls(*found)

    @property
    def reach(self) -> float:
        """Standard deviations between the middle and the upper bound."""
        return NormalDist().inv_cdf(self.confidence)

    def holds(self, bound: Bound) -> bool:
        """Whether the audience up to there keeps to the limit; equal passes."""
        return bound.upper <= self.max_bounce_rate * bound.rows + _ROUNDING


_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Chosen:
    """The audience that keeps to a budget."""

    budget: Budget
    last: Bound | None
    """The bound of the whole audience; None where it is empty."""
    candidates: int
    """Rows that it was chosen from."""
    curve: Sequence[Bound] = field(default=())
    """Some of the bounds in their order, for a picture: rows against expected bounces."""

    @property
    def rows(self) -> int:
        """Rows of the audience."""
        return 0 if self.last is None else self.last.rows

    def takes_sql(self, probability: str, key: str) -> str:
        """The SQL condition that a candidate is in the audience.

        Args:
            probability: SQL expression of the probability at the upper end (`upper_end_sql`).
            key: SQL expression of its `email_key`.
        """
        if self.last is None:
            return "1 = 0"
        at = repr(self.last.probability)
        return f"({probability} < {at} or ({probability} = {at} and {key} <= '{self.last.key}'))"

    def as_dict(self) -> dict[str, object]:
        """Plain JSON-able values; no address."""
        last = self.last
        return {
            "max_bounce_rate": self.budget.max_bounce_rate,
            "confidence": self.budget.confidence,
            "rows": self.rows,
            "candidates": self.candidates,
            "expected_bounces": 0.0 if last is None else last.expected,
            "upper_bounces": 0.0 if last is None else last.upper,
        }


# -------------------------------------------------------------------- the upper end


def upper_end(reason: Reason, probability: float) -> float:
    """A probability at the upper end of what the table of scores may mean by it: its odds times those of the reason."""
    factor = PRIORS[reason].upper_odds if reason in PRIORS else 1.0
    upper = factor * probability / (1.0 - probability + factor * probability)
    # So that what two engines compute is one number, by which rows can be put in order.
    return math.floor(upper * _UNITS + 0.5) / _UNITS


def upper_end_sql(before: str = "", *, has_column: bool = True) -> str:
    """The same of a stored verdict as SQL.

    Args:
        before: what stands before the names of the verdict's columns, as `v.`.
        has_column: as for `bounce_probability_sql`.
    """
    return upper_end_of_sql(f"{before}reason", bounce_probability_sql(before, has_column=has_column))


def upper_end_of_sql(reason: str, chance: str) -> str:
    """The same of SQL expressions for reason and probability."""
    by_factor: dict[float, list[str]] = defaultdict(list)
    for each, prior in PRIORS.items():
        by_factor[prior.upper_odds].append(f"'{each}'")
    cases = " ".join(f"when {reason} in ({', '.join(words)}) then {factor!r}" for factor, words in by_factor.items())
    factor = f"case {cases} else 1.0 end"
    upper = f"({factor}) * {chance} / (1.0 - {chance} + ({factor}) * {chance})"
    # Not 1000000000.0, which some databases take for a decimal number and round what is divided by it.
    return f"(floor({upper} * 1e9 + 0.5) / 1e9)"


def cluster_sql(before: str) -> str:
    """The cluster of a stored verdict by its domain: its own key where the domain does not die."""
    provider = f"({before}flags = 'free' or {before}flags like 'free,%')"
    return f"case when {provider} then {before}email_key else coalesce({before}domain, {before}email_key) end"


# -------------------------------------------------------------------- the audience


def choose(addresses: Iterable[Address], budget: Budget, *, points: int = 100) -> Chosen:
    """The largest audience that keeps to the budget.

    Args:
        addresses: candidates; none of them recommended not to be sent to.
        budget: the limit.
        points: of the curve.
    """
    ordered = sorted(addresses, key=lambda each: (each.probability, each.key))
    rows, expected, variance = 0, 0.0, 0.0
    domains: dict[str, float] = defaultdict(float)
    operators: dict[str, float] = defaultdict(float)
    bounds, last = [], None
    for each in ordered:
        spread = each.rows * math.sqrt(each.probability * (1 - each.probability))
        rows += each.rows
        expected += each.probability * each.rows
        variance += spread * spread
        if each.domain is not None:
            variance += SAME_DOMAIN * 2 * spread * domains[each.domain]
            domains[each.domain] += spread
        if each.operator is not None:
            variance += SAME_OPERATOR * 2 * spread * operators[each.operator]
            operators[each.operator] += spread
        bound = Bound(rows, expected, expected + budget.reach * math.sqrt(variance), each.probability, each.key)
        bounds.append(bound)
        if budget.holds(bound):
            last = bound
    return Chosen(budget, last, rows, _thinned(bounds, points))


def chosen_of(budget: Budget, rows: Iterable[Sequence[Any]]) -> Chosen:
    """The result of `bounds_sql` over the candidates, in any order."""
    bounds = sorted(
        Bound(int(n), float(expected), float(upper), float(probability), str(key))
        for n, expected, upper, probability, key, *_ in rows
    )
    kept = [bound for bound in bounds if budget.holds(bound)]
    return Chosen(budget, kept[-1] if kept else None, bounds[-1].rows if bounds else 0, tuple(bounds))


def _thinned(bounds: Sequence[Bound], points: int) -> tuple[Bound, ...]:
    step = max(1, math.ceil(len(bounds) / points))
    return tuple(bounds[step - 1 :: step]) if len(bounds) % step == 0 else (*bounds[step - 1 :: step], bounds[-1])


def candidates_sql(
    cells: str, verdicts: str, recommendation: str, *, has_column: bool = True, is_missing: str = "1 = 0"
) -> str:
    """The candidates of a table as a SELECT of `key_of, chance, cluster_of, operator_of, weight`.

    Args:
        cells: the distinct texts of the source: email, email_key, repeats.
        verdicts: the verdict table.
        recommendation: SQL expression of the recommendation of a verdict `v`.
        has_column: as for `bounce_probability_sql`.
        is_missing: the SQL condition that a cell `c` holds no address.
    """
    return (
        f"select v.email_key as key_of, {upper_end_sql('v.', has_column=has_column)} as chance, "
        f"{cluster_sql('v.')} as cluster_of, "
        f"coalesce(v.operator, v.email_key) as operator_of, c.repeats as weight "
        f"from {cells} c join {verdicts} v on v.email_key = c.email_key "
        f"where not {is_missing} and {recommendation} <> '{Recommendation.do_not_send}'"
    )


def bounds_sql(candidates: str, budget: Budget, *, points: int = 100) -> str:
    """The bounds that matter, as a SELECT of `rows_taken, expected, upper_bound, chance, key_of`.

    These are the last one that keeps to the limit, and `points` others for the curve, the last of all among them.

    Args:
        candidates: a SELECT of `key_of, chance, cluster_of, operator_of, weight`; an address without a cluster has its
            key there.
        budget: the limit.
        points: of the curve.
    """
    kept = f"select max(place) from candidates_bounded where {keeps_sql(repr(budget.max_bounce_rate))}"
    return (
        f"{bounded_sql(candidates, repr(budget.reach))} "
        "select rows_taken, expected, upper_bound, chance, key_of from candidates_bounded "
        f"where place = addresses or place = ({kept}) "
        f"or floor(place * {points}.0 / addresses) > floor((place - 1) * {points}.0 / addresses)"
    )


def keeps_sql(limit: str) -> str:
    """The condition that a row of `candidates_bounded` keeps to a limit, an SQL expression."""
    return f"upper_bound <= {limit} * rows_taken + {_ROUNDING!r}"


def bounded_sql(candidates: str, reach: str) -> str:
    """The common table expressions of `bounds_sql`.

    The last, `candidates_bounded`, has a row for each candidate: key_of, chance, place in the order from 1, addresses,
    and of all up to it rows_taken, expected and upper_bound.

    Args:
        candidates: as for `bounds_sql`.
        reach: SQL expression of `Budget.reach`.
    """
    order = "order by chance, key_of rows unbounded preceding"
    earlier = "(sum(spread) over (partition by {0} " + order + ") - spread)"
    pairs = (
        f"2.0 * spread * ({SAME_DOMAIN!r} * {earlier.format('cluster_of')} "
        f"+ {SAME_OPERATOR!r} * {earlier.format('operator_of')})"
    )
    return (
        "with candidates_weighed as (select key_of, chance, cluster_of, operator_of, weight, "
        f"weight * sqrt(chance * (1.0 - chance)) as spread from ({candidates}) as candidates_found), "
        f"candidates_paired as (select key_of, chance, weight, spread, {pairs} as pairs from candidates_weighed), "
        "candidates_added as (select key_of, chance, "
        f"sum(weight) over ({order}) as rows_taken, sum(chance * weight) over ({order}) as expected, "
        f"sum(spread * spread + pairs) over ({order}) as variance, "
        "row_number() over (order by chance, key_of) as place, count(*) over () as addresses "
        "from candidates_paired), "
        "candidates_bounded as (select key_of, chance, rows_taken, expected, place, addresses, "
        f"expected + {reach} * sqrt(case when variance < 0 then 0 else variance end) as upper_bound "
        "from candidates_added)"
    )
