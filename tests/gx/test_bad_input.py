"""What was not meant to be validated: wrong columns, numbers, nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import ge_expectations as mx

from .conftest import ENGINES, Home, contacts


def every(home: Home, config: str, column: str) -> list[Any]:
    common = {"column": column, "config": config, "verdict_table": home.verdict_table}
    return [
        mx.ExpectColumnValuesToBeDeliverableEmail(**common, verify="missing"),
        mx.ExpectColumnBounceRateToBeBelow(**common, verify="missing"),
        mx.ExpectColumnEmailsToBeVerifiedRecently(**common),
        mx.ExpectNoUndeliverableRows(**common),
        mx.ExpectColumnValuesToBeEmailSyntax(column=column, config=config),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_column_that_is_not_there_is_an_error(
    engine: str, homes: Callable[[str], Home], config: str, core_calls: list[int]
) -> None:
    home = homes(engine)
    result = home.suite(*every(home, config, "e_mail"))
    assert [bool(mx.errors_of(each)) for each in result.results] == [True] * 5
    assert all("e_mail" in " ".join(mx.errors_of(each)) for each in result.results)
    assert core_calls == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_column_of_numbers_is_an_error(
    engine: str, homes: Callable[[str], Home], config: str, core_calls: list[int]
) -> None:
    home = homes(engine)
    result = home.suite(*every(home, config, "age"))
    assert [any("not text" in error for error in mx.errors_of(each)) for each in result.results] == [True] * 5
    assert core_calls == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_column_of_nulls_passes_without_asking_anybody(
    engine: str, homes: Callable[[str], Home], config: str, core_calls: list[int]
) -> None:
    home = homes(engine)
    result = home.suite(*every(home, config, "blank"))
    assert [mx.errors_of(each) for each in result.results] == [[]] * 5
    assert [each.success for each in result.results] == [True] * 5
    assert core_calls == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_batch_passes_without_asking_anybody(
    engine: str, make_home: Callable[..., Home], config: str, core_calls: list[int]
) -> None:
    home = make_home(engine, frame=contacts().head(0))
    result = home.suite(*every(home, config, "email"))
    assert [mx.errors_of(each) for each in result.results] == [[]] * 5
    assert [each.success for each in result.results] == [True] * 5
    assert result.results[1].result["observed_value"] is None
    assert core_calls == []
