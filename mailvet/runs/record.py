"""The identity of a run and its row of `mailvet_runs`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from mailvet.probing.pool import OperatorProgress
from mailvet.runs.results import RunResult
from mailvet.settings import Settings
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.store import Plan

__all__ = ["begun", "ended", "mailvet_version", "new_run_id"]

Row = dict[str, Any]


def new_run_id(started: datetime | None = None) -> str:
    """A name for a run that sorts by time, as `20261201T114201-0f3a9c2e`.

    Args:
        started: UTC; default: now.
    """
    started = started if started is not None else datetime.now(timezone.utc)
    return f"{started:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def mailvet_version() -> str:
    """The version of the installed package."""
    from mailvet import __version__

    return __version__


def begun(run_id: str, source: str, started: datetime, planned: Plan, settings: Settings) -> Row:
    """The row of a run that is about to ask."""
    return {
        "run_id": run_id,
        "source": source,
        "started_at": started,
        "depth": str(settings.depth),
        "policy": str(settings.policy),
        "rows": planned.rows,
        "addresses": planned.addresses,
        "due": planned.due,
        "rules_version": RULES_VERSION,
        "mailvet_version": mailvet_version(),
    }


def ended(row: Row, result: RunResult, operators: Sequence[OperatorProgress] = ()) -> Row:
    """The same row when the run is over.

    Args:
        row: as `begun` gave it.
        result: of the run.
        operators: how many recipients each was asked about.
    """
    summary = result.summary
    return row | {
        "finished_at": datetime.now(timezone.utc),
        "checked": result.checked,
        "written": result.written,
        "by_status": dict(summary.by_status),
        "by_reason": dict(summary.by_reason),
        "by_recommendation": dict(summary.by_recommendation),
        "by_operator": {operator.name: operator.asked for operator in operators if operator.asked},
        "probes": result.probes,
        "lookups": result.lookups,
        "seconds": result.seconds,
        "health": result.degraded or "ok",
    }
