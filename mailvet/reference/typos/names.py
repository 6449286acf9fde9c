"""Misspelt names of providers: what the slips of the finger lead to, spelt out beforehand.

A domain is read as a name and an ending ("hotmial" and "com.arg"); here stands what is known of the names, and below
which endings each provider has domains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache, lru_cache
from typing import Final, NamedTuple

from mailvet.data import lists
from mailvet.data.operators import mailbox_domains
from mailvet.reference.typos.keyboard import (
    LETTERS,
    LETTERS_AND_DIGITS,
    NEXT_KEYS,
    likely_slips,
    two_slips,
    unlikely_slips,
)

__all__ = [
    "LONG_NAME",
    "SLIPS_NEEDED",
    "Home",
    "Slip",
    "domains_without_dots",
    "in_halves",
    "meant_by",
    "misspelt_names",
    "provider_homes",
    "provider_of_name",
]

_ALIKE: Final = tuple(
    (meant, written)
    for meant, ways in {
        "m": ("rn", "nn"),
        "w": ("vv",),
        "o": ("0",),
        "l": ("1", "i"),
        "i": ("1", "l", "y"),
        "c": ("k",),
        "k": ("c", "ck"),
        "x": ("ks",),
        "y": ("i",),
        "f": ("ph",),
        "b": ("d",),
        "d": ("b",),
    }.items()
    for written in ways
)
"""What looks or sounds alike: meant, written."""


class Slip(IntEnum):
    """How a name was misspelt, nearest first."""

    EXACT = 0
    LIKELY = 1
    UNLIKELY = 2
    TWICE = 3
    FAR = 4
    """In a way that only one of the greatest providers explains."""


SLIPS_NEEDED: Final = (0, 1, 2, 2, 3)
"""The number of slips a domain must be allowed for each of them; see suggestion_targets.csv."""

_HALVES: Final = ("mail", "look")
"""What follows a word of its own in a provider's name."""

LONG_NAME: Final = 5
"""Letters a name needs to be believed under an ending that exists but is not the provider's."""


class Home(NamedTuple):
    """One of a provider's domains, seen from its name."""

    slips: int
    """How many slips in the name are corrected."""
    used: bool
    """Whether it is one of the domains that many write."""


@cache
def provider_homes() -> dict[str, dict[str, Home]]:
    """Name -> endings of the domains the provider has under it, most used first."""
    homes: dict[str, dict[str, Home]] = {}
    for domain, slips in lists.suggestion_slips().items():
        name, _, ending = domain.partition(".")
        homes.setdefault(name, {})[ending] = Home(slips, used=True)
    for domain in mailbox_domains():
        name, _, ending = domain.partition(".")
        if name in homes:
            slips = max(home.slips for home in homes[name].values())
            homes[name].setdefault(ending, Home(min(slips, 2), used=False))
    return homes


def provider_of_name(name: str) -> str | None:
    """The first domain of the provider whose misspelt name stands there without any ending: "hotmial"."""
    for meant, slip in meant_by(name) or ():
        homes = provider_homes()[meant]
        first = next(iter(homes))
        if len(name) >= LONG_NAME and slip <= Slip.LIKELY and homes[first].slips > 1:
            return f"{meant}.{first}"
    return None


_LOOKED_UP_ALONE: Final = 64
"""Names, after which building up what they are looked up in costs less."""


def meant_by(name: str) -> tuple[tuple[str, Slip], ...] | None:
    """What `misspelt_names` has for a name; the first names of a process are looked at without building it up."""
    is_alone = not misspelt_names.cache_info().currsize and _may_be_near.cache_info().misses < _LOOKED_UP_ALONE
    return None if is_alone and not _may_be_near(name) else misspelt_names().get(name)


@lru_cache(maxsize=256)
def _may_be_near(name: str) -> bool:
    """False only for names that `misspelt_names` does not have."""
    if name in _first_labels_of_slips():
        return True
    letters, size = _letters(name), len(name)
    for other, others_letters in _provider_letters().items():
        # A slip changes at most two kinds of letters, and the length by one.
        if abs(size - len(other)) <= 2 and (letters ^ others_letters).bit_count() <= 4 and _within_two(name, other):
            return True
    return any(name == variant for home in provider_homes() for variant in _look_alikes(home))


def _letters(name: str) -> int:
    """Which letters and digits a name holds, as the bits of a number; all others are one."""
    bits = 0
    for letter in name:
        bits |= 1 << max(0, LETTERS_AND_DIGITS.find(letter) + 1)
    return bits


@cache
def _provider_letters() -> dict[str, int]:
    return {name: _letters(name) for name in provider_homes()}


def _within_two(name: str, other: str) -> bool:
    """Whether at most two letters were left out, added, hit for others or swapped with the next.

    The second may hit what the first has moved (Damerau's distance without restriction: Lowrance and Wagner, "An
    Extension of the String-to-String Correction Problem", Journal of the ACM 22, 1975).
    """
    width = len(other) + 2
    table = [[9] * width for _ in range(len(name) + 2)]
    for place in range(len(name) + 1):
        table[place + 1][1] = place
    for place in range(len(other) + 1):
        table[1][place + 1] = place
    last_row: dict[str, int] = {}
    for row, letter in enumerate(name, 1):
        last_column = 0
        for column, wanted in enumerate(other, 1):
            from_row, from_column = last_row.get(wanted, 0), last_column
            if letter == wanted:
                last_column = column
            table[row + 1][column + 1] = min(
                table[row][column] + (letter != wanted),
                table[row + 1][column] + 1,
                table[row][column + 1] + 1,
                table[from_row][from_column] + (row - from_row - 1) + 1 + (column - from_column - 1),
            )
        last_row[letter] = row
    return table[-1][-1] <= 2


@cache
def misspelt_names() -> dict[str, tuple[tuple[str, Slip], ...]]:
    """Every spelt-out misspelling of a provider's name, and the name itself, with the names that may be meant.

    The nearest and most used name is the first, each with the way in which it was misspelt. First labels to be looked
    at for another reason lead to no name.
    """
    found: dict[str, tuple[tuple[str, Slip], ...]] = {}
    homes = provider_homes()
    own_names = lists.not_typos()
    for slip in Slip:
        for name, endings in homes.items():
            allowed = max(home.slips for home in endings.values())
            entry = ((name, slip),)
            for variant in _misspelt(name, slip, allowed):
                if variant not in found:
                    if variant not in own_names:
                        found[variant] = entry
                elif all(name != other for other, _ in found[variant]):
                    found[variant] += entry
    for label in _first_labels_of_slips():
        found.setdefault(label, ())
    return found


@cache
def _first_labels_of_slips() -> frozenset[str]:
    """First labels to be looked at though they are like no provider's name."""
    found = {domain.partition(".")[0] for domain in lists.typo_domains()}
    for joined, domain in domains_without_dots().items():
        for place in range(2, len(joined) - 1):  # "yahooc.om" and "yahooco.uk" end in what exists
            if lists.is_top_level_domain(joined[place:]) and joined[:place] != domain.partition(".")[0]:
                found.add(joined[:place])
    return frozenset(found)


def _misspelt(name: str, slip: Slip, allowed: int) -> Iterator[str]:
    """How the name is misspelt in one way, where so many slips are allowed; some more than once."""
    if slip is Slip.EXACT:
        yield name
    elif slip is Slip.LIKELY and allowed:
        yield from _by_a_likely_slip(name)
    elif slip is Slip.UNLIKELY and allowed:
        yield from _by_an_unlikely_slip(name, allowed)
    elif slip is Slip.TWICE and allowed > 1:
        head, tail = in_halves(name)
        for twice in two_slips(name):
            # Two slips in one half and none in the other: more likely a name made up of two words.
            if not tail or not (twice.startswith(head) or twice.endswith(tail)):
                yield twice
    elif slip is Slip.FAR and allowed > 2:
        yield from two_slips(name)
        yield from (letter + name for letter in LETTERS_AND_DIGITS)
        if len(name) > 6:
            yield from (name[:place] + "-" + name[place:] for place in range(1, len(name)))
            yield from (letter + name[1:] for letter in LETTERS)


def _by_a_likely_slip(name: str) -> Iterator[str]:
    if len(name) < LONG_NAME:  # the names near it are all taken, but for a letter that stands twice
        yield from (name[:place] + name[place - 1 :] for place in range(2, len(name) + 1))
        return
    yield from likely_slips(name)
    yield from (letter + name for letter in NEXT_KEYS.get(name[0], ""))
    yield from _look_alikes(name)


def _look_alikes(name: str) -> Iterator[str]:
    for plain, alike in _ALIKE:
        if plain in name:
            yield name.replace(plain, alike)


def _by_an_unlikely_slip(name: str, allowed: int) -> Iterator[str]:
    if len(name) > 6 or (allowed > 1 and (len(name) > 5 or name == "yahoo")):
        yield name[1:]
    if allowed == 1 and len(name) < 8:
        return
    yield from unlikely_slips(name)
    if len(name) > 5 or name == "yahoo":
        yield from (key + name[1:] for key in NEXT_KEYS.get(name[0], "") if key.isalpha())
        yield from (name.replace(letter * 2, "") for letter in "lo" if letter * 2 in name and len(name) > 5)


def in_halves(name: str) -> tuple[str, str]:
    """A provider's name as the word in front and the "mail" or "look" behind it; that is empty where there is none."""
    for tail in _HALVES:
        if name.endswith(tail) and len(name) > len(tail) + 2:
            return name.removesuffix(tail), tail
    return name, ""


@cache
def domains_without_dots() -> dict[str, str]:
    """The providers' domains without their dots.

    A dot in the wrong place ("yahooc.om") makes no difference, nor does one in place of a hyphen ("t.online.de").
    """
    targets = [domain for domain, slips in lists.suggestion_slips().items() if slips]
    hyphened = [domain for domain in targets if "-" in domain]
    return {domain.replace(".", ""): domain for domain in targets} | {
        re.sub("[.-]", "", domain): domain for domain in hyphened
    }
