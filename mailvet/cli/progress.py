"""How far a run is: one line for a log, a table for a terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mailvet.privacy import printable
from mailvet.probing.pool import OperatorProgress
from mailvet.reports.text import duration_text
from mailvet.runs.results import Progress
from mailvet.warehouse.store import Plan

__all__ = ["LogWatcher", "TerminalWatcher"]

log = logging.getLogger("mailvet")

_LOG_EVERY = 10.0  # seconds


class LogWatcher:
    """Progress as plain log lines, for logs and pipes."""

    def __init__(self, every: float = _LOG_EVERY) -> None:
        self._every = every
        self._last = time.monotonic()
        self._ended = False

    def planned(self, source: str, plan: Plan) -> None:
        """One line about what will be done."""
        log.info(
            "%s: %s rows, %s addresses, %s due, %s still fresh",
            source,
            f"{plan.rows:,}",
            f"{plan.addresses:,}",
            f"{plan.due:,}",
            f"{plan.fresh:,}",
        )

    def progressed(self, progress: Progress) -> None:
        """A line every few seconds, and one at the end."""
        now = time.monotonic()
        ended = progress.done >= progress.due
        if self._ended or not (ended or now - self._last >= self._every):
            return
        self._last, self._ended = now, ended
        left = progress.seconds_left
        busy = [row for row in progress.operators if not ended and (row.waiting or row.connections)][:3]
        log.info(
            "%s of %s addresses (%.0f %%), %.0f/s, %s%s",
            f"{progress.done:,}",
            f"{progress.due:,}",
            100 * progress.done / max(progress.due, 1),
            progress.rate,
            "done" if ended else f"about {duration_text(left)} left" if left else "starting",
            "".join(f"; {row.name}: {row.waiting:,} waiting, {row.state}" for row in busy),
        )


class TerminalWatcher:
    """Progress as a live table: rate, share done, time left, what each operator is doing. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> TerminalWatcher:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def planned(self, source: str, plan: Plan) -> None:
        """One line about what will be done."""
        self._console.print(
            f"[bold]{escape(printable(source))}[/]: {plan.rows:,} rows, {plan.addresses:,} addresses, "
            f"[bold]{plan.due:,} due[/], {plan.fresh:,} still fresh",
            highlight=False,
        )

    def progressed(self, progress: Progress) -> None:
        """Redraw."""
        share = progress.done / max(progress.due, 1)
        left = progress.seconds_left
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=max(progress.due, 1), completed=progress.done, width=40),
            f"{100 * share:.0f} %",
            f"{progress.done:,} of {progress.due:,}",
            f"{progress.rate:,.0f}/s",
            f"{duration_text(left)} left" if left is not None else "starting",
        )
        self._live.update(Group(head, _operator_table(progress.operators)))


def _operator_table(rows: Sequence[OperatorProgress]) -> RenderableType:
    active = [row for row in rows if row.waiting or row.connections or "stopped" in row.state][:10]
    if not active:
        return Text("")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("operator", "asked", "waiting", "now"):
        table.add_column(name, justify="right" if name in ("asked", "waiting") else "left")
    for row in active:
        style = "red" if "stopped" in row.state else "yellow" if "pausing" in row.state else ""
        table.add_row(row.name, f"{row.asked:,}", f"{row.waiting:,}", Text(row.state, style=style))
    if len(rows) > len(active):
        table.add_row(f"[dim]and {len(rows) - len(active):,} more[/]", "", "", "")
    return table
