"""What only the whole table shows, and what a report counts, on every database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.scoring.priors import bounce_probability
from mailvet.signals import scalar as signals_scalar
from mailvet.verdict import email_key
from mailvet.vocabulary import RULES_VERSION, Reason
from mailvet.warehouse.attribution import LayerCount
from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.store import Details, Summary, Warehouse
from tests.warehouse.answers import NO_LISTS, NOW, answers, later, plan_of, planned_source
from tests.warehouse.places import Place
from tests.warehouse.test_table_signals import contacts

HOUR = timedelta(hours=1)
Open = Callable[..., Warehouse]


@pytest.fixture
def table(place: Place) -> Open:
    """Make contacts(email, signed_up, source) of these rows and open it."""

    def make(rows: list[tuple[Any, ...]], **options: Any) -> Warehouse:
        place.close_warehouses()
        place.sql("drop table if exists contacts")
        place.sql(f"create table contacts (email {place.text}, signed_up {place.time}, source varchar(40))")
        values = ", ".join(
            f"({', '.join('null' if cell is None else literal(str(cell)) for cell in (*row, None, None)[:3])})"
            for row in rows
        )
        place.sql(f"insert into contacts values {values}")
        return place.opened(**options)

    return make


def plan(warehouse: Warehouse, now: datetime = NOW) -> Warehouse:
    plan_of(warehouse, depth_rank=2, now=now, rules_version=RULES_VERSION, listed=NO_LISTS)
    return warehouse


def signals(warehouse: Warehouse, *, signed_up: str | None = None) -> dict[str, tuple[int, bool, str | None]]:
    """After planning: series_size, burst and duplicate_of by due text."""
    planned_source(warehouse).find_signals(signed_up=signed_up, burst_window=HOUR)
    return {
        row["email"]: (row["series_size"], row["burst"], row["duplicate_of"])
        for batch in planned_source(warehouse).due(1_000)
        for row in batch.to_pylist()
    }


def saved(warehouse: Warehouse, reasons: dict[str, str], **changed: Any) -> Warehouse:
    warehouse.open_for_writing()
    warehouse.save(answers(reasons, **changed))
    return warehouse


def test_the_due_rows_bring_what_the_whole_table_shows(table: Open) -> None:
    rows = contacts(3_000)
    warehouse = plan(table(rows))
    found = signals(warehouse)
    expected = signals_scalar.examine_table(dict.fromkeys(text for text, _ in rows))
    assert {text: row[0] for text, row in found.items() if row[0]} == {
        text: one.series_size for text, one in expected.items() if one.series_size
    }
    assert {text: row[2] for text, row in found.items() if row[2]} == {
        text: one.duplicate_of for text, one in expected.items() if one.duplicate_of
    }
    assert sum(row[0] > 0 for row in found.values()) > 10
    assert sum(row[2] is not None for row in found.values()) > 10
    assert not any(row[1] for row in found.values())


def test_bursts_are_looked_for_in_the_column_that_is_named(table: Open) -> None:
    quiet = [(f"name{row}@company{row}.com", NOW.replace(tzinfo=None) - timedelta(days=row)) for row in range(400)]
    together = [(f"new{chr(97 + row)}@small.com", datetime(2026, 3, 3, 12)) for row in range(12)]
    found = signals(plan(table(quiet + together)), signed_up="Signed_Up")
    assert {text for text, row in found.items() if row[1]} == {text for text, _ in together}


def test_batches_say_nothing_of_signals_that_were_not_looked_for(table: Open) -> None:
    warehouse = plan(table([(f"till{number}@acme.com",) for number in range(9)]))
    rows = [row for batch in planned_source(warehouse).due(100) for row in batch.to_pylist()]
    shown = {(row.get("series_size", 0), row.get("burst", False), row.get("duplicate_of")) for row in rows}
    assert shown == {(0, False, None)}


def test_what_is_verified_already_counts_for_those_who_are_due(table: Open) -> None:
    tills = [f"till{number}@acme.com" for number in range(1, 7)]
    warehouse = table([(cell,) for cell in (*tills, "ann@outlook.com", "ann+news@outlook.com")])
    saved(warehouse, dict.fromkeys([*tills[:5], "ann@outlook.com"], "mailbox_accepted"))
    found = signals(plan(warehouse))
    assert found == {tills[5]: (6, False, None), "ann+news@outlook.com": (0, False, email_key("ann@outlook.com"))}


def test_signals_that_changed_are_seen_at_the_next_check(table: Open) -> None:
    tills = [f"till{number}@acme.com" for number in range(1, 7)]
    warehouse = saved(table([(cell,) for cell in tills]), dict.fromkeys(tills[:4], "mailbox_accepted"))
    assert set(signals(plan(warehouse))) == set(tills[4:])
    assert set(signals(plan(warehouse, now=later(days=61)))) == set(tills)


def test_a_condition_narrows_the_table_that_is_looked_at(table: Open) -> None:
    rows = [(f"till{number}@acme.com", None, "form") for number in range(1, 7)] + [("ann@acme.com", None, "shop")]
    assert signals(plan(table(rows, where="source = 'shop'"))) == {"ann@acme.com": (0, False, None)}
    narrowed = signals(plan(table(rows, where="email <> 'till3@acme.com'")))
    assert narrowed["till1@acme.com"][0] == 5


def details(warehouse: Warehouse, **options: Any) -> Details:
    return warehouse.details(NOW, **options)


@pytest.mark.parametrize(
    ("column", "said"), [("created", "there is no column created"), ("source", "holds no dates or times")]
)
def test_a_column_that_holds_no_times_is_named_before_anything_is_asked(table: Open, column: str, said: str) -> None:
    warehouse = plan(table([("ann@acme.com", NOW.replace(tzinfo=None), "shop")]))
    with pytest.raises(SettingsError, match=said):
        signals(warehouse, signed_up=column)


def test_times_written_as_text_in_a_file_are_read(tmp_path: Path) -> None:
    lines = [f"n{row}@c{row}.com,2025-{1 + row % 12:02}-{1 + row % 28:02} 08:00" for row in range(400)]
    lines += [f"new{chr(97 + row)}@small.com,2026-03-03 12:{row:02}" for row in range(12)]
    path = tmp_path / "list.csv"
    path.write_text("email,created_at\n" + "\n".join(lines))
    warehouse = DuckDBWarehouse.of_file(path, "email", tmp_path / "store.duckdb")
    try:
        found = signals(plan(warehouse), signed_up="created_at")
    finally:
        warehouse.close()
    assert sum(row[1] for row in found.values()) == 12


# -------------------------------------------------------------------- what a report counts


def test_each_row_counts_for_the_first_layer_that_found_something(table: Open) -> None:
    reasons = {
        "": "syntax_invalid",
        "nonsense": "syntax_invalid",
        "x@throw.away": "disposable",
        "y@gone.test": "null_mx",
        "z@throw.gone": "domain_not_found",
        "ann@acme.com": "mailbox_accepted",
        "bob@acme.com": "mailbox_not_found",
        "till1@acme.com": "greylisted",
    }
    rows = [(cell,) for cell in reasons]
    warehouse = table([*rows, ("nonsense",), ("ann@acme.com",), ("unknown@acme.com",)])
    saved(warehouse, reasons)
    seen = '[{"layer":"reference","fact":"disposable"}]'
    for cells, changed in (
        (("x@throw.away", "z@throw.gone"), {"evidence": seen}),
        (("till1@acme.com",), {"flags": "series,probed"}),
    ):
        saved(warehouse, {cell: reasons[cell] for cell in cells}, **changed)
    found = plan(warehouse).summary().by_layer
    assert found == {
        "syntax": LayerCount(1, 2, 2, 7, 3),
        "reference": LayerCount(2, 2, 1, 5, 2),
        "history": LayerCount(0, 0, 0, 5, 2),
        "route": LayerCount(1, 1, 1, 4, 1),
        "mailbox": LayerCount(1, 1, 1, 3, 0),
        "suspicion": LayerCount(1, 1, 0, 2, 0),
    }


def test_every_address_counts_for_the_bounces_to_expect_and_an_unverified_one_with_the_base_rate(table: Open) -> None:
    cells = [f"p{number}@acme.com" for number in range(20)]
    warehouse = table([(cell,) for cell in cells] + [(f"new{number}@acme.com",) for number in range(80)] + [("",)] * 5)
    saved(warehouse, dict.fromkeys(cells[:10], "mailbox_not_found"), score=1)
    saved(warehouse, dict.fromkeys(cells[10:16], "mailbox_accepted"), score=98)
    saved(warehouse, dict.fromkeys(cells[16:], "accept_all"), score=80)
    summary: Summary = plan(warehouse).summary()
    base = 100 * bounce_probability(Reason.not_probed)
    kept = 6 * 2 + 4 * 20
    assert (summary.rows, summary.verified, summary.unverified, summary.undeliverable_rate) == (105, 20, 80, 0.5)
    assert summary.bounce_before == pytest.approx((10 * 99 + kept + 80 * base) / 100 / 100)
    assert summary.bounce_without_do_not_send == pytest.approx((kept + 80 * base) / 90 / 100)
    assert summary.bounce_after == pytest.approx(0.02)


def test_rows_are_counted_by_what_is_known_and_by_how_often_a_text_stands(table: Open) -> None:
    warehouse = table([("p@acme.com",)] * 3 + [("q@acme.com",)] * 2 + [("new@acme.com",), ("",), (None,), (" \u200b",)])
    saved(warehouse, {"p@acme.com": "mailbox_accepted", "q@acme.com": "mailbox_accepted"}, score=98)
    saved(warehouse, {"q@acme.com": "mailbox_accepted"}, score=98, checked_at=NOW - timedelta(days=40))
    found = plan(warehouse).verdict_counts(stale_before=NOW - timedelta(days=30))
    fresh = ("deliverable", "mailbox_accepted", "send", 0.02)
    assert {(*dataclasses.astuple(group),) for group in found if not group.missing} == {
        (*fresh, False, False, 3, 9),
        (*fresh, True, False, 2, 4),
        (None, None, None, None, False, False, 1, 1),
    }
    assert sum(group.rows for group in found if group.missing) == 3


def test_only_what_is_to_be_verified_again_is_due_for_it(table: Open) -> None:
    warehouse = table([("p@acme.com", None, "form"), ("q@acme.com", None, "form"), ("r@acme.com", None, "shop")])
    saved(warehouse, {"p@acme.com": "mailbox_not_found"}, score=1, next_check_at=NOW)
    saved(warehouse, {"q@acme.com": "greylisted"}, score=88, next_check_at=NOW)
    found = details(plan(warehouse), by="source")
    assert (dict(found.due), dict(found.reverify_due)) == ({"overdue": 2}, {"overdue": 1})
    form, shop = found.sources
    assert (form.rows, form.unverified, shop.rows, shop.unverified) == (2, 0, 1, 1)
    assert [form.bounce, shop.bounce] == pytest.approx([(0.99 + 0.12) / 2, 0.12])


def test_details_count_operators_dates_and_sources(table: Open) -> None:
    rows = [(f"p{n}@acme.com", None, "form") for n in range(5)] + [("ann@other.com", None, "shop"), ("", None, "shop")]
    warehouse = table([*rows, ("p0@acme.com", None, "shop"), ("new@acme.com", None, None)])
    saved(warehouse, {f"p{n}@acme.com": "mailbox_accepted" for n in range(4)}, operator="acme.com", score=99)
    saved(warehouse, {"p4@acme.com": "mailbox_not_found"}, operator="acme.com", score=2)
    saved(warehouse, {"ann@other.com": "greylisted"}, operator="other.com", score=88)
    saved(warehouse, {"": "syntax_invalid"}, score=0)
    warehouse.save_run({"run_id": "1", "source": warehouse.name, "started_at": NOW, "finished_at": NOW, "checked": 7})
    warehouse.save_run({"run_id": "2", "source": warehouse.name, "started_at": later(hours=1)})
    warehouse.save_run({"run_id": "3", "source": "another", "started_at": later(hours=2), "finished_at": NOW})
    found = details(plan(warehouse), by="SOURCE")
    assert [(o.name, o.addresses, dict(o.by_status)) for o in found.operators] == [
        ("acme.com", 5, {"deliverable": 4, "undeliverable": 1}),
        ("other.com", 1, {"unknown": 1}),
    ]
    assert found.due == {"1 day": 1, "90 days": 4, "later": 1}
    assert [(s.value, s.rows, dict(s.by_recommendation), round(s.bounce, 4)) for s in found.sources] == [
        ("form", 5, {"do_not_send": 1, "send": 4}, 0.204),
        ("shop", 2, {"reverify": 1, "send": 1}, 0.065),
        ("", 1, {}, 0.12),
    ]
    assert found.last_run is not None
    assert found.last_run["run_id"] == "1"


def test_details_name_the_largest_and_count_the_rest(table: Open) -> None:
    cells = [f"p@c{number:02}.com" for number in range(20)]
    warehouse = table([(cell, None, cell) for cell in cells])
    for cell in cells:
        saved(warehouse, {cell: "mailbox_accepted"}, operator=cell.partition("@")[2])
    found = details(plan(warehouse), by="source")
    assert (len(found.operators), found.other_operators) == (12, 8)
    assert (len(found.sources), found.other_sources) == (12, 8)


def test_before_the_first_run_nothing_is_counted(table: Open) -> None:
    warehouse = plan(table([("ann@acme.com",), ("",)]))
    assert warehouse.summary() == Summary(2, 1, 0, {}, {}, {}, 0.12, None, 0.12, unverified=1)
    assert details(warehouse).operators == ()
    assert details(warehouse).last_run is None


def test_a_column_that_is_not_there_is_named(table: Open) -> None:
    warehouse = plan(saved(table([("ann@acme.com",)]), {"ann@acme.com": "greylisted"}))
    with pytest.raises(SourceError, match="no column campaign"):
        details(warehouse, by="campaign")
