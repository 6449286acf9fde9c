"""What a caller says about the table to verify, before it is looked at: the same for every backend."""

from __future__ import annotations

from dataclasses import dataclass

from mailvet.errors import SourceError, argument
from mailvet.policies import AnyPolicy
from mailvet.settings import History
from mailvet.vocabulary import Policy

__all__ = ["Binding", "refuse_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """How a table is to be used.

    Attributes:
        where: a SQL condition on its rows.
        policy: what recommendations follow.
        prefix: of the status columns.
        events: how to read a table of the same database, or a file, with the user's own mail events.
        writable: verdicts will be saved.
        updatable: status columns will be written, so the table must not be a view.
    """

    where: str | None = None
    policy: AnyPolicy = Policy.marketing
    prefix: str = "mailvet_"
    events: History | None = None
    writable: bool = True
    updatable: bool = True


def refuse_view(table: str) -> SourceError:
    """The error for a view to which status columns were to be written."""
    return SourceError(
        f"{table} is a view: status columns cannot be written to it. Verify the table behind it, or use "
        f"{argument('write_back', False)} and join mailvet_verdicts on email_key."
    )
