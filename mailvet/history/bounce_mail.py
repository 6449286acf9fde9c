"""Bounce mail as events: delivery reports (RFC 3464), complaints (ARF, RFC 5965) and Microsoft's JMRP.

What a report means follows from our own reading of the server's reply, not from the class that a program in between
has put on it. A mail that is no report gives no event.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import Message
from typing import Any

from mailvet.history.records import Event, Unusable, time_of
from mailvet.history.vocabulary import EventWord
from mailvet.smtp.reply_reading import read_reply
from mailvet.vocabulary import REASONS, Reason, Status

__all__ = ["BOUNCE_MAIL", "LONGEST_MAIL", "events_of_mail"]

BOUNCE_MAIL = "bounce_mail"
"""The `vendor` of these events."""

LONGEST_MAIL = 4 * 2**20
"""Octets of one mail that are read; a report stands at its beginning."""

_ADDRESS = re.compile(r"<?([^\s<>;,]{1,64}@[^\s<>;,]{1,255}?)>?\s*$")
_CODE = re.compile(r"\b([245]\d\d)\b")
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_MOST_PARTS = 200
_AHEAD = timedelta(days=1)
_SOFT = frozenset(
    {Reason.mailbox_full, Reason.recipient_throttled, Reason.greylisted, Reason.server_temporary_error, Reason.tarpit}
)
_HARD = frozenset({Reason.mailbox_not_found, Reason.mailbox_disabled, Reason.mailbox_moved})


def events_of_mail(raw: bytes, *, now: datetime) -> list[Event | Unusable]:
    """The events that one mail reports, one for each recipient.

    Args:
        raw: the mail with its header.
        now: aware, UTC.
    """
    try:
        mail = email.message_from_bytes(raw[:LONGEST_MAIL], policy=email.policy.compat32)
        parts = list(_parts(mail))
        found = _reports(mail, parts, now)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # of a mail made to break parsers
        return [Unusable("broken")]
    return found or [Unusable("ignored", "no report")]


def _parts(mail: Message) -> Iterator[Message]:
    """The parts of a mail without recursion, and no more than are worth a look."""
    waiting, count = [mail], 0
    while waiting and count < _MOST_PARTS:
        part = waiting.pop(0)
        count += 1
        yield part
        inner = part.get_payload()
        if isinstance(inner, list):
            waiting += [each for each in inner if isinstance(each, Message)]


def _reports(mail: Message, parts: list[Message], now: datetime) -> list[Event | Unusable]:
    kinds = {part.get_content_type(): part for part in reversed(parts)}
    if "message/feedback-report" in kinds:
        return [_complaint(mail, parts, _fields(kinds["message/feedback-report"]), now)]
    if "message/delivery-status" in kinds:
        blocks = [part for part in _blocks(kinds["message/delivery-status"]) if part.get("Action")]
        return [_failure(mail, parts, block, now) for block in blocks]
    original = next((part for part in parts if part.get("X-HmXmrOriginalRecipient")), None)
    if original is not None:  # Microsoft's JMRP
        return [_event(mail, parts, str(original["X-HmXmrOriginalRecipient"]), EventWord.complaint, now)]
    return []


def _blocks(part: Message) -> list[Message]:
    inner = part.get_payload()
    return [each for each in inner if isinstance(each, Message)] if isinstance(inner, list) else [_fields(part)]


def _fields(part: Message) -> Message:
    """The fields that stand in the body of a part."""
    inner = part.get_payload()
    if isinstance(inner, list):
        return next((each for each in inner if isinstance(each, Message)), part)
    body = part.get_payload(decode=True)
    return email.message_from_bytes(body if isinstance(body, bytes) else b"", policy=email.policy.compat32)


def _complaint(mail: Message, parts: list[Message], fields: Message, now: datetime) -> Event | Unusable:
    kind = str(fields.get("Feedback-Type", "")).strip().lower()
    if kind == "not-spam":
        return Unusable("ignored", "not-spam")
    # Opt-outs are reported in the same form.
    event = EventWord.unsubscribe if kind in ("opt-out", "opt-out-list") else EventWord.complaint
    recipient = fields.get("Original-Rcpt-To") or fields.get("Removal-Recipient")
    if recipient is None:
        original = next((part for part in parts[1:] if part.get("To") and part.get("From")), None)
        recipient = original["To"] if original is not None else None
    return _event(mail, parts, str(recipient or ""), event, now, at=fields.get("Arrival-Date"))


def _failure(mail: Message, parts: list[Message], block: Message, now: datetime) -> Event | Unusable:
    recipient = str(block.get("Original-Recipient") or block.get("Final-Recipient") or "")
    action = str(block["Action"]).strip().lower()
    reply = " ".join(str(block.get("Diagnostic-Code", "")).split())
    status = _STATUS.search(str(block.get("Status", "")))
    event = _meaning(action, reply, status)
    if event is None:
        return Unusable("class_missing", f"action {action}"[:60])
    if event is EventWord.sent:
        return Unusable("ignored", action[:60])
    at = block.get("Last-Attempt-Date") or block.get("Arrival-Date")
    text = reply.partition(";")[2].strip() or reply
    return _event(mail, parts, recipient, event, now, at=at, reply=text, bounce_class=status[0] if status else None)


def _meaning(action: str, reply: str, status: re.Match[str] | None) -> EventWord | None:
    if action == "delivered":
        return EventWord.delivered
    if action == "delayed":
        return EventWord.deferred
    if action != "failed":  # relayed, expanded
        return EventWord.sent
    text = reply.partition(";")[2].strip() or reply
    code = _CODE.search(text)
    if code is None and status is None:
        return None
    number = int(code[1]) if code else {"2": 250, "4": 450, "5": 550}[status[1] if status else "5"]
    if status is not None and not _STATUS.search(text):
        text = f"{status[0]} {text}"
    reason = read_reply("rcpt", number, text[code.end() :].strip() if code and code.start() == 0 else text).reason
    if reason in _HARD:
        return EventWord.hard_bounce
    # A temporary reply that ended the tries is no statement about the mailbox for good.
    if reason in _SOFT or number < 500:
        return EventWord.soft_bounce
    if reason is None or REASONS[reason].status is not Status.undeliverable:
        return EventWord.block
    return EventWord.block if reason is Reason.restricted_recipient else EventWord.hard_bounce


def _event(
    mail: Message, parts: list[Message], recipient: str, event: EventWord, now: datetime, *, at: Any = None, **more: Any
) -> Event | Unusable:
    found = _ADDRESS.search(recipient.rpartition(";")[2].strip())
    if found is None:
        return Unusable("no_address", str(event))
    moment = time_of(str(at)) if at is not None else None
    moment = moment or time_of(str(mail.get("Date", "")))
    if moment is None:
        return Unusable("no_time", str(event))
    if moment > now + _AHEAD:
        return Unusable("future", str(event))
    original = next((part["Message-ID"] for part in parts[1:] if part.get("Message-ID")), None)
    own = mail.get("Message-ID")
    return Event(
        found[1],
        event,
        moment,
        vendor=BOUNCE_MAIL,
        event_id=str(own).strip() if own else None,
        message_id=str(original).strip() if original else None,
        **more,
    )
