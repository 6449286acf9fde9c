"""
Mail routes of 100,000 distinct domains on one core, the name server on the other.

The server is NSD where it is installed, else the lab's own. 300 mail servers; 4 % of the domains do not exist, 2 % take
no mail (RFC 7505), 1 % have no mail server. Every single answer is compared with the zone.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import loopback, worlds
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import LabProcess, call, cores, name_server

__all__ = ["measure", "served", "settings"]

_PARTS = {"mailvet": 1, "aiodns": 2, "mailvet.verify_many": 5}
_CONCURRENCY = 256
"""Questions under way at once: mailvet's default."""


def measure(count: int = 100_000, sample: int = 5_000, runs: int = 3) -> dict[str, Any]:
    """
    Interleaved runs, each in a fresh process pinned to one core.

    Args:
        count: domains for the route layer; half of them for c-ares alone, a fifth for all of `verify_many`.
        sample: of them, domains for the others.
        runs: how often each is run.

    Returns:
        `server`, `domains`, `pinned`, and `rows`: rate, CPU and wrong or missing answers by name.

    Raises:
        AssertionError: a route of mailvet's is wrong or missing.
    """
    pair = cores()
    client, server = pair if pair else (None, None)
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in _ASKERS}
    with served(count, server) as (software, port):
        for _ in range(runs):
            for name in _ASKERS:
                take = max(count // _PARTS.get(name, count), min(sample, count))
                arguments = {"name": name, "port": port, "count": count, "take": take}
                seen[name].append(call("benchmarks.routing:ask", core=client, **arguments))
    rows: dict[str, Any] = {}
    for name, each in seen.items():
        wrong = max(run["wrong"] for run in each)
        if name.startswith("mailvet"):
            assert not wrong, f"{wrong} of {count} routes of {name} are wrong or missing"
        rows[name] = {
            "rate": spread([run["rate"] for run in each]),
            "domains": each[0]["domains"],
            "wrong": wrong,
            "cpu_per_1000": spread([run["cpu"] * 1000 / run["domains"] for run in each]),
            "ratio": paired_ratios([run["rate"] for run in seen["mailvet"]], [run["rate"] for run in each]),
        }
    return {"server": software, "domains": count, "pinned": pair is not None, "runs": runs, "rows": rows}


@contextlib.contextmanager
def served(count: int, core: int | None) -> Iterator[tuple[str, int]]:
    """The zone of so many domains on a name server: its software and its port on 127.0.0.1."""
    zone, _ = worlds.routing_zone(count)
    with name_server("bench.test", zone, core=core) as nsd:
        if nsd is not None:
            yield nsd.software, nsd.port
            return
    with LabProcess("routing", core=core, count=count) as lab:
        yield "the lab's name server (NSD is not installed)", int(lab.about["nameserver"][1])


# -------------------------------------------------------------------- inside the measured process

_Answers = dict[str, str]


def settings(port: int, depth: str) -> Any:
    """Settings that ask the name server on that port."""
    from mailvet.settings import Settings

    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "mailvet.toml")
        path.write_text(
            f'depth = "{depth}"\n[dns]\nnameservers = ["127.0.0.1"]\nport = {port}\nconcurrency = {_CONCURRENCY}\n'
            f"controls = {[f'company-{number:06d}.bench.test' for number in range(5)]}\n"
            "[smtp]\nallow_private_networks = true\n"
        )
        return Settings.load(path)


def _mailvet(domains: list[str], port: int) -> _Answers:
    """The route layer, resolver and all."""
    from mailvet.dns.resolver import Resolver
    from mailvet.dns.routes import Routes

    chosen = settings(port, "dns")

    async def look_up() -> _Answers:
        resolver = Resolver(chosen.dns)
        routes = await Routes(resolver, chosen.dns, allow_private_networks=True).examine(domains)
        await resolver.close()
        return {name: str(route.reason) if route.reason else route.mx_host or "" for name, route in routes.items()}

    return asyncio.run(look_up())


def _verify_many(domains: list[str], port: int) -> _Answers:
    """The whole of `verify_many(depth="dns")`, one address for each domain."""
    from mailvet.verification.api import verify_many

    verdicts = verify_many([f"ann@{domain}" for domain in domains], settings=settings(port, "dns"))
    reasons, hosts = verdicts["reason"].to_pylist(), verdicts["mx_host"].to_pylist()
    return {name: host if host else str(reason) for name, reason, host in zip(domains, reasons, hosts, strict=True)}


def _aiodns(domains: list[str], port: int) -> _Answers:
    """c-ares alone: MX and nothing else, no addresses, no judgement."""
    import aiodns
    import pycares

    async def look_up() -> _Answers:
        resolver = aiodns.DNSResolver(nameservers=[f"127.0.0.1:{port}"], timeout=3, tries=2)

        async def one(name: str) -> str:
            try:
                answer = await resolver.query_dns(name, "MX")
            except aiodns.error.DNSError as error:
                missing = error.args[0] == pycares.errno.ARES_ENOTFOUND
                return "domain_not_found" if missing else "no_mail_server"
            data: list[Any] = [record.data for record in answer.answer]
            hosts = sorted((each.priority, each.exchange) for each in data)
            return str(hosts[0][1]) or "null_mx"

        found = await _side_by_side(domains, one)
        await resolver.close()
        return found

    return asyncio.run(look_up())


def _dnspython(domains: list[str], port: int) -> _Answers:
    """The asynchronous resolver of dnspython, MX and nothing else."""
    import dns.asyncresolver
    import dns.resolver

    async def look_up() -> _Answers:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port

        async def one(name: str) -> str:
            try:
                answer = await resolver.resolve(name, "MX")
            except dns.resolver.NXDOMAIN:
                return "domain_not_found"
            except dns.resolver.NoAnswer:
                return "no_mail_server"
            first = min((record.preference, str(record.exchange).rstrip(".")) for record in answer)
            return first[1] or "null_mx"

        return await _side_by_side(domains, one)

    return asyncio.run(look_up())


def _email_validator(domains: list[str], port: int) -> _Answers:
    """`validate_email_deliverability` of email-validator in 16 threads; it tells dead domains apart only in words."""
    import dns.resolver
    from email_validator.deliverability import validate_email_deliverability
    from email_validator.exceptions import EmailUndeliverableError

    def resolver() -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=False)
        made.nameservers, made.port, made.lifetime = ["127.0.0.1"], port, 9.0
        return made

    shared = resolver()

    def one(name: str) -> str:
        try:
            return str(validate_email_deliverability(name, name, dns_resolver=shared)["mx"][0][1])
        except EmailUndeliverableError as error:
            return "domain_not_found" if "does not exist" in str(error) else "no_mail"

    with ThreadPoolExecutor(16) as pool:
        return dict(zip(domains, pool.map(one, domains), strict=True))


async def _side_by_side(domains: list[str], one: Callable[[str], Awaitable[str]]) -> _Answers:
    queue = iter(domains)
    found: _Answers = {}

    async def work() -> None:
        for name in queue:
            found[name] = await one(name)

    await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))
    return found


_ASKERS: dict[str, Callable[[list[str], int], _Answers]] = {
    "mailvet": _mailvet,
    "mailvet.verify_many": _verify_many,
    "aiodns": _aiodns,
    "dnspython": _dnspython,
    "email-validator": _email_validator,
}


def ask(name: str, port: int, count: int, take: int) -> dict[str, Any]:
    """One asker over the first `take` of `count` domains, after ten to warm up: `rate`, `cpu`, `domains`, `wrong`."""
    loopback.install({}, ("127.0.0.1", port))
    _, right = worlds.routing_zone(count)
    domains = list(right)[:take]
    _ASKERS[name](domains[-10:], port)
    wall, cpu = time.perf_counter(), time.process_time()
    found = _ASKERS[name](domains, port)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    wrong = sum(not _agrees(found.get(domain), right[domain]) for domain in domains)
    return {"rate": len(domains) / wall, "cpu": cpu, "domains": len(domains), "wrong": wrong}


def _agrees(found: str | None, right: str) -> bool:
    # email-validator has one word for a null MX and for no mail server.
    return found == right or (found == "no_mail" and right in ("null_mx", "no_mail_server"))
