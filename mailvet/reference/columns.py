"""The reference layer: what lists know about an address, without the network.

All names that any list holds are numbered once, with what the lists say of each in the bits of one number
(`mailvet.reference.listed`). So a column of domains is compared once, whatever is asked of it, and most columns of the
result are a bit of that.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

import polars as pl

from mailvet.data.operators import local_parts
from mailvet.reference import roles
from mailvet.reference.listed import (
    DISPOSABLE,
    DISPOSABLE_UNLESS,
    FREE,
    INHERITED,
    KNOWN,
    MAILBOX_RULES,
    ON_OWN_LIST,
    OWN_LISTS,
    PROVIDER,
    RELAY,
    SHAPE,
    TYPO_OF,
    from_above,
    listed_bits,
    meant_domains,
)
from mailvet.reference.own_lists import OwnList, OwnLists, by_mailbox
from mailvet.reference.updated_list import kept_digest
from mailvet.syntax.mailbox_key import mailbox_expression, mailbox_rules
from mailvet.syntax.octets import octets_after, octets_before

__all__ = ["SCHEMA", "Reference", "mailboxes"]

SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "free": pl.Boolean,
    "role": pl.Boolean,
    "disposable": pl.Boolean,
    "own_trap": pl.Boolean,
    "relay_alias": pl.Boolean,
    "tagged": pl.Boolean,
    "no_reply": pl.Boolean,
    "local_part_unlikely": pl.Boolean,
    "maybe_role": pl.Boolean,
    "allowed": pl.Boolean,
    "suppressed": pl.Boolean,
    "suppressed_as": pl.String,
    "typo_of": pl.String,
    "mailbox": pl.String,
}

_FLAGS: Final = tuple(name for name, kind in SCHEMA.items() if kind == pl.Boolean)
_NOT_ITS_BASE: Final = r"[A-Z+]|[^\x00-\x7f]"
"""Finds the local parts that may change when capitals and the tag go."""


class Reference:
    """Looks addresses up in the reference data and in the user's own lists."""

    def __init__(self, own: OwnLists | None = None) -> None:
        self._own = own or OwnLists()
        self._listed = _listed(self._own, kept_digest())

    def examine(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Look up addresses that passed the syntax layer.

        Args:
            frame: columns local and domain (String; null where the syntax layer refused), any others are ignored.

        Returns:
            A frame as long as the argument and in its order:

            - own_trap (Boolean): on the user's own list of traps, and not allowed;
            - free, role, disposable, relay_alias, no_reply (Boolean): what the public lists say; an allowed address is
              never called role, disposable or no_reply.
            - maybe_role (Boolean): a name such as mail@ that is a role at some domains and one person's at others.
            - tagged (Boolean): has a +tag.
            - local_part_unlikely (Boolean): the operator does not give such local parts out, at least not today.
            - allowed (Boolean): on the allow list and not suppressed.
            - suppressed (Boolean): on the suppress list, or on the deny list and not allowed.
            - suppressed_as (String or null): the address on that list, where it is another spelling of the mailbox.
            - typo_of (String or null): the provider's domain, where this one is a well-known misspelling of it.
            - mailbox (String): the one spelling that stands for all addresses of a mailbox
              (`mailvet.syntax.mailbox_key`). Null where the address is.
        """
        return self._looked_up(frame).select(*SCHEMA)

    def evidence(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What a verdict needs: the columns of `examine`.

        With `base`, the local part in lower case and before any +tag, and `known`, whether the domain is one of
        `mail_domains` that is not disposable.
        """
        rows = self._looked_up(frame)
        return rows.select(*SCHEMA, "base", known=_has(rows["listed"], KNOWN).fill_null(False))

    def look_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the lists say and nothing more: the flags of `examine` and `typo_of`."""
        return self._looked_up(frame).select(*_FLAGS, "typo_of")

    def _looked_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """By row all that the lists know, and what it was derived from: base, and the bits of `_Listed`."""
        local, domain, value = frame["local"], frame["domain"], pl.col("value")
        listed = self._listed.examine(domain)
        # Most local parts are lower-case and without a tag as they stand; only the others are worked on.
        other = local.str.contains(_NOT_ITS_BASE)
        lower = _replaced(local, other, value.str.to_lowercase())
        plus = value.str.find("+", literal=True)
        tagged = _replaced(
            _nowhere(len(local)), other, (plus > 0).fill_null(False), value=lower
        )  # at the start it is none
        base = _replaced(lower, tagged, octets_before(value, plus))
        text = pl.select(pl.concat_str(lower, pl.lit("@"), domain)).to_series()
        mailbox = _replaced(text, _has(listed, MAILBOX_RULES), _MAILBOX, local=lower, domain=domain)
        matches = {name: self._matches(name, mailbox, listed) for name in OWN_LISTS}
        allowed = matches["allow"] & ~matches["suppress"]
        suppressed = matches["suppress"] | (matches["deny"] & ~matches["allow"])
        typo_of = self._listed.typo_of(listed, where=~allowed)
        return pl.DataFrame(
            {
                "free": _has(listed, FREE),
                "role": _is_role(base, domain, listed) & ~allowed,
                "maybe_role": base.is_in(_weak_roles()).fill_null(False) & ~allowed & ~_has(listed, PROVIDER),
                "disposable": (_is_disposable(listed) | matches["extra_disposable"]) & ~allowed,
                "own_trap": matches["traps"] & ~matches["allow"],
                "relay_alias": _has(listed, RELAY),
                "tagged": tagged,
                "no_reply": base.str.contains(roles.no_reply_pattern()).fill_null(False) & ~allowed,
                "local_part_unlikely": _unlikely(base, listed),
                "allowed": allowed,
                "suppressed": suppressed,
                "suppressed_as": self._other_spelling(suppressed, text, mailbox),
                "typo_of": typo_of,
                "mailbox": mailbox,
                "base": base,
                "listed": listed,
            }
        )

    def _matches(self, name: str, mailbox: pl.Series, listed: pl.Series) -> pl.Series:
        """Whether a row is on one of the user's lists, by its mailbox or its domain."""
        own: OwnList = getattr(self._own, name)
        if not own:
            return _nowhere(len(mailbox))
        found = _has(listed, ON_OWN_LIST[name])
        if not own.addresses:
            return found
        return found | mailbox.is_in(sorted(by_mailbox(own.addresses))).fill_null(False)

    def _other_spelling(self, suppressed: pl.Series, text: pl.Series, mailbox: pl.Series) -> pl.Series:
        """The address on the list where a row is suppressed that is written otherwise."""
        entries = {**by_mailbox(self._own.deny.addresses), **by_mailbox(self._own.suppress.addresses)}
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
        if not entries:
            return nothing
        rows = suppressed.arg_true()
        found = mailbox.gather(rows).replace_strict(entries, default=None, return_dtype=pl.String)
        written = text.gather(rows)
        as_listed = written.is_in(sorted(self._own.deny.addresses | self._own.suppress.addresses))
        others = found.is_not_null() & ~as_listed
        return nothing.scatter(rows.filter(others), found.filter(others))


def mailboxes(frame: pl.DataFrame) -> pl.Series:
    """The column `mailbox` of `Reference.examine` alone.

    Args:
        frame: columns local, in lower case, and domain.
    """
    local, domain = frame["local"], frame["domain"]
    text = pl.select(pl.concat_str(local, pl.lit("@"), domain)).to_series()
    is_ruled = domain.is_in(sorted(mailbox_rules().domains)).fill_null(False)
    return _replaced(text, is_ruled, _MAILBOX, local=local, domain=domain)


_MAILBOX: Final = mailbox_expression(pl.col("local"), pl.col("domain"))


class _Listed:
    """Every domain that any list names, and what the lists say of it."""

    def __init__(self, own: OwnLists) -> None:
        said = listed_bits(own)
        names = sorted(said)
        self._names = pl.Enum(names)
        self._bits = pl.Series([said[name] | from_above(name, said) for name in names], dtype=pl.UInt64)
        self._fewest_dots = min(name.count(".") for name in names if said[name] & INHERITED)

    def examine(self, domains: pl.Series) -> pl.Series:
        """The bits of each domain (UInt64), 0 where no list has anything to say."""
        found = self._known(domains)
        # Of the names that are not listed themselves, those that can lie under one that is.
        below = domains.to_frame("name").with_row_index("row").filter(found.is_null())
        below = below.with_columns(dots=pl.col("name").str.count_matches(".", literal=True))
        found = found.fill_null(0)
        while (below := below.filter(pl.col("dots") > self._fewest_dots)).height:
            name = pl.col("name")
            rest = octets_after(name, name.str.find(".", literal=True) + 1)
            below = below.select("row", name=rest, dots=pl.col("dots") - 1)
            above = self._known(below["name"])
            there = above.is_not_null()
            found.scatter(below["row"].filter(there), above.filter(there) & INHERITED)
            below = below.filter(~there)
        return found

    def _known(self, domains: pl.Series) -> pl.Series:
        """The bits of the names that are listed themselves, null for others."""
        return self._bits.gather(domains.cast(self._names, strict=False).to_physical())

    @staticmethod
    def typo_of(listed: pl.Series, *, where: pl.Series) -> pl.Series:
        """The provider's domain of those that are a misspelling of it, null for others and where not told to."""
        rows = ((listed >= 1 << TYPO_OF) & where).arg_true()
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(listed))
        return nothing.scatter(rows, _meant().gather(listed.gather(rows) // (1 << TYPO_OF) - 1))


@lru_cache(maxsize=4)
def _listed(own: OwnLists, digest: str) -> _Listed:
    """The domains of the lists; `digest`: of the list of disposable domains, which may be updated."""
    del digest
    return _Listed(own)


def _has(listed: pl.Series, bits: int) -> pl.Series:
    """Whether any of the bits is set."""
    return (listed & bits) != 0


def _is_disposable(listed: pl.Series) -> pl.Series:
    return (listed & DISPOSABLE_UNLESS) == DISPOSABLE


def _nowhere(rows: int) -> pl.Series:
    return pl.Series([False]).new_from_index(0, rows)


def _replaced(values: pl.Series, where: pl.Series, by: pl.Expr, **given: pl.Series) -> pl.Series:
    """A column with the result of `by` where told to.

    `by` is worked out for those rows only, from their `value` and what else is given by name.
    """
    rows = where.arg_true()
    if not len(rows):
        return values
    part = pl.DataFrame({"value": values} | given)[rows].select(by).to_series()
    return values.clone().scatter(rows, part)


def _unlikely(base: pl.Series, listed: pl.Series) -> pl.Series:
    """Whether `base` has not the shape that the operator of its domain gives out."""
    rows = _has(listed, (1 << TYPO_OF) - (1 << SHAPE)).arg_true()
    place = listed.gather(rows) // (1 << SHAPE) % (1 << TYPO_OF - SHAPE)
    marked = pl.DataFrame({"mark": _marks().gather(place), "base": base.gather(rows)})
    fits = marked.select(pl.concat_str("mark", "base").str.contains(_shapes())).to_series()
    return _nowhere(len(base)).scatter(rows.filter(~fits), True)


@cache
def _marks() -> pl.Series:
    """A letter for each of `local_parts`, counted from 1; in front of a local part it says which shape is asked for."""
    return pl.Series([chr(ord("A") + place) for place in range(len(local_parts()) + 1)])


@cache
def _shapes() -> str:
    """All shapes in one pattern, which is read in one go: each behind its letter."""
    shapes = (f"{re.escape(mark)}(?:{row.shape})" for mark, row in zip(_marks()[1:], local_parts(), strict=True))
    return f"^(?:{'|'.join(shapes)})$"


@cache
def _meant() -> pl.Series:
    return pl.Series(meant_domains())


def _is_role(base: pl.Series, domain: pl.Series, listed: pl.Series) -> pl.Series:
    """The same as `roles.is_role` for each row; few names can be one, and only those are looked at closely."""
    rows = base.is_in(_roles()).fill_null(False).arg_true()
    found = pl.DataFrame(
        {
            "place": base.gather(rows).replace_strict(roles.role_places(), return_dtype=pl.String),
            "last": domain.gather(rows).str.extract(r"([^.]+)$"),
            "provider": _has(listed.gather(rows), PROVIDER),
        }
    ).select(
        (pl.col("place") == roles.EVERYWHERE)
        | (
            ~pl.col("provider")
            & (
                (pl.col("place") == roles.AT_COMPANIES)
                | pl.col("place").str.contains(pl.concat_str(pl.lit("|"), "last", pl.lit("|")), literal=True)
            )
        )
    )
    return _nowhere(len(base)).scatter(rows.filter(found.to_series().fill_null(False)), True)


@cache
def _roles() -> pl.Series:
    """Names in the form that a column is compared with; from a list it would be made anew for every batch."""
    return pl.Series([sorted(roles.role_names())], dtype=pl.List(pl.String))


@cache
def _weak_roles() -> pl.Series:
    return pl.Series([sorted(roles.weak_role_names())], dtype=pl.List(pl.String))
