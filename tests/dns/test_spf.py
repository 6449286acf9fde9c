"""What SPF says to mail from an address, record by record (RFC 7208)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mailvet.dns.resolver import Resolver
from mailvet.dns.spf import spf_result
from mailvet.lab import Lab, World
from tests.probing import lab_settings

RECORDS = {
    "all": "v=spf1 +all",
    "none-of-us": "v=spf1 ip4:192.0.2.0/24 -all",
    "soft": "v=spf1 ~all",
    "neutral": "v=spf1 ip4:192.0.2.1",
    "a": "v=spf1 a:hello.test -all",
    "mask": "v=spf1 a:far.test/8 -all",
    "mx": "v=spf1 mx:hello.test -all",
    "include": "v=spf1 include:all.test -all",
    "deny-include": "v=spf1 include:none-of-us.test ?all",
    "include-nothing": "v=spf1 include -all",
    "redirect": "v=spf1 redirect=all.test",
    "redirect-to-none": "v=spf1 redirect=bare.test",
    "macro": "v=spf1 exists:%{i}.ours.test -all",
    "macro-redirect": "v=spf1 redirect=%{d}.test",
    "ptr": "v=spf1 ptr -all",
    "unknown": "v=spf1 shiny -all",
    "broken": "v=spf1 ip4:nonsense -all",
    "loop": "v=spf1 include:loop.test -all",
    "case": "V=SPF1 IP4:127.0.0.0/8 -ALL",
    "ip6": "v=spf1 ip6:::1 -all",
    "early": "v=spf1 ip4:127.0.0.1 ptr -all",
    "include-bare": "v=spf1 include:bare.test -all",
    "long": "v=spf1 " + "ip4:192.0.2.1 " * 40 + "ip4:127.0.0.1 -all",
}


@pytest.fixture(scope="module")
def spf_lab() -> Iterator[Lab]:
    """A domain for each record, one without, one with two, and one whose name servers fail."""
    world = World()
    for name, record in RECORDS.items():
        strings = [record[at : at + 200] for at in range(0, len(record), 200)]
        world.domain(f"{name}.test").record(f"{name}.test", "TXT", " ".join(f'"{string}"' for string in strings))
    world.domain("hello.test", [(10, "hello.test")]).record("hello.test", "A", "127.0.0.1")
    world.domain("far.test").record("far.test", "A", "127.200.1.1")
    world.domain("bare.test").record("bare.test", "TXT", '"some other text"')
    world.domain("two.test").record("two.test", "TXT", '"v=spf1 +all"', '"v=spf1 -all"')
    world.domain("lost.test", dns="servfail")
    with Lab(world) as lab:
        yield lab


def result(lab: Lab, address: str, domain: str) -> str:
    async def ask() -> str:
        resolver = Resolver(lab_settings(lab).dns)
        try:
            return await spf_result(resolver, address, domain)
        finally:
            await resolver.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        *((name, "pass") for name in ("all", "case", "a", "mask", "mx", "include", "redirect", "early", "long")),
        *((name, "fail") for name in ("none-of-us", "ip6")),
        ("soft", "softfail"),
        *((name, "neutral") for name in ("neutral", "deny-include")),
        *((name, "none") for name in ("bare", "gone")),
        *((name, "permerror") for name in ("two", "broken", "loop", "unknown", "include-bare", "include-nothing")),
        ("redirect-to-none", "permerror"),
        ("lost", "temperror"),
        *((name, "not evaluated") for name in ("macro", "macro-redirect", "ptr")),
    ],
)
def test_each_record_gives_its_result(spf_lab: Lab, domain: str, expected: str) -> None:
    assert result(spf_lab, "127.0.0.1", f"{domain}.test") == expected


@pytest.mark.parametrize(("domain", "expected"), [("ip6", "pass"), ("case", "fail"), ("a", "fail"), ("all", "pass")])
def test_an_ipv6_address_matches_mechanisms_of_its_own_family(spf_lab: Lab, domain: str, expected: str) -> None:
    assert result(spf_lab, "::1", f"{domain}.test") == expected
