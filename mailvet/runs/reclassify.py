"""Stored replies read again, after the rules on replies have improved; no server is asked.

Only what a reply says by itself is read again. What it meant beside other replies (an accepted recipient next to a
random one, a refusal that the random address got as well) cannot be told from one row, and stays as it was. A reply
that the rules now call ambiguous has to be compared, so its verdict stays and becomes due. Everything else about the
address (lists, history, route) is taken from the evidence of the verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from mailvet.errors import SourceError
from mailvet.policies import recommend
from mailvet.settings import Settings
from mailvet.smtp.reply_reading import Stage, read_reply
from mailvet.verdict import Evidence, Verdict, verdict_schema
from mailvet.verification import scalar
from mailvet.verification.verdict_settings import VerdictSettings
from mailvet.vocabulary import RULES_VERSION, Reason

if TYPE_CHECKING:
    from rich.console import Console

    from mailvet.warehouse.store import VerdictStore

__all__ = ["Reclassification", "open_verdicts", "reclassify", "reread", "show"]

_BATCH_ROWS = 20_000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_STAGE = re.compile(r"at (connect|hello|mail): ")


@dataclass(frozen=True, slots=True)
class Reclassification:
    """What reading the stored replies again came to."""

    replies: int
    """Verdicts with a stored refusal."""
    in_context: int
    """Of these, what the reply meant rested on other replies; kept."""
    ask_again: int
    """Of these, the rules now want a comparison; the verdict is kept and due."""
    changes: Mapping[tuple[Reason, Reason], int]
    """(reason before, reason after) -> verdicts; the most first."""
    written: bool

    @property
    def changed(self) -> int:
        """Verdicts whose reason is another now."""
        return sum(self.changes.values())


def open_verdicts(source: str, settings: Settings, table: str | None, *, writable: bool) -> VerdictStore:
    """The verdicts beside a source: a DuckDB database, a data file (its verdicts lie in the store), or a database URL.

    Raises:
        SourceError: it cannot be opened; SettingsError: a URL without `table`.
    """
    from mailvet.runs.sources import default_store, open_source
    from mailvet.warehouse.files import format_of
    from mailvet.warehouse.opening import open_store

    path = Path(source).expanduser()
    if "://" in source:
        return open_source(source, settings, table=table, writable=writable, updatable=False)
    if format_of(path) is not None:
        if not path.exists():
            raise SourceError(f"There is no file {path}. Check the path.")
        path = settings.store.path or default_store()
    return open_store(path, read_only=not writable)


def show(console: Console, name: str, result: Reclassification) -> None:
    """The result for a terminal."""
    from rich.table import Table

    console.print(
        f"{result.replies:,} refusals stored in {name}; what {result.in_context:,} of them meant rested on other "
        "replies and is kept.",
        highlight=False,
    )
    if result.changes:
        grid = Table(box=None, padding=(0, 2), header_style="dim")
        for column in ("reason before", "reason now", "verdicts"):
            grid.add_column(column, justify="right" if column == "verdicts" else "left")
        for (before, now), count in result.changes.items():
            grid.add_row(str(before), str(now), f"{count:,}")
        console.print(grid)
    if result.ask_again:
        console.print(
            f"{result.ask_again:,} can be read in two ways now and {'are' if result.written else 'would be'} due: the "
            "next run compares them with a random address.",
            highlight=False,
        )
    if not result.changes and not result.ask_again:
        console.print("Nothing changes.")
    elif result.written:
        console.print("Saved. The next run writes the status columns of your table.")
    else:
        console.print("Nothing was written: add --write to save this.")


def reclassify(warehouse: VerdictStore, settings: Settings, *, write: bool = False) -> Reclassification:
    """Read all replies stored beside a source again.

    Args:
        warehouse: opened for writing if `write`.
        settings: policy and greylisting schedule.
        write: save the verdicts that change; otherwise only count them.

    Raises:
        MailvetError: the database cannot be read or written; batches saved before stay saved.
    """
    replies = in_context = ask_again = 0
    changes: Counter[tuple[Reason, Reason]] = Counter()
    for batch in warehouse.replies(_BATCH_ROWS):
        revised = []
        for verdict in map(Verdict.from_row, batch.to_pylist()):
            replies += 1
            now = reread(verdict, settings)
            if now is None:
                in_context += 1
            elif now.reason is not verdict.reason:
                changes[verdict.reason, now.reason] += 1
                revised.append(now)
            elif now != verdict:  # what the server said is read otherwise, what follows from it is not
                ask_again += now.next_check_at != verdict.next_check_at
                revised.append(now)
        if write and revised:
            import pyarrow as pa

            rows = [scalar.as_row(verdict) for verdict in revised]
            warehouse.revise(pa.Table.from_pylist(rows, schema=verdict_schema()))
    return Reclassification(replies, in_context, ask_again, dict(changes.most_common()), write)


def reread(verdict: Verdict, settings: Settings) -> Verdict | None:
    """The verdict as the rules of today give it for its stored reply: the same object where nothing changes.

    None where the reply says nothing by itself.
    """
    stage = _stage(verdict)
    if stage is None:
        return None
    assert verdict.smtp_code is not None
    assert verdict.smtp_reply is not None
    # The stored words carry no names any more; of the recipient only its domain and its need of SMTPUTF8 are left.
    recipient = ("\u00e4@" if "eai" in verdict.flags else "@") + (verdict.domain or "")
    reading = read_reply(stage, verdict.smtp_code, verdict.smtp_reply, recipient=recipient)
    if reading.reason is None:
        return None
    if reading.ambiguous:
        return replace(verdict, next_check_at=_now(verdict)) if _settled_by_reply(verdict) else verdict
    if str(reading.reason) == _said(verdict).fact:
        return verdict
    return _judged_anew(verdict, reading.reason, reading.retry_after, settings)


def _stage(verdict: Verdict) -> Stage | None:
    """What the stored reply answered, if its meaning rested on nothing else."""
    if verdict.smtp_code is None or verdict.smtp_reply is None or not 400 <= verdict.smtp_code <= 599:
        return None
    detail = _said(verdict).detail
    words = _CONTROLS.sub(" ", verdict.smtp_reply)
    if detail is None or not detail.endswith(words):
        return None
    if detail == words:
        return Stage.rcpt
    before = _STAGE.fullmatch(detail[: len(detail) - len(words)])
    return Stage(before[1]) if before else None


def _said(verdict: Verdict) -> Evidence:
    return next((fact for fact in verdict.evidence if fact.layer == "mailbox"), Evidence("mailbox", ""))


def _settled_by_reply(verdict: Verdict) -> bool:
    """Whether the verdict rests on what this reply was held to say and is not due already."""
    return _said(verdict).fact == verdict.reason and verdict.next_check_at != _now(verdict)


def _now(verdict: Verdict) -> datetime | None:
    # As old as the answer itself: due at once, and the same however often the replies are read.
    return verdict.checked_at


def _judged_anew(verdict: Verdict, reason: Reason, retry_after: float | None, settings: Settings) -> Verdict:
    said = _said(verdict)
    known = {str(member) for member in Reason}
    others = [Reason(fact.fact) for fact in verdict.evidence if fact is not said and fact.fact in known]
    finding = scalar.Finding(verdict.email or "", flags=set(verdict.flags), reasons=[*others, reason])
    finding.retry_after = retry_after
    judged = scalar.judge(finding, VerdictSettings.of(settings))
    checked_at = verdict.checked_at or datetime.now(timezone.utc)
    wait = judged.next_check_at - judged.checked_at if judged.next_check_at and judged.checked_at else None
    same = judged.reason is verdict.reason
    attempts = verdict.attempts if same else 1
    return replace(
        verdict,
        status=judged.status,
        reason=judged.reason,
        recommendation=recommend(
            judged.reason,
            settings.chosen_policy,
            judged.score,
            attempts,
            probability=judged.bounce_probability,
            age=max(datetime.now(timezone.utc) - checked_at, timedelta(0)),
        ),
        score=judged.score,
        bounce_probability=judged.bounce_probability,
        evidence=tuple(replace(fact, fact=str(reason)) if fact is said else fact for fact in verdict.evidence),
        next_check_at=verdict.next_check_at if same else None if wait is None else checked_at + wait,
        attempts=attempts,
        rules_version="+".join([RULES_VERSION, *verdict.rules_version.split("+")[1:]]),
    )
