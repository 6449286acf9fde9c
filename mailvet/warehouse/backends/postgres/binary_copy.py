"""Arrow tables in the format of PostgreSQL's binary COPY."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["binary_copy", "exact_or_none"]

_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_TAIL = struct.pack(">h", -1)
_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970
_BLOCK_ROWS = 10_000  # a few MB: the server takes one in while the next is made


def binary_copy(rows: pa.Table) -> Iterator[bytes]:
    """A table in the format of `COPY ... (FORMAT binary)` (PostgreSQL manual, COPY, "Binary Format"), in blocks.

    Built from whole columns, without a Python object for any cell.

    Args:
        rows: columns of text, int16, int32, int64, float64 or microseconds in UTC.
    """
    yield _COPY_HEAD
    count = pa.scalar(struct.pack(">h", rows.num_columns), pa.binary())
    for start in range(0, rows.num_rows, _BLOCK_ROWS):
        block = rows.slice(start, _BLOCK_ROWS).combine_chunks()
        pieces: list[Any] = [count]
        for column in block.columns:
            pieces += _field(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
        joined = pc.binary_join_element_wise(
            *pieces, pa.scalar(b"", pa.binary()), null_handling="replace", null_replacement=b""
        )
        for chunk in joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]:
            _, ends, data = chunk.buffers()
            (first,), (last,) = (struct.unpack_from("=i", ends, 4 * (chunk.offset + n)) for n in (0, len(chunk)))
            yield data.slice(first, last - first).to_pybytes()
    yield _COPY_TAIL


def exact_or_none(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the texts that PostgreSQL cannot hold, for without its NUL a text would be another one."""
    return pc.if_else(pc.match_substring(texts, "\0"), pa.scalar(None, pa.string()), texts)


def _field(column: pa.Array) -> list[pa.Array]:
    """The length of each value and the value, as big-endian bytes; a null has length -1 and no value."""
    if pa.types.is_string(column.type):
        value = pc.replace_substring(column, "\0", "").cast(pa.binary())  # PostgreSQL keeps no NUL in a text
        length = pc.fill_null(pc.binary_length(value), -1)
    else:
        if pa.types.is_timestamp(column.type):
            column = pc.subtract(column.cast(pa.int64()), _EPOCH)
        width = column.type.bit_width // 8
        value = pc.if_else(column.is_valid(), _big_endian(pc.fill_null(column, 0)), pa.scalar(None, pa.binary()))
        length = pc.if_else(column.is_valid(), pa.scalar(width, pa.int32()), pa.scalar(-1, pa.int32()))
    return [_big_endian(length), value]


def _big_endian(numbers: pa.Array) -> pa.Array:
    """Numbers without nulls as a column of bytes."""
    width = numbers.type.bit_width // 8
    swapped = array(_CODES[str(numbers.type)])
    swapped.frombytes(numbers.buffers()[1].slice(numbers.offset * width, len(numbers) * width))
    if sys.byteorder == "little":
        swapped.byteswap()
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(numbers), [None, pa.py_buffer(swapped)])
    return fixed.cast(pa.binary())


_CODES = {"int16": "h", "int32": "i", "int64": "q", "double": "d"}
