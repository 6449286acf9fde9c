"""What would settle the rows that are recommended to be verified again: waiting, another depth, events, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailvet.vocabulary import Depth, Reason

__all__ = ["Settling", "settled_by"]

_WAIT = frozenset(
    {
        *(Reason.greylisted, Reason.server_temporary_error, Reason.sender_throttled, Reason.tarpit),
        *(Reason.dns_timeout, Reason.dns_error, Reason.mailbox_full, Reason.recipient_throttled),
        *(Reason.repeated_soft_bounce, Reason.protocol_error),
    }
)
"""Another run, once they are due, may get another reply."""
_SENDER = frozenset({Reason.sender_blocked, Reason.relay_denied, Reason.connect_failed, Reason.smtp_timeout})
"""Servers that are out of reach from here, or refuse us."""
_EVENTS = frozenset(
    {
        *(Reason.accept_all, Reason.security_gateway, Reason.provider_unverifiable, Reason.sender_not_known),
        *(Reason.inactive, Reason.role_account, Reason.no_reply, Reason.smtputf8_unsupported),
    }
)
"""No reply of a server tells more; what becomes of your own mail does."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Rows that the same would settle."""

    by: str
    """wait, depth, sender, events or version."""
    rows: int
    reasons: Mapping[str, int]
    text: str
    """For people: what to do."""


def settled_by(reverify: Mapping[str, int], depth: Depth) -> list[Settling]:
    """What would settle the rows recommended to be verified again, the largest group first.

    Args:
        reverify: rows by reason.
        depth: of the last run; a deeper one settles what was not probed.
    """
    groups: dict[str, dict[str, int]] = {}
    for word, rows in reverify.items():
        if rows:
            groups.setdefault(_means(word), {})[word] = rows
    found = [Settling(by, sum(rows.values()), rows, _text(by, depth)) for by, rows in groups.items()]
    return sorted(found, key=lambda group: (-group.rows, group.by))


def _means(word: str) -> str:
    if word not in Reason.__members__:
        return "version"
    reason = Reason(word)
    if reason is Reason.not_probed:
        return "depth"
    for name, reasons in (("wait", _WAIT), ("sender", _SENDER), ("events", _EVENTS)):
        if reason in reasons:
            return name
    return "events"


def _text(by: str, depth: Depth) -> str:
    if by == "depth":
        if depth is Depth.offline:
            return "a run of depth dns, and one of depth smtp where port 25 is open"
        if depth is Depth.dns:
            return (
                "a run of depth smtp where port 25 is open; the same run again changes nothing. Where it is closed: "
                "your own events, or a risk budget"
            )
        return "the next run, if port 25 is open and no limit was reached; else your own events, or a risk budget"
    return {
        "wait": "time: another run, once they are due",
        "sender": "another address to ask from, or a better reputation (mailvet doctor); else your own events",
        "events": "no server: only your own events (a delivery, an open, a bounce), or a risk budget",
        "version": "the version of mailvet that gave these verdicts",
    }[by]
