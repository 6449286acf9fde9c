"""The table of the user's that a session is about, and its column of addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailvet.errors import SourceError
from mailvet.policies import AnyPolicy
from mailvet.settings import History
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.binding import Binding, refuse_view
from mailvet.warehouse.conditions import forms
from mailvet.warehouse.identifiers import OWN
from mailvet.warehouse.tables import Column, Relation, choose_column

__all__ = ["ContactTable", "bind"]


@dataclass(slots=True, kw_only=True)
class ContactTable:
    """A table or view, in the words of a statement.

    Attributes:
        session: with its database.
        name: for people: `contacts in crm`.
        found: as the database calls it.
        relation: its name in a statement.
        columns: as they were when it was chosen.
        column: of addresses.
        cell: a cell of that column as text, never null.
        where: the condition on its rows, in brackets.
        narrowed: there is a condition.
        prefix: of the status columns.
        policy: what recommendations follow.
        events: how to read a table or file of the user's own mail events.
    """

    session: Session
    name: str
    found: Relation
    relation: str
    columns: Sequence[Column]
    column: str
    cell: str
    where: str
    narrowed: bool
    prefix: str
    policy: AnyPolicy
    events: History | None

    @property
    def missing(self) -> str:
        """The condition that a row has no address."""
        return self.session.say.missing(self.cell)

    def described(self) -> Sequence[Column]:
        """The columns as they are now."""
        return self.session.driver.described(self.found)

    def status_column(self, column: str) -> str:
        """The name of a status column in a statement."""
        return self.session.driver.quote(self.prefix + column)

    def part(self, column: str) -> str:
        """Which part of a result a row belongs to, by a column of the verdict table."""
        return f"case when {self.missing} then 'missing' else {OWN}{column} end"

    def narrow(self, condition: str) -> None:
        """Leave only rows of which this holds too."""
        self.where = f"({self.where} and {condition})"
        self.narrowed = True

    def check_keys(self, columns: Sequence[str], *, unique: bool = True) -> None:
        """See `ContactSource.check_keys`."""
        present = [column.name for column in self.columns]
        for name in columns:
            if name not in present:
                raise SourceError(f"There is no column {name} in {self.name}; it has: {', '.join(present)}.")
        if columns and unique:
            keys = ", ".join(map(self.session.driver.quote, columns))
            query = f"select 1 from {self.relation} group by {keys} having count(*) > 1"
            with self.session.doing(f"read the keys of {self.name}"):
                if self.session.any_row(query):
                    raise SourceError(
                        f"Several rows of {self.name} share the same {', '.join(columns)}, so these columns do not "
                        "identify a row. Name a unique key."
                    )


def bind(session: Session, table: str, column: str | None, binding: Binding) -> ContactTable:
    """Choose a table and its column of addresses. If it cannot be, the session is closed.

    Args:
        session: with the database.
        table: name, also `schema.table`; names with odd characters as they are, or in quotes.
        column: the column of addresses; None finds it by its name.
        binding: how it is to be used.

    Raises:
        SourceError: missing or unfit table or column, a condition that fails, a right that is missing.
    """
    try:
        with session.doing(f"look at {table}"):
            return _bound(session, table, column, binding)
    except BaseException:
        session.close()
        raise


def _bound(session: Session, table: str, column: str | None, binding: Binding) -> ContactTable:
    driver, say = session.driver, session.say
    found = driver.find(table, driver.name)
    if found.is_view and binding.updatable:
        raise refuse_view(table)
    columns = driver.described(found)
    chosen = choose_column(columns, column, table)
    where = binding.where
    source = ContactTable(
        session=session,
        name=f"{table} in {driver.name}",
        found=found,
        relation=driver.qualified(found),
        columns=columns,
        column=chosen,
        cell=f"coalesce({say.text(driver.quote(chosen))}, '')",
        # The line break ends a comment in the condition.
        where=f"({where}\n)" if where else "1 = 1",
        narrowed=bool(where),
        prefix=binding.prefix,
        policy=binding.policy,
        events=binding.events,
    )
    driver.check_rights(source, writable=binding.writable)
    if where:
        _try_condition(source, table, where)
    return source


def _try_condition(source: ContactTable, table: str, where: str) -> None:
    """Parsed as it is and within brackets before it runs, and first run where nothing can be changed."""
    driver, parsed = source.session.driver, f"select 1 from {source.relation} where"
    for form in forms(where):
        driver.parse(f"{parsed} {form}", where, table)
    driver.try_query(source.session.say.limited(f"{parsed} {forms(where)[1]}", 1), table)
