"""Which domains are disposable, free, a provider's, or known for mail of their own: what the lists say together.

Every set that rests on the list of disposable domains is remembered under that list's digest, so that an updated list
(`mailvet.reference.updates`) counts at once.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, lru_cache

from mailvet.data import lists
from mailvet.data.operators import mailbox_domains, operators
from mailvet.reference.updated_list import kept_digest, kept_domains

__all__ = [
    "disposable_domains",
    "free_domains",
    "is_listed_disposable",
    "is_mail_domain",
    "is_under",
    "mail_domains",
    "never_disposable_domains",
    "provider_domains",
]


@cache
def free_domains() -> frozenset[str]:
    """Domains where people can have a mailbox free of charge; exact domains."""
    operated = {domain for operator in operators() if operator.free for domain in operator.domains}
    return (lists.packaged_free_domains() | operated) - lists.typo_domains().keys()


@cache
def provider_domains() -> frozenset[str]:
    """Domains where people have mailboxes of their own, free of charge or paid for."""
    return free_domains() | mailbox_domains() | lists.mailbox_providers() | lists.relay_domains()


def disposable_domains() -> frozenset[str]:
    """Domains of throw-away addresses; subdomains count too.

    The package disposable-email-domains, whose entries are reviewed one by one, and what independent lineages of lists
    agree on (`mailvet/data/disposable_domains.csv`), or an updated list in its place. Real mailbox providers, relay
    aliases and misspelt providers are taken out: they are something else. So are suffixes under which names are
    registered.
    """
    return _disposable_domains(kept_digest())


@lru_cache(maxsize=2)
def _disposable_domains(digest: str) -> frozenset[str]:
    agreed = (kept_domains() if digest else None) or lists.packaged_disposable_domains()
    return agreed.union(lists.reviewed_disposable_domains()).difference(*_never_thrown_away())


def is_listed_disposable(domain: str) -> bool:
    """Whether a domain is one of `disposable_domains`, which are not built up for it."""
    agreed = kept_domains() or lists.sorted_disposable_domains()
    listed = domain in lists.reviewed_disposable_domains() or domain in agreed
    return listed and not any(domain in names for names in _never_thrown_away())


def _never_thrown_away() -> tuple[Collection[str], ...]:
    typos, targets = lists.typo_domains().keys(), lists.suggestion_targets().keys()
    return lists.relay_domains(), mailbox_domains(), typos, targets, lists.mailbox_providers()


def mail_domains() -> frozenset[str]:
    """Every domain that is known to be one of its own and never to be corrected to another.

    Of the disposable ones those that were reviewed one by one: other lists hold misspelt providers too, caught by
    services that live on them.
    """
    return _mail_domains(kept_digest())


@lru_cache(maxsize=2)
def _mail_domains(digest: str) -> frozenset[str]:
    reviewed = _disposable_domains(digest) & lists.reviewed_disposable_domains()
    return reviewed.union(*_of_their_own()) - lists.typo_domains().keys()


def is_mail_domain(domain: str) -> bool:
    """Whether a domain is one of `mail_domains`, which are not built up for it."""
    if domain in lists.typo_domains():
        return False
    if any(domain in names for names in _of_their_own()):
        return True
    return domain in lists.reviewed_disposable_domains() and is_listed_disposable(domain)


def _of_their_own() -> tuple[Collection[str], ...]:
    return free_domains(), mailbox_domains(), lists.relay_domains(), lists.suggestion_targets().keys()


def never_disposable_domains() -> frozenset[str]:
    """Domains of their own, also where they lie under a disposable one."""
    return _never_disposable_domains(kept_digest())


@lru_cache(maxsize=2)
def _never_disposable_domains(digest: str) -> frozenset[str]:
    return _mail_domains(digest) - _disposable_domains(digest)


def is_under(domain: str, names: Collection[str]) -> bool:
    """Whether a domain is one of the names or lies under one."""
    return domain in names or any(name in names for name in lists.names_above(domain))
