"""What a task of Spark does, without Spark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from mailvet.lab import Lab
from mailvet.reference.own_lists import OwnLists
from mailvet.spark.staging import Folder
from mailvet.spark.worker import Job, Journal
from mailvet.verdict import email_key
from tests.probing import acme, asked, lab_settings
from tests.warehouse.answers import answers

CELLS = [f"person{number}@acme.test" for number in range(30)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(acme("postfix", *(cell.partition("@")[0] for cell in CELLS))) as running:
        yield running


def batches(address: str, *cells: str) -> Iterator[pa.RecordBatch]:
    """Cells with the route of acme.test beside them, ten at a time."""
    hosts = json.dumps([["mx.acme.test", 10, [address]]])
    for start in range(0, len(cells), 10):
        part = cells[start : start + 10]
        frame = pl.DataFrame(
            {
                "email": part,
                "email_key": [email_key(cell) for cell in part],
                "domain": "acme.test",
                "previous_reason": None,
                "previous_attempts": 0,
                "route_reason": None,
                "route_detail": None,
                "operator": "acme.test",
                "hosts": hosts,
            },
            schema_overrides={"previous_reason": pl.String, "route_reason": pl.String, "route_detail": pl.String},
        )
        yield from frame.to_arrow().to_batches()


def run(lab: Lab, folder: Path, *cells: str, **changed: object) -> dict[str, object]:
    """One task over the cells."""
    (address,) = {each.address for each in lab.world.hosts.values()}
    job = replace(Job(lab_settings(lab), OwnLists(), "run-1", answers=str(folder)), **changed)  # type: ignore[arg-type]
    return asyncio.run(job._ask(batches(address, *cells), Journal(Folder.of(folder), "run-1", 4, job.save_every)))


def test_a_task_that_is_tried_again_asks_only_who_has_no_answer_yet(lab: Lab, tmp_path: Path) -> None:
    Folder.of(tmp_path).make()
    lab.reset_counters()
    first = run(lab, tmp_path, *CELLS[:20])
    assert first["kept"] == 0
    assert set(CELLS[:20]) <= set(asked(lab))
    lab.reset_counters()
    second = run(lab, tmp_path, *CELLS)
    assert second["kept"] == 20
    assert not set(CELLS[:20]) & set(asked(lab))
    assert set(CELLS[20:]) <= set(asked(lab))


def test_what_an_earlier_try_asked_counts_against_the_daily_limit(lab: Lab, tmp_path: Path) -> None:
    Folder.of(tmp_path).make()
    settings = lab_settings(lab, pacing={"daily_limits": {"default": 12}})
    run(lab, tmp_path, *CELLS[:8], settings=settings)
    run(lab, tmp_path, *CELLS, settings=settings)
    reasons = pa.concat_tables(Folder.of(tmp_path).read("run-1", ["reason"]))["reason"].to_pylist()
    assert len(reasons) == 30
    assert 8 <= reasons.count("mailbox_accepted") <= 12


def test_answers_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = Folder.of(tmp_path / "answers")
    folder.make()
    assert not folder.exists()
    journal = Journal(folder, "run-1", 0, 3600.0)
    journal.add(answers({"ann@acme.test": "mailbox_accepted"}))
    assert not journal.is_time
    assert folder.names() == []
    journal.write()
    (tmp_path / "answers" / "_run-1-00000-half.parquet").write_bytes(b"PAR1")  # a writer died here
    assert journal.kept().keys == [email_key("ann@acme.test")]


def test_a_full_hand_is_written_at_once(tmp_path: Path) -> None:
    journal = Journal(Folder.of(tmp_path), "run-1", 0, 3600.0)
    journal.add(answers({f"p{number}@acme.test": "mailbox_accepted" for number in range(5)}))
    assert not journal.is_time
    journal._ROWS = 5
    assert journal.is_time


@pytest.mark.parametrize(
    ("given", "path", "uri"),
    [
        ("/data/x", "/data/x", "file:///data/x"),
        ("dbfs:/x", "/dbfs/x", "file:///dbfs/x"),
        ("/Volumes/main/x", "/Volumes/main/x", "/Volumes/main/x"),
        ("file:/data/x/", "/data/x", "file:/data/x"),
    ],
)
def test_arrow_and_spark_mean_the_same_folder(given: str, path: str, uri: str) -> None:
    folder = Folder.of(given)
    assert (folder._path, folder.uri) == (path, uri)
