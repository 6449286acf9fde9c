"""
One conversation with one server: which recipient is asked next, and what each reply means for the conversation itself.

What the replies prove about mailboxes is kept in `mailvet.probing.proof`, whether they are in step in
`mailvet.probing.in_step`; what becomes of them, in `mailvet.probing.decisions`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import TYPE_CHECKING

from mailvet.probing.canary import BETWEEN_SECONDS, SHORT, Acceptance
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
from mailvet.probing.proof import ConversationProof, Exchange
from mailvet.probing.queues import ServerSet, Way
from mailvet.probing.turns import Contact
from mailvet.smtp.replies import Stage, read_reply
from mailvet.smtp.session import Broken, Reply, Session
from mailvet.verdict import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["Conversation"]

TRIES = 2  # conversations a recipient may break before that becomes its result
_THROTTLED_TRIES = 3
_RATE_TRIES = 8
_CUT_TRIES = 12  # conversations that were cut off before a recipient's reply, after replies to others
_LARGEST_GROUP = 50  # as many as Postfix's own client names in one transaction, so servers are used to it
_SLOW_REPLY_SECONDS = 1.0  # from which on nothing is sent ahead to a server that takes its time
_SLOWED = 0.5  # seconds; a reply that takes so much longer after refusals shows that a limit is near (Postfix: 1 s)
_SLOWED_FROM = 4  # refusals; before so many, a slow reply has other reasons
_REFUSALS_WITHOUT_CANARY = 2
_MOST_PASSED = 50  # recipients of a domain that may accept all, behind which others are looked for
_RESERVED = 2  # recipients of a conversation that are kept for a control and a canary at its end
_STALLED_SECONDS = 2.0  # of silence in a group, after which QUIT shows whether a reply is wanting
_FEW = 4  # waiting recipients, up to which controls are asked after them: there they serve as the last refusal too
_A_SECOND = re.compile(r"(?:per|each|a|/) ?sec(?:ond)?\b|too (?:fast|quickly)", re.IGNORECASE)


class Conversation:
    """
    Asks recipients of one server set at one server, one after the other or in groups, until it has run its course.

    Attributes:
        closing: no further recipient is asked; what proves the replies so far still is.
        over: nothing more is asked at all.
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
        self._careful = way.address.careful
        self._outstanding: deque[Probe] = deque()
        """Sent, in the order in which the replies will come."""
        self._since_canary = 0
        """Sent since the last canary was."""
        self._stashed: Probe | None = None
        self._grouped = False
        """Several commands were sent together, and not all of them are answered."""
        self._answered = 0
        self._errors = 0
        self._slowest = 0.0
        self._seconds = 0.0
        self._ahead = 0
        """Recipients answered since the group grew."""
        self._throttled = False
        self._progress = time.monotonic()
        self._stall_timer: asyncio.TimerHandle | None = None
        self._asks_queued_canary = False
        self._passed = False
        """Recipients wait whose domain may accept all."""
        self._led = False
        self._led_after: Acceptance | None = None
        self._cut = False
        """The server ended it."""
        self._timed = False
        """A reply did not come in time."""
        self.closing = False
        self.over = False
        way.place.contacted(began)

    # ---------------------------------------------------------------- the course of it

    async def run(self) -> None:
        """Ask, end the conversation, and hand over what it brought."""
        session, ledger = self._session, self._ledger
        try:
            if self._careful and not await session.quiet():
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
            if self._careful and not await self._check():
                return
            if self._stashed is None:
                self._stashed = self._next_probe()
            if self._stashed is not None:
                pause = self._address.next_at - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                continue
            if self._passed and not self.closing:  # it is known once this conversation, or the other, was checked
                self._passed = False
                if not await self._check():
                    return
                continue
            if self.closing or self._careful or not self._pool.may_idle(servers):
                return
            if not await self._check() or not await self._pool.idle_for_more(servers, self._place):
                return

    @property
    def _out_of_step_or_over(self) -> bool:
        return self.over or self._ledger.fault is not None

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
            and not self._careful
        )

    async def _send_mail_from(self) -> bool:
        """Send MAIL alone; a refusal is the reply for the recipient whose turn it is. Whether to go on."""
        probe, self._stashed = self._stashed or self._next_probe(), None
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
        self._outstanding.append(probe)
        refusal = await self._session.send_mail_from(eai=self._servers.eai, timeout=self._time_left(probe))
        self._outstanding.pop()
        if refusal is not None:
            self.over = True
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
        outstanding, ledger, session = self._outstanding, self._ledger, self._session
        checking = False
        for reply in session.received():
            if outstanding and ledger.fault is None:
                self._receive(outstanding.popleft(), reply)
                checking = self._careful
        if ledger.fault is not None:
            return 0.0
        extra = session.unsolicited_reply()
        if extra is not None:
            if extra.code != 421:
                ledger.fault = "more replies than commands"
                return 0.0
            self._server_closes(extra)
        if not (self.over or checking):
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
        address, outstanding, session = self._address, self._outstanding, self._session
        now = time.monotonic()
        if self._place.resting(now):
            self.closing = self.over = True
            return
        if address.next_at > now:
            return
        groups = self._in_groups()
        if not outstanding:
            self._grouped = not session.mail_from_accepted  # MAIL goes along
        most = self._servers.group if groups and not address.interval else 1
        sent = 0
        while len(outstanding) < most:
            probe, self._stashed = self._stashed or self._next_probe(), None
            if probe is None:
                break
            outstanding.append(probe)
            self._ledger.sent(probe.address)
            if probe.role is Role.canary:
                self._proof.canaries_out += 1
                self._since_canary = 0
            else:
                self._since_canary += 1
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

    def _next_probe(self) -> Probe | None:
        """Who is to be asked next, if anybody may be asked now."""
        proof, place = self._proof, self._place
        outstanding = len(self._outstanding)
        most = self._most()
        if self.over or proof.over or self._answered + outstanding >= most:
            return None
        if proof.canary_first or proof.canary_refused == 1:
            return proof.canary() if not proof.canaries_out and not (proof.canary_first and outstanding) else None
        exposed = (0 if proof.canaries_out else len(proof.unproven)) + min(self._since_canary, outstanding)
        if proof.knows_canary and most >= SHORT:
            if exposed >= place.refusals_per_canary:
                return proof.canary() if not proof.canaries_out else None
            if not proof.canaries_out and self._can_prove():
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
        if first is None or not self._can_prove():
            return proof.controls.popleft()
        return first if not self._outstanding else None

    def _proving_probe(self) -> Probe | None:
        """With nobody else to ask: what the replies so far still need."""
        proof = self._proof
        if self._most() < SHORT:
            return None
        if proof.closing_due and self._operator.errors.room(self._errors) > 0:
            return proof.closing()
        probe = proof.domain_canary()
        if probe is not None:
            return probe
        return proof.canary() if proof.canary_due and self._can_prove() else None

    def _next_recipient(self) -> Probe | None:
        """The next of the queue that may be asked here."""
        pool, servers, proof = self._pool, self._servers, self._proof
        if self.closing or not servers.waiting:
            return None
        passed: list[Probe] = []
        found: Probe | None = None
        while (probe := pool.next_in_time(servers, self._session)) is not None:
            if probe.role is Role.canary:
                self._place.canary_queued = False
                if self._place.open and probe.at is not None and probe.at.place == self._place.key:
                    self._place.canary_queued = self._asks_queued_canary = True
                    found = probe
                    break
            elif probe.role is Role.closing:
                self._place.closing_queued = False
                if self._place.unconfirmed and probe.at is not None and probe.at.place == self._place.key:
                    found = probe
                    break
            elif probe.role is Role.control:
                assert probe.at is not None
                if probe.at.place == self._place.key:
                    proof.controls.append(probe)
                    break
                probe.attempts += 1  # another server was asked this time
                if probe.attempts < TRIES + 1:
                    passed.append(probe)
                else:
                    pool.report(probe, MailboxResult(Reason.connect_failed))
            elif self._place.canary_queued:
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
            if self._place.canary_queued:
                self.closing = True
            else:
                self._passed = True
        for probe in reversed(passed):
            pool.enqueue(servers, probe, first=True, wake=False)
        return found

    def _few_waiting(self) -> bool:
        return not self.closing and 0 < len(self._servers.waiting) <= _FEW

    def _most(self) -> int:
        """Recipients that this conversation may have in all."""
        return min(self._pool.recipients_per_session(self._servers), self._address.recipients_per_session)

    def _remaining_slots(self) -> int:
        """How many recipients may still be sent now, if all of those not answered yet should be refused."""
        operator, due = self._operator, len(self._outstanding)
        pace = operator.pace
        if (
            operator.connections > pace.limit
            or (pace.resume_at and pace.pause_left() > 0)
            or self._pool.closed(operator) is not None
        ):
            self.closing = True
            return 0
        most = self._most()
        room = min(
            most - (_RESERVED if most >= SHORT else 0) - self._answered,
            operator.errors.room(self._errors),
            self._address.error_limit - self._errors,
            self._refusals_allowed() - self._proof.refusals,
        )
        if operator.limit is not None:
            room = min(room, operator.limit - self._pool.spent(operator) + due)
        if room <= 0:
            self.closing = True
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
        return time.monotonic() - latest.began + 2 * self._slowest > BETWEEN_SECONDS - 0.5

    def _acceptance_is_old(self) -> bool:
        """Whether the last acceptance lies so far back that a refusal now could hardly be proven."""
        latest = self._place.latest(time.monotonic())
        return latest is None or time.monotonic() - latest.began > BETWEEN_SECONDS / 2

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

    def _can_prove(self) -> bool:
        """Whether two canaries and a recipient between them fit into the time that a proof may take."""
        return not self._answered or 3 * self._seconds / self._answered < BETWEEN_SECONDS

    def _in_groups(self) -> bool:
        """Whether several may be sent before the first of them is answered."""
        session, place = self._session, self._place
        return (
            session.pipelining
            and self._operator.rule.pipelining
            and session.slowest < _SLOW_REPLY_SECONDS
            # The first are asked one by one, until these servers are known to tell recipients apart.
            and bool(place.canaries.get(self._servers.group_key))
            and not self._careful
            and not place.in_doubt
            and self._servers.group > 1
        )

    def _watch_group(self) -> None:
        if self._stall_timer is None:
            delay = max(_STALLED_SECONDS, 8 * self._session.slowest)
            self._stall_timer = asyncio.get_running_loop().call_later(delay, self._stalled)

    def _stalled(self) -> None:
        """A long silence in a group: QUIT behind it shows whether a reply is wanting or the server is slow."""
        self._stall_timer = None
        if not self._outstanding or self.over:
            return
        if time.monotonic() - self._progress < max(_STALLED_SECONDS, 8 * self._session.slowest):
            self._watch_group()
            return
        self.closing = self.over = True
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
            self._canary_is_through()
        if said.stage is not Stage.rcpt:
            self.over = True
            self._requeue()
            if probe.role is Role.recipient:
                self._sender_refused(self._read(probe, said))
            else:
                self._give_back(probe)
            return
        if not ledger.examine(probe.address, said):
            self._outstanding.appendleft(probe)
            return
        reply = self._read(probe, said)
        reading = reply.reading
        self._pool.turns.replied(self._contact)
        self._place.replied, servers.silent_since = True, None
        self._answered += 1
        self._seconds += said.seconds
        servers.mail_from_accepted = True
        if said.code // 100 != 2:
            self._errors += 1
        too_fast = said.code // 100 == 4 and said.code != 421 and _A_SECOND.search(said.text)
        if too_fast and self._asked_too_fast(probe):
            return
        if reading.limit == "recipients" and self._answered > 1:
            # Not a fault: this server takes so many in one conversation and wants a new one.
            servers.per_session = min(servers.per_session, self._answered - 1)
            self.closing = self.over = True
            self._give_back(probe)
            return
        if said.code == 421 or reading.reason is Reason.sender_throttled:
            self._asked_for_less(reply)
            return
        servers.failures = 0
        self._address.silent_faults = 0
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
            self.closing = True
        if ledger.checked == ledger.replies and self._careful:
            self._pool.decisions.check(servers, proof, ledger.checked)

    def _canary_is_through(self) -> None:
        if self._asks_queued_canary:
            self._asks_queued_canary = self._place.canary_queued = False

    @staticmethod
    def _note_age(at: DomainAtPlace, probe: Probe, now: float) -> None:
        if probe.role is Role.recipient and probe.first_asked is not None:
            age = now - probe.first_asked
            at.accepted_age = age if at.accepted_age == 0.0 else min(at.accepted_age, age)

    def _asked_too_fast(self, probe: Probe) -> bool:
        """The server wants fewer recipients in a second: go on, more slowly. Whether that may help."""
        probe.attempts += 1
        if probe.attempts >= _RATE_TRIES:
            return False
        self._address.too_many_a_second()
        self._servers.group = 1
        self._answered -= 1
        self._errors -= 1
        if probe.role is Role.recipient:
            self._pool.enqueue(self._servers, probe, first=True, wake=False)
        elif probe.role is Role.control:
            self._proof.controls.appendleft(probe)
        return True

    def _learn(self, seconds: float) -> None:
        """Does the server tolerate our errors and our groups?"""
        budget, errors, servers = self._operator.errors, self._errors, self._servers
        if errors >= _SLOWED_FROM and seconds > _SLOWED + 2 * self._slowest:
            self._limit_of_errors(errors)
            self.closing = True
        elif errors > budget.tolerated:
            budget.tolerate(errors)
        if seconds > self._slowest:
            self._slowest = seconds
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
        self.closing = True
        while self._outstanding:
            self._give_back(self._outstanding.pop())

    def _broken(self, failure: Broken) -> None:
        """The conversation ended without a usable reply."""
        servers, session, ledger = self._servers, self._session, self._ledger
        self.over = self.closing = self._cut = True
        self._timed = failure.kind == "timeout"
        if failure.kind == "garbage":
            ledger.fault = failure.detail or "no SMTP"
            return
        if not self._outstanding:
            return
        if len(self._outstanding) > 1:
            servers.group = 1  # it may not take groups, whatever it offers
        if failure.kind == "timeout" and self._grouped:
            ledger.fault = "a reply is wanting in a group"
            return
        probe = self._outstanding.popleft()
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
        if self._answered and not probe.attempts:  # it replied until now
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
        if self._answered:
            # It replied until now, so it may have had enough of us rather than of this recipient. If it hangs up at
            # the same point again, that is its limit, like that of servers which say so first.
            if self._errors and servers.hung_up_after == self._errors:
                self._limit_of_errors(self._errors)
            servers.hung_up_after = self._errors
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
        self.over = self.closing = self._cut = True
        reading = read_reply(reply.stage, reply.code, reply.text, own=self._pool.own)
        if reading.limit == "errors":
            self._limit_of_errors(self._errors)
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
        self.over = self.closing = self._cut = True
        if reply.reply.code == 421:  # it hangs up
            self._requeue()
        # This reply stands where that of a recipient should be, and is no error of ours itself.
        if reading.limit == "errors" and self._limit_of_errors(self._errors - 1):
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
        self._canary_is_through()
        host = self._session.host
        if not self._timed:
            servers.silent_since = None
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
            short=self._cut or ledger.fault is not None or self._most() < SHORT,
        )

    def _out_of_step(self, fault: str) -> None:
        """Void what lies behind the last checked point; those who were sent without a reply are asked again."""
        ledger, address, host = self._ledger, self._address, self._session.host
        first = not ledger.replies
        if first and not self._outstanding:
            address.silent_faults += 1
            if address.silent_faults >= TRIES:
                result = MailboxResult(Reason.protocol_error, mx_host=host, detail=fault)
                self._pool.fail(self._servers, result)
        if ledger.checked < ledger.replies or self._outstanding or not self._careful:
            address.out_of_step(ledger.checked, careful=self._careful)
        while self._outstanding:
            probe = self._outstanding.pop()
            leading = first and not self._outstanding
            if probe.role is not Role.recipient:
                self._give_back(probe)
            elif leading or (len(self._outstanding) == 0 and ledger.replies == ledger.checked):
                self._pool.decisions.void(self._servers, probe, first=leading, fault=fault, host=host)
            else:
                self._give_back(probe)
