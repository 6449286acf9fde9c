"""What a mistyped address was meant to be: its local part cleaned, and its domain as `typos.domains` corrects it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from mailvet.data import lists
from mailvet.privacy import is_formula
from mailvet.reference.typos.domains import has_unknown_tld, suggest_domains
from mailvet.syntax.parser import Address, parse
from mailvet.syntax.repair import plain_line

__all__ = ["MAY_NEED_CLEANING", "clean_local", "suggest", "suggest_for", "suggest_repaired"]


def suggest(text: str) -> str | None:
    """What a mistyped address was meant to be.

    "ann@gmial.com" -> "ann@gmail.com", "ann(at)gmail,com" -> "ann@gmail.com". The same as the suggestion of a verdict.

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
    """A local part without quotes, bullets and remains of markup around it; None where nothing is to be done.

    Where all that is not ASCII is typography (a curly apostrophe) or the dotted and dotless i of Turkish, it is in
    plain ASCII.
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
