"""Addresses stay out of results unless they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import ge_expectations as mx

from .conftest import DATABASES, ENGINES, PLANTED, Home, five

COMPLETE: dict[str, Any] = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["id"],
    "include_unexpected_rows": True,
}
ADDRESSES = {email for _, email, _ in PLANTED if email}


def text_of(result: Any) -> str:
    return json.dumps(result.to_json_dict(), default=str, ensure_ascii=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_even_complete_results_hold_ids_and_counts_but_no_addresses(
    engine: str, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    result = home.suite(*five(home, config, lenient=False), result_format=COMPLETE)
    text = text_of(result)
    assert not [email for email in ADDRESSES if email in text]
    assert sorted(row["id"] for row in result.results[0].result["unexpected_index_list"]) == [4, 5, 6, 8]


@pytest.mark.parametrize("engine", ["pandas", "sqlite"])
def test_addresses_are_shown_when_asked_for(engine: str, homes: Callable[[str], Home], config: str) -> None:
    home = homes(engine)
    expectation = mx.ExpectColumnValuesToBeDeliverableEmail(
        column="email", config=config, verdict_table=home.verdict_table, verify="never", show_addresses=True
    )
    result = home.validate(expectation, "COMPLETE")
    assert set(result.result["unexpected_list"]) == {
        "nobody@acme.test",
        "eve@nomail.test",
        "not an address",
        "dan@broken.test",
    }


@pytest.mark.parametrize("engine", DATABASES)
def test_the_query_for_failing_rows_goes_through_the_verdict_table(
    engine: str, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    expectation = mx.ExpectColumnValuesToBeDeliverableEmail(
        column="email", config=config, verdict_table=home.verdict_table, verify="never"
    )
    query = home.validate(expectation, COMPLETE).result["unexpected_index_query"]
    assert home.verdict_table is not None
    assert home.verdict_table in query
    assert len(query) < 4_000


@pytest.mark.parametrize("engine", DATABASES)
def test_a_query_on_a_temporary_relation_is_not_shown(engine: str, make_home: Callable[..., Home], config: str) -> None:
    home = make_home(engine, stored=False)
    result = home.validate(mx.ExpectColumnValuesToBeDeliverableEmail(column="email", config=config), COMPLETE)
    assert result.result["unexpected_count"] == 4
    assert "unexpected_index_query" not in result.result


def test_private_result_format_names_ids_only() -> None:
    chosen = mx.private_result_format("id", "tenant")
    assert chosen["unexpected_index_column_names"] == ["id", "tenant"]
    assert chosen["exclude_unexpected_values"] is True
    assert chosen["return_unexpected_index_query"] is False
    assert "unexpected_index_column_names" not in mx.PRIVATE_RESULT_FORMAT
