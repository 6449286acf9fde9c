"""What is known in this run about the recipients of one domain.

What each place said to them and to a random control address, and what follows from comparing them.

An acceptance counts only where the control is refused. A refusal that could be meant for us, or is put as a policy,
counts only where the control got the same words and another recipient of the domain was accepted after it (see
`mailvet.smtp.reply_reading.weigh`). What one place said is compared with its own control alone.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from mailvet.dns.routes import Route
from mailvet.smtp.outcomes import Reply
from mailvet.smtp.reply_reading import Reading, Stage, read_and_mask, read_reply, weigh
from mailvet.vocabulary import REASONS, Reason, Status

if TYPE_CHECKING:
    from mailvet.probing.canary import Acceptance

__all__ = [
    "DomainAtPlace",
    "DomainState",
    "MailboxResult",
    "Probe",
    "Recipient",
    "RecipientReply",
    "Role",
    "control_local_part",
    "read_recipient_reply",
    "result_of",
    "stage_detail",
    "unknown_for_now",
]

UNPROVEN = "refusals_unproven"
"""Evidence of a recipient whose refusal may have been the server's way to shut us out."""


class Recipient(NamedTuple):
    """A mailbox to ask about."""

    local: str
    domain: str
    route: Route


@dataclass(frozen=True, slots=True)
class MailboxResult:
    """What the mailbox layer found out about one recipient."""

    reason: Reason
    code: int | None = None
    reply: str | None = None
    """The server's words, with addresses and hosts masked."""
    mx_host: str | None = None
    accept_all: bool | None = None
    """Whether the domain takes any recipient; None: not asked or not to be told."""
    retry_after: float | None = None
    """Seconds after which the server, or we, want to ask again; None: as the reason says."""
    detail: str | None = None


class Role(Enum):
    """Why a recipient is asked."""

    recipient = "recipient"
    """Its own result is wanted."""
    control = "control"
    """Random: would the server accept any recipient of the domain?"""
    canary = "canary"
    """Known to exist: does the server refuse all by now?"""
    closing = "closing"
    """A control that was refused before: does the server accept all by now?"""


@dataclass(slots=True, eq=False)
class Probe:
    """A recipient on its way through the conversations.

    There is one for every recipient in the queues, so it is small, and all that one domain has in common is in
    `domain`.
    """

    local: str
    domain: DomainState
    route: Route
    on_result: Callable[[Probe, MailboxResult | Exception], None] | None
    """Called once, with the result or a fault of ours. None for what is asked for the sake of others."""
    context: Any = None
    """The caller's own."""
    role: Role = Role.recipient
    at: DomainAtPlace | None = None
    """The place that is asked; set for controls and closing controls."""
    withdrawn: bool = False
    """The result is not wanted any more."""
    attempts: int = 0
    proof_asks: int = 0
    """How often it was asked without a proof that the reply counts."""
    voids: int = 0
    """How often its reply was void because the conversation was out of step."""
    first_faults: int = 0
    """How often it was the first recipient of a conversation that was out of step from the start."""
    detours: int = 0
    """How often a backup accepted it that accepts all."""
    first_asked: float | None = None
    """`time.monotonic()` of the first time it was asked."""
    deadline: float | None = None
    """`time.monotonic()` at which its budget is spent; set when it is asked."""

    @property
    def recipient(self) -> Recipient:
        """The mailbox itself."""
        return Recipient(self.local, self.domain.name, self.route)

    @property
    def address(self) -> str:
        """As RCPT names it."""
        return f"{self.local}@{self.domain.name}"

    def timeout(self, budget: float) -> float:
        """Seconds left of the address's budget."""
        if self.deadline is None:
            self.deadline = time.monotonic() + budget
        return self.deadline - time.monotonic()


class RecipientReply(NamedTuple):
    """A reply with its reading, kept until it can be compared."""

    probe: Probe
    reading: Reading
    reply: Reply
    masked: str
    host: str
    place: str = ""
    """Key of the place that said it."""
    preferred: bool = True
    """It came from a host of the best preference."""


@dataclass(slots=True, eq=False)
class DomainState:
    """One recipient domain in this run."""

    name: str
    answers: str
    """What the operator's replies are worth (`mailvet.data.operators.Operator.answers`)."""
    accept_all: bool = False
    """A host of the best preference accepts any recipient of it."""
    accept_all_reply: RecipientReply | None = None
    places: dict[str, DomainAtPlace] = field(default_factory=dict)
    greylisted_since: dict[str, float] = field(default_factory=dict)
    """When recipients that are to come back were asked for the first time, by local part."""

    def at(self, place: str) -> DomainAtPlace:
        """What the place with this key said."""
        at = self.places.get(place)
        if at is None:
            at = self.places[place] = DomainAtPlace(self, place)
        return at

    def accept_all_result(self) -> MailboxResult:
        """The result of any recipient of a domain known to accept all, without asking."""
        reply = self.accept_all_reply
        reason = Reason.security_gateway if self.answers == "gateway" else Reason.accept_all
        return MailboxResult(reason, mx_host=reply.host if reply else None, accept_all=True)


@dataclass(slots=True, eq=False)
class DomainAtPlace:
    """One recipient domain at one place: a server address, or the servers of a listed operator."""

    domain: DomainState
    place: str
    control: RecipientReply | None = None
    """What the control got."""
    control_done: bool = False
    """It was compared, or no reply of it can be had."""
    control_in_flight: bool = False
    """It is queued or sent."""
    control_asks: int = 0
    control_due: float = 0.0
    """`time.monotonic()` at which it is to come back, where the run does not wait so long."""
    control_unproven: bool = False
    """It was refused, and may have been so because all were."""
    control_at: float = 0.0
    """`time.monotonic()` of the control's first reply."""
    control_postponed: bool = False
    """It was greylisted or the like; its next reply counts."""
    accept_all: bool | None = None
    """Whether the control is accepted: yes, no, or could not tell."""
    accept_all_pending: bool = False
    """The control was accepted in a conversation that still goes on, so its domain is not asked about meanwhile."""
    seen_to_distinguish: bool = False
    """The control was refused in a conversation that still goes on."""
    accepted_after_control: bool = False
    """A recipient was accepted after the control was refused."""
    accepted_age: float = 0.0
    """Seconds from a recipient's first try to its acceptance, the least there was."""
    known: tuple[str, str] | None = None
    """Local part and domain of a recipient that was accepted."""
    last_acceptance: Acceptance | None = None
    """Of a recipient of the domain."""
    accepts: list[RecipientReply] = field(default_factory=list)
    """Accepted recipients that wait for the comparison."""
    doubts: list[RecipientReply] = field(default_factory=list)
    """Ambiguous and policy refusals that wait for it."""

    @property
    def unverifiable(self) -> bool:
        """The operator accepts what it later refuses, so a control would say nothing."""
        return self.domain.answers == "unverifiable"

    @property
    def undecided(self) -> bool:
        """Whether recipients wait for the comparison."""
        return bool(self.accepts or self.doubts)

    @property
    def distinguishes_recipients(self) -> bool:
        """An acceptance means that the mailbox exists."""
        return self.accept_all is False and not self.unverifiable

    def control_recipient(self) -> str:
        """The local part of the control."""
        return control_local_part(self.domain.name)

    def compare(self, control: RecipientReply) -> None:
        """Take in the reply to the control."""
        self.control, self.control_done = control, True
        self.accept_all = says_accept_all(control)

    def take(self, reply: RecipientReply) -> None:
        """Take in an acceptance, or an ambiguous or policy refusal, of a recipient."""
        (self.accepts if accepted(reply) else self.doubts).append(reply)

    def ready(self, *, final: bool) -> list[tuple[RecipientReply, MailboxResult | None]]:
        """The undecided recipients that can be decided now, with their results; they leave the lists.

        None instead of a result: a backup that accepts all told nothing.

        Args:
            final: nothing more will be received from the place for now.
        """
        decided: list[tuple[RecipientReply, MailboxResult | None]] = []
        if self.accepts and (self.control_done or self.unverifiable):
            decided += [(reply, self._accepted(reply)) for reply in self.accepts]
            self.accepts = []
        # An ambiguous refusal may still be explained by a later acceptance of another recipient.
        if self.doubts and (final or (self.control_done and self.accepted_after_control)):
            decided += [(reply, self._weighed(reply)) for reply in self.doubts]
            self.doubts = []
        return decided

    def _accepted(self, accepted: RecipientReply) -> MailboxResult | None:
        retry_after, detail = None, None
        if self.unverifiable:
            reason, detail = Reason.provider_unverifiable, "this operator accepts recipients that it later refuses"
        elif self.accept_all is False:
            reason = Reason.mailbox_accepted
        elif self.accept_all is True:
            if not accepted.preferred:
                return None
            reason = Reason.security_gateway if self.domain.answers == "gateway" else Reason.accept_all
        else:
            got = self.control.reading.reason if self.control is not None else None
            reason, retry_after = Reason.provider_unverifiable, 86400.0
            detail = f"accepted, but a random address got no clear reply ({got or 'conversation broken off'})"
        return _result(
            reason, accepted.reply.code, accepted.masked, accepted.host, self.accept_all, retry_after, detail
        )

    def _weighed(self, doubt: RecipientReply) -> MailboxResult:
        control, proof = self.control, self.accepted_after_control
        reading = weigh(
            doubt.reading,
            doubt.masked,
            control.reading if control else None,
            control.masked if control else None,
            another_accepted=proof,
        )
        if proof and control is not None and refused_by_policy(doubt) and same_words(doubt, control):
            return result_of(doubt, Reason.mailbox_not_found, detail="a random address got the same policy words")
        return result_of(doubt, reading.reason or Reason.sender_blocked, detail="compared with a random address")


def accepted(reply: RecipientReply) -> bool:
    """The server would take a message for the recipient: 250 or 251 to RCPT."""
    return reply.reply.stage is Stage.rcpt and reply.reply.code in (250, 251)


def cannot_say(reply: RecipientReply) -> bool:
    """The server neither accepts nor refuses: 252, or another positive code that RCPT does not know."""
    return reply.reply.stage is Stage.rcpt and reply.reply.code // 100 == 2 and not accepted(reply)


def refused_by_policy(reply: RecipientReply) -> bool:
    """Refused for good at RCPT, in words that may be about us."""
    return (
        reply.reply.stage is Stage.rcpt
        and reply.reply.code // 100 == 5
        and reply.reading.reason is Reason.sender_blocked
    )


def against_mailbox(reply: RecipientReply) -> bool:
    """Refused for good at RCPT, in words that name the recipient as the fault, or may."""
    reading = reply.reading
    return (
        reply.reply.stage is Stage.rcpt
        and reply.reply.code // 100 == 5
        and (reading.ambiguous or reading.reason in _NO_MAILBOX or reading.reason is Reason.sender_blocked)
    )


def unknown_for_now(reply: RecipientReply) -> bool:
    """A temporary refusal whose words are those for an unknown recipient, as `450 4.1.1 User unknown`."""
    code, text = reply.reply.code, reply.reply.text
    if reply.reply.stage is not Stage.rcpt or code // 100 != 4:
        return False
    if reply.reading.reason in (Reason.greylisted, Reason.sender_throttled):
        return False
    permanent = _TEMPORARY_CODE.sub(r"5.\1", text, count=1)
    reading = read_reply(Stage.rcpt, 550, permanent, recipient=reply.probe.address)
    return reading.reason is Reason.mailbox_not_found and not reading.ambiguous


_TEMPORARY_CODE = re.compile(r"(?<![\d.])4\.(\d{1,3}\.\d{1,3})(?![\d.])")


def says_accept_all(control: RecipientReply) -> bool | None:
    """What the reply to a control says about its domain: accept-all, not, or nothing."""
    if accepted(control):
        return True
    if against_mailbox(control) or unknown_for_now(control):
        blocked = control.reading.reason is Reason.sender_blocked and not control.reading.ambiguous
        return None if blocked and _blocks_us(control) else False
    return None


def _blocks_us(control: RecipientReply) -> bool:
    """Whether a policy refusal speaks of our address, host or sender rather than of the recipient."""
    return _ABOUT_US.search(control.masked) is not None


_ABOUT_US = re.compile(
    r"client host|block(?:ed )?(?:using|list)|black ?list|\brbl\b|dnsbl|spamhaus|reputation|your (?:ip|host|server)"
    r"|sender|\bhelo\b|reverse dns|\bptr\b|\bspf\b",
    re.IGNORECASE,
)


def same_words(one: RecipientReply, other: RecipientReply) -> bool:
    """Whether two replies say the same, counters, case and line breaks aside."""
    return words_of(one) == words_of(other)


def words_of(reply: RecipientReply) -> str:
    """Code and masked text in the form in which replies are compared."""
    return f"{reply.reply.code} " + " ".join(re.sub(r"\d+", "0", reply.masked).casefold().split())


_NO_MAILBOX = frozenset(reason for reason, rule in REASONS.items() if rule.status is Status.undeliverable)


def result_of(reply: RecipientReply, reason: Reason | None = None, *, detail: str | None = None) -> MailboxResult:
    """The result that a reply gives by itself, or `reason` in its place."""
    said, reading = reply.reply, reply.reading
    if detail is None and said.stage is not Stage.rcpt:
        detail = stage_detail(said.stage, reply.masked)
    return _result(
        reason or reading.reason or Reason.protocol_error,
        said.code,
        reply.masked,
        reply.host,
        _accept_all_at(reply),
        reading.retry_after if reason is None else None,
        detail,
    )


def _accept_all_at(reply: RecipientReply) -> bool | None:
    at = reply.probe.domain.places.get(reply.place)
    return at.accept_all if at is not None else None


def stage_detail(stage: Stage, masked: str) -> str | None:
    """What tells a refusal before RCPT from one of the recipient, should the reply be read again."""
    return None if stage is Stage.rcpt else f"at {stage}: {masked}"


def _result(
    reason: Reason,
    code: int,
    masked: str,
    host: str,
    accept_all: bool | None,
    retry_after: float | None,
    detail: str | None,
) -> MailboxResult:
    # Nothing in a result is the recipient's own, so thousands of recipients share a few. The text of a reason is
    # ten times as fast a key as the reason.
    key = (reason._value_, code, masked, host, accept_all, retry_after, detail)
    result = _results.get(key)
    if result is None:
        if len(_results) >= _MOST_RESULTS:
            _results.clear()
        result = MailboxResult(reason, code, masked, host, accept_all, retry_after=retry_after, detail=detail)
        _results[key] = result
    return result


_results: dict[tuple[str, int, str, str, bool | None, float | None, str | None], MailboxResult] = {}
_MOST_RESULTS = 8192
_LONGEST_KEPT = 500
"""Characters of a reply that are kept."""


def read_recipient_reply(
    probe: Probe, reply: Reply, host: str, own: tuple[str, ...], *, place: str = "", preferred: bool = True
) -> RecipientReply:
    """Read a reply, and keep it in the form it may be stored and compared in."""
    reading, masked = read_and_mask(reply.stage, reply.code, reply.text, probe.local, probe.domain.name, own)
    return RecipientReply(probe, reading, reply, masked[:_LONGEST_KEPT], host, place, preferred)


def control_local_part(domain: str, *, today: date | None = None) -> str:
    """A local part that no mailbox has.

    Syllables and digits, so that it looks like an address people choose and fires no rule against machine-made names.

    The same for a domain all month: a run that comes back to a greylisting server, perhaps in another process, is
    known there with its control address as well.
    """
    day = today or datetime.now(timezone.utc).date()
    digest = hashlib.sha256(f"{domain} {day.year}-{day.month:02}".encode()).digest()
    syllables = "".join(
        _CONSONANTS[digest[2 * n] % len(_CONSONANTS)] + _VOWELS[digest[2 * n + 1] % len(_VOWELS)] for n in range(5)
    )
    return f"{syllables}{_ENDINGS[digest[10] % len(_ENDINGS)]}{1000 + int.from_bytes(digest[11:15], 'big') % 9000}"


_CONSONANTS, _VOWELS, _ENDINGS = "bdfgklmnprstvz", "aeiou", "bdklmnrst"
