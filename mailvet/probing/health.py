"""Whether the results of this run can still be trusted: our own network, port 25, and block lists.

Our network is down when no connection succeeds to any of at least five server addresses that replied earlier in this
run, over a minute or until the run's end. Then a failed connection says nothing of the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

__all__ = ["ENOUGH_ADDRESSES", "RunHealth"]

ENOUGH_ADDRESSES = 5
"""Addresses that replied earlier and do not any more, which show that our network is down."""
_ENOUGH_OPERATORS = 10_000  # reached ones that are remembered by name; no decision needs more
_KEPT_ADDRESSES = 1_000  # addresses that replied, kept to be tried again


@dataclass(slots=True)
class RunHealth:
    """What connections have shown in this run.

    Times are seconds of `time.monotonic()`.

    Attributes:
        outage_after: seconds without any connection from which on the network is down.
        on_recovery: called when a connection succeeds; True: after addresses that had replied could not be reached.
        on_outage: called once, when the network is found to be down.
    """

    outage_after: float = 60.0
    connected: set[str] = field(default_factory=set)
    """Operators a conversation was opened with."""
    unreachable: set[str] = field(default_factory=set)
    """Operators no connection could be made to."""
    blocking: set[str] = field(default_factory=set)
    degraded: str | None = None
    """One sentence: what is wrong with this machine or network, and what to do. None: nothing is."""
    network_down: bool = False
    """No connection can be made any more, so what was not asked is due at once."""
    on_recovery: Callable[[bool], None] | None = None
    on_outage: Callable[[], None] | None = None
    failing_since: float | None = None
    """When the first connection failed after the last that succeeded."""
    replied: dict[str, None] = field(default_factory=dict)
    """Addresses a connection was made to, the newest last."""
    lost: set[str] = field(default_factory=set)
    """Of these, those that could not be reached since the last connection that succeeded."""
    _last_success: datetime | None = None

    # ---------------------------------------------------------------- what the pool tells

    def connection_made(self, operator: str, address: str | None = None) -> None:
        """A server of the operator, at this IP address, was reached."""
        if len(self.connected) < _ENOUGH_OPERATORS:
            self.connected.add(operator)
        self.unreachable.discard(operator)
        if address is not None:
            self.address_replied(address)

    def address_replied(self, address: str) -> None:
        """A connection to the address succeeded."""
        self.replied.pop(address, None)
        self.replied[address] = None
        if len(self.replied) > _KEPT_ADDRESSES:
            del self.replied[next(iter(self.replied))]
        was_suspected, self.failing_since = self.suspected, None
        self.lost.clear()
        self._last_success = datetime.now(timezone.utc)
        if self.on_recovery is not None:
            self.on_recovery(was_suspected)

    def address_failed(self, address: str) -> None:
        """No connection to the address could be made."""
        if self.failing_since is None:
            self.failing_since = time.monotonic()
        if address in self.replied:
            self.lost.add(address)
        self.look()

    def connection_failed(self, operator: str) -> None:
        """No server of a route could be reached; with many operators and no success, port 25 is closed here."""
        if operator not in self.connected and len(self.unreachable) < _ENOUGH_OPERATORS:
            self.unreachable.add(operator)
        if len(self.unreachable) >= 8 and not self.connected:
            self.port_closed()

    def operator_blocks(self, operator: str) -> None:
        """An operator refuses us; when many do, our own address or name is the reason."""
        self.blocking.add(operator)
        asked = len(self.connected | self.blocking)
        if self.degraded is None and len(self.blocking) >= 5 and len(self.blocking) * 2 >= asked:
            self.degraded = (
                f"{len(self.blocking)} of {asked} mail operators refuse this machine: its address, host name or sender "
                "is probably on a block list. The rest was not probed. Check reverse DNS and block lists of the "
                "sending address, then run again; only what is due will be asked."
            )

    # ---------------------------------------------------------------- what follows

    @property
    def suspected(self) -> bool:
        """Whether enough addresses that replied earlier cannot be reached now."""
        return len(self.lost) >= ENOUGH_ADDRESSES

    @property
    def lasting(self) -> bool:
        """Whether connections have failed for so long that the network may be down."""
        return self.failing_since is not None and time.monotonic() - self.failing_since >= self.outage_after

    def look(self) -> None:
        """Find out whether the network is down: to be called now and then."""
        if self.suspected and self.lasting:
            self.outage()

    def unproven(self) -> list[str]:
        """Addresses that replied earlier and were not tried since connections fail, the newest first."""
        return [address for address in reversed(self.replied) if address not in self.lost]

    def outage(self) -> None:
        """The network is down: say so, once."""
        if self.degraded is not None:
            return
        since = f" since {self._last_success:%H:%M:%S} UTC" if self._last_success is not None else ""
        self.network_down = True
        self.degraded = (
            f"The network went down during the run: none of {len(self.lost)} mail servers that had replied earlier "
            f"could be reached{since}. What has had no reply since then was not probed. Check the network, then run "
            "again; only what is due will be asked."
        )
        if self.on_outage is not None:
            self.on_outage()

    def port_closed(self) -> None:
        """Say that nothing can be reached."""
        if self.degraded is not None:
            return
        self.network_down = True
        self.degraded = (
            f"None of {len(self.unreachable)} mail operators could be reached: outgoing SMTP (port 25) is probably "
            "closed here, as in most clouds. The rest was not probed. Run from a host where port 25 is open or set "
            "smtp.proxy, or verify with depth 'dns'."
        )
        if self.on_outage is not None:
            self.on_outage()

    def finish(self) -> None:
        """At the end of a run: a short list may have had too few operators to say so earlier."""
        if self.degraded is None and len(self.unreachable) >= 2 and not self.connected:
            self.port_closed()
