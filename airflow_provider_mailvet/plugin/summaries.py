"""The summaries that `MailvetVerifyOperator` left as XComs.

An XCom is written by everyone who may write a DAG, so nothing in it is taken on trust: each field is brought to its
type and a sensible range, text is cut and its addresses are masked, and what is no summary is left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from mailvet import Policy, Reason, Recommendation, Status
from mailvet.sdk import REASONS, mask_text

if TYPE_CHECKING:
    pass

__all__ = [
    "Failure",
    "Instance",
    "OperatorAnswers",
    "Run",
    "Runs",
    "Series",
    "as_mapping",
    "count_of",
    "in_series",
    "masked",
    "meaning_of",
    "number_of",
    "status_of",
    "text_of",
]

SUMMARY_FORMAT = 1
"""The value of a summary's `mailvet`."""


_LONGEST_TEXT = 300


def masked(text: str) -> str:
    """The text with every address in it masked."""
    return mask_text(text)


@dataclass(frozen=True, slots=True)
class OperatorAnswers:
    """What one mail operator answered in one run, in recipients."""

    name: str
    asked: int
    accepted: int
    refused: int
    unclear: int
    state: str

    @property
    def stopped(self) -> bool:
        """Mailvet gave up on it for this run."""
        return "stopped" in self.state


@dataclass(frozen=True, slots=True)
class Instance:
    """The task instance that made a summary."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A task instance that failed before it left a summary."""

    without_summary: ClassVar[bool] = True

    instance: Instance
    at: datetime
    """When the try began; UTC."""

    @property
    def waits(self) -> bool:
        """Airflow will try it again."""
        return self.instance.state == "up_for_retry"


@dataclass(frozen=True, slots=True)
class Run:
    """One run over one table. Counts are rows where nothing else is said; shares lie between 0 and 1."""

    without_summary: ClassVar[bool] = False

    instance: Instance
    at: datetime
    """When it started; UTC."""
    source: str
    conn_id: str
    table: str
    depth: str
    policy: str
    seconds: float | None
    rows: int
    missing: int
    """Rows whose cell is null or blank."""
    addresses: int
    due: int
    """Addresses without a verdict that still holds."""
    checked: int
    """Addresses verified in this run."""
    updates: int | None
    """Updates of rows whose answer changed, over all attempts; None when nothing was to be written."""
    pending: int
    """Addresses that asked to come back later."""
    next_check_at: datetime | None
    by_status: Mapping[str, int]
    by_reason: Mapping[str, int]
    by_recommendation: Mapping[str, int]
    bounce_before: float | None
    bounce_without_do_not_send: float | None
    bounce_after: float | None
    operators: Sequence[OperatorAnswers]
    probes: int
    lookups: int
    health: str
    """ "ok", or what went wrong in one sentence."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """Layer -> rows whose verdict it settled."""
    shards: int = 1
    """Mapped task instances that this is the sum of."""

    @property
    def judged(self) -> int:
        """Rows with a status."""
        return sum(self.by_status.values())

    @property
    def filled(self) -> int:
        """Rows with an address."""
        return self.rows - self.missing

    @property
    def healthy(self) -> bool:
        """Nothing kept the run from its work."""
        return self.health == "ok"

    def share(self, *words: str) -> float:
        """Share of the judged rows whose status, reason or recommendation is one of the words."""
        for counts in (self.by_status, self.by_recommendation, self.by_reason):
            if any(word in counts for word in words):
                return sum(counts.get(word, 0) for word in words) / max(sum(counts.values()), 1)
        return 0.0

    @classmethod
    def of(cls, value: object, instance: Instance, at: datetime) -> Run | None:
        """Read an XCom; None when it is no summary of this format. `at` serves where it does not say when it began."""
        values = as_mapping(value)
        if values is None or values.get("mailvet") != SUMMARY_FORMAT:
            return None
        take = values.get
        table = text_of(take("table")) or "unnamed table"
        return cls(
            instance=instance,
            at=_moment(take("started_at")) or at,
            source=text_of(take("source")) or table,
            conn_id=text_of(take("conn_id")),
            table=table,
            depth=text_of(take("depth")) or "unknown",
            policy=text_of(take("policy")) or str(Policy.marketing),
            seconds=number_of(take("seconds")),
            rows=count_of(take("rows")),
            missing=count_of(take("missing", take("blank"))),  # as runs of an older version call it
            addresses=count_of(take("addresses")),
            due=count_of(take("due")),
            checked=count_of(take("checked")),
            updates=None if take("updates") is None else count_of(take("updates")),
            pending=count_of(take("pending")),
            next_check_at=_moment(take("next_check_at")),
            by_status=_counts(take("by_status"), [str(status) for status in Status]),
            by_reason=_counts(take("by_reason"), [str(reason) for reason in REASONS]),
            by_recommendation=_counts(take("by_recommendation"), [str(choice) for choice in Recommendation]),
            bounce_before=_share(take("bounce_before")),
            bounce_without_do_not_send=_share(take("bounce_without_do_not_send")),
            bounce_after=_share(take("bounce_after")),
            operators=tuple(_operators(take("operators"))),
            probes=count_of(take("probes")),
            lookups=count_of(take("lookups")),
            health=text_of(take("health")) or "ok",
            layers=_counts(take("layers"), []),
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """The newest runs first, and how many XComs of the operator were no summary this version can read."""

    runs: Sequence[Run]
    unreadable: int = 0
    truncated: bool = False
    """There are more than were read."""


@dataclass(frozen=True, slots=True)
class Series:
    """The runs of one task over one table, the newest first; the shards of one DAG run are one run here."""

    key: str
    """Names the series in an address of the page."""
    runs: Sequence[Run]

    @property
    def last(self) -> Run:
        """The newest."""
        return self.runs[0]

    @property
    def before(self) -> Run | None:
        """The one before the newest."""
        return self.runs[1] if len(self.runs) > 1 else None

    @property
    def last_asked(self) -> Run | None:
        """The newest that asked mail servers; a run with nothing due asks none."""
        return next((run for run in self.runs if run.operators), None)

    def later_failure(self, failures: Iterable[Failure]) -> Failure | None:
        """The newest failure of this task that came after the newest run, or together with it."""
        place = (self.last.instance.dag_id, self.last.instance.task_id)
        return next(
            (
                each
                for each in failures
                if (each.instance.dag_id, each.instance.task_id) == place and each.at >= self.last.at
            ),
            None,
        )


def in_series(runs: Iterable[Run]) -> list[Series]:
    """Group runs (the newest first) by DAG, task and table; the series with the newest run comes first."""
    found: dict[tuple[str, ...], dict[str, list[Run]]] = {}
    for run in runs:
        name = (run.instance.dag_id, run.instance.task_id, run.conn_id, run.table)
        found.setdefault(name, {}).setdefault(run.instance.run_id, []).append(run)
    return [Series(_short(name), [_together(parts) for parts in groups.values()]) for name, groups in found.items()]


def _short(name: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(name).encode()).hexdigest()[:12]


def _together(parts: Sequence[Run]) -> Run:
    """The mapped instances of one task in one DAG run as one run.

    Shards that report the same number of rows report the whole table, and the newest knows most; otherwise each
    reports its own rows, and the sum is the table.
    """
    newest = parts[0]
    if len(parts) == 1:
        return newest
    operators: dict[str, OperatorAnswers] = {}
    for row in (row for part in parts for row in part.operators):
        other = operators.get(row.name)
        operators[row.name] = (
            row
            if other is None
            else OperatorAnswers(
                row.name,
                row.asked + other.asked,
                row.accepted + other.accepted,
                row.refused + other.refused,
                row.unclear + other.unclear,
                row.state if row.stopped else other.state,
            )
        )
    ill = next((part.health for part in parts if not part.healthy), "ok")
    waiting = [part.next_check_at for part in parts if part.next_check_at is not None]
    work = replace(
        newest,
        at=min(part.at for part in parts),
        seconds=max(part.seconds or 0.0 for part in parts),
        checked=sum(part.checked for part in parts),
        updates=sum(part.updates or 0 for part in parts),
        pending=sum(part.pending for part in parts),
        next_check_at=min(waiting, default=None),
        operators=sorted(operators.values(), key=lambda row: -row.asked),
        probes=sum(part.probes for part in parts),
        lookups=sum(part.lookups for part in parts),
        health=ill,
        layers=_added(part.layers for part in parts),
        shards=len(parts),
    )
    if len({part.rows for part in parts}) == 1:
        return work
    return replace(
        work,
        rows=sum(part.rows for part in parts),
        missing=sum(part.missing for part in parts),
        addresses=sum(part.addresses for part in parts),
        due=sum(part.due for part in parts),
        by_status=_added(part.by_status for part in parts),
        by_reason=_added(part.by_reason for part in parts),
        by_recommendation=_added(part.by_recommendation for part in parts),
        bounce_before=_mean([(part.bounce_before, part.filled) for part in parts]),
        bounce_without_do_not_send=_mean(
            [
                (part.bounce_without_do_not_send, part.filled - part.by_recommendation.get("do_not_send", 0))
                for part in parts
            ]
        ),
        bounce_after=_mean([(part.bounce_after, part.by_recommendation.get("send", 0)) for part in parts]),
    )


def _added(all_counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in all_counts:
        for word, count in counts.items():
            total[word] = total.get(word, 0) + count
    return total


def _mean(weighted: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None and weight > 0]
    weights = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / weights if weights else None


# ----------------------------------------------------------- what an XCom holds


def as_mapping(value: object) -> Mapping[str, Any] | None:
    """An XCom's object; an XCom backend may store JSON as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, Mapping) else None


def text_of(value: object) -> str:
    """Text in one line, cut, its addresses masked; "" for anything else."""
    if not isinstance(value, str):
        return ""
    # JSON can hold half of a surrogate pair, which no page can. And an address is looked for before the text is cut,
    # since a cut could leave half of one behind.
    text = value[: 10 * _LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8")
    text = masked(" ".join(text.split()))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def count_of(value: object) -> int:
    """A whole number from 0; 0 for anything else."""
    number = number_of(value)
    return 0 if number is None else int(number)


def number_of(value: object) -> float | None:
    """A number from 0 of a sensible size, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value < 1e15 or not math.isfinite(value):
        return None
    return float(value)


def _share(value: object) -> float | None:
    number = number_of(value)
    return number if number is not None and number <= 1 else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _counts(value: object, known: Sequence[str]) -> dict[str, int]:
    """Word -> count, the known words in their order and then, by count, those of another version of mailvet."""
    if not isinstance(value, Mapping):
        return {}
    counts = {text_of(word)[:60]: count_of(count) for word, count in list(value.items())[:60]}
    rest = sorted((word for word in counts if word and word not in known), key=lambda word: -counts[word])
    return {word: counts[word] for word in [*known, *rest] if counts.get(word)}


def _operators(value: object) -> Iterable[OperatorAnswers]:
    rows = value if isinstance(value, list) else []
    for row in rows[:50]:
        if isinstance(row, Mapping) and (name := text_of(row.get("name"))):
            yield OperatorAnswers(
                name,
                count_of(row.get("asked")),
                count_of(row.get("accepted")),
                count_of(row.get("refused")),
                count_of(row.get("unclear")),
                text_of(row.get("state")),
            )


def status_of(reason: str) -> str:
    """The status that a reason implies; `unknown` for a reason of another version."""
    try:
        return str(REASONS[Reason(reason)].status)
    except ValueError:
        return str(Status.unknown)


def meaning_of(reason: str) -> str:
    """A reason in words."""
    if reason == "other":
        return "the rarest reasons together, cut from the summary to keep it small"
    try:
        return REASONS[Reason(reason)].meaning
    except ValueError:
        return "a reason of another version of mailvet"
