"""What each layer was worth: which of them was the first to find something wrong, over a whole table.

Derived from the stored verdicts alone, so it is the same however often a run was interrupted: the reason names the
layer that decided, the evidence the cheaper ones that had found something too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mailvet.vocabulary import REASONS, Depth, Reason, Status

__all__ = ["ASKED_FROM", "LAYERS", "SUSPICIOUS", "Group", "LayerCount", "by_layer", "evidence_sql", "first_layer"]

LAYERS: Mapping[str, str] = {
    "syntax": "syntax",
    "reference": "lists",
    "history": "history and own lists",
    "route": "DNS",
    "mailbox": "SMTP",
    "suspicion": "suspicion",
}
"""The layers in the order in which they are asked -> what people call them. Suspicion counts where nothing else did."""

ASKED_FROM: Mapping[str, Depth] = {"route": Depth.dns, "mailbox": Depth.smtp}
"""Layers that a run asks only from this depth on."""

SUSPICIOUS = ("no_reply", "gibberish", "keyboard_walk", "series", "burst")
"""Flags that count as a finding of the suspicion layer; another spelling of a mailbox is no fault of the address."""

_WRONG = (Status.undeliverable, Status.risky)
_HISTORY = tuple(rule.reason for rule in REASONS.values() if rule.layer == "history" and rule.status in _WRONG)


@dataclass(frozen=True, slots=True)
class LayerCount:
    """What one layer was the first to find. Rows are rows of the source with an address and a verdict."""

    addresses: int
    """Distinct addresses."""
    rows: int
    bad: int
    """Of the rows, those that are undeliverable in the end; the others are doubtful."""
    believed: int
    """Rows that this layer and those before it find nothing wrong with: what one would believe without the rest."""
    bad_believed: int
    """Of these, rows that a later layer knows to be undeliverable."""


class Group(NamedTuple):
    """Verdicts alike, as counted by one GROUP BY over the source."""

    reason: str
    on_lists: bool
    in_history: bool
    suspicious: bool
    addresses: int
    rows: int


def evidence_sql(
    evidence: str, flags: str, position: Callable[[str, str], str] = "position({} in {})".format
) -> tuple[str, str, str]:
    """Three SQL expressions, each 1 or 0, for `on_lists`, `in_history` and `suspicious` of a `Group`.

    Args:
        evidence: expression for the column of the verdict table.
        flags: the same.
        position: says in SQL where a text begins in another; 0 where it does not occur.
    """

    def found(text: str, within: str) -> str:
        quoted = f"'{text}'"
        return f"{position(quoted, within)} > 0"

    facts = " or ".join(found(f'"layer":"history","fact":"{reason}"', evidence) for reason in _HISTORY)
    any_history = found('"layer":"history"', evidence)  # most evidence has none, and is then searched once
    history = f"{any_history} and ({facts})"
    suspicious = " or ".join(found(flag, flags) for flag in SUSPICIOUS)
    conditions = (found('"layer":"reference"', evidence), history, suspicious)
    on_lists, in_history, suspect = (f"case when {condition} then 1 else 0 end" for condition in conditions)
    return on_lists, in_history, suspect


def first_layer(reason: Reason, *, on_lists: bool, in_history: bool, suspicious: bool) -> str | None:
    """The cheapest layer that found something wrong with an address; None where none did."""
    rule = REASONS[reason]
    wrong = rule.layer if rule.status in _WRONG else None
    if wrong == "syntax":
        return wrong
    if on_lists or wrong == "reference":
        return "reference"
    if in_history or wrong == "history":
        return "history"
    return wrong or ("suspicion" if suspicious else None)


def by_layer(groups: Iterable[Group]) -> dict[str, LayerCount]:
    """Every layer in order with what it was the first to find."""
    addresses, rows, bad = (dict.fromkeys(LAYERS, 0) for _ in range(3))
    total = 0
    for group in groups:
        total += group.rows
        reason = Reason.stored(group.reason)
        layer = first_layer(
            reason, on_lists=bool(group.on_lists), in_history=bool(group.in_history), suspicious=bool(group.suspicious)
        )
        if layer is not None:
            addresses[layer] += group.addresses
            rows[layer] += group.rows
            bad[layer] += group.rows if REASONS[reason].status is Status.undeliverable else 0
    counts: dict[str, LayerCount] = {}
    believed, hidden = total, sum(bad.values())
    for layer in LAYERS:
        believed -= rows[layer]
        hidden -= bad[layer]
        counts[layer] = LayerCount(addresses[layer], rows[layer], bad[layer], believed, hidden)
    return counts
