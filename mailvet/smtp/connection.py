"""A TCP connection to a mail server: from an address of our own, through a proxy, and only to where it may go."""

from __future__ import annotations

import asyncio
import socket

from mailvet.dns.targets import PRIVATE_ADDRESS, may_be_contacted
from mailvet.errors import SettingsError
from mailvet.settings import Smtp
from mailvet.smtp.outcomes import Broken
from mailvet.smtp.reply_reading import Stage

__all__ = ["connect"]


async def connect(address: str, settings: Smtp, source: str | None, timeout: float) -> socket.socket:
    """A connected socket. The connection has a time-out of its own, shorter than that of the replies."""
    # Asked of the very address that is connected to: nothing is looked up between the question and the connection.
    if not may_be_contacted(address, settings.allow_private_networks):
        raise Broken(Stage.connect, "unreachable", PRIVATE_ADDRESS)
    if settings.proxy is not None:
        return await _connect_by_proxy(address, settings.proxy, settings.port, timeout)
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            _bind(sock, source)
        await asyncio.wait_for(loop.sock_connect(sock, (address, settings.port)), timeout)
    except (OSError, asyncio.TimeoutError) as error:
        sock.close()
        timed_out = isinstance(error, (asyncio.TimeoutError, TimeoutError))
        why = "no reply" if timed_out else (getattr(error, "strerror", None) or "refused")
        raise Broken(Stage.connect, "unreachable", why) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, source: str) -> None:
    try:
        sock.bind((source, 0))
    except OSError as error:
        # Not a fault of any server: with it, every one of them would seem to be unreachable.
        raise SettingsError(f"smtp.source_addresses: {source} is no address of this machine ({error}).") from None


async def _connect_by_proxy(address: str, proxy: str, port: int, timeout: float) -> socket.socket:
    try:
        from python_socks.async_.asyncio import Proxy
    except ImportError:
        raise SettingsError("smtp.proxy needs one more package: pip install 'mailvet[proxy]'.") from None
    try:
        return await Proxy.from_url(proxy).connect(dest_host=address, dest_port=port, timeout=timeout)
    except Exception as error:  # the library's own errors have no common base
        raise Broken(Stage.connect, "unreachable", f"proxy: {type(error).__name__}") from None
