"""docs/benchmarks.md from the figures: tables, charts, and for every target whether it was reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    accuracy,
    airflow,
    dbt,
    gx,
    lists,
    postgres,
    probing,
    routing,
    scale,
    single,
    spark,
    storage,
    suggesting,
    syntax,
)
from benchmarks.targets import judge

__all__ = ["fill_in", "markdown"]


def markdown(results: dict[str, Any], machine: dict[str, Any], charts: Sequence[str], *, quick: bool = False) -> str:
    """The whole page; `results` by part (a failed one has an `error`); `quick`: sizes too small to say much."""
    lines = [
        "# Benchmarks",
        "",
        "<!-- Written by `python benchmarks/run.py` (`make bench`). Changes by hand are lost. -->",
        "",
        "How right and how fast mailvet is, beside other verifiers, on one machine and over loopback only. Answers are "
        "compared with the truth before a speed counts. Rates of a shared machine swing: compare ratios, which are "
        "taken run by run from programs that ran one after the other, and CPU seconds, not absolute rates. Figures are "
        "medians; least and most of all runs stand in brackets.",
        "",
        f"Measured {machine['date']} on {machine['cores']} cores ({machine['cpu']}, {machine['memory']}), "
        f"{machine['system']}, {machine['python']}, load {machine['load']} before the start.",
        "",
        *(["**Small sizes (`--quick`): these figures say that the programs run, not how fast.**", ""] if quick else []),
        "## Targets",
        "",
        *_table(
            ("part", "target", "measured", "reached"),
            ((each.part, each.aim, each.measured, "yes" if each.reached else "**no**") for each in judge(results)),
        ),
        "",
    ]
    for part, write in _PARTS.items():
        if part not in results:
            continue
        lines += [f"## {_TITLES[part]}", "", *_paragraph(_MODULES[part].__doc__), ""]
        if "error" in results[part]:
            lines += ["This part failed:", "", "```text", *results[part]["error"].splitlines()[-6:], "```", ""]
            continue
        lines += [*write(results[part]), ""]
        if f"benchmark-{part}.svg" in charts:
            lines += [f"![{_TITLES[part]}](images/benchmark-{part}.svg)", ""]
    lines += ["## Versions", "", *_versions(machine["packages"])]
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(doc: str | None) -> list[str]:
    return (doc or "").strip().splitlines()


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    body = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|", *body]


def _range(values: Sequence[float], digits: int = 0) -> str:
    middle, least, most = (f"{value:,.{digits}f}" for value in values)
    return f"{middle} ({least} to {most})"


def _times(row: dict[str, Any]) -> str:
    return _range(row["ratio"], 1) if "ratio" in row else ""


# -------------------------------------------------------------------- parts


def _share(share: Sequence[float]) -> str:
    hits, of, low, high = share
    return f"{hits / of:.1%} of {of} ({low:.1%} to {high:.1%})" if of else "none"


def _count(share: Sequence[float]) -> str:
    hits, of, low, high = share
    return f"{hits} of {of} ({low:.1%} to {high:.1%})"


def _accuracy(result: dict[str, Any]) -> list[str]:
    servers = result["servers"]
    rows = [("mailvet", result["shares"], servers["peak"], servers["data"])]
    failed = []
    for name, peer in result["peers"].items():
        if peer and "shares" in peer:
            rows.append((name, peer["shares"], peer["peak"], peer["data"]))
        else:
            failed.append(f"{name}: {peer['failed'] if peer else 'not installed'}")
    unasked = result["role_accounts_unasked"]
    return [
        f"{result['rows']:,} rows, {result['distinct']:,} distinct cells, {result['seconds']:.0f} s with "
        f"`--wait {result['wait']}`; {result['lost']} rows lost, order {'kept' if result['in_order'] else 'lost'}.",
        "",
        *_table(
            (
                "verifier",
                "dead, do_not_send",
                "live, called undeliverable",
                "live, called deliverable",
                "no answer, yet a conclusion",
                "status among the right ones",
                "peak connections to a server",
                "DATA",
            ),
            (
                (
                    name,
                    _share(s["dead_found"]),
                    _count(s["live_lost"]),
                    _share(s["live_sent"]),
                    _count(s["jumped_to_conclusions"]),
                    _share(s["as_expected"]),
                    peak,
                    data,
                )
                for name, s, peak, data in rows
            ),
        ),
        "",
        "Dead: there is no mailbox, and the server says so to every proper client. No answer: temporary replies, "
        "refusals of us, time-outs and DNS failures; the only right status is unknown (mailvet: with the "
        f"recommendation reverify). {unasked} role accounts among them are risky because their names are roles, which "
        "no server has to say. A peer has no recommendation: undeliverable counts as do_not_send. Intervals: Wilson, "
        "95 %. Peers take 2 s for a time-out as mailvet does, their default of 8 workers, no pauses, and come once, so "
        "greylisting stays unknown to them.",
        *([f"Not measured: {'; '.join(failed)}."] if failed else []),
        *(
            [
                "Connections of the peers to addresses outside loopback, refused by the harness: "
                + ", ".join(
                    f"{name} {peer['refused']}" for name, peer in result["peers"].items() if peer and "shares" in peer
                )
                + "."
            ]
            if result["peers"]
            else []
        ),
        "",
        f"What mailvet's servers counted: {servers['connections']:,} connections, {servers['aborted']} of them dropped "
        f"without QUIT, {servers['rcpt']:,} RCPT commands, {servers['data']} DATA, most connections at one server "
        f"{servers['peak']} (the cap is 5"
        + (f"; over it: {', '.join(servers['over_cap'])}" if servers["over_cap"] else "")
        + "). Recipients by how often they were named (greylisting asks again, a live recipient proves that a "
        "server is still honest): "
        + ", ".join(f"{times}x {number:,}" for times, number in servers["asked"].items())
        + ".",
        "",
        "Distinct cells by what is really so and by status:",
        "",
        *_table(
            ("truth", "deliverable", "undeliverable", "risky", "unknown"),
            (
                (kind, *(row[status] or "" for status in ("deliverable", "undeliverable", "risky", "unknown")))
                for kind, row in result["confusion"].items()
            ),
        ),
        "",
        *(
            [
                "Every answer that is not as it should be:",
                "",
                *_table(("what", "truth", "reason given", "distinct cells"), result["misses"]),
            ]
            if result["misses"]
            else ["Every answer is as it should be."]
        ),
    ]


def _syntax(result: dict[str, Any]) -> list[str]:
    rates, times = result["per_second"], result["times_email_validator"]
    return [
        f"{result['cells']:,} cells for mailvet, {result['sample']:,} of them for the validators that are called per "
        f"address; {result['runs']} interleaved runs in one process; {result['disagreements']} answers differ from "
        "email-validator's.",
        "",
        *_table(
            ("validator", "addresses a second", "times email-validator"),
            (
                (name, _range(rates[name]), _range(times[name], 1))
                for name in sorted(rates, key=lambda name: -rates[name][0])
            ),
        ),
    ]


def _probing(result: dict[str, Any]) -> list[str]:
    lines: list[str] = [f"{result['runs']} interleaved runs, each in a fresh process.", ""]
    for setting in result["latencies"]:
        lines += [
            f"Replies after {setting['latency'] * 1000:.0f} ms, "
            f"{'PIPELINING offered' if setting['pipelining'] else 'one command at a time'}:",
            "",
            *_table(
                (
                    "verifier",
                    "addresses",
                    "a second",
                    "mailvet is faster by",
                    "CPU s for 1,000",
                    "wrong",
                    "left unknown",
                    "peak connections to a server",
                    "connections",
                    "RCPT",
                ),
                (
                    (
                        name,
                        f"{row['addresses']:,}",
                        _range(row["rate"]),
                        _times(row),
                        _range(row["cpu_per_1000"], 3),
                        row["wrong"],
                        row["unknown"],
                        row["peak"],
                        f"{row['connections']:,}",
                        f"{row['rcpt']:,}",
                    )
                    for name, row in setting["rows"].items()
                ),
            ),
            "",
            *([f"Failed and left out: {', '.join(setting['failed'])}.", ""] if setting["failed"] else []),
        ]
    if result["missing"]:
        lines += [f"Not installed: {', '.join(result['missing'])}.", ""]
    return lines[:-1]


def _routes(result: dict[str, Any]) -> list[str]:
    where = "client on one core, server on the other" if result["pinned"] else "not pinned: there is one core"
    return [
        f"{result['domains']:,} domains, {result['runs']} interleaved runs; server {result['server']}; {where}. "
        "`mailvet` is the route layer: MX, addresses of the servers, judgement. `mailvet.verify_many` is everything "
        "from cell to verdict at depth dns. aiodns asks for the MX alone and judges nothing.",
        "",
        *_table(
            ("what", "domains", "a second", "the route layer is faster by", "CPU s for 1,000", "wrong or lost"),
            (
                (
                    name,
                    f"{row['domains']:,}",
                    _range(row["rate"]),
                    "" if name == "mailvet" else _times(row),
                    _range(row["cpu_per_1000"], 3),
                    row["wrong"],
                )
                for name, row in result["rows"].items()
            ),
        ),
    ]


def _single(result: dict[str, Any]) -> list[str]:
    def milliseconds(values: Sequence[float]) -> str:
        return _range([1000 * value for value in values], 1)

    return _table(
        ("what", "ms"),
        (
            (f"one address, route known: median of {result['calls']} calls", milliseconds(result["median"])),
            ("the same, 95th percentile", milliseconds(result["p95"])),
            ("the first call of a process, lists and libraries loaded with it", milliseconds(result["first"])),
            (
                f"`import mailvet`, a bare interpreter's {result['bare'] * 1000:.0f} ms taken off",
                milliseconds(result["import"]),
            ),
        ),
    )


def _storage(result: dict[str, Any]) -> list[str]:
    rows = (
        (f"save, in batches of {result['batch']:,}, each committed", "save"),
        ("save, all at once", "save_at_once"),
        ("write back beside the contacts", "write_back"),
        ("write back again, nothing changed", "again"),
        ("save in batches and write back", "together"),
        ("CPU of save in batches and write back", "cpu"),
    )
    return [
        *_table((f"{result['rows']:,} rows", "seconds"), ((what, _range(result[key], 2)) for what, key in rows)),
        "",
        f"Saving takes {_range(result['rows_per_second'])} rows a second; `executemany` in one transaction "
        f"{_range(result['executemany'])}, measured on {result['sample']:,} rows: {_range(result['ratio'])} times.",
    ]


def _scale(result: dict[str, Any]) -> list[str]:
    again, daily = result["again"], result["daily"]
    return [
        *_table(
            ("rows", "addresses", "seconds", "CPU seconds", "peak memory, MB"),
            (
                (
                    f"{run['rows']:,}",
                    f"{run['addresses']:,}",
                    f"{run['seconds']:.1f}",
                    f"{run['cpu']:.1f}",
                    f"{run['peak']:,.0f}",
                )
                for run in result["runs"]
            ),
        ),
        "",
        f"From the smallest to the largest, memory grows {result['flatness']:.2f} times. The next run over "
        f"{again['rows']:,} rows, with {again['due']} due, takes {again['seconds']:.1f} s "
        f"({again['cpu']:.1f} s of CPU, {again['peak']:,.0f} MB) and asks {again['asked']} servers.",
        "",
        f"The run of the next day, with {daily['new']:,} new rows and {daily['due']:,} addresses due among "
        f"{daily['rows']:,} rows, takes {daily['seconds']:.1f} s ({daily['cpu']:.1f} s of CPU, {daily['peak']:,.0f} "
        "MB).",
    ]


def _postgres(result: dict[str, Any]) -> list[str]:
    rows = (
        (f"save, in batches of {result['batch']:,}, each committed", "save"),
        ("save the same keys again", "renew"),
        ("write back beside the contacts", "write_back"),
        ("write back again, a tenth has changed", "tenth"),
        ("write back again, nothing has changed", "again"),
        ("plan: keys, de-duplication, what is due", "plan"),
        ("read what is due", "read"),
        ("SQLAlchemy: INSERT", "insert"),
        ("SQLAlchemy: UPDATE by key", "update"),
        ("by hand: one UPDATE of the same six columns, joined on the key", "bare"),
        ("by hand: UPDATE of these columns of every contact to constants", "constant"),
        ("by hand: COPY of the same verdicts into a table without an index", "copy"),
    )
    saved, written = ([100 * share for share in result[key]] for key in ("copy_ratio", "bare_ratio"))
    return [
        *_table((f"{result['rows']:,} rows", "rows a second"), ((what, _range(result[key])) for what, key in rows)),
        "",
        f"Saving is {_range(result['save_ratio'], 1)} times as fast as SQLAlchemy's INSERT of many rows, writing back "
        f"{_range(result['write_back_ratio'], 1)} times as fast as its UPDATE by key, both measured on "
        f"{result['sample']:,} rows in one transaction. Of what the server does for statements written by hand in the "
        f"same minutes, saving reaches {_range(saved)} % and writing back {_range(written)} %. The contacts have two "
        f"indexes; the server is PostgreSQL {result['version']} with its settings as installed: {result['server']}.",
    ]


def _airflow(result: dict[str, Any]) -> list[str]:
    rows = (
        ("judge offline, save, write back, count: a task over a new table", "whole"),
        ("plan, write back, count: a task whose verdicts are all there", "known"),
        ("write back alone, in that task", "write_back"),
    )
    return [
        *_table((f"{result['rows']:,} rows", "rows a second"), ((what, _range(result[key])) for what, key in rows)),
        "",
        f"Importing the operator takes {_range(result['import'], 2)} s in a process of its own, Airflow's own import "
        "included.",
    ]


def _lists(result: dict[str, Any]) -> list[str]:
    return [
        f"{result['addresses']:,} addresses for mailvet, {result['sample']:,} of them for those that are called per "
        f"address; {result['runs']} runs.",
        "",
        *_table(
            ("what", "addresses a second", "mailvet is faster by"),
            (
                (name, _range(row["rate"]), "" if name == "mailvet" else _times(row))
                for name, row in result["rows"].items()
            ),
        ),
    ]


def _suggestions(result: dict[str, Any]) -> list[str]:
    return [
        f"{result['domains']:,} distinct domains for mailvet, {result['sample']:,} for the others; {result['runs']} "
        "runs on one core.",
        "",
        *_table(
            ("what", "domains a second", "mailvet is faster by", "slips corrected", 'companies "corrected"'),
            (
                (
                    name,
                    _range(row["rate"]),
                    "" if name == "mailvet" else _times(row),
                    f"{row['found']:.1%}",
                    f"{row['false']:.2%}",
                )
                for name, row in result["rows"].items()
            ),
        ),
    ]


def _spark(result: dict[str, Any]) -> list[str]:
    depths = result["depths"].items()
    return [
        f"{result['runs']} interleaved runs. A session starts in {result['start'][0]:.1f} s.",
        "",
        *_table(
            (
                "depth",
                "rows",
                "one process, CPU s for 1,000",
                "Spark, CPU s for 1,000",
                "Spark takes so many times the CPU",
                "the layers alone, CPU s for 1,000",
                "Spark beside these",
            ),
            (
                (
                    depth,
                    f"{row['rows']:,}",
                    _range(row["alone_cpu"], 4),
                    _range(row["spark_cpu"], 4),
                    _range(row["ratio"], 2),
                    _range(row["layers_cpu"], 4),
                    _range(row["layers_ratio"], 2),
                )
                for depth, row in depths
            ),
        ),
        "",
        *_table(
            (
                "depth",
                "once, CPU s",
                "each verification, CPU s",
                "one process, rows a second",
                "local[2], rows a second",
            ),
            (
                (depth, f"{row['once']:.1f}", _range(row["fixed"], 1), _range(row["alone"]), _range(row["spark"]))
                for depth, row in depths
            ),
        ),
    ]


def _dbt(result: dict[str, Any]) -> list[str]:
    rows = (
        ("`with_verdicts`: the model", "model"),
        ("`write_back`: the statements", "write_back"),
        ("both", "together"),
        ("`write_back` again, nothing changed", "again"),
        ("the command of the model, dbt's start included", "model_command"),
        ("the command of write-back, dbt's start included", "write_back_command"),
    )
    return _table((f"{result['rows']:,} contacts", "seconds"), ((what, f"{result[key]:.1f}") for what, key in rows))


def _gx(result: dict[str, Any]) -> list[str]:
    return [
        *_table(
            (f"{result['rows']:,} rows, {result['bad']:,} bad", "seconds", "of them verification", "beyond it"),
            (
                (name, f"{way['seconds']:.1f}", f"{way['verifying']:.1f}", f"{way['beyond']:.1f}")
                for name, way in result["ways"].items()
            ),
        ),
    ]


_ELSEWHERE = {"gx": ("great-expectations.md", _gx)}
"""Other pages that show the figures of a part, between `<!-- measured: PART -->` and `<!-- end: PART -->`."""


def fill_in(docs: Path, results: dict[str, Any], machine: dict[str, Any]) -> None:
    """Write the figures of the parts that ran into the other pages of the documentation that show them."""
    for part, (name, write) in _ELSEWHERE.items():
        page = docs / name
        begin, end = f"<!-- measured: {part} -->", f"<!-- end: {part} -->"
        if part not in results or "error" in results[part] or not page.exists():
            continue
        text = page.read_text(encoding="utf-8")
        if begin not in text:
            continue
        when = f"Measured {machine['date']} on {machine['cores']} cores, {machine['python']}."
        lines = [*write(results[part]), "", when]
        head, rest = text.split(begin)
        page.write_text("\n".join([head + begin, "", *lines, "", end]) + rest.split(end)[1], encoding="utf-8")


def _versions(packages: dict[str, str | None]) -> list[str]:
    return [", ".join(f"{name} {version or '(not installed)'}" for name, version in packages.items()) + "."]


_PARTS = {
    "accuracy": _accuracy,
    "syntax": _syntax,
    "probing": _probing,
    "routes": _routes,
    "single": _single,
    "storage": _storage,
    "scale": _scale,
    "postgres": _postgres,
    "airflow": _airflow,
    "lists": _lists,
    "suggestions": _suggestions,
    "spark": _spark,
    "gx": _gx,
    "dbt": _dbt,
}
_MODULES = {
    "accuracy": accuracy,
    "syntax": syntax,
    "probing": probing,
    "routes": routing,
    "single": single,
    "storage": storage,
    "scale": scale,
    "postgres": postgres,
    "airflow": airflow,
    "lists": lists,
    "suggestions": suggesting,
    "spark": spark,
    "gx": gx,
    "dbt": dbt,
}
_TITLES = {
    "accuracy": "Accuracy",
    "syntax": "Syntax",
    "probing": "Asking mailboxes",
    "routes": "Mail routes",
    "single": "One address",
    "storage": "DuckDB",
    "scale": "DuckDB at size",
    "postgres": "PostgreSQL",
    "airflow": "Airflow",
    "lists": "Lists",
    "suggestions": "Suggestions",
    "spark": "Spark",
    "gx": "Great Expectations",
    "dbt": "dbt",
}
