"""The table `mailvet_sends`: who was handed on for a campaign, and what was known of them then.

Verdicts change; what a campaign was sent on the strength of does not. Events that come later are compared with this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError
from mailvet.history.vocabulary import EventWord, words_of
from mailvet.privacy import holds_address
from mailvet.warehouse.clocks import aware
from mailvet.warehouse.dialects import Dialect, DuckDB, literal
from mailvet.warehouse.events import EVENTS
from mailvet.warehouse.identifiers import OWN

if TYPE_CHECKING:
    from mailvet.warehouse.backends.duckdb.session import Session as DuckDBSession
    from mailvet.warehouse.backends.sql.session import Session

__all__ = ["KNOWN_THEN", "SENDS", "SEND_COLUMNS", "CampaignOutcome", "DuckDBSends", "SQLSends", "campaign_name"]

SENDS = "mailvet_sends"
SEND_COLUMNS = {
    "email_key": "key",
    "mailbox_key": "key",
    "campaign": "string",
    "recommendation": "string",
    "reason": "string",
    "bounce_probability": "double",
    "rules_version": "string",
    "exported_at": "timestamp",
}
"""Columns of `mailvet_sends` and their types by the names of `Dialect.types`, or `key`."""

KNOWN_THEN = ("mailbox_key", "recommendation", "reason", "bounce_probability", "rules_version")
"""What is kept of the verdict."""

_STAGED = "mailvet_new_sends"
_LONGEST = 200
_COUNTS_FOR = timedelta(days=30)
"""Events of a mailbox so long after a campaign was handed on count as its outcome."""


@dataclass(frozen=True, slots=True)
class CampaignOutcome:
    """What became of a campaign."""

    campaign: str
    exported_at: datetime
    """Of its newest hand-over."""
    recipients: int
    expected_bounces: float
    """The sum of the probabilities that were known then."""
    delivered: int
    """Recipients with a delivery and no hard bounce."""
    hard_bounces: int
    complaints: int
    unsubscribes: int
    unknown: int
    """Recipients of whom no event says what became of the mail."""


def campaign_name(name: str) -> str:
    """The name of a campaign as it is stored.

    Raises:
        SettingsError: it is empty, too long, or holds an address.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST or holds_address(name) or not name.isprintable():
        raise SettingsError(
            f"The name of a campaign has 1 to {_LONGEST} characters on one line and holds no e-mail address."
        )
    return name


def _columns(say: Dialect) -> str:
    types = {**say.types, "key": say.key_type}
    return ", ".join(f"{say.own(name)} {types[kind]}" for name, kind in SEND_COLUMNS.items())


def _staging(say: Dialect, campaign: str, now: datetime, selected: str) -> str:
    """A query for rows of `SEND_COLUMNS`.

    Args:
        say: whose SQL.
        campaign: its name.
        now: aware, UTC.
        selected: a query for `OWN`key and `OWN` before the names of `KNOWN_THEN`; a key may come several times.
    """
    known = ", ".join(f"{OWN}{name} as {say.own(name)}" for name in KNOWN_THEN if name != "mailbox_key")
    return (
        f"select distinct {OWN}key as email_key, {OWN}mailbox_key as mailbox_key, {say.literal(campaign)} as "
        f"campaign, {known}, {say.moment(now)} as exported_at from ({selected}) {OWN}selected "
        f"where {OWN}key is not null"
    )


def _replacing(say: Dialect, campaign: str, staged: str) -> list[str]:
    """The statements that put staged rows in the place of earlier ones of the campaign and address."""
    names = ", ".join(map(say.own, SEND_COLUMNS))
    return [
        f"delete from {SENDS} where campaign = {say.literal(campaign)} "
        f"and email_key in (select email_key from {staged})",
        f"insert into {SENDS} ({names}) select {names} from {staged}",
    ]


def _outcomes(say: Dialect, *, has_events: bool) -> str:
    """A query for the fields of `CampaignOutcome`, the newest campaign first."""
    words = {
        "delivered": (EventWord.delivered,),
        "bounced": (EventWord.hard_bounce,),
        "complained": (EventWord.complaint,),
        "left_us": (EventWord.unsubscribe,),
    }

    def happened(events: Sequence[EventWord]) -> str:
        listed = ", ".join(literal(word) for event in events for word in words_of(event))
        return f"max(case when lower(e.{say.own('event')}) in ({listed}) and coalesce(e.echo, 0) = 0 then 1 else 0 end)"

    if has_events:
        passed = f"{say.seconds('e.occurred_at')} - {say.seconds('s.exported_at')}"
        facts = ", ".join(f"{happened(events)} as {name}" for name, events in words.items())
        # The mailbox, since an event may spell the address otherwise.
        joined = (
            f"left join {EVENTS} e on coalesce(e.mailbox_key, e.email_key) = coalesce(s.mailbox_key, s.email_key) and "
            f"{passed} between 0 and {int(_COUNTS_FOR.total_seconds())}"
        )
    else:
        facts, joined = ", ".join(f"0 as {name}" for name in words), ""
    each = (
        f"select s.campaign, s.email_key, max(s.exported_at) as exported_at, max(s.bounce_probability) as "
        f"bounce_probability, {facts} from {SENDS} s {joined} group by s.campaign, s.email_key"
    )
    return (
        "select campaign, max(exported_at), count(*), sum(coalesce(bounce_probability, 0)), "
        "sum(case when delivered = 1 and bounced = 0 then 1 else 0 end), sum(bounced), sum(complained), sum(left_us), "
        "sum(case when delivered = 0 and bounced = 0 then 1 else 0 end) "
        f"from ({each}) {OWN}each group by campaign order by 2 desc, campaign"
    )


def _outcome(row: Sequence[Any]) -> CampaignOutcome:
    campaign, exported_at, recipients, expected, *counts = row
    numbers = [int(count) for count in counts]
    moment = aware(exported_at)
    assert moment is not None
    return CampaignOutcome(str(campaign), moment, int(recipients), float(expected), *numbers)


class SQLSends:
    """The sends of a SQL database.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, campaign: str, now: datetime, selected: str) -> int:
        """Keep who was handed on; how many. See `_staging` for `selected`."""
        session, say = self._session, self._session.say
        with session.doing("record who was handed on"):
            if not session.has(SENDS):
                with session.transaction():
                    session.execute(f"create table {SENDS} ({_columns(say)}){say.table_options}")
            staged = session.stage("new_sends", _staging(say, campaign, now, selected))
            with session.transaction():
                for statement in _replacing(say, campaign, staged):
                    session.execute(statement)
            ((count,),) = session.rows(f"select count(*) from {staged}")
            session.unstage("new_sends")
        return int(count)

    def outcomes(self) -> list[CampaignOutcome]:
        """What became of each campaign."""
        session = self._session
        with session.doing("read the campaigns"):
            if not session.has(SENDS):
                return []
            query = _outcomes(session.say, has_events=session.has(EVENTS))
            return [_outcome(row) for row in session.rows(query)]


class DuckDBSends:
    """The sends of a DuckDB database.

    Args:
        session: with the database.
    """

    def __init__(self, session: DuckDBSession) -> None:
        self._session = session

    def record(self, campaign: str, now: datetime, selected: str) -> int:
        """See `SQLSends.record`."""
        say, db = DuckDB(), self._session.db
        db.execute(f"create table if not exists {SENDS} ({_columns(say)})")
        db.execute(f"create or replace temp table {_STAGED} as {_staging(say, campaign, now, selected)}")
        try:
            with self._session.transaction():
                for statement in _replacing(say, campaign, f"temp.{_STAGED}"):
                    db.execute(statement)
            (count,) = self._session.one(f"select count(*) from temp.{_STAGED}")
        finally:
            db.execute(f"drop table if exists temp.{_STAGED}")
        return int(count)

    def outcomes(self) -> list[CampaignOutcome]:
        """See `SQLSends.outcomes`."""
        session = self._session
        if not session.has(SENDS):
            return []
        return [_outcome(row) for row in session.rows(_outcomes(DuckDB(), has_events=session.has(EVENTS)))]
