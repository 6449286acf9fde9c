"""The lab's mail servers: the profile of one host, what it counts, and what it remembers between conversations."""

from __future__ import annotations

from collections.abc import Callable

from mailvet.lab.certificate import server_context
from mailvet.lab.counters import Counters
from mailvet.lab.guards import GuardMemory, HarvestGuard, RateMemory
from mailvet.lab.server_profiles import ServerProfile
from mailvet.lab.smtp import Session
from mailvet.lab.world import Host, World

__all__ = ["MailServer"]


def _guard(profile: ServerProfile) -> HarvestGuard | None:
    if profile.guard is None and profile.harvest_limit is not None:
        return HarvestGuard(profile.harvest_limit, scope="conversation")
    return profile.guard


class MailServer:
    """One host of the world: what it counts and what it remembers between conversations."""

    def __init__(
        self, world: World, host: Host, served: set[str], *, latency: float = 0.0, greylist_delay: float = 1.5
    ) -> None:
        self.world = world
        self.host = host
        self.profile = host.profile
        if self.profile.starttls:
            server_context()  # says at once where it cannot be made
        self.served = served
        entries = {name: world.domains[world.canonical(name)] for name in served}
        self.accept_all = {name for name, entry in entries.items() if entry.accepts_all}
        self.refused = {name: entry.refuses for name, entry in entries.items() if entry.refuses is not None}
        guard = _guard(host.profile)
        self.guard = GuardMemory(guard) if guard is not None else None
        self.one_by_one = guard is not None and (host.profile.refusal_delay > 0 or host.profile.reply_delay > 0)
        """Looks at a command when the reply to the one before is out: a guard may let go in between."""
        self.rate = RateMemory(host.profile.rate) if host.profile.rate is not None else None
        self.latency = latency + host.profile.latency
        self.greylist_delay = greylist_delay if host.profile.greylist_delay is None else host.profile.greylist_delay
        self.greylist: dict[tuple[str, str, str], float] = {}
        self.counters = Counters()
        self.incoming = memoryview(bytearray(16_384))
        """Shared by all sessions: what arrives is taken out before the next one reads."""
        self.sessions: set[Session] = set()
        self.active = 0
        self.on_recipient: Callable[[], None] | None = None
        """Called at each RCPT, before its reply."""

    def session(self) -> Session:
        """A protocol for one connection; the factory for `loop.create_server`."""
        return Session(self)
