"""The syntax layer: whole columns of text -> local part, ASCII domain, or the code of what is wrong.

Four ways through, cheapest first; every cell ends exactly as `mailvet.syntax.parser.parse` would end it:

1. plain addresses (most of any table) by one regular expression;
2. plain text that is no address by expressions in the order of `parser.SYNTAX_ERRORS`, with the same repairs;
3. addresses whose domain only needs the judge (internationalised names): once per distinct domain;
4. everything else by `parse`, once per distinct text.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Final

import polars as pl

from mailvet.data.lists import placeholders
from mailvet.privacy import FORMULA_START
from mailvet.syntax import parser, repair
from mailvet.syntax.missing import WHITE_SPACE
from mailvet.syntax.octets import octets_after, octets_before
from mailvet.syntax.parser import Address

__all__ = ["SCHEMA", "examine"]

SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "local": pl.String,
    "domain": pl.String,
    "needs_smtputf8": pl.Boolean,
    "trimmed": pl.Boolean,
    "odd_dots": pl.Boolean,
    "syntax_error": pl.String,
    "cleaned": pl.String,
}

_PLAIN: Final = rf"^{parser.PLAIN_LOCAL}@{parser.PLAIN_DOMAIN}$"


def _any_but(names: Collection[str], alphabet: str, *, any_case: bool = False) -> str:
    """A pattern of every word of an alphabet but these names, letter by letter: there is no look-ahead to say so.

    Args:
        names: the words to leave out.
        alphabet: what stands between the brackets of a class.
        any_case: leave out the names in capitals as well.
    """
    letters = sorted({name[0] for name in names if name})
    classes = [f"{letter}{letter.upper()}" if any_case else letter for letter in letters]
    ways = [rf"[{alphabet}&&[^{''.join(classes)}]][{alphabet}]*" if letters else f"[{alphabet}]+"]
    for letter, either in zip(letters, classes, strict=True):
        rest = [name[1:] for name in names if name[:1] == letter]
        ways.append(f"[{either}](?:{_any_but(rest, alphabet, any_case=any_case)}){'' if '' in rest else '?'}")
    return "|".join(ways)


_LOWER_ATEXT: Final = parser.ATEXT.replace("A-Z", "")
_AS_IT_STANDS: Final = (
    # Of local parts with capitals none that the judge would lower-case, and of domains no reserved one.
    rf"^(?:[{_LOWER_ATEXT}]+|{_any_but(parser.CASELESS_NAMES, parser.ATEXT, any_case=True)})(?:\.[{parser.ATEXT}]+)*"
    rf"@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+(?:{_any_but(parser.SPECIAL_USE_ENDINGS, 'a-z')})$"
)
"""Plain addresses in which nothing has to be changed; a few of them are left to the way for the others."""
_SHORT: Final = 64
"""
Octets up to which nothing can be too long: not the local part (64), not a label (63), and not the whole (254), even
where a domain grows threefold because it is decoded from Punycode. Longer cells are rare and go to `parse`.
"""

# Letters outside ASCII that mean the same in every Unicode version since 5, never change under NFC, and are not marks;
# and the signs of Devanagari, which may stand anywhere but first. Other local parts are left to the judge.
_LETTERS: Final = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0391-\u03a1\u03a3-\u03c9\u0400-\u045f\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"
    "\u0905-\u0939\u0e01-\u0e30\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_SIGNS: Final = "\u093e-\u094c"
_INTERNATIONAL_LOCAL: Final = (
    rf"^[{parser.ATEXT}{_LETTERS}][{parser.ATEXT}{_LETTERS}{_SIGNS}]*"
    rf"(?:\.[{parser.ATEXT}{_LETTERS}{_SIGNS}]+)*$"
)


def examine(cells: pl.Series, *, allow_special_use: bool = False) -> pl.DataFrame:
    """Judge a column of cells.

    Args:
        cells: text of any shape, nulls allowed (they count as empty).
        allow_special_use: accept reserved names such as `.test` (RFC 6761), for a lab.

    Returns:
        A frame as long as `cells` and in its order: local (String, null when refused), domain (String, ASCII, null
        when refused), needs_smtputf8 (Boolean), trimmed (Boolean; false when refused), odd_dots (Boolean:
        accepted though the judge refuses its dots, see `parser.Address`), syntax_error (String, one of
        `parser.SYNTAX_ERRORS`, null when accepted), cleaned (String, a suggestion for a refused text, or null).
    """
    cell, at = pl.col("cell"), pl.col("at")
    frame = cells.cast(pl.String).fill_null("").alias("cell").to_frame()
    split = frame.with_columns(at=cell.str.find("@", literal=True)).select(
        plain=cell.str.contains(_AS_IT_STANDS) & (cell.str.len_bytes() <= _SHORT),
        # An ASCII @ is never inside a character.
        local=octets_before(cell, at),
        domain=octets_after(cell, at + 1),
    )
    others = _examine_others(frame.with_row_index("row").filter(~split["plain"]), allow_special_use).sort(
        "row"
    )  # polars below 1.34 scatters in order only
    answers = [split["local"].scatter(others["row"], others["local"])]
    answers.append(split["domain"].scatter(others["row"], others["domain"]))
    for name, kind in list(SCHEMA.items())[2:]:
        usual = pl.Series(name, [False if kind is pl.Boolean else None], dtype=kind).new_from_index(0, len(cells))
        unusual = others.filter(name) if kind is pl.Boolean else others.filter(pl.col(name).is_not_null())
        answers.append(usual.scatter(unusual["row"], unusual[name]))
    return _without_placeholders(pl.DataFrame(answers))


def _without_placeholders(answers: pl.DataFrame) -> pl.DataFrame:
    """The same, with addresses that stand for a missing one refused."""
    refused = _placeholder_rows(answers)
    if not len(refused):
        return answers
    instead = {name: False for name, kind in SCHEMA.items() if kind is pl.Boolean} | {"syntax_error": "placeholder"}
    return answers.with_columns(
        answers[name].scatter(refused, pl.Series([instead.get(name)], dtype=kind).new_from_index(0, len(refused)))
        for name, kind in SCHEMA.items()
    )


def _placeholder_rows(addresses: pl.DataFrame) -> pl.Series:
    """The rows whose local and domain stand for a missing address."""
    likely = addresses["local"].is_in(_placeholder_locals()).fill_null(False).arg_true()
    pairs = zip(addresses["local"].gather(likely), addresses["domain"].gather(likely), strict=True)
    return likely.filter(pl.Series([parser.is_placeholder_address(*pair) for pair in pairs], dtype=pl.Boolean))


@cache
def _placeholder_locals() -> pl.Series:
    return pl.Series([sorted(parser.placeholder_locals())], dtype=pl.List(pl.String))


def _examine_others(cells: pl.DataFrame, allow_special_use: bool) -> pl.DataFrame:
    """Rows of row, cell that are not plain addresses as they stand -> row and the columns of SCHEMA, in any order."""
    text = pl.col("text")
    at = text.str.find("@", literal=True)
    parts = (
        cells.with_columns(text=pl.col("cell").str.strip_chars(WHITE_SPACE))
        .with_columns(
            accepted=_is_plain(text),
            local=octets_before(text, at),
            domain=octets_after(text, at + 1),
        )
        .with_columns(trimmed=text != pl.col("cell"))
    )
    accepted = parts.filter("accepted").select(
        "row",
        local=_lower_caseless("local"),
        domain=pl.col("domain").str.to_lowercase(),
        needs_smtputf8=pl.lit(False),
        trimmed="trimmed",
        odd_dots=pl.lit(False),
        syntax_error=pl.lit(None, pl.String),
        cleaned=pl.lit(None, pl.String),
    )
    answers = [accepted]
    rest = parts.filter(~pl.col("accepted"))
    is_odd = (
        (text.str.len_bytes() > _SHORT)
        | text.str.contains("--", literal=True)
        | ~text.str.contains(r"^[ -~]*$")
        | text.str.contains(f"^{parser.odd_dots_pattern()}$")
        | text.str.contains(repair.NEEDS_PLAIN_LINE)
    )
    if allow_special_use:
        is_odd |= text.str.contains(parser.SPECIAL_USE.replace(r"\.", r"[.@]"))
    if rest.height:
        odd = rest.select(is_odd).to_series()
        if not odd.all():
            answers.append(_refuse(rest.filter(~odd)))
        rest = rest.filter(odd)
    if rest.height:
        by_domain = _judge_domains(rest, allow_special_use)
        by_text = _parse_each(rest.join(by_domain, on="row", how="anti"), allow_special_use)
        answers += [by_domain, by_text]
    return pl.concat(answers)


def _is_plain(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_PLAIN) & (text.str.len_bytes() <= _SHORT) & ~text.str.contains(parser.SPECIAL_USE)


def _lower_caseless(name: str) -> pl.Expr:
    local = pl.col(name)
    lower = local.str.to_lowercase()
    return pl.when(lower.is_in(parser.CASELESS_NAMES)).then(lower).otherwise(local)


def _refuse(refused: pl.DataFrame) -> pl.DataFrame:
    """The code and the suggestion for short texts of printable ASCII that are no address: `parser._explain`."""
    text, local, domain = pl.col("text"), pl.col("local"), pl.col("domain")
    without_at = refused.filter(local.is_null()).select(
        "row",
        "text",
        syntax_error=pl.when(text == "")
        .then(pl.lit("empty"))
        .when(text.str.to_lowercase().is_in(sorted(placeholders())) | ~text.str.contains(r"[A-Za-z0-9]"))
        .then(pl.lit("placeholder"))
        .otherwise(pl.lit("missing_at")),
    )
    same_word = text.str.contains(r"^[A-Za-z0-9]+@[A-Za-z0-9]+$") & (
        local.str.to_lowercase() == domain.str.to_lowercase()
    )
    with_at = refused.filter(local.is_not_null()).select(
        "row",
        "text",
        syntax_error=pl.when(same_word)
        .then(pl.lit("placeholder"))
        .when(text.str.contains(parser.SEVERAL))
        .then(pl.lit("several_addresses"))
        .when(domain.str.contains("@", literal=True))
        .then(pl.lit("multiple_at"))
        .when(local == "")
        .then(pl.lit("local_empty"))
        .when(domain == "")
        .then(pl.lit("domain_empty"))
        .when(local.str.contains(rf"[^.{parser.ATEXT}]"))
        .then(pl.lit("local_char"))
        .when(local.str.contains(r"^\.|\.\.|\.$"))
        .then(pl.lit("local_dot"))
        .when(domain.str.contains(r"^\[.*\]$"))
        .then(pl.lit("domain_literal"))
        .when(~domain.str.contains(f"^{parser.HOST_NAME}$"))
        .then(pl.lit("domain_label"))
        .otherwise(pl.lit("domain_no_tld")),
    )
    coded = pl.concat([without_at, with_at])
    hopeful = ~pl.col("syntax_error").is_in(["empty", "placeholder", "missing_at"]) | (
        (pl.col("syntax_error") == "missing_at") & text.str.contains(repair.MISSING_AT)
    )
    return coded.join(_offer(coded.filter(hopeful)), on="row", how="left").select(
        "row",
        local=pl.lit(None, pl.String),
        domain=pl.lit(None, pl.String),
        needs_smtputf8=pl.lit(False),
        trimmed=pl.lit(False),
        odd_dots=pl.lit(False),
        syntax_error="syntax_error",
        cleaned="cleaned",
    )


def _offer(lines: pl.DataFrame) -> pl.DataFrame:
    """Rows of row, text, syntax_error -> row, cleaned for those where an acceptable address was meant."""
    text, one = pl.col("text"), pl.col("cleaned")
    several = lines["syntax_error"] == "several_addresses"
    tokens = lines.filter(several).select("row", text.str.extract_all(parser.TOKEN)).explode("text")
    pieces = pl.concat([lines.filter(~several).select("row", "text", several=False), tokens.with_columns(several=True)])
    repaired = _repair(pieces)
    # Of several addresses in a cell one is offered only if all are the same one; an unreadable one is one more.
    same = (
        repaired.filter("several").group_by("row").agg(pl.when(one.str.to_lowercase().n_unique() == 1).then(one.max()))
    )
    return pl.concat([repaired.filter(~pl.col("several")).select("row", "cleaned"), same]).drop_nulls()


def _repair(lines: pl.DataFrame) -> pl.DataFrame:
    """Rows of row, several, text -> the same of row, several, cleaned (null where nothing acceptable comes out)."""
    repaired = lines["text"].clone()
    anywhere = pl.int_range(lines.height, dtype=pl.UInt32, eager=True)
    unusual = (~repaired.str.contains(r"^[A-Za-z0-9@._\-]*$")).arg_true()
    for one in repair.REPAIRS:
        pattern, replacement, marks = one
        rows = anywhere if one in repair.REPAIRS_OF_PLAIN else unusual
        if marks:
            those = repaired.gather(rows).to_frame("text")
            marked = pl.any_horizontal(pl.col("text").str.contains(mark, literal=True) for mark in marks)
            rows = rows.filter(those.select(marked).to_series())
        if len(rows):
            repaired.scatter(rows, repaired.gather(rows).str.replace_all(pattern, replacement))
    text, at = pl.col("text"), pl.col("text").str.find("@", literal=True)
    plain = text.str.contains(_PLAIN) & ~text.str.contains(parser.SPECIAL_USE)
    accepted = plain & ~text.str.head(1).is_in(list(FORMULA_START))
    # Where there is another @, nothing acceptable comes out whichever of them the text is cut at.
    split = lines.select("row", "several", text=repaired).with_columns(
        local=octets_before(text, at), domain=octets_after(text, at + 1).str.to_lowercase()
    )
    whole = {name: found for name in split["domain"].unique() if name and (found := parser.complete(name))}
    split = split.with_columns(pl.col("domain").replace(whole))
    cleaned = split.select(cleaned=pl.concat_str(_lower_caseless("local"), pl.lit("@"), "domain")).to_series()
    cleaned = cleaned.scatter(_placeholder_rows(split), None)
    return split.select("row", "several", text=cleaned).select("row", "several", cleaned=pl.when(accepted).then(text))


def _judge_domains(odd: pl.DataFrame, allow_special_use: bool) -> pl.DataFrame:
    """Of the cells that need the judge: those whose local part is beyond doubt and whose domain it accepts."""
    text, local, domain = pl.col("text"), pl.col("local"), pl.col("domain")
    candidates = odd.with_columns(plain_local=local.str.contains(f"^{parser.PLAIN_LOCAL}$")).filter(
        (text.str.len_bytes() <= _SHORT)
        & ~domain.str.contains("@", literal=True)
        & (pl.col("plain_local") | local.str.contains(_INTERNATIONAL_LOCAL))
        # A combining mark after the @ would belong to it.
        & domain.str.contains(rf"^[A-Za-z0-9{_LETTERS}]")
    )
    names = candidates.select(domain.unique()).with_columns(
        plain=_is_plain(pl.concat_str(pl.lit("a@"), domain)), encoded=domain.str.to_lowercase()
    )
    judged = names.filter(~pl.col("plain"))["domain"].to_list()
    encoded = [parser.ascii_domain(name, allow_special_use=allow_special_use) for name in judged]
    by_judge = pl.DataFrame({"domain": judged, "encoded": encoded}, schema={"domain": pl.String, "encoded": pl.String})
    known = pl.concat([names.filter("plain").select("domain", "encoded"), by_judge.drop_nulls()])
    return candidates.join(known, on="domain", how="inner").select(
        "row",
        local=_lower_caseless("local"),
        domain="encoded",
        needs_smtputf8=~pl.col("plain_local"),
        trimmed="trimmed",
        odd_dots=pl.lit(False),
        syntax_error=pl.lit(None, pl.String),
        cleaned=pl.lit(None, pl.String),
    )


def _parse_each(odd: pl.DataFrame, allow_special_use: bool) -> pl.DataFrame:
    answers: list[tuple[str | bool | None, ...]] = []
    for cell in odd["cell"].unique():
        found = parser.parse(cell, allow_special_use=allow_special_use)
        if isinstance(found, Address):
            about = (found.local, found.domain, found.needs_smtputf8, found.trimmed, found.odd_dots)
            answers.append((cell, *about, None, None))
        else:
            answers.append((cell, None, None, False, False, False, found.code, found.suggestion))
    known = pl.DataFrame(answers, schema={"cell": pl.String, **SCHEMA}, orient="row")
    return odd.select("row", "cell").join(known, on="cell", how="left").drop("cell")
