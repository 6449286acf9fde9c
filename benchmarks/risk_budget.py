"""How often the risk budget holds, and what it costs: 200 made-up lists whose true rates are not those of the table.

`python benchmarks/risk_budget.py` writes the figures into docs/sendlist.md. Nothing is sent and no server asked: each
list is drawn, an audience chosen by the rule of `mailvet.scoring.budget`, and the bounces of that audience drawn too.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mailvet.scoring.budget import SAME_DOMAIN, SAME_OPERATOR, Budget, upper_end
from mailvet.scoring.priors import probability_of
from mailvet.vocabulary import Reason

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sendlist.md"
MARKS = ("<!-- written: risk budget -->", "<!-- end: risk budget -->")
LIMIT = 0.02
KINDS = (
    (Reason.recently_engaged, False),
    (Reason.mailbox_accepted, True),
    (Reason.role_account, True),
    (Reason.not_probed, True),
    (Reason.security_gateway, True),
    (Reason.accept_all, True),
)
"""Reasons that may be sent to, and whether the route was found."""
OFF_BY = 0.25
"""Standard deviation of the log-odds by which a list differs from the table, and each reason in it once more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One list."""

    rows: int
    candidates: int
    chosen: int
    best: int
    """Rows of the audience that the same rule chooses with the true probabilities."""
    bounced: int
    """Of the chosen."""
    bounced_all: int
    """Of all candidates."""


def drawn(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """The candidates of a list: chance (upper end of the table), truth, cluster, operator, bounced."""
    kind = rng.choice(len(KINDS), size=rows, p=rng.dirichlet((1, 4, 0.5, 1, 0.5, 1.5)))
    table = np.array([probability_of(reason, (), routed=routed) for reason, routed in KINDS])
    upper = np.array([upper_end(reason, chance) for (reason, _), chance in zip(KINDS, table, strict=True)])
    shift = rng.normal(0, OFF_BY) + rng.normal(0, OFF_BY, len(KINDS))
    odds = np.exp(np.log(table / (1 - table)) + shift)
    truth = (odds / (1 + odds))[kind]
    providers = rng.random(rows) < rng.uniform(0.2, 0.7)
    domains = max(2, rows // 4)
    domain = (domains * rng.random(rows) ** 2).astype(int)
    cluster = np.where(providers, -1 - np.arange(rows), domain)
    operator = np.where(providers, rng.integers(0, 5, rows), 5 + domain % 40)
    # A tenth of the risk of an address at a company is that its whole domain dies.
    dies = np.where(providers, 0.0, 0.1 * truth)
    luck = rng.random(domains)
    dead = ~providers & (luck[domain] < dies)
    sweep = np.exp(rng.normal(0, 0.1, 45))[operator]
    alone = np.clip((truth - dies) / (1 - dies) * sweep, 0, 1)
    bounced = dead | (rng.random(rows) < alone)
    return pl.DataFrame(
        {"chance": upper[kind], "truth": truth, "cluster": cluster, "operator": operator, "bounced": bounced}
    )


def taken(frame: pl.DataFrame, chance: str, budget: Budget) -> int:
    """Rows of the audience: `mailvet.scoring.budget.choose` over columns."""
    spread = (pl.col(chance) * (1 - pl.col(chance))).sqrt()
    ordered = frame.sort(chance, maintain_order=True).select(chance, "cluster", "operator", spread=spread)
    earlier = [pl.col("spread").cum_sum().over(name) - pl.col("spread") for name in ("cluster", "operator")]
    variance = pl.col("spread") ** 2 + 2 * pl.col("spread") * (SAME_DOMAIN * earlier[0] + SAME_OPERATOR * earlier[1])
    bounds = ordered.select(pl.col(chance).cum_sum() + budget.reach * variance.cum_sum().sqrt()).to_series().to_numpy()
    holds = np.flatnonzero(bounds <= budget.max_bounce_rate * np.arange(1, len(bounds) + 1) + 1e-9)
    return int(holds[-1]) + 1 if len(holds) else 0


def one(rng: np.random.Generator, rows: int, budget: Budget) -> Outcome:
    """Draw a list and choose from it."""
    frame = drawn(rng, rows)
    chosen, best = taken(frame, "chance", budget), taken(frame, "truth", budget)
    audience = frame.sort("chance", maintain_order=True).head(chosen)
    return Outcome(rows, len(frame), chosen, best, int(audience["bounced"].sum()), int(frame["bounced"].sum()))


def figures(outcomes: Sequence[Outcome]) -> str:
    """The table of the page."""
    held = [each.bounced <= LIMIT * each.chosen for each in outcomes]
    all_held = [each.bounced_all <= LIMIT * each.candidates for each in outcomes]
    shares = [min(1.0, each.chosen / each.best) for each in outcomes if each.best]
    rate = statistics.median(each.bounced / each.chosen for each in outcomes if each.chosen)
    reached = statistics.median(each.chosen / each.candidates for each in outcomes)
    empty = sum(not each.chosen for each in outcomes)
    return "\n".join(
        [
            f"| {len(outcomes)} lists, limit {100 * LIMIT:g} % | limit held | audience, median share of candidates |",
            "|---|---:|---:|",
            f"| risk budget | {100 * statistics.mean(held):.1f} % | {100 * reached:.0f} % |",
            "| an empty list | 100.0 % | 0 % |",
            f"| send to all candidates | {100 * statistics.mean(all_held):.1f} % | 100 % |",
            "",
            f"The median audience has {100 * statistics.median(shares):.0f} % of the rows of the largest that the same "
            f"rule chooses with the true probabilities, and {100 * rate:.2f} % of it bounce; {empty} of the audiences "
            "are empty.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, choose, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--most", type=int, default=1_000_000, help="rows of the largest list")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--show", action="store_true", help="print the figures and leave the page alone")
    options = parser.parse_args(arguments)
    rng, budget, began = np.random.default_rng(options.seed), Budget(LIMIT), time.process_time()
    sizes = np.exp(rng.uniform(math.log(500), math.log(options.most), options.lists)).astype(int)
    outcomes = [one(rng, int(size), budget) for size in sizes]
    text = figures(outcomes)
    print(f"{text}\n{time.process_time() - began:.0f} CPU seconds")
    if not options.show:
        page = PAGE.read_text("utf-8")
        before, after = page.split(MARKS[0])[0], page.split(MARKS[1])[1]
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
