"""The report as one HTML file: no script, nothing fetched, fit for print and for dark screens.

It holds counts and shares, names of operators and of the source, never an address. Everything that comes from outside
(names of tables, operators, values of a source column, the health of a run) is escaped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from mailvet.data.operators import operators
from mailvet.errors import SettingsError, SourceError
from mailvet.gates import SENDINGS, BounceEstimate, expected_bounces
from mailvet.privacy import mask_text, printable, stands_for_a_person
from mailvet.private_files import replaces
from mailvet.reports.audience import audience_section
from mailvet.reports.settling import settled_by
from mailvet.reports.text import duration_text
from mailvet.scoring.budget import Budget, Chosen
from mailvet.scoring.priors import bounce_probability
from mailvet.settings import Settings
from mailvet.vocabulary import REASONS, Depth, Reason, Recommendation, Status
from mailvet.warehouse.attribution import ASKED_FROM, LAYERS
from mailvet.warehouse.store import Details, Summary, Warehouse

__all__ = ["Report", "check_path", "gather", "render", "write"]

_ADVICE = {
    Recommendation.send: ("Send", "good, or good enough for your policy"),
    Recommendation.reverify: ("Ask again later", "nothing certain yet: do not send before the next check"),
    Recommendation.do_not_send: ("Do not send", "would bounce, harm your reputation, or must not get mail"),
}
_OTHER_VERSION = "a status of another version of mailvet"

_STATUS = {
    Status.deliverable: "the mailbox takes mail",
    Status.risky: "takes mail perhaps, or not for long",
    Status.unknown: "no server has said yes or no",
    Status.undeliverable: "mail to it fails",
}
_DUE = {
    "overdue": "now",
    "1 day": "within a day",
    "7 days": "within a week",
    "30 days": "within 30 days",
    "90 days": "within 90 days",
    "later": "later",
    "never": "never again",
}
_ACCEPTED_BOUNCES = 0.02
"""Hard bounces that a sending service still finds healthy (Amazon SES, sending review process FAQ: below 2 %)."""
_CONFIDENCE = 0.95
_SENDINGS = {
    "everything": ("If everything were sent", "do_not_send"),
    "without_do_not_send": ("If all but do_not_send were sent", "reverify"),
    "send": ("If only what is recommended were sent", "send"),
}
"""What may be sent to, as `mailvet.gates.SENDINGS`, in words and in which colour."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says."""

    source: str
    summary: Summary
    details: Details
    depth: Depth
    policy: str
    made_at: datetime
    """Aware, UTC."""
    by: str | None = None
    """The column that `details.sources` goes by."""
    bounces: Mapping[str, BounceEstimate | None] = field(default_factory=dict)
    """Hard bounces to expect, by what is sent to: the names of `mailvet.gates.SENDINGS`."""
    audience: Chosen | None = None
    """The largest audience within the risk budget, with its curve."""


def check_path(path: Path) -> None:
    """Find out before a run whether the report could be written.

    Raises:
        SettingsError: it could not, and why.
    """
    if path.is_dir():
        raise SettingsError(f"The report cannot be written to {path}, a folder; give the name of a file.")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise SettingsError(f"There is no folder {folder} for the report. Make it or correct the path.")
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"The folder {folder} may not be written to. Choose another place for the report.")


def gather(warehouse: Warehouse, settings: Settings, *, by: str | None = None, budget: Budget | None = None) -> Report:
    """Count what a report says, after `plan` or a run over the same source.

    Args:
        warehouse: planned over, or run over.
        settings: depth and policy.
        by: a column of the source that says where a row came from.
        budget: whose audience is shown; default: at most as many bounces as sending services want.

    Raises:
        SourceError: nothing of the source was verified yet, or there is no such column.
    """
    now = datetime.now(timezone.utc)
    summary = warehouse.summary()
    if not summary.verified:
        raise SourceError(f"Nothing of {warehouse.name} was verified yet. Run first: mailvet verify")
    details = warehouse.details(now, by=by)
    if by is not None and any(stands_for_a_person(share.value) for share in details.sources):
        raise SourceError(
            f"The column {mask_text(by)} of {mask_text(warehouse.name)} holds addresses or other marks of single "
            "people, which no report may show. Choose a column that says where rows came from."
        )
    depth = (details.last_run or {}).get("depth") or settings.depth
    groups, base = warehouse.verdict_counts(), bounce_probability(Reason.not_probed)
    bounces = {
        name: expected_bounces(groups, wanted, confidence=_CONFIDENCE, unverified_bounce_rate=base)
        for name, wanted in SENDINGS.items()
    }
    audience = warehouse.choose(budget or Budget(_ACCEPTED_BOUNCES))
    return Report(warehouse.name, summary, details, Depth(depth), str(settings.policy), now, by, bounces, audience)


def write(path: Path, report: Report, mode: int = 0o600) -> None:
    """Write the file, complete or not at all.

    Args:
        path: of the HTML file.
        report: from `gather`.
        mode: permissions of a file that is new; one that exists keeps its own.

    Raises:
        SourceError: the disk or the folder refuses it.
    """
    try:
        with replaces(path, mode) as partial:
            partial.write_text(render(report), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"The report {path} cannot be written: {error.strerror or error}.") from None


def render(report: Report) -> str:
    """The whole page."""
    from mailvet import __version__

    sections = (
        _head(report, __version__),
        _advice(report.summary),
        _bounces(report),
        audience_section(report.audience) if report.audience is not None else "",
        _health(report),
        _layers(report),
        _reasons(report.summary),
        _operators(report.details),
        _pair(_due(report.details), _sources(report)),
        _foot(report),
    )
    template = Template(resources.files("mailvet.reports").joinpath("report.html").read_text("utf-8"))
    body = "\n".join(section for section in sections if section)
    title = f"{escape(printable(mask_text(report.source)))}: e-mail addresses"
    return template.substitute(title=title, version=escape(__version__), body=body)


# -------------------------------------------------------------------- small things


def _number(count: int) -> str:
    """12 345: with narrow spaces that do not break, which are not read as a decimal point."""
    return f"{count:,}".replace(",", "\u202f")


def _share(part: float, whole: float) -> str:
    return _percent(part / whole) if whole else "-"


def _percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "under 0.1\u202f%"
    return f"{100 * share:.1f}\u202f%"


def _bar(share: float, tone: str) -> str:
    filled = f'<i style="width:{_width(share)}"></i>' if share else ""
    return f'<div class="bar {tone}" aria-hidden="true">{filled}</div>'


def _stack(share: float, parts: Mapping[str, int]) -> str:
    """A bar of this share of the width, divided among its parts (tone -> count)."""
    pieces = "".join(f'<i class="{tone}" style="flex:{count}"></i>' for tone, count in parts.items() if count)
    return f'<div class="stack" aria-hidden="true" style="width:{_width(share)}">{pieces}</div>'


def _width(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table: what it is about, and its other cells as `<td>`."""

    name: str
    cells: tuple[str, ...]
    kind: str = ""


def _table(heads: Sequence[str], rows: Iterable[_Row], *, numbers: Sequence[int] = ()) -> str:
    """A table; each cell carries its head, which stands beside it where a phone has no room for columns."""
    columns = "".join(
        f'<th scope="col"{" class=n" if place in numbers else ""}>{head}</th>' for place, head in enumerate(heads)
    )
    lines = []
    for row in rows:
        cells = "".join(
            cell.replace("<td", f'<td data-head="{head}"', 1)
            for cell, head in zip(row.cells, heads[1:], strict=False)  # a cell may span the rest
        )
        lines.append(f'<tr class="{row.kind}"><th scope="row">{row.name}</th>{cells}</tr>')
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _row(name: str, *cells: str, kind: str = "") -> _Row:
    return _Row(name, cells, kind)


def _n(text: str) -> str:
    return f'<td class="n">{text}</td>'


def _wide(content: str) -> str:
    return f'<td class="wide">{content}</td>'


def _pair(*sections: str) -> str:
    found = [section for section in sections if section]
    return f'<div class="two">{"".join(found)}</div>' if len(found) > 1 else "".join(found)


# -------------------------------------------------------------------- sections


def _head(report: Report, version: str) -> str:
    run = report.details.last_run or {}
    facts = [f"{_number(report.summary.rows)} rows"]
    if report.summary.missing:
        facts.append(f"{_number(report.summary.missing)} without an address")
    facts += [f"depth {report.depth}", f"policy {escape(report.policy)}"]
    asked = ""
    if run.get("finished_at"):
        asked = (
            f"<br>Last run {run['finished_at']:%Y-%m-%d %H:%M} UTC: {_number(run.get('checked') or 0)} addresses in "
            f"{escape(duration_text(run.get('seconds') or 0.0))}, {_number(run.get('lookups') or 0)} domains looked "
            f"up, {_number(run.get('probes') or 0)} recipients named to mail servers, no message sent."
        )
    name = escape(printable(mask_text(report.source)))
    return f'<header><h1>{name}</h1><div class="soft">{" · ".join(facts)}{asked}</div></header>'


def _advice(summary: Summary) -> str:
    rows = summary.rows
    tiles = stack = ""
    for word, (label, meaning) in _ADVICE.items():
        count = summary.by_recommendation.get(str(word), 0)
        tiles += (
            f'<div class="tile {word}"><b>{_number(count)}</b>{label} · {_share(count, rows)}<br>'
            f"<span>{meaning}</span></div>"
        )
        if count:
            stack += f'<i class="{word}" style="flex:{count}"></i>'
    rest = rows - summary.verified
    note = ""
    if rest:
        stack += f'<i class="unseen" style="flex:{rest}"></i>'
    if summary.unverified:
        note = f'<p class="note">{_number(summary.unverified)} rows are not verified yet.</p>'
    return (
        f"<section><h2>What to do with the {_number(rows)} rows</h2>"
        f'<div class="tiles">{tiles}</div><div class="stack" aria-hidden="true">{stack}</div>{note}</section>'
    )


def _bounces(report: Report) -> str:
    found = {name: report.bounces.get(name) for name in _SENDINGS}
    highest = [estimate.high for estimate in found.values() if estimate is not None]
    if not highest:
        return ""
    scale = math.ceil(max(*highest, 2 * _ACCEPTED_BOUNCES) * 20) / 20
    lines = []
    for name, (label, tone) in _SENDINGS.items():
        estimate = found[name]
        if estimate is None:
            lines.append(_row(label, '<td colspan="4">nothing to send</td>'))
        else:
            lines.append(_bounce_row(label, estimate, scale, tone))
    unverified = report.summary.unverified
    counted = ""
    if unverified:
        rate = _percent(bounce_probability(Reason.not_probed))
        counted = f" {_number(unverified)} addresses are not verified yet; each counts with the base rate of {rate}."
    heads = ("", "addresses", "expected", f"{_CONFIDENCE:.0%} by chance", f"0 to {_percent(scale)}")
    return (
        f"<section><h2>Expected hard bounces</h2>{_table(heads, lines, numbers=(1, 2, 3))}"
        '<p class="note">Added up from the probabilities of the verdicts. The interval covers chance alone, were '
        "each of them right and every address on its own; probabilities that are off by a part move all figures by the "
        "same part."
        f"{counted} Sending services want it below {_percent(_ACCEPTED_BOUNCES)}.</p></section>"
    )


def _bounce_row(label: str, found: BounceEstimate, scale: float, tone: str) -> _Row:
    picture = (
        f'<div class="range {tone}" aria-hidden="true"><i style="width:{_width(found.rate / scale)}"></i>'
        f'<u style="left:{_width(found.low / scale)};width:{_width((found.high - found.low) / scale)}"></u></div>'
    )
    return _row(
        label,
        _n(_number(found.addresses)),
        _n(f"<b>{_percent(found.rate)}</b>"),
        _n(f"{_percent(found.low)} to {_percent(found.high)}"),
        f'<td class="wide range-cell">{picture}</td>',
    )


def _health(report: Report) -> str:
    summary, due = report.summary, report.details.reverify_due
    health = str((report.details.last_run or {}).get("health") or "ok")
    advice = summary.by_recommendation
    todo = []
    if health != "ok":
        todo.append(f"<b>{escape(mask_text(health))}</b>")
    if advice.get("do_not_send"):
        todo.append(f"Leave the {_number(advice['do_not_send'])} rows marked do_not_send out of every mailing.")
    for group in settled_by(summary.reverify, report.depth):
        todo.append(f"{_number(group.rows)} rows marked reverify; what settles them: {group.text}.")
    soon = due.get("overdue", 0) + due.get("1 day", 0)
    if advice.get("reverify") and soon:
        todo.append(
            f"Of the {_number(advice['reverify'])} rows marked reverify, {_number(soon)} of their addresses are due "
            "now or within a day. Only what is due is asked."
        )
    blocked = sum(summary.by_reason.get(reason, 0) for reason in ("sender_blocked", "sender_throttled"))
    if blocked:
        todo.append(
            f"Servers refused or slowed down this machine for {_number(blocked)} rows, which says nothing of the "
            "mailboxes; mailvet doctor tells what may be wrong with it."
        )
    if summary.by_reason.get("typo_domain"):
        todo.append(
            f"{_number(summary.by_reason['typo_domain'])} rows have a misspelt domain; see the column of suggestions."
        )
    tone = "send" if health == "ok" else "do_not_send"
    title = "The run was sound" if health == "ok" else "The run was degraded"
    items = "".join(f"<li>{item}</li>" for item in todo)
    return f'<section class="health {tone}"><h2>{title}</h2>{f"<ul>{items}</ul>" if items else ""}</section>'


def _layers(report: Report) -> str:
    layers = report.summary.by_layer
    if not layers:
        return ""
    total = max(next(iter(layers.values())).believed + next(iter(layers.values())).rows, 1)
    most = max(*(count.rows for count in layers.values()), 1)
    lines = []
    for layer, count in layers.items():
        asked = layer not in ASKED_FROM or ASKED_FROM[layer].rank <= report.depth.rank
        if not asked and not count.rows:
            lines.append(_row(LAYERS[layer], '<td class="soft" colspan="6">not asked at this depth</td>'))
            continue
        hidden = _share(count.bad_believed, count.believed)
        doubtful = count.rows - count.bad
        stack = _wide(_stack(count.rows / most, {"undeliverable": count.bad, "risky": doubtful}))
        before = (_n(_number(number)) for number in (count.addresses, count.bad, doubtful))
        after = (_n(_number(count.believed)), _n(f"{_number(count.bad_believed)} · {hidden}"))
        lines.append(_row(LAYERS[layer], *before, stack, *after))
    heads = (
        "first found by",
        "addresses",
        "undeliverable rows",
        "doubtful rows",
        "",
        "believed so far",
        "of these undeliverable",
    )
    return (
        "<section><h2>What each layer was worth</h2>"
        f'<p class="soft">Of {_number(total)} rows with an address. Each counts for the cheapest layer that found '
        "something wrong with it; the last two columns are what you would have believed had the check ended there.</p>"
        f"{_table(heads, lines, numbers=(1, 2, 3, 5, 6))}</section>"
    )


def _reasons(summary: Summary) -> str:
    rows = max(summary.rows, 1)
    most = max(summary.by_reason.values(), default=1)
    lines = []
    known = dict(summary.by_status)
    if any(word not in Reason.__members__ for word in summary.by_reason):
        known.setdefault(str(Status.unknown), 0)  # where reasons of another version stand
    for status, count in known.items():
        lines.append(
            _row(
                f"{escape(status)}<span class='soft mild'>: "
                f"{_STATUS.get(Status.stored(status), _OTHER_VERSION)}</span>",
                _n(f"<b>{_number(count)}</b>"),
                _n(_share(count, rows)),
                _wide(""),
                kind=f"group {status}",
            )
        )
        for word, number in summary.by_reason.items():
            rule = REASONS[Reason.stored(word)]
            if str(rule.status) == status:
                name = f"{escape(rule.meaning)} <span class='soft'>{escape(word)}</span>"
                bar = _bar(number / most, status)
                lines.append(_row(name, _n(_number(number)), _n(_share(number, rows)), _wide(bar), kind="reason"))
    table = _table(("", "rows", "share", ""), lines, numbers=(1, 2))
    return f'<section class="long"><h2>What is known, and why</h2>{table}</section>'


def _operators(details: Details) -> str:
    if not details.operators:
        return ""
    labels = {operator.name: operator.label for operator in operators()}
    total = max(operator.addresses for operator in details.operators)
    lines = []
    for operator in details.operators:
        parts = "".join(
            f'<i class="{status}" style="flex:{operator.by_status[status]}"></i>'
            for status in map(str, _STATUS)
            if operator.by_status.get(status)
        )
        stack = (
            f'<div class="stack" aria-hidden="true" style="width:{_width(operator.addresses / total)}">{parts}</div>'
        )
        counts = [_n(_number(operator.by_status.get(str(status), 0))) for status in _STATUS]
        name = escape(mask_text(labels.get(operator.name, operator.name)))
        lines.append(_row(name, _n(_number(operator.addresses)), *counts, _wide(stack)))
    more = ""
    if details.other_operators:
        more = f'<p class="note">And {_number(details.other_operators)} more operators.</p>'
    heads = ("who runs the mail servers", "addresses", *map(str, _STATUS), "")
    return f"<section><h2>Operators</h2>{_table(heads, lines, numbers=(1, 2, 3, 4, 5))}{more}</section>"


def _due(details: Details) -> str:
    if not details.due:
        return ""
    most = max(details.due.values())
    lines = [
        _row(_DUE[label], _n(_number(count)), _wide(_bar(count / most, "reverify")))
        for label, count in details.due.items()
    ]
    table = _table(("", "addresses", ""), lines, numbers=(1,))
    return f"<section><h2>When addresses fall due again</h2>{table}</section>"


def _sources(report: Report) -> str:
    if not report.details.sources:
        return ""
    lines = []
    for share in report.details.sources:
        bad = share.by_recommendation.get("do_not_send", 0)
        name = escape(mask_text(share.value)) or "<span class='soft'>(empty)</span>"
        lines.append(_row(name, _n(_number(share.rows)), _n(_share(bad, share.rows)), _n(_percent(share.bounce))))
    more = ""
    if report.details.other_sources:
        more = f'<p class="note">And {_number(report.details.other_sources)} more.</p>'
    heads = (escape(mask_text(report.by or "")), "rows", "do not send", "expected bounces")
    title = "Where the rows came from"
    return f"<section><h2>{title}</h2>{_table(heads, lines, numbers=(1, 2, 3))}{more}</section>"


def _foot(report: Report) -> str:
    return (
        f"<footer>Written {report.made_at:%Y-%m-%d %H:%M} UTC from the stored verdicts. No addresses are contained. A "
        "score is 100 · (1 - P(hard bounce)); reasons, policies and weights are explained in the documentation of "
        "mailvet.</footer>"
    )
