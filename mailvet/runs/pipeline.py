"""From the rows that are due through the layers to the saver: the part of a run that asks servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from mailvet.errors import ConnectionLostError
from mailvet.runs.database_thread import DatabaseThread
from mailvet.runs.results import Progress, ReplyCounts, Watcher
from mailvet.runs.saving import Saver
from mailvet.verification.stream import Stream
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import REASONS, Reason, Status

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Pipeline", "Tally", "first_rows"]

_WATCH_SECONDS = 0.25  # between two looks at the progress
_PULL_SECONDS = 2.0  # that a verdict may lie with the stream before it is taken from it
_REASONS_FROM_SERVERS = [str(reason) for reason, rule in REASONS.items() if rule.layer == "mailbox"]


class Tally:
    """What a run has verified so far.

    Attributes:
        done: addresses with a verdict.
        replies: what mail servers replied, by operator.
    """

    def __init__(self) -> None:
        self.done = 0
        self.replies: dict[str, ReplyCounts] = {}
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def add(self, verdicts: pl.DataFrame) -> None:
        """Count verdicts."""
        self.done += verdicts.height
        from_servers = pl.col("smtp_code").is_not_null() | pl.col("reason").is_in(_REASONS_FROM_SERVERS)
        asked = verdicts.filter(pl.col("operator").is_not_null() & from_servers)
        refused = pl.col("status") == str(Status.undeliverable)
        is_positive = (pl.col("smtp_code") // 100 == 2).fill_null(False)
        accepted = is_positive & ~refused & (pl.col("reason") != str(Reason.greylisted))
        counted = asked.group_by("operator").agg(accepted.sum(), refused.sum().alias("refused"), pl.len().alias("all"))
        for name, accepts, refuses, total in counted.iter_rows():
            so_far = self.replies.get(name, ReplyCounts())
            self.replies[name] = ReplyCounts(
                so_far.accepted + accepts,
                so_far.refused + refuses,
                so_far.unclear + total - accepts - refuses,
            )


class Pipeline:
    """Verifies what is due and hands it to the saver.

    Args:
        batches: the rows that are due, read by `thread` alone.
        thread: that of the database.
        saver: takes the verdicts.
        tally: counts them.
        watcher: told about the progress.
    """

    def __init__(
        self,
        batches: Iterator[pa.Table],
        thread: DatabaseThread,
        saver: Saver,
        tally: Tally,
        watcher: Watcher | None,
    ) -> None:
        self._batches = batches
        self._thread = thread
        self._saver = saver
        self._tally = tally
        self._watcher = watcher
        self._ahead: asyncio.Future[pa.Table | None] | None = None
        self._stopping = False

    async def read(self) -> pl.DataFrame | None:
        """The next batch, None at the end. One is fetched ahead, so that one is judged while another is saved."""
        ahead = self._ahead if self._ahead is not None else self._fetch()
        table = await ahead
        if table is None:
            return None
        self._ahead = self._fetch()
        return pl.DataFrame(pl.from_arrow(table))

    def _fetch(self) -> asyncio.Future[pa.Table | None]:
        return asyncio.ensure_future(self._thread.call(next, self._batches, None))

    async def run(self, verifier: Verifier, stream: Stream, due: int) -> None:
        """Verify and save until all is through.

        Args:
            verifier: what the stream asks through.
            stream: reads by `read`.
            due: addresses that are due, for the progress.

        Raises:
            MailvetError: a save failed, or the table cannot be read any more.
        """
        self._ahead = self._fetch()

        def pull() -> list[pl.DataFrame]:
            frames = stream.pending_verdicts(older_than=0.0 if self._stopping else _PULL_SECONDS)
            for verdicts in frames:
                self._tally.add(verdicts)
            return frames

        watching = asyncio.ensure_future(self._watch(verifier, stream, due)) if self._watcher else None
        self._saver.pull = pull
        self._saver.start()
        try:
            async for verdicts in stream:
                self._tally.add(verdicts)
                self._saver.take(verdicts)
                await self._saver.room()
            await self._saver.finish()
        except BaseException as error:
            # Also when the run is stopped: what the servers were asked is not asked for a second time.
            self._stopping = True
            await asyncio.shield(asyncio.ensure_future(self._stop(stream, error)))
            raise
        finally:
            if watching is not None:
                watching.cancel()
            self._ahead.cancel()
        self._report(verifier, stream, due)

    async def _stop(self, stream: Stream, error: BaseException) -> None:
        await stream.drain()
        if isinstance(error, asyncio.CancelledError):
            await self._saver.stop()
        else:  # a fault: the database may take its time for what it still can take
            await self._saver.stop(save=not isinstance(error, ConnectionLostError), timeout=None)

    async def _watch(self, verifier: Verifier, stream: Stream, due: int) -> None:
        while True:
            self._report(verifier, stream, due)
            await asyncio.sleep(_WATCH_SECONDS)

    def _report(self, verifier: Verifier, stream: Stream, due: int) -> None:
        if self._watcher:
            tally = self._tally
            progress = Progress(due, tally.done, tally.seconds, verifier.progress(), stream.retry_in)
            self._watcher.progressed(progress)


def first_rows(batches: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    """The first rows of all batches together; all of them where there is no limit."""
    for table in batches:
        if limit is not None:
            table = table.slice(0, limit)
            limit -= table.num_rows
        yield table
        if limit == 0:
            return
