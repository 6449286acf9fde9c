"""Local parts that stand for a function and not for a person (RFC 2142 and others), and those that no person reads."""

from __future__ import annotations

from functools import cache
from typing import Final

from mailvet.data import lists
from mailvet.reference.domains import provider_domains

__all__ = [
    "AT_COMPANIES",
    "EVERYWHERE",
    "is_role",
    "is_role_at",
    "no_reply_pattern",
    "no_reply_patterns",
    "role_names",
    "role_places",
    "weak_role_names",
]

EVERYWHERE: Final = "everywhere"
AT_COMPANIES: Final = "companies"
"""Places of a role (`role_places`): any domain, and any but those of mailbox providers."""
_SHORT_NAME: Final = 3
"""Letters up to which a role is as likely the initials of a person."""


@cache
def role_places() -> dict[str, str]:
    """Local parts, lower-case, that stand for a function and not for a person (RFC 2142 and others) -> where they do.

    `EVERYWHERE`, `AT_COMPANIES`, or the top-level domains of the countries that speak the language, as "|br|es|".
    """
    endings = {language: names.split() for language, names in lists.language_endings()}
    spoken: dict[str, set[str]] = {}
    places: dict[str, str] = {}
    for language, names in lists.role_rows():
        for name in names.split():
            if language == "weak":
                continue
            if language == "certain":
                places[name] = EVERYWHERE
            elif language == EVERYWHERE or len(name) > _SHORT_NAME:
                places.setdefault(name, AT_COMPANIES)
            else:
                spoken.setdefault(name, set()).update(endings[language])
    return {name: f"|{'|'.join(sorted(countries))}|" for name, countries in spoken.items()} | places


@cache
def role_names() -> frozenset[str]:
    """Local parts, lower-case, that stand for a function, at least at some domains; see `role_places`."""
    return frozenset(role_places())


@cache
def weak_role_names() -> frozenset[str]:
    """Local parts, lower-case, that are as often one person's own address at a domain of theirs as they are a role."""
    return frozenset(name for language, names in lists.role_rows() if language == "weak" for name in names.split())


def is_role(name: str, domain: str) -> bool:
    """Whether a local part (lower-case, before any +tag) stands for a function at a domain (ASCII, lower-case).

    At mailbox providers, where names of people are taken first, only what is never the name of a person does.
    """
    return is_role_at(name, domain, provider=domain in provider_domains())


def is_role_at(name: str, domain: str, *, provider: bool) -> bool:
    """The same where it is known already whether the domain is a mailbox provider's."""
    place = role_places().get(name)
    if place is None or place == EVERYWHERE:
        return place is not None
    return not provider and (place == AT_COMPANIES or f"|{domain.rpartition('.')[2]}|" in place)


@cache
def no_reply_pattern() -> str:
    """A regular expression over lower-case local parts (before any +tag) that no person reads."""
    return f"^(?:{'|'.join(no_reply_patterns())})$"


@cache
def no_reply_patterns() -> tuple[str, ...]:
    """The alternatives of `no_reply_pattern`; they hold no backslash, which databases read differently."""
    patterns = []
    for name in lists.no_reply_names():
        stem, behind = (name[:-2], "[._=-].*") if name.endswith("-*") else (name.rstrip("*"), ".*" * name.endswith("*"))
        patterns.append(stem.replace("-", "[._-]?") + behind)
    return tuple(patterns)
