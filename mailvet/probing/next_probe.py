"""
Which recipient of a server set is asked next in a conversation: one that waits, a control, or a canary, as what the
replies so far still need.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailvet.probing.canary import SHORT, Acceptance
from mailvet.probing.domain import MailboxResult, Probe, Role
from mailvet.probing.proof import ConversationProof
from mailvet.probing.queues import ServerSet, Way
from mailvet.probing.reply_times import ReplyTimes
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["TRIES", "Course", "NextProbe"]

TRIES = 2  # conversations a recipient may break before that becomes its result
_SLOW_REPLY_SECONDS = 1.0  # from which on nothing is sent ahead to a server that takes its time
_REFUSALS_WITHOUT_CANARY = 2
_MOST_PASSED = 50  # recipients of a domain that may accept all, behind which others are looked for
_RESERVED = 2  # recipients of a conversation that are kept for a control and a canary at its end
_FEW = 4  # waiting recipients, up to which controls are asked after them: there they serve as the last refusal too


@dataclass(slots=True, eq=False)
class Course:
    """How far a conversation has come."""

    careful: bool
    """Recipients are asked one by one, and each reply is checked."""
    times: ReplyTimes
    outstanding: deque[Probe] = field(default_factory=deque)
    """Sent, in the order in which the replies will come."""
    since_canary: int = 0
    """Sent since the last canary was."""
    answered: int = 0
    errors: int = 0
    closing: bool = False
    """No further recipient is asked; what proves the replies so far still is."""
    over: bool = False
    """Nothing more is asked at all."""


class NextProbe:
    """
    The choice for one conversation.

    Attributes:
        passed: recipients wait whose domain may accept all.
    """

    def __init__(
        self, pool: Mailboxes, servers: ServerSet, way: Way, session: Session, proof: ConversationProof, course: Course
    ) -> None:
        self._pool = pool
        self._servers = servers
        self._operator = servers.operator
        self._address = way.address
        self._place = way.place
        self._session = session
        self._proof = proof
        self._course = course
        self.passed = False
        self._asks_queued_canary = False
        self._passed_on: set[Probe] = set()
        """What is to be asked at another server."""
        self._led = False
        self._led_after: Acceptance | None = None

    def canary_is_through(self) -> None:
        """The canary that was queued for earlier conversations is answered, or will not be."""
        if self._asks_queued_canary:
            self._asks_queued_canary = False
            self._place.canary_at = None

    def choose(self) -> Probe | None:
        """Who is to be asked next, if anybody may be asked now."""
        proof, place = self._proof, self._place
        outstanding = len(self._course.outstanding)
        most = self.most()
        if self._course.over or proof.over or self._course.answered + outstanding >= most:
            return None
        if proof.canary_first or proof.canary_refused == 1:
            return proof.canary() if not proof.canaries_out and not (proof.canary_first and outstanding) else None
        exposed = (0 if proof.canaries_out else len(proof.unproven)) + min(self._course.since_canary, outstanding)
        if proof.knows_canary and most >= SHORT:
            if exposed >= min(place.refusals_per_canary, self._course.times.most_between_canaries):
                return proof.canary() if not proof.canaries_out else None
            if not proof.canaries_out and self._course.times.allow_proof:
                if self._proof_is_late():
                    return proof.canary()
                if not proof.unproven and self._acceptance_is_old():
                    if outstanding:
                        return None
                    if not self._may_lead():
                        return proof.canary()
        room = self._remaining_slots()
        if proof.controls and room > 0 and not (self._few_waiting() and room > len(proof.controls)):
            return self._control()
        if room > len(proof.controls) + bool(proof.trailing and proof.refusals):
            probe = self._next_recipient()
            if probe is None and proof.controls and room > 0:
                return self._control()
            if probe is not None:
                return probe
        if proof.controls and room > 0:
            return self._control()
        if outstanding:
            return None
        return self._proving_probe()

    def _control(self) -> Probe | None:
        """The next control; before it, where need be, a recipient of its domain that was accepted."""
        proof = self._proof
        first = proof.before_control(proof.controls[0], time.monotonic())
        if first is None or not self._course.times.allow_proof:
            return proof.controls.popleft()
        return first if not self._course.outstanding else None

    def _proving_probe(self) -> Probe | None:
        """With nobody else to ask: what the replies so far still need."""
        proof = self._proof
        if self.most() < SHORT:
            return None
        if proof.closing_due and self._operator.errors.room(self._course.errors) > 0:
            return proof.closing()
        probe = proof.domain_canary()
        if probe is not None:
            return probe
        return proof.canary() if proof.canary_due and self._course.times.allow_proof else None

    def _next_recipient(self) -> Probe | None:
        """The next of the queue that may be asked here."""
        pool, servers, proof = self._pool, self._servers, self._proof
        if self._course.closing or not servers.waiting or self._asks_queued_canary:
            return None
        passed: list[Probe] = []
        found: Probe | None = None
        while (probe := pool.next_in_time(servers, self._session)) is not None:
            if probe.at is not None and probe.at.place != self._place.key:
                self._pass_on(probe, passed)
            elif probe.role is Role.canary:
                if self._place.open:
                    self._asks_queued_canary = True
                    found = probe
                    break
                self._place.canary_at = None
            elif probe.role is Role.closing:
                self._place.closing_queued = False
                if self._place.unconfirmed:
                    found = probe
                    break
            elif probe.role is Role.control:
                proof.controls.append(probe)
                break
            elif self._place.canary_at is not None:
                passed.append(probe)  # the canary is behind it, or in another queue
                if len(passed) >= _MOST_PASSED:
                    break
            elif probe.domain.at(self._place.key).accept_all_pending:
                passed.append(probe)
                if len(passed) >= _MOST_PASSED:
                    break
            else:
                found = probe
                break
        if passed and found is None:
            if self._place.canary_at is not None or all(probe.at is not None for probe in passed):
                self._course.closing = True
            else:
                self.passed = True
        for probe in reversed(passed):
            pool.enqueue(servers, probe, first=True, wake=False)
        return found

    def _pass_on(self, probe: Probe, passed: list[Probe]) -> None:
        """It is to be asked at another server. Where conversation after conversation comes to this one, it is not."""
        if probe not in self._passed_on:
            self._passed_on.add(probe)
            probe.attempts += 1
        if probe.attempts <= TRIES:
            passed.append(probe)
        else:
            self._pool.report(probe, MailboxResult(Reason.connect_failed))

    def _few_waiting(self) -> bool:
        return not self._course.closing and 0 < len(self._servers.waiting) <= _FEW

    def most(self) -> int:
        """Recipients that this conversation may have in all."""
        return min(self._pool.recipients_per_session(self._servers), self._address.recipients_per_session)

    def _remaining_slots(self) -> int:
        """How many recipients may still be sent now, if all of those not answered yet should be refused."""
        operator, due = self._operator, len(self._course.outstanding)
        pace = operator.pace
        if (
            operator.connections > pace.limit
            or (pace.resume_at and pace.pause_left() > 0)
            or self._pool.closed(operator) is not None
        ):
            self._course.closing = True
            return 0
        most = self.most()
        room = min(
            most - (_RESERVED if most >= SHORT else 0) - self._course.answered,
            operator.errors.room(self._course.errors),
            self._address.error_limit - self._course.errors,
            self._refusals_allowed() - self._proof.refusals,
        )
        if operator.limit is not None:
            room = min(room, operator.limit - self._pool.spent(operator) + due)
        if room <= 0:
            self._course.closing = True
        return room - due

    def _refusals_allowed(self) -> int:
        # Without a canary no conversation goes far: some servers refuse everybody after a few unknown recipients, and
        # there is nobody yet to show it.
        most = self._place.refusals_allowed
        return most if self._proof.knows_canary else min(most, _REFUSALS_WITHOUT_CANARY)

    def _proof_is_late(self) -> bool:
        """Whether a canary is to be asked now, so that the refusals before it lie close between two acceptances."""
        if not self._proof.unproven:
            return False
        latest = self._place.latest(time.monotonic())
        if latest is None:
            return True
        return self._course.times.proof_is_late(time.monotonic() - latest.began)

    def _acceptance_is_old(self) -> bool:
        """Whether the last acceptance lies so far back that a refusal now could hardly be proven."""
        latest = self._place.latest(time.monotonic())
        return latest is None or self._course.times.is_old(time.monotonic() - latest.began)

    def _may_lead(self) -> bool:
        """
        Whether a recipient is asked in the place of the canary that is due: where most are accepted, it will be the
        acceptance that is wanted. If it is refused, a canary follows, and it is asked again.
        """
        latest = self._place.latest(time.monotonic())
        if self._led and latest is self._led_after:
            return False
        self._led, self._led_after = True, latest
        return self._place.mostly_accepts

    def in_groups(self) -> bool:
        """Whether several may be sent before the first of them is answered."""
        session, place = self._session, self._place
        return (
            session.pipelining
            and self._operator.rule.pipelining
            and max(session.slowest, self._course.times.refusal) < _SLOW_REPLY_SECONDS
            # The first are asked one by one, until these servers are known to tell recipients apart.
            and bool(place.canaries.get(self._servers.group_key))
            and not self._course.careful
            and not place.in_doubt
            and self._servers.group > 1
        )
