"""What a run needs of the place where the data lives.

A source of addresses, what was planned of it, and a store of verdicts. Everything they return is Arrow or plain counts,
so a run does not know whose SQL it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mailvet.policies import AnyPolicy
from mailvet.vocabulary import Reason
from mailvet.warehouse.attribution import LayerCount
from mailvet.warehouse.text_layout import AS_IT_CAME, TextLayout

if TYPE_CHECKING:
    import pyarrow as pa

    from mailvet.gates import VerdictCount
    from mailvet.runs.recheck import Recheck
    from mailvet.scoring.budget import Budget, Chosen
    from mailvet.warehouse.leases import Lease

__all__ = [
    "KNOWN_FOR",
    "MOST_NAMED",
    "SILENT",
    "ContactSource",
    "Details",
    "HasFingerprint",
    "OperatorShare",
    "Plan",
    "PlannedSource",
    "SourceShare",
    "Summary",
    "VerdictStore",
    "Warehouse",
]

SILENT = (
    Reason.not_probed,
    Reason.sender_blocked,
    Reason.sender_throttled,
    Reason.greylisted,
    Reason.connect_failed,
    Reason.smtp_timeout,
    Reason.server_temporary_error,
    Reason.protocol_error,
    Reason.tarpit,
    Reason.dns_timeout,
    Reason.dns_error,
)
"""Reasons about us, the network or the moment, which say nothing of the mailbox."""

KNOWN_FOR = timedelta(days=180)
"""How long a verdict outlives silent ones; a server out of reach for so long is news in itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run over this source would do."""

    rows: int
    missing: int
    """Rows whose cell is null or blank (`mailvet.syntax.missing`)."""
    addresses: int
    """Distinct texts of the others."""
    due: int
    """Addresses to be verified: never checked, due again, checked less deeply than asked, or asked for by `recheck`."""
    domains: Sequence[tuple[str, int]] = field(default=())
    """Due addresses by domain as written, the most frequent first; empty where they were not asked for."""
    rechecked: int = 0
    """Of those due, addresses whose verdict is fresh and that only `recheck` asks again."""

    @property
    def fresh(self) -> int:
        """Addresses whose verdict still holds."""
        return self.addresses - self.due + self.rechecked


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole source after a run, counted in rows (duplicates count each time)."""

    rows: int
    missing: int
    """Rows whose cell is null or blank; they have no verdict."""
    verified: int
    by_status: Mapping[str, int]
    by_reason: Mapping[str, int]
    by_recommendation: Mapping[str, int]
    bounce_before: float | None
    """
    Expected share of hard bounces if every address were sent to, one without a verdict with the base rate of
    `not_probed`; None without addresses. The figure `expected_bounce_rate` of `mailvet.gates`.
    """
    bounce_after: float | None
    """The same if only rows recommended to send were."""
    bounce_without_do_not_send: float | None = None
    """The same if all were but those recommended not to be sent to."""
    undeliverable_rate: float | None = None
    """Undeliverable, of the addresses with a verdict; None without any. The figure of `mailvet.gates`."""
    by_layer: Mapping[str, LayerCount] = field(default_factory=dict)
    """What each layer was the first to find, in the order of `mailvet.warehouse.attribution.LAYERS`."""
    unverified: int = 0
    """Rows with an address that has no verdict."""
    reverify: Mapping[str, int] = field(default_factory=dict)
    """Rows recommended to be verified again, by reason."""


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """The addresses of one operator of mail servers."""

    name: str
    addresses: int
    by_status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """The rows that came from one source: one value of a column of the user's."""

    value: str
    rows: int
    by_recommendation: Mapping[str, int]
    bounce: float
    """Expected share of hard bounces if all of them were sent to, one without a verdict with the base rate."""
    unverified: int = 0
    """Rows without a verdict."""


@dataclass(frozen=True, slots=True)
class Details:
    """What a report says beyond the summary."""

    operators: Sequence[OperatorShare] = ()
    """The largest first; at most `MOST_NAMED`."""
    other_operators: int = 0
    """Operators that are not named."""
    due: Mapping[str, int] = field(default_factory=dict)
    """
    Addresses by when they fall due for the next check: `overdue`, within `1 day`, `7 days`, `30 days`, `90 days`,
    `later`, `never`.
    """
    reverify_due: Mapping[str, int] = field(default_factory=dict)
    """The same of those recommended to be verified again alone."""
    sources: Sequence[SourceShare] = ()
    """The largest first; at most `MOST_NAMED`."""
    other_sources: int = 0
    last_run: Mapping[str, Any] | None = None
    """The newest row of `mailvet_runs` for this source, None if there is none."""


MOST_NAMED = 12
"""Operators and sources that a report names."""


class PlannedSource(Protocol):
    """What is due of a source, as `ContactSource.plan` found it. The next plan of the same source takes its place."""

    plan: Plan
    """The counts."""

    def due(self, batch_rows: int) -> Iterator[pa.Table]:
        """Batches of due cells: `email`, `email_key`, `previous_reason`, `previous_attempts`, history columns."""

    def looks_numeric(self) -> bool:
        """Whether every cell that is not blank is a number, because the wrong column was named."""

    def canaries(self, now: datetime) -> pa.Table:
        """Recipients known to exist, as `mailvet.warehouse.servers.CANARY_SCHEMA`, the newest of each host.

        The hosts are those that earlier verdicts name for the domains of what is due.

        Args:
            now: aware, UTC; acceptances older than `CANARY_AGE` do not count.
        """

    def find_signals(self, *, signed_up: str | None, burst_window: timedelta) -> None:
        """Look over the whole table for what no single address shows.

        It precedes `due` and gives the due cells `series_size`, `burst` and `duplicate_of`, which are columns of the
        batches from then on (`mailvet.warehouse.table_signals`).

        Args:
            signed_up: the column of the source with the time of each sign-up; None looks for no bursts.
            burst_window: the span within which sign-ups are counted.

        Raises:
            SettingsError: there is no such column, or it holds no time; nothing was changed.
        """


class ContactSource(Protocol):
    """A table or file with a column of addresses."""

    name: str
    """For people: `contacts in crm.duckdb`."""

    policy: AnyPolicy
    """What recommendations follow."""

    address_column: str
    """The column of addresses."""

    @property
    def remarks(self) -> Sequence[str]:
        """What was odd about the source and how it was read all the same, a sentence each."""

    @property
    def files(self) -> Mapping[str, Path]:
        """The files that the source and its verdicts lie in, by what they are for people: `the source`."""

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """Find out whether the source has these columns, and whether they identify a row.

        Args:
            columns: of the source.
            unique: look at the values too.

        Raises:
            SourceError: one of them is missing, or rows share their values.
        """

    def keep_shard(self, plan_id: str, shard: int) -> None:
        """Before `plan`: leave only the rows of one shard. Number 0 has all rows whose domain is in no other.

        Raises:
            SourceError: there is no such plan.
        """

    def plan(
        self,
        *,
        depth_rank: int,
        now: datetime,
        rules_version: str,
        listed: Mapping[str, Sequence[str]],
        among: Collection[Reason] | None = None,
        recheck: Recheck | None = None,
        count_domains: bool = True,
    ) -> PlannedSource:
        """Find out what is due.

        Args:
            depth_rank: `Depth.rank` of the run; a verdict of a lower one is due.
            now: aware, UTC.
            rules_version: of the run, with the digest of the user's own lists behind a "+".
            listed: the user's own lists by name (allow, deny, suppress, extra_disposable): addresses and domains,
                lower-case. An older verdict that they contradict is due.
            among: only addresses whose verdict has one of these reasons are due.
            recheck: verdicts that are due as well, though they are fresh; `due` brings them last.
            count_domains: fill in `Plan.domains`, which of millions of domains only a forecast wants to know.

        Raises:
            SourceError: table, column or condition do not fit; nothing was changed.
        """

    def apply_policy(self) -> int:
        """Bring stored recommendations of this source in line with the policy; returns how many changed."""

    def summary(self) -> Summary:
        """Count the source by its verdicts."""

    def verdict_counts(self, *, stale_before: datetime | None = None) -> list[VerdictCount]:
        """The rows of the source by what is known of them, recommendations under the policy.

        What a gate, a report and every plug-in count from.

        Args:
            stale_before: aware, UTC; verdicts made before it are stale. None: none is.
        """

    def choose(self, budget: Budget) -> Chosen:
        """The largest audience whose bounces keep to the budget, from the stored verdicts.

        Addresses without a verdict, and those recommended not to be sent to, are never in it.
        """

    def pending(self) -> tuple[int, datetime | None]:
        """How many addresses of this source wait for a greylisting server.

        The second value is the earliest time (aware, UTC) to ask one of them again.
        """

    def details(self, now: datetime, *, by: str | None = None) -> Details:
        """Count operators, dates and sources over the whole source.

        Args:
            now: aware, UTC.
            by: a column of the source that says where a row came from.

        Raises:
            SourceError: there is no such column.
        """

    def check_write_back(self, columns: Sequence[str]) -> None:
        """Find out before a run whether `export` could write its result.

        It also finds status columns that would take the place of columns of the user.

        Raises:
            SourceError: a column of that name is too narrow, of another type or computed, is the column of addresses
                or holds what mailvet did not write; or a right is missing.
        """

    def prepare_write_back(self, columns: Sequence[str]) -> None:
        """Add the status columns that are missing, so that several writers need not."""

    def write_back(self, columns: Sequence[str]) -> int:
        """Status columns on the source in one transaction; returns the rows that changed.

        A verdict belongs to the text it was given for: rows that were edited meanwhile are left alone.
        """

    def check_output(self, output: Path, key_columns: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
        """Find out before a run whether `export` could write its result.

        It also refuses status columns that would take the place of columns of the user.

        Raises:
            SourceError, SettingsError: it could not, and why.
        """

    def export(  # noqa: PLR0913  # what a result may be, all but the file and the columns optional and named
        self,
        output: Path,
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        split_by: str | None = None,
        parts: Sequence[str] = (),
        others: bool = True,
        mode: int | None = None,
        layout: TextLayout = AS_IT_CAME,
        chosen: Chosen | None = None,
    ) -> list[Path]:
        """Write the source with its status columns to a file.

        Every row and column is kept, and their order where the source has one.

        Args:
            output: its name says the format (`mailvet.warehouse.files.FORMATS`, also compressed).
            columns: of the verdict table.
            key_columns: keep only these of the source's columns, in this order; for results that travel without
                addresses.
            split_by: a column of the verdict table; one file for each of its values, `list.csv` becoming
                `list.send.csv`.
            parts: values that get a file even where no row has them.
            others: values beyond these get one too.
            chosen: from `choose`, with `split_by` recommendation: the part `send` is this audience, and `reverify` the
                rest of what may be sent to.
            mode: permissions of new files; None: those of the source, 0600 where that is no file.
            layout: delimiter and encoding of CSV; by default as the source came in.

        Returns:
            The files written. Each appears complete or not at all, and none unless all could be written.
        """

    def export_tables(
        self,
        names: Mapping[str, str],
        columns: Sequence[str],
        *,
        key_columns: Sequence[str] = (),
        replace: bool = False,
        overwrite: bool = False,
        chosen: Chosen | None = None,
    ) -> None:
        """Write rows of the source with their status columns to tables of the same database, all or none.

        Args:
            names: recommendation -> name of its table, `table` or `schema.table`; `missing` is for rows without an
                address.
            columns: of the verdict table.
            key_columns: keep only these of the source's columns.
            replace: lists that mailvet wrote before make way.
            overwrite: and so do other tables of these names.
            chosen: as for `export`.

        Raises:
            SourceError: a table exists already, is the source itself or one of mailvet's own, or cannot be written;
                nothing was changed.
        """

    def record_sends(
        self, campaign: str, now: datetime, *, keys: Sequence[str] | None = None, chosen: Chosen | None = None
    ) -> int:
        """Keep in `mailvet_sends` who was handed on for a campaign, and what was known of them then.

        Recorded again, a recipient of the same campaign has what is known now.

        Args:
            campaign: its name.
            now: aware, UTC.
            keys: `email_key` of those handed on; None for the rows of the source that the policy recommends to send to.
            chosen: the audience that takes the place of these rows.

        Returns:
            The recipients that were recorded: those with a verdict.

        Raises:
            SettingsError: a name that cannot be one.
        """


class VerdictStore(Protocol):
    """The verdicts of a database, and what else mailvet keeps beside them."""

    name: str
    """For people: `crm.duckdb`, or the name of the source whose verdicts they are."""

    saves_cheaply: bool
    """Whether a save costs so little that there may be one a second."""

    abandoned: bool
    """A call of another thread does not return, so that `close` has to do nothing."""

    @property
    def store_id(self) -> str | None:
        """What names the database of the verdicts, without a password; None for one that ends with this process."""

    def reconnect(self) -> bool:
        """Connect anew after the connection was lost; what `plan` found is gone. False where that is for the caller.

        Raises:
            UnavailableError: the database is not back yet.
        """

    def open_for_writing(self) -> None:
        """Create `mailvet_verdicts`, `mailvet_runs` and `mailvet_servers` where missing."""

    def save(self, verdicts: pa.Table) -> None:
        """Upsert one batch of verdicts, committed when this returns.

        A verdict that says nothing of the mailbox (`SILENT`) does not replace a verdict known for less than
        `KNOWN_FOR`; it only sets when to ask again.
        """

    def revise(self, verdicts: pa.Table) -> None:
        """Replace verdicts that are stored, whatever they say; committed when this returns."""

    def checked_at(self, keys: Sequence[str]) -> dict[str, datetime]:
        """When the verdicts of these keys were made (aware, UTC), as far as there are any."""

    def from_the_future(self, now: datetime) -> int:
        """How many verdicts are dated so far beyond `now` that they are not believed (`mailvet.warehouse.clocks`)."""

    def asked_today(self, now: datetime) -> dict[str, int]:
        """Recipients probed since midnight UTC, by operator."""

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """Batches of the verdicts that hold a refusal of a mail server (`smtp_code` from 400, `smtp_reply`).

        They are of this and of every other source with the same verdict table; none where there is no such table.
        """

    def servers(self) -> pa.Table:
        """The rows of `mailvet_servers` (`mailvet.warehouse.servers.SERVER_SCHEMA`); none where there is no table."""

    def save_servers(self, rows: pa.Table) -> None:
        """Replace what is kept about these places, committed when this returns.

        A row without suspicion and refused words removes its place.
        """

    def save_run(self, run: Mapping[str, Any]) -> None:
        """Insert or replace one row of `mailvet_runs`."""

    def take_lease(self, run_id: str, holder: str) -> Lease | None:
        """Take the lease of this table, its condition and its shard, or renew one that is held.

        It follows `open_for_writing`. None when this run holds it now; else who does. A database with one writer needs
        none.
        """

    def renew_lease(self, run_id: str) -> None:
        """Keep it for another while."""

    def release_lease(self, run_id: str) -> None:
        """Give it back."""

    def check_still_there(self) -> None:
        """Look whether the database of the verdicts is the one that was opened.

        Raises:
            SourceError: the database of the verdicts was removed or replaced since it was opened.
        """

    def save_shards(self, plan_id: str, shards: Mapping[str, int], now: datetime) -> None:
        """Keep which shard asks which domain, in `mailvet_shards`.

        Args:
            plan_id: of the plan.
            shards: domain as written, lower case -> number of its shard.
            now: aware, UTC; plans more than a week older are dropped.

        Raises:
            SourceError: the database has one writer, or they cannot be written.
        """

    def written_digest(self, path: Path) -> str | None:
        """The hash of what mailvet wrote to a file last, as far as the store knows."""

    def note_written(self, digests: Mapping[Path, str]) -> None:
        """Keep the hashes of files that were written; where the store may not be written to, nothing is kept."""

    def forget_engagement_before(self, day: datetime) -> int:
        """Delete the opens and clicks of `mailvet_events` older than this; how many."""

    def forget_before(self, day: datetime) -> int:
        """Drop verdicts last renewed before this time, and older rows about servers; returns how many verdicts."""

    def stored(self, address: str) -> dict[str, Any] | None:
        """The stored verdict of exactly this text, else the newest of another spelling of it."""

    def forget(self, address: str, *, domain: bool = False) -> int:
        """Erase one mailbox from all tables of mailvet, in every spelling.

        That includes where it stands inside a longer text, is what was suggested, or is named in evidence. Where
        addresses are not stored, the usual spellings are found by their keys. A DuckDB store of mailvet is written anew
        without the freed blocks.

        Args:
            address: in any spelling; a cell that holds none is found by its text.
            domain: `address` is a domain, and everybody at it is erased.

        Returns:
            The verdicts that were erased.

        Raises:
            SettingsError: a domain without `domain`, or the other way round.
            SourceError: the rows are erased, but the store could not be written anew.
        """

    def out_of_reach(self) -> Sequence[str]:
        """What `forget` cannot erase here, and who can: a sentence each."""

    def interrupt(self) -> None:
        """End the statement that is running, from another thread."""

    def close(self) -> None:
        """Release the database."""


class Warehouse(ContactSource, VerdictStore, Protocol):
    """One source, and the store of its verdicts: what `open_table` gives."""


@runtime_checkable
class HasFingerprint(Protocol):
    """A warehouse that can tell cheaply that nothing has changed since a run."""

    def fingerprint(self, context: str, now: datetime) -> str | None:
        """Equal at two moments only if no row of the source and no verdict differs between them.

        None while a verdict is due.

        Args:
            context: all else that the outcome of a run depends on: settings, lists, columns, rules.
            now: aware, UTC.
        """

    def last_outcome(self, fingerprint: str) -> str | None:
        """The `outcome` that the last run with this fingerprint wrote down; None if there was none."""
