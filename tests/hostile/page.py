"""The section "Hostile servers" of docs/trust.md, from figures that were measured."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

__all__ = ["replace_section", "section"]

_HEADING = "## Hostile servers"


def section(hostile: dict[str, Any], fuzz: dict[str, Any] | None, soak: dict[str, Any] | None) -> str:
    """The section in Markdown, with its heading; `None`: not measured yet, and said so."""
    rows = [
        f"| `{name}` | {', '.join(each['reasons']) or 'held'} | {each['seconds']} |"
        for name, each in hostile["servers"].items()
    ]
    return "\n".join(
        textwrap.fill(line, 120) if line[:1] not in ("|", "#") else line
        for line in [
            _HEADING,
            "",
            "Mail servers that stall, send a byte a second, lines or replies without end, or replies of 8 MB, at each "
            "stage of a conversation (`mailvet.lab.endless_profiles`), each beside a healthy server. Every command has "
            "a time for the whole reply, every recipient a budget over all servers, every reply and every connection a "
            "size; then the connection is dropped. Written by `make trust`.",
            "",
            f"Servers tried: {len(hostile['servers'])}. Runs held: {hostile['held']}. "
            f"Wrong verdicts: {hostile['wrong']}.",
            "",
            "| server | verdicts at it | seconds |",
            "|---|---|---|",
            *rows,
            "",
            *_stalled(hostile.get("among_stalled")),
            *_fuzz(fuzz),
            "",
            *_soak(soak),
            "",
        ]
    )


def _stalled(figures: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    parts = [
        f"with {stalled} stalled ones half of the verdicts after {each['half']} s and the last after {each['last']} s"
        for stalled, each in figures["stalled"].items()
    ]
    return [
        f"{figures['healthy']} healthy servers with three recipients each, over {figures['connections']} connections "
        f"and with a time-out of 20 s: {', '.join(parts)}.",
        "",
    ]


def _fuzz(figures: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return ["Fuzzing: not measured yet (`make fuzz`)."]
    how = "hypothesis and atheris, guided by coverage" if figures["coverage_guided"] else "hypothesis alone"
    rows = []
    for name, each in figures["targets"].items():
        exponents = [shape["exponent"] for shape in each["growth"].values() if shape["exponent"] is not None]
        slowest = max(shape["seconds_for_1_mb"] for shape in each["growth"].values())
        exponent = max(exponents) if exponents else "too short to measure"
        rows.append(f"| {name} | {each['executions']:,} | {each['crashes']} | {slowest} | {exponent} |")
    return [
        f"Fuzzing ({how}, {figures['seconds_per_target']:.0f} seconds for each): what reads the replies of servers, "
        "addresses, DNS responses and settings. The last column is the exponent with which the time grows from 128 kB "
        "to 1 MB; 1 is linear.",
        "",
        "| reader | executions | open crashes | seconds for 1 MB, slowest shape | growth |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _soak(figures: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return ["Soak: not measured yet (`make soak`)."]
    parts = [f"{name} {figures[key][0]} and {figures[key][1]}" for key, name in _SOAKED.items()]
    return [
        f"Soak: {figures['seconds']} seconds at full pace, {figures['addresses']:,} verdicts, healthy and hostile "
        f"servers mixed, in runs one after the other. Between two runs, in the second and in the last quarter of the "
        f"time: {', '.join(parts)}. "
        f"The event loop did nothing else for {figures['longest_pause']} seconds at most."
    ]


_SOAKED = {"memory_mb": "megabytes of memory", "files": "open files", "tasks": "tasks"}


def replace_section(path: Path, text: str) -> None:
    """Put the section into the page in the place of the one that it has, or at its end."""
    page = path.read_text(encoding="utf-8") if path.exists() else "# Trust\n\nWhat a run survives, measured.\n"
    before, found, after = page.partition(f"{_HEADING}\n")
    if found:
        following = after.find("\n## ")
        rest = after[following + 1 :] if following >= 0 else ""
    else:
        before, rest = page.rstrip("\n") + "\n\n", ""
    path.write_text(before + text.rstrip("\n") + "\n" + (f"\n{rest}" if rest else ""), encoding="utf-8")
