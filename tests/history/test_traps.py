"""`suspected_trap`: the user's own list of spam traps."""

from __future__ import annotations

import mailvet
from mailvet.settings import Settings
from mailvet.vocabulary import Reason


def test_an_address_on_the_list_of_traps_is_a_suspected_trap_and_not_sent_to() -> None:
    settings = Settings.load(depth="offline", lists={"traps": ["trap@acme.com", "pitfall.com"]})
    verdict = mailvet.verify("trap@acme.com", settings=settings)
    assert (verdict.reason, str(verdict.recommendation)) == (Reason.suspected_trap, "do_not_send")
    assert "on your list of traps" in str(verdict.evidence)
    table = mailvet.verify_many(["Trap@Acme.com", "any@mail.pitfall.com", "ann@acme.com"], settings=settings)
    assert table["reason"].to_pylist() == ["suspected_trap", "suspected_trap", "not_probed"]


def test_a_trap_that_is_suppressed_too_stays_suppressed() -> None:
    settings = Settings.load(depth="offline", lists={"traps": ["a@acme.com"], "suppress": ["a@acme.com"]})
    assert mailvet.verify("a@acme.com", settings=settings).reason is Reason.suppressed
