"""Verdicts on their way into the verdict table: a batch in a table for the moment, and one set-based upsert of it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.sql.arrow import UTC
from mailvet.warehouse.backends.sql.planned import PlannedTable
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.clocks import latest_believed
from mailvet.warehouse.due_rule import rank
from mailvet.warehouse.own_tables import VERDICTS, verdict_kinds
from mailvet.warehouse.store import KNOWN_FOR, SILENT

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BatchSaver", "Saver", "newest_of_each"]

_KNOWN_SINCE = "known_since"


class Saver(Protocol):
    """How verdicts are saved."""

    def expect(self, planned: PlannedTable) -> None:
        """Verdicts of what was planned are about to be saved."""

    def save(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.save`."""

    def revise(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.revise`; the table is up to date."""


class BatchSaver:
    """The way that every database can go.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def expect(self, planned: PlannedTable) -> None:
        """See `Saver.expect`; it makes no difference here."""

    def save(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.save`."""
        import polars as pl

        session = self._session
        frame = newest_of_each(verdicts).with_columns((pl.col("checked_at") - KNOWN_FOR).alias(_KNOWN_SINCE))
        is_silent = pl.col("reason").is_in([str(reason) for reason in SILENT])
        with session.doing("save verdicts"), session.transaction():
            for silent, part in ((False, frame.filter(~is_silent)), (True, frame.filter(is_silent))):
                if part.height:
                    self._upsert(part.to_arrow().cast(_batch_schema()), silent=silent)

    def revise(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.revise`."""
        known_since = pa.nulls(verdicts.num_rows, UTC)  # for the rule of `save`, which does not hold here
        with self._session.doing("save verdicts"), self._session.transaction():
            self._upsert(verdicts.append_column(_KNOWN_SINCE, known_since).cast(_batch_schema()), silent=False)

    def _upsert(self, rows: pa.Table, *, silent: bool) -> None:
        """The statements that bring a batch into the verdict table; each alone leaves it in order.

        Args:
            rows: of `_batch_schema`, each key once.
            silent: their reasons say nothing of the mailbox.
        """
        session, say = self._session, self._session.say
        batch = session.stage_empty("batch", {**verdict_kinds(), _KNOWN_SINCE: "timestamp"})
        session.append(batch, rows)
        same = f"{VERDICTS}.email_key = b.email_key"
        keep = None
        if silent:
            future = say.moment(latest_believed(datetime.now(timezone.utc)))
            keep = (
                f"{VERDICTS}.status <> 'unknown' and {VERDICTS}.checked_at > b.{_KNOWN_SINCE} "
                f"and {VERDICTS}.checked_at <= {future}"
            )
            # How deep we asked and when to ask again go by the newest verdict that went as deep.
            deep_enough = f"{rank('b.depth')} >= {rank(f'{VERDICTS}.depth')}"
            again = {"depth": "b.depth", "next_check_at": "b.next_check_at"}
            session.execute(say.update_from(VERDICTS, f"{batch} b", same, again, f"{keep} and {deep_enough}"))
        for statement in say.upserts(VERDICTS, batch, "email_key", verdict_schema().names, keep):
            session.execute(statement)


def newest_of_each(verdicts: pa.Table) -> pl.DataFrame:
    """The last row of each key, in the order of the keys, which suits an index."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(verdicts)).unique("email_key", keep="last").sort("email_key")


def _batch_schema() -> pa.Schema:
    return verdict_schema().append(pa.field(_KNOWN_SINCE, UTC))
