"""
What a misspelt domain was meant to be: 200,000 distinct domains on one core, some of them a provider's name with a
slip of the finger, the others companies' domains that must stay as they are.
"""

from __future__ import annotations

import importlib
import random
import time
from typing import Any

from benchmarks import syntax
from benchmarks.intervals import paired_ratios, spread
from benchmarks.processes import call, cores

__all__ = ["measure"]


def measure(count: int = 200_000, sample: int = 500, runs: int = 5) -> dict[str, Any]:
    """
    Returns:
        `domains`, `sample` (for those that take longer), `runs`, `rows`: by name `rate` (domains a second), `found`
        (share of the slips whose provider was named), `false` (share of the companies that got a suggestion), `ratio`.

    Raises:
        AssertionError: ours is wrong about more than one company in a thousand.
    """
    pair = cores()
    core = pair[0] if pair else None
    seen = [call("benchmarks.suggesting:once", core=core, count=count, sample=sample) for _ in range(runs)]
    rates = {name: [run[name]["rate"] for run in seen] for name in seen[0]}
    rows = {
        name: {
            "rate": spread(each),
            "ratio": paired_ratios(rates["mailvet"], each),
            "found": seen[0][name]["found"],
            "false": seen[0][name]["false"],
        }
        for name, each in rates.items()
    }
    assert rows["mailvet"]["false"] <= 0.001, f"{rows['mailvet']['false']:.2%} of the companies got a suggestion"
    return {"domains": count, "sample": sample, "runs": runs, "rows": rows}


_PROVIDERS = ("gmail.com", "hotmail.com", "yahoo.com", "outlook.com", "icloud.com")


def domains(count: int, seed: int = 7) -> list[tuple[str, str | None]]:
    """Distinct domains, shuffled, and the provider that was meant."""
    chance = random.Random(seed)
    found: dict[str, str | None] = {}
    for _ in range(count // 10):
        provider = chance.choice(_PROVIDERS)
        name = provider.removesuffix(".com")
        place = chance.randrange(1, len(name))
        letter = chance.choice("abcdefghijklmnopqrstuvwxyz")
        left_out, too_many, wrong = name[:place] + name[place + 1 :], name[:place] + letter, name[:place] + letter
        slip = chance.choice((left_out, too_many + name[place:], wrong + name[place + 1 :]))
        if slip != name:
            found[f"{slip}.com"] = provider
    endings = (".com", ".de", ".co.uk", ".fr", ".io", ".com.br", ".net")
    while len(found) < count:
        name = "".join(chance.choice(syntax.SYLLABLES) for _ in range(chance.randint(5, 8)))
        found.setdefault(name + chance.choice(endings), None)
    pairs = list(found.items())
    chance.shuffle(pairs)
    return pairs


def once(count: int, sample: int) -> dict[str, Any]:
    """In the measured process."""
    from mailvet.reference.typos.domains import suggest_domains

    pairs = domains(count)
    asked = [domain for domain, _ in pairs]
    suggest_domains(asked[:1])  # the slips are spelt out once in a process
    began = time.perf_counter()
    given = suggest_domains(asked)
    found = {"mailvet": _judged(pairs, given, count / (time.perf_counter() - began))}
    try:
        suggest = importlib.import_module("pigeontrust.heuristics").suggest_domain
    except ImportError:
        return found
    slips = [pair for pair in pairs if pair[1]][: sample // 2]
    mixed = slips + [pair for pair in pairs if not pair[1]][: sample - len(slips)]
    suggest("warm-up.example")
    began = time.perf_counter()
    theirs = [suggest(domain) for domain, _ in mixed]
    found["pigeontrust"] = _judged(mixed, theirs, sample / (time.perf_counter() - began))
    return found


def _judged(pairs: list[tuple[str, str | None]], given: list[str | None], rate: float) -> dict[str, float]:
    slips = [answer == right for (_, right), answer in zip(pairs, given, strict=True) if right]
    others = [answer is not None for (_, right), answer in zip(pairs, given, strict=True) if not right]
    return {"rate": rate, "found": sum(slips) / len(slips), "false": sum(others) / len(others)}
