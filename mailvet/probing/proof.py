"""What the replies of one conversation prove about each other.

Which refusals stand between acceptances of canaries, which acceptances have a refusal after them, and what must be
asked so that the rest has them as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mailvet.dns.routes import Route
from mailvet.probing.canary import (
    BETWEEN_SECONDS,
    REFUSALS_PER_CANARY,
    REFUSALS_PER_CANARY_OVER_CONVERSATIONS,
    Acceptance,
    Place,
    is_canary_name,
)
from mailvet.probing.domain import (
    DomainAtPlace,
    DomainState,
    Probe,
    RecipientReply,
    Role,
    accepted,
    against_mailbox,
    cannot_say,
    says_accept_all,
    unknown_for_now,
    words_of,
)
from mailvet.probing.queues import ServerSet

__all__ = ["ConversationProof", "Exchange"]

_CLOSINGS = 2  # controls asked again in one conversation, to see whether it accepts all by now


@dataclass(slots=True, eq=False)
class Exchange:
    """A recipient and its reply. Times are `time.monotonic()`."""

    reply: RecipientReply
    at: DomainAtPlace
    began: float
    """When the server began with the reply."""
    came: float
    counts: bool = False
    """Proven; it still has to be in step."""
    before: Acceptance | None = None
    after: Acceptance | None = None
    """The acceptances of canaries around a refusal."""
    own: Acceptance | None = None
    proof: Acceptance | None = None
    """It is an acceptance itself, of a recipient or of a canary."""
    done: bool = False
    """It became a result, or was asked again."""

    @property
    def probe(self) -> Probe:
        """Who was asked."""
        return self.reply.probe

    @property
    def proven(self) -> bool:
        """It counts, and so do the acceptances around it."""
        return self.counts and not any(one is not None and one.void for one in (self.before, self.after))


@dataclass(slots=True, eq=False)
class ConversationProof:
    """The evidence of one conversation."""

    servers: ServerSet
    place: Place
    domain_of: Callable[[str], DomainState]
    begins_with_canary: bool = False
    exchanges: list[Exchange] = field(default_factory=list)
    unproven: list[Exchange] = field(default_factory=list)
    """Refusals since the last canary was accepted."""
    trailing: list[Exchange] = field(default_factory=list)
    """Acceptances since the last refusal."""
    handed_over: list[Exchange] = field(default_factory=list)
    """Acceptances that wait for a refusal in any conversation with the place, while this one is idle."""
    refusals: int = 0
    covered: int = 0
    """Refusals when the last canary was accepted."""
    canaries: list[tuple[str, str]] = field(default_factory=list)
    """Recipients accepted in this conversation whose domain distinguishes recipients."""
    canaries_out: int = 0
    """Canaries sent whose replies are outstanding."""
    canary_first: bool = False
    """A canary must be accepted before any other recipient is asked."""
    canary_refused: int = 0
    """Canaries refused since the last one was accepted."""
    controls: deque[Probe] = field(default_factory=deque)
    """Controls to be asked in this conversation."""
    accepts_all: set[DomainAtPlace] = field(default_factory=set)
    """Domains whose control was accepted before any recipient was refused."""
    closings: int = 0
    shut_out: bool = False
    """Two canaries were refused."""
    accepts_after: int | None = None
    """Refusals after which controls were still refused, where more were followed by accepting all."""
    over: bool = False
    """Nothing more is asked in this conversation."""
    proven_elsewhere: list[tuple[ServerSet, Exchange]] = field(default_factory=list)
    """Replies of earlier conversations that this one has proven, or found to be beyond proof."""
    touched: dict[DomainAtPlace, Route] = field(default_factory=dict)
    acceptances: list[Acceptance] = field(default_factory=list)
    """Of canaries in this conversation."""
    _distinguishing: set[DomainAtPlace] = field(default_factory=set)
    _provisional: dict[DomainAtPlace, list[tuple[str, str]]] = field(default_factory=dict)
    """Accepted recipients, until the control of their domain is refused."""
    _after_control: set[DomainAtPlace] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.canary_first = self.begins_with_canary

    @property
    def _at_start(self) -> bool:
        """It began with a canary, and none was accepted yet."""
        return self.begins_with_canary and not self.acceptances

    # ---------------------------------------------------------------- taking replies in

    def take(self, exchange: Exchange) -> None:
        """Take in one reply to RCPT that is about the recipient."""
        probe, reply = exchange.probe, exchange.reply
        self.exchanges.append(exchange)
        self.touched.setdefault(exchange.at, probe.route)
        if probe.role is Role.canary:
            self._canary_replied(exchange)
        elif accepted(reply):
            if probe.role is Role.recipient:
                self._recipient_accepted(exchange)
            else:
                self._control_accepted(exchange)
        elif cannot_say(reply):
            exchange.counts = True
        else:
            self._refused(exchange)

    def _canary_replied(self, exchange: Exchange) -> None:
        exchange.counts = True
        code, probe = exchange.reply.reply.code, exchange.probe
        if accepted(exchange.reply):
            self.canary_first = False
            self._note_acceptance(exchange)
            if not self._is_canary(exchange) and not self._confirms_own_control(exchange):
                return
            if self.distinguishes(exchange.at):
                self._after_control.add(exchange.at)
            self._confirm_refusals(exchange)
        elif code // 100 == 5:
            self.canary_refused += 1
            self.place.canaries_refused += 1
            self.canaries = [one for one in self.canaries if one != (probe.local, probe.domain.name)] or self.canaries
            if self.canary_refused >= 2 or self.place.canaries_refused >= 2:
                self.shut_out = self.over = True
        else:
            self.over = True

    def _is_canary(self, exchange: Exchange) -> bool:
        """Whether the recipient is known to exist, rather than accepted while the control's reply is still wanting."""
        at = exchange.at
        known = self.place.canaries.get(self.servers.group_key, ())
        return at.unverifiable or self.distinguishes(at) or (exchange.probe.local, at.domain.name) in known

    def _confirms_own_control(self, exchange: Exchange) -> bool:
        """Whether it is accepted again after the control of its domain was refused in an earlier conversation."""
        for _, earlier in self.place.open:
            if earlier.at is exchange.at and earlier.probe.role is Role.control and earlier.came <= exchange.began:
                _between(earlier, Acceptance(exchange.began, exchange.came))
                if earlier.counts:
                    self._control_counts(earlier)
                    return True
        return False

    def _note_acceptance(self, exchange: Exchange) -> Acceptance:
        acceptance = Acceptance(exchange.began, exchange.came)
        exchange.at.last_acceptance = acceptance
        exchange.own = acceptance
        return acceptance

    def _confirm_refusals(self, exchange: Exchange) -> None:
        """A canary was accepted: so the refusals since the last one count, if both lie close together."""
        place, came = self.place, exchange.came
        acceptance = place.accepted(exchange.began, came, at_start=self._at_start)
        self.acceptances.append(acceptance)
        exchange.proof = acceptance
        if self.canary_refused:
            self.canary_refused = 0
        self.covered = self.refusals
        for refusal in self.unproven[-REFUSALS_PER_CANARY:]:
            _between(refusal, acceptance)
            if refusal.counts and refusal.probe.role is Role.control:
                self._control_counts(refusal)
        self.unproven.clear()
        if place.open:
            earlier = [pair for pair in place.open if pair[1].came <= exchange.began]
            place.open = [pair for pair in place.open if pair[1].came > exchange.began]
            for _, refusal in earlier[-REFUSALS_PER_CANARY_OVER_CONVERSATIONS:]:
                _between(refusal, acceptance)
            self.proven_elsewhere += earlier

    def _recipient_accepted(self, exchange: Exchange) -> None:
        at, probe = exchange.at, exchange.probe
        self.place.recipients_accepted += 1
        if at.unverifiable or at in self.accepts_all or at.accept_all:
            exchange.counts = True
        else:
            self.trailing.append(exchange)
        if not is_canary_name(probe.local):
            self.want_control(at, probe.route)
            return
        name = (probe.local, probe.domain.name)
        at.known = at.known or name
        self._note_acceptance(exchange)
        self._provisional.setdefault(at, []).append(name)
        # Where acceptances tell nothing by themselves, they show all the same that not all are refused.
        if at.unverifiable or self.distinguishes(at):
            self.canaries.append(name)
            self._after_control.add(at)
            if at.seen_to_distinguish:
                self.place.remember(name, self.servers.group_key)
            self._confirm_refusals(exchange)
        self.want_control(at, probe.route)

    def _control_accepted(self, exchange: Exchange) -> None:
        at, probe = exchange.at, exchange.probe
        if probe.role is Role.control:
            if not self.refusals:
                exchange.counts = True
                self.accepts_all.add(at)
                at.accept_all_pending = True
                return
            if self._closing_domain(but=at) is not None and self.closings < _CLOSINGS:
                # A domain that accepts all, or a server that does by now? The control of another domain tells.
                self.trailing.append(exchange)
                return
        self._accepts_all_by_now()

    def _accepts_all_by_now(self) -> None:
        """Controls are accepted after refusals, so what was accepted since the last refusal tells nothing."""
        self.accepts_after = max(1, self.refusals - 1)
        self.trailing.clear()
        self.over = True
        own = set(map(id, self.handed_over))
        self.proven_elsewhere += [pair for pair in self.place.unconfirmed if id(pair[1]) in own]
        self.place.unconfirmed = [pair for pair in self.place.unconfirmed if id(pair[1]) not in own]

    def _refused(self, exchange: Exchange) -> None:
        probe, reply, place = exchange.probe, exchange.reply, self.place
        for_now = unknown_for_now(reply)
        if not (for_now or against_mailbox(reply)):
            exchange.counts = True  # temporary, or about the state of a mailbox that exists
            return
        if probe.role is Role.control and says_accept_all(reply) is None:
            exchange.counts = True
            return
        self.refusals += 1
        place.note_words(words_of(reply))
        for acceptance in self.trailing:
            acceptance.counts = True
        self.trailing.clear()
        self._confirm_earlier(exchange)
        if probe.role is Role.closing:
            exchange.counts = True
            place.closings = 0
            return
        if probe.role is Role.recipient:
            place.recipients_refused += 1
        if probe.role is Role.control:
            self._distinguishing.add(exchange.at)
            known = self._provisional.get(exchange.at) or ([exchange.at.known] if exchange.at.known else [])
            self.canaries += known
        if place.free_refusals > 0:
            place.free_refusals -= 1
            exchange.counts = True
            if probe.role is Role.control:
                self._control_counts(exchange)
        elif for_now and probe.role is Role.recipient:
            exchange.counts = True
        else:
            exchange.before = place.latest(exchange.began)
            if probe.role is Role.control:
                exchange.before = _later(exchange.before, exchange.at.last_acceptance, exchange.began)
            self.unproven.append(exchange)

    def _control_counts(self, exchange: Exchange) -> None:
        """A control's refusal is proven: let the other conversations with the place know, before this one ends."""
        at = exchange.at
        at.seen_to_distinguish = True
        for local, name in self._provisional.get(at) or ([at.known] if at.known else []):
            self.place.remember((local, name), self.servers.group_key)

    def conclude(self) -> None:
        """The conversation was in step to its end: so it, or the place, had enough of us."""
        if self.shut_out:
            self.place.shut_out(at_start=self._at_start, covered=self.covered)
        if self.accepts_after is not None:
            self.place.refusals_allowed = min(self.place.refusals_allowed, self.accepts_after)

    def hand_over(self) -> None:
        """Let acceptances wait at the place: this conversation stays open, and the next refusal may be another's."""
        self.place.unconfirmed += [(self.servers, exchange) for exchange in self.trailing if not exchange.done]
        self.handed_over += self.trailing
        self.trailing.clear()

    def take_back(self, checked: int) -> None:
        """The conversation was out of step after so many replies: what the others let the place know is void."""
        for exchange in self.exchanges[checked:]:
            at = exchange.at
            for acceptance in (exchange.own, exchange.proof):
                if acceptance is not None:
                    acceptance.void = True
            if exchange.probe.role is not Role.control:
                continue
            at.accept_all_pending = False
            if not at.control_done:
                at.seen_to_distinguish = False
                self.place.forget_canaries_of(at.domain.name, self.servers.group_key)

    def _confirm_earlier(self, refusal: Exchange) -> None:
        """Acceptances of earlier conversations have a refusal after them."""
        place = self.place
        if not place.unconfirmed:
            return
        earlier = [pair for pair in place.unconfirmed if pair[1].came <= refusal.began]
        place.unconfirmed = [pair for pair in place.unconfirmed if pair[1].came > refusal.began]
        for _, acceptance in earlier:
            acceptance.counts = True
        self.proven_elsewhere += earlier

    # ---------------------------------------------------------------- what is missing

    def distinguishes(self, at: DomainAtPlace) -> bool:
        """Whether the control of the domain was refused here, in this conversation or before."""
        return at in self._distinguishing or at.seen_to_distinguish or at.distinguishes_recipients

    def want_control(self, at: DomainAtPlace, route: Route) -> None:
        """Have the control of a domain asked, unless it has been."""
        if at.control_done or at.control_in_flight or at.unverifiable:
            return
        at.control_in_flight = True
        self.controls.append(control_probe(at, route))

    @property
    def knows_canary(self) -> bool:
        """Whether a recipient is known to exist here."""
        return bool(self.canaries or self.place.canaries.get(self.servers.group_key))

    @property
    def canary_due(self) -> bool:
        """Whether refusals wait for a canary."""
        return bool(self.unproven) and not self.canaries_out and self.knows_canary

    @property
    def closing_due(self) -> bool:
        """Whether acceptances wait for a refusal after them."""
        if not self.trailing or self.closings >= _CLOSINGS or not self.place.refusals_seen:
            return False
        if not self.refusals and (self.place.waiting or self.place.conversations > 1):
            return False  # nothing was refused in this conversation, so a refusal in another one will do
        return self._closing_domain() is not None

    def canary(self) -> Probe | None:
        """The next canary to be asked."""
        if self.canaries:
            local, name = self.canaries[self.canary_refused % len(self.canaries)]
        else:
            known = self.place.next_canary(self.servers.group_key)
            if known is None:
                return None
            local, name = known
        domain = self.domain_of(name)
        return Probe(local, domain, self.servers.route, None, role=Role.canary, at=domain.at(self.place.key))

    def domain_canary(self) -> Probe | None:
        """An accepted recipient of a domain with policy or ambiguous refusals.

        Asked after the control, it shows that they are about the recipient.
        """
        for at, route in self.touched.items():
            if at in self._after_control or not self.distinguishes(at) or at.accepted_after_control:
                continue
            doubted = bool(at.doubts) or any(
                one.at is at and one.probe.role is Role.recipient and is_doubt(one.reply) for one in self.exchanges
            )
            known = self._provisional.get(at) or ([at.known] if at.known else [])
            if doubted and known:
                self._after_control.add(at)  # once
                local, _ = known[-1]
                return Probe(local, at.domain, route, None, role=Role.canary, at=at)
        return None

    def before_control(self, control: Probe, now: float) -> Probe | None:
        """An accepted recipient of the control's domain, to be asked again before it.

        Where no canary is known, the control's refusal must stand between two acceptances of it.
        """
        at = control.at
        if at is None or at.known is None or self.knows_canary or self.place.free_refusals > 0:
            return None
        last = at.last_acceptance
        if last is not None and not last.void and now - last.began < BETWEEN_SECONDS / 2:
            return None
        local, _ = at.known
        return Probe(local, at.domain, control.route, None, role=Role.canary, at=at)

    def closing(self) -> Probe | None:
        """A control that was refused before, to be asked again."""
        at = self._closing_domain()
        if at is None:
            return None
        self.closings += 1
        route = self.touched.get(at) or self.trailing[-1].probe.route
        return control_probe(at, route, role=Role.closing)

    def _closing_domain(self, but: DomainAtPlace | None = None) -> DomainAtPlace | None:
        accepted_controls = {one.at for one in self.trailing if one.probe.role is Role.control}
        for exchange in reversed(self.trailing):
            at = exchange.at
            if at is not but and at not in accepted_controls and self.distinguishes(at):
                return at
        others = [*self._distinguishing, *self.place.distinguishing.get(self.servers.group_key, {}).values()]
        return next((at for at in others if at is not but and at not in accepted_controls), None)


def control_probe(at: DomainAtPlace, route: Route, role: Role = Role.control) -> Probe:
    """The control of a domain at a place."""
    return Probe(at.control_recipient(), at.domain, route, None, role=role, at=at)


def is_doubt(reply: RecipientReply) -> bool:
    """Refused in words that may be about us, or about a policy."""
    return against_mailbox(reply) and (reply.reading.ambiguous or reply.reading.reason == "sender_blocked")


def _later(one: Acceptance | None, own: Acceptance | None, until: float) -> Acceptance | None:
    """The later of two acceptances, the second of the control's own domain."""
    if own is None or own.void or own.at > until:
        return one
    return own if one is None or one.began < own.began else one


def _between(refusal: Exchange, acceptance: Acceptance) -> None:
    before = refusal.before
    if before is not None and not before.void and acceptance.at - before.began <= BETWEEN_SECONDS:
        refusal.after = acceptance
        refusal.counts = True
