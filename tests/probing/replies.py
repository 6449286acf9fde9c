"""A place without a server: replies as they would have come, and what the pool was told to do about them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from mailvet.dns.routes import MailHost, Route
from mailvet.probing.canary import Place
from mailvet.probing.domain import MailboxResult, Probe, Role, read_recipient_reply
from mailvet.probing.pool import Mailboxes
from mailvet.probing.proof import ConversationProof, Exchange, control_probe
from mailvet.probing.queues import ServerSet
from mailvet.settings import Settings
from mailvet.smtp.outcomes import Reply
from mailvet.smtp.reply_reading import Stage

__all__ = ["ACCEPTED", "GREYLISTED", "UNKNOWN", "Script", "Unserved"]

ACCEPTED = (250, "2.1.5 Ok")
UNKNOWN = (550, "5.1.1 User unknown")
GREYLISTED = (450, "4.2.0 Greylisted, try again later")
ADDRESS = "192.0.2.1"


@dataclass
class Unserved:
    """A pool that opens no conversation: what it would queue, and what it reports."""

    pool: Mailboxes
    queued: list[Probe] = field(default_factory=list)
    results: dict[str, MailboxResult] = field(default_factory=dict)

    @classmethod
    def start(cls, monkeypatch: pytest.MonkeyPatch) -> Unserved:
        """Bound to the running event loop."""
        unserved = cls(Mailboxes(Settings.load(smtp={"hello_name": "probe.example.org"})))

        def enqueue(servers: ServerSet, probe: Probe, *, first: bool = False, wake: bool = True) -> None:
            unserved.queued.append(probe)

        monkeypatch.setattr(unserved.pool, "enqueue", enqueue)
        return unserved

    def conversation(self, domain: str) -> Script:
        """A conversation about a domain whose server has a name of its own and the address of all others."""
        route = Route(domain, hosts=(MailHost(f"mx.{domain}", 10, (ADDRESS,)),))
        _, servers = self.pool.known.routed("ann", domain, route)
        place = servers.places[0]
        place.contacted(time.monotonic())
        return Script(self, domain, route, ConversationProof(servers, place, self.pool.domain_of))

    def of(self, role: Role) -> list[str]:
        """The addresses that were queued in this role."""
        return [probe.address for probe in self.queued if probe.role is role]


@dataclass
class Script:
    """One conversation that takes in the replies it is given."""

    unserved: Unserved
    domain: str
    route: Route
    proof: ConversationProof

    @property
    def place(self) -> Place:
        """The server address."""
        return self.proof.place

    @property
    def servers(self) -> ServerSet:
        """The servers of the domain."""
        return self.proof.servers

    def ask(self, local: str, reply: tuple[int, str]) -> Exchange:
        """A recipient whose result is wanted."""
        domain = self.unserved.pool.domain_of(self.domain)
        return self.take(Probe(local, domain, self.route, self._report), reply)

    def control(self, reply: tuple[int, str], role: Role = Role.control) -> Exchange:
        """The control of the domain, or the control again (`Role.closing`)."""
        at = self.unserved.pool.domain_of(self.domain).at(self.place.key)
        self.proof.controls.clear()
        return self.take(control_probe(at, self.route, role=role), reply)

    def take(self, probe: Probe, reply: tuple[int, str]) -> Exchange:
        """Any probe and its reply, which comes at once."""
        now = time.monotonic()
        whole = Reply(Stage.rcpt, *reply, 0.0)
        read = read_recipient_reply(probe, whole, f"mx.{self.domain}", (), place=self.place.key)
        exchange = Exchange(read, probe.domain.at(self.place.key), now, now)
        self.proof.take(exchange)
        return exchange

    def check(self) -> None:
        """All replies so far are in step."""
        self.unserved.pool.decisions.check(self.proof, len(self.proof.exchanges))

    def finish(self, *, short: bool = False) -> None:
        """The conversation is over, all of its replies in step."""
        self.unserved.pool.decisions.finish(
            self.proof, len(self.proof.exchanges), fault=None, host=f"mx.{self.domain}", short=short
        )

    def _report(self, probe: Probe, result: MailboxResult | Exception) -> None:
        assert isinstance(result, MailboxResult)
        assert probe.address not in self.unserved.results, "a recipient has one result"
        self.unserved.results[probe.address] = result
