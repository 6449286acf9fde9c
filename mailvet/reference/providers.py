"""Who runs the mail servers of a domain.

An operator is the owner of the hosts that a domain's MX records name: a row of `mailvet/data/operators.toml`, else the
registrable domain of the host. Pace, the number of recipients per conversation and the worth of an answer go by
operator, because thousands of domains share one.

An operator also says which local parts it gives out. That never makes an address undeliverable, because operators have
let other shapes through in the past; it only makes some unlikely, and some real that RFC 5321 does not allow.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from mailvet.data.operators import LocalParts, Operator, local_parts, operators

__all__ = ["is_likely_local_part", "local_parts_at", "operator_of", "operator_of_route", "public_suffix"]


def operator_of(mx_host: str) -> Operator:
    """The owner of an MX host: the row with the longest matching suffix, else one named after the registrable domain.

    >>> operator_of("aspmx.l.google.com.").name
    'google'
    >>> operator_of("mx1.mail.example.co.uk").name
    'example.co.uk'
    """
    return _operator_of(mx_host.strip().rstrip(".").lower())


@lru_cache(maxsize=65536)
def operator_of_route(hosts: tuple[str, ...]) -> Operator:
    """The owner of all mail servers of a domain.

    A set with hosts of several owners is an operator of its own, named after them, whose replies say nothing of any of
    them: any domain may list the host of another.

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


def is_likely_local_part(local: str, domain: str) -> bool:
    """Whether an operator would give out this local part (lower case, without its +tag) at this domain.

    True where nothing is known. False is a doubt and settles nothing.

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
    # The owner of a mailbox domain owns the hosts below it; an MX suffix says the same with more certainty.
    by_domain = {domain: operator for operator in operators() for domain in operator.domains}
    return by_domain | {suffix: operator for operator in operators() for suffix in operator.mx_suffixes}


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
