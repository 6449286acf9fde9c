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
from mailvet.policies import recommendation_sql
from mailvet.verdict import email_key, verdict_schema
from mailvet.warehouse.backends.duckdb.due import PlannedDuckDB
from mailvet.warehouse.backends.duckdb.rewriting import is_our_own, rewrite
from mailvet.warehouse.backends.duckdb.session import (
    MEMORY,
    SAY,
    TYPES,
    columns_of,
    is_blank,
    naive,
    open_database,
    quote,
    with_zone,
    without_zone,
    writing,
)
from mailvet.warehouse.clocks import CLOCK_TOLERANCE, latest_believed
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.erasure import COPIES, FREED_BLOCKS, OWN_ROWS, UNNAMED, Statements, Wanted, erase
from mailvet.warehouse.mailboxes import backfill_sql, missing_verdicts
from mailvet.warehouse.rules import rank
from mailvet.warehouse.servers import (
    CANARIES_PER_HOST,
    CANARY_AGE,
    CANARY_SCHEMA,
    MOST_CANARIES,
    SERVER_SCHEMA,
    SERVERS,
)
from mailvet.warehouse.store import KNOWN_FOR, SILENT

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.warehouse.leases import Lease

__all__ = ["DuckDBVerdicts"]

log = logging.getLogger(__name__)

_ANSWER = (
    "email_key",
    "status",
    "reason",
    "recommendation",
    "score",
    "suggestion",
    "flags",
    "smtp_code",
    "smtp_reply",
    "depth",
    "attempts",
    "checked_at",
    "next_check_at",
    "rules_version",
)
"""What of a verdict can end up beside a contact or say when it is due."""

_STORED_AS = {"email_key": " using compression uncompressed", "email": " using compression uncompressed"}
"""No two rows are alike: to look for a way to make them smaller costs more than all the rest of saving."""

_RANK = rank("{}")

_RUNS = """
create table if not exists mailvet_runs (
  run_id varchar primary key, source varchar, started_at timestamp, finished_at timestamp, depth varchar,
  policy varchar, rows bigint, addresses bigint, due bigint, checked bigint, written bigint, by_status varchar,
  by_reason varchar, by_recommendation varchar, by_operator varchar, probes bigint, lookups bigint, seconds double,
  health varchar, mailvet_version varchar, rules_version varchar, fingerprint varchar, outcome varchar
)
"""

_RUNS_GREW = tuple(
    f"alter table mailvet_runs add column if not exists {name} varchar" for name in ("fingerprint", "outcome")
)


_SERVERS = (
    f"create table if not exists {SERVERS} ("
    + ", ".join(
        f"{field.name} {TYPES[str(field.type)]}{'' if field.nullable else ' not null'}" for field in SERVER_SCHEMA
    )
    + ")"
)


class DuckDBVerdicts(PlannedDuckDB):
    """A session that saves verdicts."""

    _stored_rows: int | None = None
    _rewritten: Path | None = None
    """The store to be written anew on closing."""
    saves_cheaply = True

    @property
    def store_id(self) -> str | None:
        """See `Warehouse.store_id`."""
        (path,) = self._one("select path from duckdb_databases() where database_name = current_database()")
        return f"duckdb:{Path(path).resolve()}" if path else None

    def take_lease(self, run_id: str, holder: str) -> Lease | None:
        """See `Warehouse.take_lease`; the lock of the file says who is at work."""
        return None

    def renew_lease(self, run_id: str) -> None:
        """See `Warehouse.renew_lease`."""

    def release_lease(self, run_id: str) -> None:
        """See `Warehouse.release_lease`."""

    def reconnect(self) -> bool:
        """See `Warehouse.reconnect`; a file is never lost in that way."""
        return False

    def from_the_future(self, now: datetime) -> int:
        """See `Warehouse.from_the_future`."""
        if not self._has("mailvet_verdicts"):
            return 0
        return int(
            self._one("select count(*) from mailvet_verdicts where checked_at > $1", [naive(latest_believed(now))])[0]
        )

    def checked_at(self, keys: Sequence[str]) -> dict[str, datetime]:
        """See `Warehouse.checked_at`."""
        if not self._has("mailvet_verdicts"):
            return {}
        query = "select email_key, checked_at from mailvet_verdicts where email_key in (select unnest($1))"
        return {key: moment.replace(tzinfo=timezone.utc) for key, moment in self._rows(query, [list(keys)])}

    def open_for_writing(self) -> None:
        """See `Warehouse.open_for_writing`."""
        columns = ",\n  ".join(
            f"{field.name} {TYPES[str(field.type)]}{_STORED_AS.get(field.name, '')}"
            + ("" if field.nullable else " not null")
            for field in verdict_schema()
        )
        self._check_own_tables()
        with writing(self.path):
            self._db.execute(f"create table if not exists mailvet_verdicts (\n  {columns}\n)")
            for statement in (_RUNS, *_RUNS_GREW, _SERVERS):
                self._db.execute(statement)
            self._upgrade()
            self._drop_duplicates()
            if self._has_cells:
                self._drop_missing()

    def written_digest(self, path: Path) -> str | None:
        """See `Warehouse.written_digest`."""
        if not self._has("mailvet_outputs"):
            return None
        found = self._rows("select digest from mailvet_outputs where path = $1", [str(path.resolve())])
        return str(found[0][0]) if found else None

    def note_written(self, digests: Mapping[Path, str]) -> None:
        """See `Warehouse.note_written`."""
        with contextlib.suppress(duckdb.Error):
            self._db.execute("create table if not exists mailvet_outputs (path varchar, digest varchar)")
            for path, digest in digests.items():
                self._db.execute("delete from mailvet_outputs where path = $1", [str(path.resolve())])
                self._db.execute("insert into mailvet_outputs values ($1, $2)", [str(path.resolve()), digest])

    def _upgrade(self) -> None:
        """Bring a table of verdicts that an older version made up to date: in place, and once."""
        if "mailbox_key" in self._verdict_columns():
            return
        self._stored_rows = self._counts = None
        self._db.execute("begin")
        try:
            self._db.execute("alter table mailvet_verdicts add column mailbox_key varchar")
            self._db.execute(f"delete from mailvet_verdicts where {missing_verdicts(SAY)}")
            self._db.execute(backfill_sql(SAY, "mailvet_verdicts"))
            self._db.execute("commit")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self._db.execute("rollback")
            raise

    def _drop_duplicates(self) -> None:
        """Of several verdicts of one key, which another tool may have made, the newest stays."""
        hashes = "select count(*), count(distinct hash(email_key)) from mailvet_verdicts"
        rows, keys = self._one(hashes)
        if rows == keys:
            return
        self._stored_rows = self._counts = None
        doubles = (
            "select rowid from mailvet_verdicts qualify row_number() over (partition by email_key "
            "order by checked_at desc nulls last, rowid desc) > 1"
        )
        self._db.execute(f"delete from mailvet_verdicts where rowid in ({doubles})")

    def _verdict_columns(self) -> list[str]:
        return columns_of(self._db, "mailvet_verdicts")

    def _drop_missing(self) -> None:
        """Drop the verdicts that an older version, or another tool, gave to cells of this source without an address."""
        blank = f"select sha256(email) from mailvet_texts where {is_blank('email')}"
        found = f"from mailvet_verdicts where email_key in ({blank})"
        if self._rows(f"select 1 {found} limit 1"):
            self._stored_rows = self._counts = None
            self._db.execute(f"delete {found}")

    def servers(self) -> pa.Table:
        """See `Warehouse.servers`."""
        if not self._has(SERVERS):
            return SERVER_SCHEMA.empty_table()
        names = ", ".join(SERVER_SCHEMA.names)
        return self._arrow(f"select {names} from {SERVERS}").cast(SERVER_SCHEMA)

    def canaries(self, now: datetime) -> pa.Table:
        """See `Warehouse.canaries`."""
        if not self._has("mailvet_verdicts"):
            return CANARY_SCHEMA.empty_table()
        cell = SAY.after_at("folded")
        return self._arrow(
            "select v.mx_host, coalesce(v.email, t.email) as email, v.checked_at from mailvet_verdicts v "
            "left join mailvet_cells t using (email_key) "
            "where v.reason = 'mailbox_accepted' and v.checked_at >= $1 and v.mx_host in "
            "(select mx_host from mailvet_verdicts where mx_host is not null and domain in "
            f"(select {cell} from {self._due_cells()})) and coalesce(v.email, t.email) is not null "
            "qualify row_number() over (partition by v.mx_host order by v.checked_at desc, v.email_key) "
            f"<= {CANARIES_PER_HOST} order by v.checked_at desc limit {MOST_CANARIES}",
            [naive(now - CANARY_AGE)],
        ).cast(CANARY_SCHEMA)

    def save_servers(self, rows: pa.Table) -> None:
        """See `Warehouse.save_servers`."""
        db = self._db
        db.register("mailvet_places", without_zone(rows))
        try:
            with writing(self.path):
                db.execute("begin")
                try:
                    db.execute(f"delete from {SERVERS} where place in (select place from mailvet_places)")
                    db.execute(
                        f"insert into {SERVERS} by name select * from mailvet_places "
                        "where suspected_since is not null or refused_words is not null"
                    )
                    db.execute("commit")
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        db.execute("rollback")
                    raise
        finally:
            db.unregister("mailvet_places")

    def save(self, verdicts: pa.Table) -> None:
        """
        See `Warehouse.save`. Old rows are deleted and new ones appended: an update in an order that is not the table's
        would cost a hundred times as much, and so would an index on keys of 64 characters, which a database with one
        writer can do without.
        """
        silent = ", ".join(literal(reason) for reason in SILENT)
        known = (
            f"b.reason in ({silent}) and v.status <> 'unknown' "
            f"and b.checked_at < v.checked_at + interval {KNOWN_FOR.days} days "
            f"and v.checked_at <= b.checked_at + interval {CLOCK_TOLERANCE.seconds} seconds"
        )
        # How deep we asked and when to ask again go by the newest answer that went as deep.
        kept = (
            "select v.* replace (b.depth as depth, b.next_check_at as next_check_at), "
            f"{_RANK.format('b.depth')} >= {_RANK.format('v.depth')} as deep_enough "
            f"from mailvet_batch b join mailvet_verdicts v using (email_key) where {known}"
        )
        self._note_stored()
        stored = "select h from mailvet_stored where h in (select hash(email_key) from mailvet_batch)"
        self.check_still_there()
        with self._batch(verdicts):
            if self._rows(f"{stored} limit 1"):
                self._db.execute(f"create or replace temp table mailvet_kept as {kept}")
                self._db.execute(
                    "delete from mailvet_verdicts where email_key in (select email_key from mailvet_batch) "
                    "and email_key not in (select email_key from mailvet_kept where not deep_enough)"
                )
                self._db.execute(
                    "insert into mailvet_verdicts by name select * from mailvet_batch "
                    "where email_key not in (select email_key from mailvet_kept) "
                    "union all by name select * exclude (deep_enough) from mailvet_kept where deep_enough"
                )
                self._db.execute(
                    "insert into mailvet_stored select hash(email_key) as h from mailvet_batch "
                    f"where h not in ({stored})"
                )
            else:
                self._db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")
                self._db.execute("insert into mailvet_stored select hash(email_key) from mailvet_batch")
        self._stored_rows = self._count_stored()

    def _note_stored(self) -> None:
        """
        The keys of all verdicts as numbers of 64 bits: `mailvet_stored`. Most batches of a run hold nothing that is
        stored already, and this tells it without reading keys of 64 characters through and through.
        """
        count = self._count_stored()
        if self._stored_rows != count:
            self._db.execute(
                "create or replace temp table mailvet_stored as select hash(email_key) as h from mailvet_verdicts"
            )
            self._stored_rows = count

    @contextlib.contextmanager
    def _batch(self, verdicts: pa.Table) -> Iterator[None]:
        """Verdicts as `mailvet_batch`, and a transaction around what is done with them."""
        db = self._db
        self._counts = None
        db.register("mailvet_batch", without_zone(verdicts))
        try:
            with writing(self.path):
                db.execute("begin")
                try:
                    yield
                    db.execute("commit")
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        db.execute("rollback")
                    raise
        finally:
            db.unregister("mailvet_batch")

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.replies`."""
        last = ""
        while self._has("mailvet_verdicts"):
            batch = with_zone(
                self._arrow(
                    "select * from mailvet_verdicts where smtp_code >= 400 and smtp_reply is not null "
                    f"and email_key > {literal(last)} order by email_key limit {batch_rows}"
                )
            )
            if not batch.num_rows:
                return
            yield batch
            last = batch["email_key"][-1].as_py()

    def revise(self, verdicts: pa.Table) -> None:
        """See `Warehouse.revise`."""
        self._stored_rows = None
        with writing(self.path):
            self._upgrade()
        with self._batch(verdicts):
            self._db.execute("delete from mailvet_verdicts where email_key in (select email_key from mailvet_batch)")
            self._db.execute("insert into mailvet_verdicts by name select * from mailvet_batch")

    def apply_policy(self) -> int:
        """See `Warehouse.apply_policy`; a run does this when everything is saved."""
        self._may_use(MEMORY)
        self._need_cells()
        self._counts = None
        advice = recommendation_sql(self.policy, reason="reason", score="score", attempts="attempts")
        with writing(self.path):
            return int(
                self._one(
                    f"update mailvet_verdicts set recommendation = {advice} where recommendation <> {advice} "
                    "and email_key in (select email_key from mailvet_cells)"
                )[0]
            )

    def fingerprint(self, context: str, now: datetime) -> str | None:
        """See `HasFingerprint.fingerprint`: two sums of 64 bits over the rows of either table, in any order."""
        if not self._has("mailvet_verdicts"):
            return None
        columns = {name.lower(): name for name in columns_of(self._db, self.relation)}
        written = [columns[own] for own in ((self._prefix + name).lower() for name in _ANSWER) if own in columns]
        sums = "select count(*), sum(h)::varchar, bit_xor(hash(h, 1)) from (select hash({}) as h from {})"
        source = sums.format(", ".join([self._cell, *map(quote, written)]), f"{self.relation} where {self._where}")
        verdicts = sums.format(", ".join(_ANSWER), "mailvet_verdicts")
        if self._rows("select 1 from mailvet_verdicts where next_check_at <= $1 limit 1", [naive(now)]):
            return None
        state = [context, self.relation, self.column, self._where, duckdb.__version__, written]
        state += [str(self._rows(query)) for query in (source, verdicts)]
        return email_key(json.dumps(state))

    def last_outcome(self, fingerprint: str) -> str | None:
        """See `HasFingerprint.last_outcome`."""
        grown = "select 1 from duckdb_columns() where table_name = 'mailvet_runs' and column_name = 'fingerprint'"
        if not self._rows(grown):
            return None
        found = self._rows(
            "select outcome from mailvet_runs where fingerprint = $1 order by started_at desc limit 1", [fingerprint]
        )
        return found[0][0] if found else None

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `Warehouse.save_run`."""
        values = {
            name: json.dumps(value)
            if isinstance(value, dict)
            else naive(value)
            if isinstance(value, datetime)
            else value
            for name, value in run.items()
        }
        places = ", ".join("$" + name for name in values)
        with writing(self.path):
            self._db.execute(f"insert or replace into mailvet_runs ({', '.join(values)}) values ({places})", values)

    def forget_before(self, day: datetime) -> int:
        """See `Warehouse.forget_before`."""
        self._stored_rows = self._counts = None
        with writing(self.path):
            if self._has(SERVERS):
                self._db.execute(f"delete from {SERVERS} where changed_at < $1", [naive(day)])
            dropped = int(self._one("delete from mailvet_verdicts where checked_at < $1", [naive(day)])[0])
        if dropped:
            self._mark_for_rewriting()
        return dropped

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `Warehouse.stored`."""
        if not self._has("mailvet_verdicts"):
            return None
        rows = with_zone(
            self._arrow(
                f"select * from mailvet_verdicts where email_key = sha256($text) "
                f"or {SAY.fold('email')} = $folded "
                "order by email_key <> sha256($text), checked_at desc limit 1",
                {"text": address, "folded": address.strip().lower()},
            )
        )
        return rows.to_pylist()[0] if rows.num_rows else None

    def forget(self, address: str, *, domain: bool = False) -> int:
        """See `Warehouse.forget`. A store of our own is rewritten: at once, or with a source when that is closed."""
        wanted = Wanted.of(address, domain=domain)
        self._stored_rows = self._counts = None
        with writing(self.path):
            if self._has("mailvet_verdicts"):
                self._upgrade()
            self._db.execute("begin")
            try:
                count = erase(wanted, Statements(SAY, self._rows, self._db.execute, self._has))
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self._db.execute("rollback")
                raise
            self._db.execute("checkpoint")  # out of the write-ahead log as well
        self._mark_for_rewriting()
        if self._rewritten is not None and not self.relation:
            path, self._rewritten = self._rewritten, None
            self._db.close()
            try:
                rewrite(path)
            finally:
                self._db = open_database(path)
                self._file = self._identity()
        return count

    def out_of_reach(self) -> Sequence[str]:
        """See `Warehouse.out_of_reach`."""
        remains = [UNNAMED] if self._holds_unnamed() else []
        if not self._owned or not is_our_own(self._db):
            remains += [FREED_BLOCKS, OWN_ROWS]
        return [*remains, COPIES]

    def _holds_unnamed(self) -> bool:
        return self._has("mailvet_verdicts") and bool(
            self._rows("select 1 from mailvet_verdicts where email is null limit 1")
        )

    def _mark_for_rewriting(self) -> None:
        """Deleted rows stay in the file's blocks; a store of our own is written anew when it can be."""
        if self._owned and is_our_own(self._db):
            self._rewritten = Path(
                self._one("select path from duckdb_databases() where database_name = current_database()")[0]
            )

    def close(self) -> None:
        """See `Warehouse.close`."""
        super().close()
        path, self._rewritten = self._rewritten, None
        if path is not None:
            try:
                rewrite(path)
            except SourceError as error:
                log.warning("what was dropped is still in blocks of the store: %s", error)
