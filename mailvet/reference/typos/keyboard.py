"""How fingers slip: every text that one or two slips on a keyboard make of a name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

__all__ = ["LETTERS", "LETTERS_AND_DIGITS", "NEXT_KEYS", "likely_slips", "one_slip", "two_slips", "unlikely_slips"]

_KEYS: Final = """
    qwa1 wqesa2z ewrsd3 retdf4 tryfg5 ytugh6z uyihj7 iuojk8 oipkl90 pol0
    aqwsz sawedxz dserfcx fdrtgvc gftyhbv hgyujnb jhuiknm kjiolm lkop
    zasxyw xzsdc cxdfv vcfgb bvghn nbhjm mnjk
"""
NEXT_KEYS: Final = {keys[0]: keys[1:] for keys in _KEYS.split()}
"""Keys beside each letter on a QWERTY keyboard; y and z, w and z change places on the German and the French one."""

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

LETTERS_AND_DIGITS: Final = LETTERS + "0123456789"


def likely_slips(name: str) -> Iterator[str]:
    """A letter doubled, left out, swapped with the next one, hit on the next key, or with a key beside it hit as well.

    The first letter is mostly typed right.
    """
    yield from _commonest_slips(name)
    for place, letter in enumerate(name):
        keys = NEXT_KEYS.get(letter, "")
        if place:
            yield from (name[:place] + key + name[place:] for key in keys)
        yield from (name[: place + 1] + key + name[place + 1 :] for key in keys)


def _commonest_slips(name: str) -> Iterator[str]:
    for place, letter in enumerate(name):
        yield name[: place + 1] + name[place:]
        yield name[: place + 1] + letter + name[place + 2 :]
        if place:
            yield name[:place] + name[place + 1 :]
            yield from (name[:place] + key + name[place + 1 :] for key in NEXT_KEYS.get(letter, "") if key.isalpha())
        if place + 1 < len(name):
            yield name[:place] + name[place + 1] + letter + name[place + 2 :]


def unlikely_slips(name: str) -> Iterator[str]:
    """Any letter wrong or too many, but for the first."""
    for place in range(1, len(name)):
        for letter in LETTERS_AND_DIGITS:
            yield name[:place] + letter + name[place + 1 :]
            yield name[:place] + letter + name[place:]
    yield from (name + letter for letter in LETTERS_AND_DIGITS)


def two_slips(name: str) -> Iterator[str]:
    """Two of the commonest slips.

    Short names must begin as they should and be no shorter, since many words are as near; there, a wrong vowel counts
    as a common slip.
    """
    first = set(_commonest_slips(name))
    short = len(name) < 7
    if short:
        for place in range(1, len(name)):
            if name[place] in "aeiou":
                first.update(name[:place] + vowel + name[place + 1 :] for vowel in "aeiou")
    for once in first:
        for twice in _commonest_slips(once):
            if (len(twice) >= len(name) and twice[:2] == name[:2]) if short else len(twice) > len(name) - 2:
                yield twice


@cache
def one_slip(half: str) -> frozenset[str]:
    """Everything one letter away from half a name, but for the half itself."""
    found = {half[:place] + half[place + 1 :] for place in range(len(half))}
    for letter in LETTERS:
        found.update(half[:place] + letter + half[place:] for place in range(len(half) + 1))
        found.update(half[:place] + letter + half[place + 1 :] for place in range(len(half)))
    found.update(half[:place] + half[place + 1] + half[place] + half[place + 2 :] for place in range(len(half) - 1))
    return frozenset(found - {half})
