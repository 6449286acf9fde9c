"""Charts as inline SVG, drawn on the server: nothing is fetched, and they can be read without a script.

Each has a title and a description for screen readers; every mark carries its figure as a tooltip. Colours are classes
of the style sheet, so they follow the theme. The pages show the same figures as a table beside each chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from airflow_provider_mailvet.plugin.summaries import Run

__all__ = ["bar", "columns", "sparkline"]

_COLUMNS_SHOWN = 30
_WIDTH, _HEIGHT = 720, 232
_NARROW_WIDTH, _NARROW_COLUMNS = 340, 10
"""Of the chart for a phone: about as wide as its screen, so that text is not made smaller."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 10, 30
_LABEL_WIDTH = 50


def bar(counts: Mapping[str, int], *, label: str, height: int = 10) -> Markup:
    """One horizontal bar, a part for each word with a count.

    Args:
        counts: word -> rows, in the order of drawing; each word is also the class of its part (`fill-risky`).
        label: what the whole is, for screen readers.
        height: in pixels.
    """
    total = sum(counts.values())
    if not total:
        return Markup('<svg class="bar" role="img" aria-label="{}: nothing"></svg>').format(label)
    parts, x = [], 0.0
    for word, count in counts.items():
        width = 1000 * count / total
        parts.append(
            Markup(
                '<rect class="fill-{}" x="{:.2f}" width="{:.2f}" height="10"><title>{}: {:,} ({:.1f} %)</title></rect>'
            ).format(word, x, width, _words(word), count, 100 * count / total)
        )
        x += width
    told = ", ".join(f"{_words(word)} {100 * count / total:.1f} %" for word, count in counts.items())
    return Markup(
        '<svg class="bar" viewBox="0 0 1000 10" height="{}" preserveAspectRatio="none" role="img" '
        'aria-label="{}: {}">{}</svg>'
    ).format(height, label, told, Markup("").join(parts))


def columns(runs: Sequence[Run], *, words: Sequence[str], label: str, narrow: bool = False) -> Markup:
    """A stacked column for each run, in shares of the judged rows.

    Args:
        runs: the newest first; it is the column at the right.
        words: statuses from the bottom up; each is also the class of its part.
        label: the title.
        narrow: for a phone: fewer runs, of the class `narrow`.
    """
    shown = [run for run in runs if run.judged][: _NARROW_COLUMNS if narrow else _COLUMNS_SHOWN][::-1]
    width = _NARROW_WIDTH if narrow else _WIDTH
    days = [f"{run.at:%d %b}" for run in shown]
    times = len(set(days)) < len(days)  # where a day has several runs, each has its time under the day
    height = _HEIGHT + (14 if times else 0)
    wide, high = width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    marks = []
    for percent in (0, 25, 50, 75, 100):
        level = _TOP + high * (1 - percent / 100)
        marks.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
                '<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{} %</text>'
            ).format(_LEFT, width - _RIGHT, level, level, _LEFT - 6, level + 3.5, percent)
        )
    step = wide / max(len(shown), 5 if narrow else 8)
    thick = min(step * 0.72, 34)
    every = math.ceil(_LABEL_WIDTH / step)
    for place, run in enumerate(shown):
        x = _LEFT + step * place + (step - thick) / 2
        y: float = _TOP + high
        for word in words:
            count = run.by_status.get(word, 0)
            if not count:
                continue
            tall = high * count / run.judged
            y -= tall
            marks.append(
                Markup(
                    '<rect class="fill-{}" x="{:.1f}" y="{:.2f}" width="{:.1f}" height="{:.2f}">'
                    "<title>{:%d %b %Y %H:%M} UTC: {} {:,} of {:,} ({:.1f} %)</title></rect>"
                ).format(word, x, y, thick, tall, run.at, _words(word), count, run.judged, 100 * count / run.judged)
            )
        if (len(shown) - 1 - place) % every == 0:
            for line, text in enumerate([days[place], f"{run.at:%H:%M}"] if times else [days[place]]):
                marks.append(
                    Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                        x + thick / 2, _HEIGHT - 10 + 14 * line, text
                    )
                )
    last = shown[-1] if shown else None
    told = (
        "no run yet"
        if last is None
        else f"{len(shown)} runs, the newest: "
        + ", ".join(f"{_words(word)} {100 * last.share(word):.1f} %" for word in words)
    )
    return Markup(
        '<svg class="chart{}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(" narrow" if narrow else "", width, height, f"{label}: {told}", label, told, Markup("").join(marks))


def sparkline(values: Sequence[int], *, label: str, kind: str) -> Markup:
    """How a count went from run to run, the oldest first.

    Args:
        values: rows.
        label: what is counted, for screen readers.
        kind: a status; the class of the line.
    """
    shown = list(values)[-_COLUMNS_SHOWN:]
    told = f"{label}, from run to run: " + ", ".join(f"{value:,}" for value in shown)
    top = max([*shown, 1])
    step = 112 / max(len(shown) - 1, 1)
    points = [(4 + step * place, 24 - 20 * value / top) for place, value in enumerate(shown)]
    if len(points) == 1:
        points = [(4, points[0][1]), (116, points[0][1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1] if points else (4, 24)
    return Markup(
        '<svg class="spark" viewBox="0 0 120 28" width="120" height="28" role="img" aria-label="{}"><title>{}</title>'
        '<polygon class="area-{}" points="4,26 {} {:.1f},26"/><polyline class="line-{}" points="{}"/>'
        '<circle class="fill-{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/></svg>'
    ).format(told, told, kind, line, x, kind, line, kind, x, y)


def _words(word: str) -> str:
    return word.replace("_", " ")
