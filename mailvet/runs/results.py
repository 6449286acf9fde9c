"""What a run tells while it goes and when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mailvet.probing.pool import OperatorProgress
from mailvet.scoring.budget import Chosen
from mailvet.warehouse.store import Plan, Summary

__all__ = ["Progress", "ReplyCounts", "RunResult", "Watcher"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    due: int
    done: int
    seconds: float
    operators: Sequence[OperatorProgress]

    @property
    def rate(self) -> float:
        """Addresses a second since the start."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    retry_in: float = 0.0
    """Seconds until the last of the recipients that a greylisting server put off is asked again."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end; None before there is a rate.

        The slowest operator is through with its queue then, the last retry has been made, and the rest is done at the
        rate so far.
        """
        if not self.done:
            return None
        if self.done >= self.due:
            return 0.0
        queues = max((row.seconds_left for row in self.operators), default=0.0)
        return max((self.due - self.done) / self.rate, queues, self.retry_in)


class Watcher(Protocol):
    """Is told how a run goes."""

    def planned(self, source: str, plan: Plan) -> None:
        """What the run is about to do."""

    def progressed(self, progress: Progress) -> None:
        """Called a few times a second."""


@dataclass(frozen=True, slots=True)
class ReplyCounts:
    """What the mail servers of one operator replied, counted in addresses."""

    accepted: int = 0
    refused: int = 0
    """The servers named the recipient as the fault."""
    unclear: int = 0
    """Temporary, refusals of us, or no reply at all: they say nothing of the mailbox."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did, and how the source stands after it."""

    run_id: str
    source: str
    depth: str
    policy: str
    plan: Plan
    summary: Summary
    checked: int
    """Addresses verified in this run."""
    written: int | None
    """Rows of the source whose status columns changed; None when nothing was written back."""
    probes: int
    """Recipients named to mail servers in this run."""
    lookups: int
    """Domains looked up in this run."""
    seconds: float
    degraded: str | None
    """What was wrong with this machine or its network; None when nothing was."""
    operators: Sequence[OperatorProgress] = ()
    outputs: Sequence[Path] = field(default=())
    uploaded: Sequence[str] = field(default=())
    """URLs of the files written to an object store; those are not among `outputs`."""
    replies: Mapping[str, ReplyCounts] = field(default_factory=dict)
    """What the mail servers said in this run, by operator."""
    audience: Chosen | None = None
    """The rows of the list to send to, where a risk budget chose them."""
    notes: Sequence[str] = ()
    """What the reader should know although nothing is wrong, in sentences."""
