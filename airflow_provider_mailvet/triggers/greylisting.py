"""Waiting until greylisting servers may be asked again. Nothing is asked here: the triggerer belongs to everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["GreylistingTrigger"]


class GreylistingTrigger(BaseTrigger):
    """Fires at a moment, and hands back what the task left with it.

    The event carries everything, so that the task needs nothing else to go on: which addresses are waited for stands
    in the verdict table.

    :param moment: ISO 8601 with a time zone.
    :param attempts: `Attempts.as_dict` of the work so far: counts.
    """

    def __init__(self, moment: str, attempts: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moment = moment
        self.attempts = attempts

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See `BaseTrigger.serialize`."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment, "attempts": self.attempts}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep in short steps, because a clock may be set while it waits."""
        moment = datetime.fromisoformat(self.moment)
        while (left := (moment - datetime.now(timezone.utc)).total_seconds()) > 0:
            await asyncio.sleep(min(left, 60.0))
        yield TriggerEvent({"attempts": self.attempts})  # type: ignore[no-untyped-call]
