"""What the lists say of a domain, as the bits of one number: the one source of single addresses and of columns.

`listed_bits` numbers every domain that any list names, packaged or of the user's own. `bits_of` looks one domain up
(`mailvet.reference.scalar`), `mailvet.reference.columns` whole columns. A domain takes over from those it lies under
what is `INHERITED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Final

from mailvet.data import lists
from mailvet.data.operators import local_parts
from mailvet.reference.domains import (
    disposable_domains,
    free_domains,
    is_listed_disposable,
    is_mail_domain,
    never_disposable_domains,
    provider_domains,
)
from mailvet.reference.own_lists import OwnList, OwnLists
from mailvet.reference.updated_list import kept_digest
from mailvet.syntax.mailbox_key import mailbox_rules

__all__ = [
    "DISPOSABLE",
    "DISPOSABLE_UNLESS",
    "FREE",
    "INHERITED",
    "KNOWN",
    "MAILBOX_RULES",
    "ON_OWN_LIST",
    "OWN_LISTS",
    "PROVIDER",
    "RELAY",
    "SHAPE",
    "TYPO_OF",
    "bits_of",
    "from_above",
    "listed_bits",
    "meant_domains",
]

FREE, DISPOSABLE, RELAY, KNOWN, MAILBOX_RULES, PROVIDER = (1 << place for place in range(6))
"""
Free of charge; disposable; a relay's; known for mail of its own and not disposable; with rules for what is the same
mailbox; a provider's, where people have mailboxes of their own.
"""
DISPOSABLE_UNLESS: Final = DISPOSABLE | RELAY | KNOWN
"""A domain is disposable where, of these, `DISPOSABLE` alone is set."""
OWN_LISTS: Final = ("allow", "deny", "suppress", "extra_disposable", "traps")
_BELOW: Final = {name: 1 << place for place, name in enumerate(OWN_LISTS, 6)}
_ONLY: Final = {name: 1 << place for place, name in enumerate(OWN_LISTS, 11)}
ON_OWN_LIST: Final = {name: _BELOW[name] | _ONLY[name] for name in OWN_LISTS}
"""Name of a list of the user's -> the bits of which one is set where it names the domain or one above it."""
INHERITED: Final = DISPOSABLE | RELAY | sum(_BELOW.values())
"""What holds for the names below as well."""
SHAPE: Final = 16
"""From this bit on: the place of its `local_parts`, counted from 1."""
TYPO_OF: Final = 32
"""From this bit on: the place of the domain that was meant among `meant_domains`, counted from 1."""


def listed_bits(own: OwnLists) -> Mapping[str, int]:
    """Every domain that any list names -> what the lists say of it by its own name."""
    return _listed_bits(own, kept_digest()) if own else _public_bits(kept_digest())


@lru_cache(maxsize=4)
def _listed_bits(own: OwnLists, digest: str) -> Mapping[str, int]:
    said = dict(_public_bits(digest))
    for name in OWN_LISTS:
        entries: OwnList = getattr(own, name)
        _add(said, entries.domains, _BELOW[name])
        _add(said, entries.only_domains, _ONLY[name])
    return said


@lru_cache(maxsize=2)
def _public_bits(digest: str) -> Mapping[str, int]:
    del digest  # of the list of disposable domains that the sets below rest on
    said = dict.fromkeys(disposable_domains(), DISPOSABLE)
    _add(said, free_domains(), FREE)
    _add(said, provider_domains(), PROVIDER)
    _add(said, lists.relay_domains(), RELAY)
    _add(said, never_disposable_domains(), KNOWN)
    _add(said, mailbox_rules().domains, MAILBOX_RULES)
    for place, row in enumerate(local_parts(), 1):
        _add(said, row.domains, place << SHAPE)
    places = {meant: place for place, meant in enumerate(meant_domains(), 1)}
    for typo, meant in lists.typo_domains().items():
        _add(said, [typo], places[meant] << TYPO_OF)
    return said


def _bits_by_name(domain: str, own: OwnLists) -> int:
    """What `listed_bits` has for one domain, without building it up."""
    bits = _public_bits_by_name(domain, kept_digest())
    if own:
        for name in OWN_LISTS:
            entries: OwnList = getattr(own, name)
            bits |= _BELOW[name] * (domain in entries.domains) | _ONLY[name] * (domain in entries.only_domains)
    return bits


@lru_cache(maxsize=65536)
def _public_bits_by_name(domain: str, digest: str) -> int:
    del digest
    disposable = is_listed_disposable(domain)
    typo = lists.typo_domains().get(domain)
    return (
        DISPOSABLE * disposable
        | FREE * (domain in free_domains())
        | PROVIDER * (domain in provider_domains())
        | RELAY * (domain in lists.relay_domains())
        | KNOWN * (not disposable and is_mail_domain(domain))
        | MAILBOX_RULES * (domain in mailbox_rules().domains)
        | _place_of_shape().get(domain, 0) << SHAPE
        | (0 if typo is None else meant_domains().index(typo) + 1) << TYPO_OF
    )


@cache
def _place_of_shape() -> dict[str, int]:
    return {domain: place for place, row in enumerate(local_parts(), 1) for domain in row.domains}


def _add(said: dict[str, int], names: Iterable[str], bits: int) -> None:
    for name in names:
        said[name] = said.get(name, 0) | bits


@cache
def meant_domains() -> tuple[str, ...]:
    """The domains that well-known misspellings stand for, in the order in which the bits count them."""
    return tuple(sorted(set(lists.typo_domains().values())))


def from_above(domain: str, said: Mapping[str, int]) -> int:
    """What a domain takes over from those it lies under; `said` as `listed_bits` gives it."""
    bits, above = 0, domain.partition(".")[2]
    while above:
        bits |= said.get(above, 0) & INHERITED
        above = above.partition(".")[2]
    return bits


def bits_of(domain: str, own: OwnLists) -> int:
    """All that the lists say of one domain (A-labels, lower case); 0 where none says anything."""
    bits = _bits_by_name(domain, own)
    for above in lists.names_above(domain):
        bits |= _bits_by_name(above, own) & INHERITED
    return bits
