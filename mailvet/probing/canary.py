"""Whether refusals can be trusted: what one place has shown about refusing, or accepting, every recipient.

Harvest protection counts unknown recipients by client address, over conversations, and replies in the very words of a
true refusal, for seconds or for the day. So a refusal counts when it is among the first two of a place that was left
alone, or stands between two acceptances of recipients known to exist, canaries, that lie close together in time.
`postmaster` is no canary: RFC 5321 section 4.5.1 obliges servers to accept it from every client.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from mailvet.probing.memory import CANARY_DAYS, KEPT_CANARIES, Canary, RefusedRuns, ServerMemory, Suspicion

if TYPE_CHECKING:
    from mailvet.probing.domain import DomainAtPlace, Probe
    from mailvet.probing.proof import Exchange
    from mailvet.probing.queues import OperatorQueue, ServerSet

__all__ = ["BETWEEN_SECONDS", "Acceptance", "Place", "is_canary_name"]

BETWEEN_SECONDS = 5.0
"""Most seconds between the two acceptances that prove the refusals between them, the server's own time included."""
PROOF_ASKS = 4
"""How often a recipient is asked in a run for the sake of proof."""
SHORT = 4
"""A conversation of fewer recipients leaves its canary to one that follows."""
REFUSALS_PER_CANARY = 10
REFUSALS_PER_CANARY_OVER_CONVERSATIONS = 6
REFUSALS_PER_CANARY_AFTER_SUSPICION = 3
_FREE_REFUSALS = 2  # refusals that count without proof, once a place was left alone
_LEFT_ALONE = 600.0  # seconds
_RESTS = (5.0, 20.0, 60.0, 300.0)  # seconds for which a place that shut us out is left alone, time after time
_ACCEPTANCES = 64  # kept; more than come within five seconds one after the other
_LEAST_ALLOWED = 2


class Acceptance:
    """A canary was accepted, or the place was contacted for the first time. Times are `time.monotonic()`."""

    __slots__ = ("at", "began", "void")

    def __init__(self, began: float, at: float) -> None:
        self.began = began
        """When the server began with the reply."""
        self.at = at
        """When the reply came."""
        self.void = False
        """The conversation was out of step, so it was the reply to something else."""


@dataclass(slots=True, eq=False)
class Place:
    """A server address, or all servers of a listed operator. Times are seconds of `time.monotonic()`."""

    key: str
    memory: ServerMemory
    canaries: dict[str, deque[tuple[str, str]]] = field(default_factory=dict)
    """
    Local part and domain of recipients known to exist, asked in turn. By group of servers: at a listed operator, one
    customer's servers need not serve another's recipients; at a server address there is one group.
    """
    acceptances: deque[Acceptance] = field(default_factory=lambda: deque(maxlen=_ACCEPTANCES))
    distinguishing: dict[str, dict[str, DomainAtPlace]] = field(default_factory=dict)
    """Domains whose control was refused here, by group of servers and name."""
    servers: dict[str, ServerSet] = field(default_factory=dict)
    """A set of servers for each group."""
    free_refusals: int = 0
    last_asked: float | None = None
    replied: bool = False
    """It replied about a recipient in this run, and was not silent since."""
    refusals_per_canary: int = REFUSALS_PER_CANARY
    conversations_allowed: int = 1 << 30
    """Side by side; halved whenever it shuts us out, since one canary proves nothing about those beside it."""
    refusals_allowed: int = 1 << 30
    """Refusals in one conversation; lowered where it refused or accepted every recipient after some."""
    doubted: int = 0
    """Refusals that the last proof covered in a conversation that ended with canaries refused; 0: no such doubt."""
    suspicious: bool = False
    """It refused canaries, and has not accepted one since."""
    rests: int = 0
    rest_until: float = 0.0
    waiting: int = 0
    """Recipients in the queues of its servers."""
    expected: int = 0
    """Controls that come back to it after a while."""
    conversations: int = 0
    idle: int = 0
    """Of these, conversations that have no recipient to ask at the moment."""
    refusals_seen: int = 0
    recipients_accepted: int = 0
    recipients_refused: int = 0
    accepted_any: bool = False
    policy_refusals: int = 0
    """Refusals of us in a row."""
    held: list[tuple[ServerSet, Exchange]] = field(default_factory=list)
    """Refusals that wait for a first canary."""
    open: list[tuple[ServerSet, Exchange]] = field(default_factory=list)
    """Refusals of conversations too short for a canary of their own."""
    unconfirmed: list[tuple[ServerSet, Exchange]] = field(default_factory=list)
    """Acceptances that wait for a refusal in a later conversation."""
    undecided: dict[DomainAtPlace, ServerSet] = field(default_factory=dict)
    canary_at: ServerSet | None = None
    """
    Whose queue holds a canary for the refusals of earlier conversations, or who is being asked it; meanwhile no other
    recipient is asked.
    """
    canaries_queued: int = 0
    """Since one was accepted."""
    canaries_refused: int = 0
    """In a row."""
    closing_queued: bool = False
    closings: int = 0
    """Closing controls in a row that brought nothing."""
    waiters: dict[OperatorQueue, None] = field(default_factory=dict)
    """Operators with recipients for which a connection was not to be had."""
    alarm: asyncio.TimerHandle | None = None
    look_alarm: asyncio.TimerHandle | None = None
    """Looks at what waits here, should no conversation do so."""
    looks: int = 0
    """In a row that found it quiet, and the same waiting."""
    _words: str | None = None
    _many_words: bool = False

    def __post_init__(self) -> None:
        suspicion = self.memory.suspicions.get(self.key)
        if suspicion is not None:
            self.suspicious = True
            self.rests = suspicion.rests
            self.refusals_per_canary = REFUSALS_PER_CANARY_AFTER_SUSPICION
            if suspicion.until is not None:
                left = (suspicion.until - datetime.now(timezone.utc)).total_seconds()
                self.rest_until = time.monotonic() + left if left > 0 else 0.0

    def recall(self, name: str, group: str) -> None:
        """Take over the canaries that earlier runs found under the key of a place or the name of a host."""
        oldest = datetime.now(timezone.utc) - timedelta(days=CANARY_DAYS)
        for canary in self.memory.canaries.get(name, ()):
            if canary.accepted_at >= oldest and is_canary_name(canary.local):
                self.remember((canary.local, canary.domain), group)

    def remember(self, canary: tuple[str, str], group: str) -> bool:
        """Ask this canary in the conversations to come; whether it is a new one."""
        known = self.canaries.setdefault(group, deque(maxlen=KEPT_CANARIES))
        if canary in known:
            return False
        known.append(canary)
        return True

    def forget_canaries_of(self, domain: str, group: str) -> None:
        """Those of a domain are not known to exist after all."""
        known = [canary for canary in self.canaries.get(group, ()) if canary[1] != domain]
        if known:
            self.canaries[group] = deque(known, maxlen=KEPT_CANARIES)
        else:
            self.canaries.pop(group, None)

    # ---------------------------------------------------------------- contact

    def contacted(self, began: float) -> None:
        """A connection was opened.

        At the first contact the opening stands for an acceptance, and two refusals count.
        """
        now = time.monotonic()
        self.looks = 0
        if self.last_asked is None or now - self.last_asked >= _LEFT_ALONE:
            self.last_asked = now
            if not self.suspicious:
                self.free_refusals = _FREE_REFUSALS
                self.acceptances.append(Acceptance(began, now))

    def resting(self, now: float) -> bool:
        """It is left alone for now."""
        return self.rest_until > now

    def given_up(self, wait_until: float) -> bool:
        """Its rest lasts longer than the run waits."""
        now = time.monotonic()
        return self.rest_until > now and self.rest_until > wait_until

    @property
    def shut_us_out(self) -> bool:
        """It refused canaries, in this run or before it."""
        return self.refusals_per_canary < REFUSALS_PER_CANARY

    @property
    def mostly_accepts(self) -> bool:
        """Whether most recipients were accepted here."""
        return self.recipients_accepted >= self.recipients_refused

    @property
    def one_connection(self) -> bool:
        """Whether one connection must do."""
        return self.in_doubt or self.canary_at is not None

    @property
    def in_doubt(self) -> bool:
        """Whether a canary comes first."""
        return self.suspicious or bool(self.doubted)

    @property
    def quiet(self) -> bool:
        """No recipient waits for it, and none is being asked."""
        return not self.waiting and not self.expected and self.conversations == self.idle

    @property
    def pending(self) -> bool:
        """Replies received here wait for something that is still to be asked."""
        return bool(self.held or self.open or self.unconfirmed or self.undecided)

    # ---------------------------------------------------------------- canaries

    def next_canary(self, group: str) -> tuple[str, str] | None:
        """Local part and domain of the canary of a group of servers whose turn it is."""
        known = self.canaries.get(group)
        if not known:
            return None
        known.rotate(-1)
        return known[-1]

    def add_canary(self, probe: Probe, group: str) -> None:
        """A recipient exists, as far as can be told."""
        local, domain = probe.local, probe.domain.name
        if not is_canary_name(local):
            return
        self.remember((local, domain), group)
        if probe.domain.answers == "unverifiable":
            return
        key = group or self.key
        kept = [one for one in self.memory.canaries.get(key, ()) if (one.local, one.domain) != (local, domain)]
        kept.append(Canary(local, domain, datetime.now(timezone.utc)))
        self.memory.canaries[key] = kept[-KEPT_CANARIES:]

    def accepted(self, began: float, at: float, *, at_start: bool) -> Acceptance:
        """A canary was accepted.

        Args:
            began: when the server began with its reply.
            at: when the reply came.
            at_start: the conversation began with a canary.
        """
        acceptance = Acceptance(began, at)
        self.acceptances.append(acceptance)
        self.canaries_refused = self.canaries_queued = 0
        if self.suspicious:
            self.suspicious = False
            self.rests = 0
            self.rest_until = 0.0
            self.memory.suspicions.pop(self.key, None)
        if self.doubted and at_start:  # it was the conversation that had enough
            self.refusals_allowed = min(self.refusals_allowed, self.doubted)
            self.doubted = 0
        return acceptance

    def latest(self, until: float) -> Acceptance | None:
        """The last acceptance whose reply had come at that time."""
        for acceptance in reversed(self.acceptances):
            if acceptance.at <= until and not acceptance.void:
                return acceptance
        return None

    def shut_out(self, *, at_start: bool, covered: int) -> None:
        """Two canaries were refused in one conversation, which began with one or not (`at_start`).

        The last proof in it covered so many refusals. A new conversation shows whether this one had enough of us, or
        the place has.
        """
        if not at_start and not self.suspicious:
            self.canaries_refused = 0
            self.doubted = covered or (_LEAST_ALLOWED if self.refusals_allowed > _LEAST_ALLOWED else 1)
            return
        now = time.monotonic()
        self.doubted = self.canaries_refused = 0
        self.suspicious = True
        self.conversations_allowed = max(1, min(self.conversations_allowed, self.conversations) // 2)
        self.free_refusals = 0
        self.refusals_per_canary = REFUSALS_PER_CANARY_AFTER_SUSPICION
        if self.rest_until <= now:
            self.rest_until = now + _RESTS[min(self.rests, len(_RESTS) - 1)]
            self.rests += 1
        moment = datetime.now(timezone.utc)
        before = self.memory.suspicions.get(self.key)
        until = moment + timedelta(seconds=self.rest_until - now)
        self.memory.suspicions[self.key] = Suspicion(before.since if before else moment, self.rests, until)

    # ---------------------------------------------------------------- refusing all, run after run

    def note_words(self, words: str) -> None:
        """A recipient or control was refused in these words."""
        self.refusals_seen += 1
        if self._words is None:
            self._words = words
        elif words != self._words:
            self._many_words = True

    def contradict(self) -> None:
        """A recipient was accepted, so it does not refuse all."""
        self.accepted_any = True
        self.policy_refusals = 0
        self.memory.refused_runs.pop(self.key, None)

    def refused_for_good(self) -> bool:
        """Whether, with this run, all were refused in the same words in three runs on three days."""
        if self._words is None or self._many_words or self.accepted_any or self.canaries:
            return False
        runs = self.memory.refused_runs.get(self.key) or RefusedRuns(self._words, ())
        runs = runs.another(self._words, datetime.now(timezone.utc).date())
        self.memory.refused_runs[self.key] = runs
        return runs.final


def is_canary_name(local: str) -> bool:
    """Whether its acceptance says something."""
    return local.casefold() != "postmaster"
