"""No domain is two things: providers, relays, misspelt providers and disposable domains are told apart."""

from __future__ import annotations

from mailvet.data import lists
from mailvet.reference import domains

GREAT = (
    "gmail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "icloud.com",
    "gmx.de",
    "web.de",
    "qq.com",
    "mail.ru",
    "aol.com",
)


def test_great_providers_are_never_disposable() -> None:
    assert not set(GREAT) & domains.disposable_domains()
    assert not set(lists.suggestion_targets()) & domains.disposable_domains()
    assert set(GREAT) - {"gmx.de"} <= domains.free_domains() | domains.mail_domains()


def test_relay_aliases_are_not_disposable() -> None:
    assert {
        "duck.com",
        "mozmail.com",
        "privaterelay.appleid.com",
        "simplelogin.com",
        "anonaddy.me",
    } <= lists.relay_domains()
    assert not lists.relay_domains() & domains.disposable_domains()


def test_misspelt_providers_are_typos_and_nothing_else() -> None:
    typos = lists.typo_domains().keys()
    for other in (domains.disposable_domains(), domains.free_domains(), domains.mail_domains(), lists.relay_domains()):
        assert not typos & other


def test_real_providers_are_not_disposable_and_branches_of_free_ones_are_free() -> None:
    real = (
        "royal.net",
        "sify.com",
        "email.net",
        "manchmal.in-ulm.de",
        "in-ulm.de",
        "mail.by",
        "att.net",
        "comcast.net",
        "mail.ru",
    )
    assert [name for name in real if name in domains.disposable_domains()] == []
    branches = ("aol.es", "hotmail.cz", "gmx.it", "posteo.net", "zoho.eu")
    assert [name for name in branches if name not in domains.free_domains()] == []


def test_suffixes_with_subscribers_below_them_are_not_disposable() -> None:
    assert not {"pp.ua", "eu.org", "duckdns.org", "za.com", "edu.pl", "ddns.net"} & domains.disposable_domains()
