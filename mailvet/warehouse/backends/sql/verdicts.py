"""The table of verdicts in a SQL database: made, brought up to date, looked up and erased."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from mailvet.verdict import email_key, verdict_schema
from mailvet.warehouse.backends.sql.arrow import table_of
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.clocks import aware, latest_believed
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.erasure import COPIES, OWN_ROWS, UNNAMED, Statements, Wanted, erase
from mailvet.warehouse.mailboxes import backfill_sql, missing_verdicts
from mailvet.warehouse.own_tables import ADDED_LATER, BACKFILL_PROBABILITY, VERDICTS, verdict_kinds

__all__ = ["VerdictTable", "create_own"]

_KEYS_A_STATEMENT = 500


def create_own(
    session: Session, table: str, kinds: dict[str, str], *, key: str, required: Sequence[str] = ()
) -> list[str]:
    """The statement that makes a table of ours, as a list.

    Args:
        session: with the database.
        table: its name.
        kinds: its columns and their types by the names of `Dialect.types`, or `key`.
        key: the column that is its primary key, where the database can hold that.
        required: other columns that are never null.
    """
    say = session.say
    types = {**say.types, "key": say.key_type}

    def column(name: str, kind: str) -> str:
        if name == key:
            return f"{say.own(name)} {say.key_type} not null{say.primary_key}"
        return f"{say.own(name)} {types[kind]}{' not null' if name in required else ''}"

    columns = ", ".join(column(name, kind) for name, kind in kinds.items())
    return [f"create table {table} ({columns}){say.table_options}"]


class VerdictTable:
    """The table of verdicts.

    Args:
        session: with the database.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._say = session, session.say

    def exists(self) -> bool:
        """Whether it is there."""
        return self._session.has(VERDICTS)

    def creation(self) -> list[str]:
        """The statements that make it."""
        kinds = verdict_kinds() | {"mailbox_key": "key"}
        required = [field.name for field in verdict_schema() if not field.nullable]
        statements = create_own(self._session, VERDICTS, kinds, key="email_key", required=required)
        if self._say.verdict_index is not None:
            statements.append(self._say.verdict_index.format(name=VERDICTS))
        return statements

    def upgrade(self) -> None:
        """Bring a table of verdicts that an older version made up to date: in place, and once."""
        session, say = self._session, self._say
        if self._add("mailbox_key", say.key_type):
            with session.transaction():
                session.execute(f"delete from {VERDICTS} where {missing_verdicts(say)}")
                session.execute(backfill_sql(say, VERDICTS))
        if self._add("bounce_probability", say.types["double"]):
            session.execute(BACKFILL_PROBABILITY)

    def _add(self, name: str, kind: str) -> bool:
        """Add a column where it is missing; whether it was."""
        session = self._session
        if session.has_column(VERDICTS, name):
            return False
        try:
            session.execute(self._say.add_column.format(table=VERDICTS, name=name, kind=kind))
        except Exception:
            if not session.has_column(VERDICTS, name):  # unless another run was quicker
                raise
        return True

    def drop_missing(self, cells: str) -> None:
        """Drop the verdicts that an older version, or another tool, gave to these cells without an address."""
        # Few texts are blank, and MariaDB looks up `in (select ...)` of a DELETE once for each verdict.
        found = self._session.rows(f"select email_key from {cells} where {self._say.missing('email')}")
        blank = [key for (key,) in found]
        for start in range(0, len(blank), _KEYS_A_STATEMENT):
            listed = ", ".join(map(literal, blank[start : start + _KEYS_A_STATEMENT]))
            self._session.execute(f"delete from {VERDICTS} where email_key in ({listed})")

    # ---------------------------------------------------------------- looking up

    def asked_today(self, now: datetime) -> dict[str, int]:
        """See `VerdictStore.asked_today`."""
        with self._session.doing("read the verdicts"):
            if not self.exists():
                return {}
            midnight = now.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
            rows = self._session.rows(
                f"select operator, count(*) from {VERDICTS} where smtp_code is not null and operator is not null and "
                f"checked_at >= {self._say.moment(midnight)} group by operator"
            )
        return {str(operator): int(count) for operator, count in rows}

    def from_the_future(self, now: datetime) -> int:
        """See `VerdictStore.from_the_future`."""
        if not self.exists():
            return 0
        future = self._say.moment(latest_believed(now))
        with self._session.doing("read the verdicts"):
            return int(self._session.rows(f"select count(*) from {VERDICTS} where checked_at > {future}")[0][0])

    def checked_at(self, keys: Sequence[str]) -> dict[str, datetime]:
        """See `VerdictStore.checked_at`."""
        found: dict[str, datetime] = {}
        with self._session.doing("read the verdicts"):
            if not self.exists():
                return found
            for start in range(0, len(keys), _KEYS_A_STATEMENT):
                listed = ", ".join(map(literal, keys[start : start + _KEYS_A_STATEMENT]))
                for key, at in self._session.rows(
                    f"select email_key, checked_at from {VERDICTS} where email_key in ({listed})"
                ):
                    moment = aware(at)
                    assert moment is not None
                    found[key] = moment
        return found

    def verdicts(self, keys: Sequence[str]) -> pa.Table:
        """The verdicts of these keys, as far as there are any."""
        say, rows = self._say, []
        with self._session.doing("read the verdicts"):
            names = self._stored_names() if self.exists() else list(verdict_schema().names)
            for start in range(0, len(keys) if self.exists() else 0, _KEYS_A_STATEMENT):
                listed = ", ".join(map(literal, keys[start : start + _KEYS_A_STATEMENT]))
                columns = ", ".join(map(say.own, names))
                rows += self._session.rows(f"select {columns} from {VERDICTS} where email_key in ({listed})")
        return _as_verdicts(rows, names)

    def replies(self, batch_rows: int) -> Iterator[pa.Table]:
        """See `VerdictStore.replies`."""
        say, last = self._say, ""
        with self._session.doing("read the verdicts"):
            names = self._stored_names() if self.exists() else []
            while names:
                query = (
                    f"select {', '.join(map(say.own, names))} from {VERDICTS} where smtp_code >= 400 and "
                    f"smtp_reply is not null and email_key > {literal(last)} order by email_key"
                )
                rows = self._session.rows(say.limited(query, batch_rows))
                if not rows:
                    return
                batch = _as_verdicts(rows, names)
                yield batch
                last = batch["email_key"][-1].as_py()

    def stored(self, address: str) -> dict[str, Any] | None:
        """See `VerdictStore.stored`."""
        if not self.exists():
            return None
        say, key, folded = self._say, email_key(address), email_key(address.strip().lower())
        with self._session.doing("read the verdicts"):
            names = self._stored_names()
            query = (
                f"select {', '.join(map(say.own, names))} from {VERDICTS} where email_key = {literal(key)} or "
                f"{say.key(say.fold('email'))} = {literal(folded)} "
                f"order by case when email_key = {literal(key)} then 0 else 1 end, checked_at desc"
            )
            rows = self._session.rows(say.limited(query, 1))
        if not rows:
            return None
        found: dict[str, Any] = _as_verdicts(rows, names).to_pylist()[0]
        return found

    def _stored_names(self) -> list[str]:
        """The columns of verdicts that the table has; one of an older version lacks some until it is written to."""
        names: list[str] = verdict_schema().names
        return [name for name in names if name not in ADDED_LATER or self._session.has_column(VERDICTS, name)]

    # ---------------------------------------------------------------- erasing

    def forget_before(self, day: datetime) -> int:
        """See `VerdictStore.forget_before`, of verdicts."""
        return self._session.execute(f"delete from {VERDICTS} where checked_at < {self._say.moment(day)}")

    def forget(self, address: str, *, domain: bool = False) -> int:
        """See `VerdictStore.forget`."""
        session, wanted = self._session, Wanted.of(address, domain=domain)
        with session.doing("erase the address"):
            if self.exists():
                self.upgrade()
            with session.transaction():
                return erase(wanted, Statements(session.say, session.rows, session.execute, session.has))

    def out_of_reach(self) -> Sequence[str]:
        """See `VerdictStore.out_of_reach`."""
        email = self._say.own("email")
        with self._session.doing("read the verdicts"):
            unnamed = self.exists() and self._session.any_row(f"select 1 from {VERDICTS} where {email} is null")
        return [*([UNNAMED] if unnamed else []), *self._say.kept_after_delete, OWN_ROWS, COPIES]


def _as_verdicts(rows: list[tuple[Any, ...]], names: Sequence[str]) -> pa.Table:
    """Rows of these columns as verdicts; what is not among them is null."""
    found = table_of(rows, pa.schema([verdict_schema().field(name) for name in names]))
    for field in verdict_schema():
        if field.name not in names:
            found = found.append_column(field, pa.nulls(found.num_rows, field.type))
    return found.select(verdict_schema().names)
