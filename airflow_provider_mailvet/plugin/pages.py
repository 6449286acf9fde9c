"""From figures to HTML: the templates of the page, and how numbers, spans and times are written in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_provider_mailvet.plugin import charts
from airflow_provider_mailvet.plugin.advice import advise
from airflow_provider_mailvet.plugin.stored import GATE_OPERATOR, OPERATOR_NAME
from airflow_provider_mailvet.plugin.summaries import (
    Failure,
    Instance,
    Run,
    Series,
    meaning_of,
    status_of,
)

__all__ = ["render"]

STATUSES = ("deliverable", "risky", "unknown", "undeliverable")
"""In the order of drawing, from good to bad."""
RECOMMENDATIONS = ("send", "reverify", "do_not_send")

_NOTHING = "\u2013"
_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason in a table: how many rows have it now, and how many had it in the runs before."""

    word: str
    status: str
    meaning: str
    rows: int
    share: float
    change: int | None
    """Rows more than in the run before; None when there was none."""
    history: tuple[int, ...]
    """The oldest run first."""


def render(template: str, **values: Any) -> str:
    """One page.

    Args:
        template: its file in `templates/`.
        values: `nonce` of the content security policy, `base` the path of the page, `airflow` that of Airflow, `now`,
            and what the template shows.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("airflow_provider_mailvet.plugin"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number,
        percent=_percent,
        share=_precise,
        points=_points,
        span=_span,
        clock=_clock,
        ago=_ago,
        words=_words,
    )
    environment.globals.update(
        advise=advise,
        bar=charts.bar,
        columns=charts.columns,
        sparkline=charts.sparkline,
        ordered=_ordered,
        reasons=_reasons,
        run_reasons=_run_reasons,
        run_path=_run_path,
        task_path=_task_path,
        dag_path=_dag_path,
        worst=_worst,
        STATUSES=STATUSES,
        RECOMMENDATIONS=RECOMMENDATIONS,
        OPERATOR_NAME=OPERATOR_NAME,
        GATE_OPERATOR=GATE_OPERATOR,
    )
    return environment


def _reasons(series: Series) -> list[ReasonRow]:
    """Every reason of the last runs, the most frequent now first."""
    runs = series.runs[:30][::-1]
    last, before = series.last, series.before
    words = dict.fromkeys(word for run in runs[::-1] for word in run.by_reason)
    total = max(sum(last.by_reason.values()), 1)
    rows = [
        ReasonRow(
            word,
            status_of(word),
            meaning_of(word),
            last.by_reason.get(word, 0),
            last.by_reason.get(word, 0) / total,
            None if before is None else last.by_reason.get(word, 0) - before.by_reason.get(word, 0),
            tuple(run.by_reason.get(word, 0) for run in runs),
        )
        for word in words
    ]
    return sorted(rows, key=lambda row: -row.rows)


def _run_reasons(run: Run, before: Run | None) -> list[ReasonRow]:
    """The reasons of one run, against the run before it."""
    rows = _reasons(Series("", [run] if before is None else [run, before]))
    return [row for row in rows if row.rows or row.change]


def _worst(run: Run, before: Run | None = None, failure: Failure | None = None) -> str:
    """The level of the most pressing advice."""
    return advise(run, before, failure)[0].level


def _ordered(counts: Mapping[str, int], words: tuple[str, ...]) -> dict[str, int]:
    """The counts in the order of the words; what is not among them comes last."""
    return {word: counts[word] for word in dict.fromkeys([*words, *counts]) if counts.get(word)}


def _run_path(instance: Instance) -> str:
    parts = (instance.dag_id, instance.run_id, instance.task_id, str(instance.map_index))
    return "/runs/" + "/".join(quote(part, safe="") for part in parts)


def _dag_path(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def _task_path(instance: Instance) -> str:
    """The task instance in Airflow's own UI."""
    dag, run, task = (quote(part, safe="") for part in (instance.dag_id, instance.run_id, instance.task_id))
    path = f"/dags/{dag}/runs/{run}/tasks/{task}"
    return path if instance.map_index < 0 else f"{path}/mapped/{instance.map_index}"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.1f} %"


def _precise(share: float | None) -> str:
    """A share with the digits that a limit may have."""
    return _NOTHING if share is None else f"{100 * share:.4g} %"


def _points(value: int | None) -> str:
    return "" if value is None else "±0" if value == 0 else f"{value:+,}".replace("-", _MINUS)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _clock(moment: datetime | None) -> str:
    return _NOTHING if moment is None else f"{moment:%d %b %Y, %H:%M} UTC"


def _ago(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    if seconds < 90:
        return "just now"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = round(seconds / length)
        if seconds >= 2 * length or unit == "minute":
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _words(word: str) -> str:
    return word.replace("_", " ")
