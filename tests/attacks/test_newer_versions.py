"""What a newer version of mailvet wrote is shown as it is; an older version neither fails on it nor changes it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest
from rich.console import Console

from ge_expectations.tally import Tally
from mailvet.cli.show import show_summary
from mailvet.cli.show_verdict import explain
from mailvet.policies import recommend
from mailvet.reports import html as html_report
from mailvet.settings import Settings
from mailvet.verdict import Verdict
from mailvet.vocabulary import Depth, Policy, Reason
from tests.attacks.counting import Tried
from tests.warehouse.answers import NOW, answers, plan_of
from tests.warehouse.places import Place

_NEW = "quarantined_by_moonlight"


def _row() -> dict[str, object]:
    row: dict[str, object] = answers({"ann@a.test": "mailbox_accepted"}).to_pylist()[0]
    facts: Sequence[dict[str, object]] = [{"layer": "moon", "fact": _NEW, "detail": "full", "phase": 4}]
    return row | {"reason": _NEW, "evidence": json.dumps(facts), "depth": "lunar"}


def test_a_verdict_of_a_newer_version_is_read_and_shown() -> None:
    verdict = Verdict.from_row(_row())
    assert str(verdict.reason) == _NEW
    assert verdict.as_dict()["reason"] == _NEW
    out = io.StringIO()
    Console(file=out, width=100).print(explain(verdict))
    assert _NEW in out.getvalue()
    assert "deliverable" in out.getvalue()


def test_a_word_of_ones_own_is_still_checked() -> None:
    with pytest.raises(ValueError, match=_NEW):
        Reason(_NEW)
    assert _NEW not in Reason.__members__
    assert str(recommend(Reason.stored(_NEW), Policy.marketing, 50, 1)) == "reverify"


def test_a_table_with_a_newer_reason_is_counted_reported_and_kept(place: Place, tmp_path: Path, tried: Tried) -> None:
    tried("verdicts of a newer version", 1)
    place.contacts("ann@a.test", "bob@b.test")
    warehouse = place.opened()
    plan_of(warehouse)
    warehouse.open_for_writing()
    warehouse.save(answers({"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_not_found"}))
    place.sql(f"update mailvet_verdicts set reason = '{_NEW}', recommendation = 'send' where email = 'ann@a.test'")
    warehouse.apply_policy()
    warehouse.write_back(("status", "reason", "recommendation"))
    found = place.sql("select mailvet_reason, mailvet_recommendation from contacts where id = 1")
    assert found == [(_NEW, "send")]
    summary = warehouse.summary()
    assert summary.by_reason[_NEW] == 1
    assert summary.by_recommendation["send"] == 1
    assert sum(group.rows for group in warehouse.verdict_counts() if group.recommendation == "send") == 1
    out = io.StringIO()
    show_summary(Console(file=out, width=100), summary, Depth.smtp)
    assert _NEW in out.getvalue()
    report = tmp_path / "report.html"
    html_report.write(report, html_report.gather(warehouse, Settings(depth="offline")))
    assert _NEW in report.read_text()
    warehouse.details(NOW)


def test_great_expectations_counts_a_newer_reason() -> None:
    from ge_expectations.tally import Group
    from ge_expectations.verification import Known

    known = Known("deliverable", _NEW, 97, 1, "smtp", datetime.now(timezone.utc), None, None)
    counts = Tally((Group(known, 3, 9, False),), None, 0).verdict_counts(Policy.marketing)
    assert [(group.reason, group.rows) for group in counts] == [(_NEW, 3)]
