"""One pass over a table: the layers over each batch.

They run cheapest first, each on distinct keys, and none whose result cannot change the verdict any more.

A mail server may take seconds where a layer takes microseconds, so rows wait for mailboxes while the next batch is
read. How many may wait is bounded, for all operators together and for each; the rest is put off with its evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import polars as pl

from mailvet.dns.routes import Route
from mailvet.probing.pool import MailboxResult, Probe
from mailvet.probing.retries import Retries
from mailvet.reference.columns import Reference
from mailvet.scoring.columns import judge
from mailvet.verification import columns, scalar, table_engine
from mailvet.verification.backlog import Backlog
from mailvet.verification.verifier import NO_RESOLVER, Verifier
from mailvet.vocabulary import Depth, Reason

__all__ = ["BATCH_ROWS", "Stream"]

BATCH_ROWS = 20_000
"""Rows of a batch where servers are asked."""
_WAITING_ROWS = 60_000  # rows that may wait for mailboxes, all operators together
_LEAST_ROWS = 100  # of them any operator may have
_FLUSH_ROWS = 5_000  # to judge a few costs nearly as much as to judge thousands
_FLUSH_SECONDS = 1.0

_SKIP_PROBING = [str(reason) for reason in scalar.SKIP_PROBING]


@dataclass(slots=True, eq=False)
class _Batch:
    """Evidence of one batch, whose rows wait for mailboxes."""

    evidence: pl.DataFrame
    rows: list[int] = field(default_factory=list)
    """Those with a result, in the order of the results."""
    results: list[MailboxResult] = field(default_factory=list)


class Stream:
    """Verifies batches as `read` brings them; an async iterator over verdicts as they come, to be used once.

    It yields frames with the columns of `verdict_schema()`, every row of every batch in exactly one of them, not
    necessarily in the order read.

    Args:
        verifier: opened.
        read: gives the next batch, None at the end. Columns: `email` (text, distinct over all batches), and where
            known `previous_reason`, `previous_attempts`, those of `mailvet.history.columns`, and what the whole table
            shows: `series_size`, `burst`, `duplicate_of` (see `mailvet.signals.columns`).
        run_id: written into the verdicts.
        wait: how long to stay for greylisting servers, counted from now.

    Raises:
        PreflightError: the table engine did not survive a fork.
    """

    def __init__(
        self,
        verifier: Verifier,
        read: Callable[[], Awaitable[pl.DataFrame | None]],
        *,
        run_id: str | None = None,
        wait: timedelta = timedelta(0),
    ) -> None:
        table_engine.claim()
        self._verifier = verifier
        self._settings = verifier.settings
        self._depth = verifier.depth
        self._mailboxes = verifier.mailboxes
        self._read = read
        self._run_id = run_id
        self._reference = Reference(verifier.own)
        self._waiting: dict[str, _Batch] = {}  # by mailbox, the batch of the row that waits for it
        self._duplicate_waiters: dict[str, list[tuple[_Batch, int]]] = {}  # further spellings of the same mailbox
        self._waiting_at: Counter[str] = Counter()
        self._rows_waiting = 0
        self._ready: list[_Batch] = []
        self._rows_ready = 0
        self._last_flush = 0.0
        self._wakeup = asyncio.Event()
        self._failure: BaseException | None = None
        self._draining = False
        self._backlog = Backlog()
        self._retries: Retries | None = None
        if self._mailboxes is not None:
            wait_until = time.monotonic() + wait.total_seconds()
            self._retries = Retries(
                self._mailboxes, self._settings.retry, wait_until, self._conclude, self._failed_before
            )
            self._mailboxes.wait_until = wait_until
            self._mailboxes.retries_pending = self._retries.pending

    async def __aiter__(self) -> AsyncIterator[pl.DataFrame]:
        """Yield verdicts until every batch is through."""
        try:
            async for verdicts in self._run():
                yield verdicts
        finally:
            self._backlog.close()
            if self._retries is not None:
                self._retries.close()
        if self._mailboxes is not None:
            self._mailboxes.health.finish()

    @property
    def retry_in(self) -> float:
        """Seconds until the last of the recipients that are to be asked again is asked again; 0 for none."""
        return self._retries.retry_in() if self._retries is not None else 0.0

    async def drain(self) -> None:
        """After an interruption.

        Wait for the replies to recipients that were sent already, 2.5 seconds at most, and send no others.
        `pending_verdicts` has what they prove then. A recipient without a proven result gets no verdict and stays due:
        that we broke off says nothing of it.
        """
        self._draining = True
        if self._retries is not None:
            self._retries.wait_until = 0.0
        if self._mailboxes is not None:
            await self._mailboxes.close()
        if self._retries is not None:
            self._retries.conclude_greylisted()

    def pending_verdicts(self, *, older_than: float = 0.0) -> list[pl.DataFrame]:
        """Verdicts that have come but were not yielded yet: they are handed over here instead.

        Args:
            older_than: none where some were handed over less than so many seconds ago.
        """
        if not self._rows_ready or time.monotonic() - self._last_flush < older_than:
            return []
        return self._flush()

    # ---------------------------------------------------------------- reading and waiting

    async def _run(self) -> AsyncIterator[pl.DataFrame]:
        more = True
        while more or self._rows_waiting or self._rows_ready or self._backlog:
            for evidence in self._resumed():
                async for verdicts in self._probe(evidence):
                    yield verdicts
            if more and self._rows_waiting < _WAITING_ROWS:
                batch = await self._read()
                more = batch is not None
                if batch is not None and not batch.is_empty():
                    async for verdicts in self._examine(batch):
                        yield verdicts
            await self._look_after_mailboxes(more)
            if self._failure is not None:
                raise self._failure
            if self._flush_due(more):
                for verdicts in self._flush():
                    yield verdicts

    async def _look_after_mailboxes(self, more: bool) -> None:
        if self._mailboxes is not None:
            self._mailboxes.expecting = more or bool(self._backlog)
        must_wait = not more or self._rows_waiting >= _WAITING_ROWS
        if must_wait:
            await self._pause()
        if self._retries is not None:
            if must_wait and 0 < self._retries.held == len(self._waiting):
                await self._retries.settle()
            self._retries.look()

    async def _pause(self) -> None:
        """Wait for results, for a moment's worth of them rather than one by one."""
        if not self._rows_waiting or self._rows_ready >= _FLUSH_ROWS or self._failure is not None:
            return
        self._wakeup.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._wakeup.wait(), _FLUSH_SECONDS)

    @property
    def _queue_limit(self) -> int:
        """Rows that one operator may have waiting: half of the room there is.

        So one slow operator fills a third of the waiting room at most, two fill half of it, and however many there are,
        some is left for the next (Choudhury and Hahne, "Dynamic queue length thresholds", IEEE/ACM Transactions on
        Networking 6, 1998).
        """
        return max(_LEAST_ROWS, (_WAITING_ROWS - self._rows_waiting) // 2)

    def _resumed(self) -> list[pl.DataFrame]:
        """The evidence of rows that were put off, of operators that have little left to do."""
        frames = []
        for operator in self._backlog:
            room = self._queue_limit - self._waiting_at[operator]
            if room >= self._queue_limit // 2:
                frames.append(self._backlog.take(operator, min(room, BATCH_ROWS)))
        return frames

    def _admitted(self, waiting: pl.DataFrame) -> pl.DataFrame:
        """Of the rows that wait for mailboxes, those that may queue now; the rest is put off."""
        if self._rows_waiting + waiting.height <= _WAITING_ROWS // 3:  # then no operator can have too many
            return waiting
        limit = self._queue_limit
        room = {name: max(0, limit - self._waiting_at[name]) for name in waiting["operator"].unique()}
        number = pl.int_range(pl.len()).over("operator")
        fits = waiting.select(
            number < pl.col("operator").replace_strict(room, default=0, return_dtype=pl.Int64)
        ).to_series()
        if fits.all():
            return waiting
        for rows in waiting.filter(~fits).partition_by("operator"):
            self._backlog.put(rows["operator"][0], rows)
        return waiting.filter(fits)

    # ---------------------------------------------------------------- the layers

    async def _examine(self, batch: pl.DataFrame) -> AsyncIterator[pl.DataFrame]:
        """All layers over one batch: yields the verdicts that no mailbox can change, queues the rest."""
        evidence = columns.offline_evidence(batch, self._reference, self._settings)
        if self._depth is Depth.offline:
            yield self._judge(evidence)
            return
        if not self._verifier.has_dns:
            yield self._judge(columns.not_probed(evidence, ~_is_settled(evidence), NO_RESOLVER))
            return
        async for verdicts in self._probe(evidence):
            yield verdicts

    async def _probe(self, evidence: pl.DataFrame) -> AsyncIterator[pl.DataFrame]:
        """The layers that need a network, over the evidence of the others.

        Of rows that were put off, routes are as a rule known from the first time; one that was looked up anew counts as
        it is now.
        """
        assert self._verifier.routes is not None
        settled = _is_settled(evidence)
        routes = await self._verifier.routes.examine(evidence.filter(~settled)["domain"].unique().to_list())
        evidence = columns.with_routes(evidence, routes)
        if self._depth is Depth.dns:
            yield self._judge(evidence)
            return
        skipped = evidence["reference_reason"].is_in(_SKIP_PROBING).fill_null(False)
        is_open = ~settled & evidence["route_reason"].is_null() & ~skipped
        if not is_open.all():
            yield self._judge(evidence.filter(~is_open))
        if is_open.any():
            waiting = self._admitted(evidence.filter(is_open))
            self._submit(_Batch(waiting), routes)

    def _judge(self, evidence: pl.DataFrame) -> pl.DataFrame:
        # `accepted` is a flag where the reason is another one that goes by it.
        is_no_reply = pl.col("reference_reason").eq_missing(str(Reason.no_reply))
        evidence = evidence.with_columns(
            pl.coalesce("replying_host", "mx_host").alias("mx_host"), pl.col("accepted") & is_no_reply
        )
        return judge(
            evidence,
            self._settings,
            now=datetime.now(timezone.utc),
            run_id=self._run_id,
            lists_digest=self._verifier.own.digest,
        )

    # ---------------------------------------------------------------- mailbox results

    def _submit(self, batch: _Batch, routes: Mapping[str, Route]) -> None:
        assert self._mailboxes is not None
        result_of, waiting, ask, on_result = (
            self._verifier.result_of,
            self._waiting,
            self._mailboxes.ask,
            self._on_result,
        )
        self._rows_waiting += batch.evidence.height
        rows = batch.evidence.select("local", "domain", "previous_reason").iter_rows()
        for row, (local, domain, before) in enumerate(rows):
            # RFC 5321 2.4 lets a server tell Ann from ann; none of note does, and asking both would be asking twice.
            key = f"{local.casefold()}@{domain}"
            result = result_of(key)
            if result is not None:
                self._add_result(batch, row, result)
                continue
            route = routes[domain]
            self._waiting_at[route.operator or ""] += 1
            if key in waiting:
                self._duplicate_waiters.setdefault(key, []).append((batch, row))
            else:
                waiting[key] = batch
                ask(
                    local,
                    domain,
                    route,
                    on_result,
                    (batch, row, key),
                    greylisted_before=before == Reason.greylisted.value,
                )

    def _on_result(self, probe: Probe, result: MailboxResult | Exception) -> None:
        batch, _, key = probe.context
        if self._waiting.get(key) is not batch:  # of an earlier stream
            return
        if isinstance(result, Exception):
            self._failure = result
            self._wakeup.set()
            return
        assert self._retries is not None
        if not self._retries.keep(key, probe, result):
            self._conclude(key, probe, result)

    def _conclude(self, key: str, probe: Probe, result: MailboxResult) -> None:
        """The result counts."""
        if self._draining and result.reason is Reason.not_probed:
            return
        batch, row, _ = probe.context
        del self._waiting[key]
        self._verifier.remember(key, result)
        self._add_result(batch, row, result)
        duplicates = self._duplicate_waiters.pop(key, ()) if self._duplicate_waiters else ()
        for other, row in duplicates:
            self._add_result(other, row, result)
        operator = probe.route.operator or ""
        left = self._waiting_at[operator] - 1 - len(duplicates)
        self._waiting_at[operator] = left
        if not left:
            del self._waiting_at[operator]
        if left < _LEAST_ROWS // 2 and operator in self._backlog:
            self._wakeup.set()

    def _failed_before(self, key: str, probe: Probe, reason: Reason) -> bool:
        """Whether the run before found the same."""
        batch, row, _ = probe.context
        return bool(batch.evidence["previous_reason"][row] == str(reason))

    def _add_result(self, batch: _Batch, row: int, result: MailboxResult) -> None:
        if not batch.rows:
            self._ready.append(batch)
        batch.rows.append(row)
        batch.results.append(result)
        self._rows_waiting -= 1
        self._rows_ready += 1
        if self._rows_ready >= _FLUSH_ROWS or not self._rows_waiting:
            self._wakeup.set()

    def _flush_due(self, more: bool) -> bool:
        if not self._rows_ready:
            return False
        is_late = not more or time.monotonic() - self._last_flush > _FLUSH_SECONDS
        return is_late or self._rows_ready >= _FLUSH_ROWS

    def _flush(self) -> list[pl.DataFrame]:
        self._last_flush = time.monotonic()
        frames = []
        for batch in self._ready:
            evidence = batch.evidence[batch.rows].with_columns(columns.mailbox_columns(batch.results))
            batch.rows, batch.results = [], []
            frames.append(self._judge(evidence))
        self._ready = []
        self._rows_ready = 0
        return frames


def _is_settled(evidence: pl.DataFrame) -> pl.Series:
    """Rows whose verdict no DNS response could change."""
    return evidence["history_reason"].eq_missing(str(Reason.suppressed)) | evidence["domain"].is_null()
