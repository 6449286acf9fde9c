"""Every statement that is made for a database that is not here, read by a parser of its dialect."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from mailvet.errors import MailvetError, SettingsError
from mailvet.settings import History
from mailvet.verdict import STATUS_COLUMNS
from mailvet.warehouse.backends.sql.driver import Driver
from mailvet.warehouse.backends.sql.session import Session
from mailvet.warehouse.backends.sql.source import bind
from mailvet.warehouse.backends.sql.warehouse import SQLWarehouse
from mailvet.warehouse.binding import Binding
from mailvet.warehouse.dialects import DIALECTS, Dialect, dialect_of
from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.servers import SERVER_SCHEMA
from mailvet.warehouse.tables import Column, Relation
from tests.warehouse.answers import NOW, answers, plan_of, planned_source

PARSERS = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql"}
LISTED = {"deny": ["a.test"], "allow": ["b.test"], "suppress": ["o'x@a.test"], "extra_disposable": ["c.test"]}


class Recorder(Driver):
    """A driver without a database: it writes down what it would have run."""

    name = "crm"

    def __init__(self, dialect: Dialect, *, has_verdicts: bool) -> None:
        self.say = dialect
        self.said: list[str] = []
        self._has_verdicts = has_verdicts
        for statement in dialect.session:
            self.execute(statement)

    def execute(self, statement: str) -> int:
        self.said.append(statement)
        return 1

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        self.said.append(query)
        if "max(place)" in query:
            return [(0,)]
        if query.startswith("select coalesce("):
            return [(1, 1, 1)]
        if ("count(" in query and " as texts" in query) or query.startswith("select count("):
            return [(1, 2)]
        return []

    def stream(self, query: str, batch_rows: int) -> Generator[list[tuple[Any, ...]], None, None]:
        self.said.append(query)
        yield []

    def append(self, table: str, rows: pa.Table) -> None:
        self.said.append(f"insert into {table} ({', '.join(map(self.say.own, rows.schema.names))}) values ('')")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def fault(self, error: BaseException, doing: str) -> MailvetError | None:
        return None

    def has(self, table: str) -> bool:
        return self._has_verdicts

    def has_table(self, table: TableName) -> bool:
        return False

    def columns_of(self, table: TableName) -> Sequence[str]:
        return ()

    def default_schema(self) -> str:
        return "sales"

    def parse(self, query: str, where: str, table: str) -> None:
        self.said.append(query)

    def find(self, table: str, database: str) -> Relation:
        return Relation("sales", table)

    def described(self, found: Relation) -> Sequence[Column]:
        return [
            Column("E-Mail", "varchar", "text"),
            Column("id", "int", "number"),
            Column("signed up", "timestamp", "time"),
            Column("source", "varchar", "text"),
        ]

    def try_query(self, query: str, table: str) -> None:
        self.said.append(query)

    @property
    def store_id(self) -> str | None:
        return None

    def reconnect(self) -> bool:
        return False

    def close(self, staged: Sequence[str]) -> None:
        pass


@pytest.fixture(autouse=True)
def _few_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of domains teach a parser nothing."""
    monkeypatch.setattr("mailvet.reference.domains.free_domains", lambda: frozenset({"gmail.com", "o'x.test"}))


def everything(dialect: Dialect, *, has_verdicts: bool) -> list[str]:
    """All statements of a run and of the commands beside it."""
    recorder = Recorder(dialect, has_verdicts=has_verdicts)
    binding = Binding(where="country = 'FR' and name like '%x'", events=History(events="events"))
    warehouse = SQLWarehouse(bind(Session(recorder), "contacts", None, binding))
    plan_of(warehouse, depth_rank=2, now=NOW, rules_version="2026.11+abc", listed=LISTED)
    list(plan_of(warehouse, depth_rank=2, now=NOW, rules_version="2026.11+abc", listed={}).domains)
    planned_source(warehouse).find_signals(signed_up="signed up", burst_window=timedelta(hours=1))
    list(planned_source(warehouse).due(100))
    planned_source(warehouse).looks_numeric()
    warehouse.asked_today(NOW)
    warehouse.open_for_writing()
    warehouse.save(answers({"a@a.test": "mailbox_accepted", "b@a.test": "greylisted"}))
    warehouse.servers()
    planned_source(warehouse).canaries(NOW)
    row = {"place": "192.0.2.1:25", "suspected_since": NOW, "changed_at": NOW}
    warehouse.save_servers(pa.Table.from_pylist([row], schema=SERVER_SCHEMA))
    warehouse.save_run({"run_id": "r1", "started_at": NOW, "rows": 1, "by_status": {"risky": 1}})
    warehouse.apply_policy()
    warehouse.write_back(STATUS_COLUMNS)
    warehouse.summary()
    warehouse.details(NOW, by="source")
    warehouse.forget_before(NOW)
    warehouse.stored("a@a.test")
    warehouse.forget("a@a.test")
    warehouse.close()
    return recorder.said


@pytest.mark.parametrize("has_verdicts", [True, False])
@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_statement_is_of_its_dialect(name: str, has_verdicts: bool) -> None:
    for statement in everything(dialect_of(name), has_verdicts=has_verdicts):
        parsed = sqlglot.parse(statement.rstrip(";"), dialect=PARSERS.get(name, name))
        assert len(parsed) == 1, statement
        settings = statement.startswith(("set ", "alter session ", "analyze "))
        # A statement that the parser does not understand it passes through as a "command".
        assert settings or not isinstance(parsed[0], exp.Command), statement


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - {"sqlite", "postgresql", "mysql", "mariadb"}))
def test_nothing_is_left_of_another_dialect(name: str) -> None:
    """What the parser writes anew in the dialect keeps the functions that we wrote."""
    for statement in everything(dialect_of(name), has_verdicts=True):
        if statement.startswith(("set ", "alter ", "analyze ")):
            continue
        parsed = sqlglot.parse_one(statement.rstrip(";"), dialect=PARSERS.get(name, name))
        unknown = {str(node.this).lower() for node in parsed.find_all(exp.Anonymous)}
        assert unknown <= KNOWN.get(name, set()), statement


KNOWN: dict[str, set[str]] = {
    "mssql": {"hashbytes", "charindex", "reverse"},
    "trino": {"to_utf8"},
    "databricks": set(),
}
"""Functions of a dialect that the parser knows no more of than their name."""


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_name_cannot_leave_its_quotes(name: str) -> None:
    say = dialect_of(name)
    opening, closing = say.marks
    quoted = say.quote(f"a{closing}; drop table contacts --")
    assert quoted.count(closing) - (opening == closing) == 3
    (parsed,) = sqlglot.parse(f"select {quoted} from t", dialect=PARSERS.get(name, name))
    assert isinstance(parsed, exp.Select)


def test_a_database_of_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"kind oracle .*postgresql, sqlite"):
        dialect_of("oracle")


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_the_first_run_on_a_database_that_no_server_of_ours_is_of_names_the_write_test(name: str) -> None:
    tested = {"postgresql", "sqlite", "mariadb", "mysql"}
    for has_verdicts in (False, True):
        recorder = Recorder(dialect_of(name), has_verdicts=has_verdicts)
        remarks = SQLWarehouse(bind(Session(recorder), "contacts", None, Binding())).remarks
        assert any("--write-test" in remark for remark in remarks) == (name not in tested and not has_verdicts)
