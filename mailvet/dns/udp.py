"""
The plain case of a DNS question: one datagram there, one back, and the answer says what was asked for.

That is nearly every question, and a library that builds an object for every record of every section spends five times
the CPU on it. Whatever is not plain (truncated, refused, failed, unanswered, odd) is left to c-ares, which knows about
retries, other servers and TCP: see `mailvet.dns.resolver`.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["LONGEST_TTL", "TYPES", "Answer", "DatagramSocket", "Outcome", "question", "read"]


class Outcome(Enum):
    """How a question ended."""

    found = "found"
    no_data = "no data"
    no_name = "no such name"
    failed = "server failure"
    timed_out = "no answer in time"


class Answer(NamedTuple):
    """What came back for one name and type."""

    outcome: Outcome
    records: Sequence[tuple[int, str]] = ()
    """MX: (preference, host name without the final dot; "" is the root). A, AAAA: (0, address)."""
    ttl: float = 0.0
    """Seconds, the least of the records' own."""


TYPES: Final = {"MX": 15, "A": 1, "AAAA": 28}
LONGEST_TTL: Final = 86400.0
_FAMILIES: Final = {TYPES["A"]: socket.AF_INET, TYPES["AAAA"]: socket.AF_INET6}
_IN: Final = 1
_NAME: Final = re.compile(rb"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}")
_LABEL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_LONGEST_NAME: Final = 253
_RECORD: Final = struct.Struct(">HHIH")  # type, class, TTL, length of the data; RFC 1035 section 4.1.3
_RECURSION_DESIRED: Final = b"\x01\x00"
_COUNTS: Final = b"\x00\x01\x00\x00\x00\x00\x00\x01"  # one question, one additional record: OPT
# Root, type OPT, answers of 1232 octets fit (RFC 6891; the size that is never cut into fragments, dnsflagday.net/2020).
_EDNS: Final = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_HEADER: Final = 12
_NO_NAME: Final = Answer(Outcome.no_name)
_NO_DATA: Final = Answer(Outcome.no_data)
_RECEIVE_BUFFER: Final = 1 << 20  # octets; a burst of answers waits here while we are busy
_LARGEST: Final = 65535
_MOST_WAITING: Final = 32768  # half of the ids


def question(name: str, kind: str) -> bytes | None:
    """The question section for a name (RFC 1035 section 4.1.2); None if the name is not a plain host name."""
    try:
        text = name.encode("ascii")
    except UnicodeEncodeError:
        return None
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        return None
    labels = b"".join([b"%c%b" % (len(label), label) for label in text.split(b".")])
    return labels + b"\x00\x00%c\x00\x01" % TYPES[kind]


def read(message: bytes, asked: bytes) -> Answer | None:
    """
    The answer in a message, which repeats the question `asked`; None if there is more to it than a plain answer.

    Names and NODATA are judged as RFC 2308 has them: no answer record of the type is no data, whatever else is there.
    """
    if message[2] & 0xFA != 0x80 or message[4:6] != b"\x00\x01":  # a response, standard query, not truncated
        return None
    code = message[3] & 0x0F
    if code == 3:
        return _NO_NAME
    if code != 0:
        return None
    wanted = asked[-3]
    records: list[tuple[int, str]] = []
    least = LONGEST_TTL
    try:
        at = _HEADER + len(asked)
        for _ in range(message[6] << 8 | message[7]):
            while 0 < message[at] < 0xC0:
                at += message[at] + 1
            at += 2 if message[at] else 1  # a pointer ends a name, and so does the root
            kind, network, ttl, length = _RECORD.unpack_from(message, at)
            at += 10
            if ttl < least:
                least = float(ttl)
            if kind == wanted and network == _IN:
                if kind == TYPES["MX"]:
                    records.append((message[at] << 8 | message[at + 1], _name(message, at + 2)))
                else:
                    records.append((0, socket.inet_ntop(_FAMILIES[kind], message[at : at + length])))
            at += length
        if at > len(message):
            return None
    except (IndexError, ValueError, struct.error):
        return None
    return Answer(Outcome.found, records, least) if records else _NO_DATA


def _name(message: bytes, at: int) -> str:
    """
    The name that starts there, pointers followed (RFC 1035 section 4.1.4).

    Raises:
        ValueError: the name is malformed, or has characters that need escapes.
    """
    labels = []
    end = at
    while length := message[at]:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | message[at + 1]
            if target >= end:  # names are pointed to backwards only: no endless chase
                raise ValueError
            at = end = target
            continue
        label = message[at + 1 : at + 1 + length]
        if length > 63 or not _LABEL.fullmatch(label):
            raise ValueError
        labels.append(label)
        at += length + 1
    return b".".join(labels).decode("ascii")


class DatagramSocket:
    """
    One UDP socket to one name server, bound to the running event loop.

    Args:
        server: address and port.
        timeout: seconds that an answer may take.

    Raises:
        OSError: there is no way to the server.
        NotImplementedError: the event loop cannot watch a socket (Windows).
    """

    def __init__(self, server: tuple[str, int], timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        # Oldest first. Ids are at random (RFC 5452), and so is the port, which the system chooses.
        self._waiting: dict[bytes, tuple[bytes, asyncio.Future[Answer | None], float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.silent = 0
        """Questions in a row that nobody answered."""
        self._socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.connect(server)  # the kernel drops what comes from elsewhere
            self._loop.add_reader(self._socket, self._receive)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, name: str, kind: str) -> asyncio.Future[Answer | None] | None:
        """
        Look up one name; `kind` is MX, A or AAAA. None, now or as the result: this is not a plain case; an `Answer`
        that timed out: nobody answered in time.
        """
        asked = question(name, kind)
        if asked is None or len(self._waiting) >= _MOST_WAITING:
            return None
        number = os.urandom(2)
        while number in self._waiting:
            number = os.urandom(2)
        try:
            self._socket.send(number + _RECURSION_DESIRED + _COUNTS + asked + _EDNS)
        except OSError:  # the network is away, or the send buffer is full
            return None
        future: asyncio.Future[Answer | None] = self._loop.create_future()
        until = self._loop.time() + self._timeout
        self._waiting[number] = (asked, future, until)
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._expire)
        return future

    def _receive(self) -> None:
        while True:
            try:
                message = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:  # such as a port that is closed
                self._end_all(None)
                return
            waiting = self._waiting.get(message[:2])
            if waiting is None:  # late, or not for us
                continue
            asked, future, _ = waiting
            repeated = message[_HEADER : _HEADER + len(asked)]
            if repeated != asked and repeated.lower() != asked.lower():
                continue
            del self._waiting[message[:2]]
            self.silent = 0
            if not future.done():
                future.set_result(read(message, asked))

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
        for number in late:
            _, future, _ = self._waiting.pop(number)
            self.silent += 1
            if not future.done():
                future.set_result(Answer(Outcome.timed_out))

    def close(self, answer: Answer | None) -> None:
        """Free the socket; what waits ends with this answer."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._end_all(answer)

    def _end_all(self, answer: Answer | None) -> None:
        for _, future, _ in self._waiting.values():
            if not future.done():
                future.set_result(answer)
        self._waiting.clear()
