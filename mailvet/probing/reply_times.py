"""How long the replies of one conversation take, and so what fits between two acceptances that prove refusals."""

from __future__ import annotations

from dataclasses import dataclass

from mailvet.probing.canary import BETWEEN_SECONDS

__all__ = ["ReplyTimes"]

_MARGIN = 0.5  # seconds left free of those that a proof may take


@dataclass(slots=True)
class ReplyTimes:
    """Seconds from a recipient to its reply. Many servers take their time with refusals alone."""

    expected_refusal: float = 0.0
    """What a refusal took in earlier conversations with the address."""
    slowest: float = 0.0
    _acceptances: int = 0
    _accepting: float = 0.0
    _others: int = 0
    _refusing: float = 0.0

    def take(self, seconds: float, *, accepted: bool) -> None:
        """Take in the time of one reply; `slowest` is the caller's."""
        if accepted:
            self._acceptances += 1
            self._accepting += seconds
        else:
            self._others += 1
            self._refusing += seconds

    @property
    def acceptance(self) -> float:
        """What an acceptance takes as a rule; 0 where none was seen."""
        return self._accepting / self._acceptances if self._acceptances else 0.0

    @property
    def refusal(self) -> float:
        """What a refusal takes as a rule; where none was seen, as long as earlier ones or an acceptance."""
        return self._refusing / self._others if self._others else max(self.expected_refusal, self.acceptance)

    @property
    def allow_proof(self) -> bool:
        """Whether two canaries and a refusal between them fit into the time that a proof may take."""
        return 2 * self.acceptance + self.refusal < BETWEEN_SECONDS

    @property
    def most_between_canaries(self) -> int:
        """How many refusals fit between two canaries, at least one."""
        room = BETWEEN_SECONDS - _MARGIN - 2 * self.acceptance
        return max(1, int(room / max(self.refusal, 0.001)))

    def proof_is_late(self, age: float) -> bool:
        """Whether a canary is to be asked now, since one more recipient before it would be one too many.

        Args:
            age: seconds since the server began to reply to the last canary.
        """
        return age + max(self.refusal, self.slowest) + self.acceptance > BETWEEN_SECONDS - _MARGIN

    def is_old(self, age: float) -> bool:
        """Whether the last acceptance, so many seconds ago, could hardly prove a refusal that is asked for now."""
        return age > BETWEEN_SECONDS / 2 or age + self.refusal + self.acceptance > BETWEEN_SECONDS - _MARGIN
