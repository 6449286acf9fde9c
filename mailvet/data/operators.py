"""The reader of `operators.toml`: who runs mail servers, their mailbox domains, and the local parts they give out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from mailvet.data import files

__all__ = ["Answers", "LocalParts", "Operator", "local_parts", "mailbox_domains", "odd_dot_domains", "operators"]

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


@cache
def operators() -> tuple[Operator, ...]:
    """All known operators in the order of the file."""
    document = files.document("operators")
    return tuple(_row(row, document["date"]) for row in document["operator"])


@cache
def mailbox_domains() -> frozenset[str]:
    """The operators' own mailbox domains in lower case.

    They are protected: never called a misspelling of another domain, nor disposable.
    """
    return frozenset(domain for operator in operators() for domain in operator.domains)


@cache
def odd_dot_domains() -> frozenset[str]:
    """Mailbox domains where local parts such as `a..b` and `a.` are real, there and at the domains below."""
    return frozenset(domain for operator in operators() if operator.odd_dots for domain in operator.domains)


@cache
def local_parts() -> tuple[LocalParts, ...]:
    """What is known of the local parts at the operators' domains; each domain in one row at most."""
    return tuple(
        LocalParts(tuple(row["domains"]), row["shape"], row["meaning"], row["source"], row["sure"])
        for row in files.document("operators")["local_parts"]
    )


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
