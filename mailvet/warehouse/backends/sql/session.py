"""One session with a SQL database: its driver, and our tables for the moment."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

from mailvet.errors import MailvetError, SourceError
from mailvet.warehouse.backends.sql.driver import Driver

__all__ = ["Session"]


class Session:
    """A driver, and the tables for the moment.

    Args:
        driver: of one connection.

    Attributes:
        staged: tables for the moment: what they are called here -> their name in a statement.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver, self.say = driver, driver.say
        self.execute, self.rows, self.append = driver.execute, driver.rows, driver.append
        self.has = driver.has
        self.staged: dict[str, str] = {}
        self._token = f"{datetime.now(timezone.utc):%Y%m%d}_{uuid.uuid4().hex[:8]}"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Driver.transaction`."""
        before = dict(self.staged)
        try:
            with self.driver.transaction():
                yield
        except BaseException:
            if self.say.empty:  # a table that was made within is gone, and cannot be emptied and used again
                self.staged = before
            raise

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn errors of the driver into ours; `what` completes "could not ..."."""
        try:
            yield
        except MailvetError:
            raise
        except Exception as error:
            fault = self.driver.fault(error, what)
            if fault is None:
                raise
            raise fault from None

    def any_row(self, query: str) -> bool:
        """Whether `select ...` finds a row."""
        return bool(self.rows(self.say.limited(query, 1)))

    def has_column(self, relation: str, name: str) -> bool:
        """Whether a relation has this column."""
        try:
            self.driver.try_query(f"select {name} from {relation} where 1 = 0", relation)
        except SourceError:
            return False
        return True

    # ---------------------------------------------------------------- tables for the moment

    def stage(self, name: str, query: str, *, guarded: bool = False, key: str | None = None) -> str:
        """Make a table for the moment; its name in a statement.

        Args:
            name: what it is called here.
            query: what it holds.
            guarded: see `Driver.create_as`.
            key: the column by which it is looked up.
        """
        table = self._clear(name)
        self.driver.create_as(table, query, guarded=guarded)
        if self.say.analyze:
            self.execute(self.say.analyze.format(name=table))
        if key is not None and self.say.index:
            self.execute(self.say.index.format(table=table, column=key))
        return table

    def stage_empty(self, name: str, columns: Mapping[str, str]) -> str:
        """Make a table for the moment without rows, its columns by the names of `Dialect.types`."""
        if self.say.empty and name in self.staged:
            self.execute(self.say.empty.format(name=self.staged[name]))
            return self.staged[name]
        table, types = self._clear(name), {**self.say.types, "key": self.say.key_type}
        listed = ", ".join(f"{self.say.own(column)} {types[kind]}" for column, kind in columns.items())
        self.execute(self.say.temporary_empty.format(name=table, columns=listed))
        return table

    def analyze(self, table: str) -> None:
        """Tell the planner how large a table has become."""
        if self.say.analyze:
            self.execute(self.say.analyze.format(name=table))

    def unstage(self, name: str) -> None:
        """Drop a table for the moment, if it is there."""
        if name in self.staged:
            self.execute(self.say.drop.format(name=self.staged.pop(name)))

    def _clear(self, name: str) -> str:
        if self.say.has_temporary:
            table = f"{self.say.temporary_prefix}mailvet_{self._token[-8:]}_{name}"
        else:
            table = f"mailvet_stage_{self._token}_{name}"
        self.staged[name] = table
        self.execute(self.say.drop.format(name=table))
        return table

    # ---------------------------------------------------------------- the connection

    def reconnect(self) -> bool:
        """See `VerdictStore.reconnect`; tables for the moment are gone with the connection."""
        self.staged.clear()
        return self.driver.reconnect()

    def close(self) -> None:
        """Close the connection, or leave it as it was found."""
        staged = list(self.staged.values())
        if not self.say.has_temporary:
            for table in staged:
                with contextlib.suppress(Exception):
                    self.execute(self.say.drop.format(name=table))
            staged = []
        self.staged.clear()
        self.driver.close(staged)
