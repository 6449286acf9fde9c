"""Whose reply is it?

What shows that the replies of a conversation belong to the commands they are counted against.

A conversation that is shifted by one reply looks right after every single reply. So replies count only up to a checked
point: all commands have their replies and then nothing arrives during one round trip and 50 ms, or the last reply names
its own recipient, or the conversation ends as it should.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from mailvet.smtp.outcomes import Reply

__all__ = ["Ledger"]

_ADDRESSES = re.compile(r"[^\s<>()\[\]{},;:\"']+@[^\s<>()\[\]{},;:\"']+")


@dataclass(slots=True, eq=False)
class Ledger:
    """The recipients of one conversation in the order in which they were asked."""

    fault: str | None = None
    """What shows that the conversation is out of step; None while nothing does."""
    replies: int = 0
    """Replies to recipients."""
    checked: int = 0
    """Of these, how many lie before the last checked point."""
    _asked: Counter[str] = field(default_factory=Counter)

    def sent(self, address: str) -> None:
        """A recipient was sent."""
        self._asked[address.casefold()] += 1

    def examine(self, address: str, reply: Reply) -> bool:
        """Take in the reply that is counted against `address`.

        Returns whether it can be its own; if not, the conversation is out of step.
        """
        if reply.code // 100 in (1, 3) or reply.code == 221:
            self.fault = f"{reply.code} to RCPT"
            return False
        named_itself = False
        if "@" in reply.text:
            names = {name.casefold().rstrip(".!?") for name in _ADDRESSES.findall(reply.text)}
            own = address.casefold()
            if own in names:
                named_itself = self._asked[own] == 1
            elif any(name in self._asked for name in names):
                self.fault = "a reply that names another recipient"
                return False
        self.replies += 1
        if named_itself:
            self.checked = self.replies
        return True

    def check(self) -> None:
        """All commands have their replies, and nothing arrived behind the last reply."""
        self.checked = self.replies
