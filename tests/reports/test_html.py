"""The HTML report: complete, escaped, without addresses, fit for a browser without a network."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.gates import SENDINGS, BounceEstimate
from mailvet.reports.html import Report, check_path, render, write
from mailvet.vocabulary import REASONS, Depth
from mailvet.warehouse.attribution import Group, by_layer
from mailvet.warehouse.store import Details, OperatorShare, SourceShare, Summary

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=timezone.utc)
SUMMARY = Summary(
    rows=12_500,
    missing=40,
    verified=12_500,
    by_status={"deliverable": 8_000, "undeliverable": 3_500, "unknown": 1_000},
    by_reason={"mailbox_accepted": 8_000, "mailbox_not_found": 3_460, "greylisted": 1_000, "syntax_invalid": 40},
    by_recommendation={"send": 8_000, "do_not_send": 3_500, "reverify": 1_000},
    bounce_before=0.315,
    bounce_after=0.01,
    bounce_without_do_not_send=0.02,
    by_layer=by_layer(
        [
            Group("mailbox_accepted", False, False, False, 7_900, 8_000),
            Group("mailbox_not_found", False, False, False, 3_400, 3_460),
            Group("greylisted", False, False, False, 900, 1_000),
        ]
    ),
)
BOUNCES = {
    "everything": BounceEstimate(12_460, 0.315, 0.307, 0.323),
    "without_do_not_send": BounceEstimate(9_000, 0.02, 0.01, 0.03),
    "send": BounceEstimate(8_000, 0.01, 0.008, 0.012),
}
DETAILS = Details(
    operators=(
        OperatorShare("google", 5_000, {"deliverable": 4_000, "undeliverable": 1_000}),
        OperatorShare("acme.test", 700, {"unknown": 700}),
    ),
    other_operators=17,
    due={"overdue": 3, "1 day": 900, "90 days": 8_000, "never": 40},
    reverify_due={"1 day": 870, "90 days": 130},
    sources=(
        SourceShare("web form", 9_000, {"send": 6_000, "do_not_send": 3_000}, 0.25),
        SourceShare("", 3_500, {"send": 2_000}, 0.0001),
    ),
    other_sources=2,
    last_run={
        "run_id": "r",
        "finished_at": datetime(2026, 11, 22, 12, 0),
        "checked": 11_000,
        "seconds": 190.0,
        "lookups": 400,
        "probes": 9_500,
        "health": "ok",
        "depth": "smtp",
    },
)


def page(summary: Summary = SUMMARY, details: Details = DETAILS, **changed: Any) -> str:
    values: dict[str, Any] = {
        "source": "contacts in crm.duckdb",
        "depth": Depth.smtp,
        "policy": "marketing",
        "made_at": NOW,
        "by": "signup_source",
        "bounces": BOUNCES,
    }
    return render(Report(summary=summary, details=details, **(values | changed)))


class Reader(HTMLParser):
    """Text, tags and what is fetched; complains where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\u202f", " ").split())


def read(*arguments: Any, **changed: Any) -> Reader:
    return Reader(page(*arguments, **changed))


def test_the_page_says_what_to_do_why_and_when() -> None:
    text = read().text
    for said in (
        "contacts in crm.duckdb",
        "12 500 rows",
        "40 without an address",
        "64.0 %",
        "28.0 %",
        "31.5 %",
        "30.7 % to 32.3 %",
        "1.0 %",
        "0.8 % to 1.2 %",
        "the server says that there is no such mailbox",
        "mailbox_not_found",
        "3 460",
        "Google (Gmail and Workspace)",
        "acme.test",
        "And 17 more operators",
        "within a day",
        "never again",
        "web form",
        "33.3 %",
        "under 0.1 %",
        "signup_source",
        "(empty)",
        "The run was sound",
        "870 of their addresses are due now or within a day",
        "11 000 addresses in 3 min",
        "no message sent",
        "2026-11-22 12:30 UTC",
        "history and own lists",
        "3 460 · 27.8 %",
    ):
        assert said in text, said


def test_nothing_is_fetched_and_no_script_runs() -> None:
    reader = read()
    assert reader.links == []
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    source = page()
    assert "://" not in source
    assert "url(" not in source
    assert "@import" not in source


def test_names_from_outside_are_shown_and_never_run() -> None:
    evil = '<script>alert("1")</script>&amp;${x}$title'
    details = Details(
        operators=(OperatorShare(evil, 1, {"unknown": 1}),),
        sources=(SourceShare(evil, 1, {}, 0.5),),
        last_run={"health": evil, "depth": "smtp"},
    )
    reader = read(details=details, source=evil, by=evil)
    assert "script" not in reader.tags
    assert reader.text.count(evil) == 6  # title and heading, health, operator, column, source
    assert "<title>&lt;script&gt;" in page(source=evil)


def test_an_address_in_a_name_is_masked() -> None:
    details = Details(
        sources=(SourceShare("imported by ann.lee@acme.test", 5, {}, 0.5),),
        last_run={"health": "bob.ray@acme.test said no", "depth": "smtp"},
    )
    source = page(details=details, source="ann.lee@acme.test.csv", by="of cid.moe@acme.test")
    for name in ("ann.lee", "bob.ray", "cid.moe"):
        assert name not in source
    assert "a***@acme.test" in source


def test_a_degraded_run_says_so_and_what_to_do() -> None:
    details = Details(last_run={"health": "No DNS answers. Check [dns] nameservers.", "depth": "smtp"})
    text = read(details=details).text
    assert "The run was degraded" in text
    assert "Check [dns] nameservers." in text


def test_layers_that_were_not_asked_say_so() -> None:
    assert "not asked at this depth" not in read().text
    assert read(depth=Depth.dns).text.count("not asked at this depth") == 0  # SMTP found something in an earlier run
    only_syntax = Summary(
        1,
        0,
        1,
        {"undeliverable": 1},
        {"syntax_invalid": 1},
        {"do_not_send": 1},
        1.0,
        None,
        by_layer=by_layer([Group("syntax_invalid", False, False, False, 1, 1)]),
    )
    assert read(only_syntax, depth=Depth.dns).text.count("not asked at this depth") == 1
    assert read(only_syntax, depth=Depth.offline).text.count("not asked at this depth") == 2


@pytest.mark.parametrize(
    "summary",
    [
        Summary(0, 0, 0, {}, {}, {}, None, None),
        Summary(5, 5, 5, {"undeliverable": 5}, {"syntax_invalid": 5}, {"do_not_send": 5}, None, None),
        Summary(9, 0, 3, {"unknown": 3}, {"not_probed": 3}, {"reverify": 3}, 0.12, None, unverified=6),
        Summary(1, 0, 1, {"deliverable": 1}, {"mailbox_accepted": 1}, {"send": 1}, 0.0, 0.0),
    ],
    ids=["no rows", "only blank rows", "not all verified", "no bounces at all"],
)
def test_odd_tables_have_a_page_too(summary: Summary) -> None:
    rates = (summary.bounce_before, summary.bounce_without_do_not_send, summary.bounce_after)
    bounces = {
        name: None if rate is None else BounceEstimate(summary.rows - summary.missing, rate, rate, rate)
        for name, rate in zip(SENDINGS, rates, strict=True)
    }
    reader = read(summary, Details(), bounces=bounces)
    assert "None" not in reader.text
    assert "nan" not in reader.text
    if summary.unverified:
        assert "6 rows are not verified yet" in reader.text
        assert "6 addresses are not verified yet; each counts with the base rate of 12.0 %" in reader.text
    if summary.bounce_before is not None and summary.bounce_after is None:
        assert "nothing to send" in reader.text


def test_every_reason_can_stand_in_a_report() -> None:
    reasons = {str(reason): 1 for reason in REASONS}
    statuses = {str(rule.status): 1 for rule in REASONS.values()}
    text = read(Summary(9, 0, 9, statuses, reasons, {"send": 9}, 0.1, 0.1), Details()).text
    assert all(rule.meaning in text for rule in REASONS.values())


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    report = Report("contacts", SUMMARY, DETAILS, Depth.smtp, "marketing", NOW)
    path = tmp_path / "report.html"
    write(path, report)
    assert path.read_text("utf-8") == render(report)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(SourceError, match="cannot be written"):
        write(tmp_path / "nowhere" / "report.html", report)


def test_a_place_that_cannot_be_written_is_named_before_the_run(tmp_path: Path, monkeypatch: Any) -> None:
    check_path(tmp_path / "report.html")
    with pytest.raises(SettingsError, match="a folder"):
        check_path(tmp_path)
    with pytest.raises(SettingsError, match="There is no folder"):
        check_path(tmp_path / "nowhere" / "report.html")
    closed = tmp_path / "closed"
    closed.mkdir(mode=stat.S_IRUSR)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    with pytest.raises(SettingsError, match="may not be written"):
        check_path(closed / "report.html")
