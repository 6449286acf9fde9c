"""
What is known in this run about the recipients of one domain: who was accepted or refused, what a random control
address got, and what follows from comparing them.

A yes counts only when a random address gets a no; a no that could be meant for us counts only when the control got
the same no and somebody else of the domain a yes (see `mailvet.smtp.replies.weigh`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any, NamedTuple

from mailvet.dns.routes import Route
from mailvet.smtp.replies import Reading, Stage, read_and_mask, weigh
from mailvet.smtp.session import Reply
from mailvet.verdict import REASONS, Reason, Status

__all__ = ["Asked", "DomainState", "Heard", "MailboxAnswer", "Recipient", "answer_of", "control_local_part", "listen"]


class Recipient(NamedTuple):
    """A mailbox to ask about."""

    local: str
    domain: str
    route: Route


@dataclass(frozen=True, slots=True)
class MailboxAnswer:
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


@dataclass(slots=True, eq=False)
class Asked:
    """
    A recipient on its way through the conversations. There is one for everybody who waits, so it is small, and all
    that one domain has in common is in `domain`.
    """

    local: str
    domain: DomainState
    route: Route
    tell: Callable[[Asked, MailboxAnswer | Exception], None] | None
    """Called once, with the answer or a fault of ours. None for the control address, whose answer is for the domain."""
    ticket: Any = None
    """Whatever the caller wants to find it again by."""
    withdrawn: bool = False
    """Nobody wants the answer any more."""
    attempts: int = 0
    deadline: float | None = None
    """`time.monotonic()` at which its budget is spent; set when it is first asked."""

    @property
    def recipient(self) -> Recipient:
        """The mailbox itself."""
        return Recipient(self.local, self.domain.name, self.route)

    @property
    def address(self) -> str:
        """As RCPT names it."""
        return f"{self.local}@{self.domain.name}"

    def patience(self, budget: float) -> float:
        """Seconds left of the address's budget."""
        if self.deadline is None:
            self.deadline = time.monotonic() + budget
        return self.deadline - time.monotonic()


class Heard(NamedTuple):
    """A reply with its reading, kept until it can be compared."""

    asked: Asked
    reading: Reading
    reply: Reply
    masked: str
    host: str


@dataclass(slots=True)
class DomainState:
    """One recipient domain in this run."""

    name: str
    answers: str
    """What the operator's answers are worth (`mailvet.operators.Operator.answers`)."""
    control_address: Recipient | None = None
    control_wanted: bool = False
    """The control address is on its way or has been asked; it is asked once, after greylisting once more."""
    control: Heard | None = None
    """What the control address got."""
    control_done: bool = False
    accept_all: bool | None = None
    """Whether a random recipient is taken: yes, no, or could not tell."""
    accepted: Recipient | None = None
    """Somebody the server accepted while it refused the control: proof that it still answers honestly."""
    accepts: list[Heard] = field(default_factory=list)
    """Accepted recipients that wait for the comparison."""
    doubts: list[Heard] = field(default_factory=list)
    """Ambiguous refusals that wait for it."""
    kept_waiting: set[str] = field(default_factory=set)
    """Local parts that were told to ask again because the control was greylisted."""

    def compare(self, control: Heard) -> None:
        """Take in the reply to the control address."""
        self.control, self.control_done = control, True
        if control.reading.reason is None:
            self.accept_all = True
        elif control.reply.code // 100 == 5 and (control.reading.ambiguous or _names_recipient(control.reading)):
            self.accept_all = False
        else:
            self.accept_all = None

    @property
    def tells_apart(self) -> bool:
        """A yes is a yes here, and nobody waits to be told so."""
        return (
            self.accept_all is False and self.accepted is not None and self.answers != "unverifiable"
            and not (self.accepts or self.doubts or self.kept_waiting)
        )  # fmt: skip

    @property
    def undecided(self) -> bool:
        """Whether somebody waits for the comparison."""
        return bool(self.accepts or self.doubts)

    def hear(self, heard: Heard) -> Recipient | None:
        """
        Take in a yes or an ambiguous no for a real recipient. Returns the control address if it must be asked now.
        """
        (self.accepts if heard.reading.reason is None else self.doubts).append(heard)
        recipient = heard.asked.recipient
        if recipient.local in self.kept_waiting:  # it came back, so the control may come back as well
            self.kept_waiting.clear()
            self.control_wanted = self.control_done = False
        if self.control_wanted or (self.answers == "unverifiable" and not self.doubts):
            return None
        self.control_wanted = True
        if self.control_address is None:
            self.control_address = Recipient(control_local_part(recipient.domain), recipient.domain, recipient.route)
        return self.control_address

    def ready(self, *, honest_elsewhere: bool, last_call: bool) -> list[tuple[Heard, MailboxAnswer]]:
        """
        The undecided recipients that can be answered now, with their answers; they leave the lists.

        Args:
            honest_elsewhere: the operator accepts recipients of ours at another of its domains, so it is not us that
                it refuses.
            last_call: nothing more will be heard from the operator for now.
        """
        decided: list[tuple[Heard, MailboxAnswer]] = []
        if self.accepts and (self.control_done or self.answers == "unverifiable"):
            decided += [(heard, self._accepted(heard)) for heard in self.accepts]
            self.accepts = []
        proof = self.accepted is not None or honest_elsewhere
        # An ambiguous refusal may still be explained by a later yes to somebody else.
        if self.doubts and self.control_done and (proof or last_call):
            decided += [(heard, self._weighed(heard, proof)) for heard in self.doubts]
            self.doubts = []
        return decided

    def _accepted(self, heard: Heard) -> MailboxAnswer:
        taken = self.accept_all
        retry_after, detail = None, None
        if self.answers == "unverifiable":
            reason, detail = Reason.provider_unverifiable, "this operator accepts recipients that it later refuses"
        elif taken is False:
            reason = Reason.mailbox_accepted
            self.accepted = self.accepted or heard.asked.recipient
        elif taken is True:
            reason = Reason.security_gateway if self.answers == "gateway" else Reason.accept_all
        else:
            got = self.control.reading.reason if self.control is not None else None
            if got is Reason.greylisted:  # the same control address comes back with this recipient
                reason, detail = Reason.greylisted, "accepted, but a random address was asked to come back"
                self.kept_waiting.add(heard.asked.local)
            else:
                reason, retry_after = Reason.provider_unverifiable, 86400.0
                detail = f"accepted, but a random address got no clear answer ({got or 'conversation broken off'})"
        return _answer(reason, heard.reply.code, heard.masked, heard.host, taken, retry_after, detail)

    def _weighed(self, heard: Heard, proof: bool) -> MailboxAnswer:
        control = self.control
        reading = weigh(
            heard.reading,
            heard.masked,
            control.reading if control else None,
            control.masked if control else None,
            another_accepted=proof,
        )
        reason = reading.reason or Reason.sender_blocked
        return answer_of(heard, reason, detail="compared with a random address")

    def asked_in_vain(self) -> MailboxAnswer:
        """The answer for any recipient of a domain known to take anybody, without asking."""
        heard = self.control
        reason = Reason.security_gateway if self.answers == "gateway" else Reason.accept_all
        return MailboxAnswer(reason, mx_host=heard.host if heard else None, accept_all=True)


def answer_of(heard: Heard, reason: Reason | None = None, *, detail: str | None = None) -> MailboxAnswer:
    """The answer that a reply gives by itself, or `reason` in its place."""
    reply, reading = heard.reply, heard.reading
    if detail is None and reply.stage is not Stage.rcpt:
        detail = before_rcpt(reply.stage, heard.masked)
    return _answer(
        reason or reading.reason or Reason.protocol_error, reply.code, heard.masked, heard.host,
        heard.asked.domain.accept_all, reading.retry_after if reason is None else None, detail,
    )  # fmt: skip


def before_rcpt(stage: Stage, masked: str) -> str | None:
    """What tells a refusal before RCPT from one of the recipient, should the reply be read again."""
    return None if stage is Stage.rcpt else f"at {stage}: {masked}"


def _answer(
    reason: Reason, code: int, masked: str, host: str, taken: bool | None, retry_after: float | None,
    detail: str | None,
) -> MailboxAnswer:  # fmt: skip
    # Nothing in an answer is the recipient's own, so thousands of recipients share a few. The text of a reason is
    # ten times as fast a key as the reason.
    key = (reason._value_, code, masked, host, taken, retry_after, detail)
    answer = _answers.get(key)
    if answer is None:
        if len(_answers) >= _MOST_ANSWERS:
            _answers.clear()
        answer = MailboxAnswer(reason, code, masked, host, taken, retry_after=retry_after, detail=detail)
        _answers[key] = answer
    return answer


_answers: dict[tuple[str, int, str, str, bool | None, float | None, str | None], MailboxAnswer] = {}
_MOST_ANSWERS = 8192


def _names_recipient(reading: Reading) -> bool:
    return reading.reason is not None and REASONS[reading.reason].status is Status.undeliverable


_LONGEST_KEPT = 500
"""Characters of a reply that are kept."""


def listen(asked: Asked, reply: Reply, host: str, own: tuple[str, ...]) -> Heard:
    """Read a reply, and keep it in the form it may be stored and compared in."""
    reading, masked = read_and_mask(reply.stage, reply.code, reply.text, asked.local, asked.domain.name, own)
    return Heard(asked, reading, reply, masked[:_LONGEST_KEPT], host)


def control_local_part(domain: str, *, today: date | None = None) -> str:
    """
    A local part that nobody has: syllables and digits, so that it looks like an address people choose and fires no
    rule against machine-made names.

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
