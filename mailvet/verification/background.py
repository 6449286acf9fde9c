"""An event loop in a thread of its own, and the verifiers that stay open on it between calls.

The synchronous functions run on it, so that they work inside notebooks, Airflow tasks and running loops alike.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import Any, TypeVar

from mailvet.settings import Settings
from mailvet.verification.verifier import Verifier

__all__ = ["run_in_background", "shared_verifier", "start_in_background"]

T = TypeVar("T")

_POLL_SECONDS = 0.1
_KEPT_OPEN = 8  # verifiers for different settings that are kept for the next call
_CLOSE_AFTER = 120.0  # seconds after which one that is not kept is closed


class _Background:
    """One event loop in a daemon thread, and the verifiers that live on it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._verifiers: dict[str, Verifier] = {}
        self._opening: asyncio.Lock | None = None
        self._closing: asyncio.Task[None] | None = None
        threading.Thread(target=self._run, name="mailvet", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def verifier(self, settings: Settings) -> Verifier:
        """The verifier for these settings, opened once, so that routes stay cached between calls."""
        if self._opening is None:
            self._opening = asyncio.Lock()
        key = settings.model_dump_json()
        async with self._opening:
            known = self._verifiers.get(key)
            if known is not None and not known.outdated:
                return known
            fresh = Verifier(settings)
            await fresh.open()
            self._verifiers[key] = fresh
            if known is not None:
                self._retire(known)
            while len(self._verifiers) > _KEPT_OPEN:
                self._retire(self._verifiers.pop(next(iter(self._verifiers))))
            return fresh

    def _retire(self, verifier: Verifier) -> None:
        # Other calls may still be asking through it.
        def close() -> None:
            self._closing = self.loop.create_task(verifier.close())

        self.loop.call_later(_CLOSE_AFTER, close)


_background: _Background | None = None
_starting = threading.Lock()


def _in_background() -> _Background:
    global _background
    with _starting:
        if _background is None or _background.pid != os.getpid():  # a fork leaves the thread behind
            _background = _Background()
        return _background


async def shared_verifier(settings: Settings) -> Verifier:
    """The open verifier of these settings, which calls share; to be awaited on mailvet's own event loop."""
    return await _in_background().verifier(settings)


def start_in_background(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on mailvet's own event loop."""
    return asyncio.run_coroutine_threadsafe(work, _in_background().loop)


def run_in_background(work: Coroutine[Any, Any, T], poll: Callable[[], object] | None = None) -> T:
    """Run a coroutine on mailvet's own event loop and wait for it; fit for any thread, loop running or not.

    Args:
        work: what to run.
        poll: called a few times a second by the waiting thread; what it raises ends the work.
    """
    future = start_in_background(work)
    try:
        # In slices: Polars' signal handler restarts an endless wait, and Ctrl-C would take effect only at its end.
        while not wait_for_futures((future,), timeout=_POLL_SECONDS).done:
            if poll is not None:
                poll()
        return future.result()
    except BaseException:
        future.cancel()
        raise
