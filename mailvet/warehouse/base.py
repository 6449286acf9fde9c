"""
What a run needs of the place where the data lives. A backend is one class with these methods; everything it returns
is Arrow or plain counts, so a run does not know whose SQL it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Plan", "Summary", "Warehouse"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over this source would do."""

    rows: int
    blank: int
    """Rows whose cell is missing, empty or white space."""
    addresses: int
    """Distinct texts that are not blank."""
    due: int
    """Distinct texts to be verified: never checked, due again, or checked less deeply than asked."""
    domains: Sequence[tuple[str, int]] = field(default=())
    """Due addresses by domain as written, the most frequent first."""

    @property
    def fresh(self) -> int:
        """Distinct texts whose verdict still holds."""
        return self.addresses + (1 if self.blank else 0) - self.due


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole source after a run, counted in rows (duplicates count each time)."""

    rows: int
    blank: int
    verified: int
    by_status: Mapping[str, int]
    by_reason: Mapping[str, int]
    by_recommendation: Mapping[str, int]
    bounce_before: float | None
    """Expected share of hard bounces if every row that is not blank were sent to; None without rows."""
    bounce_after: float | None
    """The same if only rows recommended to send were."""


class Warehouse(Protocol):
    """One source: a table with a column of addresses, and the verdict table beside it."""

    name: str
    """For people: `contacts in crm.duckdb`."""

    def plan(self, *, depth_rank: int, now: datetime, rules_version: str, listed: Sequence[str]) -> Plan:
        """
        Find out what is due, and keep it for `due`.

        Raises:
            SourceError: table, column or condition do not fit; nothing was changed.
        """

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """Batches of due cells: `email`, `email_key`, `previous_reason`, `previous_attempts`, history columns."""

    def asked_today(self, now: datetime) -> dict[str, int]:
        """Recipients probed since midnight UTC, by operator."""

    def open_for_writing(self) -> None:
        """Create `mailvet_verdicts` and `mailvet_runs` where missing."""

    def save(self, verdicts: pa.Table) -> None:
        """Upsert one batch of verdicts, committed when this returns."""

    def save_run(self, run: Mapping[str, Any]) -> None:
        """Insert or replace one row of `mailvet_runs`."""

    def write_back(self, columns: Sequence[str]) -> int:
        """Status columns on the source in one transaction; returns the rows that changed."""

    def summary(self) -> Summary:
        """Count the source by its verdicts."""

    def forget_before(self, day: datetime) -> int:
        """Drop verdicts last renewed before this time; returns how many."""

    def close(self) -> None:
        """Release the database."""
