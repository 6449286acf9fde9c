"""From replies in step to results: what the domain and the place make of them, and who is asked again.

A conversation hands its replies over once they are known to be its own. Those that are proven become results, at once
or when their domain's control is known; the others are asked again, held, or left open.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mailvet.probing.canary import PROOF_ASKS, REFUSALS_PER_CANARY_OVER_CONVERSATIONS, Place, is_canary_name
from mailvet.probing.domain import (
    UNPROVEN,
    DomainAtPlace,
    MailboxResult,
    Probe,
    RecipientReply,
    Role,
    accepted,
    cannot_say,
    refused_by_policy,
    result_of,
    says_accept_all,
)
from mailvet.probing.proof import ConversationProof, Exchange, control_probe, is_doubt
from mailvet.probing.queues import ServerSet
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["Decisions"]

_CONTROL_ASKS = 4  # times that a control is sent to one place, until no reply of it is to be had
_CLOSING_ASKS = 3  # closing controls in a row that bring nothing
_DETOURS = 3  # times that a recipient is asked again because a backup that accepts all replied
_POLICY_REFUSALS = 8  # refusals of us in a row, where none was accepted, that stop the operator
_OPEN_SECONDS = 1.5  # refusals of short conversations wait so long for others before a canary is asked
_UNPROVEN_AFTER = 3600.0  # seconds until an unproven refusal is due again, where no rest says more
_LOOK_AFTER = 5.0  # seconds of quiet, while more recipients may come, until what can be decided is
_LOOK_EVERY = 1.0  # seconds
_MOST_LOOKS = 5  # of which nothing comes, until what still waits stays open
_CANARIES_QUEUED = 4  # in a row without an acceptance or a clear refusal


class Decisions:
    """What becomes of the replies; one object for one pool."""

    def __init__(self, pool: Mailboxes) -> None:
        self._pool = pool

    # ---------------------------------------------------------------- replies in step

    def deliver(self, servers: ServerSet, place: Place, exchange: Exchange) -> None:
        """Take in one proven reply of a conversation in step."""
        exchange.done = True
        reply, at, probe = exchange.reply, exchange.at, exchange.probe
        if probe.role is Role.closing:
            return
        telling = accepted(reply) and is_canary_name(probe.local)
        if telling and at.distinguishes_recipients and exchange.began >= at.control_at:
            at.accepted_after_control = True
        if probe.role is Role.canary:
            if at.undecided:
                self.decide(at, servers, place)
            return
        if probe.role is Role.control:
            self._control(servers, place, exchange)
            return
        if accepted(reply):
            place.contradict()
            if telling:
                at.known = (probe.local, probe.domain.name)
            if at.unverifiable:
                self._found_canary(servers, place, probe)
            at.take(reply)
            self.decide(at, servers, place)
        elif cannot_say(reply):
            detail = "the server says that it cannot verify the recipient"
            self._pool.report(probe, result_of(reply, Reason.provider_unverifiable, detail=detail))
        elif is_doubt(reply):
            at.take(reply)
            self.decide(at, servers, place)
        else:
            self._pool.report(probe, result_of(reply))

    def _control(self, servers: ServerSet, place: Place, exchange: Exchange) -> None:
        at, reply = exchange.at, exchange.reply
        at.control_in_flight = False
        if at.control_at == 0.0:
            at.control_at = exchange.came
        no_reply = reply.reply.code // 100 == 4 and says_accept_all(reply) is None
        if no_reply and self._ask_control_once_more(servers, at, exchange):
            return
        at.control_at = exchange.came
        at.compare(reply)
        at.accept_all_pending = False
        if not at.distinguishes_recipients:  # then no refusal makes an acceptance clearer
            at.accepts += self._unconfirmed_of(place, at)
        if at.accept_all is False:
            place.distinguishing.setdefault(servers.group_key, {})[at.domain.name] = at
        elif at.accept_all and reply.preferred:
            at.domain.accept_all, at.domain.accept_all_reply = True, reply
            self._pool.skip_domain(servers, at.domain)
        self.decide(at, servers, place)

    def _ask_control_once_more(self, servers: ServerSet, at: DomainAtPlace, exchange: Exchange) -> bool:
        """Greylisting and the like are no reply about the control.

        It is asked once more at the age at which the recipient was accepted. Whether it will be: false when it was
        already.
        """
        if at.control_postponed:
            return False
        at.control_postponed = True
        now = time.monotonic()
        due = exchange.came + at.accepted_age
        if due > now and due > self._pool.wait_until:
            at.control_due = due
            return True
        at.control_in_flight = True
        self._pool.later(due - now, servers, control_probe(at, exchange.probe.route))
        return True

    def _come_back_with_control(self, place: Place, at: DomainAtPlace) -> None:
        """No time is left for the control to come back: its domain's recipients come back later, and it with them."""
        accepts, at.accepts = [*at.accepts, *self._unconfirmed_of(place, at)], []
        for reply in accepts:
            detail = "accepted, but a random address was asked to come back"
            result = result_of(reply, Reason.greylisted, detail=detail)
            self._pool.report(reply.probe, replace(result, retry_after=at.control_due - time.monotonic()))

    @staticmethod
    def _unconfirmed_of(place: Place, at: DomainAtPlace) -> list[RecipientReply]:
        """The acceptances of a domain that wait for a refusal after them; they wait no more."""
        taken = [exchange for _, exchange in place.unconfirmed if exchange.at is at]
        place.unconfirmed = [pair for pair in place.unconfirmed if pair[1].at is not at]
        for exchange in taken:
            exchange.done = True
        return [exchange.reply for exchange in taken if exchange.probe.role is Role.recipient]

    def count_refusals_of_us(self, servers: ServerSet, place: Place, reply: RecipientReply) -> None:
        """Stop the operator where all are refused in words about us, and none was accepted."""
        if reply.reading.reason is not Reason.sender_blocked or reply.reading.ambiguous:
            place.policy_refusals = 0
            return
        if place.accepted_any:
            return
        place.policy_refusals += 1
        if place.policy_refusals >= _POLICY_REFUSALS:
            self._pool.blocked(servers)

    def decide(self, at: DomainAtPlace, servers: ServerSet, place: Place, *, final: bool = False) -> None:
        """Report what a domain's comparison allows; `final`: nothing more will be received for now."""
        for reply, result in at.ready(final=final):
            probe = reply.probe
            if result is None:
                self._from_backup(servers, reply)
            elif (
                result.reason is Reason.sender_blocked
                and refused_by_policy(reply)
                and at.known is not None
                and probe.attempts == 0
                and not final
            ):
                probe.attempts += 1  # others are accepted, so it is not us that is refused
                self._pool.enqueue(servers, probe)
            else:
                self._pool.report(probe, result)
                if result.reason is Reason.mailbox_accepted:
                    self._found_canary(servers, place, probe)
        if at.undecided:
            place.undecided[at] = servers
        else:
            place.undecided.pop(at, None)

    def _found_canary(self, servers: ServerSet, place: Place, probe: Probe) -> None:
        place.add_canary(probe, servers.group_key)
        if place.held:
            held, place.held = place.held, []
            for where, exchange in held:
                self._ask_for_proof(where, place, exchange.probe)

    def _from_backup(self, servers: ServerSet, reply: RecipientReply) -> None:
        """A backup accepts all: that tells nothing while the preferred host can be asked."""
        probe = reply.probe
        probe.detours += 1
        now = time.monotonic()
        best = servers.best
        reachable = any(way.address.reachable(now) for way in servers.ways if way.host.preference == best)
        if reachable and probe.detours <= _DETOURS:
            for way in servers.ways:
                if way.host.preference == best:
                    way.address.busy = 0
            self._pool.enqueue(servers, probe)
        else:
            gateway = probe.domain.answers == "gateway"
            self._pool.report(probe, result_of(reply, Reason.security_gateway if gateway else Reason.accept_all))

    # ---------------------------------------------------------------- the end of a conversation

    def check(self, proof: ConversationProof, checked: int) -> None:
        """So many replies of a conversation are in step: report what is proven."""
        servers, place = proof.servers, proof.place
        for exchange in proof.exchanges[:checked]:
            if exchange.proven and not exchange.done:
                self.deliver(servers, place, exchange)
        for exchange in proof.trailing:
            at = exchange.at
            if at.control_done and not at.distinguishes_recipients and exchange in proof.exchanges[:checked]:
                exchange.counts = True
                if not exchange.done:
                    self.deliver(servers, place, exchange)
        for at in proof.touched:
            self._want_control(servers, place, at)
        earlier, proof.proven_elsewhere = proof.proven_elsewhere, []
        for where, exchange in earlier:
            if exchange.done:
                continue
            if exchange.proven:
                self.deliver(where, place, exchange)
            else:
                exchange.done = True
                self._again(where, place, exchange)

    def finish(self, proof: ConversationProof, checked: int, *, fault: str | None, host: str, short: bool) -> None:
        """A conversation is over, and so many of its replies are in step.

        Args:
            proof: the evidence of the conversation.
            checked: replies that are known to be in step.
            fault: what showed that it was out of step, if it was.
            host: name of the server.
            short: it could not ask a canary of its own, because it was cut off or takes few recipients.
        """
        servers, place = proof.servers, proof.place
        if checked < len(proof.exchanges):
            proof.take_back(checked)
            self._reinstate(place, proof)
        else:
            proof.conclude()
        self.check(proof, checked)
        trailing = {id(exchange) for exchange in proof.trailing}
        unproven = {id(exchange) for exchange in proof.unproven}
        handed_over = {id(exchange) for exchange in proof.handed_over}
        for index, exchange in enumerate(proof.exchanges):
            if exchange.done or id(exchange) in handed_over:
                continue
            exchange.done = True
            if index >= checked:
                self._void(servers, exchange, first=index == 0, fault=fault or "out of step", host=host)
            elif id(exchange) in trailing and not proof.shut_out:
                exchange.done = False
                place.unconfirmed.append((servers, exchange))
            elif (
                id(exchange) in unproven
                and not proof.shut_out
                and (short or not proof.knows_canary)
                and (place.canaries or (exchange.probe.role is Role.control and exchange.at.known))
            ):
                exchange.done = False
                place.open.append((servers, exchange))
            else:
                self._again(servers, place, exchange)
        for probe in proof.controls:
            if probe.at is not None:
                probe.at.control_in_flight = False
        if proof.shut_out:
            self._ask_open_again(place)
        for at in proof.touched:
            self._want_control(servers, place, at)
        self.settle(servers, place)

    @staticmethod
    def _reinstate(place: Place, proof: ConversationProof) -> None:
        """What a conversation out of step seemed to prove about earlier ones waits for another."""
        pending, proof.proven_elsewhere = proof.proven_elsewhere, []
        for pair in pending:
            exchange = pair[1]
            if not exchange.done:
                exchange.counts = False
                (place.unconfirmed if accepted(exchange.reply) else place.open).append(pair)

    def _void(self, servers: ServerSet, exchange: Exchange, *, first: bool, fault: str, host: str) -> None:
        probe = exchange.probe
        if probe.role is not Role.recipient:
            self.lost(probe)
            return
        self.void(servers, probe, first=first, fault=fault, host=host)

    def void(self, servers: ServerSet, probe: Probe, *, first: bool, fault: str, host: str) -> None:
        """A recipient was asked in a conversation out of step; `first`: no recipient was asked before it."""
        probe.deadline = None
        probe.voids += 1
        probe.first_faults += first
        if probe.first_faults >= 2 or probe.voids >= 3:
            self._pool.report(probe, MailboxResult(Reason.protocol_error, mx_host=host, detail=fault))
        else:
            self._pool.enqueue(servers, probe, first=not first)

    def _again(self, servers: ServerSet, place: Place, exchange: Exchange) -> None:
        """A reply in step that is not proven."""
        probe = exchange.probe
        if probe.role is not Role.recipient:
            exchange.at.control_unproven |= probe.role is Role.control
            self.lost(probe)
        elif not accepted(exchange.reply) and not place.canaries:
            place.held.append((servers, exchange))
        else:
            self._ask_for_proof(servers, place, probe)

    def _ask_open_again(self, place: Place) -> None:
        """No canary of a later conversation proves what waits for one."""
        opened, place.open = place.open, []
        for servers, exchange in opened:
            exchange.done = True
            self._again(servers, place, exchange)
            if exchange.probe.role is Role.control:
                self._want_control(servers, place, exchange.at)

    def _ask_for_proof(self, servers: ServerSet, place: Place, probe: Probe) -> None:
        if self._pool.draining:
            return
        probe.deadline = None
        probe.proof_asks += 1
        if probe.proof_asks >= PROOF_ASKS:
            self._pool.report(probe, self.unproven_result(servers, place))
        else:
            self._pool.enqueue(servers, probe)

    def lost(self, probe: Probe) -> None:
        """What was asked for the sake of others got no reply that counts."""
        at = probe.at
        if probe.role is Role.control and at is not None:
            at.control_in_flight = False

    def _want_control(self, servers: ServerSet, place: Place, at: DomainAtPlace) -> None:
        """Have a control asked in a conversation to come, where accepted recipients of its domain wait for it."""
        if at.control_done or at.control_in_flight or at.unverifiable or self._pool.draining:
            return
        accepts = [*at.accepts, *(one.reply for _, one in place.unconfirmed if one.at is at)]
        if not accepts:
            return
        if at.control_due > time.monotonic():
            self._come_back_with_control(place, at)
            return
        given_up = place.given_up(self._pool.wait_until)
        if at.control_asks >= _CONTROL_ASKS and not given_up and not at.control_unproven:
            at.control_done = True
            at.accepts += self._unconfirmed_of(place, at)
            self.decide(at, servers, place)
            return
        if at.control_asks >= _CONTROL_ASKS or given_up:
            accepts = [*at.accepts, *self._unconfirmed_of(place, at)]
            at.accepts = []
            for reply in accepts:
                self._pool.report(reply.probe, self.unproven_result(servers, place))
            return
        at.control_in_flight = True
        self._pool.enqueue(servers, control_probe(at, accepts[0].probe.route), first=True)

    def unproven_result(self, servers: ServerSet, place: Place) -> MailboxResult:
        """The result of a recipient whose refusals could not be told from our being shut out."""
        left = place.rest_until - time.monotonic()
        return MailboxResult(
            Reason.sender_throttled,
            mx_host=servers.hosts[0].name,
            detail=UNPROVEN,
            retry_after=max(left, 60.0) if left > 0 else _UNPROVEN_AFTER,
        )

    def abandon(self, servers: ServerSet, place: Place, result: MailboxResult) -> None:
        """The operator is not asked any more: what waits for others is decided as it stands."""
        pending = [*place.open, *place.held, *place.unconfirmed]
        place.open, place.held, place.unconfirmed = [], [], []
        for _, exchange in pending:
            exchange.done = True
            if exchange.probe.role is Role.recipient:
                self._pool.report(exchange.probe, result)
        if self._pool.draining:  # an acceptance without its control is no result
            return
        for at, where in list(place.undecided.items()):
            at.control_in_flight, at.control_done = False, True
            self.decide(at, where, place, final=True)

    # ---------------------------------------------------------------- when a place is quiet

    def settle(self, servers: ServerSet, place: Place) -> None:
        """Decide, or have asked, what waits for canaries and refusals of later conversations."""
        if self._pool.draining:
            return
        now = time.monotonic()
        if place.given_up(self._pool.wait_until):
            self._leave_open(place)
        elif not place.resting(now):
            self._queue_canary(servers, place, now)
            self._queue_closing(servers, place)
        if place.quiet and place.pending:
            self._flush_or_look_later(servers, place)

    def _leave_open(self, place: Place) -> None:
        pending = [*place.open, *place.held, *place.unconfirmed]
        place.open, place.held, place.unconfirmed = [], [], []
        for servers, exchange in pending:
            exchange.done = True
            if exchange.probe.role is Role.recipient:
                self._pool.report(exchange.probe, self.unproven_result(servers, place))
            else:
                self.lost(exchange.probe)
        for at, servers in list(place.undecided.items()):
            self._want_control(servers, place, at)

    def _queue_canary(self, servers: ServerSet, place: Place, now: float) -> None:
        if not place.open or place.canary_at is not None:
            return
        oldest = place.open[0][1].came
        # Where the place has shut us out before, each conversation begins with the canary for the one before.
        enough = 1 if place.shut_us_out else REFUSALS_PER_CANARY_OVER_CONVERSATIONS
        if len(place.open) < enough and place.waiting and now - oldest < _OPEN_SECONDS:
            return
        found = self._canary_of_another_conversation(servers, place)
        if found is None or place.canaries_queued >= _CANARIES_QUEUED:
            place.canaries_queued = 0
            self._ask_open_again(place)
            return
        (local, name), where = found
        domain = self._pool.domain_of(name)
        place.canary_at = where
        place.canaries_queued += 1
        probe = Probe(local, domain, where.route, None, role=Role.canary, at=domain.at(place.key))
        self._pool.enqueue(where, probe, first=True)

    @staticmethod
    def _canary_of_another_conversation(servers: ServerSet, place: Place) -> tuple[tuple[str, str], ServerSet] | None:
        """A recipient to be asked in a conversation to come, and the servers that it is asked at."""
        group = servers.group_key if place.canaries.get(servers.group_key) else next(iter(place.canaries), "")
        known, where = place.next_canary(group), place.servers.get(group)
        if known is not None and where is not None:
            return known, where
        for where, exchange in place.open:  # a control is proven by the recipients of its own domain
            if exchange.probe.role is Role.control and exchange.at.known is not None:
                return exchange.at.known, where
        return None

    def _queue_closing(self, servers: ServerSet, place: Place) -> None:
        if place.closing_queued or not place.quiet:
            return
        # Where a control is still to come, its refusal is the one that is wanted.
        waiting = [pair for pair in place.unconfirmed if pair[1].at.control_done]
        if not waiting:
            return
        where, exchange = waiting[-1]
        at = exchange.at if exchange.at.distinguishes_recipients else None
        at = at or next(iter(place.distinguishing.get(where.group_key, {}).values()), None)
        if at is None or place.closings >= _CLOSING_ASKS:
            place.closings = 0
            place.unconfirmed = [pair for pair in place.unconfirmed if not pair[1].at.control_done]
            for servers_of, one in waiting:
                one.done = True
                self._again(servers_of, place, one)
            return
        place.closing_queued = True
        place.closings += 1
        self._pool.enqueue(where, control_probe(at, exchange.probe.route, role=Role.closing), first=True)

    def _flush_or_look_later(self, servers: ServerSet, place: Place) -> None:
        if not self._pool.expecting and not self._pool.retries_pending():
            self.flush(place)
        if place.look_alarm is None and place.pending:
            rest = place.rest_until - time.monotonic()
            delay = max(_LOOK_AFTER if self._pool.expecting else _LOOK_EVERY, rest + 0.01)
            place.look_alarm = asyncio.get_running_loop().call_later(delay, self._look, servers, place)

    def _look(self, servers: ServerSet, place: Place) -> None:
        """Something waits at a place where no conversation is going on: see to it.

        Where time after time nothing comes of that, it stays open, so that every run ends.
        """
        place.look_alarm = None
        if not place.pending or self._pool.draining:
            return
        if not place.quiet:
            place.looks = 0
            return  # the end of a conversation sees to it
        if self._pool.retries_pending() or place.resting(time.monotonic()):
            place.looks = 0
        else:
            place.looks += 1
            self.flush(place)
        if place.looks >= _MOST_LOOKS and place.quiet:
            place.looks = 0
            place.canary_at, place.closing_queued = None, False
            self._leave_open(place)
            for at, where in list(place.undecided.items()):
                at.control_in_flight, at.control_done = False, True
                self.decide(at, where, place, final=True)
        self.settle(servers, place)

    def flush(self, place: Place) -> None:
        """No recipient of the place is to be asked any more: decide with what there is."""
        if self._pool.draining:
            return
        for servers, exchange in list(place.unconfirmed):
            self._want_control(servers, place, exchange.at)
        for at, servers in list(place.undecided.items()):
            self._want_control(servers, place, at)
            if not at.control_in_flight:
                self.decide(at, servers, place, final=True)
        held, place.held = place.held, []
        for_good = bool(held) and place.refused_for_good()
        for servers, exchange in held:
            if exchange.probe.role is not Role.recipient:
                self.lost(exchange.probe)
            elif is_doubt(exchange.reply):
                exchange.at.take(exchange.reply)
                self.decide(exchange.at, servers, place, final=True)
            elif for_good:
                exchange.counts = True
                self.deliver(servers, place, exchange)
            else:
                self._pool.report(exchange.probe, self.unproven_result(servers, place))
        if for_good:
            for at, servers in list(place.undecided.items()):
                self.decide(at, servers, place, final=True)
