"""The figures of the risk budget: over columns the rule is the one of the core, and it holds on lists drawn for it."""

from __future__ import annotations

import numpy as np

from benchmarks.risk_budget import LIMIT, drawn, figures, one, taken
from mailvet.scoring.budget import Address, Budget, choose


def test_the_rule_over_columns_takes_as_many_rows_as_the_core() -> None:
    for seed in range(6):
        frame = drawn(np.random.default_rng(seed), 700)
        rows = frame.sort("chance", maintain_order=True).iter_rows(named=True)
        addresses = [
            Address(f"{place:05}", row["chance"], str(row["cluster"]), str(row["operator"]))
            for place, row in enumerate(rows)
        ]
        for limit in (0.02, 0.05, 0.2):
            assert taken(frame, "chance", Budget(limit)) == choose(addresses, Budget(limit)).rows


def test_most_audiences_keep_to_the_limit_and_no_whole_list_has_to() -> None:
    rng = np.random.default_rng(1)
    outcomes = [one(rng, 4_000, Budget(LIMIT)) for _ in range(40)]
    held = [each.bounced <= LIMIT * each.chosen for each in outcomes]
    assert sum(held) >= 36
    assert sum(each.bounced_all <= LIMIT * each.candidates for each in outcomes) < 10
    assert "| risk budget |" in figures(outcomes)
