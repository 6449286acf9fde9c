"""Rows that are put off come back, in order, all of them, and few are held in memory."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from mailvet.errors import MailvetError
from mailvet.verification import backlog as module
from mailvet.verification.backlog import Backlog


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Ten rows of memory, the rest in this directory."""
    monkeypatch.setattr(module, "_IN_MEMORY", 10)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def rows(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"email": [f"p{n}@acme.test" for n in numbers], "n": numbers, "none": [None] * len(numbers)})


@pytest.mark.parametrize("seed", range(5))
def test_every_row_comes_back_once_in_the_order_of_its_operator(room: Path, seed: int) -> None:
    rng = random.Random(seed)
    put: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    got: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    number = 0
    with Backlog() as backlog:
        for step in range(400):
            operator = rng.choice("aabc")
            if step < 300 and rng.random() < 0.6:
                some = range(number, number := number + rng.randint(1, 9))
                backlog.put(operator, rows(*some))
                put[operator] += some
            elif operator in backlog:
                most = rng.randint(1, 12)
                taken = backlog.take(operator, most)
                assert 1 <= taken.height <= most
                got[operator] += taken["n"].to_list()
            assert len(backlog) == sum(len(put[name]) - len(got[name]) for name in put)
            assert backlog.in_memory <= 10 + 9 + 3 * 19
        for operator in backlog:
            while operator in backlog:
                got[operator] += backlog.take(operator, 5)["n"].to_list()
        assert not backlog
        assert backlog.in_memory == 0
    assert got == put


def test_nothing_is_left_on_disk(room: Path) -> None:
    with Backlog() as backlog:
        for n in range(20):
            backlog.put("a", rows(*range(n * 5, n * 5 + 5)))
        assert list(room.rglob("*.arrow"))
    assert not list(room.iterdir())


def test_few_rows_need_no_disk(room: Path) -> None:
    with Backlog() as backlog:
        backlog.put("a", rows(*range(10)))
        assert not list(room.iterdir())


def test_a_full_disk_is_said_and_loses_nothing(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with Backlog() as backlog:
        monkeypatch.setattr(pl.DataFrame, "write_ipc", full)
        with pytest.raises(MailvetError, match=r"No space left on device.*TMPDIR"):
            backlog.put("a", rows(*range(20)))
        assert backlog.take("a", 100).height == 20
