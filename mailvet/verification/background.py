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
from mailvet.verdict import Verdict
from mailvet.verification.open_verifiers import OpenVerifiers
from mailvet.verification.verifier import Verifier

__all__ = ["examine_within", "run_in_background", "shared_verifier", "start_in_background"]

T = TypeVar("T")

_POLL_SECONDS = 0.1


class _Background:
    """One event loop in a daemon thread, and the verifiers that live on it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.verifiers = OpenVerifiers()
        threading.Thread(target=self._run, name="mailvet", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


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
    return await _in_background().verifiers.get(settings)


async def examine_within(cell: str, settings: Settings, seconds: float) -> Verdict:
    """See `OpenVerifiers.examine_within`; to be awaited on mailvet's own event loop."""
    return await _in_background().verifiers.examine_within(cell, settings, seconds)


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
