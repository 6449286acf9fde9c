"""Names of functions are roles, in many languages, and names of people are not."""

# ruff: noqa: E501 - tables of cases

from __future__ import annotations

import pytest

from mailvet.reference import roles

NAMES = """
    anna maria john peter paul michael thomas stefan christian martin klaus julia laura sarah lisa lena sophie emma leon
    lukas max david daniel alexander tim tom ben nick chris sam kim lee ann bob bill jim joe jack harry george james
    william grace faith hope joy rose lily april may june summer dean dale clay grant mark miles rob ray roy skip art
    gene chase hunter parker carter taylor mason jean jacques michel alain marc guy claire lea jose juan luis pedro pablo
    diego jesus rosario dolores mercedes pilar carmen sol luz paz consuelo ana rita marta joao rui mario luigi giovanni
    marco luca sven lars ole erik karin jana eva petr pavel marek piotr pawel jan zofia ewa mehmet ahmet ali emre can
    deniz onur onay ivan olga elena vera nadia yuki ren hina akira mei wei li wang ming jun min jin raj amit neha asha
    omar hassan fatima nour reza sina dara smith johnson cook page price bell hall bishop king marshall porter farmer
    fisher turner wright day church temple vogel richter kaiser fuchs berg stein wald bach stark garden woods rivers hill
    """.split()  # noqa: SIM905


def test_a_persons_name_is_no_role() -> None:
    assert set(NAMES) & roles.role_names() <= {"church"}


ROLES = """
    info postmaster abuse sales support kontakt contacto vendas ventas commercial biuro iletisim buchhaltung accueil
    segreteria administratie kundservice asiakaspalvelu obchod uctovnictvo ertekesites contabilitate racunovodstvo
    muhasebe zakaz eigyo kefu lienhe layanan büro
    """.split()  # noqa: SIM905


@pytest.mark.parametrize("role", ROLES)
def test_roles_of_many_languages_are_known(role: str) -> None:
    assert role in roles.role_names()


ROLES_OF_COMPANIES = """
    billing admins administrators all-staff gdpr devops crm announcements accountant advisor hr it ceo
    """.split()  # noqa: SIM905


@pytest.mark.parametrize("role", ROLES_OF_COMPANIES)
def test_a_function_is_a_role_at_a_company_anywhere(role: str) -> None:
    assert roles.is_role(role, "acme.com")
    assert roles.is_role(role, "acme.de")


@pytest.mark.parametrize(
    "name", ["insa", "gift", "appel", "haber", "press", "page", "dean", "sac", "jp", "it", "ceo", "mail"]
)
@pytest.mark.parametrize("domain", ["gmail.com", "gmx.de", "pobox.com", "fastmail.com"])
def test_names_and_initials_of_people_are_no_roles_at_a_mailbox_provider(name: str, domain: str) -> None:
    assert not roles.is_role(name, domain)


@pytest.mark.parametrize(
    ("name", "spoken", "elsewhere"),
    [
        ("sac", ("acme.com.br", "acme.es", "acme.pt"), ("acme.com", "acme.de", "acme.co.uk")),
        ("drh", ("acme.fr", "acme.be"), ("acme.com", "acme.de", "acme.it")),
        ("dpo", ("acme.com", "acme.fr", "acme.it"), ("acme.jp", "acme.pl")),
        ("tax", ("acme.com", "acme.co.uk"), ("acme.de", "acme.fr")),
    ],
)
def test_three_letters_are_a_role_only_where_their_language_is_spoken(
    name: str, spoken: tuple[str, ...], elsewhere: tuple[str, ...]
) -> None:
    assert [domain for domain in spoken if not roles.is_role(name, domain)] == []
    assert [domain for domain in elsewhere if roles.is_role(name, domain)] == []


@pytest.mark.parametrize("name", ["mail", "hello", "me", "hi"])
def test_a_greeting_is_less_of_a_role_than_info(name: str) -> None:
    assert not roles.is_role(name, "annlee.me")
    assert name in roles.weak_role_names()
    assert roles.is_role("info", "annlee.me")
