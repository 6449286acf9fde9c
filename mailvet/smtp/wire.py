"""
Commands out, replies in: the bytes of a conversation, once a server has said what it is called and what it can.

Asking recipients is a narrow business (MAIL, RCPT, RSET, QUIT) repeated a thousand times a second, in groups where the
server allows it (RFC 2920). So a `Wire` takes a connection over from the library that opened it, keeps every reply in
the order in which it came, and wakes whoever waits once for all that came together.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["Raw", "Wire", "WireFailure"]

_CHUNK = 8_192
_LONGEST_LINE = 8_192  # octets; RFC 5321 section 4.5.3.1.5 asks for 512
_LONGEST_REPLY = 32_768
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_SHORT = 0.001  # seconds; a clock may tick that much too early


class Raw(NamedTuple):
    """One complete reply as it came."""

    code: int
    text: str
    """Everything after the basic code, lines joined by line feeds; what is no UTF-8 is read as Latin-1."""
    at: float
    """When it came: `time.monotonic()`."""


class WireFailure(Exception):
    """No further reply: time was up, the connection ended, or what came is no SMTP."""

    def __init__(self, kind: Literal["timeout", "closed", "garbage"], detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Wire(asyncio.BufferedProtocol):
    """
    One connection. Commands are gathered by `say` and leave together with the next wait for a reply.

    Attributes:
        open: nobody has ended the connection yet.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._incoming = bytearray(_CHUNK)
        self._view = memoryview(self._incoming)
        self._rest = b""
        self._lines: list[bytes] = []
        self._length = 0
        self._replies: list[Raw] = []
        self._outgoing: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._turn: Callable[[], float] | None = None
        """Takes what comes while somebody waits for its end."""
        self._garbage: str | None = None
        self._lost = False
        transport.set_protocol(self)

    @property
    def heard(self) -> bool:
        """Whether replies are there already."""
        return bool(self._replies)

    @property
    def open(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    @property
    def encrypted(self) -> bool:
        return self._transport.get_extra_info("ssl_object") is not None

    def say(self, command: bytes) -> None:
        """
        Add a command, without its line end, to those that go out next.

        Raises:
            ValueError: it holds a control character, and so would be two commands.
        """
        if _CONTROLS.search(command):
            raise ValueError("an SMTP command may not hold a control character")
        self._outgoing.append(command)

    def flush(self) -> None:
        """Send what was said."""
        if self._outgoing:
            self._outgoing.append(b"")
            packet = b"\r\n".join(self._outgoing)
            self._outgoing.clear()
            if self.open:
                self._transport.write(packet)

    def come_already(self, most: int) -> list[Raw]:
        """The replies that are there already, at most so many."""
        replies = self._replies
        self._replies = replies[most:] if len(replies) > most else []
        del replies[most:]
        return replies

    async def converse(self, turn: Callable[[], float], patience: float) -> None:
        """
        Let `turn` take whatever comes (`come_already`) and say what follows, in the very moment it comes and without
        waking anybody: a conversation is this to and fro, thousands of times a second.

        Args:
            turn: gives the seconds within which the next reply is to come; 0: that was all. What it raises ends the
                conversation.
            patience: seconds within which the first reply is to come.

        Raises:
            WireFailure: none came in time, or none will.
        """
        while self._replies and patience > 0:
            patience = turn()
        if patience <= 0:
            return
        self._turn = turn
        try:
            self.flush()
            while self._turn is not None:
                await self._something(patience)
        finally:
            self._turn = None

    async def hear(self, patience: float) -> Raw:
        """
        The next reply; before it waits, everything said goes out.

        Raises:
            WireFailure: none came within `patience` seconds, or none will.
        """
        if not self._replies:
            self.flush()
            while not self._replies:
                await self._something(patience)
        return self._replies.pop(0)

    async def _something(self, patience: float) -> None:
        """Wait for a reply, or for the end of what the wire does by itself meanwhile."""
        if self._garbage is not None:
            raise WireFailure("garbage", self._garbage)
        if not self.open:
            raise WireFailure("closed", "the server hung up")
        await self._sleep(patience)

    async def _sleep(self, patience: float) -> None:
        self._waiter = self._loop.create_future()
        self._arm(time.monotonic(), patience)
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def ended(self, patience: float) -> None:
        """
        Until the server has hung up.

        Raises:
            WireFailure: it did not within `patience` seconds.
        """
        while self.open:
            await self._sleep(max(patience, 0.0))

    def _arm(self, now: float, patience: float) -> None:
        # One timer for many replies: it looks at the deadline when it rings, and sets itself anew.
        self._deadline = deadline = now + patience
        if self._timer is None or self._rings_at > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at = deadline
            self._timer = self._loop.call_later(patience, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        now = time.monotonic()
        if now + _SHORT < self._deadline:
            self._arm(now, self._deadline - now)
        else:
            self._waiter.set_exception(WireFailure("timeout", "no reply in time"))

    def close(self) -> None:
        """Hang up once everything said has left."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()

    # ---------------------------------------------------------------- called by the event loop

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes; a buffer of our own saves one of 256 KiB for every reply of thirty octets."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Something came."""
        if self._garbage is not None:
            return
        now = time.monotonic()
        lines = (self._rest + self._view[:nbytes]).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            code = line[:3]
            if not self._lines and len(line) <= _LONGEST_LINE and line[3:4] == b" " and code.isdigit():
                text = line[4:].strip()
                self._replies.append(Raw(int(code), text.decode() if text.isascii() else _readable(text), now))
            elif not self._take(line, now):
                break
        if len(self._rest) > _LONGEST_LINE:
            self._garbage = "a line without end"
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._turn is not None and self._replies:
            try:
                patience = self._turn()
            except Exception as error:
                self._turn = None
                waiter.set_exception(error)
                return
            if patience > 0 and self._garbage is None:
                self.flush()
                self._arm(now, patience)
                return
            if patience <= 0:
                self._turn = None
        self._wake()

    def _take(self, line: bytes, now: float) -> bool:
        if not line[:3].isdigit() or len(line) < 3:
            self._garbage = line[:80].decode("utf-8", "replace").strip()
            return False
        self._length += len(line)
        if self._length > _LONGEST_REPLY or len(line) > _LONGEST_LINE:
            self._garbage = "a reply without end"
            return False
        if line[3:4] == b"-":
            self._lines.append(line[4:].strip())
            return True
        text = line[4:].strip()
        if self._lines:
            self._lines.append(text)
            text = b"\n".join(part for part in self._lines if part)
            self._lines = []
        self._length = 0
        self._replies.append(Raw(int(line[:3]), _readable(text), now))
        return True

    def eof_received(self) -> bool:
        """The server said its last."""
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
