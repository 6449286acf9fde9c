"""What a conversation does when the server ends it, breaks it off, asks for less, or gets out of step.

No recipient is judged by the reply to another: those that were sent without a reply of their own are asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailvet.probing.course import TRIES, Course
from mailvet.probing.domain import MailboxResult, Probe, RecipientReply, Role, result_of
from mailvet.smtp.outcomes import Broken, Reply
from mailvet.smtp.reply_reading import read_reply
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["FEW_REPLIES", "Interruptions"]

_THROTTLED_TRIES = 3
_CUT_TRIES = 12  # conversations that were cut off before a recipient's reply, after replies to others
FEW_REPLIES = 2
"""Replies in a conversation; with so few before each silence a queue would take days."""
_MOST_STALLED = 5  # such conversations in a row, after which the servers are left


class Interruptions:
    """What becomes of the recipients and the pace of one conversation that does not go on as it should."""

    def __init__(self, pool: Mailboxes, course: Course) -> None:
        self._pool = pool
        self._course = course
        self._throttled = False

    def requeue(self, probe: Probe) -> None:
        """Have a recipient asked again that got no reply of its own."""
        course = self._course
        probe.deadline = None
        if probe.role is Role.recipient:
            self._pool.enqueue(course.servers, probe, first=True)
        else:
            self._pool.decisions.lost(probe)
            if probe.role is Role.control and probe.at is not None:
                course.proof.touched.setdefault(probe.at, probe.route)

    def requeue_outstanding(self) -> None:
        """The same for all that were sent and have no reply."""
        course = self._course
        course.closing = True
        while course.outstanding:
            self.requeue(course.outstanding.pop())

    def broken(self, failure: Broken) -> None:
        """The conversation ended without a usable reply."""
        course, servers, ledger = self._course, self._course.servers, self._course.ledger
        course.end()
        course.cut = True
        course.timed_out = failure.kind == "timeout"
        if failure.kind == "garbage":
            ledger.fault = failure.detail or "no SMTP"
            return
        if not course.outstanding:
            return
        if len(course.outstanding) > 1:
            servers.group = 1  # it may not take groups, whatever it offers
        if failure.kind == "timeout" and course.grouped:
            ledger.fault = "a reply is wanting in a group"
            return
        probe = course.outstanding.popleft()
        self.requeue_outstanding()
        if probe.role is not Role.recipient:
            self.requeue(probe)
            return
        last = course.session.unsolicited_reply()
        if last is not None:
            self.requeue(probe)
            self.server_closes(last)
        elif failure.kind == "timeout":
            self._timed_out(probe)
        else:
            self._cut_off(probe, failure)

    def _timed_out(self, probe: Probe) -> None:
        course = self._course
        servers = course.servers
        if course.contact.left:  # others wait; it comes again with all of its time
            servers.again, servers.silent_since, probe.deadline = True, None, None
            self._pool.enqueue(servers, probe, first=True, wake=False)
            return
        course.place.replied = False
        if course.replies <= FEW_REPLIES:
            servers.stalled += 1
        if servers.stalled >= _MOST_STALLED:
            self._pool.report(probe, course.too_late())
            self._pool.fail(servers, course.silent_result())
            return
        if course.replies and not probe.attempts:  # it replied until now
            probe.attempts += 1
            probe.deadline = None
            self._pool.enqueue(servers, probe)
            return
        servers.failures += 1
        self._pool.report(probe, course.too_late())
        if servers.failures >= TRIES:
            self._pool.fail(servers, course.silent_result())

    def _cut_off(self, probe: Probe, failure: Broken) -> None:
        course = self._course
        servers, session = course.servers, course.session
        probe.deadline = None
        if course.replies:
            # It replied until now, so it may have had enough of us rather than of this recipient. If it hangs up at
            # the same point again, that is its limit, like that of servers which say so first.
            if course.errors and servers.hung_up_after == course.errors:
                self.limit_of_errors(course.errors)
            servers.hung_up_after = course.errors
            probe.voids += 1
            if probe.voids >= _CUT_TRIES:
                self._pool.report(probe, MailboxResult(Reason.protocol_error, mx_host=session.host, detail="hangs up"))
            else:
                self._pool.enqueue(servers, probe, first=True)
            return
        servers.failures += 1
        detail = f"{failure.kind} at {failure.stage}: {failure.detail}"
        probe.attempts += 1
        if probe.attempts < TRIES:
            self._pool.enqueue(servers, probe)
        else:
            self._pool.report(probe, MailboxResult(Reason.protocol_error, mx_host=servers.hosts[0].name, detail=detail))
        if servers.failures > TRIES:
            result = MailboxResult(Reason.protocol_error, mx_host=session.host, detail=failure.detail)
            self._pool.fail(servers, result)

    def server_closes(self, reply: Reply) -> None:
        """The server ends the conversation by itself, after the reply for one recipient and before the next."""
        course = self._course
        course.end()
        course.cut = True
        reading = read_reply(reply.stage, reply.code, reply.text, own=self._pool.own)
        if reading.limit == "errors":
            self.limit_of_errors(course.errors)
        else:
            self._ask_for_less(reading.limit, reading.retry_after)

    def sender_refused(self, reply: RecipientReply) -> None:
        """Our envelope sender was not accepted: that says nothing about the recipient."""
        course = self._course
        servers, reading = course.servers, reply.reading
        if reading.reason is Reason.sender_blocked:
            self._pool.blocked(servers)
            self._pool.report(reply.probe, result_of(reply))
            return
        servers.failures += 1
        if reading.reason is Reason.sender_throttled or reply.reply.code == 421:
            self.asked_for_less(reply)
            return
        self._pool.report(reply.probe, result_of(reply))
        if servers.failures > TRIES:
            self._pool.fail(servers, result_of(reply))

    def asked_for_less(self, reply: RecipientReply) -> None:
        """The server asks for less instead of speaking about the recipient."""
        course = self._course
        probe, reading = reply.probe, reply.reading
        course.end()
        course.cut = True
        if reply.reply.code == 421:  # it hangs up
            self.requeue_outstanding()
        # This reply stands where that of a recipient should be, and is no error of ours itself.
        if reading.limit == "errors" and self.limit_of_errors(course.errors - 1):
            self.requeue(probe)
            return
        self._ask_for_less(reading.limit, reading.retry_after)
        if probe.role is not Role.recipient:
            self.requeue(probe)
            return
        probe.attempts += 1
        if probe.attempts < _THROTTLED_TRIES and course.operator.pace.stopped is None:
            probe.deadline = None
            self._pool.enqueue(course.servers, probe)
        else:
            self._pool.report(probe, result_of(reply))

    def _ask_for_less(self, limit: str | None, wait: float | None) -> None:
        """Slow down; once for a conversation, whatever else is said to those who were sent already."""
        course = self._course
        if self._throttled:
            return
        self._throttled = True
        pace = course.operator.pace
        if limit == "connections":
            course.operator.too_many_connections()
            course.address.too_many_connections()
        pace.throttled(wait)
        course.address.not_before = max(course.address.not_before, pace.resume_at)

    def limit_of_errors(self, errors: int) -> bool:
        """The server tolerates fewer refusals than these in one conversation; whether that is believed."""
        course = self._course
        course.address.error_limit = min(course.address.error_limit, max(1, errors - 1))
        return course.operator.errors.limit_reached(errors)

    def out_of_step(self, fault: str) -> None:
        """Void what lies behind the last checked point; those who were sent without a reply are asked again."""
        course = self._course
        ledger, address, host = course.ledger, course.address, course.session.host
        first = not ledger.replies
        if first and not course.outstanding:
            address.silent_faults += 1
            if address.silent_faults >= TRIES:
                result = MailboxResult(Reason.protocol_error, mx_host=host, detail=fault)
                self._pool.fail(course.servers, result)
        if ledger.checked < ledger.replies or course.outstanding or not course.careful:
            address.out_of_step(ledger.checked, careful=course.careful)
        while course.outstanding:
            probe = course.outstanding.pop()
            leading = first and not course.outstanding
            if probe.role is not Role.recipient:
                self.requeue(probe)
            elif leading or (len(course.outstanding) == 0 and ledger.replies == ledger.checked):
                self._pool.decisions.void(course.servers, probe, first=leading, fault=fault, host=host)
            else:
                self.requeue(probe)
