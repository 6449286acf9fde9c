"""ExpectNoUndeliverableRows, ExpectColumnEmailsToBeVerifiedRecently and ExpectColumnValuesToBeEmailSyntax."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import great_expectations as gx
import pyarrow as pa
import pytest

import ge_expectations as mx
from mailvet import email_key

from .conftest import DATABASES, ENGINES, Home, contacts


def many(verdicts: pa.Table, count: int) -> tuple[Any, pa.Table]:
    """A table of `count` undeliverable addresses."""
    pattern = next(row for row in verdicts.to_pylist() if row["reason"] == "null_mx")
    cells = [f"u{i}@nomail.test" for i in range(count)]
    known = [{**pattern, "email": cell, "email_key": email_key(cell)} for cell in cells]
    rows = [(i, cell, "a") for i, cell in enumerate(cells)]
    return contacts(rows), pa.Table.from_pylist(known, verdicts.schema)


@pytest.mark.parametrize("engine", [*DATABASES, "spark"])
@pytest.mark.parametrize("keyed", [False, True])
def test_every_failing_row_can_be_fetched(
    engine: str, keyed: bool, make_home: Callable[..., Home], verdicts: pa.Table, config: str
) -> None:
    if engine == "sqlite" and keyed:
        dialect: Any = "sqlite"
    else:
        dialect = {"postgres": "postgresql"}.get(engine, engine) if keyed else None
    frame, known = many(verdicts, 1_000)
    if keyed:  # store_addresses = false
        known = known.set_column(1, "email", pa.nulls(1_000, pa.string()))
    home = make_home(engine, frame=frame, stored=known)
    expectation = mx.ExpectNoUndeliverableRows(
        column="email", id_columns=["id"], verdict_table=home.verdict_table, config=config, dialect=dialect
    )
    result = home.validate(expectation, "COMPLETE")
    assert (result.success, result.result["observed_value"]) == (False, 1_000)
    assert len(result.result["details"]["unexpected_rows"]) == 200
    suite = home.context.suites.add(gx.ExpectationSuite(name=f"rows_{home.asset.name}", expectations=[expectation]))
    definition = home.context.validation_definitions.add(
        gx.ValidationDefinition(name=f"rows_{home.asset.name}", data=home.definition, suite=suite)
    )
    rows = definition.get_unexpected_rows(suite.expectations[0], batch_parameters=home.parameters or None)
    assert sorted(row["id"] for row in rows) == list(range(1_000))
    assert set(rows[0]) == {"id", "email_key", "status", "reason", "recommendation", "checked_at"}


@pytest.mark.parametrize("engine", ["pandas", "duckdb"])
@pytest.mark.parametrize(
    ("forbid", "rows"),
    [
        (["undeliverable"], 3),
        (["do_not_send"], 3),
        (["unknown"], 1),
        (["undeliverable", "reverify"], 4),
        (["risky"], 0),
    ],
)
def test_statuses_and_recommendations_can_be_forbidden(
    engine: str, forbid: list[str], rows: int, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    expectation = mx.ExpectNoUndeliverableRows(
        column="email", forbid=forbid, verdict_table=home.verdict_table, config=config
    )
    result = home.validate(expectation)
    assert (result.result["observed_value"], result.success) == (rows, rows == 0)


@pytest.mark.parametrize("engine", DATABASES)
def test_names_that_need_quotes_are_quoted(engine: str, make_home: Callable[..., Home], config: str) -> None:
    frame = contacts().rename(columns={"email": "E-Mail", "id": "Contact ID"})
    home = make_home(engine, frame=frame)
    expectation = mx.ExpectNoUndeliverableRows(
        column="E-Mail", id_columns=["Contact ID"], verdict_table=home.verdict_table, config=config
    )
    result = home.validate(expectation, "COMPLETE")
    assert sorted(row["Contact ID"] for row in result.result["details"]["unexpected_rows"]) == [4, 5, 6]
    deliverable = mx.ExpectColumnValuesToBeDeliverableEmail(
        column="E-Mail", verdict_table=home.verdict_table, verify="never", config=config
    )
    assert home.validate(deliverable).result["unexpected_count"] == 4


@pytest.mark.parametrize("engine", ENGINES)
def test_old_shallow_and_missing_verdicts_are_not_recent(
    engine: str, make_home: Callable[..., Home], verdicts: pa.Table, config: str
) -> None:
    rows = verdicts.to_pylist()
    by_email = {row["email"]: row for row in rows}
    by_email["bob@acme.test"]["checked_at"] = datetime.now(timezone.utc) - timedelta(days=40)
    by_email["nobody@acme.test"]["depth"] = "dns"
    by_email["not an address"]["checked_at"] = datetime.now(timezone.utc) - timedelta(days=400)
    known = pa.Table.from_pylist([row for row in rows if row["email"] != "eve@nomail.test"], verdicts.schema)
    home = make_home(engine, stored=known)
    result = home.validate(
        mx.ExpectColumnEmailsToBeVerifiedRecently(
            column="email", depth="smtp", verdict_table=home.verdict_table, config=config
        ),
        {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    )
    assert sorted(row["id"] for row in result.result["unexpected_index_list"]) == [2, 4, 5, 6]
    details = result.result["details"]
    assert details["failing_by_reason"] == {"never_verified": 1, "verified_too_long_ago": 3}
    assert details["oldest_checked_at"].startswith(f"{datetime.now(timezone.utc) - timedelta(days=400):%Y-%m-%d}")


def test_an_age_that_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="no duration"):
        mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", max_age="a month")


CELLS = [
    "ann@example.com",
    "jürgen@example.com",
    "ann@müller.de",
    "no at sign",
    "two@@example.com",
    "",
    "ann@localhost",
]


@pytest.mark.parametrize("engine", ENGINES)
def test_syntax_needs_no_verdict_table_and_knows_other_scripts(
    engine: str, make_home: Callable[..., Home], core_calls: list[int]
) -> None:
    home = make_home(engine, rows=[(i, cell, "a") for i, cell in enumerate(CELLS)], stored=False)
    every, ascii_only = home.suite(
        mx.ExpectColumnValuesToBeEmailSyntax(column="email"),
        mx.ExpectColumnValuesToBeEmailSyntax(column="email", international=False),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    ).results
    # example.com is a special-use name, yet a name that may be written; localhost has no top-level domain.
    assert sorted(row["id"] for row in every.result["unexpected_index_list"]) == [3, 4, 6]
    assert sorted(row["id"] for row in ascii_only.result["unexpected_index_list"]) == [1, 3, 4, 6]
    errors = every.result["details"]["failing_by_error"]
    assert sum(errors.values()) == 3
    assert errors["missing_at"] == 1
    assert every.result["missing_count"] == 1
    assert ascii_only.result["details"]["failing_by_error"]["eai"] == 1
    assert core_calls == [6]
