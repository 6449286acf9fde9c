"""
Who runs the mail servers of a domain.

An operator is the owner of the hosts that a domain's MX records name: a row of `mailvet/data/operators.toml`, else the
registrable domain of the host. Pace, the number of recipients per conversation and the worth of an answer go by
operator, because thousands of domains share one.

An operator also says which local parts it gives out. That never makes an address undeliverable, because operators have
let other shapes through in the past; it only makes some unlikely, and some real that RFC 5321 does not allow.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal, get_args

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Answers",
    "LocalParts",
    "Operator",
    "is_likely_local_part",
    "local_parts",
    "local_parts_at",
    "mailbox_domains",
    "odd_dot_domains",
    "operator_of",
    "operator_of_route",
    "operators",
    "public_suffix",
]

Answers = Literal["reliable", "accepts_all", "blocks_probes", "unverifiable", "gateway", "mixed"]
"""
What the replies to RCPT are worth: unknown recipients are refused and known ones accepted (reliable), every recipient
is accepted (accepts_all), strangers are refused whomever they ask about (blocks_probes), replies do not depend on the
recipient (unverifiable), a filter answers for the servers behind it (gateway), or it depends on the domain (mixed).
"""


@dataclass(frozen=True, slots=True)
class Operator:
    """One owner of mail servers."""

    name: str
    """A slug such as `google`, or the registrable domain of the MX host where no row is known."""
    label: str
    mx_suffixes: tuple[str, ...]
    """Ends of MX host names, on label boundaries, in lower case; empty where only the mailbox domains are known."""
    domains: tuple[str, ...]
    """Its own mailbox domains, such as gmail.com; a host below one is taken for the operator's too."""
    answers: Answers
    recipients_per_session: int | None
    """Recipients that may be asked in one conversation; None where no limit is known."""
    connections: int | None
    """Connections that may be open at once from one address; None where no limit is known."""
    pipelining: bool
    """Whether commands may be sent ahead where the server offers PIPELINING (RFC 2920)."""
    free: bool
    """Whether anyone may have a mailbox free of charge."""
    countries: tuple[str, ...]
    """ISO 3166 codes of where its mailboxes are at home; empty: the world."""
    odd_dots: bool
    """Whether it gave out local parts with two dots in a row or one at the end, against RFC 5321 section 4.1.2."""
    note: str
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class LocalParts:
    """Which local parts an operator gives out at some of its domains."""

    domains: tuple[str, ...]
    shape: str
    """Regular expression over the whole local part, lower case, without its tag; read by `re` and by Polars alike."""
    meaning: str
    source: str
    sure: Literal["published", "recalled"]


def operator_of(mx_host: str) -> Operator:
    """
    The owner of an MX host: the row with the longest matching suffix, else one named after the registrable domain.

    >>> operator_of("aspmx.l.google.com.").name
    'google'
    >>> operator_of("mx1.mail.example.co.uk").name
    'example.co.uk'
    """
    return _operator_of(mx_host.strip().rstrip(".").lower())


@lru_cache(maxsize=65536)
def operator_of_route(hosts: tuple[str, ...]) -> Operator:
    """
    The owner of all mail servers of a domain. A set with hosts of several owners is an operator of its own, named after
    them, whose replies say nothing of any of them: anybody may list another's host among their own.

    >>> operator_of_route(("aspmx.l.google.com", "alt1.aspmx.l.google.com")).name
    'google'
    >>> operator_of_route(("aspmx.l.google.com", "mx.example.org")).name
    'example.org+google'
    """
    owners = {operator.name: operator for operator in map(operator_of, hosts)}
    if len(owners) == 1:
        return next(iter(owners.values()))
    names = sorted(owners)
    more = f"+{len(names) - _NAMED_OWNERS}" if len(names) > _NAMED_OWNERS else ""
    return _unlisted("+".join(names[:_NAMED_OWNERS]) + more)


_NAMED_OWNERS = 3


@lru_cache(maxsize=65536)
def _operator_of(host: str) -> Operator:
    suffixes = _by_suffix()
    rest = host
    while rest:
        if rest in suffixes:
            return suffixes[rest]
        rest = rest.partition(".")[2]
    return _unlisted(_registrable(host))


@lru_cache(maxsize=65536)
def _unlisted(domain: str) -> Operator:
    return Operator(
        name=domain,
        label=domain,
        mx_suffixes=(domain,),
        domains=(),
        answers="mixed",
        recipients_per_session=None,
        connections=None,
        pipelining=True,
        free=False,
        countries=(),
        odd_dots=False,
        note="",
        source="registrable domain of the MX host (Public Suffix List, ICANN section)",
        date="",
    )


def operators() -> tuple[Operator, ...]:
    """All known operators in the order of the file."""
    return _load()


@cache
def mailbox_domains() -> frozenset[str]:
    """
    The operators' own mailbox domains in lower case.

    They are protected: never called a misspelling of another domain, nor disposable.
    """
    return frozenset(domain for operator in _load() for domain in operator.domains)


@cache
def odd_dot_domains() -> frozenset[str]:
    """Mailbox domains where local parts such as `a..b` and `a.` are real, there and at the domains below."""
    return frozenset(domain for operator in _load() if operator.odd_dots for domain in operator.domains)


@cache
def local_parts() -> tuple[LocalParts, ...]:
    """What is known of the local parts at the operators' domains; each domain in one row at most."""
    return tuple(
        LocalParts(tuple(row["domains"]), row["shape"], row["meaning"], row["source"], row["sure"])
        for row in _document()["local_parts"]
    )


def is_likely_local_part(local: str, domain: str) -> bool:
    """
    Whether an operator would give out this local part (lower case, without its +tag) at this domain; True where nothing
    is known. False is a doubt and never an answer.

    >>> is_likely_local_part("ann", "gmail.com")
    False
    """
    rule = local_parts_at(domain)
    return rule is None or re.fullmatch(rule.shape, local) is not None


def local_parts_at(domain: str) -> LocalParts | None:
    """What is known of the local parts at a domain (lower case)."""
    return _local_parts_by_domain().get(domain)


@cache
def _local_parts_by_domain() -> dict[str, LocalParts]:
    return {domain: row for row in local_parts() for domain in row.domains}


@cache
def _by_suffix() -> dict[str, Operator]:
    # Whoever owns a mailbox domain owns the hosts below it; an MX suffix says the same with more certainty.
    by_domain = {domain: operator for operator in _load() for domain in operator.domains}
    return by_domain | {suffix: operator for operator in _load() for suffix in operator.mx_suffixes}


@cache
def _document() -> dict[str, Any]:
    text = resources.files("mailvet.data").joinpath("operators.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _load() -> tuple[Operator, ...]:
    document = _document()
    return tuple(_row(row, document["date"]) for row in document["operator"])


def _row(row: dict[str, Any], date: str) -> Operator:
    answers = row.get("answers", "mixed")
    if answers not in get_args(Answers):
        raise ValueError(f"operators.toml: {row['name']} answers {answers!r}; use one of {get_args(Answers)}")
    return Operator(
        name=row["name"],
        label=row["label"],
        mx_suffixes=tuple(row.get("mx", ())),
        domains=tuple(row.get("domains", ())),
        answers=answers,
        recipients_per_session=row.get("recipients_per_session"),
        connections=row.get("connections"),
        pipelining=row.get("pipelining", True),
        free=row.get("free", False),
        countries=tuple(row.get("countries", ())),
        odd_dots=row.get("odd_dots", False),
        note=row.get("note", ""),
        source=row.get("source", "MX records of its mailbox domains or of its customers"),
        date=row.get("date", date),
    )


@cache
def _public_suffixes() -> Any:
    # Reading the list takes some 70 ms and is only needed for hosts of unlisted operators.
    from publicsuffixlist import PublicSuffixList

    # A name under a private suffix (a hoster's customers) still belongs to the hoster: the servers are its own.
    return PublicSuffixList(only_icann=True)


def public_suffix(name: str) -> str:
    """The public suffix at the end of a name (ICANN section): `co.uk` for `shop.example.co.uk`."""
    return str(_public_suffixes().publicsuffix(name) or name.rpartition(".")[2])


def _registrable(host: str) -> str:
    return _public_suffixes().privatesuffix(host) or host
