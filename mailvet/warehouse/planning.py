"""
When a stored verdict is due: one condition, in SQL that every database reads alike.

The names in it: `v` the verdict, `h` the newest event of each kind by address, `l` the user's own lists the address is
on (columns `on_...` that are 1 or 0).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from mailvet.layers.history import EVENT_KINDS
from mailvet.verdict import Reason, verdict_schema
from mailvet.warehouse.base import Summary
from mailvet.warehouse.dialects import Dialect, literal

__all__ = ["LISTS", "RUN_COLUMNS", "due_condition", "newest_events", "rank", "summarised", "verdict_kinds"]

LISTS = ("allow", "deny", "suppress", "extra_disposable")
"""The user's own lists."""

RUN_COLUMNS = {
    "run_id": "string", "source": "string", "started_at": "timestamp", "finished_at": "timestamp", "depth": "string",
    "policy": "string", "rows": "int64", "addresses": "int64", "due": "int64", "checked": "int64", "written": "int64",
    "by_status": "string", "by_reason": "string", "by_recommendation": "string", "by_operator": "string",
    "probes": "int64", "lookups": "int64", "seconds": "double", "health": "string", "mailvet_version": "string",
    "rules_version": "string",
}  # fmt: skip
"""Columns of `mailvet_runs` and their types by the names of `Dialect.types`."""


def rank(depth: str) -> str:
    """`Depth.rank` of a column."""
    return f"case {depth} when 'smtp' then 2 when 'dns' then 1 else 0 end"


def newest_events(occurred_at: str) -> str:
    """For a GROUP BY of recipients over events: the newest of each kind, under the names of `EVENT_KINDS`."""
    return ", ".join(
        f"max(case when lower(event) in ({', '.join(map(literal, words))}) then {occurred_at} end) as {name}"
        for name, words in EVENT_KINDS.items()
    )


def due_condition(
    say: Dialect,
    *,
    depth_rank: int,
    now: datetime,
    rules_version: str,
    events: bool,
    listed: bool,
    among: Collection[Reason] | None = None,
) -> str:
    """
    What has to be verified. A verdict that an event or one of the user's own lists contradicts is due, whatever its
    date. Lists are only compared when they differ from those of the verdict, so nothing can stay due for ever.

    Args:
        events: there are events, and `h` is joined.
        listed: there are entries on lists, and `l` is joined.
        among: only verdicts of these reasons.
    """
    bounced_last = "(h.bounced_at is not null and (h.delivered_at is null or h.bounced_at > h.delivered_at))"
    event_is_news = (
        "(h.unsubscribed_at is not null and v.reason <> 'suppressed') "
        f"or ({bounced_last} and h.bounced_at > v.checked_at and v.reason not in ('hard_bounced', 'suppressed')) "
        f"or (v.reason = 'hard_bounced' and not {bounced_last})"
    )
    on = {name: f"coalesce(l.on_{name}, 0) = 1" if listed else "1 = 0" for name in LISTS}
    stopped = f"({on['suppress']} or ({on['deny']} and not {on['allow']}))"
    was_allowed = f"{say.position(literal('allowed'), 'v.flags')} > 0"
    by_own_list = f"{say.position(literal('on your own list'), 'v.evidence')} > 0"
    rules = rules_version.partition("+")[0]
    list_is_news = (
        f"({stopped} and v.reason <> 'suppressed') "
        f"or ({on['allow']} and not ({was_allowed})) "
        f"or ({on['extra_disposable']} and not {on['allow']} and v.reason <> 'disposable') "
        f"or ({was_allowed} and not {on['allow']}) "
        f"or (v.reason = 'suppressed' and {by_own_list} and not {stopped}) "
        "or v.reason = 'disposable' "
        f"or (not (v.rules_version = {literal(rules)} or v.rules_version like {literal(rules + '+%')}) "
        "and v.reason in ('syntax_invalid', 'typo_domain'))"
    )
    news = f" or ({event_is_news})" if events else ""
    due = (
        f"v.email_key is null or v.next_check_at <= {say.moment(now)} or {rank('v.depth')} < {depth_rank}{news} "
        f"or (v.rules_version <> {literal(rules_version)} and ({list_is_news}))"
    )
    return due if among is None else f"v.reason in ({', '.join(map(literal, sorted(among)))}) and ({due})"


def summarised(groups: Iterable[tuple[Any, ...]]) -> Summary:
    """
    A summary from (status, reason, recommendation, whether blank, rows, sum over the rows of 100 - score).
    """
    by_status: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    by_advice: dict[str, int] = {}
    total = blank_rows = verified = filled = sent = 0
    bounces_before = bounces_after = 0.0
    for status, reason, advice, blank, repeats, hundredths in groups:
        count = int(repeats)
        total += count
        blank_rows += count if blank else 0
        if status is None:
            continue
        bounces = float(hundredths) / 100
        verified += count
        for counts, word in ((by_status, status), (by_reason, reason), (by_advice, advice)):
            counts[word] = counts.get(word, 0) + count
        if not blank:
            filled += count
            bounces_before += bounces
        if advice == "send":
            sent += count
            bounces_after += bounces
    return Summary(
        total, blank_rows, verified, _most_first(by_status), _most_first(by_reason), _most_first(by_advice),
        bounces_before / filled if filled else None, bounces_after / sent if sent else None,
    )  # fmt: skip


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def verdict_kinds() -> dict[str, str]:
    """Columns of `mailvet_verdicts` and their types by the names of `Dialect.types`."""
    return {field.name: str(field.type).partition("[")[0] for field in verdict_schema()}
