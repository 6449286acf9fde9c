"""Asking the DNS: what kinds of answers are kept apart, and how a lost network is noticed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import dns.resolver
import pytest

from mailvet.dns import resolver as module
from mailvet.dns.resolver import Outcome, Resolver
from mailvet.lab import Lab, World
from mailvet.settings import Dns
from tests.dns.name_servers import Asked, ScriptedServer, Wire, response_to, settings_for
from tests.probing import lab_settings, probe

LabFactory = Callable[..., Lab]


def _world() -> World:
    world = World().host("mx.acme.test").domain("acme.test", [(10, "mx.acme.test")])
    world.domain("null.test", [(0, ".")]).domain("alias.test", cname="acme.test")
    for behaviour in ("servfail", "refused", "dropped", "lame", "truncated"):
        world.domain(f"{behaviour}.test", [(10, "mx.acme.test")], dns=behaviour)
    return world


@pytest.mark.parametrize(
    ("name", "kind", "outcome", "records"),
    [
        ("acme.test", "MX", Outcome.found, [(10, "mx.acme.test")]),
        ("mx.acme.test", "A", Outcome.found, [(0, "127.77.0.2")]),
        ("alias.test", "MX", Outcome.found, [(10, "mx.acme.test")]),
        ("null.test", "MX", Outcome.found, [(0, "")]),
        ("acme.test", "A", Outcome.no_data, []),
        ("mx.acme.test", "AAAA", Outcome.no_data, []),
        ("gone.test", "MX", Outcome.no_name, []),
        ("servfail.test", "MX", Outcome.failed, []),
        ("refused.test", "MX", Outcome.failed, []),
        ("dropped.test", "MX", Outcome.timed_out, []),
        ("truncated.test", "MX", Outcome.found, [(10, "mx.acme.test")]),
        ("-bad..name.test", "A", Outcome.failed, []),
        ("x" * 64 + ".test", "A", Outcome.failed, []),
    ],
)
async def test_the_kinds_of_answers_are_kept_apart(
    mailvet_lab_factory: LabFactory, name: str, kind: str, outcome: Outcome, records: list[tuple[int, str]]
) -> None:
    resolver = Resolver(lab_settings(mailvet_lab_factory(_world())).dns)
    answer = await resolver.ask(name, kind)
    await resolver.close()
    assert answer.outcome is outcome
    assert list(answer.records) == records
    assert (answer.ttl > 0) == bool(records)


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("acme.test", "MX", ["mx.acme.test"]),
        ("mx.acme.test", "A", ["127.77.0.2"]),
        ("acme.test", "TXT", ["one string and another", "v=spf1 -all"]),
        ("_dmarc.acme.test", "TXT", ["v=DMARC1; p=none"]),
        ("2.0.77.127.in-addr.arpa", "PTR", ["mx.acme.test"]),
        ("truncated.test", "TXT", ["over TCP"]),
        ("mx.acme.test", "TXT", []),
        ("gone.test", "TXT", []),
        ("servfail.test", "TXT", None),
        ("dropped.test", "PTR", None),
    ],
)
async def test_values_are_text_whatever_the_type_of_the_records(
    mailvet_lab_factory: LabFactory, name: str, kind: str, values: list[str] | None
) -> None:
    world = _world().record("acme.test", "TXT", '"one string " "and another"', '"v=spf1 -all"')
    world.record("_dmarc.acme.test", "TXT", '"v=DMARC1; p=none"').record("truncated.test", "TXT", '"over TCP"')
    resolver = Resolver(lab_settings(mailvet_lab_factory(world)).dns)
    found = await resolver.values(name, kind)
    await resolver.close()
    assert (sorted(found) if found is not None else None) == values


async def test_addresses_of_a_host_are_those_of_both_families(mailvet_lab_factory: LabFactory) -> None:
    world = World().record("both.test", "A", "127.0.0.1").record("both.test", "AAAA", "::1")
    resolver = Resolver(lab_settings(mailvet_lab_factory(world)).dns)
    found = await resolver.addresses("both.test"), await resolver.addresses("gone.test")
    await resolver.close()
    assert found == (["127.0.0.1", "::1"], [])


def _silent() -> socket.socket:
    """A name server that hears everything and says nothing."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    return udp


def _dns(port: int, **options: Any) -> Dns:
    return Dns(nameservers=("127.0.0.1",), port=port, timeout=0.2, lifetime=0.2, **options)


async def test_a_silent_resolver_costs_one_lifetime_and_not_one_for_every_domain() -> None:
    with _silent() as udp:
        resolver = Resolver(_dns(udp.getsockname()[1]))
        began = time.monotonic()
        assert not await resolver.responds()
        for _ in range(20):
            answers = await asyncio.gather(*(resolver.ask(f"d{n}.test", "MX") for n in range(100)))
            assert {answer.outcome for answer in answers} == {Outcome.timed_out}
        assert resolver.down
        assert time.monotonic() - began < 2.5
        await resolver.close()


async def test_many_dead_domains_in_a_row_do_not_make_the_resolver_dead(mailvet_lab_factory: LabFactory) -> None:
    world = _world()
    for n in range(150):
        world.domain(f"d{n}.test", dns="dropped")
    resolver = Resolver(lab_settings(mailvet_lab_factory(world)).dns)
    await asyncio.gather(*(resolver.ask(f"d{n}.test", "MX") for n in range(150)))
    assert not resolver.down
    assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
    await resolver.close()


async def test_a_run_without_a_resolver_says_so_and_leaves_all_unprobed(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(World())
    with _silent() as udp:
        probed = await probe(lab, ["ann@acme.test", "bob@firm.test", "no address"], dns={"port": udp.getsockname()[1]})
    assert probed.reasons() == {
        "ann@acme.test": "not_probed",
        "bob@firm.test": "not_probed",
        "no address": "syntax_invalid",
    }
    assert probed.degraded is not None
    assert "nameservers" in probed.degraded


async def test_a_closed_port_is_no_answer() -> None:
    with _silent() as udp:
        port = udp.getsockname()[1]
    resolver = Resolver(_dns(port))
    assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.timed_out
    assert not await resolver.responds()
    await resolver.close()


@pytest.mark.parametrize(("timeout", "lifetime", "tries"), [(0.1, 0.3, 3), (0.1, 0.1, 1), (0.3, 0.1, 1)])
async def test_all_tries_together_stay_within_the_lifetime(timeout: float, lifetime: float, tries: int) -> None:
    async with ScriptedServer.serving(lambda _: None) as server:
        resolver = Resolver(settings_for(server, timeout=timeout, lifetime=lifetime))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.timed_out
        assert server.asked["acme.test", "MX"] == tries
        await resolver.close()


async def test_without_name_servers_those_of_the_system_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        nameservers = ("127.0.0.1", "::1")

    monkeypatch.setattr(dns.resolver, "Resolver", System)
    assert module._servers(Dns()) == [("127.0.0.1", 53), ("::1", 53)]


async def test_a_failure_is_asked_about_once_more_and_each_other_server_once() -> None:
    def failing(asked: Asked) -> Wire:
        return response_to(asked, code="SERVFAIL")

    async with (
        ScriptedServer.serving(failing) as first,
        ScriptedServer.serving(failing, host="127.0.0.2", port=first.port) as second,
        ScriptedServer.serving(failing, host="127.0.0.3", port=first.port) as third,
    ):
        resolver = Resolver(settings_for(first))
        assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.failed
        await resolver.close()
        assert first.asked["acme.test", "MX"] == 2
        resolver = Resolver(settings_for(first, second, third))
        response = await resolver.ask("firm.test", "MX")
        await resolver.close()
        assert (response.outcome, response.detail) == (Outcome.failed, "SERVFAIL")
        assert [each.asked["firm.test", "MX"] for each in (first, second, third)] == [1, 1, 1]


async def test_a_server_that_knows_names_in_lower_case_only_is_asked_so() -> None:
    def by_letter(asked: Asked) -> Wire:
        if b"\x04acme\x04test" in asked.wire:
            return response_to(asked, "acme.test. 300 IN MX 10 mx.acme.test.")
        return response_to(asked, code="NXDOMAIN")

    async with ScriptedServer.serving(by_letter) as server:
        resolver = Resolver(settings_for(server))
        for _ in range(5):
            assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.found
        await resolver.close()


async def test_a_machine_without_resolv_conf_is_not_lame(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", missing)
    assert module._servers(Dns()) == []
