"""
Asking the DNS. One small interface, `Resolver.ask`. The plain case, which is nearly every one, is a datagram there and
one back (`mailvet.dns.udp`). Whatever is not plain goes to c-ares (aiodns): a second try, other servers, failures,
answers too long for a datagram.

An answer keeps apart what verification must keep apart: the name does not exist (NXDOMAIN), it exists without such
records (NODATA), the servers failed (SERVFAIL, REFUSED), nobody answered in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from typing import Any

import aiodns
import dns.asyncquery
import dns.exception
import dns.message
import dns.rdatatype
import dns.resolver
import pycares

from mailvet.dns.udp import LONGEST_TTL, TYPES, Answer, DatagramSocket, Outcome
from mailvet.settings import Dns

__all__ = ["Answer", "Outcome", "Resolver"]


_OUTCOMES = {
    pycares.errno.ARES_ENODATA: Outcome.no_data,
    pycares.errno.ARES_ENOTFOUND: Outcome.no_name,
    pycares.errno.ARES_ETIMEOUT: Outcome.timed_out,
    pycares.errno.ARES_ECONNREFUSED: Outcome.timed_out,
}
_SILENT_AFTER = 16  # datagrams in a row without an answer: try another server
_DOWN_AFTER = 60  # questions in a row without any answer: the network is gone, waiting for more proves nothing


class Resolver:
    """
    A resolver bound to the running event loop.

    Gives up for good (`down`) when dozens of questions in a row stayed without an answer, so that a lost network
    costs seconds, not a time-out for every domain of a list.
    """

    def __init__(self, settings: Dns) -> None:
        servers = [f"[{address}]:{settings.port}" if ":" in address else f"{address}:{settings.port}"
                   for address in settings.nameservers]  # fmt: skip
        # c-ares doubles the time-out with every try; stay within the lifetime.
        tries = 1
        while settings.timeout * (2 ** (tries + 1) - 1) <= settings.lifetime:
            tries += 1
        self._timeout = settings.timeout
        self._servers = _servers(settings)
        self._in_turn = itertools.cycle(self._servers)
        self._only_try = tries == 1
        self._datagrams = self._connect_next()
        first = settings.timeout
        if self._datagrams is not None and not self._only_try:  # the datagram is the first try
            first, tries = 2 * first, tries - 1
        self._dns = aiodns.DNSResolver(nameservers=servers or None, timeout=first, tries=tries)
        self._unanswered = 0
        self._doubt: asyncio.Task[bool] | None = None
        self.down = False

    async def ask(self, name: str, kind: str) -> Answer:
        """Look up one name; `kind` is MX, A or AAAA. Never raises for what the DNS says or fails to say."""
        if self.down:
            return Answer(Outcome.timed_out)
        datagrams = self._datagrams
        if datagrams is not None and (asked := datagrams.ask(name, kind)) is not None:
            answer = await asked
            if answer is not None:
                if answer.outcome is not Outcome.timed_out:
                    self._unanswered = 0
                    return answer
                if datagrams.silent >= _SILENT_AFTER and datagrams is self._datagrams and len(self._servers) > 1:
                    datagrams.close(None)
                    self._datagrams = self._connect_next()
                if self._only_try:
                    await self._note(answered=False)
                    return answer
        return await self._ask_c_ares(name, kind)

    def _connect_next(self) -> DatagramSocket | None:
        """A socket to the next server that there is a way to; c-ares goes on asking all."""
        for server in itertools.islice(self._in_turn, len(self._servers)):
            with contextlib.suppress(OSError, NotImplementedError):
                return DatagramSocket(server, self._timeout)
        return None

    async def _ask_c_ares(self, name: str, kind: str) -> Answer:
        try:
            result = await self._dns.query_dns(name, kind)
        except aiodns.error.DNSError as error:
            outcome = _OUTCOMES.get(error.args[0], Outcome.failed)
            await self._note(answered=outcome is not Outcome.timed_out)
            return Answer(outcome)
        except (UnicodeError, ValueError):  # a name of a record that cannot be asked for
            return Answer(Outcome.failed)
        self._unanswered = 0
        wanted, mx = TYPES[kind], kind == "MX"
        records: list[tuple[int, str]] = []
        ttl = LONGEST_TTL
        for record in result.answer:  # a CNAME may stand before the records asked for
            if record.ttl < ttl:
                ttl = float(record.ttl)
            if record.type == wanted:
                data: Any = record.data  # its class goes by the type
                records.append((data.priority, data.exchange) if mx else (0, data.addr))
        return Answer(Outcome.found, records, ttl) if records else Answer(Outcome.no_data)

    async def is_lame(self, name: str) -> bool:
        """
        Whether "no such records" for this name is no answer at all: a referral in place of one (RFC 2308 section
        2.2), as a broken delegation behind a forwarder gives it. c-ares reports both alike, so the message itself is
        looked at; only for the few domains that would otherwise be called dead.
        """
        query = dns.message.make_query(name, "MX")
        for server, port in self._servers:
            try:
                answer = await dns.asyncquery.udp(query, server, timeout=self._timeout, port=port)
            except (dns.exception.DNSException, OSError):
                continue
            kinds = {section.rdtype for section in answer.authority}
            return not answer.answer and dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds
        return False

    async def rewritten_address(self) -> str | None:
        """
        The address this resolver invents for names that do not exist, or None if it is honest.

        Some providers answer every name with an advertising page; behind such a resolver "the domain exists" means
        nothing, and a domain whose only address is this one must not be called alive or dead.
        """
        names = [f"mailvet-{secrets.token_hex(10)}.{suffix}" for suffix in ("com", "invalid")]
        for answer in await asyncio.gather(*(self.ask(name, "A") for name in names)):
            if answer.outcome is Outcome.found:
                return answer.records[0][1]
        return None

    async def answers(self) -> bool:
        """Whether anything answers at all; two questions that anybody can answer must stay open before it says no."""
        return any(await asyncio.gather(self._replies(), self._replies()))

    async def _replies(self) -> bool:
        try:
            await self._dns.query_dns(f"mailvet-{secrets.token_hex(10)}.invalid", "A")
        except aiodns.error.DNSError as error:
            return _OUTCOMES.get(error.args[0]) is not Outcome.timed_out
        return True

    async def _note(self, *, answered: bool) -> None:
        if answered:
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered < _DOWN_AFTER or self.down:
            return
        # Domains whose name servers are dead end together, in one row: the resolver itself has to be silent too.
        if self._doubt is None or self._doubt.done():
            self._doubt = asyncio.ensure_future(self.answers())
        if await asyncio.shield(self._doubt):
            self._unanswered = 0
        else:
            self.down = True

    async def close(self) -> None:
        """Free the sockets and the thread of c-ares."""
        if self._datagrams is not None:
            self._datagrams.close(Answer(Outcome.failed))
            self._datagrams = None
        await asyncio.shield(self._dns.close())


def _servers(settings: Dns) -> list[tuple[str, int]]:
    """Addresses and port of the name servers, those of the system where none are set."""
    if settings.nameservers:
        return [(address, settings.port) for address in settings.nameservers]
    try:
        return [(str(address), 53) for address in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException:  # no resolv.conf
        return []
