"""Asking the DNS.

One small interface, `Resolver.ask`: one name server after another, within the lifetime of a question.

A response keeps apart what verification must keep apart: the name does not exist (NXDOMAIN), it exists without such
records (NODATA), the servers failed (SERVFAIL, REFUSED, or a response that proves nothing), none responded in time.
Whether what they say can be believed is another matter: `Resolver.trust`.
"""

from __future__ import annotations

import asyncio
import secrets
import time

import dns.exception
import dns.resolver

from mailvet.dns.name_server import NameServer
from mailvet.dns.responses import Outcome, Response
from mailvet.dns.trust import Memory, Trust
from mailvet.settings import Dns

__all__ = ["Outcome", "Resolver", "Response"]

_SILENT_AFTER = 16  # datagrams in a row without a response: ask another server first
_DOWN_AFTER = 60  # questions in a row without any response: the network is gone, waiting for more proves nothing
_FINAL = (Outcome.found, Outcome.no_data, Outcome.no_name)
_ENDING_SECONDS = 600.0


class Resolver:
    """A resolver bound to the running event loop.

    Gives up for good (`down`) when dozens of questions in a row stayed without a response, so that a lost network
    costs seconds, not a time-out for every domain of a list.

    Args:
        settings: which servers, how long.
        memory: what is known of them already, see `mailvet.dns.trust`.
    """

    def __init__(self, settings: Dns, *, memory: Memory | None = None) -> None:
        self._tries = max(1, int(settings.lifetime / settings.timeout + 1e-9))
        self._servers = [NameServer(address, port, settings.timeout) for address, port in _servers(settings)]
        self._first = 0
        self._silences = 0
        self._doubt: asyncio.Task[bool] | None = None
        self._endings: dict[str, tuple[bool, float]] = {}
        self.down = False
        self.trust = Trust(self._servers, settings, {} if memory is None else memory)

    async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
        """Look up one name. Never raises for what the DNS says or fails to say.

        Args:
            name: a domain or host name in ASCII.
            kind: MX, A, AAAA, TXT or PTR.
            mixed_case: vary the case of letters, so that a forged response shows. What is not found so is asked for
                once more as it is written, until it is known that the server finds names in any letters.
        """
        if self.down or not self._servers:
            return Response(Outcome.timed_out)
        server = self._servers[self._first]
        response = await server.ask(name, kind, mixed_case=mixed_case)
        if response.outcome is Outcome.found:
            self._silences = 0
            return response
        if mixed_case and response.outcome in _FINAL and server.may_miss_mixed_case:
            response = await server.ask(name, kind, mixed_case=False)
        if response.outcome in _FINAL:
            self._silences = 0
            return response
        return await self._ask_again(name, kind, response)

    async def values(self, name: str, kind: str) -> list[str] | None:
        """What the records of one name hold, as `Response.records` has it, without preferences.

        Returns:
            [] where there are no such records or there is no such name; None where no response could be had.
        """
        response = await self.ask(name, kind)
        if response.outcome not in _FINAL:
            return None
        return [value for _, value in response.records]

    async def addresses(self, host: str) -> list[str]:
        """IPv4 and IPv6 addresses of a host; what could not be asked for is left out."""
        found = await asyncio.gather(self.values(host, "A"), self.values(host, "AAAA"))
        return [address for values in found for address in values or ()]

    async def _ask_again(self, name: str, kind: str, response: Response) -> Response:
        """The same question to the next server, or to the only one again.

        As often as the lifetime allows where there was no response, once to each server where there was a failure.
        """
        first, count = self._first, len(self._servers)
        failure = response if response.outcome is Outcome.failed else None
        failures, silences = (1, 0) if failure else (0, 1)
        if count > 1 and self._servers[first].silent >= _SILENT_AFTER:
            self._first = (first + 1) % count
        while silences < self._tries and failures < max(2, count):
            server = self._servers[(first + failures + silences) % count]
            new = not server.responded
            response = await server.ask(name, kind, mixed_case=False)
            if new and server.responded:
                await self.trust.examine(server)
            if response.outcome in _FINAL:
                self._silences = 0
                return response
            if response.outcome is Outcome.failed:
                failure, failures = response, failures + 1
            else:
                silences += 1
        await self._note(responded=failure is not None)
        return failure or response

    async def invents_below(self, ending: str) -> bool:
        """Whether names that do not exist have an address below this ending: the resolver's doing, or a registry's."""
        known = self._endings.get(ending)
        if known is None or known[1] < time.monotonic():
            name = f"mailvet-{secrets.token_hex(10)}.{ending}"
            found = await asyncio.gather(*(self.ask(name, kind, mixed_case=False) for kind in ("A", "AAAA")))
            values = [value for each in found if each.outcome is Outcome.found for _, value in each.records]
            if values:
                self.trust.note_ending(ending, values[0])
            known = bool(values), time.monotonic() + _ENDING_SECONDS
            self._endings[ending] = known
        return known[0]

    async def look_for_inventions(self) -> None:
        """See whether the server that is asked first invents records, unless that is known."""
        if self._servers and not self.down:
            await self.trust.examine(self._servers[self._first])

    async def responds(self) -> bool:
        """Whether any server responds at all, and on the way whether it invents records.

        Questions that any server can respond to must stay open before it says no.
        """
        if not self._servers:
            return False
        first = self._servers[self._first]
        asks_now = not self.trust.has_examined(first)
        if await self.trust.examine(first) and asks_now:
            return True
        live = await asyncio.gather(*(self._responds(server) for server in self._servers))
        # A closed network may have a response to its own names alone, such as our host name.
        return any(live) or any(server.responded for server in self._servers)

    async def _responds(self, server: NameServer) -> bool:
        response = await server.ask(f"mailvet-{secrets.token_hex(10)}.invalid", "A", mixed_case=False)
        if response.outcome is Outcome.timed_out:
            return False
        await self.trust.examine(server)
        return True

    async def _note(self, *, responded: bool) -> None:
        if responded:
            self._silences = 0
            return
        self._silences += 1
        if self._silences < _DOWN_AFTER or self.down:
            return
        # Domains whose name servers are dead end together, in one row: the resolver itself has to be silent too.
        if self._doubt is None or self._doubt.done():
            self._doubt = asyncio.ensure_future(self._any_responds())
        if await asyncio.shield(self._doubt):
            self._silences = 0
        else:
            self.down = True

    async def _any_responds(self) -> bool:
        return any(await asyncio.gather(*(self._responds(server) for server in self._servers for _ in range(2))))

    async def close(self) -> None:
        """Free the sockets."""
        for server in self._servers:
            server.close()


def _servers(settings: Dns) -> list[tuple[str, int]]:
    """Addresses and port of the name servers, those of the system where none are set."""
    if settings.nameservers:
        return [(address, settings.port) for address in settings.nameservers]
    try:
        return [(str(address), 53) for address in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException:  # no resolv.conf
        return []
