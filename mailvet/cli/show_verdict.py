"""A verdict on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mailvet.privacy import printable
from mailvet.reference.providers import local_parts_at
from mailvet.scoring.priors import ROUTE_FOUND, contributions
from mailvet.verdict import Verdict
from mailvet.vocabulary import REASONS

__all__ = ["STYLES", "explain"]

STYLES = {
    "deliverable": "green",
    "undeliverable": "red",
    "risky": "yellow",
    "unknown": "cyan",
    "send": "green",
    "do_not_send": "red",
    "reverify": "cyan",
}
"""Statuses and recommendations -> how they are shown."""


def explain(verdict: Verdict) -> RenderableType:
    """A verdict with the evidence behind it, for a terminal."""
    rule = REASONS[verdict.reason]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    if verdict.email is not None:
        grid.add_row("address", Text(printable(verdict.email)))
    grid.add_row("status", Text(str(verdict.status), style=STYLES.get(str(verdict.status), "")))
    grid.add_row("reason", Text(f"{verdict.reason}: {rule.meaning}"))
    grid.add_row("recommendation", Text(str(verdict.recommendation), style=STYLES.get(str(verdict.recommendation), "")))
    grid.add_row("score", f"{verdict.score} of 100 (chance of a hard bounce about {100 - verdict.score} %)")
    routed = any(fact.fact == ROUTE_FOUND for fact in verdict.evidence)
    for part in contributions(verdict.reason, verdict.flags, routed=routed):
        said = f"{part.name}: {part.why} (log-odds of a bounce {part.log_odds:+.1f})"
        grid.add_row("", Text(said, style="dim"))
    for label, value in (
        ("did you mean", verdict.suggestion),
        ("flags", ", ".join(verdict.flags)),
        ("unlikely", _unlikely(verdict)),
        ("mail server", " · ".join(filter(None, (verdict.mx_host, verdict.operator)))),
        ("server said", " ".join(filter(None, (str(verdict.smtp_code or ""), verdict.smtp_reply)))),
    ):
        if value:
            grid.add_row(label, Text(printable(value)))
    for fact in verdict.evidence:
        grid.add_row(fact.layer, Text(printable(fact.fact + (f" ({fact.detail})" if fact.detail else ""))))
    if verdict.checked_at:
        grid.add_row("checked", f"{verdict.checked_at:%Y-%m-%d %H:%M} UTC, depth {verdict.depth}, {_times(verdict)}")
    grid.add_row("check again", f"{verdict.next_check_at:%Y-%m-%d %H:%M} UTC" if verdict.next_check_at else "never")
    return grid


def _unlikely(verdict: Verdict) -> str | None:
    """Which local parts the operator gives out, where this one is not such."""
    rule = local_parts_at(verdict.domain or "") if "local_part_unlikely" in verdict.flags else None
    return f"{verdict.domain} gives out {rule.meaning} ({rule.source})" if rule else None


def _times(verdict: Verdict) -> str:
    return "first verdict of this kind" if verdict.attempts == 1 else f"{verdict.attempts} verdicts alike"
