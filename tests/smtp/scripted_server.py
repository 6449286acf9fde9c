"""A mail server that follows a script: for what no server of the lab does, such as TLS that fails half-way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Script", "scripted"]

Script = Callable[[bytes], "bytes | None"]
"""Called with every line received, and with b"" for the greeting: what to send, or None to hang up."""


@contextlib.asynccontextmanager
async def scripted(script: Script, *, hangs_up: bool = True) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve on 127.0.0.1; gives the port and the list of all lines received so far. A reply 221 ends a conversation."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = script(b"")
            while answer is not None:
                writer.write(answer)
                if hangs_up and answer.startswith(b"221"):
                    break
                line = (await reader.readline()).rstrip(b"\r\n")
                if not line:
                    break
                heard.append(line)
                answer = script(line)
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


@contextlib.asynccontextmanager
async def socks5(opened: list[tuple[str, int]], *, refuse: bool = False) -> AsyncIterator[int]:
    """A SOCKS5 proxy (RFC 1928) without authentication for IPv4; notes where it was asked to connect."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 1
        address = socket.inet_ntoa(await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        opened.append((address, port))
        if refuse:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            writer.close()
            return
        there = await asyncio.open_connection(address, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        both: tuple[Awaitable[None], ...] = (pump(reader, there[1]), pump(there[0], writer))
        await asyncio.gather(*both)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
