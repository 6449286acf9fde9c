"""The verdict table as Delta Lake and as Apache Iceberg: what is saved, what replaces what, and who is asked again."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import mailvet
from mailvet import spark as mv
from mailvet.errors import SourceError
from mailvet.settings import Settings
from tests.spark.two_runs import KNOWN, as_duckdb_saves, rows_of, two_runs

CELLS = ["ann@gmail.com", "bob@gmial.com", "info@example.org", "bad@@x", "", None, "ann@gmail.com", "Ann@Gmail.com"]
SAME = ("email", "status", "reason", "recommendation", "score", "suggestion", "flags", "domain", "depth", "attempts")


@pytest.fixture(params=["delta", "iceberg"])
def format(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def table() -> str:
    return f"verdicts_{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return as_duckdb_saves(tmp_path_factory.mktemp("duckdb"))


def folder_of(warehouse: Path, table: str) -> Path:
    (found,) = warehouse.glob(f"{table}-*")
    return found


def versions(warehouse: Path, table: str) -> int:
    """How often the table was written, by what the format itself keeps on disk."""
    folder = folder_of(warehouse, table)
    logged = folder / "_delta_log"
    return len(list(logged.glob("*.json"))) or len(list((folder / "metadata").glob("*.metadata.json")))


def test_two_runs_end_as_duckdb_saves_them(
    spark: Any, format: Any, table: str, warehouse: Path, expected: list[dict[str, Any]]
) -> None:
    for run in two_runs():
        saved = mv.save(spark.createDataFrame(run), table, format=format)
    assert rows_of(saved) == rows_of(mv.read_verdicts(spark, table, format=format)) == expected
    assert (folder_of(warehouse, table) / {"delta": "_delta_log", "iceberg": "metadata"}[format]).is_dir()
    assert versions(warehouse, table) >= 2


def test_verdicts_that_are_sent_again_change_nothing(
    spark: Any, format: Any, table: str, expected: list[dict[str, Any]]
) -> None:
    for run in (*two_runs(), *two_runs()):
        saved = mv.save(spark.createDataFrame(run), table, format=format)
    assert rows_of(saved) == expected


def test_a_verification_is_saved_and_only_what_is_new_is_verified_again(spark: Any, format: Any, table: str) -> None:
    frame = spark.createDataFrame([(cell,) for cell in CELLS], "email string")
    mv.save(mv.verify(frame, "email", depth="offline"), table, format=format)
    first = {row["email"]: row.asDict() for row in mv.read_verdicts(spark, table, format=format).collect()}
    # What only shows over a whole table, no task of Spark's sees.
    settings = Settings.load(depth="offline", suspicion={"whole_table": False})
    alone = {row["email"]: row for row in mailvet.verify_many([*first], settings=settings).to_pylist()}
    assert set(first) == {cell for cell in CELLS if cell}
    assert {text: [row[name] for name in SAME] for text, row in first.items()} == {
        text: [row[name] for name in SAME] for text, row in alone.items()
    }

    more = spark.createDataFrame([(cell,) for cell in [*CELLS, "new@example.org"]], "email string")
    before = datetime.now(timezone.utc).replace(tzinfo=None)
    known = mv.read_verdicts(spark, table, format=format)
    mv.save(mv.verify(more, "email", depth="offline", verdicts=known), table, format=format)
    second = {row["email"]: row.asDict() for row in mv.read_verdicts(spark, table, format=format).collect()}
    assert second.pop("new@example.org")["checked_at"].replace(tzinfo=None) >= before
    assert {text: row["checked_at"] for text, row in second.items()} == {
        text: row["checked_at"] for text, row in first.items()
    }


def test_status_columns_stand_beside_every_row(spark: Any, format: Any, table: str) -> None:
    mv.save(spark.createDataFrame(two_runs()[0]), table, format=format)
    frame = spark.createDataFrame(
        [(1, "kept@a.test"), (2, "kept@a.test"), (3, "stranger@a.test"), (4, None)], "id int, email string"
    )
    verdicts = mv.read_verdicts(spark, table, format=format)
    rows = mv.with_status(frame, "email", verdicts, columns=["reason"]).orderBy("id").collect()
    assert [(row["id"], row["mailvet_reason"]) for row in rows] == [
        (1, "mailbox_accepted"),
        (2, "mailbox_accepted"),
        (3, None),
        (4, None),
    ]


def test_a_table_of_something_else_is_left_alone(spark: Any, format: Any, table: str) -> None:
    spark.sql(f"create table {table} (id int) using {format}")
    spark.sql(f"insert into {table} values (1), (2)")
    with pytest.raises(SourceError, match="no table of verdicts"):
        mv.save(spark.createDataFrame(two_runs()[0]), table, format=format)
    assert spark.table(table).count() == 2


def test_a_save_that_fails_leaves_the_table_as_it_was(spark: Any, format: Any, table: str, warehouse: Path) -> None:
    mv.save(spark.createDataFrame(two_runs()[0]), table, format=format)
    written = versions(warehouse, table)
    names = [name for name in spark.table(table).columns if name != "status"]
    broken = spark.createDataFrame(two_runs()[1]).selectExpr(*names, "raise_error('no more disk') as status")
    with pytest.raises(Exception, match="no more disk"):
        mv.save(broken, table, format=format)
    assert mv.read_verdicts(spark, table, format=format).count() == len(KNOWN)
    assert versions(warehouse, table) == written


def test_a_delta_table_is_one_to_a_reader_of_another_maker(spark: Any, table: str, warehouse: Path) -> None:
    mv.save(spark.createDataFrame(two_runs()[0]), table, format="delta")
    deltalake = pytest.importorskip("deltalake")
    found = deltalake.DeltaTable(str(folder_of(warehouse, table)))
    assert found.to_pyarrow_table().num_rows == len(KNOWN)
    assert json.loads(found.schema().to_json())["fields"][0]["name"] == "email_key"
