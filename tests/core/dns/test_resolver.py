"""Asking the DNS: what kinds of answers are kept apart, and how a lost network is noticed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import aiodns
import dns.resolver
import pytest

from mailvet.dns import resolver as module
from mailvet.dns.resolver import Outcome, Resolver
from mailvet.lab import Lab, World
from mailvet.settings import Dns
from tests.core.probing import lab_settings, probe

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


async def test_a_referral_in_place_of_an_answer_is_lame_and_an_empty_answer_is_not(
    mailvet_lab_factory: LabFactory,
) -> None:
    world = _world().domain("empty.test").record("empty.test", "TXT", '"x"')
    resolver = Resolver(lab_settings(mailvet_lab_factory(world)).dns)
    assert await resolver.is_lame("lame.test")
    assert not await resolver.is_lame("empty.test")
    assert not await resolver.is_lame("acme.test")
    await resolver.close()


async def test_a_resolver_that_invents_addresses_is_found_out(mailvet_lab_factory: LabFactory) -> None:
    honest = Resolver(lab_settings(mailvet_lab_factory(World())).dns)
    assert await honest.rewritten_address() is None
    await honest.close()
    other = Resolver(lab_settings(mailvet_lab_factory(World(rewrites_nxdomain="127.9.9.9"))).dns)
    assert await other.rewritten_address() == "127.9.9.9"
    await other.close()


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
        assert not await resolver.answers()
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


async def test_a_run_without_a_resolver_says_so_and_gives_nobody_up(mailvet_lab_factory: LabFactory) -> None:
    lab = mailvet_lab_factory(World())
    with _silent() as udp:
        began = time.monotonic()
        probed = await probe(lab, ["ann@acme.test", "bob@firm.test", "no address"], dns={"port": udp.getsockname()[1]})
        assert time.monotonic() - began < 2
    assert probed.reasons() == {
        "ann@acme.test": "not_probed", "bob@firm.test": "not_probed", "no address": "syntax_invalid"
    }  # fmt: skip
    assert probed.degraded is not None
    assert "nameservers" in probed.degraded


async def test_a_closed_port_is_no_answer() -> None:
    with _silent() as udp:
        port = udp.getsockname()[1]
    resolver = Resolver(_dns(port))
    assert (await resolver.ask("acme.test", "MX")).outcome is Outcome.timed_out
    assert not await resolver.answers()
    await resolver.close()


@pytest.mark.parametrize(("timeout", "lifetime", "tries"), [(3.0, 9.0, 2), (3.0, 3.0, 1), (1.0, 7.0, 3), (5.0, 1.0, 1)])
async def test_all_tries_together_stay_within_the_lifetime(
    monkeypatch: pytest.MonkeyPatch, timeout: float, lifetime: float, tries: int
) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(aiodns, "DNSResolver", lambda **options: made.update(options))
    Resolver(Dns(nameservers=("127.0.0.1", "::1"), timeout=timeout, lifetime=lifetime))
    # The datagram is the first try; c-ares doubles the time with every one of its own.
    first = 0.0 if tries == 1 else timeout
    assert made["tries"] == max(tries - 1, 1)
    assert first + made["timeout"] * (2 ** made["tries"] - 1) == timeout * (2**tries - 1)
    assert made["nameservers"] == ["127.0.0.1:53", "[::1]:53"]


async def test_without_name_servers_those_of_the_system_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(aiodns, "DNSResolver", lambda **options: made.update(options))
    monkeypatch.setattr(module, "_servers", lambda settings: [("127.0.0.1", 53)])
    Resolver(Dns())
    assert made["nameservers"] is None


async def test_a_machine_without_resolv_conf_is_not_lame(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", missing)
    assert module._servers(Dns()) == []
