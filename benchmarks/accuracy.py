"""
Right and wrong answers on the lab's default world, whose truth is known: 10,000 messy contacts, profiles of operators,
greylisting, block lists, tarpits, broken DNS.

mailvet goes the whole way of its command line: a CSV in, `mailvet verify --wait 10s`, a CSV out. The peers get the same
cells through their own calls. The world was made by the authors of mailvet from what operators publish: the figures
compare verifiers on the same replies, and do not say how often an operator of the real world answers so. Shares are
over distinct cells, because repeated rows tell nothing new, with Wilson's 95 % interval.
"""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import worlds
from benchmarks.intervals import wilson
from benchmarks.peers import installed
from benchmarks.processes import JobFailedError, LabProcess, call, run_python
from mailvet.lab import contact_table, write_contacts

__all__ = ["measure"]

_PEERS = ("listwash", "pigeontrust")
_STATUSES = ("deliverable", "undeliverable", "risky", "unknown")
_NOT_ABOUT_THE_MAILBOX = frozenset({"temporary", "blocked", "relay_denied", "tarpit", "unreachable", "dns_failing"})
"""Kinds of truth where every answer is temporary, about us, or no answer."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One contact with the truth about it and a verifier's answer."""

    cell: str | None
    kind: str
    live: bool
    dead_and_server_answers: bool
    expected: tuple[str, ...]
    status: str
    recommendation: str
    reason: str = ""


def measure(rows: int = 10_000, peers: bool = True, wait: str = "10s") -> dict[str, Any]:
    """
    Verify the lab's contacts and compare with the truth.

    Returns:
        `mailvet`: shares as (hits, of, low, high), `confusion` (kind -> status -> distinct cells), rows lost or out of
        order, what the servers counted; `peers` the shares that can be had of them.
    """
    world = worlds.accuracy()
    contacts = contact_table(world, rows)
    cells: list[str | None] = contacts["email"].to_pylist()
    with tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name, LabProcess("accuracy") as lab:
        home = Path(name)
        truths = {cell: world.truth(cell, ipv6=lab.about["ipv6"]) for cell in set(cells)}
        answers, seconds = _through_the_command_line(home, contacts, lab.about["config"], wait)
        counted = lab.counters()
        ordered = [answer["id"] for answer in answers] == [str(number) for number in contacts["id"].to_pylist()]
        judged = [
            _joined(
                cell, truths[cell], answer["mailvet_status"], answer["mailvet_recommendation"], answer["mailvet_reason"]
            )
            for cell, answer in zip(cells, answers, strict=False)
        ]
        distinct = list({row.cell: row for row in judged}.values())
        given = [cell for cell in dict.fromkeys(cells) if cell and cell.strip()]
        others = {name: _peer(lab, name, given, truths) for name in _PEERS} if peers else {}
    return {
        "rows": rows,
        "distinct": len(distinct),
        "lost": rows - len(answers),
        "in_order": ordered,
        "seconds": seconds,
        "wait": wait,
        "shares": _shares(distinct),
        "confusion": _confusion(distinct),
        "misses": _misses(distinct),
        "servers": _servers_asked(counted),
        "role_accounts_unasked": sum(
            row.reason == "role_account" for row in distinct if row.kind in _NOT_ABOUT_THE_MAILBOX
        ),
        "peers": others,
    }


def _through_the_command_line(home: Path, contacts: Any, config: str, wait: str) -> tuple[list[dict[str, str]], float]:
    source, output, settings = home / "contacts.csv", home / "verified.csv", home / "mailvet.toml"
    write_contacts(contacts, source)
    settings.write_text(f'{config}\n[store]\npath = "{home / "store.duckdb"}"\n')
    # 3: "degraded" would be a finding, and shows in the shares.
    seconds = run_python(
        "-m",
        "mailvet",
        "verify",
        str(source),
        "--email-column",
        "email",
        "--config",
        str(settings),
        "--output",
        str(output),
        "--wait",
        wait,
        log=home / "log",
        ok=(0, 3),
    )
    with output.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream)), seconds


def _joined(cell: str | None, truth: Any, status: str, recommendation: str, reason: str = "") -> _Row:
    return _Row(
        cell,
        truth.kind,
        truth.live,
        truth.dead_and_server_answers,
        tuple(truth.expected),
        status,
        recommendation,
        reason,
    )


def _share(rows: Iterable[_Row], hit: Callable[[_Row], bool]) -> tuple[int, int, float, float]:
    hits = of = 0
    for row in rows:
        of += 1
        hits += hit(row)
    return (hits, of, *wilson(hits, of))


def _concludes(row: _Row) -> bool:
    """Anything but unknown/reverify; that a name is a role account is known from a list, whatever servers say."""
    return (row.status, row.recommendation) != ("unknown", "reverify") and row.reason != "role_account"


def _shares(rows: Sequence[_Row]) -> dict[str, tuple[int, int, float, float]]:
    return {
        "dead_found": _share(
            (r for r in rows if r.dead_and_server_answers), lambda r: r.recommendation == "do_not_send"
        ),
        "live_lost": _share((r for r in rows if r.live), lambda r: r.status == "undeliverable"),
        "live_sent": _share((r for r in rows if r.live), lambda r: r.status == "deliverable"),
        "jumped_to_conclusions": _share(
            (r for r in rows if r.kind in _NOT_ABOUT_THE_MAILBOX),
            _concludes,
        ),
        "as_expected": _share(rows, lambda r: r.status in r.expected),
    }


def _confusion(rows: Sequence[_Row]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.kind, Counter())[row.status] += 1
    return {kind: {status: counts[kind][status] for status in _STATUSES} for kind in sorted(counts)}


def _misses(rows: Sequence[_Row]) -> list[tuple[str, str, str, int]]:
    """(what went wrong, kind, reason, distinct cells): never an address."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if row.dead_and_server_answers and row.recommendation != "do_not_send":
            counts["dead, not found", row.kind, row.reason] += 1
        if row.live and row.status == "undeliverable":
            counts["alive, called undeliverable", row.kind, row.reason] += 1
        if row.kind in _NOT_ABOUT_THE_MAILBOX and _concludes(row):
            counts["no answer, yet a verdict", row.kind, row.reason] += 1
        if row.status not in row.expected:
            counts["status not among the right ones", row.kind, row.reason] += 1
    return [(*what, times) for what, times in counts.most_common()]


def _servers_asked(counted: dict[str, Any]) -> dict[str, Any]:
    asked = Counter(counted["asked"].values())
    peaks = {name: host["peak"] for name, host in counted["hosts"].items()}
    return {
        "data": counted["data"],
        "aborted": sum(host["aborted"] for host in counted["hosts"].values()),
        "connections": sum(host["connections"] for host in counted["hosts"].values()),
        "peak": max(peaks.values()),
        "over_cap": sorted(name for name, peak in peaks.items() if peak > 5),
        "rcpt": counted["rcpt"],
        "asked": {str(times): asked[times] for times in sorted(asked)},
    }


def _peer(lab: LabProcess, name: str, cells: Sequence[str], truths: dict[str | None, Any]) -> dict[str, Any] | None:
    """A peer on the same cells, with mailvet's time-outs; None when it is not installed, `failed` when it failed."""
    if not installed(name):
        return None
    lab.reset()
    try:
        done = call("benchmarks.peers:run", name=name, cells=list(cells), about=lab.about, workers=8)
    except JobFailedError as error:
        return {"failed": str(error).splitlines()[-1]}
    counted = lab.counters()
    rows = [
        _joined(cell, truths[cell], status, "do_not_send" if status == "undeliverable" else "")
        for cell, status in zip(cells, done["statuses"], strict=True)
    ]
    shares = _shares(rows)
    # A peer has no recommendation: what counts for it is that the status is unknown.
    shares["jumped_to_conclusions"] = _share(
        (row for row in rows if row.kind in _NOT_ABOUT_THE_MAILBOX), lambda row: row.status != "unknown"
    )
    return {
        "shares": shares,
        "seconds": done["seconds"],
        "refused": done["refused"],
        "data": counted["data"],
        "peak": max(host["peak"] for host in counted["hosts"].values()),
        "aborted": sum(host["aborted"] for host in counted["hosts"].values()),
    }
