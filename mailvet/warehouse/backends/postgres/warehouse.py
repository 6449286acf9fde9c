"""A table of a PostgreSQL database and its verdicts, which go in by COPY while they are new."""

from __future__ import annotations

import pyarrow as pa
from psycopg import errors

from mailvet.verdict import verdict_schema
from mailvet.warehouse.backends.postgres.driver import PsycopgDriver
from mailvet.warehouse.backends.sql.planned import PlannedTable
from mailvet.warehouse.backends.sql.saving import BatchSaver, newest_of_each
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sql.source import bind
from mailvet.warehouse.backends.sql.warehouse import SQLWarehouse
from mailvet.warehouse.binding import Binding
from mailvet.warehouse.own_tables import VERDICTS

__all__ = ["CopySaver", "open_warehouse"]

_CLASHES = 3
"""Batches that may turn out not to be new before COPY into the table of verdicts is no longer tried."""


class CopySaver:
    """Saves verdicts by COPY into the table while all of them are new.

    It takes half the time of a table for the moment and an INSERT; a batch of which the table has a key already is
    saved the other way.

    Args:
        session: with a `PsycopgDriver`.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._batches = session, BatchSaver(session)
        self._clashes_left = 0
        self.revise = self._batches.revise

    def expect(self, planned: PlannedTable) -> None:
        """See `Saver.expect`."""
        self._clashes_left = 0 if planned.renews() else _CLASHES

    def save(self, verdicts: pa.Table) -> None:
        """See `VerdictStore.save`."""
        if self._clashes_left:
            with self._session.doing("save verdicts"):
                try:
                    with self._session.transaction():
                        self._session.append(VERDICTS, newest_of_each(verdicts).to_arrow().cast(verdict_schema()))
                    return
                except errors.UniqueViolation:  # asked for a second time, or saved by another session
                    self._clashes_left -= 1
        self._batches.save(verdicts)


def open_warehouse(driver: PsycopgDriver, table: str, column: str | None, binding: Binding) -> SQLWarehouse:
    """A table of a PostgreSQL database and its verdicts.

    Arguments and errors as `mailvet.warehouse.backends.sql.source`.

    Args:
        driver: with the connection, which is closed if it cannot be.
        table: its name.
        column: of addresses; None finds it by its name.
        binding: how it is to be used.
    """
    session = Session(driver)
    return SQLWarehouse(bind(session, table, column, binding), CopySaver(session))
