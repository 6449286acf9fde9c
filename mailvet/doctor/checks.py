"""Is this machine fit to ask mail servers? What the rest of the mail world sees of it, before a run finds out.

It asks the resolver, the mail server of the sender's own domain (one connection, a greeting, QUIT) and the
block lists that are configured, and writes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import statistics
import time
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from mailvet.dns.resolver import Resolver
from mailvet.dns.routes import Route, Routes
from mailvet.dns.spf import spf_result
from mailvet.dns.targets import is_global_unicast
from mailvet.doctor import machine
from mailvet.doctor.check import Check, State
from mailvet.settings import Settings
from mailvet.smtp.outcomes import Broken, Refused
from mailvet.smtp.reply_reading import mask
from mailvet.smtp.session import Session
from mailvet.verification.background import run_in_background
from mailvet.verification.hello_name import hello_name_problem
from mailvet.vocabulary import Depth

__all__ = ["Check", "State", "examine", "summary"]

_SLOW = 1.0  # seconds for one DNS answer
_TIMEOUT = 20.0  # seconds for all checks together


def examine(settings: Settings) -> list[Check]:
    """Look at everything a run of this depth needs; a check that a shallower depth does not need is `skipped`.

    Returns:
        The checks in a fixed order, each once. Nothing is raised for what is wrong with the machine.
    """
    return run_in_background(_Examination(settings).all())


def summary(checks: Sequence[Check]) -> str:
    """One sentence: that all is well, or the first thing that is wrong and what to do about it."""
    failed = [check for check in checks if check.state == "fail"]
    warned = [check for check in checks if check.state == "warn"]
    done = len(checks) - sum(check.state == "skipped" for check in checks)
    if not failed and not warned:
        return f"All {done} checks passed."
    first = (failed or warned)[0]
    counts = [f"{len(found)} {word}" for found, word in ((failed, "failed"), (warned, "to look at")) if found]
    more = " (see mailvet doctor for the rest)" if len(failed) + len(warned) > 1 else ""
    return f"Of {done} checks {', '.join(counts)}: {first.found} {first.advice or ''}".rstrip() + more


class _Examination:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._depth = Depth(settings.depth)
        self._sender_domain = settings.smtp.mail_from.rpartition("@")[2]

    async def all(self) -> list[Check]:
        """Every check in order."""
        settings = self._settings
        local = [machine.clock(settings), machine.lists(), machine.store(settings), machine.tables()]
        try:
            network = await asyncio.wait_for(self._network(), _TIMEOUT + self._settings.smtp.connect_timeout)
        except asyncio.TimeoutError:
            network = [
                Check(
                    "resolver",
                    "fail",
                    "The network did not answer in time.",
                    "Check the network and [dns] nameservers, then look again.",
                )
            ]
        return [*network, *local]

    # ---------------------------------------------------------------- the network

    async def _network(self) -> list[Check]:
        names = ("resolver", "honest_resolver", "host_name", "port_25", "reverse_dns", "spf", "block_lists")
        if self._depth is Depth.offline:
            return [Check(name, "skipped", "Depth offline asks no server.") for name in names]
        resolver = Resolver(self._settings.dns)
        try:
            checks = await self._resolver_checks(resolver)
            if checks[0].state == "fail":
                return [*checks, *(Check(name, "skipped", "There is no DNS to ask.") for name in names[len(checks) :])]
            if self._depth is Depth.dns:
                return [*checks, *(Check(name, "skipped", "Depth dns asks no mail servers.") for name in names[2:])]
            self._resolver = resolver
            route = await self._own_route(resolver)
            here, host_name = await asyncio.gather(self._own_addresses(route), self._host_name())
            addresses, whence = here
            rest = await asyncio.gather(
                self._port_25(route),
                self._reverse_dns(addresses, whence),
                self._spf(addresses, whence),
                self._block_lists(addresses),
            )
            return [*checks, host_name, *rest]
        finally:
            await resolver.close()

    async def _resolver_checks(self, resolver: Resolver) -> list[Check]:
        servers = ", ".join(self._settings.dns.nameservers) or "the system's resolver"
        if not await resolver.responds():
            return [
                Check(
                    "resolver",
                    "fail",
                    f"No DNS answers: {servers} did not reply.",
                    "Check the network and [dns] nameservers.",
                ),
                Check("honest_resolver", "skipped", "There is no DNS to ask."),
            ]
        seconds = []
        for _ in range(3):
            began = time.monotonic()
            await resolver.ask(f"mailvet-{secrets.token_hex(10)}.invalid", "A")
            seconds.append(time.monotonic() - began)
        usual = statistics.median(seconds)
        speed = f"{servers[:1].upper()}{servers[1:]} answers in {1000 * usual:.0f} ms."
        slow = usual > _SLOW
        first = Check(
            "resolver",
            "warn" if slow else "ok",
            speed,
            "Set [dns] nameservers to a resolver nearby; a run looks up every domain of the table." if slow else None,
        )
        await resolver.trust.examine_all(afresh=True)
        found = resolver.trust.degraded
        if found is not None:
            what, _, advice = found.partition(". ")
            return [first, Check("honest_resolver", "fail", f"{what}.", advice)]
        if not resolver.trust.controls:
            said = "Names that do not exist are said not to exist; it was not asked for controls ([dns] controls = [])."
            return [first, Check("honest_resolver", "ok", said)]
        return [
            first,
            Check("honest_resolver", "ok", "Names that do not exist are said not to exist, and known ones are found."),
        ]

    async def _host_name(self) -> Check:
        name = self._settings.hello_name
        advice = "Set smtp.hello_name to this machine's public host name, one that the DNS knows."
        addresses: list[str] = []

        async def resolves(name: str) -> bool:
            addresses.extend(await self._resolver.addresses(name))
            return bool(addresses)

        problem = await hello_name_problem(name, resolves)
        if problem is not None:
            return Check("host_name", "fail", problem, advice)
        return Check("host_name", "ok", f"The hello name {name} resolves to {', '.join(addresses)}.")

    async def _own_route(self, resolver: Resolver) -> Route | None:
        if not self._sender_domain:
            return None
        private = self._settings.smtp.allow_private_networks
        routes = Routes(resolver, self._settings.dns, allow_private_networks=private)
        return (await routes.examine([self._sender_domain]))[self._sender_domain]

    async def _port_25(self, route: Route | None) -> Check:
        port = self._settings.smtp.port
        if route is None:
            return Check(
                "port_25",
                "skipped",
                "No mail server of ours is known to try it with.",
                "Set smtp.mail_from to an address of your own domain; its mail server is then asked for a greeting.",
            )
        if not route.hosts:
            return Check(
                "port_25",
                "warn",
                f"The sender's domain {route.domain} takes no mail ({route.reason}).",
                "Servers refuse senders that cannot be answered: set smtp.mail_from to an address that takes mail.",
            )
        failures: list[Broken] = []
        for host in route.hosts[:2]:
            for address in host.addresses[:2]:
                try:
                    await self._greet(host.name, address)
                except Broken as broken:
                    failures.append(broken)
                except Refused as refused:
                    said = mask(f"{refused.reply.code} {refused.reply.text}")
                    return Check(
                        "port_25",
                        "warn",
                        f"{host.name} can be reached on port {port} but refuses us: {said[:200]}",
                        "Read why; other servers may refuse this machine for the same reason.",
                    )
                else:
                    return Check("port_25", "ok", f"{host.name} greets us on port {port}.")
        kinds = {failure.kind for failure in failures}
        if kinds & {"unreachable", "timeout"}:
            return Check(
                "port_25",
                "fail",
                f"No connection to {route.mx_host} on port {port}.",
                "Most clouds and access providers close outgoing port 25: ask yours to open it, run elsewhere, set "
                "smtp.proxy, or verify with depth 'dns'.",
            )
        return Check(
            "port_25",
            "warn",
            f"{route.mx_host} answers on port {port}, but not as a mail server does.",
            "Something between may intercept port 25 (a firewall's mail filter); verify from another network.",
        )

    async def _greet(self, host: str, address: str) -> None:
        smtp = self._settings.smtp.model_copy(update={"starttls": "never"})
        source = next((own for own in smtp.source_addresses if (":" in own) == (":" in address)), None)
        session = await Session.open(host, address, smtp, self._settings.hello_name, source=source)
        await session.close()

    async def _own_addresses(self, route: Route | None) -> tuple[list[str], str]:
        """The addresses that mail servers see us at, as far as that can be known here, and how it is known."""
        smtp = self._settings.smtp
        by_name = await self._resolver.addresses(self._settings.hello_name)
        if smtp.source_addresses:
            return list(smtp.source_addresses), "smtp.source_addresses"
        if smtp.proxy:
            return by_name, "taken from the hello name, since connections go through a proxy"
        targets = [address for host in (route.hosts if route else ()) for address in host.addresses]
        targets += self._settings.dns.nameservers
        found: list[str] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            target = next((t for t in targets if (":" in t) == (family == socket.AF_INET6)), None)
            address = _outgoing(family, target) if target else None
            if address is not None and (smtp.allow_private_networks or is_global_unicast(address)):
                found.append(address)
        if found:
            return found, "of this machine"
        return by_name, "taken from the hello name, since this machine has no public address of its own"

    async def _reverse_dns(self, addresses: Sequence[str], whence: str) -> Check:
        if not addresses:
            return Check(
                "reverse_dns", "skipped", "Our own address is not known.", "Set smtp.hello_name or source_addresses."
            )
        wanted = self._settings.hello_name.lower()
        for address in addresses:
            names = await self._resolver.values(dns.reversename.from_address(address).to_text(), "PTR")
            if names is None:
                return Check("reverse_dns", "warn", f"The reverse DNS of {address} could not be asked.", "Look again.")
            if not names:
                return Check(
                    "reverse_dns",
                    "fail",
                    f"Our address {address} ({whence}) has no reverse DNS.",
                    f"Have its owner (your provider) set a PTR record to {wanted}; many servers refuse hosts without.",
                )
            confirmed = [name for name in names if address in await self._resolver.addresses(name)]
            if not confirmed:
                return Check(
                    "reverse_dns",
                    "fail",
                    f"Our address {address} ({whence}) is called {names[0]}, which does not resolve back to it.",
                    f"Let PTR and A records name each other: {address} and {wanted}.",
                )
            if wanted not in [name.lower() for name in confirmed]:
                return Check(
                    "reverse_dns",
                    "warn",
                    f"Our address {address} ({whence}) is called {confirmed[0]}, and we say hello as {wanted}.",
                    f"Set smtp.hello_name to {confirmed[0]}, or the PTR record to {wanted}.",
                )
        return Check("reverse_dns", "ok", f"{', '.join(addresses)} ({whence}) and {wanted} name each other.")

    async def _spf(self, addresses: Sequence[str], whence: str) -> Check:
        # RFC 7208 section 2.4: with the null sender, the hello name stands in.
        domain = self._sender_domain or self._settings.hello_name
        if not addresses:
            return Check("spf", "skipped", "Our own address is not known.", "Set smtp.hello_name or source_addresses.")
        for address in addresses:
            result = await spf_result(self._resolver, address, domain)
            advice = f"Add {'ip6' if ':' in address else 'ip4'}:{address} to the SPF record of {domain}."
            if result == "pass":
                continue
            if result in ("fail", "softfail", "neutral"):
                state: State = "fail" if result == "fail" else "warn"
                return Check("spf", state, f"SPF of {domain} says {result} to {address} ({whence}).", advice)
            if result == "none":
                record = f"v=spf1 {'ip6' if ':' in address else 'ip4'}:{address} -all"
                return Check("spf", "warn", f"{domain} has no SPF record.", f'Publish a TXT record such as "{record}".')
            if result == "not evaluated":
                return Check(
                    "spf",
                    "skipped",
                    f"SPF of {domain} uses macros, exists or ptr, which are not evaluated here.",
                    "Test it with a message to a mailbox of your own: its headers say the result.",
                )
            return Check(
                "spf",
                "warn",
                f"SPF of {domain} could not be evaluated ({result}).",
                "Correct the record or look again.",
            )
        return Check("spf", "ok", f"SPF of {domain} allows {', '.join(addresses)}.")

    async def _block_lists(self, addresses: Sequence[str]) -> Check:
        zones = self._settings.doctor.block_lists
        if not zones:
            return Check("block_lists", "skipped", "No block lists are configured ([doctor] block_lists).")
        if not addresses:
            return Check("block_lists", "skipped", "Our own address is not known.")
        listed, refused = [], []
        for zone in zones:
            for address in addresses:
                # RFC 5782 section 2: the address backwards, below the zone.
                backwards = dns.reversename.from_address(address).to_text().rsplit(".", 3)[0]
                codes = await self._resolver.values(f"{backwards}.{zone}", "A")
                if codes is None or any(not _is_code(code) for code in codes):
                    refused.append(zone)
                elif codes:
                    listed.append(f"{zone} ({address})")
        if listed:
            return Check(
                "block_lists",
                "fail",
                f"Our address is listed by {', '.join(listed)}.",
                "Find out why on the list's own site and have it taken off before you ask anybody.",
            )
        if refused:
            return Check(
                "block_lists",
                "warn",
                f"No usable answer from {', '.join(dict.fromkeys(refused))}.",
                "Block lists refuse public resolvers and heavy users: set [dns] nameservers to a resolver of your own.",
            )
        return Check("block_lists", "ok", f"Not listed by {', '.join(zones)}.")


def _outgoing(family: socket.AddressFamily, target: str) -> str | None:
    """The local address from which this machine would reach another. Connecting a UDP socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _is_code(address: str) -> bool:
    """RFC 5782: listings are answered within 127/8; 127.255.255/24 is how lists say that they will not answer."""
    return address.startswith("127.") and not address.startswith("127.255.255.")
