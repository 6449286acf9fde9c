"""Rows of a driver as columns of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mailvet.warehouse.clocks import aware

__all__ = ["UTC", "arrays", "table_of"]

UTC = pa.timestamp("us", tz="UTC")


def table_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of this schema."""
    return pa.Table.from_arrays(arrays(rows, schema), schema=schema)


def arrays(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> list[pa.Array]:
    """Rows as the columns of this schema."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return [pa.array(_fit(values, field.type), field.type) for values, field in zip(columns, schema, strict=True)]


def _fit(values: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """What drivers give for a type, as Arrow takes it."""
    if pa.types.is_timestamp(kind):
        moments = [aware(value) for value in values]
        return moments if kind.tz else [None if at is None else at.replace(tzinfo=None) for at in moments]
    if pa.types.is_string(kind):
        return [value if value is None or isinstance(value, str) else str(value) for value in values]
    if pa.types.is_integer(kind):
        return [None if value is None else int(value) for value in values]
    if pa.types.is_decimal(kind):
        return [None if value is None else Decimal(str(value)) for value in values]
    if pa.types.is_boolean(kind):
        return [None if value is None else bool(value) for value in values]
    return values
