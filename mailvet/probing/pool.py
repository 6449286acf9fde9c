"""Would the server take a message for this recipient?

The mailbox layer asks, and never sends.

Recipients queue per operator (the owner of the mail servers) and, within it, per set of servers. Conversations take
from these queues: one conversation asks many recipients, as many as the operator tolerates. How many there may be at
once is decided by the operator's `Pace`, and by the server address, whatever names lead to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from mailvet.dns.routes import Route
from mailvet.probing.canary import Place
from mailvet.probing.conversation import Conversation
from mailvet.probing.course import Course
from mailvet.probing.decisions import Decisions
from mailvet.probing.domain import DomainState, MailboxResult, Probe, Recipient, Role
from mailvet.probing.health import RunHealth
from mailvet.probing.idle import IdleConversations
from mailvet.probing.known_servers import KnownServers
from mailvet.probing.memory import ConnectionSlots, LocalSlots, ServerMemory
from mailvet.probing.opening import Opening
from mailvet.probing.pacing import quiet_for
from mailvet.probing.progress import OperatorProgress, progress_of
from mailvet.probing.queues import OperatorQueue, ServerSet, Way
from mailvet.probing.turns import Contact, Standing, Turns
from mailvet.settings import Settings
from mailvet.smtp.outcomes import Broken, Refused
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason

__all__ = ["MailboxResult", "Mailboxes", "OperatorProgress", "Probe", "Recipient"]

_FAILED_FOR = 600.0  # seconds for which servers that failed are not tried again
_SHUTDOWN_TIMEOUT = 2.0  # seconds for conversations to end properly when the run is stopped
_CANCEL_TIMEOUT = 0.5  # seconds more for those that did not, whatever their servers do
_MOST_BLOCKED = 8  # sets of servers of one operator without room, after which no further one is looked at
_WORTH_A_CONVERSATION = 10  # waiting recipients for each conversation


class Mailboxes:
    """Ask mailboxes at a tolerable pace.

    Args:
        settings: `smtp`, `pacing`, `retry`.
        asked_today: recipients already asked today, by operator, counted against the daily limits.
        memory: what earlier runs learnt about server addresses; used and changed.
        slots: bounds the connections to one address over all that share it. Default: this pool alone.

    Bound to the running event loop. `submit` and `ask` never wait; every recipient gets a result.

    Attributes:
        expecting: more recipients are to come soon, so that conversations are kept open for them a while.
        wait_until: `time.monotonic()` until which the run waits for servers that want to be left alone.
        retries_pending: whether recipients that were greylisted come back within this run.
        probes: RCPT commands sent.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        asked_today: Mapping[str, int] | None = None,
        memory: ServerMemory | None = None,
        slots: ConnectionSlots | None = None,
    ) -> None:
        self._settings = settings
        self.smtp = settings.smtp
        self.hello_name = settings.hello_name
        self.own = tuple(filter(None, (settings.smtp.mail_from, self.hello_name)))
        self.memory = memory if memory is not None else ServerMemory()
        self.slots: ConnectionSlots = slots if slots is not None else LocalSlots()
        self.health = RunHealth(settings.retry.outage_after.total_seconds())
        self._greylisted_for = next((delay.total_seconds() for delay in settings.retry.after_greylisting), 0.0)
        self._failed_for = min(_FAILED_FOR, 0.9 * settings.retry.after_failure.total_seconds())
        self.decisions = Decisions(self)
        self.probes = 0
        self.wait_until = time.monotonic()
        self.retries_pending: Callable[[], bool] = bool
        self._opening = Opening(self)
        self._asked_today = dict(asked_today or {})
        self.known = KnownServers(settings, self.memory, lambda: self._pending)
        self.turns = Turns(settings.pacing.connections)
        self._pending: set[Probe] = set()
        self.idle = IdleConversations(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._ended = False
        self._expecting = False

    # ---------------------------------------------------------------- submitting

    def submit(self, recipient: Recipient) -> asyncio.Future[MailboxResult]:
        """Queue one recipient; its route must have hosts.

        The future never raises for what servers do, only for a fault of ours. Submitting a recipient again, after
        greylisting, asks it again.
        """
        future: asyncio.Future[MailboxResult] = asyncio.get_running_loop().create_future()

        def on_result(_: Probe, result: MailboxResult | Exception) -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        def withdraw(done: asyncio.Future[MailboxResult]) -> None:
            probe.withdrawn = done.cancelled()

        probe = self.ask(recipient.local, recipient.domain, recipient.route, on_result)
        future.add_done_callback(withdraw)
        return future

    def ask(
        self,
        local: str,
        domain: str,
        route: Route,
        on_result: Callable[[Probe, MailboxResult | Exception], None],
        context: Any = None,
        *,
        greylisted_before: bool = False,
    ) -> Probe:
        """The same without a future.

        `on_result` is called with what is returned here and the result, at once where that is known already. The
        `context` is the caller's. `greylisted_before`: an earlier run found the recipient greylisted, so the server has
        known it for at least the first delay of `retry.after_greylisting`.
        """
        state, servers = self.known.routed(local, domain, route)
        probe = Probe(local, state, route, on_result, context)
        if state.greylisted_since:
            probe.first_asked = state.greylisted_since.get(local)
        if greylisted_before and probe.first_asked is None:
            probe.first_asked = time.monotonic() - self._greylisted_for
        unasked = self._unasked(servers.operator)
        if unasked is not None:
            on_result(probe, unasked)
            return probe
        self._pending.add(probe)
        if servers.failed is not None and servers.failed_until > time.monotonic():
            self.report(probe, servers.failed)
        elif state.accept_all:
            self.report(probe, state.accept_all_result())
        else:
            servers.failed = None
            self.enqueue(servers, probe)
        return probe

    def ask_again(self, probe: Probe) -> None:
        """Ask a recipient again whose result did not count."""
        assert probe.on_result is not None
        self.ask(probe.local, probe.domain.name, probe.route, probe.on_result, probe.context)

    def forget_failures(self) -> None:
        """Our own network was at fault: servers that could not be reached are tried again at once."""
        for address in self.known.addresses.values():
            address.unreachable_until = 0.0
        for queue in self.known.operators.values():
            for servers in queue.servers.values():
                servers.failed = None
                servers.failures = 0
        for domain in self.known.domains.values():
            for at in domain.places.values():
                if at.control is None:
                    at.control_done = False

    def give_up(self) -> None:
        """No recipient is asked any more, since `health` says so: report that for all that wait."""
        self._drain(self.known.operators.values())

    async def reach(self, ip: str) -> bool:
        """Whether a connection to this address succeeds now; `health` is told."""
        release = await self.slots.acquire(ip, self.known.address(ip).cap)
        try:
            session = await Session.open(ip, ip, self.smtp, self.hello_name)
        except Refused:
            pass
        except Broken as failure:
            if failure.kind == "unreachable":
                self.health.address_failed(ip)
                return False
        else:
            await session.close()
        finally:
            release()
        self.health.address_replied(ip)
        return True

    @property
    def expecting(self) -> bool:
        """Whether more recipients are to come soon."""
        return self._expecting

    @expecting.setter
    def expecting(self, more: bool) -> None:
        before, self._expecting = self._expecting, more
        if not more:
            self.idle.release(len(self.idle))
            if before:
                self.settle_all()

    def settle_all(self) -> None:
        """No further recipient is to come for now: decide what waits for others."""
        if self.draining:
            return
        for place in list(self.known.places.values()):
            if place.quiet and place.pending and not self.retries_pending():
                self.decisions.flush(place)

    def domain_of(self, name: str) -> DomainState:
        """What is known of a domain."""
        return self.known.domain_of(name)

    def place(self, key: str) -> Place:
        """The place with this key."""
        return self.known.place(key)

    def _unasked(self, queue: OperatorQueue) -> MailboxResult | None:
        """Why a newcomer is not to be asked, if so."""
        if queue.rule.answers == "accepts_all":
            return MailboxResult(Reason.provider_unverifiable, detail=f"{queue.rule.label}: {queue.rule.answers}")
        return self.closed(queue, ahead=queue.waiting)

    def closed(self, queue: OperatorQueue, *, ahead: int = 0) -> MailboxResult | None:
        """Why no recipient is asked at this operator now, if so; `ahead` will have been asked before."""
        if self.health.network_down:
            return MailboxResult(Reason.not_probed, detail="our network was down", retry_after=0.0)
        if self._ended or self.health.degraded is not None:
            return MailboxResult(Reason.not_probed, detail="the run was stopped", retry_after=3600.0)
        if queue.pace.stopped is not None:
            why = f"operator stopped: {queue.pace.stopped}"
            return MailboxResult(Reason.not_probed, detail=why, retry_after=86400.0)
        if queue.limit is not None and self.spent(queue) + ahead >= queue.limit:
            return MailboxResult(Reason.not_probed, detail="daily limit of the operator", retry_after=43200.0)
        if self._settings.pacing.quiet_hours is not None:
            quiet = quiet_for(self._settings.pacing.quiet_hours, datetime.now(timezone.utc))
            if quiet is not None:
                return MailboxResult(Reason.not_probed, detail="quiet hours", retry_after=quiet)
        return None

    def spent(self, queue: OperatorQueue) -> int:
        """Recipients asked of this operator today."""
        return self._asked_today.get(queue.rule.name, 0) + queue.asked

    def recipients_per_session(self, servers: ServerSet) -> int:
        """Recipients that may be asked in one conversation with these servers, as far as is known."""
        limit = servers.operator.rule.recipients_per_session or 1 << 30
        return min(self._settings.pacing.recipients_per_session, limit, servers.per_session)

    # ---------------------------------------------------------------- scheduling

    def enqueue(self, servers: ServerSet, probe: Probe, *, first: bool = False, wake: bool = True) -> None:
        """Have a recipient asked; `first`: before all others of these servers."""
        if not servers.queued:
            servers.queued = True
            servers.operator.queued.append(servers)
        servers.push(probe, first=first)
        if not wake:
            return
        if self.idle.wake(servers):
            return
        if servers.operator.connections < servers.operator.pace.limit or self.idle:
            self.wake(servers.operator)

    def later(self, delay: float, servers: ServerSet, probe: Probe) -> None:
        """The same after so many seconds."""
        if delay <= 0:
            self.enqueue(servers, probe, first=True)
            return

        def now() -> None:
            self._timers.discard(timer)
            for place in servers.places:
                place.expected -= 1
            self.enqueue(servers, probe, first=True)

        for place in servers.places:
            place.expected += 1
        timer = asyncio.get_running_loop().call_later(delay, now)
        self._timers.add(timer)

    def next_waiting(self, servers: ServerSet) -> Probe | None:
        """The next recipient of these servers that still has to be asked."""
        while servers.waiting:
            probe = servers.pop()
            if probe.withdrawn:
                self._pending.discard(probe)
                continue
            if probe.role is Role.recipient and probe.domain.accept_all:
                self.report(probe, probe.domain.accept_all_result())
                continue
            return probe
        return None

    def wake(self, queue: OperatorQueue) -> None:
        """Start as many conversations as pace, caps and queue allow."""
        if queue.waiting and self.closed(queue) is not None:
            self._drain((queue,))
            return
        pause = queue.pace.pause_left()
        if pause > 0:
            if queue.alarm is None and queue.queued:
                queue.alarm = asyncio.get_running_loop().call_later(pause + 0.01, self._alarm, queue)
            return
        blocked = 0
        for _ in range(len(queue.queued)):
            if not queue.queued or blocked >= _MOST_BLOCKED:
                return
            servers = queue.queued[0]
            if not servers.waiting:
                queue.queued.popleft()
                servers.queued = False
                continue
            queue.queued.rotate(-1)
            # One more conversation is worth its greeting, and the canary that it needs itself, only if those that run
            # will not soon be through.
            each = _WORTH_A_CONVERSATION if self.recipients_per_session(servers) > _WORTH_A_CONVERSATION else 3
            while len(servers.waiting) > each * servers.conversations:
                if queue.connections >= queue.pace.limit:
                    self.idle.release(1, queue)
                    return
                standing = servers.standing
                if not self.turns.has_room(standing):
                    self.idle.release(1)
                    self.turns.wait(queue, standing)
                    if queue.listed:
                        return
                    blocked += 1
                    break
                way = self._opening.pick(servers)
                if way is None:
                    break
                self._start(servers, way, standing)

    def _start(self, servers: ServerSet, way: Way, standing: Standing) -> None:
        servers.operator.connections += 1
        servers.conversations += 1
        self.take_slot(way)
        task = asyncio.ensure_future(self._converse(servers, way, self.turns.take(standing)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_slot(self, way: Way) -> None:
        """A conversation goes this way."""
        way.address.connections += 1
        way.place.conversations += 1

    def free_slot(self, way: Way) -> None:
        """It does not, or is over."""
        way.address.connections -= 1
        way.place.conversations -= 1

    def _alarm(self, queue: OperatorQueue) -> None:
        queue.alarm = None
        self.wake(queue)

    async def _converse(self, servers: ServerSet, way: Way, contact: Contact) -> None:
        queue = servers.operator
        held: list[Way] = [way]
        tried = {way}
        try:
            if servers.waiting:
                opened = await self._opening.open(servers, held, tried, contact)
                if opened is not None:
                    session, began, release = opened
                    try:
                        course = Course.begin(servers, held[0], session, contact, self.domain_of)
                        await Conversation(self, course, began).run()
                    except asyncio.CancelledError:
                        session.abandon()
                        raise
                    finally:
                        await session.close()
                        held[0].address.closed()
                        release()
        except Exception as error:  # a bug or a setting of ours: callers must see it instead of waiting for ever
            self._fail_all(error)
        finally:
            for one in held:
                self.free_slot(one)
            queue.connections -= 1
            servers.conversations -= 1
            self.turns.free(contact)
            self._ended_one(servers, tried)

    def _ended_one(self, servers: ServerSet, ways: set[Way]) -> None:
        queue = servers.operator
        if self.health.degraded is not None:
            self._drain(self.known.operators.values())
        if self.turns and queue.queued:  # the longest waiting operator goes first
            self.turns.wait(queue, queue.queued[0].standing)
        else:
            self.wake(queue)
        while (other := self.turns.next()) is not None:
            self.wake(other)
        for way in ways:
            self.wake_waiters(way)
        for place in servers.places:
            self.decisions.settle(servers, place)

    def wake_waiters(self, way: Way) -> None:
        """A connection to the address may be had: the operators that wait for one, the longest waiting first."""
        address, place = way.address, way.place
        for waiters in (address.waiters, place.waiters):
            for _ in range(len(waiters)):
                if not waiters or (not address.may_connect(time.monotonic()) and waiters is address.waiters):
                    break
                waiting = next(iter(waiters))
                del waiters[waiting]
                self.wake(waiting)

    def _wake_place(self, place: Place) -> None:
        """The same, where no connection was given back."""
        waiters, place.waiters = place.waiters, {}
        for waiting in waiters:
            self.wake(waiting)

    # ---------------------------------------------------------------- results

    def report(self, probe: Probe, result: MailboxResult) -> None:
        """Hand a result to the caller that asked."""
        if probe.on_result is None:  # asked for the sake of others, and not to be had
            self._not_asked(probe)
            return
        self._pending.discard(probe)
        if result.reason is Reason.greylisted and probe.first_asked is not None:
            probe.domain.greylisted_since[probe.local] = probe.first_asked
        probe.on_result(probe, result)

    def _not_asked(self, probe: Probe) -> None:
        at = probe.at
        if at is None or self.draining:  # what waits for it stays undecided
            return
        place = self.place(at.place)
        if probe.role is Role.canary:
            place.canary_at = None
            asyncio.get_running_loop().call_soon(self._wake_place, place)
        elif probe.role is Role.closing:
            place.closing_queued = False
        else:
            at.control_in_flight, at.control_done = False, True
            where = place.undecided.get(at)
            if where is not None:
                self.decisions.decide(at, where, place)

    def skip_domain(self, servers: ServerSet, domain: DomainState) -> None:
        """The domain accepts every recipient: those that still wait need not be asked."""
        for probe in servers.take_all_of(domain):
            self.report(probe, domain.accept_all_result())

    def blocked(self, servers: ServerSet) -> None:
        """The operator refuses us, whatever the recipient is."""
        pace = servers.operator.pace
        pace.blocked()
        self.health.operator_blocks(servers.operator.rule.name)

    def fail(self, servers: ServerSet, result: MailboxResult) -> None:
        """These servers give no results now: report that for all that wait for them, and for a while for newcomers."""
        servers.silent_since = None
        if result.reason is not Reason.greylisted:
            servers.failed, servers.failed_until = result, time.monotonic() + self._failed_for
        while (probe := self.next_waiting(servers)) is not None:
            self.report(probe, result)

    def leave_open(self, servers: ServerSet, place: Place) -> None:
        """The place has shut us out for longer than the run waits: what waits for it stays open."""
        result = self.decisions.unproven_result(servers, place)
        while (probe := self.next_waiting(servers)) is not None:
            self.report(probe, result)
        for one in servers.places:
            self.decisions.settle(servers, one)

    def _drain(self, queues: Iterable[OperatorQueue]) -> None:
        """Report for all that wait for an operator that is not asked any more."""
        for queue in list(queues):
            result = self.closed(queue)
            if result is None:
                continue
            for servers in list(queue.servers.values()):
                while (probe := self.next_waiting(servers)) is not None:
                    self.report(probe, result)
                for place in servers.places:
                    if place.quiet:
                        self.decisions.abandon(servers, place, result)

    def _fail_all(self, error: Exception) -> None:
        for queue in self.known.operators.values():
            for servers in queue.servers.values():
                servers.clear()
        for place in self.known.places.values():
            place.undecided.clear()
            place.held, place.open, place.unconfirmed = [], [], []
        for domain in self.known.domains.values():
            for at in domain.places.values():
                at.accepts, at.doubts = [], []
        pending, self._pending = self._pending, set()
        for probe in pending:
            if probe.on_result is not None:
                probe.on_result(probe, error)

    # ---------------------------------------------------------------- watching and ending

    def progress(self) -> list[OperatorProgress]:
        """What each operator is doing, the busiest first."""
        return progress_of(self.known.operators.values(), self.smtp.address_budget)

    @property
    def draining(self) -> bool:
        """Whether the pool is closing: what is proven is still reported, and what is not stays undecided."""
        return self._ended

    async def close(self) -> None:
        """End every conversation within 2.5 seconds; recipients without a proven result are reported as not probed.

        What a server does cannot make it last longer: a conversation that goes on nevertheless ends by its own
        time-outs.
        """
        self._ended = True
        self.expecting = False
        alarms = [queue.alarm for queue in self.known.operators.values()]
        alarms += [alarm for place in self.known.places.values() for alarm in (place.alarm, place.look_alarm)]
        for alarm in [*alarms, *self._timers]:
            if alarm is not None:
                alarm.cancel()
        self.turns.close()
        if self._tasks:  # each conversation ends by itself with the reply it waits for
            await asyncio.wait(self._tasks, timeout=_SHUTDOWN_TIMEOUT)
        if tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_TIMEOUT)
        self._drain(self.known.operators.values())
        stopped = MailboxResult(Reason.not_probed, detail="the run was stopped", retry_after=3600.0)
        for probe in list(self._pending):
            self.report(probe, stopped)
