"""
Would the server take a message for this recipient? The mailbox layer asks, and never sends.

Recipients queue per operator (the owner of the mail servers) and, within it, per set of servers. Conversations take
from these queues: one conversation asks many recipients, as many as the operator bears, and the operator's `Pace`
says how many conversations there may be, its `ErrorBudget` how many refusals one of them may collect. What one reply
means is read in `mailvet.smtp.replies`; what several replies of one domain mean together, in `mailvet.smtp.recipients`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

from mailvet.layers.route import MailHost, Route
from mailvet.operators import Operator, operator_of, operators
from mailvet.probing.health import RunHealth
from mailvet.settings import Settings
from mailvet.smtp.pacing import ErrorBudget, Pace
from mailvet.smtp.recipients import (
    Asked,
    DomainState,
    Heard,
    MailboxAnswer,
    Recipient,
    answer_of,
    before_rcpt,
    listen,
)
from mailvet.smtp.replies import Reading, Stage, mask, read_reply
from mailvet.smtp.session import Broken, Refused, Reply, Session
from mailvet.verdict import REASONS, Reason, Status

__all__ = ["Asked", "MailboxAnswer", "Mailboxes", "OperatorProgress", "Recipient"]

_TRIES = 2  # conversations a recipient may break before it gets an answer about that
_THROTTLED_TRIES = 3
_ADDRESSES_PER_HOST = 2
_FAILED_FOR = 600.0  # seconds for which servers that failed are not tried again
_FAREWELL = 2.0  # seconds for conversations to end properly when the run is stopped
_PROOF_AFTER = 3  # refusals in one conversation from which a no needs proof that the server is still honest
_WITNESSES = 16  # recipients known to exist that are kept for that proof, asked in turn
_FIRST_GROUP = 4  # recipients named at once at first; twice as many after each group that was answered in full
_LARGEST_GROUP = 50  # as many as Postfix's own client names in one transaction, so servers are used to it
_AT_LEISURE = 1.0  # seconds for one reply, from which on nothing is sent ahead to a server that takes its time
_SLOWED = 0.5  # seconds; a reply that takes so much longer after refusals is a sign of displeasure (Postfix: 1 s)
_SLOWED_FROM = 4  # refusals; before so many, a slow reply has other reasons
_IDLE = 5.0  # seconds for which a conversation stays open for recipients that are still to be read
_REMEMBERED_DOMAINS = 200_000
_REMEMBERED_SERVERS = 20_000


@dataclass(frozen=True, slots=True)
class OperatorProgress:
    """What one operator is doing, for people who watch."""

    name: str
    asked: int
    waiting: int
    connections: int
    state: str


@dataclass(slots=True, eq=False)
class _Servers:
    """The recipients that can be asked in one conversation: same servers, same need of SMTPUTF8."""

    operator: _OperatorQueue
    hosts: tuple[MailHost, ...]
    eai: bool
    waiting: deque[Asked] = field(default_factory=deque)
    queued: bool = False
    """In the operator's round of servers to be asked."""
    conversations: int = 0
    idle: list[asyncio.Future[None]] = field(default_factory=list)
    """Conversations that have nobody to ask at the moment."""
    per_session: int = 1 << 30
    """Learnt from `452 too many recipients`."""
    refusals_allowed: int = 1 << 30
    """Recipients refused in one conversation; lowered for servers that began to refuse everybody."""
    sender_welcome: bool = False
    """They have accepted MAIL from us."""
    group: int = _FIRST_GROUP
    """Recipients that may be named before the first of them is answered, where the server offers PIPELINING."""
    hung_up_after: int | None = None
    """Errors in the last conversation that the server cut off in the middle."""
    failures: int = 0
    """Conversations in a row that brought no answer."""
    failed: MailboxAnswer | None = None
    failed_until: float = 0.0
    witnesses: deque[Recipient] = field(default_factory=lambda: deque(maxlen=_WITNESSES))
    """Accepted by these servers while a control was refused: whoever refuses them is not honest any more."""


@dataclass(slots=True, eq=False)
class _OperatorQueue:
    rule: Operator
    listed: bool
    """A known operator, whose customers share its way of refusing; else a lone host."""
    pace: Pace
    errors: ErrorBudget
    limit: int | None
    """Most recipients to ask, from `pacing.daily_limits`."""
    servers: dict[tuple[tuple[str, ...], bool], _Servers] = field(default_factory=dict)
    queued: deque[_Servers] = field(default_factory=deque)
    """Servers with recipients waiting, asked in turn."""
    connections: int = 0
    asked: int = 0
    waiting: int = 0
    honest: bool = False
    """Somebody was accepted here while a control was refused."""
    undecided: dict[str, DomainState] = field(default_factory=dict)
    alarm: asyncio.TimerHandle | None = None
    starved: bool = False
    """Waits for its turn because all connections are taken."""

    @property
    def busy(self) -> bool:
        """Whether something depends on remembering it."""
        return bool(
            self.listed or self.waiting or self.connections or self.undecided or self.alarm or self.starved
            or self.pace.stopped or self.pace.pause_left()
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Dialogue:
    """One conversation as it goes."""

    session: Session
    most: int
    """Recipients it may ask at all."""
    began: float
    """`time.monotonic()` when the connection was asked for."""
    opened: float = field(default_factory=time.monotonic)
    turns: int = 0
    """Times that somebody was named; each of them waits for the server once."""
    unanswered: deque[Asked] = field(default_factory=deque)
    """Named, in the order in which the replies will come."""
    named: int = 0
    """Recipients that were answered."""
    errors: int = 0
    refusals: int = 0
    """Refusals that speak against a mailbox."""
    slowest: float = 0.0
    """Seconds of the slowest reply to a recipient."""
    ahead: int = 0
    """Recipients answered since the group grew."""
    doubtful: list[Heard] = field(default_factory=list)
    """Refusals that count only if the server proves to be honest still."""
    closing: bool = False
    """Nobody else is named."""
    proof_due: bool = False
    """A recipient known to exist was named last of all, and its reply is still to come."""
    throttled: bool = False
    """The server has asked for less: once is enough, whatever it says to those who were named already."""


class Mailboxes:
    """
    Ask mailboxes at a polite pace.

    Args:
        settings: `smtp`, `pacing`.
        asked_today: recipients already asked today, by operator, counted against the daily limits.

    Bound to the running event loop. `submit` and `ask` never wait; everybody gets an answer.

    Attributes:
        expecting: more recipients are to come soon, so that conversations are kept open for them a while.
    """

    def __init__(self, settings: Settings, *, asked_today: Mapping[str, int] | None = None) -> None:
        self._settings = settings
        self._smtp = settings.smtp
        self._hello = settings.hello_name
        self._own = tuple(filter(None, (settings.smtp.mail_from, self._hello)))
        self._asked_today = dict(asked_today or {})
        self._operators: dict[str, _OperatorQueue] = {}
        self._domains: OrderedDict[str, DomainState] = OrderedDict()
        self._places: dict[str, tuple[Route, DomainState, _Servers]] = {}
        self._connections = 0
        self._starved: deque[_OperatorQueue] = deque()
        self._unreachable: dict[str, float] = {}  # address -> until when it is left aside
        self._unanswered: set[Asked] = set()
        self._idle: OrderedDict[asyncio.Future[None], _Servers] = OrderedDict()
        self._server_sets = 0
        self._asked_earlier: dict[str, int] = {}  # by operators that were forgotten since
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._expecting = False
        self.health = RunHealth(settings.retry.outage_after.total_seconds())
        self._failed_for = min(_FAILED_FOR, 0.9 * settings.retry.after_failure.total_seconds())
        self.probes = 0
        """RCPT commands sent."""

    # ---------------------------------------------------------------- submitting

    def submit(self, recipient: Recipient) -> asyncio.Future[MailboxAnswer]:
        """
        Queue one recipient; its route must have hosts. The future never raises for what servers do, only for a
        fault of ours. Submitting a recipient again, after greylisting, asks it again.
        """
        future: asyncio.Future[MailboxAnswer] = asyncio.get_running_loop().create_future()

        def tell(_: Asked, answer: MailboxAnswer | Exception) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        def withdraw(done: asyncio.Future[MailboxAnswer]) -> None:
            asked.withdrawn = done.cancelled()

        asked = self.ask(recipient.local, recipient.domain, recipient.route, tell)
        future.add_done_callback(withdraw)
        return future

    def ask(
        self,
        local: str,
        domain: str,
        route: Route,
        tell: Callable[[Asked, MailboxAnswer | Exception], None],
        ticket: Any = None,
    ) -> Asked:
        """
        The same without a future: `tell` is called with what is returned here and the answer, at once where that is
        known already. The `ticket` is the caller's.
        """
        place = self._places.get(domain)
        if place is None or place[0] is not route or not local.isascii():
            place = self._place(local, domain, route)
        _, state, servers = place
        asked = Asked(local, state, route, tell, ticket)
        unasked = self._unasked(servers.operator)
        if unasked is not None:
            tell(asked, unasked)
            return asked
        self._unanswered.add(asked)
        if servers.failed is not None and servers.failed_until > time.monotonic():
            self._answer(asked, servers.failed)
        elif state.accept_all:
            self._answer(asked, state.asked_in_vain())
        else:
            servers.failed = None
            self._enqueue(servers, asked)
        return asked

    def ask_again(self, probe: Asked) -> None:
        """Ask a recipient again whose result did not count."""
        assert probe.tell is not None
        self.ask(probe.local, probe.domain.name, probe.route, probe.tell, probe.ticket)

    def forget_failures(self) -> None:
        """Our own network was at fault: servers that could not be reached are tried again at once."""
        self._unreachable.clear()
        for queue in self._operators.values():
            for servers in queue.servers.values():
                servers.failed = None

    async def reach(self, address: str) -> bool:
        """Whether a connection to this server address succeeds now; `health` is told."""
        try:
            session = await Session.open(address, address, self._smtp, self._hello)
        except Refused:
            pass
        except Broken as failure:
            if failure.kind == "unreachable":
                self.health.address_failed(address)
                return False
        else:
            await session.close()
        self.health.address_replied(address)
        return True

    def _place(self, local: str, name: str, route: Route) -> tuple[Route, DomainState, _Servers]:
        """What recipients of a domain have in common, kept for those that need no SMTPUTF8."""
        if self._server_sets >= _REMEMBERED_SERVERS:
            self._forget_servers()
        queue = self._operator(route)
        servers = self._servers(queue, route, eai=not local.isascii())
        place = route, self._domains.get(name) or self._new_domain(name, queue), servers
        if not servers.eai:
            self._places[name] = place
        return place

    @property
    def expecting(self) -> bool:
        return self._expecting

    @expecting.setter
    def expecting(self, more: bool) -> None:
        self._expecting = more
        if not more:
            self._release(len(self._idle))

    def _new_domain(self, name: str, queue: _OperatorQueue) -> DomainState:
        if len(self._domains) >= _REMEMBERED_DOMAINS:
            self._forget_domains()
        domain = self._domains[name] = DomainState(name, queue.rule.answers)
        return domain

    def _forget_domains(self) -> None:
        """Forget the older half of the domains that nobody waits for, so that a run of any length stays small."""
        self._places.clear()
        awaited = {asked.domain.name for asked in self._unanswered}
        for name in list(self._domains)[: _REMEMBERED_DOMAINS // 2]:
            if name not in awaited:
                del self._domains[name]

    def _forget_servers(self) -> None:
        """The same for servers; what an operator was asked counts against its daily limit all the same."""
        self._places.clear()
        awaited = {asked.route.hosts_key for asked in self._unanswered}
        for name, queue in list(self._operators.items()):
            for key, servers in list(queue.servers.items()):
                if not servers.conversations and not servers.queued and key[0] not in awaited:
                    del queue.servers[key]
                    self._server_sets -= 1
            if not queue.servers and not queue.busy:
                if queue.asked:
                    self._asked_earlier[name] = queue.asked
                del self._operators[name]

    def _operator(self, route: Route) -> _OperatorQueue:
        queue = self._operators.get(route.operator or "")
        if queue is not None:
            return queue
        rule = operator_of(route.hosts[0].name)
        queue = self._operators.get(rule.name)
        if queue is None:
            pacing = self._settings.pacing
            cap = min(pacing.connections_per_operator, rule.connections or pacing.connections_per_operator)
            limits = pacing.daily_limits
            limit = limits.get(rule.name, limits.get("default"))
            queue = self._operators[rule.name] = _OperatorQueue(
                rule, rule in operators(), Pace(cap), ErrorBudget(pacing.errors_per_session), limit
            )
            queue.asked = self._asked_earlier.pop(rule.name, 0)
        return queue

    def _servers(self, queue: _OperatorQueue, route: Route, *, eai: bool) -> _Servers:
        key = (route.hosts_key, eai)
        servers = queue.servers.get(key)
        if servers is None:
            servers = queue.servers[key] = _Servers(queue, route.hosts, eai)
            self._server_sets += 1
        return servers

    def _unasked(self, queue: _OperatorQueue) -> MailboxAnswer | None:
        """Why a newcomer is not to be asked, if so."""
        if queue.rule.answers == "accepts_all":
            return MailboxAnswer(Reason.provider_unverifiable, detail=f"{queue.rule.label}: {queue.rule.answers}")
        return self._closed(queue, ahead=queue.waiting)

    def _closed(self, queue: _OperatorQueue, *, ahead: int = 0) -> MailboxAnswer | None:
        """Why nobody is asked at this operator now, if so; `ahead` recipients will have been asked before."""
        if self.health.network_down:
            return MailboxAnswer(Reason.not_probed, detail="our network was down", retry_after=0.0)
        if self._ended or self.health.degraded is not None:
            return MailboxAnswer(Reason.not_probed, detail="the run was stopped", retry_after=3600.0)
        if queue.pace.stopped is not None:
            why = f"operator stopped: {queue.pace.stopped}"
            return MailboxAnswer(Reason.not_probed, detail=why, retry_after=86400.0)
        if queue.limit is not None and self._spent(queue) + ahead >= queue.limit:
            return MailboxAnswer(Reason.not_probed, detail="daily limit of the operator", retry_after=43200.0)
        if self._settings.pacing.quiet_hours is not None:
            quiet = _quiet_for(self._settings.pacing.quiet_hours, datetime.now(timezone.utc))
            if quiet is not None:
                return MailboxAnswer(Reason.not_probed, detail="quiet hours", retry_after=quiet)
        return None

    def _spent(self, queue: _OperatorQueue) -> int:
        """Recipients asked of this operator today."""
        return self._asked_today.get(queue.rule.name, 0) + queue.asked

    # ---------------------------------------------------------------- scheduling

    def _enqueue(self, servers: _Servers, asked: Asked, *, first: bool = False) -> None:
        if not servers.queued:
            servers.queued = True
            servers.operator.queued.append(servers)
        if first:
            servers.waiting.appendleft(asked)
        else:
            servers.waiting.append(asked)
        servers.operator.waiting += 1
        if servers.idle:
            self._end_idling(servers.idle[-1])
        elif servers.operator.connections < servers.operator.pace.limit or self._idle:
            self._wake(servers.operator)

    def _next(self, servers: _Servers) -> Asked | None:
        """The next recipient of these servers that still has to be asked."""
        while servers.waiting:
            asked = servers.waiting.popleft()
            servers.operator.waiting -= 1
            if asked.withdrawn:
                self._unanswered.discard(asked)
                continue
            if asked.tell is not None and asked.domain.accept_all:
                self._answer(asked, asked.domain.asked_in_vain())
                continue
            return asked
        return None

    def _wake(self, queue: _OperatorQueue) -> None:
        """Start as many conversations as pace, caps and queue allow."""
        if queue.waiting and self._closed(queue) is not None:
            self._drain((queue,))
            return
        pause = queue.pace.pause_left()
        if pause > 0:
            if queue.alarm is None and queue.queued:
                queue.alarm = asyncio.get_running_loop().call_later(pause + 0.01, self._alarm, queue)
            return
        for _ in range(len(queue.queued)):
            servers = queue.queued[0]
            if not servers.waiting:
                queue.queued.popleft()
                servers.queued = False
                continue
            queue.queued.rotate(-1)
            # One more conversation is worth its greeting only if those that run will not soon be through.
            while len(servers.waiting) > 3 * servers.conversations:
                if queue.connections >= queue.pace.limit:
                    self._release(1, queue)
                    return
                if self._connections >= self._settings.pacing.connections:
                    self._release(1)
                    if not queue.starved:
                        queue.starved = True
                        self._starved.append(queue)
                    return
                queue.connections += 1
                servers.conversations += 1
                self._connections += 1
                task = asyncio.ensure_future(self._converse(servers))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _alarm(self, queue: _OperatorQueue) -> None:
        queue.alarm = None
        self._wake(queue)

    async def _converse(self, servers: _Servers) -> None:
        queue = servers.operator
        began = time.monotonic()
        try:
            session = await self._open(servers) if servers.waiting else None
            if session is not None:
                try:
                    await self._dialogue(servers, session, began)
                finally:
                    await session.close()
        except Exception as error:  # a bug or a setting of ours: let whoever waits see it instead of waiting for ever
            self._fail_loudly(error)
        finally:
            queue.connections -= 1
            servers.conversations -= 1
            self._connections -= 1
            if self.health.degraded is not None:
                self._drain(self._operators.values())
            if self._starved and not queue.starved:  # whoever had to wait goes first
                queue.starved = True
                self._starved.append(queue)
            elif not queue.starved:
                self._wake(queue)
            while self._starved and self._connections < self._settings.pacing.connections:
                other = self._starved.popleft()
                other.starved = False
                self._wake(other)
            self._last_call(queue)

    def _last_call(self, queue: _OperatorQueue) -> None:
        """With nobody left to ask, those who wait for a comparison get the answer that there is."""
        if not queue.waiting and queue.connections == sum(len(each.idle) for each in queue.servers.values()):
            for domain in list(queue.undecided.values()):
                self._decide(domain, queue, last_call=True)

    # ---------------------------------------------------------------- opening

    async def _open(self, servers: _Servers) -> Session | None:
        """A session with the best server that can be had; None when there is none, and everybody has an answer."""
        queue = servers.operator
        broken: list[Broken] = []
        without_eai = 0
        put_off: tuple[Reply, str] | None = None
        for host, address in self._ways(servers):
            try:
                session = await Session.open(
                    host.name, address, self._smtp, self._hello, source=self._source(servers, address)
                )
            except Refused as refusal:
                self.health.connection_made(queue.rule.name, address)
                if refusal.reply.code // 100 == 4 and "connections" not in refusal.reply.text.lower():
                    # RFC 5321 5.1: a server that cannot serve now is what the other servers are for.
                    put_off = put_off or (refusal.reply, host.name)
                    continue
                self._refused(servers, refusal.reply, host.name)
                return None
            except Broken as failure:
                broken.append(failure)
                if failure.kind == "unreachable":
                    self.health.address_failed(address)
                self._unreachable[address] = time.monotonic() + _FAILED_FOR
                continue
            self.health.connection_made(queue.rule.name, address)
            self._unreachable.pop(address, None)
            if servers.eai and not session.smtputf8:
                without_eai += 1
                await session.close()
                continue
            return session
        if put_off is not None:
            self._refused(servers, *put_off)
            return None
        if without_eai and not broken:
            self._fail(servers, MailboxAnswer(Reason.smtputf8_unsupported, mx_host=servers.hosts[0].name))
            return None
        first = broken[0]
        if without_eai == 0 and all(b.kind == "unreachable" for b in broken):
            self.health.connection_failed(queue.rule.name)
            reason = Reason.connect_failed
        else:
            self.health.connection_made(queue.rule.name)
            reason = Reason.smtp_timeout if first.kind == "timeout" else Reason.protocol_error
        if first.kind == "unreachable":
            reason = Reason.connect_failed
        servers.failures += 1
        if reason is not Reason.protocol_error or servers.failures >= _TRIES:
            self._fail(servers, MailboxAnswer(reason, mx_host=servers.hosts[0].name, detail=first.detail))
        return None

    def _ways(self, servers: _Servers) -> list[tuple[MailHost, str]]:
        """Hosts and addresses to try, best first; those that failed a while ago only where there are no others."""
        hosts = _in_order(servers.hosts)
        ways = [(host, address) for host in hosts for address in host.addresses[:_ADDRESSES_PER_HOST]]
        now = time.monotonic()
        fresh = [way for way in ways if self._unreachable.get(way[1], 0.0) < now]
        # Whether an international address can be delivered at all is a question to every server.
        return ways if servers.eai else fresh or ways

    def _source(self, servers: _Servers, address: str) -> str | None:
        of_kind = [own for own in self._smtp.source_addresses if (":" in own) == (":" in address)]
        if not of_kind:
            return None
        # Greylisting remembers who came: the same servers always see the same address of ours.
        return of_kind[zlib.crc32(servers.hosts[0].name.encode()) % len(of_kind)]

    def _refused(self, servers: _Servers, reply: Reply, host: str) -> None:
        """The server would not talk to us at all."""
        reading = read_reply(reply.stage, reply.code, reply.text, own=self._own)
        pace = servers.operator.pace
        asked = self._next(servers)
        answer = MailboxAnswer(
            reading.reason or Reason.protocol_error, reply.code, _masked(asked, reply, self._own), host,
            retry_after=reading.retry_after, detail=before_rcpt(reply.stage, _masked(asked, reply, self._own)),
        )  # fmt: skip
        if reading.reason is Reason.sender_blocked:
            self._blocked(servers, whole_operator=True)
            if asked is not None:
                self._answer(asked, answer)
            return
        if reading.limit == "connections":
            pace.cap = max(1, min(pace.cap, servers.operator.connections - 1))
        pace.throttled(reading.retry_after)
        servers.failures += 1
        if servers.failures > _THROTTLED_TRIES:
            if asked is not None:
                self._answer(asked, answer)
            self._fail(servers, answer)
        elif asked is not None:
            self._enqueue(servers, asked, first=True)

    # ---------------------------------------------------------------- talking

    async def _dialogue(self, servers: _Servers, session: Session, began: float) -> None:
        """Ask recipients, one after the other or in groups, until the conversation has run its course."""
        rule, pacing = servers.operator.rule, self._settings.pacing
        talk = _Dialogue(session, min(pacing.recipients_per_session, rule.recipients_per_session or 1 << 30), began)
        turn = partial(self._turn, servers, talk)
        try:
            while True:
                if not (session.sender_named or self._may_run_ahead(servers, session)):
                    await self._name_sender(servers, talk)
                patience = turn()
                if patience > 0:
                    await session.converse(turn, patience)
                if talk.closing or not await self._idle_for_more(servers):
                    break
        except Broken as failure:
            self._broken(servers, talk, failure)
        if talk.doubtful:
            await self._prove(servers, talk)

    def _may_run_ahead(self, servers: _Servers, session: Session) -> bool:
        # Nobody is named to servers that may not want us at all.
        return servers.sender_welcome and servers.operator.rule.pipelining and session.may_run_ahead

    async def _name_sender(self, servers: _Servers, talk: _Dialogue) -> None:
        """Say MAIL alone; a refusal is the reply for the recipient whose turn it is."""
        asked = self._next_in_time(servers, talk.session)
        if asked is None:
            return
        talk.unanswered.append(asked)
        patience = asked.patience(self._smtp.address_budget)
        refusal = await talk.session.name_sender(eai=servers.eai, patience=patience)
        talk.unanswered.pop()
        if refusal is not None:
            self._heard(servers, talk, asked, refusal)
            return
        servers.sender_welcome = True
        self._enqueue(servers, asked, first=True)

    def _turn(self, servers: _Servers, talk: _Dialogue) -> float:
        """
        Take in the replies that have come and name whoever may be named now. Seconds within which the next reply is
        to come; 0: nobody waits for one.
        """
        unanswered = talk.unanswered
        for reply in talk.session.heard_already():
            if unanswered:
                self._heard(servers, talk, unanswered.popleft(), reply)
            elif talk.proof_due:
                self._proved(servers, talk, reply)
        self._name(servers, talk)
        if not unanswered:
            return self._smtp.command_timeout if talk.proof_due else 0.0
        left = unanswered[0].patience(self._smtp.address_budget)
        return min(max(left, 0.001), self._smtp.command_timeout)

    def _name(self, servers: _Servers, talk: _Dialogue) -> None:
        """Name as many recipients as may be named now."""
        session = talk.session
        farewell = session.farewell()
        if farewell is not None:
            self._left(servers, talk, farewell)
        if talk.closing:
            return
        unanswered, eai = talk.unanswered, servers.eai
        due = len(unanswered)
        for _ in range(self._room(servers, talk)):
            asked = self._next_in_time(servers, session)
            if asked is None:
                break
            unanswered.append(asked)
            session.say(asked.local, asked.domain.name, eai=eai)
        named = len(unanswered) - due
        if named:
            self.probes += named
            servers.operator.asked += named
            talk.turns += 1
            if self._ends_here(servers, talk):
                self._take_leave(servers, talk)

    def _ends_here(self, servers: _Servers, talk: _Dialogue) -> bool:
        """
        Whether nobody else will be named after those who are waited for now, although others wait: because the
        conversation has had as many as it may, or because a new one gets on faster. Towards the end of the budget of
        errors groups become small, while each of them takes as long as a large one.
        """
        queue, due = servers.operator, len(talk.unanswered)
        if due < 2 or talk.closing or not servers.waiting or queue.limit is not None:
            return False
        if not self._in_groups(servers, talk):
            return False
        asked = talk.named + due
        room = min(talk.most, servers.per_session) - asked
        if room <= 0:
            return True
        if not talk.named or talk.turns < 2 or queue.errors.growing:
            return False
        room = min(room, queue.errors.room(talk.errors) - round(due * talk.errors / talk.named))
        now = time.monotonic()
        turn = (now - talk.opened) / (talk.turns - 1)
        # Recipients a turn, once those named now are answered and the server has hung up.
        return room < len(servers.waiting) and room < asked / ((now - talk.began) / turn + 2)

    def _take_leave(self, servers: _Servers, talk: _Dialogue) -> None:
        """Let QUIT follow those who were just named, and before it the proof that their refusals may need."""
        talk.closing = True
        if talk.refusals + len(talk.unanswered) >= _PROOF_AFTER:
            witness = self._witness(servers)
            talk.session.say(witness.local, witness.domain)
            talk.proof_due = True
        talk.session.say_goodbye()

    def _next_in_time(self, servers: _Servers, session: Session) -> Asked | None:
        """The next recipient whose budget of time is not spent."""
        while (asked := self._next(servers)) is not None:
            if asked.deadline is None or asked.patience(self._smtp.address_budget) > 0:
                break
            self._no_reply(asked, session)
        return asked

    def _room(self, servers: _Servers, talk: _Dialogue) -> int:
        """How many more recipients may be named now, if all of those not answered yet should be refused."""
        queue, due = servers.operator, len(talk.unanswered)
        if due >= servers.group:
            return 0
        pace = queue.pace
        if queue.connections > pace.limit or (pace.resume_at and pace.pause_left() > 0) or self._closed(queue):
            talk.closing = True
            return 0
        # Without anybody known to exist there is no proof: only so many refusals are believed as come before it.
        refusals = servers.refusals_allowed if servers.witnesses else _PROOF_AFTER - 1
        room = min(
            talk.most - talk.named, servers.per_session - talk.named, queue.errors.room(talk.errors),
            refusals - talk.refusals,
        )  # fmt: skip
        if queue.limit is not None:
            room = min(room, queue.limit - self._spent(queue) + due)
        if room <= 0:
            talk.closing = True
        return min(room, servers.group if self._in_groups(servers, talk) else 1) - due

    def _in_groups(self, servers: _Servers, talk: _Dialogue) -> bool:
        """Whether several may be named before the first of them is answered."""
        session = talk.session
        return (
            session.pipelining and servers.operator.rule.pipelining and session.slowest < _AT_LEISURE
            # The first to be named are asked one by one, until these servers are known to tell people apart.
            and bool(servers.witnesses)
        )  # fmt: skip

    def _heard(self, servers: _Servers, talk: _Dialogue, asked: Asked, reply: Reply) -> None:
        """Take in the reply for one recipient."""
        queue = servers.operator
        talk.named += 1
        heard = listen(asked, reply, talk.session.host, self._own)
        reading = heard.reading
        if reply.stage is not Stage.rcpt:
            self._give_back(servers, talk)
            self._refused_sender(servers, talk, heard)
            return
        servers.sender_welcome = True
        if reply.code // 100 != 2:
            talk.errors += 1
        if reading.limit == "recipients" and talk.named > 1:
            # Not a fault: this server takes so many in one conversation and wants a new one.
            servers.per_session = min(servers.per_session, talk.named - 1)
            talk.closing = True
            self._enqueue(servers, asked, first=True)
            return
        if reply.code == 421 or reading.reason is Reason.sender_throttled:
            self._throttled(servers, talk, heard)
            return
        if reading.reason is Reason.sender_blocked and not reading.ambiguous:
            self._blocked(servers, whole_operator=False)
            self._conclude(servers, heard)
            return
        servers.failures = 0
        self._learn(servers, talk, reply.seconds)
        if queue.pace.clean():
            self._wake(queue)
        if reading.reason is None and asked.tell is not None:
            for earlier in talk.doubtful:  # the server is still honest, so its earlier words stand
                self._conclude(servers, earlier)
            talk.doubtful.clear()
            self._conclude(servers, heard)
            return
        against = reading.ambiguous or reading.reason in _AGAINST_MAILBOX
        talk.refusals += against
        if against and asked.tell is not None and talk.refusals >= _PROOF_AFTER:
            talk.doubtful.append(heard)
        else:
            self._conclude(servers, heard)

    def _learn(self, servers: _Servers, talk: _Dialogue, seconds: float) -> None:
        """Does the server bear our errors and our groups?"""
        budget, errors = servers.operator.errors, talk.errors
        if errors >= _SLOWED_FROM and seconds > _SLOWED + 2 * talk.slowest:
            budget.complained(errors)
            talk.closing = True
        elif errors > budget.borne:
            budget.bore(errors)
        if seconds > talk.slowest:
            talk.slowest = seconds
        talk.ahead += 1
        if talk.ahead >= servers.group > 1:
            talk.ahead = 0
            servers.group = min(servers.group * 2, _LARGEST_GROUP)

    def _give_back(self, servers: _Servers, talk: _Dialogue) -> None:
        """Whoever was named and got no reply of its own is asked again; nobody is judged by a reply to another."""
        talk.closing, talk.proof_due = True, False
        while talk.unanswered:
            asked = talk.unanswered.pop()
            asked.deadline = None
            self._enqueue(servers, asked, first=True)

    async def _idle_for_more(self, servers: _Servers) -> bool:
        """Wait for recipients that are still to be read; whether there are any."""
        if not self._expecting or self._ended or servers.waiting or servers.operator.starved or self._starved:
            return False
        more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        servers.idle.append(more)
        self._idle[more] = servers
        self._last_call(servers.operator)
        try:
            await asyncio.wait((more,), timeout=_IDLE)
        finally:
            self._end_idling(more)
        return bool(servers.waiting)

    def _end_idling(self, idle: asyncio.Future[None]) -> None:
        servers = self._idle.pop(idle, None)
        if servers is not None:
            servers.idle.remove(idle)
        if not idle.done():
            idle.set_result(None)

    def _release(self, count: int, queue: _OperatorQueue | None = None) -> None:
        """End conversations that have nobody to ask, of one operator or of any, the longest idle first."""
        ended = [idle for idle, servers in self._idle.items() if queue is None or servers.operator is queue][:count]
        for idle in ended:
            self._end_idling(idle)

    def _conclude(self, servers: _Servers, heard: Heard) -> None:
        """Answer a recipient, or let its domain decide once the control address has been asked."""
        asked = heard.asked
        domain = asked.domain
        if heard.reading.reason is None and domain.tells_apart and asked.tell is not None:
            self._answer(asked, answer_of(heard, Reason.mailbox_accepted))
        elif asked.tell is None:
            domain.compare(heard)
            self._decided(domain, servers)
            if domain.accept_all:
                self._spare(servers, domain)
        elif heard.reading.reason is None or heard.reading.ambiguous:
            control = domain.hear(heard)
            if control is not None:
                self._enqueue(servers, Asked(control.local, domain, control.route, None), first=True)
            self._decided(domain, servers)
        else:
            self._answer(asked, answer_of(heard))

    def _decided(self, domain: DomainState, servers: _Servers) -> None:
        before = domain.accepted
        self._decide(domain, servers.operator)
        if domain.accepted is not None and domain.accepted is not before:
            servers.witnesses.append(domain.accepted)

    def _spare(self, servers: _Servers, domain: DomainState) -> None:
        """The domain takes anybody: whoever still waits need not be asked."""
        spared = [asked for asked in servers.waiting if asked.domain is domain and asked.tell is not None]
        if spared:
            servers.waiting = deque(asked for asked in servers.waiting if asked.domain is not domain)
            servers.operator.waiting -= len(spared)
            for asked in spared:
                self._answer(asked, domain.asked_in_vain())

    def _decide(self, domain: DomainState, queue: _OperatorQueue, *, last_call: bool = False) -> None:
        # Customers of one operator share its way of refusing; a lone host's other domains may have rules of their own.
        elsewhere = queue.honest and queue.listed
        for heard, answer in domain.ready(honest_elsewhere=elsewhere, last_call=last_call):
            self._answer(heard.asked, answer)
        if domain.undecided:
            queue.undecided[domain.name] = domain
        else:
            queue.undecided.pop(domain.name, None)
        if domain.accepted is not None and not queue.honest:
            queue.honest = True
            for other in list(queue.undecided.values()):
                self._decide(other, queue)

    async def _prove(self, servers: _Servers, talk: _Dialogue) -> None:
        """
        Some servers refuse everybody, the living too, once they have seen a few unknown recipients. So after several
        refusals a recipient that is known to exist must still be accepted before the last refusals count.
        """
        reply = None
        if servers.witnesses:
            witness = self._witness(servers)
            with contextlib.suppress(Broken):
                reply = await talk.session.ask(witness.local, witness.domain, patience=self._smtp.address_budget)
        self._proved(servers, talk, reply)

    def _witness(self, servers: _Servers) -> Recipient:
        """One of those known to exist; they take turns."""
        servers.witnesses.rotate(-1)
        self.probes += 1
        servers.operator.asked += 1
        return servers.witnesses[-1]

    def _proved(self, servers: _Servers, talk: _Dialogue, reply: Reply | None) -> None:
        """What the reply for somebody known to exist says about the refusals before it."""
        talk.proof_due = False
        if reply is not None and reply.code == 421:  # it hangs up, which says nothing of honesty
            self._left(servers, talk, reply)
            reply = None
        still_honest = reply is not None and reply.stage is Stage.rcpt and reply.code // 100 == 2
        if reply is not None and not still_honest:
            servers.refusals_allowed = _PROOF_AFTER - 1
        for heard in talk.doubtful:
            if still_honest:
                self._conclude(servers, heard)
            else:
                self._again(servers, heard.asked, Reason.sender_throttled, "the server began to refuse everybody")
        talk.doubtful.clear()

    # ---------------------------------------------------------------- when it goes wrong

    def _again(self, servers: _Servers, asked: Asked, reason: Reason, detail: str, *, tries: int = _TRIES) -> None:
        """Ask once more in another conversation, or say why there is no answer."""
        asked.attempts += 1
        asked.deadline = None
        if asked.attempts < tries:
            self._enqueue(servers, asked)
        else:
            self._answer(asked, MailboxAnswer(reason, mx_host=servers.hosts[0].name, detail=detail))

    def _broken(self, servers: _Servers, talk: _Dialogue, failure: Broken) -> None:
        session = talk.session
        farewell = session.farewell()
        if len(talk.unanswered) > 1:
            servers.group = 1  # it may not bear groups, whatever it offers
        if not talk.unanswered:  # nobody but the one known to exist was waited for
            talk.proof_due = False
            return
        asked = talk.unanswered.popleft()
        self._give_back(servers, talk)
        if farewell is not None:
            asked.deadline = None
            self._enqueue(servers, asked, first=True)
            self._left(servers, talk, farewell)
            return
        if failure.kind == "timeout":
            servers.failures += 1
            self._no_reply(asked, session)
            if servers.failures >= _TRIES:
                self._fail(servers, MailboxAnswer(_too_slow(session), mx_host=session.host))
            return
        if talk.named:
            # It talked until now, so it may have had enough of us rather than of this recipient. If it hangs up at
            # the same point again, that is its limit, like that of servers which say so first.
            if talk.errors and servers.hung_up_after == talk.errors:
                servers.operator.errors.complained(talk.errors)
            servers.hung_up_after = talk.errors
            asked.deadline = None
            self._enqueue(servers, asked, first=True)
            return
        servers.failures += 1
        self._again(servers, asked, Reason.protocol_error, f"{failure.kind} at {failure.stage}: {failure.detail}")
        if servers.failures > _TRIES:
            self._fail(servers, MailboxAnswer(Reason.protocol_error, mx_host=session.host, detail=failure.detail))

    def _left(self, servers: _Servers, talk: _Dialogue, farewell: Reply) -> None:
        """The server ends the conversation by itself, after the reply for one recipient and before the next."""
        talk.closing = True
        reading = read_reply(farewell.stage, farewell.code, farewell.text, own=self._own)
        if reading.limit == "errors":
            servers.operator.errors.complained(talk.errors)
        else:
            self._ask_for_less(servers, talk, reading)

    def _no_reply(self, asked: Asked, session: Session) -> None:
        reason = _too_slow(session)
        self._answer(asked, MailboxAnswer(reason, mx_host=session.host, detail=f"slowest {session.slowest:.0f} s"))

    def _refused_sender(self, servers: _Servers, talk: _Dialogue, heard: Heard) -> None:
        """Our envelope sender was not accepted: nothing was said about the recipient."""
        reading = heard.reading
        if reading.reason is Reason.sender_blocked:
            self._blocked(servers, whole_operator=True)
            self._answer(heard.asked, answer_of(heard))
            return
        servers.failures += 1
        if reading.reason is Reason.sender_throttled or heard.reply.code == 421:
            self._throttled(servers, talk, heard)
            return
        self._answer(heard.asked, answer_of(heard))
        if servers.failures > _TRIES:
            self._fail(servers, answer_of(heard))

    def _throttled(self, servers: _Servers, talk: _Dialogue, heard: Heard) -> None:
        """The server asks for less instead of speaking about the recipient."""
        asked = heard.asked
        if heard.reply.code == 421:  # it hangs up
            self._give_back(servers, talk)
        talk.closing = True
        # This reply stands where that of a recipient should be, and is no error of ours itself.
        if heard.reading.limit == "errors" and servers.operator.errors.complained(talk.errors - 1):
            asked.deadline = None
            self._enqueue(servers, asked, first=True)
            return
        self._ask_for_less(servers, talk, heard.reading)
        asked.attempts += 1
        if asked.attempts < _THROTTLED_TRIES and servers.operator.pace.stopped is None:
            asked.deadline = None
            self._enqueue(servers, asked)
        else:
            self._answer(asked, answer_of(heard))

    def _ask_for_less(self, servers: _Servers, talk: _Dialogue, reading: Reading) -> None:
        """Slow down; once for a conversation, whatever else is said to those who were named already."""
        pace = servers.operator.pace
        if talk.throttled:
            return
        talk.throttled = True
        if reading.limit == "connections":
            pace.cap = max(1, min(pace.cap, servers.operator.connections - 1))
        pace.throttled(reading.retry_after)

    def _blocked(self, servers: _Servers, *, whole_operator: bool) -> None:
        pace = servers.operator.pace
        pace.blocked(whole_operator=whole_operator)
        if pace.stopped is not None:
            self.health.operator_blocks(servers.operator.rule.name)

    def _fail(self, servers: _Servers, answer: MailboxAnswer) -> None:
        """These servers give no answers now: say so to everybody who waits for them, and for a while to newcomers."""
        if answer.reason is not Reason.greylisted:
            servers.failed, servers.failed_until = answer, time.monotonic() + self._failed_for
        while (asked := self._next(servers)) is not None:
            self._answer(asked, answer)

    def _drain(self, queues: Iterable[_OperatorQueue]) -> None:
        """Answer everybody who waits for an operator that is not asked any more."""
        for queue in list(queues):
            answer = self._closed(queue)
            if answer is None:
                continue
            for servers in queue.servers.values():
                while (asked := self._next(servers)) is not None:
                    self._answer(asked, answer)
            self._last_call(queue)

    def _answer(self, asked: Asked, answer: MailboxAnswer) -> None:
        if asked.tell is None:  # the control got no usable reply
            asked.domain.control_done = True
            self._decide(asked.domain, self._operator(asked.route))
            return
        self._unanswered.discard(asked)
        asked.tell(asked, answer)

    def _fail_loudly(self, error: Exception) -> None:
        for queue in self._operators.values():
            for servers in queue.servers.values():
                servers.waiting.clear()
            queue.waiting = 0
            queue.undecided.clear()
        for domain in self._domains.values():
            domain.accepts, domain.doubts = [], []
        unanswered, self._unanswered = self._unanswered, set()
        for asked in unanswered:
            if asked.tell is not None:
                asked.tell(asked, error)

    # ---------------------------------------------------------------- watching and ending

    def progress(self) -> list[OperatorProgress]:
        """What each operator is doing, the busiest first."""
        rows = []
        for queue in self._operators.values():
            if queue.pace.stopped:
                state = f"stopped: {queue.pace.stopped}"
            elif queue.pace.pause_left() > 0:
                state = f"pausing {queue.pace.pause_left():.0f} s"
            elif queue.connections:
                state = f"{queue.connections} of {queue.pace.limit} connections"
            else:
                state = "waiting" if queue.waiting else "done"
            rows.append(OperatorProgress(queue.rule.name, queue.asked, queue.waiting, queue.connections, state))
        return sorted(rows, key=lambda row: (-row.waiting - row.connections, -row.asked))

    async def close(self) -> None:
        """End every conversation; recipients still waiting are answered as not probed."""
        self._ended = True
        self.expecting = False
        for queue in self._operators.values():
            if queue.alarm is not None:
                queue.alarm.cancel()
        if self._tasks:  # each conversation ends by itself with the reply it waits for
            await asyncio.wait(self._tasks, timeout=_FAREWELL)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drain(self._operators.values())
        stopped = MailboxAnswer(Reason.not_probed, detail="the run was stopped", retry_after=3600.0)
        for asked in list(self._unanswered):
            self._answer(asked, stopped)


def _in_order(hosts: tuple[MailHost, ...]) -> list[MailHost]:
    """By preference, equals shuffled (RFC 5321 section 5.1)."""
    return sorted(hosts, key=lambda host: (host.preference, random.random()))


def _masked(asked: Asked | None, reply: Reply, own: tuple[str, ...]) -> str:
    return mask(reply.text, recipient=asked.address if asked else None, own=own)[:500]


_AGAINST_MAILBOX = frozenset(reason for reason, rule in REASONS.items() if rule.status is Status.undeliverable)


def _too_slow(session: Session) -> Reason:
    """A server that answers, only too slowly, is a tarpit; one that says nothing timed out."""
    return Reason.tarpit if session.slow_replies else Reason.smtp_timeout


def _quiet_for(span: str, now: datetime) -> float | None:
    """Seconds until the quiet hours end, None outside them."""
    start, end = (int(part) for part in span.split("-"))
    into = (now.hour - start) % 24 * 3600 + now.minute * 60 + now.second
    length = (end - start) % 24 * 3600
    return float(length - into) if into < length else None
