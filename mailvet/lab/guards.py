"""What a mail server does against clients that ask for too many unknown recipients, or too fast.

The rule, and what a server remembers of each client.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

__all__ = ["GuardMemory", "HarvestGuard", "RateLimit", "RateMemory"]


@dataclass(frozen=True, slots=True)
class HarvestGuard:
    """After `after` unknown recipients every recipient gets the same reply, for `seconds` (None: for good).

    Recipients asked meanwhile do not count; afterwards the count starts at nought.
    """

    after: int
    then: Literal["refuses", "accepts"] = "refuses"
    """`refuses`: in the words in which it refuses unknown recipients."""
    scope: Literal["client", "conversation"] = "client"
    """Counted over all conversations of a client address, or anew in each."""
    seconds: float | None = None
    exempt: tuple[str, ...] = ()
    """Local parts that are still answered truly."""

    def summary(self) -> str:
        """The rule in words."""
        where = "of a client address (over all conversations)" if self.scope == "client" else "of a conversation"
        until = "for good" if self.seconds is None else f"for {self.seconds:g} s"
        if self.scope == "conversation":
            until = "until its end" if self.seconds is None else until
        end = "is unknown in the same words" if self.then == "refuses" else "is accepted"
        but = f", {', '.join(f'{name}@' for name in self.exempt)} excepted" if self.exempt else ""
        return f"after {self.after} unknown recipients {where} every recipient {end} {until}{but}"


class GuardMemory:
    """What a server remembers for its guard, by client address or conversation."""

    def __init__(self, guard: HarvestGuard) -> None:
        self.guard = guard
        self._counts: dict[Hashable, int] = {}
        self._until: dict[Hashable, float] = {}

    def holds(self, key: Hashable, local: str, now: float) -> bool:
        """Whether the guard decides the reply to a recipient with this local part."""
        return now < self._until.get(key, -math.inf) and local.lower() not in self.guard.exempt

    def count(self, key: Hashable, now: float) -> None:
        """An unknown recipient was asked for."""
        if now < self._until.get(key, -math.inf):
            return
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] >= self.guard.after:
            self._counts[key] = 0
            self._until[key] = math.inf if self.guard.seconds is None else now + self.guard.seconds

    def forget(self, key: Hashable) -> None:
        """A conversation is over."""
        self._counts.pop(key, None)
        self._until.pop(key, None)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `recipients` of a client address within a second; the others get `reply` and do not count."""

    recipients: int
    reply: str = "450 4.7.1 Error: too many recipients per second from {client}"

    def summary(self) -> str:
        """The rule in words."""
        return f"at most {self.recipients} recipients of a client address a second"


class RateMemory:
    """When each client address asked for its last recipients."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._times: dict[str, deque[float]] = {}

    def exceeded(self, client: str, now: float) -> bool:
        """Whether a recipient asked for now is one too many; if not, it is counted."""
        times = self._times.setdefault(client, deque())
        while times and times[0] <= now - 1.0:
            times.popleft()
        if len(times) >= self.limit.recipients:
            return True
        times.append(now)
        return False
