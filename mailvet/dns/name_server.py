"""One name server: a question over UDP, and over TCP where UDP will not do.

TCP takes over when a response is cut off (RFC 7766), when one may be forged, and for the few names that
are no plain host names.
"""

from __future__ import annotations

import asyncio
import contextlib

import dns.exception
import dns.message

from mailvet.dns.responses import Outcome, Response, read_in_full, read_plain
from mailvet.dns.udp import NoUse, Result, UdpPorts

__all__ = ["NameServer"]

_TRUNCATED = 0x02  # of the third octet
_FORMAT_ERROR = 1
_HEADER = 12
_OPT_SIZE = 11  # octets of an OPT record without options, the last of a query
_STREAMS = 16
"""TCP connections to the server at once."""


class NameServer:
    """A name server, bound to the running event loop.

    Args:
        address, port: of the server.
        timeout: seconds that one try may take.
    """

    def __init__(self, address: str, port: int, timeout: float) -> None:
        self.address = address
        self.port = port
        self.responded = False
        """Whether it has given any response so far."""
        self.finds_mixed_case: bool | None = None
        """Whether names in random letter case are found; None as long as no control has shown it."""
        self._timeout = timeout
        self._streams = asyncio.Semaphore(_STREAMS)
        self._closed = False
        self._udp: UdpPorts | None = None
        with contextlib.suppress(OSError, NotImplementedError):
            self._udp = UdpPorts((address, port), timeout)

    @property
    def silent(self) -> int:
        """Questions in a row without a response."""
        return self._udp.silent if self._udp is not None else 0

    @property
    def may_miss_mixed_case(self) -> bool:
        """Whether questions to it are asked in random letter case although it is not known that they are found so."""
        return self._udp is not None and self._udp.echoes_case is not False and not self.finds_mixed_case

    def ask_in_lower_case(self) -> None:
        """Ask in lower case from now on: the server does not find names in other letters."""
        if self._udp is not None:
            self._udp.echoes_case = False

    async def ask(self, name: str, kind: str, *, mixed_case: bool = True) -> Response:
        """Look up one name, once; `kind` is one of `responses.TYPES`. Never raises for what the server does."""
        asked = self._udp.ask(name, kind, mixed_case=mixed_case) if self._udp is not None else None
        result = await asked if asked is not None else None
        response = result if isinstance(result, Response) else await self._look_closer(name, kind, mixed_case, result)
        if response.outcome is not Outcome.timed_out:
            self.responded = True
        return response

    async def _look_closer(self, name: str, kind: str, mixed_case: bool, result: Result | None) -> Response:
        """The response where UDP gave none of the usual shape."""
        if isinstance(result, bytes) and _code(result) == _FORMAT_ERROR:  # a server from before RFC 6891
            again = self._udp.ask(name, kind, mixed_case=mixed_case, edns=False) if self._udp is not None else None
            result = await again if again is not None else result
        if isinstance(result, Response):
            return result
        if result is NoUse.unreachable:
            return Response(Outcome.timed_out)
        if isinstance(result, bytes) and not (len(result) > 2 and result[2] & _TRUNCATED):
            return read_in_full(result, kind)
        response = await self._ask_over_tcp(name, kind)
        # Over UDP the server said that there is more, or something was forged: this is no silence.
        if result is not None and response.outcome is Outcome.timed_out:
            return Response(Outcome.failed, detail="no response over TCP")
        return response

    async def _ask_over_tcp(self, name: str, kind: str) -> Response:
        if self._closed:
            return Response(Outcome.failed)
        try:
            query = dns.message.make_query(name, kind, use_edns=0, payload=1232).to_wire()
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return Response(Outcome.failed, detail="a name that cannot be asked for")
        async with self._streams:
            try:
                message = await asyncio.wait_for(self._exchange(query), self._timeout)
            except (asyncio.TimeoutError, OSError, EOFError):
                return Response(Outcome.timed_out)
        asked = query[_HEADER:-_OPT_SIZE]
        if message[:2] != query[:2] or message[_HEADER : _HEADER + len(asked)].lower() != asked.lower():
            return Response(Outcome.failed, detail="a response to another question")
        return read_plain(message, asked) or read_in_full(message, kind)

    async def _exchange(self, query: bytes) -> bytes:
        """One message there and one back over TCP: two octets of length before each (RFC 1035 section 4.2.2).

        Raises:
            OSError, EOFError: no connection, or it ended too soon.
        """
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
        finally:
            writer.close()

    def close(self) -> None:
        """Free the sockets; what waits has failed."""
        self._closed = True
        if self._udp is not None:
            self._udp.close(Response(Outcome.failed))
            self._udp = None


def _code(message: bytes) -> int:
    return message[3] & 0x0F if len(message) > 3 else -1
