"""When a stored verdict is due: one rule, in SQL that every database and Spark read alike.

The names in it: `v` the verdict, `h` what the events say of the mailbox, `l` the user's own lists the address is
on (columns `on_...` that are 1 or 0).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mailvet.history.facts import REASONS_FROM_EVENTS, event_is_news
from mailvet.vocabulary import Reason
from mailvet.warehouse.clocks import latest_believed
from mailvet.warehouse.dialects import Dialect, literal

if TYPE_CHECKING:
    from mailvet.runs.recheck import Recheck
    from mailvet.verdict import Verdict

__all__ = ["LISTS", "DueRule", "judged_by_other_rules", "rank", "suppressed_by_own_list"]

LISTS = ("allow", "deny", "suppress", "extra_disposable", "traps")
"""The user's own lists."""


def rank(depth: str) -> str:
    """`Depth.rank` of a column."""
    return f"case {depth} when 'smtp' then 2 when 'dns' then 1 else 0 end"


def judged_by_other_rules(say: Dialect, rules: str) -> str:
    """The condition on verdicts `v` that other rules may have judged otherwise.

    Args:
        say: the dialect.
        rules: the version of the rules of now, without the digest of the user's own lists.
    """
    was_no_reply = f"({say.position(literal('no_reply'), 'v.flags')} > 0 and v.reason <> 'no_reply')"
    return (
        f"(not (v.rules_version = {literal(rules)} or v.rules_version like {literal(rules + '+%')}) "
        f"and (v.reason in ('syntax_invalid', 'typo_domain') or {was_no_reply}))"
    )


def suppressed_by_own_list(say: Dialect) -> str:
    """The condition on verdicts `v` that rest on one of the user's own lists."""
    return f"(v.reason = 'suppressed' and {say.position(literal('on your own list'), 'v.evidence')} > 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRule:
    """What a run verifies.

    Attributes:
        depth_rank: `Depth.rank` of the run; a verdict of a lower one is due.
        now: aware, UTC.
        rules_version: of the run, with the digest of the user's own lists behind a "+".
        events: there are events of the user's, and `h` is joined.
        among: only verdicts of these reasons.
        recheck: verdicts that are due as well, though they are fresh.
    """

    depth_rank: int
    now: datetime
    rules_version: str
    events: bool = False
    among: Collection[Reason] | None = None
    recheck: Recheck | None = None

    def by_itself(self) -> DueRule:
        """The same without `recheck`."""
        return replace(self, recheck=None)

    def without_lists(self, moment: Callable[[datetime], str]) -> str:
        """The part of what is due that needs no lists.

        Never checked, its date has come, less deep than asked for, contradicted by an event, or dated in the future.

        Args:
            moment: a point in time (aware, UTC) as the database writes it.
        """
        news = f" or {event_is_news()}" if self.events else ""
        return (
            f"v.reason is null or v.next_check_at <= {moment(self.now)} or {rank('v.depth')} < {self.depth_rank} "
            f"or v.checked_at > {moment(latest_believed(self.now))}{news}"
        )

    def asked_again(self, moment: Callable[[datetime], str], *, of: str = "v.") -> str | None:
        """The verdicts that are asked again although they are fresh: false, never null, where there is no verdict.

        None without `recheck`.

        Args:
            moment: as for `without_lists`.
            of: before the names of the verdict's columns.
        """
        if self.recheck is None:
            return None
        conditions = [f"{of}reason is not null"]
        if self.recheck.reasons is not None:
            conditions.append(f"{of}reason in ({', '.join(map(literal, sorted(self.recheck.reasons)))})")
        if self.recheck.checked_before is not None:
            conditions.append(f"{of}checked_at < {moment(self.recheck.checked_before)}")
        return f"({' and '.join(conditions)})"

    def condition(self, say: Dialect, *, listed: bool) -> str:
        """What has to be verified.

        A verdict that an event or one of the user's own lists contradicts is due, whatever its date. Lists are only
        compared when they differ from those of the verdict, so nothing can stay due for ever.

        Args:
            say: the dialect.
            listed: there are entries on lists, and `l` is joined.
        """
        on = {name: f"coalesce(l.on_{name}, 0) = 1" if listed else "1 = 0" for name in LISTS}
        stopped = f"({on['suppress']} or ({on['deny']} and not {on['allow']}))"
        was_allowed = f"{say.position(literal('allowed'), 'v.flags')} > 0"
        was_trap = f"({say.position(literal('own_trap'), 'v.flags')} > 0)"
        list_is_news = (
            f"({stopped} and v.reason <> 'suppressed') "
            f"or ({on['allow']} and not ({was_allowed})) "
            f"or ({on['extra_disposable']} and not {on['allow']} and v.reason <> 'disposable') "
            f"or ({on['traps']} and not {on['allow']} and not {was_trap}) "
            f"or ({was_trap} and (not {on['traps']} or {on['allow']})) "
            f"or ({was_allowed} and not {on['allow']}) "
            f"or ({suppressed_by_own_list(say)} and not {stopped}) "
            "or v.reason = 'disposable' "
            f"or {judged_by_other_rules(say, self.rules_version.partition('+')[0])}"
        )
        due = self.without_lists(say.moment)
        due += f" or (v.rules_version <> {literal(self.rules_version)} and ({list_is_news}))"
        if (again := self.asked_again(say.moment)) is not None:
            due += f" or {again}"
        if self.among is None:
            return due
        return f"v.reason in ({', '.join(map(literal, sorted(self.among)))}) and ({due})"

    def leaves(self, verdict: Verdict) -> bool:
        """The same as `surely_fresh` for one verdict that was read, without `recheck`."""
        asked_at, due_at = verdict.checked_at, verdict.next_check_at
        return (
            verdict.reason not in REASONS_FROM_EVENTS
            and (due_at is None or due_at > self.now)
            and asked_at is not None
            and asked_at <= latest_believed(self.now)
            and verdict.depth.rank >= self.depth_rank
            and verdict.rules_version == self.rules_version
        )

    def surely_fresh(self, say: Dialect) -> str:
        """Over verdicts alone: those that `condition` leaves in peace whatever stands on lists.

        It holds for addresses without events.

        Args:
            say: the dialect.
        """
        again = self.asked_again(say.moment, of="")
        # What is no longer among the events is news as well.
        from_events = ", ".join(map(literal, REASONS_FROM_EVENTS))
        return (
            f"reason not in ({from_events}) and (next_check_at is null or next_check_at > {say.moment(self.now)}) "
            f"and checked_at <= {say.moment(latest_believed(self.now))} "
            f"and {rank('depth')} >= {self.depth_rank} and rules_version = {literal(self.rules_version)}"
            + (f" and not {again}" if again is not None else "")
        )
