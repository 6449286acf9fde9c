"""The state of one conversation: the servers it goes to, the recipients it has sent, and how far it has come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mailvet.probing.addresses import ServerAddress
from mailvet.probing.canary import Place
from mailvet.probing.domain import DomainState, MailboxResult, Probe
from mailvet.probing.in_step import Ledger
from mailvet.probing.proof import ConversationProof
from mailvet.probing.queues import OperatorQueue, ServerSet, Way
from mailvet.probing.reply_times import ReplyTimes
from mailvet.probing.turns import Contact
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason

__all__ = ["TRIES", "Course"]

TRIES = 2
"""Conversations that a recipient may break before that becomes its result."""


@dataclass(slots=True, eq=False)
class Course:
    """What the parts of one conversation share."""

    servers: ServerSet
    way: Way
    session: Session
    contact: Contact
    proof: ConversationProof
    times: ReplyTimes
    careful: bool
    """Recipients are asked one by one, and each reply is checked."""
    ledger: Ledger = field(default_factory=Ledger)
    outstanding: deque[Probe] = field(default_factory=deque)
    """Sent, in the order in which the replies will come."""
    since_canary: int = 0
    """Sent since the last canary was."""
    replies: int = 0
    """About recipients."""
    errors: int = 0
    """Recipients that were not accepted."""
    grouped: bool = False
    """Several commands were sent together, and not all of them have their replies."""
    closing: bool = False
    """No further recipient is asked; what proves the replies so far still is."""
    over: bool = False
    """Nothing more is asked at all."""
    cut: bool = False
    """The server ended it."""
    timed_out: bool = False
    """A reply did not come in time."""

    @classmethod
    def begin(
        cls, servers: ServerSet, way: Way, session: Session, contact: Contact, domain_of: Callable[[str], DomainState]
    ) -> Course:
        """A conversation that has been opened and in which no recipient was sent; `domain_of` knows the domains."""
        canary_first = way.place.in_doubt and bool(way.place.canaries.get(servers.group_key))
        proof = ConversationProof(servers, way.place, domain_of, begins_with_canary=canary_first)
        times = ReplyTimes(way.address.refusal_seconds)
        return cls(servers, way, session, contact, proof, times, way.address.careful)

    @property
    def operator(self) -> OperatorQueue:
        """The owner of the servers."""
        return self.servers.operator

    @property
    def address(self) -> ServerAddress:
        """The server address that the session is connected to."""
        return self.way.address

    @property
    def place(self) -> Place:
        """What refusals and acceptances are held against."""
        return self.way.place

    def end(self) -> None:
        """Ask nothing more."""
        self.closing = self.over = True

    def silent_result(self) -> MailboxResult:
        """The result where no reply comes: a server that replies, only too slowly, is a tarpit; else it timed out."""
        reason = Reason.tarpit if self.session.slow_replies else Reason.smtp_timeout
        return MailboxResult(reason, mx_host=self.session.host)

    def too_late(self) -> MailboxResult:
        """The result of a recipient whose time is spent."""
        return replace(self.silent_result(), detail=f"slowest {self.session.slowest:.0f} s")
