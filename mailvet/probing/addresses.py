"""Server addresses: how many connections each has, how fast it may be asked, and whether its replies stay in step.

Many names, and many operators, may lead to one address. Whatever its customers call it, one machine is asked at one
pace, and never over more connections than the cap.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailvet.probing.queues import OperatorQueue

__all__ = ["ServerAddress"]

_FIRST_INTERVAL = 0.3  # seconds between two recipients, after the first reply that asks for fewer in a second
_LONGEST_INTERVAL = 2.0  # so that a recipient between two canaries can still be proven
_AFTER_RATE_REPLY = 1.0  # seconds; such limits are counted by the second
_SHRINK_AFTER = 10  # recipients in a row without such a reply
_MOST_RATE_REPLIES = 12  # in a row, the longest intervals among them
_UNREACHABLE_FOR = 600.0  # seconds for which an address that failed is left aside
_BUSY_BEFORE_BACKUP = 2  # temporary refusals in a row before RCPT, from which on the backup is asked
_FIRST_BUSY_PAUSE = 1.0  # seconds after the first of them; doubles
_LONGEST_PAUSE = 300.0


@dataclass(slots=True, eq=False)
class ServerAddress:
    """One IP address (the port is the same for all). Times are seconds of `time.monotonic()`."""

    ip: str
    cap: int
    """Connections never exceeded; lowered where the server says that there are too many."""
    connections: int = 0
    """Open now, those included whose end the server may not have noticed yet."""
    sessions: int = 0
    """Conversations that have begun and go on."""
    unreachable_until: float = 0.0
    busy: int = 0
    """Temporary refusals in a row before a recipient was asked."""
    not_before: float = 0.0
    """No connection is opened before."""
    error_limit: int = 1 << 30
    """Refusals in one conversation at which it slowed down or hung up, less one."""
    careful: bool = False
    """Its replies were out of step: recipients are asked one by one, and each reply is checked."""
    recipients_per_session: int = 1 << 30
    """Lowered by conversations that were out of step while each reply was checked."""
    silent_faults: int = 0
    """Conversations in a row that were out of step before their first recipient."""
    refusal_seconds: float = 0.0
    """What a refusal took as a rule in the last conversation; as an acceptance, where there was none."""
    interval: float = 0.0
    """Seconds between two recipients; 0 where no limit is known."""
    next_at: float = 0.0
    """No recipient is asked before."""
    _since_rate_reply: int = 0
    _rate_replies: int = 0
    """In a row."""
    waiters: dict[OperatorQueue, None] = field(default_factory=dict)
    """Operators with recipients for which a connection was not to be had."""

    def may_connect(self, now: float) -> bool:
        """Whether one more connection may be opened now."""
        most = 1 if self.interval else self.cap
        return self.connections < most and self.not_before <= now

    def reachable(self, now: float) -> bool:
        """Whether it is worth a try."""
        return self.unreachable_until < now

    def failed(self) -> None:
        """No conversation could be opened: it is left aside for a while."""
        self.unreachable_until = time.monotonic() + _UNREACHABLE_FOR

    def opened(self) -> None:
        """A conversation was opened."""
        self.sessions += 1
        self.unreachable_until = 0.0
        self.busy = 0

    def closed(self) -> None:
        """A conversation that was opened is over."""
        self.sessions -= 1

    @property
    def needs_backup(self) -> bool:
        """Whether it was busy so often in a row that another host may be asked instead."""
        return self.busy >= _BUSY_BEFORE_BACKUP

    def refused_for_now(self, wait: float | None) -> None:
        """A temporary refusal before RCPT: come back later, each time later."""
        self.busy += 1
        pause = min(max(_FIRST_BUSY_PAUSE * 2 ** min(self.busy - 1, 16), wait or 0.0), _LONGEST_PAUSE)
        self.not_before = max(self.not_before, time.monotonic() + pause)

    def too_many_connections(self) -> None:
        """It wants fewer connections than it has."""
        self.cap = max(1, min(self.cap, self.connections - 1))

    def too_many_a_second(self) -> bool:
        """It wants fewer recipients in a second. Whether it is worth a try to go on, more slowly."""
        self._rate_replies += 1
        if self._rate_replies > _MOST_RATE_REPLIES:
            return False
        self._since_rate_reply = 0
        self.interval = min(max(_FIRST_INTERVAL, self.interval * 1.5), _LONGEST_INTERVAL)
        self.next_at = time.monotonic() + max(_AFTER_RATE_REPLY, self.interval)
        return True

    def replied(self) -> None:
        """It replied about a recipient."""
        self._rate_replies = self.silent_faults = 0

    def sent(self) -> None:
        """A recipient was sent."""
        if not self.interval:
            return
        self.next_at = time.monotonic() + self.interval
        self._since_rate_reply += 1
        if self._since_rate_reply >= _SHRINK_AFTER:
            self._since_rate_reply = 0
            self.interval /= 1.5 if self.interval > _FIRST_INTERVAL / 2 else 1.0

    def out_of_step(self, checked: int, *, careful: bool) -> None:
        """A conversation was out of step after so many recipients whose replies are known to be their own.

        The first time, recipients are asked one by one from now on; if that fails as well, no conversation asks more of
        them.

        Args:
            checked: recipients.
            careful: they were asked one by one already.
        """
        if careful:
            self.recipients_per_session = max(1, min(self.recipients_per_session, checked))
        self.careful = True
