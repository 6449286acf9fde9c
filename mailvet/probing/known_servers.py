"""The operators, server addresses and domains that a run has met, with what is known of each.

A run of any length stays small: what no recipient waits for is forgotten, the oldest first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from mailvet.data.operators import operators
from mailvet.dns.routes import Route
from mailvet.probing.addresses import ServerAddress
from mailvet.probing.canary import Place
from mailvet.probing.domain import DomainState, Probe
from mailvet.probing.memory import ServerMemory, place_of
from mailvet.probing.pacing import ErrorBudget, Pace
from mailvet.probing.queues import OperatorQueue, ServerSet, Way, in_order
from mailvet.reference.providers import operator_of_route
from mailvet.settings import Settings

__all__ = ["KnownServers"]

_ADDRESSES_PER_HOST = 2
_REMEMBERED_DOMAINS = 200_000
_REMEMBERED_SERVERS = 20_000


class KnownServers:
    """What one pool knows of servers and domains.

    Args:
        settings: `smtp`, `pacing`.
        memory: what earlier runs learnt.
        awaited: the recipients that wait for a result.

    Attributes:
        operators: by name.
        domains: by name, the oldest first.
        addresses: by IP address.
        places: by key.
    """

    def __init__(self, settings: Settings, memory: ServerMemory, awaited: Callable[[], Iterable[Probe]]) -> None:
        self._settings = settings
        self._memory = memory
        self._awaited = awaited
        self.operators: dict[str, OperatorQueue] = {}
        self.domains: OrderedDict[str, DomainState] = OrderedDict()
        self.addresses: dict[str, ServerAddress] = {}
        self.places: dict[str, Place] = {}
        self._routed: dict[str, tuple[Route, DomainState, ServerSet]] = {}
        self._server_sets = 0
        self._asked_earlier: dict[str, int] = {}
        """By operators that were forgotten since."""

    def routed(self, local: str, domain: str, route: Route) -> tuple[DomainState, ServerSet]:
        """What is known of a recipient's domain, and the servers that it is asked at."""
        known = self._routed.get(domain)
        if known is None or known[0] is not route or not local.isascii():
            known = self._route(local, domain, route)
        return known[1], known[2]

    def _route(self, local: str, name: str, route: Route) -> tuple[Route, DomainState, ServerSet]:
        """What recipients of a domain have in common, kept for those that need no SMTPUTF8."""
        if self._server_sets >= _REMEMBERED_SERVERS:
            self._forget_servers()
        queue = self._operator(route)
        servers = self._servers(queue, route, eai=not local.isascii())
        routed = route, self.domain_of(name, queue.rule.answers), servers
        if not servers.eai:
            self._routed[name] = routed
        return routed

    def domain_of(self, name: str, answers: str = "mixed") -> DomainState:
        """What is known of a domain."""
        domain = self.domains.get(name)
        if domain is None:
            if len(self.domains) >= _REMEMBERED_DOMAINS:
                self._forget_domains()
            domain = self.domains[name] = DomainState(name, answers)
        return domain

    def place(self, key: str) -> Place:
        """The place with this key."""
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Place(key, self._memory)
        return place

    def address(self, ip: str) -> ServerAddress:
        """What is known of an IP address."""
        address = self.addresses.get(ip)
        if address is None:
            address = self.addresses[ip] = ServerAddress(ip, self._settings.pacing.connections_per_operator)
        return address

    def _forget_domains(self) -> None:
        """Forget the older half of the domains that no recipient waits for, so that a run of any length stays small."""
        self._routed.clear()
        awaited = {probe.domain.name for probe in self._awaited()}
        for name in list(self.domains)[: _REMEMBERED_DOMAINS // 2]:
            if name not in awaited:
                del self.domains[name]

    def _forget_servers(self) -> None:
        """The same for servers; what an operator was asked counts against its daily limit all the same."""
        self._routed.clear()
        awaited = {probe.route.hosts_key for probe in self._awaited()}
        kept: set[str] = set()
        for name, queue in list(self.operators.items()):
            for key, servers in list(queue.servers.items()):
                if not servers.conversations and not servers.queued and key[0] not in awaited:
                    del queue.servers[key]
                    self._server_sets -= 1
                else:
                    kept.update(place.key for place in servers.places)
            if not queue.servers and not queue.busy:
                if queue.asked:
                    self._asked_earlier[name] = queue.asked
                del self.operators[name]
        for name, place in list(self.places.items()):
            if name not in kept and place.quiet and not (place.suspicious or place.pending):
                del self.places[name]

    def _operator(self, route: Route) -> OperatorQueue:
        rule = operator_of_route(tuple(host.name for host in route.hosts))
        queue = self.operators.get(rule.name)
        if queue is None:
            pacing = self._settings.pacing
            cap = min(pacing.connections_per_operator, rule.connections or pacing.connections_per_operator)
            limits = pacing.daily_limits
            limit = limits.get(rule.name, limits.get("default"))
            queue = self.operators[rule.name] = OperatorQueue(
                rule, rule in operators(), Pace(cap), ErrorBudget(pacing.errors_per_session), limit
            )
            queue.asked = self._asked_earlier.pop(rule.name, 0)
        return queue

    def _servers(self, queue: OperatorQueue, route: Route, *, eai: bool) -> ServerSet:
        key = (route.hosts_key, eai)
        servers = queue.servers.get(key)
        if servers is None:
            ways = []
            group = ",".join(route.hosts_key) if queue.listed else ""
            for host in in_order(route.hosts):
                for ip in host.addresses[:_ADDRESSES_PER_HOST]:
                    place = self.place(
                        f"operator:{queue.rule.name}" if queue.listed else place_of(ip, self._settings.smtp.port)
                    )
                    place.recall(host.name.lower(), group)
                    place.recall(place.key, group)
                    ways.append(Way(host, self.address(ip), place))
            places = tuple(dict.fromkeys(way.place for way in ways))
            servers = queue.servers[key] = ServerSet(queue, route, eai, tuple(ways), places, group_key=group)
            for place in places:
                place.servers.setdefault(group, servers)
                place.recall(group, group)
            self._server_sets += 1
        return servers
