"""The verdicts of one column, come by once for each engine: stored ones where they hold, the core for the rest.

An outage does not raise here but is kept as `failure`: Great Expectations calls a metric that raised three times
more, and the mail servers would be asked as often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ge_expectations import verification
from ge_expectations.tally import Tally, tally_of
from ge_expectations.verification import (
    DEFAULT_VERDICT_TABLE,
    NOT_TEXT,
    Cell,
    Known,
    VerdictSource,
    depths_from,
    is_file_of_verdicts,
    read_stored_verdicts,
    still_holds,
)
from mailvet import Depth, MailvetError, Reason, SourceError, email_key
from mailvet.sdk import REASONS, bounce_probability, is_missing

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from ge_expectations.relation import SqlVerdicts

__all__ = ["LocalVerdicts", "pandas_verdicts", "require_text", "spark_verdicts", "sql_verdicts", "texts_of"]


_NO_TEXT = "\ufdd2not text"
"""Stands for every cell that is no text; it begins with a noncharacter of Unicode, so no cell is the same."""


@dataclass
class LocalVerdicts:
    """The verdicts of one column in this process: by text for Pandas, by `email_key` for Spark."""

    cells: dict[str, Cell]
    failure: MailvetError | None = None
    staged: bool = False
    nulls: int = 0
    """Rows without a value."""

    def failing(self, passes: Callable[[Known | None], bool]) -> set[str]:
        """The cells that do not pass; blank ones do."""
        return {text for text, cell in self.cells.items() if not cell.missing and not passes(cell.known)}

    def tally(self) -> Tally:
        """Count the rows by verdict."""
        return tally_of(self.cells.values(), self.nulls)


def require_text(value: Any, column: str) -> None:
    """Refuse a value that is no text.

    Raises:
        SourceError: the value is no text, so the column holds no addresses.
    """
    if not isinstance(value, str):
        raise SourceError(
            f"The column {column} holds values of type {type(value).__name__}, not text, so these are no e-mail "
            "addresses. Name the right column, or cast it."
        )


def _verified(cells: Sequence[str], source: VerdictSource) -> tuple[dict[str, Known], MailvetError | None]:
    """What the core says of these cells by text. Raises nothing: a failure is part of the answer."""
    try:
        answers, outage = verification.verify_cells(cells, source.settings())
    except MailvetError as error:
        return {}, error
    return dict(zip(cells, answers, strict=True)), outage


def _depths(source: VerdictSource) -> tuple[str, ...]:
    return depths_from(source.settings().depth)


def _due(stored: Iterable[tuple[str, Known | None]], source: VerdictSource) -> list[str]:
    """Texts to verify now."""
    if source.verify == "never":
        return []
    depths, now = _depths(source), datetime.now(timezone.utc)
    return [
        text
        for text, known in stored
        if not is_missing(text) and (known is None or not still_holds(known, depths, now))
    ]


def _missing_table(source: VerdictSource, where: str) -> SourceError:
    return SourceError(
        f'There is no verdict table {source.verdict_table or DEFAULT_VERDICT_TABLE} {where}, and verify is "never". '
        "Run mailvet over the column first, or set verdict_table."
    )


def pandas_verdicts(series: pd.Series[Any], column: str, source: VerdictSource) -> LocalVerdicts:
    """The verdicts of a dataframe's column; stored ones come from a Parquet or DuckDB file."""
    counts = texts_of(series, column).dropna().value_counts(sort=False)
    rows = {text: int(count) for text, count in zip(counts.index.tolist(), counts.tolist(), strict=True) if count}
    odd = rows.pop(_NO_TEXT, 0)
    stored: dict[str, Known] = {}
    path = source.verdict_table
    if path is None and source.verify != "always":
        store = source.settings().store.path
        path = str(store) if store is not None and store.is_file() else None
    if source.verify == "never" and path is None:
        raise SourceError(
            'A dataframe has no database beside it: with verify "never", verdict_table is the path of a Parquet file '
            "or DuckDB database of verdicts."
        )
    if source.verify != "always" and path is not None:
        keys = {email_key(text): text for text in rows}
        stored = {keys[key]: known for key, known in read_stored_verdicts(path, list(keys)).items()}
    fresh, failure = _verified(_due(((text, stored.get(text)) for text in rows), source), source)
    cells = {text: Cell(count, fresh.get(text, stored.get(text)), is_missing(text)) for text, count in rows.items()}
    if odd:
        cells[_NO_TEXT] = Cell(odd, _no_text())
    return LocalVerdicts(cells, failure, nulls=int(series.isna().sum()))


def texts_of(series: pd.Series[Any], column: str) -> pd.Series[Any]:
    """The column with one mark in place of every cell that is neither text nor null: a number, a list, bytes.

    Such a cell is no address, whatever its text would be.

    Raises:
        SourceError: the column's type holds no text at all.
    """
    from pandas.api import types

    kinds = series.dropna()
    if not types.is_object_dtype(series.dtype):
        for value in kinds.head(1):
            require_text(value, column)
        if isinstance(getattr(series.dtype, "categories", None), object) and len(kinds):
            return series.astype(object).map(_text_or_mark, na_action="ignore")
        return series
    if types.infer_dtype(kinds, skipna=True) == "string":
        return series
    return series.map(_text_or_mark, na_action="ignore")


def _text_or_mark(value: Any) -> str:
    return value if isinstance(value, str) else _NO_TEXT


def _no_text() -> Known:
    chance = bounce_probability(Reason.syntax_invalid)
    score = round(100 * (1 - chance))
    rule = REASONS[Reason.syntax_invalid]
    now = datetime.now(timezone.utc)
    return Known(
        str(rule.status), str(Reason.syntax_invalid), score, 0, str(Depth.offline), now, None, NOT_TEXT, chance
    )


def spark_verdicts(frame: DataFrame, column: str, source: VerdictSource) -> LocalVerdicts:
    """The verdicts of a Spark dataframe's column by `email_key`.

    Distinct cells are verified in the driver: one process paces what a mail operator is asked, a hundred executors
    would not.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import NullType, StringType

    kind = frame.select(F.col(column)).schema.fields[0].dataType
    if not isinstance(kind, (StringType, NullType)):
        raise SourceError(
            f"The column {column} is of type {kind.simpleString()}, not text, so it holds no e-mail addresses. Name "
            "the right column, or cast it."
        )
    text = F.col(column).cast("string")
    cells = frame.groupBy(F.sha2(text, 256).alias("mailvet_key")).agg(
        F.count(F.lit(1)).alias("mailvet_rows"), F.first(text).alias("mailvet_text")
    )
    names = ("status", "reason", "score", "attempts", "depth", "checked_at", "next_check_at")
    table = None if source.verify == "always" else _spark_table(frame, source)
    if table is not None:
        chance = F.col("bounce_probability") if "bounce_probability" in table.columns else F.lit(None).cast("double")
        verdicts = table.select(
            F.col("email_key"),
            *[F.col(name).alias(f"mailvet_{name}") for name in names],
            chance.alias("mailvet_bounce_probability"),
        )
        cells = cells.join(verdicts, cells["mailvet_key"] == verdicts["email_key"], "left")
    found: dict[str, tuple[int, str, Known | None]] = {}
    nulls = 0
    for row in cells.collect():
        if row["mailvet_key"] is None:
            nulls = row["mailvet_rows"]
            continue
        status = row["mailvet_status"] if table is not None else None
        known = None
        if status is not None:
            values = [row[f"mailvet_{name}"] for name in names]
            known = Known(*values)._replace(
                checked_at=_utc(row["mailvet_checked_at"]) or datetime.min,
                next_check_at=_utc(row["mailvet_next_check_at"]),
                bounce_probability=row["mailvet_bounce_probability"],
            )
        found[row["mailvet_key"]] = (row["mailvet_rows"], row["mailvet_text"], known)
    fresh, failure = _verified(_due(((text, known) for _, text, known in found.values()), source), source)
    return LocalVerdicts(
        {key: Cell(rows, fresh.get(text, known), is_missing(text)) for key, (rows, text, known) in found.items()},
        failure,
        nulls=nulls,
    )


def _spark_table(frame: DataFrame, source: VerdictSource) -> DataFrame | None:
    name = source.verdict_table or DEFAULT_VERDICT_TABLE
    spark = frame.sparkSession
    if is_file_of_verdicts(name):
        return _spark_file(spark, name)
    if spark.catalog.tableExists(name):
        return spark.table(name)
    if source.verdict_table is not None or source.verify == "never":
        raise _missing_table(source, "in the Spark catalog")
    return None


def _spark_file(spark: Any, path: str) -> DataFrame:
    if not path.lower().rstrip("/").endswith(".parquet"):
        raise SourceError(
            f"On Spark verdict_table is a table of the catalog or the path of a Parquet file, and {path} is neither. "
            "A DuckDB file of verdicts is read on Pandas only; write its table mailvet_verdicts to Parquet."
        )
    try:
        read: DataFrame = spark.read.parquet(path)
        return read
    except Exception as error:  # the class of Spark's errors depends on how Spark is reached
        said = str(error).strip().splitlines()
        raise SourceError(
            f"The file of verdicts {path} cannot be read by Spark: {said[0] if said else type(error).__name__}"
        ) from None


def _utc(moment: datetime | None) -> datetime | None:
    """Spark hands out times without a zone, in this process's local one."""
    return None if moment is None else moment.astimezone(timezone.utc)


def sql_verdicts(
    engine: Any, domain: Any, column: str, source: VerdictSource, *, only: Reason | None = None
) -> SqlVerdicts:
    """The verdicts of a column in a database, as relations to look them up in.

    Args:
        engine: SqlAlchemyExecutionEngine.
        domain: the rows to validate.
        column: the name of the column of addresses.
        source: where the verdicts come from.
        only: keep only verdicts for this reason or with a detail; the rest is known to be otherwise.
    """
    from ge_expectations import relation

    dialect = engine.engine.dialect.name
    relation.email_key_sql(dialect, _column(column))  # refuses a dialect before anything is asked
    if dialect not in relation.STAGING and source.verify != "never":
        raise SourceError(
            f'In {dialect} expectations read the verdicts that mailvet has stored there. Set verify="never", and run '
            "mailvet verify, its Airflow operator or mailvet dbt run before."
        )
    verdicts = relation.SqlVerdicts(engine, dialect, domain, column, ())
    with engine.get_connection() as connection:
        staging = relation.staging_of(engine.engine, connection)
    sample = verdicts.sample()
    if sample is not None:
        require_text(sample, column)
    stored, holding = (None, None) if source.verify == "always" else _sql_tables(verdicts, source)
    if source.verify == "never":
        if stored is None:
            raise _missing_table(source, "in the database")
        verdicts.tables = (stored,)
        return verdicts
    tables = (holding,) if holding is not None else ()
    due: list[str] = []
    for part in verdicts.distinct(without_verdict=tables):
        for value in part:
            require_text(value, column)
        due += part
    fresh, verdicts.failure = _verified(due, source)
    if verdicts.failure is None and fresh:
        kept = [
            (email_key(text), known)
            for text, known in fresh.items()
            if only is None or known.reason == only or known.detail is not None
        ]
        verdicts.stage = relation.Stage(kept)
        staging.stages.add(verdicts.stage)
        with engine.get_connection() as connection:
            staging.prepare(connection)
        tables = (verdicts.stage.table(), *tables)
    verdicts.tables = tables
    return verdicts


def _column(name: str) -> Any:
    import sqlalchemy as sa

    return sa.column(name)


def _sql_tables(verdicts: SqlVerdicts, source: VerdictSource) -> tuple[Any, Any]:
    """The verdict table as it is, and what of it still holds; None where there is none."""
    from ge_expectations import relation

    name = source.verdict_table or DEFAULT_VERDICT_TABLE
    if is_file_of_verdicts(name):
        raise SourceError(
            f"verdict_table is the path {name}, which is for a dataframe. For a database it is a table of the same "
            "database: schema.table."
        )
    depths, now = _depths(source), datetime.now(timezone.utc)
    with verdicts.engine.get_connection() as connection:
        try:
            stored = relation.open_table(connection, name)
        except SourceError:
            if source.verdict_table is not None:
                raise
            return None, None
        holding = relation.open_table(
            connection, name, holds=lambda table, c: relation.still_holds_sql(table, c, depths, now)
        )
    return stored, holding
