"""The parts of a SQL warehouse, put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mailvet.vocabulary import Reason
from mailvet.warehouse.backends.sql.counting import Counter
from mailvet.warehouse.backends.sql.exports import Exporter
from mailvet.warehouse.backends.sql.leases import Leases
from mailvet.warehouse.backends.sql.planned import PlannedTable
from mailvet.warehouse.backends.sql.planning import Cells, Planner
from mailvet.warehouse.backends.sql.records import Outputs, Runs, Servers, Shards
from mailvet.warehouse.backends.sql.saving import BatchSaver, Saver
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.backends.sql.status_columns import StatusWriter
from mailvet.warehouse.backends.sql.verdicts import VerdictTable
from mailvet.warehouse.due_rule import DueRule
from mailvet.warehouse.events import SQLEvents
from mailvet.warehouse.leases import Lease
from mailvet.warehouse.own_tables import RUNS, VERDICTS
from mailvet.warehouse.sends import SQLSends

if TYPE_CHECKING:
    from mailvet.runs.recheck import Recheck

__all__ = ["SQLStore", "SQLWarehouse"]


class SQLStore:
    """The verdicts of a SQL database. Not to be used from two threads at once, but for `interrupt`.

    Args:
        session: with the database.
        saver: how verdicts are saved; by default as every database can.
    """

    saves_cheaply = False
    abandoned = False

    def __init__(self, session: Session, saver: Saver | None = None) -> None:
        self._session, self.name = session, session.driver.name
        self._verdicts, self._servers, self._runs = VerdictTable(session), Servers(session), Runs(session)
        self._saver: Saver = saver if saver is not None else BatchSaver(session)
        outputs = Outputs(session)
        self.save, self.save_run = self._saver.save, self._runs.save
        self.servers, self.save_servers = self._servers.read, self._servers.save
        self.save_shards = Shards(session).save
        self.written_digest, self.note_written = outputs.digest, outputs.note
        verdicts = self._verdicts
        self.checked_at, self.from_the_future = verdicts.checked_at, verdicts.from_the_future
        self.asked_today, self.replies, self.stored = verdicts.asked_today, verdicts.replies, verdicts.stored
        self.verdicts = verdicts.verdicts
        self.forget, self.out_of_reach = verdicts.forget, verdicts.out_of_reach
        self.reconnect, self.interrupt = session.reconnect, session.driver.interrupt
        events = SQLEvents(session)
        self.add_events, self.place_of = events.add_events, events.place_of
        self.forget_engagement_before = events.forget_engagement_before
        self.campaign_outcomes = SQLSends(session).outcomes

    @property
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""
        return self._session.driver.store_id

    def open_for_writing(self) -> None:
        """See `VerdictStore.open_for_writing`. Clears away what runs that were killed have left behind."""
        session = self._session
        with session.doing("make the table of verdicts"):
            for table, statements in ((VERDICTS, self._verdicts.creation()), (RUNS, self._runs.creation())):
                if session.has(table):
                    continue
                try:
                    with session.transaction():
                        for statement in statements:
                            session.execute(statement)
                except Exception:
                    if not session.has(table):  # unless another run was quicker
                        raise
            self._verdicts.upgrade()
        self._servers.make()
        with session.doing("clear away the tables of earlier runs"):
            for name in session.driver.leftovers():
                session.execute(session.say.drop.format(name=name))

    def revise(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.revise`."""
        with self._session.doing("save verdicts"):
            self._verdicts.upgrade()
        self._saver.revise(verdicts)

    def take_lease(self, run_id: str, holder: str) -> Lease | None:
        """See `VerdictStore.take_lease`; without a source there is nothing to hold."""
        return None

    def renew_lease(self, run_id: str) -> None:
        """See `VerdictStore.renew_lease`."""

    def release_lease(self, run_id: str) -> None:
        """See `VerdictStore.release_lease`."""

    def check_still_there(self) -> None:
        """See `VerdictStore.check_still_there`; a table that is gone is told by the statement that needs it."""

    def forget_before(self, day: datetime) -> int:
        """See `VerdictStore.forget_before`."""
        with self._session.doing("drop old verdicts"):
            self._servers.forget_before(day)
            return self._verdicts.forget_before(day)

    def close(self) -> None:
        """See `VerdictStore.close`."""
        if not self.abandoned:
            self._session.close()


class SQLWarehouse:
    """One table of a SQL database and its verdicts. Not to be used from two threads at once, but for `interrupt`.

    Args:
        source: the table.
        saver: how verdicts are saved; by default as every database can.
    """

    abandoned = False

    def __init__(self, source: ContactTable, saver: Saver | None = None) -> None:
        session = source.session
        self._session, self._source, self._cells = session, source, Cells(source)
        self._saver: Saver = saver if saver is not None else BatchSaver(session)
        self._store = SQLStore(session, self._saver)
        self._planner = Planner(source, self._cells)
        self._verdicts, self._shards = VerdictTable(session), Shards(session)
        self.name, self.policy, self.address_column = source.name, source.policy, source.column
        self.remarks: Sequence[str] = _remarks(session)
        self._bind_source()
        self._bind_store()

    def _bind_source(self) -> None:
        source, statuses, leases = self._source, StatusWriter(self._source), Leases(self._source)
        counter, exporter = Counter(source, self._cells), Exporter(source, statuses)
        self.check_keys = source.check_keys
        self.apply_policy, self.summary, self.details = counter.apply_policy, counter.summary, counter.details
        self.choose = counter.choose
        self.verdict_counts, self.pending = counter.verdict_counts, counter.pending
        self.check_write_back, self.prepare_write_back = statuses.check, statuses.prepare
        self.write_back = statuses.write
        self.check_output = exporter.check_output
        self.export, self.export_tables = exporter.to_files, exporter.to_tables
        self.record_sends = exporter.record_sends
        self.take_lease, self.renew_lease, self.release_lease = leases.take, leases.renew, leases.release

    def _bind_store(self) -> None:
        store = self._store
        self.saves_cheaply = store.saves_cheaply
        self.save, self.revise, self.save_run = store.save, store.revise, store.save_run
        self.checked_at, self.from_the_future = store.checked_at, store.from_the_future
        self.asked_today, self.replies, self.stored = store.asked_today, store.replies, store.stored
        self.servers, self.save_servers = store.servers, store.save_servers
        self.save_shards = store.save_shards
        self.written_digest, self.note_written = store.written_digest, store.note_written
        self.forget_before, self.forget, self.out_of_reach = store.forget_before, store.forget, store.out_of_reach
        self.forget_engagement_before = store.forget_engagement_before
        self.check_still_there = store.check_still_there
        self.reconnect, self.interrupt = store.reconnect, store.interrupt

    @property
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""
        return self._store.store_id

    @property
    def files(self) -> Mapping[str, Path]:
        """See `ContactSource.files`."""
        return self._session.driver.files

    def plan(
        self,
        *,
        depth_rank: int,
        now: datetime,
        rules_version: str,
        listed: Mapping[str, Sequence[str]],
        among: Collection[Reason] | None = None,
        recheck: Recheck | None = None,
        count_domains: bool = True,
    ) -> PlannedTable:
        """See `ContactSource.plan`."""
        rule = DueRule(
            depth_rank=depth_rank,
            now=now,
            rules_version=rules_version,
            events=self._source.events is not None,
            among=among,
            recheck=recheck,
        )
        planned = self._planner.plan(rule, listed, count_domains=count_domains)
        self._saver.expect(planned)
        return planned

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `ContactSource.keep_shard`."""
        self._shards.narrow(self._source, plan_id, shard)

    def open_for_writing(self) -> None:
        """See `VerdictStore.open_for_writing`."""
        self._store.open_for_writing()
        if (cells := self._cells.staged) is not None:
            with self._session.doing("bring the verdicts up to date"):
                self._verdicts.drop_missing(cells)

    def close(self) -> None:
        """See `VerdictStore.close`."""
        if not self.abandoned:
            self._store.close()


def _remarks(session: Session) -> Sequence[str]:
    """What to say before the first run in a database of a kind that no server of ours is of."""
    seen_by = session.say.unproven
    with session.doing("look for earlier verdicts"):
        if seen_by is None or session.has(VERDICTS):
            return ()
    return (
        f"Support for {session.say.name} is experimental: its statements were checked by {seen_by}, and no real server "
        "has run them for us. Five minutes in an empty schema show whether yours does all that is needed: mailvet "
        "doctor SOURCE --write-test SCHEMA --output FILE.",
    )
