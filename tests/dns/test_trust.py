"""Can the name servers be believed? Controls that they must find, and names for which they must invent nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailvet.dns import trust as module
from mailvet.dns.resolver import Resolver
from mailvet.dns.responses import Outcome
from mailvet.dns.routes import Route, Routes
from mailvet.dns.trust import Memory, control_names
from mailvet.errors import SettingsError
from mailvet.settings import Settings
from mailvet.vocabulary import Reason
from tests.dns.name_servers import (
    Asked,
    ScriptedServer,
    Wire,
    response_to,
    settings_for,
    split_horizon,
)


def _zone(asked: Asked) -> Wire:
    """acme.test has a mail server, firm.test an address, everything else does not exist."""
    records = {
        ("acme.test", "MX"): "acme.test. 300 IN MX 10 mx.acme.test.",
        ("mx.acme.test", "A"): "mx.acme.test. 300 IN A 192.0.2.1",
        ("firm.test", "A"): "firm.test. 300 IN A 192.0.2.2",
    }
    record = records.get((asked.name, asked.kind))
    if record is not None:
        return response_to(asked, record)
    exists = asked.name in ("acme.test", "mx.acme.test", "firm.test", *control_names())
    return response_to(asked, code="NOERROR" if exists else "NXDOMAIN")


async def _routes(
    *servers: ScriptedServer, domains: list[str], memory: Memory | None = None, **options: Any
) -> tuple[list[Route], str | None]:
    settings = settings_for(*servers, **options)
    resolver = Resolver(settings, memory=memory)
    routes = Routes(resolver, settings, allow_private_networks=True)
    found = await routes.examine(domains)
    await resolver.close()
    return [found[domain] for domain in domains], resolver.trust.degraded


def _control_questions(server: ScriptedServer) -> int:
    return sum(count for (name, _), count in server.asked.items() if name in control_names())


def _random_questions(server: ScriptedServer) -> int:
    return sum(count for (name, _), count in server.asked.items() if name.startswith("mailvet-"))


# ---------------------------------------------------------------- controls


async def test_a_negative_is_believed_from_a_resolver_that_finds_a_control() -> None:
    async with ScriptedServer.serving(_zone) as server:
        (gone, alive), degraded = await _routes(server, domains=["gone.test", "acme.test"])
    assert (gone.reason, alive.reason) == (Reason.domain_not_found, None)
    assert degraded is None


@pytest.mark.parametrize("found", control_names())
async def test_one_control_of_five_is_enough(found: str) -> None:
    def script(asked: Asked) -> Wire:
        if (asked.name, asked.kind) == (found, "MX"):
            return response_to(asked, f"{found}. 300 IN MX 5 mx.{found}.")
        return _zone(asked)

    async with ScriptedServer.serving(script, knows_controls=False) as server:
        (gone,), degraded = await _routes(server, domains=["gone.test"])
    assert gone.reason is Reason.domain_not_found
    assert degraded is None


async def test_a_resolver_that_says_no_to_everything_proves_nothing() -> None:
    """Split horizon, a VPC, Kubernetes: the resolver knows internal names alone."""
    async with ScriptedServer.serving(split_horizon, knows_controls=False) as server:
        routes, degraded = await _routes(server, domains=[f"d{n}.example" for n in range(40)])
        assert {route.reason for route in routes} == {Reason.dns_error}
        assert degraded is not None
        assert "[dns] controls" in degraded
        assert server.host in degraded
        assert _control_questions(server) <= 12


@pytest.mark.parametrize("code", ["NXDOMAIN", "NOERROR", "SERVFAIL", "REFUSED", None])
async def test_however_the_controls_are_missed_every_kind_of_death_is_doubted(code: str | None) -> None:
    def script(asked: Asked) -> Wire | None:
        if asked.name in control_names():
            return response_to(asked, code=code) if code is not None else None
        if asked.name == "null.test":
            return response_to(asked, *(["null.test. 300 IN MX 0 ."] if asked.kind == "MX" else []))
        if asked.name == "inside.test":
            return response_to(asked, *(["inside.test. 300 IN A 10.0.0.1"] if asked.kind == "A" else []))
        return response_to(asked, code="NOERROR" if asked.name == "empty.test" else "NXDOMAIN")

    async with ScriptedServer.serving(script, knows_controls=False) as server:
        settings = settings_for(server, timeout=0.5, lifetime=0.5)
        resolver = Resolver(settings)
        domains = ["gone.test", "null.test", "empty.test", "inside.test"]
        routes = await Routes(resolver, settings).examine(domains)
        await resolver.close()
    assert {domain: routes[domain].reason for domain in domains} == dict.fromkeys(domains, Reason.dns_error)
    assert resolver.trust.degraded is not None


async def test_controls_are_asked_once_and_when_a_negative_comes() -> None:
    async with ScriptedServer.serving(_zone) as server:
        memory: Memory = {}
        await _routes(server, domains=["acme.test"], memory=memory)
        assert _control_questions(server) == 0
        for _ in range(3):
            await _routes(server, domains=[f"gone{n}.test" for n in range(30)], memory=memory)
        assert _control_questions(server) == len(control_names())
        assert _random_questions(server) == module.MOST_QUESTIONS


async def test_a_new_resolver_believes_nothing_of_the_one_before() -> None:
    """The same address may lead into another network by now: a VPN, a laptop that was moved."""
    honest = True
    async with ScriptedServer.serving(
        lambda asked: _mx_of(asked) if honest and asked.name in control_names() else split_horizon(asked),
        knows_controls=False,
    ) as server:
        (gone,), _ = await _routes(server, domains=["gone.test"])
        assert gone.reason is Reason.domain_not_found
        honest = False
        (gone,), _ = await _routes(server, domains=["gone.test"])
        assert gone.reason is Reason.dns_error


def _mx_of(asked: Asked) -> Wire:
    return response_to(asked, *([f"{asked.name}. 300 IN MX 10 mx.{asked.name}."] if asked.kind == "MX" else []))


async def test_controls_are_asked_anew_after_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer.serving(_zone) as server:
        settings = settings_for(server)
        resolver = Resolver(settings)
        routes = Routes(resolver, settings, allow_private_networks=True)
        await routes.examine(["gone.test"])
        real, shift = time.monotonic, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: real() + shift)
        shift = 590.0
        await routes.examine(["gone1.test"])
        assert _control_questions(server) == len(control_names())
        shift = 610.0
        await routes.examine(["gone2.test"])
        assert _control_questions(server) == 2 * len(control_names())
        assert _random_questions(server) == 2 * module.MOST_QUESTIONS
        await resolver.close()


async def test_own_controls_replace_the_five() -> None:
    async with ScriptedServer.serving(_zone, knows_controls=False) as server:
        (gone,), degraded = await _routes(server, domains=["gone.test"], controls=("acme.test",))
        assert gone.reason is Reason.domain_not_found
        assert degraded is None
        assert _control_questions(server) == 0
        (gone,), degraded = await _routes(server, domains=["gone.test"], controls=("other.test", "more.test"))
        assert gone.reason is Reason.dns_error
        assert degraded is not None
        assert "other.test or more.test" in degraded


async def test_no_controls_believe_any_resolver() -> None:
    async with ScriptedServer.serving(split_horizon, knows_controls=False) as server:
        (gone,), degraded = await _routes(server, domains=["gone.test"], controls=())
    assert gone.reason is Reason.domain_not_found
    assert degraded is None


@pytest.mark.parametrize("controls", [["a b"], ["example..com"], ["http://example.com"], ["d.example"] * 13, "gmail"])
def test_controls_are_domains_and_at_most_twelve(controls: Any) -> None:
    with pytest.raises(SettingsError, match="controls"):
        Settings.load(None, dns={"controls": controls})


def test_controls_are_read_as_the_dns_writes_them() -> None:
    assert Settings.load(None, dns={"controls": ["Example.COM."]}).dns.controls == ("example.com",)


async def test_of_two_servers_the_one_that_finds_nothing_spoils_the_negatives() -> None:
    async with (
        ScriptedServer.serving(_zone) as honest,
        ScriptedServer.serving(split_horizon, knows_controls=False, host="127.0.0.2", port=honest.port) as other,
    ):
        (gone,), degraded = await _routes(other, honest, domains=["gone.test"])
        assert gone.reason is Reason.dns_error
        assert degraded is not None
        assert other.host in degraded
        # The one that is never heard is not asked either.
        (gone,), degraded = await _routes(honest, other, domains=["gone.test"])
        assert gone.reason is Reason.domain_not_found
        assert degraded is None


@pytest.mark.parametrize("domain", ["gmail.com", "googlemail.com", "web.de", "docomo.ne.jp"])
@pytest.mark.parametrize("death", ["NXDOMAIN", "empty", "null MX", "unroutable"])
async def test_a_providers_own_mailbox_domain_does_not_die(domain: str, death: str) -> None:
    def script(asked: Asked) -> Wire:
        if asked.name != domain:
            return _zone(asked)
        if asked.kind == "MX" and death in ("null MX", "unroutable"):
            target = "." if death == "null MX" else "inside.test."
            return response_to(asked, f"{domain}. 300 IN MX 0 {target}")
        return response_to(asked, code="NXDOMAIN" if death == "NXDOMAIN" else "NOERROR")

    def private(asked: Asked) -> Wire:
        if (asked.name, asked.kind) == ("inside.test", "A"):
            return response_to(asked, "inside.test. 300 IN A 10.0.0.1")
        return script(asked)

    async with ScriptedServer.serving(private, knows_controls=False) as server:
        settings = settings_for(server, controls=())
        resolver = Resolver(settings)
        route = (await Routes(resolver, settings).examine([domain]))[domain]
        await resolver.close()
    assert route.reason is Reason.dns_error


# ---------------------------------------------------------------- inventions


def _inventing(kind: str, value: Callable[[], str], spared: tuple[str, ...] = ()) -> Callable[[Asked], Wire]:
    def script(asked: Asked) -> Wire:
        honest = _zone(asked)
        assert not isinstance(honest, bytes)
        if honest.rcode() == 3 and not asked.name.endswith(spared or ("\0",)):
            return response_to(asked, *([f"{asked.name}. 60 IN {kind} {value()}"] if asked.kind == kind else []))
        return honest

    return script


_rotating: Iterator[int] = itertools.count()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("A", lambda: "192.0.2.99"),
        ("A", lambda: f"198.51.100.{next(_rotating) % 200}"),
        ("AAAA", lambda: "2001:db8::99"),
        ("MX", lambda: "10 mx.parking.test."),
    ],
    ids=["one address", "rotating addresses", "AAAA only", "MX"],
)
@pytest.mark.parametrize("spared", [(), (".com", ".invalid"), (".net", ".com", ".org")], ids=str)
async def test_what_a_resolver_invents_counts_for_nothing(
    kind: str, value: Callable[[], str], spared: tuple[str, ...]
) -> None:
    async with ScriptedServer.serving(_inventing(kind, value, spared)) as server:
        (gone, alive), degraded = await _routes(server, domains=["gone.test", "acme.test"])
        assert gone.reason is Reason.dns_error
        assert degraded is not None
        assert f"invents {kind} records" in degraded
        assert _random_questions(server) <= module.MOST_QUESTIONS + 2  # two below the ending of the domain itself
        if kind != "MX":  # true MX records are not spoilt
            assert alive.reason is None
            assert alive.mx_host == "mx.acme.test"
        else:
            assert alive.reason is Reason.dns_error


async def test_an_ending_with_addresses_for_every_name_proves_nothing_there_alone() -> None:
    def script(asked: Asked) -> Wire:
        if asked.name.endswith((".wild", ".wilder")) and asked.kind == "A":
            return response_to(asked, f"{asked.name}. 60 IN A 192.0.2.7")
        return _zone(asked)

    async with ScriptedServer.serving(script) as server:
        (wild, firm), degraded = await _routes(server, domains=["any.wild", "firm.test"])
        assert (wild.reason, firm.reason) == (Reason.dns_error, None)
        assert degraded is None
        _, degraded = await _routes(server, domains=["any.wild", "any.wilder"])
        assert degraded is not None
        assert "below wild and wilder" in degraded


async def test_an_address_of_an_honest_resolver_still_counts() -> None:
    async with ScriptedServer.serving(_zone) as server:
        (firm,), degraded = await _routes(server, domains=["firm.test"])
    assert firm.reason is None
    assert degraded is None


async def test_a_control_that_is_invented_proves_nothing() -> None:
    def script(asked: Asked) -> Wire:
        if asked.kind == "MX" and (asked.name.startswith("mailvet-") or asked.name in control_names()):
            return response_to(asked, f"{asked.name}. 60 IN MX 10 mx.parking.test.")
        return split_horizon(asked)

    async with ScriptedServer.serving(script, knows_controls=False) as server:
        (gone,), degraded = await _routes(server, domains=["gone.test"])
    assert gone.reason is Reason.dns_error
    assert degraded is not None


# ---------------------------------------------------------------- what makes NXDOMAIN final


@pytest.mark.parametrize(
    ("mx", "a", "aaaa", "reason"),
    [
        ("NXDOMAIN", "NXDOMAIN", "NXDOMAIN", Reason.domain_not_found),
        ("NXDOMAIN", "NXDOMAIN", None, Reason.domain_not_found),
        ("NXDOMAIN", None, "NXDOMAIN", Reason.domain_not_found),
        ("NXDOMAIN", None, None, Reason.dns_timeout),
        ("NXDOMAIN", "192.0.2.5", "NXDOMAIN", None),
        ("NXDOMAIN", "NXDOMAIN", "2001:db8::5", None),
        ("NXDOMAIN", "NXDOMAIN", "NOERROR", Reason.dns_error),
        ("NXDOMAIN", "NOERROR", "NOERROR", Reason.dns_error),
        ("NXDOMAIN", "SERVFAIL", "NXDOMAIN", Reason.dns_error),
        ("NXDOMAIN", "SERVFAIL", "SERVFAIL", Reason.dns_error),
        ("NXDOMAIN", "BADVERS", "NXDOMAIN", Reason.dns_error),
        ("BADVERS", "NXDOMAIN", "NXDOMAIN", Reason.dns_error),
        ("NOERROR", "NOERROR", "NOERROR", Reason.no_mail_server),
        ("NOERROR", "192.0.2.5", "NOERROR", None),
        ("NOERROR", "NOERROR", "SERVFAIL", Reason.dns_error),
        ("NOERROR", "NOERROR", None, Reason.dns_timeout),
    ],
)
async def test_a_domain_is_missing_only_if_addresses_are_missing_too(
    mx: str, a: str | None, aaaa: str | None, reason: Reason | None
) -> None:
    def script(asked: Asked) -> Wire | None:
        if asked.name != "case.example":
            return _zone(asked)
        said = {"MX": mx, "A": a, "AAAA": aaaa}[asked.kind]
        if said is None:
            return None
        if said[0].isdigit():
            return response_to(asked, f"case.example. 300 IN {asked.kind} {said}")
        return response_to(asked, code=said)

    async with ScriptedServer.serving(script) as server:
        (route,), _ = await _routes(server, domains=["case.example"], timeout=0.3, lifetime=0.9)
        assert route.reason is reason
        for kind, said in (("A", a), ("AAAA", aaaa)):
            if mx == "NXDOMAIN" and said is None:  # as often as any question
                assert server.asked["case.example", kind] == 3


async def test_a_confirmation_that_is_lost_is_asked_again() -> None:
    def script(asked: Asked) -> Wire | None:
        if asked.name == "gone.test" and asked.kind != "MX" and server.asked[asked.name, asked.kind] < 2:
            return None
        return _zone(asked)

    async with ScriptedServer.serving(script) as server:
        (gone,), _ = await _routes(server, domains=["gone.test"])
    assert gone.reason is Reason.domain_not_found


async def test_many_that_wait_for_the_controls_wait_for_one_check() -> None:
    async with ScriptedServer.serving(_zone) as server:
        settings = settings_for(server)
        resolver = Resolver(settings)
        believed = await asyncio.gather(*(resolver.ask("gone.test", "MX") for _ in range(3)))
        assert {response.outcome for response in believed} == {Outcome.no_name}
        assert await asyncio.gather(*(resolver.trust.believes_negatives() for _ in range(20))) == [True] * 20
        assert _control_questions(server) == len(control_names())
        await resolver.close()
