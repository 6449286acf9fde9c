"""Bar charts of the rates, as SVG for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw"]

_OURS, _PEER = "#1b6ca8", "#b8bec5"


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    """Write `benchmark-*.svg` for the parts that ran; their file names. None without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "mailvet", "svg.fonttype": "none", "font.size": 10})
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for part, make in _CHARTS.items():
        if part in results and "error" not in results[part]:
            name = f"benchmark-{part}.svg"
            make(results[part], folder / name)
            drawn.append(name)
    return drawn


_Bar = tuple[str, float, float, float]


def _bars(path: Path, panels: Sequence[tuple[str, Sequence[_Bar]]], unit: str, *, log: bool = False) -> None:
    """One panel beside the other; a bar is (name, value, least, most)."""
    from matplotlib.figure import Figure

    most = max(len(bars) for _, bars in panels)
    figure = Figure(figsize=(4.6 * len(panels) + 1.2, 0.42 * most + 1.1), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, bars) in zip(axes, panels, strict=True):
        ordered = sorted(bars, key=lambda bar: bar[1])
        values = [bar[1] for bar in ordered]
        errors = [
            [value - bar[2] for value, bar in zip(values, ordered, strict=True)],
            [bar[3] - value for value, bar in zip(values, ordered, strict=True)],
        ]
        colours = [_OURS if bar[0].startswith("mailvet") else _PEER for bar in ordered]
        axis.barh([bar[0] for bar in ordered], values, color=colours, xerr=errors, ecolor="#444444", capsize=2)
        for position, value in enumerate(values):
            axis.annotate(
                f" {value:,.1f}" if unit == "per cent" else f" {value:,.0f}",
                (ordered[position][3], position),
                va="center",
                fontsize=9,
            )
        if log:
            axis.set_xscale("log")
        axis.margins(x=0.25)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(unit)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _probing(result: dict[str, Any], path: Path) -> None:
    panels = [
        (
            f"servers answer after {setting['latency'] * 1000:.0f} ms, "
            f"{'PIPELINING offered' if setting['pipelining'] else 'one command at a time'}",
            [(name, *row["rate"]) for name, row in setting["rows"].items()],
        )
        for setting in result["latencies"]
    ]
    _bars(path, panels, "addresses a second")


def _routes(result: dict[str, Any], path: Path) -> None:
    bars = [(name, *row["rate"]) for name, row in result["rows"].items()]
    _bars(path, [("mail routes, one core", bars)], "domains a second")


def _syntax(result: dict[str, Any], path: Path) -> None:
    bars = [(name, *rate) for name, rate in result["per_second"].items()]
    _bars(path, [("syntax, logarithmic", bars)], "addresses a second", log=True)


def _accuracy(result: dict[str, Any], path: Path) -> None:
    """Two shares of every verifier, with their intervals."""
    shares = {"mailvet": result["shares"]}
    shares |= {name: peer["shares"] for name, peer in result["peers"].items() if peer and "shares" in peer}

    def bar(name: str, key: str) -> _Bar:
        hits, of, low, high = shares[name][key]
        return name, 100 * hits / max(of, 1), 100 * low, 100 * high

    panels = [
        ("dead addresses found", [bar(name, "dead_found") for name in shares]),
        ("live mailboxes recognised", [bar(name, "live_sent") for name in shares]),
    ]
    _bars(path, panels, "per cent")


_CHARTS = {"accuracy": _accuracy, "syntax": _syntax, "probing": _probing, "routes": _routes}
