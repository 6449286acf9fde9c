"""
Runs the layers over a stream of batches: cheapest first, each on distinct keys, and none whose answer cannot change
the outcome any more.

A `Verifier` belongs to one event loop. `verify`, `verify_many` and `averify` at the end are its faces for people;
the synchronous ones run it on an event loop in a thread of its own, so that they work inside notebooks, Airflow
tasks and running loops alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import wait as wait_for_futures
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from mailvet.dns.resolver import Outcome, Resolver
from mailvet.dns.routes import KnownRoutes, Route, Routes
from mailvet.dns.trust import Memory
from mailvet.errors import PreflightError, SettingsError
from mailvet.history import columns as history
from mailvet.probing.memory import ServerMemory
from mailvet.probing.pool import Mailboxes, MailboxResult, OperatorProgress, Probe, Recipient
from mailvet.probing.retries import Retries
from mailvet.probing.slots import connection_slots
from mailvet.reference import suggesting
from mailvet.reference.columns import Reference
from mailvet.reference.disposable_servers import disposable_server
from mailvet.reference.own_lists import OwnLists
from mailvet.reference.providers import operator_of
from mailvet.scoring.columns import judge
from mailvet.settings import Settings
from mailvet.signals import columns as signals
from mailvet.signals import scalar as signals_scalar
from mailvet.syntax import columns as syntax
from mailvet.syntax.mailbox_key import key_of
from mailvet.syntax.missing import missing_expression
from mailvet.verdict import Verdict, email_key, verdict_schema
from mailvet.verification import scalar
from mailvet.verification.backlog import Backlog
from mailvet.vocabulary import Depth, Reason

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Verifier", "averify", "run_in_background", "verify", "verify_all", "verify_many"]
from mailvet.privacy import mask_address

T = TypeVar("T")

BATCH_ROWS = 20_000
_WAITING_ROWS = 60_000  # rows that may wait for mailboxes, all operators together
_LEAST_ROWS = 100  # of them any operator may have
_FLUSH_ROWS = 5_000  # to judge a few costs nearly as much as to judge thousands
_FLUSH_SECONDS = 1.0
_HEARING_SECONDS = 0.1
_KEPT_OPEN = 8  # verifiers for different settings that `verify` keeps for the next call
_LINGER = 120.0  # seconds after which one that is not kept is closed
_FEW = 16  # cells that are sooner verified one by one than as a table
_REMEMBERED = 200_000  # mailboxes whose answer is kept for other spellings of the same cell

_MAILBOX_COLUMNS: dict[str, Any] = {
    "mailbox_reason": pl.String,
    "mailbox_detail": pl.String,
    "smtp_code": pl.Int32,
    "smtp_reply": pl.String,
    "answering_host": pl.String,
    "retry_after": pl.Float64,
    "accept_all": pl.Boolean,
    "accept_all_unknown": pl.Boolean,
    "gateway": pl.Boolean,
    "probed": pl.Boolean,
    "accepted": pl.Boolean,
}
_ROUTE_COLUMNS = ("route_reason", "route_fact", "route_detail", "operator", "mx_host")
_NOT_WORTH_ASKING = [str(reason) for reason in scalar.NOT_WORTH_ASKING]


@dataclass(slots=True, eq=False)
class _Batch:
    """Evidence of one batch, whose rows wait for mailboxes."""

    evidence: pl.DataFrame
    rows: list[int] = field(default_factory=list)
    """Those answered, in the order of the answers."""
    answers: list[MailboxResult] = field(default_factory=list)


class Verifier:
    """
    The layers, ready to run. Use it as an async context manager.

    Args:
        settings: everything configurable.
        asked_today: recipients already asked today by operator, for the daily limits.
        memory: what earlier runs learnt about server addresses; used and changed.
        own: the user's own lists, where somebody has read them already; default: as the settings say.
        routes: routes that somebody has looked up already. The resolver is left alone, and whether this machine is
            fit to ask is taken for granted.
        dns_memory: what is known of the name servers already, where many verifiers share one run.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        asked_today: Mapping[str, int] | None = None,
        memory: ServerMemory | None = None,
        own: OwnLists | None = None,
        routes: KnownRoutes | None = None,
        dns_memory: Memory | None = None,
    ) -> None:
        self.settings = settings
        self._dns_memory = dns_memory
        self.depth = Depth(settings.depth)
        self._own = own if own is not None else OwnLists.load(**settings.lists.model_dump())
        self._reference: Reference | None = None
        self._asked_today = asked_today
        self._memory = memory
        self._resolver: Resolver | None = None
        self.routes: Routes | KnownRoutes | None = routes
        self.mailboxes: Mailboxes | None = None
        self._degraded: str | None = None
        self._no_dns = False
        self._known: dict[str, MailboxResult] = {}

    async def __aenter__(self) -> Verifier:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """
        Prepare what the depth needs and look whether this machine can do it.

        Raises:
            PreflightError: no host name to introduce ourselves with (smtp).
        """
        if self.depth is Depth.offline:
            return
        settings = self.settings
        if self.routes is not None:
            if self.depth is Depth.smtp:
                self.mailboxes = self._pool()
            return
        self._resolver = Resolver(settings.dns, memory=self._dns_memory)
        self.routes = Routes(self._resolver, settings.dns, allow_private_networks=settings.smtp.allow_private_networks)
        # Side by side: what is asked before anything else keeps everything waiting.
        answers, complaint = await asyncio.gather(self._resolver.responds(), self._why_not_greet())
        if not answers:
            self._no_dns = True
            servers = ", ".join(settings.dns.nameservers) or "the system's resolver"
            self._degraded = (
                f"No DNS answers: {servers} did not reply. Nothing but syntax and lists was checked. "
                "Check the network and [dns] nameservers, then run again; only what is due will be asked."
            )
            return
        if self.depth is Depth.smtp:
            if complaint is not None:
                raise PreflightError(complaint)
            self.mailboxes = self._pool()

    async def _why_not_greet(self) -> str | None:
        """RFC 5321 4.1.1.1: the hello name is ours and resolves, or the sender gets listed. None: all is well."""
        if self.depth is not Depth.smtp:
            return None
        assert self._resolver is not None
        name = self.settings.hello_name
        advice = (
            "Mail servers distrust and block list hosts that introduce themselves so. Set smtp.hello_name "
            "(MAILVET_SMTP__HELLO_NAME) to this machine's public host name, or verify with depth 'dns'."
        )
        if "." not in name or name.endswith((".localdomain", ".local", ".internal")) or name.startswith("localhost"):
            return f"This machine calls itself {name!r}, which is no public host name. {advice}"
        for kind in ("A", "AAAA"):
            if (await self._resolver.ask(name, kind)).outcome is Outcome.found:
                return None
        await self.check_resolver()
        return self._resolver.trust.degraded or f"The hello name {name!r} does not resolve. {advice}"

    def _pool(self) -> Mailboxes:
        settings = self.settings
        slots = connection_slots(settings.pacing, settings.smtp.port)
        return Mailboxes(settings, asked_today=self._asked_today, memory=self._memory, slots=slots)

    async def close(self) -> None:
        """End conversations and free sockets."""
        if self.mailboxes is not None:
            await self.mailboxes.close()
        if self._resolver is not None:
            await self._resolver.close()

    def sibling(self) -> Verifier:
        """A verifier for another stream that shares resolver and routes with this one."""
        return copy.copy(self)

    @property
    def degraded(self) -> str | None:
        """Why this run's answers are fewer than asked for, in a sentence with advice; None when all is well."""
        if self._degraded is None and self._resolver is not None and self._resolver.down:
            self._degraded = (
                "DNS stopped answering during the run. The rest was not checked. Check the network, then run again; "
                "only what is due will be asked."
            )
        if self._degraded is not None:
            return self._degraded
        reasons = [
            self._resolver.trust.degraded if self._resolver is not None else None,
            self.mailboxes.health.degraded if self.mailboxes is not None else None,
        ]
        return " ".join(filter(None, reasons)) or None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of this run's results should know, though nothing is wrong."""
        if self._resolver is not None and not self._resolver.trust.controls:
            return ("DNS: the resolver was believed without controls ([dns] controls = []).",)
        return ()

    @property
    def cut_off(self) -> bool:
        """Whether the resolver is silent, so that only a new verifier could find it again."""
        return self._no_dns or (self._resolver is not None and self._resolver.down)

    @property
    def outdated(self) -> bool:
        """Whether this verifier should make room for a new one: its resolver is silent or may have become honest."""
        return self.cut_off or (self._resolver is not None and self._resolver.trust.is_outdated)

    async def check_resolver(self) -> None:
        """Do now what a run does when the first domain is said not to exist; `degraded` has the result."""
        if self._resolver is not None and not self.cut_off:
            await self._resolver.trust.examine_all()

    @property
    def lists_digest(self) -> str:
        """Short hash of the user's own lists, part of `rules_version`."""
        return self._own.digest

    @property
    def retry_in(self) -> float:
        """Seconds until the last of the recipients that are to be asked again is asked again; 0 for none."""
        return self._retries.retry_in() if self._retries is not None else 0.0

    def progress(self) -> list[OperatorProgress]:
        """What each operator is doing."""
        return self.mailboxes.progress() if self.mailboxes is not None else []

    # ---------------------------------------------------------------- the stream

    async def stream(
        self,
        read: Callable[[], Awaitable[pl.DataFrame | None]],
        *,
        run_id: str | None = None,
        wait: timedelta = timedelta(0),
    ) -> AsyncIterator[pl.DataFrame]:
        """
        Verify batches as `read` brings them, and yield verdicts as they come.

        Args:
            read: gives the next batch, None at the end. Columns: `email` (text, distinct over all batches), and
                where known `previous_reason`, `previous_attempts`, those of `mailvet.history.columns`, and what the
                whole table shows: `series_size`, `burst`, `duplicate_of` (see `mailvet.signals.columns`).
            run_id: written into the verdicts.
            wait: how long to stay for greylisting servers, counted from now.

        Yields:
            Frames with the columns of `verdict_schema()`, every row of every batch in exactly one of them, not
            necessarily in the order read.
        """
        _claim_tables()
        self._run_id = run_id
        self._wait_until = time.monotonic() + wait.total_seconds()
        self._waiting: dict[str, _Batch] = {}  # by mailbox, the batch of the row that waits for it
        self._also_waiting: dict[str, list[tuple[_Batch, int]]] = {}  # further spellings of the same mailbox
        self._ready: list[_Batch] = []
        self._rows_ready = self._rows_waiting = 0
        self._waiting_at: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._draining = False
        self._backlog = Backlog()
        if self.mailboxes is not None:
            self._retries = Retries(
                self.mailboxes, self.settings.retry, self._wait_until, self._concluded, self._failed_before
            )
            self.mailboxes.wait_until = self._wait_until
            self.mailboxes.retries_pending = self._retries.pending
        try:
            async for verdicts in self._stream(read):
                yield verdicts
        finally:
            self._backlog.close()
            if self._retries is not None:
                self._retries.close()
        if self.mailboxes is not None:
            self.mailboxes.health.finish()

    async def _stream(self, read: Callable[[], Awaitable[pl.DataFrame | None]]) -> AsyncIterator[pl.DataFrame]:
        more = True
        while more or self._rows_waiting or self._rows_ready or self._backlog:
            for batch in self._resumed():
                async for verdicts in self._examine(batch):
                    yield verdicts
            if more and self._rows_waiting < _WAITING_ROWS:
                read_now = await read()
                more = read_now is not None
                if read_now is not None and not read_now.is_empty():
                    async for verdicts in self._examine(read_now):
                        yield verdicts
            if self.mailboxes is not None:
                self.mailboxes.expecting = more or bool(self._backlog)
            if not more or self._rows_waiting >= _WAITING_ROWS:
                await self._pause()
                if self._retries is not None and 0 < self._retries.held == len(self._waiting):
                    await self._retries.settle()
            if self._retries is not None:
                self._retries.look()
            if self._failure is not None:
                raise self._failure
            if self._rows_ready >= _FLUSH_ROWS or (self._rows_ready and (not more or self._flush_due())):
                for verdicts in self._flush():
                    yield verdicts

    @property
    def _allowance(self) -> int:
        """
        Rows that one operator may have waiting: half of the room there is. So one slow operator fills a third of the
        waiting room at most, two fill half of it, and however many there are, some is left for the next
        (Choudhury and Hahne, "Dynamic queue length thresholds", IEEE/ACM Transactions on Networking 6, 1998).
        """
        return max(_LEAST_ROWS, (_WAITING_ROWS - self._rows_waiting) // 2)

    def _resumed(self) -> list[pl.DataFrame]:
        """Rows that were put off, of operators that have little left to do."""
        frames = []
        for operator in self._backlog:
            room = self._allowance - self._waiting_at[operator]
            if room >= self._allowance // 2:
                frames.append(self._backlog.take(operator, min(room, BATCH_ROWS)))
        return frames

    def _admitted(self, batch: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
        """Of the rows that wait for mailboxes, those that may queue now; the rest is put off."""
        if self._rows_waiting + waiting.height <= _WAITING_ROWS // 3:  # then nobody can have too many
            return waiting
        allowance = self._allowance
        room = {name: max(0, allowance - self._waiting_at[name]) for name in waiting["operator"].unique()}
        number = pl.int_range(pl.len()).over("operator")
        fits = waiting.select(
            number < pl.col("operator").replace_strict(room, default=0, return_dtype=pl.Int64)
        ).to_series()
        if fits.all():
            return waiting
        for rows in waiting.filter(~fits).select("place", "operator").partition_by("operator"):
            self._backlog.put(rows["operator"][0], batch[rows["place"]])
        return waiting.filter(fits)

    async def drain(self) -> None:
        """
        After a stream that was interrupted: wait for the replies to those who were named already, 2.5 seconds at most,
        and ask nobody else. `pending_verdicts` has what they prove then. A recipient without a proven result gets no
        verdict and stays due: that we broke off says nothing of it.
        """
        self._draining = True
        if self._retries is not None:
            self._retries.wait_until = 0.0
        if self.mailboxes is not None:
            await self.mailboxes.close()
        if self._retries is not None:
            self._retries.conclude_greylisted()

    def pending_verdicts(self, *, older_than: float = 0.0) -> list[pl.DataFrame]:
        """
        Verdicts that have come but were not yielded yet: they are handed over here instead.

        Args:
            older_than: none where some were handed over less than so many seconds ago.
        """
        if not self._rows_ready or time.monotonic() - self._last_flush < older_than:
            return []
        return self._flush()

    async def examine_one(self, cell: str, signals: signals_scalar.TableSignals = signals_scalar.NOTHING) -> Verdict:
        """
        The verdict for one cell, asked at once and without waiting for greylisting; many may run side by side.

        Args:
            signals: what the other cells show about this one.
        """
        finding = scalar.examine(cell, self._own, allow_special_use=bool(self.settings.smtp.allow_private_networks))
        finding.among(signals)
        if self.depth is not Depth.offline and not finding.settled:
            assert finding.domain is not None
            if self._no_dns:
                finding.unasked("no resolver answers")
            else:
                assert self.routes is not None
                finding.routed((await self.routes.examine([finding.domain]))[finding.domain])
                if self.mailboxes is not None and finding.worth_asking:
                    assert finding.local is not None
                    assert finding.route is not None
                    recipient = Recipient(finding.local, finding.domain, finding.route)
                    finding.answered(await self.mailboxes.submit(recipient))
        return scalar.judge(finding, self.settings, lists_digest=self.lists_digest)

    async def _pause(self) -> None:
        """Wait for answers, for a moment's worth of them rather than one by one."""
        if not self._rows_waiting or self._rows_ready >= _FLUSH_ROWS or self._failure is not None:
            return
        self._news.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), _FLUSH_SECONDS)

    def _flush_due(self) -> bool:
        return time.monotonic() - self._last_flush > _FLUSH_SECONDS

    _last_flush = 0.0
    _rows_ready = 0
    _retries: Retries | None = None

    def _flush(self) -> list[pl.DataFrame]:
        self._last_flush = time.monotonic()
        frames = []
        for batch in self._ready:
            evidence = batch.evidence[batch.rows].with_columns(**_mailbox_columns(batch.answers))
            batch.rows, batch.answers = [], []
            frames.append(self._judge(evidence))
        self._ready = []
        self._rows_ready = 0
        return frames

    def _judge(self, evidence: pl.DataFrame) -> pl.DataFrame:
        # `accepted` is a flag where the reason is another one that goes by it.
        is_no_reply = pl.col("reference_reason").eq_missing(str(Reason.no_reply))
        evidence = evidence.with_columns(
            pl.coalesce("answering_host", "mx_host").alias("mx_host"), pl.col("accepted") & is_no_reply
        )
        return judge(
            evidence,
            self.settings,
            now=datetime.now(timezone.utc),
            run_id=self._run_id,
            lists_digest=self.lists_digest,
        )

    # ---------------------------------------------------------------- the layers

    async def _examine(self, batch: pl.DataFrame) -> AsyncIterator[pl.DataFrame]:
        """All layers over one batch: yields what is settled, queues the rest with the mailboxes."""
        evidence = self._offline(batch)
        if self.depth is Depth.offline:
            yield self._judge(_with_routes(evidence, {}))
            return
        settled = evidence["history_reason"].eq_missing(str(Reason.suppressed)) | evidence["domain"].is_null()
        if self._no_dns:
            yield self._judge(self._unasked(_with_routes(evidence, {}), settled, "no resolver answers"))
            return
        assert self.routes is not None
        domains = evidence.filter(~settled)["domain"].unique().to_list()
        routes = await self.routes.examine(domains)
        evidence = _with_disposable_servers(_with_routes(evidence, routes), routes)
        if self.depth is Depth.dns:
            yield self._judge(evidence)
            return
        open_rows = (
            ~settled & evidence["route_reason"].is_null()
            & ~evidence["reference_reason"].is_in(_NOT_WORTH_ASKING).fill_null(False)
        )  # fmt: skip
        if (~open_rows).any():
            yield self._judge(evidence.filter(~open_rows))
        if open_rows.any():
            waiting = evidence.with_columns(pl.int_range(pl.len()).alias("place")).filter(open_rows)
            waiting = self._admitted(batch, waiting).drop("place")
            self._submit(_Batch(waiting), waiting, routes)

    def _offline(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Syntax, reference data and history: what needs no network."""
        cells = batch["email"].fill_null("").rename("cell")
        private = bool(self.settings.smtp.allow_private_networks)
        parsed = syntax.examine(cells, allow_special_use=private)
        if self._reference is None:
            self._reference = Reference(self._own)
        listed = self._reference.evidence(parsed)
        past = history.examine(batch, keep_addresses=self.settings.store.store_addresses)
        nothing = pl.lit(None, dtype=pl.String)
        known = set(batch.columns)
        keys = batch["email_key"] if "email_key" in known else _keys(cells)
        alike = signals.examine_addresses(listed["base"], relay_alias=listed["relay_alias"]).drop("gibberish_score")
        meant = suggesting.examine(parsed, listed["allowed"], listed["known"], allow_special_use=private)
        frame = pl.concat(
            [cells.to_frame(), parsed, listed.drop("base", "known", "mailbox"), alike, meant, past], how="horizontal"
        )
        frame = frame.with_columns(
            keys,
            _mailbox_keys(listed["mailbox"], cells, keys),
            batch["previous_reason"] if "previous_reason" in known else nothing.alias("previous_reason"),
            (batch["previous_attempts"] if "previous_attempts" in known else pl.lit(0)).alias("previous_attempts"),
            (batch["series_size"] if "series_size" in known else pl.lit(0)).alias("series_size"),
            (batch["burst"] if "burst" in known else pl.lit(False)).alias("burst"),
            (batch["duplicate_of"] if "duplicate_of" in known else nothing).alias("duplicate_key"),
        )
        valid = pl.col("syntax_error").is_null()
        missing = missing_expression(pl.col("cell"))
        suppressed = pl.col("suppressed") & valid
        if not self.settings.store.store_addresses:
            frame = frame.with_columns(_masked(frame["suppressed_as"]))
        return frame.with_columns(
            pl.when(missing)
            .then(pl.lit(str(Reason.missing)))
            .when(~valid)
            .then(pl.lit(str(Reason.syntax_invalid)))
            .alias("syntax_reason"),
            pl.when(~missing)
            .then(pl.coalesce("syntax_error", pl.when("trimmed").then(pl.lit("white space trimmed"))))
            .alias("syntax_detail"),
            pl.when(~valid)
            .then(None)
            .when("disposable")
            .then(pl.lit(str(Reason.disposable)))
            .when(pl.col("typo_of").is_not_null())
            .then(pl.lit(str(Reason.typo_domain)))
            .when("odd_dots")
            .then(pl.lit(str(Reason.provider_unverifiable)))
            .when("no_reply")
            .then(pl.lit(str(Reason.no_reply)))
            .when("role")
            .then(pl.lit(str(Reason.role_account)))
            .alias("reference_reason"),
            pl.when(~valid)
            .then(None)
            .when(pl.col("odd_dots") & ~pl.col("disposable") & pl.col("typo_of").is_null())
            .then(pl.lit(scalar.ODD_DOTS))
            .otherwise("typo_of")
            .alias("reference_detail"),
            pl.when(suppressed)
            .then(pl.lit(str(Reason.suppressed)))
            .otherwise("history_reason")
            .alias("history_reason"),
            pl.when(suppressed)
            .then(
                pl.concat_str(
                    pl.lit(scalar.on_own_list(None)),
                    pl.when(pl.col("suppressed_as").is_not_null()).then(pl.lit(" as ") + pl.col("suppressed_as")),
                    ignore_nulls=True,
                )
            )
            .otherwise("history_detail")
            .alias("history_detail"),
            pl.when(~missing).then("suggestion").alias("suggestion"),
            pl.col("needs_smtputf8").alias("eai"),
            ((pl.col("series_size") > 0) & valid).alias("series"),
            (pl.col("burst") & valid).alias("burst"),
            (pl.col("duplicate_key").is_not_null() & valid).alias("duplicate_of"),
            *(pl.lit(None, dtype=kind).alias(name) for name, kind in _MAILBOX_COLUMNS.items()),
            nothing.alias("stopped"),
            nothing.alias("run_fact"),
        )

    def _unasked(self, evidence: pl.DataFrame, settled: pl.Series, why: str) -> pl.DataFrame:
        return evidence.with_columns(
            pl.when(~settled).then(pl.lit(why)).alias("stopped"),
            pl.when(~settled).then(pl.lit(str(Reason.not_probed))).alias("run_fact"),
            pl.when(~settled).then(3600.0).alias("retry_after"),
        )

    def _submit(self, batch: _Batch, rows: pl.DataFrame, routes: Mapping[str, Route]) -> None:
        assert self.mailboxes is not None
        waiting, known, ask, tell = self._waiting, self._known, self.mailboxes.ask, self._answered
        self._rows_waiting += rows.height
        for row, (local, domain, before) in enumerate(rows.select("local", "domain", "previous_reason").iter_rows()):
            # RFC 5321 2.4 lets a server tell Ann from ann; none of note does, and asking both would be asking twice.
            key = f"{local.casefold()}@{domain}"
            answer = known.get(key)
            if answer is not None:
                self._row_answered(batch, row, answer)
                continue
            route = routes[domain]
            self._waiting_at[route.operator or ""] += 1
            if key in waiting:
                self._also_waiting.setdefault(key, []).append((batch, row))
            else:
                waiting[key] = batch
                ask(local, domain, route, tell, (batch, row, key), greylisted_before=before == Reason.greylisted.value)

    def _answered(self, asked: Probe, answer: MailboxResult | Exception) -> None:
        batch, _, key = asked.context
        if self._waiting.get(key) is not batch:  # of an earlier stream
            return
        if isinstance(answer, Exception):
            self._failure = answer
            self._news.set()
            return
        assert self._retries is not None
        if not self._retries.keep(key, asked, answer):
            self._concluded(key, asked, answer)

    def _concluded(self, key: str, asked: Probe, answer: MailboxResult) -> None:
        """The answer counts."""
        if self._draining and answer.reason is Reason.not_probed:
            return
        batch, row, _ = asked.context
        del self._waiting[key]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = answer
        self._row_answered(batch, row, answer)
        others = self._also_waiting.pop(key, ()) if self._also_waiting else ()
        for other, row in others:
            self._row_answered(other, row, answer)
        operator = asked.route.operator or ""
        left = self._waiting_at[operator] - 1 - len(others)
        self._waiting_at[operator] = left
        if not left:
            del self._waiting_at[operator]
        if left < _LEAST_ROWS // 2 and operator in self._backlog:
            self._news.set()

    def _failed_before(self, key: str, asked: Probe, reason: Reason) -> bool:
        """Whether the run before found the same."""
        batch, row, _ = asked.context
        return bool(batch.evidence["previous_reason"][row] == str(reason))

    def _row_answered(self, batch: _Batch, row: int, answer: MailboxResult) -> None:
        if not batch.rows:
            self._ready.append(batch)
        batch.rows.append(row)
        batch.answers.append(answer)
        self._rows_waiting -= 1
        self._rows_ready += 1
        if self._rows_ready >= _FLUSH_ROWS or not self._rows_waiting:
            self._news.set()


def _keys(cells: pl.Series) -> pl.Series:
    return pl.Series("email_key", [email_key(cell) for cell in cells], dtype=pl.String)


def _mailbox_keys(mailboxes: pl.Series, cells: pl.Series, keys: pl.Series) -> pl.Series:
    """`mailbox_key` of each row. Most cells are written as their mailbox is, so that its key is theirs."""
    others = ((mailboxes != cells) & mailboxes.is_not_null()).arg_true()
    same = pl.select(pl.when(mailboxes.is_not_null()).then(keys)).to_series()
    made = pl.Series([key_of(mailbox) for mailbox in mailboxes.gather(others)], dtype=pl.String)
    return same.scatter(others, made).alias("mailbox_key")


def _masked(texts: pl.Series) -> pl.Series:
    """Addresses of which only the first character and the domain are shown."""
    rows = texts.is_not_null().arg_true()
    masked = pl.Series([mask_address(text) for text in texts.gather(rows)], dtype=pl.String)
    return texts.clone().scatter(rows, masked)


def _with_routes(evidence: pl.DataFrame, routes: Mapping[str, Route]) -> pl.DataFrame:
    """The route of each row's domain beside it; nulls where none was looked up."""
    if not routes:
        return evidence.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in _ROUTE_COLUMNS)
    table = pl.DataFrame(
        {
            "domain": list(routes),
            "route_reason": [str(route.reason) if route.reason else None for route in routes.values()],
            "route_fact": [str(route.reason) if route.reason else "route_found" for route in routes.values()],
            "route_detail": [route.detail or route.mx_host for route in routes.values()],
            "operator": [route.operator for route in routes.values()],
            "mx_host": [route.mx_host for route in routes.values()],
        },
        schema=dict.fromkeys(("domain", *_ROUTE_COLUMNS), pl.String),
    )
    return evidence.join(table, on="domain", how="left", maintain_order="left")


def _with_disposable_servers(evidence: pl.DataFrame, routes: Mapping[str, Route]) -> pl.DataFrame:
    """
    The same, with domains that only the servers of disposable ones take mail for called disposable too. A misspelt
    provider stays one, as in the lists: the suggestion says what was meant, whoever serves the misspelling today.
    """
    served = {domain: server for domain, route in routes.items() if (server := disposable_server(route)) is not None}
    if not served:
        return evidence
    served_by = pl.col("domain").replace_strict(served, default=None, return_dtype=pl.String)
    own = pl.any_horizontal("allowed", "disposable", "relay_alias") | pl.col("typo_of").is_not_null()
    found = served_by.is_not_null() & ~own
    return evidence.with_columns(
        pl.when(found).then(pl.lit(str(Reason.disposable))).otherwise("reference_reason").alias("reference_reason"),
        pl.when(found)
        .then(pl.concat_str(pl.lit(scalar.SERVED_BY), served_by))
        .otherwise("reference_detail")
        .alias("reference_detail"),
        (pl.col("disposable") | found).alias("disposable"),
    )


def _mailbox_columns(answers: list[MailboxResult]) -> dict[str, pl.Series]:
    # Thousands of recipients share a few answers, so the columns are made of those, and each row takes its own.
    shared = {id(answer): answer for answer in answers}
    place = {key: number for number, key in enumerate(shared)}
    rows = pl.Series([place[id(answer)] for answer in answers], dtype=pl.UInt32)
    columns = _columns_of(list(shared.values()))
    return {name: pl.Series(values, dtype=_MAILBOX_COLUMNS[name])[rows] for name, values in columns.items()}


def _columns_of(answers: list[MailboxResult]) -> dict[str, list[Any]]:
    probed = [answer.code is not None for answer in answers]
    return {
        "mailbox_reason": [str(answer.reason) for answer in answers],
        "mailbox_detail": [answer.detail or answer.reply for answer in answers],
        "smtp_code": [answer.code for answer in answers],
        "smtp_reply": [answer.reply for answer in answers],
        "answering_host": [answer.mx_host for answer in answers],
        "retry_after": [answer.retry_after for answer in answers],
        "accept_all": [answer.accept_all is True for answer in answers],
        "accept_all_unknown": [
            known and answer.accept_all is None for known, answer in zip(probed, answers, strict=True)
        ],
        "gateway": [_behind_gateway(answer.mx_host) for answer in answers],
        "probed": probed,
        "accepted": [answer.reason is Reason.mailbox_accepted for answer in answers],
    }


def _behind_gateway(mx_host: str | None) -> bool:
    return mx_host is not None and operator_of(mx_host).answers == "gateway"


# -------------------------------------------------------------------- faces for people


class _Background:
    """One event loop in a daemon thread, and the verifiers that live on it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.verifiers: dict[str, Verifier] = {}
        self.lock: asyncio.Lock | None = None
        self.closing: asyncio.Task[None] | None = None
        threading.Thread(target=self._run, name="mailvet", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def verifier(self, settings: Settings) -> Verifier:
        """The verifier for these settings, opened once, so that routes stay cached between calls."""
        if self.lock is None:
            self.lock = asyncio.Lock()
        key = settings.model_dump_json()
        async with self.lock:
            known = self.verifiers.get(key)
            if known is not None and not known.outdated:
                return known
            fresh = Verifier(settings)
            await fresh.open()
            self.verifiers[key] = fresh
            if known is not None:
                self._retire(known)
            while len(self.verifiers) > _KEPT_OPEN:
                self._retire(self.verifiers.pop(next(iter(self.verifiers))))
            return fresh

    def _retire(self, verifier: Verifier) -> None:
        # Others may still be asking through it.
        def close() -> None:
            self.closing = self.loop.create_task(verifier.close())

        self.loop.call_later(_LINGER, close)


_background: _Background | None = None
_starting = threading.Lock()


def _in_background() -> _Background:
    global _background
    with _starting:
        if _background is None or _background.pid != os.getpid():  # a fork leaves the thread behind
            _background = _Background()
        return _background


def run_in_background(work: Coroutine[Any, Any, T], poll: Callable[[], object] | None = None) -> T:
    """
    Run a coroutine on mailvet's own event loop and wait for it; fit for any thread, loop running or not.

    Args:
        poll: called a few times a second by the waiting thread; what it raises ends the work.
    """
    future = asyncio.run_coroutine_threadsafe(work, _in_background().loop)
    try:
        # In slices: Polars' signal handler restarts an endless wait, and Ctrl-C would be heard only at its end.
        while not wait_for_futures((future,), timeout=_HEARING_SECONDS).done:
            if poll is not None:
                poll()
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def _collect(verifier: Verifier, cells: list[str]) -> pl.DataFrame:
    emails = pl.Series("email", cells, dtype=pl.String)
    keys = _keys(emails)
    found = signals.examine_table(emails, keys) if verifier.settings.suspicion.whole_table else ()
    table = pl.DataFrame([emails, keys, *found])
    batches = iter(table.iter_slices(BATCH_ROWS))

    async def read() -> pl.DataFrame | None:
        return next(batches, None)

    frames = [frame async for frame in verifier.stream(read)]
    return keys.to_frame().join(pl.concat(frames), on="email_key", how="left", maintain_order="left")


async def _with_verifier(settings: Settings, work: Callable[[Verifier], Awaitable[T]]) -> tuple[T, str | None]:
    """The result of the work, and why it is degraded if it is."""
    if settings.depth is not Depth.smtp:
        # Routes stay known from call to call; the state of a stream is its own.
        shared = (await _in_background().verifier(settings)).sibling()
        return await work(shared), shared.degraded
    async with Verifier(settings) as verifier:
        return await work(verifier), verifier.degraded


async def _verify_table(cells: list[str], settings: Settings) -> tuple[pl.DataFrame, str | None]:
    return await _with_verifier(settings, lambda verifier: _collect(verifier, cells))


async def _verify_each(cells: list[str], settings: Settings) -> tuple[list[Verdict], str | None]:
    async def work(verifier: Verifier) -> list[Verdict]:
        together = len(cells) > 1 and settings.suspicion.whole_table
        shown = signals_scalar.examine_table(cells) if together else {}
        unseen = signals_scalar.NOTHING
        return list(await asyncio.gather(*(verifier.examine_one(cell, shown.get(cell, unseen)) for cell in cells)))

    return await _with_verifier(settings, work)


_tables_of: int | None = None
"""The process whose threads the table engine uses, once it was used."""


def _tables_lost() -> bool:
    """Whether this process was forked from one that had used the table engine (Polars), whose threads are gone here."""
    return _tables_of is not None and _tables_of != os.getpid()


def _claim_tables() -> None:
    global _tables_of
    if _tables_lost():
        raise PreflightError(
            "This process was forked from one in which mailvet had already worked on a table, and the table engine "
            "does not survive that. Start worker processes with the method 'spawn' or 'forkserver', or use mailvet "
            "for the first time after the fork."
        )
    _tables_of = os.getpid()


def _resolve_settings(settings: Settings | None, depth: Depth | str | None) -> Settings:
    settings = settings if settings is not None else Settings.load()
    if depth is None:
        return settings
    try:
        return settings.model_copy(update={"depth": Depth(depth)})
    except ValueError:
        raise SettingsError(f"{depth!r} is no depth; choose offline, dns or smtp.") from None


def verify_many(
    addresses: Iterable[str | None],
    *,
    depth: Depth | str | None = None,
    settings: Settings | None = None,
    poll: Callable[[], object] | None = None,
) -> pa.Table:
    """
    Verify addresses; each distinct text is verified once.

    Args:
        addresses: cells of text, as they stand in a contact table: a list, a column of pandas, Polars, Arrow or
            NumPy, or any other iterable. None, NaN and NA count as empty.
        depth: offline, dns or smtp; default: as the settings say.
        settings: default: from the environment.
        poll: called a few times a second by the waiting thread; what it raises ends the work.

    Returns:
        A table with the columns of `verdict_schema()`, one row per input, in the order of the input.

    Raises:
        SettingsError, PreflightError: before anything is asked.
        TypeError: what was given is not one column of cells.
    """
    return verify_all(addresses, _resolve_settings(settings, depth), poll)[0]


def verify_all(
    addresses: Iterable[str | None], settings: Settings, poll: Callable[[], object] | None = None
) -> tuple[pa.Table, str | None]:
    """The same as `verify_many`, and beside the table why it is degraded: None when all could be asked and believed."""
    cells = [_text(cell) for cell in _column_of(addresses)]
    if not cells:
        return verdict_schema().empty_table(), None
    distinct = list(dict.fromkeys(cells))
    if _tables_lost() or (len(distinct) <= _FEW and settings.depth is not Depth.smtp):
        verdicts, degraded = run_in_background(_verify_each(distinct, settings), poll)
        return _table_of(cells, verdicts), degraded
    frame, degraded = run_in_background(_verify_table(distinct, settings), poll)
    return _in_input_order(cells, frame), degraded


def _table_of(cells: list[str], verdicts: list[Verdict]) -> pa.Table:
    import pyarrow as pa

    rows = {verdict.email_key: scalar.as_row(verdict) for verdict in verdicts}
    return pa.Table.from_pylist([rows[email_key(cell)] for cell in cells], schema=verdict_schema())


def _in_input_order(cells: list[str], verdicts: pl.DataFrame) -> pa.Table:
    """The verdicts of the distinct cells, in the order of their first times -> one row for each cell."""
    place = {cell: row for row, cell in enumerate(dict.fromkeys(cells))}
    if len(place) < len(cells):
        verdicts = verdicts[[place[cell] for cell in cells]]
    return verdicts.to_arrow().cast(verdict_schema())


def verify(address: str | None, *, depth: Depth | str | None = None, settings: Settings | None = None) -> Verdict:
    """
    Verify one address.

    >>> verify("ann@example.com", depth="offline").reason
    <Reason.not_probed: 'not_probed'>
    """
    settings = _resolve_settings(settings, depth)
    return run_in_background(_verify_each([_text(address)], settings))[0][0]


async def averify(
    address: str | None, *, depth: Depth | str | None = None, settings: Settings | None = None
) -> Verdict:
    """The same as `verify` for code that runs in an event loop: it waits without blocking the loop."""
    work = _verify_each([_text(address)], _resolve_settings(settings, depth))
    future = asyncio.run_coroutine_threadsafe(work, _in_background().loop)
    return (await asyncio.wrap_future(future))[0][0]


def _column_of(addresses: Any) -> Iterable[object]:
    """The cells of one column. A text or a table is refused: its letters or column names would be taken for cells."""
    if isinstance(addresses, str | bytes):
        raise TypeError("verify_many takes many addresses, such as a list. For a single one call mailvet.verify(text).")
    if isinstance(addresses, Mapping) or hasattr(addresses, "columns") or getattr(addresses, "ndim", 1) != 1:
        raise TypeError("verify_many takes one column. Pass the column of addresses, such as verify_many(df['email']).")
    if not isinstance(addresses, Iterable):
        kind = type(addresses).__name__
        raise TypeError(f"verify_many takes a list or a column of addresses, not {kind}. Collect the column first.")
    for convert in ("to_pylist", "to_list", "tolist"):  # Arrow; pandas and Polars; NumPy
        if hasattr(addresses, convert):
            cells: Iterable[object] = getattr(addresses, convert)()
            return cells
    return addresses


def _text(cell: object) -> str:
    """
    A cell as text, an absent one as the empty text. A lone surrogate, which no table could hold, becomes U+FFFF, which
    no address may hold either.
    """
    absent = cell is None or (isinstance(cell, float) and cell != cell) or type(cell).__name__ == "NAType"
    text = "" if absent else str(cell)
    return text if text.isascii() else _SURROGATE.sub("\uffff", text)


_SURROGATE = re.compile("[\ud800-\udfff]")
