"""
Reference lists: whether an address is disposable, a role or at a free provider, from the text of the cell on, with the
split into local part and domain.

A million distinct addresses of which 60 % are at nine providers and the rest at 50,000 companies, one in 40 disposable
and one in 40 a role. Ours says also whether it is a relay alias, tagged, a no-reply name or at a misspelt provider.
Answers of all are compared with the sets they rest on before a rate counts.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import time
from collections.abc import Callable
from typing import Any

from benchmarks import syntax
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import call

__all__ = ["measure"]


def measure(count: int = 1_000_000, sample: int = 50_000, runs: int = 5) -> dict[str, Any]:
    """
    Returns:
        `addresses`, `sample` (for those called per address), `runs`, `rows`: by name `rate` (addresses a second) and
        `ratio` to ours, each as median, least and most.

    Raises:
        AssertionError: an answer is wrong.
    """
    seen = [call("benchmarks.lists:once", count=count, sample=sample) for _ in range(runs)]
    rates = {name: [run[name] for run in seen] for name in seen[0]}
    rows = {
        name: {"rate": spread(each), "ratio": paired_ratios(rates["mailvet"], each)} for name, each in rates.items()
    }
    return {"addresses": count, "sample": sample, "runs": runs, "rows": rows}


def addresses(count: int, seed: int = 7) -> list[str]:
    """Distinct plain addresses in lower case."""
    from mailvet.reference.domains import disposable_domains
    from mailvet.reference.roles import role_names

    chance = random.Random(seed)
    disposable, roles = sorted(disposable_domains()), sorted(role_names())
    plain = [cell for cell in syntax.mixed_cells(count // 4, seed) if cell and cell.isascii() and cell.count("@") == 1]
    domains = [cell.strip().lower().rpartition("@")[2] for cell in plain]
    cells = []
    for number in range(count):
        domain = chance.choice(disposable) if number % 40 == 0 else domains[chance.randrange(len(domains))]
        local = f"{chance.choice(roles)}" if number % 40 == 1 else f"person{number}"
        cells.append(f"{local}@{domain}")
    return cells


def once(count: int, sample: int) -> dict[str, float]:
    """In the measured process: addresses a second by name."""
    import polars as pl

    from mailvet.reference.columns import Reference
    from mailvet.reference.domains import disposable_domains, free_domains
    from mailvet.reference.roles import role_names

    cells = addresses(count)
    column = pl.Series("email", cells, dtype=pl.String)

    def ours(cell: pl.Series) -> pl.DataFrame:
        split = cell.str.split_exact("@", 1).struct.rename_fields(["local", "domain"]).struct.unnest()
        return Reference().look_up(split)

    ours(column.head(1_000))  # the lists are read once in a process
    began = time.perf_counter()
    found = ours(column)
    rates = {"mailvet": count / (time.perf_counter() - began)}

    disposable, free, roles = disposable_domains(), free_domains(), role_names()

    def by_hand(cell: str) -> tuple[bool, bool, bool]:
        local, _, domain = cell.rpartition("@")
        return domain in disposable, local in roles, domain in free

    right = [by_hand(cell) for cell in cells[:sample]]
    given = list(found.head(sample).select("disposable", "role", "free").iter_rows())
    # Only what lies under a listed domain may differ: ours counts subdomains, sets of names do not.
    wrong = sum(ours != theirs and not ours[0] for ours, theirs in zip(given, right, strict=True))
    assert not wrong, f"{wrong} of {sample} answers are wrong"
    others: dict[str, Callable[[str], object]] = {"sets of names, in Python": by_hand}
    with contextlib.suppress(ImportError):
        others["listwash"] = importlib.import_module("listwash.classify").classify_address
    for name, ask in others.items():
        ask(cells[0])
        began = time.perf_counter()
        for cell in cells[:sample]:
            ask(cell)
        rates[name] = sample / (time.perf_counter() - began)
    return rates
