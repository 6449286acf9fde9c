"""Conversations that have no recipient to ask at the moment, kept open for recipients that are still to be read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailvet.probing.addresses import ServerAddress
from mailvet.probing.canary import Place
from mailvet.probing.queues import OperatorQueue, ServerSet

if TYPE_CHECKING:
    from mailvet.probing.pool import Mailboxes

__all__ = ["IdleConversations"]

_LONGEST = 5.0  # seconds for which a conversation stays open without a recipient


class IdleConversations:
    """Those of one pool, the longest idle first."""

    def __init__(self, pool: Mailboxes) -> None:
        self._pool = pool
        self._servers: OrderedDict[asyncio.Future[None], ServerSet] = OrderedDict()

    def __len__(self) -> int:
        return len(self._servers)

    def allowed(self, servers: ServerSet) -> bool:
        """Whether a conversation with these servers may be kept open without a recipient."""
        if not self._pool.expecting or self._pool.draining or servers.waiting or self._pool.turns:
            return False
        return not any(way.address.waiters or way.place.waiters for way in servers.ways)

    async def wait_for_recipients(self, servers: ServerSet, place: Place) -> bool:
        """Wait for recipients that are still to be read; whether there are any."""
        if not self.allowed(servers):
            return bool(servers.waiting)
        more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        servers.idle.append(more)
        self._servers[more] = servers
        place.idle += 1
        self._pool.decisions.settle(servers, place)
        try:
            await asyncio.wait((more,), timeout=_LONGEST)
        finally:
            place.idle -= 1
            self._end(more)
        return bool(servers.waiting)

    def wake(self, servers: ServerSet) -> bool:
        """Let the latest conversation with these servers go on; whether there is one."""
        if not servers.idle:
            return False
        self._end(servers.idle[-1])
        return True

    def release(self, count: int, queue: OperatorQueue | None = None) -> None:
        """End so many conversations, of one operator or of any."""
        ended = [idle for idle, servers in self._servers.items() if queue is None or servers.operator is queue][:count]
        for idle in ended:
            self._end(idle)

    def release_at(self, addresses: Iterable[ServerAddress]) -> None:
        """End all that hold a connection to one of these addresses."""
        wanted = set(map(id, addresses))
        for idle, servers in list(self._servers.items()):
            if any(id(way.address) in wanted for way in servers.ways):
                self._end(idle)

    def _end(self, idle: asyncio.Future[None]) -> None:
        servers = self._servers.pop(idle, None)
        if servers is not None:
            servers.idle.remove(idle)
        if not idle.done():
            idle.set_result(None)
