"""Where verdicts come from: the verdict table where there is one, the core for what is left.

Knows nothing of Great Expectations, so that it can be read, tested and reused without it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mailvet import (
    Depth,
    MailvetError,
    Reason,
    Recommendation,
    Settings,
    SettingsError,
    SourceError,
    Status,
    email_key,
)
from mailvet.sdk import AnyPolicy, OwnPolicy, parse_duration, recommend, verdict_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DEFAULT_VERDICT_TABLE",
    "NOT_TEXT",
    "Acceptance",
    "Cell",
    "HasCells",
    "Known",
    "Recency",
    "UnknownVerdictsError",
    "VerdictSource",
    "VerificationError",
    "is_file_of_verdicts",
    "read_stored_verdicts",
    "verify_cells",
]

DEFAULT_VERDICT_TABLE = "mailvet_verdicts"
NOT_TEXT = "not_text"
"""The detail of a cell of a dataframe that holds a number, a list or the like."""
_BATCH_ROWS = 20_000


class VerificationError(MailvetError):
    """The addresses could not be verified: no network, no resolver, or servers that refuse us. Not a data problem."""


class UnknownVerdictsError(MailvetError):
    """Some addresses have no definite verdict, and the expectation was told to treat that as an error."""


class Known(NamedTuple):
    """What an expectation needs to know of one verdict. Times are aware and in UTC."""

    status: str
    reason: str
    score: int
    attempts: int
    depth: str
    checked_at: datetime
    next_check_at: datetime | None
    detail: str | None = None
    """
    The syntax_error code of a syntax_invalid cell, `NOT_TEXT` of one that is no text; "eai" for an address that needs
    SMTPUTF8 (RFC 6531).
    """
    bounce_probability: float | None = None
    """P(hard bounce), between 0 and 1; None in a table of verdicts of an older version, which holds the score alone."""


class Cell(NamedTuple):
    """One distinct text of the column."""

    rows: int
    """In how many rows it stands."""
    known: Known | None
    """None: never verified, and not to be verified now."""
    missing: bool = False
    """The text is blank."""


class HasCells(Protocol):
    """The verdicts of a column's distinct cells, with the failure that kept them from being complete."""

    failure: MailvetError | None


@dataclass(frozen=True)
class VerdictSource:
    """How verdicts are come by. Two expectations with equal sources share one verification.

    Args:
        depth: offline, dns or smtp; None as the settings say.
        config: path of a `mailvet.toml`; None uses the environment alone.
        verdict_table: where stored verdicts lie; None takes `mailvet_verdicts` where it exists.
        verify: "never" asks no server, "missing" asks for what has no verdict that still holds, "always" ignores
            stored verdicts.
    """

    depth: str | None = None
    config: str | None = None
    verdict_table: str | None = None
    verify: str = "missing"

    def settings(self) -> Settings:
        """The core's settings.

        Raises:
            SettingsError: the file or the environment cannot be used.
        """
        return Settings.load(self.config, depth=self.depth)

    def chosen_policy(self, name: str | None) -> AnyPolicy:
        """The policy of this name, also one of the user's own; None: that of the settings.

        Raises:
            SettingsError: there is none, or it looks at the age of verdicts, which counts do not keep.
        """
        found = self.settings().with_policy(name).chosen_policy
        if isinstance(found, OwnPolicy) and found.uses_age:
            raise SettingsError(
                f"The policy {found} looks at the age of verdicts (send_within), which expectations cannot. Use one "
                "without it, and ExpectColumnEmailsToBeVerifiedRecently beside it."
            )
        return found


@dataclass(frozen=True)
class Acceptance:
    """Which verdicts pass: a pure function of verdict, policy and what the user allows."""

    policy: AnyPolicy
    allow: frozenset[str]
    unknown: str

    @classmethod
    def of(cls, source: VerdictSource, policy: str | None, allow: Collection[str], unknown: str) -> Acceptance:
        """The acceptance with the policy of the settings where none is named."""
        return cls(source.chosen_policy(policy), frozenset(allow), unknown)

    def advice(self, known: Known) -> Recommendation:
        """What the policy recommends."""
        reason, chance = Reason.stored(known.reason), known.bounce_probability
        return recommend(reason, self.policy, known.score, known.attempts, probability=chance)

    def allows(self, known: Known | None) -> bool:
        """Whether the status or the recommendation is one of those allowed."""
        return known is not None and (known.status in self.allow or str(self.advice(known)) in self.allow)

    def undecided(self, known: Known | None) -> bool:
        """Not allowed, but only because nothing definite is known."""
        return not self.allows(known) and (known is None or known.status == Status.unknown)

    def passes(self, known: Known | None) -> bool:
        """Whether the cell meets the expectation; with unknown="error" the undecided are left to the caller."""
        return self.allows(known) or (self.unknown != "fail" and self.undecided(known))


@dataclass(frozen=True)
class Recency:
    """Which verdicts are recent: checked after `since`, and deep enough or of a kind that never needs renewal."""

    since: datetime
    depths: tuple[str, ...]

    @classmethod
    def of(cls, max_age: str, depth: str | None) -> Recency:
        """Counted back from now.

        Raises:
            SettingsError: `max_age` is no duration.
        """
        return cls(datetime.now(timezone.utc) - _duration(max_age), depths_from(depth))

    def accepts(self, known: Known | None) -> bool:
        """Whether the verdict is recent."""
        if known is None or known.detail == NOT_TEXT:
            return False
        return known.checked_at >= self.since and (known.next_check_at is None or known.depth in self.depths)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError(f"max_age: {error}.") from None


def depths_from(depth: str | None) -> tuple[str, ...]:
    """The depths that go at least as far as this one; all of them for None."""
    least = Depth(depth).rank if depth else 0
    return tuple(str(each) for each in Depth if each.rank >= least)


def verify_cells(cells: Sequence[str], settings: Settings) -> tuple[list[Known], VerificationError | None]:
    """Verify distinct cells with the core, once.

    Returns:
        One verdict for each cell, in order, and the outage that left some of them unknown, None if there was none.

    Raises:
        SettingsError, PreflightError: before anything is asked.
    """
    if not cells:
        return [], None
    import polars as pl

    from mailvet.sdk import Stream, Verifier, run_in_background

    async def work() -> tuple[pl.DataFrame, str | None]:
        batches = iter(pl.Series("email", cells, dtype=pl.String).to_frame().iter_slices(_BATCH_ROWS))

        async def read() -> pl.DataFrame | None:
            return next(batches, None)

        async with Verifier(settings) as verifier:
            frames = [frame async for frame in Stream(verifier, read)]
            return pl.concat(frames), verifier.degraded

    verdicts, degraded = run_in_background(work())
    by_key = known_by_key(verdicts.to_arrow().cast(verdict_schema()))
    found = [by_key[email_key(cell)] for cell in cells]
    lost = sum(known.status == Status.unknown for known in found) if degraded else 0
    if degraded and lost:
        return found, VerificationError(f"{lost} of {len(cells)} addresses could not be verified. {degraded}")
    return found, None


def known_by_key(verdicts: pa.Table) -> dict[str, Known]:
    """Verdicts by `email_key` from a table with the columns of the verdict table."""
    names = ("email_key", "status", "reason", "score", "attempts", "depth", "checked_at", "next_check_at")
    keys, *columns = (verdicts.column(name).to_pylist() for name in names)
    columns[5:] = [[_aware(moment) for moment in column] for column in columns[5:]]
    nothing: list[float | None] = [None] * len(keys)
    has_chances = "bounce_probability" in verdicts.column_names
    chances = verdicts.column("bounce_probability").to_pylist() if has_chances else nothing
    details: list[str | None] = [None] * len(keys)
    flags, evidence = verdicts.column("flags").to_pylist(), verdicts.column("evidence").to_pylist()
    for place, reason in enumerate(columns[1]):
        if reason == "syntax_invalid" or "eai" in (flags[place] or ""):
            details[place] = _detail(reason, flags[place], evidence[place])
    return dict(zip(keys, map(Known._make, zip(*columns, details, chances, strict=True)), strict=True))


def _detail(reason: str, flags: str | None, evidence: str | None) -> str | None:
    if reason == Reason.syntax_invalid:
        facts = json.loads(evidence or "[]")
        return next((fact.get("detail") for fact in facts if fact.get("layer") == "syntax"), None)
    return "eai" if "eai" in (flags or "").split(",") else None


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=timezone.utc) if moment is not None and moment.tzinfo is None else moment


def still_holds(known: Known, depths: Collection[str], now: datetime) -> bool:
    """Whether a stored verdict spares a new one: deep enough and not due yet."""
    return known.depth in depths and (known.next_check_at is None or known.next_check_at > now)


def is_file_of_verdicts(name: str) -> bool:
    """Whether `verdict_table` is a path: its ending says so, or it has folders."""
    return "/" in name or "\\" in name or Path(name).suffix.lower() in (".parquet", ".duckdb")


def read_stored_verdicts(path: str, keys: Sequence[str]) -> dict[str, Known]:
    """Verdicts by `email_key` from a file.

    Parquet with the columns of the verdict table, or a DuckDB database that holds `mailvet_verdicts`.

    Raises:
        SourceError: the file is missing or is neither of the two.
    """
    import duckdb
    import pyarrow as pa

    from mailvet.sdk import sql_path

    file = Path(path)
    if not file.is_file():
        raise SourceError(
            f"There is no file of verdicts {path}. For a dataframe, verdict_table is the path of a Parquet file or of "
            "a DuckDB database with the table mailvet_verdicts."
        )
    parquet = file.suffix.lower() == ".parquet"
    try:
        with duckdb.connect() if parquet else duckdb.connect(str(file), read_only=True) as db:
            db.register("mailvet_keys", pa.table({"email_key": list(keys)}))
            relation = DEFAULT_VERDICT_TABLE
            if parquet:  # this file, whatever pattern its name would be, and no column from its folders' names
                relation = f"read_parquet({sql_path(file)}, hive_partitioning = false)"
            table = db.sql(f"select v.* from {relation} v semi join mailvet_keys k using (email_key)").to_arrow_table()
            return known_by_key(table)
    except (duckdb.Error, KeyError) as error:
        first = str(error).splitlines()[0]
        raise SourceError(f"The verdicts in {file.name} cannot be read: {first}") from None
