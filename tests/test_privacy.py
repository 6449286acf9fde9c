"""What is shown of personal data: no local part of an address, and nothing that a database quotes of a cell."""

from __future__ import annotations

import json
import random
import string

import pytest

from mailvet.privacy import (
    addresses_in,
    database_message,
    holds_address,
    mask_address,
    mask_text,
    printable_json,
)

SIGNS = ("@", "\uff20", "\ufe6b", " @ ", " at ", "(at)", " [at] ", "%40", "&#64;", "&#x40;")
DOMAINS = ("example.com", "b\u00fccher.example", "x.co.uk")
FRAMES = (
    "{}",
    "no such row: {}",
    "'{}' is no address",
    '"{}"',
    "Ann <{}>",
    "({})",
    "mailto:{}?subject=x",
    "a@b.test, {}",
    "{};b@c.test",
    "email={}",
    "[{}]",
    "see {}.",
    "\u201c{}\u201d",
    "1,{},Berlin",
    "<a href='mailto:{}'>",
    "`{}`",
)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(
    "local",
    [
        "ann.lee",
        "o'neil.secret",
        "lee,ann",
        '"ann lee"',
        '"a\\"b c"',
        "j\u00f6rg.m\u00fcller",
        "jo\u0308rg.x",
        "ann+news",
        "ann!#$&*=?^_|~",
        "\u5f20\u4f1f.x",
        "ann@lee",
        "d'arcy,o'brien",
    ],
)
def test_no_local_part_is_left_in_a_text(local: str, sign: str, frame: str) -> None:
    shown = mask_text(frame.format(f"{local}{sign}example.com"))
    assert local not in shown
    assert local.strip('"') not in shown
    assert "example.com" in shown or "@" in local


def test_ten_thousand_made_up_cells_leave_no_local_part() -> None:
    chosen = random.Random(7)
    letters = string.ascii_letters + string.digits + ".!#$%&'*+/=?^_`{|}~-,:\\\u00e9\u0308\u00df\u4e2d\u0430\u0130"
    for _ in range(10_000):
        local = "".join(chosen.choices(letters, k=chosen.randint(3, 24)))
        local = f'"{local[:-1]} {local[-1]}"' if chosen.random() < 0.1 and '"' not in local else local
        cell = f"{local}{chosen.choice(SIGNS)}{chosen.choice(DOMAINS)}"
        text = chosen.choice(FRAMES).format(cell)
        for shown in (mask_text(text), database_message(text)):
            assert local not in shown, (text, shown)
        assert local not in mask_address(cell)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.123:25",
        "2026-12-01 09:08:35",
        "20261201T000000-ab12",
        "1,234,567 rows",
        "0.25 of 1000000000000 rows",
        "12345678",
        "@media print",
        "v1.2.3",
        "[2001:db8::1]:25",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert mask_text(text) == text
    assert not holds_address(text)


@pytest.mark.parametrize(
    "number", ["+49 170 1234567", "0170/1234567", "(0170) 123 45 67", "555-123-4567", "+14155550123"]
)
def test_telephone_numbers_are_masked(number: str) -> None:
    assert mask_text(f"call {number}, please") == "call <number>, please"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Could not convert string 'o'neil@x.com' to INT32", "Could not convert string <value> to INT32"),
        ("Could not convert string 'Ann\nLee' to INT32", "Could not convert string <value>"),
        ('invalid input syntax for type integer: "Ann Lee"', "invalid input syntax for type integer: <value>"),
        ("Key (email)=(Ann Lee) already exists", "Key (email)=(<value>) already exists"),
        ("Failing row contains (1, Ann Lee, x)", "Failing row contains (<value>)"),
        ("Duplicate entry 'ann o'neil' for key 'contacts.email'", "Duplicate entry <value>"),
        ("Unknown column 'nope' in 'x'", "Unknown column 'nope' in 'x'"),
        ('column "first name" does not exist', 'column "first name" does not exist'),
        ('relation "a@b" does not exist', "relation <value> does not exist"),
        ("", "no reason given"),
    ],
)
def test_a_database_quotes_no_cell(text: str, shown: str) -> None:
    assert database_message(text) == shown


def test_the_parts_of_an_address_are_found_where_it_stands() -> None:
    text = 'x "ann lee"@a.test, <bob(at)b.test>'
    found = list(addresses_in(text))
    assert [(one.local, one.domain) for one in found] == [('"ann lee"', "a.test"), ("bob", "b.test")]
    assert [text[one.start : one.end] for one in found] == ['"ann lee"@a.test', "bob(at)b.test"]


def test_masking_is_linear_in_the_text() -> None:
    for text in (
        "a" * 200_000,
        "@" * 200_000,
        "a@" * 100_000,
        "(" * 100_000 + "@",
        "a " * 100_000,
        '"' * 100_000 + "@x",
        "0 " * 100_000,
        " at " * 50_000,
        ("\\" * 20_000 + '"') * 5 + "@x",
    ):
        mask_text(text)
        database_message(text[:20_000])


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\u2028", "\ufeff", "\x9b", "\ud800"])
def test_json_for_a_terminal_holds_no_mark_and_says_the_same(mark: str) -> None:
    value = {"email": f"ann{mark}@münch.example", "lines": ["a\nb", 1]}
    shown = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert mark not in shown
    assert "münch" in shown
    assert json.loads(shown) == value
