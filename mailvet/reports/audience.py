"""The audience that keeps to a risk budget: a sentence for people, and a section of the report with its curve."""

from __future__ import annotations

from collections.abc import Sequence

from mailvet.scoring.budget import NO_OUTCOMES, Bound, Chosen

__all__ = ["audience_section", "audience_words"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 220, 56, 34
"""Of the picture, in its own units."""


def audience_words(chosen: Chosen) -> tuple[str, str]:
    """What was chosen, and what the bound rests on: two sentences."""
    limit, confidence = f"{100 * chosen.budget.max_bounce_rate:g} %", f"{100 * chosen.budget.confidence:g} %"
    last = chosen.last
    if last is None:
        found = (
            f"No audience keeps hard bounces below {limit} with {confidence} confidence: 0 of {chosen.candidates:,} "
            "rows that may be sent to."
        )
    else:
        found = (
            f"{last.rows:,} of {chosen.candidates:,} rows that may be sent to keep hard bounces below {limit}: at most "
            f"{last.upper:,.0f} ({100 * last.upper / last.rows:.2f} %) with {confidence} confidence."
        )
    return found, NO_OUTCOMES


def audience_section(chosen: Chosen) -> str:
    """The section of the report; empty where nothing may be sent to."""
    if not chosen.curve:
        return ""
    found, basis = audience_words(chosen)
    return (
        "<section><h2>Risk budget</h2>"
        f"{_picture(chosen)}"
        f'<p class="note">{found} {basis} The line shows how many hard bounces the rows bring at most, the lowest '
        "probability first; the dashed line is the limit, and the point the largest audience that keeps to it. Bounces "
        "of one domain and of one operator are taken to come together.</p></section>"
    )


def _picture(chosen: Chosen) -> str:
    points: Sequence[Bound] = chosen.curve
    most_rows = max(1, points[-1].rows)
    most = max(*(point.upper for point in points), chosen.budget.max_bounce_rate * most_rows, 1.0)

    def place(rows: float, bounces: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 8) * rows / most_rows
        y = (_HEIGHT - _BOTTOM) * (1 - bounces / most) + 6
        return f"{x:.1f},{y:.1f}"

    curve = " ".join([place(0, 0), *(place(point.rows, point.upper) for point in points)])
    limit = " ".join([place(0, 0), place(most_rows, chosen.budget.max_bounce_rate * most_rows)])
    mark = ""
    if chosen.last is not None:
        x, y = place(chosen.last.rows, chosen.last.upper).split(",")
        mark = f'<circle cx="{x}" cy="{y}" r="5" fill="currentColor"/>'
    floor = _HEIGHT - _BOTTOM + 6
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Rows against hard bounces" '
        'style="width:100%;max-width:40rem;height:auto">'
        f'<path d="M{_LEFT},6V{floor}H{_WIDTH - 8}" fill="none" stroke="currentColor" stroke-opacity=".35"/>'
        f'<polyline points="{limit}" fill="none" stroke="currentColor" stroke-opacity=".55" stroke-dasharray="5 4"/>'
        f'<polyline points="{curve}" fill="none" stroke="currentColor" stroke-width="2"/>{mark}'
        '<g font-size="11" fill="currentColor">'
        f'<text x="{_LEFT - 6}" y="14" text-anchor="end">{most:,.0f}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">rows</text>'
        f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 8}" text-anchor="end">{most_rows:,}</text></g></svg>'
    )
