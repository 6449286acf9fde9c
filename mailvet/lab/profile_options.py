"""Server profiles made of others by changing their options, checked."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from mailvet.errors import SettingsError
from mailvet.lab.server_profiles import ServerProfile, wire

__all__ = ["with_options"]


def with_options(base: ServerProfile, *, name: str | None = None, **options: Any) -> ServerProfile:
    """A profile with some of its fields changed, under another name.

    Raises SettingsError for an option that there is not.
    """
    known = {entry.name for entry in fields(ServerProfile)} - {"name"}
    strange = sorted(set(options) - known)
    if strange:
        raise SettingsError(f"a mail server has no option {', '.join(strange)}. There are: {', '.join(sorted(known))}.")
    if "replies" in options:
        options["replies"] = {**base.replies, **options["replies"]}
    changed = replace(base, name=name or base.name, **options)
    for each in _REPLIES:
        _check(getattr(changed, each))
    for reply in changed.replies.values():
        _check(reply)
    return changed


_REPLIES = (
    "banner",
    "sender_ok",
    "recipient_ok",
    "quit_reply",
    "relay_reply",
    "utf8_reply",
    "block_reply",
    "temporary_reply",
    "greylist_reply",
    "connections_reply",
    "recipients_reply",
    "errors_reply",
    "busy_reply",
)
_PLACEHOLDERS = dict.fromkeys(("recipient", "local", "domain", "sender", "hello", "client", "host"), "")


def _check(reply: str | None) -> None:
    if reply is None:
        return
    try:
        wire(reply).format_map(_PLACEHOLDERS)
    except (KeyError, ValueError, IndexError) as error:
        raise SettingsError(
            f"an SMTP reply has an unknown placeholder: {error}. There are: {', '.join(_PLACEHOLDERS)}."
        ) from None
