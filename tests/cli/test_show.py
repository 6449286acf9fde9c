"""What people see: plans, progress, summaries, one verdict explained."""

from __future__ import annotations

import io
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mailvet.cli.progress import LogWatcher, TerminalWatcher
from mailvet.cli.show import show_plan, show_result
from mailvet.cli.show_verdict import explain
from mailvet.probing.pool import OperatorProgress
from mailvet.reports.text import duration_text
from mailvet.runs.forecast import Forecast
from mailvet.runs.results import Progress, RunResult
from mailvet.verdict import Evidence, Verdict
from mailvet.vocabulary import Depth, Reason, Recommendation, Status
from mailvet.warehouse.store import Plan, Summary

PLAN = Plan(rows=1500, missing=40, addresses=1300, due=900, domains=(("acme.test", 900),))
SUMMARY = Summary(
    rows=1500,
    missing=40,
    verified=1500,
    by_status={"deliverable": 800, "undeliverable": 500, "unknown": 200},
    by_reason={"mailbox_accepted": 800, "mailbox_not_found": 460, "dns_timeout": 200, "syntax_invalid": 40},
    by_recommendation={"send": 800, "do_not_send": 500, "reverify": 200},
    bounce_before=0.315,
    bounce_after=0.01,
    bounce_without_do_not_send=0.04,
)
BUSY = (
    OperatorProgress("acme.test", 50, 1200, 3, "3 of 5 connections"),
    OperatorProgress("other.test", 10, 30, 0, "pausing 4 s"),
    OperatorProgress("strict.test", 3, 0, 0, "stopped: it refuses us"),
    OperatorProgress("idle.test", 3, 0, 0, "done"),
)


def result(**changed: Any) -> RunResult:
    values: dict[str, Any] = {
        "run_id": "r",
        "source": "contacts in crm.duckdb",
        "depth": "smtp",
        "policy": "marketing",
        "plan": PLAN,
        "summary": SUMMARY,
        "checked": 900,
        "written": 850,
        "probes": 700,
        "lookups": 90,
        "seconds": 12.3,
        "degraded": None,
        "operators": BUSY,
    }
    return RunResult(**(values | changed))


def screen(width: int = 80, *, colour: bool = False) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (9000, "2.5 h")]
)
def test_spans_of_time_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_fits_its_terminal_and_says_what_to_do_and_why(width: int) -> None:
    console = screen(width)
    show_result(console, result())
    shown = text_of(console)
    assert max(map(len, shown.splitlines())) <= width
    for said in (
        "1,500 rows",
        "900 addresses",
        "no message sent",
        "do not send",
        "33.3 %",
        "mailbox_not_found",
        "460",
        "31.5 %",
        "1.0 %",
        "850 rows changed",
        "strict.test",
    ):
        assert said in shown
    assert "idle.test" not in shown
    assert "Degraded" not in shown


def test_each_reason_stands_under_its_status() -> None:
    console = screen()
    show_result(console, result())
    lines = [line.split()[0] for line in text_of(console).splitlines() if line.split()]
    order = [
        lines.index(word) for word in ("undeliverable", "mailbox_not_found", "syntax_invalid", "unknown", "dns_timeout")
    ]
    assert order == sorted(order)


def test_a_degraded_run_says_so_last() -> None:
    console = screen()
    show_result(console, result(degraded="No DNS answers. Check [dns] nameservers."))
    last = text_of(console).strip().splitlines()[-1]
    assert last == "Degraded: No DNS answers. Check [dns] nameservers."


def test_brackets_in_names_are_shown_as_they_are() -> None:
    console = screen(200)
    show_result(console, result(source="list[1].csv", outputs=[Path("out[red].csv")]))
    show_plan(console, "list[bold].csv", PLAN, Forecast({"acme.test": 900}, 60))
    for name in ("list[1].csv", "out[red].csv", "list[bold].csv"):
        assert name in text_of(console)


def test_the_time_left_is_that_of_the_slowest_queue() -> None:
    slow = OperatorProgress("slow.test", 1, 0, 1, "1 of 5 connections", seconds_left=110.0)
    idle = OperatorProgress("idle.test", 900, 0, 0, "done")
    assert Progress(1000, 999, 10.0, (idle,)).seconds_left == pytest.approx(0.01, abs=0.001)
    assert Progress(1000, 999, 10.0, (idle, slow)).seconds_left == 110
    assert Progress(1000, 10, 10.0, (slow,)).seconds_left == 990
    assert Progress(1000, 999, 10.0, (slow,), retry_in=300.0).seconds_left == 300
    assert Progress(1000, 1000, 10.0, (slow,)).seconds_left == 0
    assert Progress(1000, 0, 10.0, (slow,)).seconds_left is None
    console = screen(100, colour=True)
    with TerminalWatcher(console) as watcher:
        watcher.progressed(Progress(1000, 999, 10.0, (idle, slow)))
    assert "110 s left" in text_of(console)


def test_a_source_without_rows_has_a_summary() -> None:
    console = screen()
    empty = Summary(0, 0, 0, {}, {}, {}, None, None)
    show_result(console, result(summary=empty, plan=Plan(0, 0, 0, 0), checked=0, written=0, operators=()))
    assert "0 rows" in text_of(console)
    assert "Expected hard bounces" not in text_of(console)


def test_when_nothing_may_be_sent_the_summary_says_so() -> None:
    console = screen(120)
    summary = Summary(1, 0, 1, {"unknown": 1}, {"not_probed": 1}, {"reverify": 1}, 0.1, None, 0.1)
    show_result(console, result(summary=summary))
    assert "10.0 % if all but do_not_send, nothing to send if only what is recommended" in " ".join(
        text_of(console).split()
    )


def test_the_plan_says_how_long_and_where() -> None:
    console = screen()
    groups = {f"operator-{number:02}": 100 - number for number in range(20)}
    show_plan(console, "contacts.csv", PLAN, Forecast(groups, 7200, dict.fromkeys(groups, 600.0), 812))
    shown = text_of(console)
    for said in (
        "1,500",
        "1,300",
        "900",
        "2.0 h",
        "servers: 812",
        "expected time",
        "10 min",
        "No server was asked",
        "operator-00",
        "5 more",
    ):
        assert said in shown
    assert "operator-16" not in shown


def test_a_plan_with_nothing_due_says_so() -> None:
    console = screen()
    show_plan(console, "contacts.csv", Plan(10, 0, 10, 0), Forecast({}, 0))
    assert "Nothing is due" in text_of(console)


def progress(done: int, due: int = 900) -> Progress:
    return Progress(due=due, done=done, seconds=10.0, operators=BUSY)


def test_log_lines_come_now_and_then_and_once_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    watcher = LogWatcher(every=3600)
    with caplog.at_level(logging.INFO, "mailvet"):
        watcher.planned("contacts.csv", PLAN)
        for done in (0, 10, 500, 900, 900):
            watcher.progressed(progress(done))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "contacts.csv",
        "900 of 900 addresses (100 %), 90/s, done",
    ]


def test_a_log_line_names_the_busiest_operators(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mailvet"):
        LogWatcher(every=0).progressed(progress(90))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "90 of 900" in line
    assert "acme.test: 1,200 waiting, 3 of 5 connections" in line
    assert "about 90 s left" in line


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_shows_who_is_waited_for(width: int) -> None:
    console = screen(width, colour=True)
    with TerminalWatcher(console) as watcher:
        watcher.planned("contacts[1].csv", PLAN)
        watcher.progressed(progress(0))
        watcher.progressed(progress(450))
    shown = text_of(console)
    for said in ("contacts[1].csv", "50 %", "450 of 900", "1,200", "pausing 4 s", "stopped: it refuses us"):
        assert said in shown
    assert "idle.test" not in shown


def test_a_rate_is_not_guessed_before_there_is_one() -> None:
    assert progress(0).seconds_left is None
    assert Progress(10, 0, 0.0, ()).rate == 0
    assert progress(450).seconds_left == pytest.approx(10)


def verdict(**changed: Any) -> Verdict:
    values: dict[str, Any] = {
        "email_key": "0" * 64,
        "email": "ann@acme.test",
        "status": Status.undeliverable,
        "reason": Reason.mailbox_not_found,
        "recommendation": Recommendation.do_not_send,
        "score": 2,
        "suggestion": "ann@acme.example",
        "flags": ("role", "probed"),
        "domain": "acme.test",
        "operator": "acme.test",
        "mx_host": "mx.acme.test",
        "smtp_code": 550,
        "smtp_reply": "5.1.1 [unknown]",
        "depth": Depth.smtp,
        "evidence": (Evidence("route", "route_found", "mx.acme.test"),),
        "checked_at": datetime(2026, 11, 1, 9, 30, tzinfo=timezone.utc),
        "next_check_at": datetime(2027, 5, 1, tzinfo=timezone.utc),
        "attempts": 2,
    }
    return Verdict(**(values | changed))


def test_an_explanation_holds_the_whole_trace() -> None:
    console = screen(120)
    console.print(explain(verdict()))
    for said in (
        "ann@acme.test",
        "mailbox_not_found: the server says that there is no such mailbox",
        "do_not_send",
        "2 of 100",
        "98 %",
        "ann@acme.example",
        "role, probed",
        "mx.acme.test · acme.test",
        "550 5.1.1 [unknown]",
        "route_found",
        "2026-11-01 09:30 UTC",
        "2 verdicts alike",
        "2027-05-01",
    ):
        assert said in text_of(console)


def test_a_verdict_without_address_or_date_is_explained_too() -> None:
    console = screen(120)
    console.print(explain(verdict(email=None, checked_at=None, next_check_at=None, flags=(), evidence=())))
    assert "never" in text_of(console)
    assert "None" not in text_of(console)


def test_a_local_part_that_the_operator_does_not_give_out_is_explained() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(explain(verdict(domain="gmail.com", flags=("local_part_unlikely",))))
    assert "gmail.com gives out 6 to 30 letters and digits" in console.file.getvalue()  # type: ignore[attr-defined]
