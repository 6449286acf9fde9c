"""When a recipient is asked again within a run, and when a failed connection counts.

Greylisting is scheduling: the recipient is asked again when the server's time has come, as long as the run waits. A
connection that failed, or a reply that did not come, counts only after a second try, at the earliest half a minute
later: in this run where it waits so long, else in the next. And it counts only once another connection has succeeded
after it, for without that our own network may be down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from mailvet.probing.domain import MailboxResult, Probe
from mailvet.probing.health import ENOUGH_ADDRESSES, RunHealth
from mailvet.vocabulary import REASONS, Reason, Status

if TYPE_CHECKING:
    from mailvet.settings import Retry

__all__ = ["FAILURES", "Retries"]

FAILURES = (Reason.connect_failed, Reason.smtp_timeout)
"""Reasons without a reply that our own network may have caused."""
_SETTLED = (Reason.greylisted, Reason.not_probed)  # unknown, and not for want of a connection
_COUNTS = 2  # tries after which a failure counts
_TRIES_AFTER_OUTAGE = 3  # times that a recipient is asked again because the network was back
_LINGER = 10.0  # seconds at the end of a run for a network that is down to come back
_LOOK_EVERY = 1.0  # seconds between two looks during that time
_TRIED_ADDRESSES = 3 * ENOUGH_ADDRESSES  # addresses that are tried to find out whether the network is down

_NETWORK_DOWN = MailboxResult(Reason.not_probed, detail="our network was down", retry_after=0.0)


class _Pool(Protocol):
    health: RunHealth

    def ask_again(self, probe: Probe) -> None: ...

    def forget_failures(self) -> None: ...

    def settle_all(self) -> None: ...

    def give_up(self) -> None: ...

    async def reach(self, address: str) -> bool: ...


@dataclass(slots=True)
class _Kept:
    probe: Probe
    result: MailboxResult
    tries: int
    """Conversations that were tried for it, at least half a minute apart."""


class Retries:
    """The recipients of one stream whose result does not count yet.

    Args:
        pool: what asks them.
        retry: `[retry]` of the settings.
        wait_until: `time.monotonic()` until which the run waits for a retry.
        conclude: called with a recipient's key, its probe and the result that counts.
        failed_before: whether the recipient of this key failed in the same way in the run before.
    """

    def __init__(
        self,
        pool: _Pool,
        retry: Retry,
        wait_until: float,
        conclude: Callable[[str, Probe, MailboxResult], None],
        failed_before: Callable[[str, Probe, Reason], bool],
    ) -> None:
        self._pool = pool
        self._health = pool.health
        self._greylisting = tuple(delay.total_seconds() for delay in retry.after_greylisting)
        self._second_try = retry.after_failure.total_seconds()
        self.wait_until = wait_until
        self._conclude = conclude
        self._failed_before = failed_before
        self._greylisted: dict[str, int] = {}  # how often
        self._failed: dict[str, int] = {}  # how often, tries during an outage not counted
        self._recovered: dict[str, int] = {}  # how often asked again after an outage
        self._scheduled: dict[str, tuple[asyncio.TimerHandle, _Kept]] = {}
        self._held: dict[str, _Kept] = {}
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0
        self._health.on_recovery = self._recovery
        self._health.on_outage = self._outage

    # ---------------------------------------------------------------- results

    def keep(self, key: str, probe: Probe, result: MailboxResult) -> bool:
        """Whether this result does not count: then `conclude` gets one in its place, now or later."""
        if self._keep(key, probe, result):
            return True
        self._forget(key)
        return False

    def _keep(self, key: str, probe: Probe, result: MailboxResult) -> bool:
        failed = result.reason in FAILURES and result.code is None
        # A comparison may have failed for want of a connection, whatever the reply of the recipient itself was.
        unclear = REASONS[result.reason].status is Status.unknown and result.reason not in _SETTLED
        if unclear and self._health.network_down:
            self._end(key, probe, _NETWORK_DOWN)
            return True
        if self._health.degraded is not None:
            return False
        if result.reason is Reason.greylisted:
            times = self._greylisted.get(key, 0)
            if times >= len(self._greylisting):
                return False
            delay = max(self._greylisting[times], result.retry_after or 0.0)
            if not self._schedule(key, _Kept(probe, result, 0), delay):
                return False
            self._greylisted[key] = times + 1
            return True
        if not failed:
            if self._health.failing_since is None or not unclear:
                return False
            self._held[key] = _Kept(probe, result, _COUNTS)
            return True
        tries = self._failed[key] = self._failed.get(key, 0) + 1
        kept = _Kept(probe, result, tries)
        if tries < _COUNTS and self._schedule(key, kept, self._second_try):
            return True
        self._held[key] = kept
        return True

    def _schedule(self, key: str, kept: _Kept, delay: float) -> bool:
        if time.monotonic() + delay > self.wait_until:
            return False

        def due() -> None:
            del self._scheduled[key]
            self._pool.ask_again(kept.probe)
            if not self._scheduled:
                self._pool.settle_all()

        self._scheduled[key] = asyncio.get_running_loop().call_later(delay, due), kept
        return True

    def _end(self, key: str, probe: Probe, result: MailboxResult) -> None:
        """The result counts."""
        self._forget(key)
        self._conclude(key, probe, result)

    def _forget(self, key: str) -> None:
        """Only recipients without a result that counts are remembered: their number is bounded, that of all is not."""
        for times in (self._greylisted, self._failed, self._recovered):
            times.pop(key, None)

    def pending(self) -> bool:
        """Whether recipients will be asked again within this run."""
        return bool(self._scheduled)

    def retry_in(self) -> float:
        """Seconds until the last of them is asked again; 0 for none."""
        now = asyncio.get_running_loop().time()
        return max((0.0, *(timer.when() - now for timer, _ in self._scheduled.values())))

    @property
    def held(self) -> int:
        """Recipients that wait for nothing but to know whether our network is up."""
        return len(self._held)

    # ---------------------------------------------------------------- our network

    def _recovery(self, was_suspected: bool) -> None:
        """A connection succeeded. What failed before it counts, unless the network was down."""
        if was_suspected:
            self._pool.forget_failures()
        if not self._held:
            return
        held, self._held = self._held, {}
        for key, kept in held.items():
            if was_suspected and self._recovered.get(key, 0) < _TRIES_AFTER_OUTAGE:
                self._recovered[key] = self._recovered.get(key, 0) + 1
                self._failed[key] = max(0, self._failed.get(key, 0) - 1)
                self._pool.ask_again(kept.probe)
            else:
                self._count(key, kept)

    def _count(self, key: str, kept: _Kept) -> None:
        result = kept.result
        if kept.tries < _COUNTS and not self._failed_before(key, kept.probe, result.reason):
            result = replace(result, retry_after=self._second_try)
        self._end(key, kept.probe, result)

    def _outage(self) -> None:
        """Our network is down: what has had no reply says nothing of the servers."""
        held, self._held = self._held, {}
        for key, kept in held.items():
            self._end(key, kept.probe, _NETWORK_DOWN)
        scheduled, self._scheduled = self._scheduled, {}
        for key, (timer, kept) in scheduled.items():
            timer.cancel()
            self._end(key, kept.probe, _NETWORK_DOWN if kept.result.reason in FAILURES else kept.result)
        self._pool.give_up()

    def look(self) -> None:
        """To be called about once a second: whether the network has been down for long."""
        self._health.look()
        if self._health.degraded is not None or not self._health.lasting or self._looking is not None:
            return
        if time.monotonic() - self._looked_at > self._health.outage_after / 4:
            self._looking = asyncio.ensure_future(self._look_around())

    async def _look_around(self) -> None:
        """Try addresses that replied earlier until one does, or enough of them do not."""
        addresses = self._health.unproven()[:_TRIED_ADDRESSES]
        try:
            # One alone as a rule: where our network is up, the first replies.
            for few in (addresses[:1], addresses[1 : 1 + ENOUGH_ADDRESSES], addresses[1 + ENOUGH_ADDRESSES :]):
                if self._health.suspected or await self._any_replies(few):
                    break
        finally:
            self._looked_at = time.monotonic()
            self._looking = None
        self._health.look()

    async def _any_replies(self, addresses: Sequence[str]) -> bool:
        """Whether a connection to one of them succeeds; they are tried side by side."""
        return any(await asyncio.gather(*map(self._pool.reach, addresses)))

    async def settle(self) -> None:
        """Nothing else is left to be asked: find out whether what failed last counts.

        When this returns, no recipient is held, or some are being asked again.
        """
        if self._looking is not None:
            await asyncio.wait((self._looking,))
        since = self._health.failing_since or time.monotonic()
        until = max(time.monotonic() + _LINGER, min(self.wait_until, since + self._health.outage_after))
        await self._look_around()
        while self._held and self._health.suspected and self._health.degraded is None:
            if time.monotonic() >= until:
                self._health.outage()
                return
            await asyncio.sleep(_LOOK_EVERY)
            if await self._any_replies([*self._health.lost][:ENOUGH_ADDRESSES]):
                return
        if self._held and self._health.degraded is None:
            held, self._held = self._held, {}
            for key, kept in held.items():
                self._count(key, kept)

    def conclude_greylisted(self) -> None:
        """The run stops before the time of those that wait for it: that they were greylisted is what is known."""
        scheduled, self._scheduled = self._scheduled, {}
        for key, (timer, kept) in scheduled.items():
            timer.cancel()
            if kept.result.reason is Reason.greylisted:
                self._end(key, kept.probe, kept.result)

    def close(self) -> None:
        """Ask no recipient again."""
        self._health.on_recovery = self._health.on_outage = None
        for timer, _ in self._scheduled.values():
            timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
