"""What a step of an SMTP conversation can come to: a reply, a refusal before any recipient, or no usable reply."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mailvet.smtp.reply_reading import Stage

__all__ = ["Broken", "Refused", "Reply"]


class Reply(NamedTuple):
    """One reply of the server."""

    stage: Stage
    code: int
    text: str
    """Everything after the basic code, lines joined by line feeds; what is no UTF-8 is read as Latin-1."""
    seconds: float
    """How long the server took."""


class Refused(Exception):
    """The server would not go on, before any recipient was named; `reply` says how it put it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.stage} refused with {reply.code}")
        self.reply = reply


class Broken(Exception):
    """The conversation ended without a usable reply."""

    def __init__(self, stage: Stage, kind: Literal["unreachable", "timeout", "closed", "garbage"], detail: str) -> None:
        super().__init__(f"{kind} at {stage}: {detail}")
        self.stage = stage
        self.kind = kind
        self.detail = detail
