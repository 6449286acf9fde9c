"""Which recipient is asked next in a conversation: one that waits, a control, or a canary."""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING

from mailvet.probing.canary import SHORT, Acceptance
from mailvet.probing.course import TRIES, Course
from mailvet.probing.domain import MailboxResult, Probe, Role
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["NextProbe"]

_SLOW_REPLY_SECONDS = 1.0  # from which on nothing is sent ahead to a server that takes its time
_REFUSALS_WITHOUT_CANARY = 2
_MOST_PASSED = 50  # recipients of a domain that may accept all, behind which others are looked for
_RESERVED = 2  # recipients of a conversation that are kept for a control and a canary at its end
_FEW = 4  # waiting recipients, up to which controls are asked after them: there they serve as the last refusal too


class _Canary(Enum):
    """When a canary is to be asked."""

    now = "now"
    after_replies = "after the replies that are outstanding"
    not_due = "not yet"


class _Fate(Enum):
    """What becomes of a recipient of the queue."""

    ask = "asked now"
    ask_as_control = "asked with the controls of the conversation"
    pass_on = "waits for a conversation with another server"
    keep_waiting = "waits for a reply to another recipient"
    drop = "needs no reply any more"


class NextProbe:
    """The choice for one conversation.

    Attributes:
        passed: recipients wait whose domain may accept all.
    """

    def __init__(self, pool: Mailboxes, course: Course) -> None:
        self._pool = pool
        self._course = course
        self.passed = False
        self._asks_queued_canary = False
        self._passed_on: set[Probe] = set()
        """What is to be asked at another server."""
        self._led = False
        self._led_after: Acceptance | None = None

    def canary_is_through(self) -> None:
        """The canary that was queued for earlier conversations has its reply, or will get none."""
        if self._asks_queued_canary:
            self._asks_queued_canary = False
            self._course.place.canary_at = None

    def choose(self) -> Probe | None:
        """The recipient to be asked next; None where none may be asked now."""
        course, proof = self._course, self._course.proof
        if course.over or proof.over or course.replies + len(course.outstanding) >= self.most():
            return None
        canary = self._canary_due()
        if canary is _Canary.now:
            return None if proof.canaries_out else proof.canary()
        if canary is _Canary.after_replies:
            return None
        slots = self._remaining_slots()
        if proof.controls and slots > 0 and not (self._few_waiting() and slots > len(proof.controls)):
            return self._control()
        if slots > len(proof.controls) + bool(proof.trailing and proof.refusals):
            probe = self._next_recipient()
            if probe is not None:
                return probe
        if proof.controls and slots > 0:
            return self._control()
        if course.outstanding:
            return None
        return self._proving_probe()

    def _canary_due(self) -> _Canary:
        """Whether a canary comes before any other recipient."""
        course, proof = self._course, self._course.proof
        outstanding = len(course.outstanding)
        if proof.canary_first:
            return _Canary.after_replies if outstanding else _Canary.now
        if proof.canary_refused == 1:
            return _Canary.now
        if not proof.knows_canary or self.most() < SHORT:
            return _Canary.not_due
        exposed = (0 if proof.canaries_out else len(proof.unproven)) + min(course.since_canary, outstanding)
        if exposed >= min(course.place.refusals_per_canary, course.times.most_between_canaries):
            return _Canary.now
        if proof.canaries_out or not course.times.allow_proof:
            return _Canary.not_due
        if proof.unproven:
            return _Canary.now if self._proof_is_late() else _Canary.not_due
        if not self._acceptance_is_old():
            return _Canary.not_due
        if outstanding:
            return _Canary.after_replies
        return _Canary.not_due if self._may_lead() else _Canary.now

    def _control(self) -> Probe | None:
        """The next control; before it, where need be, a recipient of its domain that was accepted."""
        proof = self._course.proof
        first = proof.before_control(proof.controls[0], time.monotonic())
        if first is None or not self._course.times.allow_proof:
            return proof.controls.popleft()
        return first if not self._course.outstanding else None

    def _proving_probe(self) -> Probe | None:
        """With no other recipient to ask: what the replies so far still need."""
        proof = self._course.proof
        if self.most() < SHORT:
            return None
        if proof.closing_due and self._course.operator.errors.room(self._course.errors) > 0:
            return proof.closing()
        probe = proof.domain_canary()
        if probe is not None:
            return probe
        return proof.canary() if proof.canary_due and self._course.times.allow_proof else None

    def _next_recipient(self) -> Probe | None:
        """The next of the queue that may be asked here."""
        course, place = self._course, self._course.place
        if course.closing or not course.servers.waiting or self._asks_queued_canary:
            return None
        passed: list[Probe] = []
        found: Probe | None = None
        while (probe := self._next_in_time()) is not None:
            fate = self._fate(probe)
            if fate is _Fate.ask:
                found = probe
            elif fate in (_Fate.pass_on, _Fate.keep_waiting):
                passed.append(probe)
            if fate in (_Fate.ask, _Fate.ask_as_control):
                break
            if fate is _Fate.keep_waiting and len(passed) >= _MOST_PASSED:
                break
        if passed and found is None:
            if place.canary_at is not None or all(probe.at is not None for probe in passed):
                course.closing = True
            else:
                self.passed = True
        for probe in reversed(passed):
            self._pool.enqueue(course.servers, probe, first=True, wake=False)
        return found

    def _fate(self, probe: Probe) -> _Fate:
        """What is to be done with a recipient of the queue, taken in where it is not asked for its own sake."""
        place = self._course.place
        if probe.at is not None and probe.at.place != place.key:
            return self._pass_on(probe)
        if probe.role is Role.canary:
            if place.open:
                self._asks_queued_canary = True
                return _Fate.ask
            place.canary_at = None
            return _Fate.drop
        if probe.role is Role.closing:
            place.closing_queued = False
            return _Fate.ask if place.unconfirmed else _Fate.drop
        if probe.role is Role.control:
            self._course.proof.controls.append(probe)
            return _Fate.ask_as_control
        if place.canary_at is not None:  # the canary is behind it, or in another queue
            return _Fate.keep_waiting
        return _Fate.keep_waiting if probe.domain.at(place.key).accept_all_pending else _Fate.ask

    def _next_in_time(self) -> Probe | None:
        """The next recipient of the queue whose budget of time is not spent."""
        pool, course = self._pool, self._course
        while (probe := pool.next_waiting(course.servers)) is not None:
            if probe.role is not Role.recipient or probe.deadline is None:
                break
            if probe.timeout(pool.smtp.address_budget) > 0:
                break
            pool.report(probe, course.too_late())
        return probe

    def _pass_on(self, probe: Probe) -> _Fate:
        """It is to be asked at another server. Where conversation after conversation comes to this one, it is not."""
        if probe not in self._passed_on:
            self._passed_on.add(probe)
            probe.attempts += 1
        if probe.attempts <= TRIES:
            return _Fate.pass_on
        self._pool.report(probe, MailboxResult(Reason.connect_failed))
        return _Fate.drop

    def _few_waiting(self) -> bool:
        return not self._course.closing and 0 < len(self._course.servers.waiting) <= _FEW

    def most(self) -> int:
        """Recipients that this conversation may have in all."""
        return min(self._pool.recipients_per_session(self._course.servers), self._course.address.recipients_per_session)

    def _remaining_slots(self) -> int:
        """How many recipients may still be sent now, should all be refused whose replies are outstanding."""
        course, operator = self._course, self._course.operator
        pace = operator.pace
        if (
            operator.connections > pace.limit
            or (pace.resume_at and pace.pause_left() > 0)
            or self._pool.closed(operator) is not None
        ):
            course.closing = True
            return 0
        most = self.most()
        slots = min(
            most - (_RESERVED if most >= SHORT else 0) - course.replies,
            operator.errors.room(course.errors),
            course.address.error_limit - course.errors,
            self._refusals_allowed() - course.proof.refusals,
        )
        if operator.limit is not None:
            slots = min(slots, operator.limit - self._pool.spent(operator) + len(course.outstanding))
        if slots <= 0:
            course.closing = True
        return slots - len(course.outstanding)

    def _refusals_allowed(self) -> int:
        # Without a canary no conversation goes far: some servers refuse every recipient after a few unknown ones,
        # and none is known yet that would show it.
        most = self._course.place.refusals_allowed
        return most if self._course.proof.knows_canary else min(most, _REFUSALS_WITHOUT_CANARY)

    def _proof_is_late(self) -> bool:
        """Whether a canary is to be asked now, so that the refusals before it lie close between two acceptances."""
        if not self._course.proof.unproven:
            return False
        latest = self._course.place.latest(time.monotonic())
        if latest is None:
            return True
        return self._course.times.proof_is_late(time.monotonic() - latest.began)

    def _acceptance_is_old(self) -> bool:
        """Whether the last acceptance lies so far back that a refusal now could hardly be proven."""
        latest = self._course.place.latest(time.monotonic())
        return latest is None or self._course.times.is_old(time.monotonic() - latest.began)

    def _may_lead(self) -> bool:
        """Whether a recipient is asked in the place of the canary that is due.

        Where most are accepted, it will be the acceptance that is wanted. If it is refused, a canary follows, and it is
        asked again.
        """
        latest = self._course.place.latest(time.monotonic())
        if self._led and latest is self._led_after:
            return False
        self._led, self._led_after = True, latest
        return self._course.place.mostly_accepts

    def in_groups(self) -> bool:
        """Whether several may be sent before the first of them has its reply."""
        session, place = self._course.session, self._course.place
        return (
            session.pipelining
            and self._course.operator.rule.pipelining
            and max(session.slowest, self._course.times.refusal) < _SLOW_REPLY_SECONDS
            # The first are asked one by one, until these servers are known to tell recipients apart.
            and bool(place.canaries.get(self._course.servers.group_key))
            and not self._course.careful
            and not place.in_doubt
            and self._course.servers.group > 1
        )
