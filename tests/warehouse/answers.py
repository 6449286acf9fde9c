"""Verdicts to save without a server to reply, and plans to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from mailvet.policies import recommend
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key, verdict_schema
from mailvet.vocabulary import REASONS, RULES_VERSION, Policy, Reason
from mailvet.warehouse.store import Plan, PlannedSource, Warehouse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
NO_LISTS: dict[str, list[str]] = {}
_PLANNED: WeakKeyDictionary[Warehouse, PlannedSource] = WeakKeyDictionary()


def plan_of(warehouse: Warehouse, *, now: datetime = NOW, **options: Any) -> Plan:
    """Plan a source; `planned_source` is what was planned."""
    values: dict[str, Any] = {"depth_rank": 2, "rules_version": RULES_VERSION, "listed": NO_LISTS} | options
    _PLANNED[warehouse] = warehouse.plan(now=now, **values)
    return _PLANNED[warehouse].plan


def planned_source(warehouse: Warehouse) -> PlannedSource:
    """What `plan_of` has planned of this source last."""
    return _PLANNED[warehouse]


def answers(reasons: Mapping[str, str], *, now: datetime = NOW, **changed: Any) -> pa.Table:
    """A batch of verdicts: text of the cell -> reason. `changed` are values for every row."""
    rows = []
    for text, reason in reasons.items():
        rule = REASONS[Reason(reason)]
        score = changed.get("score", 50)
        row = {
            "email_key": email_key(text),
            "email": text,
            "status": str(rule.status),
            "reason": reason,
            "recommendation": str(recommend(rule.reason, Policy.marketing, score, 1)),
            "score": score,
            "suggestion": None,
            "flags": "",
            "domain": text.rpartition("@")[2] or None,
            "operator": None,
            "mx_host": None,
            "smtp_code": None,
            "smtp_reply": None,
            "depth": "smtp",
            "evidence": "[]",
            "checked_at": now,
            "next_check_at": now + rule.recheck[0] if rule.recheck else None,
            "attempts": 1,
            "run_id": "run",
            "rules_version": RULES_VERSION,
            "mailbox_key": mailbox_key(text),
            "bounce_probability": (100 - score) / 100,
        }
        rows.append(row | changed)
    return pa.Table.from_pylist(rows, schema=verdict_schema())


def later(**span: float) -> datetime:
    """So long after `NOW`."""
    return NOW + timedelta(**span)
