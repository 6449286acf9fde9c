"""The rules in SQL are the rules in Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from ge_expectations import relation
from ge_expectations.verification import Acceptance, Known, Recency
from mailvet import email_key
from mailvet.vocabulary import REASONS, SEND_FROM_SCORE, Policy, Reason

from .conftest import DATABASES

TEXTS = [
    "ann@example.com",
    "Ann@Example.COM",
    " ann@example.com ",
    "",
    "o'hara@example.com",
    'say"hi"@example.com',
    "jürgen@müller.example",
    "почта@пример.рф",
    "😀@example.com",
    "a\\b@example.com",
    "100%@example.com",
    "x" * 2000,
]

NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def connect(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], sa.Engine]:
    made: dict[str, sa.Engine] = {}

    def of(name: str) -> sa.Engine:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            urls = {"sqlite": f"sqlite:///{folder / 'x.sqlite'}", "duckdb": f"duckdb+mailvet:///{folder / 'x.duckdb'}"}
            made[name] = sa.create_engine(urls[name] if name in urls else request.getfixturevalue("postgres"))
        return made[name]

    return of


def verdicts_of(engine: sa.Engine, cells: list[str], rows: list[tuple[str, Known]]) -> relation.SqlVerdicts:
    """A table of cells, and their verdicts staged."""
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists cells"))
        connection.execute(sa.text("create table cells (email varchar(4000))"))
        # Numbers and texts of ours: written out, for DuckDB takes seconds for as many parameters.
        values = ", ".join("('" + cell.replace("'", "''").replace(":", "\\:") + "')" for cell in cells)
        connection.execute(sa.text(f"insert into cells values {values}"))
    execution_engine = SimpleNamespace(engine=engine, get_connection=engine.connect)
    stage = relation.Stage(rows)
    with engine.connect() as connection:
        relation.staging_of(engine, connection).stages.add(stage)
    verdicts = relation.SqlVerdicts(execution_engine, engine.dialect.name, sa.table("cells"), "email", (stage.table(),))
    verdicts.stage = stage
    return verdicts


def holding(verdicts: relation.SqlVerdicts, condition: Any) -> set[str]:
    with verdicts.engine.get_connection() as connection:
        query = sa.select(sa.column("email")).select_from(verdicts.domain).where(condition)
        return {row[0] for row in connection.execute(query)}


@pytest.mark.parametrize("name", DATABASES)
def test_the_key_in_sql_is_the_key_of_the_exact_text(name: str, connect: Callable[[str], sa.Engine]) -> None:
    engine = connect(name)
    verdicts = verdicts_of(engine, TEXTS, [])
    query = sa.select(
        sa.column("email"), relation.email_key_sql(name.replace("postgres", "postgresql"), sa.column("email"))
    )
    with engine.connect() as connection:
        found = dict(connection.execute(query.select_from(verdicts.domain)).fetchall())
    assert found == {text: email_key(text) for text in TEXTS}


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("unknown", ["pass", "fail"])
def test_the_gate_in_sql_agrees_with_the_gate_in_python(
    name: str, unknown: str, connect: Callable[[str], sa.Engine]
) -> None:
    scores = sorted({0, 100, *SEND_FROM_SCORE.values(), *(score - 1 for score in SEND_FROM_SCORE.values())})
    known = {
        f"{reason}.{score}.{attempts}@example.com": Known(
            str(rule.status), str(reason), score, attempts, "smtp", NOW, None
        )
        for (reason, rule), score, attempts in itertools.product(REASONS.items(), scores, (1, 3))
    }
    cells = [*known, "nobody.asked@example.com"]
    verdicts = verdicts_of(connect(name), cells, [(email_key(cell), each) for cell, each in known.items()])
    for policy, allow in itertools.product(
        Policy, [("send",), ("deliverable", "reverify"), ("unknown",), ("risky", "send")]
    ):
        acceptance = Acceptance(policy, frozenset(allow), unknown)
        assert holding(verdicts, verdicts.acceptance(acceptance)) == {
            cell for cell in cells if acceptance.passes(known.get(cell))
        }


@pytest.mark.parametrize("name", DATABASES)
def test_recency_in_sql_agrees_with_recency_in_python(name: str, connect: Callable[[str], sa.Engine]) -> None:
    known = {
        f"{days}.{depth}.{renewed}@example.com": Known(
            "deliverable", "mailbox_accepted", 99, 1, depth, NOW - timedelta(days=days), NOW if renewed else None
        )
        for days, depth, renewed in itertools.product((0, 29, 31), ("offline", "dns", "smtp"), (True, False))
    }
    engine = connect(name)
    verdicts = verdicts_of(engine, [*known, "nobody.asked@example.com"], [])
    aware = engine.dialect.name == "postgresql"
    kind = "timestamp with time zone" if aware else "timestamp"
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists stored"))
        connection.execute(
            sa.text(
                "create table stored (email_key varchar(64), status varchar(20), reason varchar(40), score integer, "
                f"attempts integer, depth varchar(10), checked_at {kind}, next_check_at {kind})"
            )
        )
        zone = "+00" if aware else ""
        values = ", ".join(
            f"('{email_key(cell)}', '{each.status}', '{each.reason}', {each.score}, {each.attempts}, '{each.depth}', "
            f"'{each.checked_at:%Y-%m-%d %H:%M:%S.%f}{zone}', "
            + (f"'{each.next_check_at:%Y-%m-%d %H:%M:%S.%f}{zone}')" if each.next_check_at else "null)")
            for cell, each in known.items()
        )
        connection.execute(sa.text(f"insert into stored values {values.replace(':', chr(92) + ':')}"))
    with engine.connect() as connection:
        verdicts.tables = (relation.open_table(connection, "stored"),)
    for max_age, depth in itertools.product(("30d", "1000d"), (None, "dns", "smtp")):
        recency = Recency.of(max_age, depth)
        expected = {cell for cell, each in known.items() if recency.accepts(each)}
        assert holding(verdicts, verdicts.recent(recency)) == expected
    assert verdicts.tally().oldest == min(each.checked_at for each in known.values())


@pytest.mark.parametrize("name", DATABASES)
def test_a_stage_is_there_on_every_connection_and_goes_with_its_holder(
    name: str, connect: Callable[[str], sa.Engine]
) -> None:
    engine = connect(name)
    known = Known("undeliverable", str(Reason.null_mx), 2, 1, "dns", NOW, None)
    verdicts = verdicts_of(engine, ["a@example.com", "b@example.com"], [(email_key("a@example.com"), known)])
    acceptance = verdicts.acceptance(Acceptance(Policy.marketing, frozenset(["send"]), "pass"))
    query = sa.select(sa.column("email")).select_from(verdicts.domain).where(acceptance)
    with engine.connect() as first, engine.connect() as second:
        assert [row[0] for row in first.execute(query)] == ["b@example.com"]
        assert [row[0] for row in second.execute(query)] == ["b@example.com"]
    assert verdicts.stage is not None
    table = verdicts.stage.name
    del verdicts, acceptance, query
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError):
        connection.execute(sa.text(f"select * from {table}"))


def test_ten_thousand_failing_addresses_make_no_longer_a_query(connect: Callable[[str], sa.Engine]) -> None:
    known = Known("undeliverable", str(Reason.null_mx), 2, 1, "dns", NOW, None)
    cells = [f"u{i}@example.com" for i in range(10_000)]
    verdicts = verdicts_of(connect("sqlite"), cells, [(email_key(cell), known) for cell in cells])
    condition = verdicts.acceptance(Acceptance(Policy.marketing, frozenset(["send"]), "fail"))
    query = sa.select(sa.column("email")).where(sa.not_(condition)).compile(compile_kwargs={"literal_binds": True})
    assert len(str(query)) < 4_000
    assert holding(verdicts, condition) == set()
