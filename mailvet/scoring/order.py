"""In which order reasons take precedence, flags are written and facts stand in the evidence; and how a schedule counts.

The one source of columns (`mailvet.scoring.columns`) and of single addresses (`mailvet.verification.scalar`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailvet.vocabulary import REASONS, Reason

__all__ = ["AT_LEAST", "EVIDENCE_LAYERS", "FLAGS", "LONGEST_KEPT", "RANKS", "SERIES_DETAIL"]

RANKS: Final[Mapping[Reason, int]] = {reason: rank for rank, reason in enumerate(REASONS)}
"""The place of each reason: of several that were found the first counts."""

FLAGS: Final = (
    *("free", "role", "disposable", "relay_alias", "tagged", "no_reply", "own_trap"),
    *("gibberish", "keyboard_walk", "series", "burst", "duplicate_of"),
    *("eai", "allowed", "accept_all", "accept_all_unknown", "gateway", "probed"),
    *("local_part_unlikely", "odd_dots", "unknown_tld", "maybe_role", "accepted"),
)
"""Names of the flags, in the order in which they are written."""

EVIDENCE_LAYERS: Final[Mapping[str, str]] = {
    **{layer: layer for layer in ("syntax", "reference", "history", "route", "mailbox")},
    **dict.fromkeys(("series", "duplicate"), "suspicion"),
    "run": "run",
}
"""Facts in the order of the evidence -> the layer that found them; the last is what the run itself has to say."""
SERIES_DETAIL = " addresses of the domain differ only in a number"
"""What stands behind the size of a series in the evidence."""

AT_LEAST = (Reason.greylisted, Reason.sender_throttled, Reason.server_temporary_error)
"""Reasons whose schedule a server's own time never shortens: "try again in a second" is said to every client."""
LONGEST_KEPT: Final = 1024
"""Octets; a text far longer than an address is kept by its key only."""
