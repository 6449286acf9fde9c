"""Text cut at a place counted in octets, which is three times as fast as counting characters.

`bin.slice` came after polars 1.33, the release of Airflow 3.1.0's time; before it, rows are cut one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["octets_after", "octets_before"]


def octets_before(text: pl.Expr, place: pl.Expr) -> pl.Expr:
    """The first `place` octets of each text (String); null where the text or the place is."""
    import polars as pl

    octets = text.cast(pl.Binary)
    if hasattr(octets.bin, "head"):
        return octets.bin.head(place).cast(pl.String)
    return _row_by_row(text, pl.lit(0), place)


def octets_after(text: pl.Expr, place: pl.Expr) -> pl.Expr:
    """What stands from octet `place` on (String); null where the text or the place is."""
    import polars as pl

    octets = text.cast(pl.Binary)
    if hasattr(octets.bin, "slice"):
        return octets.bin.slice(place).cast(pl.String)
    return _row_by_row(text, place, text.str.len_bytes())


def _row_by_row(text: pl.Expr, start: pl.Expr, stop: pl.Expr) -> pl.Expr:
    import polars as pl

    def cut(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest()
        cells = [
            None if text is None or start is None or stop is None else text.encode()[start:stop].decode()
            for text, start, stop in frame.iter_rows()
        ]
        return pl.Series(cells, dtype=pl.String)

    parts = pl.struct(text.alias("text"), start.alias("start"), stop.alias("stop"))
    return parts.map_batches(cut, return_dtype=pl.String)
