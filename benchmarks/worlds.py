"""The mail worlds that are measured, each a function of plain numbers, so that every process can build the same."""

from __future__ import annotations

import random

from mailvet.lab import World, default_world, hostile_world

__all__ = [
    "PROBING_SHARE",
    "WARM_UP",
    "accuracy",
    "addresses",
    "hostile",
    "probing",
    "probing_addresses",
    "routing",
    "routing_zone",
]

PROBING_SHARE = 0.7
"""Share of the probed addresses that have a mailbox."""

WARM_UP = "warm-up.test"
"""A domain of the probing world that is not measured, with a server of its own."""


def accuracy(seed: int = 7) -> World:
    """The lab's own world: profiles of operators, failing servers, broken domains."""
    return default_world(seed)


def hostile(seed: int = 7) -> World:
    """The lab's world of servers that lie or break."""
    return hostile_world(seed)


def addresses(world: World, *, ipv6: bool) -> dict[str, list[str]]:
    """Host names of a world and the addresses they resolve to."""
    found: dict[str, list[str]] = {}
    for host in world.hosts.values():
        found[host.name] = [host.address] * host.ipv4 + ["::1"] * (host.ipv6 and ipv6)
    for name, records in world.records.items():
        values = [*records.get("A", ()), *records.get("AAAA", ())]
        if values:
            found.setdefault(name, values)
    targets = {target for domain in world.domains.values() for _, target in domain.mx} | set(world.domains)
    for name in targets - set(found):
        end = world.canonical(name)
        if end in found:
            found[name] = found[end]
    return found


# ---------------------------------------------------------------- probing


def probing_addresses(
    count: int = 10_000, domains: int = 500, share: float = PROBING_SHARE, seed: int = 7
) -> list[tuple[str, bool]]:
    """Distinct addresses, evenly over the domains, shuffled, and whether each has a mailbox."""
    chance = random.Random(seed)
    pairs = [
        (
            f"person{number // domains}.n{chance.randrange(10_000)}@company-{number % domains:03d}.test",
            chance.random() < share,
        )
        for number in range(count)
    ]
    chance.shuffle(pairs)
    return pairs


def probing(
    count: int = 10_000,
    domains: int = 500,
    hosts: int = 20,
    share: float = PROBING_SHARE,
    seed: int = 7,
    pipelining: bool = False,
) -> World:
    """
    As many Postfix servers as operators, without TLS, that end a conversation after 20 refusals as Postfix does, and
    leave it to the client how many connections it opens.
    """
    world = World()
    for number in range(hosts):
        world.host(f"mx.operator-{number:02d}.test", "postfix", starttls=False, pipelining=pipelining)
    for number in range(domains):
        world.domain(f"company-{number:03d}.test", [(10, f"mx.operator-{number % hosts:02d}.test")])
    world.host(f"mx.{WARM_UP}", "postfix", starttls=False, pipelining=pipelining).domain(
        WARM_UP, [(10, f"mx.{WARM_UP}")]
    )
    for address, exists in probing_addresses(count, domains, share, seed):
        if exists:
            world.mailbox(address)
    return world


# ---------------------------------------------------------------- routes


def routing_zone(count: int = 100_000, hosts: int = 300, seed: int = 7) -> tuple[str, dict[str, str]]:
    """
    The zone `bench.test` in master file format, and the right answer for each of `count` domains in it: the preferred
    mail server's name, or `domain_not_found`, `null_mx`, `no_mail_server`.

    Of the domains 93 % have one or two MX records, 4 % do not exist, 2 % have a null MX (RFC 7505), 1 % exist without
    any mail server.
    """
    chance = random.Random(seed)
    lines = ["$ORIGIN bench.test.\n$TTL 3600\n@ SOA ns hostmaster 1 7200 3600 1209600 3600\n@ NS ns\nns A 127.0.0.1\n"]
    lines += [f"mx{number} A 127.77.{number // 250}.{number % 250 + 1}\n" for number in range(hosts)]
    right: dict[str, str] = {}
    for number in range(count):
        name = f"company-{number:06d}"
        kind = chance.random()
        if kind < 0.93:
            first, second = chance.sample(range(hosts), 2)
            lines.append(f"{name} MX 10 mx{first}\n")
            if kind < 0.4:
                lines.append(f"{name} MX 20 mx{second}\n")
            right[f"{name}.bench.test"] = f"mx{first}.bench.test"
        elif kind < 0.97:
            right[f"{name}.bench.test"] = "domain_not_found"
        elif kind < 0.99:
            lines.append(f"{name} MX 0 .\n")
            right[f"{name}.bench.test"] = "null_mx"
        else:
            lines.append(f'{name} TXT "v=spf1 -all"\n')
            right[f"{name}.bench.test"] = "no_mail_server"
    return "".join(lines), right


def routing(count: int = 100_000, hosts: int = 300, seed: int = 7) -> World:
    """The same domains as a world, for where there is no NSD; the second MX records are left out."""
    world = World()
    for number in range(hosts):
        world.host(f"mx{number}.bench.test")
    for name, answer in routing_zone(count, hosts, seed)[1].items():
        if answer == "null_mx":
            world.domain(name, [(0, ".")])
        elif answer == "no_mail_server":
            world.domain(name)
        elif answer != "domain_not_found":
            world.domain(name, [(10, answer)])
    return world
