"""The results of `MailvetCheckOperator` as the page shows them, read as distrustfully as the summaries of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_mailvet.plugin.summaries import Instance, as_mapping, count_of, number_of, text_of

__all__ = ["GATE_FORMAT", "Gate", "Limit"]

GATE_FORMAT = 1
"""The value of a result's `mailvet_gate`."""
_MOST_LIMITS = 12


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, and the figure held against it; shares between 0 and 1."""

    name: str
    limit: float
    figure: float | None
    """None where there was nothing to divide by."""
    passed: bool

    @property
    def subject(self) -> str:
        """What is limited, in words."""
        return self.name.removeprefix("max_").replace("_", " ")


@dataclass(frozen=True, slots=True)
class Gate:
    """One table held against its limits."""

    instance: Instance
    at: datetime
    """When it was checked; UTC."""
    source: str
    conn_id: str
    table: str
    policy: str
    passed: bool
    among: Sequence[str]
    limits: Sequence[Limit]
    warnings: Sequence[str]
    rows: int
    addresses: int
    verified: int
    audience: int

    @property
    def failed(self) -> Sequence[Limit]:
        """The limits that were not kept."""
        return [limit for limit in self.limits if not limit.passed]

    @classmethod
    def of(cls, value: object, instance: Instance, at: datetime) -> Gate | None:
        """Read an XCom; None when it is no result of this format."""
        values = as_mapping(value)
        if values is None or values.get("mailvet_gate") != GATE_FORMAT:
            return None
        take = values.get
        table = text_of(take("table")) or "unnamed table"
        return cls(
            instance=instance,
            at=at,
            source=text_of(take("source")) or table,
            conn_id=text_of(take("conn_id")),
            table=table,
            policy=text_of(take("policy")),
            passed=take("passed") is True,
            among=_texts(take("among")),
            limits=[limit for each in _list(take("limits"))[:_MOST_LIMITS] if (limit := _limit(each)) is not None],
            warnings=_texts(take("warnings")),
            rows=count_of(take("rows")),
            addresses=count_of(take("addresses")),
            verified=count_of(take("verified")),
            audience=count_of(take("audience")),
        )


def _limit(value: object) -> Limit | None:
    if not isinstance(value, Mapping) or not text_of(value.get("name")):
        return None
    limit = number_of(value.get("limit"))
    return (
        None
        if limit is None
        else Limit(text_of(value.get("name")), limit, number_of(value.get("figure")), value.get("passed") is True)
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [text for each in _list(value)[:_MOST_LIMITS] if (text := text_of(each))]
