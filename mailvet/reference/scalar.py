"""The look-up of `mailvet.reference.columns` for one address, without tables and from the same bits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from mailvet.reference.listed import (
    DISPOSABLE,
    DISPOSABLE_UNLESS,
    FREE,
    ON_OWN_LIST,
    OWN_LISTS,
    PROVIDER,
    RELAY,
    TYPO_OF,
    bits_of,
    meant_domains,
)
from mailvet.reference.own_lists import OwnList, OwnLists, by_mailbox
from mailvet.reference.providers import is_likely_local_part
from mailvet.reference.roles import is_role_at, no_reply_patterns, weak_role_names

__all__ = ["LookedUp", "look_up"]

_ON_NO_LIST: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the lists say of one address."""

    base: str
    """The local part in lower case and before any +tag."""
    flags: frozenset[str]
    """Names of the columns of `mailvet.reference.columns.Reference.examine` that are true, but for `suppressed`."""
    suppressed: bool
    suppressed_as: str | None
    """The address on the list, where it is another spelling of the mailbox."""
    typo_of: str | None
    """The provider's domain, where this one is a well-known misspelling of it."""


def look_up(local: str, domain: str, mailbox: str, own: OwnLists) -> LookedUp:
    """Look one address up that passed the syntax layer.

    Args:
        local: before the @, in any case.
        domain: in A-labels and lower case.
        mailbox: the one spelling for all addresses of the mailbox (`mailvet.syntax.mailbox_key.mailbox_of`).
        own: the user's own lists.
    """
    lower = local.lower()
    plus = lower.find("+")
    base = lower[:plus] if plus > 0 else lower
    bits = bits_of(domain, own)
    on = frozenset(name for name in OWN_LISTS if _is_on(name, own, mailbox, bits)) if own else _ON_NO_LIST
    allowed = "allow" in on and "suppress" not in on
    suppressed = "suppress" in on or ("deny" in on and "allow" not in on)
    provider = bool(bits & PROVIDER)
    held = {
        "free": bool(bits & FREE),
        "role": not allowed and is_role_at(base, domain, provider=provider),
        "maybe_role": not allowed and not provider and base in weak_role_names(),
        "disposable": not allowed and (bits & DISPOSABLE_UNLESS == DISPOSABLE or "extra_disposable" in on),
        "own_trap": "traps" in on and "allow" not in on,
        "relay_alias": bool(bits & RELAY),
        "tagged": plus > 0,
        "no_reply": not allowed and _is_no_reply(base),
        "allowed": allowed,
        "local_part_unlikely": not is_likely_local_part(base, domain),
    }
    typo = bits >> TYPO_OF
    return LookedUp(
        base=base,
        flags=frozenset(name for name, holds in held.items() if holds),
        suppressed=suppressed,
        suppressed_as=_other_spelling(own, f"{lower}@{domain}", mailbox) if suppressed else None,
        typo_of=meant_domains()[typo - 1] if typo and not allowed else None,
    )


def _is_on(name: str, own: OwnLists, mailbox: str, bits: int) -> bool:
    entries: OwnList = getattr(own, name)
    return bool(bits & ON_OWN_LIST[name]) or (bool(entries.addresses) and mailbox in by_mailbox(entries.addresses))


def _other_spelling(own: OwnLists, text: str, mailbox: str) -> str | None:
    """The address on a list of the user's by which this one is suppressed, if it is written otherwise."""
    if text in own.deny.addresses or text in own.suppress.addresses:
        return None
    return {**by_mailbox(own.deny.addresses), **by_mailbox(own.suppress.addresses)}.get(mailbox)


def _is_no_reply(base: str) -> bool:
    pattern = _no_reply(base[:1])
    return pattern is not None and pattern.search(base) is not None


@cache
def _no_reply(first: str) -> re.Pattern[str] | None:
    """The pattern of the names that begin with a letter: to compile all takes longer than a first verdict."""
    return re.compile(f"^(?:{'|'.join(found)})$") if (found := _no_reply_by_first().get(first)) else None


@cache
def _no_reply_by_first() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pattern in no_reply_patterns():
        found.setdefault(pattern[0], []).append(pattern)  # a letter: the first sign of a name stands for itself
    return found
