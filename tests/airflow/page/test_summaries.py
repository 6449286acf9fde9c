"""Reading summaries out of XComs, grouping them, and saying what they mean."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mailvet.plugin import charts, pages
from airflow_provider_mailvet.plugin.advice import advise
from airflow_provider_mailvet.plugin.stored import find_runs, verify_tasks
from airflow_provider_mailvet.plugin.summaries import Instance, Run, in_series, masked
from tests.airflow.page.metadata import summary

NOW = datetime(2026, 3, 1, 8, tzinfo=timezone.utc)
HERE = Instance("campaign", "run", "verify", -1, "success", "MailvetVerifyOperator")


def read(value: object, instance: Instance = HERE) -> Run:
    run = Run.of(value, instance, NOW)
    assert run is not None
    return run


def told(run: Run, before: Run | None = None) -> str:
    return " | ".join(f"{advice.level}: {advice.title}. {advice.text}" for advice in advise(run, before))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional={name: ANYTHING for name in summary(NOW, 100)}))
def test_whatever_an_xcom_holds_a_page_can_be_made_of_it(value: dict[str, Any]) -> None:
    run = read(value | {"mailvet": 1})
    frame = {"nonce": "n", "base": "/mailvet", "airflow": "", "now": NOW}
    assert b"What to do" in pages.render("run.html", run=run, before=run, **frame).encode()


def test_half_a_surrogate_pair_does_not_break_a_page() -> None:
    run = read({"mailvet": 1, "source": "a\ud800b", "by_reason": {"\udc00": 1}, "health": "\ud83d"})
    frame = {"nonce": "n", "base": "/mailvet", "airflow": "", "now": NOW}
    assert b"a?b" in pages.render("run.html", run=run, before=None, **frame).encode()


@pytest.mark.parametrize("value", [None, 1, "text", [1], {}, {"mailvet": 2}, {"mailvet": "1"}, "{", "[1]"])
def test_what_is_no_summary_is_not_read(value: object) -> None:
    assert Run.of(value, HERE, NOW) is None


def test_a_summary_stored_as_text_is_read_too() -> None:
    assert read(json.dumps(summary(NOW, 100))) == read(summary(NOW, 100))


def test_reasons_of_another_version_are_shown_last() -> None:
    run = read({"mailvet": 1, "by_reason": {"brand_new": 900, "other": 5, "mailbox_accepted": 3}})
    assert list(run.by_reason) == ["mailbox_accepted", "brand_new", "other"]


@pytest.mark.parametrize(
    "text",
    ["RCPT TO:<ann.lee@example.com>", "mailto:ann.lee@example.com", "'ann.lee@example.com'", "(ann.lee@example.com)"],
)
def test_addresses_in_text_are_masked(text: str) -> None:
    assert "a***@example.com" in masked(text)
    assert "ann.lee" not in masked(text)


def test_an_address_is_masked_before_a_text_is_cut() -> None:
    health = "x" * 290 + " ann.lee@example.com"
    assert "ann" not in read({"mailvet": 1, "health": health}).health


def test_runs_over_one_table_are_one_series_the_newest_first() -> None:
    days = [NOW - timedelta(days=day) for day in range(3)]
    runs = [read(summary(day, 100), Instance("campaign", str(day), "verify", -1, "success")) for day in days]
    other = read(summary(days[1], 50) | {"table": "leads"})
    first, second = in_series([runs[0], other, *runs[1:]])
    assert [run.at for run in first.runs] == days
    assert second.last.table == "leads"
    assert first.key != second.key


def test_shards_that_report_the_whole_table_are_not_added_up() -> None:
    parts = [read(summary(NOW, 1000), Instance("m", "run", "verify", index, "success")) for index in range(3)]
    (series,) = in_series(parts)
    assert series.last.rows == parts[0].rows
    assert series.last.checked == 3 * parts[0].checked
    assert series.last.shards == 3


def test_shards_that_report_their_own_rows_are_added_up() -> None:
    parts = [
        read(summary(NOW, rows) | {"bounce_before": bounce}, Instance("m", "run", "verify", rows, "success"))
        for rows, bounce in ((1000, 0.1), (3000, 0.2))
    ]
    (series,) = in_series(parts)
    assert series.last.rows == parts[0].rows + parts[1].rows
    assert series.last.judged == parts[0].judged + parts[1].judged
    assert series.last.bounce_before == pytest.approx(0.175, abs=0.001)
    assert series.last.operators[0].asked == 2 * parts[0].operators[0].asked


# --------------------------------------------------------------------------- advice


def test_a_degraded_run_comes_first_and_accuses_nobody() -> None:
    text = told(read(summary(NOW, 1000) | {"health": "Port 25 is closed"}))
    assert text.startswith("bad: The run was degraded. Port 25 is closed. Nothing was guessed")


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        ("sender_blocked", "mailvet doctor"),
        ("connect_failed", "port 25"),
        ("dns_timeout", "resolver"),
        ("sender_throttled", "max_addresses"),
    ],
)
def test_what_keeps_many_rows_from_an_answer_is_said_with_a_remedy(reason: str, part: str) -> None:
    value = summary(NOW, 1000) | {"operators": []}
    assert part not in told(read(value))
    value["by_reason"] = value["by_reason"] | {reason: 300}
    assert part in told(read(value))


def test_a_rise_of_bad_rows_is_noticed_and_a_fall_is_not() -> None:
    good, bad = (summary(NOW, 1000) | {"by_status": {"deliverable": 100 - bad, "undeliverable": bad}} for bad in (3, 9))
    assert "Undeliverable rows rose by 6.0 points to 9.0 %" in told(read(bad), read(good))
    assert "rose" not in told(read(good), read(bad))


def test_waiting_addresses_say_from_when_on_they_are_asked() -> None:
    value = summary(NOW, 1000) | {"pending": 1, "next_check_at": "2026-03-01T08:30:00+00:00"}
    assert "1 address waits to be asked again. " in told(read(value))
    assert "from 01 Mar 08:30 UTC on" in told(read(value))


def test_an_empty_table_is_no_failure() -> None:
    assert told(read({"mailvet": 1})).startswith("info: No row has a verdict yet")


# --------------------------------------------------------------------------- charts


def test_the_parts_of_a_bar_fill_it() -> None:
    drawn = str(charts.bar({"send": 1, "reverify": 2, "do_not_send": 5}, label="Rows"))
    assert 'x="375.00" width="625.00"' in drawn
    assert "do not send: 5 (62.5 %)" in drawn


def test_a_chart_ends_with_the_newest_run_at_the_right() -> None:
    runs = [read(summary(NOW - timedelta(days=day), 100) | {"started_at": None}) for day in range(1)]
    runs += [read(summary(NOW - timedelta(days=5), 100) | {"started_at": "2026-02-24T08:00:00+00:00"})]
    drawn = str(charts.columns(runs, words=pages.STATUSES, label="Status"))
    assert drawn.index("24 Feb 2026") < drawn.index("01 Mar 2026")


# ------------------------------------------------------------------ the metadata database


def test_the_newest_are_found_and_no_more_than_asked_for(recorded: dict[str, str]) -> None:
    from airflow.utils.session import create_session

    verify_tasks.forget()
    with create_session() as session:
        first = find_runs(session, {"campaign", "newsletter"}, limit=1)
        assert [run.instance.run_id for run in first.runs] == [recorded["newest"]]
        assert first.truncated
        everything = find_runs(session, {"campaign"})
        assert not everything.truncated
        assert everything.runs[0].instance.run_id == recorded["newest"]
        assert everything.unreadable == 3
        assert not find_runs(session, set()).runs
