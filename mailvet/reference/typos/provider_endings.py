"""A provider's misspelt name and what is written behind it: which of the provider's domains was meant.

An ending that does not exist proves a slip, so any spelt-out name before it counts. Where the ending exists, the domain
may have an owner: then the slip has to be likely, or the provider one of the greatest, and its name long enough to
leave few words near it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from mailvet.data import lists
from mailvet.reference.typos.endings import SECOND_LEVEL, last_label
from mailvet.reference.typos.keyboard import NEXT_KEYS, likely_slips, unlikely_slips
from mailvet.reference.typos.names import LONG_NAME, SLIPS_NEEDED, Home, Slip, meant_by, provider_homes

__all__ = ["provider_meant"]

_ONE_HOME: Final = frozenset(
    "gmail googlemail icloud rocketmail btinternet blueyonder ntlworld sbcglobal rediffmail bigmir".split()  # noqa: SIM905
)
"""Names made up for one provider: where it is not at home, its most used domain is meant."""


def provider_meant(name: str, ending: str) -> str | None:
    """The provider's domain that a name and an ending were meant to be; the nearest name whose ending fits."""
    for meant, slip in meant_by(name) or ():
        at_another_home = ending not in provider_homes()[meant] and lists.is_top_level_domain(last_label(ending))
        if len(name) < LONG_NAME and at_another_home:
            continue
        if (at_home := _ending_at_home(meant, ending, slip)) is not None:
            return f"{meant}.{at_home}"
    return None


@lru_cache(maxsize=4096)
def _ending_at_home(name: str, written: str, slip: Slip) -> str | None:
    """The ending of the provider's domain that was meant; `slip` is how its name was misspelt."""
    needed = 1 if slip == Slip.UNLIKELY and len(name) > 6 else SLIPS_NEEDED[slip]
    homes = {ending: home for ending, home in provider_homes()[name].items() if home.slips >= needed}
    written = re.sub(r"\b(\w+)\.\1$", r"\1", written)  # "fr.fr"
    if not homes or written in homes:
        return written if homes else None
    last = last_label(written)
    if (branch := _branch(homes, written)) is not None:
        return branch
    if not lists.is_top_level_domain(last):
        return _nearest_ending(homes, written)
    greatest = max(home.slips for home in homes.values()) > 2
    if len(name) < LONG_NAME:
        return "com" if slip == Slip.EXACT and len(name) > 2 and written in ("cm", "om") and "com" in homes else None
    if slip > (Slip.UNLIKELY if greatest and written in ("co", "cm", "om") else Slip.LIKELY):
        return None
    if (known := lists.mistyped_endings().get(written)) in homes:
        return known
    second, _, country = written.rpartition(".")
    before_country = not second or SECOND_LEVEL.fullmatch(second) is not None
    if len(country) == 2 and before_country:
        # "net.ar" for com.ar, "com.fr" for fr; a bare "br" means com.br only where people use that branch.
        there = [ending for ending in homes if ending.rpartition(".")[2] == country]
        if len(there) == 1 and (second or homes[there[0]].used):
            return there[0]
    if name == "wanadoo" and written in ("com", "net", "orange"):  # it was at home in Spain and Britain as well
        return "fr"
    if name in _ONE_HOME and before_country and (not slip or homes[next(iter(homes))].slips > 1):
        return next(iter(homes))
    if before_country and not slip and second and country in homes:
        better = next((branch for branch in (f"com.{country}", f"co.{country}") if branch in homes), country)
        return better  # "c.com", and "com.in" for co.in
    return None if slip else _joined(homes).get(_squeezed(written))


def _branch(homes: Mapping[str, Home], written: str) -> str | None:
    """The provider's one branch below "com" or "co" whose country is one slip away ("co.k", "com.bl").

    It is looked for where what is written is no ending of names; None where several are as near.
    """
    second, _, country = written.partition(".")
    if second not in ("com", "co") or not country or "." in country or lists.is_public_suffix(written):
        return None
    near = [ending for ending in homes if ending.startswith(f"{second}.") and _one_edit(country, last_label(ending))]
    often = [ending for ending in near if homes[ending].used] or near
    return often[0] if len(often) == 1 else None


def _one_edit(written: str, meant: str) -> bool:
    """Whether a letter was left out, added, or hit for another."""
    shorter, longer = sorted((written, meant), key=len)
    if len(longer) == len(shorter):
        return sum(one != other for one, other in zip(written, meant, strict=True)) == 1 or written[::-1] == meant
    return len(longer) - len(shorter) == 1 and any(
        longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer))
    )


def _nearest_ending(homes: Mapping[str, Home], written: str) -> str | None:
    """Which of the endings is nearest to one that does not exist, if one is nearer than all others."""
    squeezed = _squeezed(written).rstrip("0123456789")
    near = sorted((_distance(squeezed, joined), ending) for joined, ending in _joined(homes).items())
    (nearest, ending), *others = near
    if nearest > (1.5 if len(ending) > 2 else 1.25) or (others and others[0][0] - nearest < 0.25):
        first = next(iter(homes))
        return first if len(first) > 2 and first.startswith(squeezed) else None  # "gmail.c", "yahoo.c"
    return ending


def _joined(homes: Mapping[str, Home]) -> dict[str, str]:
    return {ending.replace(".", ""): ending for ending in homes}


def _squeezed(ending: str) -> str:
    """Without dots, and with "com.com" and "co.co" written once."""
    return re.sub(r"(com?)\1+", r"\1", ending.replace(".", ""))


def _distance(written: str, ending: str) -> float:
    """How far an ending is from the one that was meant, in slips.

    0.75 for a likely one, 1.5 for a letter that lies far away or two keys missed by one; less for one cut off than for
    what was typed on behind it.
    """
    if written == ending:
        return 0
    if written in likely_slips(ending):
        return 0.75
    if ending.startswith(written):
        return 1
    if len(ending) > 2 and written.startswith(ending):
        return 0.9 + 0.15 * (len(written) - len(ending))
    if len(written) == len(ending):
        missed = [(hit, key) for hit, key in zip(written, ending, strict=True) if hit != key]
        if len(missed) <= 2 and all(hit in NEXT_KEYS.get(key, "") for hit, key in missed):
            return 0.75 * len(missed) + 0.25 * (written[:1] != ending[:1])
    unlikely = written in unlikely_slips(ending) or (len(ending) > 2 and written[1:] in (ending, ending[1:]))
    return 1.5 if unlikely or written == ending[1:] else 9
