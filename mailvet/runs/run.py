"""One run over one table or file: plan, verify, save batch by batch, write back, summarise.

Whatever stops a run, what was saved stays saved: the next run over the same source asks only what is still due.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from mailvet.errors import ConnectionLostError, UnavailableError
from mailvet.probing.pool import OperatorProgress
from mailvet.runs import record
from mailvet.runs.database_thread import DatabaseThread
from mailvet.runs.delivery import delivered
from mailvet.runs.in_hand import InHand
from mailvet.runs.journal import Journal, recover
from mailvet.runs.lease import Lease
from mailvet.runs.outputs import note_results, result_paths
from mailvet.runs.pipeline import Pipeline, Tally, first_rows
from mailvet.runs.planning import plan_source
from mailvet.runs.recheck import RecheckText, parse_recheck
from mailvet.runs.request import RunRequest, known_columns
from mailvet.runs.results import RunResult, Watcher
from mailvet.runs.saving import Saver
from mailvet.runs.unchanged import Unchanged, restored
from mailvet.scoring.budget import DEFAULT_CONFIDENCE, Budget
from mailvet.settings import Settings
from mailvet.verdict import STATUS_COLUMNS
from mailvet.verification.background import run_in_background
from mailvet.verification.stream import BATCH_ROWS, Stream
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Depth, Reason
from mailvet.warehouse.clocks import future_note
from mailvet.warehouse.servers import StoredServers
from mailvet.warehouse.store import Plan, PlannedSource, Summary, Warehouse
from mailvet.warehouse.text_layout import TextLayout

__all__ = ["OFFLINE_BATCH_ROWS", "run"]

T = TypeVar("T")

log = logging.getLogger("mailvet")

OFFLINE_BATCH_ROWS = 122_880
"""Rows of a batch where no server is asked: then a batch costs nothing but memory."""
_SAVE_SECONDS = 1.0  # between two saves where they cost little
_STOP_TIMEOUT = 7.0  # seconds for a stopped run to save what it knows; `docker stop` kills after 10
_END_TIMEOUT = 1.0  # seconds for the database to return from what it does when the run is stopped
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0  # seconds between two tries to reach a database that is gone


def run(  # noqa: PLR0913  # the options of a run, all of them optional and named
    warehouse: Warehouse,
    settings: Settings,
    *,
    write_back: bool = True,
    columns: Sequence[str] = STATUS_COLUMNS,
    output: Path | str | None = None,
    key_columns: Sequence[str] = (),
    split_by: str | None = None,
    wait: timedelta = timedelta(0),
    watcher: Watcher | None = None,
    batch_rows: int | None = None,
    limit: int | None = None,
    among: Collection[Reason] | None = None,
    recheck: RecheckText = None,
    overwrite: bool = False,
    output_encoding: str | None = None,
    delimiter: str | None = None,
    max_bounce_rate: float | str | None = None,
    confidence: float | str = DEFAULT_CONFIDENCE,
    campaign: str | None = None,
    in_hand: InHand | None = None,
    poll: Callable[[], object] | None = None,
) -> RunResult:
    """Verify what is due and write the verdicts back.

    What raises in the waiting thread (KeyboardInterrupt) stops the run within seven seconds: nothing more is asked,
    and what was learnt is saved, or kept in the journal where the database does not reply.

    Args:
        warehouse: from `open_source`, opened for writing.
        settings: depth, policy, pace and all the rest.
        write_back: put status columns on the source's table; a file has `output` instead.
        columns: which status columns, from `STATUS_COLUMNS` and the columns of the verdict table.
        output: a file to write the source with its status columns to; also `s3://`, `gs://` and `abfs://`.
        key_columns: the only columns of the source that are written to `output`; default: all.
        split_by: one output file for each value of this column (`SPLIT_COLUMNS`).
        wait: how long to stay for greylisting servers.
        watcher: told about the progress.
        batch_rows: addresses examined together; by default as many as suit the depth.
        limit: verify at most so many addresses now; the rest stays due.
        among: verify only addresses whose last verdict had one of these reasons.
        recheck: verify also what is fresh, as `all`, `reason=mailbox_not_found`, `older-than=30d` (see
            `mailvet.runs.recheck`). What is due by itself is verified first.
        overwrite: `output` may take the place of files that mailvet did not write.
        output_encoding: of `output` as CSV, as `utf-8-sig`, `cp1252`; None: as the source came in.
        delimiter: between its cells: `,`, `;`, `|` or `tab`; None: as the source came in.
        max_bounce_rate: with `split_by` recommendation: the file `send` holds the largest audience whose hard bounces
            stay below this share, and `reverify` the other rows that may be sent to (`mailvet.scoring.budget`).
        confidence: of that bound, one-sided.
        campaign: with `split_by` recommendation: who is in the file `send` is kept in `mailvet_sends` under this name.
        in_hand: kept up to date with where the results are.
        poll: called a few times a second by the waiting thread; what it raises stops the run.

    Raises:
        MailvetError: before anything is asked, when something does not fit. What was saved before a later failure
            stays saved.
    """
    if batch_rows is None:
        batch_rows = OFFLINE_BATCH_ROWS if Depth(settings.depth) is Depth.offline else BATCH_ROWS
    with contextlib.ExitStack() as held:
        delivery = None
        if output is not None:
            delivery = held.enter_context(delivered(output, warehouse, overwrite=overwrite))
        request = RunRequest(
            batch_rows=batch_rows,
            write_back=write_back,
            columns=known_columns(columns),
            output=None if delivery is None else delivery.path,
            key_columns=key_columns,
            split_by=split_by,
            wait=wait,
            limit=limit,
            among=among,
            recheck=parse_recheck(recheck),
            overwrite=overwrite,
            layout=TextLayout.of(output_encoding, delimiter),
            on_its_way=delivery is not None and delivery.is_remote,
            budget=None if max_bounce_rate is None else Budget.of(max_bounce_rate, confidence),
            campaign=campaign,
        )
        request.check(warehouse, settings)
        if delivery is not None:
            delivery.check(result_paths(delivery.path, split_by))
        job = _Run(warehouse, settings, request, watcher, in_hand if in_hand is not None else InHand())
        result = _until_it_ends(job, warehouse, poll)
        if delivery is None or not delivery.is_remote:
            return result
        return replace(result, outputs=(), uploaded=delivery.send(result.outputs))


def _until_it_ends(job: _Run, warehouse: Warehouse, poll: Callable[[], object] | None) -> RunResult:
    ended = threading.Event()

    async def work() -> RunResult:
        try:
            return await job.go()
        finally:
            ended.set()

    try:
        return run_in_background(work(), poll)
    except BaseException:
        # Stopped: it still has results to save, and the caller will close the database.
        if not ended.wait(_STOP_TIMEOUT):
            job.in_hand.stuck = True
        warehouse.abandoned = job.in_hand.stuck
        raise


class _Run:
    def __init__(
        self, warehouse: Warehouse, settings: Settings, request: RunRequest, watcher: Watcher | None, in_hand: InHand
    ) -> None:
        self.in_hand = in_hand
        self._warehouse = warehouse
        self._settings = settings
        self._request = request
        self._watcher = watcher
        self._started = datetime.now(timezone.utc)
        self._run_id = record.new_run_id(self._started)
        # The database's connection belongs to one thread, and the event loop must not wait for a disk.
        self._thread = DatabaseThread()
        self._unchanged = Unchanged(warehouse, settings, request, self._call)
        self._lease = Lease(warehouse, self._run_id, self._call)
        self._tally = Tally()
        self._servers: StoredServers | None = None
        self._saver: Saver | None = None
        self._notes: list[str] = []

    async def _call(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await self._thread.call(work, *arguments, **named)

    async def go(self) -> RunResult:
        """Everything `run` does, on the event loop; from the start where the database was gone for a while."""
        timeout: float | None = None
        try:
            while True:
                try:
                    return await self._go()
                except ConnectionLostError as error:
                    await self._reconnect(error)
        except asyncio.CancelledError:
            timeout = _END_TIMEOUT
            threading.Thread(target=self._warehouse.interrupt, daemon=True).start()
            raise
        finally:
            # What the thread has begun it ends, before the caller closes the database.
            await asyncio.shield(asyncio.ensure_future(self._end(timeout)))

    async def _end(self, timeout: float | None) -> None:
        if self._lease.is_held:
            self._lease.stop_renewing()
            self._thread.submit(self._warehouse.release_lease, self._run_id)
        if not await self._thread.end(timeout):
            self.in_hand.stuck = True
        if self._saver is not None:
            self._saver.close()

    async def _reconnect(self, lost: ConnectionLostError) -> None:
        """Wait until the database is back, and save what is in hand.

        Raises:
            ConnectionLostError: `lost`, where it is not back in time or its connection is not ours to make.
        """
        timeout = self._settings.store.wait_for_database.total_seconds()
        until, pause = time.monotonic() + timeout, _FIRST_PAUSE
        log.warning("%s Waiting up to %.0f s for it.", lost, timeout)
        while True:
            if time.monotonic() >= until:
                raise lost
            try:
                if not await self._call(self._warehouse.reconnect):
                    raise lost
                if self._saver is not None:
                    await self._saver.finish()
                log.info("The database is back.")
                return
            except UnavailableError as error:
                if error is lost:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # ---------------------------------------------------------------- one try

    async def _go(self) -> RunResult:
        await self._recover()
        outcome = await self._unchanged.last_outcome()
        if outcome is not None:
            return await self._nothing_new(outcome)
        source = await self._plan()
        planned = source.plan
        if planned.due and Depth(self._settings.depth) is Depth.smtp:
            self._servers = await self._call(self._remembered, source, self._started)
        verifier = Verifier(
            self._settings,
            asked_today=await self._call(self._warehouse.asked_today, self._started),
            memory=self._servers.memory if self._servers is not None else None,
        )
        row = record.begun(self._run_id, self._warehouse.name, self._started, planned, self._settings)
        try:
            await self._ask(verifier, source, row)
        finally:
            operators = verifier.progress()
            await verifier.close()
        result = await self._finish(verifier, planned, operators)
        row = record.ended(row, result, operators) | await self._unchanged.columns(result)
        await self._call(self._warehouse.save_run, row)
        return result

    async def _recover(self) -> None:
        """Save what earlier runs on this machine left in their journals."""
        saved = await self._call(recover, self._warehouse, self._settings.store.journal)
        if saved:
            self._note(f"{saved:,} verdicts of an earlier run that could not save them came from its journal.")

    def _note(self, note: str, level: int = logging.INFO) -> None:
        """A sentence for the log and the result, once."""
        if note not in self._notes:
            self._notes.append(note)
            log.log(level, "%s", note)

    async def _plan(self) -> PlannedSource:
        warehouse, settings, request = self._warehouse, self._settings, self._request
        source = await self._call(
            plan_source, warehouse, settings, among=request.among, recheck=request.recheck, count_domains=False
        )
        suspicion = settings.suspicion
        if suspicion.whole_table:
            await self._call(source.find_signals, signed_up=suspicion.signed_up, burst_window=suspicion.burst_window)
        if self._watcher:
            self._watcher.planned(warehouse.name, source.plan)
        future = await self._call(warehouse.from_the_future, self._started)
        if future:
            self._note(future_note(future), logging.WARNING)
        return source

    async def _ask(self, verifier: Verifier, source: PlannedSource, row: Mapping[str, Any]) -> None:
        """Verify what is due."""
        planned = source.plan
        if planned.due:
            await verifier.open()  # refuses before anything is written
        await self._call(self._warehouse.open_for_writing)
        if planned.due:
            await self._lease.take()
        await self._call(self._warehouse.save_run, row)
        if not planned.due:
            return
        request = self._request
        if self._saver is None:
            self._saver = self._make_saver(await self._call(lambda: self._warehouse.store_id))
        batches = first_rows(source.due(request.batch_rows), request.limit)
        pipeline = Pipeline(batches, self._thread, self._saver, self._tally, self._watcher)
        stream = Stream(verifier, pipeline.read, run_id=self._run_id, wait=request.wait)
        self.in_hand.begun = True
        due = planned.due if request.limit is None else min(planned.due, request.limit)
        await pipeline.run(verifier, stream, due)

    def _make_saver(self, store: str | None) -> Saver:
        settings, warehouse = self._settings.store, self._warehouse
        offline = Depth(self._settings.depth) is Depth.offline  # then results cost nothing to have again
        journal = Journal(store, self._run_id, settings.journal) if store is not None and not offline else None
        return Saver(
            warehouse,
            self._thread,
            journal,
            self.in_hand,
            every=_SAVE_SECONDS if warehouse.saves_cheaply else settings.save_every.total_seconds(),
            timeout=settings.wait_for_database.total_seconds(),
            on_saved=self._save_servers,
        )

    async def _finish(self, verifier: Verifier, planned: Plan, operators: Sequence[OperatorProgress]) -> RunResult:
        """Write the verdicts to where they are wanted, and summarise."""
        warehouse, settings, request = self._warehouse, self._settings, self._request
        await self._call(warehouse.check_still_there)
        await self._call(warehouse.apply_policy)
        # The file first: a condition on the rows may ask for status columns as they were before.
        outputs: Sequence[Path] = ()
        audience = None if request.budget is None else await self._call(warehouse.choose, request.budget)
        if request.output is not None:
            outputs = await self._call(
                warehouse.export,
                request.output,
                request.columns,
                key_columns=request.key_columns,
                split_by=request.split_by,
                parts=request.parts,
                mode=settings.output.permissions,
                layout=request.layout,
                chosen=audience,
            )
            if not request.on_its_way:
                await self._call(note_results, warehouse, outputs)
            if request.campaign is not None:
                sent = await self._call(warehouse.record_sends, request.campaign, self._started, chosen=audience)
                log.info("%s recipients recorded for the campaign %s", f"{sent:,}", request.campaign)
        written = await self._call(warehouse.write_back, request.columns) if request.write_back else None
        summary = await self._call(warehouse.summary)
        if settings.store.keep_days:
            await self._call(warehouse.forget_before, self._started - timedelta(days=settings.store.keep_days))
        if settings.history.keep_days:
            day = self._started - timedelta(days=settings.history.keep_days)
            await self._call(warehouse.forget_engagement_before, day)
        return self._result(
            planned,
            summary,
            written=written,
            probes=verifier.mailboxes.probes if verifier.mailboxes else 0,
            lookups=verifier.routes.lookups if verifier.routes else 0,
            degraded=verifier.degraded,
            operators=operators,
            outputs=outputs,
            audience=audience,
            notes=(*self._notes, *verifier.notes),
        )

    def _result(self, planned: Plan, summary: Summary, **more: Any) -> RunResult:
        return RunResult(
            run_id=self._run_id,
            source=self._warehouse.name,
            depth=str(self._settings.depth),
            policy=str(self._settings.policy),
            plan=planned,
            summary=summary,
            checked=self._tally.done,
            seconds=self._tally.seconds,
            replies=self._tally.replies,
            **more,
        )

    async def _nothing_new(self, outcome: Mapping[str, Any]) -> RunResult:
        """The run over a source in which nothing changed and nothing is due: what the last one found still holds."""
        planned, summary = restored(outcome)
        if self._watcher:
            self._watcher.planned(self._warehouse.name, planned)
        written = 0 if self._request.write_back else None
        result = self._result(planned, summary, written=written, probes=0, lookups=0, degraded=None)
        row = record.begun(self._run_id, self._warehouse.name, self._started, planned, self._settings)
        await self._call(self._warehouse.open_for_writing)
        await self._call(self._warehouse.save_run, record.ended(row, result))
        return result

    def _remembered(self, source: PlannedSource, now: datetime) -> StoredServers:
        """What earlier runs learnt about servers."""
        special = bool(self._settings.smtp.allow_private_networks)
        return StoredServers(self._warehouse.servers(), source.canaries(now), special_use=special)

    async def _save_servers(self) -> None:
        changed = self._servers.changes(datetime.now(timezone.utc)) if self._servers is not None else None
        if changed is not None:
            await self._call(self._warehouse.save_servers, changed)
