"""Recipients that wait: by operator, the owner of the mail servers, and within it by set of servers.

Conversations take from these queues. An operator's `Pace` says how many conversations there may be, its `ErrorBudget`
how many refusals one of them may collect.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from mailvet.data.operators import Operator
from mailvet.dns.routes import MailHost, Route
from mailvet.probing.addresses import ServerAddress
from mailvet.probing.canary import Place
from mailvet.probing.domain import MailboxResult, Probe
from mailvet.probing.pacing import ErrorBudget, Pace
from mailvet.probing.turns import Standing

__all__ = ["OperatorQueue", "ServerSet", "Way", "in_order"]

FIRST_GROUP = 4  # recipients sent at once at first; twice as many after each group with all of its replies


class Way(NamedTuple):
    """One address of one host of a route."""

    host: MailHost
    address: ServerAddress
    place: Place


@dataclass(slots=True, eq=False)
class ServerSet:
    """The recipients that can be asked in one conversation: same servers, same need of SMTPUTF8."""

    operator: OperatorQueue
    route: Route
    """The first of those that lead here."""
    eai: bool
    ways: tuple[Way, ...] = ()
    """Best preference first, equals in an order of chance that stays (RFC 5321 section 5.1)."""
    places: tuple[Place, ...] = ()
    """Those of `ways`, each once."""
    waiting: deque[Probe] = field(default_factory=deque)
    group_key: str = ""
    """The servers whose customers can be asked about at each other's; empty where the address says that."""
    queued: bool = False
    """In the operator's round of servers to be asked."""
    conversations: int = 0
    idle: list[asyncio.Future[None]] = field(default_factory=list)
    """Conversations that have no recipient to ask at the moment."""
    per_session: int = 1 << 30
    """Learnt from `452 too many recipients`."""
    mail_from_accepted: bool = False
    """They have accepted MAIL from us."""
    group: int = FIRST_GROUP
    """Recipients that may be sent before the first of them has its reply, where the server offers PIPELINING."""
    hung_up_after: int | None = None
    """Errors in the last conversation that the server cut off in the middle."""
    failures: int = 0
    """Conversations in a row that brought no reply about a recipient."""
    failed: MailboxResult | None = None
    failed_until: float = 0.0
    stalled: int = 0
    """Conversations in a row that brought a reply or two and then silence."""
    again: bool = False
    """They were left after the first time-out, so that the next try has all of its time."""
    silent_since: float | None = None
    """When they were contacted for the first time since their last reply about a recipient, or since they failed."""

    @property
    def standing(self) -> Standing:
        """What they have shown in this run."""
        if any(way.place.replied for way in self.ways):
            return Standing.proven
        return Standing.again if self.again else Standing.newcomer

    @property
    def hosts(self) -> tuple[MailHost, ...]:
        """The servers, best preference first."""
        return self.route.hosts

    @property
    def best(self) -> int:
        """The best preference of its hosts."""
        return min(host.preference for host in self.hosts)

    def push(self, probe: Probe, *, first: bool) -> None:
        """Put a recipient into the queue."""
        if first:
            self.waiting.appendleft(probe)
        else:
            self.waiting.append(probe)
        self.operator.waiting += 1
        for place in self.places:
            place.waiting += 1

    def pop(self) -> Probe:
        """Take the first recipient out of the queue."""
        probe = self.waiting.popleft()
        self._count_taken(1)
        return probe

    def take_all_of(self, domain: object) -> list[Probe]:
        """Take the recipients of a domain out of the queue whose own results are wanted."""
        taken = [probe for probe in self.waiting if probe.domain is domain and probe.on_result is not None]
        if taken:
            out = set(map(id, taken))
            self.waiting = deque(probe for probe in self.waiting if id(probe) not in out)
            self._count_taken(len(taken))
        return taken

    def clear(self) -> None:
        """Forget all that wait."""
        self._count_taken(len(self.waiting))
        self.waiting.clear()

    def _count_taken(self, count: int) -> None:
        self.operator.waiting -= count
        for place in self.places:
            place.waiting -= count


@dataclass(slots=True, eq=False)
class OperatorQueue:
    """All server sets of one operator."""

    rule: Operator
    listed: bool
    """A known operator, whose servers behave alike; else a lone host."""
    pace: Pace
    errors: ErrorBudget
    limit: int | None
    """Most recipients to ask, from `pacing.daily_limits`."""
    servers: dict[tuple[tuple[str, ...], bool], ServerSet] = field(default_factory=dict)
    queued: deque[ServerSet] = field(default_factory=deque)
    """Servers with recipients waiting, asked in turn."""
    connections: int = 0
    asked: int = 0
    waiting: int = 0
    began: float = field(default_factory=time.monotonic)
    alarm: asyncio.TimerHandle | None = None
    waits_as: Standing | None = None
    """What it waits for a connection as, where all are taken."""

    def seconds_left(self, longest_reply: float) -> float:
        """Expected seconds until nothing waits here, at the pace so far.

        A conversation counts as one recipient more. Where the first reply has not come yet, it is expected to take as
        long again as it has taken, and never longer than `longest_reply` seconds.
        """
        if self.pace.stopped or not (self.waiting or self.connections):
            return 0.0
        elapsed = time.monotonic() - self.began
        left = (self.waiting + self.connections) * elapsed / max(self.asked, 1)
        return self.pace.pause_left() + (left if self.waiting else min(left, longest_reply))

    def too_many_connections(self) -> None:
        """It wants fewer connections than it has."""
        self.pace.cap = max(1, min(self.pace.cap, self.connections - 1))

    @property
    def busy(self) -> bool:
        """Whether something depends on remembering it."""
        return bool(
            self.listed
            or self.waiting
            or self.connections
            or self.alarm
            or self.waits_as is not None
            or self.pace.stopped
            or self.pace.pause_left()
        )


def in_order(hosts: tuple[MailHost, ...]) -> list[MailHost]:
    """By preference, equals shuffled (RFC 5321 section 5.1)."""
    return sorted(hosts, key=lambda host: (host.preference, random.random()))
