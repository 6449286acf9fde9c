"""The one thread that speaks to the database, which an event loop must not wait for."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["DatabaseThread"]

T = TypeVar("T")


class DatabaseThread:
    """Calls, one after the other, in a thread of their own.

    It is a daemon: a database that does not reply keeps no process from ending, as the threads of `concurrent.futures`
    would.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        threading.Thread(target=self._work, name="mailvet-database", daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work, call
        self._ended.set()

    def submit(self, work: Callable[..., T], *arguments: Any, **named: Any) -> Future[T]:
        """Queue a call."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: work(*arguments, **named)))
        return future

    async def call(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """The result of a call."""
        return await asyncio.wrap_future(self.submit(work, *arguments, **named))

    async def end(self, timeout: float | None) -> bool:
        """Take no more calls; whether the last one returned within so many seconds (None: it is waited for)."""
        self._calls.put(None)
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        while not self._ended.is_set() and (until is None or loop.time() < until):
            await asyncio.sleep(0.01)
        return self._ended.is_set()
