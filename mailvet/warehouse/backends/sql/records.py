"""The smaller tables that mailvet keeps in a SQL database: servers, runs, shards and outputs."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mailvet.errors import MailvetError, SourceError
from mailvet.warehouse.backends.sql.arrow import UTC, table_of
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.backends.sql.verdicts import create_own
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.own_tables import (
    OUTPUT_COLUMNS,
    OUTPUTS,
    RUN_COLUMNS,
    RUNS,
    SERVER_COLUMNS,
    SERVERS,
    SHARD_COLUMNS,
    SHARDS,
)
from mailvet.warehouse.servers import SERVER_SCHEMA

__all__ = ["Outputs", "Runs", "Servers", "Shards"]

log = logging.getLogger("mailvet")

_SHARDS_KEPT = timedelta(days=7)
_RUN_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "timestamp": UTC}


class Servers:
    """What is kept about server addresses: `mailvet_servers`.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._say = session, session.say

    def make(self) -> None:
        """A user who may make no table goes on without: the tables of an older version may be all there are."""
        session = self._session
        required = [field.name for field in SERVER_SCHEMA if not field.nullable]
        try:
            with session.doing("make the table of servers"):
                if not session.has(SERVERS):
                    with session.transaction():
                        for statement in create_own(session, SERVERS, SERVER_COLUMNS, key="place", required=required):
                            session.execute(statement)
        except MailvetError as error:
            if not session.has(SERVERS):
                log.warning("What this run learns about servers is not kept: %s", error)

    def read(self) -> pa.Table:
        """See `VerdictStore.servers`."""
        if not self._session.has(SERVERS):
            return SERVER_SCHEMA.empty_table()
        names = ", ".join(map(self._say.own, SERVER_SCHEMA.names))
        with self._session.doing("read what is known of servers"):
            return table_of(self._session.rows(f"select {names} from {SERVERS}"), SERVER_SCHEMA)

    def save(self, rows: pa.Table) -> None:
        """See `VerdictStore.save_servers`."""
        session = self._session
        if not session.has(SERVERS):
            return
        is_kept = pc.or_(pc.is_valid(rows["suspected_since"]), pc.is_valid(rows["refused_words"]))
        kept = rows.filter(is_kept)
        places = ", ".join(map(self._say.literal, rows["place"].to_pylist()))
        with session.doing("save what is known of servers"), session.transaction():
            session.execute(f"delete from {SERVERS} where place in ({places})")
            if kept.num_rows:
                session.append(SERVERS, kept)

    def forget_before(self, day: datetime) -> None:
        """Drop what has not changed since this time."""
        if self._session.has(SERVERS):
            self._session.execute(f"delete from {SERVERS} where changed_at < {self._say.moment(day)}")


class Runs:
    """One row for each run: `mailvet_runs`.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._say = session, session.say

    def creation(self) -> list[str]:
        """The statements that make it."""
        return create_own(self._session, RUNS, RUN_COLUMNS, key="run_id")

    def save(self, run: Mapping[str, Any]) -> None:
        """See `VerdictStore.save_run`."""
        session = self._session
        values = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in run.items()}
        row = pa.table({name: pa.array([value], _RUN_TYPES[RUN_COLUMNS[name]]) for name, value in values.items()})
        with session.doing("save the record of the run"), session.transaction():
            session.execute(f"delete from {RUNS} where run_id = {literal(str(run['run_id']))}")
            session.append(RUNS, row)

    def last(self, source: str) -> Mapping[str, Any] | None:
        """The newest run over this source that has ended, None if there is none."""
        if not self._session.has(RUNS):
            return None
        schema = pa.schema([pa.field(name, _RUN_TYPES[kind]) for name, kind in RUN_COLUMNS.items()])
        query = (
            f"select {', '.join(map(self._say.own, schema.names))} from {RUNS} where source = "
            f"{self._say.literal(source)} and finished_at is not null order by started_at desc"
        )
        found = table_of(self._session.rows(self._say.limited(query, 1)), schema).to_pylist()
        return found[0] if found else None


class Shards:
    """Which shard of a plan asks which domain: `mailvet_shards`.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `VerdictStore.save_shards`."""
        session, say = self._session, self._session.say
        with session.doing("save the shards"):
            if not session.has(SHARDS):
                columns = ", ".join(f"{name} {say.types[kind]}" for name, kind in SHARD_COLUMNS.items())
                session.execute(f"create table {SHARDS} ({columns})")
            rows = pa.table(
                {
                    "plan_id": pa.array([plan_id] * len(shards), pa.string()),
                    "domain": pa.array(list(shards), pa.string()),
                    "shard": pa.array(list(shards.values()), pa.int32()),
                    "planned_at": pa.array([now] * len(shards), UTC),
                }
            )
            with session.transaction():
                session.execute(f"delete from {SHARDS} where planned_at < {say.moment(now - _SHARDS_KEPT)}")
                session.append(SHARDS, rows)

    def narrow(self, source: ContactTable, plan_id: str, shard: int) -> None:
        """See `ContactSource.keep_shard`."""
        session, say = self._session, self._session.say
        with session.doing("read the shards"):
            if not session.has(SHARDS) or not session.any_row(
                f"select 1 from {SHARDS} where plan_id = {literal(plan_id)}"
            ):
                raise SourceError(
                    f"There is no plan {plan_id} of shards for {source.name}: run plan_shards() first, and verify "
                    f"within {_SHARDS_KEPT.days} days."
                )
        domain = say.after_at(say.fold(source.cell))
        which = "<> 0" if shard == 0 else f"= {int(shard)}"
        source.narrow(
            f"{domain} {'not ' if shard == 0 else ''}in (select domain from {SHARDS} "
            f"where plan_id = {literal(plan_id)} and shard {which})"
        )


class Outputs:
    """The hashes of the files that mailvet wrote: `mailvet_outputs`.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._say = session, session.say

    def digest(self, path: Path) -> str | None:
        """See `VerdictStore.written_digest`."""
        with self._session.doing("read what was written"):
            if not self._session.has(OUTPUTS):
                return None
            here = self._say.literal(str(path.resolve()))
            rows = self._session.rows(f"select digest from {OUTPUTS} where path = {here}")
        return str(rows[0][0]) if rows else None

    def note(self, digests: Mapping[Path, str]) -> None:
        """See `VerdictStore.note_written`."""
        if not digests:
            return
        session, paths = self._session, [str(path.resolve()) for path in digests]
        with contextlib.suppress(MailvetError), session.doing("keep what was written"):
            if not session.has(OUTPUTS):
                columns = ", ".join(f"{name} {self._say.types[kind]}" for name, kind in OUTPUT_COLUMNS.items())
                session.execute(f"create table {OUTPUTS} ({columns})")
            with session.transaction():
                listed = ", ".join(map(self._say.literal, paths))
                session.execute(f"delete from {OUTPUTS} where path in ({listed})")
                session.append(OUTPUTS, pa.table({"path": paths, "digest": list(digests.values())}))
