"""
The syntax layer against the validators people call per address.

The column: 1,000,000 cells from a fixed seed; 90 % plain (one in forty with white space around it), 6 % malformed in
fourteen ways, 2 % internationalised domains (half of them written as Punycode; 2,000 distinct), 1 % internationalised
local parts (SMTPUTF8), 1 % empty cells and placeholders. All ours answers with the reason, the split and the ASCII
domain. Before anything is timed the verdicts of a sample are compared with email-validator's.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable
from typing import Any

import polars as pl
from email_validator import EmailNotValidError, validate_email

from benchmarks.intervals import paired_ratios, spread
from mailvet.syntax import columns as syntax
from mailvet.syntax import parser

__all__ = ["SYLLABLES", "main", "measure", "mixed_cells"]

_PROVIDERS = (
    "gmail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "gmx.de",
    "web.de",
    "orange.fr",
    "mail.ru",
    "qq.com",
)
SYLLABLES = (
    "an",
    "be",
    "co",
    "di",
    "el",
    "fa",
    "go",
    "hu",
    "in",
    "jo",
    "ka",
    "lu",
    "ma",
    "no",
    "or",
    "pe",
    "ri",
    "sa",
)
"""What made-up names are put together from."""
_TLDS = ("com", "de", "co.uk", "fr", "org", "net", "com.br", "it", "pl", "io")
_LETTERS = "äöüßéñçøåžłабвгдежзиклмно中文例网络公司日本語한국어"


def mixed_cells(count: int = 1_000_000, seed: int = 7) -> list[str | None]:
    """A contact column of `count` cells in the mix described above, shuffled, from a fixed seed."""
    choice = random.Random(seed)

    def word(least: int, most: int) -> str:
        return "".join(choice.choice(SYLLABLES) for _ in range(choice.randint(least, most)))

    companies = [
        f"{word(2, 5)}{choice.choice(('', '-', ''))}{word(1, 2)}.{choice.choice(_TLDS)}" for _ in range(50_000)
    ]
    idns = []
    for number in range(2_000):
        name = "".join(choice.choice(_LETTERS[:10]) for _ in range(2)) + word(1, 3) + f".{choice.choice(_TLDS)}"
        idns.append(name if number % 2 else ".".join(_punycode(label) for label in name.split(".")))

    def plain() -> str:
        local = (
            word(1, 3)
            + choice.choice(("", ".", "_", ""))
            + word(1, 3)
            + choice.choice(("", str(choice.randint(1, 99))))
        )
        if choice.random() < 0.05:
            local = local.title()
        domain = choice.choice(_PROVIDERS) if choice.random() < 0.6 else choice.choice(companies)
        return f"{local}@{domain}"

    spoil: tuple[Callable[[str], str], ...] = (
        lambda text: text.replace("@", "@@"),
        lambda text: text.replace("@", ""),
        lambda text: text.replace("@", " @ "),
        lambda text: text.replace("@", "(at)"),
        lambda text: text.rpartition(".")[0],
        lambda text: text + ".",
        lambda text: text.replace(".", ","),
        lambda text: text.replace("@", ".@"),
        lambda text: f"Ann <{text}>",
        lambda text: f"mailto:{text}",
        lambda text: text.replace(".", ".."),
        lambda text: text + "; " + plain(),
        lambda text: text.replace("@", " "),
        lambda text: text.partition("@")[0],
    )
    cells: list[str | None] = []
    for number in range(count):
        share = number % 100
        if share < 90:
            cells.append(f" {plain()} " if number % 40 == 0 else plain())
        elif share < 96:
            cells.append(choice.choice(spoil)(plain()))
        elif share < 98:
            cells.append(f"{word(2, 4)}@{choice.choice(idns)}")
        elif share < 99:
            cells.append(f"{word(1, 2)}{choice.choice(_LETTERS)}{word(1, 2)}@{choice.choice(companies)}")
        else:
            cells.append(choice.choice((None, "", "n/a", "-", "none", "unknown", "test@test")))
    choice.shuffle(cells)
    return cells


def _punycode(label: str) -> str:
    return label if label.isascii() else "xn--" + label.replace("ß", "ss").encode("punycode").decode()


def _judge(cell: str | None) -> bool:
    try:
        validate_email((cell or "").strip(), strict=True, allow_smtputf8=True, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _peers() -> dict[str, Callable[[str | None], object]]:
    """Validators called per address: email-validator, and the others that are installed."""
    peers: dict[str, Callable[[str | None], object]] = {"email-validator": _judge}
    calls: dict[str, Callable[[Any, str], object]] = {
        "pyisemail": lambda module, text: module.is_email(text),
        "emval": lambda module, text: module.validate_email(text, deliverable_address=False),
        "validators": lambda module, text: module.email(text),
    }
    for name, call in calls.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        peers[name] = lambda cell, module=module, call=call: _quietly(call, module, cell)  # type: ignore[misc]
    return peers


def _quietly(call: Callable[[Any, str], object], module: Any, cell: str | None) -> object:
    try:
        return call(module, (cell or "").strip())
    except Exception:  # a refusal is an answer, in whatever form the peer gives it
        return False


def measure(count: int = 1_000_000, sample: int = 10_000, runs: int = 9) -> dict[str, Any]:
    """
    Compare, then time.

    Args:
        count: cells in the column.
        sample: cells compared with the judge and given to the validators that are called per address.
        runs: interleaved runs.

    Returns:
        `cells`, `sample`, `runs`, `disagreements` (0, or an AssertionError is raised); by name `per_second` and
        `times_email_validator`, each as median, least and most of the runs.
    """
    cells = mixed_cells(count)
    column = pl.Series("email", cells, dtype=pl.String)
    accepted = (syntax.examine(column)["syntax_error"].is_null()).to_list()
    disagreements = sum(_judge(cell) != verdict for cell, verdict in zip(cells[:sample], accepted, strict=False))
    if disagreements:
        raise AssertionError(f"{disagreements} of {sample} answers differ from email-validator's")

    peers = _peers()
    rates: dict[str, list[float]] = {"mailvet": [], **{name: [] for name in peers}}
    for _ in range(runs):
        parser.ascii_domain.cache_clear()  # nothing is remembered from the run before
        started = time.perf_counter()
        syntax.examine(column)
        rates["mailvet"].append(count / (time.perf_counter() - started))
        for name, call in peers.items():
            started = time.perf_counter()
            for cell in cells[:sample]:
                call(cell)
            rates[name].append(sample / (time.perf_counter() - started))
    return {
        "cells": count,
        "sample": sample,
        "runs": runs,
        "disagreements": disagreements,
        "per_second": {name: spread(each) for name, each in rates.items()},
        "times_email_validator": {name: paired_ratios(each, rates["email-validator"]) for name, each in rates.items()},
    }


def main() -> None:
    """Measure and print a small table."""
    result = measure()
    print(f"{result['cells']:,} cells, {result['disagreements']} of {result['sample']:,} answers differ from the judge")
    for name, (rate, _, _) in sorted(result["per_second"].items(), key=lambda item: -item[1][0]):
        print(f"{name:>16} {rate:>14,.0f} a second {result['times_email_validator'][name][0]:>8.1f}x")


if __name__ == "__main__":
    main()
