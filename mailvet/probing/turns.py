"""Who gets the next connection, where there are more servers to be asked than connections to be had.

A server that never replies holds a connection until its time is out. So connections go first to servers that have
replied about a recipient. All others, the newcomers, share a part of the pool. While servers wait for their turn, a
newcomer that has not replied within the first time-out is left, and comes again with all of its time when every
other newcomer had its turn: some servers let clients wait on purpose before they greet them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailvet.probing.queues import OperatorQueue

__all__ = ["Contact", "Standing", "Turns"]

_FIRST_TIMEOUT = 3.0  # seconds, until enough servers have replied to tell what is usual
_LEAST_FIRST_TIMEOUT = 1.0
_LONGEST_FIRST_TIMEOUT = 10.0
_ENOUGH_REPLIES = 5
_TIMES_USUAL = 8.0  # as long as half of the servers take
_SHARE = 5  # a fifth of the connections is kept for servers that replied
_ONE_IN = 5  # connections for which others wait: at least one in so many goes to a newcomer


class Standing(IntEnum):
    """What servers have shown in this run, in the order in which they are asked."""

    proven = 0
    """They replied about a recipient."""
    newcomer = 1
    again = 2
    """They were left after the first time-out."""


_NEWCOMER_FIRST = (Standing.newcomer, Standing.proven, Standing.again)


@dataclass(slots=True, eq=False)
class Contact:
    """One connection to servers, from the moment it is asked for."""

    standing: Standing
    began: float
    """`time.monotonic()` at which the server that is tried now was contacted."""
    leave: Callable[[], bool] | None = None
    """Ends what it waits for; whether it waited for anything."""
    left: bool = False
    """It was ended because others waited."""


@dataclass(slots=True, eq=False)
class Turns:
    """The connections of one pool and who waits for them.

    Attributes:
        connections: most at once.
        taken: open now.
    """

    connections: int
    taken: int = 0
    _newcomers: dict[Contact, None] = field(default_factory=dict)
    _again: int = 0
    _proven_in_a_row: int = 0
    _waiting: tuple[deque[OperatorQueue], ...] = field(default_factory=lambda: tuple(deque() for _ in Standing))
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    """From the contact to the first reply about a recipient, of the servers that replied last."""
    _timer: asyncio.TimerHandle | None = None

    # ---------------------------------------------------------------- connections

    def has_room(self, standing: Standing) -> bool:
        """Whether servers of this standing may be contacted now."""
        if self.taken >= self.connections:
            return False
        newcomers, most = len(self._newcomers) + self._again, self.connections - self.connections // _SHARE
        if standing is Standing.proven:
            return True
        if standing is Standing.again and self._again >= max(1, most // 2):
            return False
        return newcomers < most

    def take(self, standing: Standing) -> Contact:
        """A connection is asked for; `free` it in the end."""
        contact = Contact(standing, time.monotonic())
        self.taken += 1
        self._count(contact)
        return contact

    def replied(self, contact: Contact) -> None:
        """The servers replied about a recipient: the connection counts as one of a proven server from now on."""
        if contact.standing is Standing.proven:
            return
        self._seconds.append(time.monotonic() - contact.began)
        self._discount(contact)
        contact.standing, contact.leave = Standing.proven, None

    def free(self, contact: Contact) -> None:
        """The connection is over."""
        self.taken -= 1
        self._discount(contact)
        contact.leave = None

    def _count(self, contact: Contact) -> None:
        if contact.standing is Standing.newcomer:
            self._newcomers[contact] = None
        elif contact.standing is Standing.again:
            self._again += 1

    def _discount(self, contact: Contact) -> None:
        if contact.standing is Standing.newcomer:
            self._newcomers.pop(contact, None)
        elif contact.standing is Standing.again:
            self._again -= 1

    # ---------------------------------------------------------------- waiting

    def __bool__(self) -> bool:
        """Whether an operator waits for its turn."""
        return any(self._waiting)

    def wait(self, queue: OperatorQueue, standing: Standing) -> None:
        """An operator has recipients at servers of this standing, and there was no room."""
        if queue.waits_as is None or standing < queue.waits_as:
            queue.waits_as = standing
            self._waiting[standing].append(queue)
        if standing is not Standing.again:
            self._leave_late()

    def next(self) -> OperatorQueue | None:
        """The operator whose turn it is, if there is a connection for it."""
        for standing in _NEWCOMER_FIRST if self._proven_in_a_row >= _ONE_IN - 1 else tuple(Standing):
            waiting = self._waiting[standing]
            while waiting and waiting[0].waits_as is not standing:  # it had an earlier turn
                waiting.popleft()
            if waiting and self.has_room(standing):
                queue = waiting.popleft()
                queue.waits_as = None
                self._proven_in_a_row = self._proven_in_a_row + 1 if standing is Standing.proven else 0
                return queue
        return None

    # ---------------------------------------------------------------- the first time-out

    @property
    def first_timeout(self) -> float:
        """Seconds within which a newcomer is to reply while others wait."""
        if len(self._seconds) < _ENOUGH_REPLIES:
            return _FIRST_TIMEOUT
        return min(max(_TIMES_USUAL * statistics.median(self._seconds), _LEAST_FIRST_TIMEOUT), _LONGEST_FIRST_TIMEOUT)

    def _leave_late(self) -> None:
        """Leave the newcomers whose first time-out is over, now and later, as long as others wait."""
        if self._timer is not None:
            return
        now, timeout, nearest = time.monotonic(), self.first_timeout, None
        for contact in list(self._newcomers):
            if contact.leave is None or contact.left:
                continue
            late = contact.began + timeout - now
            if late <= 0:
                contact.left = contact.leave()
            elif nearest is None or late < nearest:
                nearest = late
        if nearest is None and not self._newcomers:
            return
        delay = max(min(nearest or timeout, timeout), 0.02)
        self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if any(queue.waits_as is not None for waiting in self._waiting[: Standing.again] for queue in waiting):
            self._leave_late()

    def close(self) -> None:
        """Leave no server any more."""
        if self._timer is not None:
            self._timer.cancel()
