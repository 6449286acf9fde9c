"""
Asking mailboxes: 10,000 addresses at 500 domains on 20 mail servers, each an operator of its own; 70 % have a mailbox.

Every turn of a conversation, and every answer of the name server, takes 20 ms or no time at all. Once the servers offer
PIPELINING (RFC 2920), of which no peer makes use, and once they do not, so that everybody asks one recipient at a time.
mailvet keeps to its default pace (100 connections, 5 for each operator). The peers
get 100 workers, so as many connections, and no pauses; they know no limit for a server, and how many connections one
saw at most is in the table. Every process first verifies ten addresses elsewhere, untimed, to load what it loads.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from benchmarks import worlds
from benchmarks.intervals import paired_ratios, spread
from benchmarks.peers import PROBERS, installed
from benchmarks.processes import JobFailedError, LabProcess, call

__all__ = ["CAP", "measure"]

CAP = 5
"""Connections to one operator that mailvet may hold."""
_WORKERS = 100
_PER_CONNECTION = "py3-validate-email"
"""Opens a connection for every address, so a sample tells its rate."""
_EXPECTED = {True: "deliverable", False: "undeliverable"}


def measure(
    count: int = 10_000,
    domains: int = 500,
    hosts: int = 20,
    latencies: tuple[float, ...] = (0.02, 0.0),
    runs: int = 3,
    single_sample: int = 2_000,
) -> dict[str, Any]:
    """
    Interleaved runs of every prober that is installed, each in a fresh process, on one lab per latency.

    Args:
        count: addresses in each run.
        domains: over which they are spread.
        hosts: mail servers of these domains.
        latencies: seconds of each lab's answers.
        runs: of each prober on each lab.
        single_sample: addresses given to the peer that opens a connection for each of them.

    Returns:
        `addresses`, `domains`, `hosts`, and `latencies`: for each with and without PIPELINING (`pipelining`) a row by
        prober with rates, CPU, wrong answers and peak connections to one server.

    Raises:
        AssertionError: one of mailvet's answers is wrong, or it went over its cap; there is no speed to speak of.
    """
    pairs = worlds.probing_addresses(count, domains)
    names = [name for name in PROBERS if installed(name)]
    missing = [name for name in PROBERS if name not in names]
    results = []
    for latency, pipelining in product(latencies, (False, True)):
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        failed: dict[str, str] = {}
        world = {"count": count, "domains": domains, "hosts": hosts, "pipelining": pipelining}
        with LabProcess("probing", latency=latency, **world) as lab:
            for _ in range(runs):
                for name in [name for name in names if name not in failed]:
                    sample = pairs[:single_sample] if name == _PER_CONNECTION else pairs
                    try:
                        seen[name].append(_once(lab, name, sample))
                    except JobFailedError as error:
                        if name == "mailvet":
                            raise
                        failed[name] = str(error)
        rows = {name: _row(name, each) for name, each in seen.items() if each and name not in failed}
        _compare(rows)
        results.append({"latency": latency, "pipelining": pipelining, "rows": rows, "failed": sorted(failed)})
    return {
        "addresses": count,
        "domains": domains,
        "hosts": hosts,
        "runs": runs,
        "cap": CAP,
        "missing": missing,
        "latencies": results,
    }


def _once(lab: LabProcess, name: str, pairs: list[tuple[str, bool]]) -> dict[str, Any]:
    lab.reset()
    about = lab.about
    done = call("benchmarks.peers:run", name=name, cells=[cell for cell, _ in pairs], about=about, workers=_WORKERS)
    counted = lab.counters()
    counted["hosts"].pop(f"mx.{worlds.WARM_UP}", None)
    wrong = dangerous = unknown = 0
    for status, (_, exists) in zip(done["statuses"], pairs, strict=True):
        wrong += status not in (_EXPECTED[exists], "unknown")
        unknown += status == "unknown"
        dangerous += exists and status == "undeliverable"
    return {
        "rate": len(pairs) / done["seconds"],
        "seconds": done["seconds"],
        "cpu_per_1000": done["cpu"] * 1000 / len(pairs),
        "addresses": len(pairs),
        "wrong": wrong,
        "unknown": unknown,
        "dangerous": dangerous,
        "data": counted["data"],
        "refused": done["refused"],
        "peak": max(each["peak"] for each in counted["hosts"].values()),
        "connections": sum(each["connections"] for each in counted["hosts"].values()),
        "rcpt": counted["rcpt"],
        "most_asked": max(counted["asked"].values()),
    }


def _row(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    if name == "mailvet":
        for each in runs:
            not_right = each["wrong"] + each["unknown"]
            assert not not_right, f"{each['wrong']} wrong, {each['unknown']} open answers"
            assert each["peak"] <= CAP, f"{each['peak']} connections to one operator, the cap is {CAP}"
            assert not each["data"], "a DATA command was sent"
    rates = [each["rate"] for each in runs]
    return {
        "rates": rates,
        "rate": spread(rates),
        "cpu_per_1000": spread([each["cpu_per_1000"] for each in runs]),
        **{
            name: max(each[name] for each in runs)
            for name in (
                "addresses",
                "wrong",
                "unknown",
                "dangerous",
                "peak",
                "connections",
                "rcpt",
                "data",
                "refused",
                "most_asked",
            )
        },
    }


def _compare(rows: dict[str, dict[str, Any]]) -> None:
    """How many times as fast mailvet is, run by run."""
    ours = rows["mailvet"]["rates"]
    for name, row in rows.items():
        if name != "mailvet":
            row["ratio"] = paired_ratios(ours, row["rates"])
