"""What a run has learnt and where that is, so that whatever stops it can say the truth at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["InHand", "process_in_hand"]


@dataclass(slots=True)
class InHand:
    """The results of one run by where they are. Changed by the run's thread, read by any."""

    begun: bool = False
    """Something was asked."""
    saved: int = 0
    """Verdicts that the database holds."""
    journaled: int = 0
    """Verdicts that the journal holds and the database does not, as far as is known."""
    in_memory: int = 0
    """Verdicts that neither holds."""
    journal: Sequence[Path] = field(default=())
    """The files of the journal."""
    journal_fault: str | None = None
    """Why the journal takes nothing."""
    advice: str = ""
    """How to go on after a stop, where all is saved."""
    stuck: bool = False
    """The database did not reply when the run stopped; its connection cannot be used any more."""

    def sentences(self, advice: str) -> str:
        """What has become of the results of a run that stopped.

        Args:
            advice: how to go on, where all is saved.
        """
        if not self.begun and not advice:
            return "No server was asked. Run the same again to go on."
        if not (self.journaled or self.in_memory):
            return advice
        parts = [f"{self.saved:,} verdicts are saved."]
        if self.journaled:
            folder = self.journal[0].parent if self.journal else "the journal's folder"
            parts.append(
                f"The database did not take {self.journaled:,} more in time; they are in the journal in {folder}, from "
                "which the next run on this machine saves them. Run the same again."
            )
        if self.in_memory:
            why = f" (the journal could not be written: {self.journal_fault})" if self.journal_fault else ""
            parts.append(f"{self.in_memory:,} that came last are not saved{why} and will be asked again.")
        return " ".join(parts)

    def reset(self) -> None:
        """As before a run."""
        self.__init__()  # type: ignore[misc]


process_in_hand = InHand()
"""Of the run that is the work of this process, on the command line."""
