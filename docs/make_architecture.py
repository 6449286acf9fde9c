"""Draw the packages of the code for docs/architecture.md: `python docs/make_architecture.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["LEVELS", "PICTURE", "Level", "Package", "draw"]

PICTURE = Path(__file__).resolve().parent / "images" / "architecture.svg"

_WIDTH = 1000
_MARGIN = 20
_GAP = 12
_TITLE_WIDTH = 100
_PACKAGE_HEIGHT = 62
_LEVEL_HEIGHT = _PACKAGE_HEIGHT + 24
_ARROW_HEIGHT = 26
_INK, _QUIET, _PAPER, _EDGE, _BAND = "#1f2933", "#616e7c", "#ffffff", "#9fb3c8", "#f0f4f8"


@dataclass(frozen=True, slots=True)
class Package:
    """A folder or module of the repository, and what it is for in a few words."""

    path: str
    purpose: str
    label: str = ""
    """Shown in place of the name of the folder or module."""


@dataclass(frozen=True, slots=True)
class Level:
    """Packages that may import each other and whatever stands on a level below."""

    title: str
    packages: Sequence[Package]


LEVELS = (
    Level(
        "entry points",
        (
            Package("mailvet/cli", "commands"),
            Package("airflow_provider_mailvet", "operators, page", "Airflow"),
            Package("dbt_macros", "SQL macros", "dbt package"),
            Package("ge_expectations", "expectations", "GX"),
            Package("mailvet/dbt", "runner, models"),
            Package("mailvet/spark", "jobs"),
            Package("mailvet/service", "HTTP"),
            Package("mailvet/doctor", "this machine"),
            Package("mailvet/lab", "test servers"),
        ),
    ),
    Level(
        "results",
        (
            Package("mailvet/runs", "run, journal, forecast"),
            Package("mailvet/reports", "HTML, text"),
            Package("mailvet/exports", "lists for tools"),
        ),
    ),
    Level(
        "pipeline",
        (
            Package("mailvet/verification", "the layers in order"),
            Package("mailvet/warehouse", "what is due, verdicts, status columns"),
        ),
    ),
    Level(
        "judgement",
        (
            Package("mailvet/probing", "pace, canaries, retries"),
            Package("mailvet/signals", "gibberish, series, bursts"),
            Package("mailvet/scoring", "evidence to verdict"),
        ),
    ),
    Level(
        "facts",
        (
            Package("mailvet/smtp", "session, replies"),
            Package("mailvet/dns", "resolver, routes"),
            Package("mailvet/syntax", "parser, mailbox key"),
            Package("mailvet/reference", "lists, providers, typos"),
            Package("mailvet/history", "your own events"),
        ),
    ),
    Level(
        "base",
        (
            Package("mailvet/vocabulary.py", "reasons"),
            Package("mailvet/policies.py", "advice by use"),
            Package("mailvet/verdict.py", "schema, keys"),
            Package("mailvet/gates.py", "rates, limits"),
            Package("mailvet/privacy.py", "masking"),
            Package("mailvet/settings.py", "mailvet.toml"),
            Package("mailvet/errors.py", "what to do next"),
            Package("mailvet/data", "lists and rules"),
        ),
    ),
)
"""From top to bottom. Imports go downwards."""


def _box(package: Package, x: float, y: float, width: float) -> list[str]:
    name = package.label or package.path.removeprefix("mailvet/").removesuffix(".py")
    size = min(13.0, (width - 12) / (0.56 * len(name)))
    note = min(11.0, (width - 10) / (0.5 * len(package.purpose)))
    middle = x + width / 2
    return [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_PACKAGE_HEIGHT}" rx="5" '
        f'fill="{_PAPER}" stroke="{_EDGE}"/>',
        f'<text x="{middle:.1f}" y="{y + 27:.1f}" font-size="{size:.1f}" font-weight="600" fill="{_INK}">'
        f"{escape(name)}</text>",
        f'<text x="{middle:.1f}" y="{y + 46:.1f}" font-size="{note:.1f}" fill="{_QUIET}">'
        f"{escape(package.purpose)}</text>",
    ]


def draw(levels: Sequence[Level] = LEVELS) -> str:
    """The picture as SVG: one band a level, arrows from each level to the next."""
    height = 2 * _MARGIN + len(levels) * _LEVEL_HEIGHT + (len(levels) - 1) * _ARROW_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" text-anchor="middle" role="img">',
        "<title>The packages of mailvet; imports go downwards</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{_QUIET}"/></marker></defs>',
    ]
    for number, level in enumerate(levels):
        top = _MARGIN + number * (_LEVEL_HEIGHT + _ARROW_HEIGHT)
        parts += [
            f'<rect x="{_MARGIN}" y="{top}" width="{_WIDTH - 2 * _MARGIN}" height="{_LEVEL_HEIGHT}" rx="8" '
            f'fill="{_BAND}"/>',
            f'<text x="{_MARGIN + 14}" y="{top + _LEVEL_HEIGHT / 2 + 5:.1f}" font-size="14" text-anchor="start" '
            f'fill="{_QUIET}">{escape(level.title)}</text>',
        ]
        left = _MARGIN + _TITLE_WIDTH
        package_width = (_WIDTH - _MARGIN - left - _GAP * len(level.packages)) / len(level.packages)
        for place, package in enumerate(level.packages):
            parts += _box(package, left + place * (package_width + _GAP), top + 12, package_width)
        if number:
            parts.append(
                f'<line x1="{_WIDTH / 2:.0f}" y1="{top - _ARROW_HEIGHT + 2}" x2="{_WIDTH / 2:.0f}" y2="{top - 2}" '
                f'stroke="{_QUIET}" stroke-width="1.5" marker-end="url(#head)"/>'
            )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
