"""What a misspelt domain was meant to be.

A domain is read as a name and an ending ("hotmial" and "com.arg"). The slips of the finger that lead away from the
providers' names are spelt out beforehand, so that a domain costs one look-up; what is found is judged with the ending.

A domain that is known for mail of its own is never corrected, short names and ordinary words only by the reviewed list
of typo domains, and a whole company's domain only in an ending that does not exist.

Whether a suggestion may be shown is the caller's decision: where the domain takes mail, it is most likely right.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from mailvet.data import lists
from mailvet.reference.domains import is_mail_domain
from mailvet.reference.typos.endings import branch_meant, ending_meant, last_label, without_second_ending
from mailvet.reference.typos.held import held_provider, may_hold_provider
from mailvet.reference.typos.names import domains_without_dots, meant_by, misspelt_names
from mailvet.reference.typos.provider_endings import provider_meant
from mailvet.syntax.parser import SPECIAL_USE_ENDINGS

__all__ = ["has_unknown_tld", "suggest_domain", "suggest_domains"]

_IN_FRONT: Final = frozenset({"www", "http", "https", "email", "e-mail"})
"""Labels that people put before a provider's domain."""

_CONFUSABLE: Final = str.maketrans("аеорсухіјѕԁӏıłøđ", "aeopcyxijsdlilod")


def suggest_domains(domains: Sequence[str]) -> list[str | None]:
    """For each domain (ASCII, lower-case) the one that was meant, or None.

    A mail provider's, or, where the ending does not exist, the same name with the ending meant ("acme.con" ->
    "acme.com").
    """
    if len(domains) == 1:
        return [suggest_domain(domains[0])]
    names, plain = misspelt_names(), _PLAIN_ENDINGS
    meant: list[str | None] = []
    for domain in domains:
        name, _, ending = domain.partition(".")
        # Nearly all domains end here: no provider's name, and an ending that was seen to be right.
        if ending in plain and name not in names and name[:4] != "xn--" and not may_hold_provider(name):
            meant.append(None)
        else:
            meant.append(_meant(domain, name, ending))
    return meant


def suggest_domain(domain: str) -> str | None:
    """The same for one domain."""
    name, _, ending = domain.partition(".")
    if is_mail_domain(domain):
        return None
    plain = ending in _PLAIN_ENDINGS and meant_by(name) is None
    return None if plain and name[:4] != "xn--" and not may_hold_provider(name) else _meant(domain, name, ending)


_PLAIN_ENDINGS: set[str] = set()
"""Endings that were found to exist and to be no slip before a name that is no provider's; public suffixes only."""


def _meant(domain: str, name: str, ending: str) -> str | None:
    if (listed := lists.typo_domains().get(domain)) is not None:
        return listed
    last = last_label(domain)
    if is_mail_domain(domain) or last in SPECIAL_USE_ENDINGS:
        return None
    if (found := provider_meant(name, ending)) is not None:
        return found
    if (placed := domains_without_dots().get(domain.replace(".", ""))) is not None:
        return placed
    if (branch := branch_meant(domain)) is not None:
        return provider_meant(*branch.split(".", 1)) or branch
    front = domain.rpartition(".")[0]
    if (better := ending_meant(last)) is not None:
        fixed = without_second_ending(f"{front}.{better}")
        return (provider_meant(*fixed.split(".", 1)) or fixed) if front and "." in fixed else None
    if name in _IN_FRONT and ending in lists.suggestion_targets():
        return ending
    if (held := held_provider(name, ending)) is not None:
        return held
    if domain.startswith("xn--"):
        return _meant_in_ascii(domain)
    if ("." not in ending or ending.find(".") <= 3) and lists.is_public_suffix(ending):  # the second costs
        _PLAIN_ENDINGS.add(ending)
    return None


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


_PRIVATE: Final = SPECIAL_USE_ENDINGS | {"example", "internal", "corp", "home", "lan", "intranet", "private"}
"""Endings in use inside private networks (RFC 6761, RFC 6762 appendix G, and .internal as reserved by ICANN)."""


def has_unknown_tld(domain: str, *, allow_special_use: bool = False) -> bool:
    """Whether the last label of a domain (ASCII, lower-case) is no top-level domain, and no private one if allowed."""
    last = domain.rpartition(".")[2]
    return not lists.is_top_level_domain(last) and not (allow_special_use and last in _PRIVATE)
