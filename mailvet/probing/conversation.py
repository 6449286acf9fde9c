"""One conversation with one server: what is sent, and what each reply means for the conversation itself.

Which recipient is next is decided in `mailvet.probing.next_probe`. What the replies prove about mailboxes is kept in
`mailvet.probing.proof`, whether they are in step in `mailvet.probing.in_step`; what becomes of them, in
`mailvet.probing.decisions`; what happens when the conversation is broken off, in `mailvet.probing.interruptions`.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from mailvet.probing.canary import SHORT
from mailvet.probing.course import Course
from mailvet.probing.domain import DomainAtPlace, Probe, RecipientReply, Role, accepted, read_recipient_reply
from mailvet.probing.interruptions import FEW_REPLIES, Interruptions
from mailvet.probing.next_probe import NextProbe
from mailvet.probing.proof import Exchange
from mailvet.smtp.outcomes import Broken, Reply
from mailvet.smtp.reply_reading import Stage
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["Conversation"]

_RATE_TRIES = 8
_LARGEST_GROUP = 50  # as many as Postfix's own client names in one transaction, so servers are used to it
_SLOWED = 0.5  # seconds; a reply that takes so much longer after refusals shows that a limit is near (Postfix: 1 s)
_SLOWED_FROM = 4  # refusals; before so many, a slow reply has other reasons
_STALLED_SECONDS = 2.0  # of silence in a group, after which QUIT shows whether a reply is wanting
_A_SECOND = re.compile(r"(?:per|each|a|/) ?sec(?:ond)?\b|too (?:fast|quickly)", re.IGNORECASE)


class Conversation:
    """Asks recipients of one server set at one server, one after the other or in groups."""

    def __init__(self, pool: Mailboxes, course: Course, began: float) -> None:
        self._pool = pool
        self._course = course
        self._servers = course.servers
        self._address = course.address
        self._place = course.place
        self._session = course.session
        self._ledger = course.ledger
        self._proof = course.proof
        self._next = NextProbe(pool, course)
        self._interruptions = Interruptions(pool, course)
        self._preferred = course.way.host.preference <= course.servers.best
        self._stashed: Probe | None = None
        self._replies_since_growth = 0
        """Replies since the group grew."""
        self._progress = time.monotonic()
        self._stall_timer: asyncio.TimerHandle | None = None
        course.place.contacted(began)

    # ---------------------------------------------------------------- the course of it

    async def run(self) -> None:
        """Ask, end the conversation, and hand over what it brought."""
        session, ledger = self._session, self._ledger
        try:
            if self._course.careful and not await session.quiet():
                ledger.fault = "a reply before the first command"
            await self._ask()
        except Broken as failure:
            self._interruptions.broken(failure)
        finally:
            if self._stall_timer is not None:
                self._stall_timer.cancel()
        at_quit = await session.finish_with_quit()
        if ledger.fault is None:
            ledger.fault = at_quit
        self._finish()

    async def _ask(self) -> None:
        session, course = self._session, self._course
        while self._ledger.fault is None:
            alone = not (session.mail_from_accepted or self._may_send_ahead())
            if alone and not await self._send_mail_from():
                return
            timeout = self._step()
            if timeout > 0:
                await session.run(self._step, timeout)
            if self._out_of_step_or_over or (course.careful and not await self._check()):
                return
            if self._stashed is None:
                self._stashed = self._next.choose()
            if self._stashed is not None:
                pause = self._address.next_at - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
            elif not await self._goes_on():
                return

    async def _goes_on(self) -> bool:
        """With no recipient to ask: check the replies, and wait for recipients that are still to be read."""
        course = self._course
        if self._next.passed and not course.closing:  # known once this conversation, or the other, was checked
            self._next.passed = False
            return await self._check()
        if course.closing or course.careful or not self._pool.idle.allowed(self._servers):
            return False
        if not await self._check():
            return False
        self._proof.hand_over()
        return await self._pool.idle.wait_for_recipients(self._servers, self._place)

    @property
    def _out_of_step_or_over(self) -> bool:
        return self._course.over or self._ledger.fault is not None

    async def _check(self) -> bool:
        """Make this a checked point; whether it is one."""
        if not await self._session.quiet():
            self._ledger.fault = "a reply too many"
            return False
        self._ledger.check()
        self._pool.decisions.check(self._proof, self._ledger.checked)
        return True

    def _may_send_ahead(self) -> bool:
        # No recipient is sent to servers that may not want us at all.
        return (
            self._servers.mail_from_accepted
            and self._course.operator.rule.pipelining
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
                self._interruptions.requeue(probe)
                return False
            return True
        self._course.outstanding.append(probe)
        refusal = await self._session.send_mail_from(eai=self._servers.eai, timeout=self._time_left(probe))
        self._course.outstanding.pop()
        if refusal is not None:
            self._course.over = True
            self._interruptions.sender_refused(self._read(probe, refusal))
            return False
        self._servers.mail_from_accepted = True
        self._stashed = probe
        return True

    def _step(self) -> float:
        """Take in the replies that have come and send what may be sent now.

        Seconds within which the next reply is to come; 0: none is waited for.
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
            self._interruptions.server_closes(extra)
        if not (self._course.over or checking):
            self._send_recipients()
        if not outstanding:
            return 0.0
        if outstanding[0].role is not Role.recipient:
            return self._pool.smtp.command_timeout
        return min(max(self._time_left(outstanding[0]), 0.001), self._pool.smtp.command_timeout)

    def _time_left(self, probe: Probe) -> float:
        """Seconds left of the recipient's budget, and of that in which its servers must reply about any recipient."""
        budget, since = self._pool.smtp.address_budget, self._servers.silent_since
        left = probe.timeout(budget)
        return left if since is None else min(left, since + budget - time.monotonic())

    # ---------------------------------------------------------------- sending

    def _send_recipients(self) -> None:
        """Send as many recipients as may be sent now."""
        address, outstanding, session = self._address, self._course.outstanding, self._session
        now = time.monotonic()
        if self._place.resting(now):
            self._course.end()
            return
        if address.next_at > now:
            return
        groups = self._next.in_groups()
        if not outstanding:
            self._course.grouped = not session.mail_from_accepted  # MAIL goes along
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
            self._course.operator.asked += sent
            self._progress = now
            self._course.grouped |= len(outstanding) > 1
            if self._course.grouped:
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
        self._course.end()
        self._session.send_quit()
        self._session.flush()

    # ---------------------------------------------------------------- receiving

    def _read(self, probe: Probe, reply: Reply) -> RecipientReply:
        return read_recipient_reply(
            probe, reply, self._session.host, self._pool.own, place=self._place.key, preferred=self._preferred
        )

    def _receive(self, probe: Probe, said: Reply) -> None:
        """Take in the reply for one recipient."""
        self._progress = now = time.monotonic()
        if probe.role is Role.canary:
            self._proof.canaries_out -= 1
            self._next.canary_is_through()
        if said.stage is not Stage.rcpt:
            self._mail_from_refused(probe, said)
            return
        if not self._ledger.examine(probe.address, said):
            self._course.outstanding.appendleft(probe)
            return
        reply = self._read(probe, said)
        self._count(reply)
        too_fast = said.code // 100 == 4 and said.code != 421 and _A_SECOND.search(said.text)
        if too_fast and self._asked_too_fast(probe):
            return
        if reply.reading.limit == "recipients" and self._course.replies > 1:
            # Not a fault: this server takes so many in one conversation and wants a new one.
            self._servers.per_session = min(self._servers.per_session, self._course.replies - 1)
            self._course.end()
            self._interruptions.requeue(probe)
            return
        if said.code == 421 or reply.reading.reason is Reason.sender_throttled:
            self._interruptions.asked_for_less(reply)
            return
        self._take(reply, now)

    def _mail_from_refused(self, probe: Probe, said: Reply) -> None:
        """MAIL was refused that was sent together with recipients."""
        self._course.over = True
        self._interruptions.requeue_outstanding()
        if probe.role is Role.recipient:
            self._interruptions.sender_refused(self._read(probe, said))
        else:
            self._interruptions.requeue(probe)

    def _count(self, reply: RecipientReply) -> None:
        """Note that the servers replied about a recipient, and how long that took."""
        course, said = self._course, reply.reply
        self._pool.turns.replied(course.contact)
        self._place.replied, self._servers.silent_since = True, None
        course.replies += 1
        course.times.take(said.seconds, accepted=said.code // 100 == 2)
        self._address.refusal_seconds = course.times.refusal
        self._servers.mail_from_accepted = True
        if said.code // 100 != 2:
            course.errors += 1

    def _take(self, reply: RecipientReply, now: float) -> None:
        """Take in a reply that is about the recipient."""
        probe, seconds = reply.probe, reply.reply.seconds
        decisions, ledger, proof = self._pool.decisions, self._ledger, self._proof
        self._servers.failures = 0
        self._address.replied()
        self._learn(seconds)
        if self._course.operator.pace.clean():
            self._pool.wake(self._course.operator)
        at = probe.domain.at(self._place.key)
        if accepted(reply):
            self._note_age(at, probe, now)
        proof.take(Exchange(reply, at, now - seconds, now))
        if probe.role is Role.recipient:
            decisions.count_refusals_of_us(self._servers, self._place, reply)
        if proof.over:
            self._course.closing = True
        if ledger.checked == ledger.replies and self._course.careful:
            decisions.check(proof, ledger.checked)

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
        self._course.replies -= 1
        self._course.errors -= 1
        if probe.role is Role.recipient:
            self._pool.enqueue(self._servers, probe, first=True, wake=False)
        elif probe.role is Role.control:
            self._proof.controls.appendleft(probe)
        return True

    def _learn(self, seconds: float) -> None:
        """Does the server tolerate our errors and our groups?"""
        budget, errors, servers = self._course.operator.errors, self._course.errors, self._servers
        if errors >= _SLOWED_FROM and seconds > _SLOWED + 2 * self._course.times.slowest:
            self._interruptions.limit_of_errors(errors)
            self._course.closing = True
        elif errors > budget.tolerated:
            budget.tolerate(errors)
        self._course.times.slowest = max(self._course.times.slowest, seconds)
        self._replies_since_growth += 1
        if self._replies_since_growth >= servers.group > 1:
            self._replies_since_growth = 0
            servers.group = min(servers.group * 2, _LARGEST_GROUP)

    # ---------------------------------------------------------------- the end

    def _finish(self) -> None:
        """Hand over what the conversation brought."""
        ledger, proof, servers, pool = self._ledger, self._proof, self._servers, self._pool
        if self._stashed is not None:
            probe, self._stashed = self._stashed, None
            self._interruptions.requeue(probe)
        self._next.canary_is_through()
        host = self._session.host
        if not self._course.timed_out:
            servers.silent_since = None
        if not self._course.timed_out or self._course.replies > FEW_REPLIES:
            servers.stalled = 0
        if ledger.fault is None:
            ledger.check()
        else:
            self._interruptions.out_of_step(ledger.fault)
        pool.decisions.finish(
            proof,
            ledger.checked,
            fault=ledger.fault,
            host=host,
            short=self._course.cut or ledger.fault is not None or self._next.most() < SHORT,
        )
