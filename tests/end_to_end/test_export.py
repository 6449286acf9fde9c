"""`mailvet export`: what it prints, its exit codes and its JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.conftest import Done
from tests.exports.conftest import make_people

Call = Callable[..., Done]


def test_a_list_is_written_and_told(here: Path, mailvet_command: Call) -> None:
    make_people(here / "crm.duckdb")
    (here / "mailvet.toml").write_text('[exports.mailchimp.columns]\n"First Name" = "first_name"\n')
    source = ("crm.duckdb", "--table", "contacts", "--to", "mailchimp", "--output", "news.csv")
    done = mailvet_command("export", *source)
    assert done.code == 0, done.err
    assert "4 of 15 rows" in done.out
    assert "non_ascii_local_part" in done.out
    assert (here / "news.csv").read_text().splitlines()[:2] == ["Email Address,First Name", "Ann@gmail.com,Ann"]
    again = mailvet_command("export", *source, "--changes-since", "news.csv.manifest.json", "--json")
    found = json.loads(again.out)
    assert (found["written"], found["changes"]) == (4, {"added": 0, "changed": 0, "removed": 0})
    assert "@" not in again.out


def test_mistakes_are_told_as_options(here: Path, mailvet_command: Call) -> None:
    make_people(here / "crm.duckdb")
    done = mailvet_command("export", "crm.duckdb", "--table", "contacts", "--to", "mailchump", "--output", "n.csv")
    assert done.code == 2
    assert "--to mailchump: no such destination is known" in " ".join(done.err.split())
    done = mailvet_command(
        "export", "crm.duckdb", "--table", "contacts", "--to", "meta", "--output", "n.csv", "--kind", "suppression"
    )
    assert done.code == 2
    assert "--kind suppression: Meta Custom Audiences takes contacts" in " ".join(done.err.split())
    assert sorted(path.name for path in here.iterdir()) == ["crm.duckdb"]
