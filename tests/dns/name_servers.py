"""Name servers that answer as a test says, over UDP and TCP on one port of loopback."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from mailvet.dns.trust import control_names
from mailvet.settings import Dns

__all__ = ["Asked", "ScriptedServer", "Wire", "in_thread", "response_to", "settings_for", "split_horizon"]

Wire: TypeAlias = "bytes | dns.message.Message"
"""A response as it is to be sent."""


class Asked:
    """One question as it came in."""

    def __init__(self, wire: bytes, transport: str, send: Callable[[bytes], None] | None) -> None:
        self.wire = wire
        self.query = dns.message.from_wire(wire)
        self.name = self.query.question[0].name.to_text(omit_final_dot=True).lower()
        self.kind = dns.rdatatype.to_text(self.query.question[0].rdtype)
        self.transport = transport
        """udp or tcp."""
        self.send = send
        """Sends a further datagram to where the question came from."""


def response_to(
    asked: Asked, *records: str, code: str = "NOERROR", authority: Iterable[str] = (), flags: str = "QR RD RA"
) -> dns.message.Message:
    """A response of a recursive resolver; records in master file form."""
    response = dns.message.make_response(asked.query)
    response.flags = dns.flags.from_text(flags)
    response.set_rcode(dns.rcode.from_text(code))
    for section, lines in ((response.answer, records), (response.authority, authority)):
        for line in lines:
            name, ttl, _, kind, data = line.split(maxsplit=4)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return response


Script: TypeAlias = "Callable[[Asked], Wire | Iterable[Wire] | None]"


class ScriptedServer:
    """Answers by a script: from a question to what is sent back, nothing for None. `*.invalid` and other names that the
    script knows nothing of are its own matter; `knows_controls` answers the control names before it.

    Use `async with ScriptedServer.serving(script) as server`.
    """

    def __init__(self, script: Script, knows_controls: bool) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.transports: Counter[str] = Counter()
        self.ports: set[int] = set()
        """Source ports of the datagrams."""
        self.wires: list[bytes] = []
        self.port = 0
        self.host = ""
        self._script = script
        self._knows_controls = knows_controls

    @classmethod
    @asynccontextmanager
    async def serving(
        cls,
        script: Script,
        *,
        knows_controls: bool = True,
        tcp: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> AsyncIterator[ScriptedServer]:
        server = cls(script, knows_controls)
        loop = asyncio.get_running_loop()
        while True:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), (host, port))
            server.host, server.port = transport.get_extra_info("sockname")[:2]
            try:
                streams = await asyncio.start_server(server._stream, host, server.port) if tcp else None
                break
            except OSError:  # the port is taken for TCP
                transport.close()
                if port:
                    raise
        try:
            yield server
        finally:
            transport.close()
            if streams is not None:
                streams.close()

    def respond(self, asked: Asked) -> list[bytes]:
        self.asked[asked.name, asked.kind] += 1
        self.transports[asked.transport] += 1
        self.wires.append(asked.wire)
        if self._knows_controls and asked.name in control_names() and asked.kind == "MX":
            return [response_to(asked, f"{asked.name}. 300 IN MX 10 mx.{asked.name}.").to_wire()]
        found = self._script(asked)
        if found is None:
            return []
        each = [found] if isinstance(found, (bytes, dns.message.Message)) else list(found)
        return [one if isinstance(one, bytes) else one.to_wire(max_size=65535) for one in each]

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                for wire in self.respond(Asked(await reader.readexactly(length), "tcp", None)):
                    writer.write(len(wire).to_bytes(2, "big") + wire)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def in_thread(script: Script, **options: Any) -> Iterator[ScriptedServer]:
    """The same on an event loop of its own, for tests that do not run in one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = ScriptedServer.serving(script, **options)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def split_horizon(asked: Asked) -> Wire:
    """What a resolver of an internal network says to every public name."""
    return response_to(asked, code="NXDOMAIN")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.ports.add(addr[1])
        for wire in self._server.respond(Asked(data, "udp", lambda wire: self._transport.sendto(wire, addr))):
            self._transport.sendto(wire, addr)


def settings_for(*servers: ScriptedServer, timeout: float = 0.3, lifetime: float = 0.9, **options: object) -> Dns:
    """Settings that ask these servers, all on one port."""
    return Dns.model_validate(
        {
            "nameservers": tuple(server.host for server in servers),
            "port": servers[0].port,
            "timeout": timeout,
            "lifetime": lifetime,
            **options,
        }
    )
