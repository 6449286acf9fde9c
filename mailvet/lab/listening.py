"""The sockets on which a lab listens: bound on loopback, closed and opened again for an outage."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections.abc import Mapping
from typing import NamedTuple

from mailvet.errors import MailvetError
from mailvet.lab.mail_server import MailServer
from mailvet.lab.world import World

__all__ = ["NAME_SERVER", "Bound", "MailListeners", "bind_mail_servers", "bind_name_server"]

NAME_SERVER = "127.0.0.1"
_PORTS = range(12_000, 32_000)
"""Below the range from which Linux takes the ports of outgoing connections."""
_BACKLOG = 512
_AGAIN_AFTER = 0.05
"""Seconds until a listener that could not be opened again is tried once more."""


class Bound(NamedTuple):
    """A listening socket of a mail server, and where it listens."""

    name: str
    family: int
    address: str
    listener: socket.socket


class MailListeners:
    """All listening sockets of a lab's mail servers, and their outages.

    Lives in the lab's event loop.
    """

    def __init__(self, servers: Mapping[str, MailServer], bound: list[Bound], port: int) -> None:
        self._servers = servers
        self._bound = bound
        self._port = port
        self._opened: list[asyncio.Server] = []
        self._recipients_left = 0
        self._seconds: float | None = None
        self._end: asyncio.TimerHandle | None = None
        self.down = False
        """Whether an outage is on: every connection is refused."""
        for server in servers.values():
            server.on_recipient = self._count_recipient

    async def open(self) -> None:
        """Begin to accept connections."""
        loop = asyncio.get_running_loop()
        for each in self._bound:
            factory = self._servers[each.name].session
            self._opened.append(await loop.create_server(factory, sock=each.listener, backlog=_BACKLOG))

    def close(self) -> None:
        """Accept no more connections, and end those that are open."""
        if self._end is not None:
            self._end.cancel()
        self._shut()

    def _shut(self) -> None:
        for listening in self._opened:
            listening.close()
        self._opened.clear()
        for server in self._servers.values():
            for session in list(server.sessions):
                session.abort()

    # ---------------------------------------------------------------- outages
    def plan_outage(self, after: int, seconds: float | None) -> None:
        """Begin an outage when `after` more recipients were asked, at once for 0; None: for good."""
        self._seconds = seconds
        self._recipients_left = after
        if after <= 0:
            self._begin()

    def _count_recipient(self) -> None:
        if self._recipients_left > 0:
            self._recipients_left -= 1
            if self._recipients_left == 0:
                self._begin()

    def _begin(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if not self.down:
            self.down = True
            self._shut()
        if self._seconds is not None:
            self._end = asyncio.get_running_loop().call_later(self._seconds, self._reopen)

    def end_outage(self) -> None:
        """Accept connections again, and forget an outage that was to come."""
        self._recipients_left = 0
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if self.down:
            self._reopen()

    def _reopen(self) -> None:
        loop = asyncio.get_running_loop()
        self._end = None
        again: list[Bound] = []
        try:
            for each in self._bound:
                again.append(each._replace(listener=_listen(each.family, each.address, self._port)))
        except OSError:  # another program took the port meanwhile
            for each in again:
                each.listener.close()
            self._end = loop.call_later(_AGAIN_AFTER, self._reopen)
            return
        self._bound = again
        self.down = False
        self._opening = loop.create_task(self.open())


def bind_name_server() -> tuple[socket.socket, socket.socket, int]:
    """One UDP and one TCP socket on the same free port."""
    for port in random.SystemRandom().sample(_PORTS, 50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
            udp.bind((NAME_SERVER, port))
            tcp.bind((NAME_SERVER, port))
            tcp.listen(128)
        except OSError as error:
            udp.close()
            tcp.close()
            if error.errno != errno.EADDRINUSE:
                raise MailvetError(f"the lab cannot open its DNS port on {NAME_SERVER}: {error.strerror}.") from error
        else:
            return udp, tcp, port
    raise MailvetError("the lab found no free port for DNS. Stop other servers on this machine and try again.")


def bind_mail_servers(world: World) -> tuple[list[Bound], int, bool]:
    """A listening socket for every host that listens, all on one port; that port; whether IPv6 works."""
    wanted = [
        (host.name, family, address)
        for host in world.hosts.values()
        if host.profile.listens
        for family, address in (
            *([(socket.AF_INET, host.address)] if host.ipv4 else []),
            *([(socket.AF_INET6, "::1")] if host.ipv6 else []),
        )
    ]
    for port in random.SystemRandom().sample(_PORTS, 50):
        bound: list[Bound] = []
        ipv6 = False
        taken = False
        for name, family, address in wanted:
            try:
                listener = _listen(family, address, port)
            except OSError as error:
                if family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                    continue
                for other in bound:
                    other.listener.close()
                if error.errno != errno.EADDRINUSE:
                    raise MailvetError(_unbound(address, error)) from error
                taken = True
                break
            ipv6 = ipv6 or family == socket.AF_INET6
            bound.append(Bound(name, family, address, listener))
        if not taken:
            return bound, port, ipv6
    raise MailvetError("the lab found no port that is free on all its addresses. Stop other labs and try again.")


def _listen(family: int, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _unbound(address: str, error: OSError) -> str:
    if error.errno == errno.EMFILE:
        return "the lab needs one open file per mail server. Raise the limit (ulimit -n) and try again."
    return (
        f"the lab cannot listen on {address}: {error.strerror}. It gives every mail server an address of its "
        "own in "
        "127.0.0.0/8, which works on Linux; elsewhere add those addresses to the loopback interface first."
    )
