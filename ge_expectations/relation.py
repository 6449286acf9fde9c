"""Verdicts inside a database.

Conditions on a column through the user's verdict table, or through a temporary relation of the verdicts just made. Both
are looked up by `email_key`, computed in SQL, so that a query never carries an address or a list of them.
"""

from __future__ import annotations

import csv
import io
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from typing import Any

import sqlalchemy as sa

from ge_expectations.tally import Group, Tally
from ge_expectations.verification import Acceptance, Known, Recency
from mailvet import MailvetError, SettingsError, SourceError, Status, email_key
from mailvet.sdk import (
    bounce_probability_sql,
    is_missing,
    key_sql,
    missing_sql,
    moment_sql,
    parse_table,
    recommendation_sql,
)

__all__ = ["STAGING", "SqlVerdicts", "Stage", "Table", "email_key_sql", "open_table", "prepare"]

_STORED = ("email_key", "status", "reason", "score", "attempts", "depth", "checked_at", "next_check_at")
_ABSENT: dict[str, sa.ColumnElement[Any]] = {"bounce_probability": sa.cast(sa.null(), sa.Double())}
"""What a table that was made before a column has there; PostgreSQL takes a null without a type for text."""
_STAGED = ("email_key", "status", "reason", "score", "attempts", "detail", "bounce_probability")
_SQLITE_FUNCTION = "mailvet_email_key"
STAGING = ("postgresql", "duckdb", "sqlite")
"""Where verdicts that were just made can be put beside the table; elsewhere only stored ones are read."""

Value = Callable[["Table", Any], sa.ColumnElement[Any]]
"""Of a table of verdicts and its columns, a SQL expression."""


def email_key_sql(dialect: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """`mailvet.email_key` of a column in SQL.

    Raises:
        SourceError: a dialect that mailvet does not know.
    """
    if dialect == "postgresql":
        text = sa.func.convert_to(sa.cast(column, sa.Text()), sa.literal_column("'UTF8'"))
        return sa.func.encode(sa.func.sha256(text), sa.literal_column("'hex'"))
    if dialect == "duckdb":
        return sa.func.sha256(sa.cast(column, sa.Text()))
    if dialect == "sqlite":
        return getattr(sa.func, _SQLITE_FUNCTION)(column)  # type: ignore[no-any-return]
    try:
        written = str(column.compile(dialect=_written_by(dialect)))
        return sa.literal_column(key_sql(written, dialect))
    except SettingsError:
        raise SourceError(
            f"mailvet does not know how keys of addresses are computed in {dialect}. Load the column into a dataframe "
            "asset (Pandas or Spark) and validate that."
        ) from None


@cache
def _written_by(dialect: str) -> sa.Dialect:
    """What knows how names are quoted there."""
    found: sa.Dialect = sa.engine.make_url(f"{dialect}://").get_dialect()()
    return found


@dataclass(frozen=True)
class Table:
    """A table of verdicts: the user's, or a temporary one of ours."""

    selectable: sa.TableClause
    moment: Callable[[datetime], sa.ColumnElement[Any]] | None = None
    """How a time is written to be compared with its times; None for a temporary one, which keeps no times."""
    holds: Callable[[Any], sa.ColumnElement[bool]] | None = None
    """Of its columns, which rows may be used; None for all."""

    @property
    def staged(self) -> bool:
        """Whether it is a temporary one of ours."""
        return self.moment is None

    def rows(self, **values: sa.ColumnElement[Any]) -> sa.Subquery:
        """Its usable rows with the key and these values, each renamed.

        A contact table's `email` must not be taken for the column of the same name in here.
        """
        c = self.selectable.c
        named = [value.label(f"mailvet_{name}") for name, value in values.items()]
        query = sa.select(c.email_key.label("mailvet_key"), *named)
        if self.holds is not None:
            query = query.where(self.holds(c))
        return query.subquery()


@dataclass(eq=False)
class Stage:
    """Verdicts in a temporary table, which exists on whatever connection of the engine is in use.

    Pools may hand out a different one for every query.
    """

    rows: Sequence[tuple[str, Known]]
    name: str = field(default_factory=lambda: f"mailvet_stage_{uuid.uuid4().hex[:12]}")

    def table(self) -> Table:
        """The temporary table as a source of verdicts."""
        return Table(_clause(self.name, None, _STAGED))

    def load(self, connection: Any, dialect: str) -> None:
        """Create and fill the table on one DBAPI connection."""
        rows = [(key, k.status, k.reason, k.score, k.attempts, k.detail, k.bounce_probability) for key, k in self.rows]
        if dialect == "duckdb":
            self._load_duckdb(connection, rows)
            return
        cursor = connection.cursor()
        try:
            cursor.execute(
                f"create temporary table {self.name} (email_key varchar(64) not null, status varchar(20), "
                "reason varchar(40), score smallint, attempts integer, detail varchar(40), "
                "bounce_probability double precision)"
            )
            if dialect == "postgresql":
                _copy(cursor, f"copy {self.name} from stdin with (format csv)", rows)
            else:
                marks = ", ".join("?" * len(_STAGED))
                cursor.executemany(f"insert into {self.name} values ({marks})", rows)
            cursor.execute(f"create unique index {self.name}_key on {self.name} (email_key)")
            if dialect == "postgresql":
                cursor.execute(f"analyze {self.name}")
        finally:
            cursor.close()
        connection.commit()

    def _load_duckdb(self, connection: Any, rows: list[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        kinds = {"score": pa.int16(), "attempts": pa.int32(), "bounce_probability": pa.float64()}
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_STAGED)
        frame = pa.table(
            {
                name: pa.array(values, kinds.get(name, pa.string()))
                for name, values in zip(_STAGED, columns, strict=True)
            }
        )
        connection.register(f"{self.name}_arrow", frame)
        try:
            connection.cursor().execute(f"create temp table {self.name} as select * from {self.name}_arrow")
        finally:
            connection.unregister(f"{self.name}_arrow")

    def drop(self, connection: Any) -> None:
        """Remove it from one DBAPI connection."""
        cursor = connection.cursor()
        try:
            cursor.execute(f"drop table if exists {self.name}")
        finally:
            cursor.close()


def _copy(cursor: Any, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    if hasattr(cursor, "copy_expert"):  # psycopg2
        text.seek(0)
        cursor.copy_expert(statement, text)
        return
    with cursor.copy(statement) as copy:  # psycopg 3
        copy.write(text.getvalue())


class _Staging:
    """The stages of one engine. A stage lives as long as it is referenced."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.stages: weakref.WeakSet[Stage] = weakref.WeakSet()

    def on_connect(self, connection: sa.Connection) -> None:
        self.prepare(connection)

    def prepare(self, connection: sa.Connection) -> None:
        """Bring the stages of this connection up to date."""
        present: dict[str, Any] = connection.info.setdefault("mailvet_stages", {})
        driver = connection.connection.driver_connection
        if self.dialect == "sqlite" and not connection.info.get(_SQLITE_FUNCTION):
            driver.create_function(_SQLITE_FUNCTION, 1, email_key, deterministic=True)  # type: ignore[union-attr]
            driver.create_function("mailvet_missing", 1, is_missing, deterministic=True)  # type: ignore[union-attr]
            connection.info[_SQLITE_FUNCTION] = True
        alive = {stage.name: stage for stage in list(self.stages)}
        for name in [name for name in present if name not in alive]:
            Stage((), name).drop(driver)
            del present[name]
        for name, stage in alive.items():
            if name not in present:
                stage.load(driver, self.dialect)
                present[name] = True


_engines: weakref.WeakKeyDictionary[sa.Engine, _Staging] = weakref.WeakKeyDictionary()


def staging_of(engine: sa.Engine, connection: sa.Connection) -> _Staging:
    """The stages of an engine; `connection` may be one that was open before the listener."""
    known = _engines.get(engine)
    if known is None:
        known = _engines[engine] = _Staging(engine.dialect.name)
        sa.event.listen(engine, "engine_connect", known.on_connect)
    known.prepare(connection)
    return known


def prepare(engine: Any) -> None:
    """Make the functions and stages of an execution engine's database ready on the connection it uses."""
    with engine.get_connection() as connection:
        staging_of(engine.engine, connection)


def _clause(name: str, schema: str | None, columns: Iterable[str]) -> sa.TableClause:
    return sa.table(name, *(sa.column(each) for each in columns), schema=schema)


def open_table(
    connection: sa.Connection, name: str, *, holds: Callable[[Table, Any], sa.ColumnElement[bool]] | None = None
) -> Table:
    """The user's verdict table.

    Args:
        connection: to the database that holds it.
        name: `table` or `schema.table`.
        holds: of the table and its columns, which rows may be used.

    Raises:
        SourceError: it does not exist or cannot be read.
    """
    found = parse_table(name)
    clause = _clause(found.name, ".".join(found.parts[:-1]) or None, _STORED)
    try:
        sample = connection.execute(
            sa.select(clause.c.email_key, clause.c.status, clause.c.checked_at).limit(1)
        ).first()
    except sa.exc.DBAPIError as error:
        connection.rollback()
        first = str(error.orig).strip().splitlines()[0]
        raise SourceError(f"The verdict table {name} cannot be read: {first}") from None
    columns: tuple[str, ...] = _STORED
    try:
        connection.execute(sa.select(sa.column("bounce_probability")).select_from(clause).limit(0))
        columns = (*_STORED, "bounce_probability")
    except sa.exc.DBAPIError:  # of an older version
        connection.rollback()
    clause = _clause(found.name, ".".join(found.parts[:-1]) or None, columns)
    moment = _moment(connection.dialect.name, sample[2] if sample else None)
    opened = Table(clause, moment)
    if holds is None:
        return opened
    return Table(clause, moment, holds=lambda columns: holds(opened, columns))


def _moment(dialect: str, sample: Any) -> Callable[[datetime], sa.ColumnElement[Any]]:
    if dialect == "sqlite":  # keeps times as text, in one of two spellings
        separator = "T" if isinstance(sample, str) and "T" in sample else " "
        return lambda at: sa.literal_column(f"'{_text(at, separator)}'")
    if dialect not in STAGING:
        return lambda at: sa.literal_column(moment_sql(at.astimezone(timezone.utc), dialect))
    aware = isinstance(sample, datetime) and sample.tzinfo is not None
    kind = "timestamp with time zone" if aware else "timestamp"
    zone = "+00:00" if aware else ""
    return lambda at: sa.literal_column(f"cast('{_text(at)}{zone}' as {kind})")


def _text(at: datetime, separator: str = " ") -> str:
    return at.astimezone(timezone.utc).replace(tzinfo=None).isoformat(separator, "microseconds")


@dataclass
class SqlVerdicts:
    """The verdicts of one column of one batch, as SQL."""

    engine: Any
    """The execution engine of Great Expectations."""
    dialect: str
    domain: Any
    """The rows to validate: a table, or a select where a row condition holds."""
    column: str
    tables: tuple[Table, ...]
    stage: Stage | None = None
    """Kept here so that it lives as long as these verdicts do."""
    failure: MailvetError | None = None
    only: str | None = None
    """Staged are only verdicts with this reason; a cell without verdict is known to have another."""

    @property
    def staged(self) -> bool:
        """Whether conditions name a temporary relation, so that their SQL means nothing later."""
        return self.stage is not None

    def condition(self, passes: Value, otherwise: bool) -> sa.ColumnElement[bool]:
        """True where the verdict of the column's cell passes, and where the cell is blank.

        Args:
            passes: SQL condition on a row of verdicts.
            otherwise: what holds for cells without verdict.
        """
        key = email_key_sql(self.dialect, sa.column(self.column))
        found = []
        for table in self.tables:
            rows = table.rows(passes=sa.case((passes(table, table.selectable.c), 1), else_=0))
            found.append(sa.select(rows.c.mailvet_passes).where(rows.c.mailvet_key == key).scalar_subquery())
        default: Any = sa.literal_column(str(int(otherwise)))
        answer = sa.func.coalesce(*found, default) if found else default
        return sa.or_(self._missing(), answer == sa.literal_column("1"))

    def acceptance(self, acceptance: Acceptance) -> sa.ColumnElement[bool]:
        """True where the acceptance lets the cell pass; the same function as `Acceptance.passes`."""

        def passes(_: Table, c: Any) -> sa.ColumnElement[Any]:
            chance = bounce_probability_sql(has_column="bounce_probability" in c)
            advice: Any = sa.literal_column(
                recommendation_sql(
                    acceptance.policy, reason="reason", score="score", attempts="attempts", probability=chance
                )
            )
            allowed = sorted(acceptance.allow)
            allows = sa.or_(c.status.in_(_words(allowed)), advice.in_(_words(allowed)))
            return allows if acceptance.unknown == "fail" else sa.or_(allows, c.status == _word(Status.unknown))

        return self.condition(passes, otherwise=acceptance.passes(None))

    def recent(self, recency: Recency) -> sa.ColumnElement[bool]:
        """True where the verdict is recent; the same function as `Recency.accepts`."""
        return self.condition(lambda table, c: is_recent(table, c, recency), otherwise=False)

    def without(self, reason: str, details: Sequence[str] = ()) -> sa.ColumnElement[bool]:
        """True where the verdict is neither for this reason nor of these details."""

        def passes(_: Table, c: Any) -> sa.ColumnElement[Any]:
            bad = c.reason == _word(reason)
            return sa.not_(sa.or_(bad, sa.func.coalesce(c.detail, _word("")).in_(_words(details))) if details else bad)

        return self.condition(passes, otherwise=True)

    def tally(self) -> Tally:
        """Count the rows by verdict."""
        names = ("status", "reason", "score", "attempts", "detail", "bounce_probability", "checked_at")
        column: Any = sa.column(self.column)
        key = email_key_sql(self.dialect, column)
        one: Any = sa.literal_column("1")
        none: Any = sa.literal_column("0")
        is_null: Any = sa.case((column.is_(None), one), else_=none)
        cells = (
            sa.select(
                key.label("mailvet_cell"),
                is_null.label("mailvet_null"),
                sa.func.max(sa.case((self._missing(), one), else_=none)).label("mailvet_missing"),
                sa.func.count().label("mailvet_repeats"),
            )
            .select_from(self.source())
            .group_by(key, is_null)
            .subquery()
        )
        joined: Any = cells
        parts: list[dict[str, Any]] = []
        for table in self.tables:
            c = table.selectable.c
            rows = table.rows(**{name: c.get(name, _ABSENT.get(name, sa.null())) for name in names})
            joined = joined.outerjoin(rows, rows.c.mailvet_key == cells.c.mailvet_cell)
            parts.append({name: rows.c[f"mailvet_{name}"] for name in names})
        stored = [part for part, table in zip(parts, self.tables, strict=True) if not table.staged]
        if not parts:
            parts.append(dict.fromkeys(names, sa.null()))
        merged = {
            name: sa.func.coalesce(*(part[name] for part in parts)) if len(parts) > 1 else parts[0][name]
            for name in names[:-1]
        }
        labels = [merged[name].label(f"mailvet_{name}") for name in names[:-1]]
        oldest = [sa.func.min(part["checked_at"]) for part in stored]
        repeats: Any = cells.c.mailvet_repeats
        kinds = (cells.c.mailvet_null, cells.c.mailvet_missing)
        by_verdict = () if not self.tables else merged.values()
        query = (
            sa.select(*labels, *kinds, sa.func.sum(repeats), sa.func.sum(repeats * repeats), *oldest)
            .select_from(joined)
            .group_by(*by_verdict, *kinds)
        )
        groups: list[Group] = []
        times: list[datetime] = []
        nulls = 0
        for status, reason, score, attempts, detail, chance, null, missing, rows, squares, *moments in self._run(query):
            if null:
                nulls += int(rows)
                continue
            known = (
                None
                if status is None
                else Known(
                    status,
                    reason,
                    score,
                    attempts,
                    "",
                    datetime.min,
                    None,
                    detail,
                    None if chance is None else float(chance),
                )
            )
            groups.append(Group(known, int(rows), int(squares), bool(missing)))
            times += [_moment_of(at) for at in moments if at is not None]
        return Tally(tuple(groups), min(times, default=None), nulls)

    def _missing(self) -> sa.ColumnElement[bool]:
        """Whether the column's cell is blank: `mailvet.syntax.missing.is_missing`."""
        text = sa.cast(sa.column(self.column), sa.Text()).compile(dialect=self.engine.engine.dialect)
        return sa.literal_column(missing_sql(str(text), self.dialect))

    def source(self) -> Any:
        """The rows to validate as something to select from."""
        return self.domain.subquery() if isinstance(self.domain, sa.Select) else self.domain

    def distinct(self, *, without_verdict: Sequence[Table] = ()) -> Iterator[list[Any]]:
        """Batches of the column's distinct values, leaving out those that have a verdict in these tables."""
        column: Any = sa.column(self.column)
        query: Any = sa.select(column).select_from(self.source()).where(sa.not_(self._missing())).distinct()
        for table in without_verdict:
            rows = table.rows()
            key = email_key_sql(self.dialect, column)
            query = query.where(~sa.exists(sa.select(sa.literal_column("1")).where(rows.c.mailvet_key == key)))
        with self.engine.get_connection() as connection:
            streamed = self.dialect == "postgresql"
            options = {"stream_results": True} if streamed else {}
            result = connection.execute(query, execution_options=options)
            for part in result.partitions(50_000):
                yield [row[0] for row in part]

    def sample(self) -> Any:
        """One value of the column, None if there is none."""
        column: Any = sa.column(self.column)
        rows = self._run(sa.select(column).select_from(self.source()).where(column.is_not(None)).limit(1))
        return rows[0][0] if rows else None

    def _run(self, query: Any) -> Sequence[Any]:
        with self.engine.get_connection() as connection:
            rows: Sequence[Any] = connection.execute(query).fetchall()
            return rows


def is_recent(table: Table, c: Any, recency: Recency) -> sa.ColumnElement[bool]:
    """`Recency.accepts` in SQL."""
    assert table.moment is not None
    deep_enough = sa.or_(c.next_check_at.is_(None), c.depth.in_(_words(recency.depths)))
    return sa.and_(c.checked_at >= table.moment(recency.since), deep_enough)


def still_holds_sql(table: Table, c: Any, depths: Sequence[str], now: datetime) -> sa.ColumnElement[bool]:
    """`still_holds` in SQL."""
    assert table.moment is not None
    due = sa.or_(c.next_check_at.is_(None), c.next_check_at > table.moment(now))
    return sa.and_(c.depth.in_(_words(depths)), due)


def _word(word: str) -> sa.ColumnElement[Any]:
    """A word of our own vocabulary, written out: result queries are shown to people."""
    if not all(letter.isalnum() or letter == "_" for letter in word):
        raise ValueError(f"{word!r} is no word")
    return sa.literal_column(f"'{word}'")


def _words(words: Iterable[str]) -> list[sa.ColumnElement[Any]]:
    return [_word(str(word)) for word in words]


def _moment_of(value: Any) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
