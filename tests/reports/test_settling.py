"""What would settle the rows to be verified again."""

from __future__ import annotations

import pytest

from mailvet.policies import possible_recommendations
from mailvet.reports import settling
from mailvet.reports.settling import settled_by
from mailvet.vocabulary import REASONS, Depth, Policy, Reason, Recommendation

AGAIN = [
    reason
    for reason in REASONS
    if any(Recommendation.reverify in possible_recommendations(reason, policy) for policy in Policy)
]


@pytest.mark.parametrize("reason", AGAIN)
def test_every_reason_to_verify_again_has_one_thing_that_settles_it(reason: Reason) -> None:
    named = [reason in group for group in (settling._WAIT, settling._SENDER, settling._EVENTS)]
    assert sum(named) + (reason is Reason.not_probed) == 1


def test_groups_are_counted_and_the_largest_comes_first() -> None:
    found = settled_by(
        {"greylisted": 5, "dns_error": 2, "accept_all": 9, "not_probed": 1, "from_tomorrow": 3}, Depth.smtp
    )
    assert [(group.by, group.rows) for group in found] == [("events", 9), ("wait", 7), ("version", 3), ("depth", 1)]
    assert settled_by({}, Depth.dns) == []


def test_what_was_not_probed_is_never_sent_to_the_same_run_again() -> None:
    texts = {depth: settled_by({"not_probed": 1}, depth)[0].text for depth in Depth}
    assert texts[Depth.offline].startswith("a run of depth dns")
    assert "the same run again changes nothing" in texts[Depth.dns]
    assert "events" in texts[Depth.dns]
    assert "events" in texts[Depth.smtp]
