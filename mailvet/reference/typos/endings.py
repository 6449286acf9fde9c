"""Misspelt endings: what comes behind a name and is no top-level domain, and "com" before a country spelt wrong."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from mailvet.data import lists
from mailvet.data.operators import mailbox_domains
from mailvet.reference.domains import free_domains
from mailvet.reference.typos.keyboard import NEXT_KEYS, likely_slips, unlikely_slips

__all__ = ["SECOND_LEVEL", "branch_meant", "ending_meant", "last_label", "without_second_ending"]

SECOND_LEVEL: Final = re.compile(r"(?:c|m|o|n|x|v|com?|con|cim|cpm|vom|coo|coom|comm|cm|om|cp|ci|vo|net|org|gob|edu)")
"""What stands before a country's ending, mistyped or chosen wrongly."""

_USUAL_ENDINGS: Final = ("com", "net", "org", "edu")


@lru_cache(maxsize=4096)
def ending_meant(last: str) -> str | None:
    """What an ending that does not exist was meant to be: a known slip, or one letter away from a usual ending."""
    if lists.is_top_level_domain(last):
        return None
    if (bare := last.rstrip("0123456789")) != last and lists.is_top_level_domain(bare):
        return bare  # a house number or a year behind it
    return lists.missing_endings().get(last) or _near_usual_endings().get(last)


def without_second_ending(domain: str) -> str:
    """A domain without the second of two endings: "foo.edu.com", mended from "foo.edu.con", is foo.edu."""
    front, _, last = domain.rpartition(".")
    is_second = last == "com" and "." in front and last_label(front) in (*_USUAL_ENDINGS, "gov", "mil", "int")
    return front if is_second else domain


_COM: Final = frozenset(
    """
    con cmo ocm ccom coom comm conm comn cnm vom xom fom om cm c0m cpm cim co9m co0m coml comp clm comj comk comd
    cokm cojm coim copm cvom cxom vcom xcom c-om co-m cop kom cem cam cmm cmn come como ckm dom
    """.split()  # noqa: SIM905
)

_CO: Final = frozenset(
    ["cp", "ci", "c0", "vo", "xo", "cou", "coo", "oc", "c", "co9", "co0", "cok", "col", "cco", "c-o", "co-"]
)
"""What "com" and "co" become before a country's ending, where names are not registered right below it."""

_BRANCHES: Final = {
    "com": frozenset(
        """
        br ar mx au tr pe uy ve ec bo py gt cn hk tw sg my ph vn ua pl pt gr cy mt eg sa ng gh pk bd np
        """.split()  # noqa: SIM905
    ),
    "co": frozenset("uk in jp za nz kr id th il ke ug tz zw cr ve ma".split()),  # noqa: SIM905
}


def branch_meant(domain: str) -> str | None:
    """The same domain with "com" or "co" before the country spelt right: "acme.con.br" -> "acme.com.br"."""
    front, _, country = domain.rpartition(".")
    name, _, second = front.rpartition(".")
    if len(country) != 2 or not front:
        return None
    for right, slips in (("com", _COM), ("co", _CO)):
        if country not in _BRANCHES[right]:
            continue
        if name and second in slips and not lists.is_public_suffix(f"{second}.{country}"):
            # Where names are registered right below the country's ending too, "om.mx" may be a domain of its own.
            if country in _CLOSED or f"{name}.{right}.{country}" in _well_known():
                return f"{name}.{right}.{country}"
        elif not name and second.endswith(right) and f"{second.removesuffix(right)}.{right}.{country}" in _well_known():
            return f"{second.removesuffix(right)}.{right}.{country}"  # "terracom.br"
    return None


_CLOSED: Final = frozenset(["br", "tr", "uy", "py", "bd", "np", "ke", "pk", "ua"])
"""Countries where companies register below "com" and the like only."""


@cache
def _well_known() -> frozenset[str]:
    return frozenset(lists.suggestion_targets()) | free_domains() | mailbox_domains()


@cache
def _near_usual_endings() -> dict[str, str]:
    """What is one slip of the finger away from one usual ending and no other."""
    near: dict[str, set[str]] = {}
    for ending in _USUAL_ENDINGS:
        first = (key + ending[1:] for key in NEXT_KEYS[ending[0]])
        for variant in (*likely_slips(ending), *unlikely_slips(ending), *first):
            near.setdefault(variant, set()).add(ending)
    return {variant: next(iter(endings)) for variant, endings in near.items() if len(endings) == 1}


def last_label(ending: str) -> str:
    """The top-level domain of an ending: "uk" of "co.uk"."""
    return ending.rpartition(".")[2]
