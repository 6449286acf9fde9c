"""A source in which nothing has changed since the last run, and of which nothing is due.

The record of a run holds a fingerprint of the source and of all that its outcome rests on. Where the next run finds
the same one, what the last run found still holds, and nothing is planned or read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from mailvet.policies import OwnPolicy
from mailvet.reference.own_lists import OwnLists
from mailvet.runs.record import mailvet_version
from mailvet.runs.request import RunRequest
from mailvet.runs.results import RunResult
from mailvet.settings import Settings
from mailvet.vocabulary import RULES_VERSION
from mailvet.warehouse.attribution import LayerCount
from mailvet.warehouse.store import HasFingerprint, Plan, Summary, Warehouse

__all__ = ["Unchanged", "restored"]


class Unchanged:
    """The fingerprint of one source and one request.

    Args:
        warehouse: of the source.
        settings: of the run.
        request: what the run is asked to do.
        call: runs a function of the warehouse in the thread that its connection belongs to.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, request: RunRequest, call: Callable[..., Awaitable[Any]]
    ) -> None:
        self._warehouse = warehouse
        self._settings = settings
        self._request = request
        self._call = call

    async def last_outcome(self) -> dict[str, Any] | None:
        """What the last run found, where it still holds."""
        fingerprint = await self._fingerprint()
        if fingerprint is None or self._request.output is not None:
            return None
        assert isinstance(self._warehouse, HasFingerprint)
        outcome = await self._call(self._warehouse.last_outcome, fingerprint)
        return json.loads(outcome) if outcome else None

    async def columns(self, result: RunResult) -> dict[str, Any]:
        """What the record of a run needs, so that the next one can tell that nothing has changed."""
        if self._request.output is not None or result.degraded:
            return {}
        fingerprint = await self._fingerprint()
        if fingerprint is None:
            return {}
        outcome = {
            "rows": result.plan.rows,
            "missing": result.plan.missing,
            "addresses": result.plan.addresses,
            "summary": asdict(result.summary),
        }
        return {"fingerprint": fingerprint, "outcome": json.dumps(outcome)}

    async def _fingerprint(self) -> str | None:
        warehouse, settings, request = self._warehouse, self._settings, self._request
        if not isinstance(warehouse, HasFingerprint) or request.is_narrowed or request.campaign is not None:
            return None
        if settings.history.events or settings.history.keep_days or settings.store.keep_days:
            return None
        policy = settings.chosen_policy
        if isinstance(policy, OwnPolicy) and policy.uses_age:
            return None  # what is recommended changes while nothing else does
        lists = OwnLists.load(**settings.lists.model_dump()).digest
        context = [
            settings.model_dump_json(),
            lists,
            RULES_VERSION,
            mailvet_version(),
            list(request.columns),
            request.write_back,
        ]
        fingerprint: str | None = await self._call(
            warehouse.fingerprint, json.dumps(context), datetime.now(timezone.utc)
        )
        return fingerprint


def restored(outcome: Mapping[str, Any]) -> tuple[Plan, Summary]:
    """The plan, of which nothing is due, and the summary that an outcome holds."""
    counts = dict(outcome["summary"])
    counts["by_layer"] = {name: LayerCount(**count) for name, count in counts["by_layer"].items()}
    return Plan(outcome["rows"], outcome["missing"], outcome["addresses"], 0), Summary(**counts)
