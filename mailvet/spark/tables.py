"""The verdict table where Spark keeps its data: read, merged, saved, and joined beside the addresses.

A silent verdict (about us, the network or the moment) never replaces what is known of a mailbox, only when to ask
again: the rule of every warehouse of mailvet's, here as the one condition that the SQL of a MERGE and the merge of two
DataFrames share.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from mailvet.errors import SettingsError, SourceError
from mailvet.scoring.stored import bounce_probability_sql
from mailvet.spark.cells import SAY, cells_of
from mailvet.spark.staging import Folder, is_object_store
from mailvet.spark.worker import copy
from mailvet.verdict import STATUS_COLUMNS, verdict_schema
from mailvet.warehouse.due_rule import rank
from mailvet.warehouse.mailboxes import backfill_sql, has_mailbox, mailbox_key_sql, missing_verdicts
from mailvet.warehouse.own_tables import BACKFILL_PROBABILITY, VERDICTS
from mailvet.warehouse.store import KNOWN_FOR, SILENT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = [
    "Format",
    "empty_verdicts",
    "files_of",
    "find_verdicts",
    "merge_sql",
    "merged",
    "read_verdicts",
    "save",
    "verdict_ddl",
    "with_status",
]

Format = Literal["parquet", "delta", "iceberg"]

_TYPES = {
    "string": "string",
    "int16": "smallint",
    "int32": "int",
    "timestamp[us, tz=UTC]": "timestamp",
    "double": "double",
}
_SILENT = ", ".join(f"'{reason}'" for reason in SILENT)
# v: the verdict that is known; b: the one that has come.
_KEEP = (
    f"(b.reason in ({_SILENT}) and v.status <> 'unknown' "
    f"and b.checked_at < v.checked_at + interval {KNOWN_FOR.days} days)"
)
_DEEP_ENOUGH = f"{rank('b.depth')} >= {rank('v.depth')}"
_NAMES = tuple(verdict_schema().names)
_COMPARED = ("checked_at", "next_check_at", "depth", "recommendation")
_IS_NEWS = " or ".join(f"b.{name} is distinct from v.{name}" for name in _COMPARED)


def verdict_ddl() -> str:
    """The columns of `verdict_schema()` as Spark writes them."""
    return ", ".join(f"{field.name} {_TYPES[str(field.type)]}" for field in verdict_schema())


def empty_verdicts(spark: SparkSession) -> DataFrame:
    """A verdict table without rows."""
    return spark.createDataFrame([], verdict_ddl())


def files_of(spark: SparkSession, folder: Folder, names: Sequence[str]) -> DataFrame:
    """The verdicts in these files, each key once in all of them. `save` knows such a DataFrame again."""
    if not names:
        return empty_verdicts(spark)
    found = spark.read.schema(verdict_ddl()).parquet(*((folder / name).uri for name in names))
    _FILES[found] = folder, tuple(names)
    return found


_FILES: WeakKeyDictionary[DataFrame, tuple[Folder, tuple[str, ...]]] = WeakKeyDictionary()


def read_verdicts(spark: SparkSession, table: str | Path | DataFrame, *, format: Format = "parquet") -> DataFrame:
    """The verdict table, without rows where there is none yet.

    Args:
        spark: the session.
        table: a DataFrame, a path (it has a slash), or the name of a table in Spark's catalog.
        format: of a path.

    Raises:
        SourceError: it is something else than verdicts.
    """
    found = find_verdicts(spark, table, format=format)
    return found if found is not None else empty_verdicts(spark)


def find_verdicts(
    spark: SparkSession, table: str | Path | DataFrame, *, format: Format = "parquet"
) -> DataFrame | None:
    """As `read_verdicts`; None where there is no table yet."""
    if not isinstance(table, (str, Path)):
        found = table
    elif "/" in str(table):
        folder = Folder.of(table)
        _recover(folder)
        if not folder.exists() and not (folder / "_delta_log").names():
            return None
        found = spark.read.format(format).load(folder.uri)
    elif spark.catalog.tableExists(str(table)):
        found = spark.table(str(table))
    else:
        return None
    if "mailbox_key" not in found.columns and {"email", "domain"} <= set(found.columns):  # of an older version
        found = found.withColumn("mailbox_key", _mailbox_key())
    if "bounce_probability" not in found.columns and "score" in found.columns:
        from pyspark.sql import functions as F

        found = found.withColumn("bounce_probability", F.expr(bounce_probability_sql(has_column=False)))
    missing = [name for name in _NAMES if name not in found.columns]
    if missing:
        raise SourceError(
            f"This is no table of verdicts: the columns {', '.join(missing)} are missing. Name the table that "
            "mailvet.spark.save wrote, or none."
        )
    return found.selectExpr(
        *(f"cast({name} as {_TYPES[str(verdict_schema().field(name).type)]}) as {name}" for name in _NAMES)
    )


def _mailbox_key() -> Column:
    """The key that a verdict of an older version lacks; null where the address is not stored."""
    from pyspark.sql import functions as F

    return F.expr(f"case when {has_mailbox(SAY)} then {mailbox_key_sql(SAY)} end")


def merged(known: DataFrame, fresh: DataFrame) -> DataFrame:
    """Two tables of verdicts, each key once in both, as one: an older verdict never replaces a newer one."""
    from pyspark.sql import functions as F

    both = known.alias("v").join(fresh.alias("b"), F.expr("v.email_key = b.email_key"), "full_outer")
    stays = f"b.email_key is null or (v.email_key is not null and (b.checked_at < v.checked_at or {_KEEP}))"
    columns = []
    for name in _NAMES:
        renewed = (
            f"when b.checked_at >= v.checked_at and {_DEEP_ENOUGH} and {_KEEP} then b.{name} "
            if name in ("depth", "next_check_at")
            else ""
        )
        columns.append(F.expr(f"case {renewed}when {stays} then v.{name} else b.{name} end").alias(name))
    return both.select(*columns)


def merge_sql(table: str, source: str) -> str:
    """The MERGE that takes verdicts into a table.

    Delta Lake and Apache Iceberg understand it, also without a run of mailvet's around it. Rows that would stay as they
    are are not rewritten.

    Args:
        table: the verdict table, as SQL names it.
        source: a table or view with the columns of verdicts, each key once.
    """
    sets = ", ".join(f"{name} = b.{name}" for name in _NAMES if name != "email_key")
    newer = "b.checked_at >= v.checked_at"
    return (
        f"merge into {table} as v using {source} as b on v.email_key = b.email_key\n"
        f"when matched and {newer} and {_KEEP} and {_DEEP_ENOUGH} then\n"
        "  update set depth = b.depth, next_check_at = b.next_check_at\n"
        f"when matched and {newer} and not {_KEEP} and ({_IS_NEWS}) then\n  update set {sets}\n"
        f"when not matched then\n  insert ({', '.join(_NAMES)}) values ({', '.join(f'b.{name}' for name in _NAMES)})"
    )


def save(verdicts: DataFrame, table: str | Path, *, format: Format = "parquet") -> DataFrame:
    """Take verdicts into the verdict table, which is made if it is not there.

    A Parquet folder is written anew beside the old one and put in its place by renaming, so that readers and an
    interruption find the old table or the new one, never half of one. Delta and Iceberg are given one MERGE.

    Args:
        verdicts: from `verify`.
        table: parquet: a folder. delta: a folder or the name of a table. iceberg: the name of a table.
        format: parquet, delta or iceberg.

    Returns:
        The verdict table as it is now. Use it in place of `verdicts`, which may still read the table as it was.

    Raises:
        SettingsError: a place where folders cannot be renamed (object stores) for parquet, an unknown format, or a
            session without the extension.
        SourceError: what is there is no table of verdicts.
    """
    if format == "parquet":
        if is_object_store(table):
            raise SettingsError(
                f"{table} lies in an object store, where a folder of Parquet files cannot be replaced at once. Keep "
                "the verdict table as Delta or Iceberg there (format='delta'), or on a file system."
            )
        _save_parquet(verdicts, Folder.of(table))
        return verdicts.sparkSession.read.schema(verdict_ddl()).parquet(Folder.of(table).uri)
    if format in ("delta", "iceberg"):
        _save_by_merge(verdicts, str(table), format)
        return read_verdicts(verdicts.sparkSession, table, format=format)
    raise SettingsError(f"{format!r} is no format of a verdict table; choose parquet, delta or iceberg.")


def _save_parquet(verdicts: DataFrame, folder: Folder) -> None:
    known = read_verdicts(verdicts.sparkSession, folder.uri)
    made = folder.beside(f"_{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        if folder.exists() or not _copied(verdicts, made):
            kept = known.where(f"not coalesce({missing_verdicts(SAY)}, false)")
            merged(kept, verdicts.select(*_NAMES)).write.parquet(made.uri)
        _replace(folder, made)
    except BaseException:
        _recover(folder)
        made.delete()
        raise


def _copied(verdicts: DataFrame, made: Folder) -> bool:
    """Whether the verdicts are nothing but files of workers, which executors have copied to `made` as they are."""
    source, names = _FILES.get(verdicts, (made, ()))
    if not names or not {*names} <= {*source.names()}:
        return False
    made.make()
    spark = verdicts.sparkSession
    rows = spark.createDataFrame([(name,) for name in names], "name string").repartition(len(names), "name")
    rows.mapInArrow(partial(copy, source=source.uri, to=made.uri), "name string").collect()
    made.delete_files("_")  # of attempts that were ended
    return True


def _old(folder: Folder) -> Folder:
    return folder.beside(f"_{folder.name}.old")


def _replace(folder: Folder, made: Folder) -> None:
    old = _old(folder)
    if folder.names():
        old.delete()
        folder.move_to(old)
    made.move_to(folder)
    old.delete()


def _recover(folder: Folder) -> None:
    """Put the old table back if we were stopped between taking it away and putting the new one in its place."""
    old = _old(folder)
    if old.names() and not folder.names():
        old.move_to(folder)


def _save_by_merge(verdicts: DataFrame, table: str, format: Format) -> None:
    spark = verdicts.sparkSession
    name = f"delta.`{Folder.of(table).uri}`" if format == "delta" and "/" in table else table
    view = f"mailvet_{uuid.uuid4().hex}"
    verdicts.select(*_NAMES).createOrReplaceTempView(view)
    try:
        read_verdicts(spark, table, format=format)
        _upgrade(spark, name, format)
        spark.sql(f"create table if not exists {name} ({verdict_ddl()}) using {format}")
        spark.sql(merge_sql(name, view))
    except Exception as error:
        text = str(error)
        if "DATA_SOURCE_NOT_FOUND" in text or "ClassNotFoundException" in text or "MERGE INTO TABLE" in text:
            raise SettingsError(
                f"This Spark session cannot write {format} tables. Start it with the extension of "
                f"{'Delta Lake' if format == 'delta' else 'Apache Iceberg'}, or save as parquet. Nothing was changed."
            ) from None
        raise
    finally:
        spark.catalog.dropTempView(view)


def _upgrade(spark: SparkSession, name: str, format: Format) -> None:
    """Bring a table of verdicts that an older version made up to date: in place, and once."""
    try:
        present = spark.sql(f"select * from {name} where false").columns
    except Exception:  # there is none yet; whatever else is wrong is said when it is made
        return
    if "mailbox_key" not in present:
        spark.sql(f"alter table {name} add columns (mailbox_key string)")
        spark.sql(f"delete from {name} where {missing_verdicts(SAY)}")
        spark.sql(backfill_sql(SAY, name))
    if "bounce_probability" not in present:
        spark.sql(f"alter table {name} add columns (bounce_probability double)")
        spark.sql(BACKFILL_PROBABILITY.replace(VERDICTS, name, 1))


def with_status(
    df: DataFrame,
    column: str,
    verdicts: DataFrame,
    *,
    columns: Sequence[str] = STATUS_COLUMNS,
    prefix: str = "mailvet_",
) -> DataFrame:
    """The DataFrame with status columns beside the addresses; status columns of an earlier time are replaced.

    No row is lost or doubled, and a row without an address, or whose text has no verdict, has nulls.

    Args:
        df: rows with the addresses.
        column: of addresses, as given to `verify`.
        verdicts: from `verify` or `read_verdicts`.
        columns: which, of the columns of the verdict table.
        prefix: before their names.

    Raises:
        SourceError, SettingsError: there is no such column.
    """
    from pyspark.sql import functions as F

    cell = cells_of(df, column)
    for name in columns:
        if name not in _NAMES or name in ("email", "email_key"):
            known = ", ".join(each for each in _NAMES if each not in ("email", "email_key"))
            raise SettingsError(f"There is no status column {name!r}; there are: {known}.")
    key, other = "mailvet key of the row", "mailvet key of the verdict"
    ours = verdicts.select(
        F.col("email_key").alias(other), *(F.col(name).alias(prefix + name) for name in dict.fromkeys(columns))
    )
    bare = reduce(lambda frame, name: frame.drop(name), [prefix + name for name in columns], df)
    rows = (
        bare.withColumn(other, cell)
        .withColumn(key, F.when(F.expr(f"not {SAY.missing(f'`{other}`')}"), F.expr(SAY.key(f"`{other}`"))))
        .drop(other)
    )
    return rows.join(ours, F.col(f"`{key}`") == F.col(f"`{other}`"), "left").drop(key, other)
