"""SIGINT and SIGTERM: the first stops the work and leaves it time to save, the second ends the process at once.

Python runs a signal's handler between two instructions of the main thread, so a call that does not return keeps it
waiting. A thread of its own therefore learns of each signal through the wake-up descriptor (`signal.set_wakeup_fd`),
and ends the process when its time is over, whatever the main thread does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["STOP_SECONDS", "StopSignals", "Stopped"]

STOP_SECONDS = 7.5  # from the first signal; `docker stop` and systemd kill after 10 or more
_WRITE_SECONDS = 0.2  # for standard error to take the last words
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """A context manager for the main thread; in any other it does nothing.

    Args:
        last_words: what is said when the process is ended at once; called in another thread.

    Attributes:
        number: of the first signal; None before there was one.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self.number: int | None = None
        self._last_words = last_words
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup_before = -1
        self._thread: threading.Thread | None = None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            return self
        with contextlib.suppress(OSError):  # no file descriptor is left: then without the thread
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            self._thread = threading.Thread(target=self._watch, name="mailvet-signals", daemon=True)
            self._thread.start()
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and shells in the background set it
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._pipe is not None:
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._pipe[1])  # ends the thread
            if self._thread is not None:
                self._thread.join(1.0)
            os.close(self._pipe[0])

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            raise Stopped(number)
        if self._thread is None:
            self._end(number)

    def _watch(self) -> None:
        assert self._pipe is not None
        first: int | None = None
        until = 0.0
        while True:
            left = None if first is None else max(0.0, until - time.monotonic())
            if not select.select([self._pipe[0]], [], [], left)[0]:
                assert first is not None
                self._end(first)
            try:
                received = os.read(self._pipe[0], 64)
            except BlockingIOError:
                continue
            if not received:
                return
            for number in received:
                if number not in self._before:
                    continue
                if first is not None:
                    self._end(first)
                first, until = number, time.monotonic() + STOP_SECONDS

    def _end(self, number: int) -> None:
        """End the process now."""
        words = f"Stopped at once. {self._last_words()}\n".encode("utf-8", "backslashreplace")
        writing = threading.Thread(target=_write, args=(words,), daemon=True)
        writing.start()
        writing.join(_WRITE_SECONDS)
        os._exit(128 + number)


def _write(words: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, words)
