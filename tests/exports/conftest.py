"""A verified table whose rows show every rule of a hand-over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from mailvet.exports.export import ExportResult, export
from mailvet.settings import Settings
from mailvet.warehouse.opening import open_table
from tests.warehouse.answers import answers

Hand = Callable[..., ExportResult]

PEOPLE: tuple[tuple[str | None, str, str, str | None], ...] = (
    (" Ann@Gmail.com ", "Ann", "Lee", "mailbox_accepted"),
    ("cloudy.sanfrancisco+shopping@gmail.com", "Cloud, y", 'San "F"', "mailbox_accepted"),
    ("user.name+NYC@Example.com", "Zoë", "=1+1", "mailbox_accepted"),
    ("müller@example.de", "Jürgen", "Müller", "mailbox_accepted"),
    ('"odd one"@example.de', "Odd", "One", "mailbox_accepted"),
    ("bob@bücher.example", "Bob", "+49 170 1234567", "mailbox_accepted"),
    ("a.nn@gmail.com", "Ann again", "Lee", "mailbox_accepted"),
    (None, "Nothing", "", None),
    ("gone@example.org", "Gone", "", "mailbox_not_found"),
    ("stop@example.org", "Stop", "", "suppressed"),
    ("Stop@example.org", "Stop", "twice", "mailbox_accepted"),
    ("later@example.org", "Later", "", "not_probed"),
    ("nothing", "No address", "", "syntax_invalid"),
    ("=1+1@example.org", "Formula", "", "mailbox_accepted"),
    ("new@example.org", "New", "", None),
)
"""Cell, first name, last name, reason of the verdict or None without one."""

COLUMNS = {
    "mailchimp": {"First Name": "first_name", "Last Name": "last_name"},
    "brevo": {"FIRSTNAME": "first_name"},
    "hubspot": {"First Name": "first_name"},
    "klaviyo": {"First Name": "first_name"},
    "sendgrid": {"first_name": "first_name"},
    "ses": {"topicPreferences.News": "topic"},
    "salesforce": {"First Name": "first_name", "Last Name": "last_name"},
    "customerio": {"first_name": "first_name"},
    "google-customer-match": {"First Name": "first_name", "Country": "country"},
    "linkedin": {"firstname": "first_name", "country": "country"},
}


def make_people(path: Path) -> None:
    with duckdb.connect(str(path)) as db:
        db.execute(
            "create table contacts (id integer, email varchar, first_name varchar, last_name varchar, "
            "topic varchar default 'OPT_IN', country varchar default 'DE')"
        )
        for number, (cell, first, last, _) in enumerate(PEOPLE, 1):
            db.execute(
                "insert into contacts (id, email, first_name, last_name) values ($1, $2, $3, $4)",
                [number, cell, first, last],
            )
    warehouse = open_table(path, "contacts", "email")
    try:
        warehouse.open_for_writing()
        warehouse.save(answers({str(cell): reason for cell, _, _, reason in PEOPLE if reason is not None}, score=95))
    finally:
        warehouse.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "crm.duckdb"
    make_people(path)
    return path


@pytest.fixture
def crm(made: Path, tmp_path: Path) -> Path:
    """The database of these people."""
    return Path(shutil.copy(made, tmp_path / "crm.duckdb"))


@pytest.fixture
def hand(crm: Path) -> Hand:
    """Hand the table over: the tool, the name of the file, and the options of `export`."""

    def work(to: str, name: str, *, where: str | None = None, settings: Settings | None = None, **more: Any) -> Any:
        chosen = settings or Settings.load(depth="smtp")
        warehouse = open_table(crm, "contacts", "email", where=where, writable=False, updatable=False)
        try:
            return export(warehouse, chosen, to=to, output=crm.parent / name, **more)
        finally:
            warehouse.close()

    return work
