"""Which server a conversation goes to.

The preferred host, the backup only where that is down or busy time after time, and never an address that has as many
connections as it may.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from mailvet.probing.canary import REFUSALS_PER_CANARY_OVER_CONVERSATIONS, SHORT
from mailvet.probing.domain import MailboxResult, stage_detail
from mailvet.probing.queues import ServerSet, Way
from mailvet.probing.turns import Contact, Standing
from mailvet.smtp.outcomes import Broken, Refused, Reply
from mailvet.smtp.reply_reading import mask, read_reply
from mailvet.smtp.session import Session
from mailvet.vocabulary import Reason

if TYPE_CHECKING:
    from mailvet.probing.domain import Probe
    from mailvet.probing.pool import Mailboxes

__all__ = ["Opening"]

_TRIES = 2
_THROTTLED_TRIES = 3
_MOST_ADDRESSES = 5  # tried in one go
_LONGEST_KEPT = 500  # characters of a reply


class _Left(Exception):
    """Others wait, and the first time-out of a newcomer is over."""


class Opening:
    """Opens conversations; one object for one pool."""

    def __init__(self, pool: Mailboxes) -> None:
        self._pool = pool

    # ---------------------------------------------------------------- picking

    def pick(self, servers: ServerSet) -> Way | None:
        """A way to these servers on which a connection may be opened now.

        None: there is none; the operator is woken when there may be, or all that waited has its result.
        """
        now = time.monotonic()
        ways = self._usable(servers, now)
        given_up = [way for way in ways if way.place.given_up(self._pool.wait_until)]
        if given_up and len(given_up) == len(ways):
            self._pool.leave_open(servers, given_up[0].place)
            return None
        open_ways = [way for way in ways if way not in given_up]
        first = servers.waiting[0].at if servers.waiting else None
        if first is not None and len(open_ways) > 1:  # what is asked for the sake of others belongs to a place
            open_ways.sort(key=lambda way: way.place.key != first.place)
        for way in open_ways:
            if self._free(servers, way, now):
                return way
        self._wait(servers, open_ways, now)
        return None

    def _usable(self, servers: ServerSet, now: float) -> list[Way]:
        """The ways of the best preference that is neither down nor busy time after time."""
        ways = servers.ways
        reachable = [way for way in ways if way.address.reachable(now)]
        # Whether an international address can be delivered at all is a question to every server.
        candidates = list(ways) if servers.eai else reachable or list(ways)
        serving = [way for way in candidates if not way.address.needs_backup] or candidates
        best = min(way.host.preference for way in serving)
        return [way for way in serving if way.host.preference == best]

    def _free(self, servers: ServerSet, way: Way, now: float) -> bool:
        place = way.place
        if place.resting(now) or (place.one_connection and place.conversations):
            return False
        if place.conversations >= place.conversations_allowed:
            return False
        if place.canary_at not in (None, servers):
            return False
        # Conversations too short for a canary of their own share one, so only so many recipients are asked before it.
        most = min(self._pool.recipients_per_session(servers), way.address.recipients_per_session)
        side_by_side = 1 if place.shut_us_out else max(1, REFUSALS_PER_CANARY_OVER_CONVERSATIONS // most)
        if most < SHORT and place.conversations >= side_by_side:
            return False
        return way.address.may_connect(now)

    def _wait(self, servers: ServerSet, ways: list[Way], now: float) -> None:
        """Have the operator woken when one of the ways may be free."""
        loop = asyncio.get_running_loop()
        for way in ways:
            way.address.waiters[servers.operator] = None
            way.place.waiters[servers.operator] = None
            until = max(way.place.rest_until, way.address.not_before)
            if until > now and way.place.alarm is None:
                way.place.alarm = loop.call_later(until - now + 0.01, self._rested, way)
        self._pool.idle.release_at(way.address for way in ways)

    def _rested(self, way: Way) -> None:
        way.place.alarm = None
        self._pool.wake_waiters(way)

    # ---------------------------------------------------------------- opening

    async def open(
        self, servers: ServerSet, held: list[Way], ways: set[Way], contact: Contact
    ) -> tuple[Session, float, Callable[[], None]] | None:
        """A session with the best server that can be had, when its connection was asked for, and what frees its slot.

        None when there is none; then all have a result, or wait for the next try.

        Args:
            servers: the set that is to be asked.
            held: the way that was picked; replaced by the one that is used.
            ways: those that were tried are added.
            contact: the connection, for `Turns`.
        """
        pool, queue = self._pool, servers.operator
        budget = pool.smtp.address_budget
        if servers.silent_since is None or servers.silent_since + budget <= time.monotonic():
            servers.silent_since = time.monotonic()
        broken: list[Broken] = []
        crowded = False
        tried: set[str] = set()
        without_eai = 0
        while True:
            way = held[0]
            address = way.address
            tried.add(address.ip)
            release = await pool.slots.acquire(address.ip, address.cap)
            began = contact.began = time.monotonic()
            # Another conversation may have had a reply meanwhile: then the budget begins anew.
            until = (servers.silent_since or began) + budget
            try:
                session = await self._contact(servers, way, contact, until - began)
            except _Left:
                release()
                servers.again, servers.silent_since = True, None
                return None
            except Refused as refusal:
                release()
                pool.health.connection_made(queue.rule.name, address.ip)
                self._refused(servers, way, refusal.reply)
                return None
            except Broken as failure:
                release()
                if self._is_full(way, failure):
                    crowded = True
                else:
                    broken.append(failure)
            except BaseException:
                release()
                raise
            else:
                pool.health.connection_made(queue.rule.name, address.ip)
                address.opened()
                if not servers.eai or session.smtputf8:
                    return session, began, release
                without_eai += 1
                await session.close()
                address.closed()
                release()
            pool.free_slot(held.pop())
            other = self._other(servers, tried)
            if other is None or (servers.silent_since or began) + budget <= time.monotonic():
                break
            pool.take_slot(other)
            held.append(other)
            ways.add(other)
        if not crowded:  # else what waits is asked by the conversations that go on, or after them
            self._unopened(servers, broken, without_eai)
        return None

    def _is_full(self, way: Way, failure: Broken) -> bool:
        """Whether no conversation could be opened because the address takes no more of them; else it has failed."""
        address = way.address
        if address.sessions:  # it serves others at this moment, so it is not down
            address.too_many_connections()
            return True
        if failure.kind == "unreachable":
            self._pool.health.address_failed(address.ip)
        address.failed()
        return False

    async def _contact(self, servers: ServerSet, way: Way, contact: Contact, seconds: float) -> Session:
        """A session that is open within so many seconds, unless it is left because others wait."""
        ip = way.address.ip
        opening = Session.open(
            way.host.name,
            ip,
            self._pool.smtp,
            self._pool.hello_name,
            source=self._source(servers, ip),
            within=max(seconds, 0.001),
        )
        if contact.standing is not Standing.newcomer:
            return await opening
        task = asyncio.ensure_future(opening)
        contact.leave = task.cancel
        try:
            session = await task
        except asyncio.CancelledError:
            if contact.left:
                raise _Left from None
            raise
        finally:
            contact.leave = None
        contact.leave, contact.left = session.leave, False
        return session

    def _other(self, servers: ServerSet, tried: set[str]) -> Way | None:
        """Another address that can be tried at once."""
        if len(tried) >= _MOST_ADDRESSES:
            return None
        now = time.monotonic()
        for way in servers.ways:
            if way.address.ip in tried or not (servers.eai or way.address.reachable(now)):
                continue
            if self._free(servers, way, now):
                return way
        return None

    def _unopened(self, servers: ServerSet, broken: list[Broken], without_eai: int) -> None:
        """No conversation could be opened."""
        pool, queue = self._pool, servers.operator
        now = time.monotonic()
        untried = [way for way in servers.ways if way.address.reachable(now)]
        spent = servers.silent_since is not None and servers.silent_since + pool.smtp.address_budget <= now
        if untried and not servers.eai and broken and not spent:
            return  # another address is busy now and will be asked
        host = servers.hosts[0].name
        if without_eai and not broken:
            pool.fail(servers, MailboxResult(Reason.smtputf8_unsupported, mx_host=host))
            return
        first = broken[0]
        if without_eai == 0 and all(failure.kind == "unreachable" for failure in broken):
            pool.health.connection_failed(queue.rule.name)
            reason = Reason.connect_failed
        else:
            pool.health.connection_made(queue.rule.name)
            reason = Reason.smtp_timeout if first.kind == "timeout" else Reason.protocol_error
        if first.kind == "unreachable":
            reason = Reason.connect_failed
        servers.failures += 1
        if reason is not Reason.protocol_error or servers.failures >= _TRIES:
            pool.fail(servers, MailboxResult(reason, mx_host=host, detail=first.detail))

    def _source(self, servers: ServerSet, ip: str) -> str | None:
        of_kind = [own for own in self._pool.smtp.source_addresses if (":" in own) == (":" in ip)]
        if not of_kind:
            return None
        # Greylisting remembers who came: the same servers always see the same address of ours.
        return of_kind[zlib.crc32(servers.hosts[0].name.encode()) % len(of_kind)]

    def _refused(self, servers: ServerSet, way: Way, reply: Reply) -> None:
        """The server refused the conversation before any recipient."""
        way.place.replied, servers.silent_since = True, None
        pool, operator = self._pool, servers.operator
        reading = read_reply(reply.stage, reply.code, reply.text, own=pool.own)
        probe = pool.next_waiting(servers)
        masked = mask(reply.text, recipient=probe.address if probe else None, own=pool.own)[:_LONGEST_KEPT]
        result = MailboxResult(
            reading.reason or Reason.protocol_error,
            reply.code,
            masked,
            way.host.name,
            retry_after=reading.retry_after,
            detail=stage_detail(reply.stage, masked),
        )
        if reading.reason is Reason.sender_blocked:
            pool.blocked(servers)
            self._report(probe, result)
            return
        if reading.limit == "connections":
            operator.too_many_connections()
            way.address.too_many_connections()
        if reply.code // 100 == 4:
            way.address.refused_for_now(reading.retry_after)
        if operator.listed or reply.code // 100 != 4:
            operator.pace.throttled(reading.retry_after)
        servers.failures += 1
        if servers.failures > _THROTTLED_TRIES:
            self._report(probe, result)
            pool.fail(servers, result)
        elif probe is not None:
            pool.enqueue(servers, probe, first=True, wake=False)

    def _report(self, probe: Probe | None, result: MailboxResult) -> None:
        if probe is not None:
            self._pool.report(probe, result)
