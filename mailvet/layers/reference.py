"""
The reference layer: what lists know about an address without asking anybody.

Everything that depends on the domain alone is looked up once per distinct domain and kept between calls; the rest is a
handful of expressions over whole columns.
"""

from __future__ import annotations

from collections.abc import Collection
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
DOT_BLIND: Final = ("gmail.com", "googlemail.com")
"""Domains whose operator ignores dots in local parts (support.google.com/mail/answer/7436150)."""
SAME_DOMAIN: Final = {"googlemail.com": "gmail.com"}
"""Domains that are two names of the same mailboxes (support.google.com/mail/answer/10313)."""
_CACHED_DOMAINS: Final = 2_000_000


class Reference:
    """Looks addresses up in the reference data and in the user's own lists."""

    def __init__(self, own: OwnLists | None = None) -> None:
        self._own = own or OwnLists()
        self._domains = _look_up(pl.Series("domain", [], dtype=pl.String), self._own)

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
            - mailbox_key (String): lower-case local part without its +tag, dots dropped where the operator ignores
              them, and the domain; equal for addresses that reach the same mailbox. Null where the address is.
            - suggestion (String or null): the address at `typo_of`.
        """
        rows = self._looked_up(frame)
        without_dots = pl.col("base").str.replace_all(".", "", literal=True)
        mailbox = _replaced("base", rows, rows["dot_blind"].fill_null(False), without_dots)
        return rows.with_columns(mailbox=mailbox).select(
            *_FLAGS,
            "typo_of",
            mailbox_key=pl.concat_str("mailbox", pl.lit("@"), "mailbox_domain"),
            suggestion=_suggestion(rows),
        )

    def evidence(self, frame: pl.DataFrame) -> pl.DataFrame:
        """
        What a verdict needs: the columns of `examine` without `mailbox_key`, and with `base`, the local part in lower
        case and before any +tag.
        """
        rows = self._looked_up(frame)
        return rows.select(*_FLAGS, "typo_of", "base", suggestion=_suggestion(rows))

    def look_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What the lists say and nothing more: the columns of `examine` without `mailbox_key` and `suggestion`."""
        return self._looked_up(frame).select(*_FLAGS, "typo_of")

    def _looked_up(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows with all that the lists know of them, and what it was derived from."""
        rows = self._with_domains(frame.select("local", "domain")).with_columns(
            lower=pl.col("local").str.to_lowercase()
        )
        # A plus at the very start is no tag.
        plus = rows["lower"].str.find("+", literal=True)
        tagged = (plus > 0).fill_null(False)
        untagged = pl.col("lower").cast(pl.Binary).bin.head(pl.col("plus")).cast(pl.String)
        base = _replaced("lower", rows.with_columns(plus=plus), tagged, untagged)
        rows = rows.with_columns(
            base=base,
            tagged=tagged,
            own_allow=self._matches("allow"),
            own_deny=self._matches("deny"),
            own_suppress=self._matches("suppress"),
            own_disposable=self._matches("extra_disposable"),
        ).with_columns(allowed=pl.col("own_allow") & ~pl.col("own_suppress"))
        known, allowed = pl.col("base"), pl.col("allowed")
        return rows.with_columns(
            free=pl.col("free").fill_null(False),
            role=(known.is_in(_roles()) & ~allowed).fill_null(False),
            disposable=((pl.col("disposable") | pl.col("own_disposable")) & ~allowed).fill_null(False),
            relay_alias=pl.col("relay_alias").fill_null(False),
            local_part_unlikely=_unlikely(rows),
            no_reply=known.str.contains(lists.no_reply_pattern()).fill_null(False),
            suppressed=pl.col("own_suppress") | (pl.col("own_deny") & ~pl.col("own_allow")),
            typo_of=pl.when(~allowed).then("typo_of"),
        )

    def _with_domains(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with everything that depends on their domain; domains not met before are looked up."""
        joined = rows.join(self._domains, on="domain", how="left", maintain_order="left")
        fresh = joined.filter(pl.col("free").is_null())["domain"].unique().drop_nulls()
        if fresh.is_empty():
            return joined
        if self._domains.height > _CACHED_DOMAINS:
            self._domains, fresh = self._domains.clear(), rows["domain"].unique().drop_nulls()
        self._domains = pl.concat([self._domains, _look_up(fresh, self._own)], rechunk=True)
        return rows.join(self._domains, on="domain", how="left", maintain_order="left")

    def _matches(self, name: str) -> pl.Expr:
        """Whether a row is on one of the user's lists, by its address or its domain."""
        own: OwnList = getattr(self._own, name)
        if not own:
            return pl.lit(False)
        by_domain = pl.col(f"{name}_domain").fill_null(False)
        if not own.addresses:
            return by_domain
        text = pl.concat_str("lower", pl.lit("@"), "domain")
        return by_domain | text.is_in(sorted(own.addresses)).fill_null(False)


def _replaced(column: str, rows: pl.DataFrame, where: pl.Series, by: pl.Expr) -> pl.Series:
    """A column with the value of `by` where told to; `by` is worked out for those rows only."""
    return _replaced_in(rows[column], rows, where, by)


def _replaced_in(values: pl.Series, rows: pl.DataFrame, where: pl.Series, by: pl.Expr) -> pl.Series:
    part = rows.filter(where)
    if part.is_empty():
        return values
    place = where.alias("where").to_frame().select(pl.when("where").then(pl.col("where").cum_sum() - 1)).to_series()
    return values.zip_with(~where, part.select(by).to_series()[place])


def _suggestion(rows: pl.DataFrame) -> pl.Series:
    """The address at `typo_of`, unless a spreadsheet would take it for a formula."""
    harmless = ~pl.col("local").str.slice(0, 1).is_in(list(FORMULA_START))
    meant = pl.when(harmless).then(pl.concat_str("local", pl.lit("@"), "typo_of"))
    return _replaced("typo_of", rows, rows["typo_of"].is_not_null(), meant)


def _unlikely(rows: pl.DataFrame) -> pl.Series:
    """Whether `base` has not the shape that the operator of `domain` gives out; each shape is tried on its own rows."""
    unlikely = pl.Series([False]).new_from_index(0, rows.height)
    for number, shape in enumerate(local_parts()):
        here = (rows["shape"] == number).fill_null(False)
        fits = pl.col("base").str.contains(f"^(?:{shape.shape})$")
        unlikely = _replaced_in(unlikely, rows, here, ~fits)
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
            "domain": domains,
            "free": domains.is_in(_free()),
            "disposable": _under(levels, _disposable()) & ~relay & ~domains.is_in(_kept_from_disposable()),
            "relay_alias": relay,
            "typo_of": domains.replace_strict(typos, default=None, return_dtype=pl.String),
            "mailbox_domain": domains.replace(SAME_DOMAIN),
            "dot_blind": domains.is_in(DOT_BLIND),
            "shape": domains.replace_strict(_shapes(), default=None, return_dtype=pl.Int8),
            **{
                f"{name}_domain": _under(levels, _column(entries.domains)) | domains.is_in(sorted(entries.only_domains))
                if entries
                else pl.repeat(False, len(domains), eager=True)
                for name in ("allow", "deny", "suppress", "extra_disposable")
                for entries in [getattr(own, name)]
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
