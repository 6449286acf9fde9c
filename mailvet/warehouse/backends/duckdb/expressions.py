"""Words of DuckDB's SQL, and values on their way into it and out of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mailvet.verdict import verdict_schema
from mailvet.warehouse.dialects import DuckDB

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FOLDED", "KEY", "SAY", "TYPES", "is_blank", "naive", "numbers", "with_zone", "without_zone"]

TYPES = {
    "string": "VARCHAR",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "double": "DOUBLE",
    "timestamp[us, tz=UTC]": "TIMESTAMP",
}

SAY = DuckDB()

FOLDED = SAY.fold("email")
KEY = SAY.key("email")
"""What a text in the column `email` is compared with, and its `email_key`."""


def is_blank(cell: str) -> str:
    """The condition that a cell holds no address."""
    return SAY.missing(cell)


def numbers(key: str) -> str:
    """A key as 128 bits, under the names `first` and `second`: a quarter of the room, and joined as surely."""
    return f"hash({key}) as first, hash(substr({key}, 1, 32)) as second"


def naive(moment: datetime) -> datetime:
    """A time in UTC as DuckDB stores it."""
    return moment.replace(tzinfo=None)


def without_zone(table: pa.Table) -> pa.Table:
    """A table with its times as DuckDB stores them."""
    import pyarrow as pa

    return table.cast(
        pa.schema([f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema])
    )


def with_zone(table: pa.Table) -> pa.Table:
    """Verdicts as they are stored; what a table of an older version has no column for is null."""
    import pyarrow as pa

    for field in verdict_schema():
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(verdict_schema().names).cast(verdict_schema())
