"""The lease on a table: one run at a time, renewed as long as the run is at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mailvet.errors import MailvetError, RunUnderWayError
from mailvet.warehouse.leases import RENEW_SECONDS, this_process
from mailvet.warehouse.store import Warehouse

__all__ = ["Lease"]

log = logging.getLogger("mailvet")


class Lease:
    """The lease of one run.

    Args:
        warehouse: of the table.
        run_id: of the run.
        call: runs a function of the warehouse in the thread that its connection belongs to.
    """

    def __init__(self, warehouse: Warehouse, run_id: str, call: Callable[..., Awaitable[Any]]) -> None:
        self._warehouse = warehouse
        self._run_id = run_id
        self._call = call
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether it was taken."""
        return self._renewing is not None

    async def take(self) -> None:
        """Take it, unless it was taken before.

        Raises:
            RunUnderWayError: another run is at work on the table.
        """
        if self.is_held:
            return
        other = await self._call(self._warehouse.take_lease, self._run_id, this_process())
        if other is not None:
            raise RunUnderWayError(
                f"Another run is at work on {self._warehouse.name}: {other.who}, since "
                f"{other.started_at:%Y-%m-%d %H:%M} UTC (run {other.run_id}). No server was asked. Wait for it to end, "
                "then run the same again; only what is left will be asked."
            )
        self._renewing = asyncio.ensure_future(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._call(self._warehouse.renew_lease, self._run_id)
            except MailvetError as error:  # what uses the connection next finds out as well
                log.warning("The lease of this run could not be renewed: %s", error)

    def stop_renewing(self) -> None:
        """The run is over."""
        if self._renewing is not None:
            self._renewing.cancel()
