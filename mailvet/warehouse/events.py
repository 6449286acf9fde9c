"""The table `mailvet_events`: what happened to the company's own mail, one row for each event, each event once.

Beside it `mailvet_imports`: how far each source was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from mailvet.errors import SourceError
from mailvet.history.reading import Place
from mailvet.history.vocabulary import EventWord, words_of
from mailvet.warehouse.dialects import Dialect, DuckDB, literal

if TYPE_CHECKING:
    import polars as pl

    from mailvet.warehouse.backends.duckdb.session import Session as DuckDBSession
    from mailvet.warehouse.backends.sql.session import Session
    from mailvet.warehouse.sends import CampaignOutcome

__all__ = [
    "EVENTS",
    "EVENTS_SCHEMA",
    "IMPORTS",
    "IMPORT_COLUMNS",
    "DuckDBEvents",
    "EventStore",
    "Import",
    "SQLEvents",
]

EVENTS = "mailvet_events"
IMPORTS = "mailvet_imports"

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
        pa.field("echo", pa.int16()),
        pa.field("loaded_at", _TIME),
        pa.field("import_id", pa.string()),
    ]
)
"""`machine` and `echo`: 1 or 0; `machine` is null where the sender does not tell. `reply` is masked."""

IMPORT_COLUMNS = {
    "source_key": "key",
    "source": "string",
    "sender": "string",
    "octets": "int64",
    "digest": "key",
    "import_id": "string",
    "imported_at": "timestamp",
}
"""Columns of `mailvet_imports` and their types by the names of `Dialect.types`, or `key`."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import."""

    source_key: str
    """SHA-256 of sender and path; "" where the source is no file, and nothing is remembered of it."""
    source: str
    sender: str
    import_id: str
    now: datetime

    def of_this(self, rows: pl.DataFrame) -> pa.Table:
        """Rows of events as `EVENTS_SCHEMA`."""
        import polars as pl

        complete = rows.with_columns(
            source=pl.lit(self.source), loaded_at=pl.lit(self.now), import_id=pl.lit(self.import_id)
        )
        return complete.select(EVENTS_SCHEMA.names).to_arrow().cast(EVENTS_SCHEMA)


class EventStore(Protocol):
    """A database that keeps events."""

    name: str

    def add_events(self, batches: Iterable[pa.Table], about: Import, place: Callable[[], Place | None]) -> int:
        """Add those that are not there yet, all or none, and remember how far the source was read; how many.

        Args:
            batches: with the columns of `EVENTS_SCHEMA`.
            about: the import.
            place: asked when `batches` has come to its end.
        """
        ...

    def place_of(self, source_key: str) -> Place | None:
        """How far a source was read by the last import."""
        ...

    def forget_engagement_before(self, day: datetime) -> int:
        """Delete opens and clicks older than this; how many."""
        ...

    def campaign_outcomes(self) -> Sequence[CampaignOutcome]:
        """What became of each campaign of `mailvet_sends`, the newest first."""
        ...

    def close(self) -> None:
        """End the session."""


_KEYS = ("event_id", "email_key", "mailbox_key")
_KNOWN = "mailvet_known_events"
_BATCH = "mailvet_event_batch"


_UNLIKE = " using compression uncompressed"
"""In DuckDB, of columns whose rows are hardly ever alike: to look for a way to make it smaller costs more than it."""


def _kind(field: pa.Field) -> str:
    if field.name in _KEYS:
        return "key"
    return "timestamp" if field.type == _TIME else str(field.type)


def _columns(say: Dialect, *, key: str = "", unlike: str = "") -> str:
    types = {**say.types, "key": say.key_type}
    return ", ".join(
        f"{say.own(field.name)} {types[_kind(field)]}"
        + (unlike if field.name in _KEYS else "")
        + ("" if field.nullable else " not null")
        + (key if field.name == "event_id" else "")
        for field in EVENTS_SCHEMA
    )


def _import_columns(say: Dialect) -> str:
    types = {**say.types, "key": say.key_type}
    return ", ".join(f"{say.own(name)} {types[kind]}" for name, kind in IMPORT_COLUMNS.items())


def _insert(say: Dialect, staged: str) -> str:
    """Add what is not there yet; of several rows of one event the one that is dated first."""
    names = ", ".join(map(say.own, EVENTS_SCHEMA.names))
    return (
        f"insert into {EVENTS} ({names}) select {names} from (select mailvet__n.*, row_number() over (partition by "
        f"event_id order by occurred_at, event) as mailvet__place from {staged} mailvet__n) mailvet__new "
        f"where mailvet__place = 1 and not exists (select 1 from {EVENTS} mailvet__old "
        "where mailvet__old.event_id = mailvet__new.event_id)"
    )


def _remember(say: Dialect, about: Import, place: Place) -> list[str]:
    names = ", ".join(map(say.own, IMPORT_COLUMNS))
    values = (
        f"{literal(about.source_key)}, {say.literal(about.source)}, {literal(about.sender)}, {place.octets}, "
        f"{literal(place.digest)}, {literal(about.import_id)}, {say.moment(about.now)}"
    )
    return [
        f"delete from {IMPORTS} where source_key = {literal(about.source_key)}",
        f"insert into {IMPORTS} ({names}) values ({values})",
    ]


def _place_query(source_key: str) -> str:
    return f"select octets, digest from {IMPORTS} where source_key = {literal(source_key)}"


def _engagement_before(say: Dialect, day: datetime) -> str:
    words = ", ".join(literal(word) for event in (EventWord.open, EventWord.click) for word in words_of(event))
    return f"delete from {EVENTS} where lower({say.own('event')}) in ({words}) and occurred_at < {say.moment(day)}"


_OLDER = ("email_key", "event", "occurred_at")
"""Columns that a table of events of any version has."""


def _missing(names: Iterable[str]) -> list[pa.Field]:
    """The columns that a table of an older version lacks."""
    present = {name.lower() for name in names}
    if lacking := [name for name in _OLDER if name not in present]:
        raise SourceError(
            f"There is a table {EVENTS} that is not mailvet's: it has no column {', '.join(lacking)}. Rename "
            "it, or name it as [history] events and import into another database."
        )
    return [field for field in EVENTS_SCHEMA if field.name not in present]


def _backfill(say: Dialect) -> str:
    """The statement that gives events of an older version an `event_id` of their own."""
    parts = ["email_key", say.own("event"), say.text("occurred_at")]
    what = say.joined("'older|'", *(f"coalesce({say.text(part)}, '')" for part in parts))
    return f"update {EVENTS} set event_id = {say.key(what)}, echo = 0 where event_id is null"


class SQLEvents:
    """The events of a SQL database.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_events(self, batches: Iterable[pa.Table], about: Import, place: Callable[[], Place | None]) -> int:
        """See `EventStore.add_events`."""
        session, say = self._session, self._session.say
        with session.doing("write the events"):
            staged = session.stage_empty("new_events", {field.name: _kind(field) for field in EVENTS_SCHEMA})
            for batch in batches:
                session.append(staged, batch)
            self._make()
            session.analyze(staged)
            with session.transaction():
                added = session.execute(_insert(say, staged))
                read_to = place()
                if about.source_key and read_to is not None:
                    for statement in _remember(say, about, read_to):
                        session.execute(statement)
            session.unstage("new_events")
        return added

    def _make(self) -> None:
        session, say = self._session, self._session.say
        if session.has(EVENTS):
            self._upgrade()
        else:
            with session.transaction():
                session.execute(f"create table {EVENTS} ({_columns(say, key=say.primary_key)}){say.table_options}")
        if not session.has(IMPORTS):
            with session.transaction():
                session.execute(f"create table {IMPORTS} ({_import_columns(say)}){say.table_options}")

    def _upgrade(self) -> None:
        session, say = self._session, self._session.say
        names = [field.name for field in EVENTS_SCHEMA if session.has_column(EVENTS, say.own(field.name))]
        types = {**say.types, "key": say.key_type}
        missing = _missing(names)
        for field in missing:
            statement = say.add_column.format(table=EVENTS, name=say.own(field.name), kind=types[_kind(field)])
            try:
                session.execute(statement)
            except Exception:
                if not session.has_column(EVENTS, say.own(field.name)):  # unless another import was quicker
                    raise
        if any(field.name == "event_id" for field in missing):
            session.execute(_backfill(say))

    def place_of(self, source_key: str) -> Place | None:
        """See `EventStore.place_of`."""
        session = self._session
        with session.doing("read how far a source was imported"):
            rows = session.rows(_place_query(source_key)) if session.has(IMPORTS) else []
        return _place(rows)

    def forget_engagement_before(self, day: datetime) -> int:
        """See `EventStore.forget_engagement_before`."""
        session = self._session
        with session.doing("delete old opens and clicks"):
            return session.execute(_engagement_before(session.say, day)) if session.has(EVENTS) else 0


class DuckDBEvents:
    """The events of a DuckDB database.

    Args:
        session: with the database.
    """

    def __init__(self, session: DuckDBSession) -> None:
        self._session = session

    def add_events(self, batches: Iterable[pa.Table], about: Import, place: Callable[[], Place | None]) -> int:
        """See `EventStore.add_events`."""
        db, added = self._session.db, 0
        self._make()
        with self._session.transaction():
            # Keys as numbers of 64 bits: most batches hold nothing that is there already, and this tells it without
            # reading keys of 32 characters through and through.
            db.execute(f"create or replace temp table {_KNOWN} as select hash(event_id) as h from {EVENTS}")
            for batch in batches:
                added += self._add(batch)
            read_to = place()
            if about.source_key and read_to is not None:
                for statement in _remember(DuckDB(), about, read_to):
                    db.execute(statement)
            db.execute(f"drop table temp.{_KNOWN}")
        return added

    def _add(self, batch: pa.Table) -> int:
        db, names = self._session.db, ", ".join(EVENTS_SCHEMA.names)
        without_zone = [field.with_type(pa.timestamp("us")) if field.type == _TIME else field for field in batch.schema]
        db.register(_BATCH, batch.cast(pa.schema(without_zone)))
        try:
            rows, distinct, known = self._session.one(
                f"select count(*), count(distinct h), count(*) filter (h in (select h from temp.{_KNOWN})) "
                f"from (select hash(event_id) as h from {_BATCH})"
            )
            if rows == distinct and not known:
                statement = f"insert into {EVENTS} ({names}) select {names} from {_BATCH}"
            else:
                statement = _insert(DuckDB(), _BATCH)
            added = int(db.execute(statement).fetchall()[0][0])
            db.execute(f"insert into temp.{_KNOWN} select distinct hash(event_id) from {_BATCH}")
        finally:
            db.unregister(_BATCH)
        return added

    def _make(self) -> None:
        say, db = DuckDB(), self._session.db
        if self._session.has(EVENTS):
            present = [row[0] for row in db.execute(f"describe {EVENTS}").fetchall()]
            missing = _missing(present)
            types = {**say.types, "key": say.key_type}
            with self._session.transaction():
                for field in missing:
                    db.execute(f"alter table {EVENTS} add column {field.name} {types[_kind(field)]}")
                if any(field.name == "event_id" for field in missing):
                    db.execute(_backfill(say))
        else:
            # Without an index: to keep one of a million keys costs more than all the rest, and there is one writer.
            db.execute(f"create table {EVENTS} ({_columns(say, unlike=_UNLIKE)})")
        db.execute(f"create table if not exists {IMPORTS} ({_import_columns(say)})")

    def place_of(self, source_key: str) -> Place | None:
        """See `EventStore.place_of`."""
        return _place(self._session.rows(_place_query(source_key)) if self._session.has(IMPORTS) else [])

    def forget_engagement_before(self, day: datetime) -> int:
        """See `EventStore.forget_engagement_before`."""
        if not self._session.has(EVENTS):
            return 0
        return int(self._session.db.execute(_engagement_before(DuckDB(), day)).fetchall()[0][0])


def _place(rows: Iterable[tuple[Any, ...]]) -> Place | None:
    return next((Place(int(octets), str(digest)) for octets, digest in rows), None)
