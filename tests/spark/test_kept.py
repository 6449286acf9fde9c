"""Verdicts that workers write themselves: the same as elsewhere, each once, whatever becomes of a worker."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import mailvet
from mailvet import spark as mv
from mailvet.lab import Lab, default_world
from mailvet.lab.contacts import contact_table
from mailvet.settings import Settings
from mailvet.spark import job
from mailvet.spark.staging import Folder
from mailvet.spark.worker import Job
from mailvet.syntax.missing import is_missing
from tests.dns.name_servers import in_thread, split_horizon
from tests.probing import lab_settings
from tests.spark.conftest import addresses, crowd
from tests.spark.dying import DyingJob

SAME = (
    "email",
    "status",
    "reason",
    "recommendation",
    "score",
    "suggestion",
    "flags",
    "domain",
    "operator",
    "mx_host",
    "depth",
    "evidence",
    "attempts",
    "rules_version",
)
OFFLINE = Settings.load(depth="offline", suspicion={"whole_table": False})
BLANK = [None, "", " ", None, "", "ann@customer-0.test", "ANN@customer-0.test", "ann@customer-0.test"]


def frame_of(spark: Any, cells: Sequence[str | None]) -> Any:
    return spark.createDataFrame([(cell,) for cell in cells], "email string").repartition(4)


def rows_of(verdicts: Any) -> list[dict[str, Any]]:
    table = verdicts.toArrow() if not isinstance(verdicts, pa.Table) else verdicts
    return sorted(table.select(SAME).to_pylist(), key=lambda row: str(row["email"]))


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".crc")}


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    with Lab(default_world(7)) as running:
        yield running


@pytest.mark.parametrize("depth", [pytest.param("offline", marks=pytest.mark.slow), "dns"])
def test_workers_write_what_one_process_answers(spark: Any, world: Lab, tmp_path: Path, depth: str) -> None:
    cells = [*contact_table(default_world(7), 400)["email"].to_pylist(), *BLANK]
    settings = lab_settings(world, depth=depth, suspicion={"whole_table": False})
    verdicts = mv.verify(frame_of(spark, cells), "email", settings=settings, staging=tmp_path, tasks=3)
    distinct = list(dict.fromkeys(cell for cell in cells if not is_missing(cell)))
    expected = rows_of(mailvet.verify_many(distinct, settings=settings))
    assert rows_of(verdicts) == expected
    assert len({row["reason"] for row in expected}) >= (5 if depth == "offline" else 10)


def test_offline_without_a_folder_is_a_plan_with_the_same_answers(spark: Any, tmp_path: Path) -> None:
    frame = frame_of(spark, [*addresses(), *BLANK])
    planned = mv.verify(frame, "email", settings=OFFLINE)
    assert rows_of(planned) == rows_of(mv.verify(frame, "email", settings=OFFLINE, staging=tmp_path))
    assert planned.inputFiles() == []


@pytest.mark.parametrize("depth", ["offline", "dns"])
def test_a_worker_that_dies_loses_nothing_and_leaves_nothing_behind(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: str
) -> None:
    monkeypatch.setattr(job, "Job", DyingJob)
    cells = [*addresses(), *BLANK]
    with Lab(crowd()) as lab:
        settings = lab_settings(lab, depth=depth)
        verdicts = mv.verify(frame_of(spark, cells), "email", settings=settings, staging=tmp_path / "s", tasks=3)
        read = Counter(row["email"] for row in rows_of(verdicts))
        saved = mv.save(verdicts, tmp_path / "verdicts")
    assert read == Counter({cell for cell in cells if not is_missing(cell)})
    assert Counter(row["email"] for row in rows_of(saved)) == read
    written = files_in(tmp_path / "s" / "answers")
    assert {Path(name).name for name in verdicts.inputFiles()} == written
    assert files_in(tmp_path / "verdicts") == written


def test_a_route_is_looked_up_once_whichever_task_has_its_addresses(spark: Any, tmp_path: Path) -> None:
    cells = [*addresses(), *(f" {cell.upper()}\t" for cell in addresses())]
    with Lab(crowd()) as lab:
        settings = lab_settings(lab, depth="dns")
        verdicts = mv.verify(frame_of(spark, cells), "email", settings=settings, staging=tmp_path, tasks=3)
        reasons = {("nobody" in row["email"].lower(), row["reason"]) for row in rows_of(verdicts)}
        assert reasons == {(False, "not_probed"), (True, "no_reply")}
        times = {name: times for (name, kind), times in lab.dns_queries().items() if kind == "MX"}
    domains = {cell.partition("@")[2] for cell in addresses()}
    assert {name: times[name] for name in domains} == dict.fromkeys(domains, 1)


def test_only_a_crowded_domain_is_shared_among_tasks(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import functions as F

    monkeypatch.setattr(job, "_SAMPLED", 1)
    monkeypatch.setattr(job, "_CROWDED", 50)
    text = frame_of(spark, [*(f"p{number}@giant.test" for number in range(60)), *addresses()])
    placed = job._by_domain(text, text, 3).withColumn("task", F.spark_partition_id()).collect()
    together = [key for key, _ in itertools.groupby((row["email"].partition("@")[2], row["task"]) for row in placed)]
    assert len(together) == len(set(together)), "rows of a domain do not stand together"
    tasks: dict[str, set[int]] = {}
    for domain, task in together:
        tasks.setdefault(domain, set()).add(task)
    assert tasks.pop("giant.test") == {0, 1, 2}
    assert {len(each) for each in tasks.values()} == {1}
    assert set.union(*tasks.values()) == {0, 1, 2}


def test_a_stopped_verification_goes_on_with_what_no_file_holds(spark: Any, tmp_path: Path) -> None:
    frame = frame_of(spark, [*addresses(), *BLANK])
    with Lab(crowd()) as lab:
        settings = lab_settings(lab, depth="dns")
        first = mv.verify(frame, "email", settings=settings, staging=tmp_path, tasks=3)
        expected = rows_of(first)
        lost, *_ = sorted((tmp_path / "answers").glob("*.parquet"))
        lost.rename(tmp_path / "lost")  # its task had not ended when the driver died
        (tmp_path / "answers" / f"_{lost.name}").write_bytes(b"PAR1")
        kept = {row["email"]: row["run_id"] for row in spark.read.parquet(str(tmp_path / "answers")).collect()}
        again = mv.verify(frame, "email", settings=settings, staging=tmp_path, tasks=2)
        assert rows_of(again) == expected
        runs = {row["email"]: row["run_id"] for row in again.collect()}
    assert 0 < len(kept) < len(expected)
    assert {email: runs[email] for email in kept} == kept
    assert set(kept.values()).isdisjoint(run for email, run in runs.items() if email not in kept)


def test_verdicts_can_be_used_after_they_are_saved(spark: Any, tmp_path: Path) -> None:
    frame, table = frame_of(spark, ["ann@acme.com", "bob@acme.com", None]), tmp_path / "verdicts"
    verdicts = mv.verify(frame, "email", settings=OFFLINE, staging=tmp_path / "s", verdicts=table)
    saved = mv.save(verdicts, table)
    assert rows_of(saved) == rows_of(verdicts)
    assert files_in(table) == {Path(name).name for name in verdicts.inputFiles()}
    # And what was made of them is saved as it is, not as the files are.
    some = mv.save(verdicts.where("email <> 'bob@acme.com'"), tmp_path / "some")
    assert [row["email"] for row in rows_of(some)] == ["ann@acme.com"]
    twice = mv.save(verdicts, tmp_path / "some")
    assert [row["email"] for row in rows_of(twice)] == ["ann@acme.com", "bob@acme.com"]


def test_a_copy_that_fails_leaves_no_table(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = mv.verify(frame_of(spark, ["ann@acme.com"]), "email", settings=OFFLINE, staging=tmp_path / "s")
    (file,) = (tmp_path / "s" / "answers").glob("*.parquet")
    monkeypatch.setattr(Folder, "names", lambda self: [file.name] if self.name == "answers" else [])
    file.unlink()
    with pytest.raises(Exception, match=r"No such file|does not exist"):
        mv.save(verdicts, tmp_path / "verdicts")
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


def test_verdicts_whose_files_are_gone_are_saved_from_where_spark_keeps_them(spark: Any, tmp_path: Path) -> None:
    verdicts = mv.verify(frame_of(spark, ["ann@acme.com"]), "email", settings=OFFLINE, staging=tmp_path / "s").cache()
    assert verdicts.count() == 1
    (file,) = (tmp_path / "s" / "answers").glob("*.parquet")
    file.unlink()
    assert mv.save(verdicts, tmp_path / "verdicts").count() == 1


def test_a_table_without_rows_is_verified_too(spark: Any, tmp_path: Path) -> None:
    verdicts = mv.verify(frame_of(spark, []), "email", settings=OFFLINE, staging=tmp_path / "s")
    assert mv.save(verdicts, tmp_path / "verdicts").count() == 0


def test_no_route_is_made_up_when_dns_is_silent_on_an_executor(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_preflight", lambda settings: None)
    settings = Settings.load(dns={"nameservers": ["127.0.0.1"], "port": 9, "timeout": 0.1, "lifetime": 0.1})
    with pytest.raises(mailvet.errors.PreflightError, match="No DNS answers"):
        mv.verify(frame_of(spark, ["ann@acme.com"]), "email", depth="dns", settings=settings, staging=tmp_path)
    assert files_in(tmp_path / "answers") == set()


def test_a_resolver_that_finds_nothing_is_warned_of_and_makes_nobody_undeliverable(
    spark: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with in_thread(split_horizon, knows_controls=False) as server:
        settings = Settings.load(
            dns={"nameservers": [server.host], "port": server.port, "timeout": 0.5, "lifetime": 1.0}
        )
        verdicts = mv.verify(
            frame_of(spark, ["ann@acme.com", "bob@firm.org"]), "email", depth="dns", settings=settings, staging=tmp_path
        )
        assert {row["reason"] for row in verdicts.collect()} == {"dns_error"}
    assert "[dns] controls" in caplog.text


def test_the_table_engine_has_one_thread_in_a_worker(spark: Any) -> None:
    work = Job(OFFLINE, mailvet.reference.own_lists.OwnLists(), "run")

    def threads(batches: Any) -> Any:
        for _ in work.judge(batches):
            pass
        import polars as pl

        yield pa.RecordBatch.from_pydict({"threads": [pl.thread_pool_size()]})

    cells = frame_of(spark, ["ann@acme.com"]).selectExpr("email", "sha2(email, 256) as email_key").coalesce(1)
    assert [row["threads"] for row in cells.mapInArrow(threads, "threads long").collect()] == [1]
