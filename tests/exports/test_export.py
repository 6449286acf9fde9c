"""Which rows go, what stands beside the list, and what is refused before anything is written."""

from __future__ import annotations

import csv
import dataclasses
import json
import stat
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.exports import destinations as known
from mailvet.exports.export import export
from mailvet.exports.selection import CAUSES
from mailvet.settings import Settings
from mailvet.verdict import email_key
from mailvet.warehouse.opening import open_table
from tests.exports.conftest import Hand


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_row_goes_or_is_listed_with_its_cause(hand: Hand, crm: Path) -> None:
    result = hand("mailchimp", "list.csv")
    left = rows_of(crm.with_name("list.csv.left_out.csv"))
    assert {row["row"]: row["cause"] for row in left} == {
        "4": "non_ascii_local_part",
        "5": "no_address",
        "7": "duplicate",
        "8": "missing",
        "9": "not_recommended",
        "10": "not_recommended",
        "11": "suppressed_mailbox",
        "12": "not_recommended",
        "13": "not_recommended",
        "14": "formula",
        "15": "unverified",
    }
    assert result.left_out == {cause: [row["cause"] for row in left].count(cause) for cause in result.left_out}
    assert set(result.left_out) == set(CAUSES) - {"over_budget"}
    assert {row["email"] for row in left} >= {"stop@example.org", "'=1+1@example.org"}


def test_a_mailbox_goes_once_in_its_first_spelling(hand: Hand, crm: Path) -> None:
    hand("brevo", "list.csv", where="email like 'a.nn%' or email like '%Ann%'")
    assert [row["EMAIL"] for row in rows_of(crm.with_name("list.csv"))] == ["Ann@gmail.com"]


def test_a_suppression_list_has_every_spelling(hand: Hand, crm: Path) -> None:
    result = hand("brevo", "list.csv", kind="suppression", among="do_not_send,send")
    written = {row["EMAIL"].lower() for row in rows_of(crm.with_name("list.csv"))}
    assert {"ann@gmail.com", "a.nn@gmail.com", "gone@example.org"} <= written
    assert result.left_out["duplicate"] == 1  # stop@ and Stop@ are one address to a tool


def test_the_manifest_holds_counts_and_hashes_and_no_address(hand: Hand, crm: Path) -> None:
    result = hand("mailchimp", "list.csv", columns={"First Name": "first_name"})
    text = crm.with_name("list.csv.manifest.json").read_text("utf-8")
    assert "@" not in text
    found = json.loads(text)
    assert (found["to"], found["kind"], found["policy"], found["rows"]) == ("mailchimp", "contacts", "marketing", 15)
    assert (found["written"], found["left_out"]) == (result.written, result.left_out)
    assert found["columns"] == ["Email Address", "First Name"]
    assert [entry["name"] for entry in (*found["files"], *found["beside"])] == ["list.csv", "list.csv.left_out.csv"]
    assert found["files"][0]["bytes"] == crm.with_name("list.csv").stat().st_size
    assert {len(entry["sha256"]) for entry in found["files"]} == {64}


def test_files_are_as_private_as_the_settings_say(hand: Hand, crm: Path) -> None:
    crm.chmod(0o640)
    hand("mailchimp", "list.csv", settings=Settings.load(output={"mode": "0600"}))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in crm.parent.glob("list.csv*")}
    assert modes == {0o600}


def test_a_daily_export_replaces_its_own_files_and_no_others(hand: Hand, crm: Path) -> None:
    hand("mailchimp", "list.csv")
    hand("mailchimp", "list.csv")
    crm.with_name("list.csv").write_text("Email Address\nkept@example.org\n")
    with pytest.raises(SourceError, match=r"list\.csv is there already and was not written by mailvet"):
        hand("mailchimp", "list.csv")
    assert "kept" in crm.with_name("list.csv").read_text()
    hand("mailchimp", "list.csv", overwrite=True)
    assert "kept" not in crm.with_name("list.csv").read_text()


def limited(monkeypatch: pytest.MonkeyPatch, to: str, **limits: Any) -> None:
    tool = known.destinations()[to]
    form = dataclasses.replace(tool.lists["contacts"], **limits)
    changed = dataclasses.replace(tool, lists={"contacts": form})
    monkeypatch.setattr("mailvet.exports.export.destination", lambda name: changed)


def test_a_list_with_more_rows_than_the_tool_takes_becomes_several_files(
    hand: Hand, crm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, "brevo", max_rows=2, max_bytes=None)
    result = hand("brevo", "list.csv")
    assert [(Path(name).name, rows) for name, rows in result.files.items()] == [
        ("list.1.csv", 2),
        ("list.2.csv", 2),
        ("list.3.csv", 1),
    ]
    assert not crm.with_name("list.csv").exists()
    found = [row["EMAIL"] for number in (1, 2, 3) for row in rows_of(crm.with_name(f"list.{number}.csv"))]
    assert len(found) == len(set(found)) == 5


@pytest.mark.parametrize("limit", [90, 128, 150])
def test_no_file_has_more_octets_than_the_tool_takes(
    limit: int, hand: Hand, crm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, "brevo", max_bytes=limit, max_rows=None)
    result = hand("brevo", "list.csv")
    assert len(result.files) > 1
    assert all(Path(name).stat().st_size <= limit for name in result.files)
    assert sum(result.files.values()) == result.written == 5


def test_requests_hold_no_more_members_than_the_tool_takes(
    hand: Hand, crm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, "google-data-manager", request_rows=4)
    hand("google-data-manager", "list.jsonl")
    bodies = [json.loads(line) for line in crm.with_name("list.jsonl").read_text().splitlines()]
    assert [len(body["audienceMembers"]) for body in bodies] == [4, 2]
    assert {body["encoding"] for body in bodies} == {"HEX"}


def test_a_list_too_short_for_the_tool_is_written_and_said(hand: Hand) -> None:
    assert any("at least 300 rows; this one has 6" in note for note in hand("linkedin", "list.csv").notes)


def test_columns_come_from_the_settings(hand: Hand, crm: Path) -> None:
    settings = Settings.load(exports={"mailchimp": {"columns": {"First Name": "first_name"}}})
    hand("mailchimp", "list.csv", settings=settings)
    assert rows_of(crm.with_name("list.csv"))[0] == {"Email Address": "Ann@gmail.com", "First Name": "Ann"}
    hand("mailchimp", "out.csv", settings=settings, kind="suppression")
    assert rows_of(crm.with_name("out.csv"))[0] == {"Email Address": "gone@example.org"}


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("mailchump", {}, "to='mailchump': no such destination is known; choose one of mailchimp, brevo"),
        ("meta", {"kind": "suppression"}, "kind='suppression': Meta Custom Audiences takes contacts"),
        ("brevo", {"among": ["sent"]}, "among='sent': choose from send, reverify, do_not_send"),
        ("brevo", {"among": ["do_not_send"]}, "such rows are no contacts to send to"),
        ("meta", {"columns": {"fn": "first_name"}}, "no place for 'fn'; it takes addresses alone"),
        ("linkedin", {"columns": {"name": "first_name"}}, "it takes: firstname, lastname"),
        ("sendgrid", {"columns": {"first name": "first_name"}}, r"names of columns there have the form \[A-Za-z0-9_\]"),
        ("brevo", {"columns": {"EMAIL": "email"}}, "EMAIL is written by mailvet"),
        ("brevo", {"columns": {"FIRSTNAME": "fist_name"}}, "There is no column fist_name in contacts in crm.duckdb"),
        ("brevo", {"settings": Settings.load(exports={"bravo": {}})}, r"exports\.bravo: no such destination is known"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(
    to: str, options: dict[str, Any], said: str, hand: Hand, crm: Path
) -> None:
    before = sorted(crm.parent.iterdir())
    with pytest.raises((SettingsError, SourceError), match=said):
        hand(to, "list.csv", **options)
    assert sorted(crm.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("list.parquet", "must end in .csv for this tool"),
        ("list.csv.gz", "must end in .csv for this tool"),
        ("nowhere/list.csv", "there is no folder"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, said: str, hand: Hand) -> None:
    with pytest.raises(SettingsError, match=said):
        hand("brevo", name)


def test_a_table_that_was_never_verified_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "new.duckdb")) as db:
        db.execute("create table contacts as select 'ann@example.com' as email")
    warehouse = open_table(tmp_path / "new.duckdb", "contacts", writable=False, updatable=False)
    try:
        with pytest.raises(SourceError, match=r"No address of contacts in new.duckdb has a verdict\. Verify it first"):
            export(warehouse, Settings.load(), to="brevo", output=tmp_path / "list.csv")
    finally:
        warehouse.close()
    assert [path.name for path in tmp_path.iterdir()] == ["new.duckdb"]


def test_who_was_handed_on_for_a_campaign_is_kept(crm: Path) -> None:
    def hand(**more: Any) -> None:
        warehouse = open_table(crm, "contacts", "email", updatable=False)
        try:
            export(warehouse, Settings.load(), to="mailchimp", output=crm.with_name("list.csv"), **more)
        finally:
            warehouse.close()

    hand(campaign="spring")
    with duckdb.connect(str(crm), read_only=True) as db:
        found = db.execute("select campaign, email_key from mailvet_sends").fetchall()
    sent = (
        " Ann@Gmail.com ",
        "cloudy.sanfrancisco+shopping@gmail.com",
        "user.name+NYC@Example.com",
        "bob@bücher.example",
    )
    assert {key for _, key in found} == {email_key(cell) for cell in sent}
    assert {name for name, _ in found} == {"spring"}
    with pytest.raises(SettingsError, match="is for contacts"):
        hand(campaign="spring", kind="suppression")
    with pytest.raises(SettingsError, match="The name of a campaign"):
        hand(campaign="")
