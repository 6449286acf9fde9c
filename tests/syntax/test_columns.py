"""The column's answer is the judge's answer, and `parse`'s, on every text."""

# ruff: noqa: E501, RUF001 - tables of cases; look-alike characters are what is tested

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.syntax import columns as syntax
from mailvet.syntax import parser, repair
from mailvet.syntax.parser import Address, parse

DATA = Path(__file__).parents[1] / "data"

LOCALS = [
    *(
        "ann",
        "Bob",
        "john.smith",
        "x_y",
        "o'neil",
        "a+b",
        "INFO",
        "Postmaster",
        "info",
        "jürgen",
        "用户",
        "тест",
        "अजय",
        "ﾃｽﾄ",
    ),
    *("ä" * 3, "é", "K", ";", "a" * 63, "a" * 64, "a" * 65, "ä" * 64, "", "=x", "-a", ".a", "a.", "a..b", "a b"),
    *('"a b"', '"a"', "a\u200b", "\u0301a", "n/a", "test", "<a", "a,b", "a:b", "a(b", "ａｂ", "a\u0958", "िक", "a.िक"),
]
DOMAINS = [
    *(
        "gmail.com",
        "Yahoo.co.uk",
        "acme-corp.de",
        "bücher.de",
        "例え.jp",
        "xn--bcher-kva.de",
        "xn--a.com",
        "x..com",
        ".x.com",
    ),
    *(
        "x.com.",
        "-x.com",
        "x-.com",
        "ab--cd.com",
        "XN--BCHER-KVA.de",
        "faß.de",
        "STRAẞE.de",
        "ΑΣ.gr",
        "x",
        "gmail",
        "gmailcom",
    ),
    *(
        "localhost",
        "a.test",
        "test",
        "srv.local",
        "x.invalid",
        "1.2.3.4",
        "[1.2.3.4]",
        "[IPv6:::1]",
        "x.c0m",
        "x.co1",
        "x_y.com",
    ),
    *("a" * 63 + ".com", "a" * 64 + ".com", ".".join(["a" * 60] * 4) + ".com", ".".join(["b" * 50] * 5) + ".com"),
    *(
        "例え。jp",
        "ｇｍａｉｌ．com",
        "x\u200b.com",
        "x\u00ad.com",
        "\u0301x.com",
        "א1.com",
        "1.xn--4dbc.com",
        "x .com",
        "x.com>",
    ),
    *(
        "gmail,com",
        "пример.рф",
        "xn--e1afmkfd.xn--p1ai",
        "test.arpa",
        "☃.net",
        "a\u3002b\uff61com",
        "x.com,",
        "ﬁ.de",
        "Ⅷ.com",
    ),
    *(
        "½.com",
        "x.１２",
        "x.com\u0338",
        "example.onion",
        "lab.TEST",
        "ü" * 70 + ".de",
        "x-ü.com",
        "ü-.com",
        "xn--ü.com",
    ),
]
PIECES = [
    *"abcXYZ0189.@-_+'\"<>()[],;: \t\n\x00\x7f\\/=!#%|&~äßéЖ用。＠．\u200b\u00a0\u0301\u202e\ufeff\ue000\u0378\u0338\u2028",
    *("xn--", "--", "@", "mailto:", " at ", "(at)", "[dot]", "..", "; ", ", ", "%40", "?subject=hi"),
]
EDGES = [*" \t\n\r\x1c\x85\u00a0\u3000\u2003\ufeff\u200b", "\r\n", "   "]
AROUND = [
    ("Ann <", ">"),
    ("<", ">"),
    ("mailto:", ""),
    ("'", "'"),
    ("(", ")"),
    ("E-Mail: ", " "),
    ("", "."),
    ("", " (work)"),
]


def judge(text: str, *, test_environment: bool = False) -> tuple[str, str] | None:
    """What the judge says of a text already trimmed: local part and ASCII domain, or None."""
    try:
        found = validate_email(
            text, strict=True, allow_smtputf8=True, check_deliverability=False, test_environment=test_environment
        )
    except (EmailNotValidError, ValueError):
        return None
    return found.local_part, found.ascii_domain


def generated(count: int, seed: int) -> list[str]:
    """Plain, messy and adversarial cells, from a fixed seed."""
    choice = random.Random(seed)

    def one() -> str:
        text = f"{choice.choice(LOCALS)}@{choice.choice(DOMAINS)}"
        kind = choice.random()
        if kind < 0.1:
            text = "".join(choice.choice(PIECES) for _ in range(choice.randint(0, 14)))
        elif kind < 0.5:
            for _ in range(choice.randint(1, 3)):
                place = choice.randint(0, len(text))
                action = choice.random()
                if action < 0.5:
                    text = text[:place] + choice.choice(PIECES) + text[place:]
                elif action < 0.8:
                    text = text[:place] + text[place + 1 :]
                else:
                    text = text[:place] + text[place : place + 1] * 2 + text[place + 1 :]
        elif kind < 0.6:
            before, after = choice.choice(AROUND)
            text = f"{before}{text}{after}"
        elif kind < 0.65:
            text += choice.choice((";", ",", " ", "/", "\n", " or ")) + one()
        elif kind < 0.75:
            text = f"{choice.randint(0, 10**6)}.{choice.choice(LOCALS[:6])}@{choice.choice(DOMAINS[:6])}"
        if choice.random() < 0.1:
            text = choice.choice(EDGES) + text
        if choice.random() < 0.1:
            text += choice.choice(EDGES)
        return text

    return [one() for _ in range(count)]


def row_of(cell: str | None, *, allow_special_use: bool = False) -> dict[str, Any]:
    found = parse(cell, allow_special_use=allow_special_use)
    nothing: dict[str, Any] = {"local": None, "domain": None, "needs_smtputf8": False, "trimmed": False}
    nothing["odd_dots"] = False
    if isinstance(found, Address):
        whole = {name: getattr(found, name) for name in nothing}
        return {**whole, "syntax_error": None, "cleaned": None}
    return {**nothing, "syntax_error": found.code, "cleaned": found.suggestion}


def assert_agreement(cells: list[str]) -> None:
    rows = syntax.examine(pl.Series(cells, dtype=pl.String)).to_dicts()
    for cell, row in zip(cells, rows, strict=True):
        assert row == row_of(cell), ascii(cell)
        split = (row["local"], row["domain"]) if row["local"] is not None and not row["odd_dots"] else None
        accepted = judge(cell.strip())
        if row["syntax_error"] == "placeholder" and accepted:
            assert parser.is_placeholder_address(*accepted), ascii(cell)
            continue
        assert split == accepted, ascii(cell)


def published() -> list[str]:
    groups: dict[str, list[str]] = json.loads((DATA / "judged_addresses.json").read_text("utf-8"))
    # Lone surrogates cannot stand in a column; `parse` meets them in test_address.py.
    return [text for texts in groups.values() for text in texts if not re.search("[\ud800-\udfff]", text)]


def test_odd_dots_of_carriers_are_accepted_as_parse_accepts_them() -> None:
    locals_ = [
        "a..b",
        "abc.",
        "a.",
        "..a",
        ".a",
        "a b..",
        "ä..b",
        "a+..b",
        "A..B",
        "x" * 60 + "..",
        "x" * 70 + "..",
        "a.b",
    ]
    domains = [
        "docomo.ne.jp",
        "EZweb.ne.jp",
        "d.vodafone.ne.jp",
        "au.com",
        "acme.com",
        "example.ne.jp",
        "xdocomo.ne.jp",
    ]
    cells = [f"{pad}{local}@{domain}" for local in locals_ for domain in domains for pad in ("", " ")]
    assert_agreement(cells)
    assert syntax.examine(pl.Series(cells))["odd_dots"].sum() > 20


def test_published_addresses_get_the_answer_of_the_judge() -> None:
    cells = published()
    assert len(cells) > 250
    assert_agreement(cells)


@pytest.mark.parametrize("count", [3_000, pytest.param(150_000, marks=pytest.mark.slow)])
def test_generated_cells_get_the_answers_of_the_judge_and_of_parse(count: int) -> None:
    cells = generated(count, seed=count)
    codes = syntax.examine(pl.Series(cells))["syntax_error"]
    assert set(codes.drop_nulls()) == set(parser.SYNTAX_ERRORS), "every code must be met"
    assert codes.null_count() > count * 0.15
    assert_agreement(cells)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_text_gets_the_answers_of_the_judge_and_of_parse(texts: list[str]) -> None:
    assert_agreement([*texts, *(f"{text}@example.com" for text in texts), *(f"ann@{text}.com" for text in texts)])


def test_in_a_lab_reserved_names_are_accepted_as_parse_accepts_them() -> None:
    cells = [
        *generated(5_000, seed=5),
        "ann@a.test",
        "ann@test",
        "ann@srv.LOCAL",
        "ann@bücher.invalid",
        "ann@localhost",
    ]
    rows = syntax.examine(pl.Series(cells), allow_special_use=True).to_dicts()
    for cell, row in zip(cells, rows, strict=True):
        assert row == row_of(cell, allow_special_use=True), ascii(cell)
    assert [row["domain"] for row in rows[-5:]] == ["a.test", "test", "srv.local", "xn--bcher-kva.invalid", None]


@pytest.mark.parametrize("allow_special_use", [False, True])
def test_order_length_and_types_are_those_of_the_contract(allow_special_use: bool) -> None:
    cells = pl.Series("anything", ["ann@x.com", None, "", "INFO@X.com", " ann@x.com", "ann@x", "ü@x.com", "ann@x.com"])
    for column in (cells, cells[:0], cells[1:3], cells[:1], pl.Series([None, None])):
        found = syntax.examine(column, allow_special_use=allow_special_use)
        assert dict(found.schema) == syntax.SCHEMA
        assert found.height == len(column)
    found = syntax.examine(cells, allow_special_use=allow_special_use)
    assert found["local"].to_list() == ["ann", None, None, "info", "ann", None, "ü", "ann"]
    assert found["domain"].to_list() == ["x.com", None, None, "x.com", "x.com", None, "x.com", "x.com"]
    assert found["trimmed"].to_list() == [False, False, False, False, True, False, False, False]
    assert found["needs_smtputf8"].to_list() == [False, False, False, False, False, False, True, False]
    assert found["syntax_error"].to_list()[1:3] == ["empty", "empty"]


@pytest.mark.slow
def test_every_letter_accepted_without_the_judge_is_one_the_judge_accepts() -> None:
    """The letters outside ASCII that the columns decide alone; every hundredth of the Han and Hangul blocks."""
    letters = [chr(code) for code in (*range(0x80, 0x3100), *range(0x4E00, 0xD7A4, 100), 0x9FA5, 0xD7A3)]
    cells = [f"a{letter}@x.com" for letter in letters] + [f"a@b{letter}.com" for letter in letters]
    found = syntax.examine(pl.Series(cells)).select("local", "domain").rows()
    for cell, (local, domain) in zip(cells, found, strict=True):
        assert ((local, domain) if local is not None else None) == judge(cell.strip()), ascii(cell)


def test_huge_cells_cost_no_more_than_reading_them() -> None:
    ten_megabytes = 10 * 2**20
    cells = [
        "a" * ten_megabytes,
        "@" * ten_megabytes,
        " " * ten_megabytes + "ann@x.com",
        "a@" + "b." * (ten_megabytes // 2),
    ]
    started = time.perf_counter()
    found = syntax.examine(pl.Series(cells))
    assert time.perf_counter() - started < 5
    assert found["syntax_error"].to_list() == ["missing_at", "several_addresses", None, "domain_too_long"]


def test_repeated_odd_cells_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    monkeypatch.setattr(parser, "_judge", lambda text, allow: judged.append(text))
    parser.ascii_domain.cache_clear()
    syntax.examine(pl.Series(["ann@xⅷ.com", "bob@xⅷ.com", "\u200bann@x.com"] * 50))
    parser.ascii_domain.cache_clear()
    assert len(judged) == len(set(judged))
    assert "a@xⅷ.com" in judged


@pytest.mark.parametrize("any_case", [False, True])
def test_a_pattern_of_any_word_but_some_leaves_out_those_and_no_other(any_case: bool) -> None:
    names = ("test", "te", "local", "localhost", "a")
    pattern = f"^(?:{syntax._any_but(names, 'A-Za-z', any_case=any_case)})$"
    words = {text for name in names for text in (name, name.upper(), name.title(), name[:-1], f"{name}x", f"x{name}")}
    found = pl.DataFrame({"word": sorted(words)}).filter(pl.col("word").str.contains(pattern))["word"].to_list()
    assert found == sorted(word for word in words if word and (word.lower() if any_case else word) not in names)


_PIECES = [
    "a",
    "Bob",
    "acme",
    "com",
    "%40",
    "&#64;",
    " at ",
    "(at)",
    "(dot)",
    " dot ",
    "mailto:",
    "Dr. ",
    "1. ",
    " Tel",
    "Ann Lee",
    "Lee, ",
    "2gmail.com",
    ".com",
    "75011",
    *"@@@_*#|/..:?%&;([{< >}])\"',-",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=7).map("".join))
def test_a_text_without_the_marks_of_a_repair_is_left_alone_by_it(text: str) -> None:
    for (_, _, marks), (pattern, replacement) in zip(repair.REPAIRS, repair._COMPILED, strict=True):
        if marks and not any(mark in text for mark in marks):
            assert pattern.sub(replacement, text) == text
