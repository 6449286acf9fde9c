"""What changed since the last export: added, changed and removed rows, against the files of that time."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.warehouse.opening import open_table
from tests.exports.conftest import Hand
from tests.exports.test_export import rows_of
from tests.warehouse.answers import answers

COLUMNS = {"FIRSTNAME": "first_name"}


def change(crm: Path) -> None:
    """One contact is gone, one has another name, one is new."""
    with duckdb.connect(str(crm)) as db:
        db.execute("delete from contacts where id = 3")
        db.execute("update contacts set first_name = 'Robert' where id = 6")
        db.execute("insert into contacts (id, email, first_name) values (16, 'fresh@example.org', 'Fresh')")
    warehouse = open_table(crm, "contacts", "email")
    warehouse.open_for_writing()
    warehouse.save(answers({"fresh@example.org": "mailbox_accepted"}, score=95))
    warehouse.close()


@pytest.mark.parametrize("same_name", [True, False])
def test_added_changed_and_removed_rows_have_files_of_their_own(same_name: bool, hand: Hand, crm: Path) -> None:
    hand("brevo", "last.csv", columns=COLUMNS)
    change(crm)
    name = "last.csv" if same_name else "now.csv"
    result = hand("brevo", name, columns=COLUMNS, changes_since=crm.with_name("last.csv.manifest.json"))
    assert result.changes == {"added": 1, "changed": 1, "removed": 1}
    found = {word: rows_of(crm.with_name(f"{name[:-4]}.{word}.csv")) for word in result.changes}
    assert found == {
        "added": [{"EMAIL": "fresh@example.org", "FIRSTNAME": "Fresh"}],
        "changed": [{"EMAIL": "bob@xn--bcher-kva.example", "FIRSTNAME": "Robert"}],
        "removed": [{"EMAIL": "user.name+NYC@example.com", "FIRSTNAME": "Zoë"}],
    }
    assert len(rows_of(crm.with_name(name))) == result.written == 5


def test_nothing_changed_is_three_empty_files(hand: Hand, crm: Path) -> None:
    hand("brevo", "last.csv", columns=COLUMNS)
    result = hand("brevo", "last.csv", columns=COLUMNS, changes_since=crm.with_name("last.csv.manifest.json"))
    assert result.changes == {"added": 0, "changed": 0, "removed": 0}
    assert crm.with_name("last.added.csv").read_text() == "EMAIL,FIRSTNAME\n"


@pytest.mark.parametrize(
    ("to", "kind", "ending"),
    [
        ("google-data-manager", "contacts", "jsonl"),
        ("sendgrid", "suppression", "jsonl"),
        ("ses", "suppression", "csv"),
        ("google-customer-match", "contacts", "csv"),
    ],
)
def test_lists_are_compared_in_every_form(to: str, kind: str, ending: str, hand: Hand, crm: Path) -> None:
    name = f"list.{ending}"
    hand(to, name, kind=kind)
    with duckdb.connect(str(crm)) as db:
        db.execute("delete from contacts where id in (3, 9)")
    result = hand(to, name, kind=kind, changes_since=crm.with_name(f"{name}.manifest.json"))
    assert result.changes == {"added": 0, "changed": 0, "removed": 1}


def test_a_last_export_that_cannot_be_compared_with_is_refused(hand: Hand, crm: Path) -> None:
    last = crm.with_name("last.csv.manifest.json")
    with pytest.raises(SourceError, match="there is no such file"):
        hand("brevo", "now.csv", changes_since=last)
    hand("brevo", "last.csv")
    with pytest.raises(SettingsError, match="is of brevo, contacts; this export is of klaviyo, contacts"):
        hand("klaviyo", "now.csv", changes_since=last)
    with pytest.raises(SettingsError, match=r"is of other columns \(EMAIL\)"):
        hand("brevo", "now.csv", changes_since=last, columns=COLUMNS)
    with pytest.raises(SourceError, match="is no manifest of an export"):
        hand("brevo", "now.csv", changes_since=crm.with_name("last.csv"))
    crm.with_name("last.csv").write_text("EMAIL\n")
    with pytest.raises(SourceError, match=r"last\.csv, which the manifest .* was changed since"):
        hand("brevo", "now.csv", changes_since=last)
    crm.with_name("last.csv").unlink()
    with pytest.raises(SourceError, match="is missing"):
        hand("brevo", "now.csv", changes_since=last)
    assert not crm.with_name("now.csv").exists()


def test_a_manifest_without_the_expected_fields_is_no_manifest(hand: Hand, crm: Path) -> None:
    odd = crm.with_name("odd.json")
    odd.write_text(json.dumps({"files": []}))
    with pytest.raises(SourceError, match="is no manifest"):
        hand("brevo", "now.csv", changes_since=odd)
