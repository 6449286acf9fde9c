"""Every list of every tool is written as its fixture file shows."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from mailvet.exports.destinations import LISTS, destinations
from tests.exports.conftest import COLUMNS, Hand

FIXTURES = Path(__file__).parent / "fixtures"
LISTS_OF_TOOLS = [(tool.name, kind) for tool in destinations().values() for kind in tool.lists]


@pytest.mark.parametrize(("to", "kind"), LISTS_OF_TOOLS)
def test_the_file_is_the_fixture(to: str, kind: str, hand: Hand, crm: Path) -> None:
    form = destinations()[to].lists[kind]
    columns = COLUMNS.get(to, {}) if kind == "contacts" else {}
    result = hand(to, f"list{form.ending}", kind=kind, columns=columns)
    written = crm.with_name(f"list{form.ending}").read_text("utf-8")
    assert written == (FIXTURES / f"{to}.{kind}{form.ending}").read_text("utf-8")
    assert result.written + sum(result.left_out.values()) == result.rows == 15
    assert list(result.files.values()) == [result.written]


def test_every_format_names_its_page_and_the_day_it_was_read() -> None:
    for tool in destinations().values():
        assert set(tool.lists) <= set(LISTS)
        for form in tool.lists.values():
            assert form.page.startswith("https://")
            assert date(2026, 1, 1) < date.fromisoformat(form.date)


def test_every_fixture_belongs_to_a_format() -> None:
    expected = {f"{to}.{kind}{destinations()[to].lists[kind].ending}" for to, kind in LISTS_OF_TOOLS}
    assert {path.name for path in FIXTURES.iterdir()} == expected


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_gmail_addresses_are_hashed_as_google_documents_for_its_data_manager(hand: Hand, crm: Path) -> None:
    hand("google-data-manager", "list.jsonl")
    body = json.loads(crm.with_name("list.jsonl").read_text())
    hashes = [member["userData"]["userIdentifiers"][0]["emailAddress"] for member in body["audienceMembers"]]
    # The two examples of Google's page.
    assert hashes[1:3] == [sha256("cloudysanfrancisco@gmail.com"), sha256("user.name+nyc@example.com")]
    assert body["encoding"] == "HEX"


def test_customer_match_keeps_dots_and_suffixes(hand: Hand, crm: Path) -> None:
    hand("google-customer-match", "list.csv")
    lines = crm.with_name("list.csv").read_text().splitlines()
    assert lines[:3] == ["Email", sha256("ann@gmail.com"), sha256("cloudy.sanfrancisco+shopping@gmail.com")]


def test_a_blank_is_never_hashed(hand: Hand, crm: Path) -> None:
    hand("google-customer-match", "list.csv", columns={"Last Name": "last_name"}, among=["send", "reverify"])
    text = crm.with_name("list.csv").read_text()
    assert sha256("") not in text
    assert f"{sha256('later@example.org')}," in text.splitlines()
