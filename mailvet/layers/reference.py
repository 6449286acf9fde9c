"""
The reference layer: what lists know about an address without asking anybody.

Everything that depends on the domain alone is looked up once per distinct domain of a batch, which is quicker than to
look for it among the domains of earlier batches; the rest is a handful of expressions over whole columns.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import polars as pl

from mailvet import lists
from mailvet.address import FORMULA_START
from mailvet.lists import OwnList, OwnLists
from mailvet.operators import local_parts

__all__ = ["DOT_BLIND", "SAME_DOMAIN", "SCHEMA", "Reference"]

SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "free": pl.Boolean,
    "role": pl.Boolean,
    "disposable": pl.Boolean,
    "relay_alias": pl.Boolean,
    "tagged": pl.Boolean,
    "no_reply": pl.Boolean,
    "local_part_unlikely": pl.Boolean,
    "allowed": pl.Boolean,
    "suppressed": pl.Boolean,
    "typo_of": pl.String,
    "mailbox_key": pl.String,
    "suggestion": pl.String,
}

_FLAGS: Final = (
    "free", "role", "disposable", "relay_alias", "tagged", "no_reply", "local_part_unlikely", "allowed", "suppressed",
)  # fmt: skip
_OWN: Final = ("allow", "deny", "suppress", "extra_disposable")
DOT_BLIND: Final = ("gmail.com", "googlemail.com")
"""Domains whose operator ignores dots in local parts (support.google.com/mail/answer/7436150)."""
SAME_DOMAIN: Final = {"googlemail.com": "gmail.com"}
"""Domains that are two names of the same mailboxes (support.google.com/mail/answer/10313)."""
_NOT_ITS_BASE: Final = r"[A-Z+]|[^\x00-\x7f]"
"""Finds the local parts that may change when capitals and the tag go."""


class Reference:
    """Looks addresses up in the reference data and in the user's own lists."""

    def __init__(self, own: OwnLists | None = None) -> None:
        self._own = own or OwnLists()

    def examine(self, frame: pl.DataFrame) -> pl.DataFrame:
        """
        Look up addresses that passed the syntax layer.

        Args:
            frame: columns local and domain (String; null where the syntax layer refused), any others are ignored.

        Returns:
            A frame as long as the argument and in its order:

            - free, role, disposable, relay_alias, no_reply (Boolean): what the public lists say; an allowed address is
              never called role or disposable.
            - tagged (Boolean): has a +tag.
            - local_part_unlikely (Boolean): the operator does not give such local parts out, at least not today.
            - allowed (Boolean): on the allow list and not suppressed.
            - suppressed (Boolean): on the suppress list, or on the deny list and not allowed.
            - typo_of (String or null): the provider's domain, where this one is a well-known misspelling of it.
            - mailbox_key (String): the local part in lower case and without its +tag, its dots dropped where the
              operator ignores them, and the domain; equal for addresses that reach the same mailbox. Null where the
              address is.
            - suggestion (String or null): the address at `typo_of`.
        """
        rows = self._looked_up(frame)
        without_dots = pl.col("value").str.replace_all(".", "", literal=True)
        mailbox = _replaced(rows["base"], rows["dot_blind"], without_dots)
        return rows.select(
            *_FLAGS,
            "typo_of",
            mailbox_key=pl.concat_str(mailbox, pl.lit("@"), "mailbox_domain"),
            suggestion=_suggestion(rows["typo_of"], frame["local"]),
        )

    def evidence(self, frame: pl.DataFrame) -> pl.DataFrame:
        """
        What a verdict needs: the columns of `examine` without `mailbox_key`, and with `base`, the local part in lower
        case and before any +tag.
        """
        rows = self._looked_up(frame)
        return rows.select(*_FLAGS, "typo_of", "base", suggestion=_suggestion(rows["typo_of"], frame["local"]))

    def look_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the lists say and nothing more: the flags of `examine` and `typo_of`."""
        return self._looked_up(frame).select(*_FLAGS, "typo_of")

    def _looked_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """By row all that the lists know, and what it was derived from: base, mailbox_domain, dot_blind."""
        # What depends on the domain and what on the local part is worked out side by side: the libraries beneath let go
        # of the interpreter.
        with ThreadPoolExecutor(1, thread_name_prefix="mailvet-lists") as beside:
            domains = beside.submit(self._by_domain, frame["domain"])
            local, value = frame["local"], pl.col("value")
            # Most local parts are lower-case and without a tag as they stand; only the others are worked on.
            other = local.str.contains(_NOT_ITS_BASE).fill_null(False)
            lower = _replaced(local, other, value.str.to_lowercase())
            plus = value.str.find("+", literal=True)
            tagged = _replaced(_nowhere(len(local)), other, (plus > 0).fill_null(False), value=lower)  # first is no tag
            base = _replaced(lower, tagged, value.cast(pl.Binary).bin.head(plus).cast(pl.String))
            names = (
                base.alias("base")
                .to_frame()
                .select(
                    "base",
                    role=pl.col("base").is_in(_roles()),
                    no_reply=pl.col("base").str.contains(lists.no_reply_pattern()).fill_null(False),
                )
            )
            by_domain = domains.result()
        matches = {name: self._matches(name, lower, frame["domain"], by_domain) for name in _OWN}
        allowed = matches["allow"] & ~matches["suppress"]
        return pl.concat([by_domain, names], how="horizontal").select(
            pl.col("free", "relay_alias", "dot_blind").fill_null(False),
            role=(pl.col("role") & ~allowed).fill_null(False),
            no_reply="no_reply",
            disposable=((pl.col("disposable") | matches["extra_disposable"]) & ~allowed).fill_null(False),
            tagged=tagged,
            local_part_unlikely=_unlikely(base, by_domain["shape"]),
            allowed=allowed,
            suppressed=matches["suppress"] | (matches["deny"] & ~matches["allow"]),
            typo_of=pl.when(~allowed).then("typo_of"),
            mailbox_domain="mailbox_domain",
            base="base",
        )

    def _by_domain(self, domains: pl.Series) -> pl.DataFrame:
        """By row everything that depends on its domain, null where that is."""
        # Numbers for names: the names are compared once, and what is known of them is fetched by number.
        coded = domains.to_arrow().dictionary_encode()
        distinct = pl.Series("domain", coded.dictionary, dtype=pl.String)
        return _look_up(distinct, self._own)[pl.Series(coded.indices).cast(pl.UInt32)]

    def _matches(self, name: str, lower: pl.Series, domain: pl.Series, by_domain: pl.DataFrame) -> pl.Series:
        """Whether a row is on one of the user's lists, by its address or its domain."""
        own: OwnList = getattr(self._own, name)
        if not own:
            return _nowhere(len(lower))
        found = by_domain[f"{name}_domain"].fill_null(False)
        if not own.addresses:
            return found
        text = pl.select(pl.concat_str(lower, pl.lit("@"), domain)).to_series()
        return found | text.is_in(sorted(own.addresses)).fill_null(False)


def _nowhere(rows: int) -> pl.Series:
    return pl.Series([False]).new_from_index(0, rows)


def _replaced(values: pl.Series, where: pl.Series, by: pl.Expr, **given: pl.Series) -> pl.Series:
    """
    A column with the result of `by` where told to; `by` is worked out for those rows only, from their `value` and what
    else is given by name.
    """
    if not where.any():
        return values
    part = pl.DataFrame({"value": values} | given).filter(where).select(by).to_series()
    place = where.alias("where").to_frame().select(pl.when("where").then(pl.col("where").cum_sum() - 1)).to_series()
    return values.zip_with(~where, part[place])


def _suggestion(typo_of: pl.Series, local: pl.Series) -> pl.Series:
    """The address at `typo_of`, unless a spreadsheet would take it for a formula."""
    harmless = ~pl.col("local").str.slice(0, 1).is_in(list(FORMULA_START))
    meant = pl.when(harmless).then(pl.concat_str("local", pl.lit("@"), "value"))
    return _replaced(typo_of, typo_of.is_not_null(), meant, local=local)


def _unlikely(base: pl.Series, shape: pl.Series) -> pl.Series:
    """Whether `base` has not the shape that the operator of its domain gives out; each is tried on its own rows."""
    unlikely = _nowhere(len(base))
    rows = pl.DataFrame({"base": base, "shape": shape}).with_row_index("row").filter(pl.col("shape").is_not_null())
    for (number,), those in rows.group_by("shape"):
        fits = those["base"].str.contains(f"^(?:{local_parts()[int(number)].shape})$")
        unlikely.scatter(those["row"].filter(~fits), True)
    return unlikely


def _column(names: Collection[str]) -> pl.Series:
    """Names in the form that a column is compared with; from a list it would be made anew for every batch."""
    return pl.Series([sorted(names)], dtype=pl.List(pl.String))


@cache
def _shapes() -> dict[str, int]:
    return {domain: number for number, row in enumerate(local_parts()) for domain in row.domains}


@cache
def _roles() -> pl.Series:
    return _column(lists.role_names())


@cache
def _free() -> pl.Series:
    return _column(lists.free_domains())


@cache
def _disposable() -> pl.Series:
    return _column(lists.disposable_domains())


@cache
def _relay() -> pl.Series:
    return _column(lists.relay_domains())


@cache
def _kept_from_disposable() -> pl.Series:
    """Domains of their own that happen to lie under a disposable one."""
    return _column(lists.mail_domains() - lists.disposable_domains())


def _look_up(domains: pl.Series, own: OwnLists) -> pl.DataFrame:
    """Distinct domains -> everything that depends on the domain alone, one row each."""
    levels = _levels(domains)
    relay = _under(levels, _relay())
    typos = lists.typo_domains()
    return pl.DataFrame(
        {
            "free": domains.is_in(_free()),
            "disposable": _under(levels, _disposable()) & ~relay & ~domains.is_in(_kept_from_disposable()),
            "relay_alias": relay,
            "typo_of": domains.replace_strict(typos, default=None, return_dtype=pl.String),
            "mailbox_domain": domains.replace(SAME_DOMAIN),
            "dot_blind": domains.is_in(DOT_BLIND),
            "shape": domains.replace_strict(_shapes(), default=None, return_dtype=pl.Int8),
            **{
                f"{name}_domain": _under(levels, _column(entries.domains)) | domains.is_in(sorted(entries.only_domains))
                for name in _OWN
                if (entries := getattr(own, name))
            },
        }
    )


def _levels(domains: pl.Series) -> list[pl.Series]:
    """The domains, what each lies under, what that lies under, and so on; null where there is nothing above."""
    levels = [domains]
    name = pl.col("name")
    while True:
        above = levels[-1].alias("name").to_frame().with_columns(dot=name.str.find(".", literal=True))
        if above["dot"].null_count() == len(domains):
            return levels
        # Octets are cut faster than characters. Behind the last dot of a name nothing is left.
        rest = name.cast(pl.Binary).bin.slice(pl.col("dot") + 1).cast(pl.String)
        levels.append(above.select(pl.when(pl.col("dot").is_not_null()).then(rest)).to_series())


def _under(levels: list[pl.Series], names: pl.Series) -> pl.Series:
    """Whether each domain or one it lies under is among the names."""
    found = levels[0].is_in(names)
    for level in levels[1:]:
        found = found | level.is_in(names).fill_null(False)
    return found
