"""Addresses of the whole world: both forms of a domain, every script, and nothing unsafe."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import unicodedata

import polars as pl
import pytest

from mailvet import verify
from mailvet.reference.providers import operator_of
from mailvet.syntax import columns as syntax
from mailvet.syntax.parser import Address, SyntaxProblem, parse
from mailvet.vocabulary import Reason, Status


def accepted(cell: str) -> Address:
    found = parse(cell)
    assert isinstance(found, Address), found
    row = syntax.examine(pl.Series([cell])).row(0, named=True)
    assert (row["local"], row["domain"], row["needs_smtputf8"]) == (found.local, found.domain, found.needs_smtputf8)
    return found


@pytest.mark.parametrize(
    ("unicode", "ascii_form"),
    [
        ("bücher.de", "xn--bcher-kva.de"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("BÜCHER.DE", "xn--bcher-kva.de"),
        ("faß.de", "xn--fa-hia.de"),
        ("مثال.السعودية", "xn--mgbh0fb.xn--mgberp4a5d4ar"),
        ("דוגמה.ישראל", "xn--6dbbec0c.xn--4dbrk0ce"),
        ("उदाहरण.भारत", "xn--p1b6ci4b4b3a.xn--h2brj9c"),
    ],
)
def test_a_domain_is_the_same_in_both_forms(unicode: str, ascii_form: str) -> None:
    assert accepted(f"ann@{unicode}").domain == ascii_form
    assert not accepted(f"ann@{unicode}").needs_smtputf8


@pytest.mark.parametrize(
    "local", ["jörg", "用户", "юзер", "δοκιμή", "उपयोगकर्ता", "مستخدم", "משתמש", "ユーザー", "사용자", "ผู้ใช้", "อีเมล์"]
)
def test_a_local_part_in_any_script_needs_smtputf8(local: str) -> None:
    found = accepted(f"{local}@example.org")
    assert found.needs_smtputf8
    assert found.local == unicodedata.normalize("NFC", local)
    verdict = verify(f"{local}@example.org", depth="offline")
    assert "eai" in verdict.flags
    assert verdict.status is not Status.undeliverable


def test_a_local_part_may_mix_scripts_and_directions() -> None:
    for local in ("аnn", "ann用户", "مستخدمann", "ann.משתמש"):
        assert accepted(f"{local}@example.org").local == local


def test_spellings_of_one_character_are_one_address() -> None:
    composed, decomposed = "jörg@example.org", "jo\u0308rg@example.org"
    assert composed != decomposed
    assert accepted(composed).text == accepted(decomposed).text
    assert accepted("ann@büchér.de").domain == accepted("ann@bu\u0308che\u0301r.de").domain


@pytest.mark.parametrize(
    "cell",
    [
        "ann\u200b@example.org",  # zero-width space
        "ann\u202e@example.org",  # right-to-left override
        "\u0301ann@example.org",  # a mark without a letter
        "ann\ufeffb@example.org",
        "ann\ue000@example.org",  # private use
        "ann@exam\u200dple.org",
        "ann\u00a0b@example.org",
        "ann\u2028b@example.org",
        "ann@1.אב.com",  # RFC 5893: a label may not begin with a digit beside right-to-left ones
    ],
)
def test_unsafe_characters_are_refused(cell: str) -> None:
    assert isinstance(parse(cell), SyntaxProblem)
    assert verify(cell, depth="offline").reason is Reason.syntax_invalid


@pytest.mark.parametrize(
    "local",
    [
        "vorname.nachname",
        "v.nachname",
        "nachname.v",
        "vorname_nachname",
        "vorname-nachname",
        "o'brien",
        "max.mustermann1",
        "anna-lena.meyer-schulze",
        "dr.nachname",
        "j.r.r.tolkien",
        "x",
        "1",
    ],
)
def test_the_usual_shapes_of_names_are_ordinary(local: str) -> None:
    verdict = verify(f"{local}@firma-beispiel.de", depth="offline")
    assert verdict.reason is Reason.not_probed
    assert verdict.suggestion is None
    assert not {"role", "no_reply", "local_part_unlikely", "odd_dots"} & set(verdict.flags)


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("mx.firma.co.uk", "firma.co.uk"),
        ("mail.empresa.com.br", "empresa.com.br"),
        ("mx1.kaisha.co.jp", "kaisha.co.jp"),
        ("mx.city.kawasaki.jp", "city.kawasaki.jp"),
        ("mail.acme.com.au", "acme.com.au"),
        ("mx.xn--bcher-kva.xn--p1ai", "xn--bcher-kva.xn--p1ai"),
    ],
)
def test_suffixes_of_several_labels_come_from_the_public_suffix_list(host: str, owner: str) -> None:
    assert operator_of(host).name == owner
