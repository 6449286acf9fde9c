"""
What is known in this run about the recipients of one domain: who was accepted or refused, what a random control
address got, and what follows from comparing them.

A yes counts only when a random address gets a no; a no that could be meant for us counts only when the control got
the same no and somebody else of the domain a yes (see `mailvet.smtp.replies.weigh`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timezone

from mailvet.layers.route import Route
from mailvet.smtp.replies import Reading, mask, weigh
from mailvet.smtp.session import Reply
from mailvet.verdict import REASONS, Reason, Status

__all__ = ["Asked", "DomainState", "MailboxAnswer", "Recipient", "control_local_part"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """A mailbox to ask about."""

    local: str
    domain: str
    route: Route

    @property
    def address(self) -> str:
        """As RCPT names it."""
        return f"{self.local}@{self.domain}"


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
    """A recipient on its way through the conversations."""

    recipient: Recipient
    domain: DomainState
    answer: asyncio.Future[MailboxAnswer] | None
    """None for the control address, whose answer is for the domain."""
    attempts: int = 0
    deadline: float | None = None
    """`time.monotonic()` at which its budget is spent; set when it is first asked."""

    def patience(self, budget: float) -> float:
        """Seconds left of the address's budget."""
        if self.deadline is None:
            self.deadline = time.monotonic() + budget
        return self.deadline - time.monotonic()


@dataclass(frozen=True, slots=True)
class Heard:
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
    control_done: bool = False
    accepted: Recipient | None = None
    """Somebody the server accepted while it refused the control: proof that it still answers honestly."""
    accepts: list[Heard] = field(default_factory=list)
    """Accepted recipients that wait for the comparison."""
    doubts: list[Heard] = field(default_factory=list)
    """Ambiguous refusals that wait for it."""
    kept_waiting: set[str] = field(default_factory=set)
    """Local parts that were told to ask again because the control was greylisted."""

    @property
    def accept_all(self) -> bool | None:
        """Whether a random recipient is taken: yes, no, or could not tell."""
        if self.control is None:
            return None
        reading = self.control.reading
        if reading.reason is None:
            return True
        if self.control.reply.code // 100 == 5 and (reading.ambiguous or _names_recipient(reading)):
            return False
        return None

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
                self.kept_waiting.add(heard.asked.recipient.local)
            else:
                reason, retry_after = Reason.provider_unverifiable, 86400.0
                detail = f"accepted, but a random address got no clear answer ({got or 'conversation broken off'})"
        return MailboxAnswer(
            reason, heard.reply.code, heard.masked, heard.host, taken,
            retry_after=retry_after, detail=detail,
        )  # fmt: skip

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
        return MailboxAnswer(
            reason, heard.reply.code, heard.masked, heard.host, self.accept_all, detail="compared with a random address"
        )

    def asked_in_vain(self) -> MailboxAnswer:
        """The answer for any recipient of a domain known to take anybody, without asking."""
        heard = self.control
        reason = Reason.security_gateway if self.answers == "gateway" else Reason.accept_all
        return MailboxAnswer(reason, mx_host=heard.host if heard else None, accept_all=True)


def _names_recipient(reading: Reading) -> bool:
    return reading.reason is not None and REASONS[reading.reason].status is Status.undeliverable


def listen(asked: Asked, reading: Reading, reply: Reply, host: str, own: tuple[str, ...]) -> Heard:
    """Keep a reply in the form it may be stored and compared in."""
    masked = mask(reply.text, recipient=asked.recipient.address, own=own)
    return Heard(asked, reading, reply, masked[:500], host)


def control_local_part(domain: str, *, today: date | None = None) -> str:
    """
    A local part that nobody has: syllables and digits, so that it looks like an address people choose and fires no
    rule against machine-made names.

    The same for a domain all month: a run that comes back to a greylisting server, perhaps in another process, is
    known there with its control address as well.
    """
    month = today or datetime.now(timezone.utc).date()
    digest = hashlib.sha256(f"{domain} {month:%Y-%m}".encode()).digest()
    syllables = "".join(
        _CONSONANTS[digest[2 * n] % len(_CONSONANTS)] + _VOWELS[digest[2 * n + 1] % len(_VOWELS)] for n in range(5)
    )
    return f"{syllables}{_ENDINGS[digest[10] % len(_ENDINGS)]}{1000 + int.from_bytes(digest[11:15], 'big') % 9000}"


_CONSONANTS, _VOWELS, _ENDINGS = "bdfgklmnprstvz", "aeiou", "bdklmnrst"
