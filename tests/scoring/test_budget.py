"""The largest audience within a risk budget: the rule in Python, and the same in SQL."""

from __future__ import annotations

import math
import random

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailvet.scoring.budget import (
    SAME_DOMAIN,
    SAME_OPERATOR,
    Address,
    Bound,
    Budget,
    bounds_sql,
    choose,
    chosen_of,
    upper_end,
    upper_end_sql,
)
from mailvet.scoring.priors import PRIORS, probability_of
from mailvet.vocabulary import Reason

CHANCES = st.sampled_from([0.0, 0.004, 0.01, 0.0148, 0.05, 0.2, 0.9, 1.0])
ADDRESSES = st.lists(
    st.builds(
        Address,
        key=st.uuids().map(lambda key: key.hex),
        probability=CHANCES,
        domain=st.sampled_from([None, "acme.test", "corp.test", "shop.test"]),
        operator=st.sampled_from([None, "google", "microsoft365"]),
        rows=st.integers(1, 4),
    ),
    max_size=60,
    unique_by=lambda each: each.key,
)


def upper_bound(addresses: list[Address], budget: Budget) -> float:
    """The bound as the definition has it: over all pairs."""
    spreads = [each.rows * math.sqrt(each.probability * (1 - each.probability)) for each in addresses]
    variance = 0.0
    for one, left in zip(addresses, spreads, strict=True):
        for other, right in zip(addresses, spreads, strict=True):
            same_domain = one.domain is not None and one.domain == other.domain
            same_operator = one.operator is not None and one.operator == other.operator
            alike = 1.0 if one is other else SAME_DOMAIN * same_domain + SAME_OPERATOR * same_operator
            variance += alike * left * right
    return sum(each.probability * each.rows for each in addresses) + budget.reach * math.sqrt(variance)


@given(addresses=ADDRESSES, limit=st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_the_audience_is_the_longest_beginning_of_the_order_that_keeps_to_the_limit(
    addresses: list[Address], limit: float
) -> None:
    budget = Budget(limit)
    ordered = sorted(addresses, key=lambda each: (each.probability, each.key))
    longest = 0
    for count in range(1, len(ordered) + 1):
        taken = ordered[:count]
        if upper_bound(taken, budget) <= limit * sum(each.rows for each in taken) + 1e-9:
            longest = count
    found = choose(addresses, budget)
    assert found.rows == sum(each.rows for each in ordered[:longest])
    assert found.candidates == sum(each.rows for each in addresses)
    if longest:
        assert found.last is not None
        assert found.last.upper == pytest.approx(upper_bound(ordered[:longest], budget))
        assert found.last.key == ordered[longest - 1].key


def in_duckdb(addresses: list[Address], budget: Budget, points: int = 100) -> list[tuple[object, ...]]:
    table = pa.table(
        {
            "key_of": pa.array([each.key for each in addresses], pa.string()),
            "chance": pa.array([each.probability for each in addresses], pa.float64()),
            "cluster_of": pa.array([each.domain or each.key for each in addresses], pa.string()),
            "operator_of": pa.array([each.operator or each.key for each in addresses], pa.string()),
            "weight": pa.array([each.rows for each in addresses], pa.int64()),
        }
    )
    with duckdb.connect() as db:
        db.register("candidates", table)
        return db.execute(bounds_sql("select * from candidates", budget, points=points)).fetchall()


@given(addresses=ADDRESSES, limit=st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_sql_takes_the_same_rows_as_python(addresses: list[Address], limit: float) -> None:
    budget = Budget(limit)
    ours, theirs = choose(addresses, budget), chosen_of(budget, in_duckdb(addresses, budget))
    assert (theirs.rows, theirs.candidates) == (ours.rows, ours.candidates)
    if ours.last is not None:
        assert theirs.last is not None
        assert theirs.last.key == ours.last.key
        assert theirs.last.upper == pytest.approx(ours.last.upper)


def test_bounces_that_come_in_clusters_leave_less_room() -> None:
    apart = [Address(f"{n:04}", 0.015, f"c{n}.test", f"o{n}") for n in range(2000)]
    together = [each._replace(domain="acme.test") for each in apart]
    budget = Budget(0.02)
    assert choose(apart, budget).rows == 2000
    assert choose(together, budget).rows < 2000


def test_more_confidence_and_a_lower_limit_never_take_more() -> None:
    chance = random.Random(7)
    addresses = [Address(f"{n:05}", chance.betavariate(1, 30), f"c{n % 40}.test", None) for n in range(3000)]
    rows = [choose(addresses, Budget(0.02, confidence)).rows for confidence in (0.5, 0.8, 0.9, 0.99)]
    assert rows == sorted(rows, reverse=True)
    limits = [choose(addresses, Budget(limit)).rows for limit in (0.05, 0.02, 0.01, 0.0)]
    assert limits == sorted(limits, reverse=True)


def test_the_curve_goes_from_few_rows_to_all_and_holds_the_chosen_point() -> None:
    addresses = [Address(f"{n:05}", 0.001 + n / 20_000, None, None) for n in range(1_000)]
    budget = Budget(0.02)
    for found in (choose(addresses, budget, points=10), chosen_of(budget, in_duckdb(addresses, budget, points=10))):
        rows = [bound.rows for bound in found.curve]
        assert rows == sorted(rows)
        assert rows[-1] == found.candidates == 1_000
        assert 10 <= len(rows) <= 11
        assert [bound.expected for bound in found.curve] == sorted(bound.expected for bound in found.curve)


def test_the_condition_of_an_audience_is_its_rows() -> None:
    addresses = [Address(f"{n:05}", (n % 7) / 100, f"c{n % 13}.test", "google") for n in range(400)]
    found = choose(addresses, Budget(0.02))
    assert 0 < found.rows < 400
    table = pa.table({"key": [each.key for each in addresses], "chance": [each.probability for each in addresses]})
    with duckdb.connect() as db:
        db.register("known", table)
        (count,) = db.execute(f"select count(*) from known where {found.takes_sql('chance', 'key')}").fetchall()[0]
    assert count == found.rows
    assert choose([], Budget(0.02)).takes_sql("chance", "key") == "1 = 0"


@pytest.mark.parametrize("reason", PRIORS)
def test_the_upper_end_is_the_same_in_sql_and_lies_above_the_middle(reason: Reason) -> None:
    for flags in ((), ("gibberish",), ("relay_alias", "free")):
        middle = probability_of(reason, flags)
        with duckdb.connect() as db:
            row = f"(select '{reason}' as reason, {middle!r}::double as bounce_probability, 50 as score) v"
            (found,) = db.execute(f"select {upper_end_sql('v.')} from {row}").fetchall()[0]
        assert found == upper_end(reason, middle)
        assert middle <= found + 1e-9
        assert found <= 1


def test_the_published_range_of_accept_all_addresses_ends_at_its_upper_end() -> None:
    assert upper_end(Reason.accept_all, 0.2) == pytest.approx(0.4)


def test_equal_to_the_limit_passes() -> None:
    assert Budget(0.02).holds(Bound(100, 1.0, 2.0, 0.01, "k"))
    assert not Budget(0.02).holds(Bound(100, 1.0, 2.001, 0.01, "k"))
