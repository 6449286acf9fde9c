"""What Spark's Python workers run: Arrow batches in, Arrow batches out.

Imports are kept few, for every worker pays them.

A worker process is forked from a daemon that has run nothing of ours and therefore never used the table engine
(Polars), so the engine is safe to use here; and it may be reused for many tasks, so nothing is left behind by one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from mailvet.spark.staging import Folder
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Depth

if TYPE_CHECKING:
    import polars as pl

    from mailvet.dns.routes import Route
    from mailvet.reference.own_lists import OwnLists
    from mailvet.settings import Settings
    from mailvet.verification.verifier import Verifier

__all__ = ["DUE", "KEPT", "REPORT", "ROUTE", "ROUTE_COLUMNS", "Job", "with_mailbox_key"]

ROUTE = "domain string, route_reason string, route_detail string, operator string, hosts string"
"""A route as Spark sees it; `hosts` is JSON: [[name, preference, [address, ...]], ...], best first."""
ROUTE_COLUMNS = ("route_reason", "route_detail", "operator", "hosts")
DUE = (
    "email string, email_key string, domain string, previous_reason string, previous_attempts int, "
    "history_reason string, history_at timestamp, history_as string"
)
"""Cells to be verified, with the domain whose route is needed (null: none is) and what is known of them."""
REPORT = "slot int, probes bigint, kept bigint, degraded string, servers binary"
"""What a task has done; `servers`: an Arrow stream of what it has learnt about servers, as `SERVER_SCHEMA`."""

KEPT = "name string"

_ROUTES_AT_ONCE = 2_000
_GATHERED = 60_000  # rows that are judged at once: Spark's own batches are so short that half the time is set-up
_UTC = pa.timestamp("us", tz="UTC")
_DUE_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("email", "email_key", "domain", "previous_reason")]
    + [("previous_attempts", pa.int32())]
    + [("history_reason", pa.string()), ("history_at", _UTC), ("history_as", pa.string())]
)
_ROUTE_SCHEMA = pa.schema([(name, pa.string()) for name in ("domain", *ROUTE_COLUMNS)])
_KEPT_SCHEMA = pa.schema([("name", pa.string())])
_REPORT_SCHEMA = pa.schema(
    [
        ("slot", pa.int32()),
        ("probes", pa.int64()),
        ("kept", pa.int64()),
        ("degraded", pa.string()),
        ("servers", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Job:
    """One call of `verify`, as it travels to the workers. Its methods are what `mapInArrow` is given.

    Args:
        settings: everything configurable; lists of the user's own are in `own`, read by the driver.
        run_id: written into the verdicts.
        answers: a folder where verdicts are kept as they come.
        wait: how long a task stays for greylisting servers, counted from its start.
        save_every: seconds after which verdicts are written at the latest.
        asked_today: recipients asked since midnight UTC by operator, where there are daily limits.
        servers, canaries: what earlier runs learnt about servers (`mailvet.warehouse.servers`).
    """

    settings: Settings
    own: OwnLists
    run_id: str
    answers: str | None = None
    wait: timedelta = timedelta(0)
    save_every: float = 30.0
    asked_today: dict[str, int] = field(default_factory=dict)
    servers: pa.Table | None = None
    canaries: pa.Table | None = None

    # ---------------------------------------------------------------- no mailbox is asked

    def judge(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Cells -> verdicts, for Spark to do with as it likes."""
        for verdicts in self._judged(batches):
            yield from verdicts.to_batches()

    def keep(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Cells -> the name of a file in `answers` that holds their verdicts (`KEPT`); none where there are no cells.

        The way of a verdict into Spark and out again would cost as much as the layers. Every attempt of a task writes
        a file of its own, and only that of the attempt that Spark counts is named to the driver.
        """
        assert self.answers is not None
        name = f"{self.run_id}-{uuid.uuid4().hex}.parquet"
        judged = self._judged(batches)
        first = next(judged, None)
        if first is None:
            return
        with Folder.of(self.answers).writing(name, verdict_schema()) as file:
            for verdicts in itertools.chain((first,), judged):
                file.write_table(verdicts)
        yield pa.RecordBatch.from_pydict({"name": [name]}, schema=_KEPT_SCHEMA)

    def _judged(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Raises: PreflightError: no DNS answers here, at the start or in the middle.

        No route is made up.
        """
        _one_thread()
        from mailvet.dns.trust import SHARED
        from mailvet.verification.stream import Stream
        from mailvet.verification.verifier import Verifier

        verifier = Verifier(self.settings, own=self.own, dns_memory=SHARED)
        loop = asyncio.new_event_loop()
        try:
            for number, frame in enumerate(_gathered(batches)):
                if number == 0:  # a task without cells sends no query
                    loop.run_until_complete(verifier.open())
                verdicts = loop.run_until_complete(_all(Stream(verifier, _once(frame), run_id=self.run_id)))
                _stop_if(verifier)
                yield from map(_arrow, verdicts)
        finally:
            loop.run_until_complete(verifier.close())
            loop.close()

    def find_due(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Cells -> those to be verified (`DUE`), with their domains.

        A row whose `only_if_news` holds the reason of a verdict that is still good is due only if the user's own
        lists, which have changed since, contradict it.
        """
        _one_thread()
        import polars as pl

        from mailvet.reference.columns import Reference
        from mailvet.syntax import columns as syntax

        reference = Reference(self.own)
        special = bool(self.settings.smtp.allow_private_networks)
        for frame in _gathered(batches):
            parsed = syntax.examine(frame["email"], allow_special_use=special)
            frame = frame.with_columns(parsed["domain"])
            if frame["only_if_news"].is_not_null().any():
                listed = reference.examine(parsed).select("allowed", "suppressed", "disposable", "own_trap")
                frame = frame.with_columns(listed).filter(pl.col("only_if_news").is_null() | _is_news())
            yield from frame.select(_DUE_SCHEMA.names).to_arrow().cast(_DUE_SCHEMA).to_batches()

    # ---------------------------------------------------------------- routes

    def look_up(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Distinct domains -> their routes.

        Raises:
            PreflightError: no DNS answers here, at the start or in the middle. No route is made up.
        """
        _one_thread()
        from mailvet.dns.trust import SHARED
        from mailvet.verification.verifier import Verifier

        at_dns = self.settings.model_copy(update={"depth": Depth.dns})
        verifier = Verifier(at_dns, own=self.own, dns_memory=SHARED)
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(verifier.open())
            _stop_if(verifier)
            assert verifier.routes is not None
            for batch in batches:
                for part in range(0, batch.num_rows, _ROUTES_AT_ONCE):
                    domains = batch.column("domain").slice(part, _ROUTES_AT_ONCE).to_pylist()
                    routes = loop.run_until_complete(verifier.routes.examine(domains))
                    _stop_if(verifier)
                    yield from _route_table(list(routes.values())).to_batches()
        finally:
            loop.run_until_complete(verifier.close())
            loop.close()

    # ---------------------------------------------------------------- mailboxes

    def ask(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Cells with their routes -> one row about the task (`REPORT`).

        The verdicts go to `answers` as they come, and a task that is tried again asks only what they do not hold yet.
        """
        _one_thread()
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        assert self.answers is not None
        slot = context.partitionId()
        journal = Journal(Folder.of(self.answers), self.run_id, slot, self.save_every)
        report = asyncio.run(self._ask(batches, journal))
        yield pa.RecordBatch.from_pylist([{"slot": slot, **report}], schema=_REPORT_SCHEMA)

    async def _ask(self, batches: Iterator[pa.RecordBatch], journal: Journal) -> dict[str, Any]:
        import polars as pl

        from mailvet.dns.routes import KnownRoutes
        from mailvet.verification.stream import Stream
        from mailvet.verification.verifier import Verifier
        from mailvet.warehouse.servers import StoredServers

        routes = KnownRoutes()
        special = bool(self.settings.smtp.allow_private_networks)
        known = StoredServers(self.servers, self.canaries, special_use=special)
        before = journal.kept()
        asked_today = dict(self.asked_today)
        for operator, count in before.asked.items():
            asked_today[operator] = asked_today.get(operator, 0) + count
        # Reading and writing happen in a thread of their own, so that no conversation waits for them.
        thread = ThreadPoolExecutor(1, thread_name_prefix="mailvet-spark")
        loop = asyncio.get_running_loop()

        async def read() -> pl.DataFrame | None:
            batch = await loop.run_in_executor(thread, next, batches, None)
            if batch is None:
                return None
            frame = _frame(batch)
            if before.keys:
                frame = frame.filter(~pl.col("email_key").is_in(before.keys))
            routes.bring(_routes(frame))
            return frame

        async with Verifier(
            self.settings, own=self.own, asked_today=asked_today, memory=known.memory, routes=routes
        ) as verifier:
            stream = Stream(verifier, read, run_id=self.run_id, wait=self.wait)
            try:
                async for verdicts in stream:
                    journal.add(_arrow(verdicts))
                    if journal.is_time:
                        await loop.run_in_executor(thread, journal.write)
            except BaseException:
                # What the servers were asked already is not asked for a second time by the next try of the task.
                await asyncio.shield(asyncio.ensure_future(stream.drain()))
                raise
            finally:
                for verdicts in stream.pending_verdicts():
                    journal.add(_arrow(verdicts))
                await asyncio.shield(loop.run_in_executor(thread, journal.write))
                thread.shutdown()
            probes = verifier.mailboxes.probes if verifier.mailboxes is not None else 0
            report = {"probes": probes, "kept": len(before.keys), "degraded": verifier.degraded}
            return report | {"servers": _stream_of(known.changes(utc_now()))}


@dataclass(frozen=True)
class _Kept:
    keys: list[str]
    asked: dict[str, int]


class Journal:
    """The verdicts of one task, in small Parquet files that appear complete or not at all.

    Args:
        folder: of the verdicts of all tasks.
        slot: number of the task; the files of its earlier attempts carry the same.
        save_every: seconds between two files at most.
    """

    _ROWS = 20_000

    def __init__(self, folder: Folder, run_id: str, slot: int, save_every: float) -> None:
        self._folder = folder
        self._start = f"{run_id}-{slot:05d}-"
        self._save_every = save_every
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._written_at = time.monotonic()

    def add(self, verdicts: pa.Table) -> None:
        """Take in verdicts; `write` writes them."""
        self._waiting.append(verdicts)
        self._rows += verdicts.num_rows

    @property
    def is_time(self) -> bool:
        """Whether there is enough to write, or it has waited long enough."""
        return self._rows >= self._ROWS or time.monotonic() - self._written_at >= self._save_every

    def write(self) -> None:
        """Write what was taken in; what is written leaves the memory."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            self._folder.write(f"{self._start}{uuid.uuid4().hex}.parquet", pa.concat_tables(waiting))
        self._written_at = time.monotonic()

    def kept(self) -> _Kept:
        """What earlier attempts of this task have left: keys, and recipients asked by operator."""
        keys: list[str] = []
        asked: dict[str, int] = {}
        for table in self._folder.read(self._start, ["email_key", "operator", "smtp_code"]):
            keys += table.column("email_key").to_pylist()
            probed = table.filter(pa.compute.is_valid(table.column("smtp_code")))
            for operator in probed.column("operator").to_pylist():
                asked[operator] = asked.get(operator, 0) + 1
        return _Kept(keys, asked)


def with_mailbox_key(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Any rows with a column `email` -> the same with `mailbox_key`, the key of the mailbox that each text reaches."""
    _one_thread()
    import polars as pl

    from mailvet.syntax import columns as syntax
    from mailvet.syntax.mailbox_key import key_of, mailbox_expression

    for batch in batches:
        cells = pl.Series(pl.from_arrow(batch.column("email").cast(pa.large_string())))
        parsed = syntax.examine(cells, allow_special_use=True)
        mailboxes = parsed.select(mailbox_expression(pl.col("local"), pl.col("domain"))).to_series()
        keys = [None if mailbox is None else key_of(mailbox) for mailbox in mailboxes]
        names = [*batch.schema.names, "mailbox_key"]
        yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(keys, pa.string())], names=names)


def copy(batches: Iterator[pa.RecordBatch], *, source: str, to: str) -> Iterator[pa.RecordBatch]:
    """Copy the files named in the column `name` from one folder to another; an attempt more does not matter."""
    for batch in batches:
        for name in batch.column("name").to_pylist():
            Folder.of(source).copy(name, Folder.of(to))
        yield batch


# -------------------------------------------------------------------- frames


def _one_thread() -> None:
    """Spark runs a worker for each core: more threads in each would only get into each other's way.

    Polars reads this when it is imported, so nothing that a worker imports to receive its `Job` may import it.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pl.DataFrame]:
    """The batches in frames of at least `_GATHERED` rows, but for the last."""
    import polars as pl

    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= _GATHERED:
            yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches(waiting)))
            waiting = []
    if waiting:
        yield pl.DataFrame(pl.from_arrow(pa.Table.from_batches(waiting)))


def _arrow(verdicts: pl.DataFrame) -> pa.Table:
    return verdicts.to_arrow().cast(verdict_schema())


def _once(frame: pl.DataFrame) -> Callable[[], Awaitable[pl.DataFrame | None]]:
    frames = iter((frame,))

    async def read() -> pl.DataFrame | None:
        return next(frames, None)

    return read


async def _all(stream: AsyncIterable[pl.DataFrame]) -> list[pl.DataFrame]:
    return [frame async for frame in stream]


def _is_news() -> pl.Expr:
    """Whether the user's own lists say something else than the verdict that is there."""
    import polars as pl

    reason = pl.col("only_if_news")
    return (
        (pl.col("suppressed") & (reason != "suppressed"))
        | (pl.col("was_suppressed") & ~pl.col("suppressed"))
        | (pl.col("allowed") != pl.col("was_allowed"))
        | (pl.col("own_trap") != pl.col("was_trap"))
        | (pl.col("disposable") != pl.col("was_disposable"))
        | pl.col("judged_otherwise")
    )


def _stream_of(table: pa.Table | None) -> bytes | None:
    """An Arrow stream."""
    if table is None:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _route_table(routes: list[Route]) -> pa.Table:
    return pa.table(
        [
            [route.domain for route in routes],
            [str(route.reason) if route.reason else None for route in routes],
            [route.detail for route in routes],
            [route.operator for route in routes],
            [json.dumps([[host.name, host.preference, host.addresses] for host in route.hosts]) for route in routes],
        ],
        schema=_ROUTE_SCHEMA,
    )


def _routes(frame: pl.DataFrame) -> list[Route]:
    from mailvet.dns.routes import MailHost, Route
    from mailvet.vocabulary import Reason

    names = ["domain", *ROUTE_COLUMNS]
    rows = frame.select(names).drop_nulls("domain").unique("domain").iter_rows()
    return [
        Route(
            domain,
            Reason(reason) if reason else None,
            tuple(MailHost(name, preference, tuple(addresses)) for name, preference, addresses in json.loads(hosts)),
            operator,
            detail,
        )
        for domain, reason, detail, operator, hosts in rows
    ]


def _stop_if(verifier: Verifier) -> None:
    from mailvet.errors import PreflightError

    if verifier.cut_off:
        raise PreflightError(verifier.degraded or "No DNS answers.")


def utc_now() -> datetime:
    """Aware."""
    return datetime.now(timezone.utc)
