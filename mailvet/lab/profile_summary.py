"""What a server profile does, in words made from its fields."""

from __future__ import annotations

from collections.abc import Iterator

from mailvet.lab.guards import HarvestGuard
from mailvet.lab.server_profiles import ServerProfile

__all__ = ["learnt", "refusal", "summary"]

_ACCEPTS = {
    "accept_all": "accepts every recipient (a catch-all)",
    "unverifiable": "accepts every recipient by design",
    "gateway": "accepts every recipient (a filter in front of the mailboxes)",
}
_GREYLISTS = {
    "first": "greylists every recipient it has not seen",
    "known": "greylists recipients that have a mailbox, refuses others at once",
}
_BLOCKS = {"connect": "the connection", "hello": "EHLO", "mail": "MAIL", "rcpt": "RCPT"}


def summary(profile: ServerProfile) -> str:
    """The profile in words; "knows its mailboxes" where it does nothing else."""
    return "; ".join(_sentences(profile)) or "knows its mailboxes"


def refusal(profile: ServerProfile) -> str:
    """The first line of its reply to an unknown recipient, or "" where it has none."""
    if not profile.reachable or profile.accepts_all or profile.blocks or profile.temporary_reply:
        return ""
    return profile.reply("unknown").split("\n")[0]


def learnt(profile: ServerProfile) -> str:
    """Of which mailboxes a careful prober learns whether they are there: all, living or nothing."""
    says = profile.reachable and not (profile.accepts_all or profile.blocks or profile.temporary_reply)
    return profile.tells if says else "nothing"


def _sentences(profile: ServerProfile) -> Iterator[str]:
    yield from _before_recipients(profile)
    if profile.temporary_reply:
        yield "has a temporary reply for every recipient"
    if profile.denies_relay:
        yield "denies relaying even for its own domains"
    if profile.accepts_all:
        yield _ACCEPTS[profile.accepts_all]
    if profile.greylisting:
        yield _GREYLISTS[profile.greylisting]
    if profile.doubted:
        yield "accepts what it may refuse later"
    yield from _limits(profile)
    if profile.fault is not None:
        yield profile.fault.summary()
    if profile.hold is not None:
        yield profile.hold.summary()
    if profile.quit_reply is None:
        yield "has no reply to QUIT"
    elif not profile.quit_reply.startswith("221"):
        yield f"replies {profile.quit_reply[:3]} to QUIT"


def _before_recipients(profile: ServerProfile) -> Iterator[str]:
    if not profile.listens:
        yield "refuses connections"
    if profile.closes_at:
        yield f"closes at {_BLOCKS[profile.closes_at]} without a reply"
    if profile.silent:
        yield "accepts connections and sends nothing"
    if profile.garbage is not None:
        yield "does not speak SMTP"
    if profile.blocks:
        yield f"refuses the client at {_BLOCKS[profile.blocks]}"
    if profile.helo_only:
        yield "knows HELO alone"
    elif not profile.pipelining:
        yield "offers no PIPELINING"
    if profile.tls_required:
        yield "wants STARTTLS"


def _limits(profile: ServerProfile) -> Iterator[str]:
    if profile.banner_delay:
        yield f"takes {profile.banner_delay:g} s to greet"
    if profile.reply_delay:
        yield f"takes {profile.reply_delay:g} s for each reply"
    if profile.refusal_delay:
        yield f"takes {profile.refusal_delay:g} s for each refusal"
    if profile.max_connections is not None:
        yield f"takes {_counted(profile.max_connections, 'connection')} at once"
    if profile.recipients_per_session is not None:
        yield f"takes {_counted(profile.recipients_per_session, 'recipient')} in a conversation"
    if profile.error_limit is not None:
        yield f"ends a conversation after {profile.error_limit} refusals"
    if profile.busy_every is not None:
        yield f"is busy (421) for one of {profile.busy_every} connections"
    if profile.rate is not None:
        yield profile.rate.summary()
    if profile.harvest_limit is not None:
        yield HarvestGuard(profile.harvest_limit, scope="conversation").summary()
    if profile.guard is not None:
        yield profile.guard.summary()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
