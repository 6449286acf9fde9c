"""Tasks whose worker dies in the first attempt. Workers import this, so it imports nothing of the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from mailvet.spark.worker import Job

__all__ = ["DyingJob"]


@dataclass(frozen=True)
class DyingJob(Job):
    """Task 0 dies when half of its file is written, the others when they have written all and told nobody."""

    def _judged(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        for verdicts in super()._judged(batches):
            half = verdicts.num_rows // 2
            yield verdicts.slice(0, half)
            if _task() == 0:
                _die_at_first()
            yield verdicts.slice(half)

    def keep(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for kept in super().keep(batches):
            _die_at_first()
            yield kept


def _task() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return context.partitionId()


def _die_at_first() -> None:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    if context.attemptNumber() == 0:
        os.kill(os.getpid(), signal.SIGKILL)
