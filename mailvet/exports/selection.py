"""Which rows of a source go to a tool, and why each of the others does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mailvet.errors import SettingsError, argument
from mailvet.exports.destinations import ListFormat
from mailvet.privacy import formula_sql
from mailvet.scoring.budget import Budget, Chosen, bounds_sql, chosen_of, upper_end_sql
from mailvet.vocabulary import Reason, Recommendation
from mailvet.warehouse.dialects import DuckDB, literal

if TYPE_CHECKING:
    from mailvet.exports.rows import StagedRows

__all__ = ["CAUSES", "address_sql", "choose", "keep_to", "left_out", "parse_among"]

CAUSES: Mapping[str, str] = {
    "missing": "the cell is empty",
    "unverified": "the address has no verdict",
    "not_recommended": "the recommendation is not among those asked for",
    "no_address": "the text is no address",
    "formula": "the address begins as a formula does",
    "non_ascii_local_part": "the tool takes no letters outside ASCII before the @",
    "suppressed_mailbox": "another spelling of the same mailbox is suppressed",
    "duplicate": "the same mailbox is in the list already",
    "over_budget": "the list would bounce more than the risk budget allows",
}
"""Why a row is left out. Where several hold, the first."""

_NEVER_AGAIN = (Reason.suppressed, Reason.hard_bounced)
"""Reasons that hold for a mailbox in all its spellings."""


def parse_among(among: Sequence[str] | str | None, kind: str) -> tuple[str, ...]:
    """The recommendations whose rows go into a list.

    Args:
        among: words, also in one text with commas; None for what the list is for.
        kind: `contacts` or `suppression`.

    Raises:
        SettingsError: a word is no recommendation, or `do_not_send` is asked for as contacts.
    """
    parts = among.split(",") if isinstance(among, str) else [part for text in among or () for part in text.split(",")]
    words = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not words:
        return (str(Recommendation.send if kind == "contacts" else Recommendation.do_not_send),)
    odd = [word for word in words if word not in Recommendation.__members__]
    if odd:
        raise SettingsError(f"{argument('among', odd[0])}: choose from {', '.join(map(str, Recommendation))}.")
    if kind == "contacts" and str(Recommendation.do_not_send) in words:
        raise SettingsError(
            f"{argument('among', 'do_not_send')}: such rows are no contacts to send to. Hand them over with "
            f"{argument('kind', 'suppression')}."
        )
    return words


def address_sql(form: ListFormat, address: str = "address") -> str:
    """DuckDB's expression for an address as the tool wants it written, before it is hashed.

    Args:
        form: of the list.
        address: an expression of the clean address; null stays null.
    """
    if form.written == "plain":
        return address
    if form.written == "lower":
        return f"lower({address})"
    local, domain = f"split_part(lower({address}), '@', 1)", f"split_part(lower({address}), '@', 2)"
    return (
        f"case when {domain} in ('gmail.com', 'googlemail.com') "
        f"then replace(split_part({local}, '+', 1), '.', '') || '@' || {domain} else lower({address}) end"
    )


def choose(rows: StagedRows, form: ListFormat, kind: str, among: Sequence[str]) -> None:
    """Make the table `chosen` of the staged rows.

    It has all their columns, `written` (the address as the tool wants it, not hashed) and `left_out` (one of `CAUSES`,
    null for a row that goes).

    Contacts have one row a mailbox, the first of the source. A suppression list has every spelling once, since tools
    compare addresses letter by letter.

    Args:
        rows: of the source.
        form: of the list.
        kind: `contacts` or `suppression`.
        among: recommendations.
    """
    mailbox = "coalesce(mailbox_key, lower(address))"
    words = ", ".join(literal(word) for word in among)
    local = "regexp_replace(address, '@[^@]*$', '')"
    tests = {
        "missing": DuckDB().missing("coalesce(cell, '')"),
        "unverified": "recommendation is null",
        "not_recommended": f"recommendation not in ({words})",
        "no_address": "address is null",
        "formula": "false" if form.hashed else formula_sql("substr(address, 1, 1)"),
        "non_ascii_local_part": f"strlen({local}) > length({local})" if form.ascii_local_part else "false",
    }
    if kind == "contacts":
        reasons = ", ".join(literal(reason) for reason in _NEVER_AGAIN)
        tests["suppressed_mailbox"] = f"{mailbox} in (select {mailbox} from rows where reason in ({reasons}))"
    cases = " ".join(f"when {test} then {literal(cause)}" for cause, test in tests.items() if test != "false")
    same = mailbox if kind == "contacts" else "lower(written)"
    # Without a window or a sort over all rows: DuckDB keeps their order, and few of them are repeated.
    rows.db.execute(
        f"create table chosen as select *, case {cases} end as left_out, {address_sql(form)} as written from rows"
    )
    rows.db.execute(
        f"""
        update chosen set left_out = 'duplicate' from (
            select {same} as same, min(place) as first_place from chosen where left_out is null
            group by 1 having count(*) > 1
        ) as repeated
        where left_out is null and {same} = repeated.same and place > repeated.first_place
        """
    )


def keep_to(rows: StagedRows, budget: Budget) -> Chosen:
    """Leave out of `chosen` what goes beyond a risk budget (`mailvet.scoring.budget`), the riskiest rows first.

    It is chosen from the rows that would go, one a mailbox, so that the limit holds for the list as it is written.

    Args:
        rows: after `choose`, staged with risk.
        budget: the limit.
    """
    key = "sha256(cell)"
    cluster = "case when flags = 'free' or flags like 'free,%' then null else domain end"
    candidates = (
        f"select {key} as key_of, {upper_end_sql()} as chance, coalesce({cluster}, {key}) as cluster_of, "
        f"coalesce(operator, {key}) as operator_of, 1 as weight from chosen where left_out is null"
    )
    found = chosen_of(budget, rows.db.execute(bounds_sql(candidates, budget)).fetchall())
    rows.db.execute(
        f"update chosen set left_out = 'over_budget' where left_out is null and not "
        f"{found.takes_sql(upper_end_sql(), key)}"
    )
    return found


def left_out(rows: StagedRows) -> dict[str, int]:
    """How many rows are left out for which cause, in the order of `CAUSES`."""
    found = dict(
        rows.db.execute("select left_out, count(*) from chosen where left_out is not null group by 1").fetchall()
    )
    return {cause: found[cause] for cause in CAUSES if cause in found}
