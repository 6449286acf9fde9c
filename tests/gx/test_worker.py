"""What runs in Spark's Python workers."""

from typing import Any

import pandas as pd

from ge_expectations.worker import is_among
from mailvet import email_key


def test_workers_import_neither_great_expectations_nor_mailvet(spark: Any) -> None:
    from pyspark.sql import functions as F

    cells = [(f"u{i}@example.com",) for i in range(50)]
    keys = [email_key(cell) for (cell,) in cells[:20]]
    frame = spark.createDataFrame(cells, "email string")
    assert frame.where(is_among(spark, keys, F.sha2("email", 256))).count() == 20

    def loaded(texts: pd.Series) -> pd.Series:
        import sys

        names = sorted({name.partition(".")[0] for name in sys.modules})
        return texts.map(lambda _: " ".join(names))

    # The workers of the query before are used again.
    (row,) = frame.limit(1).select(F.pandas_udf(loaded, "string")("email").alias("names")).collect()
    modules = set(row["names"].split())
    assert "pandas" in modules
    assert not modules & {"great_expectations", "ge_expectations", "mailvet"}


def test_nothing_is_among_no_keys(spark: Any) -> None:
    from pyspark.sql import functions as F

    frame = spark.createDataFrame([("ann@example.com",)], "email string")
    assert frame.where(is_among(spark, [], F.sha2("email", 256))).count() == 0
