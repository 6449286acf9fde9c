"""How long a run will take, from the plan alone: nobody is asked, not even the DNS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from mailvet.operators import Operator, operators
from mailvet.settings import Settings
from mailvet.verdict import Depth
from mailvet.warehouse.base import Plan

__all__ = ["Forecast", "estimate", "seconds_at"]

# Seconds, from the lab and from RTTs on the internet: a guess to plan a night with, not a promise.
_ROUND_TRIP = 0.1
_PER_RECIPIENT = 0.05  # what a server takes to look one up
_GROUP = 10  # recipients a round trip where they are named in groups, as in docs/asking.md; small operators get fewer
_PER_CONVERSATION = 1.0
_DOMAINS_A_SECOND = 500.0  # through an ordinary resolver with a cold cache
_OFFLINE_A_SECOND = 200_000.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan costs."""

    by_operator: Mapping[str, int]
    """Due addresses by operator where the domain tells it, else by domain; the most first."""
    seconds: float
    """Expected length of the run."""
    seconds_by_operator: Mapping[str, float] = field(default_factory=dict)
    """Expected time at each operator at the current pace; they are asked at the same time."""
    probes: int = 0
    """Recipients that would be named to mail servers, daily limits considered; a control address for each domain
    that has to be asked about one comes on top."""


def estimate(plan: Plan, settings: Settings) -> Forecast:
    """
    The expected length of a run: the slowest operator at its cap of connections, or the sum over the cap of all
    connections, whichever is more. Operators that are not asked (their answers say nothing) cost nothing.
    """
    known = {domain: operator for operator in operators() for domain in operator.domains}
    groups: dict[str, int] = {}
    slowest = total = 0.0
    pacing = settings.pacing
    for domain, count in plan.domains:
        operator = known.get(domain)
        name = operator.name if operator else domain
        groups[name] = groups.get(name, 0) + count
    for name, count in groups.items():
        slowest = max(slowest, seconds_at(name, count, settings))
        total += _work(name, count, settings)
    seconds = plan.due / _OFFLINE_A_SECOND
    depth = Depth(settings.depth)
    if depth is not Depth.offline:
        seconds += len(plan.domains) / _DOMAINS_A_SECOND
    if depth is Depth.smtp:
        seconds += max(slowest, total / pacing.connections)
    by_operator = dict(sorted(groups.items(), key=lambda item: (-item[1], item[0])))
    if depth is not Depth.smtp:
        return Forecast(by_operator, seconds)
    return Forecast(
        by_operator, seconds, {name: seconds_at(name, count, settings) for name, count in by_operator.items()},
        sum(_asked(name, count, settings) for name, count in groups.items()),
    )  # fmt: skip


def seconds_at(operator: str, addresses: int, settings: Settings) -> float:
    """The expected time to ask for so many addresses at one operator, with as many connections as it may get."""
    rule = _rules().get(operator)
    connections = min(settings.pacing.connections_per_operator, (rule.connections if rule else None) or 1 << 30)
    return _work(operator, addresses, settings) / connections


def _work(operator: str, addresses: int, settings: Settings) -> float:
    """The same over one connection."""
    rule, pacing = _rules().get(operator), settings.pacing
    count = _asked(operator, addresses, settings)
    per_session = min(pacing.recipients_per_session, (rule.recipients_per_session if rule else None) or 1 << 30)
    # Nearly every server offers PIPELINING, so whoever is not known to dislike groups is asked in groups.
    group = 1 if rule is not None and not rule.pipelining else min(_GROUP, per_session)
    return count * (_PER_RECIPIENT + _ROUND_TRIP / group) + -(-count // per_session) * _PER_CONVERSATION


def _asked(operator: str, addresses: int, settings: Settings) -> int:
    """How many of the addresses would be asked for today; none where the answers say nothing."""
    rule, limits = _rules().get(operator), settings.pacing.daily_limits
    if rule is not None and rule.answers == "accepts_all":
        return 0
    return min(addresses, limits.get(operator, limits.get("default", addresses)))


@cache
def _rules() -> dict[str, Operator]:
    return {operator.name: operator for operator in operators()}
