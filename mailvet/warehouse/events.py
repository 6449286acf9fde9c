"""The table `mailvet_events`: what happened to the company's own mail, one row for each event, each event once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from mailvet.warehouse.dialects import Dialect, DuckDB

if TYPE_CHECKING:
    from mailvet.warehouse.backends.duckdb.session import DuckDBSession
    from mailvet.warehouse.session import SQLSession

__all__ = ["EVENTS", "EVENTS_SCHEMA", "EventStore", "add_events", "add_events_in_duckdb"]

EVENTS = "mailvet_events"

_TIME = pa.timestamp("us", tz="UTC")
EVENTS_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("email_key", pa.string()),
        pa.field("mailbox_key", pa.string()),
        pa.field("event", pa.string(), nullable=False),
        pa.field("bounce_class", pa.string()),
        pa.field("occurred_at", _TIME, nullable=False),
        pa.field("message_id", pa.string()),
        pa.field("vendor", pa.string()),
        pa.field("source", pa.string()),
        pa.field("machine", pa.int16()),
        pa.field("topic", pa.string()),
        pa.field("reply", pa.string()),
        pa.field("echo", pa.int16(), nullable=False),
        pa.field("loaded_at", _TIME, nullable=False),
        pa.field("import_id", pa.string(), nullable=False),
    ]
)
"""`machine` and `echo`: 1 or 0; `machine` is null where the sender does not tell. `reply` is masked."""


class EventStore(Protocol):
    """A database that keeps events."""

    name: str

    def add_events(self, batches: Iterable[pa.Table]) -> int:
        """Add those that are not there yet, all or none; how many."""
        ...

    def close(self) -> None:
        """End the session."""


_KEYS = ("event_id", "email_key", "mailbox_key")
_NAMES = ", ".join(EVENTS_SCHEMA.names)
_STAGED = "mailvet_new_events"
_BATCH = "mailvet_event_batch"


def _kind(field: pa.Field) -> str:
    if field.name in _KEYS:
        return "key"
    return "timestamp" if field.type == _TIME else str(field.type)


def _columns(say: Dialect) -> str:
    types = {**say.types, "key": say.key_type}
    return ", ".join(
        f"{say.own(field.name)} {types[_kind(field)]}"
        + ("" if field.nullable else " not null")
        + (say.primary_key if field.name == "event_id" else "")
        for field in EVENTS_SCHEMA
    )


def _insert(staged: str) -> str:
    """Add what is not there yet; of several rows of one event the one that is dated first."""
    return (
        f"insert into {EVENTS} ({_NAMES}) select {_NAMES} from (select mailvet__n.*, row_number() over (partition by "
        f"event_id order by occurred_at, event) as mailvet__place from {staged} mailvet__n) mailvet__new "
        f"where mailvet__place = 1 and not exists (select 1 from {EVENTS} mailvet__old "
        "where mailvet__old.event_id = mailvet__new.event_id)"
    )


def add_events(session: SQLSession, batches: Iterable[pa.Table]) -> int:
    """Add events to a SQL database: all of them when `batches` has come to its end, none when it raises.

    Args:
        session: of a user who may write.
        batches: with the columns of `EVENTS_SCHEMA`.

    Returns:
        How many were not there yet.
    """
    with session._doing("write the events"):
        staged = session._stage_empty("new_events", {field.name: _kind(field) for field in EVENTS_SCHEMA})
        for batch in batches:
            session._append(staged, batch)
        if not session._has(EVENTS):
            with session._transaction():
                session._execute(f"create table {EVENTS} ({_columns(session._say)}){session._say.table_options}")
        session._analyzed(staged)
        with session._transaction():
            return session._execute(_insert(staged))


def add_events_in_duckdb(session: DuckDBSession, batches: Iterable[pa.Table]) -> int:
    """The same as `add_events` for DuckDB."""
    say, db = DuckDB(), session._db
    db.execute(f"create or replace temp table {_STAGED} ({_columns(say).replace(say.primary_key, '')})")
    try:
        for batch in batches:
            without_zone = [
                field.with_type(pa.timestamp("us")) if field.type == _TIME else field for field in batch.schema
            ]
            db.register(_BATCH, batch.cast(pa.schema(without_zone)))
            db.execute(f"insert into temp.{_STAGED} select {_NAMES} from {_BATCH}")
            db.unregister(_BATCH)
        db.execute(f"create table if not exists {EVENTS} ({_columns(say)})")
        added = db.execute(_insert(f"temp.{_STAGED}")).fetchall()
    finally:
        db.execute(f"drop table if exists temp.{_STAGED}")
    return int(added[0][0])
