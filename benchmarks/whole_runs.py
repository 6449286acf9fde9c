"""
Whole runs against the lab's worlds, whose truth is known: a contact list in, `mailvet verify --policy transactional
--wait 3m`, the verdicts out; in the default world, and in the one of servers that lie or break.

Counted are distinct cells. "Told" is behind a server that tells living mailboxes from unknown ones to every proper
client; of bans for the day and of replies that break the grammar nothing can be learnt, and nothing is demanded.
"""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import worlds
from benchmarks.processes import LabProcess, run_python
from mailvet.lab import Truth, World, contact_table, write_contacts

__all__ = ["markdown", "measure", "measure_one"]

_ROWS = {"accuracy": 4_000, "hostile": 3_000}
_NAMES = {"accuracy": "default", "hostile": "hostile"}
_SECONDS = 1_800.0


def measure(seeds: Sequence[int] = (7, 8, 9), rows: int | None = None, wait: str = "3m") -> dict[str, Any]:
    """`runs`: what `measure_one` finds for each world and seed; `rows` None: 4,000 of the default world, else 3,000."""
    runs = [measure_one(world, seed, rows or _ROWS[world], wait) for world in _ROWS for seed in seeds]
    return {"runs": runs}


def measure_one(world: str, seed: int, rows: int, wait: str = "3m") -> dict[str, Any]:
    """
    Verify `rows` contacts of one world (`accuracy` or `hostile`, as in `benchmarks.worlds`) and compare with the truth.

    Returns:
        `world`, `seed`, `rows`, `exit` (code of the command), `seconds`; `figures` and, by server profile, `profiles`,
        each as returned by `_figures`; `rcpt`, `connections`, `data`, `peak` per server address, and `over_cap`, the
        servers that saw more than five connections at once.
    """
    built: World = getattr(worlds, world)(seed=seed)
    contacts = contact_table(built, rows, seed)
    with (
        tempfile.TemporaryDirectory(prefix="mailvet-bench-") as name,
        LabProcess(world, seed=seed) as lab,
    ):
        cells = contacts["email"].to_pylist()
        truths = {cell: built.truth(cell, ipv6=lab.about["ipv6"]) for cell in set(cells)}
        verdicts, seconds, code = _verify(Path(name), contacts, lab.about["config"], wait)
        counted = lab.counters()
    rows_by_cell = {cell: (truths[cell], verdict) for cell, verdict in zip(cells, verdicts, strict=True)}
    profiles: dict[str, list[tuple[Truth, dict[str, str]]]] = {}
    for cell, row in rows_by_cell.items():
        profiles.setdefault(_profile(built, cell), []).append(row)
    return {
        "world": _NAMES[world],
        "seed": seed,
        "rows": rows,
        "exit": code,
        "seconds": seconds,
        "figures": _figures(rows_by_cell.values()),
        "profiles": {name: _figures(found) for name, found in sorted(profiles.items())},
        "rcpt": counted["rcpt"],
        "connections": sum(host["connections"] for host in counted["hosts"].values()),
        "data": counted["data"],
        "peak": max(host["peak"] for host in counted["hosts"].values()),
        "over_cap": {name: host["peak"] for name, host in counted["hosts"].items() if host["peak"] > 5},
    }


def _verify(home: Path, contacts: Any, config: str, wait: str) -> tuple[list[dict[str, str]], float, int]:
    source, output, settings = home / "contacts.csv", home / "verified.csv", home / "mailvet.toml"
    write_contacts(contacts, source)
    settings.write_text(f'{config}\n[store]\npath = "{home / "store.duckdb"}"\n')
    command = ["-m", "mailvet", "verify", str(source), "--email-column", "email", "--config", str(settings)]
    command += ["--output", str(output), "--policy", "transactional", "--wait", wait]
    codes: list[int] = []
    seconds = run_python(*command, log=home / "log", ok=(0, 3), limit=_SECONDS, codes=codes)
    with output.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream)), seconds, codes[0]


def _profile(world: World, cell: str | None) -> str:
    """The profile of the preferred server behind a cell, or what is so instead."""
    domain = (cell or "").strip().lower().rpartition("@")[2]
    if domain not in world.domains:
        return "(no domain of the world)"
    if world.behaviour(domain) != "answers":
        return f"(dns: {world.behaviour(domain)})"
    first = next(iter(world.routes(domain)), "(no server)")
    return first if isinstance(first, str) else first.profile.name


def _figures(rows: Iterable[tuple[Truth, dict[str, str]]]) -> dict[str, Any]:
    """
    Counts of distinct cells: `living`, of which `living_undeliverable` and `living_do_not_send`; `told_living`, of
    which `told_living_sent`; `told_dead` (behind telling servers), of which `told_dead_accepted`; `knowable_dead`,
    of which `knowable_dead_caught`; `reasons`, the reasons of knowable dead not caught and told living not sent.
    """
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for truth, verdict in rows:
        advice, reason = verdict["mailvet_recommendation"], verdict["mailvet_reason"]
        if truth.live:
            counts["living"] += 1
            counts["living_undeliverable"] += verdict["mailvet_status"] == "undeliverable"
            counts["living_do_not_send"] += advice == "do_not_send"
            if truth.server_tells:
                counts["told_living"] += 1
                counts["told_living_sent"] += advice == "send"
                if advice != "send":
                    reasons[f"living: {reason}"] += 1
        elif truth.exists is False:
            if truth.server_tells:
                counts["told_dead"] += 1
                counts["told_dead_accepted"] += reason == "mailbox_accepted"
            else:
                counts["other_dead_accepted"] += reason == "mailbox_accepted"
            if truth.dead_and_server_answers:
                counts["knowable_dead"] += 1
                counts["knowable_dead_caught"] += advice == "do_not_send"
                if advice != "do_not_send":
                    reasons[f"dead: {reason}"] += 1
    names = (
        "living",
        "living_undeliverable",
        "living_do_not_send",
        "told_living",
        "told_living_sent",
        "told_dead",
        "told_dead_accepted",
        "other_dead_accepted",
        "knowable_dead",
        "knowable_dead_caught",
    )
    return {name: counts[name] for name in names} | {"reasons": dict(reasons.most_common())}


def _share(hits: int, of: int) -> str:
    return f"{100 * hits / of:.1f} % ({hits:,} of {of:,})" if of else "-"


def markdown(results: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The section of docs/accuracy.md from the figures of `measure`."""
    lines = [
        "## Whole runs against servers that lie",
        "",
        *(__doc__ or "").strip().splitlines(),
        "",
        f"Measured {machine['date']} by `python benchmarks/run.py --only worlds`.",
        "",
        "| world, seed, rows | living called undeliverable | dead called accepted, told | knowable dead "
        "caught | "
        "living sent, told | RCPT | connections | most at one address | time |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in results:
        of = run["figures"]
        lines.append(
            f"| {run['world']}, {run['seed']}, {run['rows']:,} | {of['living_undeliverable']} of {of['living']:,} | "
            f"{of['told_dead_accepted']} of {of['told_dead']:,} | "
            f"{_share(of['knowable_dead_caught'], of['knowable_dead'])} | "
            f"{_share(of['told_living_sent'], of['told_living'])} | {run['rcpt']:,} | {run['connections']:,} | "
            f"{run['peak']} | {run['seconds']:.0f} s |"
        )
    faulty = [row for run in results for row in _faulty_profiles(run)]
    if faulty:
        lines += [
            "",
            "By server profile ([what each does](lab.md#server-profiles)), where something was wrong or missed:",
            "",
            "| world, seed | profile | living called undeliverable | dead called accepted, told | knowable dead "
            "caught | "
            "living sent, told |",
            "|---|---|---:|---:|---:|---:|",
            *faulty,
        ]
    return "\n".join(lines)


def _faulty_profiles(run: dict[str, Any]) -> list[str]:
    return [
        f"| {run['world']}, {run['seed']} | `{name}` | {of['living_undeliverable']} of {of['living']} | "
        f"{of['told_dead_accepted']} of {of['told_dead']} | {of['knowable_dead_caught']} of {of['knowable_dead']} | "
        f"{of['told_living_sent']} of {of['told_living']} |"
        for name, of in run["profiles"].items()
        if of["living_undeliverable"]
        or of["told_dead_accepted"]
        or of["knowable_dead_caught"] < of["knowable_dead"]
        or of["told_living_sent"] < of["told_living"]
    ]
