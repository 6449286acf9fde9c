"""Suggestions of whole columns are those of `suggest`, and none is a guess."""

# ruff: noqa: RUF001 - tables of cases; look-alike characters are what is tested

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet import verify, verify_many
from mailvet.reference import suggesting
from mailvet.reference.typos.addresses import suggest
from mailvet.reference.typos.domains import has_unknown_tld
from mailvet.syntax import columns as syntax

DATA = Path(__file__).parents[1] / "data"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def of_column(cells: list[str]) -> list[str | None]:
    parsed = syntax.examine(pl.Series(cells, dtype=pl.String))
    nowhere = pl.Series([False]).new_from_index(0, len(cells))
    return suggesting.examine(parsed, nowhere)["suggestion"].to_list()


def meant_cells() -> list[tuple[str, str]]:
    return [(row["cell"].encode().decode("unicode_escape"), row["right"]) for row in rows("field_cells.csv")]


@pytest.mark.parametrize(("cell", "right"), meant_cells())
def test_a_cell_from_the_field_leads_to_the_address_that_was_meant(cell: str, right: str) -> None:
    verdict = verify(cell, depth="offline")
    assert verdict.suggestion == suggest(cell)
    if right == "placeholder":
        assert (verdict.reason, verdict.evidence[0].detail) == ("syntax_invalid", "placeholder")
    elif right == "unknown ending":
        assert "unknown_tld" in verdict.flags
        assert verdict.reason == "not_probed"
        assert verdict.suggestion is None
    else:
        assert verdict.suggestion in right.split("|")


def test_a_column_of_cells_from_the_field_gets_what_each_cell_gets() -> None:
    cells = [cell for cell, _ in meant_cells()] + [
        "0ª@0.A",
        "tim.o’connor@acme.com",
        "ann—lee@hotmail.com",
        ". noemail@ann.com",
    ]
    assert of_column(cells) == [suggest(cell) for cell in cells]
    in_a_table = verify_many([*cells, *(f"p{number}@acme.com" for number in range(1_000))], depth="offline")
    assert in_a_table["suggestion"].to_pylist()[: len(cells)] == [verify(c, depth="offline").suggestion for c in cells]


def test_misspelt_domains_from_the_field_are_mended_in_a_verdict_without_the_network() -> None:
    pairs = [(row["typo"], row["meant"]) for row in rows("typos_field.csv")]
    shown = verify_many([f"ann@{typo}" for typo, _ in pairs], depth="offline")["suggestion"].to_pylist()
    mended = [
        text is not None and text.rpartition("@")[2] == meant for text, (_, meant) in zip(shown, pairs, strict=True)
    ]
    wrong = [(typo, text) for text, (typo, meant) in zip(shown, pairs, strict=True) if text and text != f"ann@{meant}"]
    assert sum(mended) >= 0.8 * len(pairs)
    assert len(wrong) <= 0.01 * len(pairs), wrong


def test_real_mail_domains_get_no_suggestion() -> None:
    domains = [row["domain"] for row in rows("mail_domains.csv")]
    shown = of_column([f"ann@{domain}" for domain in domains])
    wrong = [(domain, text) for domain, text in zip(domains, shown, strict=True) if text]
    assert len(wrong) <= 4, wrong  # the public lists hold a few misspelt ones themselves: homail.com, yaho.com


_PIECES = [
    "ann",
    "Lee",
    "o’neil",
    "@",
    "@",
    "gmail",
    "gmial",
    "hotmail",
    "acme",
    ".com",
    ".con",
    ".con.br",
    ".co.k",
    "75011",
    "2gmail.com",
    "'",
    "“",
    "•",
    "—",
    "İ",
    " ",
    "\u00a0",
    ". ",
    "Dr. ",
    "1. ",
    " Tel",
    "<br>",
    "[mailto:",
    "]",
    "&#039;",
    '="',
    '"',
    "\\r\\n",
    "#mailto:",
    "#",
    "(",
    ")",
    "%20",
    "u003e",
    ",",
    ";",
    "_",
    "-",
    "noemail",
    "none",
    "x",
]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=9).map("".join), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_column_gets_the_suggestions_of_its_cells(cells: list[str]) -> None:
    assert of_column(cells) == [suggest(cell) for cell in cells]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_text_gets_the_suggestion_of_its_cell(texts: list[str]) -> None:
    cells = [*texts, *(f"ann@{text}" for text in texts), *(f"{text}@gmial.com" for text in texts)]
    assert of_column(cells) == [suggest(cell) for cell in cells]


def test_an_allowed_address_is_right_as_it_is() -> None:
    parsed = syntax.examine(pl.Series(["ann@gmial.com", "ann@gmial.com"]))
    assert suggesting.examine(parsed, pl.Series([True, False]))["suggestion"].to_list() == [None, "ann@gmail.com"]


@pytest.mark.parametrize("start", ["=", "+", "-"])
def test_no_suggestion_starts_a_spreadsheet_formula(start: str) -> None:
    assert of_column([f"{start}ann@gmial.com", f"{start}ann@@gmial.com"])[0] is None
    assert all(text is None or text[0] not in "=+-@" for text in of_column([f"{start}ann@@gmial.com"]))


@pytest.mark.parametrize("name", ["srv.local", "x.test", "x.example", "mail.corp", "crm.internal"])
def test_names_of_private_networks_have_an_ending_where_those_are_allowed(name: str) -> None:
    assert has_unknown_tld(name)
    assert not has_unknown_tld(name, allow_special_use=True)
    assert suggest(f"ann@{name}") is None


def test_an_empty_column_has_no_suggestions() -> None:
    assert of_column([]) == []
