"""The greatest providers' names with more around them, a piece of them twice, or a slip in both of their halves."""

from __future__ import annotations

import re
from typing import Final

from mailvet.reference.typos.keyboard import one_slip
from mailvet.reference.typos.names import in_halves, provider_homes
from mailvet.reference.typos.provider_endings import provider_meant

__all__ = ["held_provider", "may_hold_provider"]

_GREATEST: Final = ("hotmail", "yahoo", "outlook", "gmail", "wanadoo")

_JUNK: Final = re.compile(r"[0-9_-]+[a-z]?|[a-z]?[0-9_-]+|[a-z][0-9]+[a-z]?")

_NO_WORD_IN_FRONT: Final = {
    "hotmail": re.compile(r"(?!s$|ps$|sho|pho|my|the|old|new|e$|no|to|is|at|we|us|go|my|id|in|on)[a-z]{1,3}"),
    "yahoo": re.compile(r"(?!my|the|old|new|e$|no|to|is|at|we|us|go|wa|ka|ta|in|on)[a-z]{1,2}"),
    "outlook": re.compile(r"(?!my|the|old|new|e$|no|to|is|at|we|us|go|in|on)[a-z]{1,2}"),
}

_CHUNK_TWICE: Final = re.compile(r"([a-z]{2,4})\1")

_HOT_MAIL: Final = re.compile(r"h[aeiouy0]{1,2}t[aeiou]?m[aeiouy]{1,4}l{1,2}")

_G_MAIL: Final = re.compile(r"g[aeiou]m(?:ei|ia|ea|ae|ie|ay|ey)l{1,2}")

_WORDS: Final = frozenset(
    """
    heat hit hat host hotel hoist hall hi hop how hog hub her his has home hope out our cut put nut but oat art meal
    mall mill male mole mule mull mail email main maid nail rail sail tail bail fail hail jail book cook hook look
    lock loop loom loo nook rook brook looks
    """.split()  # noqa: SIM905
)


def held_provider(name: str, ending: str) -> str | None:
    """A greatest provider's name with junk around it, a piece of it twice, or a slip in both of its halves."""
    if name in _GREATEST and ending.endswith(".com") and "com" in provider_homes()[name]:
        # "hotmail.commail.com", "hotmail.hotmai.com"
        again = provider_meant(*ending.split(".", 1))
        return f"{name}.com" if ending.startswith("com") or again == f"{name}.com" else None
    bare = name.replace("-", "")
    for provider in _GREATEST:
        if ending not in provider_homes()[provider] or name in provider_homes() or len(name) > len(provider) + 4:
            continue
        twice = _CHUNK_TWICE.sub(r"\1", name) == provider
        if twice or _in_junk(name, provider) or _slip_in_both_halves(bare, provider):
            return f"{provider}.{ending}"
    return None


def _in_junk(name: str, provider: str) -> bool:
    """Whether a name is the provider's with digits, signs or a few letters around it that make no word with it."""
    if provider not in name:
        return name.replace("-", "") == provider
    front, _, behind = name.partition(provider)
    word = _NO_WORD_IN_FRONT.get(provider)
    ahead = (
        not front
        or front == "1"
        or (_JUNK.fullmatch(front) is not None and not front.isdigit())
        or (word is not None and word.fullmatch(front) is not None)
    )
    return ahead and (not behind or _JUNK.fullmatch(behind) is not None or (behind == "mail" and provider != "gmail"))


def _slip_in_both_halves(name: str, provider: str) -> bool:
    """Whether both halves of a provider's name are misspelt by one slip, or by other vowels, and are no words."""
    if provider == "gmail":
        return _G_MAIL.fullmatch(name) is not None
    if provider not in ("hotmail", "outlook"):
        return False
    head, tail = in_halves(provider)
    for place in range(2, min(5, len(name) - 2)):
        first, second = name[:place], name[place:]
        if first in one_slip(head) and second in one_slip(tail):
            # A letter that is wrong where the halves meet is one slip, and the rest a word of its own ("hotsail").
            return second[0] == tail[0] and not (second.endswith(tail) or first in _WORDS or second in _WORDS)
    if provider != "hotmail" or not _HOT_MAIL.fullmatch(name):
        return False
    place = name.index("m")
    return not (name[:place] in _WORDS or name[place:] in _WORDS - {"mail"})


def may_hold_provider(name: str) -> bool:
    """Whether a name may be a provider's with more around it, or with several slips; false for nearly all others."""
    if "mail" in name or "oo" in name or name[-3:] == "com" or name[-2:] == "co":  # "terracom.br"
        return True
    size, first = len(name), name[0]
    if first == "h":
        return 4 < size < 11 and "m" in name and "l" in name[-2:]
    if first == "g":
        return 5 < size < 9 and name[2] == "m"
    return first in "oa" and 4 < size < 10 and name[-1] == "k"
