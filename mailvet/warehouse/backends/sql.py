"""
The verdicts of a table of a SQL database, for every database: saving them, writing them back, counting and exporting
them. What is asked is written once, in the words of a `Dialect`; `mailvet.warehouse.session` holds what a statement
needs to get there, `mailvet.warehouse.due` what is asked before anything is verified.

The verdict table lies in the default schema of the connection. Keys are computed by the database from the text as it
is at that moment, so a row that was edited meanwhile matches no answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mailvet.errors import LockedError, MailvetError, SourceError
from mailvet.policies import recommendation_sql
from mailvet.privacy import formula_sql
from mailvet.verdict import email_key, verdict_schema
from mailvet.warehouse import attribution
from mailvet.warehouse.clocks import latest_believed
from mailvet.warehouse.counts import count_query, counted
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.due import PlannedTable
from mailvet.warehouse.erasure import COPIES, OWN_ROWS, UNNAMED, Statements, Wanted, erase
from mailvet.warehouse.files import writing as files_out
from mailvet.warehouse.identifiers import OWN, TableName, parse_table
from mailvet.warehouse.leases import EXPIRES_SECONDS, Lease, is_gone
from mailvet.warehouse.mailboxes import backfill_sql, missing_verdicts
from mailvet.warehouse.rules import ADDED_LATER, RUN_COLUMNS, detailed, falls_due, rank, summarised, verdict_kinds
from mailvet.warehouse.servers import (
    CANARIES_PER_HOST,
    CANARY_AGE,
    CANARY_SCHEMA,
    MOST_CANARIES,
    SERVER_SCHEMA,
    SERVERS,
)
from mailvet.warehouse.session import UTC, VERDICTS, arrays, aware
from mailvet.warehouse.status_columns import check_address_column, check_status_columns, refuse_foreign
from mailvet.warehouse.store import KNOWN_FOR, SILENT, Details, Summary
from mailvet.warehouse.tables import Column, check_targets, may_replace

if TYPE_CHECKING:
    import polars as pl

    from mailvet.gates import VerdictCount

__all__ = ["SQLWarehouse", "newest_of_each"]

log = logging.getLogger("mailvet")

SERVER_KINDS = {field.name: str(field.type).partition("[")[0] for field in SERVER_SCHEMA}
"""Columns of `mailvet_servers` and their types by the names of `Dialect.types`."""

_RUNS = "mailvet_runs"
_SHARDS = "mailvet_shards"
OUTPUTS = "mailvet_outputs"
LEASES = "mailvet_leases"
_CLOCKS = {
    "postgresql": ("now()", f"now() - interval '{EXPIRES_SECONDS} seconds'"),
    "mysql": ("utc_timestamp(6)", f"utc_timestamp(6) - interval {EXPIRES_SECONDS} second"),
    "mariadb": ("utc_timestamp(6)", f"utc_timestamp(6) - interval {EXPIRES_SECONDS} second"),
    "sqlite": (
        "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{EXPIRES_SECONDS} seconds')",
    ),
}
"""Now and when a lease has expired, by the clock of the database, in UTC."""
_SHARDS_KEPT = timedelta(days=7)
_KNOWN_SINCE = "known_since"
_EXPORT_ROWS = 20_000
_KEYS_A_STATEMENT = 500
_WRITE_TRIES = 5
_RUN_TYPES = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "timestamp": UTC}


class SQLWarehouse(PlannedTable):
    """
    One table and its verdicts. Not to be used from two threads at once, but for `interrupt`.
    """

    def open_for_writing(self) -> None:
        """See `Warehouse.open_for_writing`."""
        say = self._say
        verdicts = ", ".join(
            f"{say.own(field.name)} "
            + (
                f"{say.key_type} not null{say.primary_key}"
                if field.name == "email_key"
                else say.key_type
                if field.name == "mailbox_key"
                else say.types[kind] + ("" if field.nullable else " not null")
            )
            for field, kind in zip(verdict_schema(), verdict_kinds().values(), strict=True)
        )
        runs = ", ".join(
            f"{say.own(name)} " + (f"{say.key_type} not null{say.primary_key}" if name == "run_id" else say.types[kind])
            for name, kind in RUN_COLUMNS.items()
        )
        servers = ", ".join(
            f"{say.own(name)} " + (f"{say.key_type} not null{say.primary_key}" if name == "place" else say.types[kind])
            for name, kind in SERVER_KINDS.items()
        )
        with self._doing("make the table of verdicts"):
            for table, columns, index in ((VERDICTS, verdicts, say.verdict_index), (_RUNS, runs, None)):
                if self._has(table):
                    continue
                try:
                    with self._transaction():
                        self._execute(f"create table {table} ({columns}){say.table_options}")
                        if index is not None:
                            self._execute(index.format(name=table))
                except Exception:
                    if not self._has(table):  # unless another run was quicker
                        raise
            self._upgrade()
            self._drop_missing()
        self._make_servers(f"create table {SERVERS} ({servers}){say.table_options}")

    def _make_servers(self, statement: str) -> None:
        """A user who may make no table goes on without: the tables of an older version may be all there are."""
        try:
            with self._doing("make the table of servers"):
                if not self._has(SERVERS):
                    with self._transaction():
                        self._execute(statement)
        except MailvetError as error:
            if not self._has(SERVERS):
                log.warning("What this run learns about servers is not kept: %s", error)

    def servers(self) -> pa.Table:
        """See `Warehouse.servers`."""
        if not self._has(SERVERS):
            return SERVER_SCHEMA.empty_table()
        names = ", ".join(map(self._say.own, SERVER_SCHEMA.names))
        with self._doing("read what is known of servers"):
            rows = self._rows(f"select {names} from {SERVERS}")
        return pa.Table.from_arrays(arrays(rows, SERVER_SCHEMA), schema=SERVER_SCHEMA)

    def canaries(self, now: datetime) -> pa.Table:
        """See `Warehouse.canaries`."""
        if not self._has(VERDICTS):
            return CANARY_SCHEMA.empty_table()
        say, domain = self._say, self._say.after_at("folded")
        query = (
            "select mailvet__host, mailvet__email, mailvet__at from (select v.mx_host as mailvet__host, "
            "coalesce(v.email, c.email) as mailvet__email, v.checked_at as mailvet__at, row_number() over "
            "(partition by v.mx_host order by v.checked_at desc, v.email_key) as mailvet__place "
            f"from {VERDICTS} v left join {self._staged['cells']} c on c.email_key = v.email_key "
            f"where v.reason = 'mailbox_accepted' and v.checked_at >= {say.moment(now - CANARY_AGE)} and v.mx_host in "
            f"(select w.mx_host from {VERDICTS} w where w.mx_host is not null and w.domain in "
            f"(select {domain} from {self._staged['due']})) and coalesce(v.email, c.email) is not null) "
            f"as mailvet__known where mailvet__place <= {CANARIES_PER_HOST} order by mailvet__at desc"
        )
        with self._doing("read the recipients that are known to exist"):
            rows = self._rows(say.limited(query, MOST_CANARIES))
        return pa.Table.from_arrays(arrays(rows, CANARY_SCHEMA), schema=CANARY_SCHEMA)

    def save_servers(self, rows: pa.Table) -> None:
        """See `Warehouse.save_servers`."""
        if not self._has(SERVERS):
            return
        is_kept = pc.or_(pc.is_valid(rows["suspected_since"]), pc.is_valid(rows["refused_words"]))
        kept = rows.filter(is_kept)
        places = ", ".join(map(self._say.literal, rows["place"].to_pylist()))
        with self._doing("save what is known of servers"), self._transaction():
            self._execute(f"delete from {SERVERS} where place in ({places})")
            if kept.num_rows:
                self._append(SERVERS, kept)

    def _upgrade(self) -> None:
        """Bring a table of verdicts that an older version made up to date: in place, and once."""
        say = self._say
        if self._has_column(VERDICTS, "mailbox_key"):
            return
        try:
            self._execute(say.add_column.format(table=VERDICTS, name="mailbox_key", kind=say.key_type))
        except Exception:
            if not self._has_column(VERDICTS, "mailbox_key"):  # unless another run was quicker
                raise
        with self._transaction():
            self._execute(f"delete from {VERDICTS} where {missing_verdicts(say)}")
            self._execute(backfill_sql(say, VERDICTS))

    def _drop_missing(self) -> None:
        """Drop the verdicts that an older version, or another tool, gave to cells of this source without an address."""
        if (cells := self._staged.get("cells")) is not None:
            blank = f"select email_key from {cells} where {self._say.missing('email')}"
            self._execute(f"delete from {VERDICTS} where email_key in ({blank})")

    def _stored_names(self) -> list[str]:
        """The columns of verdicts that the table has; one of an older version lacks some until it is written to."""
        return [name for name in verdict_schema().names if name not in ADDED_LATER or self._has_column(VERDICTS, name)]

    def _as_verdicts(self, rows: list[tuple[Any, ...]], names: Sequence[str]) -> pa.Table:
        """Rows of these columns as verdicts; what is not among them is null."""
        schema = pa.schema([verdict_schema().field(name) for name in names])
        found = pa.Table.from_arrays(arrays(rows, schema), schema=schema)
        for field in verdict_schema():
            if field.name not in names:
                found = found.append_column(field, pa.nulls(found.num_rows, field.type))
        return found.select(verdict_schema().names)

    def save(self, verdicts: pa.Table) -> None:
        """See `Warehouse.save`."""
        import polars as pl

        frame = newest_of_each(verdicts).with_columns((pl.col("checked_at") - KNOWN_FOR).alias(_KNOWN_SINCE))
        is_silent = pl.col("reason").is_in([str(reason) for reason in SILENT])
        with self._doing("save verdicts"), self._transaction():
            for silent, part in ((False, frame.filter(~is_silent)), (True, frame.filter(is_silent))):
                if part.height:
                    batch = self._stage_batch()
                    self._append(batch, part.to_arrow().cast(_batch_schema()))
                    for statement in self._saving(batch, silent):
                        self._execute(statement)

    saves_cheaply = False

    def take_lease(self, run_id: str, holder: str) -> Lease | None:
        """See `Warehouse.take_lease`. None as well where the database's clock is not known, or no table may be made."""
        now = _CLOCKS.get(self._say.name)
        if now is None or not self._make_leases():
            return None
        key = literal(email_key(f"{self.relation} {self.column} {self._where}"))
        free = f"(run_id = {literal(run_id)} or heartbeat_at < {now[1]})"
        with self._doing("find out who is at work on the table"):
            try:
                with self._transaction():
                    self._execute(f"delete from {LEASES} where source = {key} and {free}")
                    self._execute(
                        f"insert into {LEASES} (source, run_id, holder, started_at, heartbeat_at) "
                        f"values ({key}, {literal(run_id)}, {literal(holder)}, {now[0]}, {now[0]})"
                    )
                return None
            except Exception:
                found = self._rows(f"select run_id, holder, started_at from {LEASES} where source = {key}")
                if not found:
                    raise
        held_by, other, started = found[0]
        moment = aware(started)
        assert moment is not None
        if is_gone(other):
            with self._doing("break the lease of a run that has ended"):
                self._execute(f"delete from {LEASES} where source = {key} and run_id = {literal(held_by)}")
            return self.take_lease(run_id, holder)
        return Lease(held_by, other, moment)

    def renew_lease(self, run_id: str) -> None:
        """See `Warehouse.renew_lease`."""
        now = _CLOCKS.get(self._say.name)
        if now is not None and self._has(LEASES):
            with self._doing("renew the lease"):
                self._execute(f"update {LEASES} set heartbeat_at = {now[0]} where run_id = {literal(run_id)}")

    def release_lease(self, run_id: str) -> None:
        """See `Warehouse.release_lease`."""
        if self._say.name in _CLOCKS and self._has(LEASES):
            with self._doing("give the lease back"):
                self._execute(f"delete from {LEASES} where run_id = {literal(run_id)}")

    def _make_leases(self) -> bool:
        """A user who may make no table goes on without."""
        say, time_kind = self._say, self._say.types["timestamp"]
        try:
            with self._doing("make the table of leases"):
                if not self._has(LEASES):
                    with self._transaction():
                        self._execute(
                            f"create table {LEASES} (source {say.key_type} not null{say.primary_key}, "
                            f"run_id {say.key_type}, holder {say.types['string']}, started_at {time_kind}, "
                            f"heartbeat_at {time_kind}){say.table_options}"
                        )
        except MailvetError as error:
            if not self._has(LEASES):
                log.warning("Two runs over this table at once would not know of each other: %s", error)
                return False
        return True

    def check_still_there(self) -> None:
        """See `Warehouse.check_still_there`; a table that is gone is told by the statement that needs it."""

    def from_the_future(self, now: datetime) -> int:
        """See `Warehouse.from_the_future`."""
        if not self._has(VERDICTS):
            return 0
        future = self._say.moment(latest_believed(now))
        with self._doing("read the verdicts"):
            return int(self._rows(f"select count(*) from {VERDICTS} where checked_at > {future}")[0][0])

    def checked_at(self, keys: Sequence[str]) -> dict[str, datetime]:
        """See `Warehouse.checked_at`."""
        found: dict[str, datetime] = {}
        with self._doing("read the verdicts"):
            if not self._has(VERDICTS):
                return found
            for start in range(0, len(keys), _KEYS_A_STATEMENT):
                listed = ", ".join(map(literal, keys[start : start + _KEYS_A_STATEMENT]))
                for key, at in self._rows(
                    f"select email_key, checked_at from {VERDICTS} where email_key in ({listed})"
                ):
                    moment = aware(at)
                    assert moment is not None
                    found[key] = moment
        return found

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.replies`."""
        say, last = self._say, ""
        with self._doing("read the verdicts"):
            names = self._stored_names() if self._has(VERDICTS) else []
            while names:
                rows = self._rows(
                    say.limited(
                        f"select {', '.join(map(say.own, names))} from {VERDICTS} where smtp_code >= 400 and "
                        f"smtp_reply is not null and email_key > {literal(last)} order by email_key",
                        batch_rows,
                    )
                )
                if not rows:
                    return
                batch = self._as_verdicts(rows, names)
                yield batch
                last = batch["email_key"][-1].as_py()

    def revise(self, verdicts: pa.Table) -> None:
        """See `Warehouse.revise`."""
        with self._doing("save verdicts"):
            self._upgrade()
        with self._doing("save verdicts"), self._transaction():
            batch = self._stage_batch()
            known_since = pa.nulls(verdicts.num_rows, UTC)  # for the rule of `save`, which does not hold here
            self._append(batch, verdicts.append_column(_KNOWN_SINCE, known_since).cast(_batch_schema()))
            for statement in self._saving(batch, silent=False):
                self._execute(statement)

    def _stage_batch(self) -> str:
        return self._stage_empty("batch", {**verdict_kinds(), _KNOWN_SINCE: "timestamp"})

    def _saving(self, batch: str, silent: bool) -> list[str]:
        """
        The statements that bring a batch into the verdict table; each alone leaves it in order.

        Args:
            silent: its answers say nothing of the mailbox.
        """
        say = self._say
        names = verdict_schema().names
        renewed = {name: f"b.{name}" for name in names if name != "email_key"}
        listed = ", ".join(map(say.own, names))
        values = ", ".join(f"b.{name}" for name in names)
        same = f"{VERDICTS}.email_key = b.email_key"
        future = say.moment(latest_believed(datetime.now(timezone.utc)))
        keep = (
            f"{VERDICTS}.status <> 'unknown' and {VERDICTS}.checked_at > b.{_KNOWN_SINCE} "
            f"and {VERDICTS}.checked_at <= {future}"
        )
        statements = []
        if silent:  # how deep we asked and when to ask again go by the newest answer that went as deep
            deep_enough = f"{rank('b.depth')} >= {rank(f'{VERDICTS}.depth')}"
            again = {"depth": "b.depth", "next_check_at": "b.next_check_at"}
            statements.append(self._update(VERDICTS, f"{batch} b", same, again, f"{keep} and {deep_enough}"))
        if say.upsert == "conflict":
            sets = ", ".join(f"{name} = excluded.{name}" for name in renewed)
            news = f"not exists (select 1 from {VERDICTS} where {same} and {keep})" if silent else "1 = 1"
            statements.append(
                f"insert into {VERDICTS} ({listed}) select {values} from {batch} b where {news} "
                f"on conflict (email_key) do update set {sets}"
            )
        elif say.upsert == "merge":
            sets = ", ".join(f"{name} = {new}" for name, new in renewed.items())
            news = f" and not ({keep})" if silent else ""
            statements.append(
                f"merge into {VERDICTS} using {batch} b on {same} when matched{news} then update set {sets} "
                f"when not matched then insert ({listed}) values ({values}){say.statement_end}"
            )
        else:
            news = f"not ({keep})" if silent else "1 = 1"
            statements += [
                self._update(VERDICTS, f"{batch} b", same, renewed, news),
                f"insert into {VERDICTS} ({listed}) select {values} from {batch} b where not exists "
                f"(select 1 from {VERDICTS} where {same})",
            ]
        return statements

    def _update(self, table: str, source: str, match: str, sets: Mapping[str, str], condition: str) -> str:
        """One UPDATE of a table by another; the table is spoken of by its name, as a user's condition may do."""
        style = self._say.update
        plain = ", ".join(f"{name} = {value}" for name, value in sets.items())
        if style == "join":
            dotted = ", ".join(f"{table}.{name} = {value}" for name, value in sets.items())
            return f"update {table} join {source} on {match} set {dotted} where {condition}"
        if style == "from_join":
            return f"update {table} set {plain} from {table} join {source} on {match} where {condition}"
        if style == "merge":
            return f"merge into {table} using {source} on {match} and {condition} when matched then update set {plain}"
        return f"update {table} set {plain} from {source} where {match} and {condition}"

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `Warehouse.save_run`."""
        values = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in run.items()}
        row = pa.table({name: pa.array([value], _RUN_TYPES[RUN_COLUMNS[name]]) for name, value in values.items()})
        with self._doing("save the record of the run"), self._transaction():
            self._execute(f"delete from {_RUNS} where run_id = {literal(str(run['run_id']))}")
            self._append(_RUNS, row)

    def forget_before(self, day: datetime) -> int:
        """See `Warehouse.forget_before`."""
        with self._doing("drop old verdicts"):
            if self._has(SERVERS):
                self._execute(f"delete from {SERVERS} where changed_at < {self._say.moment(day)}")
            return self._execute(f"delete from {VERDICTS} where checked_at < {self._say.moment(day)}")

    # ---------------------------------------------------------------- results

    def _advice(self) -> str:
        return recommendation_sql(
            self.policy, reason="reason", score="score", attempts="attempts", stored="recommendation"
        )

    def apply_policy(self) -> int:
        """See `Warehouse.apply_policy`."""
        advice = self._advice()
        with self._doing("bring the recommendations in line with the policy"):
            return self._execute(
                f"update {VERDICTS} set recommendation = {advice} where recommendation <> {advice} "
                f"and email_key in (select email_key from {self._staged['cells']})"
            )

    def _verdicts(self, columns: Sequence[str], table: str = VERDICTS) -> str:
        """The verdict table under names that no condition of the user's can mean."""
        return f"(select {self._said(columns)} from {table}{self._say.materialized})"

    def _said(self, columns: Sequence[str], match: str = "email_key") -> str:
        formula = formula_sql(self._say.first_character("suggestion"))
        values = {
            "recommendation": f"({self._advice()})",
            # A suggestion never starts a formula when the table is opened in a spreadsheet.
            "suggestion": f"case when {formula} then null else suggestion end",
        }
        selected = "".join(f", {values.get(name, name)} as {OWN}{name}" for name in columns)
        return f"{match} as {OWN}key{selected}"

    def check_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.check_write_back`."""
        with self._doing(f"read the columns of {self.name}"):
            check_status_columns(self._described(), columns, self._prefix, self.name)
            self._check_may_write(columns)
            self._check_ours(columns)

    def _check_may_write(self, columns: Sequence[str]) -> None:
        """Whether the status columns may be added, read and written, before any is read; where that can be told."""

    def _check_ours(self, columns: Sequence[str]) -> None:
        """Whether the status columns that are there are ours."""
        check_address_column(self.column, columns, self._prefix, self.name)
        refuse_foreign(
            self._say,
            self._described(),
            columns,
            self._prefix,
            self.name,
            quote=self._quote,
            holds=lambda condition: bool(
                self._rows(self._say.limited(f"select 1 from {self.relation} where {condition}", 1))
            ),
            reasons=f"select reason from {VERDICTS}" if self._has(VERDICTS) else None,
        )

    def write_back(self, columns: Sequence[str]) -> int:
        """See `Warehouse.write_back`; tried again where other transactions are in the way."""
        for attempt in range(1, _WRITE_TRIES):
            try:
                return self._write_back(columns)
            except LockedError as error:
                log.warning("%s The status columns are written once more.", error)
                time.sleep(0.1 * attempt)
        return self._write_back(columns)

    def _write_back(self, columns: Sequence[str]) -> int:
        """
        See `Warehouse.write_back`. Matches on the text as it is now, by its key or by itself, so an edited row is left
        alone.

        The columns are added first, in a statement of their own: that takes the whole table, but for no time, while
        the update, which takes long, holds only the rows it changes.
        """
        added: list[str] = []
        try:
            with self._doing(f"write the status columns to {self.name}"):
                self._add_columns(columns, added)
                with self._transaction():
                    for statement in self._say.planner_hints:
                        self._execute(statement)
                    statements = [*self._writing_back(columns), self._clearing(columns)]
                    return sum(self._execute(statement) for statement in statements)
        except BaseException:
            with contextlib.suppress(Exception):  # the connection may be gone; empty columns do no harm
                for name in added:
                    self._execute(self._say.drop_column.format(table=self.relation, name=name))
            raise

    def _status_type(self, column: str, kind: str) -> str:
        return self._say.types[kind]

    def _writing_back(self, columns: Sequence[str]) -> list[str]:
        """The UPDATEs, which hold together or not at all; each row is changed by one of them at most."""
        say, key = self._say, self._say.key(self._cell)
        if not say.matches_texts:
            return [self._answering(columns, self._verdicts(columns), key)]
        # A key has to be computed for each row, and takes longer than to compare the text that it stands for.
        by_text = f"(select {self._said(columns, 'email')} from {VERDICTS} where email is not null)"
        by_key = f"(select {self._said(columns)} from {VERDICTS} where email is null)"
        return [
            self._answering(columns, by_text, say.exact(self._cell)),
            self._answering(columns, by_key, key),
        ]

    def _clearing(self, columns: Sequence[str]) -> str:
        """The UPDATE that empties the status columns of rows without an address."""
        names = [self._quote(self._prefix + column) for column in columns]
        sets = ", ".join(f"{name} = null" for name in names)
        filled = " or ".join(f"{self.relation}.{name} is not null" for name in names)
        return (
            f"update {self.relation} set {sets} where {self._say.missing(self._cell)} and ({filled}) and {self._where}"
        )

    def _answering(self, columns: Sequence[str], verdicts: str, cell: str) -> str:
        """An UPDATE of the rows whose `cell` is the `mailvet__key` of one of these verdicts, and that say otherwise."""
        say = self._say
        names = {self._quote(self._prefix + column): f"{OWN}{column}" for column in columns}
        changed = " or ".join(say.differs(f"{self.relation}.{name}", value) for name, value in names.items())
        return self._update(
            self.relation,
            f"{verdicts} as {OWN}verdict",
            f"{OWN}key = {cell}",
            names,
            f"({changed}) and not {say.missing(self._cell)} and {self._where}",
        ) + (say.statement_end if say.update == "merge" else "")

    def summary(self) -> Summary:
        """See `Warehouse.summary`."""
        say = self._say
        names = ("status", "reason", "recommendation", "score", "evidence", "flags")
        on_lists, in_history, suspicious = attribution.evidence_sql(f"{OWN}evidence", f"{OWN}flags", say.position)
        groups = f"{OWN}status, {OWN}reason, {OWN}recommendation, {OWN}blank, {OWN}listed, "
        groups += f"{OWN}past, {OWN}suspect"
        verdicts = self._verdicts(names, self._known())
        with self._doing(f"count {self.name}"):
            return summarised(
                self._rows(
                    f"select {groups}, count(*), sum(repeats), sum(repeats * (100 - {OWN}score)) from ("
                    f"select {OWN}status, {OWN}reason, {OWN}recommendation, "
                    f"case when {say.missing('email')} then 1 else 0 end as {OWN}blank, "
                    f"{on_lists} as {OWN}listed, "
                    f"{in_history} as {OWN}past, {suspicious} as {OWN}suspect, repeats, {OWN}score "
                    f"from {self._staged['cells']} left join {verdicts} as {OWN}verdict "
                    f"on {OWN}key = email_key) as {OWN}rows group by {groups}"
                )
            )

    def verdict_counts(self, *, stale_before: datetime | None = None) -> list[VerdictCount]:
        """See `Warehouse.verdict_counts`."""
        with self._doing(f"count {self.name}"):
            verdicts = VERDICTS if self._has(VERDICTS) else None
            return counted(
                self._rows(
                    count_query(
                        self._say, self._staged["cells"], verdicts, policy=self.policy, stale_before=stale_before
                    )
                )
            )

    def pending(self) -> tuple[int, datetime | None]:
        """See `Warehouse.pending`."""
        with self._doing("read the verdicts"):
            if not self._has(VERDICTS):
                return 0, None
            count, moment = self._rows(
                f"select count(*), min(v.next_check_at) from {self._staged['cells']} c join {VERDICTS} v "
                "on v.email_key = c.email_key where v.reason = 'greylisted' and v.next_check_at is not null"
            )[0]
        return int(count), aware(moment)

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `Warehouse.check_keys`."""
        present = [column.name for column in self._columns]
        for name in columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(self._quote, columns))
            query = f"select 1 from {self.relation} group by {keys} having count(*) > 1"
            with self._doing(f"read the keys of {self.name}"):
                if self._rows(self._say.limited(query, 1)):
                    raise SourceError(
                        f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                        "identify a row. Name a unique key."
                    )

    # ---------------------------------------------------------------- shards

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """See `Warehouse.save_shards`."""
        kinds = {"plan_id": "string", "domain": "string", "shard": "int32", "planned_at": "timestamp"}
        with self._doing("save the shards"):
            if not self._has(_SHARDS):
                columns = ", ".join(f"{name} {self._say.types[kind]}" for name, kind in kinds.items())
                self._execute(f"create table {_SHARDS} ({columns})")
            rows = pa.table(
                {
                    "plan_id": pa.array([plan_id] * len(shards), pa.string()),
                    "domain": pa.array(list(shards), pa.string()),
                    "shard": pa.array(list(shards.values()), pa.int32()),
                    "planned_at": pa.array([now] * len(shards), UTC),
                }
            )
            with self._transaction():
                self._execute(f"delete from {_SHARDS} where planned_at < {self._say.moment(now - _SHARDS_KEPT)}")
                self._append(_SHARDS, rows)

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """See `Warehouse.keep_shard`."""
        with self._doing("read the shards"):
            if not self._has(_SHARDS) or not self._rows(
                self._say.limited(f"select 1 from {_SHARDS} where plan_id = {literal(plan_id)}", 1)
            ):
                raise SourceError(
                    f"There is no plan {plan_id} of shards for {self.name}: run plan_shards() first, and verify within "
                    f"{_SHARDS_KEPT.days} days."
                )
        domain = self._say.after_at(self._say.fold(self._cell))
        which = "<> 0" if shard == 0 else f"= {int(shard)}"
        listed = (
            f"{domain} {'not ' if shard == 0 else ''}in (select domain from {_SHARDS} "
            f"where plan_id = {literal(plan_id)} and shard {which})"
        )
        self._where = f"({self._where} and {listed})"
        self.narrowed = True

    def prepare_write_back(self, columns: Sequence[str]) -> None:
        """See `Warehouse.prepare_write_back`."""
        with self._doing(f"add the status columns to {self.name}"):
            self._add_columns(columns)

    def _add_columns(self, columns: Sequence[str], added: list[str] | None = None) -> None:
        kinds = verdict_kinds()
        present = {column.name.lower() for column in self._described()}
        for column in columns:
            if (self._prefix + column).lower() not in present:
                name = self._quote(self._prefix + column)
                kind = self._status_type(column, kinds[column])
                self._execute(self._say.add_column.format(table=self.relation, name=name, kind=kind))
                if added is not None:
                    added.append(name)

    # ---------------------------------------------------------------- tables

    def export_tables(
        self,
        names: Mapping[str, str],
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        replace: bool = False,
        overwrite: bool = False,
    ) -> None:
        """See `Warehouse.export_tables`."""
        self.check_keys(key_columns, unique=False)
        targets = {word: parse_table(name) for word, name in names.items()}
        own = {(self._prefix + column).lower() for column in columns}
        kept = [c.name for c in self._columns if (c.name in key_columns if key_columns else c.name.lower() not in own)]
        fields = [f"{self.relation}.{self._quote(name)}" for name in kept]
        fields += [f"{OWN}{column} as {self._quote(self._prefix + column)}" for column in columns]
        read = list(dict.fromkeys([*columns, "recommendation"]))
        rows = (
            f"from {self.relation} left join {self._verdicts(read)} as {OWN}verdict "
            f"on {OWN}key = {self._say.key(self._cell)} where {self._where}"
        )
        part = self._part("recommendation")
        with self._doing(f"write the lists of {self.name}"):
            if not key_columns:
                self._check_ours(columns)
            check_targets(targets, TableName(self._found.name, self._found.schema), self._default_schema())
            present = [target for target in targets.values() if self._has_table(target)]
            for target in present:
                may_replace(target, self._columns_of(target), self._prefix, replace=replace, overwrite=overwrite)
            with self._transaction():
                for target in present:
                    self._execute(f"drop table {target.sql(self._quote)}")
                for word, target in targets.items():
                    self._execute(
                        f"create table {target.sql(self._quote)} as select {', '.join(fields)} {rows} "
                        f"and {part} = {literal(word)}"
                    )

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """See `HasDetails.details`."""
        with self._doing(f"count {self.name}"):
            last_run = self._last_run() if self._has(_RUNS) else None
            if not self._has(VERDICTS):
                return Details(last_run=last_run)
            joined = f"from {self._staged['cells']} c join {VERDICTS} v on v.email_key = c.email_key "
            joined += f"where not {self._say.missing('c.email')}"
            operators = self._rows(
                f"select v.operator, v.status, count(*) {joined} and v.operator is not null group by v.operator, "
                "v.status"
            )
            advice = recommendation_sql(
                self.policy, reason="v.reason", score="v.score", attempts="v.attempts", stored="v.recommendation"
            )
            due = self._rows(
                f"select label, advice, count(*) from (select {falls_due(self._say, now)} as label, {advice} as advice "
                f"{joined}) as labels group by label, advice"
            )
            return detailed(operators, due, self._sources(by) if by is not None else (), last_run)

    def _last_run(self) -> Mapping[str, Any] | None:
        schema = pa.schema([pa.field(name, _RUN_TYPES[kind]) for name, kind in RUN_COLUMNS.items()])
        rows = self._rows(
            self._say.limited(
                f"select {', '.join(map(self._say.own, schema.names))} from {_RUNS} where source = "
                f"{self._say.literal(self.name)} and finished_at is not null order by started_at desc",
                1,
            )
        )
        found = pa.Table.from_arrays(arrays(rows, schema), schema=schema).to_pylist()
        return found[0] if found else None

    def _sources(self, column: str) -> list[tuple[Any, ...]]:
        say, present = self._say, [found.name for found in self._columns]
        name = next((name for name in present if name.lower() == column.lower()), None)
        if name is None:
            raise SourceError(f"There is no column {column} in {self.name}; there are: {', '.join(present)}.")
        value = say.exact(f"coalesce({say.text(self._quote(name))}, '')")
        return self._rows(
            f"select {OWN}value, {OWN}recommendation, count(*), sum(100 - {OWN}score) from (select {value} "
            f"as {OWN}value, {say.key(self._cell)} as {OWN}cell_key from {self.relation} where {self._where} "
            f"and not {say.missing(self._cell)}) as {OWN}rows left join "
            f"{self._verdicts(('recommendation', 'score'))} as {OWN}verdict on {OWN}key = {OWN}cell_key "
            f"group by {OWN}value, {OWN}recommendation"
        )

    # ---------------------------------------------------------------- files

    def check_output(self, output: Path, key_columns: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
        """See `Warehouse.check_output`."""
        files_out.check(output)
        if not key_columns:
            with self._doing(f"read the columns of {self.name}"):
                self._check_ours(columns)
        present = [column.name for column in self._columns]
        for name in key_columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(present)}.")

    def export(
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
        parts: Sequence[str] = (),
        others: bool = True,
        mode: int | None = None,
    ) -> list[Path]:
        """See `Warehouse.export`. All files show the table as it was at one moment, where the database can do that."""
        import duckdb

        self.check_output(output, key_columns, columns)
        own = {(self._prefix + column).lower() for column in columns}
        kept = [c for c in self._columns if (c.name in key_columns if key_columns else c.name.lower() not in own)]
        verdict = verdict_schema()
        fields = [(c.name, *self._exported(c)) for c in kept]
        for name in columns:
            kind = verdict.field(name).type
            # Files hold times in UTC without saying so in every cell.
            without_zone = pa.timestamp("us") if pa.types.is_timestamp(kind) else kind
            fields.append((self._prefix + name, f"{OWN}{name}", without_zone))
        read = list(dict.fromkeys([*columns, *([split_by] if split_by else [])]))
        rows = (
            f"from {self.relation} left join {self._verdicts(read)} as {OWN}verdict "
            f"on {OWN}key = {self._say.key(self._cell)} where {self._where}"
        )
        # Numbered, so that no name has to be one that Arrow and DuckDB can tell from the others.
        selected = ", ".join(f"{value} as {OWN}c{place}" for place, (_, value, _) in enumerate(fields))
        schema = pa.schema([pa.field(f"c{place}", kind) for place, (_, _, kind) in enumerate(fields)])
        names = files_out.quoted_names([name for name, _, _ in fields])
        is_text = pa.types.is_string
        shown = ", ".join(
            (files_out.escape_formula_sql(f"c{place}") if place >= len(kept) and is_text(kind) else f"c{place}")
            + f" as {name}"
            for place, (name, (_, _, kind)) in enumerate(zip(names, fields, strict=True))
        )
        with self._doing(f"read {self.name}"), self._snapshot(), duckdb.connect() as db:
            db.execute("set TimeZone = 'UTC'")
            conditions: dict[Path, str] = {output: "1 = 1"}
            if split_by is not None:
                part = self._part(split_by)
                found = [word for (word,) in self._rows(f"select distinct {part} {rows}")] if others else []
                conditions = {
                    path: f"{part} is null" if word is None else f"{part} = {literal(word)}"
                    for word, path in files_out.part_names(output, found, parts).items()
                }
            queries = {}
            for number, (path, condition) in enumerate(conditions.items()):
                batches = self._batches(f"select {selected} {rows} and {condition}", schema)
                db.register(f"part{number}", pa.RecordBatchReader.from_batches(schema, batches))
                queries[path] = (f"select {shown} from part{number}", files_out.copy_options(path))
            return files_out.publish(db, queries, 0o600 if mode is None else mode)

    def _part(self, column: str) -> str:
        """Which part of a result a row belongs to, by a column of the verdict table."""
        return f"case when {self._say.missing(self._cell)} then 'missing' else {OWN}{column} end"

    def _exported(self, column: Column) -> tuple[str, pa.DataType]:
        """(SQL expression, Arrow type) under which a column of the source travels."""
        name = f"{self.relation}.{self._quote(column.name)}"
        if (number := _DECIMAL.fullmatch(column.kind.lower())) and 0 < int(number[1]) <= 38:
            return name, pa.decimal128(int(number[1]), int(number[2] or 0))
        for kinds, arrow in _TRAVELS:
            if re.fullmatch(kinds, column.kind.lower()):
                return name, arrow
        return self._say.text(name), pa.string()

    def _batches(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for rows in self._stream(query, _EXPORT_ROWS):
            yield pa.RecordBatch.from_arrays(arrays(rows, schema), schema=schema)

    @property
    def files(self) -> Mapping[str, Path]:
        """See `Warehouse.files`."""
        return {}

    def written_digest(self, path: Path) -> str | None:
        """See `Warehouse.written_digest`."""
        with self._doing("read what was written"):
            if not self._has(OUTPUTS):
                return None
            here = self._say.literal(str(path.resolve()))
            rows = self._rows(f"select digest from {OUTPUTS} where path = {here}")
        return str(rows[0][0]) if rows else None

    def note_written(self, digests: Mapping[Path, str]) -> None:
        """See `Warehouse.note_written`."""
        if not digests:
            return
        paths = [str(path.resolve()) for path in digests]
        with contextlib.suppress(MailvetError), self._doing("keep what was written"):
            if not self._has(OUTPUTS):
                kind = self._say.types["string"]
                self._execute(f"create table {OUTPUTS} (path {kind}, digest {kind})")
            with self._transaction():
                listed = ", ".join(map(self._say.literal, paths))
                self._execute(f"delete from {OUTPUTS} where path in ({listed})")
                self._append(OUTPUTS, pa.table({"path": paths, "digest": list(digests.values())}))

    # ---------------------------------------------------------------- one address

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `Warehouse.stored`."""
        if not self._has(VERDICTS):
            return None
        say, key, folded = self._say, email_key(address), email_key(address.strip().lower())
        with self._doing("read the verdicts"):
            names = self._stored_names()
            rows = self._rows(
                say.limited(
                    f"select {', '.join(map(say.own, names))} from {VERDICTS} where email_key = {literal(key)} or "
                    f"{say.key(say.fold('email'))} = {literal(folded)} "
                    f"order by case when email_key = {literal(key)} then 0 else 1 end, checked_at desc",
                    1,
                )
            )
        if not rows:
            return None
        found: dict[str, Any] = self._as_verdicts(rows, names).to_pylist()[0]
        return found

    def forget(self, address: str, *, domain: bool = False) -> int:
        """See `Warehouse.forget`."""
        wanted = Wanted.of(address, domain=domain)
        with self._doing("erase the address"):
            if self._has(VERDICTS):
                self._upgrade()
            with self._transaction():
                return erase(wanted, Statements(self._say, self._rows, self._execute, self._has))

    def out_of_reach(self) -> Sequence[str]:
        """See `Warehouse.out_of_reach`."""
        with self._doing("read the verdicts"):
            unnamed = self._has(VERDICTS) and bool(
                self._rows(self._say.limited(f"select 1 from {VERDICTS} where {self._say.own('email')} is null", 1))
            )
        return [*([UNNAMED] if unnamed else []), *self._say.kept_after_delete, OWN_ROWS, COPIES]


_DECIMAL = re.compile(r"(?:decimal|numeric|number)\((\d+)(?:, ?(\d+))?\)")
_TRAVELS: tuple[tuple[str, pa.DataType], ...] = (
    (r"(tiny|small|medium|big)?int(eger)?(\(\d+\))?|int[248]|(small|big)?serial", pa.int64()),
    (r"double( precision)?|float[48]?|real", pa.float64()),
    (r"bool(ean)?", pa.bool_()),
    (r"date", pa.date32()),
)
"""Types of columns that keep their type in a file; all others travel as the text that the database makes of them."""


def newest_of_each(verdicts: pa.Table) -> pl.DataFrame:
    """The last row of each key, in the order of the keys, which suits an index."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(verdicts)).unique("email_key", keep="last").sort("email_key")


def _batch_schema() -> pa.Schema:
    return verdict_schema().append(pa.field(_KNOWN_SINCE, UTC))
