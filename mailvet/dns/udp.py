"""The usual case of a DNS question: one datagram there, one back, and the response says what was asked for.

That is nearly every question, and a library that builds an object for every record of every section costs more: this
module with `Resolver` on top of it takes 0.23 of the CPU of aiodns 4.0 over c-ares (20,000 MX questions, 256 under way,
NSD on loopback, median of five pairs, which range from 0.19 to 0.28). What has no usual shape is handed on as it came;
what cannot be asked or trusted over UDP is left to TCP: see `mailvet.dns.name_server`.

A stranger who cannot read our datagrams has to guess the source port, the id and the letter case of the question (RFC
5452 section 9.2; draft-vixie-dnsext-dns0x20). There are several ports, all random and each used for a while only; and
a port that receives a few wrong guesses is closed before one of them can be right.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from enum import Enum
from typing import Final, Union

from mailvet.dns.responses import Outcome, Response, question, read_plain

__all__ = ["NoUse", "Result", "UdpPorts"]


class NoUse(Enum):
    """Why a question has no response over UDP."""

    unreachable = "no name server there"
    distrusted = "responses that did not fit"


Result = Union[Response, bytes, NoUse]  # noqa: UP007  (evaluated on Python 3.10 as well)
"""A response of usual shape or a time-out; a message of other shape, to be read in full; or neither."""

_PORTS: Final = 8
"""Sockets side by side; each further one costs the event loop another call for the same number of messages."""
_QUESTIONS_PER_PORT: Final = 2000
_WRONG_GUESSES: Final = 16
"""
Messages that fit no question, after which a port is closed. An attacker who knows it is right with one guess in
65,536; a network that doubles datagrams or delays them comes near it in no time that a port lives.
"""
_LEAST_PORT: Final = 1024
_PORT_TRIES: Final = 8
_RECURSION_DESIRED: Final = b"\x01\x00"
_COUNTS: Final = b"\x00\x01\x00\x00\x00\x00\x00\x01"  # one question, one additional record: OPT
_COUNTS_BARE: Final = b"\x00\x01\x00\x00\x00\x00\x00\x00"
# Root, type OPT, responses of 1232 octets fit (RFC 6891; the size that is never cut into fragments, dnsflagday.net).
_EDNS: Final = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_HEADER: Final = 12
_RECEIVE_BUFFER: Final = 1 << 20  # octets; a burst of responses waits here while we are busy
_LARGEST: Final = 65535
_LATE_IDS: Final = 4096
_TIMED_OUT: Final = Response(Outcome.timed_out)
_CASE_BIT: Final = bytes(0x20 if chr(octet).isalpha() and octet < 128 else 0 for octet in range(256))
_RANDOM_OCTETS: Final = 4096
_number: Final = int.from_bytes


class UdpPorts:
    """The sockets to one name server, bound to the running event loop.

    Args:
        server: address and port.
        timeout: seconds that a response may take.

    Raises:
        OSError: there is no way to the server.
        NotImplementedError: the event loop cannot watch a socket (Windows).
    """

    def __init__(self, server: tuple[str, int], timeout: float) -> None:
        self._server = server
        self.timeout = timeout
        self.silent = 0
        """Questions in a row without a response."""
        self.echoes_case: bool | None = None
        """Whether the server repeats the question letter by letter; None before its first response."""
        self.forged = 0
        """Ports that were closed because of messages that fitted no question."""
        self._random = b""
        self._random_at = _RANDOM_OCTETS
        self._ports: list[_Port | None] = [None] * _PORTS  # opened when first used
        self._left: set[_Port] = set()  # closed to new questions, still waiting for responses
        self._ports[0] = _Port(self, server)

    def ask(self, name: str, kind: str, *, mixed_case: bool = True, edns: bool = True) -> asyncio.Future[Result] | None:
        """Look up one name. None: this is no plain host name, or no datagram can be sent.

        Args:
            name: a domain or host name in ASCII.
            kind: MX, A, AAAA, TXT or PTR.
            mixed_case: vary the case of letters, where the server repeats them as they came.
            edns: offer EDNS (RFC 6891).
        """
        asked = question(name, kind)
        if asked is None:
            return None
        size = len(asked)
        chance = self.random(size + 3)
        if mixed_case and self.echoes_case is not False:
            letters = _number(asked.translate(_CASE_BIT), "big") & _number(chance[3:], "big")
            asked = (_number(asked, "big") ^ letters).to_bytes(size, "big")
        place = chance[2] % _PORTS
        port = self._ports[place]
        if port is None or not port.has_room:
            port = self._renew(place)
        return port.ask(asked, chance[:2], edns) if port is not None else None

    def random(self, count: int) -> bytes:
        """Octets that cannot be guessed; a system call for each question would cost more than all else here."""
        at = self._random_at
        self._random_at = end = at + count
        if end > _RANDOM_OCTETS:
            self._random = os.urandom(_RANDOM_OCTETS)
            at, self._random_at = 0, count
        return self._random[at : at + count]

    def _renew(self, place: int) -> _Port | None:
        old = self._ports[place]
        self._ports[place] = None
        if old is not None:
            self._leave(old)
        try:
            self._ports[place] = _Port(self, self._server)
        except OSError:  # no more file descriptors, no way to the server: another port will do
            return next((port for port in self._ports if port is not None and port.has_room), None)
        return self._ports[place]

    def _leave(self, port: _Port) -> None:
        if port.is_idle:
            port.close(NoUse.unreachable)
        else:
            self._left.add(port)

    def drained(self, port: _Port) -> None:
        """Close a port that has been left, now that nothing waits there."""
        if port in self._left:
            self._left.discard(port)
            port.close(NoUse.unreachable)

    def distrust(self, port: _Port) -> None:
        """Close a port at which guesses arrive; what waits there is asked over TCP."""
        self.forged += 1
        self._left.discard(port)
        self._ports = [None if each is port else each for each in self._ports]
        port.close(NoUse.distrusted)

    def close(self, result: Response) -> None:
        """Free the sockets; what waits ends with this response."""
        for port in (*self._ports, *self._left):
            if port is not None:
                port.close(result)
        self._ports = [None] * _PORTS
        self._left.clear()


class _Port:
    """One UDP socket with a random source port."""

    def __init__(self, owner: UdpPorts, server: tuple[str, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        # By id, oldest first: the question as sent, who waits, until when.
        self._waiting: dict[bytes, tuple[bytes, asyncio.Future[Result], float]] = {}
        self._late: dict[bytes, bytes] = {}  # by id, questions that have timed out: a late response is no guess
        self._timer: asyncio.TimerHandle | None = None
        self._wrong = 0
        self._left = _QUESTIONS_PER_PORT
        self.has_room = True
        """Whether one more question may be asked here."""
        self._closed = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._bind()
            self._socket.connect(server)  # the kernel drops what comes from elsewhere
            self._loop.add_reader(self._socket, self._receive)
        except BaseException:
            self._socket.close()
            raise

    def _bind(self) -> None:
        """To a random port; the system's own choice is the last resort."""
        for _ in range(_PORT_TRIES):
            number = _LEAST_PORT + int.from_bytes(self._owner.random(4), "big") % (65536 - _LEAST_PORT)
            try:
                self._socket.bind(("", number))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits here."""
        return not self._waiting

    def ask(self, asked: bytes, number: bytes, edns: bool) -> asyncio.Future[Result] | None:
        """Send a question under this id, or another if it is in use."""
        while number in self._waiting:
            number = self._owner.random(2)
        rest = asked + _EDNS if edns else asked
        try:
            self._socket.send(number + _RECURSION_DESIRED + (_COUNTS if edns else _COUNTS_BARE) + rest)
        except OSError:  # the network is away, or the send buffer is full
            return None
        self._left -= 1
        if not self._left:
            self.has_room = False
        future: asyncio.Future[Result] = self._loop.create_future()
        until = self._loop.time() + self._owner.timeout
        self._waiting[number] = (asked, future, until)
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._expire)
        return future

    def _receive(self) -> None:
        owner, waiting, receive = self._owner, self._waiting, self._socket.recv
        while not self._closed:
            try:
                message = receive(_LARGEST)
            except BlockingIOError:
                break
            except OSError:  # such as a port that is closed
                self._end_all(NoUse.unreachable)
                break
            number = message[:2]
            known = waiting.get(number)
            if known is None:
                self._count_wrong(message)
                continue
            asked, future, _ = known
            repeated = message[_HEADER : _HEADER + len(asked)]
            if repeated == asked:
                if owner.echoes_case is None and asked != asked.lower():
                    owner.echoes_case = True
            elif repeated.lower() != asked.lower():
                self._count_wrong(message)
                continue
            elif owner.echoes_case is None:
                owner.echoes_case = False
            del waiting[number]
            owner.silent = 0
            if not future.done():
                if repeated != asked and owner.echoes_case:
                    future.set_result(NoUse.distrusted)
                else:
                    future.set_result(read_plain(message, asked) or message)
        if not waiting:
            owner.drained(self)

    def _count_wrong(self, message: bytes) -> None:
        late = self._late.get(message[:2])
        if late is not None and message[_HEADER : _HEADER + len(late)].lower() == late.lower():
            del self._late[message[:2]]
            return
        self._wrong += 1
        if self._wrong >= _WRONG_GUESSES:
            self._owner.distrust(self)

    def _expire(self) -> None:
        """End what waited too long, and come back when the next is due; one timer serves all."""
        self._timer = None
        now = self._loop.time()
        late = []
        for number, (_, _, until) in self._waiting.items():
            if until > now:
                self._timer = self._loop.call_at(until, self._expire)
                break
            late.append(number)
        if len(self._late) > _LATE_IDS:
            self._late.clear()
        for number in late:
            asked, future, _ = self._waiting.pop(number)
            self._late[number] = asked
            self._owner.silent += 1
            if not future.done():
                future.set_result(_TIMED_OUT)
        if not self._waiting:
            self._owner.drained(self)

    def close(self, result: Result) -> None:
        """Free the socket; what waits ends so."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._socket)
        self._socket.close()
        self._end_all(result)

    def _end_all(self, result: Result) -> None:
        for _, future, _ in self._waiting.values():
            if not future.done():
                future.set_result(result)
        self._waiting.clear()
