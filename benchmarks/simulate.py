"""
How long a million, a hundred million and a billion addresses take, and what they cost.

A closed-form simulation from measured CPU seconds and stated assumptions. It writes the generated parts of
docs/scale.md and its chart:

    python benchmarks/run.py --only spark --only routes --only probing --json docs/benchmarks.json
    python benchmarks/simulate.py

CPU comes from the JSON of the benchmarks; the shares of operators from benchmarks/data/operator_shares.csv; caps and
recipients for each conversation from mailvet/data/operators.toml and the defaults of [pacing]; everything else are the
fields of `Assumptions`, each with a flag of its name.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from mailvet.data.operators import operators  # noqa: E402
from mailvet.settings import Pacing  # noqa: E402

__all__ = ["Assumptions", "Measured", "Operator", "Simulation", "main", "operator_shares", "rendered", "simulate"]

SIZES = (1_000_000, 100_000_000, 1_000_000_000)
_SHARES = ROOT / "benchmarks" / "data" / "operator_shares.csv"
_DAY = 86_400.0


@dataclass(frozen=True)
class Assumptions:
    """What is assumed; seconds, shares between 0 and 1, and US dollars."""

    distinct: float = 0.85
    """Share of the rows whose address no earlier row has."""
    domains_at_a_million: int = 120_000
    """Distinct domains among a million addresses."""
    domain_growth: float = 0.7
    """Domains grow with this power of the addresses (Heaps' law)."""
    asked: float = 0.90
    """Share of the distinct addresses that syntax, lists and routes leave open."""
    round_trip: float = 0.08
    """Seconds between us and a mail server, there and back."""
    thinking: float = 0.07
    """Seconds a server takes for a recipient."""
    greeting: float = 9.0
    """Round trips of a conversation besides those of its recipients: TCP, greeting, EHLO, TLS, EHLO, MAIL, QUIT."""
    lookups: float = 500.0
    """Domains a second that the resolver answers with a cold cache, for each task."""
    addresses: int = 1
    """Public addresses the asking is spread over, with the operators' consent."""
    price: float = 0.05
    """US dollars for a core and an hour."""
    cores: int = 64
    """Cores of the cluster for a billion rows; in proportion for fewer, but at least 2."""
    history: float = 0.7
    """Share of the addresses that own deliveries of the last 90 days vouch for."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds for 1,000 addresses, or domains, of each stage."""

    offline: float
    """Spark, from a Parquet file to the saved table of verdicts."""
    routes: float
    asking: float

    @classmethod
    def read(cls, path: Path) -> Measured:
        """
        Raises:
            SystemExit: the figures are not there; says how to make them.
        """
        needed = "python benchmarks/run.py --only spark --only routes --only probing --json " + str(path)
        try:
            results = json.loads(path.read_text())["results"]
            slow = max(results["probing"]["latencies"], key=lambda each: each["latency"])
            return cls(
                results["spark"]["depths"]["offline"]["spark_cpu"][0],
                results["routes"]["rows"]["mailvet"]["cpu_per_1000"][0],
                slow["rows"]["mailvet"]["cpu_per_1000"][0],
            )
        except (OSError, KeyError, ValueError) as error:
            raise SystemExit(f"The measured figures are not in {path} ({error!r}). Make them: {needed}") from None


@dataclass(frozen=True)
class Operator:
    """One operator's part."""

    name: str
    label: str
    addresses: float
    conversations: float
    seconds: float
    """At its cap of connections; 0 where no server is asked."""
    why_not: str | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of the work."""

    name: str
    items: float
    partitions: int
    core_hours: float
    seconds: float
    """By the clock, on all cores."""
    dollars: float


@dataclass(frozen=True)
class Simulation:
    """One size."""

    rows: int
    cores: int
    stages: Sequence[Stage]
    operators: Sequence[Operator]

    @property
    def slowest(self) -> Operator:
        """The operator that everything waits for."""
        return max(self.operators, key=lambda each: each.seconds)

    @property
    def core_hours(self) -> float:
        """Of all stages."""
        return sum(stage.core_hours for stage in self.stages)

    @property
    def dollars(self) -> float:
        """Of all stages."""
        return sum(stage.dollars for stage in self.stages)


def operator_shares(path: Path = _SHARES) -> dict[str, float]:
    """
    Operator -> share of the addresses.

    Raises:
        ValueError: they do not add up to one, or an operator is unknown.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    shares = {row["operator"]: float(row["share"]) for row in csv.DictReader(lines)}
    if not math.isclose(sum(shares.values()), 1.0):
        raise ValueError(f"the shares in {path.name} add up to {sum(shares.values()):.3f}, not to 1")
    unknown = set(shares) - {operator.name for operator in operators()} - {"others"}
    if unknown:
        raise ValueError(f"{path.name} names operators that are not in operators.toml: {', '.join(sorted(unknown))}")
    return shares


def simulate(rows: int, given: Assumptions, measured: Measured, shares: dict[str, float], pacing: Pacing) -> Simulation:
    """All stages over a table of so many rows."""
    cores = max(2, round(given.cores * rows / SIZES[-1]))
    distinct = rows * given.distinct
    domains = given.domains_at_a_million * (distinct / 1e6) ** given.domain_growth
    asked = distinct * given.asked
    parts = [_operator(name, asked * share, given, pacing, cores) for name, share in shares.items()]
    recipients = sum(part.addresses for part in parts if part.seconds)

    def stage(name: str, items: float, per_thousand: float, partitions: int, least: float = 0.0) -> Stage:
        hours = items / 1000 * per_thousand / 3600
        seconds = max(hours * 3600 / cores, least)
        return Stage(name, items, partitions, hours, seconds, hours * given.price)

    asking = stage("mailboxes", recipients, measured.asking, cores, max(part.seconds for part in parts))
    # A task waits far more than it computes, and what waits is paid for as well: one core is kept for all of it.
    waiting = asking.seconds / 3600
    asking = dataclasses.replace(
        asking, core_hours=max(asking.core_hours, waiting), dollars=max(asking.core_hours, waiting) * given.price
    )
    return Simulation(
        rows,
        cores,
        (
            stage("distinct, syntax, lists", rows, measured.offline, max(2, math.ceil(rows / 1_000_000))),
            stage("routes", domains, measured.routes, cores, domains / (given.lookups * cores)),
            asking,
            stage("verdicts", distinct, measured.offline, max(2, math.ceil(rows / 1_000_000))),
        ),
        parts,
    )


def _operator(name: str, count: float, given: Assumptions, pacing: Pacing, tasks: int) -> Operator:
    known = {operator.name: operator for operator in operators()}
    rule = known.get(name)
    if rule is not None and rule.answers == "accepts_all":
        return Operator(name, rule.label, count, 0, 0.0, "accepts any recipient: not asked")
    if rule is not None and rule.answers == "blocks_probes":
        return Operator(name, rule.label, count, 0, 0.0, "refuses strangers: given up after a few")
    most = pacing.recipients_per_session
    connections = pacing.connections_per_operator
    if rule is not None:
        most = min(most, rule.recipients_per_session or most)
        connections = min(connections, rule.connections or connections)
    else:  # small operators: so many at once as connections may be open
        connections = pacing.connections * tasks
        most = min(most, 3)
    limit = pacing.daily_limits.get(name, pacing.daily_limits.get("default"))
    conversations = count / most
    seconds = count * (given.round_trip + given.thinking) + conversations * given.greeting * given.round_trip
    seconds /= connections * given.addresses
    if limit:
        seconds = max(seconds, count / limit * _DAY)
    return Operator(name, rule.label if rule else "all others, together", count, conversations, seconds)


# -------------------------------------------------------------------- the page


def _span(seconds: float) -> str:
    if seconds == 0:
        return "-"
    for unit, length in (("d", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:,.{0 if seconds >= 20 * length else 1}f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def _many(count: float) -> str:
    for name, size in (("billion", 1e9), ("million", 1e6)):
        if count >= size:
            return f"{count / size:,.3g} {name}"
    return f"{count:,.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _stages(found: Sequence[Simulation]) -> str:
    rows = [
        [
            f"{_many(each.rows)}, {each.cores} cores",
            stage.name,
            _many(stage.items),
            str(stage.partitions),
            f"{stage.core_hours:,.2f}",
            _span(stage.seconds),
            f"{stage.dollars:,.2f}",
        ]
        for each in found
        for stage in each.stages
    ]
    return _table(("rows", "stage", "items", "partitions", "core hours", "by the clock", "dollars"), rows)


def _operators(found: Sequence[Simulation]) -> str:
    rows = []
    for place, part in enumerate(found[-1].operators):
        times = [_span(each.operators[place].seconds) for each in found]
        rows.append([part.label, _many(part.addresses), *times, part.why_not or ""])
    head = ("operator", f"addresses of {_many(found[-1].rows)}", *(_many(each.rows) for each in found), "")
    return _table(head, rows)


def _cheaper(found: Sequence[Simulation], given: Assumptions) -> str:
    """What history and samples leave to be asked at the slowest operators."""
    share, error = 0.08, 0.005
    sample = math.ceil(1.959964**2 * share * (1 - share) / error**2)
    rows = []
    whole = found[-1]
    for part in sorted(whole.operators, key=lambda each: -each.seconds)[:4]:
        a_recipient = part.seconds / part.addresses
        left = part.seconds * (1 - given.history)
        rows.append([part.label, _span(part.seconds), _span(left), _span(a_recipient * sample * 100)])
    table = _table(
        (
            "operator",
            f"all of {_many(whole.rows)}",
            f"after history ({given.history:.0%} known)",
            f"samples of {sample:,} from 100 segments",
        ),
        rows,
    )
    return (
        f"{table}\n\nA sample of {sample:,} tells a segment's share of dead addresses to {error:.1%} (95 %) where it "
        f"is about {share:.0%}."
    )


def _assumed(given: Assumptions, measured: Measured) -> str:
    names = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    rows = [[f"`--{name.replace('_', '-')}`", f"{value:g}"] for name, value in names.items()]
    rows += [[f"measured, CPU s for 1,000: {name}", f"{value:.4f}"] for name, value in vars(measured).items()]
    return _table(("figure", "value"), rows)


def _in_short(found: Sequence[Simulation]) -> str:
    lines = []
    for each in found:
        network = _span(max(stage.seconds for stage in each.stages if stage.name != "mailboxes"))
        lines.append(
            f"* **{_many(each.rows)} rows**: each stage but the mailboxes in at most {network} on {each.cores} cores; "
            f"the mailboxes in {_span(each.slowest.seconds)}, the time for {each.slowest.label} at a polite pace; "
            f"{each.core_hours:,.1f} core hours, {each.dollars:,.2f} dollars."
        )
    return "\n".join(lines)


def rendered(page: str, found: Sequence[Simulation], given: Assumptions, measured: Measured) -> str:
    """The page with its generated parts made anew."""
    parts = {
        "in short": _in_short(found),
        "stages": _stages(found),
        "operators": _operators(found),
        "cheaper": _cheaper(found, given),
        "assumptions": _assumed(given, measured),
    }
    for name, text in parts.items():
        begin, end = f"<!-- simulated: {name} -->", f"<!-- end: {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page has no place for {name!r}: it needs {begin} and {end} once each")
        head, rest = page.split(begin)
        page = f"{head}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"
    return page


def draw(path: Path, given: Assumptions, measured: Measured, shares: dict[str, float], pacing: Pacing) -> None:
    """Days by rows: the operators that take longest, and the stages that only compute."""
    import matplotlib

    matplotlib.rcParams.update({"svg.hashsalt": "mailvet", "svg.fonttype": "none", "font.size": 10})
    from matplotlib.figure import Figure

    sizes = [10 ** (6 + step / 10) for step in range(31)]
    runs = [simulate(round(size), given, measured, shares, pacing) for size in sizes]
    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    axis = figure.subplots()
    names = [part.name for part in sorted(runs[-1].operators, key=lambda each: -each.seconds) if part.seconds][:5]
    colours = ("#1b6ca8", "#c8553d", "#588157", "#8e6c8a", "#b08900")
    ends: list[tuple[float, str, str]] = []
    for name, colour in zip(names, colours, strict=False):
        place = [part.name for part in runs[0].operators].index(name)
        days = [run.operators[place].seconds / _DAY for run in runs]
        axis.plot(sizes, days, color=colour)
        ends.append((days[-1], runs[-1].operators[place].label.partition(" (")[0], colour))
    computing = [sum(s.core_hours for s in run.stages if s.name != "mailboxes") / 64 / 24 for run in runs]
    axis.plot(sizes, computing, color="#555555", linestyle="--")
    ends.append((computing[-1], "computing, 64 cores", "#555555"))
    axis.set_xscale("log")
    axis.set_yscale("log")
    below = math.inf
    for value, label, colour in sorted(ends, reverse=True):  # labels keep apart
        below = min(value, below / 1.9)
        axis.annotate(label, (sizes[-1], below), xytext=(6, 0), textcoords="offset points", va="center", color=colour)
    for span, label in ((1, "a day"), (30, "a month"), (365, "a year")):
        axis.axhline(span, color="#dddddd", linewidth=1, zorder=0)
        axis.annotate(label, (sizes[0], span), xytext=(2, 2), textcoords="offset points", fontsize=8, color="#777777")
    axis.set_xticks([1e6, 1e7, 1e8, 1e9], ["1 million", "10 million", "100 million", "1 billion"])
    axis.minorticks_off()
    axis.set_xlim(1e6, 1e9)
    axis.set_xlabel("rows")
    axis.set_ylabel("days")
    axis.set_title("How long each operator takes at a polite pace", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write the figures and the chart of docs/scale.md.")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "benchmarks.json", help="measured figures")
    parser.add_argument("--shares", type=Path, default=_SHARES, help="operator,share as CSV")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where scale.md and images/ are")
    for field in dataclasses.fields(Assumptions):
        kind: Any = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    for field in dataclasses.fields(Measured):
        parser.add_argument(f"--cpu-{field.name}", type=float, help="CPU seconds for 1,000 in place of the measured")
    chosen = vars(parser.parse_args(arguments))

    given = Assumptions(**{field.name: chosen[field.name] for field in dataclasses.fields(Assumptions)})
    flags = {field.name: chosen[f"cpu_{field.name}"] for field in dataclasses.fields(Measured)}
    told = {name: value for name, value in flags.items() if value is not None}
    every = len(told) == len(flags)
    measured = Measured(**told) if every else dataclasses.replace(Measured.read(chosen["json"]), **told)
    shares, pacing = operator_shares(chosen["shares"]), Pacing()
    found = [simulate(rows, given, measured, shares, pacing) for rows in SIZES]
    page = chosen["docs"] / "scale.md"
    page.write_text(rendered(page.read_text(encoding="utf-8"), found, given, measured), encoding="utf-8")
    draw(chosen["docs"] / "images" / "scale.svg", given, measured, shares, pacing)
    print(_in_short(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
