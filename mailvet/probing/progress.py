"""What each operator is doing at the moment, for people who watch a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailvet.probing.queues import OperatorQueue

__all__ = ["OperatorProgress", "progress_of"]


@dataclass(frozen=True, slots=True)
class OperatorProgress:
    """What one operator is doing, for people who watch."""

    name: str
    asked: int
    waiting: int
    connections: int
    state: str
    seconds_left: float = 0.0
    """Expected time until its queue is empty, at the pace it has had; 0 where nothing waits."""


def progress_of(operators: Iterable[OperatorQueue], longest_reply: float) -> list[OperatorProgress]:
    """What each operator is doing, the busiest first; no reply takes longer than `longest_reply` seconds."""
    rows = []
    for queue in operators:
        if queue.pace.stopped:
            state = f"stopped: {queue.pace.stopped}"
        elif queue.pace.pause_left() > 0:
            state = f"pausing {queue.pace.pause_left():.0f} s"
        elif queue.connections:
            state = f"{queue.connections} of {queue.pace.limit} connections"
        else:
            state = "waiting" if queue.waiting else "done"
        left = queue.seconds_left(longest_reply)
        rows.append(OperatorProgress(queue.rule.name, queue.asked, queue.waiting, queue.connections, state, left))
    return sorted(rows, key=lambda row: (-row.waiting - row.connections, -row.asked))
