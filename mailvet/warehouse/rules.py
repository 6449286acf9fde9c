"""
When a stored verdict is due: one condition, in SQL that every database reads alike; and the answers of a database, put
together as a summary and as the details of a report.

The names in it: `v` the verdict, `h` the newest event of each kind by address, `l` the user's own lists the address is
on (columns `on_...` that are 1 or 0).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mailvet.history.facts import REASONS_FROM_EVENTS, event_is_news
from mailvet.runs.recheck import Recheck
from mailvet.scoring.priors import bounce_probability
from mailvet.verdict import verdict_schema
from mailvet.vocabulary import Reason, Recommendation, Status
from mailvet.warehouse import attribution
from mailvet.warehouse.clocks import latest_believed
from mailvet.warehouse.dialects import Dialect, literal
from mailvet.warehouse.store import MOST_NAMED, Details, OperatorShare, SourceShare, Summary

__all__ = [
    "ADDED_LATER",
    "LISTS",
    "RUN_COLUMNS",
    "detailed",
    "due_by_itself",
    "due_condition",
    "falls_due",
    "rank",
    "recheck_condition",
    "summarised",
    "surely_fresh",
    "verdict_kinds",
]

ADDED_LATER = ("mailbox_key",)
"""Columns that a table of verdicts of an older version lacks; it is upgraded when it is written to."""

UNVERIFIED_BOUNCES = 100 * bounce_probability(Reason.not_probed)
"""Percentage of hard bounces of addresses without a verdict."""

LISTS = ("allow", "deny", "suppress", "extra_disposable")
"""The user's own lists."""

RUN_COLUMNS = {
    "run_id": "string",
    "source": "string",
    "started_at": "timestamp",
    "finished_at": "timestamp",
    "depth": "string",
    "policy": "string",
    "rows": "int64",
    "addresses": "int64",
    "due": "int64",
    "checked": "int64",
    "written": "int64",
    "by_status": "string",
    "by_reason": "string",
    "by_recommendation": "string",
    "by_operator": "string",
    "probes": "int64",
    "lookups": "int64",
    "seconds": "double",
    "health": "string",
    "mailvet_version": "string",
    "rules_version": "string",
}
"""Columns of `mailvet_runs` and their types by the names of `Dialect.types`."""


def rank(depth: str) -> str:
    """`Depth.rank` of a column."""
    return f"case {depth} when 'smtp' then 2 when 'dns' then 1 else 0 end"


def due_by_itself(moment: Callable[[datetime], str], *, depth_rank: int, now: datetime, events: bool) -> str:
    """
    The part of what is due that needs no lists: never checked, its date has come, less deep than asked for, or
    contradicted by an event, or dated in the future.

    Args:
        moment: a point in time (aware, UTC) as the database writes it.
        events: there are events, and `h` is joined.
    """
    news = f" or {event_is_news()}" if events else ""
    return (
        f"v.reason is null or v.next_check_at <= {moment(now)} or {rank('v.depth')} < {depth_rank} "
        f"or v.checked_at > {moment(latest_believed(now))}{news}"
    )


def recheck_condition(moment: Callable[[datetime], str], recheck: Recheck, *, of: str = "v.") -> str:
    """
    The verdicts that are asked again although they are fresh; false, never null, where there is no verdict.

    Args:
        of: before the names of the verdict's columns.
    """
    conditions = [f"{of}reason is not null"]
    if recheck.reasons is not None:
        conditions.append(f"{of}reason in ({', '.join(map(literal, sorted(recheck.reasons)))})")
    if recheck.checked_before is not None:
        conditions.append(f"{of}checked_at < {moment(recheck.checked_before)}")
    return f"({' and '.join(conditions)})"


def due_condition(
    say: Dialect,
    *,
    depth_rank: int,
    now: datetime,
    rules_version: str,
    events: bool,
    listed: bool,
    among: Collection[Reason] | None = None,
    recheck: Recheck | None = None,
) -> str:
    """
    What has to be verified. A verdict that an event or one of the user's own lists contradicts is due, whatever its
    date. Lists are only compared when they differ from those of the verdict, so nothing can stay due for ever.

    Args:
        events: there are events, and `h` is joined.
        listed: there are entries on lists, and `l` is joined.
        among: only verdicts of these reasons.
        recheck: verdicts that are due as well, though they are fresh.
    """
    on = {name: f"coalesce(l.on_{name}, 0) = 1" if listed else "1 = 0" for name in LISTS}
    stopped = f"({on['suppress']} or ({on['deny']} and not {on['allow']}))"
    was_allowed = f"{say.position(literal('allowed'), 'v.flags')} > 0"
    was_no_reply = f"({say.position(literal('no_reply'), 'v.flags')} > 0 and v.reason <> 'no_reply')"
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
        f"and (v.reason in ('syntax_invalid', 'typo_domain') or {was_no_reply}))"
    )
    due = due_by_itself(say.moment, depth_rank=depth_rank, now=now, events=events)
    due += f" or (v.rules_version <> {literal(rules_version)} and ({list_is_news}))"
    if recheck is not None:
        due += f" or {recheck_condition(say.moment, recheck)}"
    return due if among is None else f"v.reason in ({', '.join(map(literal, sorted(among)))}) and ({due})"


def surely_fresh(
    say: Dialect, *, depth_rank: int, now: datetime, rules_version: str, recheck: Recheck | None = None
) -> str:
    """
    Over verdicts alone: those that `due_condition` leaves in peace whatever stands on lists. What it says holds for
    addresses without events.
    """
    again = f" and not {recheck_condition(say.moment, recheck, of='')}" if recheck is not None else ""
    # What is no longer among the events is news as well.
    from_events = ", ".join(map(literal, REASONS_FROM_EVENTS))
    return (
        f"reason not in ({from_events}) and (next_check_at is null or next_check_at > {say.moment(now)}) "
        f"and checked_at <= {say.moment(latest_believed(now))} "
        f"and {rank('depth')} >= {depth_rank} and rules_version = {literal(rules_version)}{again}"
    )


def falls_due(say: Dialect, now: datetime) -> str:
    """In which of the spans of `Details.due` the column `next_check_at` lies."""
    spans = " ".join(
        f"when next_check_at <= {say.moment(now + timedelta(days=days))} then {literal(label)}"
        for label, days in _SPANS.items()
    )
    return f"case when next_check_at is null then 'never' {spans} else 'later' end"


_SPANS = {"overdue": 0, "1 day": 1, "7 days": 7, "30 days": 30, "90 days": 90}
"""Days from now, by their label."""


def detailed(
    operators: Iterable[tuple[Any, ...]],
    due: Iterable[tuple[Any, ...]],
    sources: Iterable[tuple[Any, ...]],
    last_run: Mapping[str, Any] | None,
) -> Details:
    """
    Args:
        operators: (operator, status, addresses).
        due: (label of `falls_due`, recommendation, addresses).
        sources: (value, recommendation, rows, sum over the rows of 100 - score); no recommendation and no sum where
            there is no verdict.
    """
    by_status: dict[str, dict[str, int]] = {}
    for name, status, count in operators:
        by_status.setdefault(str(name), {})[str(status)] = int(count)
    by_advice: dict[str, dict[str, int]] = {}
    bounces: dict[str, float] = {}
    unverified: dict[str, int] = {}
    for value, advice, count, expected in sources:
        counts, name = by_advice.setdefault(str(value), {}), str(value)
        if advice is None:
            unverified[name] = int(count)
        else:
            counts[str(advice)] = int(count)
        bounces[name] = bounces.get(name, 0) + (UNVERIFIED_BOUNCES * int(count) if advice is None else int(expected))
    falling: dict[str, int] = {}
    reverified: dict[str, int] = {}
    for label, advice, count in due:
        falling[str(label)] = falling.get(str(label), 0) + int(count)
        if advice == Recommendation.reverify:
            reverified[str(label)] = reverified.get(str(label), 0) + int(count)
    named_operators, other_operators = _largest(by_status)
    named_sources, other_sources = _largest(by_advice, unverified)
    labels = (*_SPANS, "later", "never")
    return Details(
        tuple(OperatorShare(name, sum(counts.values()), counts) for name, counts in named_operators),
        other_operators,
        {label: falling[label] for label in labels if label in falling},
        {label: reverified[label] for label in labels if label in reverified},
        tuple(
            SourceShare(value, total, counts, bounces[value] / 100 / total, unverified.get(value, 0))
            for value, counts in named_sources
            for total in [sum(counts.values()) + unverified.get(value, 0)]
        ),
        other_sources,
        last_run,
    )


def _largest(
    groups: Mapping[str, dict[str, int]], more: Mapping[str, int] | None = None
) -> tuple[list[tuple[str, dict[str, int]]], int]:
    """The largest by the sum of their counts (and what is `more` of each), and how many others there are."""
    ranked = sorted(
        ((name, dict(sorted(counts.items()))) for name, counts in groups.items()),
        key=lambda group: (-sum(group[1].values()) - (more or {}).get(group[0], 0), group[0]),
    )
    return ranked[:MOST_NAMED], max(0, len(ranked) - MOST_NAMED)


def summarised(groups: Iterable[tuple[Any, ...]]) -> Summary:
    """
    A summary of groups of distinct texts: (status, reason, recommendation, whether missing, on lists, in history,
    suspicious, texts, rows, sum over the rows of 100 - score): whole numbers, so that the order of the groups plays no
    part. The three in the middle are as in `attribution.Group`.
    """
    by_status: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    by_advice: dict[str, int] = {}
    layers: list[attribution.Group] = []
    total = missing_rows = verified = unverified = undeliverable = 0
    everything, but_forbidden, sent = _Bounces(), _Bounces(), _Bounces()
    for status, reason, advice, missing, on_lists, in_history, suspicious, texts, repeats, bounces in groups:
        count = int(repeats)
        total += count
        if missing:
            missing_rows += count
            continue
        unverified += count if status is None else 0
        expected = UNVERIFIED_BOUNCES * count if status is None else int(bounces)
        everything.add(count, expected)
        if advice != Recommendation.do_not_send:
            but_forbidden.add(count, expected)
        if advice == Recommendation.send:
            sent.add(count, expected)
        if status is None:
            continue
        verified += count
        for counts, word in ((by_status, status), (by_reason, reason), (by_advice, advice)):
            counts[word] = counts.get(word, 0) + count
        layers.append(attribution.Group(reason, bool(on_lists), bool(in_history), bool(suspicious), int(texts), count))
        undeliverable += count if status == Status.undeliverable else 0
    return Summary(
        total,
        missing_rows,
        verified,
        _most_first(by_status),
        _most_first(by_reason),
        _most_first(by_advice),
        everything.share,
        sent.share,
        but_forbidden.share,
        undeliverable / verified if verified else None,
        attribution.by_layer(layers) if verified else {},
        unverified,
    )


@dataclass(slots=True)
class _Bounces:
    """Expected hard bounces, added up."""

    rows: int = 0
    expected: float = 0.0
    """In hundredths."""

    def add(self, rows: int, expected: float) -> None:
        self.rows += rows
        self.expected += expected

    @property
    def share(self) -> float | None:
        return self.expected / 100 / self.rows if self.rows else None


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def verdict_kinds() -> dict[str, str]:
    """Columns of `mailvet_verdicts` and their types by the names of `Dialect.types`."""
    return {field.name: str(field.type).partition("[")[0] for field in verdict_schema()}
