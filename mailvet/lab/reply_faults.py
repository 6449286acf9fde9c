"""Servers whose replies are out of step with the commands, or break the grammar of replies (RFC 5321 section 4.2).

What is sent instead of what the server meant to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["FAULTS", "FaultyReplies", "ReplyFault", "Said"]

FAULTS = {
    "split_refusal": "each line of a refusal is a reply of its own, the hyphen is wanting",
    "surplus_acceptance": "a stray 250 is sent in front of the reply",
    "lost_reply": "a recipient of a pipelined group gets no reply",
    "reversed_group": "a pipelined group of recipients is answered in reverse order",
    "stray_after_hello": "a stray 250 follows the reply to EHLO",
    "repeated_refusal": "each refusal is sent a second time",
    "forgets_ahead": "of commands sent together only the first is answered",
    "glued_code": "a refusal has no space between code and text",
    "two_codes": "a refusal begins with the line 250- and ends with its own code",
    "leftover_at_quit": "QUIT is answered by the last refusal again, then by 221",
}
"""Each fault by name, in words."""


@dataclass(frozen=True, slots=True)
class ReplyFault:
    """One fault of `FAULTS`.

    `at_recipient`: only at the recipient of that number in a conversation; of a lost reply, None is the second of each
    group. `delay`: seconds until the surplus reply, where there is one.
    """

    kind: Literal[
        "split_refusal",
        "surplus_acceptance",
        "lost_reply",
        "reversed_group",
        "stray_after_hello",
        "repeated_refusal",
        "forgets_ahead",
        "glued_code",
        "two_codes",
        "leftover_at_quit",
    ]
    at_recipient: int | None = None
    delay: float = 0.0

    def summary(self) -> str:
        """The fault in words."""
        late = f", {1000 * self.delay:g} ms later" if self.delay else ""
        where = (
            late
            if self.at_recipient is None
            else late + f", only at recipient {self.at_recipient} of each conversation"
        )
        return FAULTS[self.kind] + where


class Said(NamedTuple):
    """A reply that a server meant to send."""

    verb: str
    payload: bytes
    delay: float = 0.0
    close: bool = False
    recipient: int = 0
    """Number of the recipient in the conversation; 0 for other commands."""

    @property
    def refuses(self) -> bool:
        """Whether it refuses a recipient."""
        return self.recipient > 0 and self.payload[:1] in b"45"


class FaultyReplies:
    """The fault at work in one conversation."""

    def __init__(self, fault: ReplyFault) -> None:
        self.fault = fault
        self._last_refusal = b""

    def arrange(self, said: Sequence[Said]) -> list[Said]:
        """What is sent in place of the replies to commands that arrived together."""
        kind = self.fault.kind
        if kind in ("lost_reply", "reversed_group"):
            return self._regroup(said)
        sent: list[Said] = []
        for each in said:
            if each.refuses:
                self._last_refusal = each.payload
            sent += self._instead(each)
        return sent

    def _applies(self, said: Said) -> bool:
        return self.fault.at_recipient is None or said.recipient == self.fault.at_recipient

    def _regroup(self, said: Sequence[Said]) -> list[Said]:
        sent = list(said)
        places = [place for place, each in enumerate(sent) if each.recipient]
        if len(places) < 2:
            return sent
        if self.fault.kind == "lost_reply":
            lost = [place for place in places if sent[place].recipient == self.fault.at_recipient]
            for place in lost if self.fault.at_recipient is not None else places[1:2]:
                del sent[place]
            return sent
        for place, each in zip(places, [sent[place] for place in reversed(places)], strict=True):
            sent[place] = each
        return sent

    def _instead(self, said: Said) -> list[Said]:
        kind = self.fault.kind
        if kind == "stray_after_hello" and said.verb == "EHLO":
            return [said, Said("EHLO", b"250 2.0.0 Ok\r\n", self.fault.delay)]
        if kind == "leftover_at_quit" and said.verb == "QUIT" and self._last_refusal:
            return [Said("QUIT", self._last_refusal), said]
        if kind == "surplus_acceptance" and said.recipient and self._applies(said):
            return [Said(said.verb, b"250 2.1.5 Ok\r\n", said.delay), said._replace(delay=0.0)]
        if not (said.refuses and self._applies(said)):
            return [said]
        if kind == "repeated_refusal":
            return [said, Said(said.verb, said.payload, self.fault.delay)]
        code, rest = said.payload[:3], said.payload[4:]
        if kind == "split_refusal":
            return [said._replace(payload=said.payload.replace(code + b"-", code + b" "))]
        if kind == "glued_code":
            return [said._replace(payload=code + rest)]
        if kind == "two_codes":
            return [said._replace(payload=b"250-Recipient looked up\r\n" + said.payload)]
        return [said]
