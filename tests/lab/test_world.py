"""What the world knows to be so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from disposable_email_domains import blocklist

from mailvet.errors import SettingsError
from mailvet.lab import ORDINARY_PROFILES, Lab, World, default_world
from tests.lab.worlds import ANN, UNKNOWN, asked, one_server


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: World().host("a.test", "no-such-profile"), "no server profile"),
        (lambda: World().host("a.test", "postfix", max_conections=2), "no option max_conections"),
        (lambda: World().host("a.test", replies={"unknown": "no code"}), "not an SMTP reply"),
        (lambda: World().host("a.test", banner="220 {queue}"), "placeholder"),
        (lambda: World().host("a.test", address="10.0.0.1"), "no loopback address"),
        (lambda: World().host("a.test", address="nonsense"), "no loopback address"),
        (lambda: World().host("a.test", address="127.5.5.5").host("b.test", address="127.5.5.5"), "is taken"),
        (lambda: World().domain("a.test", dns=cast(Any, "asleep")), "no DNS behaviour"),
        (lambda: World().mailbox("ann@a.test", cast(Any, "asleep")), "no mailbox state"),
        (lambda: World().mailbox("ann"), "needs an address"),
    ],
)
def test_a_mistake_in_a_world_is_told_at_once(build: Callable[[], World], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build()


TRUTHS = [
    ("postfix", ANN, "live", True, True, False),
    ("postfix", f" {ANN.upper()}\n", "live", True, True, False),
    ("postfix", "ann+tag@acme.test", "live", True, True, False),
    ("postfix", UNKNOWN, "unknown_mailbox", False, False, True),
    ("postfix", "disabled@acme.test", "disabled", False, False, True),
    ("postfix", "moved@acme.test", "moved", False, False, True),
    ("postfix", "full@acme.test", "full", True, False, False),
    ("postfix", "restricted@acme.test", "restricted", True, False, False),
    ("postfix", "throttled@acme.test", "throttled", True, True, False),
    ("catch_all", UNKNOWN, "accept_all", None, False, False),
    ("catch_all", ANN, "accept_all", True, True, False),
    ("yahoo", UNKNOWN, "unverifiable", False, False, False),
    ("barracuda", ANN, "gateway", True, True, False),
    ("blocks_at_rcpt", ANN, "blocked", True, True, False),
    ("blocks_at_connect", UNKNOWN, "blocked", False, False, False),
    ("temporary", ANN, "temporary", True, True, False),
    ("relay_denied", ANN, "relay_denied", True, True, False),
    ("greylisting", ANN, "greylisted_live", True, True, False),
    ("greylisting", UNKNOWN, "greylisted_dead", False, False, True),
    ("greylisting_known", UNKNOWN, "unknown_mailbox", False, False, True),
    ("harvest_guard", UNKNOWN, "harvest_guard", False, False, False),
    ("tarpit", ANN, "tarpit", True, True, False),
    ("port_closed", ANN, "unreachable", True, True, False),
    ("silent", ANN, "unreachable", True, True, False),
    ("postfix", "ann@nowhere.test", "dead_domain", False, False, False),
    ("postfix", "ann at acme.test", "syntax", False, False, False),
    ("postfix", "ann@acme", "syntax", False, False, False),
    ("postfix", "", "syntax", False, False, False),
    ("postfix", None, "syntax", False, False, False),
]


@pytest.mark.parametrize(("profile", "cell", "kind", "exists", "live", "dead"), TRUTHS)
def test_the_world_knows_what_is_so(
    profile: str, cell: str | None, kind: str, exists: bool | None, live: bool, dead: bool
) -> None:
    truth = one_server(profile).truth(cell)
    assert (truth.kind, truth.exists, truth.live, truth.dead_and_server_answers) == (kind, exists, live, dead)


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("acme.test", "unknown_mailbox"),
        ("alias.test", "unknown_mailbox"),
        ("via.test", "unknown_mailbox"),
        ("solo.test", "unknown_mailbox"),
        ("cut.test", "unknown_mailbox"),
        ("BÜCHER.test", "unknown_mailbox"),
        ("null.test", "null_mx"),
        ("empty.test", "no_mail"),
        ("lost.test", "no_mail"),
        ("literal.test", "no_mail"),
        ("private.test", "unroutable"),
        ("gone.test", "dead_domain"),
        ("servfail.test", "dns_failing"),
        ("refused.test", "dns_failing"),
        ("dropped.test", "dns_failing"),
        ("lame.test", "dns_failing"),
    ],
)
def test_the_truth_about_a_domain_follows_its_dns(names: Lab, domain: str, kind: str) -> None:
    assert names.truth(f"who@{domain}").kind == kind


def test_a_second_server_counts_when_the_first_cannot_be_reached() -> None:
    world = World().host("mx1.acme.test", "port_closed").host("mx2.acme.test")
    world.domain("acme.test", [(10, "mx1.acme.test"), (20, "mx2.acme.test")]).mailbox(ANN)
    assert world.truth(ANN).kind == "live"


def test_a_role_may_be_called_risky() -> None:
    world = one_server().mailbox("info@acme.test")
    assert set(world.truth("info@acme.test").expected) == {"deliverable", "risky"}
    assert set(world.truth(ANN).expected) == {"deliverable"}


def test_the_servers_of_the_default_world_say_what_its_truth_says(world: World) -> None:
    """One mailbox and one stranger per domain, against the first server that can be reached."""
    says = {
        "live": "2",
        "forwarded": "2",
        "unknown_mailbox": "5",
        "disabled": "5",
        "moved": "5",
        "restricted": "5",
        "accept_all": "2",
        "gateway": "2",
        "unverifiable": "2",
        "disposable": "2",
        "temporary": "4",
        "greylisted_live": "4",
        "throttled": "45",
        "full": "45",
    }
    per_domain: dict[str, str] = {}
    for address in world.mailboxes:
        per_domain.setdefault(address.rpartition("@")[2], address)
    checked = 0
    with Lab(world) as lab:
        for domain, member in per_domain.items():
            hosts = [to for to in world.routes(domain) if not isinstance(to, str) and to.profile.reachable]
            if not hosts or not hosts[0].ipv4 or hosts[0].profile.helo_only or hosts[0].profile.tls_required:
                continue
            for address in (member, f"no.such.mailbox@{domain}"):
                kind = world.truth(address).kind
                if kind not in says or not address.isascii():
                    continue
                assert asked(lab, address, host=hosts[0].name)[0][0] in says[kind], (kind, hosts[0].name)
                checked += 1
        assert sum(counters.data for counters in lab.counters().values()) == 0
    assert checked > 500


def test_the_default_world_is_large_mixed_and_the_same_every_time(world: World) -> None:
    assert 250 <= len(world.domains) <= 450
    assert len(world.mailboxes) >= 12_000
    assert default_world().mailboxes == world.mailboxes
    assert default_world().hosts == world.hosts
    assert default_world(8).mailboxes != world.mailboxes
    used = {host.profile.name for host in world.hosts.values()}
    assert used >= set(ORDINARY_PROFILES) - {"spanish", "chinese", "turkish"}
    assert {domain.dns for domain in world.domains.values()} >= {
        "servfail",
        "refused",
        "dropped",
        "lame",
        "truncated",
    }


def test_invented_domains_lie_below_reserved_names(world: World) -> None:
    operators = {name for name in world.domains if not name.endswith((".example", ".test"))}
    assert {
        "gmail.com",
        "outlook.com",
        "yahoo.com",
        "icloud.com",
        "qq.com",
        "163.com",
        "mail.ru",
    } <= operators
    disposable = {name for name, domain in world.domains.items() if domain.disposable}
    assert disposable <= operators
    assert disposable <= set(blocklist)
    assert len(operators) < 80


def test_every_host_has_a_loopback_address_of_its_own(world: World) -> None:
    addresses = [host.address for host in world.hosts.values()]
    assert len(set(addresses)) == len(addresses)
    assert all(address.startswith("127.") for address in addresses)
