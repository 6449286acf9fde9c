"""Healthy servers among many that say nothing: when do they have their verdicts, and how does such a run stop?"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailvet.dns.routes import MailHost, Route
from mailvet.lab import Lab, World
from mailvet.probing.pool import Mailboxes, Recipient
from mailvet.vocabulary import Reason
from tests.probing import lab_settings

__all__ = ["Finished", "healthy_among_stalled"]

_PEOPLE = ("ann", "bob", "cid")
_PATIENCE: dict[str, Any] = {"connect_timeout": 20.0, "command_timeout": 20.0, "address_budget": 60.0}


@dataclass(frozen=True)
class Finished:
    """How the run went for the recipients at healthy servers. Times are seconds."""

    reasons: frozenset[Reason]
    half: float
    """Until half of them had their results."""
    last: float
    """Until all of them had."""
    closing: float
    """Until the run had stopped, with the stalled ones still to be asked."""


async def healthy_among_stalled(
    start: Any, profiles: Sequence[str], *, healthy: int, stalled: int, connections: int, limit: float
) -> Finished:
    """Ask three recipients each at so many healthy servers, and at stalled ones mixed among them.

    The time-out is 20 s.

    Args:
        start: gives a running lab for a world.
        limit: seconds until the healthy ones must have their results.

    Raises:
        TimeoutError: they did not.
    """
    good = [f"good{number}.test" for number in range(healthy)]
    bad = [f"bad{number}.test" for number in range(stalled)]
    kinds = {**dict.fromkeys(good, "postfix"), **dict(zip(bad, itertools.cycle(profiles)))}
    world = World()
    for domain, kind in kinds.items():
        world.host(f"mx.{domain}", kind).domain(domain, [(10, f"mx.{domain}")])
        for name in _PEOPLE:
            world.mailbox(f"{name}@{domain}")
    lab: Lab = start(world)
    mailboxes = Mailboxes(lab_settings(lab, smtp=_PATIENCE, pacing={"connections": connections}))
    each = max(1, stalled // healthy)
    order = [
        domain for number in range(healthy) for domain in (*bad[number * each : (number + 1) * each], good[number])
    ]
    began, done = time.monotonic(), dict[str, float]()

    def note(cell: str, _: object) -> None:
        done[cell] = time.monotonic() - began

    futures = []
    for name, domain in itertools.product(_PEOPLE, order):
        host = MailHost(f"mx.{domain}", 10, (world.hosts[f"mx.{domain}"].address,))
        future = mailboxes.submit(Recipient(name, domain, Route(domain, None, (host,), domain)))
        if domain in kinds and kinds[domain] == "postfix":
            future.add_done_callback(partial(note, f"{name}@{domain}"))
            futures.append(future)
    try:
        results = await asyncio.wait_for(asyncio.gather(*futures), limit)
    finally:
        closing = time.monotonic()
        await mailboxes.close()
    times = sorted(done.values())
    return Finished(
        frozenset(result.reason for result in results),
        times[len(times) // 2],
        times[-1],
        time.monotonic() - closing,
    )
