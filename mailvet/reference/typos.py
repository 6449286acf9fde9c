"""
What a misspelt domain was meant to be.

A domain is read as a name and an ending ("hotmial" and "com.arg"). The slips of the finger that lead away from the
providers' names are spelt out beforehand, so that a domain costs one look-up; what is found is judged with the ending.

How sure one must be: an ending that does not exist proves a slip, so any spelt-out name before it counts. Where the
ending exists, somebody may own the domain: then the slip has to be likely, or the provider one of the greatest, and its
name long enough to leave few words near it. A domain that is known for mail of its own is never corrected, short names
and ordinary words only by the reviewed list of typo domains, and a whole company's domain only in an ending that does
not exist.

Whether a suggestion may be shown is the caller's decision: where the domain takes mail, it is most likely right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from mailvet.data import lists
from mailvet.privacy import is_formula
from mailvet.reference.providers import mailbox_domains
from mailvet.syntax.parser import SPECIAL_USE_ENDINGS, Address, parse
from mailvet.syntax.repair import plain_line

__all__ = [
    "MAY_NEED_CLEANING",
    "clean_local",
    "has_unknown_tld",
    "provider_of_name",
    "suggest",
    "suggest_domains",
    "suggest_for",
    "suggest_repaired",
]

_NEXT_KEYS: Final = {
    "q": "wa1", "w": "qesa2z", "e": "wrsd3", "r": "etdf4", "t": "ryfg5", "y": "tugh6z", "u": "yihj7", "i": "uojk8",
    "o": "ipkl90", "p": "ol0", "a": "qwsz", "s": "awedxz", "d": "serfcx", "f": "drtgvc", "g": "ftyhbv", "h": "gyujnb",
    "j": "huiknm", "k": "jiolm", "l": "kop", "z": "asxyw", "x": "zsdc", "c": "xdfv", "v": "cfgb", "b": "vghn",
    "n": "bhjm", "m": "njk",
}  # fmt: skip
"""Keys beside each letter on a QWERTY keyboard; y and z, w and z change places on the German and the French one."""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_ANY: Final = _LETTERS + "0123456789"
_ALIKE: Final = (
    ("m", "rn"), ("m", "nn"), ("w", "vv"), ("o", "0"), ("l", "1"), ("i", "1"), ("l", "i"), ("i", "l"),
    ("c", "k"), ("k", "c"), ("k", "ck"), ("x", "ks"), ("i", "y"), ("y", "i"), ("f", "ph"), ("b", "d"), ("d", "b"),
)  # fmt: skip
"""What looks or sounds alike: meant, written."""

_ONE_HOME: Final = frozenset({
    "gmail", "googlemail", "icloud", "rocketmail", "btinternet", "blueyonder", "ntlworld", "sbcglobal", "rediffmail",
    "bigmir",
})  # fmt: skip
"""Names made up for one provider: where it is not at home, its most used domain is meant."""
_IN_FRONT: Final = frozenset({"www", "http", "https", "email", "e-mail"})
"""Labels that people put before a provider's domain."""
_SECOND_LEVEL: Final = re.compile(r"(?:c|m|o|n|x|v|com?|con|cim|cpm|vom|coo|coom|comm|cm|om|cp|ci|vo|net|org|gob|edu)")
"""What stands before a country's ending, mistyped or chosen wrongly."""
_USUAL_ENDINGS: Final = ("com", "net", "org", "edu")
_CONFUSABLE: Final = str.maketrans("аеорсухіјѕԁӏıłøđ", "aeopcyxijsdlilod")

_EXACT, _LIKELY, _UNLIKELY, _TWICE, _FAR = range(5)
"""How a name was misspelt: not, by a likely slip, by another, by two, or in a way that only the greatest explain."""
_ALLOWED: Final = (0, 1, 2, 2, 3)
"""The number of slips a domain must be allowed for each of them; see suggestion_targets.csv."""
_HALVES: Final = ("mail", "look")
"""What follows a word of its own in a provider's name."""
_LONG: Final = 5
"""Letters a name needs to be believed under an ending that exists but is not the provider's."""


def suggest(text: str) -> str | None:
    """
    What a mistyped address was meant to be: "ann@gmial.com" -> "ann@gmail.com", "ann(at)gmail,com" -> "ann@gmail.com".
    The same as the suggestion of a verdict.

    Returns:
        An address the syntax judge accepts; None where nothing better is known than the text itself.
    """
    found = parse(text)
    if isinstance(found, Address):
        return suggest_for(found.local, found.domain)
    return suggest_repaired(found.suggestion)


def suggest_for(local: str, domain: str) -> str | None:
    """What an accepted address was meant to be; None where nothing better is known."""
    better_local, (better_domain,) = clean_local(local), suggest_domains([domain])
    if better_local is None and better_domain is None:
        return None
    return _offered(better_local or local, better_domain or domain)


def suggest_repaired(repaired: str | None) -> str | None:
    """What a refused cell was meant to be, from the address its repair came to (`SyntaxProblem.suggestion`)."""
    if repaired is None:
        return None
    local, _, domain = repaired.rpartition("@")
    (meant,) = suggest_domains([domain])
    if meant is None and has_unknown_tld(domain):
        return None  # the repair took a word behind the address for its ending
    return _offered(clean_local(local) or local, meant or domain)


_PRIVATE: Final = SPECIAL_USE_ENDINGS | {"internal", "corp", "home", "lan", "intranet", "private"}
"""Endings in use inside private networks (RFC 6761, RFC 6762 appendix G, and .internal as reserved by ICANN)."""


def has_unknown_tld(domain: str, *, allow_special_use: bool = False) -> bool:
    """Whether the last label of a domain (ASCII, lower-case) is no top-level domain, and no private one if allowed."""
    last = domain.rpartition(".")[2]
    return not lists.is_top_level_domain(last) and not (allow_special_use and last in _PRIVATE)


def _offered(local: str, domain: str) -> str | None:
    better = f"{local}@{domain}"
    known_typo = domain in lists.typo_domains() and domain not in lists.not_typos()
    return None if known_typo or is_formula(better) or not isinstance(parse(better), Address) else better


MAY_NEED_CLEANING: Final = r"^['`*#|~%]|^u003[ce]|[^\x00-\x7f]"
"""Finds every local part that `clean_local` changes, and others."""
_MAY_NEED_CLEANING: Final = re.compile(MAY_NEED_CLEANING)
_IN_FRONT_OF_LOCAL: Final = re.compile(r"^(?:['`*#|~]|%(?:20|22|27|3[CcEe])|u003[ce])+")
_BEHIND_LOCAL: Final = re.compile(r"['`*#|~]+$")


@lru_cache(maxsize=4096)
def clean_local(local: str) -> str | None:
    """
    A local part without quotes, bullets and remains of markup around it, and in plain ASCII where all that is not ASCII
    is typography (a curly apostrophe) or the dotted and dotless i of Turkish; None where nothing is to be done.
    """
    if not _MAY_NEED_CLEANING.search(local):
        return None
    plain = local
    if not local.isascii():
        plain = plain_line(local)
        if not plain.isascii():
            return None
        if "\u0130" in local or "\u0131" in local:
            plain = plain.lower()
        plain = plain.strip(" \"'`*.-<>()[],;:")
    plain = _BEHIND_LOCAL.sub("", _IN_FRONT_OF_LOCAL.sub("", plain))
    return plain if plain and plain != local else None


def suggest_domains(domains: Sequence[str]) -> list[str | None]:
    """
    For each domain (ASCII, lower-case) the one that was meant, or None: a mail provider's, or, where the ending does
    not exist, the same name with the ending meant ("acme.con" -> "acme.com").
    """
    names, plain = _names(), _PLAIN_ENDINGS
    meant: list[str | None] = []
    for domain in domains:
        name, _, ending = domain.partition(".")
        # Nearly all domains end here: no provider's name, and an ending that was seen to be right.
        if ending in plain and name not in names and name[:4] != "xn--" and not _may_hold_provider(name):
            meant.append(None)
        else:
            meant.append(_meant(domain, name, ending))
    return meant


_PLAIN_ENDINGS: set[str] = set()
"""Endings that were found to exist and to be no slip before a name that is no provider's; public suffixes only."""


def _may_hold_provider(name: str) -> bool:
    """Whether a name may be a provider's with more around it, or with several slips; false for nearly all others."""
    if "mail" in name or "oo" in name or name[-3:] == "com" or name[-2:] == "co":  # "terracom.br"
        return True
    size, first = len(name), name[0]
    if first == "h":
        return 4 < size < 11 and "m" in name and "l" in name[-2:]
    if first == "g":
        return 5 < size < 9 and name[2] == "m"
    return first in "oa" and 4 < size < 10 and name[-1] == "k"


def _meant(domain: str, name: str, ending: str) -> str | None:
    if (listed := lists.typo_domains().get(domain)) is not None:
        return listed
    last = _last(domain)
    if domain in lists.mail_domains() or last in SPECIAL_USE_ENDINGS:
        return None
    if (found := _provider(name, ending)) is not None:
        return found
    if (placed := _without_dots().get(domain.replace(".", ""))) is not None:
        return placed
    if (branch := _second_level_meant(domain)) is not None:
        return _provider(*branch.split(".", 1)) or branch
    front = domain.rpartition(".")[0]
    if (better := _ending_meant(last)) is not None:
        fixed = _one_ending(f"{front}.{better}")
        return (_provider(*fixed.split(".", 1)) or fixed) if front and "." in fixed else None
    if name in _IN_FRONT and ending in lists.suggestion_targets():
        return ending
    if (held := _held_provider(name, ending)) is not None:
        return held
    if domain.startswith("xn--"):
        return _meant_in_ascii(domain)
    if ("." not in ending or ending.find(".") <= 3) and lists.is_public_suffix(ending):  # the second costs
        _PLAIN_ENDINGS.add(ending)
    return None


def provider_of_name(name: str) -> str | None:
    """The first domain of the provider whose misspelt name stands there without any ending: "hotmial"."""
    for meant, slip in _names().get(name, ()):
        homes = _homes()[meant]
        first = next(iter(homes))
        if len(name) >= _LONG and slip <= _LIKELY and homes[first].slips > 1:
            return f"{meant}.{first}"
    return None


# ---------------------------------------------------------------- endings


@lru_cache(maxsize=4096)
def _ending_meant(last: str) -> str | None:
    """What an ending that does not exist was meant to be: a known slip, or one letter away from a usual ending."""
    if lists.is_top_level_domain(last):
        return None
    if (bare := last.rstrip("0123456789")) != last and lists.is_top_level_domain(bare):
        return bare  # a house number or a year behind it
    return lists.missing_endings().get(last) or _near_usual_endings().get(last)


def _one_ending(domain: str) -> str:
    """A domain without the second of two endings: "foo.edu.com", mended from "foo.edu.con", is foo.edu."""
    front, _, last = domain.rpartition(".")
    return (
        front if last == "com" and _last(front) in (*_USUAL_ENDINGS, "gov", "mil", "int") and "." in front else domain
    )


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


def _second_level_meant(domain: str) -> str | None:
    """The same domain with "com" or "co" before the country spelt right: "acme.con.br" -> "acme.com.br"."""
    front, _, country = domain.rpartition(".")
    name, _, second = front.rpartition(".")
    if len(country) != 2 or not front:
        return None
    for right, slips in (("com", _COM), ("co", _CO)):
        if country not in _BRANCHES[right]:
            continue
        if name and second in slips and not lists.is_public_suffix(f"{second}.{country}"):
            # Where names are registered right below the country's ending too, "om.mx" may be somebody's.
            if country in _CLOSED or f"{name}.{right}.{country}" in _well_known():
                return f"{name}.{right}.{country}"
        elif not name and second.endswith(right) and f"{second.removesuffix(right)}.{right}.{country}" in _well_known():
            return f"{second.removesuffix(right)}.{right}.{country}"  # "terracom.br"
    return None


_CLOSED: Final = frozenset(["br", "tr", "uy", "py", "bd", "np", "ke", "pk", "ua"])
"""Countries where companies register below "com" and the like only."""


@cache
def _well_known() -> frozenset[str]:
    return frozenset(lists.suggestion_targets()) | lists.free_domains() | mailbox_domains()


@cache
def _near_usual_endings() -> dict[str, str]:
    """What is one slip of the finger away from one usual ending and no other."""
    near: dict[str, set[str]] = {}
    for ending in _USUAL_ENDINGS:
        first = (key + ending[1:] for key in _NEXT_KEYS[ending[0]])
        for variant in (*_likely_slips(ending), *_unlikely_slips(ending), *first):
            near.setdefault(variant, set()).add(ending)
    return {variant: next(iter(endings)) for variant, endings in near.items() if len(endings) == 1}


@cache
def _without_dots() -> dict[str, str]:
    """
    The providers' domains without their dots: a dot in the wrong place ("yahooc.om") makes no difference, nor does one
    in place of a hyphen ("t.online.de").
    """
    targets = [domain for domain, slips in lists.suggestion_slips().items() if slips]
    hyphened = [domain for domain in targets if "-" in domain]
    return {domain.replace(".", ""): domain for domain in targets} | {
        re.sub("[.-]", "", domain): domain for domain in hyphened
    }


def _last(ending: str) -> str:
    return ending.rpartition(".")[2]


class _Home(NamedTuple):
    """One of a provider's domains, seen from its name."""

    slips: int
    """How many slips in the name are corrected."""
    used: bool
    """Whether it is one of the domains that many write."""


@cache
def _homes() -> dict[str, dict[str, _Home]]:
    """Name -> endings of the domains the provider has under it, most used first."""
    homes: dict[str, dict[str, _Home]] = {}
    for domain, slips in lists.suggestion_slips().items():
        name, _, ending = domain.partition(".")
        homes.setdefault(name, {})[ending] = _Home(slips, used=True)
    for domain in mailbox_domains():
        name, _, ending = domain.partition(".")
        if name in homes:
            slips = max(home.slips for home in homes[name].values())
            homes[name].setdefault(ending, _Home(min(slips, 2), used=False))
    return homes


def _provider(name: str, ending: str) -> str | None:
    """The provider's domain that a name and an ending were meant to be; the nearest name whose ending fits."""
    for meant, slip in _names().get(name, ()):
        if len(name) < _LONG and ending not in _homes()[meant] and lists.is_top_level_domain(_last(ending)):
            continue
        if (at_home := _ending_at_home(meant, ending, slip)) is not None:
            return f"{meant}.{at_home}"
    return None


@lru_cache(maxsize=4096)
def _ending_at_home(name: str, written: str, slip: int) -> str | None:
    """The ending of the provider's domain that was meant; `slip` is how its name was misspelt."""
    needed = 1 if slip == _UNLIKELY and len(name) > 6 else _ALLOWED[slip]
    homes = {ending: home for ending, home in _homes()[name].items() if home.slips >= needed}
    written = re.sub(r"\b(\w+)\.\1$", r"\1", written)  # "fr.fr"
    if not homes or written in homes:
        return written if homes else None
    last = _last(written)
    if (branch := _branch(homes, written)) is not None:
        return branch
    if not lists.is_top_level_domain(last):
        return _nearest_ending(homes, written)
    greatest = max(home.slips for home in homes.values()) > 2
    if len(name) < _LONG:
        return "com" if slip == _EXACT and len(name) > 2 and written in ("cm", "om") and "com" in homes else None
    if slip > (_UNLIKELY if greatest and written in ("co", "cm", "om") else _LIKELY):
        return None
    if (known := lists.mistyped_endings().get(written)) in homes:
        return known
    second, _, country = written.rpartition(".")
    before_country = not second or _SECOND_LEVEL.fullmatch(second) is not None
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


def _branch(homes: Mapping[str, _Home], written: str) -> str | None:
    """
    The provider's one branch below "com" or "co" whose country is one slip away ("co.k", "com.bl"), where what is
    written is no ending of names; None where several are as near.
    """
    second, _, country = written.partition(".")
    if second not in ("com", "co") or not country or "." in country or lists.is_public_suffix(written):
        return None
    near = [ending for ending in homes if ending.startswith(f"{second}.") and _one_edit(country, _last(ending))]
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


def _nearest_ending(homes: Mapping[str, _Home], written: str) -> str | None:
    """Which of the endings is nearest to one that does not exist, if one is nearer than all others."""
    squeezed = _squeezed(written).rstrip("0123456789")
    near = sorted((_distance(squeezed, joined), ending) for joined, ending in _joined(homes).items())
    (nearest, ending), *others = near
    if nearest > (1.5 if len(ending) > 2 else 1.25) or (others and others[0][0] - nearest < 0.25):
        first = next(iter(homes))
        return first if len(first) > 2 and first.startswith(squeezed) else None  # "gmail.c", "yahoo.c"
    return ending


def _joined(homes: Mapping[str, _Home]) -> dict[str, str]:
    return {ending.replace(".", ""): ending for ending in homes}


def _squeezed(ending: str) -> str:
    """Without dots, and with "com.com" and "co.co" written once."""
    return re.sub(r"(com?)\1+", r"\1", ending.replace(".", ""))


def _distance(written: str, ending: str) -> float:
    """
    How far an ending is from the one that was meant, in slips: 0.75 for a likely one, 1.5 for a letter that lies far
    away or two keys missed by one; less for one cut off than for what was typed on behind it.
    """
    if written == ending:
        return 0
    if written in _likely_slips(ending):
        return 0.75
    if ending.startswith(written):
        return 1
    if len(ending) > 2 and written.startswith(ending):
        return 0.9 + 0.15 * (len(written) - len(ending))
    if len(written) == len(ending):
        missed = [(hit, key) for hit, key in zip(written, ending, strict=True) if hit != key]
        if len(missed) <= 2 and all(hit in _NEXT_KEYS.get(key, "") for hit, key in missed):
            return 0.75 * len(missed) + 0.25 * (written[:1] != ending[:1])
    unlikely = written in _unlikely_slips(ending) or (len(ending) > 2 and written[1:] in (ending, ending[1:]))
    return 1.5 if unlikely or written == ending[1:] else 9


# ---------------------------------------------------------------- names


@cache
def _names() -> dict[str, tuple[tuple[str, int], ...]]:
    """
    Every spelt-out misspelling of a provider's name, and the name itself -> the names that may be meant and how each
    was misspelt, nearest and most used first. First labels to be looked at for another reason lead to no name.
    """
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    homes = _homes()
    own_names = lists.not_typos()
    for slip in (_EXACT, _LIKELY, _UNLIKELY, _TWICE, _FAR):
        for name, endings in homes.items():
            allowed = max(home.slips for home in endings.values())
            entry = ((name, slip),)
            for variant in _misspelt(name, slip, allowed):
                if variant not in found:
                    if variant not in own_names:
                        found[variant] = entry
                elif all(name != other for other, _ in found[variant]):
                    found[variant] += entry
    for domain in lists.typo_domains():
        found.setdefault(domain.partition(".")[0], ())
    for joined, domain in _without_dots().items():
        for place in range(2, len(joined) - 1):  # "yahooc.om" and "yahooco.uk" end in what exists
            if lists.is_top_level_domain(joined[place:]) and joined[:place] != domain.partition(".")[0]:
                found.setdefault(joined[:place], ())
    return found


def _misspelt(name: str, slip: int, allowed: int) -> Iterator[str]:
    """How the name is misspelt in one way, where so many slips are allowed; some more than once."""
    if slip == _EXACT:
        yield name
    elif slip == _LIKELY and allowed:
        if len(name) < _LONG:  # the names near it are all taken, but for a letter that stands twice
            yield from (name[:place] + name[place - 1 :] for place in range(2, len(name) + 1))
            return
        yield from _likely_slips(name)
        yield from (letter + name for letter in _NEXT_KEYS.get(name[0], ""))
        for plain, alike in _ALIKE:
            if plain in name:
                yield name.replace(plain, alike)
    elif slip == _UNLIKELY and allowed:
        if len(name) > 6 or (allowed > 1 and (len(name) > 5 or name == "yahoo")):
            yield name[1:]
        if allowed == 1 and len(name) < 8:
            return
        yield from _unlikely_slips(name)
        if len(name) > 5 or name == "yahoo":
            yield from (key + name[1:] for key in _NEXT_KEYS.get(name[0], "") if key.isalpha())
            yield from (name.replace(letter * 2, "") for letter in "lo" if letter * 2 in name and len(name) > 5)
    elif slip == _TWICE and allowed > 1:
        head, tail = _in_halves(name)
        for twice in _two_slips(name):
            # Two slips in one half and none in the other: more likely a name made up of two words.
            if not tail or not (twice.startswith(head) or twice.endswith(tail)):
                yield twice
    elif slip == _FAR and allowed > 2:
        yield from _two_slips(name)
        yield from (letter + name for letter in _ANY)
        if len(name) > 6:
            yield from (name[:place] + "-" + name[place:] for place in range(1, len(name)))
            yield from (letter + name[1:] for letter in _LETTERS)


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


def _held_provider(name: str, ending: str) -> str | None:
    """A greatest provider's name with junk around it, a piece of it twice, or a slip in both of its halves."""
    if name in _GREATEST and ending.endswith(".com") and "com" in _homes()[name]:
        # "hotmail.commail.com", "hotmail.hotmai.com"
        again = _provider(*ending.split(".", 1))
        return f"{name}.com" if ending.startswith("com") or again == f"{name}.com" else None
    bare = name.replace("-", "")
    for provider in _GREATEST:
        if ending not in _homes()[provider] or name in _homes() or len(name) > len(provider) + 4:
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
    head, tail = _in_halves(provider)
    for place in range(2, min(5, len(name) - 2)):
        first, second = name[:place], name[place:]
        if first in _one_slip(head) and second in _one_slip(tail):
            # A letter that is wrong where the halves meet is one slip, and the rest a word of its own ("hotsail").
            return second[0] == tail[0] and not (second.endswith(tail) or first in _WORDS or second in _WORDS)
    if provider != "hotmail" or not _HOT_MAIL.fullmatch(name):
        return False
    place = name.index("m")
    return not (name[:place] in _WORDS or name[place:] in _WORDS - {"mail"})


@cache
def _one_slip(half: str) -> frozenset[str]:
    """Everything one letter away from half a name, but for the half itself."""
    found = {half[:place] + half[place + 1 :] for place in range(len(half))}
    for letter in _LETTERS:
        found.update(half[:place] + letter + half[place:] for place in range(len(half) + 1))
        found.update(half[:place] + letter + half[place + 1 :] for place in range(len(half)))
    found.update(half[:place] + half[place + 1] + half[place] + half[place + 2 :] for place in range(len(half) - 1))
    return frozenset(found - {half})


def _in_halves(name: str) -> tuple[str, str]:
    for tail in _HALVES:
        if name.endswith(tail) and len(name) > len(tail) + 2:
            return name.removesuffix(tail), tail
    return name, ""


def _likely_slips(name: str) -> Iterator[str]:
    """
    A letter doubled, left out, swapped with the next one, hit on the next key, or with a key beside it hit as well.
    The first letter is mostly typed right.
    """
    yield from _commonest_slips(name)
    for place, letter in enumerate(name):
        keys = _NEXT_KEYS.get(letter, "")
        if place:
            yield from (name[:place] + key + name[place:] for key in keys)
        yield from (name[: place + 1] + key + name[place + 1 :] for key in keys)


def _commonest_slips(name: str) -> Iterator[str]:
    for place, letter in enumerate(name):
        yield name[: place + 1] + name[place:]
        yield name[: place + 1] + letter + name[place + 2 :]
        if place:
            yield name[:place] + name[place + 1 :]
            yield from (name[:place] + key + name[place + 1 :] for key in _NEXT_KEYS.get(letter, "") if key.isalpha())
        if place + 1 < len(name):
            yield name[:place] + name[place + 1] + letter + name[place + 2 :]


def _unlikely_slips(name: str) -> Iterator[str]:
    """Any letter wrong or too many, but for the first."""
    for place in range(1, len(name)):
        for letter in _ANY:
            yield name[:place] + letter + name[place + 1 :]
            yield name[:place] + letter + name[place:]
    yield from (name + letter for letter in _ANY)


def _two_slips(name: str) -> Iterator[str]:
    """
    Two of the commonest slips. Short names must begin as they should and be no shorter, since many words are as near;
    there, a wrong vowel counts as a common slip.
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
