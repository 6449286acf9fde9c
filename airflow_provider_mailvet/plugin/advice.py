"""What a run's figures mean for the person in charge, in words: how it went, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from airflow_provider_mailvet.plugin.summaries import Failure, Run

__all__ = ["Advice", "advise"]

Level = Literal["bad", "warn", "info", "good"]

_BOUNCES_TOLERATED = 0.02  # from about here mailbox providers and sending services take measures against a sender
_NOTABLE = 0.05  # of the rows
_RISE = 0.01  # of the rows, from one run to the next

_BLOCKED = ("sender_blocked",)
_SLOWED = ("sender_throttled", "tarpit")
_UNREACHED = ("connect_failed", "smtp_timeout")
_UNRESOLVED = ("dns_timeout", "dns_error")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know or to do, the more pressing ones first."""

    level: Level
    title: str
    text: str


def advise(run: Run, before: Run | None = None, failure: Failure | None = None) -> list[Advice]:
    """What to say about a run, given the one before it over the same table, and a failure of the task after it.

    Never empty.
    """
    order: dict[Level, int] = {"bad": 0, "warn": 1, "info": 2, "good": 3}
    found = [*_failure(failure), *_health(run), *_answers(run), *_table(run, before)]
    return sorted(found, key=lambda advice: order[advice.level])


def _failure(failure: Failure | None) -> Iterator[Advice]:
    if failure is None:
        return
    again = "Airflow will try it again. " if failure.waits else ""
    yield Advice(
        "bad",
        f"The run of {_clock(failure.at)} failed",
        f"{again}Its log in Airflow says why. The figures here are those of the run before; what was verified since is "
        "kept, and the next run goes on there.",
    )


def _health(run: Run) -> Iterator[Advice]:
    if not run.healthy:
        yield Advice(
            "bad",
            "The run was degraded",
            f"{_sentence(run.health)} Nothing was guessed: addresses that could not be asked are unknown and stay due. "
            "Put this right and run the task again; it goes on where it stopped.",
        )
    if run.instance.state in ("failed", "upstream_failed"):
        yield Advice("bad", "The task failed", "It left these figures before; its log in Airflow says why it failed.")


def _answers(run: Run) -> Iterator[Advice]:
    stopped = [row.name for row in run.operators if row.stopped]
    if stopped:
        yield Advice(
            "warn",
            f"{_names(stopped)} refused to answer us",
            "mailvet stopped asking there, so that it gets no worse. Look up the address you ask from on block lists, "
            "check that its reverse DNS and the hello name agree, and ask less per day. The rows concerned are "
            "unknown, not bad.",
        )
    elif run.share(*_BLOCKED) > _NOTABLE:
        yield Advice(
            "warn",
            f"Servers refuse us for {_percent(run.share(*_BLOCKED))} of the rows",
            "The refusal is about the address we ask from, not about the recipients. “mailvet doctor” on the worker "
            "says what is amiss.",
        )
    if run.share(*_UNREACHED) > _NOTABLE:
        yield Advice(
            "warn",
            f"No mail server could be reached for {_percent(run.share(*_UNREACHED))} of the rows",
            "Most clouds close port 25 to the outside. Ask for it to be opened, use a proxy, or verify with depth dns.",
        )
    if run.share(*_UNRESOLVED) > _NOTABLE:
        yield Advice(
            "warn",
            f"Name servers gave no answer for {_percent(run.share(*_UNRESOLVED))} of the rows",
            "Set a resolver that can take the load in the mailvet connection; these addresses are asked again by "
            "themselves.",
        )
    if run.share(*_SLOWED) > _NOTABLE:
        yield Advice(
            "info",
            f"Servers want to be asked more slowly for {_percent(run.share(*_SLOWED))} of the rows",
            "The pace was lowered already. Run more often with fewer addresses (max_addresses).",
        )
    if run.pending:
        when = f" from {_clock(run.next_check_at)} on" if run.next_check_at else ""
        yield Advice(
            "info",
            f"{run.pending:,} {'addresses wait' if run.pending != 1 else 'address waits'} to be asked again",
            f"Their servers ask unknown senders to come back (greylisting). A run{when} asks only these.",
        )


def _table(run: Run, before: Run | None) -> Iterator[Advice]:
    if run.judged == 0:
        yield Advice("info", "No row has a verdict yet", "The table was empty, or no row met the condition “where”.")
        return
    bad = run.share("undeliverable")
    rise = bad - before.share("undeliverable") if before is not None and before.judged else 0.0
    if rise > _RISE:
        yield Advice(
            "warn",
            f"Undeliverable rows rose by {100 * rise:.1f} points to {_percent(bad)}",
            "Look at where the new rows come from: a form without a check, or a list that was bought or is old.",
        )
    if run.bounce_before is not None and run.bounce_before > _BOUNCES_TOLERATED:
        kept = run.bounce_after is not None and run.bounce_after <= _BOUNCES_TOLERATED
        yield Advice(
            "good" if kept else "warn",
            "Send only what is recommended",
            f"{_percent(run.bounce_before)} would bounce if everything were sent"
            + ("" if run.bounce_after is None else f", {_percent(run.bounce_after)} of the rows to send")
            + ". Above about 2 % mailbox providers turn on a sender.",
        )
    elif run.bounce_before is not None:
        yield Advice(
            "good",
            f"{_percent(run.bounce_before)} would bounce if everything were sent",
            "That is below the 2 % from which on mailbox providers turn on a sender.",
        )
    unknown = run.share("unknown")
    if run.depth != "smtp" and unknown > _NOTABLE:
        yield Advice(
            "info",
            f"{_percent(unknown)} of the rows are unknown at depth {run.depth}",
            "Another run like this changes nothing for them. Depth smtp asks the mail servers whether the mailboxes "
            "exist, without sending anything; where port 25 is closed, your own events and a risk budget tell whom to "
            "send to.",
        )
    elif run.healthy and run.due > run.checked:
        yield Advice(
            "info",
            f"{run.due - run.checked:,} due addresses were left for a later run",
            "The limit of addresses, or of time, was reached; the next run goes on there.",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _clock(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M} UTC"


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
