"""The rows of a source with their verdicts and clean addresses, in a DuckDB database of their own.

Whichever database they come from, from here on they are the table `rows`, so that there is one way to choose them, to
write them as a tool wants them, and to compare them with an earlier file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailvet.private_files import PrivateFolder
from mailvet.warehouse.backends.duckdb.connection import opened
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.identifiers import quoted

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from mailvet.warehouse.store import Warehouse

__all__ = ["BUDGET_COLUMNS", "VERDICT_COLUMNS", "StagedRows", "staged"]

VERDICT_COLUMNS = ("reason", "recommendation", "mailbox_key")
"""What is read of the verdicts; null where an address has none."""
BUDGET_COLUMNS = ("score", "bounce_probability", "flags", "domain", "operator")
"""What a risk budget reads besides."""

_BATCH_ROWS = 122_880


@dataclass(frozen=True, slots=True)
class StagedRows:
    """The table `rows`.

    Its columns are `place` (order of the source, from 0), `cell` (text of the column of addresses, null where it is
    null), `address` (as it is mailed: trimmed, its domain in A-labels and lower case; null where the cell holds none),
    `VERDICT_COLUMNS`, and the source's columns as `c0`, `c1` and so on.
    """

    db: duckdb.DuckDBPyConnection
    columns: Sequence[str]
    """The names of `c0`, `c1` and so on in the source."""

    def column(self, name: str) -> str:
        """The column of the table for one of the source's."""
        return f"c{self.columns.index(name)}"


@contextlib.contextmanager
def staged(warehouse: Warehouse, columns: Sequence[str], *, with_risk: bool = False) -> Iterator[StagedRows]:
    """Copy a source and its verdicts into a database that ends with the block.

    Args:
        warehouse: of the source.
        columns: of the source, to take along.
        with_risk: take along `BUDGET_COLUMNS` as well.

    Raises:
        SourceError: it has no such column, or cannot be read.
    """
    verdicts = (*VERDICT_COLUMNS, *BUDGET_COLUMNS) if with_risk else VERDICT_COLUMNS
    kept = list(dict.fromkeys([warehouse.address_column, *columns]))
    with PrivateFolder() as folder, opened(None, read_only=False) as (db, access):
        try:
            raw, clean = folder.new(".parquet"), folder.new(".parquet")
            warehouse.export(raw, verdicts, key_columns=kept)
            _write_addresses(raw, clean)
            _join(db, raw, clean, len(kept), verdicts)
            yield StagedRows(db, kept)
        finally:
            db.close()
            access.close()


def _write_addresses(raw: Path, clean: Path) -> None:
    """One column `cell` and one `address` for the rows of a file whose first column is that of addresses."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mailvet.syntax.columns import examine

    schema = pa.schema([pa.field("cell", pa.string()), pa.field("address", pa.string())])
    with pq.ParquetFile(raw) as source, pq.ParquetWriter(clean, schema, compression="lz4") as target:
        first = source.schema_arrow.names[0]
        for batch in source.iter_batches(_BATCH_ROWS, columns=[first]):
            cells = batch.column(0).cast(pa.string())
            # What a verdict was given for is an address, reserved names (a lab's) as any other.
            parsed = examine(pl.Series("cell", cells, dtype=pl.String), allow_special_use=True)
            address = parsed.select(pl.concat_str("local", pl.lit("@"), "domain")).to_series()
            target.write_table(pa.table([cells, address.to_arrow().cast(pa.string())], schema=schema))


def _join(db: duckdb.DuckDBPyConnection, raw: Path, clean: Path, kept: int, verdicts: Sequence[str]) -> None:
    """Make the table `rows` of both files, which have the same rows in the same order."""
    import pyarrow.parquet as pq

    names = pq.read_schema(raw).names
    theirs = [f"{quoted(name)} as c{number}" for number, name in enumerate(names[:kept])]
    ours = [f"{quoted(name)} as {column}" for name, column in zip(names[kept:], verdicts, strict=True)]
    db.execute(
        f"create table rows as select row_number() over () - 1 as place, cell, address, {', '.join([*ours, *theirs])} "
        f"from read_parquet({literal(str(raw))}) positional join read_parquet({literal(str(clean))})"
    )
