"""What the lab's mail servers count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Counters"]


@dataclass
class Counters:
    """What clients did at one mail server."""

    connections: int = 0
    """Accepted, refused ones included."""
    peak_connections: int = 0
    """Most connections open at the same moment."""
    refused: int = 0
    """Connections sent away because of the connection limit."""
    commands: Counter[str] = field(default_factory=Counter)
    """By verb; what is no SMTP verb counts as `?`."""
    recipients: Counter[str] = field(default_factory=Counter)
    """Address in lower case -> how often it was asked."""
    mail_from: set[str] = field(default_factory=set)
    hello_names: set[str] = field(default_factory=set)
    resets: int = 0
    quits: int = 0
    data: int = 0
    """DATA and BDAT commands. A client that only verifies leaves this at 0."""
    aborted: int = 0
    """Connections that the client closed without QUIT after it had been greeted."""
    tls: int = 0
    """Conversations that went over to TLS."""
    pipelined: int = 0
    """Packets with several commands."""
    pipelined_unasked: int = 0
    """
    Such packets where PIPELINING was not offered, or that came before the banner: a fault of the client.
    """

    def copy(self) -> Counters:
        """A copy that later traffic does not change."""
        return replace(
            self,
            commands=self.commands.copy(),
            recipients=self.recipients.copy(),
            mail_from=self.mail_from.copy(),
            hello_names=self.hello_names.copy(),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; sets as sorted lists."""
        return {
            name: sorted(value) if isinstance(value, set) else dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }
