"""Counts over a column, without any address: how many rows have which verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ge_expectations.verification import Cell, Known
from mailvet import Reason
from mailvet.sdk import AnyPolicy, VerdictCount, recommend, stored_bounce_probability

__all__ = ["TALLY", "Group", "Tally", "blank_as_null", "tally_of"]

TALLY = "column.mailvet_tally"
"""The metric that is a `Tally`."""


class Group(NamedTuple):
    """Rows of which the same is known."""

    known: Known | None
    """None: the address was never verified."""
    rows: int
    squares: int
    """Sum over the distinct texts of the square of their rows."""
    missing: bool
    """The cells are blank."""


@dataclass(frozen=True)
class Tally:
    """Rows counted by verdict.

    `groups` hold those with a value, and leave times and depth out of account. A blank cell (`mailvet.syntax.missing`)
    counts as one without a value.
    """

    groups: tuple[Group, ...]
    oldest: datetime | None
    """When the oldest verdict among them was made."""
    nulls: int = 0
    """Rows without a value."""

    @property
    def rows(self) -> int:
        """Rows with an address."""
        return sum(group.rows for group in self.addressed)

    @property
    def addressed(self) -> tuple[Group, ...]:
        """The groups of rows with an address."""
        return tuple(group for group in self.groups if not group.missing)

    @property
    def blank(self) -> int:
        """Rows whose value is blank."""
        return sum(group.rows for group in self.groups if group.missing)

    @property
    def unverified(self) -> int:
        """Rows whose address was never verified."""
        return sum(group.rows for group in self.addressed if group.known is None)

    def count(self, wanted: Callable[[Known | None], bool]) -> int:
        """Rows whose verdict is wanted."""
        return sum(group.rows for group in self.addressed if wanted(group.known))

    def verdict_counts(self, policy: AnyPolicy) -> list[VerdictCount]:
        """The same for a gate of `mailvet.gates`, with recommendations under this policy; nothing is stale in it."""
        nulls = [VerdictCount(None, None, None, None, False, True, self.nulls, self.nulls**2)] if self.nulls else []
        return nulls + [
            VerdictCount(None, None, None, None, False, missing, rows, squares)
            if known is None
            else VerdictCount(
                known.status,
                known.reason,
                recommend(
                    Reason.stored(known.reason),
                    policy,
                    known.score,
                    known.attempts,
                    probability=known.bounce_probability,
                ),
                stored_bounce_probability(known.score, known.bounce_probability),
                False,
                missing,
                rows,
                squares,
            )
            for known, rows, squares, missing in self.groups
        ]

    def by(self, name: Callable[[Known], str], wanted: Callable[[Known | None], bool] | None = None) -> dict[str, int]:
        """Rows by a name of their verdict, most first; those never verified as `unverified`."""
        counts: Counter[str] = Counter()
        for group in self.addressed:
            if wanted is None or wanted(group.known):
                counts["unverified" if group.known is None else name(group.known)] += group.rows
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def blank_as_null(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a map expectation, where blank cells count among those without a value."""
    nulls = "column_values.nonnull.unexpected_count"
    return {**metrics, nulls: (metrics[nulls] or 0) + metrics[TALLY].blank}


def tally_of(cells: Iterable[Cell], nulls: int) -> Tally:
    """Count cells held in memory."""
    counts: dict[tuple[Known | None, bool], tuple[int, int]] = {}
    oldest: datetime | None = None
    for rows, known, missing in cells:
        kind = (None if known is None else _without_times(known), missing)
        so_far = counts.get(kind, (0, 0))
        counts[kind] = so_far[0] + rows, so_far[1] + rows * rows
        if known is not None:
            oldest = known.checked_at if oldest is None else min(oldest, known.checked_at)
    return Tally(tuple(Group(known, *sums, missing) for (known, missing), sums in counts.items()), oldest, nulls)


def _without_times(known: Known) -> Known:
    # The times differ from batch to batch; one group for each would be one for each batch.
    return known._replace(checked_at=datetime.min, next_check_at=None, depth="")
