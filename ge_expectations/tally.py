"""Counts over a column, without any address: how many rows have which verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from ge_expectations.verification import Cell, Known

__all__ = ["Tally", "tally_of"]


@dataclass(frozen=True)
class Tally:
    """Rows with a value, counted by verdict. `groups` leaves times and depth out of account."""

    groups: tuple[tuple[Known | None, int], ...]
    """Verdict and number of rows; None for rows whose address was never verified."""
    oldest: datetime | None
    """When the oldest verdict among them was made."""

    @property
    def rows(self) -> int:
        """Rows with a value."""
        return sum(count for _, count in self.groups)

    @property
    def unverified(self) -> int:
        """Rows whose address was never verified."""
        return sum(count for known, count in self.groups if known is None)

    def count(self, wanted: Callable[[Known | None], bool]) -> int:
        """Rows whose verdict is wanted."""
        return sum(count for known, count in self.groups if wanted(known))

    def by(self, name: Callable[[Known], str], wanted: Callable[[Known | None], bool] | None = None) -> dict[str, int]:
        """Rows by a name of their verdict, most first; those never verified as `unverified`."""
        counts: Counter[str] = Counter()
        for known, count in self.groups:
            if wanted is None or wanted(known):
                counts["unverified" if known is None else name(known)] += count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def tally_of(cells: Iterable[Cell]) -> Tally:
    """Count cells held in memory."""
    counts: Counter[Known | None] = Counter()
    oldest: datetime | None = None
    for rows, known in cells:
        if known is None:
            counts[None] += rows
            continue
        counts[_without_times(known)] += rows
        oldest = known.checked_at if oldest is None else min(oldest, known.checked_at)
    return Tally(tuple(counts.items()), oldest)


def _without_times(known: Known) -> Known:
    # The times differ from batch to batch; one group for each would be one for each batch.
    return known._replace(checked_at=datetime.min, next_check_at=None, depth="")
