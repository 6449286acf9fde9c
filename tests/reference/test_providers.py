"""Who runs the mail servers of a domain."""

from __future__ import annotations

import re

import pytest

from mailvet.data.operators import Operator, local_parts, mailbox_domains, odd_dot_domains, operators
from mailvet.reference.providers import is_likely_local_part, operator_of


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
        assert operator.mx_suffixes or operator.domains, operator.name
        assert operator.source
        assert re.fullmatch(r"\d{4}-\d\d", operator.date)
        for name in (*operator.mx_suffixes, *operator.domains):
            assert host.fullmatch(name), name
        for country in operator.countries:
            assert re.fullmatch(r"[A-Z]{2}", country)


ISO_3166 = re.findall(
    "..",
    (
        "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCR"
        "CUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHU"
        "IDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQ"
        "MRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSI"
        "SJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"
    ),
)


def test_the_table_covers_the_world() -> None:
    countries = {country for operator in operators() for country in operator.countries}
    assert len(operators()) >= 250
    assert len(countries) >= 100
    assert countries <= set(ISO_3166)


def test_an_operator_known_by_its_mailbox_domain_owns_the_hosts_below_it() -> None:
    assert by_name("cyta").mx_suffixes == ()
    assert operator_of("mail.cytanet.com.cy").name == "cyta"


def test_an_mx_suffix_goes_before_a_mailbox_domain() -> None:
    assert operator_of("a.mail.protection.outlook.com").name == "microsoft365"


def test_a_row_without_mx_hosts_says_so() -> None:
    for operator in operators():
        assert ("MX hosts not known" in operator.source) == (not operator.mx_suffixes), operator.name


# --- local parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "domain", "likely"),
    [
        ("ann.lee", "gmail.com", True),
        ("a.n.n.l.e.e", "gmail.com", True),
        ("annle", "gmail.com", False),  # five
        ("a.n.n.l.e", "gmail.com", False),  # dots do not count
        ("a" * 30, "gmail.com", True),
        ("a" * 31, "gmail.com", False),
        ("ann_lee", "googlemail.com", False),
        ("ann_lee", "outlook.com", True),
        ("ann!lee", "outlook.com", False),
        ("ann.lee", "yahoo.com", True),
        ("9ann", "yahoo.com", False),
        ("fables_drones_0p", "icloud.com", True),
        ("03.grazing-papal", "icloud.com", True),
        ("me", "icloud.com", False),
        ("vorname.nachname", "gmx.de", True),
        ("10001", "qq.com", True),
        ("0123", "qq.com", False),
        ("ann.lee", "163.com", False),
        ("ann.lee", "naver.com", False),
        ("ann.lee", "mail.ru", True),
        ("ann-lee", "yandex.ru", True),
        ("ann..lee", "docomo.ne.jp", True),
        ("ann.", "ezweb.ne.jp", True),
        ("1ann", "docomo.ne.jp", False),
        ("x", "example.com", True),
    ],
)
def test_a_local_part_is_likely_where_the_operator_gives_out_such(local: str, domain: str, likely: bool) -> None:
    assert is_likely_local_part(local, domain) is likely


def test_every_rule_on_local_parts_has_a_source_and_belongs_to_an_operator() -> None:
    domains = [domain for row in local_parts() for domain in row.domains]
    assert len(domains) == len(set(domains))
    assert set(domains) <= mailbox_domains()
    for row in local_parts():
        assert row.meaning
        assert row.source
        assert row.sure in ("published", "recalled")


def test_the_carriers_that_gave_out_odd_dots_are_japanese() -> None:
    assert odd_dot_domains() >= {"docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "vodafone.ne.jp"}
    assert {operator.countries for operator in operators() if operator.odd_dots} == {("JP",)}
