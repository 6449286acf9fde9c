"""What the API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mailvet.vocabulary import Depth, Reason, Recommendation, Status

__all__ = [
    "Check",
    "Checked",
    "Erased",
    "Erasure",
    "FormCheck",
    "FormChecked",
    "Health",
    "Job",
    "Problem",
    "Readiness",
    "Received",
]

Cell = Annotated[
    str,
    Field(
        max_length=1024, description="As it was typed; nothing needs to be trimmed.", examples=["ann.smith@example.com"]
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Request):
    """One address to be checked."""

    address: Cell
    depth: Depth | None = Field(None, description="offline, dns or smtp; default: as the service is configured.")
    policy: str | None = Field(
        None, max_length=64, description="What the mail is for; default: as the service is configured."
    )
    deadline_ms: int | None = Field(
        None, ge=1, le=60_000, strict=True, description="Milliseconds after which the answer is given."
    )


class Checked(BaseModel):
    """The verdict. What was not known when the deadline passed is found out in the background."""

    status: Status
    reason: Reason
    recommendation: Recommendation
    score: Annotated[int, Field(ge=0, le=100)]
    suggestion: str | None
    flags: list[str]
    checked_at: datetime
    took_ms: Annotated[int, Field(ge=0)]


class FormCheck(_Request):
    """One address that a visitor typed into a form."""

    address: Cell


class FormChecked(BaseModel):
    """What the form should do."""

    result: Literal["accept", "suggest", "reject"]
    suggestion: str | None


class Erasure(_Request):
    """Who is to be erased: one address in all its spellings, or everybody at a domain."""

    address: Cell | None = None
    domain: Annotated[str, Field(max_length=255)] | None = None


class Erased(BaseModel):
    """What was erased."""

    verdicts: int
    batch_rows: int
    remains: list[str] = Field(description="What is out of the service's reach, a sentence each.")


class Job(BaseModel):
    """A batch."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    depth: Depth
    policy: str
    rows: int
    due: int | None = Field(description="Addresses that had no verdict; null before they were counted.")
    done: int = Field(description="Of these, addresses that have one now.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="When addresses and results are deleted; null before the end.")
    by_status: dict[str, int] | None = Field(description="Rows by status, at the end.")
    error: str | None
    webhook: Literal["waiting", "delivered", "failed"] | None


class Received(BaseModel):
    """A webhook that was taken."""

    records: int = Field(description="Records that it held; metrics tell what came of them.")


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """What the service needs, and whether it is there."""

    ready: bool
    database: bool
    dns: bool


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
