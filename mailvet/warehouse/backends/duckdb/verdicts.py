"""DuckDB: verdicts and runs, as they are saved, looked up, brought in line and forgotten."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import SourceError
from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.duckdb.connection import open_database, writing
from mailvet.warehouse.backends.duckdb.expressions import KEY, SAY, TYPES, is_blank, naive, with_zone, without_zone
from mailvet.warehouse.backends.duckdb.relations import columns_of
from mailvet.warehouse.backends.duckdb.rewriting import is_our_own, rewrite
from mailvet.warehouse.backends.duckdb.session import Session
from mailvet.warehouse.clocks import CLOCK_TOLERANCE, latest_believed
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.due_rule import rank
from mailvet.warehouse.erasure import COPIES, FREED_BLOCKS, OWN_ROWS, UNNAMED, Statements, Wanted, erase
from mailvet.warehouse.events import DuckDBEvents
from mailvet.warehouse.mailboxes import backfill_sql, missing_verdicts
from mailvet.warehouse.own_tables import (
    BACKFILL_PROBABILITY,
    OUTPUT_COLUMNS,
    OUTPUTS,
    RUN_COLUMNS,
    RUNS,
    SERVER_COLUMNS,
    SERVERS,
    VERDICTS,
)
from mailvet.warehouse.sends import DuckDBSends
from mailvet.warehouse.servers import SERVER_SCHEMA
from mailvet.warehouse.store import KNOWN_FOR, SILENT

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.warehouse.leases import Lease

__all__ = ["DuckDBVerdicts", "one_writer"]

log = logging.getLogger(__name__)

_STORED_AS = {"email_key": " using compression uncompressed", "email": " using compression uncompressed"}
"""No two rows are alike: to look for a way to make them smaller costs more than all the rest of saving."""

_RANK = rank("{}")

_ADDED_TO_RUNS = ("fingerprint", "outcome")
"""Columns of `mailvet_runs` that DuckDB alone has: for `HasFingerprint`."""


def _creation(table: str, kinds: Mapping[str, str], *, required: Sequence[str] = (), key: str | None = None) -> str:
    """The statement that makes a table of ours where it is not there yet; types by the names of `Dialect.types`."""
    behind = dict.fromkeys(required, " not null") | ({key: " primary key"} if key else {})
    columns = ", ".join(f"{name} {SAY.types[kind]}{behind.get(name, '')}" for name, kind in kinds.items())
    return f"create table if not exists {table} ({columns})"


class DuckDBVerdicts:
    """The verdicts of a DuckDB database.

    Args:
        session: with the database.
        has_source: a source is read in the same session, so that a store is written anew only when that is closed.
    """

    saves_cheaply = True
    abandoned = False

    def __init__(self, session: Session, *, has_source: bool = False) -> None:
        self._session, self._has_source = session, has_source
        self.name = session.path.name
        self._stored_rows: int | None = None
        self._rewritten: Path | None = None
        """The store to be written anew on closing."""
        self.interrupt, self.check_still_there = session.interrupt, session.check_still_there
        events = DuckDBEvents(session)
        self.add_events, self.place_of = events.add_events, events.place_of
        self.forget_engagement_before = events.forget_engagement_before
        self.campaign_outcomes = DuckDBSends(session).outcomes

    @property
    def store_id(self) -> str | None:
        """See `VerdictStore.store_id`."""
        (path,) = self._session.one("select path from duckdb_databases() where database_name = current_database()")
        return f"duckdb:{Path(path).resolve()}" if path else None

    def asked_today(self, now: datetime) -> dict[str, int]:
        """See `VerdictStore.asked_today`."""
        if not self._session.has(VERDICTS):
            return {}
        return dict(
            self._session.rows(
                f"select operator, count(*) from {VERDICTS} where smtp_code is not null and operator is not null "
                "and checked_at >= date_trunc('day', $1::timestamp) group by 1",
                [naive(now)],
            )
        )

    def take_lease(self, run_id: str, holder: str) -> Lease | None:
        """See `VerdictStore.take_lease`; the lock of the file says which run is at work."""
        return None

    def renew_lease(self, run_id: str) -> None:
        """See `VerdictStore.renew_lease`."""

    def release_lease(self, run_id: str) -> None:
        """See `VerdictStore.release_lease`."""

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `VerdictStore.save_shards`."""
        raise one_writer(self._session.database_name)

    def _changed(self) -> None:
        """Verdicts may be others now than they were."""
        self._session.changes += 1
        self._stored_rows = None

    def open_for_writing(self) -> None:
        """See `VerdictStore.open_for_writing`."""
        columns = ",\n  ".join(
            f"{field.name} {TYPES[str(field.type)]}{_STORED_AS.get(field.name, '')}"
            + ("" if field.nullable else " not null")
            for field in verdict_schema()
        )
        session = self._session
        session.check_own_tables()
        with writing(session.path):
            session.db.execute(f"create table if not exists {VERDICTS} (\n  {columns}\n)")
            session.db.execute(_creation(RUNS, RUN_COLUMNS | dict.fromkeys(_ADDED_TO_RUNS, "string"), key="run_id"))
            for name in _ADDED_TO_RUNS:
                session.db.execute(f"alter table {RUNS} add column if not exists {name} varchar")
            required = [field.name for field in SERVER_SCHEMA if not field.nullable]
            session.db.execute(_creation(SERVERS, SERVER_COLUMNS, required=required))
            self._upgrade()
            self._drop_duplicates()

    def drop_missing(self) -> None:
        """Drop the verdicts that an older version, or another tool, gave to cells of the source without an address."""
        blank = f"select {KEY} from mailvet_texts where {is_blank('email')}"
        found = f"from {VERDICTS} where email_key in ({blank})"
        if self._session.rows(f"select 1 {found} limit 1"):
            self._changed()
            with writing(self._session.path):
                self._session.db.execute(f"delete {found}")

    def reconnect(self) -> bool:
        """See `VerdictStore.reconnect`; a file is never lost in that way."""
        return False

    def from_the_future(self, now: datetime) -> int:
        """See `VerdictStore.from_the_future`."""
        if not self._session.has(VERDICTS):
            return 0
        query = f"select count(*) from {VERDICTS} where checked_at > $1"
        return int(self._session.one(query, [naive(latest_believed(now))])[0])

    def checked_at(self, keys: Sequence[str]) -> dict[str, datetime]:
        """See `VerdictStore.checked_at`."""
        if not self._session.has(VERDICTS):
            return {}
        query = "select email_key, checked_at from mailvet_verdicts where email_key in (select unnest($1))"
        return {key: moment.replace(tzinfo=timezone.utc) for key, moment in self._session.rows(query, [list(keys)])}

    def verdicts(self, keys: Sequence[str]) -> pa.Table:
        """The verdicts of these keys, as far as there are any."""
        if not self._session.has(VERDICTS):
            return verdict_schema().empty_table()
        self._note_stored()  # few keys of many: numbers of 64 bits first
        found = self._session.rows(
            "select k from (select unnest($1) as k) where hash(k) in (select h from mailvet_stored)", [list(keys)]
        )
        names = [name for name in verdict_schema().names if name in self._verdict_columns()]
        rows = self._session.arrow(
            f"select {', '.join(names)} from {VERDICTS} where email_key in (select unnest($1))",
            [[key for (key,) in found]],
        )
        return with_zone(rows)

    def written_digest(self, path: Path) -> str | None:
        """See `VerdictStore.written_digest`."""
        if not self._session.has(OUTPUTS):
            return None
        found = self._session.rows("select digest from mailvet_outputs where path = $1", [str(path.resolve())])
        return str(found[0][0]) if found else None

    def note_written(self, digests: Mapping[Path, str]) -> None:
        """See `VerdictStore.note_written`."""
        with contextlib.suppress(duckdb.Error):
            self._session.db.execute(_creation(OUTPUTS, OUTPUT_COLUMNS))
            for path, digest in digests.items():
                self._session.db.execute("delete from mailvet_outputs where path = $1", [str(path.resolve())])
                self._session.db.execute("insert into mailvet_outputs values ($1, $2)", [str(path.resolve()), digest])

    def _upgrade(self) -> None:
        """Bring a table of verdicts that an older version made up to date: in place, and once."""
        present, db = self._verdict_columns(), self._session.db
        if "mailbox_key" not in present:
            self._changed()
            with self._session.transaction():
                db.execute("alter table mailvet_verdicts add column mailbox_key varchar")
                db.execute(f"delete from mailvet_verdicts where {missing_verdicts(SAY)}")
                db.execute(backfill_sql(SAY, VERDICTS))
        if "bounce_probability" not in present:
            self._changed()
            with self._session.transaction():
                db.execute("alter table mailvet_verdicts add column bounce_probability double")
                db.execute(BACKFILL_PROBABILITY)

    def _drop_duplicates(self) -> None:
        """Of several verdicts of one key, which another tool may have made, the newest stays."""
        hashes = "select count(*), count(distinct hash(email_key)) from mailvet_verdicts"
        rows, keys = self._session.one(hashes)
        if rows == keys:
            return
        self._changed()
        doubles = (
            "select rowid from mailvet_verdicts qualify row_number() over (partition by email_key "
            "order by checked_at desc nulls last, rowid desc) > 1"
        )
        self._session.db.execute(f"delete from mailvet_verdicts where rowid in ({doubles})")

    def _verdict_columns(self) -> list[str]:
        return columns_of(self._session.db, VERDICTS)

    def servers(self) -> pa.Table:
        """See `VerdictStore.servers`."""
        if not self._session.has(SERVERS):
            return SERVER_SCHEMA.empty_table()
        names = ", ".join(SERVER_SCHEMA.names)
        return self._session.arrow(f"select {names} from {SERVERS}").cast(SERVER_SCHEMA)

    def save_servers(self, rows: pa.Table) -> None:
        """See `VerdictStore.save_servers`."""
        db = self._session.db
        db.register("mailvet_places", without_zone(rows))
        try:
            with writing(self._session.path), self._session.transaction():
                db.execute(f"delete from {SERVERS} where place in (select place from mailvet_places)")
                db.execute(
                    f"insert into {SERVERS} by name select * from mailvet_places "
                    "where suspected_since is not null or refused_words is not null"
                )
        finally:
            db.unregister("mailvet_places")

    def save(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.save`.

        Old rows are deleted and new ones appended: an update in an order that is not the table's would cost a hundred
        times as much, and so would an index on keys of 64 characters, which a database with one writer can do without.
        """
        silent = ", ".join(literal(reason) for reason in SILENT)
        known = (
            f"b.reason in ({silent}) and v.status <> 'unknown' "
            f"and b.checked_at < v.checked_at + interval {KNOWN_FOR.days} days "
            f"and v.checked_at <= b.checked_at + interval {CLOCK_TOLERANCE.seconds} seconds"
        )
        # How deep we asked and when to ask again go by the newest verdict that went as deep.
        kept = (
            "select v.* replace (b.depth as depth, b.next_check_at as next_check_at), "
            f"{_RANK.format('b.depth')} >= {_RANK.format('v.depth')} as deep_enough "
            f"from mailvet_batch b join mailvet_verdicts v using (email_key) where {known}"
        )
        self._note_stored()
        stored = "select h from mailvet_stored where h in (select hash(email_key) from mailvet_batch)"
        self._session.check_still_there()
        with self._batch(verdicts):
            if self._session.rows(f"{stored} limit 1"):
                self._session.db.execute(f"create or replace temp table mailvet_kept as {kept}")
                self._session.db.execute(
                    "delete from mailvet_verdicts where email_key in (select email_key from mailvet_batch) "
                    "and email_key not in (select email_key from mailvet_kept where not deep_enough)"
                )
                self._session.db.execute(
                    "insert into mailvet_verdicts by name select * from mailvet_batch "
                    "where email_key not in (select email_key from mailvet_kept) "
                    "union all by name select * exclude (deep_enough) from mailvet_kept where deep_enough"
                )
                self._session.db.execute(
                    "insert into mailvet_stored select hash(email_key) as h from mailvet_batch "
                    f"where h not in ({stored})"
                )
            else:
                self._session.db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")
                self._session.db.execute("insert into mailvet_stored select hash(email_key) from mailvet_batch")
        self._stored_rows = self._count()

    def _note_stored(self) -> None:
        """The keys of all verdicts as numbers of 64 bits: `mailvet_stored`.

        Most batches of a run hold nothing that is stored already, and this tells it without reading keys of 64
        characters through and through.
        """
        count = self._count()
        if self._stored_rows != count:
            self._session.db.execute(
                "create or replace temp table mailvet_stored as select hash(email_key) as h from mailvet_verdicts"
            )
            self._stored_rows = count

    @contextlib.contextmanager
    def _batch(self, verdicts: pa.Table) -> Iterator[None]:
        """Verdicts as `mailvet_batch`, and a transaction around what is done with them."""
        db = self._session.db
        self._session.changes += 1
        db.register("mailvet_batch", without_zone(verdicts))
        try:
            with writing(self._session.path), self._session.transaction():
                yield
        finally:
            db.unregister("mailvet_batch")

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `VerdictStore.replies`."""
        last = ""
        while self._session.has(VERDICTS):
            batch = with_zone(
                self._session.arrow(
                    "select * from mailvet_verdicts where smtp_code >= 400 and smtp_reply is not null "
                    f"and email_key > {literal(last)} order by email_key limit {batch_rows}"
                )
            )
            if not batch.num_rows:
                return
            yield batch
            last = batch["email_key"][-1].as_py()

    def revise(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.revise`."""
        self._changed()
        with writing(self._session.path):
            self._upgrade()
        with self._batch(verdicts):
            batch = "select email_key from mailvet_batch"
            self._session.db.execute(f"delete from {VERDICTS} where email_key in ({batch})")
            self._session.db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `VerdictStore.save_run`."""
        values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in run.items()}
        values = {name: naive(value) if isinstance(value, datetime) else value for name, value in values.items()}
        places = ", ".join("$" + name for name in values)
        statement = f"insert or replace into {RUNS} ({', '.join(values)}) values ({places})"
        with writing(self._session.path):
            self._session.db.execute(statement, values)

    def forget_before(self, day: datetime) -> int:
        """See `VerdictStore.forget_before`."""
        self._changed()
        with writing(self._session.path):
            if self._session.has(SERVERS):
                self._session.db.execute(f"delete from {SERVERS} where changed_at < $1", [naive(day)])
            dropped = int(self._session.one("delete from mailvet_verdicts where checked_at < $1", [naive(day)])[0])
        if dropped:
            self._mark_for_rewriting()
        return dropped

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `VerdictStore.stored`."""
        if not self._session.has(VERDICTS):
            return None
        rows = with_zone(
            self._session.arrow(
                f"select * from mailvet_verdicts where email_key = {SAY.key('$text')} "
                f"or {SAY.fold('email')} = $folded "
                f"order by email_key <> {SAY.key('$text')}, checked_at desc limit 1",
                {"text": address, "folded": address.strip().lower()},
            )
        )
        return rows.to_pylist()[0] if rows.num_rows else None

    def forget(self, address: str, *, domain: bool = False) -> int:
        """See `VerdictStore.forget`. A store of our own is rewritten: at once, or with a source when that is closed."""
        wanted = Wanted.of(address, domain=domain)
        self._changed()
        with writing(self._session.path):
            if self._session.has(VERDICTS):
                self._upgrade()
            with self._session.transaction():
                count = erase(wanted, Statements(SAY, self._session.rows, self._session.db.execute, self._session.has))
            self._session.db.execute("checkpoint")  # out of the write-ahead log as well
        self._mark_for_rewriting()
        if self._rewritten is not None and not self._has_source:
            path, self._rewritten = self._rewritten, None
            self._session.db.close()
            try:
                rewrite(path)
            finally:
                self._session.replace(open_database(path))
        return count

    def out_of_reach(self) -> Sequence[str]:
        """See `VerdictStore.out_of_reach`."""
        remains = [UNNAMED] if self._holds_unnamed() else []
        if self._session.access is None or not is_our_own(self._session.db):
            remains += [FREED_BLOCKS, OWN_ROWS]
        return [*remains, COPIES]

    def _holds_unnamed(self) -> bool:
        return self._session.has(VERDICTS) and bool(
            self._session.rows("select 1 from mailvet_verdicts where email is null limit 1")
        )

    def _mark_for_rewriting(self) -> None:
        """Deleted rows stay in the file's blocks; a store of our own is written anew when it can be."""
        if self._session.access is not None and is_our_own(self._session.db):
            self._rewritten = Path(
                self._session.one("select path from duckdb_databases() where database_name = current_database()")[0]
            )

    def _count(self) -> int:
        return int(self._session.one(f"select count(*) from {VERDICTS}")[0])

    def last_outcome(self, fingerprint: str) -> str | None:
        """See `HasFingerprint.last_outcome`."""
        grown = f"select 1 from duckdb_columns() where table_name = '{RUNS}' and column_name = 'fingerprint'"
        if not self._session.rows(grown):
            return None
        found = self._session.rows(
            f"select outcome from {RUNS} where fingerprint = $1 order by started_at desc limit 1", [fingerprint]
        )
        return found[0][0] if found else None

    def close(self) -> None:
        """See `VerdictStore.close`."""
        if self.abandoned:
            return
        self._session.close()
        path, self._rewritten = self._rewritten, None
        if path is not None:
            try:
                rewrite(path)
            except SourceError as error:
                log.warning("what was dropped is still in blocks of the store: %s", error)


def one_writer(name: str) -> SourceError:
    """The error for what several writers would do together."""
    return SourceError(
        f"{name} lies in a DuckDB file, which has one writer at a time, so it is never verified in shards: let one "
        "task verify it, or move the table to PostgreSQL."
    )
