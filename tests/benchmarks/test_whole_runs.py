"""Whole runs in the lab's worlds: what is counted, and where it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import accuracy_page, judgement, whole_runs
from mailvet.lab import World

ABOUT = {"date": "2026-12-01", "python": "CPython"}


def verdict(status: str, reason: str, advice: str) -> dict[str, str]:
    return {"mailvet_status": status, "mailvet_reason": reason, "mailvet_recommendation": advice}


ACCEPTED = verdict("deliverable", "mailbox_accepted", "send")
NOT_FOUND = verdict("undeliverable", "mailbox_not_found", "do_not_send")
OPEN = verdict("unknown", "greylisted", "reverify")


def world() -> World:
    world = World().host("mx.tells.test").domain("tells.test", [(10, "mx.tells.test")]).mailbox("ann@tells.test")
    world.host("mx.bans.test", "bans_for_the_day").domain("bans.test", [(10, "mx.bans.test")])
    world.host("mx.later.test", "unknown_for_now").domain("later.test", [(10, "mx.later.test")])
    return world.mailbox("ann@bans.test").mailbox("ann@later.test")


@pytest.mark.parametrize(
    ("address", "found", "counted"),
    [
        ("ann@tells.test", ACCEPTED, {"living", "told_living", "told_living_sent"}),
        ("ann@tells.test", NOT_FOUND, {"living", "living_undeliverable", "living_do_not_send", "told_living"}),
        ("ann@tells.test", OPEN, {"living", "told_living"}),
        ("eve@tells.test", NOT_FOUND, {"told_dead", "knowable_dead", "knowable_dead_caught"}),
        ("eve@tells.test", ACCEPTED, {"told_dead", "told_dead_accepted", "knowable_dead"}),
        ("ann@bans.test", NOT_FOUND, {"living", "living_undeliverable", "living_do_not_send"}),
        ("ann@bans.test", OPEN, {"living"}),
        ("eve@bans.test", ACCEPTED, {"other_dead_accepted"}),
        ("eve@bans.test", OPEN, set()),
        ("eve@later.test", OPEN, {"told_dead"}),
        ("eve@later.test", ACCEPTED, {"told_dead", "told_dead_accepted"}),
        ("ann@later.test", ACCEPTED, {"living", "told_living", "told_living_sent"}),
    ],
)
def test_an_address_counts_where_its_server_lets_it_be_known(
    address: str, found: dict[str, str], counted: set[str]
) -> None:
    figures = whole_runs._figures([(world().truth(address), found)])
    assert {name for name, times in figures.items() if name != "reasons" and times} == counted


def run(**figures: int) -> dict[str, Any]:
    counts = whole_runs._figures([]) | figures
    return {
        "world": "hostile",
        "seed": 7,
        "rows": 60,
        "exit": 0,
        "seconds": 1.0,
        "figures": counts,
        "profiles": {"bans_20s": counts},
        "rcpt": 5,
        "connections": 2,
        "data": 0,
        "peak": 1,
        "over_cap": {},
    }


def test_the_page_names_the_profiles_where_something_was_wrong() -> None:
    assert "`bans_20s`" in whole_runs.markdown([run(living=3, living_undeliverable=1)], ABOUT)
    assert "`bans_20s`" not in whole_runs.markdown([run(living=3)], ABOUT)


def test_each_part_leaves_what_the_other_has_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judgement, "markdown", lambda figures, about: f"# Accuracy\n\njudged {figures['n']}\n")
    page = tmp_path / "accuracy.md"
    accuracy_page.write(tmp_path, {"judgement": {"n": 1}}, ABOUT)
    assert page.read_text() == "# Accuracy\n\njudged 1\n"
    accuracy_page.write(tmp_path, {"worlds": {"runs": [run(living=4)]}}, ABOUT)
    first = page.read_text()
    assert first.startswith("# Accuracy\n\njudged 1\n")
    assert "0 of 4" in first
    accuracy_page.write(tmp_path, {"judgement": {"n": 2}, "worlds": {"error": "failed"}}, ABOUT)
    assert page.read_text() == first.replace("judged 1", "judged 2")
    accuracy_page.write(tmp_path, {"worlds": {"runs": [run(living=5)]}}, ABOUT)
    assert page.read_text() == first.replace("judged 1", "judged 2").replace("0 of 4", "0 of 5")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", "hostile"])
def test_a_run_is_measured_from_the_contacts_to_the_verdicts(name: str) -> None:
    measured = whole_runs.measure_one(name, 8, 60, "0s")
    figures = measured["figures"]
    assert figures["living"] > 15
    assert figures["told_living_sent"] > 0
    assert measured["data"] == 0
    assert measured["rcpt"] >= figures["told_living_sent"]
    for each in ("living", "knowable_dead"):
        assert sum(of[each] for of in measured["profiles"].values()) == figures[each]
