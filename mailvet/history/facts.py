"""What a table of events says of each mailbox: the newest of each kind, and the reason that follows, as SQL.

The one rule, for every database that keeps events, for Spark and for files (which DuckDB reads). It has two steps:
`recipient_columns` are aggregates over the events of one address; `decided` brings the addresses of a mailbox together
and says the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from mailvet.history.records import REPEATED
from mailvet.history.vocabulary import EventWord, class_missing_words, ignored_words, own_words, words_of
from mailvet.vocabulary import Policy, Reason

if TYPE_CHECKING:
    from mailvet.settings import History

__all__ = [
    "HISTORY_COLUMNS",
    "OPTIONAL_COLUMNS",
    "REASONS_FROM_EVENTS",
    "RECIPIENT_COLUMNS",
    "Question",
    "decided",
    "event_is_news",
    "event_values",
    "known_words",
    "recipient_columns",
]

HISTORY_COLUMNS = ("history_reason", "history_at", "history_as")
"""Of each mailbox: the reason that its events give, the time of the event behind it, and the address that was about."""

LIFTED = "history_lifted"
"""1 where an unsubscribe no longer holds, or not for this policy; else 0."""

OPTIONAL_COLUMNS = ("echo", "machine", "topic", "bounce_class")
"""Columns of events that may be missing."""

REASONS_FROM_EVENTS = (
    Reason.hard_bounced,
    Reason.repeated_soft_bounce,
    Reason.recently_engaged,
    Reason.recently_delivered,
    Reason.inactive,
)
"""Besides `suppressed`: reasons that hold only as long as the events say so."""

_TIMES = (
    "complained_at",
    "unsubscribed_at",
    "resubscribed_at",
    "topic_unsubscribed_at",
    "topic_resubscribed_at",
    "left_at",
    "bounced_at",
    "failed_at",
    "delivered_at",
    "settled_at",
    "engaged_at",
    "unsure_at",
)
RECIPIENT_COLUMNS = (*_TIMES, "first_delivered_at", "deliveries", "soft_at", "soft_bounces")
"""What is known of the events of one address; several rows where `soft_at` differs."""

_SAME_TIME = 3600
"""Seconds: a failure so shortly before a sign of life is taken for one after it, since clocks differ."""


class _Dialect(Protocol):
    """What is needed of `mailvet.warehouse.dialects.Dialect`, which stands above this module."""

    def literal(self, text: str) -> str: ...

    def text(self, value: str) -> str: ...

    def seconds(self, at: str) -> str: ...

    def moment(self, at: datetime) -> str: ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the events: for which mail, and seen from when."""

    history: History
    policy: Policy
    now: datetime
    """Aware, UTC."""

    def ago(self, span: timedelta) -> datetime:
        """The time that lies so far back."""
        return self.now - span


def known_words() -> tuple[str, ...]:
    """Every word of an event that is known, ignored or known to lack its class; in lower case."""
    return (*own_words(), *sorted(class_missing_words() - own_words().keys()), *sorted(ignored_words()))


def event_values(say: _Dialect | Any, present: Collection[str]) -> dict[str, str]:
    """The optional columns of a table of events as expressions by name: texts in lower case, or null."""
    nothing = say.text("null")
    return {
        name: say.text(name)
        if name == "topic" and name in present
        else f"lower({say.text(name)})"
        if name in present
        else nothing
        for name in OPTIONAL_COLUMNS
    }


def recipient_columns(say: _Dialect | Any, ask: Question, at: str) -> tuple[str, dict[str, str]]:
    """The group-by key `soft_at`, and the aggregates over events grouped by address and it, by name.

    Args:
        say: whose SQL.
        ask: what is asked.
        at: the name of the event's time (UTC); beside it stand `mailvet__word` in lower case and, as texts,
            `mailvet__echo`, `mailvet__machine`, `mailvet__topic`, `mailvet__class`.
    """

    def newest(condition: str) -> str:
        return f"max(case when {condition} then {at} end)"

    word, is_new = _word(say), f"coalesce(mailvet__echo, '') not in {_TRUE}"
    topic = ask.history.topic
    no_topic = "coalesce(mailvet__topic, '') = ''"
    this_topic = f"mailvet__topic = {say.literal(topic)}" if topic else "1 = 0"
    unsubscribe, resubscribe = word(EventWord.unsubscribe), word(EventWord.resubscribe)
    by_machine = f"coalesce(mailvet__machine, '') in {_TRUE}"
    by_person = f"coalesce(mailvet__machine, '') in {_FALSE}"
    opened, acted = word(EventWord.open), word(EventWord.click, EventWord.reply)
    alive = f"({word(EventWord.delivered)} or ({opened} or {acted}) and not {by_machine})"
    delivered_lately = f"{word(EventWord.delivered)} and {at} >= {say.moment(ask.ago(ask.history.inactive_after))}"
    repeated = f"coalesce(mailvet__class, '') = {say.literal(REPEATED)}"
    soft = (
        f"{word(EventWord.soft_bounce)} and {is_new} "
        f"and ({at} >= {say.moment(ask.ago(ask.history.soft_bounce_window))} or {repeated})"
    )
    return f"case when {soft} then {at} end", {
        "complained_at": newest(word(EventWord.complaint)),
        "unsubscribed_at": newest(f"{unsubscribe} and {no_topic}"),
        "resubscribed_at": newest(f"{resubscribe} and {no_topic}"),
        "topic_unsubscribed_at": newest(f"{unsubscribe} and {this_topic}"),
        "topic_resubscribed_at": newest(f"{resubscribe} and {this_topic}"),
        "left_at": newest(f"{word(EventWord.complaint)} or ({unsubscribe} and ({no_topic} or {this_topic}))"),
        "bounced_at": newest(f"{word(EventWord.hard_bounce)} and {is_new}"),
        "failed_at": newest(word(EventWord.hard_bounce, EventWord.soft_bounce, EventWord.dropped)),
        "delivered_at": newest(alive),
        "settled_at": newest(f"{alive} and {at} <= {say.moment(ask.ago(ask.history.bounce_delay))}"),
        "engaged_at": newest(f"{opened} and {by_person} or {acted} and not {by_machine}"),
        "unsure_at": newest(f"{opened} and not {by_person}"),
        "first_delivered_at": f"min(case when {word(EventWord.delivered)} then {at} end)",
        "deliveries": f"sum(case when {delivered_lately} then 1 else 0 end)",
        "soft_bounces": f"max(case when {repeated} then {ask.history.soft_bounces} else 1 end)",
    }


def decided(keyed: str, say: _Dialect | Any, ask: Question) -> str:
    """A query for `mailbox_key`, `HISTORY_COLUMNS` and `LIFTED` of the mailboxes of which events say anything.

    Args:
        keyed: a query for `mailbox_key`, `recipient` and `RECIPIENT_COLUMNS`.
        say: whose SQL.
        ask: what is asked.
    """
    # Under names of their own: MariaDB takes a name within OVER for that of the result.
    newest = ", ".join(
        f"max({name}) over (partition by mailbox_key) as mailvet__{name}"
        for name in ("delivered_at", "bounced_at", "left_at")
    )
    columns = ", ".join(("mailbox_key", "recipient", *RECIPIENT_COLUMNS))
    together = (
        f"select {columns}, {newest}, max(engaged_at) over () as mailvet__tracked from ({keyed}) mailvet__k "
        "where mailbox_key is not null"
    )
    times = ", ".join(f"max({name}) as {name}" for name in _TIMES)
    softs = (
        "sum(case when soft_at is not null and (mailvet__delivered_at is null or soft_at > mailvet__delivered_at) "
        "then soft_bounces else 0 end)"
    )
    by_mailbox = (
        f"select mailbox_key, {times}, min(first_delivered_at) as first_delivered_at, sum(deliveries) as deliveries, "
        f"{softs} as soft_bounces, max(mailvet__tracked) as tracked_at, "
        "max(case when bounced_at = mailvet__bounced_at then recipient end) as bounced_as, "
        "max(case when left_at = mailvet__left_at then recipient end) as left_as "
        f"from ({together}) mailvet__w group by mailbox_key"
    )
    cases = _cases(say, ask)
    reason = _case(cases, lambda case: f"'{case.reason}'")
    lifted = f"case when {_left('', _UNSUBSCRIBES)} then 1 else 0 end"
    found = f"select mailvet__m.*, {reason} as history_reason from ({by_mailbox}) mailvet__m"
    at = " ".join(f"when '{reason}' then {column}" for reason, column in _AT.items())
    spelt = " ".join(f"when '{reason}' then {column}" for reason, column in _AS.items())
    return (
        f"select mailbox_key, history_reason, case history_reason {at} end as history_at, case history_reason {spelt} "
        f"end as history_as, case when history_reason = '{Reason.suppressed}' then 0 else {lifted} end as {LIFTED} "
        f"from ({found}) mailvet__d where history_reason is not null or {_left('', _UNSUBSCRIBES)}"
    )


def event_is_news() -> str:
    """The condition on verdicts `v` and what their mailbox's events say (`h`) that a verdict is due.

    The events give a reason that the evidence of the verdict does not hold, or no longer the one that it has. A verdict
    that is given now holds what the events say now, so nothing stays due for ever.
    """
    reasons = (Reason.suppressed, *REASONS_FROM_EVENTS)
    holds = " or ".join(
        f'(h.history_reason = \'{reason}\' and v.evidence like \'%"layer":"history","fact":"{reason}"%\')'
        for reason in reasons
    )
    listed = ", ".join(f"'{reason}'" for reason in REASONS_FROM_EVENTS)
    return (
        f"(h.history_reason is not null and v.reason not in ('{Reason.suppressed}', h.history_reason) "
        f"and (v.evidence is null or not ({holds}))) "
        f"or (v.reason in ({listed}) and coalesce(h.history_reason, '') <> v.reason) "
        f"or (v.reason = '{Reason.suppressed}' and h.{LIFTED} = 1 and v.evidence not like '%on your own list%')"
    )


# -------------------------------------------------------------------- the rules


@dataclass(frozen=True, slots=True)
class _Case:
    reason: Reason
    when: str


_TRUE = "('true', '1', 't', 'yes')"
_FALSE = "('false', '0', 'f', 'no')"
_UNSUBSCRIBES: Mapping[str, str] = {
    "unsubscribed_at": "resubscribed_at",
    "topic_unsubscribed_at": "topic_resubscribed_at",
}
"""What says that mail is not wanted -> what ends it."""
_AT = {
    Reason.suppressed: "left_at",
    Reason.hard_bounced: "bounced_at",
    Reason.repeated_soft_bounce: "failed_at",
    Reason.recently_engaged: "engaged_at",
    Reason.recently_delivered: "settled_at",
    Reason.inactive: "delivered_at",
}
_AS = {Reason.suppressed: "left_as", Reason.hard_bounced: "bounced_as"}


def _cases(say: _Dialect | Any, ask: Question) -> list[_Case]:
    """The rules in order: the first that holds gives the reason."""
    history = ask.history

    def since(name: str, span: timedelta) -> str:
        return f"{name} >= {say.moment(ask.ago(span))}"

    def no_failure_after(name: str) -> str:
        return f"(failed_at is null or {say.seconds('failed_at')} < {say.seconds(name)} - {_SAME_TIME})"

    unsubscribed = [] if ask.policy is Policy.transactional else [_Case(Reason.suppressed, _holds(_UNSUBSCRIBES))]
    tracked = f"tracked_at is not null and {since('tracked_at', history.inactive_after)}"
    unengaged = f"(engaged_at is null or not {since('engaged_at', history.inactive_after)})"
    all_sure = f"(unsure_at is null or not {since('unsure_at', history.inactive_after)})"
    mailed_for_long = f"first_delivered_at <= {say.moment(ask.ago(history.inactive_after))}"
    return [
        _Case(Reason.suppressed, "complained_at is not null"),
        *unsubscribed,
        _Case(Reason.hard_bounced, "bounced_at is not null and (delivered_at is null or bounced_at > delivered_at)"),
        _Case(Reason.repeated_soft_bounce, f"soft_bounces >= {history.soft_bounces}"),
        _Case(
            Reason.recently_engaged, f"{since('engaged_at', history.engaged_for)} and {no_failure_after('engaged_at')}"
        ),
        _Case(
            Reason.inactive,
            f"deliveries >= {history.inactive_deliveries} and {mailed_for_long} and {tracked} and {unengaged} "
            f"and {all_sure}",
        ),
        _Case(
            Reason.recently_delivered,
            f"{since('settled_at', history.delivered_for)} and {no_failure_after('settled_at')}",
        ),
    ]


def _case(cases: Collection[_Case], value: Callable[[_Case], str]) -> str:
    return f"case {' '.join(f'when {case.when} then {value(case)}' for case in cases)} end"


def _holds(pairs: Mapping[str, str]) -> str:
    return " or ".join(f"({left} is not null and ({back} is null or {back} <= {left}))" for left, back in pairs.items())


def _left(prefix: str, pairs: Mapping[str, str]) -> str:
    return f"({' or '.join(f'{prefix}{left} is not null' for left in pairs)})"


def _word(say: _Dialect | Any) -> Callable[..., str]:
    def is_one_of(*events: EventWord) -> str:
        words = ", ".join(say.literal(word) for event in events for word in words_of(event))
        return f"mailvet__word in ({words})"

    return is_one_of
