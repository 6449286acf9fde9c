"""From results as they come to the database.

In batches, through the journal, and with time for a database that is locked for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from mailvet.errors import LockedError
from mailvet.runs.database_thread import DatabaseThread
from mailvet.runs.in_hand import InHand
from mailvet.runs.journal import Journal
from mailvet.verdict import verdict_schema
from mailvet.warehouse.store import Warehouse

__all__ = ["SAVE_ROWS", "Saver"]

log = logging.getLogger("mailvet")

SAVE_ROWS = 4 * 122_880  # row groups of DuckDB, which are written fastest when they are whole
TICK = 1.0  # seconds between two looks at what is due
JOURNAL_AFTER = 2.0  # seconds that a result may be in memory alone, and a tick more
_SAVE_TIMEOUT = 2.5  # seconds for the database to take the rest when the run is stopped
_FIRST_INTERVAL = 1.0  # seconds until the first save, each further one after twice the time
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0  # seconds between two tries to save in a database that is locked


@dataclass(slots=True)
class _Batch:
    verdicts: pl.DataFrame
    came: float
    """`time.monotonic()`."""
    journaled: bool = False


class Saver:
    """Results of one run on their way to the database.

    Args:
        warehouse: what saves them, called by `thread` alone.
        journal: None keeps none, where results cost nothing to have again or the database has no name on this machine.
        every: longest time in seconds between two saves; the first come sooner.
        timeout: seconds that a locked database is waited for.
        on_saved: called after each save.

    Attributes:
        pull: gives the results that came and were not handed over, asked for once a tick.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        thread: DatabaseThread,
        journal: Journal | None,
        in_hand: InHand,
        *,
        every: float,
        timeout: float,
        on_saved: Callable[[], Awaitable[None]],
    ) -> None:
        self._warehouse = warehouse
        self._thread = thread
        self._journal = journal
        self._in_hand = in_hand
        self._longest = every
        self._every = min(_FIRST_INTERVAL, every)
        self._timeout = timeout
        self.pull: Callable[[], Sequence[pl.DataFrame]] = list
        self._on_saved = on_saved
        self._batches: list[_Batch] = []
        self._saved_at = time.monotonic()
        self._saving: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after the results from now on, until `finish` or `stop`."""
        self._ticking = asyncio.ensure_future(self._tick())

    def take(self, verdicts: pl.DataFrame) -> None:
        """Take in results."""
        self._batches.append(_Batch(verdicts, time.monotonic()))
        self._count()

    async def room(self) -> None:
        """Save where it is time to; wait while too many results are in memory.

        Raises:
            MailvetError: a save failed.
        """
        full = self._rows >= SAVE_ROWS
        if full or time.monotonic() - self._saved_at > self._every:
            if self._saving is not None and (full or self._saving.done()):
                await self._end_saving()
            self._begin_saving()

    @property
    def _rows(self) -> int:
        return sum(batch.verdicts.height for batch in self._batches)

    async def finish(self) -> None:
        """Save all.

        Raises:
            MailvetError: a save failed.
        """
        await self._end_saving()
        while self._batches:
            await self._save()
        await self._on_saved()
        await self._stop_ticking()
        self._empty_journal()

    async def stop(self, *, save: bool = True, timeout: float | None = _SAVE_TIMEOUT) -> None:
        """The run is over before its end.

        What is in hand goes into the journal, then into the database if that takes it within `timeout` seconds. Raises
        nothing; `in_hand` tells what became of it.
        """
        await self._stop_ticking()
        for verdicts in self.pull():
            self.take(verdicts)
        await self._write_journal(before=time.monotonic())
        if not save:
            return
        rest = asyncio.ensure_future(self._save_rest())
        done, _ = await asyncio.wait((rest,), timeout=timeout)
        if done and (error := rest.exception()) is not None:
            log.warning("What was verified last could not be saved: %s", error)
        elif not done:
            self._in_hand.stuck = True
            rest.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _save_rest(self) -> None:
        with contextlib.suppress(Exception):  # what it could not save is tried again
            await self._end_saving()
        if self._batches:
            await self._save_once()
        await self._on_saved()
        self._empty_journal()

    def _empty_journal(self) -> None:
        if self._journal is not None and not self._batches:
            self._journal.drop(self._journal.cut())

    def close(self) -> None:
        """Leave what is not saved to the next run."""
        if self._journal is not None:
            self._journal.close()

    # ---------------------------------------------------------------- the database

    def _begin_saving(self) -> None:
        if self._saving is None and self._batches:
            self._saving = asyncio.ensure_future(self._save())
            self._saving.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._saved_at = time.monotonic()
            self._every = min(2 * self._every, self._longest)

    async def _end_saving(self) -> None:
        if self._saving is not None:
            saving, self._saving = self._saving, None
            await saving

    async def _save(self) -> None:
        """Save what there is; a lock is waited for."""
        until, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        while True:
            try:
                await self._save_once()
                return
            except LockedError as error:
                if time.monotonic() + pause > until:
                    raise
                log.warning("%s Trying again for %.0f s.", error, until - time.monotonic())
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _save_once(self) -> None:
        batches = list(self._batches)
        if not batches:
            return
        async with self._writing:
            number = self._journal.cut() if self._journal is not None else 0
        table = _arrow(batches)
        await self._thread.call(self._warehouse.save, table)
        # Those that are saved leave the list only now, so that a failure loses none.
        del self._batches[: len(batches)]
        self._in_hand.saved += table.num_rows
        if self._journal is not None:
            self._journal.drop(number)
        self._count()
        await self._on_saved()

    # ---------------------------------------------------------------- the journal

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for verdicts in self.pull():
                self.take(verdicts)
            await self._write_journal(before=time.monotonic() - JOURNAL_AFTER)
            if time.monotonic() - self._saved_at > self._every and (self._saving is None or self._saving.done()):
                if self._saving is not None and self._saving.exception() is not None:
                    continue  # told by `room` or `finish`
                self._saving = None
                self._begin_saving()

    async def _stop_ticking(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(asyncio.wait((self._ticking,)))
            self._ticking = None

    async def _write_journal(self, *, before: float) -> None:
        """Put into the journal what came before this time and is in memory alone."""
        async with self._writing:
            fresh = [batch for batch in self._batches if not batch.journaled and batch.came <= before]
            if self._journal is None or not fresh:
                return
            try:
                # Here and not in a thread: a few hundred KB once a second, and no stop may overtake it.
                self._journal.append(_arrow(fresh))
            except OSError as error:
                if self._in_hand.journal_fault is None:
                    log.warning(
                        "The journal cannot be written (%s); results are in memory until they are saved. Set "
                        "store.journal to a folder that this user can write to.",
                        error.strerror or error,
                    )
                self._in_hand.journal_fault = error.strerror or str(error)
                return
            for batch in fresh:
                batch.journaled = True
            self._count()

    def _count(self) -> None:
        in_hand = self._in_hand
        in_hand.journaled = sum(batch.verdicts.height for batch in self._batches if batch.journaled)
        in_hand.in_memory = self._rows - in_hand.journaled
        in_hand.journal = self._journal.paths if self._journal is not None else ()


def _arrow(batches: Sequence[_Batch]) -> pa.Table:
    return pl.concat([batch.verdicts for batch in batches]).to_arrow().cast(verdict_schema())
