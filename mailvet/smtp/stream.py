"""Commands out, replies in: the bytes of a conversation, once a server has said what it is called and what it can.

Asking recipients is a narrow business (MAIL, RCPT, RSET, QUIT) repeated a thousand times a second, in groups where the
server allows it (RFC 2920). So an `SmtpStream` takes a connection over from the library that opened it, keeps every
reply in the order in which it came, and wakes the conversation once for all that came together.

Replies follow the grammar of RFC 5321 section 4.2: three digits, then a space, a hyphen or the end of the line; all
lines of one reply carry the same code. Anything else is garbage and ends the conversation.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["RawReply", "SmtpStream", "StreamFailure"]

_CHUNK = 8_192
_LONGEST_LINE = 8_192  # octets; RFC 5321 section 4.5.3.1.5 asks for 512
_LONGEST_REPLY = 65_536
_MOST_REPLIES = 256  # unread ones; a group is smaller, so no server has reason to send more
_MOST_UNREAD = 4 * _LONGEST_REPLY  # octets of them
_FEW = 4  # whose octets are not counted: none is longer than the longest reply
_CLOSES_WITHIN = 1.0  # seconds for what is still to be written
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_SHORT = 0.001  # seconds; a clock may tick that much too early


class RawReply(NamedTuple):
    """One complete reply as it came."""

    code: int
    text: str
    """Everything after the basic code, lines joined by line feeds; what is no UTF-8 is read as Latin-1."""
    at: float
    """When it came: `time.monotonic()`."""


class StreamFailure(Exception):
    """No further reply: time was up, the connection ended, or what came is no SMTP."""

    def __init__(self, kind: Literal["timeout", "closed", "garbage"], detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class SmtpStream(asyncio.BufferedProtocol):
    """One connection.

    Commands are gathered by `send` and leave together with the next wait for a reply.

    Args:
        transport: the connection.
        early: octets that were read from it already and belong to no reply yet.

    Attributes:
        encrypted: TLS protects it.
        garbage: what the server sent that is no SMTP; None when there was nothing of the kind.
    """

    def __init__(self, transport: asyncio.Transport, early: bytes = b"") -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._incoming = bytearray(_CHUNK)
        self._view = memoryview(self._incoming)
        self._part = bytearray()
        """Of the line that has not ended yet."""
        self._lines: list[bytes] = []
        self._code = b""
        self._length = 0
        self._replies: list[RawReply] = []
        self._outgoing: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._step: Callable[[], float] | None = None
        """Takes what comes while `run` waits."""
        self._run_until = 0.0
        self._lost = False
        self.encrypted = transport.get_extra_info("ssl_object") is not None
        self.garbage: str | None = None
        transport.set_protocol(self)
        if early:
            self._read(early)

    @property
    def pending(self) -> bool:
        """Whether replies have come that were not taken yet."""
        return bool(self._replies)

    @property
    def open(self) -> bool:
        """Neither side has ended the connection."""
        return not self._lost and not self._transport.is_closing()

    def send(self, command: bytes) -> None:
        """Add a command, without its line end, to those that go out next.

        Raises:
            ValueError: it holds a control character, and so would be two commands.
        """
        if _CONTROLS.search(command):
            raise ValueError("an SMTP command may not hold a control character")
        self._outgoing.append(command)

    def flush(self) -> None:
        """Write the commands that were added."""
        if self._outgoing:
            self._outgoing.append(b"")
            packet = b"\r\n".join(self._outgoing)
            self._outgoing.clear()
            if self.open:
                self._transport.write(packet)

    def received(self, most: int) -> list[RawReply]:
        """Take the replies that have come, at most so many."""
        replies = self._replies
        self._replies = replies[most:] if len(replies) > most else []
        del replies[most:]
        return replies

    async def run(self, step: Callable[[], float], timeout: float) -> None:
        """Let `step` take replies (`received`) and send what follows as soon as they come.

        The conversation's task is not woken in between: that would happen thousands of times a second.

        Args:
            step: gives the seconds within which the next reply is to be complete; 0: that was all. What it raises
                ends the conversation.
            timeout: seconds within which the first reply is to be complete.

        Raises:
            StreamFailure: none came in time, or none will.
        """
        while self._replies and timeout > 0:
            timeout = step()
        if timeout <= 0:
            return
        self._step = step
        try:
            self.flush()
            self._run_until = time.monotonic() + timeout
            while self._step is not None:
                await self._something(self._run_until)
        finally:
            self._step = None

    async def next_reply(self, timeout: float) -> RawReply:
        """The next reply; commands that were added go out before.

        Raises:
            StreamFailure: it was not complete within `timeout` seconds, or will never be.
        """
        if not self._replies:
            self.flush()
            until = time.monotonic() + timeout
            while not self._replies:
                await self._something(until)
        return self._replies.pop(0)

    async def quiet(self, seconds: float) -> bool:
        """Whether nothing at all arrives for so long; the end of the connection is nothing."""
        self.flush()
        until = time.monotonic() + seconds
        while self.open and not self._anything:
            try:
                await self._sleep(until)
            except StreamFailure:
                break
        return not self._anything

    @property
    def _anything(self) -> bool:
        return bool(self._replies or self._part or self._lines or self.garbage is not None)

    async def ended(self, timeout: float) -> None:
        """Until the server has closed the connection, or says something more.

        Raises:
            StreamFailure: it did neither within `timeout` seconds, or it sends garbage.
        """
        until = time.monotonic() + timeout
        while self.open and not self._replies:
            if self.garbage is not None:
                raise StreamFailure("garbage", self.garbage)
            await self._sleep(until)

    async def _something(self, until: float) -> None:
        """Wait for a reply, or for the end of what `run` does by itself meanwhile."""
        if self.garbage is not None:
            raise StreamFailure("garbage", self.garbage)
        if not self.open:
            raise StreamFailure("closed", "the server hung up")
        await self._sleep(until)

    async def _sleep(self, until: float) -> None:
        self._waiter = self._loop.create_future()
        self._arm(time.monotonic(), until)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _arm(self, now: float, until: float) -> None:
        # One timer for many replies: it looks at the deadline when it rings, and sets itself anew.
        self._deadline = until
        if self._timer is None or self._rings_at > until:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at = until
            self._timer = self._loop.call_later(max(until - now, 0.0), self._ring)

    def interrupt(self) -> bool:
        """Let the time for the reply that is waited for be up; false when none is."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        waiter.set_exception(StreamFailure("timeout", "others wait"))
        return True

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        now = time.monotonic()
        if now + _SHORT < self._deadline:
            self._arm(now, self._deadline)
        else:
            self._waiter.set_exception(StreamFailure("timeout", "no reply in time"))

    def close(self) -> None:
        """Close once everything added has been written.

        A server that does not read, or does not end TLS, is cut off a second later.
        """
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.close()
        if not self._lost and (self.encrypted or self._transport.get_write_buffer_size()):
            self._timer = self._loop.call_later(_CLOSES_WITHIN, self._transport.abort)

    # ---------------------------------------------------------------- called by the event loop

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes; a buffer of our own saves one of 256 KiB for every reply of thirty octets."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Octets came."""
        if self.garbage is not None:
            return
        self._read(self._view[:nbytes])
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._step is not None and self._replies:
            try:
                timeout = self._step()
            except Exception as error:
                self._step = None
                waiter.set_exception(error)
                return
            if timeout > 0 and self.garbage is None:
                self.flush()
                now = time.monotonic()
                self._run_until = now + timeout
                self._arm(now, self._run_until)
                return
            if timeout <= 0:
                self._step = None
        elif self._step is not None and self.garbage is None:
            return  # a part of a reply; its time runs on
        self._wake()

    def _read(self, octets: bytes | memoryview) -> None:
        now = time.monotonic()
        octets = bytes(octets)
        if b"\n" not in octets:  # a long line may come in many pieces
            self._part += octets
            if len(self._part) > _LONGEST_LINE:
                self._spoil("a line without end")
            return
        lines = (bytes(self._part) + octets if self._part else octets).split(b"\n")
        self._part = bytearray(lines.pop())
        for line in lines:
            code = line[:3]
            if not self._lines and len(line) <= _LONGEST_LINE and line[3:4] == b" " and code.isdigit():
                text = line[4:].strip()
                self._replies.append(RawReply(int(code), text.decode() if text.isascii() else _readable(text), now))
            elif not self._take(line, now):
                break
        unread = self._replies
        if len(self._part) > _LONGEST_LINE:
            self._spoil("a line without end")
        elif len(unread) > _MOST_REPLIES or (
            len(unread) > _FEW and sum(len(raw.text) for raw in unread) > _MOST_UNREAD
        ):
            self._spoil("replies without end")

    def _take(self, line: bytes, now: float) -> bool:
        code, separator = line[:3], line[3:4]
        if not (len(code) == 3 and code.isdigit() and separator in (b" ", b"-", b"\r", b"")):
            return self._spoil(line[:80].decode("utf-8", "replace").strip())
        if self._lines and code != self._code:
            return self._spoil("lines of one reply with different codes")
        self._length += len(line)
        if self._length > _LONGEST_REPLY or len(line) > _LONGEST_LINE:
            return self._spoil("a reply without end")
        text = line[4:].strip()
        if separator == b"-":
            self._code = code
            self._lines.append(text)
            return True
        if self._lines:
            self._lines.append(text)
            text = b"\n".join(part for part in self._lines if part)
            self._lines = []
        self._length = 0
        self._replies.append(RawReply(int(code), _readable(text), now))
        return True

    def _spoil(self, what: str) -> bool:
        """What came is no SMTP, so nothing more is read. Always false."""
        self.garbage = what
        if not self._transport.is_closing():
            self._transport.pause_reading()
        return False

    def eof_received(self) -> bool:
        """The server sends no more."""
        self._lost = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _readable(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
