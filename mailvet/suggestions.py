"""
What a misspelt domain was meant to be.

All slips of the finger that lead away from a provider's domain are spelt out beforehand, so that a domain costs one
look-up. Precision comes first: a domain that is known for mail of its own is never corrected, short names and ordinary
words only by the reviewed list of typo domains, and a whole company's domain only in an ending that does not exist.

Whether a suggestion may be shown is the caller's decision: where the domain takes mail, it is most likely right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Final

from mailvet import lists
from mailvet.address import FORMULA_START, Address, parse

__all__ = ["suggest", "suggest_domains"]

_NEXT_KEYS: Final = {
    "q": "wa", "w": "qesa", "e": "wrsd", "r": "etdf", "t": "ryfg", "y": "tugh", "u": "yihj", "i": "uojk", "o": "ipkl",
    "p": "ol", "a": "qwsz", "s": "awedxz", "d": "serfcx", "f": "drtgvc", "g": "ftyhbv", "h": "gyujnb", "j": "huiknm",
    "k": "jiolm", "l": "kop", "z": "asx", "x": "zsdc", "c": "xdfv", "v": "cfgb", "b": "vghn", "n": "bhjm", "m": "njk",
}  # fmt: skip
"""Keys beside each letter on a QWERTY keyboard."""
_ANY: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_LOOK_ALIKES: Final = (
    ("m", "rn"),
    ("m", "nn"),
    ("w", "vv"),
    ("o", "0"),
    ("l", "1"),
    ("i", "1"),
    ("l", "i"),
    ("i", "l"),
)

_ONE_HOME: Final = frozenset({"gmail", "icloud", "googlemail"})
"""Names that exist under one ending only: under any other they are a slip."""
_IN_FRONT: Final = frozenset({"www", "http", "https", "email", "e-mail"})
"""Labels that people put before a provider's domain."""
_COUNTRY: Final = re.compile(r"(?:com?|net|org)\.[a-z]{2}")
_USUAL_ENDINGS: Final = ("com", "net", "org", "edu")
_CONFUSABLE: Final = str.maketrans("аеорсухіјѕԁӏıłøđ", "aeopcyxijsdlilod")


def suggest(text: str) -> str | None:
    """
    What a mistyped address was meant to be: "ann@gmial.com" -> "ann@gmail.com", "ann(at)gmail,com" -> "ann@gmail.com".

    Returns:
        An address the syntax judge accepts; None where nothing better is known than the text itself.
    """
    found = parse(text)
    if isinstance(found, Address):
        local, domain = found.local, found.domain
        if not local.isascii() and (plain := unicodedata.normalize("NFKC", local)).isascii():
            local = plain  # full-width letters
    elif found.suggestion is not None:
        local, _, domain = found.suggestion.rpartition("@")
    else:
        return None
    better = f"{local}@{_meant(domain) or domain}"
    unchanged = isinstance(found, Address) and better == found.text
    if unchanged or better[0] in FORMULA_START or not isinstance(parse(better), Address):
        return None
    return better


def suggest_domains(domains: Sequence[str]) -> list[str | None]:
    """
    For each domain (ASCII, lower-case) the one that was meant, or None: a mail provider's, or, where the ending does
    not exist, the same name with the ending meant ("acme.con" -> "acme.com").
    """
    return [_meant(domain) for domain in domains]


def _meant(domain: str) -> str | None:
    found = _slips().get(domain)
    if found is not None or domain in lists.mail_domains():
        return found
    name, _, last = domain.rpartition(".")
    if (ending := _ending_meant(last)) is not None:
        fixed = f"{name}.{ending}"
        return _slips().get(fixed, fixed) if name else None
    if (placed := _without_dots().get(domain.replace(".", ""))) is not None:
        return placed
    if name in _ONE_HOME:
        return f"{name}.com"
    if domain.count(".") >= 2:
        return _provider_before(*domain.split(".", 1)) or _meant_below(*domain.split(".", 1))
    return _provider_before(name, last) or (_meant_in_ascii(domain) if domain.startswith("xn--") else None)


@lru_cache(maxsize=4096)
def _ending_meant(last: str) -> str | None:
    """What an ending that does not exist was meant to be: a known slip, or one letter away from a usual ending."""
    known = lists.missing_endings().get(last) or _near_usual_endings().get(last)
    return None if known is None or lists.is_top_level_domain(last) else known


@cache
def _near_usual_endings() -> dict[str, str]:
    """What is one slip of the finger away from one usual ending and no other."""
    near: dict[str, set[str]] = {}
    for ending in _USUAL_ENDINGS:
        first = (key + ending[1:] for key in _NEXT_KEYS[ending[0]])
        for variant in (*_one_slip(ending, True), *first, *(ending + letter for letter in _ANY)):
            near.setdefault(variant, set()).add(ending)
    return {variant: next(iter(endings)) for variant, endings in near.items() if len(endings) == 1}


@cache
def _without_dots() -> dict[str, str]:
    """The providers' domains without their dots: a dot in the wrong place ("yahooc.om") makes no difference."""
    targets = lists.suggestion_slips()
    return {domain.replace(".", ""): domain for domain, slips in targets.items() if slips}


def _provider_before(name: str, ending: str) -> str | None:
    """The provider meant where a well-known name stands before an ending that exists but is a slip: "outlook.co"."""
    meant = lists.mistyped_endings().get(ending)
    if meant is None or len(name) < 5:
        return None
    fixed = f"{name}.{meant}"
    return _slips().get(fixed) or (fixed if fixed in lists.suggestion_targets() else None)


def _meant_below(name: str, rest: str) -> str | None:
    if _COUNTRY.fullmatch(rest) and (home := _slips().get(f"{name}.com", f"{name}.com")).partition(".")[0] in _ONE_HOME:
        return home
    return rest if name in _IN_FRONT and rest in lists.suggestion_targets() else None


def _meant_in_ascii(domain: str) -> str | None:
    """A provider's name written with accents or with letters of another script that look alike."""
    try:
        shown = ".".join(
            label[4:].encode().decode("punycode") if label.startswith("xn--") else label for label in domain.split(".")
        )
    except UnicodeError:
        return None
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", shown.translate(_CONFUSABLE)) if not unicodedata.combining(c)
    )
    return bare if bare in lists.suggestion_targets() else None


@cache
def _slips() -> dict[str, str]:
    """Every spelt-out misspelling -> the provider's domain. Nearer slips and more used providers come first."""
    known = lists.mail_domains()
    slips = dict(lists.typo_domains())
    targets = lists.suggestion_slips()
    own_names = lists.not_typos()
    for reach in (1, 2):
        for domain, allowed in targets.items():
            name, _, ending = domain.partition(".")
            if allowed < reach:
                continue
            great = allowed == 2 or name in ("gmail", "yahoo")
            for variant in _one_slip(name, great) if reach == 1 else _two_slips(name):
                misspelt = f"{variant}.{ending}"
                if misspelt not in known and variant not in own_names:
                    slips.setdefault(misspelt, domain)
    return slips


def _one_slip(name: str, great: bool) -> Iterator[str]:
    """
    The name with one letter left out, doubled, swapped or hit on the next key; for the great providers, whose names are
    rarer than their misspellings, any letter wrong or too many. The first letter is mostly typed right.
    """
    yield from _likely_slips(name)
    yield from (letter + name for letter in _NEXT_KEYS.get(name[0], ""))
    for plain, alike in _LOOK_ALIKES:
        if plain in name:
            yield name.replace(plain, alike)
    if not great:
        return
    for place in range(1, len(name)):
        for letter in _ANY:
            yield name[:place] + letter + name[place + 1 :]
            yield name[:place] + letter + name[place:]
    if len(name) > 5 or name == "yahoo":
        yield from (name + letter for letter in _ANY)
        yield from (letter + name[1:] for letter in _NEXT_KEYS.get(name[0], ""))
        yield name[1:]


def _likely_slips(name: str) -> Iterator[str]:
    for place, letter in enumerate(name):
        yield name[: place + 1] + name[place:]
        yield name[: place + 1] + letter + name[place:]
        if place:
            yield name[:place] + name[place + 1 :]
            yield from (name[:place] + key + name[place + 1 :] for key in _NEXT_KEYS.get(letter, ""))
        if place + 1 < len(name):
            yield name[:place] + name[place + 1] + letter + name[place + 2 :]


def _two_slips(name: str) -> Iterator[str]:
    for once in set(_likely_slips(name)):
        yield from (twice for twice in _likely_slips(once) if len(twice) > len(name) - 2)
