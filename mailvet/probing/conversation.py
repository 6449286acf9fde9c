"""
One conversation with one server: what is sent, and what each reply means for the conversation itself.

Which recipient is next is decided in `mailvet.probing.next_probe`. What the replies prove about mailboxes is kept in
`mailvet.probing.proof`, whether they are in step in `mailvet.probing.in_step`; what becomes of them, in
`mailvet.probing.decisions`.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from mailvet.probing.canary import SHORT
from mailvet.probing.domain import (
    DomainAtPlace,
    MailboxResult,
    Probe,
    RecipientReply,
    Role,
    accepted,
    read_recipient_reply,
    result_of,
)
from mailvet.probing.in_step import Ledger
from mailvet.probing.next_probe import TRIES, Course, NextProbe
from mailvet.probing.proof import ConversationProof, Exchange
from mailvet.probing.queues import ServerSet, Way
from mailvet.probing.reply_times import ReplyTimes
from mailvet.probing.turns import Contact
from mailvet.smtp.reply_reading import Stage, read_reply
from mailvet.smtp.session import Broken, Reply, Session
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["Conversation"]

_THROTTLED_TRIES = 3
_RATE_TRIES = 8
_CUT_TRIES = 12  # conversations that were cut off before a recipient's reply, after replies to others
_LARGEST_GROUP = 50  # as many as Postfix's own client names in one transaction, so servers are used to it
_SLOWED = 0.5  # seconds; a reply that takes so much longer after refusals shows that a limit is near (Postfix: 1 s)
_SLOWED_FROM = 4  # refusals; before so many, a slow reply has other reasons
_FEW_REPLIES = 2  # of a conversation; with so few before each silence a queue would take days
_MOST_STALLED = 5  # such conversations in a row, after which the servers are left
_STALLED_SECONDS = 2.0  # of silence in a group, after which QUIT shows whether a reply is wanting
_A_SECOND = re.compile(r"(?:per|each|a|/) ?sec(?:ond)?\b|too (?:fast|quickly)", re.IGNORECASE)


class Conversation:
    """
    Asks recipients of one server set at one server, one after the other or in groups, until it has run its course.
    """

    def __init__(
        self, pool: Mailboxes, servers: ServerSet, way: Way, session: Session, began: float, contact: Contact
    ) -> None:
        self._pool = pool
        self._servers = servers
        self._operator = servers.operator
        self._address = way.address
        self._place = way.place
        self._session = session
        self._contact = contact
        self._preferred = way.host.preference <= servers.best
        self._smtp = pool.smtp
        self._ledger = Ledger()
        first = way.place.in_doubt and bool(way.place.canaries.get(servers.group_key))
        self._proof = ConversationProof(servers, way.place, pool.domain_of, begins_with_canary=first)
        self._course = Course(way.address.careful, ReplyTimes(way.address.refusal_seconds))
        self._next = NextProbe(pool, servers, way, session, self._proof, self._course)
        self._stashed: Probe | None = None
        self._grouped = False
        """Several commands were sent together, and not all of them are answered."""
        self._ahead = 0
        """Recipients answered since the group grew."""
        self._throttled = False
        self._progress = time.monotonic()
        self._stall_timer: asyncio.TimerHandle | None = None
        self._cut = False
        """The server ended it."""
        self._timed = False
        """A reply did not come in time."""
        way.place.contacted(began)

    # ---------------------------------------------------------------- the course of it

    async def run(self) -> None:
        """Ask, end the conversation, and hand over what it brought."""
        session, ledger = self._session, self._ledger
        try:
            if self._course.careful and not await session.quiet():
                ledger.fault = "a reply before the first command"
            await self._ask()
        except Broken as failure:
            self._broken(failure)
        finally:
            if self._stall_timer is not None:
                self._stall_timer.cancel()
        at_quit = await session.finish_with_quit()
        if ledger.fault is None:
            ledger.fault = at_quit
        self._finish()

    async def _ask(self) -> None:
        session, ledger, servers = self._session, self._ledger, self._servers
        while ledger.fault is None:
            alone = not (session.mail_from_accepted or self._may_send_ahead())
            if alone and not await self._send_mail_from():
                return
            timeout = self._step()
            if timeout > 0:
                await session.run(self._step, timeout)
            if self._out_of_step_or_over:
                return
            if self._course.careful and not await self._check():
                return
            if self._stashed is None:
                self._stashed = self._next.choose()
            if self._stashed is not None:
                pause = self._address.next_at - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                continue
            if (
                self._next.passed and not self._course.closing
            ):  # it is known once this conversation, or the other, was checked
                self._next.passed = False
                if not await self._check():
                    return
                continue
            if self._course.closing or self._course.careful or not self._pool.may_idle(servers):
                return
            if not await self._check():
                return
            self._proof.hand_over()
            if not await self._pool.idle_for_more(servers, self._place):
                return

    @property
    def _out_of_step_or_over(self) -> bool:
        return self._course.over or self._ledger.fault is not None

    async def _check(self) -> bool:
        """Make this a checked point; whether it is one."""
        if not await self._session.quiet():
            self._ledger.fault = "a reply too many"
            return False
        self._ledger.check()
        self._pool.decisions.check(self._servers, self._proof, self._ledger.checked)
        return True

    def _may_send_ahead(self) -> bool:
        # No recipient is sent to servers that may not want us at all.
        return (
            self._servers.mail_from_accepted
            and self._operator.rule.pipelining
            and self._session.may_send_ahead
            and not self._course.careful
        )

    async def _send_mail_from(self) -> bool:
        """Send MAIL alone; a refusal is the reply for the recipient whose turn it is. Whether to go on."""
        probe, self._stashed = self._stashed or self._next.choose(), None
        if probe is None:
            return False
        if probe.role is not Role.recipient:
            self._stashed = probe
            refusal = await self._session.send_mail_from(eai=self._servers.eai)
            if refusal is not None:
                self._stashed = None
                self._give_back(probe)
                return False
            return True
        self._course.outstanding.append(probe)
        refusal = await self._session.send_mail_from(eai=self._servers.eai, timeout=self._time_left(probe))
        self._course.outstanding.pop()
        if refusal is not None:
            self._course.over = True
            self._sender_refused(self._read(probe, refusal))
            return False
        self._servers.mail_from_accepted = True
        self._stashed = probe
        return True

    def _step(self) -> float:
        """
        Take in the replies that have come and send what may be sent now. Seconds within which the next reply is to
        come; 0: none is waited for.
        """
        outstanding, ledger, session = self._course.outstanding, self._ledger, self._session
        checking = False
        for reply in session.received():
            if outstanding and ledger.fault is None:
                self._receive(outstanding.popleft(), reply)
                checking = self._course.careful
        if ledger.fault is not None:
            return 0.0
        extra = session.unsolicited_reply()
        if extra is not None:
            if extra.code != 421:
                ledger.fault = "more replies than commands"
                return 0.0
            self._server_closes(extra)
        if not (self._course.over or checking):
            self._send_recipients()
        if not outstanding:
            return 0.0
        if outstanding[0].role is not Role.recipient:
            return self._smtp.command_timeout
        return min(max(self._time_left(outstanding[0]), 0.001), self._smtp.command_timeout)

    def _time_left(self, probe: Probe) -> float:
        """Seconds left of the recipient's budget, and of that in which its servers must say something of anybody."""
        budget, since = self._smtp.address_budget, self._servers.silent_since
        left = probe.timeout(budget)
        return left if since is None else min(left, since + budget - time.monotonic())

    # ---------------------------------------------------------------- sending

    def _send_recipients(self) -> None:
        """Send as many recipients as may be sent now."""
        address, outstanding, session = self._address, self._course.outstanding, self._session
        now = time.monotonic()
        if self._place.resting(now):
            self._course.closing = self._course.over = True
            return
        if address.next_at > now:
            return
        groups = self._next.in_groups()
        if not outstanding:
            self._grouped = not session.mail_from_accepted  # MAIL goes along
        most = self._servers.group if groups and not address.interval else 1
        sent = 0
        while len(outstanding) < most:
            probe, self._stashed = self._stashed or self._next.choose(), None
            if probe is None:
                break
            outstanding.append(probe)
            self._ledger.sent(probe.address)
            if probe.role is Role.canary:
                self._proof.canaries_out += 1
                self._course.since_canary = 0
            else:
                self._course.since_canary += 1
                if probe.role is Role.control and probe.at is not None:
                    probe.at.control_asks += 1
            if probe.first_asked is None:
                probe.first_asked = now
            session.send_rcpt(probe.local, probe.domain.name, eai=self._servers.eai)
            address.sent()
            sent += 1
        if sent:
            self._place.last_asked = now
            self._pool.probes += sent
            self._operator.asked += sent
            self._progress = now
            self._grouped |= len(outstanding) > 1
            if self._grouped:
                self._watch_group()

    def _watch_group(self) -> None:
        if self._stall_timer is None:
            self._stall_timer = asyncio.get_running_loop().call_later(self._long_silence, self._stalled)

    @property
    def _long_silence(self) -> float:
        """Seconds without a reply after which one may be wanting; some servers take their time with refusals."""
        return max(_STALLED_SECONDS, 8 * self._session.slowest, 2 * self._course.times.refusal)

    def _stalled(self) -> None:
        """A long silence in a group: QUIT behind it shows whether a reply is wanting or the server is slow."""
        self._stall_timer = None
        if not self._course.outstanding or self._course.over:
            return
        if time.monotonic() - self._progress < self._long_silence:
            self._watch_group()
            return
        self._course.closing = self._course.over = True
        self._session.send_quit()
        self._session.flush()

    # ---------------------------------------------------------------- receiving

    def _read(self, probe: Probe, reply: Reply) -> RecipientReply:
        return read_recipient_reply(
            probe, reply, self._session.host, self._pool.own, place=self._place.key, preferred=self._preferred
        )

    def _receive(self, probe: Probe, said: Reply) -> None:
        """Take in the reply for one recipient."""
        servers, ledger, proof = self._servers, self._ledger, self._proof
        self._progress = now = time.monotonic()
        if probe.role is Role.canary:
            proof.canaries_out -= 1
            self._next.canary_is_through()
        if said.stage is not Stage.rcpt:
            self._course.over = True
            self._requeue()
            if probe.role is Role.recipient:
                self._sender_refused(self._read(probe, said))
            else:
                self._give_back(probe)
            return
        if not ledger.examine(probe.address, said):
            self._course.outstanding.appendleft(probe)
            return
        reply = self._read(probe, said)
        reading = reply.reading
        self._pool.turns.replied(self._contact)
        self._place.replied, servers.silent_since = True, None
        self._course.answered += 1
        self._course.times.take(said.seconds, accepted=said.code // 100 == 2)
        self._address.refusal_seconds = self._course.times.refusal
        servers.mail_from_accepted = True
        if said.code // 100 != 2:
            self._course.errors += 1
        too_fast = said.code // 100 == 4 and said.code != 421 and _A_SECOND.search(said.text)
        if too_fast and self._asked_too_fast(probe):
            return
        if reading.limit == "recipients" and self._course.answered > 1:
            # Not a fault: this server takes so many in one conversation and wants a new one.
            servers.per_session = min(servers.per_session, self._course.answered - 1)
            self._course.closing = self._course.over = True
            self._give_back(probe)
            return
        if said.code == 421 or reading.reason is Reason.sender_throttled:
            self._asked_for_less(reply)
            return
        servers.failures = 0
        self._address.replied()
        self._learn(said.seconds)
        if self._operator.pace.clean():
            self._pool.wake(self._operator)
        at = probe.domain.at(self._place.key)
        if accepted(reply):
            self._note_age(at, probe, now)
        proof.take(Exchange(reply, at, now - said.seconds, now))
        if probe.role is Role.recipient:
            self._pool.decisions.count_refusals_of_us(servers, self._place, reply)
        if proof.over:
            self._course.closing = True
        if ledger.checked == ledger.replies and self._course.careful:
            self._pool.decisions.check(servers, proof, ledger.checked)

    @staticmethod
    def _note_age(at: DomainAtPlace, probe: Probe, now: float) -> None:
        if probe.role is Role.recipient and probe.first_asked is not None:
            age = now - probe.first_asked
            at.accepted_age = age if at.accepted_age == 0.0 else min(at.accepted_age, age)

    def _asked_too_fast(self, probe: Probe) -> bool:
        """The server wants fewer recipients in a second: go on, more slowly. Whether that may help."""
        probe.attempts += 1
        if probe.attempts >= _RATE_TRIES or not self._address.too_many_a_second():
            return False
        self._servers.group = 1
        self._course.answered -= 1
        self._course.errors -= 1
        if probe.role is Role.recipient:
            self._pool.enqueue(self._servers, probe, first=True, wake=False)
        elif probe.role is Role.control:
            self._proof.controls.appendleft(probe)
        return True

    def _learn(self, seconds: float) -> None:
        """Does the server tolerate our errors and our groups?"""
        budget, errors, servers = self._operator.errors, self._course.errors, self._servers
        if errors >= _SLOWED_FROM and seconds > _SLOWED + 2 * self._course.times.slowest:
            self._limit_of_errors(errors)
            self._course.closing = True
        elif errors > budget.tolerated:
            budget.tolerate(errors)
        self._course.times.slowest = max(self._course.times.slowest, seconds)
        self._ahead += 1
        if self._ahead >= servers.group > 1:
            self._ahead = 0
            servers.group = min(servers.group * 2, _LARGEST_GROUP)

    def _limit_of_errors(self, errors: int) -> bool:
        self._address.error_limit = min(self._address.error_limit, max(1, errors - 1))
        return self._operator.errors.limit_reached(errors)

    # ---------------------------------------------------------------- when it goes wrong

    def _give_back(self, probe: Probe) -> None:
        """It got no reply of its own: it is asked again."""
        probe.deadline = None
        if probe.role is Role.recipient:
            self._pool.enqueue(self._servers, probe, first=True)
        else:
            self._pool.decisions.lost(probe)
            if probe.role is Role.control and probe.at is not None:
                self._proof.touched.setdefault(probe.at, probe.route)

    def _requeue(self) -> None:
        """Who was sent and got no reply of its own is asked again; no recipient is judged by the reply to another."""
        self._course.closing = True
        while self._course.outstanding:
            self._give_back(self._course.outstanding.pop())

    def _broken(self, failure: Broken) -> None:
        """The conversation ended without a usable reply."""
        servers, session, ledger = self._servers, self._session, self._ledger
        self._course.over = self._course.closing = self._cut = True
        self._timed = failure.kind == "timeout"
        if failure.kind == "garbage":
            ledger.fault = failure.detail or "no SMTP"
            return
        if not self._course.outstanding:
            return
        if len(self._course.outstanding) > 1:
            servers.group = 1  # it may not take groups, whatever it offers
        if failure.kind == "timeout" and self._grouped:
            ledger.fault = "a reply is wanting in a group"
            return
        probe = self._course.outstanding.popleft()
        self._requeue()
        if probe.role is not Role.recipient:
            self._give_back(probe)
            return
        last = session.unsolicited_reply()
        if last is not None:
            self._give_back(probe)
            self._server_closes(last)
        elif failure.kind == "timeout":
            self._timed_out(probe)
        else:
            self._cut_off(probe, failure)

    def _timed_out(self, probe: Probe) -> None:
        servers, session = self._servers, self._session
        if self._contact.left:  # others wait; it comes again with all of its time
            servers.again, servers.silent_since, probe.deadline = True, None, None
            self._pool.enqueue(servers, probe, first=True, wake=False)
            return
        self._place.replied = False
        if self._course.answered <= _FEW_REPLIES:
            servers.stalled += 1
        if servers.stalled >= _MOST_STALLED:
            self._pool.no_reply(probe, session)
            self._pool.fail(servers, MailboxResult(self._pool.too_slow(session), mx_host=session.host))
            return
        if self._course.answered and not probe.attempts:  # it replied until now
            probe.attempts += 1
            probe.deadline = None
            self._pool.enqueue(servers, probe)
            return
        servers.failures += 1
        self._pool.no_reply(probe, session)
        if servers.failures >= TRIES:
            self._pool.fail(servers, MailboxResult(self._pool.too_slow(session), mx_host=session.host))

    def _cut_off(self, probe: Probe, failure: Broken) -> None:
        servers, session = self._servers, self._session
        probe.deadline = None
        if self._course.answered:
            # It replied until now, so it may have had enough of us rather than of this recipient. If it hangs up at
            # the same point again, that is its limit, like that of servers which say so first.
            if self._course.errors and servers.hung_up_after == self._course.errors:
                self._limit_of_errors(self._course.errors)
            servers.hung_up_after = self._course.errors
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

    def _server_closes(self, reply: Reply) -> None:
        """The server ends the conversation by itself, after the reply for one recipient and before the next."""
        self._course.over = self._course.closing = self._cut = True
        reading = read_reply(reply.stage, reply.code, reply.text, own=self._pool.own)
        if reading.limit == "errors":
            self._limit_of_errors(self._course.errors)
        else:
            self._ask_for_less(reading.limit, reading.retry_after)

    def _sender_refused(self, reply: RecipientReply) -> None:
        """Our envelope sender was not accepted: that says nothing about the recipient."""
        servers, reading = self._servers, reply.reading
        if reading.reason is Reason.sender_blocked:
            self._pool.blocked(servers)
            self._pool.report(reply.probe, result_of(reply))
            return
        servers.failures += 1
        if reading.reason is Reason.sender_throttled or reply.reply.code == 421:
            self._asked_for_less(reply)
            return
        self._pool.report(reply.probe, result_of(reply))
        if servers.failures > TRIES:
            self._pool.fail(servers, result_of(reply))

    def _asked_for_less(self, reply: RecipientReply) -> None:
        """The server asks for less instead of speaking about the recipient."""
        probe, reading = reply.probe, reply.reading
        self._course.over = self._course.closing = self._cut = True
        if reply.reply.code == 421:  # it hangs up
            self._requeue()
        # This reply stands where that of a recipient should be, and is no error of ours itself.
        if reading.limit == "errors" and self._limit_of_errors(self._course.errors - 1):
            self._give_back(probe)
            return
        self._ask_for_less(reading.limit, reading.retry_after)
        if probe.role is not Role.recipient:
            self._give_back(probe)
            return
        probe.attempts += 1
        if probe.attempts < _THROTTLED_TRIES and self._operator.pace.stopped is None:
            probe.deadline = None
            self._pool.enqueue(self._servers, probe)
        else:
            self._pool.report(probe, result_of(reply))

    def _ask_for_less(self, limit: str | None, wait: float | None) -> None:
        """Slow down; once for a conversation, whatever else is said to those who were sent already."""
        if self._throttled:
            return
        self._throttled = True
        pace = self._operator.pace
        if limit == "connections":
            pace.cap = max(1, min(pace.cap, self._operator.connections - 1))
            self._address.too_many_connections()
        pace.throttled(wait)
        self._address.not_before = max(self._address.not_before, pace.resume_at)

    # ---------------------------------------------------------------- the end

    def _finish(self) -> None:
        """Hand over what the conversation brought."""
        ledger, proof, servers, pool = self._ledger, self._proof, self._servers, self._pool
        if self._stashed is not None:
            probe, self._stashed = self._stashed, None
            self._give_back(probe)
        self._next.canary_is_through()
        host = self._session.host
        if not self._timed:
            servers.silent_since = None
        if not self._timed or self._course.answered > _FEW_REPLIES:
            servers.stalled = 0
        if ledger.fault is None:
            ledger.check()
        else:
            self._out_of_step(ledger.fault)
        pool.decisions.finish(
            servers,
            proof,
            ledger.checked,
            fault=ledger.fault,
            host=host,
            short=self._cut or ledger.fault is not None or self._next.most() < SHORT,
        )

    def _out_of_step(self, fault: str) -> None:
        """Void what lies behind the last checked point; those who were sent without a reply are asked again."""
        ledger, address, host = self._ledger, self._address, self._session.host
        first = not ledger.replies
        if first and not self._course.outstanding:
            address.silent_faults += 1
            if address.silent_faults >= TRIES:
                result = MailboxResult(Reason.protocol_error, mx_host=host, detail=fault)
                self._pool.fail(self._servers, result)
        if ledger.checked < ledger.replies or self._course.outstanding or not self._course.careful:
            address.out_of_step(ledger.checked, careful=self._course.careful)
        while self._course.outstanding:
            probe = self._course.outstanding.pop()
            leading = first and not self._course.outstanding
            if probe.role is not Role.recipient:
                self._give_back(probe)
            elif leading or (len(self._course.outstanding) == 0 and ledger.replies == ledger.checked):
                self._pool.decisions.void(self._servers, probe, first=leading, fault=fault, host=host)
            else:
                self._give_back(probe)
