"""Verdicts between the event loop and the warehouse: looked up many at a time, kept for a while, saved every second."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections import OrderedDict
from typing import Any, Final

from mailvet.errors import ConnectionLostError, MailvetError
from mailvet.runs.database_thread import DatabaseThread
from mailvet.service.database import Database, ServiceStore
from mailvet.verdict import Verdict, verdict_schema
from mailvet.verification.scalar import as_row
from mailvet.vocabulary import Reason

__all__ = ["Verdicts"]

log = logging.getLogger("mailvet")

_MOST_KEPT: Final = 4096
_KEPT_FOR: Final = 60.0  # seconds, since other processes may save newer ones
_SAVE_SECONDS: Final = 1.0
_MOST_UNSAVED: Final = 50_000
_CLOSE_SECONDS: Final = 4.0


class Verdicts:
    """The verdicts of a database, for one event loop.

    Args:
        database: where they are.

    Attributes:
        available: whether the database replied last.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = DatabaseThread()
        self._store: ServiceStore | None = None
        self._kept: OrderedDict[str, tuple[Verdict | None, float]] = OrderedDict()
        self._asked: dict[str, asyncio.Future[Verdict | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._unsaved: dict[str, Verdict] = {}
        self._saving: asyncio.Task[None] | None = None
        self.available = False

    async def open(self) -> None:
        """Open the store.

        Raises:
            SourceError: it cannot be used.
        """
        self._store = await self._thread.call(self._database.open_store)
        self.available = True
        self._saving = asyncio.ensure_future(self._save_for_ever())

    async def find(self, key: str) -> Verdict | None:
        """The stored verdict of an `email_key`; None where there is none, or the database does not reply."""
        unsaved = self._unsaved.get(key)
        if unsaved is not None:
            return unsaved
        kept, until = self._kept.get(key, (None, 0.0))
        if until > time.monotonic():
            return kept
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
        return await asyncio.shield(future)

    async def _read(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, {}
            found: dict[str, Verdict] = {}
            try:
                assert self._store is not None
                table = await self._thread.call(self._store.verdicts, list(asked))
                found = {row["email_key"]: Verdict.from_row(row) for row in table.to_pylist()}
                self.available = True
            except Exception as error:
                await self._note_failure(error)
            for key, future in asked.items():
                if self.available:
                    self._keep(key, found.get(key))
                if not future.done():
                    future.set_result(found.get(key))

    def _keep(self, key: str, verdict: Verdict | None) -> None:
        self._kept[key] = verdict, time.monotonic() + _KEPT_FOR
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def save(self, verdict: Verdict, before: Verdict | None) -> Verdict:
        """Take a verdict to be saved; as it will be stored.

        Args:
            verdict: new.
            before: the one that is stored.
        """
        if before is not None and before.reason is verdict.reason:
            verdict = dataclasses.replace(verdict, attempts=before.attempts + 1)
        if verdict.reason is not Reason.missing and len(self._unsaved) < _MOST_UNSAVED:
            self._unsaved[verdict.email_key] = verdict
        self._keep(verdict.email_key, verdict)
        return verdict

    async def _save_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Save what is not saved yet."""
        if not self._unsaved:
            return
        import pyarrow as pa

        batch, self._unsaved = self._unsaved, {}
        table = pa.Table.from_pylist([as_row(verdict) for verdict in batch.values()], schema=verdict_schema())
        try:
            await self._thread.call(self._save, table)
            self.available = True
        except Exception as error:
            self._unsaved = {**batch, **self._unsaved}
            await self._note_failure(error)

    def _save(self, table: Any) -> None:
        assert self._store is not None
        with self._database.writing():
            self._store.save(table)

    async def _note_failure(self, error: Exception) -> None:
        if self.available:
            what = error if isinstance(error, MailvetError) else type(error).__name__
            log.error("the database does not reply: %s", what)
        self.available = False
        if isinstance(error, ConnectionLostError):
            assert self._store is not None
            with contextlib.suppress(MailvetError):
                await self._thread.call(self._store.reconnect)

    async def check(self) -> bool:
        """Whether the database replies now."""
        assert self._store is not None
        try:
            await self._thread.call(self._store.verdicts, [""])
            self.available = True
        except Exception as error:
            await self._note_failure(error)
        return self.available

    def forget_all(self) -> None:
        """Drop what is kept in memory, after an address was erased from the database."""
        self._kept.clear()

    async def close(self) -> None:
        """Save the rest and close the store."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.flush(), _CLOSE_SECONDS)
        if self._store is not None:
            self._thread.submit(self._store.close)
        await self._thread.end(1.0)
