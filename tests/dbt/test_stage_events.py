"""Senders' records in a warehouse mean in dbt what they mean to the import."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import duckdb
import polars as pl
import pytest

from mailvet.history.records import Event, Unusable, events_of, unwrapped
from mailvet.history.vocabulary import vendors
from tests.dbt.conftest import ROOT, WITHOUT_LISTS, DbtProject

NOW = datetime(2026, 12, 1, tzinfo=timezone.utc)
FIXTURES = ROOT / "tests" / "data" / "events"
LEVEL_A = sorted(name for name, vendor in vendors().items() if vendor.level == "A")


def records(vendor: str) -> list[Any]:
    cases = json.loads((FIXTURES / f"{vendor}.json").read_text("utf-8"))
    # A column holds one recipient: a loader makes several rows of a list of them.
    found = [record for case in cases for record in unwrapped(case["payload"]) if "bob@acme.example" not in str(record)]
    path = vendors()[vendor].record
    if path.endswith(".*"):
        return [next(iter(record[path[:-2]].values())) for record in found]
    return [record.get(path, record) if path else record for record in found]


def flat(record: Any, prefix: str = "") -> dict[str, str]:
    """Nested fields as columns a_b_c, of lists their first entry: what loaders make of JSON."""
    if isinstance(record, list):
        return flat(record[0], prefix) if record else {}
    if isinstance(record, dict):
        return {key: text for name, value in record.items() for key, text in flat(value, f"{prefix}{name}_").items()}
    if record is None:
        return {}
    return {prefix.rstrip("_"): str(record).lower() if isinstance(record, bool) else str(record)}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return {
        name: pl.from_dicts([flat(record) for record in records(name)], infer_schema_length=None) for name in LEVEL_A
    }


def load(project: DbtProject, tables: dict[str, pl.DataFrame]) -> None:
    with duckdb.connect(str(project.folder / "shop.duckdb")) as database:
        for name, table in tables.items():
            columns = [
                column.cast(pl.Float64) if column.drop_nulls().str.contains(r"^\d{9,}(\.\d+)?$").all() else column
                for column in table
                if column.name in ("timestamp", "ts", "time", "ts_epoch", "created")
            ]
            others = table.drop(column.name for column in columns)
            database.register("given", others.hstack(columns).to_arrow())
            database.execute(f"create table raw_{name} as select * from given")
            database.unregister("given")


def test_staged_records_are_the_events_of_the_import(
    make_project: Callable[..., DbtProject], tables: dict[str, pl.DataFrame]
) -> None:
    project = make_project("duckdb")
    load(project, tables)
    for name in LEVEL_A:
        relation = f"api.Relation.create(database='shop', schema='main', identifier='raw_{name}')"
        project.write(f"models/staged_{name}.sql", f"{{{{ mailvet.stage_events({relation}, '{name}') }}}}\n")
    project.built("run", *WITHOUT_LISTS, "--select", "staged_*")
    for name in LEVEL_A:
        found = project.rows(
            f"select email, event, echo, machine, topic, event_id, bounce_class, problem, occurred_at from "
            f"dbt.staged_{name}"
        )
        expected = [said for record in records(name) for said in events_of(record, name, now=NOW)]
        assert len(found) == len(expected), name
        for row, event in zip(found, expected, strict=True):
            if isinstance(event, Unusable):
                assert row[7] == event.why, (name, row, event)
                assert row[1] is None or event.why in ("no_time", "no_address"), (name, row, event)
                continue
            assert isinstance(event, Event)
            assert row[:2] == (event.email, str(event.event)), (name, row, event)
            assert row[2:4] == (int(event.echo), None if event.machine is None else int(event.machine)), (name, row)
            assert row[4] == event.topic, (name, row)
            assert row[5] == event.event_id or (event.event_id is not None and row[5] is None), (name, row)
            assert row[6] == event.bounce_class, (name, row)
            assert row[7] is None, (name, row)
            assert row[8].replace(tzinfo=timezone.utc) == event.occurred_at, (name, row)


def test_a_relation_without_the_columns_of_the_sender_is_refused(make_project: Callable[..., DbtProject]) -> None:
    project = make_project("duckdb")
    project.write("models/staged.sql", "{{ mailvet.stage_events(ref('contacts'), 'sendgrid') }}\n")
    said = project.refused("run", *WITHOUT_LISTS)
    assert "has no column for event of sendgrid" in said
    project.write("models/staged.sql", "{{ mailvet.stage_events(ref('contacts'), 'sendgird') }}\n")
    assert "sender is sendgird; choose one of ses, sendgrid" in project.refused("run", *WITHOUT_LISTS)


def test_kpis_count_people_and_no_echoes_by_kind_and_operator(make_project: Callable[..., DbtProject]) -> None:
    project = make_project("duckdb")
    with duckdb.connect(str(project.folder / "shop.duckdb")) as database:
        database.execute(
            "create table mailvet_events as select * from (values ('a', 'delivered', timestamp '2026-10-01', null, 0), "
            "('a', 'open', timestamp '2026-10-01', 1, 0), ('b', 'delivered', timestamp '2026-10-02', null, 0), "
            "('b', 'open', timestamp '2026-10-03', 0, 0), ('c', 'hard_bounce', timestamp '2026-10-02', null, 1), "
            "('d', 'hard_bounce', timestamp '2026-10-02', null, 0)) v(email_key, event, occurred_at, machine, echo)"
        )
        database.execute(
            "create table verdicts as select * from (values ('a', 'role', 'acme'), ('b', 'free', 'google'), "
            "('d', '', 'acme')) v(email_key, flags, operator)"
        )
    relation = "api.Relation.create(database='shop', schema='main', identifier='mailvet_events')"
    project.write("models/kpis.sql", f"{{{{ mailvet.kpis({relation}, by=['kind', 'operator']) }}}}\n")
    project.built("run", *WITHOUT_LISTS, "--select", "kpis", "--vars", '{"mailvet_verdict_table": "main.verdicts"}')
    rows = project.rows(
        "select kind, operator, messages, delivery_rate, open_rate, hard_bounces from dbt.kpis order by 1 nulls last"
    )
    assert rows == [
        ("company", "acme", 1, 0, None, 1),
        ("free", "google", 1, 1, 1, 0),
        ("role", "acme", 1, 1, 0, 0),
        (None, None, 0, None, None, 0),
    ]
