"""How long a run will take, from the plan alone: no server is asked, not even the DNS."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from mailvet.data.operators import Operator, operators
from mailvet.settings import Settings
from mailvet.vocabulary import Depth
from mailvet.warehouse.store import Plan

__all__ = ["Forecast", "estimate", "seconds_at"]


@dataclass(frozen=True, slots=True)
class _Servers:
    """How mail servers are expected to reply; seconds."""

    round_trip: float
    per_recipient: float
    """What a server takes to look one up."""
    per_conversation: float
    """From the connection to the first recipient, and QUIT."""


_INTERNET = _Servers(0.1, 0.05, 1.0)
_LOOPBACK = _Servers(0.001, 0.01, 0.1)
"""A mail world on this machine, as `mailvet lab` starts it."""
_GROUP = 10  # recipients a round trip where they are named in groups, as in docs/asking.md; small operators get fewer
_MANY_DOMAINS = 200
"""Among so many domains of no known operator there are servers that never reply."""
_SILENT_ATTEMPTS = 4  # connections that run into the timeout at such a domain: two hosts, two addresses each
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
    """The expected length of a run.

    The slowest operator at its cap of connections, or the sum over the cap of all connections, or servers that never
    reply where there are many domains, whichever is more. Operators that are not asked (their replies say nothing) cost
    nothing. Where the resolver is this machine's own and private networks may be contacted, the servers are taken for
    those of a lab, without the internet's round trips.
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
        lone = sum(name not in _rules() for name in groups)
        silent = min(settings.smtp.address_budget, _SILENT_ATTEMPTS * settings.smtp.connect_timeout)
        seconds += max(slowest, total / pacing.connections, silent if lone >= _MANY_DOMAINS else 0.0)
    by_operator = dict(sorted(groups.items(), key=lambda item: (-item[1], item[0])))
    if depth is not Depth.smtp:
        return Forecast(by_operator, seconds)
    return Forecast(
        by_operator,
        seconds,
        {name: seconds_at(name, count, settings) for name, count in by_operator.items()},
        sum(_asked(name, count, settings) for name, count in groups.items()),
    )


def seconds_at(operator: str, addresses: int, settings: Settings) -> float:
    """The expected time to ask for so many addresses at one operator, with as many connections as it may get."""
    rule = _rules().get(operator)
    connections = min(settings.pacing.connections_per_operator, (rule.connections if rule else None) or 1 << 30)
    return _work(operator, addresses, settings) / connections


def _work(operator: str, addresses: int, settings: Settings) -> float:
    """The same over one connection."""
    rule, pacing, servers = _rules().get(operator), settings.pacing, _servers(settings)
    count = _asked(operator, addresses, settings)
    per_session = min(pacing.recipients_per_session, (rule.recipients_per_session if rule else None) or 1 << 30)
    # Nearly every server offers PIPELINING, so recipients go out in groups where no operator is known to dislike that.
    group = 1 if rule is not None and not rule.pipelining else min(_GROUP, per_session)
    conversations = -(-count // per_session)
    return count * (servers.per_recipient + servers.round_trip / group) + conversations * servers.per_conversation


def _servers(settings: Settings) -> _Servers:
    """Where the servers are: on the internet, or in a mail world on this machine."""
    resolvers = settings.dns.nameservers
    local = bool(resolvers) and all(ipaddress.ip_address(address).is_loopback for address in resolvers)
    return _LOOPBACK if local and settings.smtp.allow_private_networks else _INTERNET


def _asked(operator: str, addresses: int, settings: Settings) -> int:
    """How many of the addresses would be asked for today; none where the answers say nothing."""
    rule, limits = _rules().get(operator), settings.pacing.daily_limits
    if rule is not None and rule.answers == "accepts_all":
        return 0
    return min(addresses, limits.get(operator, limits.get("default", addresses)))


@cache
def _rules() -> dict[str, Operator]:
    return {operator.name: operator for operator in operators()}
