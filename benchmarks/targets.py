"""What was aimed at, and whether it was reached: one row for each target, from the figures of the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Target", "judge"]


@dataclass(frozen=True, slots=True)
class Target:
    """One target and how it stands."""

    part: str
    aim: str
    measured: str
    reached: bool


def judge(results: dict[str, Any]) -> list[Target]:
    """The targets of every part that ran."""
    found: list[Target] = []
    for part, rule in _RULES.items():
        if part in results and "error" not in results[part]:
            found += [Target(part, *each) for each in rule(results[part])]
    return found


_Rows = list[tuple[str, str, bool]]


def _accuracy(result: dict[str, Any]) -> _Rows:
    shares, servers = result["shares"], result["servers"]
    hits, of = shares["dead_found"][:2]
    lost = shares["live_lost"]
    jumped = shares["jumped_to_conclusions"]
    kept = result["lost"] == 0 and result["in_order"]
    return [
        (
            "at least 99 % of the dead addresses whose server says so are do_not_send",
            f"{hits} of {of} ({hits / of:.2%})",
            hits / of >= 0.99,
        ),
        ("no live mailbox is called undeliverable", f"{lost[0]} of {lost[1]}", lost[0] == 0),
        (
            "nothing but unknown/reverify from temporary answers, refusals of us, and no answer",
            f"{jumped[0]} of {jumped[1]} are something else",
            jumped[0] == 0,
        ),
        ("no row lost, none out of order", "kept" if kept else f"{result['lost']} lost", kept),
        ("no DATA command", str(servers["data"]), servers["data"] == 0),
        ("at most 5 connections open to one server", f"peak {servers['peak']}", servers["peak"] <= 5),
    ]


def _syntax(result: dict[str, Any]) -> _Rows:
    rate = result["per_second"]["mailvet"][0]
    times, least, most = result["times_email_validator"]["mailvet"]
    return [
        ("at least 1,000,000 addresses a second", f"{rate:,.0f}", rate >= 1_000_000),
        ("at least 60 times email-validator", f"{times:.0f} times ({least:.0f} to {most:.0f})", times >= 60),
        (
            "no answer differs from email-validator's",
            f"{result['disagreements']} of {result['sample']:,}",
            result["disagreements"] == 0,
        ),
    ]


def _probing(result: dict[str, Any]) -> _Rows:
    found: _Rows = []
    for setting in result["latencies"]:
        if not setting["latency"]:
            continue
        rows = setting["rows"]
        rate = rows["mailvet"]["rate"][0]
        peers = {name: row for name, row in rows.items() if name != "mailvet"}
        times, how = (10, "in groups") if setting["pipelining"] else (3, "one by one")
        if peers:
            name = max(peers, key=lambda each: peers[each]["rate"][0])
            ratio = peers[name]["ratio"]
            measured = f"{ratio[0]:.1f} times {name} ({ratio[1]:.1f} to {ratio[2]:.1f})"
            found.append((f"at least {times} times the best peer at 20 ms, {how}", measured, ratio[0] >= times))
        else:
            least = 1_200 * times
            found.append((f"at least {least:,} addresses a second at 20 ms, {how}", f"{rate:,.0f}", rate >= least))
        cpu = rows["mailvet"]["cpu_per_1000"][0]
        if setting["pipelining"]:
            found.append(
                ("at most 0.03 CPU seconds for 1,000 addresses at 20 ms, in groups", f"{cpu:.3f}", cpu <= 0.03)
            )
        peak = rows["mailvet"]["peak"]
        found.append((f"never more than 5 connections to one server, {how}", f"peak {peak}", peak <= result["cap"]))
    return found


def _routes(result: dict[str, Any]) -> _Rows:
    row = result["rows"]["mailvet"]
    return [
        ("at least 10,000 domains a second on one core", f"{row['rate'][0]:,.0f}", row["rate"][0] >= 10_000),
        ("every route right, none lost", f"{row['wrong']} wrong of {row['domains']:,}", row["wrong"] == 0),
    ]


def _single(result: dict[str, Any]) -> _Rows:
    median, loading = result["median"][0], result["import"][0]
    return [
        ("one address with its route known: median below 5 ms", f"{median * 1000:.1f} ms", median < 0.005),
        ("import mailvet: below 0.3 s", f"{loading:.3f} s", loading < 0.3),
    ]


def _storage(result: dict[str, Any]) -> _Rows:
    seconds = result["together"][0]
    scale = result["rows"] / 1_000_000
    return [
        (
            "1,000,000 verdicts saved and written back in less than 3 s",
            f"{seconds:.1f} s for {result['rows']:,} rows",
            seconds < 3 * scale,
        )
    ]


def _scale(result: dict[str, Any]) -> _Rows:
    largest, again = result["runs"][-1], result["again"]
    size, scale = f"{largest['rows']:,} rows", largest["rows"] / 10_000_000
    return [
        (
            "offline depth over 10,000,000 rows in DuckDB in less than 60 s",
            f"{largest['seconds']:.0f} s for {size}",
            largest["seconds"] < 60 * scale,
        ),
        ("less than 2 GB of memory", f"{largest['peak']:,.0f} MB for {size}", largest["peak"] < 2_000),
        (
            "memory for ten times the rows grows by half at most",
            f"{result['flatness']:.2f} times",
            result["flatness"] <= 1.5,
        ),
        (
            "10,000,000 rows with nothing due in less than 5 s, and no server is asked",
            f"{again['seconds']:.1f} s for {again['rows']:,} rows, {again['asked']} asked",
            again["seconds"] < 5 * scale and not again["asked"],
        ),
    ]


def _postgres(result: dict[str, Any]) -> _Rows:
    return [
        (f"PostgreSQL, {what}: at least 100,000 rows/s", f"{result[key][0]:,.0f} rows/s", result[key][0] >= 100_000)
        for what, key in (("upsert", "save"), ("write-back", "write_back"))
    ]


def _airflow(result: dict[str, Any]) -> _Rows:
    return [
        (
            f"PostgreSQL through the Airflow operator, {what}: at least 100,000 rows/s",
            f"{result[key][0]:,.0f} rows/s",
            result[key][0] >= 100_000,
        )
        for what, key in (("write-back", "write_back"), ("a whole task with nothing to ask", "known"))
    ]


def _lists(result: dict[str, Any]) -> _Rows:
    rate = result["rows"]["mailvet"]["rate"][0]
    return [("at least 3,000,000 addresses a second, split included", f"{rate:,.0f}", rate >= 3_000_000)]


def _suggestions(result: dict[str, Any]) -> _Rows:
    rate = result["rows"]["mailvet"]["rate"][0]
    return [("at least 500,000 distinct domains a second on one core", f"{rate:,.0f}", rate >= 500_000)]


def _spark(result: dict[str, Any]) -> _Rows:
    found: _Rows = []
    for depth, row in result["depths"].items():
        ratio = row["ratio"]
        measured = f"{ratio[0]:.2f} times ({ratio[1]:.2f} to {ratio[2]:.2f})"
        found.append((f"at depth {depth} at most 1.5 times the CPU of a run of one process", measured, ratio[0] <= 1.5))
    return found


def _dbt(result: dict[str, Any]) -> _Rows:
    seconds, scale = result["together"], result["rows"] / 1_000_000
    return [
        (
            "dbt on DuckDB, 1,000,000 contacts: model and write-back in less than 10 s",
            f"{seconds:.1f} s for {result['rows']:,} contacts",
            seconds < 10 * scale,
        )
    ]


_RULES = {
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
    "dbt": _dbt,
}
