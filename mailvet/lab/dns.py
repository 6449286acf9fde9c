"""The lab's name servers: a recursive resolver's responses over UDP and TCP, one cached in wire form per name and type.

The responses follow RFC 1035, negative ones carry a SOA (RFC 2308), and EDNS is accepted (RFC 6891). The
question is echoed letter by letter, since resolvers vary its case to recognise forged ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections import Counter
from functools import lru_cache
from typing import Any

import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from mailvet.lab.faulty_resolver import FaultyResolver
from mailvet.lab.world import CONTROL_SERVER, HELLO_NAME, World

__all__ = ["NameServer", "Zone"]

TTL = 300
_OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
"""An empty OPT record that offers 1232 octets."""
_BAD_VERSION = b"\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"
"""An OPT record with the upper bits of RCODE 16, BADVERS (RFC 6891 section 6.1.3)."""
_MAX_ENTRIES = 200_000
_DATAGRAMS_A_TURN = 64
"""Datagrams that get a response before the mail servers get their turn again."""

_RESPONSE, _TRUNCATED = 0x80, 0x02
_FORMAT_ERROR = b"\x80\x01" + bytes(8)


class _Response:
    """What a response says, its records already in wire form: (owner, type, TTL, RDATA)."""

    def __init__(self) -> None:
        self.flags = dns.flags.QR | dns.flags.RA
        self.rcode = dns.rcode.NOERROR
        self.records: list[tuple[str, str, int, bytes]] = []
        self.authority: list[tuple[str, str, int, bytes]] = []


class _Entry:
    """The response to one question: everything after the question, ready to send."""

    __slots__ = (
        "body",
        "counts",
        "counts_opt",
        "dropped",
        "flags",
        "key",
        "opt",
        "over_tcp",
        "times",
        "volatile",
        "without_tcp",
    )

    def __init__(self, key: tuple[str, str], response: _Response) -> None:
        self.key = key
        self.flags = struct.pack("!H", response.flags | response.rcode)
        counts = (1, len(response.records), len(response.authority))
        self.counts = struct.pack("!HHHH", *counts, 0)
        self.counts_opt = struct.pack("!HHHH", *counts, 1)
        self.body = b"".join(
            (_HERE if owner == key[0] else _name(owner))
            + struct.pack("!HHIH", _type_number(type), 1, ttl, len(rdata))
            + rdata
            for owner, type, ttl, rdata in (*response.records, *response.authority)
        )
        self.opt = _OPT
        self.dropped = False
        self.over_tcp = False
        self.without_tcp = False
        self.volatile = False
        """Made anew for each question."""
        self.times = 0


_HERE = b"\xc0\x0c"
"""A pointer to the name in the question (RFC 1035 section 4.1.4): its letters come back everywhere."""


@lru_cache(maxsize=256)
def _type_number(type: str) -> int:
    return int(dns.rdatatype.from_text(type))


def _name(name: str) -> bytes:
    """A name without its final dot in wire form."""
    labels = [label.encode("ascii") for label in name.split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"


def _rdata(type: str, value: str) -> bytes:
    # The types asked for by the thousand are written here; dnspython knows the rest, at ten times the cost.
    if type == "A":
        return socket.inet_aton(value)
    if type == "MX":
        preference, target = value.split()
        return struct.pack("!H", int(preference)) + _name(target)
    if type in ("CNAME", "NS", "PTR"):
        return _name(value)
    return dns.rdata.from_text("IN", type, value).to_wire() or b""


_SOA = (
    _name("ns.mailvet-lab.test")
    + _name("hostmaster.mailvet-lab.test")
    + struct.pack("!IIIII", 2026010101, 7200, 3600, 1_209_600, TTL)
)


def _resolver(world: World, given: FaultyResolver | None) -> FaultyResolver | None:
    if given is None and world.rewrites_nxdomain:
        return FaultyResolver("invents", address=world.rewrites_nxdomain)
    return given


class Zone:
    """Everything the lab's DNS knows: `respond` turns the wire form of a query into that of its response."""

    def __init__(self, world: World, resolver: FaultyResolver | None = None) -> None:
        self._world = world
        self._resolver = _resolver(world, resolver)
        self._entries: dict[bytes, _Entry] = {}
        self._counted: Counter[tuple[str, str]] = Counter()
        self._records: dict[str, dict[str, list[str]]] = {}
        self._fill()
        self._inner: set[str] = set()
        for name in self._records:
            while "." in name:
                name = name.partition(".")[2]
                self._inner.add(name)

    @property
    def queries(self) -> Counter[tuple[str, str]]:
        """How often each (name, type) was asked since the start."""
        total = Counter(self._counted)
        for entry in self._entries.values():
            if entry.times:
                total[entry.key] += entry.times
        return total

    def forget_counts(self) -> None:
        """Start counting queries anew."""
        self._counted.clear()
        for entry in self._entries.values():
            entry.times = 0

    def resolve_by(self, resolver: FaultyResolver | None) -> None:
        """Respond as another resolver does from now on; None for a true one."""
        self._resolver = _resolver(self._world, resolver)
        self._forget_entries()

    def _forget_entries(self) -> None:
        for old in self._entries.values():
            self._counted[old.key] += old.times
        self._entries.clear()

    # ---------------------------------------------------------------- content
    def _add(self, name: str, type: str, value: str) -> None:
        values = self._records.setdefault(name, {}).setdefault(type, [])
        if value not in values:
            values.append(value)

    def _fill(self) -> None:
        world = self._world
        for host in world.hosts.values():
            if host.ipv4:
                self._add(host.name, "A", host.address)
                self._add(ipaddress.ip_address(host.address).reverse_pointer, "PTR", f"{host.name}.")
            if host.ipv6:
                self._add(host.name, "AAAA", "::1")
        for domain in world.domains.values():
            if domain.dns == "nxdomain":
                continue
            self._records.setdefault(domain.name, {})
            if domain.cname:
                self._add(domain.name, "CNAME", f"{domain.cname}.")
                continue
            for preference, target in domain.mx:
                self._add(domain.name, "MX", f"{preference} {target.rstrip('.')}.")
        for name, records in world.records.items():
            for type, values in records.items():
                for value in values:
                    self._add(name, type, f"{value.rstrip('.')}." if type == "CNAME" else value)
        target, address = CONTROL_SERVER
        for name in world.controls():
            self._add(name, "MX", f"10 {target}.")
            self._add(target, "A", address)
        sender = HELLO_NAME
        self._add(sender, "A", "127.0.0.1")
        # Bounces of the sender would go to an ordinary server of the world, where it has one.
        takes_mail = [host.name for host in world.hosts.values() if host.profile.name == "postfix" and host.ipv4]
        takes_mail.sort(key=lambda name: not name.endswith(".test"))  # rather than one named after a real operator
        self._add(sender, "MX", f"10 {takes_mail[0] if takes_mail else sender}.")
        self._add(sender, "TXT", '"v=spf1 ip4:127.0.0.0/8 ip6:::1 -all"')
        self._add(ipaddress.ip_address("127.0.0.1").reverse_pointer, "PTR", f"{sender}.")
        self._add(ipaddress.ip_address("::1").reverse_pointer, "PTR", f"{sender}.")

    def _build(self, key: tuple[str, str]) -> _Entry:
        name, type = key
        response = _Response()
        resolver = self._resolver
        behaviour = self._world.behaviour(name)
        if resolver is not None and not resolver.concerns(name):
            resolver = None
        if resolver is not None and resolver.fault != "invents":
            behaviour = resolver.fault
        if behaviour == "servfail":
            response.rcode = dns.rcode.SERVFAIL
        elif behaviour == "refused":
            response.rcode = dns.rcode.REFUSED
        elif behaviour == "lame":
            response.flags = dns.flags.Flag.QR
            response.authority.append((".", "NS", 518_400, _name("a.root.mailvet-lab.test")))
        elif behaviour == "referral":
            response.authority.append((name, "NS", TTL, _name(f"ns1.{name}")))
        elif behaviour == "alias_loop":
            other = name.removeprefix("loop.") if name.startswith("loop.") else f"loop.{name}"
            response.records = [(name, "CNAME", TTL, _name(other)), (other, "CNAME", TTL, _name(name))]
        elif (resolver is not None and resolver.fault == "nxdomain") or (
            behaviour == "mx_nxdomain" and type not in ("A", "AAAA")
        ):
            self._say_nothing_there(response, name)
        elif behaviour != "badvers":
            self._look_up(response, name, type, resolver)
            if behaviour == "nxdomain_with_records":
                response.rcode = dns.rcode.NXDOMAIN
        entry = _Entry(key, response)
        entry.dropped = behaviour == "dropped"
        entry.over_tcp = behaviour in ("truncated", "truncated_for_good")
        entry.without_tcp = behaviour == "truncated_for_good"
        entry.volatile = resolver is not None and resolver.fault == "invents" and resolver.address is None
        if behaviour == "badvers":
            entry.opt = _BAD_VERSION
        return entry

    def _say_nothing_there(self, response: _Response, name: str) -> None:
        response.rcode = dns.rcode.NXDOMAIN
        response.authority.append((self._apex(name), "SOA", TTL, _SOA))

    def _look_up(self, response: _Response, name: str, type: str, resolver: FaultyResolver | None) -> None:
        for _ in range(9):
            records = self._records.get(name)
            missing = records is None and name not in self._inner
            if resolver is not None and (missing or resolver.everything):
                value = resolver.invented("A" if type == "ANY" else type)
                if value is not None:
                    made = "A" if type == "ANY" else type
                    response.records.append((name, made, 60, _rdata(made, value)))
                    return
                break
            if missing:
                response.rcode = dns.rcode.NXDOMAIN
                break
            values = (records or {}).get(type)
            if values:
                response.records += [(name, type, TTL, _rdata(type, value)) for value in values]
                return
            alias = (records or {}).get("CNAME")
            if not alias:
                break
            response.records.append((name, "CNAME", TTL, _rdata("CNAME", alias[0])))
            name = alias[0].rstrip(".")
        else:
            response.rcode = dns.rcode.SERVFAIL
            return
        response.authority.append((self._apex(name), "SOA", TTL, _SOA))

    def _apex(self, name: str) -> str:
        """The zone a name lies in: the nearest domain of the world, else the top-level domain."""
        while "." in name and not (name in self._world.domains and name in self._records):
            name = name.partition(".")[2]
        return name

    # ---------------------------------------------------------------- wire
    def respond(self, query: bytes, *, udp: bool) -> bytes | None:
        """The response to a query in wire form; None when none is sent."""
        end = query.find(b"\x00", 12)
        if len(query) < 12 or query[2] & _RESPONSE:
            return None
        if end < 0 or len(query) < end + 5 or query[4:6] != b"\x00\x01":
            return query[:2] + _FORMAT_ERROR
        if query[2] & 0x78:
            return query[:2] + bytes((_RESPONSE | query[2] & 0x79, 4)) + bytes(8)
        tail = end + 5
        key = query[12:end].lower() + query[end:tail]
        entry = self._entries.get(key)
        if entry is None:
            entry = self._enter(key, query, tail)
            if entry is None:
                return query[:2] + _FORMAT_ERROR
        elif entry.volatile:
            times = entry.times
            entry = self._entries[key] = self._build(entry.key)
            entry.times = times
        entry.times += 1
        if entry.dropped or (entry.without_tcp and not udp):
            return None
        edns = query[10:12] != b"\x00\x00" and query[tail : tail + 3] == b"\x00\x00\x29"
        first, second = entry.flags
        head = query[:2] + bytes((first | query[2] & 1, second))
        if udp:
            limit = max(512, int.from_bytes(query[tail + 3 : tail + 5], "big")) if edns else 512
            if entry.over_tcp or tail + len(entry.body) + 11 * edns > limit:
                counts = b"\x00\x01\x00\x00\x00\x00" + (b"\x00\x01" if edns else b"\x00\x00")
                cut = query[:2] + bytes((first | _TRUNCATED | query[2] & 1, second)) + counts + query[12:tail]
                return cut + _OPT if edns else cut
        if edns or entry.opt is not _OPT:
            return head + entry.counts_opt + query[12:tail] + entry.body + entry.opt
        return head + entry.counts + query[12:tail] + entry.body

    def _enter(self, key: bytes, query: bytes, tail: int) -> _Entry | None:
        try:
            qname, used = dns.name.from_wire(query, 12)
        except Exception:  # a malformed name, whatever dnspython calls it
            return None
        if 12 + used + 4 != tail:
            return None
        rdtype, rdclass = struct.unpack("!HH", query[tail - 4 : tail])
        name = qname.to_text(omit_final_dot=True).lower()
        if rdclass != dns.rdataclass.IN:
            return None
        if len(self._entries) >= _MAX_ENTRIES:
            self._forget_entries()
        type = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
        entry = self._entries[key] = self._build((name, type))
        return entry


class NameServer:
    """Serves a zone on one UDP and one TCP socket.

    Runs inside an event loop; `latency` in seconds per response.
    """

    def __init__(self, zone: Zone, udp: socket.socket, tcp: socket.socket, latency: float = 0.0) -> None:
        self.zone = zone
        self.latency = latency
        self._udp = udp
        self._tcp = tcp
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to respond."""
        self._loop = asyncio.get_running_loop()
        self._udp.setblocking(False)
        self._loop.add_reader(self._udp.fileno(), self._read)
        self._server = await self._loop.create_server(lambda: _Stream(self), sock=self._tcp, backlog=128)

    async def stop(self) -> None:
        """Close both sockets."""
        self._loop.remove_reader(self._udp.fileno())
        self._udp.close()
        if self._server is not None:
            self._server.close()

    def _read(self) -> None:
        receive, respond = self._udp.recvfrom, self.zone.respond
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                query, client = receive(4096)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            response = respond(query, udp=True)
            if response is None:
                continue
            if self.latency:
                self._loop.call_later(self.latency, self._send, response, client)
            else:
                self._send(response, client)

    def _send(self, response: bytes, client: Any) -> None:
        # A full socket buffer loses the response, as on a real network; the client asks again.
        with contextlib.suppress(OSError):
            self._udp.sendto(response, client)


class _Stream(asyncio.Protocol):
    """DNS over TCP: two octets of length before each message (RFC 1035 section 4.2.2)."""

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            length = int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < 2 + length:
                return
            query, self._buffer = self._buffer[2 : 2 + length], self._buffer[2 + length :]
            response = self._server.zone.respond(query, udp=False)
            if response is not None:
                framed = len(response).to_bytes(2, "big") + response
                asyncio.get_running_loop().call_later(self._server.latency, self._write, framed)

    def _write(self, framed: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(framed)
