"""One cell of text: accepted as the judge accepts it, explained and repaired otherwise."""

# ruff: noqa: RUF001 - tables of cases; look-alike characters are what is tested

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.privacy import FORMULA_START
from mailvet.syntax import parser
from mailvet.syntax.parser import SYNTAX_ERRORS, Address, SyntaxProblem, ascii_domain, is_placeholder_address, parse

PUBLISHED: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "judged_addresses.json").read_text("utf-8")
)


def judge(text: str) -> tuple[str, str] | None:
    try:
        found = validate_email(text, strict=True, allow_smtputf8=True, check_deliverability=False)
    except ValueError:
        return None
    return found.local_part, found.ascii_domain


def assert_as_judged(cell: str) -> None:
    found = parse(cell)
    if isinstance(found, Address):
        if found.odd_dots:
            assert judge(cell.strip()) is None
            return
        assert judge(cell.strip()) == (found.local, found.domain)
        assert found.domain.isascii()
        assert found.domain == found.domain.lower()
        assert found.trimmed == (cell != cell.strip())
        return
    if found.code == "placeholder" and (accepted := judge(cell.strip())):
        assert is_placeholder_address(*accepted)
        return
    assert judge(cell.strip()) is None
    assert found.code in SYNTAX_ERRORS
    if found.suggestion is not None:
        assert judge(found.suggestion) is not None
        assert found.suggestion[0] not in FORMULA_START


@pytest.mark.parametrize("group", sorted(PUBLISHED))
def test_published_addresses_are_judged_as_the_judge_does(group: str) -> None:
    for text in PUBLISHED[group]:
        assert_as_judged(text)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_judged_as_the_judge_does(text: str) -> None:
    for cell in (text, f"{text}@example.com", f"ann@{text}.com", f" {text}@{text}"):
        assert_as_judged(cell)


CODES = {
    "empty": ["", " ", "\t\r\n", "\u00a0\u3000"],
    "placeholder": [
        "n/a",
        "N/A",
        "-",
        "---",
        "none",
        "NULL",
        "#N/A",
        "?",
        "unknown",
        "test@test",
        "X@x",
        "keine Angabe",
        "нет",
    ],
    "missing_at": ["ann", "gmail.com", "John Smith", "ann.gmail.com", "ann＠gmail.com", "ann(at)x.com", "x" * 2000],
    "several_addresses": [
        "a@x.com;b@y.com",
        "a@x.com, b@y.com",
        "a@x.com\nb@y.com",
        "A <a@x.com> B <b@y.com>",
        "a@x.com/b@y.com",
    ],
    "multiple_at": ["ann@@x.com", "ann@x@y.com", "@@"],
    "local_empty": ["@x.com", "@"],
    "domain_empty": ["ann@"],
    "local_too_long": [
        "a" * 65 + "@x.com",
        "ä" * 65 + "@x.com",
        "a" * 1001 + "@x.com",
        "ä" * 64 + "@" + "b." * 70 + "com",
    ],
    "local_char": [
        "a b@x.com",
        "a,b@x.com",
        '"a"@x.com',
        "a(b@x.com",
        "Ann <ann@x.com>",
        "mailto:a@x.com",
        "a;b@x.com",
    ],
    "local_dot": [".a@x.com", "a.@x.com", "a..b@x.com"],
    "domain_literal": ["ann@[127.0.0.1]", "ann@[IPv6:::1]", "ann@[nonsense]"],
    "domain_label": [
        "a@x..com",
        "a@.x.com",
        "a@x.com.",
        "a@-x.com",
        "a@x-.com",
        "a@x_y.com",
        "a@ab--cd.com",
        "a@xn--a.com",
        "a@x,com",
    ],
    "domain_too_long": ["a@" + "b." * 130 + "com", "a" * 60 + "@" + "b." * 100 + "com", "a@" + "b." * 2000 + "com"],
    "domain_no_tld": [
        "a@x",
        "a@gmail",
        "a@localhost",
        "a@1.2.3.4",
        "a@x.123",
        "a@x.co1",
        "a@srv.local",
        "a@b.test",
        "a@x.onion",
    ],
    "unsafe_unicode": [
        "a\u200b@x.com",
        "\ufeffann@x.com",
        "\u0301a@x.com",
        "a@\u0301x.com",
        "a\u00a0b@x.com",
        "\ue000@x.com",
        "\ud800@x.com",
    ],
    "control_char": ["a\x00@x.com", "a\nb@x.com", "a@x\t.com", "a\x7f@x.com"],
}


def test_every_code_has_its_cases() -> None:
    assert set(CODES) == set(SYNTAX_ERRORS)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_refused_cell_says_why(code: str) -> None:
    for cell in CODES[code]:
        found = parse(cell)
        assert isinstance(found, SyntaxProblem), ascii(cell)
        assert found.code == code, ascii(cell)


def test_no_cell_at_all_counts_as_empty() -> None:
    assert parse(None) == SyntaxProblem("empty", None)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("Ann.Lee@Example.COM", Address("Ann.Lee", "example.com", needs_smtputf8=False, trimmed=False)),
        ("\u00a0ann@x.com\r\n", Address("ann", "x.com", needs_smtputf8=False, trimmed=True)),
        ("INFO@x.com", Address("info", "x.com", needs_smtputf8=False, trimmed=False)),
        ("ann@bücher.de", Address("ann", "xn--bcher-kva.de", needs_smtputf8=False, trimmed=False)),
        ("ann@faß.de", Address("ann", "xn--fa-hia.de", needs_smtputf8=False, trimmed=False)),
        ("用户@例え。jp", Address("用户", "xn--r8jz45g.jp", needs_smtputf8=True, trimmed=False)),
        ("jose\u0301@x.com", Address("jos\u00e9", "x.com", needs_smtputf8=True, trimmed=False)),
        ("contact@contact.fr", Address("contact", "contact.fr", needs_smtputf8=False, trimmed=False)),
        # The kelvin sign is a K once normalised: what is sent needs no SMTPUTF8.
        ("\u212a@x.com", Address("K", "x.com", needs_smtputf8=False, trimmed=False)),
    ],
)
def test_an_accepted_cell_is_split_and_normalised(cell: str, expected: Address) -> None:
    assert parse(cell) == expected
    assert expected.text == f"{expected.local}@{expected.domain}"


@pytest.mark.parametrize(
    ("cell", "domain"),
    [
        ("ann@x.test", "x.test"),
        ("ann@test", "test"),
        ("ann@mail.x.INVALID", "mail.x.invalid"),
        ("ann@srv.local", "srv.local"),
        ("ann@bücher.local", "xn--bcher-kva.local"),
        ("ann@localhost", None),
        ("a@-x.local", None),
    ],
)
def test_reserved_names_are_accepted_only_where_allowed(cell: str, domain: str | None) -> None:
    assert isinstance(parse(cell), SyntaxProblem)
    found = parse(cell, allow_special_use=True)
    assert (found.domain if isinstance(found, Address) else None) == domain


REPAIRED = {
    "info@@gmail": "info@gmail.com",
    "user@gmailcom": "user@gmail.com",
    "user@GMAIL": "user@gmail.com",
    "user@yahoocouk": "user@yahoo.co.uk",
    "ann＠gmail．com": "ann@gmail.com",
    "ａｎｎ＠gmail。com": "ann@gmail.com",
    "mailto:ann@x.com": "ann@x.com",
    "mailto:ann@x.com?subject=hello": "ann@x.com",
    "E-Mail: ann@x.com": "ann@x.com",
    "Ann <ann@x.com>": "ann@x.com",
    '"Lee, Ann" <ann@x.com>': "ann@x.com",
    "<ann@x.com>": "ann@x.com",
    "'ann@x.com'": "ann@x.com",
    "“ann@x.com”": "ann@x.com",
    '"ann.lee"@x.com': "ann.lee@x.com",
    "(ann@x.com)": "ann@x.com",
    "ann@x.com.": "ann@x.com",
    "ann@x.com,": "ann@x.com",
    "ann@x.com (work)": "ann@x.com",
    "ann @ x.com": "ann@x.com",
    "ann@ x .com": "ann@x.com",
    ".ann@x.com": "ann@x.com",
    "ann.@x.com": "ann@x.com",
    "ann..lee@x.com": "ann.lee@x.com",
    "ann(at)x.com": "ann@x.com",
    "ann[at]x[dot]com": "ann@x.com",
    "ann at x dot com": "ann@x.com",
    "ann%40x.com": "ann@x.com",
    "ann@gmail,com": "ann@gmail.com",
    "ann@yahoo.co,uk": "ann@yahoo.co.uk",
    "\u200bann@x.com\ufeff": "ann@x.com",
    "ann@x.com\x00": "ann@x.com",
    "ann@x.com; ann@x.com": "ann@x.com",
    "ann@x.com, ANN@X.com": "ann@x.com",
    "ann@x.com <mailto:ann@x.com>": "ann@x.com",
    "[ann@x.com](mailto:ann@x.com)": "ann@x.com",
    "1. ann@x.com": "ann@x.com",
    "12) ann@x.com": "ann@x.com",
    "Dr. ann@x.com": "ann@x.com",
    "Mr. Ann.Lee@x.com": "Ann.Lee@x.com",
    "Herr Dr. ann@x.com": "ann@x.com",
    "Ann Lee (ann@x.com)": "ann@x.com",
    "Ann Lee [mailto:ann@x.com]": "ann@x.com",
    "Ann Lee - ann@x.com": "ann@x.com",
    "Lee, ann@x.com": "ann@x.com",
    "* Home: ann@x.com": "ann@x.com",
    "• Mail: ann@x.com": "ann@x.com",
    "E-mail address = ann@x.com": "ann@x.com",
    "ann@x.com. Tel": "ann@x.com",
    "ann@x.com Tel. 0123": "ann@x.com",
    "ann@x.com Ann Lee": "ann@x.com",
    "ann@x.com +44 20 7946 0000": "ann@x.com",
    "ann@x.com<br>": "ann@x.com",
    "<p>ann@x.com</p>": "ann@x.com",
    '<a href="mailto:ann@x.com">write</a>': "ann@x.com",
    '="ann@x.com"': "ann@x.com",
    '=HYPERLINK("mailto:ann@x.com","ann@x.com")': "ann@x.com",
    "ann@x.com#mailto:ann@x.com#": "ann@x.com",
    "ann@x.com\\r\\n": "ann@x.com",
    "o&#039;neil@x.com": "o'neil@x.com",
    "ann&nbsp;@x.com": "ann@x.com",
    "ann@gmail.co\u00a0m": "ann@gmail.com",
    "ann2gmail.com": "ann@gmail.com",
    "john20052hotmail.com": "john2005@hotmail.com",
    'ann"yahoo.co.uk': "ann@yahoo.co.uk",
    "ann@gmail.com75011": "ann@gmail.com",
    "ann@gmail.com2": "ann@gmail.com",
    "ann@hotmailc": "ann@hotmail.com",
    "ann@yahoocomb": "ann@yahoo.com.br",
    "ann@hotmial": "ann@hotmail.com",
    "ann@_gmail.com": "ann@gmail.com",
    "ann@hotmail_.com": "ann@hotmail.com",
}


@pytest.mark.parametrize("cell", sorted(REPAIRED))
def test_a_malformed_cell_gets_the_address_that_was_meant(cell: str) -> None:
    found = parse(cell)
    assert isinstance(found, SyntaxProblem)
    assert found.suggestion == REPAIRED[cell]


@pytest.mark.parametrize(
    "cell",
    [
        "ann@x.com; bob@y.com",  # two people
        "ann@x.com, bob@",  # one of two is unreadable
        "ann@x.com, bob@y",
        "ann lee@x.com",  # annlee? ann.lee? lee?
        "ann@x.com,Bob",  # no ending .Bob
        "Roe. ann@x.com",  # roe.ann? ann?
        "Don lee@x.com",  # a title, or a name
        "ann.gmail.com",
        "www.gmail.com",
        "ann@[1.2.3.4]",
        "ann@mail",  # whose?
        "ann@1.2.3.4",
        "test@test",
        "n/a",
        "Ann Lee",
        "ann@srv.local.",
        "mÃ¼ller@@x.com",  # mojibake stays mojibake
        "m\ufffdller@@x.com",
        "x" * 400 + "@@x.com",
    ],
)
def test_nothing_is_suggested_where_it_would_be_a_guess(cell: str) -> None:
    found = parse(cell)
    assert isinstance(found, SyntaxProblem)
    assert found.suggestion is None


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_a_suggestion_never_starts_a_spreadsheet_formula(start: str) -> None:
    found = parse(f"{start}cmd@@x.com")
    assert isinstance(found, SyntaxProblem)
    assert found.suggestion is None or found.suggestion == "cmd@x.com"
    assert isinstance(parse(f"a{start.strip('@')}cmd@@x.com"), SyntaxProblem)


@pytest.mark.parametrize(
    "cell",
    [
        "a" * 10**7,
        "@" * 10**7,
        "\x00" * 10**7 + "@x.com",
        "ü" * 10**7,
        " " * 10**7,
        "a@" + "b." * 5_000_000,
        "<" * 499,
        " @" * 250,
        "ann" + " " * 490 + "x",
        "(" * 250 + "at" + " " * 240,
        "a" * 400 + "@" + "-" * 90,
    ],
    ids=range(11),
)
def test_no_cell_takes_long(cell: str) -> None:
    started = time.perf_counter()
    assert isinstance(parse(cell), SyntaxProblem)
    assert time.perf_counter() - started < 1


def test_lone_surrogates_are_unsafe_and_never_an_exception() -> None:
    for cell in ("\ud800@x.com", "a@\udfff.com", "\ud83d", "a\udc00b@@x.com"):
        assert_as_judged(cell)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BÜCHER.de", "xn--bcher-kva.de"),
        ("xn--BCHER-KVA.de", "xn--bcher-kva.de"),
        ("ΑΣ.com", "xn--mxa0b.com"),  # a final sigma stays a sigma under UTS 46
        ("ΑΣ2.com", "xn--2-ylb8c.com"),
        ("ü" * 80 + ".de", None),
        ("漢" * 60 + ".cn", None),
        ("xn--.com", None),
        ("xn--a-ecp.com", None),  # decodes to what IDNA would have written otherwise
        ("ann@x.com", None),
        ("x", None),
        ("x." * 200 + "com", None),
        ("x.test", None),
    ],
)
def test_a_domain_alone_is_encoded_as_the_judge_does(name: str, expected: str | None) -> None:
    assert ascii_domain(name) == expected
    if "@" not in name:
        judged = judge(f"a@{name}")
        assert (judged[1] if judged else None) == expected


@given(st.lists(st.text("abzüéøλжяあ漢한ıßſ-", min_size=1, max_size=12), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_the_short_way_for_common_letters_agrees_with_the_judge(labels: list[str]) -> None:
    for name in (".".join([*labels, "com"]), ".".join(labels), ".".join(f"xn--{label}" for label in labels) + ".de"):
        judged = judge(f"a@{name}")
        assert ascii_domain(name) == (judged[1] if judged else None), ascii(name)


# --- what others hold to be an address -------------------------------------------------------------------------------


def is_email_set() -> list[dict[str, str]]:
    path = Path(__file__).parents[1] / "data" / "isemail.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def as_it_stands(text: str) -> bool:
    found = parse(text)
    return isinstance(found, Address) and not found.trimmed


def test_the_valid_rows_of_is_email_with_a_dot_in_the_domain_are_accepted() -> None:
    rows = [json.loads(row["address"]) for row in is_email_set() if row["category"] == "VALID"]
    dotted = [text for text in rows if "." in text.rpartition("@")[2]]
    assert len(dotted) == 13
    assert [text for text in dotted if not as_it_stands(text)] == []


def test_no_row_is_accepted_that_is_email_calls_an_error() -> None:
    rows = [json.loads(row["address"]) for row in is_email_set() if row["category"] == "ERR"]
    assert len(rows) == 66
    assert [text for text in rows if as_it_stands(text)] == []
    # What is wrong with those that only need trimming is the line ends around them.
    trimmed = [text for text in rows if isinstance(parse(text), Address)]
    assert all(text.strip() == "test@iana.org" for text in trimmed)


def test_reserved_names_and_caseless_mailboxes_are_those_of_the_judge() -> None:
    assert set(parser._RESERVED_NAMES) == set(SPECIAL_USE_DOMAIN_NAMES)
    assert set(parser.CASELESS_NAMES) == set(CASE_INSENSITIVE_MAILBOX_NAMES)


@pytest.mark.parametrize("character", [*map(chr, range(0x21)), *'\x7f"(),:;<>[\\]'])
def test_what_no_address_holds_is_what_the_judge_refuses(character: str) -> None:
    for text in (
        f"ä{character}nn@acme.com",
        f"änn@ac{character}me.com",
        f"ann{character}@müller.de",
        f"{character}é@a.de",
    ):
        with pytest.raises((EmailNotValidError, UnicodeError)):
            validate_email(text, strict=True, allow_smtputf8=True, check_deliverability=False)
        assert parser._NEVER.search(text)
    assert not parser._NEVER.search("änn.o'neil+x@müller--x.de")
