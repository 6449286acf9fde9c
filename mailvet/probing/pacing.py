"""How fast each operator may be asked.

Additive increase while replies are clean, halving when it throttles, and a full stop for the run when it says that we
are blocked.

One `Pace` belongs to one operator, the owner of the mail servers, because operators count our connections over all
their servers; so does one `ErrorBudget`, how many refusals they bear in one conversation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["ErrorBudget", "Pace", "quiet_for"]

_START = 2
_GROW_AFTER = 10  # clean replies for one more connection
_FIRST_PAUSE = 2.0  # seconds after the first throttling reply; doubles with each that follows
_LONGEST_PAUSE = 300.0
_THROTTLED_TOO_OFTEN = 8
_SURELY_TOLERATED = 5  # refusals in one conversation that every server tolerates
_FURTHER = (
    4  # refusals beyond those known to be tolerated that may be on their way: 9 at first, as Postfix minds the tenth
)
_SOFT_LIMIT = 10  # refusals from which on Postfix is slow; the next number of its own is the twentieth


@dataclass(slots=True)
class Pace:
    """The pace of one operator. Times are seconds of `time.monotonic()`."""

    cap: int
    """Connections never exceeded."""
    limit: int = field(init=False)
    """Connections allowed now."""
    stopped: str | None = None
    """Why the operator is not asked any more in this run."""
    resume_at: float = 0.0
    _clean: int = 0
    _throttled: int = 0

    def __post_init__(self) -> None:
        self.limit = min(_START, self.cap)

    def pause_left(self) -> float:
        """Seconds until the operator may be asked again; 0 when it may now."""
        return max(0.0, self.resume_at - time.monotonic())

    def clean(self) -> bool:
        """A reply about a recipient came, whatever it said. Returns whether the limit has grown."""
        self._clean += 1
        if self._clean < _GROW_AFTER:
            return False
        self._clean = 0
        self._throttled = max(0, self._throttled - 1)
        if self.limit >= self.cap:
            return False
        self.limit += 1
        return True

    def throttled(self, wait: float | None = None) -> None:
        """The operator asked for less: halve, pause (at least `wait` seconds if it named a time), give up at last."""
        self._clean = 0
        self._throttled += 1
        self.limit = max(1, self.limit // 2)
        pause = min(max(_FIRST_PAUSE * 2 ** (self._throttled - 1), wait or 0.0), _LONGEST_PAUSE)
        self.resume_at = max(self.resume_at, time.monotonic() + pause)
        if self._throttled >= _THROTTLED_TOO_OFTEN:
            self.stopped = "it keeps asking for fewer questions"

    def blocked(self) -> None:
        """The operator refuses us, whatever the recipient is."""
        self.stopped = "it refuses us"


@dataclass(slots=True)
class ErrorBudget:
    """How many refusals in one conversation the servers of one operator bear.

    Unknown recipients are errors of the client to a mail server. Postfix slows down from the tenth error and hangs up
    at the twentieth (postconf(5): smtpd_soft_error_limit, smtpd_hard_error_limit; neither RSET nor an accepted
    recipient resets the count), others sooner. So the budget starts small, grows by what is seen to be tolerated, and
    never again comes near the number at which a server slowed down, limit_reached or hung up.
    """

    limit: int
    """Refusals never exceeded; lowered for good by `limit_reached`."""
    tolerated: int = _SURELY_TOLERATED
    """Refusals in one conversation that went by without any sign of displeasure."""

    def room(self, errors: int) -> int:
        """Recipients that may be named after so many refusals, each of them counted as if it were refused."""
        return min(self._reach, self.limit) - errors

    @property
    def growing(self) -> bool:
        """Whether the servers may bear more than has been tried."""
        return self._reach < self.limit

    @property
    def _reach(self) -> int:
        # A server as prompt after the tenth tolerates all numbers before that at which Postfix hangs up.
        return self.tolerated + _FURTHER if self.tolerated <= _SOFT_LIMIT else self.limit

    def tolerate(self, errors: int) -> None:
        """So many refusals were given promptly."""
        self.tolerated = max(self.tolerated, errors)

    def limit_reached(self, errors: int) -> bool:
        """At this number of refusals the server slowed down, said that it had enough, or hung up.

        Returns whether the limit explains that: learnt now, or meanwhile from another conversation, when this one was
        beyond it already.
        """
        limit = max(1, errors - 1)
        if errors >= 1 and limit < self.limit:
            self.limit = limit
            return True
        return errors > self.limit


def quiet_for(span: str, now: datetime) -> float | None:
    """Seconds until the quiet hours end, None outside them."""
    start, end = (int(part) for part in span.split("-"))
    into = (now.hour - start) % 24 * 3600 + now.minute * 60 + now.second
    length = (end - start) % 24 * 3600
    return float(length - into) if into < length else None
