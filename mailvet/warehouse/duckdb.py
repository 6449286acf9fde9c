"""
DuckDB: the warehouse of one machine, and the reader of files.

A table of a DuckDB database has its verdicts in the same database. A file (CSV, TSV, Parquet, JSON Lines, plain or
compressed) is read into a temporary table; its verdicts live in the store, another DuckDB file, so that a second run
over the same list asks only what is due.

Times are stored as TIMESTAMP in UTC: DuckDB's TIMESTAMP WITH TIME ZONE cannot be fetched from Python without a
further package.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mailvet.errors import LockedError, SettingsError, SourceError
from mailvet.layers.history import EVENT_KINDS
from mailvet.verdict import Policy, recommendation_sql, verdict_schema
from mailvet.warehouse.base import KNOWN_FOR, SILENT, Plan, Summary
from mailvet.warehouse.files import (
    FORMATS,
    INPUT,
    Loaded,
    first_line,
    format_of,
    is_database,
    literal,
    load,
    split_name,
    table_function,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DuckDBWarehouse", "open_database"]

_TYPES = {
    "string": "VARCHAR", "int16": "SMALLINT", "int32": "INTEGER", "timestamp[us, tz=UTC]": "TIMESTAMP",
}  # fmt: skip
_RANK = "case {} when 'smtp' then 2 when 'dns' then 1 else 0 end"
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_LISTS = ("allow", "deny", "suppress", "extra_disposable")


def open_database(path: Path | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """
    Open a DuckDB file, or one in memory; the mistakes people make become errors that say what to do.

    Raises:
        LockedError: another process has it open.
        SourceError: it is no DuckDB file, or may not be read or written.
    """
    try:
        db = duckdb.connect(":memory:" if path is None else str(path), read_only=read_only)
    except duckdb.Error as error:
        text = str(error)
        name = path.name if path else "in memory"
        if "lock" in text.lower():
            holder = re.search(r"PID (\d+)", text)
            who = f" (process {holder[1]})" if holder else ""
            raise LockedError(
                f"The database {name} is open in another program{who}. DuckDB allows one writer at a time: close "
                "it there (a notebook, dbt, or another run), then start again. Nothing was changed."
            ) from None
        if "not a valid DuckDB" in text:
            raise SourceError(
                f"{path} is no DuckDB database. For a list of addresses give a CSV, Parquet or JSON Lines file."
            ) from None
        raise SourceError(
            f"The database {path} cannot be opened{'' if read_only else ' for writing'}: {first_line(text)}. "
            "Check that the file and its folder may be written to."
        ) from None
    # What the user's own columns hold with a time zone is compared and written in UTC, whatever the machine's zone.
    with contextlib.suppress(duckdb.Error):  # a build without time zones knows only UTC
        db.execute("set TimeZone = 'UTC'")
    return db


class DuckDBWarehouse:
    """
    One table or file and its verdicts. Build it with `of_table` or `of_file`.

    Not to be used from two threads at once.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        name: str,
        relation: str,
        column: str,
        where: str | None,
        policy: Policy,
        prefix: str,
        events: str | None,
    ) -> None:
        self._db = connection
        self.name = name
        self.relation = relation
        self.column = column
        self._where = f"({where})" if where else "true"
        self._policy = policy
        self._prefix = prefix
        self._events = events
        self._cell = f"coalesce({_quote(column)}, '')"

    # ---------------------------------------------------------------- building

    @classmethod
    def of_table(
        cls,
        path: Path,
        table: str,
        column: str | None,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
        writable: bool = True,
        updatable: bool = True,
    ) -> DuckDBWarehouse:
        """
        A table of a DuckDB database.

        Args:
            table: name, also `schema.table`; names with odd characters as they are, without quotes.
            column: the column of addresses; None finds it by its name.
            where: SQL condition on the table's rows.
            writable: verdicts will be saved.
            updatable: status columns will be written, so `table` must not be a view.

        Raises:
            SourceError: missing or unfit table or column, a condition that fails, a read-only file; LockedError.
        """
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if writable and not os.access(path, os.W_OK):
            raise SourceError(
                f"The database {path} is read-only, so verdicts cannot be saved in it. Make it writable, or copy the "
                "table to a file and verify that with --output."
            )
        db = open_database(path, read_only=not writable)
        try:
            relation, is_view = _find_table(db, table, path)
            if is_view and updatable:
                raise SourceError(
                    f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
                    "--no-write-back and join mailvet_verdicts on email_key."
                )
            found = _find_column(db, relation, column, table)
            return cls(
                db, name=f"{table} in {path.name}", relation=relation, column=found, where=_try(db, relation, where),
                policy=policy, prefix=prefix, events=events,
            )  # fmt: skip
        except BaseException:
            db.close()
            raise

    @classmethod
    def of_file(
        cls,
        path: Path,
        column: str | None,
        store: Path,
        *,
        where: str | None = None,
        policy: Policy = Policy.marketing,
        prefix: str = "mailvet_",
        events: str | None = None,
        encoding: str = "utf-8",
        writable: bool = True,
    ) -> DuckDBWarehouse:
        """
        A file of addresses; `store` is the DuckDB file of its verdicts, made if missing.

        Raises:
            SourceError: missing, empty or unreadable file, missing column; LockedError for the store.
        """
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        if path.stat().st_size == 0:
            raise SourceError(f"The file {path} is empty: there is not even a header line.")
        store.parent.mkdir(parents=True, exist_ok=True)
        db = open_database(store, read_only=not writable and store.exists())
        try:
            _load(db, path, encoding)
            found = _find_column(db, "temp.mailvet_input", column, path.name)
            return cls(
                db, name=path.name, relation="temp.mailvet_input", column=found,
                where=_try(db, "temp.mailvet_input", where), policy=policy, prefix=prefix, events=events,
            )  # fmt: skip
        except BaseException:
            db.close()
            raise

    # ---------------------------------------------------------------- planning

    def plan(self, *, depth_rank: int, now: datetime, rules_version: str, listed: Sequence[str]) -> Plan:
        """See `Warehouse.plan`. `listed` are entries of the user's own lists, for which older verdicts may be wrong."""
        db = self._db
        self._stage_history()
        db.execute(
            f"""
            create or replace temp table mailvet_cells as
            select email, sha256(email) as email_key, lower(trim(email)) as folded, repeats
            from (select {self._cell} as email, count(*) as repeats from {self.relation}
                  where {self._where} group by 1)
            """
        )
        verdicts = "mailvet_verdicts" if self._has("mailvet_verdicts") else _NO_VERDICTS
        depth = "case v.depth when 'smtp' then 2 when 'dns' then 1 else 0 end"
        db.execute("create or replace temp table mailvet_listed (entry varchar)")
        if listed:
            db.execute("insert into mailvet_listed select unnest($1::varchar[])", [list(listed)])
        db.execute(
            f"""
            create or replace temp table mailvet_due as
            select row_number() over (order by md5(c.folded)) - 1 as place, c.email, c.email_key,
                   v.reason as previous_reason, coalesce(v.attempts, 0) as previous_attempts,
                   {", ".join("h." + name for name in EVENT_KINDS)}
            from mailvet_cells c
            left join {verdicts} v using (email_key)
            left join mailvet_history h on h.recipient = c.folded
            where v.email_key is null or v.next_check_at <= $now or {depth} < $rank
               or (h.unsubscribed_at is not null and v.reason <> 'suppressed')
               or h.bounced_at > v.checked_at
               or (v.rules_version <> $rules and (
                    v.reason in ('syntax_invalid', 'disposable', 'typo_domain', 'role_account', 'suspected_trap')
                    or (v.reason = 'suppressed' and h.unsubscribed_at is null)
                    or exists (select 1 from mailvet_listed l where l.entry = c.folded
                               or c.folded like '%@' || l.entry or c.folded like '%.' || l.entry)))
            """,
            {"now": _naive(now), "rank": depth_rank, "rules": rules_version},
        )
        rows, blank = self._one(
            "select coalesce(sum(repeats), 0), coalesce(sum(repeats) filter (folded = ''), 0) from mailvet_cells"
        )
        (addresses,) = self._one("select count(*) from mailvet_cells where folded <> ''")
        (due,) = self._one("select count(*) from mailvet_due")
        domains = db.execute(
            "select lower(split_part(trim(email), '@', -1)), count(*) from mailvet_due where email like '%@%' "
            "group by 1 order by 2 desc, 1"
        ).fetchall()
        return Plan(int(rows), int(blank), int(addresses), int(due), tuple(domains))

    def _stage_history(self) -> None:
        columns = ", ".join(
            f"max(occurred_at) filter (lower(event) in ({', '.join(repr(word) for word in words)})) as {name}"
            for name, words in EVENT_KINDS.items()
        )
        if self._events is None:
            source = "(select '' as email, '' as event, null::timestamp as occurred_at where false)"
        else:
            path = Path(self._events)
            if path.is_file():
                source = f"(select * from {_reader(path, 'utf-8', typed=True)})"
            else:
                source, _ = _find_table(self._db, self._events, None)
        try:
            self._db.execute(
                f"create or replace temp table mailvet_history as select lower(trim(email)) as recipient, {columns} "
                f"from (select email, event, occurred_at::timestamp as occurred_at from {source}) group by 1"
            )
        except duckdb.Error as error:
            raise SettingsError(
                f"history.events ({self._events}) cannot be used: {_first_line(str(error))}. It needs the columns "
                "email, event and occurred_at."
            ) from None

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `Warehouse.due`. Spellings of one address (case, white space) stand next to each other."""
        (count,) = self._one("select count(*) from mailvet_due")
        for start in range(0, count, batch_rows):
            yield self._arrow(
                f"select * exclude (place) from mailvet_due where place >= {start} and place < {start + batch_rows} "
                "order by place"
            )

    def asked_today(self, now: datetime) -> dict[str, int]:
        """See `Warehouse.asked_today`."""
        if not self._has("mailvet_verdicts"):
            return {}
        rows = self._db.execute(
            "select operator, count(*) from mailvet_verdicts "
            "where smtp_code is not null and operator is not null and checked_at >= date_trunc('day', $1::timestamp) "
            "group by 1",
            [_naive(now)],
        ).fetchall()
        return dict(rows)

    # ---------------------------------------------------------------- verdicts

    def open_for_writing(self) -> None:
        """See `Warehouse.open_for_writing`."""
        columns = ",\n  ".join(
            f"{field.name} {_TYPES[str(field.type)]}"
            + (" primary key" if field.name == "email_key" else "" if field.nullable else " not null")
            for field in verdict_schema()
        )
        try:
            self._db.execute(f"create table if not exists mailvet_verdicts (\n  {columns}\n)")
            self._db.execute(_RUNS)
        except duckdb.Error as error:
            raise SourceError(
                f"The tables mailvet_verdicts and mailvet_runs cannot be made: {_first_line(str(error))}."
            ) from None

    def save(self, verdicts: pa.Table) -> None:
        """See `Warehouse.save`. Of two answers for one key the later wins, unless it says nothing of the mailbox."""
        silent = ", ".join(repr(reason) for reason in _SAYS_NOTHING)
        keep = f"(excluded.reason in ({silent}) and mailvet_verdicts.status <> 'unknown')"
        changes = ", ".join(
            f"{name} = excluded.{name}"
            if name == "next_check_at"
            else f"{name} = case when {keep} then mailvet_verdicts.{name} else excluded.{name} end"
            for name in verdict_schema().names
            if name != "email_key"
        )
        self._db.register("mailvet_batch", _without_zone(verdicts))
        try:
            self._db.execute(
                f"insert into mailvet_verdicts by name select * from mailvet_batch "
                f"on conflict (email_key) do update set {changes}"
            )
        finally:
            self._db.unregister("mailvet_batch")

    def save_run(self, run: Mapping[str, Any]) -> None:
        """See `Warehouse.save_run`."""
        values = {
            name: json.dumps(value) if isinstance(value, dict) else _naive(value) if isinstance(value, datetime) else value
            for name, value in run.items()
        }
        names = ", ".join(values)
        self._db.execute(
            f"insert or replace into mailvet_runs ({names}) values ({', '.join('$' + name for name in values)})", values
        )

    def forget_before(self, day: datetime) -> int:
        """See `Warehouse.forget_before`."""
        return int(self._one("delete from mailvet_verdicts where checked_at < $1", [_naive(day)])[0])

    # ---------------------------------------------------------------- results

    def _recommendation(self) -> str:
        return recommendation_sql(self._policy, reason="v.reason", score="v.score", attempts="v.attempts")

    def _status_values(self, columns: Sequence[str]) -> list[tuple[str, str]]:
        """(name of the status column, SQL of its value) for each column asked for."""
        return [
            (self._prefix + name, f"({self._recommendation()})" if name == "recommendation" else f"v.{name}")
            for name in columns
        ]

    def write_back(self, columns: Sequence[str]) -> int:
        """See `Warehouse.write_back`. Matches on the key of the text as it is now, so an edited row is left alone."""
        db = self._db
        values = self._status_values(columns)
        changed = " or ".join(f"t.{_quote(name)} is distinct from {value}" for name, value in values)
        sets = ", ".join(f"{_quote(name)} = {value}" for name, value in values)
        cell = f"coalesce(t.{_quote(self.column)}, '')"
        db.execute("begin")
        try:
            for (name, _), column in zip(values, columns, strict=True):
                kind = _STATUS_TYPES.get(column, "VARCHAR")
                db.execute(f"alter table {self.relation} add column if not exists {_quote(name)} {kind}")
            (count,) = self._one(
                f"update {self.relation} as t set {sets} from mailvet_verdicts v "
                f"where v.email_key = sha256({cell}) and ({changed}) and {self._where}"
            )
            db.execute("commit")
        except duckdb.Error as error:
            db.execute("rollback")
            raise SourceError(
                f"The status columns could not be written to {self.name}: {_first_line(str(error))}. The table is "
                "unchanged; the verdicts are saved in mailvet_verdicts."
            ) from None
        return int(count)

    def summary(self) -> Summary:
        """See `Warehouse.summary`."""
        rows = self._db.execute(
            f"""
            select v.status, v.reason, {self._recommendation()} as advice, (c.folded = '') as blank,
                   sum(c.repeats)::bigint as n, sum(c.repeats * (100 - v.score)) / 100.0 as bounces
            from mailvet_cells c left join mailvet_verdicts v using (email_key) group by all
            """
        ).fetchall()
        by: dict[str, dict[str, int]] = {"status": {}, "reason": {}, "advice": {}}
        total = blank_rows = verified = sent = written = 0
        bounces_before = bounces_after = 0.0
        for status, reason, advice, blank, count, bounces in rows:
            total += count
            blank_rows += count if blank else 0
            if status is None:
                continue
            verified += count
            for key, word in (("status", status), ("reason", reason), ("advice", advice)):
                by[key][word] = by[key].get(word, 0) + count
            if not blank:
                written += count
                bounces_before += float(bounces)
            if advice == "send":
                sent += count
                bounces_after += float(bounces)
        ordered = {key: dict(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))) for key, counts in by.items()}
        return Summary(
            total, blank_rows, verified, ordered["status"], ordered["reason"], ordered["advice"],
            bounces_before / written if written else None, bounces_after / sent if sent else None,
        )  # fmt: skip

    def export(
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
    ) -> list[Path]:
        """
        Write the source with its status columns to a file; every row, column and their order are kept.

        Args:
            output: its name says the format (`FORMATS`, also compressed).
            key_columns: keep only these of the source's columns; for results that travel without addresses.
            split_by: a status column; one file for each of its values, `list.csv` becoming `list.send.csv`.

        Returns:
            The files written. Each appears complete or not at all.
        """
        values = self._status_values(columns)
        own = {name.lower() for name, _ in values}
        # On a list verified before, our old columns make way for the new ones.
        kept = [name for name in _columns(self._db, self.relation) if name.lower() not in own]
        if key_columns:
            missing = [name for name in key_columns if name not in kept]
            if missing:
                raise SourceError(f"There is no column {missing[0]} in {self.name}; it has: {', '.join(kept)}.")
            kept = list(key_columns)
        select = ", ".join(
            [f"t.{_quote(name)}" for name in kept]
            + [f"{_plain_text(value) if name.endswith('suggestion') else value} as {_quote(name)}" for name, value in values]
        )
        base = (
            f"select {select} from {self.relation} t left join mailvet_verdicts v "
            f"on v.email_key = sha256(coalesce(t.{_quote(self.column)}, '')) where {self._where}"
        )
        if split_by is None:
            return [self._copy(f"{base} order by t.rowid", output)]
        advice = dict(zip(columns, (value for _, value in values), strict=True)).get(split_by)
        if advice is None:
            raise SettingsError(f"--split-by {split_by}: choose one of the status columns {', '.join(columns)}.")
        words = [row[0] for row in self._db.execute(f"select distinct {advice} from ({base.replace(select, 'v.*')}) v"
                                                    ).fetchall()]  # fmt: skip
        stem, suffixes = _split_name(output)
        return [
            self._copy(f"{base} and {advice} is not distinct from {_literal(word)} order by t.rowid",
                       output.with_name(f"{stem}.{word or 'unverified'}{suffixes}"))
            for word in sorted(words, key=str)
        ]  # fmt: skip

    def _copy(self, query: str, output: Path) -> Path:
        kind = format_of(output)
        if kind is None:
            raise SettingsError(f"--output {output.name}: the name must end in one of {', '.join(FORMATS)}, "
                                "with .gz or .zst behind it if compressed.")  # fmt: skip
        options = {
            "csv": f"format csv, header true, delimiter {_literal(_tab_or_comma(output))}",
            "parquet": "format parquet",
            "json": "format json",
        }[kind[0]]
        if kind[1] and kind[0] != "parquet":
            options += f", compression {kind[1]}"
        partial = output.with_name(f".{output.name}.part")
        try:
            self._db.execute(f"copy ({query}) to {_literal(str(partial))} ({options})")
            os.replace(partial, output)
        except (duckdb.Error, OSError) as error:
            partial.unlink(missing_ok=True)
            raise SourceError(f"{output} cannot be written: {_first_line(str(error))}.") from None
        return output

    def looks_numeric(self) -> bool:
        """Whether every cell that is not blank is a number: the wrong column was named."""
        (filled, numbers) = self._one(
            "select count(*), count(*) filter (try_cast(folded as double) is not null) from mailvet_cells "
            "where folded <> ''"
        )
        return bool(filled) and filled == numbers

    # ---------------------------------------------------------------- one address

    def stored(self, key: str) -> dict[str, Any] | None:
        """The stored verdict of a key."""
        if not self._has("mailvet_verdicts"):
            return None
        found = _with_zone(self._arrow("select * from mailvet_verdicts where email_key = $key", {"key": key})).to_pylist()
        return found[0] if found else None

    def forget(self, key: str, folded: str) -> int:
        """Erase the verdicts of one address, in every spelling; returns how many."""
        if not self._has("mailvet_verdicts"):
            return 0
        return int(
            self._one(
                "delete from mailvet_verdicts where email_key = $1 or lower(trim(email)) = $2", [key, folded]
            )[0]
        )

    # ---------------------------------------------------------------- small things

    @classmethod
    def of_store(cls, path: Path, *, read_only: bool) -> DuckDBWarehouse:
        """Only the verdicts of a database, without a source."""
        if not path.exists():
            raise SourceError(f"There is no database {path}: nothing has been verified there yet.")
        return cls(
            open_database(path, read_only=read_only), name=path.name, relation="", column="email", where=None,
            policy=Policy.marketing, prefix="mailvet_", events=None,
        )  # fmt: skip

    def close(self) -> None:
        """See `Warehouse.close`."""
        self._db.close()

    def _has(self, table: str) -> bool:
        return bool(
            self._db.execute(
                "select 1 from duckdb_tables() where table_name = $1 and not temporary and database_name = "
                "current_database()",
                [table],
            ).fetchall()
        )

    def _one(self, query: str, parameters: Any = None) -> tuple[Any, ...]:
        # All rows, because DuckDB keeps a result that was not read to its end in the way of the next statement.
        row: tuple[Any, ...] = self._db.execute(query, parameters).fetchall()[0]
        return row

    def _arrow(self, query: str, parameters: Any = None) -> pa.Table:
        return self._db.sql(query, params=parameters).to_arrow_table()


_NO_VERDICTS = (
    "(select null::varchar as email_key, null::varchar as reason, null::varchar as depth, 0 as attempts, "
    "null::timestamp as next_check_at, null::timestamp as checked_at, null::varchar as rules_version where false)"
)

_RUNS = """
create table if not exists mailvet_runs (
  run_id varchar primary key, source varchar, started_at timestamp, finished_at timestamp, depth varchar,
  policy varchar, rows bigint, addresses bigint, due bigint, checked bigint, written bigint, by_status varchar,
  by_reason varchar, by_recommendation varchar, by_operator varchar, probes bigint, lookups bigint, seconds double,
  health varchar, mailvet_version varchar, rules_version varchar
)
"""


def _find_table(db: duckdb.DuckDBPyConnection, table: str, path: Path | None) -> tuple[str, bool]:
    """(quoted name, whether it is a view)."""
    rows = db.execute(
        "select table_schema, table_name, table_type from information_schema.tables "
        "where table_catalog = current_database() order by all"
    ).fetchall()
    wanted = table.replace('"', "").lower()
    matches = [r for r in rows if wanted in (f"{r[0]}.{r[1]}".lower(), str(r[1]).lower())]
    exact = [r for r in matches if f"{r[0]}.{r[1]}".lower() == wanted or r[0] == "main"] or matches
    if len(exact) == 1:
        schema, name, kind = exact[0]
        return f"{_quote(schema)}.{_quote(name)}", kind == "VIEW"
    names = ", ".join(f"{r[0]}.{r[1]}" if r[0] != "main" else r[1] for r in rows if not r[1].startswith("mailvet_"))
    where = f" in {path.name}" if path else ""
    if len(exact) > 1:
        raise SourceError(f"{table}{where} is ambiguous; write schema.table. There are: {names}.")
    raise SourceError(f"There is no table {table}{where}; there are: {names or 'no tables at all'}.")


def _columns(db: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in db.execute(f"describe {relation}").fetchall()]


def _find_column(db: duckdb.DuckDBPyConnection, relation: str, column: str | None, table: str) -> str:
    described = [(row[0], row[1]) for row in db.execute(f"describe {relation}").fetchall()]
    names = ", ".join(name for name, _ in described)
    if column is None:
        likely = [n for n, _ in described if re.fullmatch(r"e[-_ ]?mail([-_ ]?address)?|mail", n.strip(), re.I)]
        if len(likely) != 1:
            raise SourceError(
                f"Which column of {table} holds the addresses? Name it with --email-column; there are: {names}."
            )
        column = likely[0]
    found = [(n, kind) for n, kind in described if n == column] or [
        (n, kind) for n, kind in described if n.lower() == column.lower()
    ]
    if not found:
        raise SourceError(f"There is no column {column} in {table}; there are: {names}.")
    name, kind = found[0]
    if not kind.startswith("VARCHAR"):
        text = ", ".join(n for n, k in described if k.startswith("VARCHAR")) or "none"
        raise SourceError(
            f"The column {name} of {table} holds {kind}, not text, so it cannot hold addresses. Text columns: {text}."
        )
    return name


def _try(db: duckdb.DuckDBPyConnection, relation: str, where: str | None) -> str | None:
    if where:
        try:
            db.execute(f"select 1 from {relation} as t where ({where}) limit 1").fetchall()
        except duckdb.Error as error:
            raise SourceError(f"The condition --where does not work on {relation}: {_kind_of(str(error))}.") from None
    return where


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def _plain_text(value: str) -> str:
    """A suggestion never starts a formula when the file is opened in a spreadsheet."""
    return f"case when regexp_matches({value}, '^[=+@\\t\\r-]') then null else {value} end"


def _tab_or_comma(output: Path) -> str:
    return "\t" if ".tsv" in [suffix.lower() for suffix in output.suffixes] else ","


def _split_name(path: Path) -> tuple[str, str]:
    kind = "".join(path.suffixes[-2:]) if path.suffixes[-1].lower() in _COMPRESSION else path.suffixes[-1]
    return path.name[: -len(kind)], kind


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else "no reason given"


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _without_zone(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    return table.cast(
        pa.schema([f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema])
    )


def _with_zone(table: pa.Table) -> pa.Table:
    return table.select(verdict_schema().names).cast(verdict_schema())


