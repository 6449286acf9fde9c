"""Suspicion: signals that only show over a whole table, or that no list holds.

Gibberish local parts, keyboard walks, several spellings of one mailbox, numbered series at one domain, and many
sign-ups of one domain within an hour. They lower the score and set flags; none of them says that an address cannot
receive mail. How often each is wrong is measured by `benchmarks/suspicion.py` and written in docs/suspicion.md.

`examine` works on a table in memory. `mailvet.warehouse.table_signals` gives the same answers as queries for where the
table is, and `mailvet.signals.scalar` for a few addresses without any table.
"""

from __future__ import annotations

import re
import string
from datetime import timedelta
from functools import cache
from itertools import product
from typing import Final

import polars as pl
import pyarrow as pa

from mailvet.reference import domains
from mailvet.reference.columns import mailboxes
from mailvet.signals.gibberish import ALPHABET, SHORTEST_GIBBERISH, WIDTH, CharacterModel
from mailvet.signals.keyboard import walk_runs
from mailvet.signals.rules import (
    BURST_ROWS,
    BURST_SIGMAS,
    BURST_WINDOW,
    FREE_DIGITS,
    FREE_GAP,
    FREE_SIZE,
    LONGEST_COUNTER,
    SERIES_GAP,
    SERIES_SHARE,
    SERIES_SIZE,
    YEARS,
    half_window,
)
from mailvet.syntax.octets import octets_after, octets_before

__all__ = ["SCHEMA", "examine", "examine_addresses", "examine_table", "keyboard_walk", "log_odds"]

SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "gibberish": pl.Boolean,
    "gibberish_score": pl.Float32,
    "keyboard_walk": pl.Boolean,
    "series": pl.Boolean,
    "series_size": pl.Int32,
    "duplicate_of": pl.Int64,
    "burst": pl.Boolean,
}


def examine(
    frame: pl.DataFrame,
    *,
    free: pl.Series | None = None,
    relay_alias: pl.Series | None = None,
    mailbox: pl.Series | None = None,
    signed_up: pl.Series | None = None,
    burst_window: timedelta | None = None,
) -> pl.DataFrame:
    """Look for what is suspicious in a whole table.

    The columns given beside the frame are as long as it and in its order.

    Args:
        frame: columns local and domain (String; null where the syntax layer refused), any others are ignored.
        free: whether the domain gives mailboxes free of charge; looked up in `domains.free_domains` if not given.
        relay_alias: whether the domain hands out forwarding aliases. Their local parts are random on purpose and are
            never called gibberish. Without it no row counts as one.
        mailbox: equal for addresses that reach the same mailbox (`Reference.examine` makes it).
        signed_up: when the row came into the table (Date, or Datetime of any unit and zone; nulls allowed).
        burst_window: the span within which sign-ups are counted, in whole seconds, even; one hour if not given.

    Returns:
        A frame as long as the argument and in its order:

        - gibberish (Boolean): the local part (lower case, before any +tag) looks like random characters. Never true
          with fewer than six letters, or with characters beyond ASCII.
        - gibberish_score (Float32 or null): nats per character by which chance explains it better than any language;
          below zero for names. Null where it cannot be judged.
        - keyboard_walk (Boolean): the local part is made of neighbouring keys, the alphabet, one repeated character or
          one repeated block.
        - series (Boolean): it belongs to local parts at one domain that differ only in a counter.
        - series_size (Int32): how many different counters that series has, 0 outside of one.
        - duplicate_of (Int64 or null): number, from 0, of the first row with the same mailbox; null for that row
          itself, and everywhere without `mailbox`.
        - burst (Boolean): one of unexpectedly many sign-ups of its domain within the window; false where there is no
          time.
    """
    rows = frame.select("domain", base=_base())
    free = _is_free(rows["domain"]) if free is None else free.fill_null(False).rename("free")
    series_size = _series_size(rows.with_columns(free))
    return pl.DataFrame(
        [
            *_each(rows["base"], relay_alias),
            (series_size > 0).alias("series"),
            series_size.alias("series_size"),
            _duplicate_of(mailbox, frame.height),
            _burst(rows["domain"], free, signed_up, burst_window or BURST_WINDOW),
        ]
    )


def examine_addresses(base: pl.Series, *, relay_alias: pl.Series | None = None) -> pl.DataFrame:
    """The columns of `examine` that each address answers by itself: gibberish, gibberish_score, keyboard_walk.

    Args:
        base: local parts in lower case and before any +tag (`Reference.evidence` gives them).
        relay_alias: as for `examine`.
    """
    return _each(base, relay_alias)


def examine_table(cells: pl.Series, email_key: pl.Series) -> pl.DataFrame:
    """What only all cells together show, as the queries of `mailvet.warehouse.table_signals` show it in a warehouse.

    Args:
        cells: distinct texts (String), as they stand in the table.
        email_key: their keys.

    Returns:
        Columns in the order of the cells: series_size (Int32), 0 outside of a series; duplicate_of (String or null),
        the key of the plainest spelling of the same mailbox: the one with the fewest characters, of several the one
        with the lowest key.
    """
    parts = _parted(cells.str.strip_chars().str.to_lowercase())
    rows = parts.select("domain", base=_base())
    # Whether a domain is free counts for names with a number alone.
    numbered = (rows["base"].str.contains("[0-9]") & rows["domain"].is_not_null()).fill_null(False).arg_true()
    free = pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    free = free.scatter(numbered, _is_free(rows["domain"].gather(numbered))).rename("free")
    return pl.DataFrame(
        [_series_size(rows.with_columns(free)), _plainest(mailboxes(parts), cells.str.len_chars(), email_key)]
    )


def _parted(folded: pl.Series) -> pl.DataFrame:
    """Columns local and domain: what stands before the last @ on one line, and behind it; null where there is none."""
    text = pl.col("folded")
    at = text.str.find("@", literal=True)
    parts = folded.to_frame("folded").select(text, local=octets_before(text, at), domain=octets_after(text, at + 1))
    # A pattern takes several times as long as a cut at the first @; it is left to the cells where that is not enough.
    odd = parts.select(
        pl.col("domain").str.contains("@", literal=True)
        | text.str.contains("\n", literal=True)
        | (pl.col("local") == "")
        | (pl.col("domain") == "")
    )
    rows = odd.to_series().fill_null(False).arg_true()
    again = parts["folded"].gather(rows).str.extract_groups("^(.+)@([^@]+)$").struct.unnest()
    local, domain = again.get_columns()
    return pl.DataFrame({"local": parts["local"].scatter(rows, local), "domain": parts["domain"].scatter(rows, domain)})


def _plainest(mailbox: pl.Series, size: pl.Series, key: pl.Series) -> pl.Series:
    """`duplicate_of`: of each row the key of its mailbox's shortest spelling, null where that is its own."""
    twice = (mailbox.is_duplicated() & mailbox.is_not_null()).arg_true()
    some = pl.DataFrame(
        {"row": twice, "mailbox": mailbox.gather(twice), "size": size.gather(twice), "key": key.gather(twice)}
    )
    first = pl.col("key").first().over("mailbox")
    found = some.sort("size", "key").with_columns(first=first).filter(pl.col("first") != pl.col("key"))
    nothing = pl.repeat(None, len(mailbox), dtype=pl.String, eager=True)
    return nothing.scatter(found["row"], found["first"]).alias("duplicate_of")


def _is_free(domain: pl.Series) -> pl.Series:
    return domain.is_in(sorted(domains.free_domains())).fill_null(False).rename("free")


def _each(base: pl.Series, relay_alias: pl.Series | None) -> pl.DataFrame:
    judged = pl.DataFrame({"score": log_odds(base), "size": base.str.len_bytes()}).select(
        gibberish=(pl.col("score") * pl.col("size") > _line(pl.col("size"))).fill_null(False),
        gibberish_score=pl.col("score"),
    )
    if relay_alias is not None:
        judged = judged.with_columns(pl.col("gibberish") & ~relay_alias.fill_null(False))
    return judged.with_columns(keyboard_walk(base).fill_null(False).alias("keyboard_walk"))


def _base() -> pl.Expr:
    """The local part in lower case and before any +tag; a plus at the very start is no tag."""
    lower = pl.col("local").str.to_lowercase()
    plus = lower.str.find("+", literal=True)
    return pl.when(plus > 0).then(octets_before(lower, plus)).otherwise(lower)


# --- Gibberish ---------------------------------------------------------------------------------------------------

_CHUNK: Final = 1_000_000
_LETTER: Final = 1 << 21
"""
One letter, in a sum that counts weights below this and letters from it on: 32 bits hold both for some hundred
characters, and a local part has 64 at most.
"""
_BETWEEN: Final = ".\n"
"""
Stands between local parts in one long text. The dot is the end of the one before; the line end, a place of its own in
the alphabet, is the beginning of the next one. No local part has one.
"""


def _codes() -> pl.Series:
    """Byte -> place in the alphabet of the model: every digit is one, whatever else is not a letter is a boundary."""
    places = {ord(letter): place for place, letter in enumerate(ALPHABET)}
    places |= dict.fromkeys(map(ord, string.digits), ALPHABET.index("0")) | {ord(_BETWEEN[-1]): WIDTH}
    return pl.Series([places.get(byte, 0) for byte in range(256)], dtype=pl.UInt16)


def _line(size: pl.Expr) -> pl.Expr:
    model = CharacterModel.shipped()
    return model.offset + model.slope * size


def log_odds(base: pl.Series, model: CharacterModel | None = None) -> pl.Series:
    """Nats per character by which chance explains a local part better than language does (Float32).

    A string of letters and digits drawn evenly stands against an interpolated trigram model over the spelling of
    names and words; separators part the words. Null for nulls, for characters beyond ASCII, and with fewer than
    `SHORTEST_GIBBERISH` letters.

    Args:
        base: local parts in lower case without tags (String).
        model: another model than the shipped one.
    """
    model = model or CharacterModel.shipped()
    counted = _shipped_sums() if model is CharacterModel.shipped() else _sums_of_three(model)
    pieces = [_sums(base.slice(start, _CHUNK), counted) for start in range(0, max(len(base), 1), _CHUNK)]
    both = pl.concat(pieces)
    letters = (both + _LETTER // 2) // _LETTER
    rows = pl.DataFrame(
        {
            "sum": both - letters * _LETTER,
            "letters": letters,
            "size": base.str.len_bytes(),
            "characters": base.str.len_chars(),
        }
    )
    can_be_judged = (pl.col("letters") >= SHORTEST_GIBBERISH) & (pl.col("size") == pl.col("characters"))
    per_character = pl.col("sum").cast(pl.Float32) / (model.unit * pl.col("size").cast(pl.Float32))
    return rows.select(gibberish_score=pl.when(can_be_judged).then(per_character)).to_series()


@cache
def _shipped_sums() -> pl.Series:
    return _sums_of_three(CharacterModel.shipped())


def _sums_of_three(model: CharacterModel) -> pl.Series:
    """What three places of the alphabet add to the sum of a text (Int32), the beginning of a text being one more place.

    The weight, and `_LETTER` more wherever the last of the three is a letter.
    """
    places = (*range(WIDTH), 0)  # a text begins as after a boundary
    sums = [
        (model.weights[(places[a] * WIDTH + places[b]) * WIDTH + c] if c < WIDTH else 0) + _LETTER * (0 < c < WIDTH - 1)
        for a, b, c in product(range(WIDTH + 1), repeat=3)
    ]
    return pl.Series(sums, dtype=pl.Int32)


def _sums(base: pl.Series, counted: pl.Series) -> pl.Series:
    """What every three characters of a text add up to, its end included (Int64)."""
    text = base.fill_null("")
    # One run of bytes over all rows, with a beginning before the first and an end after the last.
    run = pl.select(pl.concat_str(pl.lit(_BETWEEN), pl.lit(text.str.join(_BETWEEN)), pl.lit(_BETWEEN[0]))).to_series()
    _, offsets, data = run.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()
    places = _codes()[_series(pa.uint8(), _series(pa.int64(), 2, offsets)[1], data)]
    width = WIDTH + 1
    trigrams = places.head(-2) * (width * width) + places.slice(1).head(-1) * width + places.slice(2)
    # A row's are those that end in it, in the dot behind it, or (for nothing) in the line end behind that.
    ends = (text.str.len_bytes().cast(pl.Int64) + len(_BETWEEN)).cum_sum().clip(upper_bound=len(trigrams))
    ends = pl.concat([pl.Series([0]), ends])
    rows = pl.from_arrow(pa.LargeListArray.from_arrays(ends.to_arrow(), counted.gather(trigrams).to_arrow()))
    assert isinstance(rows, pl.Series)
    return rows.list.sum().cast(pl.Int64)


def _series(kind: pa.DataType, length: int, buffer: pa.Buffer) -> pl.Series:
    array = pa.Array.from_buffers(kind, length, [None, buffer])
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


# --- Keyboard walks ------------------------------------------------------------------------------------------------


@cache
def _walk_pattern() -> str:
    """A regular expression over local parts without separators."""
    runs = walk_runs()
    some, long, digits = ("|".join(sorted(pieces)) for pieces in (runs.some, runs.long, runs.digits))
    return "|".join(
        (
            f"^[0-9]*(?:(?:{some})[0-9]*)*(?:{long})[0-9]*(?:(?:{some})[0-9]*)*$",
            f"^[0-9]*(?:{some})[0-9]*(?:(?:{some})[0-9]*)+$",
            runs.counted,
            f"^(?:{digits})+$",
        )
    )


def keyboard_walk(base: pl.Series) -> pl.Series:
    """Whether local parts are nothing but walks over a keyboard (Boolean, null for null).

    Rows of QWERTY, QWERTZ and AZERTY keyboards, columns with their digit, the alphabet, digits in order, one character
    four times or more, a block of two to four characters three times, a block without vowels or in order twice.
    Separators and digits among the letters of a walk do not count, and it has at least four characters.

    Args:
        base: local parts in lower case without tags (String).
    """
    # Very few can be one, and only those are looked at closely.
    likely = base.str.contains(_beginning_of_a_walk())
    rows = likely.arg_true()
    return likely.scatter(rows, _is_walk(base.gather(rows))).alias("keyboard_walk")


@cache
def _beginning_of_a_walk() -> str:
    """A regular expression that finds every walk by its first characters, and others.

    A run of three, digits only, a character that comes again at the distance of a block, or one beyond ASCII.
    """
    first_runs = sorted({piece[:3] for piece in walk_runs().some})
    runs = "|".join("[._-]*".join(run) for run in first_runs)
    again = "|".join(rf"{re.escape(key)}[!-~]{{1,3}}{re.escape(key)}" for key in map(chr, range(33, 127)))
    return rf"^(?:[0-9._-]*(?:{runs}|$)|{again}|[!-~]{{0,4}}[^!-~])"


def _is_walk(base: pl.Series) -> pl.Series:
    keys = base.str.replace_all(r"[._-]", "")
    walks = (keys.str.len_bytes() >= 4) & keys.str.contains(_walk_pattern())
    table = base.to_frame("base").with_row_index("row")
    key, size_of_row = pl.col("base"), pl.col("base").str.len_bytes()
    for size in (2, 3, 4):
        first = key.str.head(size)
        thrice = (size_of_row >= 3 * size) & (size_of_row % size == 0)
        twice = (size_of_row == 2 * size) & (size > 2)
        repeated = (
            table.filter(thrice | twice)
            .filter(key.str.head(-size) == key.str.slice(size))
            .filter(first.str.contains("[a-z]") & (thrice | ~first.str.contains("[aeiouy0-9]")))
        )
        walks = walks.scatter(repeated["row"], True)
    return walks


# --- Series --------------------------------------------------------------------------------------------------------

_COUNTER: Final = r"^(.*?)([0-9]+)([^0-9]*)$"
"""What stands before the last digits, the digits, and what stands after them."""


def _series_size(rows: pl.DataFrame) -> pl.Series:
    """domain, base, free -> how many different counters the series of a row has (Int32), 0 outside of one.

    A series is a run of counters of one stem at one domain in which no step is wider than the gap allowed.
    """
    key = ["domain", "stem"]
    counter = pl.col("counter")
    base, width = pl.col("base"), pl.col("digits").str.len_bytes()
    numbered = (
        rows.with_row_index("row")
        .filter(base.str.contains("[0-9]") & pl.col("domain").is_not_null())
        .with_columns(head=base.str.strip_chars_end(string.digits))
    )
    # Nearly every counter stands at the end; there, cutting it off is faster than a regular expression.
    at_end = pl.col("head").str.len_bytes() < base.str.len_bytes()
    ending = numbered.filter(at_end).with_columns(
        digits=octets_after(base, pl.col("head").str.len_bytes()), tail=pl.lit("")
    )
    within = (
        numbered.filter(~at_end)
        .with_columns(parts=base.str.extract_groups(_COUNTER))
        .with_columns(head=pl.col("parts").struct[0], digits=pl.col("parts").struct[1], tail=pl.col("parts").struct[2])
        .drop("parts")
    )
    found = (
        pl.concat([ending, within])
        .filter(width <= LONGEST_COUNTER)
        .with_columns(counter=pl.col("digits").cast(pl.Int64), stem=pl.concat_str("head", pl.lit("#"), "tail"))
        .filter(~pl.col("free") | ((width >= FREE_DIGITS) & ~((width == 4) & counter.is_between(*YEARS))))
        .select("row", "domain", "free", "stem", "counter")
    )
    often = found.group_by(key).len().filter(pl.col("len") >= SERIES_SIZE).select(key)
    found = found.join(often, on=key, how="semi")
    members = (
        rows.filter(pl.col("base").is_not_null() & pl.col("domain").is_in(found["domain"].unique().implode()))
        .group_by("domain")
        .agg(rows=pl.len())
    )
    gap = pl.when("free").then(FREE_GAP).otherwise(SERIES_GAP)
    share = (pl.col("rows") + SERIES_SHARE - 1) // SERIES_SHARE
    least = pl.when("free").then(FREE_SIZE).otherwise(pl.max_horizontal(pl.lit(SERIES_SIZE), share))
    sizes = (
        found.select(*key, "free", "counter")
        .unique()
        .sort(*key, "counter")
        .with_columns(
            run=((counter - counter.shift(1) > gap) | (pl.struct(key) != pl.struct(key).shift(1))).fill_null(True)
        )
        .with_columns(run=pl.col("run").cum_sum())
        .with_columns(size=pl.len().over("run").cast(pl.Int32))
        .join(members, on="domain")
        .filter(pl.col("size") >= least)
        .select(*key, "counter", "size")
    )
    hits = found.join(sizes, on=[*key, "counter"]).select("row", "size")
    size = pl.zeros(rows.height, dtype=pl.Int32, eager=True)
    return size.scatter(hits["row"], hits["size"]).alias("series_size")


# --- Duplicates ----------------------------------------------------------------------------------------------------


def _duplicate_of(mailbox: pl.Series | None, height: int) -> pl.Series:
    if mailbox is None:
        return pl.repeat(None, height, dtype=pl.Int64, eager=True).alias("duplicate_of")
    rows = mailbox.to_frame("key").with_row_index("row")
    new = mailbox.is_first_distinct()
    later = rows.filter(~new)
    first = rows.filter(new & mailbox.is_in(later["key"].unique().implode())).rename({"row": "first"})
    pairs = later.join(first, on="key")
    empty = pl.repeat(None, height, dtype=pl.Int64, eager=True)
    return empty.scatter(pairs["row"], pairs["first"].cast(pl.Int64)).alias("duplicate_of")


# --- Bursts --------------------------------------------------------------------------------------------------------


def _burst(domain: pl.Series, free: pl.Series, signed_up: pl.Series | None, window: timedelta) -> pl.Series:
    """Whether a row is one of unexpectedly many of its domain in one window (Boolean).

    Windows begin every half window, so that whatever happens within half a window lies whole in one of them. In a
    window a domain is expected to have its share of all rows of the window, or its own rows spread evenly over the
    whole time if that is more: an import of the whole table is no burst, and neither is the busy hour of the day.
    """
    nothing = pl.zeros(len(domain), dtype=pl.Boolean, eager=True).alias("burst")
    if signed_up is None:
        return nothing
    half = half_window(window)
    timed = (
        pl.DataFrame({"domain": domain, "free": free, "at": _epoch(signed_up)})
        .with_row_index("row")
        .drop_nulls(["domain", "at"])
        .with_columns(slot=pl.col("at") // half)
    )
    if timed.is_empty():
        return nothing
    total, slots = timed.height, _span(timed["slot"])
    busy = timed.group_by("slot").len("all")
    windows = pl.concat([busy, busy.with_columns(pl.col("slot") - 1)]).group_by("slot").agg(pl.col("all").sum())
    sizes = timed.filter(~pl.col("free")).group_by("domain").len("rows").filter(pl.col("rows") >= BURST_ROWS)
    own = timed.join(sizes.select("domain"), on="domain", how="semi").group_by("domain", "slot").agg(here=pl.len())
    expected = pl.max_horizontal(pl.col("rows") * pl.col("all") / total, pl.col("rows") * 2.0 / slots)
    bursts = (
        pl.concat([own, own.with_columns(pl.col("slot") - 1)])
        .group_by("domain", "slot")
        .agg(pl.col("here").sum())
        .filter(pl.col("here") >= BURST_ROWS)
        .join(sizes, on="domain")
        .join(windows, on="slot")
        .filter(pl.col("here") > expected + BURST_SIGMAS * expected.sqrt())
        .select("domain", "slot")
    )
    both = pl.concat([bursts, bursts.with_columns(pl.col("slot") + 1)]).unique()
    hits = timed.join(both, on=["domain", "slot"], how="semi")["row"]
    return nothing.scatter(hits, True)


def _span(slots: pl.Series) -> int:
    least, most = slots.min(), slots.max()
    assert isinstance(least, int)
    assert isinstance(most, int)
    return most - least + 1


def _epoch(times: pl.Series) -> pl.Series:
    """Whole seconds since 1970; a time without a zone counts as UTC."""
    if times.dtype != pl.Date and times.dtype != pl.Datetime:
        raise TypeError(f"signed_up must be Date or Datetime, not {times.dtype}")
    return times.cast(
        pl.Datetime("us", times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None)
    ).dt.epoch("s")
