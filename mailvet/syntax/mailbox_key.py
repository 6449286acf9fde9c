"""Which mailbox an address reaches: one key for all the spellings of one person's address.

An address as it stands in a cell has its `email_key`; what people do (complain, unsubscribe) and what servers say of
them (a hard bounce) holds for the mailbox. The rules are data, `mailvet/data/mailbox_rules.toml`: case nowhere, tags,
dots and second domains where a provider documents them, at its own domains alone.

The one rule, for Python (`mailbox_of`), Polars (`mailbox_expression`) and SQL (`mailbox_sql`), from which the dbt macro
is generated. SQL knows no A-labels: it is right wherever the domain is written in ASCII, and given the domain's ASCII
form everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mailvet.data import files

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MailboxRules",
    "mailbox_expression",
    "mailbox_key",
    "mailbox_of",
    "mailbox_rules",
    "mailbox_sql",
    "rules",
]


@dataclass(frozen=True, slots=True)
class Provider:
    """What one provider documents of its own mailboxes."""

    domains: tuple[str, ...]
    one_mailbox: bool
    """The same name at each of the domains is the same mailbox; the first domain stands for all."""
    tag: str
    """The sign before a tag (RFC 5233), or empty."""
    dots: Literal["kept", "ignored", "hyphens", "signs_ignored"]
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class MailboxRules:
    """The rules by domain (ASCII, lower case)."""

    main_domain: Mapping[str, str]
    """Second domains of the same mailboxes -> the domain that stands for them."""
    tag: Mapping[str, str]
    """Domain -> the sign before a tag."""
    dots_ignored: frozenset[str]
    dots_are_hyphens: frozenset[str]
    signs_ignored: frozenset[str]
    """Domains where dots, hyphens and underscores do not count."""

    def tagged_with(self, sign: str) -> list[str]:
        """The domains whose tags begin with this sign."""
        return sorted(domain for domain, own in self.tag.items() if own == sign)

    @property
    def domains(self) -> frozenset[str]:
        """All domains that a rule is about."""
        return self.rewritten | frozenset(self.tag)

    @property
    def rewritten(self) -> frozenset[str]:
        """Domains where an address without a tag may be written in several ways too."""
        return frozenset({*self.main_domain, *self.dots_ignored, *self.dots_are_hyphens, *self.signs_ignored})

    @property
    def signs(self) -> list[str]:
        """All signs before tags."""
        return sorted(set(self.tag.values()))


@cache
def rules() -> tuple[Provider, ...]:
    """The providers in the order of the file."""
    document = files.document("mailbox_rules")
    return tuple(
        Provider(
            domains=tuple(row["domains"]),
            one_mailbox=row.get("one_mailbox", False),
            tag=row.get("tag", ""),
            dots=row.get("dots", "kept"),
            source=row["source"],
            date=row.get("date", document["date"]),
        )
        for row in document["provider"]
    )


@cache
def mailbox_rules() -> MailboxRules:
    """All that the providers document, by domain."""
    known = rules()
    return MailboxRules(
        {other: row.domains[0] for row in known if row.one_mailbox for other in row.domains[1:]},
        {domain: row.tag for row in known if row.tag for domain in row.domains},
        frozenset(domain for row in known if row.dots == "ignored" for domain in row.domains),
        frozenset(domain for row in known if row.dots == "hyphens" for domain in row.domains),
        frozenset(domain for row in known if row.dots == "signs_ignored" for domain in row.domains),
    )


def _kept_of(sign: str) -> int:
    """Characters of the sign that the mailbox keeps.

    Before a hyphen stands a base name that its owner chose (Yahoo). It is not the name of the mailbox, and another
    person may have that one.
    """
    return 1 if sign == "-" else 0


_SIGNS = ".-_"
_WITHOUT_SIGNS = str.maketrans("", "", _SIGNS)


def mailbox_of(local: str, domain: str) -> str:
    """The mailbox that an address reaches, in the one spelling that stands for all.

    Args:
        local: before the @, in any case.
        domain: in A-labels and lower case.

    >>> mailbox_of("D.O.T.S+shop", "googlemail.com"), mailbox_of("Ann+shop", "acme.com")
    ('dots@gmail.com', 'ann+shop@acme.com')
    """
    by_domain = mailbox_rules()
    local = local.lower()
    sign = by_domain.tag.get(domain)
    if sign is not None and (place := local.find(sign)) > 0:  # at the very start it is no tag
        local = local[: place + _kept_of(sign)]
    if domain in by_domain.dots_ignored:
        local = local.replace(".", "")
    elif domain in by_domain.dots_are_hyphens:
        local = local.replace(".", "-")
    elif domain in by_domain.signs_ignored:
        local = local.translate(_WITHOUT_SIGNS)
    return f"{local}@{by_domain.main_domain.get(domain, domain)}"


def mailbox_key(text: str | None) -> str | None:
    """The key of the mailbox that a cell's address reaches.

    Lower-case hexadecimal SHA-256 of `mailbox_of` in UTF-8, 64 characters; None where the text is no address.

    >>> mailbox_key("dots@gmail.com") == mailbox_key(" D.o.t.s+shop@GoogleMail.com ")
    True
    """
    from mailvet.syntax.parser import Address, parse

    found = parse(text, allow_special_use=True)
    return key_of(mailbox_of(found.local, found.domain)) if isinstance(found, Address) else None


def key_of(mailbox: str) -> str:
    """The key of a mailbox in the spelling of `mailbox_of`."""
    return hashlib.sha256(mailbox.encode("utf-8", "surrogatepass")).hexdigest()


def mailbox_expression(local: pl.Expr, domain: pl.Expr) -> pl.Expr:
    """`mailbox_of` of columns of local parts and of domains in A-labels (String); null where either is."""
    import polars as pl

    from mailvet.syntax.octets import octets_before

    by_domain = mailbox_rules()
    lower = local.str.to_lowercase()
    name = lower
    for sign in by_domain.signs:
        place = lower.str.find(sign, literal=True)
        is_tagged = domain.is_in(by_domain.tagged_with(sign)) & (place > 0)
        name = pl.when(is_tagged).then(octets_before(lower, place + _kept_of(sign))).otherwise(name)
    return pl.concat_str(
        pl.when(domain.is_in(sorted(by_domain.dots_ignored)))
        .then(name.str.replace_all(".", "", literal=True))
        .when(domain.is_in(sorted(by_domain.dots_are_hyphens)))
        .then(name.str.replace_all(".", "-", literal=True))
        .when(domain.is_in(sorted(by_domain.signs_ignored)))
        .then(name.str.replace_all("[._-]", ""))
        .otherwise(name),
        pl.lit("@"),
        domain.replace(dict(by_domain.main_domain)),
    )


class _Dialect(Protocol):
    """What is needed of `mailvet.warehouse.dialects.Dialect`, which stands above this module."""

    def literal(self, text: str) -> str: ...

    def position(self, part: str, value: str) -> str: ...

    def joined(self, *values: str) -> str: ...


def mailbox_sql(local: str, domain: str, dialect: _Dialect | Any) -> str:
    """`mailbox_of` as a SQL expression.

    Args:
        local: an expression of the local part in lower case.
        domain: one of the domain in lower case; in A-labels, or it comes out as it is.
        dialect: whose SQL.
    """
    by_domain = mailbox_rules()

    def is_one_of(names: Collection[str]) -> str:
        return f"{domain} in ({', '.join(map(dialect.literal, sorted(names)))})"

    cases = []
    for sign in by_domain.signs:
        place = dialect.position(dialect.literal(sign), local)
        before = f"substring({local}, 1, {place if _kept_of(sign) else f'{place} - 1'})"
        cases.append(f"when {place} > 1 and {is_one_of(by_domain.tagged_with(sign))} then {before}")
    name = f"case {' '.join(cases)} else {local} end"
    mains = " ".join(
        f"when {is_one_of([other for other, to in by_domain.main_domain.items() if to == main])} "
        f"then {dialect.literal(main)}"
        for main in sorted(set(by_domain.main_domain.values()))
    )
    plain = name
    for sign in _SIGNS:
        plain = f"replace({plain}, {dialect.literal(sign)}, '')"
    return dialect.joined(
        f"case when {is_one_of(by_domain.dots_ignored)} then replace({name}, '.', '') "
        f"when {is_one_of(by_domain.dots_are_hyphens)} then replace({name}, '.', '-') "
        f"when {is_one_of(by_domain.signs_ignored)} then {plain} else {name} end",
        "'@'",
        f"case {mains} else {domain} end",
    )
