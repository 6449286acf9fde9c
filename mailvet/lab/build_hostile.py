"""A world of servers that lie or break.

About 400 domains, most of them many to one server address, each server with living and unknown recipients. The same
seed gives the same world.
"""

from __future__ import annotations

from mailvet.lab.build_default import WorldBuilder
from mailvet.lab.hostile_profiles import ACCESS_DENIED, HOSTILE_PROFILES
from mailvet.lab.world import Behaviour, World

__all__ = ["hostile_world"]

_LANGUAGES = ("en", "de", "fr", "es", "it", "pl", "sv")
_DOMAINS = 6
"""Domains of each hostile server."""
_MAILBOXES = 8
"""Mailboxes of each of them, about."""

_IN_SETS_OF_SERVERS = frozenset({"busy_now_and_then", "busy_backup", "blocks_at_greeting"})
_ORDINARY = ("postfix", "exim", "sendmail", "exchange", "greylisting", "greylisting_known", "catch_all", "gmx")
"""Servers that do nothing out of the ordinary."""


def hostile_world(seed: int = 7) -> World:
    """The world.

    A server of every hostile profile with six domains, every second of which has MX names of its own; mixed MX sets,
    shared hosting, and ordinary servers beside them.
    """
    builder = WorldBuilder(seed)
    builder.world.command_timeout = 5.0  # a refusal takes up to three seconds here
    builder.world.address_budget = 30.0
    for profile in HOSTILE_PROFILES:
        if profile not in _IN_SETS_OF_SERVERS:
            _one_server(builder, profile)
    for profile in _ORDINARY:
        _one_server(builder, profile, domains=3)
    _busy_servers(builder)
    _microsoft(builder)
    _google(builder)
    _shared_hosting(builder)
    _name_servers(builder)
    return builder.world


def _one_server(builder: WorldBuilder, profile: str, domains: int = _DOMAINS) -> None:
    """Domains at one address; every second one calls the server by a name of its own."""
    world = builder.world
    server = f"mx.{profile.replace('_', '-')}.example"
    world.host(server, profile)
    for number in range(domains):
        domain = builder.company()
        name = server if number % 2 == 0 else f"mx.{domain}"
        if name != server:
            world.record(name, "A", world.hosts[server].address)
        world.domain(domain, [(10, name)])
        builder.people(domain, _people(builder), _LANGUAGES, business=True)
        guard = world.hosts[server].profile.guard
        for local in guard.exempt if guard is not None else ():
            world.mailbox(f"{local}@{domain}")


def _people(builder: WorldBuilder) -> int:
    return builder.rng.randint(_MAILBOXES * 3 // 4, _MAILBOXES * 5 // 4)


def _busy_servers(builder: WorldBuilder) -> None:
    """The preferred server knows its mailboxes and is busy now and then, the backup accepts every recipient."""
    world = builder.world
    world.host("mx1.busy.example", "busy_now_and_then").host("mx2.busy.example", "busy_backup")
    for _ in range(_DOMAINS):
        domain = builder.company()
        world.domain(domain, [(10, "mx1.busy.example"), (20, "mx2.busy.example")])
        builder.people(domain, _people(builder), _LANGUAGES, business=True)


def _microsoft(builder: WorldBuilder) -> None:
    """Tenants of Microsoft 365 at two shared addresses, some of which refuse all recipients.

    Beside them domains that list a host there beside twenty of their own.
    """
    world = builder.world
    for server in range(2):
        host = f"shared-{server}.mail.protection.outlook.com"
        world.host(host, "microsoft365", starttls=False)
        for number in range(7):
            domain = builder.company()
            name = f"{domain.replace('-', '').replace('.', '-')}.mail.protection.outlook.com"
            world.record(name, "A", world.hosts[host].address)
            refuses = ACCESS_DENIED if number % 3 == 1 else None
            world.domain(domain, [(0, name)], refuses=refuses, accepts_all=number == 6)
            builder.people(domain, _people(builder), _LANGUAGES, business=True)
    for mixed in range(3):
        domain = builder.company()
        first = f"mixed-set-{mixed}.mail.protection.outlook.com"
        world.host(first, "port_closed")
        targets = [(0, first)]
        for number in range(1, 21):
            world.host(f"mx{number}.{domain}")
            targets.append((10 * number, f"mx{number}.{domain}"))
        world.domain(domain, targets)
        builder.people(domain, _people(builder), _LANGUAGES, business=True)


def _google(builder: WorldBuilder) -> None:
    """Customers of Google, and domains that list a host of Google's behind one that blocks us."""
    world = builder.world
    for host in ("aspmx.l.google.com", "alt1.aspmx.l.google.com", "gmail-smtp-in.l.google.com"):
        world.host(host, "gmail", starttls=False)
    world.domain("gmail.com", [(5, "gmail-smtp-in.l.google.com")], ignores_dots=True)
    builder.people("gmail.com", 60, _LANGUAGES, business=False)
    for _ in range(_DOMAINS):
        domain = builder.company()
        world.domain(domain, [(1, "aspmx.l.google.com"), (5, "alt1.aspmx.l.google.com")])
        builder.people(domain, _people(builder), _LANGUAGES, business=True)
    for _ in range(3):
        domain = builder.company()
        world.host(f"mx.{domain}", "blocks_at_greeting")
        world.domain(domain, [(0, f"mx.{domain}"), (10, "aspmx.l.google.com")])
        builder.people(domain, _people(builder), _LANGUAGES, business=True)


def _shared_hosting(builder: WorldBuilder) -> None:
    """Eighty customers at one address.

    With MX names of their own, without MX records, or with a preferred host that is gone.
    """
    world = builder.world
    world.host("shared-hosting.example", "postfix", starttls=False)
    world.host("gone.shared-hosting.example", "port_closed")
    address, gone = world.hosts["shared-hosting.example"].address, world.hosts["gone.shared-hosting.example"].address
    for number in range(80):
        domain = builder.company()
        if number % 8 == 6:
            world.record(domain, "A", address).domain(domain)
        else:
            world.record(f"mail.{domain}", "A", address)
            targets = [(10, f"mail.{domain}")]
            if number % 8 == 7:
                world.record(f"old.{domain}", "A", gone)
                targets.insert(0, (5, f"old.{domain}"))
            world.domain(domain, targets)
        builder.people(domain, builder.rng.randint(2, 5), _LANGUAGES, business=True)


_FAULTY_ZONES: tuple[Behaviour, ...] = (
    "badvers",
    "referral",
    "lame",
    "alias_loop",
    "truncated_for_good",
    "mx_nxdomain",
    "nxdomain_with_records",
    "servfail",
    "dropped",
)


def _name_servers(builder: WorldBuilder) -> None:
    """Two domains of every faulty kind of zone, their mailboxes on an ordinary server; and domains that are gone."""
    world = builder.world
    world.host("mx.faulty-zones.example")
    address = world.hosts["mx.faulty-zones.example"].address
    for behaviour in _FAULTY_ZONES:
        for _ in range(2):
            domain = builder.company()
            world.domain(domain, [(10, "mx.faulty-zones.example")], dns=behaviour)
            if behaviour == "mx_nxdomain":
                world.record(domain, "A", address)
            builder.people(domain, _people(builder), _LANGUAGES, business=True)
    for _ in range(6):
        world.domain(builder.company(), dns="nxdomain")
        domain = builder.company()
        world.domain(domain, cname=f"gone.{domain}")
        world.domain(builder.company(), [(0, ".")])
