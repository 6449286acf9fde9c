"""Which mailbox each text of a table reaches, and what happened when mail was last sent there.

The queries for that, in the words of a `Dialect`. An event holds for the mailbox, whichever spelling of its address it
was about.

SQL knows no A-labels. Domains that are not ASCII are few: those are read, turned in Python (`ascii_names`), and joined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from mailvet.history.facts import (
    RECIPIENT_COLUMNS,
    Question,
    decided,
    event_values,
    known_words,
    recipient_columns,
)
from mailvet.syntax.mailbox_key import key_of, mailbox_of, mailbox_sql
from mailvet.syntax.parser import ascii_domain
from mailvet.vocabulary import Reason
from mailvet.warehouse.dialects import Dialect, literal

log = logging.getLogger("mailvet")

__all__ = [
    "EVENT_KEYS",
    "ascii_names",
    "backfill_sql",
    "has_mailbox",
    "history_sql",
    "list_entry",
    "mailbox_key_sql",
    "mapped_events",
    "missing_verdicts",
    "odd_domains",
    "recipients_sql",
    "unknown_words_sql",
    "warn_of_unknown_words",
    "with_mailbox",
]

_CLOCKS_DIFFER = timedelta(days=1)
"""An event that is dated later than this from now is not believed."""

_LONGEST = 320
"""Characters beyond which a text is no address, with room for what comes out shorter in A-labels."""


def with_mailbox(say: Dialect, relation: str, columns: Collection[str], *, labels: str | None = None) -> str:
    """A query for these columns and `mailbox`, in the spelling of `mailvet.syntax.mailbox_key.mailbox_of`.

    Null where the text holds no @.

    Args:
        say: the dialect.
        columns: of the relation, to keep.
        relation: has the columns and `folded` (lower case, trimmed).
        labels: a relation of `domain` and `ascii_name` for domains that are not ASCII; None where there are none.
    """
    listed = ", ".join(f"mailvet__t.{column}" for column in columns)
    kept = ", ".join(columns)
    has_at = f"{say.position(literal('@'), 'folded')} > 1 and {say.length('folded')} <= {_LONGEST}"
    domain = f"case when {has_at} then {say.after_at('folded')} end"
    local = f"substring(folded, 1, {say.length('folded')} - {say.length('mailvet__domain')} - 1)"
    known = "coalesce(mailvet__l.ascii_name, mailvet__t.mailvet__domain)" if labels else "mailvet__t.mailvet__domain"
    joined = f" left join {labels} mailvet__l on mailvet__l.domain = mailvet__t.mailvet__domain" if labels else ""
    # Each step by itself, so that what is used several times is computed once.
    needed = ", ".join(dict.fromkeys([*columns, "folded"]))
    cut = f"select {needed}, {domain} as mailvet__domain from {relation} mailvet__r{say.fence}"
    parted = (
        f"select {kept}, mailvet__domain, case when mailvet__domain is not null then {local} end as mailvet__local "
        f"from ({cut}) mailvet__c{say.fence}"
    )
    named = f"select {listed}, mailvet__t.mailvet__local, {known} as mailvet__name from ({parted}) mailvet__t{joined}"
    folded = mailbox_sql("mailvet__local", "mailvet__name", say)
    return (
        f"select {kept}, case when mailvet__name is not null then {folded} end as mailbox "
        f"from ({named}{say.fence}) mailvet__n"
    )


def odd_domains(say: Dialect, relation: str) -> str:
    """A query for the distinct `domain` of the texts of a relation (`folded`) that are not ASCII."""
    return (
        f"select distinct {say.after_at('folded')} as domain from {relation} mailvet__r where "
        f"{say.not_ascii('folded')} and {say.position(literal('@'), 'folded')} > 1 "
        f"and {say.length('folded')} <= {_LONGEST}"
    )


def ascii_names(domains: Iterable[str]) -> Mapping[str, str]:
    """The A-labels of domains; without those that are no domains, and those that are in A-labels already."""
    names = {domain: ascii_domain(domain, allow_special_use=True) for domain in domains}
    return {domain: name for domain, name in names.items() if name is not None and name != domain}


def recipients_sql(say: Dialect, source: str, columns: Collection[str], ask: Question) -> str:
    """A query for what is known of the events of each address.

    `recipient` and `folded` (lower case, trimmed), `given_mailbox` and `given_key`, null where the events have no such
    column, and `RECIPIENT_COLUMNS`.

    Args:
        say: the dialect.
        source: the events; from today's future nothing counts.
        columns: which columns of `mailvet.settings.EVENT_COLUMNS` they have.
        ask: what is asked of them.
    """
    nothing = say.text("null")
    address = say.fold(say.text("email")) if "email" in columns else nothing
    mailbox = say.exact(say.text("mailbox_key")) if "mailbox_key" in columns else nothing
    key = say.exact(say.text("email_key")) if "email_key" in columns else nothing
    values = event_values(say, columns)
    soft_at, aggregates = recipient_columns(say, ask, "mailvet__at")
    facts = ", ".join(f"{aggregate} as {name}" for name, aggregate in aggregates.items())
    ahead = say.moment(ask.now + _CLOCKS_DIFFER)
    rows = (
        f"select {address} as mailvet__address, {mailbox} as mailvet__mailbox, {key} as mailvet__key, "
        f"lower({say.text('event')}) as mailvet__word, {say.as_moment('occurred_at')} as mailvet__at, "
        f"{values['echo']} as mailvet__echo, {values['machine']} as mailvet__machine, {values['topic']} as "
        f"mailvet__topic, {values['bounce_class']} as mailvet__class from {source}"
    )
    known = f"select mailvet__e.*, {soft_at} as mailvet__soft_at from ({rows}) mailvet__e where mailvet__at <= {ahead}"
    return (
        "select mailvet__address as recipient, mailvet__address as folded, mailvet__mailbox as given_mailbox, "
        f"mailvet__key as given_key, mailvet__soft_at as soft_at, {facts} from ({known}) mailvet__events "
        "group by mailvet__address, mailvet__mailbox, mailvet__key, mailvet__soft_at"
    )


def unknown_words_sql(say: Dialect, source: str) -> str:
    """A query for the words of events that are not known, and how many events have each; the most first."""
    word = f"lower({say.text('event')})"
    return say.limited(
        f"select mailvet__word, count(*) as mailvet__count from (select {word} as mailvet__word from {source}) "
        f"mailvet__words where mailvet__word not in ({', '.join(map(literal, known_words()))}) "
        "group by mailvet__word order by mailvet__count desc, mailvet__word",
        10,
    )


def warn_of_unknown_words(found: Sequence[tuple[Any, ...]]) -> None:
    """Say which words of the events count for nothing: a complaint may be among them, called otherwise."""
    if found:
        listed = ", ".join(f"{word!r} ({count:,})" for word, count in found)
        log.warning(
            "words of history.events that are not known and count for nothing: %s. Import such events with "
            "mailvet events import, which knows the words of the usual senders",
            listed,
        )


def mapped_events(
    source: str, present: Collection[str], columns: Mapping[str, str], quote: Callable[[str], str]
) -> str:
    """The events under our own names.

    Args:
        source: the table.
        present: its columns that are called as ours.
        columns: our name -> the table's.
        quote: a name as the database writes it.
    """
    if not columns:
        return source
    named = {name: name for name in present} | {name: quote(own) for name, own in columns.items()}
    listed = ", ".join(f"{own} as {name}" for name, own in named.items())
    return f"(select {listed} from {source}) mailvet__mapped"


EVENT_KEYS = ("email", "mailbox_key", "email_key")
"""Columns by which events may say whose they are; one of them is enough."""


def history_sql(say: Dialect, recipients: str, boxes: str, ask: Question, *, labels: str | None) -> str:
    """A query for what the events say by mailbox: `mailbox_key`, `HISTORY_COLUMNS` and `LIFTED`.

    Args:
        say: the dialect.
        recipients: a relation as of `recipients_sql`.
        boxes: `email_key` and `mailbox_key` of the texts of the table.
        ask: what is asked of the events.
        labels: as for `with_mailbox`.
    """
    columns = ["recipient", "given_mailbox", "given_key", *RECIPIENT_COLUMNS]
    # The key of an address that is written as its mailbox is, is that of the mailbox.
    derived = f"case when mailbox is not null then {say.key('mailbox')} end"
    found = f"coalesce(given_mailbox, {derived}, mailvet__b.mailbox_key, given_key)"
    keyed = (
        f"select {found} as mailbox_key, recipient, {', '.join(RECIPIENT_COLUMNS)} from "
        f"({with_mailbox(say, recipients, columns, labels=labels)}) mailvet__r "
        f"left join {boxes} mailvet__b on mailvet__b.email_key = mailvet__r.given_key"
    )
    return decided(keyed, say, ask)


def list_entry(entry: str) -> str:
    """What an entry of a list is compared with: an address by the key of its mailbox, a domain as it is."""
    local, at, domain = entry.rpartition("@")
    return key_of(mailbox_of(local, domain)) if at and local else entry


def mailbox_key_sql(say: Dialect) -> str:
    """`mailbox_key` over the columns `email` and `domain` of verdicts of which `has_mailbox` holds."""
    folded = say.fold("email")
    local = f"substring({folded}, 1, {say.length(folded)} - {say.length(say.after_at(folded))} - 1)"
    return say.key(mailbox_sql(local, "domain", say))


def has_mailbox(say: Dialect) -> str:
    """The condition on verdicts that are of an address which is stored."""
    return f"domain is not null and email is not null and {say.position(literal('@'), 'email')} > 1"


def backfill_sql(say: Dialect, verdicts: str) -> str:
    """The statement that gives verdicts of an older version their `mailbox_key`, where the address is stored.

    Those without it get theirs when they are verified again.
    """
    return (
        f"update {verdicts} set mailbox_key = {mailbox_key_sql(say)} where mailbox_key is null and {has_mailbox(say)}"
    )


def missing_verdicts(say: Dialect) -> str:
    """The condition on verdicts that an older version gave to cells without an address."""
    said_so = f"{say.position(literal(_SAID_EMPTY), 'evidence')} > 0"
    return (
        f"reason = {literal(Reason.syntax_invalid)} and ((email is not null and {say.missing('email')}) "
        f"or (email is null and {said_so}))"
    )


_SAID_EMPTY = '"detail":"empty"'
