"""The vocabulary: status, reason, recommendation, and the record that carries them.

One table, `REASONS`, says what every reason means, which status it implies, what each policy recommends and
when to look again. The SQL `CASE` expressions, the documentation and the dbt macros are generated from it, so the
tools cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa
from mailvet.vocabulary import RULES_VERSION, Depth, Reason, Recommendation, Status

__all__ = ["STATUS_COLUMNS", "Evidence", "Verdict", "email_key", "email_keys", "verdict_schema"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that a layer found."""

    layer: str
    fact: str
    """A reason, or the name of a flag."""
    detail: str | None = None
    """What exactly: a syntax_error code, a server's reply with addresses masked, a list's name."""

    @classmethod
    def stored(cls, fact: Mapping[str, Any]) -> Evidence:
        """A fact as it stands in a table; what only a newer version keeps of it is left out."""
        return cls(str(fact.get("layer", "")), str(fact.get("fact", "")), fact.get("detail"))


STATUS_COLUMNS = ("status", "reason", "recommendation", "score", "suggestion", "checked_at")
"""The columns written beside the address, each with the configured prefix (`mailvet_`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one cell of text, field by field a row of `mailvet_verdicts`. Times are aware and in UTC."""

    email_key: str
    email: str | None
    status: Status
    reason: Reason
    recommendation: Recommendation
    score: int
    suggestion: str | None
    flags: tuple[str, ...]
    domain: str | None
    operator: str | None
    mx_host: str | None
    smtp_code: int | None
    smtp_reply: str | None
    depth: Depth
    evidence: tuple[Evidence, ...] = field(default=())
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    attempts: int = 1
    run_id: str | None = None
    rules_version: str = RULES_VERSION
    mailbox_key: str | None = None
    """The mailbox that the address reaches, whatever its spelling (`mailvet.syntax.mailbox_key`), if any."""
    bounce_probability: float | None = None
    """P(hard bounce), between 0 and 1: what `score` is rounded from. None in a row of an older version."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Verdict:
        """Build a verdict from one row of the verdict table (as `pyarrow.Table.to_pylist` gives it)."""
        values: dict[str, Any] = {
            **{name: row.get(name) for name in cls.__slots__},
            "status": Status.stored(row["status"]),
            "reason": Reason.stored(row["reason"]),
            "recommendation": Recommendation.stored(row["recommendation"]),
            "depth": Depth.stored(row["depth"]),
            "flags": tuple((row.get("flags") or "").split(",")) if row.get("flags") else (),
            "evidence": tuple(map(Evidence.stored, json.loads(row.get("evidence") or "[]"))),
        }
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; times in ISO 8601."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Enum):
                value = value.value
            elif isinstance(value, datetime):
                value = value.isoformat()
            elif name == "evidence":
                value = [{k: v for k, v in asdict(fact).items() if v is not None} for fact in value]
            elif isinstance(value, tuple):
                value = list(value)
            plain[name] = value
        return plain


@cache
def verdict_schema() -> pa.Schema:
    """The Arrow schema of `mailvet_verdicts`: one row per distinct cell text, keyed by `email_key`."""
    import pyarrow as pa

    utc = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("email_key", pa.string(), nullable=False),
            pa.field("email", pa.string()),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("recommendation", pa.string(), nullable=False),
            pa.field("score", pa.int16(), nullable=False),
            pa.field("suggestion", pa.string()),
            pa.field("flags", pa.string(), nullable=False),
            pa.field("domain", pa.string()),
            pa.field("operator", pa.string()),
            pa.field("mx_host", pa.string()),
            pa.field("smtp_code", pa.int16()),
            pa.field("smtp_reply", pa.string()),
            pa.field("depth", pa.string(), nullable=False),
            pa.field("evidence", pa.string(), nullable=False),
            pa.field("checked_at", utc, nullable=False),
            pa.field("next_check_at", utc),
            pa.field("attempts", pa.int32(), nullable=False),
            pa.field("run_id", pa.string()),
            pa.field("rules_version", pa.string(), nullable=False),
            pa.field("mailbox_key", pa.string()),
            pa.field("bounce_probability", pa.float64()),
        ]
    )


def email_key(text: str | None) -> str:
    """The join key of a cell: lower-case hexadecimal SHA-256 of its exact text in UTF-8, 64 characters.

    A missing value counts as the empty text. Every SQL dialect computes the same from the same cell.
    """
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()


def email_keys(texts: Iterable[str | None]) -> list[str]:
    """`email_key` of each, without a call for each."""
    digest = hashlib.sha256
    return [digest((text or "").encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
