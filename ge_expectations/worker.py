"""What Spark's Python workers run.

It imports nothing of Great Expectations, and the function is pickled by value, so that the workers need neither mailvet
nor Great Expectations and their imports cost no time.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

__all__ = ["is_among"]

# No `from __future__ import annotations` here: Spark reads the kind of a pandas_udf from its evaluated annotations.


def is_among(spark: "SparkSession", keys: Collection[str], column: "Column") -> "Column":
    """A condition: the column's text is one of the keys.

    The set is broadcast once and looked up by hash; an IN list of as many literals would take minutes to plan.
    """
    from pyspark.sql.functions import lit, pandas_udf  # type: ignore[attr-defined]

    if not keys:
        return lit(False)
    broadcast = spark.sparkContext.broadcast(frozenset(keys))

    def look_up(texts: pd.Series) -> pd.Series:
        return texts.isin(broadcast.value)

    # A nested function has no importable name: pickle takes its code along instead of this module's name.
    return pandas_udf(look_up, "boolean")(column)  # type: ignore[no-any-return]
