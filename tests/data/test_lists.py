"""Reference data says where it comes from; the user's own lists are read strictly and named when they cannot be."""

# ruff: noqa: E501 - tables of cases

from __future__ import annotations

from pathlib import Path

import pytest

from mailvet.data import lists
from mailvet.errors import SettingsError
from mailvet.reference.own_lists import OwnList, OwnLists
from mailvet.syntax import parser

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


def test_every_list_says_what_it_is_and_where_it_comes_from() -> None:
    infos = lists.list_infos()
    assert {info.name for info in infos} >= {
        "roles",
        "typo_domains",
        "relay_aliases",
        "no_reply",
        "disposable-email-domains",
    }
    for info in infos:
        assert info.entries > 0
        assert info.source
        assert info.version
        assert info.licence
        assert info.date is None or len(info.date) == 10


def test_data_files_hold_no_entry_twice_and_only_clean_text() -> None:
    for name in (
        "no_reply",
        "relay_aliases",
        "typo_domains",
        "suggestion_targets",
        "ending_slips",
        "not_typos",
        "placeholders",
        "disposable_domains",
        "mailbox_providers",
        "free_domains",
    ):
        rows = lists._read(name).rows
        keys = [row[0] for row in rows]
        assert sorted(keys) == sorted(set(keys)), name
        assert all(key == key.strip().lower() for key in keys), name
    for language, names in lists._read("roles").rows:
        assert sorted(names.split()) == sorted(set(names.split())), language
        assert names == names.lower()
    languages = {language for language, _ in lists._read("roles").rows} - {"everywhere", "certain", "weak"}
    assert languages == {language for language, _ in lists._read("language_endings").rows}


def test_great_providers_are_never_disposable() -> None:
    assert not set(GREAT) & lists.disposable_domains()
    assert not set(lists.suggestion_targets()) & lists.disposable_domains()
    assert set(GREAT) - {"gmx.de"} <= lists.free_domains() | lists.mail_domains()


def test_relay_aliases_are_not_disposable() -> None:
    assert {
        "duck.com",
        "mozmail.com",
        "privaterelay.appleid.com",
        "simplelogin.com",
        "anonaddy.me",
    } <= lists.relay_domains()
    assert not lists.relay_domains() & lists.disposable_domains()


def test_misspelt_providers_are_typos_and_nothing_else() -> None:
    typos = lists.typo_domains().keys()
    for other in (lists.disposable_domains(), lists.free_domains(), lists.mail_domains(), lists.relay_domains()):
        assert not typos & other


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
    assert set(NAMES) & lists.role_names() <= {"church"}


ROLES = """
    info postmaster abuse sales support kontakt contacto vendas ventas commercial biuro iletisim buchhaltung accueil
    segreteria administratie kundservice asiakaspalvelu obchod uctovnictvo ertekesites contabilitate racunovodstvo
    muhasebe zakaz eigyo kefu lienhe layanan büro
    """.split()  # noqa: SIM905


@pytest.mark.parametrize("role", ROLES)
def test_roles_of_many_languages_are_known(role: str) -> None:
    assert role in lists.role_names()


ROLES_OF_COMPANIES = """
    billing admins administrators all-staff gdpr devops crm announcements accountant advisor hr it ceo
    """.split()  # noqa: SIM905


@pytest.mark.parametrize("role", ROLES_OF_COMPANIES)
def test_a_function_is_a_role_at_a_company_anywhere(role: str) -> None:
    assert lists.is_role(role, "acme.com")
    assert lists.is_role(role, "acme.de")


@pytest.mark.parametrize(
    "name", ["insa", "gift", "appel", "haber", "press", "page", "dean", "sac", "jp", "it", "ceo", "mail"]
)
@pytest.mark.parametrize("domain", ["gmail.com", "gmx.de", "pobox.com", "fastmail.com"])
def test_names_and_initials_of_people_are_no_roles_at_a_mailbox_provider(name: str, domain: str) -> None:
    assert not lists.is_role(name, domain)


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
    assert [domain for domain in spoken if not lists.is_role(name, domain)] == []
    assert [domain for domain in elsewhere if lists.is_role(name, domain)] == []


@pytest.mark.parametrize("name", ["mail", "hello", "me", "hi"])
def test_a_greeting_is_less_of_a_role_than_info(name: str) -> None:
    assert not lists.is_role(name, "annlee.me")
    assert name in lists.weak_role_names()
    assert lists.is_role("info", "annlee.me")


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
    assert [name for name in real if name in lists.disposable_domains()] == []
    branches = ("aol.es", "hotmail.cz", "gmx.it", "posteo.net", "zoho.eu")
    assert [name for name in branches if name not in lists.free_domains()] == []


def test_suffixes_with_subscribers_below_them_are_not_disposable() -> None:
    assert not {"pp.ua", "eu.org", "duckdns.org", "za.com", "edu.pl", "ddns.net"} & lists.disposable_domains()


def test_entries_are_addresses_domains_and_exact_domains() -> None:
    own = OwnLists.load(allow=["Ann@Acme.COM", "acme.com", "@bücher.de", " "], deny=["x.test"])
    assert own.allow == OwnList(frozenset({"ann@acme.com"}), frozenset({"acme.com"}), frozenset({"xn--bcher-kva.de"}))
    assert own.deny.domains == {"x.test"}
    assert not own.suppress
    assert own


def test_a_file_holds_one_entry_a_line(tmp_path: Path) -> None:
    file = tmp_path / "suppress.csv"
    file.write_bytes(
        b'\xef\xbb\xbfemail,reason\r\n"ann@x.com",unsubscribed\r\n# a comment\r\n\r\nacme.com;x # why\r\n@b.org\r\n'
    )
    own = OwnLists.load(suppress=[str(file), "bob@y.com"])
    assert own.suppress.addresses == {"ann@x.com", "bob@y.com"}
    assert own.suppress.domains == {"acme.com"}
    assert own.suppress.only_domains == {"b.org"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lists\.deny: the file .*gone\.txt cannot be read"):
        OwnLists.load(deny=[str(tmp_path / "gone.txt")])
    with pytest.raises(SettingsError, match=r"lists\.deny: the file gone\.csv cannot be read"):
        OwnLists.load(deny=["gone.csv"])


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not UTF-8"):
        OwnLists.load(allow=[str(file)])


@pytest.mark.parametrize(
    "entry", ["not a domain", "secret.name@@x.com", "@", "@-x.com", "com", "secret.name@x", "*.acme.com"]
)
def test_an_unreadable_entry_is_refused_without_showing_an_address(entry: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lists\.allow, entry 2") as caught:
        OwnLists.load(allow=["acme.com", entry])
    assert "secret.name" not in str(caught.value)
    file = tmp_path / "allow.txt"
    file.write_text(f"acme.com\nx.org\n{entry}\n", "utf-8")
    with pytest.raises(SettingsError, match=r"allow\.txt line 3") as caught:
        OwnLists.load(allow=[str(file)])
    assert "secret.name" not in str(caught.value)


def test_the_digest_changes_with_every_list_and_with_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("b.com\na.com\n", "utf-8")
    assert OwnLists().digest == ""
    assert OwnLists.load(allow=[str(file)]).digest == OwnLists.load(allow=["A.com", "b.com", "a.com"]).digest
    digests = {
        OwnLists.load(allow=["a.com"]).digest,
        OwnLists.load(deny=["a.com"]).digest,
        OwnLists.load(suppress=["a.com"]).digest,
        OwnLists.load(extra_disposable=["a.com"]).digest,
        OwnLists.load(allow=["@a.com"]).digest,
        OwnLists.load(allow=["a@a.com"]).digest,
        OwnLists.load(allow=["a.com", "b.com"]).digest,
    }
    assert len(digests) == 7
    assert all(len(digest) == 12 for digest in digests)


def test_placeholders_are_never_addresses() -> None:
    for text in lists.placeholders():
        assert isinstance(parser.parse(text), parser.SyntaxProblem)
