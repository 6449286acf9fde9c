"""Where does mail for a domain go?

RFC 5321 section 5.1, RFC 7505, and what resolvers do in practice.

Each domain is looked up once and remembered for its TTL; the addresses of a mail server are shared by all domains
that use it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mailvet.data.operators import mailbox_domains
from mailvet.dns.resolver import Outcome, Resolver, Response
from mailvet.dns.targets import PRIVATE_ADDRESS, may_be_contacted
from mailvet.reference.providers import operator_of_route, public_suffix
from mailvet.settings import Dns
from mailvet.vocabulary import Reason

__all__ = ["KnownRoutes", "MailHost", "Route", "Routes"]

_CACHED_ROUTES = 500_000
_CACHED_OCTETS = 512_000_000
_MOST_ADDRESSES = 16  # of one host that are kept; two of them are contacted
_NEGATIVE_TTL = 900.0  # seconds; a resolver hides the SOA's own number from us
_FAILURE_TTL = 600.0
_LEAST_TTL = 60.0
_NAMES_PER_HOST = 4  # names looked up at most for each host that may be contacted: some have no address
_INVENTED_ADDRESS = "the resolver invents this address"


@dataclass(frozen=True, slots=True)
class MailHost:
    """One mail server of a route."""

    name: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of mail to a domain, or why there is none."""

    domain: str
    reason: Reason | None = None
    """None when mail can be delivered to `hosts`; else one of the DNS reasons."""
    hosts: tuple[MailHost, ...] = ()
    """Servers that can be contacted, best preference first."""
    operator: str | None = None
    """Slug of the owner of the servers; of several owners, see `mailvet.reference.providers.operator_of_route`."""
    detail: str | None = None
    expires: float = field(default=0.0, compare=False)
    """`time.monotonic()` after which the route is looked up anew."""
    hosts_key: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """What two domains must share to be asked in one conversation: the names of the servers."""

    def __post_init__(self) -> None:
        if self.hosts and not self.hosts_key:
            object.__setattr__(self, "hosts_key", tuple([host.name for host in self.hosts]))

    @property
    def mx_host(self) -> str | None:
        """The preferred server's name."""
        return self.hosts[0].name if self.hosts else None


class Routes:
    """The route layer: `examine(domains)` gives a `Route` for each.

    Args:
        resolver: where to ask.
        settings: cache and concurrency.
        allow_private_networks: count loopback and private addresses as routable, all or those in the networks named;
            for a lab only.
    """

    def __init__(
        self,
        resolver: Resolver,
        settings: Dns,
        *,
        allow_private_networks: bool | tuple[str, ...] = False,
    ) -> None:
        self._resolver = resolver
        self._settings = settings
        self._longest = settings.cache_ttl.total_seconds()
        self._private = allow_private_networks
        self._cache: dict[str, Route] = {}
        self._octets = 0
        """What the routes looked up since the cache was empty need at most, about."""
        self._hosts: dict[str, asyncio.Task[tuple[Response, float]]] = {}
        self._usable: dict[tuple[int, str], tuple[MailHost, float]] = {}  # and until when
        self.lookups = 0
        """Domains looked up so far, cache hits not counted."""

    def known(self, domain: str) -> Route | None:
        """The route of a domain, if it was looked up and holds still."""
        known = self._cache.get(domain)
        return known if known is not None and known.expires > time.monotonic() else None

    async def examine(self, domains: Iterable[str]) -> dict[str, Route]:
        """The route of every domain (ASCII, lower case).

        Lookups run side by side, at most `dns.concurrency` at once.
        """
        if self._resolver.trust.is_due:
            await self._resolver.look_for_inventions()
        now = time.monotonic()
        routes: dict[str, Route] = {}
        missing: list[str] = []
        for domain in domains:
            known = self._cache.get(domain)
            if known is not None and known.expires > now:
                routes[domain] = known
            else:
                missing.append(domain)
        if missing:
            queue = iter(dict.fromkeys(missing))
            workers = min(len(missing), self._settings.concurrency)
            await asyncio.gather(*(self._work(queue, routes) for _ in range(workers)))
        return routes

    async def _work(self, queue: Iterator[str], routes: dict[str, Route]) -> None:
        for domain in queue:
            route = await self._look_up(domain)
            routes[domain] = route
            self._octets += _size(route)
            if len(self._cache) >= _CACHED_ROUTES or self._octets >= _CACHED_OCTETS:
                self._cache.clear()  # rare; dearer book-keeping would cost every lookup
                self._hosts.clear()
                self._usable.clear()
                self._octets = _size(route)
            self._cache[domain] = route

    async def _look_up(self, domain: str) -> Route:
        self.lookups += 1
        response = await self._resolver.ask(domain, "MX")
        if response.outcome is Outcome.found:
            if "MX" in self._resolver.trust.inventions.kinds:
                return self._doubtful(domain, "the resolver invents MX records")
            return self._as_known(domain, response) or await self._from_mx(domain, response)
        if response.outcome is Outcome.no_data:
            return await self._implicit(domain)
        if response.outcome is Outcome.no_name:
            return await self._confirm_missing(domain)
        return self._failed(domain, response)

    def _as_known(self, domain: str, response: Response) -> Route | None:
        """The route, if others have led to all of its servers: most domains share theirs with many."""
        if len(response.records) > self._settings.most_hosts:
            return None  # not all of them are looked up
        hosts, now, until = [], time.monotonic(), self._expiry(response.ttl)
        for record in response.records:
            known = self._usable.get(record)
            if known is None or known[1] <= now:
                return None
            hosts.append(known[0])
            until = min(until, known[1])
        if len(hosts) > 1:
            hosts.sort(key=_by_preference)
        return Route(domain, None, tuple(hosts), _operator_name(hosts), None, until)

    async def _from_mx(self, domain: str, response: Response) -> Route:  # noqa: C901  # one case after another
        named = sorted((preference, name.lower()) for preference, name in response.records if name not in ("", "."))
        if not named:  # RFC 7505: the only MX is the root
            return await self._dead(domain, Reason.null_mx, "MX 0 .", response.ttl)
        invented = self._resolver.trust.inventions.values
        hosts: list[MailHost] = []
        found: list[Response] = []
        unroutable, made_up, ttl, most = 0, 0, response.ttl, self._settings.most_hosts
        # Some domains list hundreds: a few are looked up, the next few only where too few of these can be contacted.
        for begin in range(0, min(len(named), _NAMES_PER_HOST * most), most):
            few = named[begin : begin + most]
            for (preference, name), (addresses, host_ttl) in zip(
                few, await asyncio.gather(*(self._addresses(name) for _, name in few)), strict=True
            ):
                found.append(addresses)
                ttl = min(ttl, host_ttl)
                records = [record for record in addresses.records if record[1] not in invented]
                usable = self._routable(records)
                if usable:
                    host = MailHost(name, preference, usable)
                    hosts.append(host)
                    self._usable[preference, name] = (host, time.monotonic() + host_ttl)
                elif records:
                    unroutable += 1
                elif addresses.records:
                    made_up += 1
            if sum(":" not in host.addresses[0] for host in hosts) >= most:
                break  # not every machine has IPv6, so that family alone is not enough
        hosts = _fewest(hosts, most)
        if hosts:
            return self._alive(domain, tuple(hosts), None, ttl)
        # RFC 5321 5.1: with MX records present, the domain's own address is no way round them.
        failures = [each for each in found if each.outcome in (Outcome.failed, Outcome.timed_out)]
        if failures:
            return self._failed(domain, failures[0])
        if len(found) < len(named):
            return self._doubtful(domain, f"{len(found)} of {len(named)} mail servers looked up, none has an address")
        if made_up:
            return self._doubtful(domain, _INVENTED_ADDRESS)
        if unroutable:
            return await self._dead(domain, Reason.mx_unroutable, named[0][1], ttl)
        return await self._dead(domain, Reason.no_mail_server, f"MX {named[0][1]} has no address", ttl)

    async def _implicit(self, domain: str) -> Route:
        """RFC 5321 5.1: without any MX, the domain itself is the mail server."""
        addresses, ttl = await self._addresses(domain)
        if addresses.outcome in (Outcome.failed, Outcome.timed_out):
            return self._failed(domain, addresses)
        if not addresses.records:
            return await self._dead(domain, Reason.no_mail_server, "neither MX nor address", _NEGATIVE_TTL)
        return await self._at_own_address(domain, addresses, ttl)

    async def _at_own_address(self, domain: str, addresses: Response, ttl: float) -> Route:
        """The route to a domain that has nothing but addresses, if they are not invented."""
        kind = "AAAA" if ":" in addresses.records[0][1] else "A"
        if kind in self._resolver.trust.inventions.kinds or await self._resolver.invents_below(_ending(domain)):
            return self._doubtful(domain, _INVENTED_ADDRESS)
        usable = self._routable(addresses.records)
        if not usable:
            return await self._dead(domain, Reason.mx_unroutable, PRIVATE_ADDRESS, ttl)
        return self._alive(domain, (MailHost(domain, 0, usable),), "no MX, address used", ttl)

    async def _confirm_missing(self, domain: str) -> Route:
        """NXDOMAIN to MX: a name server that knows no such type says so too, and A and AAAA show it.

        One NXDOMAIN to them is enough where the other has no response.
        """
        ask, found = self._resolver.ask, []
        for kind in ("A", "AAAA"):
            response = await ask(domain, kind, mixed_case=False)
            if response.outcome is Outcome.found:
                return await self._at_own_address(domain, response, response.ttl)
            found.append(response)
        outcomes = {each.outcome for each in found}
        for response in found:
            if response.outcome is Outcome.failed:
                return self._failed(domain, response)
        if Outcome.no_data in outcomes:
            # Perhaps a server that knows the name in lower case only.
            response = await ask(domain, "MX", mixed_case=False)
            if response.outcome is Outcome.found:
                return self._as_known(domain, response) or await self._from_mx(domain, response)
            return self._doubtful(domain, "the name exists for one type and does not for another")
        if Outcome.no_name in outcomes:
            return await self._dead(domain, Reason.domain_not_found, "NXDOMAIN", _NEGATIVE_TTL)
        return self._failed(domain, found[0])

    async def _addresses(self, name: str) -> tuple[Response, float]:
        """A records, or AAAA where there is no A; one lookup per server however many domains ask."""
        task = self._hosts.get(name)
        if task is None or (task.done() and _stale(task)):
            task = asyncio.ensure_future(self._ask_addresses(name))
            self._hosts[name] = task
        # Shielded: others wait for the same server's addresses when one run is cancelled.
        response, expires = await asyncio.shield(task)
        return response, max(expires - time.monotonic(), 0.0)

    async def _ask_addresses(self, name: str) -> tuple[Response, float]:
        response = await self._resolver.ask(name, "A")
        if response.outcome is not Outcome.found:
            six = await self._resolver.ask(name, "AAAA")
            # Without records, what failed or had no response for one of the types leaves the question open.
            if six.outcome is Outcome.found or response.outcome in (Outcome.no_data, Outcome.no_name):
                response = six
        if len(response.records) > _MOST_ADDRESSES:
            response = response._replace(records=response.records[:_MOST_ADDRESSES])
        ttl = response.ttl if response.records else _FAILURE_TTL
        return response, time.monotonic() + min(max(ttl, _LEAST_TTL), self._longest)

    def _routable(self, records: Iterable[tuple[int, str]]) -> tuple[str, ...]:
        return tuple(address for _, address in records if may_be_contacted(address, self._private))

    def _alive(self, domain: str, hosts: tuple[MailHost, ...], detail: str | None, ttl: float) -> Route:
        operator = _operator_name(hosts)
        return Route(domain, None, hosts, operator, detail, self._expiry(ttl))

    async def _dead(self, domain: str, reason: Reason, detail: str, ttl: float) -> Route:
        """The domain takes no mail, if the resolver can be believed."""
        if domain in mailbox_domains():  # a provider does not vanish; a resolver that says so errs
            return self._doubtful(domain, f"{reason}, which is not believed of a mailbox provider ({detail})")
        if not await self._resolver.trust.believes_negatives():
            return self._doubtful(domain, f"{reason}, from a resolver that finds none of the control domains")
        return Route(domain, reason, detail=detail, expires=self._expiry(ttl))

    def _doubtful(self, domain: str, detail: str) -> Route:
        return Route(domain, Reason.dns_error, detail=detail, expires=_soon())

    def _failed(self, domain: str, response: Response) -> Route:
        reason = Reason.dns_timeout if response.outcome is Outcome.timed_out else Reason.dns_error
        return Route(domain, reason, detail=response.detail or response.outcome.value, expires=_soon())

    def _expiry(self, ttl: float) -> float:
        return time.monotonic() + min(max(ttl, _LEAST_TTL), self._longest)


def _fewest(hosts: list[MailHost], most: int) -> list[MailHost]:
    """The first of them, at most so many of each address family."""
    left = {False: most, True: most}
    kept = []
    for host in hosts:
        of_version_6 = ":" in host.addresses[0]
        if left[of_version_6]:
            left[of_version_6] -= 1
            kept.append(host)
    return kept


def _size(route: Route) -> int:
    """Octets that a route and what was looked up for it need in memory, about: at hostile domains, much."""
    hosts = sum(_PER_HOST + 2 * len(host.name) + 100 * len(host.addresses) for host in route.hosts)
    return _PER_ROUTE + len(route.domain) + len(route.detail or "") + hosts


_PER_ROUTE = 300
_PER_HOST = 200


def _by_preference(host: MailHost) -> tuple[int, str]:
    return host.preference, host.name


class KnownRoutes:
    """The route layer where routes were looked up beforehand, by another process.

    It has those brought last, and asks no server.
    """

    lookups = 0

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    def bring(self, routes: Iterable[Route]) -> None:
        """Take these routes in the place of those from before."""
        self._routes = {route.domain: route for route in routes}

    async def examine(self, domains: Iterable[str]) -> dict[str, Route]:
        """The route of every domain.

        Raises:
            KeyError: it was not brought.
        """
        return {domain: self._routes[domain] for domain in domains}


def _stale(task: asyncio.Task[tuple[Response, float]]) -> bool:
    return task.cancelled() or task.exception() is not None or task.result()[1] < time.monotonic()


def _soon() -> float:
    return time.monotonic() + _FAILURE_TTL


@lru_cache(maxsize=4096)
def _ending(domain: str) -> str:
    """The public suffix that the domain lies below; of an ending itself, what is left of it."""
    return public_suffix(domain.partition(".")[2] or domain)


def _operator_name(hosts: Iterable[MailHost]) -> str:
    return operator_of_route(tuple([host.name for host in hosts])).name
