"""Verdicts in time: what is known when the time is over; what is not known yet is found out in the background.

The next call for the same address or domain has the result: a route from the cache of `Routes`, a mailbox result from
here.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from mailvet.dns.routes import Route, Routes
from mailvet.probing.domain import MailboxResult
from mailvet.probing.pool import Recipient
from mailvet.verification import scalar

if TYPE_CHECKING:
    from mailvet.verification.verifier import Verifier

__all__ = ["MOST_UNDER_WAY", "Deadlines", "check_deadline"]

MOST_UNDER_WAY: Final = 4096
"""Addresses that are finished in the background at once; what comes on top is told that too many are under way."""
_KEPT_FOR: Final = 600.0
"""Seconds that the result of a mailbox holds for the next caller."""
_MOST_RESULTS: Final = 20_000
_LONGEST: Final = 86_400.0


def check_deadline(deadline: object) -> float | None:
    """The deadline in seconds.

    Raises:
        ValueError: it is no number of seconds above 0 and up to a day.
    """
    if deadline is None:
        return None
    if isinstance(deadline, bool) or not isinstance(deadline, (int, float)) or not 0 < deadline <= _LONGEST:
        raise ValueError(f"{deadline!r} is no deadline; give a number of seconds above 0, such as 0.3")
    return float(deadline)


class Deadlines:
    """What a verifier finds out beyond the deadlines of those who asked.

    Args:
        verifier: open, on the event loop that this is used on.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._findings: dict[str, tuple[scalar.Finding, asyncio.Task[None]]] = {}
        self._lookups: dict[str, asyncio.Task[Route]] = {}
        self._results: dict[str, tuple[MailboxResult, float]] = {}

    async def find(self, finding: scalar.Finding, seconds: float, deadline: float) -> scalar.Finding:
        """The finding with all that is known about it within so many seconds.

        Args:
            finding: as `scalar.examine` gives it, with a domain that DNS can be asked about.
            seconds: from now.
            deadline: of the whole call, in seconds, for the evidence.
        """
        if self._add_known(finding):
            return finding
        under_way = self._findings.get(finding.cell)
        if under_way is None:
            if len(self._findings) >= MOST_UNDER_WAY:
                finding.mark_not_probed("too many addresses wait for DNS or mail servers")
                return finding
            under_way = finding, self._start(self._findings, finding.cell, self._complete(finding), finding)
        found, task = under_way
        await asyncio.wait((task,), timeout=seconds)
        if task.done() and not task.cancelled():
            task.result()
            return found
        early = copy.copy(found)
        early.flags, early.facts, early.reasons = set(found.flags), dict(found.facts), list(found.reasons)
        layer = "DNS" if found.route is None else "the mail server"
        early.mark_not_probed(f"the deadline of {deadline:g} s passed before {layer} had replied")
        return early

    def _start(
        self,
        under_way: dict[str, Any],
        key: str,
        work: Coroutine[Any, Any, Any],
        finding: scalar.Finding | None = None,
    ) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        under_way[key] = task if finding is None else (finding, task)
        task.add_done_callback(lambda done: _ended(done, under_way, key))
        return task

    def _add_known(self, finding: scalar.Finding) -> bool:
        """Take in what is known already; whether that is all."""
        verifier = self._verifier
        assert finding.domain is not None
        route = verifier.routes.known(finding.domain) if isinstance(verifier.routes, Routes) else None
        if route is None:
            return False
        finding.add_route(route)
        if verifier.mailboxes is None or not finding.worth_probing:
            return True
        result, until = self._results.get(finding.cell, (None, 0.0))
        if result is None or until < time.monotonic():
            return False
        finding.add_mailbox_result(result)
        return True

    async def _complete(self, finding: scalar.Finding) -> None:
        verifier = self._verifier
        assert finding.domain is not None
        assert finding.local is not None
        if finding.route is None:
            lookup = self._lookups.get(finding.domain)
            if lookup is None:
                lookup = self._start(self._lookups, finding.domain, self._look_up(finding.domain))
            # Shielded: other addresses wait for the same domain.
            finding.add_route(await asyncio.shield(lookup))
        if verifier.mailboxes is None or not finding.worth_probing:
            return
        assert finding.route is not None
        result = await verifier.mailboxes.submit(Recipient(finding.local, finding.domain, finding.route))
        if len(self._results) >= _MOST_RESULTS:
            self._results.clear()
        self._results[finding.cell] = result, time.monotonic() + _KEPT_FOR
        finding.add_mailbox_result(result)

    async def _look_up(self, domain: str) -> Route:
        assert self._verifier.routes is not None
        return (await self._verifier.routes.examine((domain,)))[domain]

    def forget_results(self) -> None:
        """Drop the results that are kept for the next caller."""
        self._results.clear()

    @property
    def under_way(self) -> int:
        """Addresses that are not finished yet."""
        return len(self._findings)

    async def close(self) -> None:
        """End what is under way."""
        tasks = [task for _, task in self._findings.values()] + list(self._lookups.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ended(task: asyncio.Task[Any], under_way: dict[str, Any], key: str) -> None:
    under_way.pop(key, None)
    if not task.cancelled():
        task.exception()  # taken here, so that an error that the caller did not wait for is no warning of asyncio's
