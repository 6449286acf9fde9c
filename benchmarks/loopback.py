"""
Keeps a process on loopback, whatever the libraries in it would like to do.

`install` replaces name resolution by a table, sends connections to the mail port (25) to the lab's own, makes dnspython
ask the lab's name server, and refuses every other address outside 127.0.0.0/8 and ::1 with `NotLoopbackError`, an
OSError like that of an unreachable network, so that programs handle it as such. Refusals are counted.

c-ares opens its sockets in C, beyond these hooks: a resolver of aiodns may only be made for name servers on loopback.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["NotLoopbackError", "install", "refused"]

_MAIL_PORT = 25

refused: Counter[str] = Counter()
"""Addresses outside loopback that something in this process tried to reach, and how often."""

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex
_sendto, _sendmsg = socket.socket.sendto, socket.socket.sendmsg


class NotLoopbackError(OSError):
    """A destination that is not on loopback."""

    def __init__(self, host: object) -> None:
        super().__init__(errno.ENETUNREACH, "only loopback may be reached from a benchmark")
        refused[str(host)] += 1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:  # a name: the C library would resolve it
        return False


def install(
    names: Mapping[str, Iterable[str]], nameserver: tuple[str, int] | None = None, smtp_port: int | None = None
) -> None:
    """
    Close this process off; there is no way back.

    Args:
        names: host name -> addresses; every other name does not exist.
        nameserver: address and port that dnspython takes for the system's resolver.
        smtp_port: where connections to port 25 go instead.
    """
    table = {name.rstrip(".").lower(): tuple(addresses) for name, addresses in names.items()}

    def checked(address: Any) -> Any:
        if not isinstance(address, tuple):  # a Unix socket
            return address
        if not _is_loopback(str(address[0])):
            raise NotLoopbackError(address[0])
        if smtp_port is not None and address[1] == _MAIL_PORT:
            return (address[0], smtp_port, *address[2:])
        return address

    def connect(self: socket.socket, address: Any) -> None:
        _connect(self, checked(address))

    def connect_ex(self: socket.socket, address: Any) -> int:
        return _connect_ex(self, checked(address))

    def sendto(self: socket.socket, data: Any, *rest: Any) -> int:
        given: tuple[Any, ...] = (data, *rest[:-1], checked(rest[-1]))
        return int(_sendto(self, *given))

    def sendmsg(self: socket.socket, buffers: Any, *rest: Any) -> int:
        if len(rest) == 3 and rest[2] is not None:
            rest = (*rest[:2], checked(rest[2]))
        return _sendmsg(self, buffers, *rest)

    replacements: dict[str, Any] = {
        "connect": connect,
        "connect_ex": connect_ex,
        "sendto": sendto,
        "sendmsg": sendmsg,
    }
    for name, replacement in replacements.items():
        setattr(socket.socket, name, replacement)
    socket.getaddrinfo = _getaddrinfo_from(table)
    socket.getfqdn = lambda name="": name or "localhost"
    _direct_dnspython(nameserver)
    _guard_c_ares()


def _getaddrinfo_from(table: Mapping[str, tuple[str, ...]]) -> Callable[..., list[tuple[Any, ...]]]:
    """`socket.getaddrinfo` of a world in which only these names exist."""

    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        text = host.decode() if isinstance(host, bytes) else host or "127.0.0.1"
        try:
            ipaddress.ip_address(text)
            addresses: tuple[str, ...] = (text,)
        except ValueError:
            addresses = table.get(text.rstrip(".").lower(), ())
        found = []
        for address in addresses:
            six = ":" in address
            kind = socket.AF_INET6 if six else socket.AF_INET
            if family in (0, kind):
                where = (address, int(port or 0), 0, 0) if six else (address, int(port or 0))
                found.append((kind, socket.SocketKind(type or socket.SOCK_STREAM), proto or 6, "", where))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    return getaddrinfo


def _direct_dnspython(nameserver: tuple[str, int] | None) -> None:
    import dns.resolver

    def read(self: Any, *_: Any) -> None:
        if nameserver is None:
            raise dns.resolver.NoResolverConfiguration
        self.nameservers = [nameserver[0]]
        self.port = nameserver[1]

    dns.resolver.BaseResolver.read_resolv_conf = read  # type: ignore[assignment, method-assign]


def _guard_c_ares() -> None:
    import aiodns

    original = aiodns.DNSResolver.__init__

    def guarded(self: Any, nameservers: Any = None, *rest: Any, **options: Any) -> None:
        for server in nameservers or ["the system's resolver"]:
            if not _is_loopback(str(server).rpartition(":")[0] or str(server)):
                raise NotLoopbackError(server)
        original(self, nameservers, *rest, **options)

    aiodns.DNSResolver.__init__ = guarded  # type: ignore[method-assign]
