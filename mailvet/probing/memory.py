"""What is kept about server addresses from one run to the next, and the connections that several runs share.

The pool takes a `ServerMemory`, uses and changes it, and holds it as `pool.memory`; the caller loads it before a run
and saves it afterwards. `ConnectionSlots` counts the open connections to an address over all that use the same slots.

Keys are places: `192.0.2.1:25` for a server address, `[2001:db8::1]:25` for one of IPv6, and `operator:google` for the
servers of a listed operator, which behave alike and count as one (see `place_of`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

__all__ = ["Canary", "ConnectionSlots", "LocalSlots", "RefusedRuns", "ServerMemory", "Suspicion", "place_of"]

CANARY_DAYS = 30
"""Days for which an acceptance of an earlier run makes a canary."""
REFUSED_DAYS = 3
"""Days on which an address has to refuse all in the same words until its refusals count."""
KEPT_CANARIES = 16
"""Canaries kept for one place."""


def place_of(address: str, port: int) -> str:
    """The key of a server address.

    >>> place_of("2001:db8::1", 25)
    '[2001:db8::1]:25'
    """
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass(frozen=True, slots=True)
class Canary:
    """A recipient known to exist: accepted by servers that refused the control of its domain."""

    local: str
    domain: str
    accepted_at: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Servers that refused canaries, so that their refusals prove nothing until a canary is accepted again."""

    since: datetime
    """UTC; when canaries were refused for the first time."""
    rests: int = 0
    """How often the servers were left alone since then without accepting a canary."""
    until: datetime | None = None
    """UTC; not asked before."""


@dataclass(frozen=True, slots=True)
class RefusedRuns:
    """The days on which servers without any canary refused every recipient and every control in the same words."""

    words: str
    """The reply, masked, with its code."""
    days: tuple[date, ...]
    """UTC, in order."""

    def another(self, words: str, day: date) -> RefusedRuns:
        """With a further run; other words begin anew."""
        if words != self.words:
            return RefusedRuns(words, (day,))
        return RefusedRuns(words, tuple(sorted({*self.days, day}))[-REFUSED_DAYS:])

    @property
    def final(self) -> bool:
        """Whether they have refused for good."""
        return len(self.days) >= REFUSED_DAYS


@dataclass(slots=True)
class ServerMemory:
    """What earlier runs learnt about server addresses.

    The pool changes it in place.

    Attributes:
        suspicions: by place; the pool adds one when canaries are refused and removes it when one is accepted.
        canaries: by place, or by the name of an MX host in lower case for recipients of which only that is known
            (`mailbox_accepted` with this `mx_host` in the store). Those older than 30 days are not used. The pool adds
            those of this run under their place, at most 16, the newest last.
        refused_runs: by place; the pool adds the day of this run and removes what is contradicted by an acceptance.
    """

    suspicions: dict[str, Suspicion] = field(default_factory=dict)
    canaries: dict[str, list[Canary]] = field(default_factory=dict)
    refused_runs: dict[str, RefusedRuns] = field(default_factory=dict)


class ConnectionSlots(Protocol):
    """Bounds the connections to one address, over all that share the slots."""

    async def acquire(self, address: str, most: int) -> Callable[[], None]:
        """Wait until fewer than `most` connections to `address` (IP) are open, and count one more.

        Gives what frees the slot; calling that twice does no harm.
        """


class LocalSlots:
    """The slots of one event loop."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._freed: dict[str, asyncio.Event] = {}

    async def acquire(self, address: str, most: int) -> Callable[[], None]:
        """See `ConnectionSlots.acquire`."""
        while self._taken.get(address, 0) >= most:
            freed = self._freed.setdefault(address, asyncio.Event())
            freed.clear()
            await freed.wait()
        self._taken[address] = self._taken.get(address, 0) + 1
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._release(address)

        return release

    def _release(self, address: str) -> None:
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]
        freed = self._freed.get(address)
        if freed is not None:
            freed.set()
            if address not in self._taken:
                self._freed.pop(address, None)
