"""Server profiles that make a verifier call living mailboxes dead or dead ones living.

Bans in the words of a true refusal, acceptances that mean nothing, replies out of step with the commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mailvet.lab.guards import HarvestGuard, RateLimit
from mailvet.lab.profile_options import with_options
from mailvet.lab.reply_faults import ReplyFault
from mailvet.lab.server_profiles import ORDINARY_PROFILES, ServerProfile

__all__ = ["ACCESS_DENIED", "HOSTILE_PROFILES"]

_UNKNOWN = "550 5.1.1 User unknown"
"""A refusal that does not say whose it is."""
_NAMED = "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table"
ACCESS_DENIED = (
    "550 5.4.1 Recipient address rejected: Access denied. [AM7EUR03FT001.eop-EUR03.prod.protection.outlook.com]"
)
_TWO_LINES = "550 5.1.1 <{recipient}>: Recipient address rejected:\nUser unknown in local recipient table"


def _profile(name: str, /, *, like: str = "postfix", unknown: str | None = None, **options: Any) -> ServerProfile:
    """A profile that is like another, with its options, and refuses unknown and disabled mailboxes alike."""
    if unknown is not None:
        options["replies"] = {"unknown": unknown, "disabled": unknown}
    options.setdefault("starttls", False)
    return with_options(ORDINARY_PROFILES[like], name=name, **options)


def _faulty(
    name: str, kind: str, unknown: str = _NAMED, *, at: int | None = None, delay: float = 0.0, **options: Any
) -> ServerProfile:
    fault = ReplyFault(kind, at, delay)  # type: ignore[arg-type]
    return _profile(name, unknown=unknown, fault=fault, error_limit=None, **options)


_BANS = (
    _profile("bans_20s", unknown=_UNKNOWN, error_limit=None, guard=HarvestGuard(8, seconds=20.0)),
    _profile("bans_6s", unknown=_NAMED, error_limit=None, guard=HarvestGuard(6, seconds=6.0)),
    _profile(
        "bans_6s_short_conversations",
        unknown=_NAMED,
        recipients_per_session=3,
        guard=HarvestGuard(5, seconds=6.0),
    ),
    _profile("bans_for_the_day", unknown=_UNKNOWN, error_limit=None, guard=HarvestGuard(10), tells="nothing"),
    _profile(
        "bans_for_the_day_short_conversations",
        unknown=_UNKNOWN,
        recipients_per_session=2,
        guard=HarvestGuard(8),
        tells="nothing",
    ),
    _profile(
        "bans_all_but_postmaster",
        unknown=_NAMED,
        error_limit=None,
        guard=HarvestGuard(8, seconds=20.0, exempt=("postmaster",)),
    ),
    _profile(
        "bans_all_but_postmaster_for_the_day",
        unknown=_UNKNOWN,
        error_limit=None,
        guard=HarvestGuard(10, exempt=("postmaster",)),
        tells="nothing",
    ),
    _profile(
        "bans_as_access_denied",
        like="microsoft365",
        unknown=ACCESS_DENIED,
        guard=HarvestGuard(8, seconds=20.0),
    ),
    _profile(
        "bans_slow",
        unknown=_NAMED,
        error_limit=None,
        reply_delay=0.75,
        guard=HarvestGuard(8, seconds=6.0),
    ),
    _profile(
        "bans_very_slow",
        unknown=_NAMED,
        error_limit=None,
        refusal_delay=3.0,
        guard=HarvestGuard(8, seconds=6.0),
    ),
)

_ACCEPTS = (
    _profile(
        "accepts_after_refusals",
        unknown=_NAMED,
        error_limit=None,
        max_connections=1,
        guard=HarvestGuard(5, "accepts", "conversation"),
    ),
    _profile(
        "accepts_after_refusals_unnamed",
        like="exim",
        unknown="550 No Such User Here",
        max_connections=2,
        guard=HarvestGuard(5, "accepts", "conversation"),
    ),
    _profile(
        "accepts_client_after_refusals",
        unknown=_NAMED,
        error_limit=None,
        recipients_per_session=4,
        guard=HarvestGuard(5, "accepts", seconds=15.0),
        tells="nothing",
    ),
    _profile(
        "accepts_client_after_refusals_for_good",
        unknown=_UNKNOWN,
        error_limit=None,
        guard=HarvestGuard(5, "accepts"),
        tells="nothing",
    ),
)

_OUT_OF_STEP = (
    _faulty("refusal_split", "split_refusal", _TWO_LINES),
    _faulty("refusal_split_unnamed", "split_refusal", "550 5.1.1 User unknown\nCheck the address", tells="living"),
    _faulty("refusal_repeated", "repeated_refusal", delay=0.003),
    _faulty("refusal_repeated_unnamed", "repeated_refusal", _UNKNOWN, delay=0.003, tells="living"),
    _faulty("group_reply_lost", "lost_reply"),
    _faulty("group_reply_lost_unnamed", "lost_reply", _UNKNOWN),
    _faulty("group_reversed", "reversed_group", recipient_ok="250 2.1.5 <{recipient}>... Recipient ok"),
    _faulty("stray_after_hello", "stray_after_hello", _UNKNOWN, tells="nothing"),
    _faulty("stray_after_hello_late", "stray_after_hello", _UNKNOWN, delay=0.02, tells="nothing"),
    _faulty("forgets_what_is_sent_ahead", "forgets_ahead"),
    _faulty("glued_code", "glued_code", tells="nothing"),
    _faulty("two_codes", "two_codes", tells="nothing"),
    _faulty("surplus_at_third", "surplus_acceptance", _UNKNOWN, at=3),
    _faulty("surplus_at_third_named", "surplus_acceptance", at=3),
    _faulty("split_at_third", "split_refusal", _TWO_LINES, at=3),
    _faulty("reply_lost_at_third", "lost_reply", at=3),
    _faulty("leftover_at_quit", "leftover_at_quit", _UNKNOWN),
    _profile("quit_accepted", unknown=_UNKNOWN, quit_reply="250 2.0.0 Ok"),
    _profile("quit_unanswered", unknown=_UNKNOWN, quit_reply=None),
)

_CONTROLS = (
    _profile("greylists_then_accepts_all", like="greylisting", accepts_all="accept_all"),
    _profile(
        "unknown_for_now",
        unknown="450 4.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table",
        tells="living",
        error_limit=None,
    ),
    _profile("denies_by_policy", unknown="550 Denied by policy"),
    _profile("busy_now_and_then", unknown=_NAMED, busy_every=3),
    _profile("busy_backup", accepts_all="accept_all"),
)

_LIMITS = (
    _profile("recipients_per_second", unknown=_NAMED, rate=RateLimit(4), error_limit=None),
    _profile("one_recipient", unknown=_NAMED, recipients_per_session=1),
    _profile("blocks_at_greeting", blocks="connect", block_reply="554 blocked"),
)

HOSTILE_PROFILES: Mapping[str, ServerProfile] = MappingProxyType(
    {profile.name: profile for profile in (*_BANS, *_ACCEPTS, *_OUT_OF_STEP, *_CONTROLS, *_LIMITS)}
)
"""Every hostile server profile by name."""
