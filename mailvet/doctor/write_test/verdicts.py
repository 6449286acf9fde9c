"""Verdicts to save without a server to reply."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mailvet.policies import recommend
from mailvet.scoring.priors import bounce_probability, score_of
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import email_key, verdict_schema
from mailvet.vocabulary import REASONS, RULES_VERSION, Depth, Policy, Reason

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["verdicts"]


def verdicts(reasons: Mapping[str, Reason], at: datetime, **changed: Any) -> pa.Table:
    """A batch of verdicts of depth smtp.

    Args:
        reasons: text of the cell -> reason.
        at: when they were made; aware, UTC.
        changed: values for every row, by column.
    """
    import pyarrow as pa

    rows = []
    for text, reason in reasons.items():
        rule = REASONS[reason]
        probability = bounce_probability(reason)
        score = score_of(probability)
        known = {
            "email_key": email_key(text),
            "email": text,
            "status": str(rule.status),
            "reason": str(reason),
            "recommendation": str(recommend(reason, Policy.marketing, score, 1)),
            "score": score,
            "flags": "",
            "domain": text.rpartition("@")[2] or None,
            "depth": str(Depth.smtp),
            "evidence": "[]",
            "checked_at": at,
            "next_check_at": at + rule.recheck[0] if rule.recheck else None,
            "attempts": 1,
            "run_id": "write_test",
            "rules_version": RULES_VERSION,
            "mailbox_key": mailbox_key(text),
            "bounce_probability": probability,
        }
        rows.append({name: (known | changed).get(name) for name in verdict_schema().names})
    return pa.Table.from_pylist(rows, schema=verdict_schema())
