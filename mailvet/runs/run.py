"""
One run over one table or file: plan, verify, save batch by batch, write back, summarise.

Whatever stops a run, what was saved stays saved: the next run over the same source asks only what is still due.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import idna
import polars as pl

from mailvet.errors import (
    ConnectionLostError,
    MailvetError,
    RunUnderWayError,
    SettingsError,
    SourceError,
    UnavailableError,
    argument,
)
from mailvet.probing.pool import OperatorProgress
from mailvet.runs.database_thread import DatabaseThread
from mailvet.runs.in_hand import InHand
from mailvet.runs.journal import Journal, recover
from mailvet.runs.outputs import check_results, note_results
from mailvet.runs.recheck import Recheck, RecheckText, parse_recheck
from mailvet.runs.saving import Saver
from mailvet.settings import Settings
from mailvet.verdict import STATUS_COLUMNS, verdict_schema
from mailvet.verification.stream import BATCH_ROWS, Verifier, run_in_background
from mailvet.vocabulary import REASONS, RULES_VERSION, Depth, Reason, Recommendation, Status
from mailvet.warehouse.attribution import LayerCount
from mailvet.warehouse.backends.duckdb.tables import DuckDBWarehouse
from mailvet.warehouse.clocks import future_note
from mailvet.warehouse.files import FORMATS, Reading, format_of, is_database
from mailvet.warehouse.leases import RENEW_SECONDS, this_process
from mailvet.warehouse.opening import is_url, open_table
from mailvet.warehouse.servers import StoredServers
from mailvet.warehouse.store import HasFingerprint, Plan, Summary, TableSignals, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.reference.own_lists import OwnList

__all__ = [
    "SPLIT_COLUMNS",
    "Answers",
    "Progress",
    "RunResult",
    "Watcher",
    "default_store",
    "open_source",
    "plan",
    "run",
]

T = TypeVar("T")

log = logging.getLogger("mailvet")

_TICK = 0.25  # seconds between two looks at the progress
_SAVE_SECONDS = 1.0  # between two saves where they cost little
_PULL_SECONDS = 2.0  # that a verdict may lie with the verifier before it is taken from it
_OFFLINE_BATCH_ROWS = 122_880
_NO_DATABASES = ("http", "https", "ftp", "s3", "gs", "gcs", "abfs", "abfss", "az", "hdfs", "file")
_SERVERS_SAID = [str(reason) for reason, rule in REASONS.items() if rule.layer == "mailbox"]
_STOP_TIMEOUT = 7.0  # seconds for a stopped run to save what it knows; `docker stop` kills after 10
_END_TIMEOUT = 1.0  # seconds for the database to return from what it does when the run is stopped
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0  # seconds between two tries to reach a database that is gone

SPLIT_COLUMNS: dict[str, tuple[str, ...]] = {
    "recommendation": tuple(map(str, Recommendation)), "status": tuple(map(str, Status)), "reason": (),
}  # fmt: skip
"""Columns a result can be split by, and the parts that are written even when no row belongs to them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    due: int
    done: int
    seconds: float
    operators: Sequence[OperatorProgress]

    @property
    def rate(self) -> float:
        """Addresses a second since the start."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    retry_in: float = 0.0
    """Seconds until the last of the recipients that a greylisting server put off is asked again."""

    @property
    def seconds_left(self) -> float | None:
        """
        Until the slowest operator is through with its queue and the last retry has been made, and not before the rest
        is done at the rate so far; None before there is one.
        """
        if not self.done:
            return None
        if self.done >= self.due:
            return 0.0
        queues = max((row.seconds_left for row in self.operators), default=0.0)
        return max((self.due - self.done) / self.rate, queues, self.retry_in)


class Watcher(Protocol):
    """Somebody who is told how a run goes."""

    def planned(self, source: str, plan: Plan) -> None:
        """What the run is about to do."""

    def progressed(self, progress: Progress) -> None:
        """Called a few times a second."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How the mail servers of one operator answered, counted in addresses."""

    accepted: int = 0
    refused: int = 0
    """The servers named the recipient as the fault."""
    unclear: int = 0
    """Temporary, refusals of us, or no answer at all: they say nothing of the mailbox."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did, and how the source stands after it."""

    run_id: str
    source: str
    depth: str
    policy: str
    plan: Plan
    summary: Summary
    checked: int
    """Addresses verified in this run."""
    written: int | None
    """Rows of the source whose status columns changed; None when nothing was written back."""
    probes: int
    """Recipients named to mail servers in this run."""
    lookups: int
    """Domains looked up in this run."""
    seconds: float
    degraded: str | None
    """What was wrong with this machine or its network; None when nothing was."""
    operators: Sequence[OperatorProgress] = ()
    outputs: Sequence[Path] = field(default=())
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """What the mail servers said in this run, by operator."""
    notes: Sequence[str] = ()
    """What the reader should know although nothing is wrong, in sentences."""


def default_store() -> Path:
    """Where verdicts on files are kept unless `store.path` says otherwise."""
    import platformdirs

    return Path(platformdirs.user_data_dir("mailvet", appauthor=False)) / "mailvet.duckdb"


def open_source(
    source: str,
    settings: Settings,
    *,
    table: str | None = None,
    column: str | None = None,
    where: str | None = None,
    reading: Reading | None = None,
    writable: bool = True,
    updatable: bool = True,
) -> Warehouse:
    """
    The warehouse behind a SOURCE: a data file; or, together with `table`, a DuckDB database or a database URL
    (`postgresql://user@host/database`, in SQLAlchemy's form for all others). `reading` says how a file is to be read.

    Raises:
        SourceError: it cannot be read; SettingsError: its kind is not known, or its driver not installed.
    """
    common: dict[str, Any] = {
        "where": where or None, "policy": settings.policy, "prefix": settings.store.prefix,
        "events": settings.history.events,
    }  # fmt: skip
    if is_url(source):
        scheme = source.partition("://")[0].lower()
        if scheme in _NO_DATABASES:
            raise SourceError(
                f"{scheme}:// is no database. Files are read from this machine: fetch the file first, then give its "
                "path."
            )
        if table is None:
            raise SettingsError(f"A database URL goes with {argument('table')}: name the table to verify.")
        return open_table(source, table, column, writable=writable, updatable=updatable, **common)
    path = Path(source).expanduser()
    if "@" in source and not path.exists():
        raise SourceError("There is no file of that name. To verify single addresses use: mailvet check ADDRESS")
    if format_of(path) is not None:
        if table is not None:
            raise SettingsError(
                f"{argument('table')} goes with a database; {path.name} is a file of rows. Leave it out."
            )
        store = settings.store.path or default_store()
        return DuckDBWarehouse.of_file(path, column, store, reading=reading, writable=writable, **common)
    if table is None:
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if not is_database(path):
            raise SourceError(
                f"{path.name} is neither a DuckDB database nor a file of a known kind ({', '.join(FORMATS)}, also with "
                ".gz or .zst). Rename or convert it."
            )
        raise SettingsError(
            f"{path.name} is taken for a DuckDB database: name the table to verify with {argument('table')}."
        )
    return open_table(path, table, column, writable=writable, updatable=updatable, **common)


def plan(
    warehouse: Warehouse,
    settings: Settings,
    *,
    among: Collection[Reason] | None = None,
    recheck: RecheckText = None,
    count_domains: bool = True,
) -> Plan:
    """
    What `run` would do with this source now; asks nobody and changes nothing.

    Args:
        among: only addresses whose last answer was one of these.
        recheck: what is asked again although it is fresh (see `mailvet.runs.recheck`).
        count_domains: fill in `Plan.domains`, which takes its time over millions.

    Raises:
        SettingsError: `recheck` cannot be read.
        SourceError: the column holds numbers, or the condition on the rows fails.
    """
    from mailvet.reference.own_lists import OwnLists

    again = parse_recheck(recheck)
    own = OwnLists.load(**settings.lists.model_dump())
    kinds = {"allow": own.allow, "deny": own.deny, "suppress": own.suppress, "extra_disposable": own.extra_disposable}
    planned = warehouse.plan(
        depth_rank=Depth(settings.depth).rank,
        now=datetime.now(timezone.utc),
        rules_version=f"{RULES_VERSION}{'+' if own.digest else ''}{own.digest}",
        listed={name: _as_written(kind) for name, kind in kinds.items()},
        among=among,
        recheck=again,
        count_domains=count_domains,
    )
    if planned.addresses and warehouse.looks_numeric():
        raise SourceError(
            f"Every value of the column of addresses in {warehouse.name} is a number. Name the right column with "
            f"{argument('email_column')}. Nothing was checked."
        )
    return planned


def _as_written(entries: OwnList) -> list[str]:
    """The entries of a list as they may stand in a cell: internationalised domains in both forms."""
    forms = {*entries.addresses, *entries.domains, *entries.only_domains}
    for entry in list(forms):
        if "xn--" in entry:
            local, at, domain = entry.rpartition("@")
            with contextlib.suppress(UnicodeError):  # idna.IDNAError is one
                forms.add(f"{local}{at}{idna.decode(domain)}")
    return sorted(forms)


def run(
    warehouse: Warehouse,
    settings: Settings,
    *,
    write_back: bool = True,
    columns: Sequence[str] = STATUS_COLUMNS,
    output: Path | None = None,
    key_columns: Sequence[str] = (),
    split_by: str | None = None,
    wait: timedelta = timedelta(0),
    watcher: Watcher | None = None,
    batch_rows: int | None = None,
    limit: int | None = None,
    among: Collection[Reason] | None = None,
    recheck: RecheckText = None,
    overwrite: bool = False,
    in_hand: InHand | None = None,
) -> RunResult:
    """
    Verify what is due and write the answers back.

    What raises in the waiting thread (KeyboardInterrupt) stops the run within seven seconds: nothing more is asked,
    and what was learnt is saved, or kept in the journal where the database does not reply.

    Args:
        warehouse: from `open_source`, opened for writing.
        settings: depth, policy, pace and all the rest.
        write_back: put status columns on the source's table; a file has `output` instead.
        columns: which status columns, from `STATUS_COLUMNS` and the columns of the verdict table.
        output: a file to write the source with its status columns to.
        wait: how long to stay for greylisting servers.
        watcher: told about the progress.
        batch_rows: addresses examined together; by default as many as suit the depth.
        limit: verify at most so many addresses now; the rest stays due.
        among: verify only addresses whose last answer was one of these.
        recheck: verify also what is fresh, as `all`, `reason=mailbox_not_found`, `older-than=30d` (see
            `mailvet.runs.recheck`). What is due by itself is verified first.
        overwrite: `output` may take the place of files that mailvet did not write.
        in_hand: kept up to date with where the results are.

    Raises:
        MailvetError: before anything is asked, when something does not fit. What was saved before a later failure
            stays saved.
    """
    columns, again = _known(columns), parse_recheck(recheck)
    if split_by is not None and split_by not in SPLIT_COLUMNS:
        raise SettingsError(f"{argument('split_by', split_by)}: choose one of {', '.join(SPLIT_COLUMNS)}.")
    if output is not None:
        warehouse.check_output(output, key_columns, columns)
        check_results(warehouse, settings, output, split_by, overwrite=overwrite)
    if write_back:
        warehouse.check_write_back(columns)
    job = _Run(warehouse, settings, watcher, limit, among, again, in_hand if in_hand is not None else InHand())
    if batch_rows is None:  # where nobody is asked, a batch costs nothing but memory
        batch_rows = _OFFLINE_BATCH_ROWS if Depth(settings.depth) is Depth.offline else BATCH_ROWS
    ended = threading.Event()

    async def work() -> RunResult:
        try:
            return await job.go(write_back, columns, output, key_columns, split_by, wait, batch_rows)
        finally:
            ended.set()

    try:
        return run_in_background(work())
    except BaseException:
        # Stopped: it still has results to save, and the caller will close the database.
        if not ended.wait(_STOP_TIMEOUT):
            job.in_hand.stuck = True
        warehouse.abandoned = job.in_hand.stuck
        raise


def _known(columns: Sequence[str]) -> Sequence[str]:
    known = [name for name in verdict_schema().names if name not in ("email", "email_key")]
    for name in columns:
        if name not in known:
            raise SettingsError(f"There is no status column {name!r}; there are: {', '.join(known)}.")
    return tuple(dict.fromkeys(columns))


def _first(batches: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    """The first rows of all batches together."""
    for table in batches:
        if limit is not None:
            table = table.slice(0, limit)
            limit -= table.num_rows
        yield table
        if limit == 0:
            return


class _Run:
    def __init__(
        self,
        warehouse: Warehouse,
        settings: Settings,
        watcher: Watcher | None,
        limit: int | None,
        among: Collection[Reason] | None,
        recheck: Recheck | None,
        in_hand: InHand,
    ) -> None:
        self.in_hand = in_hand
        self._warehouse = warehouse
        self._settings = settings
        self._watcher = watcher
        self._limit = limit
        self._among = among
        self._recheck = recheck
        self._answers: dict[str, Answers] = {}
        self._servers: StoredServers | None = None
        self._done = 0
        self._began = time.monotonic()
        # The database's connection belongs to one thread, and the event loop must not wait for a disk.
        self._thread = DatabaseThread()
        self._saver: Saver | None = None
        self._notes: list[str] = []
        self._leasing: asyncio.Task[None] | None = None

    async def _call(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await self._thread.call(work, *arguments, **named)

    async def go(
        self,
        write_back: bool,
        columns: Sequence[str],
        output: Path | None,
        key_columns: Sequence[str],
        split_by: str | None,
        wait: timedelta,
        batch_rows: int,
    ) -> RunResult:
        """Everything `run` does, on the event loop; from the start where the database was gone for a while."""
        started = datetime.now(timezone.utc)
        run_id = f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        timeout: float | None = None
        try:
            while True:
                try:
                    return await self._go(
                        run_id, started, write_back, columns, output, key_columns, split_by, wait, batch_rows
                    )
                except ConnectionLostError as error:
                    await self._reconnect(error)
        except asyncio.CancelledError:
            timeout = _END_TIMEOUT
            threading.Thread(target=self._warehouse.interrupt, daemon=True).start()
            raise
        finally:
            # What the thread has begun it ends, before the caller closes the database.
            await asyncio.shield(asyncio.ensure_future(self._end(run_id, timeout)))

    async def _end(self, run_id: str, timeout: float | None) -> None:
        if self._leasing is not None:
            self._leasing.cancel()
            self._thread.submit(self._warehouse.release_lease, run_id)
        if not await self._thread.end(timeout):
            self.in_hand.stuck = True
        if self._saver is not None:
            self._saver.close()

    async def _reconnect(self, lost: ConnectionLostError) -> None:
        """
        Wait until the database is back, and save what is in hand.

        Raises:
            ConnectionLostError: `lost`, where it is not back in time or its connection is not ours to make.
        """
        patience = self._settings.store.wait_for_database.total_seconds()
        until, pause = time.monotonic() + patience, _FIRST_PAUSE
        log.warning("%s Waiting up to %.0f s for it.", lost, patience)
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

    async def _recover(self) -> None:
        """Save what earlier runs on this machine left in their journals."""
        saved = await self._call(recover, self._warehouse, self._settings.store.journal)
        if saved:
            note = f"{saved:,} verdicts of an earlier run that could not save them came from its journal."
            self._notes.append(note)
            log.info("%s", note)

    async def _take_lease(self, run_id: str) -> None:
        """
        Raises:
            RunUnderWayError: another run is at work on the table.
        """
        other = await self._call(self._warehouse.take_lease, run_id, this_process())
        if other is not None:
            raise RunUnderWayError(
                f"Another run is at work on {self._warehouse.name}: {other.who}, since "
                f"{other.started_at:%Y-%m-%d %H:%M} UTC (run {other.run_id}). No server was asked. Wait for it to end, "
                "then run the same again; only what is left will be asked."
            )
        self._leasing = asyncio.ensure_future(self._renew_lease(run_id))

    async def _renew_lease(self, run_id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._call(self._warehouse.renew_lease, run_id)
            except MailvetError as error:  # what uses the connection next finds out as well
                log.warning("The lease of this run could not be renewed: %s", error)

    def _make_saver(self, run_id: str, store: str | None) -> Saver:
        settings, warehouse = self._settings.store, self._warehouse
        offline = Depth(self._settings.depth) is Depth.offline  # then results cost nothing to have again
        journal = Journal(store, run_id, settings.journal) if store is not None and not offline else None
        every = _SAVE_SECONDS if warehouse.saves_cheaply else settings.save_every.total_seconds()
        patience = settings.wait_for_database.total_seconds()
        return Saver(
            warehouse, self._thread, journal, self.in_hand, every=every, patience=patience, pull=list,
            saved=self._save_servers,
        )  # fmt: skip

    async def _go(
        self,
        run_id: str,
        started: datetime,
        write_back: bool,
        columns: Sequence[str],
        output: Path | None,
        key_columns: Sequence[str],
        split_by: str | None,
        wait: timedelta,
        batch_rows: int,
    ) -> RunResult:
        warehouse, settings = self._warehouse, self._settings
        await self._recover()
        if output is None:
            known = await self._outcome_of_last_run(columns, write_back)
            if known is not None:
                return await self._nothing_new(run_id, started, known, write_back)
        planned = await self._call(
            plan, warehouse, settings, among=self._among, recheck=self._recheck, count_domains=False
        )
        if settings.suspicion.whole_table and isinstance(warehouse, TableSignals):
            suspicion = settings.suspicion
            await self._call(warehouse.find_signals, signed_up=suspicion.signed_up, burst_window=suspicion.burst_window)
        if self._watcher:
            self._watcher.planned(warehouse.name, planned)
        future = await self._call(warehouse.from_the_future, started)
        if future and future_note(future) not in self._notes:
            self._notes.append(future_note(future))
            log.warning("%s", self._notes[-1])
        asked_today = await self._call(warehouse.asked_today, started)
        if planned.due and Depth(settings.depth) is Depth.smtp:
            self._servers = await self._call(self._remembered, started)
        verifier = Verifier(
            settings, asked_today=asked_today, memory=self._servers.memory if self._servers is not None else None
        )
        record: dict[str, Any] = {
            "run_id": run_id, "source": warehouse.name, "started_at": started, "depth": str(settings.depth),
            "policy": str(settings.policy), "rows": planned.rows, "addresses": planned.addresses, "due": planned.due,
            "rules_version": RULES_VERSION, "mailvet_version": _version(),
        }  # fmt: skip
        try:
            if planned.due:
                await verifier.open()  # refuses before anything is written
            await self._call(warehouse.open_for_writing)
            if planned.due and self._leasing is None:
                await self._take_lease(run_id)
            await self._call(warehouse.save_run, record)
            if planned.due:
                due = planned.due if self._limit is None else min(planned.due, self._limit)
                if self._saver is None:
                    self._saver = self._make_saver(run_id, await self._call(lambda: warehouse.store_id))
                await self._verify(verifier, run_id, wait, due, batch_rows)
        finally:
            operators = verifier.progress()
            await verifier.close()
        await self._call(warehouse.check_still_there)
        await self._call(warehouse.apply_policy)
        # The file first: a condition on the rows may ask for status columns as they were before.
        outputs: Sequence[Path] = ()
        if output is not None:
            outputs = await self._call(
                warehouse.export, output, columns, key_columns=key_columns, split_by=split_by,
                parts=SPLIT_COLUMNS[split_by] if split_by else (), mode=settings.output.permissions,
            )  # fmt: skip
            await self._call(note_results, warehouse, outputs)
        written = await self._call(warehouse.write_back, columns) if write_back else None
        summary = await self._call(warehouse.summary)
        if settings.store.keep_days:
            await self._call(warehouse.forget_before, started - timedelta(days=settings.store.keep_days))
        result = RunResult(
            run_id, warehouse.name, str(settings.depth), str(settings.policy), planned, summary, self._done, written,
            verifier.mailboxes.probes if verifier.mailboxes else 0, verifier.routes.lookups if verifier.routes else 0,
            time.monotonic() - self._began, verifier.degraded, operators, outputs, self._answers,
            (*self._notes, *verifier.notes),
        )  # fmt: skip
        await self._call(
            warehouse.save_run,
            record | {
                "finished_at": datetime.now(timezone.utc), "checked": result.checked, "written": result.written,
                "by_status": dict(summary.by_status), "by_reason": dict(summary.by_reason),
                "by_recommendation": dict(summary.by_recommendation),
                "by_operator": {row.name: row.asked for row in operators if row.asked}, "probes": result.probes,
                "lookups": result.lookups, "seconds": result.seconds, "health": result.degraded or "ok",
            } | ({} if output or result.degraded else await self._recognisable(result, columns, write_back)),
        )  # fmt: skip
        return result

    def _remembered(self, now: datetime) -> StoredServers:
        """What earlier runs learnt about servers."""
        special = bool(self._settings.smtp.allow_private_networks)
        return StoredServers(self._warehouse.servers(), self._warehouse.canaries(now), special_use=special)

    async def _save_servers(self) -> None:
        changed = self._servers.changes(datetime.now(timezone.utc)) if self._servers is not None else None
        if changed is not None:
            await self._call(self._warehouse.save_servers, changed)

    # ---------------------------------------------------------------- a source that has not changed

    async def _fingerprint(self, columns: Sequence[str], write_back: bool) -> str | None:
        warehouse, settings = self._warehouse, self._settings
        narrowed = self._among is not None or self._limit is not None or self._recheck is not None
        if not isinstance(warehouse, HasFingerprint) or narrowed or settings.history.events or settings.store.keep_days:
            return None
        from mailvet.reference.own_lists import OwnLists

        lists = OwnLists.load(**settings.lists.model_dump()).digest
        context = [settings.model_dump_json(), lists, RULES_VERSION, _version(), list(columns), write_back]
        return await self._call(warehouse.fingerprint, json.dumps(context), datetime.now(timezone.utc))

    async def _outcome_of_last_run(self, columns: Sequence[str], write_back: bool) -> dict[str, Any] | None:
        mark = await self._fingerprint(columns, write_back)
        if mark is None:
            return None
        assert isinstance(self._warehouse, HasFingerprint)
        written_down = await self._call(self._warehouse.last_outcome, mark)
        return json.loads(written_down) if written_down else None

    async def _recognisable(self, result: RunResult, columns: Sequence[str], write_back: bool) -> dict[str, Any]:
        """What the record of a run needs, so that the next one can tell that nothing has changed."""
        mark = await self._fingerprint(columns, write_back)
        if mark is None:
            return {}
        outcome = {
            "rows": result.plan.rows, "missing": result.plan.missing, "addresses": result.plan.addresses,
            "summary": asdict(result.summary),
        }  # fmt: skip
        return {"fingerprint": mark, "outcome": json.dumps(outcome)}

    async def _nothing_new(
        self, run_id: str, started: datetime, known: Mapping[str, Any], write_back: bool
    ) -> RunResult:
        """The run over a source in which nothing changed and nothing is due: what the last one found still holds."""
        warehouse, settings = self._warehouse, self._settings
        planned = Plan(known["rows"], known["missing"], known["addresses"], 0)
        counts = dict(known["summary"])
        counts["by_layer"] = {name: LayerCount(**count) for name, count in counts["by_layer"].items()}
        if self._watcher:
            self._watcher.planned(warehouse.name, planned)
        result = RunResult(
            run_id, warehouse.name, str(settings.depth), str(settings.policy), planned, Summary(**counts), 0,
            0 if write_back else None, 0, 0, time.monotonic() - self._began, None,
        )  # fmt: skip
        summary = result.summary
        record = {
            "run_id": run_id, "source": warehouse.name, "started_at": started, "depth": result.depth,
            "policy": result.policy, "rows": planned.rows, "addresses": planned.addresses, "due": 0,
            "rules_version": RULES_VERSION, "mailvet_version": _version(), "finished_at": datetime.now(timezone.utc),
            "checked": 0, "written": result.written, "by_status": dict(summary.by_status),
            "by_reason": dict(summary.by_reason), "by_recommendation": dict(summary.by_recommendation),
            "by_operator": {}, "probes": 0, "lookups": 0, "seconds": result.seconds, "health": "ok",
        }  # fmt: skip
        await self._call(warehouse.open_for_writing)
        await self._call(warehouse.save_run, record)
        return result

    async def _verify(self, verifier: Verifier, run_id: str, wait: timedelta, due: int, batch_rows: int) -> None:
        batches = _first(self._warehouse.due(batch_rows), self._limit)
        saver = self._saver
        assert saver is not None

        def fetch() -> asyncio.Future[pa.Table | None]:
            return asyncio.ensure_future(self._call(next, batches, None))

        # Always one batch ahead, so that one is judged while another is saved.
        ahead = fetch()

        async def read() -> pl.DataFrame | None:
            nonlocal ahead
            table = await ahead
            if table is None:
                return None
            ahead = fetch()
            return pl.DataFrame(pl.from_arrow(table))

        def pull() -> list[pl.DataFrame]:
            frames = verifier.pending_verdicts(older_than=0.0 if stopping else _PULL_SECONDS)
            for verdicts in frames:
                self._count(verdicts)
            return frames

        watching = asyncio.ensure_future(self._watch(verifier, due)) if self._watcher else None
        stopping, saver.pull = False, pull
        self.in_hand.begun = True
        saver.start()
        try:
            async for verdicts in verifier.stream(read, run_id=run_id, wait=wait):
                self._count(verdicts)
                saver.take(verdicts)
                await saver.room()
            await saver.finish()
        except BaseException as error:
            # Also when the run is stopped: what the servers were asked is not asked for a second time.
            stopping = True
            await asyncio.shield(asyncio.ensure_future(self._stop(verifier, saver, error)))
            raise
        finally:
            if watching is not None:
                watching.cancel()
            ahead.cancel()
        self._tell(verifier, due)

    async def _stop(self, verifier: Verifier, saver: Saver, error: BaseException) -> None:
        await verifier.drain()
        if isinstance(error, asyncio.CancelledError):
            await saver.stop()
        else:  # a fault: the database may take its time for what it still can take
            await saver.stop(save=not isinstance(error, ConnectionLostError), timeout=None)

    def _count(self, verdicts: pl.DataFrame) -> None:
        self._count_answers(verdicts)
        self._done += verdicts.height

    def _count_answers(self, verdicts: pl.DataFrame) -> None:
        said = pl.col("smtp_code").is_not_null() | pl.col("reason").is_in(_SERVERS_SAID)
        asked = verdicts.filter(pl.col("operator").is_not_null() & said)
        refused = pl.col("status") == str(Status.undeliverable)
        yes = (pl.col("smtp_code") // 100 == 2).fill_null(False)
        accepted = yes & ~refused & (pl.col("reason") != str(Reason.greylisted))
        counted = asked.group_by("operator").agg(accepted.sum(), refused.sum().alias("refused"), pl.len().alias("all"))
        for name, accepts, refuses, total in counted.iter_rows():
            so_far = self._answers.get(name, Answers())
            self._answers[name] = Answers(
                so_far.accepted + accepts, so_far.refused + refuses, so_far.unclear + total - accepts - refuses
            )

    async def _watch(self, verifier: Verifier, due: int) -> None:
        while True:
            self._tell(verifier, due)
            await asyncio.sleep(_TICK)

    def _tell(self, verifier: Verifier, due: int) -> None:
        if self._watcher:
            seconds = time.monotonic() - self._began
            self._watcher.progressed(Progress(due, self._done, seconds, verifier.progress(), verifier.retry_in))


def _version() -> str:
    from mailvet import __version__

    return __version__
