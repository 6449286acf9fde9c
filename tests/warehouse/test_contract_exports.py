"""A list that is handed over is the same from every database."""

from __future__ import annotations

import csv
from pathlib import Path

from mailvet.exports.export import export
from mailvet.settings import Settings
from tests.exports.conftest import PEOPLE
from tests.warehouse.answers import answers
from tests.warehouse.places import Place


def test_the_same_rows_go_and_stay_from_every_database(place: Place, tmp_path: Path) -> None:
    place.contacts(*(cell for cell, _, _, _ in PEOPLE))
    warehouse = place.opened()
    warehouse.open_for_writing()
    warehouse.save(answers({str(cell): reason for cell, _, _, reason in PEOPLE if reason is not None}, score=95))
    output = tmp_path / "list.csv"
    columns = {"Number": "id", "Country": "country"}
    result = export(warehouse, Settings.load(), to="mailchimp", output=output, columns=columns)
    with output.open(encoding="utf-8", newline="") as stream:
        rows = {row["Number"]: row for row in csv.DictReader(stream)}
    assert rows["2"] == {
        "Email Address": "cloudy.sanfrancisco+shopping@gmail.com",
        "Number": "2",
        "Country": "FR",
    }
    # Of two spellings of one mailbox either may come first where a table has no order.
    assert set(rows) in ({"1", "2", "3", "6"}, {"7", "2", "3", "6"})
    assert result.left_out == {
        "missing": 1,
        "unverified": 1,
        "not_recommended": 4,
        "no_address": 1,
        "formula": 1,
        "non_ascii_local_part": 1,
        "suppressed_mailbox": 1,
        "duplicate": 1,
    }
    again = export(warehouse, Settings.load(), to="mailchimp", output=output, columns=columns, max_bounce_rate="100%")
    assert again.written == 5  # the address that is to be verified again may be sent to
