"""What a mistyped address was meant to be, and whether its ending exists: whole columns, on distinct domains.

Every row gets what `mailvet.reference.typos.addresses.suggest` says of its cell. Nothing here uses the network: a
domain whose ending does not exist is only flagged, since `domain_not_found` comes from the DNS alone.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mailvet.reference.typos.addresses import MAY_NEED_CLEANING, suggest_for, suggest_repaired
from mailvet.reference.typos.domains import has_unknown_tld, suggest_domains

__all__ = ["SCHEMA", "examine"]

SCHEMA: Final[dict[str, type[pl.DataType]]] = {"suggestion": pl.String, "unknown_tld": pl.Boolean}


def examine(
    parsed: pl.DataFrame, allowed: pl.Series, known: pl.Series | None = None, *, allow_special_use: bool = False
) -> pl.DataFrame:
    """What each address was meant to be, and why.

    Args:
        parsed: columns local, domain, needs_smtputf8 and cleaned, as the syntax layer gives them.
        allowed: rows on the user's allow list; their domain is right as it is.
        known: rows whose domain is one of `mailvet.reference.domains.mail_domains`, which are never corrected.
        allow_special_use: names of private networks have endings that exist.

    Returns:
        A frame as long as the arguments and in their order: suggestion (String or null), unknown_tld (Boolean; false
        where the syntax layer refused).
    """
    height = parsed.height
    suggestion = pl.Series("suggestion", [None], dtype=pl.String).new_from_index(0, height)
    unknown = pl.Series("unknown_tld", [False]).new_from_index(0, height)
    others = parsed["domain"] if known is None else parsed["domain"].filter(~known)
    names = others.unique().drop_nulls()
    endings = names.str.extract(r"([^.]+)$")
    missing = [last for last in endings.unique() if has_unknown_tld(last, allow_special_use=allow_special_use)]
    if missing:
        without = names.filter(endings.is_in(missing))
        unknown.scatter(parsed["domain"].is_in(without.implode()).fill_null(False).arg_true(), True)
    domains = names.to_list()
    mended = [name for name, meant in zip(domains, suggest_domains(domains), strict=True) if meant is not None]
    rows = _may_need_cleaning(parsed)
    if mended:
        rows |= parsed["domain"].is_in(mended)
    rows = (rows & ~allowed).fill_null(False).arg_true()
    pairs = zip(parsed["local"].gather(rows), parsed["domain"].gather(rows), strict=True)
    suggestion.scatter(rows, pl.Series([suggest_for(local, domain) for local, domain in pairs], dtype=pl.String))
    repaired = parsed["cleaned"].is_not_null().arg_true()
    if len(repaired):
        suggestion.scatter(repaired, _of_refused(parsed["cleaned"].gather(repaired)))
    return pl.DataFrame([suggestion, unknown])


def _may_need_cleaning(parsed: pl.DataFrame) -> pl.Series:
    """Rows with a local part that `MAY_NEED_CLEANING` finds, and few others: comparing is faster than matching."""
    local = parsed["local"]
    marks = (local < "0") | (local >= "{") | local.str.starts_with("`") | local.str.starts_with("u003")
    return marks | parsed["needs_smtputf8"]


def _of_refused(cleaned: pl.Series) -> pl.Series:
    """The same as `suggest_repaired` for each; most come through as they are, and only the others are worked on."""
    split = cleaned.to_frame("text").select("text", domain=pl.col("text").str.extract(r"@([^@]*)$"))
    domains = split["domain"].unique().to_list()
    right = [
        domain
        for domain, meant in zip(domains, suggest_domains(domains), strict=True)
        if meant is None and not has_unknown_tld(domain)
    ]
    others = (~split["domain"].is_in(right) | cleaned.str.contains(MAY_NEED_CLEANING)).arg_true()
    found = {text: suggest_repaired(text) for text in cleaned.gather(others).unique()}
    better = pl.Series([found[text] for text in cleaned.gather(others)], dtype=pl.String)
    return cleaned.clone().scatter(others, better)
