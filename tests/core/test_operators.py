"""Who runs the mail servers of a domain."""

from __future__ import annotations

import re

import pytest

from mailvet.operators import Operator, mailbox_domains, operator_of, operators


def by_name(name: str) -> Operator:
    return next(operator for operator in operators() if operator.name == name)


@pytest.mark.parametrize(
    ("mx_host", "name"),
    [
        ("gmail-smtp-in.l.google.com", "google"),
        ("ASPMX.L.GOOGLE.COM.", "google"),
        ("smtp.google.com", "google"),
        ("example-com.mail.protection.outlook.com", "microsoft365"),
        ("example-com.p-v1.mx.microsoft", "microsoft365"),
        ("outlook-com.olc.protection.outlook.com", "outlook_com"),
        ("mta7.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "icloud"),
        ("mxs.mail.ru", "mail_ru"),
        ("mx3.qq.com", "qq"),
        ("mxbiz1.qq.com", "qq"),
        ("163mx01.mxmail.netease.com", "netease"),
        ("mx.yandex.net", "yandex"),
        ("mx00.emig.gmx.net", "gmx"),
        ("mx-ha02.web.de", "gmx"),
        ("mx00.t-online.de", "t_online"),
        ("mx1.mail.ovh.net", "ovh"),
        ("mx0a-00012345.pphosted.com", "proofpoint"),
        ("eu-smtp-inbound-1.mimecast.com", "mimecast"),
        ("d12345a.ess.barracudanetworks.com", "barracuda"),
        ("mx1.hc1234-56.iphmx.com", "cisco"),
        ("mx01.hornetsecurity.com", "hornetsecurity"),
        ("mx.antispamcloud.com", "spamexperts"),
        ("cluster1.eu.messagelabs.com", "messagelabs"),
        ("example.in.tmes.trendmicro.eu", "trendmicro"),
    ],
)
def test_an_mx_host_belongs_to_the_operator_of_its_suffix(mx_host: str, name: str) -> None:
    assert operator_of(mx_host).name == name


def test_a_suffix_fits_on_label_boundaries_only() -> None:
    assert operator_of("mx.notgoogle.com").name == "notgoogle.com"
    assert operator_of("mx.google.com.example.org").name == "example.org"


def test_the_longest_suffix_wins() -> None:
    assert operator_of("a.olc.protection.outlook.com").name == "outlook_com"
    assert operator_of("a.mail.protection.outlook.com").name == "microsoft365"


@pytest.mark.parametrize(
    ("mx_host", "name"),
    [
        ("mx1.mail.example.co.uk", "example.co.uk"),
        ("mail.example.org", "example.org"),
        ("customer.herokuapp.com", "herokuapp.com"),  # the private section of the list does not split a hoster
        ("localhost", "localhost"),
        ("co.uk", "co.uk"),
    ],
)
def test_an_unlisted_host_is_named_after_its_registrable_domain(mx_host: str, name: str) -> None:
    operator = operator_of(mx_host)
    assert (operator.name, operator.answers) == (name, "mixed")
    assert operator.domains == ()


def test_outlook_takes_one_recipient_per_conversation() -> None:
    assert by_name("outlook_com").recipients_per_session == 1
    assert not by_name("outlook_com").pipelining


@pytest.mark.parametrize("name", ["yahoo", "mail_ru", "qq"])
def test_operators_whose_answers_say_nothing_are_marked(name: str) -> None:
    assert by_name(name).answers in ("accepts_all", "unverifiable")


@pytest.mark.parametrize(
    "name",
    [
        "proofpoint",
        "mimecast",
        "barracuda",
        "cisco",
        "trendmicro",
        "hornetsecurity",
        "spamexperts",
        "messagelabs",
    ],
)
def test_filters_in_front_of_other_servers_are_gateways(name: str) -> None:
    assert by_name(name).answers == "gateway"
    assert by_name(name).domains == ()


def test_the_providers_own_mailbox_domains_are_protected() -> None:
    expected = {"gmail.com", "googlemail.com", "outlook.com", "yahoo.co.uk", "icloud.com", "gmx.de", "web.de", "qq.com"}
    assert expected <= mailbox_domains()
    assert "example.com" not in mailbox_domains()


def test_names_suffixes_and_domains_are_unique() -> None:
    for values in (
        [operator.name for operator in operators()],
        [suffix for operator in operators() for suffix in operator.mx_suffixes],
        [domain for operator in operators() for domain in operator.domains],
    ):
        assert len(values) == len(set(values))


def test_every_row_is_well_formed() -> None:
    host = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}")
    for operator in operators():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", operator.name), operator.name
        assert operator.label
        assert operator.mx_suffixes, operator.name
        assert operator.source
        assert re.fullmatch(r"\d{4}-\d\d", operator.date)
        for name in (*operator.mx_suffixes, *operator.domains):
            assert host.fullmatch(name), name
        for country in operator.countries:
            assert re.fullmatch(r"[A-Z]{2}", country)


def test_the_table_covers_the_world() -> None:
    countries = {country for operator in operators() for country in operator.countries}
    assert len(operators()) >= 120
    assert len(countries) >= 40
