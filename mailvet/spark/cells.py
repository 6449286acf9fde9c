"""The cells of a column of a DataFrame, and the dialect of all that is written in Spark's SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailvet.errors import SourceError
from mailvet.warehouse.dialects import SparkSQL

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["SAY", "cells_of"]

SAY = SparkSQL()


def cells_of(df: DataFrame, column: str) -> Column:
    """The cells of a column as text that is compared letter by letter; null as the empty text.

    Raises:
        SourceError: no such column, or one that holds no text.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    names = [name for name in df.columns if name.lower() == column.lower()]
    exact = [name for name in names if name == column]
    if len(exact or names) != 1:
        what = "There is no column" if not names else "There are several columns"
        raise SourceError(f"{what} {column!r} in this DataFrame; it has: {', '.join(df.columns)}.")
    name = (exact or names)[0]
    kind = df.schema[name].dataType
    if not isinstance(kind, StringType) and kind.typeName() not in ("varchar", "char"):
        raise SourceError(
            f"The column {name!r} holds {kind.simpleString()}, no text. Name the column of addresses, or cast it to a "
            "string."
        )
    if df.isStreaming:
        raise SourceError("A streaming DataFrame cannot be verified as a whole. Call verify inside foreachBatch.")
    # A collation that takes Ann for ann must not merge two texts that have different keys.
    return F.coalesce(F.col(f"`{name.replace('`', '``')}`").cast("string"), F.lit(""))
