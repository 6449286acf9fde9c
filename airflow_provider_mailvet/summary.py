"""What a verification leaves in Airflow: counts, never an address, in less than 2 KB of JSON.

A verification that waited for greylisting servers ran in several attempts; `Attempts` adds them up and travels in the
trigger's event.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailvet import RunResult

__all__ = ["MOST_BYTES", "Attempts", "compact", "summarise"]

MOST_BYTES = 2000
_MOST_OPERATORS = 8
_CARRIED_OPERATORS = 40
_HEALTH_LENGTH = 300


@dataclass
class Attempts:
    """The work so far: plain JSON, kept in Airflow's metadata while the task waits."""

    started_at: str
    """ISO 8601, UTC: when the first attempt began."""
    count: int = 0
    due: int = 0
    seconds: float = 0.0
    checked: int = 0
    updates: int = 0
    """A row that was updated in two attempts counts twice."""
    probes: int = 0
    lookups: int = 0
    hello_name: str | None = None
    """What the first attempt called itself: a greylisting server lets in whom it has seen before."""
    operators: dict[str, list[Any]] = field(default_factory=dict)
    """By operator: accepted, refused, unclear, state."""

    def add(self, result: RunResult) -> None:
        """Count one attempt."""
        if self.count == 0:  # later attempts ask some of the same addresses again
            self.due = result.plan.due
            self.checked = result.checked
        self.count += 1
        self.seconds += result.seconds
        self.updates += result.written or 0
        self.probes += result.probes
        self.lookups += result.lookups
        states = {row.name: row.state for row in result.operators}
        for name, answers in result.replies.items():
            old = self.operators.get(name, [0, 0, 0, ""])
            # A later attempt asks those again who were unclear before.
            settled = answers.accepted + answers.refused
            unclear = answers.unclear if self.count == 1 else max(0, old[2] - settled)
            self.operators[name] = [old[0] + answers.accepted, old[1] + answers.refused, unclear, ""]
        for name, state in states.items():
            if name in self.operators:
                self.operators[name][3] = state
        busiest = sorted(self.operators, key=lambda name: -sum(self.operators[name][:3]))
        self.operators = {name: self.operators[name] for name in busiest[:_CARRIED_OPERATORS]}

    def as_dict(self) -> dict[str, Any]:
        """For the trigger."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Attempts:
        """What `as_dict` gave."""
        return cls(**values)


def summarise(
    result: RunResult, attempts: Attempts, *, conn_id: str, table: str, pending: int, next_check_at: datetime | None
) -> dict[str, Any]:
    """The XCom of a verification.

    :param result: of the last attempt; its summary counts the whole table.
    :param pending: addresses that a greylisting server asked to come back for.
    :param next_check_at: the earliest time to do so.
    """
    from mailvet import Reason
    from mailvet.sdk import REASONS

    found = result.summary
    layers: dict[str, int] = {}
    for word, rows in found.by_reason.items():
        layer = REASONS[Reason.stored(word)].layer
        if layer != "run":
            layers[layer] = layers.get(layer, 0) + rows
    return compact(
        {
            "mailvet": 1,
            "run_id": result.run_id,
            "source": result.source,
            "conn_id": conn_id,
            "table": table,
            "depth": result.depth,
            "policy": result.policy,
            "started_at": attempts.started_at,
            "seconds": round(attempts.seconds, 1),
            "rows": found.rows,
            "missing": found.missing,
            "addresses": result.plan.addresses,
            "due": attempts.due,
            "checked": attempts.checked,
            "updates": None if result.written is None else attempts.updates,
            "pending": pending,
            "next_check_at": next_check_at.isoformat(timespec="seconds") if next_check_at else None,
            "by_status": dict(found.by_status),
            "by_reason": dict(found.by_reason),
            "by_recommendation": dict(found.by_recommendation),
            "bounce_before": _rounded(found.bounce_before),
            "bounce_without_do_not_send": _rounded(found.bounce_without_do_not_send),
            "bounce_after": _rounded(found.bounce_after),
            "undeliverable_rate": _rounded(found.undeliverable_rate),
            "operators": [
                {
                    "name": name,
                    "asked": sum(row[:3]),
                    "accepted": row[0],
                    "refused": row[1],
                    "unclear": row[2],
                    "state": row[3],
                }
                for name, row in attempts.operators.items()
            ][:_MOST_OPERATORS],
            "probes": attempts.probes,
            "lookups": attempts.lookups,
            "health": result.degraded or "ok",
            "layers": layers,
        }
    )


def compact(summary: dict[str, Any]) -> dict[str, Any]:
    """The same within `MOST_BYTES`: the longest lists lose their smallest entries, and nothing else changes."""
    summary["health"] = summary["health"][:_HEALTH_LENGTH]
    while _size(summary) > MOST_BYTES and summary["operators"]:
        summary["operators"] = summary["operators"][:-1]
    while _size(summary) > MOST_BYTES and len(summary["by_reason"]) > 1:
        counts = dict(sorted(summary["by_reason"].items(), key=lambda item: (item[0] == "other", -item[1])))
        other = counts.pop("other", 0)
        smallest, rows = counts.popitem()
        summary["by_reason"] = counts | {"other": other + rows}
        if len(summary["by_reason"]) == 1 or smallest == "other":
            break
    return summary


def _size(summary: dict[str, Any]) -> int:
    return len(json.dumps(summary).encode())


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 5)
