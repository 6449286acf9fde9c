"""The verdict table of Spark: one rule for what replaces what, in DataFrames, in MERGE, and as DuckDB has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from mailvet import spark as mv
from mailvet.errors import SettingsError, SourceError
from mailvet.spark.staging import Folder
from mailvet.spark.tables import _old, empty_verdicts, merged, verdict_ddl
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import verdict_schema
from tests.spark.two_runs import KNOWN, as_duckdb_saves, rows_of, two_runs


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return as_duckdb_saves(tmp_path_factory.mktemp("duckdb"))


def test_dataframes_are_merged_as_duckdb_saves(spark: Any, expected: list[dict[str, Any]]) -> None:
    known, fresh = (spark.createDataFrame(run) for run in two_runs())
    assert {row["email"]: row["reason"] for row in expected}["kept@a.test"] == "mailbox_accepted"
    assert rows_of(merged(known, fresh)) == expected


def test_an_older_answer_replaces_nothing(spark: Any, expected: list[dict[str, Any]]) -> None:
    known, fresh = (spark.createDataFrame(run) for run in two_runs())
    again = rows_of(merged(merged(known, fresh), known))
    assert [(row["email"], row["reason"]) for row in again] == [(row["email"], row["reason"]) for row in expected]


def test_the_merge_for_delta_and_iceberg_does_the_same(expected: list[dict[str, Any]]) -> None:
    known, fresh = two_runs()
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        for name, run in (("known", known), ("fresh", fresh)):
            db.register("given", run)
            db.execute(
                f"create table {name} as select * replace (checked_at::timestamp as checked_at, "
                "next_check_at::timestamp as next_check_at) from given"
            )
        for _ in range(2):  # a MERGE that is sent again changes nothing
            db.execute(mv.merge_sql("known", "fresh"))
            assert rows_of(db.sql("from known").to_arrow_table()) == expected


def test_spark_and_databricks_can_read_the_merge(spark: Any) -> None:
    statement = mv.merge_sql("delta.`/data/verdicts`", "fresh")
    plan = spark._jsparkSession.sessionState().sqlParser().parsePlan(statement)
    assert plan.getClass().getSimpleName() in ("MergeIntoTable", "UnresolvedMergeIntoTable")
    assert isinstance(sqlglot.parse_one(statement, dialect="databricks"), sqlglot.exp.Merge)


@pytest.mark.parametrize("format", ["delta", "iceberg"])
def test_a_session_without_the_extension_is_told_so(spark: Any, format: Any) -> None:
    with pytest.raises(SettingsError, match=f"cannot write {format} tables"):
        mv.save(empty_verdicts(spark), "verdicts_of_spark", format=format)


def test_a_parquet_table_grows_and_keeps_what_is_known(
    spark: Any, tmp_path: Path, expected: list[dict[str, Any]]
) -> None:
    table = tmp_path / "verdicts"
    for run in two_runs():
        saved = mv.save(spark.createDataFrame(run), table)
    assert rows_of(saved) == rows_of(mv.read_verdicts(spark, table)) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts"]


def test_a_parquet_table_of_an_older_version_is_read_and_upgraded(spark: Any, tmp_path: Path) -> None:
    from tests.warehouse.answers import answers

    cells = {"D.ots+x@gmail.com": "mailbox_accepted", "": "syntax_invalid", "none": "syntax_invalid"}
    older = answers(cells).drop_columns(["mailbox_key"])
    spark.createDataFrame(older).write.parquet(str(tmp_path / "verdicts"))
    known = {row["email"]: row["mailbox_key"] for row in mv.read_verdicts(spark, tmp_path / "verdicts").collect()}
    assert known == {"D.ots+x@gmail.com": mailbox_key("dots@gmail.com"), "": None, "none": None}
    saved = mv.save(spark.createDataFrame(answers({"new@a.test": "mailbox_accepted"})), tmp_path / "verdicts")
    assert {row["email"]: row["mailbox_key"] for row in saved.collect()} == {
        "D.ots+x@gmail.com": mailbox_key("dots@gmail.com"),
        "none": None,
        "new@a.test": mailbox_key("new@a.test"),
    }


def test_a_table_whose_replacement_was_interrupted_is_found_again(spark: Any, tmp_path: Path) -> None:
    folder = Folder.of(tmp_path / "verdicts")
    mv.save(spark.createDataFrame(two_runs()[0]), tmp_path / "verdicts")
    folder.move_to(_old(folder))  # the machine died here, before the new table was put in its place
    assert mv.read_verdicts(spark, tmp_path / "verdicts").count() == len(KNOWN)


def test_a_failed_save_leaves_the_table_as_it_was(spark: Any, tmp_path: Path) -> None:
    mv.save(spark.createDataFrame(two_runs()[0]), tmp_path / "verdicts")
    names = [name for name in verdict_schema().names if name != "status"]
    broken = spark.createDataFrame(two_runs()[1]).selectExpr(*names, "raise_error('no more disk') as status")
    with pytest.raises(Exception, match="no more disk"):
        mv.save(broken, tmp_path / "verdicts")
    assert mv.read_verdicts(spark, tmp_path / "verdicts").count() == len(KNOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts"]


def test_parquet_in_an_object_store_is_refused(spark: Any) -> None:
    with pytest.raises(SettingsError, match="cannot be replaced at once"):
        mv.save(empty_verdicts(spark), "s3://bucket/verdicts")


def test_a_folder_of_something_else_is_left_alone(spark: Any, tmp_path: Path) -> None:
    spark.range(3).write.parquet(str(tmp_path / "orders"))
    with pytest.raises(SourceError, match="no table of verdicts"):
        mv.save(empty_verdicts(spark), tmp_path / "orders")
    assert spark.read.parquet(str(tmp_path / "orders")).count() == 3


def test_the_columns_are_those_of_the_verdict_table(spark: Any) -> None:
    assert empty_verdicts(spark).columns == verdict_schema().names
    assert verdict_ddl().startswith("email_key string, email string")


def test_status_columns_are_replaced_and_nobody_is_lost(spark: Any) -> None:
    verdicts = spark.createDataFrame(two_runs()[0])
    frame = spark.createDataFrame(
        [(1, "kept@a.test", "x"), (2, "kept@a.test", "x"), (3, "stranger@a.test", "x"), (4, None, "x")],
        "id int, email string, mailvet_reason string",
    )
    rows = mv.with_status(frame, "email", verdicts, columns=["reason", "score"]).orderBy("id").collect()
    assert [(row["id"], row["mailvet_reason"]) for row in rows] == [
        (1, "mailbox_accepted"),
        (2, "mailbox_accepted"),
        (3, None),
        (4, None),
    ]
    assert rows[0].asDict().keys() == {"id", "email", "mailvet_reason", "mailvet_score"}
    with pytest.raises(SettingsError, match="no status column 'email'"):
        mv.with_status(frame, "email", verdicts, columns=["email"])
