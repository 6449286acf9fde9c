"""Servers that hold a client for as long as it lets them.

Silence, a byte a second, lines, replies or megabytes without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["HOLDS", "STAGES", "Hold", "Holding", "Stage"]

Stage = Literal["connect", "hello", "mail", "rcpt", "quit", "idle"]
"""In place of the reply to which command; `idle`: unasked, when the client has sent nothing for a while."""

STAGES: tuple[Stage, ...] = get_args(Stage)

HOLDS = {
    "silence": "sends nothing",
    "drip": "sends one line without end, a byte a second",
    "lines": "sends lines of one reply without end",
    "replies": "sends complete replies without end",
    "huge": "sends a reply of 8 MB",
}
"""Each way to hold a client, in words."""

_VERBS: dict[str, Stage] = {
    "": "connect",
    "EHLO": "hello",
    "HELO": "hello",
    "MAIL": "mail",
    "RCPT": "rcpt",
    "QUIT": "quit",
}
_CODES: dict[Stage, bytes] = {"connect": b"220", "quit": b"221"}
_LINES_A_WRITE = 50
_HUGE_LINES = 8_388_608 // 80


@dataclass(frozen=True, slots=True)
class Hold:
    """From `at` on the server does `how`, and hears no more commands."""

    at: Stage
    how: Literal["silence", "drip", "lines", "replies", "huge"]
    every: float | None = None
    """Seconds between two pieces. None: 1 for `drip`, else as fast as the client reads."""
    idle: float = 0.2
    """Seconds without a command that count as idle."""

    def concerns(self, verb: str) -> bool:
        """Whether the reply to this command is where it begins."""
        return _VERBS.get(verb) == self.at

    def summary(self) -> str:
        """The hold in words."""
        names = {"connect": "the connection", "hello": "EHLO"}
        where = "when the client is idle" if self.at == "idle" else f"at {names.get(self.at, self.at.upper())}"
        return f"{where} {HOLDS[self.how]}"

    def pieces(self) -> tuple[bytes, bytes, int | None]:
        """What is sent first, what is sent again and again, and how often (None: without end)."""
        code = _CODES.get(self.at, b"250")
        line = code + b"-" + b"x" * 74 + b"\r\n"
        if self.how == "drip":
            return code + b" ", b"x", None
        if self.how == "lines":
            return b"", line * _LINES_A_WRITE, None
        if self.how == "replies":
            return b"", (code + b" 2.0.0 Ok\r\n") * _LINES_A_WRITE, None
        return b"", line * _LINES_A_WRITE, _HUGE_LINES // _LINES_A_WRITE


class Holding:
    """A hold at work in one conversation. `write` sends bytes to the client."""

    def __init__(self, hold: Hold, write: Callable[[bytes], None]) -> None:
        self._hold = hold
        self._write = write
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Hold the client from now on."""
        if self._task is None and self._hold.how != "silence":
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        hold = self._hold
        first, again, times = hold.pieces()
        every = 1.0 if hold.how == "drip" and hold.every is None else hold.every or 0.0
        if every and hold.how != "drip":
            again = again[: len(again) // _LINES_A_WRITE]
        if first:
            self._write(first)
        sent = 0
        while times is None or sent < times:
            await asyncio.sleep(every)
            await self._room.wait()
            self._write(again)
            sent += 1
        self._write(_CODES.get(hold.at, b"250") + b" 2.0.0 Ok\r\n")

    def pause(self) -> None:
        """The client reads too slowly."""
        self._room.clear()

    def resume(self) -> None:
        """The client has read on."""
        self._room.set()

    def stop(self) -> None:
        """The connection is gone."""
        if self._task is not None:
            self._task.cancel()
