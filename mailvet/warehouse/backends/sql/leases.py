"""The leases of runs in a SQL database: `mailvet_leases`, by the clock of the database."""

from __future__ import annotations

import logging

from mailvet.errors import MailvetError
from mailvet.verdict import email_key
from mailvet.warehouse.backends.sql.source import ContactTable
from mailvet.warehouse.backends.sql.verdicts import create_own
from mailvet.warehouse.clocks import aware
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.leases import EXPIRES_SECONDS, Lease, is_gone
from mailvet.warehouse.own_tables import LEASE_COLUMNS, LEASES

__all__ = ["Leases"]

log = logging.getLogger("mailvet")

_CLOCKS = {
    "postgresql": ("now()", f"now() - interval '{EXPIRES_SECONDS} seconds'"),
    "mysql": ("utc_timestamp(6)", f"utc_timestamp(6) - interval {EXPIRES_SECONDS} second"),
    "mariadb": ("utc_timestamp(6)", f"utc_timestamp(6) - interval {EXPIRES_SECONDS} second"),
    "sqlite": (
        "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{EXPIRES_SECONDS} seconds')",
    ),
}
"""Now and when a lease has expired, by the clock of the database, in UTC."""


class Leases:
    """The leases of one source.

    Args:
        source: the table, with its condition and its shard.
    """

    def __init__(self, source: ContactTable) -> None:
        self._source, self._session = source, source.session

    def take(self, run_id: str, holder: str) -> Lease | None:
        """See `VerdictStore.take_lease`. None as well where the clock is not known, or no table may be made."""
        session, now = self._session, _CLOCKS.get(self._session.say.name)
        if now is None or not self._make():
            return None
        source = self._source
        key = literal(email_key(f"{source.relation} {source.column} {source.where}"))
        free = f"(run_id = {literal(run_id)} or heartbeat_at < {now[1]})"
        with session.doing("find out which run is at work on the table"):
            try:
                with session.transaction():
                    session.execute(f"delete from {LEASES} where source = {key} and {free}")
                    session.execute(
                        f"insert into {LEASES} ({', '.join(LEASE_COLUMNS)}) "
                        f"values ({key}, {literal(run_id)}, {literal(holder)}, {now[0]}, {now[0]})"
                    )
                return None
            except Exception:
                found = session.rows(f"select run_id, holder, started_at from {LEASES} where source = {key}")
                if not found:
                    raise
        held_by, other, started = found[0]
        moment = aware(started)
        assert moment is not None
        if is_gone(other):
            with session.doing("break the lease of a run that has ended"):
                session.execute(f"delete from {LEASES} where source = {key} and run_id = {literal(held_by)}")
            return self.take(run_id, holder)
        return Lease(held_by, other, moment)

    def renew(self, run_id: str) -> None:
        """See `VerdictStore.renew_lease`."""
        now = _CLOCKS.get(self._session.say.name)
        if now is not None and self._session.has(LEASES):
            with self._session.doing("renew the lease"):
                self._session.execute(f"update {LEASES} set heartbeat_at = {now[0]} where run_id = {literal(run_id)}")

    def release(self, run_id: str) -> None:
        """See `VerdictStore.release_lease`."""
        if self._session.say.name in _CLOCKS and self._session.has(LEASES):
            with self._session.doing("release the lease"):
                self._session.execute(f"delete from {LEASES} where run_id = {literal(run_id)}")

    def _make(self) -> bool:
        """A user who may make no table goes on without."""
        session = self._session
        try:
            with session.doing("make the table of leases"):
                if not session.has(LEASES):
                    with session.transaction():
                        for statement in create_own(session, LEASES, LEASE_COLUMNS, key="source"):
                            session.execute(statement)
        except MailvetError as error:
            if not session.has(LEASES):
                log.warning("Two runs over this table at once would not know of each other: %s", error)
                return False
        return True
