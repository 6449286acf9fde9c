"""
What a run needs of the place where the data lives. A backend is one class with these methods; everything it returns
is Arrow or plain counts, so a run does not know whose SQL it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from mailvet.verdict import Reason

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KNOWN_FOR", "SILENT", "Plan", "Summary", "Warehouse"]

SILENT = (
    Reason.not_probed, Reason.sender_blocked, Reason.sender_throttled, Reason.greylisted, Reason.connect_failed,
    Reason.smtp_timeout, Reason.server_temporary_error, Reason.protocol_error, Reason.tarpit, Reason.dns_timeout,
    Reason.dns_error,
)  # fmt: skip
"""Answers about us, the network or the moment, which say nothing of the mailbox."""

KNOWN_FOR = timedelta(days=180)
"""How long a verdict outlives silent answers; a server that nobody has reached for so long is news in itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over this source would do."""

    rows: int
    blank: int
    """Rows whose cell is missing, empty or white space."""
    addresses: int
    """Distinct texts that are not blank."""
    due: int
    """Addresses to be verified: never checked, due again, or checked less deeply than asked."""
    domains: Sequence[tuple[str, int]] = field(default=())
    """Due addresses by domain as written, the most frequent first."""
    blank_due: int = 0
    """Distinct blank texts without a verdict; they cost nothing."""

    @property
    def fresh(self) -> int:
        """Addresses whose verdict still holds."""
        return self.addresses - self.due


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

    def plan(
        self,
        *,
        depth_rank: int,
        now: datetime,
        rules_version: str,
        listed: Mapping[str, Sequence[str]],
        among: Collection[Reason] | None = None,
    ) -> Plan:
        """
        Find out what is due, and keep it for `due`.

        Args:
            depth_rank: `Depth.rank` of the run; a verdict of a lower one is due.
            now: aware, UTC.
            rules_version: of the run, with the digest of the user's own lists behind a "+".
            listed: the user's own lists by name (allow, deny, suppress, extra_disposable): addresses and domains,
                lower-case. An older verdict that they contradict is due.
            among: only addresses whose verdict has one of these reasons are due.

        Raises:
            SourceError: table, column or condition do not fit; nothing was changed.
        """

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """Batches of due cells: `email`, `email_key`, `previous_reason`, `previous_attempts`, history columns."""

    def looks_numeric(self) -> bool:
        """After `plan`: whether every cell that is not blank is a number, because the wrong column was named."""

    def asked_today(self, now: datetime) -> dict[str, int]:
        """Recipients probed since midnight UTC, by operator."""

    def open_for_writing(self) -> None:
        """Create `mailvet_verdicts` and `mailvet_runs` where missing."""

    def save(self, verdicts: pa.Table) -> None:
        """
        Upsert one batch of verdicts, committed when this returns. An answer that says nothing of the mailbox
        (`SILENT`) does not replace a verdict known for less than `KNOWN_FOR`; it only sets when to ask again.
        """

    def save_run(self, run: Mapping[str, Any]) -> None:
        """Insert or replace one row of `mailvet_runs`."""

    def apply_policy(self) -> int:
        """Bring stored recommendations of this source in line with the policy; returns how many changed."""

    def write_back(self, columns: Sequence[str]) -> int:
        """Status columns on the source in one transaction; returns the rows that changed."""

    def summary(self) -> Summary:
        """Count the source by its verdicts."""

    def pending(self) -> tuple[int, datetime | None]:
        """
        After `plan`: how many addresses of this source wait for a greylisting server, and the earliest time (aware,
        UTC) to ask one of them again.
        """

    def check_keys(self, columns: Sequence[str]) -> None:
        """
        Find out whether these columns identify a row of the source.

        Raises:
            SourceError: one of them is missing, or rows share their values.
        """

    def forget_before(self, day: datetime) -> int:
        """Drop verdicts last renewed before this time; returns how many."""

    def interrupt(self) -> None:
        """End the statement that is running, from another thread."""

    def close(self) -> None:
        """Release the database."""
