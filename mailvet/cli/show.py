"""Plans, gates and results on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mailvet.cli.show_verdict import STYLES
from mailvet.doctor.checks import Check
from mailvet.doctor.checks import summary as summary_of_checks
from mailvet.doctor.write_test.outcome import CheckOutcome
from mailvet.exports.export import ExportResult
from mailvet.exports.selection import CAUSES
from mailvet.gates import FIGURES, GateResult
from mailvet.privacy import mask_addresses, printable
from mailvet.reports.audience import audience_words
from mailvet.reports.settling import settled_by
from mailvet.reports.text import duration_text
from mailvet.runs.forecast import Forecast
from mailvet.runs.results import RunResult
from mailvet.vocabulary import REASONS, Depth, Reason, Status
from mailvet.warehouse.attribution import ASKED_FROM, LAYERS
from mailvet.warehouse.store import Plan, Summary
from mailvet.warehouse.summaries import UNVERIFIED_BOUNCES

__all__ = [
    "show_checks",
    "show_export",
    "show_gate",
    "show_outcome",
    "show_plan",
    "show_result",
    "show_summary",
]

_ADVICE = {
    "send": "send",
    "reverify": "ask again later, do not send yet",
    "do_not_send": "do not send",
}


def show_plan(console: Console, source: str, plan: Plan, forecast: Forecast) -> None:
    """The plan: what is due, at which operators, how long that takes at a polite pace, and what it costs in probes."""
    groups, seconds = forecast.by_operator, forecast.seconds
    console.print(f"[bold]{escape(printable(source))}[/]", highlight=False)
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    numbers = {
        "rows": plan.rows,
        "of these missing": plan.missing,
        "distinct addresses": plan.addresses,
        "verdict still fresh": plan.fresh,
        **({"of these to be asked again": plan.rechecked} if plan.rechecked else {}),
        "due": plan.due,
        "domains among them": len(plan.domains),
    }
    for label, number in numbers.items():
        table.add_row(label, f"{number:,}")
    console.print(table)
    if groups:
        console.print(f"\nAbout [bold]{duration_text(seconds)}[/] at the current pace. No server was asked.")
        if forecast.probes:
            console.print(
                f"[dim]Recipients that would be named to mail servers: {forecast.probes:,}[/]", highlight=False
            )
        console.print()
        busiest = Table(box=None, padding=(0, 2), header_style="dim")
        busiest.add_column("operator")
        busiest.add_column("addresses due", justify="right")
        timed = forecast.seconds_by_operator
        if timed:
            busiest.add_column("expected time", justify="right")
        for name, count in list(groups.items())[:15]:
            busiest.add_row(name, f"{count:,}", *([duration_text(timed[name])] if timed else []))
        if len(groups) > 15:
            rest = sum(list(groups.values())[15:])
            busiest.add_row(f"[dim]{len(groups) - 15:,} more[/]", f"{rest:,}")
        console.print(busiest)
    else:
        console.print("\nNothing is due.")


def show_gate(console: Console, result: GateResult) -> None:
    """What a gate counted, every figure, and which limits were kept."""
    counts = Table(box=None, padding=(0, 2), show_header=False)
    counts.add_column()
    counts.add_column(justify="right")
    for name in ("rows", "missing", "addresses", "verified", "unprobed", "audience"):
        counts.add_row(name, f"{getattr(result.counts, name):,}")
    figures = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("figure", "share", "limit", ""):
        figures.add_column(name, justify="right" if name in ("share", "limit") else "left")
    held = {limit.name: limit for limit in result.limits}
    for figure in FIGURES:
        share, limit = result.figures[figure.name], held.get(figure.limit)
        words = "-" if share is None else f"{100 * share:.2f} %"
        if figure.name == "expected_bounce_rate" and share is not None:
            words += f" ({100 * (result.figures['low'] or 0):.2f} to {100 * (result.figures['high'] or 0):.2f} %)"
        if limit is None:
            figures.add_row(figure.name, words, "", "")
        else:
            verdict = Text("passed", style="green") if limit.passed else Text("failed", style="red")
            figures.add_row(figure.name, words, f"{100 * limit.limit:g} %", verdict)
    audience = f", among {', '.join(result.asked.among)}" if result.asked.among else ""
    console.print(f"[bold]{escape(printable(result.source))}[/] (policy {result.policy}{audience})", highlight=False)
    console.print(counts)
    console.print()
    console.print(figures)
    for warning in result.warnings:
        console.print(Text(f"Warning: {warning}.", style="yellow"))
    for limit in result.failed:
        allowed = f"{limit.name} allows {100 * limit.limit:g} %"
        console.print(Text.assemble(("Failed: ", "bold red"), f"{limit.text}, where {allowed}."), highlight=False)


def show_export(console: Console, result: ExportResult) -> None:
    """What was handed over, what was left out and why."""
    console.print(
        f"[bold]{escape(printable(result.source))}[/] to {result.to}, {result.kind} (policy {result.policy}): "
        f"{result.written:,} of {result.rows:,} rows",
        highlight=False,
    )
    if result.left_out:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for name in ("left out", "rows", ""):
            table.add_column(name, justify="right" if name == "rows" else "left", no_wrap=name != "")
        for cause, rows in result.left_out.items():
            table.add_row(cause, f"{rows:,}", Text(CAUSES[cause], style="dim"))
        console.print(table)
    if result.changes:
        counts = ", ".join(f"{rows:,} {word}" for word, rows in result.changes.items())
        console.print(f"Since the last export: {counts}.", highlight=False)
    for path in (*result.files, result.manifest):
        console.print(f"Written: {escape(printable(path))}", highlight=False, soft_wrap=True)
    for note in result.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)


def show_result(console: Console, result: RunResult) -> None:
    """The summary of a run: what to do with how many rows, and why."""
    summary = result.summary
    console.print(
        f"\n[bold]{escape(printable(result.source))}[/]: {summary.rows:,} rows, "
        f"{result.checked:,} addresses verified in "
        f"{duration_text(result.seconds)} (depth {result.depth}, policy {result.policy})",
        highlight=False,
    )
    console.print(
        f"[dim]{result.lookups:,} domains looked up, {result.probes:,} recipients named to mail servers, "
        f"no message sent[/]\n",
        highlight=False,
    )
    show_summary(console, summary, Depth(result.depth))
    if result.written is not None:
        console.print(f"Status columns written back: {result.written:,} rows changed.", highlight=False)
    for path in (*result.outputs, *result.uploaded):
        console.print(f"Written: {escape(str(path))}", highlight=False, soft_wrap=True)
    if result.audience is not None:
        found, basis = audience_words(result.audience)
        console.print(f"Risk budget: {found} [dim]{basis}[/]", highlight=False)
    stopped = [row for row in result.operators if "stopped" in row.state]
    if stopped:
        names = ", ".join(row.name for row in stopped[:8])
        console.print(f"[yellow]Operators that refused us or slowed us down: {escape(names)}[/]", highlight=False)
    for note in result.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)
    if result.degraded:
        console.print(f"\n[bold red]Degraded:[/] {escape(result.degraded)}", highlight=False)


def show_summary(console: Console, summary: Summary, depth: Depth) -> None:
    """How a source stands: what to do with how many rows, why, what each layer was worth, and the bounces expected."""
    rows = max(summary.rows, 1)
    advice = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("recommendation", "rows", "share", ""):
        advice.add_column(name, justify="right" if name in ("rows", "share") else "left")
    for word, count in summary.by_recommendation.items():
        bar = Text("█" * max(1, round(30 * count / rows)), style=STYLES.get(word, ""))
        advice.add_row(
            Text(_ADVICE.get(word, word), style=STYLES.get(word, "")), f"{count:,}", f"{100 * count / rows:.1f} %", bar
        )
    if summary.missing:
        advice.add_row("missing: no address", f"{summary.missing:,}", f"{100 * summary.missing / rows:.1f} %", "")
    console.print(advice)
    console.print()
    console.print(_reasons(summary))
    settled = settled_by(summary.reverify, depth)
    if settled:
        table = Table(box=None, padding=(0, 2), header_style="dim", title_style="")
        table.add_column("to verify again", justify="right", no_wrap=True)
        table.add_column("what settles them")
        for group in settled:
            table.add_row(f"{group.rows:,}", Text(group.text))
        console.print()
        console.print(table)
    if any(count.rows for count in summary.by_layer.values()):
        console.print()
        console.print(_layers(summary, depth))
    if summary.bounce_before is not None:
        after = f"{100 * summary.bounce_after:.1f} %" if summary.bounce_after is not None else "nothing to send"
        middle = summary.bounce_without_do_not_send
        but_forbidden = f"{100 * middle:.1f} %" if middle is not None else "nothing to send"
        console.print(
            f"\nExpected hard bounces: [bold red]{100 * summary.bounce_before:.1f} %[/] if everything were sent, "
            f"[bold]{but_forbidden}[/] if all but do_not_send, [bold green]{after}[/] if only what is recommended.",
            highlight=False,
        )
        unverified = summary.unverified
        if unverified:
            console.print(
                f"{unverified:,} addresses have no verdict yet; each counts with the base rate of "
                f"{UNVERIFIED_BOUNCES:g} %.",
                highlight=False,
            )


def _reasons(summary: Summary) -> RenderableType:
    """Statuses, and under each its reasons."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for status, count in summary.by_status.items():
        table.add_row(Text(status, style=f"bold {STYLES.get(status, '')}"), Text(f"{count:,}", style="bold"), "")
        for word, number in summary.by_reason.items():
            rule = REASONS[Reason.stored(word)]
            if str(rule.status) == status:
                table.add_row(f"  {word}", f"{number:,}", Text(rule.meaning, style="dim"))
    for word, number in summary.by_reason.items():
        if word not in Reason.__members__ and str(Status.unknown) not in summary.by_status:
            table.add_row(Text(word), f"{number:,}", Text(REASONS[Reason.stored(word)].meaning, style="dim"))
    return table


def _layers(summary: Summary, depth: Depth) -> RenderableType:
    """What each layer that was asked was the first to find, and what it left undetected."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("first found by", "addresses", "undeliverable", "doubtful", "undeliverable still unseen"):
        table.add_column(name, justify="left" if name == "first found by" else "right")
    for layer, count in summary.by_layer.items():
        if count.rows or layer not in ASKED_FROM or ASKED_FROM[layer].rank <= depth.rank:
            doubtful = count.rows - count.bad
            numbers = (count.addresses, count.bad, doubtful, count.bad_believed)
            table.add_row(LAYERS[layer], *(f"{number:,}" for number in numbers))
    return table


_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skipped": ("-", "dim")}


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """What `mailvet doctor` found, what to do about it, and one sentence at the end."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        sign, style = _SIGNS[check.state]
        said = Text(check.found, style="dim" if check.state == "skipped" else "")
        if check.advice:
            said.append(f"\n{check.advice}", style="bold" if check.state == "fail" else "")
        table.add_row(Text(sign, style=f"bold {style}"), Text(check.name.replace("_", " "), style=style), said)
    console.print(table)
    console.print()
    console.print(Text(summary_of_checks(checks)), soft_wrap=not console.is_terminal)


def show_outcome(console: Console, outcome: CheckOutcome, error: str | None) -> None:
    """One check of a write test; `error` is the whole of what the database said."""
    sign, style = _SIGNS["ok" if outcome.passed else "fail"]
    line = Text.assemble((sign, f"bold {style}"), "  ", (outcome.name.replace("_", " ").ljust(14), style))
    line.append(f"{outcome.seconds:8.1f} s  ", style="dim")
    line.append(printable(mask_addresses(error or outcome.note)))
    console.print(line, soft_wrap=not console.is_terminal, highlight=False)
