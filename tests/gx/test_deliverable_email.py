"""ExpectColumnValuesToBeDeliverableEmail: where verdicts come from, how often, and what the arguments mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ge_expectations as mx
from mailvet.lab import Lab
from tests.dns.name_servers import in_thread, split_horizon

from .conftest import DATABASES, ENGINES, PLANTED, Home, contacts, row_condition

LOCAL = ("pandas", *DATABASES)


def deliverable(home: Home, config: str, **arguments: Any) -> mx.ExpectColumnValuesToBeDeliverableEmail:
    given = {"column": "email", "config": config, "verdict_table": home.verdict_table, "verify": "never", **arguments}
    return mx.ExpectColumnValuesToBeDeliverableEmail(**given)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_core_runs_once_whatever_the_number_of_expectations(
    engine: str, make_home: Callable[..., Home], config: str, core_calls: list[int]
) -> None:
    home = make_home(engine, stored=False)
    result = home.suite(
        deliverable(home, config, verify="missing", mostly=0.5),
        deliverable(home, config, verify="missing", mostly=0.99, unknown="pass"),
        deliverable(home, config, verify="missing", policy="signup", allow=["deliverable"]),
        mx.ExpectColumnBounceRateToBeBelow(column="email", config=config, verify="missing", max_rate=0.01),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    )
    assert core_calls == [6]  # distinct texts, once
    assert [mx.errors_of(each) for each in result.results] == [[]] * 4
    assert [each.success for each in result.results] == [True, False, False, False]
    assert [each.result["unexpected_count"] for each in result.results[:3]] == [4, 3, 4]
    indices = result.results[0].result["unexpected_index_list"]
    assert sorted(row["id"] for row in indices) == [4, 5, 6, 8]


@pytest.mark.parametrize("engine", LOCAL)
@pytest.mark.parametrize("result_format", ["BOOLEAN_ONLY", "BASIC", "SUMMARY", "COMPLETE"])
def test_stored_verdicts_need_no_network(
    engine: str, result_format: str, homes: Callable[[str], Home], config: str, core_calls: list[int], lab: Lab
) -> None:
    home = homes(engine)
    lab.reset_counters()
    result = home.validate(deliverable(home, config), result_format)
    assert result.success is False
    assert mx.errors_of(result) == []
    assert core_calls == []
    assert not lab.dns_queries()


@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_has_no_verdict_that_holds_is_verified(
    engine: str, make_home: Callable[..., Home], config: str, core_calls: list[int], verdicts: pa.Table
) -> None:
    rows = verdicts.to_pylist()
    rows[0]["next_check_at"] = datetime(2020, 1, 1, tzinfo=timezone.utc)  # due
    rows[1]["depth"] = "dns"  # not deep enough
    known = pa.Table.from_pylist(rows[:4], verdicts.schema)
    home = make_home(engine, stored=known)
    result = home.validate(deliverable(home, config, verify="missing"))
    assert core_calls == [4]  # two of the four stored, two not stored
    assert result.result["details"]["by_status"] == {"deliverable": 5, "undeliverable": 3, "unknown": 1}


@pytest.mark.parametrize("engine", LOCAL)
def test_always_ignores_stored_verdicts(
    engine: str, homes: Callable[[str], Home], config: str, core_calls: list[int]
) -> None:
    home = homes(engine)
    assert home.validate(deliverable(home, config, verify="always")).result["unexpected_count"] == 4
    assert core_calls == [6]


@pytest.mark.parametrize("engine", LOCAL)
@pytest.mark.parametrize(
    ("arguments", "unexpected"),
    [
        ({}, 4),
        ({"unknown": "pass"}, 3),
        ({"allow": ["undeliverable"]}, 6),
        ({"allow": ["do_not_send"]}, 6),
        ({"allow": ["deliverable", "undeliverable"]}, 1),
        ({"allow": ["deliverable", "undeliverable", "unknown"]}, 0),
        ({"allow": ["send", "reverify"]}, 3),
        ({"policy": "signup", "allow": ["send"]}, 3),  # a sign-up form lets dns_error pass
    ],
)
def test_policy_allow_and_unknown_decide_which_verdicts_pass(
    engine: str, arguments: dict[str, Any], unexpected: int, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    assert home.validate(deliverable(home, config, **arguments)).result["unexpected_count"] == unexpected


@pytest.mark.parametrize("engine", LOCAL)
def test_unknown_verdicts_can_be_an_error_rather_than_a_failure(
    engine: str, homes: Callable[[str], Home], config: str
) -> None:
    home = homes(engine)
    result = home.validate(deliverable(home, config, unknown="error"))
    (message,) = mx.errors_of(result)
    assert "1 of 9 addresses have no definite verdict (1 dns_error)" in message
    assert mx.outcome_of(result) == "error"
    decided = home.validate(deliverable(home, config, unknown="error", row_condition=row_condition(home)))
    assert decided.success is True


@pytest.mark.parametrize("engine", LOCAL)
def test_addresses_nobody_verified_count_as_unknown(engine: str, make_home: Callable[..., Home], config: str) -> None:
    home = make_home(engine, rows=[*PLANTED, (11, "new@acme.test", "a")])
    failing = home.validate(deliverable(home, config)).result
    assert failing["unexpected_count"] == 5
    assert failing["details"]["failing_by_reason"]["unverified"] == 1
    assert failing["details"]["unknown"] == 2
    assert home.validate(deliverable(home, config, unknown="pass")).result["unexpected_count"] == 3


@pytest.fixture
def no_dns(tmp_path: Path, config: str) -> str:
    """A mailvet.toml whose name server does not reply."""
    path = tmp_path / "mailvet.toml"
    lines = Path(config).read_text().splitlines()
    lines = [
        "timeout = 0.2" if x.startswith("timeout") else "lifetime = 0.4" if x.startswith("lifetime") else x
        for x in lines
    ]
    path.write_text("\n".join('nameservers = ["127.0.0.254"]' if x.startswith("nameservers") else x for x in lines))
    return str(path)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_outage_is_an_error_and_never_a_failed_expectation(
    engine: str, make_home: Callable[..., Home], no_dns: str, core_calls: list[int]
) -> None:
    home = make_home(engine, stored=False)
    result = home.suite(
        *(deliverable(home, no_dns, verify="missing", unknown=rule) for rule in ("pass", "fail", "error")),
        mx.ExpectColumnBounceRateToBeBelow(column="email", config=no_dns),
        mx.ExpectColumnValuesToBeEmailSyntax(column="email", config=no_dns, mostly=0.8),
    )
    *outages, syntax = result.results
    assert core_calls == [6, 6]  # the outage is met once, not once for every retry; the other is the offline syntax
    for each in outages:
        (message,) = mx.errors_of(each)
        assert "could not be verified. No DNS answers" in message
        assert not any(email in message for _, email, _ in PLANTED if email)
        assert (each.success, each.result) == (False, {})
    assert mx.outcome_of(result) == "error"
    assert syntax.success is True


@pytest.mark.parametrize("engine", ["pandas", "duckdb"])
def test_a_resolver_that_finds_nothing_is_an_error_and_never_a_failed_expectation(
    engine: str, make_home: Callable[..., Home], tmp_path: Path
) -> None:
    with in_thread(split_horizon, knows_controls=False) as server:
        config = tmp_path / "lying.toml"
        config.write_text(
            f'depth = "dns"\n[dns]\nnameservers = ["{server.host}"]\nport = {server.port}\ntimeout = 0.3\n'
            'lifetime = 0.6\n[smtp]\nallow_private_networks = ["127.0.0.0/8"]\n'
        )
        home = make_home(engine, stored=False)
        result = home.suite(deliverable(home, str(config), verify="missing", unknown="fail", depth="dns"))
    (each,) = result.results
    (message,) = mx.errors_of(each)
    assert "[dns] controls" in message
    assert (each.success, each.result) == (False, {})
    assert mx.outcome_of(result) == "error"


def test_an_outage_does_not_matter_where_every_verdict_is_stored(
    homes: Callable[[str], Home], no_dns: str, core_calls: list[int]
) -> None:
    home = homes("duckdb")
    condition = row_condition(home)
    result = home.validate(deliverable(home, no_dns, verify="missing", row_condition=condition))
    assert (result.success, core_calls) == (True, [])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_condition_limits_what_is_verified(
    engine: str, make_home: Callable[..., Home], config: str, core_calls: list[int]
) -> None:
    home = make_home(engine, stored=False)
    result = home.validate(
        deliverable(home, config, verify="missing", row_condition=row_condition(home)),
        {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    )
    assert (result.success, result.result["element_count"], core_calls) == (True, 4, [2])
    assert result.result["details"]["by_status"] == {"deliverable": 4}


@pytest.mark.parametrize("engine", LOCAL)
def test_a_missing_verdict_table_is_an_error(engine: str, make_home: Callable[..., Home], config: str) -> None:
    home = make_home(engine, stored=False)
    for table in (None, "no_such_table"):
        result = home.validate(deliverable(home, config, verdict_table=table))
        (message,) = mx.errors_of(result)
        assert "verdict" in message
    named = home.validate(deliverable(home, config, verdict_table="no_such_table", verify="missing"))
    assert mx.outcome_of(named) == "error"  # named but absent is a mistake, not a reason to ask everybody


def test_a_dataframe_reads_the_store_of_its_settings(
    tmp_path: Path, make_home: Callable[..., Home], config: str, core_calls: list[int], verdicts: pa.Table
) -> None:
    import duckdb

    store = tmp_path / "store.duckdb"
    with duckdb.connect(str(store)) as db:
        db.register("known", verdicts)
        db.execute("create table mailvet_verdicts as select * from known")
    own = tmp_path / "mailvet.toml"
    own.write_text(Path(config).read_text() + f'\n[store]\npath = "{store}"\n')
    home = make_home("pandas", stored=False)
    assert home.validate(deliverable(home, str(own))).result["unexpected_count"] == 4
    assert core_calls == []


def test_odd_arguments_are_refused_when_written() -> None:
    for odd in ({"allow": ["sned"]}, {"allow": []}, {"unknown": "maybe"}, {"depth": "deep"}, {"colour": 1}):
        with pytest.raises(ValueError, match=r"allow|unknown|depth|colour"):
            mx.ExpectColumnValuesToBeDeliverableEmail(column="email", **odd)


def test_a_broken_configuration_file_is_an_error(homes: Callable[[str], Home], tmp_path: Path) -> None:
    home = homes("sqlite")
    result = home.validate(deliverable(home, str(tmp_path / "none.toml")))
    assert "There is no configuration file" in mx.errors_of(result)[0]


def test_a_column_of_many_texts_that_differ_in_white_space_is_told_apart(
    make_home: Callable[..., Home], config: str
) -> None:
    rows = [(1, "ann@acme.test", "a"), (2, " ann@acme.test", "a"), (3, "ANN@acme.test", "a"), (4, "", "a")]
    home = make_home("sqlite", rows=rows, stored=False)
    result = home.validate(deliverable(home, config, verify="missing"))
    assert result.result["details"]["by_status"] == {"deliverable": 3}
    assert result.result["missing_count"] == 1
    assert contacts(rows).shape == (4, 5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_blank_cell_counts_as_a_null(
    engine: str, make_home: Callable[..., Home], config: str, core_calls: list[int]
) -> None:
    blanks = [None, "", " \t", "\xa0", "\u200b\ufeff"]
    rows = [(n, cell, "a") for n, cell in enumerate(["ann@acme.test", "nobody@acme.test", *blanks])]
    home = make_home(engine, rows=rows, stored=False)
    half = home.validate(deliverable(home, config, verify="missing", mostly=0.5))
    assert half.success is True
    counts = half.result
    assert (counts["element_count"], counts["missing_count"], counts["unexpected_count"]) == (7, 5, 1)
    assert counts["unexpected_percent_nonmissing"] == 50
    assert core_calls == [2]
    syntax = home.validate(mx.ExpectColumnValuesToBeEmailSyntax(column="email"))
    assert syntax.result["missing_count"] == 5


def test_a_machine_not_fit_for_the_depth_is_an_error_met_once(
    make_home: Callable[..., Home], config: str, tmp_path: Path, core_calls: list[int]
) -> None:
    path = tmp_path / "mailvet.toml"
    lines = [
        'hello_name = "no.such.test"' if x.startswith("hello_name") else x
        for x in Path(config).read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    home = make_home("sqlite", stored=False)
    result = home.validate(deliverable(home, str(path), verify="missing"))
    assert "does not resolve" in mx.errors_of(result)[0]
    assert core_calls == [6]
