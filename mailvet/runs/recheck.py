"""Which verdicts are asked again although they are still fresh.

`--recheck` and the argument `recheck=`, in one grammar.

    all                                     every stored verdict
    reason=mailbox_not_found,mailbox_full   verdicts of these reasons
    older-than=30d                          verdicts made longer ago
    older-than=2026-11-30                   verdicts made before a time, UTC
    reason=mailbox_not_found,older-than=30d both must hold
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TypeAlias

from mailvet.errors import SettingsError
from mailvet.settings import parse_duration
from mailvet.vocabulary import Reason

__all__ = ["Recheck", "RecheckText", "parse_recheck"]

_FORMS = "all, reason=REASON[,REASON...], older-than=30d, or reason=... and older-than=... together"


@dataclass(frozen=True, slots=True)
class Recheck:
    """The verdicts that are due although their date has not come. Where both are None, all of them."""

    reasons: frozenset[Reason] | None = None
    checked_before: datetime | None = None
    """Aware, UTC."""

    def not_since(self, moment: datetime) -> Recheck:
        """Without the verdicts made since then: what one command, or one task with its retries, has asked already."""
        moment = moment.astimezone(timezone.utc)
        before = moment if self.checked_before is None else min(moment, self.checked_before)
        return replace(self, checked_before=before)

    def __str__(self) -> str:
        """As it is written, so that it can be given again."""
        parts = [f"reason={','.join(sorted(map(str, self.reasons)))}"] if self.reasons is not None else []
        if self.checked_before is not None:
            parts.append(f"older-than={self.checked_before:%Y-%m-%dT%H:%M:%S}Z")
        return ",".join(parts) or "all"


RecheckText: TypeAlias = "str | Iterable[str] | Recheck | None"
"""A text, several of them, or what was read from them. None and texts of white space: nothing is asked again."""


def parse_recheck(given: RecheckText, *, now: datetime | None = None) -> Recheck | None:
    """Read `all`, `reason=...`, `older-than=...`, in one text separated by commas, or in several.

    Args:
        given: text, several texts, or a `Recheck` as it is; None for none.
        now: aware; what a duration is counted from.

    Raises:
        SettingsError: it is none of these, or they do not go together.

    >>> parse_recheck("reason=mailbox_full,mailbox_not_found").reasons == {"mailbox_full", "mailbox_not_found"}
    True
    """
    if given is None or isinstance(given, Recheck):
        return given
    texts = [given] if isinstance(given, str) else list(given)
    everything = False
    reasons: set[Reason] = set()
    before: datetime | None = None
    key = ""
    for text in texts:
        if not isinstance(text, str):
            raise SettingsError(f"recheck: {text!r} is no text; give {_FORMS}.")
        key = ""
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, sign, value = (piece.strip() for piece in part.partition("="))
            if sign:
                key = name.lower().replace("_", "-")
            elif name.lower() == "all":
                everything = True
                continue
            else:
                value = name
            if key == "reason":
                reasons.add(_reason(value))
            elif key == "older-than" and sign:
                if before is not None:
                    raise SettingsError("recheck: older-than is given twice; give it once.")
                before = _before(value, now or datetime.now(timezone.utc))
            else:
                raise SettingsError(f"recheck: {part!r} cannot be read; give {_FORMS}.")
    if everything and (reasons or before is not None):
        raise SettingsError(
            "recheck: all goes with nothing else. Leave all out, and the verdicts are those of the reasons and the age "
            "given."
        )
    if everything or reasons or before is not None:
        return Recheck(frozenset(reasons) or None, before)
    return None


def _reason(word: str) -> Reason:
    try:
        return Reason(word.lower())
    except ValueError:
        raise SettingsError(
            f"recheck: {word!r} is no reason; there are: {', '.join(map(str, Reason))}."
            if word
            else "recheck: reason= needs a reason, such as reason=mailbox_not_found."
        ) from None


def _before(text: str, now: datetime) -> datetime:
    try:
        return now.astimezone(timezone.utc) - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        raise SettingsError(
            f"recheck: older-than={text} is neither a duration nor a time; write for example older-than=30d or "
            "older-than=2026-11-30."
        ) from None
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
