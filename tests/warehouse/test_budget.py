"""A risk budget in every warehouse: the same audience as the rule in Python takes, and its lists."""

from __future__ import annotations

import csv
from pathlib import Path

from mailvet.scoring.budget import Address, Budget, choose, upper_end
from mailvet.verdict import email_key
from mailvet.vocabulary import Reason
from mailvet.warehouse.store import Warehouse
from tests.warehouse.answers import plan_of
from tests.warehouse.places import Place
from tests.warehouse.test_contract import saved

ACCEPTED = [f"a{number}@acme{number % 5}.test" for number in range(300)]
FREE = [f"f{number}@gmail.com" for number in range(100)]
UNPROBED = [f"n{number}@shop{number}.test" for number in range(60)]
BAD = ["gone@acme0.test", "gone@acme1.test"]
NEW = "new@acme0.test"
BUDGET = Budget(0.03)


def verified(place: Place) -> Warehouse:
    place.contacts(*ACCEPTED, *FREE, *UNPROBED, *BAD, NEW, "", None, UNPROBED[0], FREE[0])
    warehouse = place.opened()
    saved(warehouse, dict.fromkeys(ACCEPTED, "mailbox_accepted"), bounce_probability=0.01, operator="acme")
    saved(
        warehouse, dict.fromkeys(FREE, "mailbox_accepted"), bounce_probability=0.009, operator="g", flags="free,probed"
    )
    saved(warehouse, dict.fromkeys(UNPROBED, "not_probed"), bounce_probability=0.12)
    saved(warehouse, dict.fromkeys(BAD, "mailbox_not_found"), bounce_probability=0.0)
    plan_of(warehouse)
    return warehouse


def candidates() -> list[Address]:
    accepted, unprobed = Reason.mailbox_accepted, Reason.not_probed
    return [
        *(Address(email_key(text), upper_end(accepted, 0.01), text.partition("@")[2], "acme") for text in ACCEPTED),
        *(Address(email_key(text), upper_end(accepted, 0.009), None, "g", 1 + (text == FREE[0])) for text in FREE),
        *(
            Address(email_key(text), upper_end(unprobed, 0.12), text.partition("@")[2], None, 1 + (text == UNPROBED[0]))
            for text in UNPROBED
        ),
    ]


def test_every_database_takes_the_rows_that_python_takes(place: Place) -> None:
    found, expected = verified(place).choose(BUDGET), choose(candidates(), BUDGET)
    assert (found.rows, found.candidates) == (expected.rows, expected.candidates)
    assert 0 < found.rows < found.candidates
    assert found.last is not None
    assert expected.last is not None
    assert (found.last.key, found.last.probability) == (expected.last.key, expected.last.probability)


def test_the_list_to_send_to_is_the_audience_and_what_is_left_of_it_waits(place: Place, tmp_path: Path) -> None:
    warehouse = verified(place)
    chosen = warehouse.choose(BUDGET)
    parts = ("send", "reverify", "do_not_send")
    written = warehouse.export(
        tmp_path / "list.csv", ("recommendation",), split_by="recommendation", parts=parts, chosen=chosen
    )
    rows = {path.name.split(".")[1]: [row["email"] for row in csv.DictReader(path.open())] for path in written}
    assert len(rows["send"]) == chosen.rows
    assert len(rows["send"]) + len(rows["reverify"]) == chosen.candidates
    assert set(FREE) <= set(rows["send"])
    assert not {*BAD, NEW} & {*rows["send"], *rows["reverify"]}
    assert set(rows["do_not_send"]) == set(BAD)
    assert rows["unverified"] == [NEW]
    warehouse.export_tables(
        {"send": "list_send", "reverify": "list_reverify"}, ("recommendation",), key_columns=["id"], chosen=chosen
    )
    (counted,) = place.sql("select count(*) from list_send")
    assert counted[0] == chosen.rows


def test_a_source_that_was_never_verified_has_an_empty_audience(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    plan_of(warehouse)
    assert warehouse.choose(BUDGET).rows == 0
