"""Verifiers that stay open from call to call on one event loop, one for each set of settings."""

from __future__ import annotations

import asyncio
import time

from mailvet.settings import Settings
from mailvet.verdict import Verdict
from mailvet.verification.verifier import Verifier

__all__ = ["OpenVerifiers"]

_KEPT_OPEN = 8  # verifiers for different settings that are kept for the next call
_CLOSE_AFTER = 120.0  # seconds after which one that is not kept is closed


class OpenVerifiers:
    """The open verifiers of one event loop; routes stay known between calls."""

    def __init__(self) -> None:
        self._open: dict[str, Verifier] = {}
        self._opening: dict[str, tuple[Verifier, asyncio.Task[Verifier]]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._keys: dict[int, tuple[Settings, str]] = {}

    async def get(self, settings: Settings) -> Verifier:
        """The verifier for these settings, opened once.

        Raises:
            PreflightError: as `Verifier.open`.
        """
        known = self._usable(settings)
        if known is not None:
            return known
        # Shielded: others wait for the same verifier when one call is cancelled.
        return await asyncio.shield(self._start_opening(settings)[1])

    async def examine_within(
        self, cell: str, settings: Settings, seconds: float, deadline: float | None = None
    ) -> Verdict:
        """The verdict for one cell with all that is known within so many seconds; see `Verifier.examine_within`.

        Raises:
            PreflightError: as `Verifier.open`, where that is known in time.
        """
        deadline = seconds if deadline is None else deadline
        until = time.monotonic() + seconds
        verifier = self._usable(settings)
        if verifier is None:
            verifier, opening = self._start_opening(settings)
            await asyncio.wait((opening,), timeout=seconds)
            if not opening.done():
                return verifier.examine_unopened(cell, f"the deadline of {deadline:g} s passed before DNS had replied")
            verifier = opening.result()
        return await verifier.examine_within(cell, max(0.0, until - time.monotonic()), deadline)

    def responds(self, settings: Settings) -> bool:
        """Whether a verifier for these settings is open and its resolver replies."""
        return self._usable(settings) is not None

    def forget_results(self) -> None:
        """Drop what is kept about mailboxes."""
        for verifier in self._open.values():
            verifier.forget_results()

    def _usable(self, settings: Settings) -> Verifier | None:
        known = self._open.get(self._key(settings))
        return known if known is not None and not known.outdated else None

    def _key(self, settings: Settings) -> str:
        """The settings as text; that of the same object is kept, since making it costs more than a verdict."""
        known = self._keys.get(id(settings))
        if known is None:
            if len(self._keys) >= 2 * _KEPT_OPEN:
                self._keys.clear()
            known = self._keys[id(settings)] = settings, settings.model_dump_json()
        return known[1]

    def _start_opening(self, settings: Settings) -> tuple[Verifier, asyncio.Task[Verifier]]:
        key = self._key(settings)
        under_way = self._opening.get(key)
        if under_way is None:
            fresh = Verifier(settings)
            under_way = self._opening[key] = fresh, asyncio.ensure_future(self._finish_opening(key, fresh))
            under_way[1].add_done_callback(lambda task: task.cancelled() or task.exception())
        return under_way

    async def _finish_opening(self, key: str, fresh: Verifier) -> Verifier:
        try:
            await fresh.open()
        finally:
            del self._opening[key]
        known = self._open.pop(key, None)
        self._open[key] = fresh
        if known is not None:
            self._retire(known)
        while len(self._open) > _KEPT_OPEN:
            self._retire(self._open.pop(next(iter(self._open))))
        return fresh

    def _retire(self, verifier: Verifier) -> None:
        # Other calls may still be asking through it.
        def close() -> None:
            task = asyncio.ensure_future(verifier.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        asyncio.get_running_loop().call_later(_CLOSE_AFTER, close)

    async def close(self) -> None:
        """Close all of them."""
        opening = [task for _, task in self._opening.values()]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        verifiers, self._open = list(self._open.values()), {}
        await asyncio.gather(*(verifier.close() for verifier in verifiers))
