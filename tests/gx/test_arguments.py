"""Arguments as suite parameters and as text, and batches that Great Expectations itself cannot work with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pytest

import ge_expectations as mx

from .conftest import ENGINES, Home


def arguments(home: Home, config: str) -> list[tuple[type[Any], dict[str, Any]]]:
    """Every argument of every expectation, with a value that is not its default where that can be."""
    common = {"column": "email", "config": config, "verdict_table": home.verdict_table}
    return [
        (
            mx.ExpectColumnValuesToBeDeliverableEmail,
            {
                **common,
                "verify": "never",
                "depth": "dns",
                "policy": "transactional",
                "allow": ["send", "risky"],
                "unknown": "pass",
                "show_addresses": True,
                "mostly": "60%",
            },
        ),
        (
            mx.ExpectColumnBounceRateToBeBelow,
            {
                **common,
                "verify": "never",
                "depth": "dns",
                "policy": "signup",
                "max_rate": "2%",
                "judge_by": "upper",
                "confidence": "90%",
                "among": ["send"],
            },
        ),
        (
            mx.ExpectColumnEmailsToBeVerifiedRecently,
            {**common, "max_age": "12h", "depth": "smtp", "show_addresses": True, "mostly": 0.5},
        ),
        (
            mx.ExpectNoUndeliverableRows,
            {**common, "forbid": ["undeliverable"], "id_columns": ["id"], "policy": "transactional"},
        ),
        (
            mx.ExpectColumnValuesToBeEmailSyntax,
            {"column": "email", "international": False, "config": config, "show_addresses": True, "mostly": "50%"},
        ),
    ]


@pytest.mark.parametrize("engine", ["pandas", "sqlite"])
def test_every_argument_of_every_expectation_may_be_a_suite_parameter(
    engine: str, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    for kind, given in arguments(home, config):
        named = kind(**{name: {"$PARAMETER": f"my_{name}"} for name in given})
        stored = named.configuration.to_domain_obj()  # as a suite is kept
        values = {f"my_{name}": value for name, value in given.items()}
        assert set(stored.suite_parameter_options) == set(values)
        plain = home.validate(kind(**given), "COMPLETE")
        batch = home.definition.get_batch(home.parameters or None)
        by_name = batch.validate(stored, result_format="COMPLETE", expectation_parameters=values)
        assert mx.errors_of(plain) == mx.errors_of(by_name) == []
        for each in (plain, by_name):
            each.result.pop("unexpected_index_query", None)  # holds the time of the run
        assert (by_name.success, by_name.result) == (plain.success, plain.result)
        # In a suite without values the sentence tells the names.
        (shown, *_) = stored._prescriptive_renderer(
            configuration=stored.configuration, runtime_configuration={"suite_parameters": values}
        )
        assert shown.to_json_dict()["string_template"]["params"]["column"] == "<my_column>"


def test_a_suite_parameter_is_named_exactly_and_its_value_is_checked(homes: Callable[[str], Home]) -> None:
    with pytest.raises(ValueError, match="PARAMETER"):
        mx.ExpectColumnValuesToBeDeliverableEmail(column="email", policy={"parameter": "policy"})
    home = homes("pandas")
    batch = home.definition.get_batch(home.parameters)
    expectation = mx.ExpectColumnBounceRateToBeBelow(column="email", max_rate={"$PARAMETER": "rate"}, depth="offline")
    with pytest.raises(Exception, match="'a few' is no share"):
        batch.validate(expectation, expectation_parameters={"rate": "a few"})


@pytest.mark.parametrize("share", ["98%", 0.98, "0.98"])
def test_a_share_may_be_a_percentage_everywhere(share: object) -> None:
    assert mx.ExpectColumnValuesToBeDeliverableEmail(column="email", mostly=share).mostly == 0.98
    assert mx.ExpectColumnValuesToBeEmailSyntax(column="email", mostly=share).mostly == 0.98
    assert mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", mostly=share).mostly == 0.98
    below = mx.ExpectColumnBounceRateToBeBelow(column="email", max_rate=share, confidence=share)
    assert (below.max_rate, below.confidence) == (0.98, 0.98)
    for wrong in ("150%", "many", True, -1):
        with pytest.raises(ValueError, match="share"):
            mx.ExpectColumnBounceRateToBeBelow(column="email", confidence=wrong)
    with pytest.raises(ValueError, match="confidence"):
        mx.ExpectColumnBounceRateToBeBelow(column="email", confidence="100%")


class Whatever:
    """An object whose text is an address is no address."""

    def __str__(self) -> str:
        return "ann@acme.test"


@pytest.mark.parametrize(
    "cell",
    [4915112345678, 1.5, True, b"ann@acme.test", ["ann@acme.test"], {"email": "ann@acme.test"}, Whatever()],
    ids=lambda cell: type(cell).__name__,
)
def test_a_cell_that_is_no_text_is_one_unexpected_row(cell: Any, make_home: Callable[..., Home], config: str) -> None:
    emails = pd.Series(["ann@acme.test", cell, None, "bob@acme.test"], dtype=object)
    home = make_home("pandas", frame=pd.DataFrame({"id": [10, 11, 12, 13], "email": emails}))
    common = {"column": "email", "config": config, "verdict_table": home.verdict_table}
    for expectation, details in (
        (mx.ExpectColumnValuesToBeDeliverableEmail(**common, verify="never"), {"syntax_invalid": 1}),
        (mx.ExpectColumnValuesToBeEmailSyntax(column="email", config=config), {"not_text": 1}),
        (mx.ExpectColumnEmailsToBeVerifiedRecently(**common), {"not_text": 1}),
    ):
        format_ = {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]}
        result = home.validate(expectation, format_)
        assert mx.errors_of(result) == []
        assert (result.result["element_count"], result.result["unexpected_count"]) == (4, 1)
        assert result.result["unexpected_index_list"] == [{"id": 11}]
        assert details in result.result["details"].values()
    rate = home.validate(mx.ExpectColumnBounceRateToBeBelow(**common, verify="never", max_rate="40%"))
    assert (rate.result["details"]["addresses"], rate.result["details"]["undeliverable"]) == (3, 1)
    rows = home.validate(mx.ExpectNoUndeliverableRows(**common, id_columns=["id"]), "COMPLETE")
    assert rows.result["observed_value"] == 1
    assert rows.result["details"]["unexpected_rows"][0]["id"] == 11


def test_a_categorical_column_of_addresses_and_numbers_is_read(make_home: Callable[..., Home], config: str) -> None:
    emails = pd.Series(["ann@acme.test", 7, None, "ann@acme.test"], dtype="category")
    home = make_home("pandas", frame=pd.DataFrame({"id": [1, 2, 3, 4], "email": emails}))
    result = home.validate(mx.ExpectColumnValuesToBeEmailSyntax(column="email", config=config))
    assert (mx.errors_of(result), result.result["unexpected_count"]) == ([], 1)


def test_column_labels_that_are_no_text_are_named_and_the_rest_of_the_suite_goes_on(context: Any) -> None:
    frame = pd.DataFrame([[1, "ann@acme.test"], [2, "bob@acme.test"]])
    asset = context.data_sources.add_pandas("labels").add_dataframe_asset("labels")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(
        name="labels",
        expectations=[
            mx.ExpectColumnValuesToBeEmailSyntax(column="1"),
            mx.ExpectColumnBounceRateToBeBelow(column="1"),
            mx.ExpectNoUndeliverableRows(column="1"),
            gx.expectations.ExpectTableRowCountToEqual(value=2),
        ],
    )
    *ours, rows = batch.validate(suite).results
    assert rows.success
    for each in ours:
        (error,) = mx.errors_of(each)
        assert "column label that is no text (0, of type int)" in error
        assert "frame.columns" in error


def test_a_plain_url_of_duckdb_is_told_the_right_one(context: Any, tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "crm.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute("create table contacts as select 1 as id, 'ann@acme.test' as email")
    source = context.data_sources.add_sql("plain_duckdb", connection_string=f"duckdb:///{path}")
    batch = source.add_table_asset("t", table_name="contacts").add_batch_definition_whole_table("all").get_batch()
    for expectation in (
        mx.ExpectColumnValuesToBeEmailSyntax(column="email"),
        mx.ExpectNoUndeliverableRows(column="email"),
    ):
        (error,) = mx.errors_of(batch.validate(expectation))
        assert "duckdb+mailvet:///" in error


def test_spark_reads_a_parquet_file_of_verdicts_and_says_what_it_cannot_read(
    homes: Callable[[str], Home], config: str, tmp_path: Path
) -> None:
    home, stored = homes("spark"), homes("pandas").verdict_table
    for kind, given in arguments(home, config)[:4]:
        by_table = home.validate(kind(**given), "BASIC")
        by_file = home.validate(kind(**{**given, "verdict_table": stored}), "BASIC")
        assert mx.errors_of(by_file) == mx.errors_of(by_table) == []
        assert (by_file.success, by_file.result) == (by_table.success, by_table.result)
    for path, said in ((tmp_path / "verdicts.duckdb", "Pandas only"), (tmp_path / "none.parquet", "cannot be read")):
        expectation = mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", verdict_table=str(path))
        assert any(said in error for error in mx.errors_of(home.validate(expectation)))


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine not in ("pandas", "spark")])
def test_a_database_says_that_a_file_of_verdicts_is_for_dataframes(
    engine: str, homes: Callable[[str], Home], config: str
) -> None:
    home, stored = homes(engine), homes("pandas").verdict_table
    expectation = mx.ExpectColumnEmailsToBeVerifiedRecently(column="email", verdict_table=stored, config=config)
    assert any("dataframe" in error for error in mx.errors_of(home.validate(expectation)))
