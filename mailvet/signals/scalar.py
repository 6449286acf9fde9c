"""The signals of `mailvet.signals.columns` for a few addresses in plain Python.

They serve processes in which the table engine would cost more than the work, or does not survive. Tests hold that both
find the same.
"""

from __future__ import annotations

import re
import string
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from mailvet.reference import domains
from mailvet.signals.gibberish import ALPHABET, SHORTEST_GIBBERISH, threshold, weights_after
from mailvet.signals.keyboard import walk_runs
from mailvet.signals.rules import (
    FREE_DIGITS,
    FREE_GAP,
    FREE_SIZE,
    LONGEST_COUNTER,
    SERIES_GAP,
    SERIES_SHARE,
    SERIES_SIZE,
    YEARS,
)
from mailvet.syntax.mailbox_key import mailbox_of
from mailvet.verdict import email_key

__all__ = ["NOTHING", "TableSignals", "examine_table", "is_gibberish", "is_keyboard_walk"]


@dataclass(frozen=True, slots=True)
class TableSignals:
    """What all cells together show about one of them."""

    series_size: int = 0
    """Different counters of its series, 0 outside of one."""
    duplicate_of: str | None = None
    """`email_key` of the plainest spelling of the same mailbox; None for that one itself."""
    burst: bool = False


NOTHING = TableSignals()

# -------------------------------------------------------------------- one address


def is_gibberish(base: str) -> bool:
    """Whether a local part, in lower case and before any +tag, looks like random characters."""
    if not base.isascii() or sum(map(str.isalpha, base)) < SHORTEST_GIBBERISH:
        return False
    model, places = threshold(), _places()
    before = last = 0
    total = 0
    for place in (*(places.get(character, 0) for character in base), 0):
        total += weights_after(ALPHABET[before] + ALPHABET[last])[place]
        before, last = last, place
    # As the columns work it out: 32-bit floats per character, then 64 bits.
    per_character = _single(_single(total) / _single(model.unit * len(base)))
    return per_character * len(base) > model.offset + model.slope * len(base)


@cache
def _places() -> Mapping[str, int]:
    letters = {letter: place for place, letter in enumerate(string.ascii_lowercase, 1)}
    return letters | dict.fromkeys(string.digits, 27)


def _single(number: float) -> float:
    """The number as 32 bits hold it."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


_SEPARATORS = str.maketrans("", "", "._-")


def is_keyboard_walk(base: str) -> bool:
    """Whether a local part, in lower case and before any +tag, is nothing but a walk over a keyboard."""
    keys = base.translate(_SEPARATORS)
    if len(keys.encode()) >= 4 and (_of_runs(keys) or _counted().search(keys) is not None):
        return True
    return any(_of_blocks(base, size) for size in (2, 3, 4))


@cache
def _counted() -> re.Pattern[str]:
    return re.compile(walk_runs().counted)


def _of_runs(keys: str) -> bool:
    """Whether runs of neighbours cover it. Step by step, since a pattern would take for ever over aaaa...b."""
    runs = walk_runs()
    # Where one can stand -> the most that was needed to get there: 0 nothing but digits, 1 one run, 2 a walk.
    reached: dict[int, int] = {0: 0}
    digits = {0}
    for at in range(len(keys)):
        if at in digits:
            digits.update(at + size for size in (3, 4, 5) if keys[at : at + size] in runs.digits)
        if at not in reached:
            continue
        level = reached[at]
        steps = [(at + 1, level)] if keys[at] in string.digits else []
        for size in (3, 4, 5):
            piece = keys[at : at + size]
            if piece in runs.long:
                steps.append((at + size, 2))
            elif piece in runs.some:
                steps.append((at + size, min(2, level + 1)))
        for place, worth in steps:
            reached[place] = max(worth, reached.get(place, 0))
    return reached.get(len(keys)) == 2 or len(keys) in digits


def _of_blocks(base: str, size: int) -> bool:
    octets = len(base.encode())
    thrice = octets >= 3 * size and octets % size == 0
    twice = octets == 2 * size and size > 2
    if not (thrice or twice) or base[:-size] != base[size:]:
        return False
    block = base[:size]
    return re.search("[a-z]", block) is not None and (thrice or re.search("[aeiouy0-9]", block) is None)


# -------------------------------------------------------------------- several together

_COUNTER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)


def examine_table(cells: Iterable[str]) -> dict[str, TableSignals]:
    """What `mailvet.signals.columns.examine_table` finds in distinct cells; only the cells that show something."""
    parts = {cell: address for cell in cells if (address := _parts(cell)) is not None}
    sizes = _series(parts)
    first = _duplicates(list(parts))
    return {cell: TableSignals(sizes.get(cell, 0), first.get(cell)) for cell in parts if cell in sizes or cell in first}


def _parts(cell: str) -> tuple[str, str] | None:
    """Local part before any tag, and domain."""
    local, _, domain = cell.strip().lower().rpartition("@")
    if not local or not domain or "\n" in local:
        return None
    plus = local.find("+")
    return local[:plus] if plus > 0 else local, domain


def _series(parts: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    free, members = domains.free_domains(), defaultdict[str, int](int)
    found: dict[tuple[str, str, str], dict[int, list[str]]] = {}
    for cell, (base, domain) in parts.items():
        members[domain] += 1
        match = _COUNTER.fullmatch(base)
        if match is None or len(match[2]) > LONGEST_COUNTER:
            continue
        counter, digits = int(match[2]), len(match[2])
        if domain in free and (digits < FREE_DIGITS or (digits == 4 and YEARS[0] <= counter <= YEARS[1])):
            continue
        found.setdefault((domain, match[1], match[3]), {}).setdefault(counter, []).append(cell)
    sizes: dict[str, int] = {}
    for (domain, _, _), counters in found.items():
        gap, least = (FREE_GAP, FREE_SIZE) if domain in free else (SERIES_GAP, SERIES_SIZE)
        for run in _runs_of(sorted(counters), gap):
            if len(run) >= least and (domain in free or len(run) * SERIES_SHARE >= members[domain]):
                sizes |= {cell: len(run) for counter in run for cell in counters[counter]}
    return sizes


def _runs_of(counters: Sequence[int], gap: int) -> list[list[int]]:
    if len(counters) < SERIES_SIZE:
        return []
    runs = [[counters[0]]]
    for counter in counters[1:]:
        if counter - runs[-1][-1] > gap:
            runs.append([])
        runs[-1].append(counter)
    return runs


def _duplicates(addresses: Sequence[str]) -> dict[str, str]:
    spellings: dict[str, list[str]] = {}
    for cell in addresses:
        local, _, domain = cell.strip().lower().rpartition("@")
        spellings.setdefault(mailbox_of(local, domain), []).append(cell)
    first: dict[str, str] = {}
    for cells in spellings.values():
        if len(cells) > 1:
            keys = {cell: email_key(cell) for cell in cells}
            plainest = min(cells, key=lambda cell: (len(cell), keys[cell]))
            first |= {cell: keys[plainest] for cell in cells if cell != plainest}
    return first
