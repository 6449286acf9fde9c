"""DuckDB: the warehouse of one machine, and the reader of files.

A table of a DuckDB database has its verdicts in the same database. A file (CSV, TSV, Parquet, JSON Lines, plain or
compressed) is read into a temporary table; its verdicts live in the store, another DuckDB file, so that a second run
over the same list asks only what is due.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mailvet.errors import SourceError
from mailvet.private_files import PrivateFolder
from mailvet.vocabulary import Reason
from mailvet.warehouse.backends.duckdb.cells import Cells
from mailvet.warehouse.backends.duckdb.connection import opened
from mailvet.warehouse.backends.duckdb.counting import Counter
from mailvet.warehouse.backends.duckdb.exports import Exporter
from mailvet.warehouse.backends.duckdb.matching import Matches
from mailvet.warehouse.backends.duckdb.planned import PlannedRelation
from mailvet.warehouse.backends.duckdb.planning import Planner
from mailvet.warehouse.backends.duckdb.session import Session
from mailvet.warehouse.backends.duckdb.source import ContactRelation, bind_connection, bind_database, bind_file
from mailvet.warehouse.backends.duckdb.status_columns import StatusWriter
from mailvet.warehouse.backends.duckdb.verdicts import DuckDBVerdicts, one_writer
from mailvet.warehouse.binding import Binding
from mailvet.warehouse.due_rule import DueRule
from mailvet.warehouse.files import Reading

if TYPE_CHECKING:
    from mailvet.runs.recheck import Recheck

__all__ = ["DuckDBWarehouse", "open_verdicts", "verdicts_of"]

_AS_IT_COMES = Binding()


class DuckDBWarehouse:
    """One table or file and its verdicts. Build it with `of_table`, `of_connection` or `of_file`.

    Not to be used from two threads at once, but for `interrupt`.

    Args:
        source: the table.
    """

    abandoned = False
    fetched: PrivateFolder | None = None
    """Where the source was copied to from an object store; removed at the end."""

    def __init__(self, source: ContactRelation) -> None:
        self._source, self._session, self._cells = source, source.session, Cells(source)
        self._planner, self._matches = Planner(source, self._cells), Matches(source)
        self._store = DuckDBVerdicts(source.session, has_source=True)
        self.name, self.policy, self.path = source.name, source.policy, source.path
        self.address_column = source.column
        self._bind_source()
        self._bind_store()

    def _bind_source(self) -> None:
        source, statuses = self._source, StatusWriter(self._source, self._matches)
        counter = Counter(source, self._cells, self._matches)
        exporter = Exporter(source, self._matches, statuses)
        self.check_keys = source.check_keys
        self.apply_policy, self.summary, self.details = counter.apply_policy, counter.summary, counter.details
        self.choose = counter.choose
        self.verdict_counts, self.pending, self.fingerprint = (
            counter.verdict_counts,
            counter.pending,
            counter.fingerprint,
        )
        self.check_write_back, self.prepare_write_back = statuses.check, statuses.prepare
        self.write_back = statuses.write
        self.check_output = exporter.check_output
        self.export, self.export_tables = exporter.to_files, exporter.to_tables
        self.record_sends = exporter.record_sends

    def _bind_store(self) -> None:
        store = self._store
        self.saves_cheaply = store.saves_cheaply
        self.save, self.revise, self.save_run = store.save, store.revise, store.save_run
        self.checked_at, self.from_the_future = store.checked_at, store.from_the_future
        self.asked_today, self.replies, self.stored = store.asked_today, store.replies, store.stored
        self.servers, self.save_servers = store.servers, store.save_servers
        self.written_digest, self.note_written = store.written_digest, store.note_written
        self.forget_before, self.forget, self.out_of_reach = store.forget_before, store.forget, store.out_of_reach
        self.forget_engagement_before = store.forget_engagement_before
        self.take_lease, self.renew_lease, self.release_lease = store.take_lease, store.renew_lease, store.release_lease
        self.check_still_there, self.last_outcome = store.check_still_there, store.last_outcome
        self.reconnect, self.interrupt = store.reconnect, store.interrupt

    @classmethod
    def of_table(cls, path: Path, table: str, column: str | None, binding: Binding = _AS_IT_COMES) -> DuckDBWarehouse:
        """A table of a DuckDB file; see `mailvet.warehouse.backends.duckdb.source.bind_database`."""
        return cls(bind_database(path, table, column, binding))

    @classmethod
    def of_connection(
        cls, connection: duckdb.DuckDBPyConnection, table: str, column: str | None, binding: Binding = _AS_IT_COMES
    ) -> DuckDBWarehouse:
        """A table of a database that is open; see `mailvet.warehouse.backends.duckdb.source.bind_connection`."""
        return cls(bind_connection(connection, table, column, binding))

    @classmethod
    def of_file(
        cls,
        path: Path,
        column: str | None,
        store: Path,
        binding: Binding = _AS_IT_COMES,
        reading: Reading | None = None,
    ) -> DuckDBWarehouse:
        """A file of addresses; see `mailvet.warehouse.backends.duckdb.source.bind_file`."""
        return cls(bind_file(path, column, store, binding, reading))

    @property
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""
        return self._store.store_id

    @property
    def files(self) -> Mapping[str, Path]:
        """See `ContactSource.files`."""
        return self._source.files

    @property
    def remarks(self) -> Sequence[str]:
        """See `ContactSource.remarks`."""
        return self._source.remarks

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
    ) -> PlannedRelation:
        """See `ContactSource.plan`."""
        rule = DueRule(
            depth_rank=depth_rank,
            now=now,
            rules_version=rules_version,
            events=self._source.events is not None,
            among=among,
            recheck=recheck,
        )
        return self._planner.plan(rule, listed, count_domains=count_domains)

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `ContactSource.keep_shard`."""
        raise one_writer(self.name)

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `VerdictStore.save_shards`."""
        raise one_writer(self.name)

    def open_for_writing(self) -> None:
        """See `VerdictStore.open_for_writing`."""
        self._store.open_for_writing()
        if self._cells.staged:
            self._store.drop_missing()

    def close(self) -> None:
        """See `VerdictStore.close`."""
        if not self.abandoned:
            self._store.close()
        if self.fetched is not None:
            self.fetched.close()


def open_verdicts(path: Path, *, read_only: bool) -> DuckDBVerdicts:
    """Only the verdicts of a database, without a source.

    Raises:
        SourceError: there is no such database; LockedError.
    """
    if not path.exists():
        raise SourceError(f"There is no database {path}: nothing has been verified there yet.")
    with opened(path, read_only=read_only) as (db, access):
        return DuckDBVerdicts(Session(db, path=path, access=access))


def verdicts_of(connection: duckdb.DuckDBPyConnection) -> DuckDBVerdicts:
    """The verdicts of a database that is open already, and stays so."""
    (path,) = connection.execute(
        "select coalesce(path, '') from duckdb_databases() where database_name = current_database()"
    ).fetchall()[0]
    return DuckDBVerdicts(Session(connection, path=Path(path or "memory")))
