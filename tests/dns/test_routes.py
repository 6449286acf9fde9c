"""Where mail for a domain goes: every case of RFC 5321 section 5.1 and RFC 7505, and what name servers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mailvet.dns.resolver import Outcome, Resolver, Response
from mailvet.dns.routes import Route, Routes
from mailvet.dns.trust import Trust
from mailvet.lab import Lab, World
from mailvet.settings import Dns
from mailvet.vocabulary import Reason
from tests.probing import lab_settings, probe, total

LabFactory = Callable[..., Lab]


async def look_up(lab: Lab, *domains: str, allow: bool | tuple[str, ...] = ("127.0.0.0/8", "::1/128")) -> list[Route]:
    resolver = Resolver(lab_settings(lab).dns)
    routes = Routes(resolver, lab_settings(lab).dns, allow_private_networks=allow)
    found = await routes.examine(domains)
    await resolver.close()
    return [found[domain] for domain in domains]


def _world() -> World:
    world = World()
    for host in ("mx1.acme.test", "mx2.acme.test", "implicit.test"):
        world.host(host)
    world.domain("acme.test", [(20, "mx2.acme.test"), (10, "mx1.acme.test")])
    world.domain("equal.test", [(10, "mx2.acme.test"), (10, "mx1.acme.test")])
    world.domain("implicit.test")
    world.domain("null.test", [(0, ".")])
    world.domain("odd-null.test", [(0, "."), (10, "mx1.acme.test")])
    world.domain("empty.test").record("empty.test", "TXT", '"v=spf1 -all"')
    world.domain("dangling.test", [(10, "gone.acme.test")])
    world.domain("half.test", [(10, "gone.acme.test"), (20, "mx1.acme.test")])
    world.domain("dangling-with-a.test", [(10, "gone.acme.test")]).record("dangling-with-a.test", "A", "127.77.0.2")
    world.domain("alias.test", cname="acme.test")
    world.record("cnamed-mx.acme.test", "CNAME", "mx1.acme.test")
    world.domain("mx-is-alias.test", [(10, "cnamed-mx.acme.test")])
    world.domain("loop.test", cname="loop2.test").domain("loop2.test", cname="loop.test")
    world.domain("inside.test", [(10, "printer.inside.test")]).record("printer.inside.test", "A", "10.1.2.3")
    world.domain("v6.test", [(10, "v6.mx.test")]).record("v6.mx.test", "AAAA", "::1")
    world.domain("upper.test", [(10, "MX1.ACME.TEST")])
    for behaviour in ("servfail", "refused", "dropped", "lame", "truncated", "nxdomain"):
        world.domain(f"{behaviour}.test", [(10, "mx1.acme.test")], dns=behaviour)
    world.domain("mx-servfail.test", [(10, "mx.servfail.test")])
    world.domain("mx-dropped.test", [(10, "mx.dropped.test")])
    world.domain("big.test", [(n, f"mx{n}.with-a-long-name-that-fills-the-answer.big.test") for n in range(60)])
    return world.record("mx19.with-a-long-name-that-fills-the-answer.big.test", "A", "127.77.0.2")


@pytest.mark.parametrize(
    ("domain", "reason", "hosts"),
    [
        ("acme.test", None, ["mx1.acme.test", "mx2.acme.test"]),
        ("equal.test", None, ["mx1.acme.test", "mx2.acme.test"]),
        ("implicit.test", None, ["implicit.test"]),
        ("null.test", Reason.null_mx, []),
        ("odd-null.test", None, ["mx1.acme.test"]),
        ("empty.test", Reason.no_mail_server, []),
        ("dangling.test", Reason.no_mail_server, []),
        ("half.test", None, ["mx1.acme.test"]),
        ("dangling-with-a.test", Reason.no_mail_server, []),
        ("alias.test", None, ["mx1.acme.test", "mx2.acme.test"]),
        ("mx-is-alias.test", None, ["cnamed-mx.acme.test"]),
        ("loop.test", Reason.dns_error, []),
        ("inside.test", Reason.mx_unroutable, []),
        ("v6.test", None, ["v6.mx.test"]),
        ("upper.test", None, ["mx1.acme.test"]),
        ("not-there.test", Reason.domain_not_found, []),
        ("nxdomain.test", Reason.domain_not_found, []),
        ("servfail.test", Reason.dns_error, []),
        ("refused.test", Reason.dns_error, []),
        ("dropped.test", Reason.dns_timeout, []),
        ("lame.test", Reason.dns_error, []),
        ("mx-servfail.test", Reason.dns_error, []),
        ("mx-dropped.test", Reason.dns_timeout, []),
        ("truncated.test", None, ["mx1.acme.test"]),
        ("big.test", None, ["mx19.with-a-long-name-that-fills-the-answer.big.test"]),
    ],
)
async def test_a_domain_has_the_route_that_its_records_give(
    mailvet_lab_factory: LabFactory, domain: str, reason: Reason | None, hosts: list[str]
) -> None:
    (route,) = await look_up(mailvet_lab_factory(_world()), domain)
    assert route.reason is reason
    assert [host.name for host in route.hosts] == hosts
    assert [host.preference for host in route.hosts] == sorted(host.preference for host in route.hosts)
    assert (route.operator is not None) == bool(hosts)


async def test_a_failure_of_name_servers_is_never_undeliverable(mailvet_lab_factory: LabFactory) -> None:
    domains = ("servfail.test", "refused.test", "dropped.test", "lame.test", "loop.test", "mx-servfail.test")
    probed = await probe(mailvet_lab_factory(_world()), [f"ann@{domain}" for domain in domains])
    assert set(probed.statuses().values()) == {"unknown"}


async def test_every_domain_and_every_server_is_looked_up_once(mailvet_lab_factory: LabFactory) -> None:
    world = World().host("mx.acme.test")
    for n in range(40):
        world.domain(f"d{n}.test", [(10, "mx.acme.test")])
    lab = mailvet_lab_factory(world)
    resolver = Resolver(lab_settings(lab).dns)
    routes = Routes(resolver, lab_settings(lab).dns, allow_private_networks=True)
    domains = [f"d{n}.test" for n in range(40)]
    for _ in range(3):
        await routes.examine(domains + domains)
    assert routes.lookups == 40
    await resolver.close()
    queries = lab.dns_queries()
    assert {queries[(domain, "MX")] for domain in domains} == {1}
    assert queries[("mx.acme.test", "A")] == 1
    assert not any(kind == "AAAA" for name, kind in queries if not name.startswith("mailvet-"))
    assert not any((domain, "A") in queries for domain in domains)


async def test_a_run_asks_for_a_domain_once_over_all_batches_and_spellings(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]))
    await probe(lab, ["ann@acme.test", "bob@ACME.test", "cid@acme.test", "no-address", ""], depth="dns")
    asked = {name: n for name, n in lab.dns_queries().items() if name[0].endswith("acme.test")}
    assert asked == {("acme.test", "MX"): 1, ("mx.acme.test", "A"): 1}


async def test_what_is_no_address_is_not_looked_up(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(World())
    probed = await probe(lab, ["no-address", "", "a b@acme.test", "@acme.test"], depth="dns")
    assert set(probed.reasons().values()) == {"missing", "syntax_invalid"}
    assert not [name for name, _ in lab.dns_queries() if not name.startswith("mailvet-")]


async def test_an_unroutable_server_is_never_contacted(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")]))
    (route,) = await look_up(lab, "acme.test", allow=False)
    assert route.reason is Reason.mx_unroutable
    probed = await probe(lab, ["ann@acme.test"], smtp={"allow_private_networks": ("10.0.0.0/8",)})
    assert probed["ann@acme.test"]["reason"] == "mx_unroutable"
    assert total(lab).connections == 0


async def test_of_several_servers_only_the_routable_are_kept(mailvet_lab_factory: LabFactory) -> None:
    world = World().host("mx.acme.test").record("mx0.acme.test", "A", "10.0.0.1")
    world.domain("acme.test", [(5, "mx0.acme.test"), (10, "mx.acme.test")])
    (route,) = await look_up(mailvet_lab_factory(world), "acme.test")
    assert [host.name for host in route.hosts] == ["mx.acme.test"]


@pytest.mark.parametrize("through_mx", [False, True])
async def test_an_address_that_the_resolver_invents_says_nothing(
    mailvet_lab_factory: LabFactory, through_mx: bool
) -> None:
    world = World(rewrites_nxdomain="127.99.99.99").host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    if through_mx:
        world.domain("gone.test", [(10, "mx.gone.test")])
    lab = mailvet_lab_factory(world)
    gone, alive = await look_up(lab, "gone.test", "acme.test")
    assert gone.reason is Reason.dns_error
    assert alive.reason is None
    probed = await probe(lab, ["ann@gone.test"], depth="dns")
    assert probed["ann@gone.test"]["status"] == "unknown"
    assert probed.degraded is not None
    assert "do not exist" in probed.degraded


# ---------------------------------------------------------------- the cache, with a resolver of our own


class Records(Resolver):
    """Answers from a table and counts; what is not in it does not exist."""

    def __init__(self, table: dict[tuple[str, str], Response], delay: float = 0.0) -> None:
        self.table, self.delay, self.asked = table, delay, 0
        self.down = False
        self.trust = Trust([], Dns(controls=()))

    async def look_for_inventions(self) -> None:
        pass

    async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return self.table.get((name, kind), Response(Outcome.no_name))


def _table(ttl: float = 300.0) -> dict[tuple[str, str], Response]:
    return {
        ("acme.test", "MX"): Response(Outcome.found, [(10, "mx.acme.test")], ttl),
        ("mx.acme.test", "A"): Response(Outcome.found, [(0, "192.0.2.1")], ttl),
    }


@pytest.mark.parametrize(
    ("ttl", "cache_ttl", "seconds"),
    [(300, timedelta(hours=6), 300), (86400, timedelta(hours=6), 21600), (0, timedelta(hours=6), 60)],
)
async def test_a_route_is_kept_for_its_ttl_within_the_bounds(ttl: float, cache_ttl: timedelta, seconds: float) -> None:
    routes = Routes(Records(_table(ttl)), Dns(cache_ttl=cache_ttl), allow_private_networks=True)
    route = (await routes.examine(["acme.test"]))["acme.test"]
    assert route.expires - time.monotonic() == pytest.approx(seconds, abs=1)


async def test_an_expired_route_is_looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(_table())
    routes = Routes(records, Dns(), allow_private_networks=True)
    await routes.examine(["acme.test"])
    later = time.monotonic() + 301
    monkeypatch.setattr(time, "monotonic", lambda: later)
    await routes.examine(["acme.test"])
    assert (routes.lookups, records.asked) == (2, 4)


async def test_a_run_that_is_cancelled_does_not_take_the_lookups_of_another_with_it() -> None:
    class SlowAddresses(Records):
        async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
            await asyncio.sleep(0.1 if kind == "A" else 0)
            return await super().ask(name, kind, mixed_case=mixed_case)

    routes = Routes(SlowAddresses(_table()), Dns(), allow_private_networks=True)
    first = asyncio.ensure_future(routes.examine(["acme.test"]))
    second = asyncio.ensure_future(routes.examine(["acme.test"]))
    await asyncio.sleep(0.03)  # both wait for the address of the same server
    first.cancel()
    assert (await asyncio.wait_for(second, 1))["acme.test"].reason is None
    assert (await routes.examine(["acme.test"]))["acme.test"].reason is None


async def test_lookups_run_side_by_side_within_the_limit() -> None:
    running, peak = 0, 0

    class Counting(Records):
        async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
            nonlocal running, peak
            running += kind == "MX"
            peak = max(peak, running)
            response = await super().ask(name, kind, mixed_case=mixed_case)
            running -= kind == "MX"
            return response

    routes = Routes(Counting({}, delay=0.005), Dns(concurrency=7))
    await routes.examine(f"d{n}.test" for n in range(50))
    assert peak == 7


async def test_a_resolver_that_raises_is_heard() -> None:
    class Faulty(Records):
        async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Routes(Faulty({}), Dns()).examine(["acme.test"])


@pytest.mark.parametrize(
    ("a", "aaaa", "reason"),
    [
        (Response(Outcome.failed), Response(Outcome.found, [(0, "2606:4700::1")], 60), None),
        (Response(Outcome.failed), Response(Outcome.no_data), Reason.dns_error),
        (Response(Outcome.timed_out), Response(Outcome.no_data), Reason.dns_timeout),
        (Response(Outcome.no_data), Response(Outcome.failed), Reason.dns_error),
        (Response(Outcome.no_data), Response(Outcome.no_data), Reason.no_mail_server),
        (Response(Outcome.no_name), Response(Outcome.found, [(0, "2606:4700::1")], 60), None),
        (Response(Outcome.no_name), Response(Outcome.no_name), Reason.no_mail_server),
        (Response(Outcome.no_name), Response(Outcome.timed_out), Reason.dns_timeout),
    ],
)
async def test_a_server_without_ipv4_may_have_ipv6_and_a_failure_is_not_an_absence(
    a: Response, aaaa: Response, reason: Reason | None
) -> None:
    table: dict[tuple[str, str], Any] = {**_table(), ("mx.acme.test", "A"): a, ("mx.acme.test", "AAAA"): aaaa}
    route = (await Routes(Records(table), Dns()).examine(["acme.test"]))["acme.test"]
    assert route.reason is reason


async def test_a_set_of_servers_of_several_owners_is_named_after_them(mailvet_lab_factory: LabFactory) -> None:
    world = World().host("aspmx.l.google.com").host("alt1.aspmx.l.google.com").host("mx.acme.test")
    world.domain("customer.test", [(1, "aspmx.l.google.com"), (5, "alt1.aspmx.l.google.com")])
    world.domain("mixed.test", [(1, "aspmx.l.google.com"), (5, "mx.acme.test")])
    world.domain("mixed-too.test", [(1, "aspmx.l.google.com"), (5, "mx.acme.test")])
    lab = mailvet_lab_factory(world)
    routes = await look_up(lab, "customer.test", "mixed.test", "mixed-too.test")
    assert [route.operator for route in routes] == ["google", "acme.test+google", "acme.test+google"]


# ---------------------------------------------------------------- sets without end


async def test_a_domain_with_a_thousand_servers_costs_no_thousand_lookups(mailvet_lab_factory: LabFactory) -> None:
    world = World()
    for number in range(1, 7):
        world.host(f"mx{number:03}.acme.test")
    world.domain("acme.test", [(10, f"mx{number:03}.acme.test") for number in range(1, 1001)])
    lab = mailvet_lab_factory(world)
    (route,) = await look_up(lab, "acme.test")
    assert route.reason is None, route.detail
    assert [host.name for host in route.hosts] == [f"mx{number:03}.acme.test" for number in range(1, 6)]
    assert len([name for name, kind in lab.dns_queries() if kind == "A" and name.startswith("mx")]) == 5


async def test_names_without_address_lead_to_the_next_few_and_a_bound_leaves_it_open(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = World().host("mx19.late.test")
    world.domain("late.test", [(number, f"mx{number}.late.test") for number in range(1, 41)])
    world.domain("never.test", [(number, f"mx{number}.never.test") for number in range(1, 41)])
    late, never = await look_up(mailvet_lab_factory(world), "late.test", "never.test")
    assert [host.name for host in late.hosts] == ["mx19.late.test"]
    assert never.reason is Reason.dns_error
    assert "20 of 40" in str(never.detail)


async def test_of_each_address_family_only_so_many_servers_are_kept(mailvet_lab_factory: LabFactory) -> None:
    world = World()
    targets = []
    for number in range(4):
        world.host(f"four{number}.acme.test").record(f"six{number}.acme.test", "AAAA", "::1")
        targets += [(number, f"four{number}.acme.test"), (number, f"six{number}.acme.test")]
    world.domain("acme.test", targets)
    lab = mailvet_lab_factory(world)
    settings = lab_settings(lab, dns={"most_hosts": 3}).dns
    resolver = Resolver(settings)
    routes = Routes(resolver, settings, allow_private_networks=True)
    route = (await routes.examine(["acme.test"]))["acme.test"]
    await resolver.close()
    assert [host.name.partition(".")[0] for host in route.hosts] == ["four0", "six0", "four1", "six1", "four2", "six2"]
