"""What the layer of history makes of what the warehouse has found in the events."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import polars as pl
import pytest

from mailvet.history import columns as history
from mailvet.history.facts import HISTORY_COLUMNS, REASONS_FROM_EVENTS
from mailvet.vocabulary import Reason

DAY = datetime(2026, 5, 1, tzinfo=timezone.utc)


def batch(**values: Any) -> pl.DataFrame:
    row = {"email": "Ann@a.test", **dict.fromkeys(HISTORY_COLUMNS), **values}
    kinds: dict[str, Any] = {"email": pl.String, "history_reason": pl.String, "history_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame([row], schema=kinds | {"history_as": pl.String})


@pytest.mark.parametrize("reason", [Reason.suppressed, *REASONS_FROM_EVENTS])
def test_the_detail_names_the_day(reason: Reason) -> None:
    found = history.examine(batch(history_reason=str(reason), history_at=DAY)).row(0, named=True)
    assert found["history_reason"] == reason
    assert found["history_detail"] == f"{history.DETAILS[reason]}2026-05-01"


@pytest.mark.parametrize(
    ("spelling", "keep", "detail"),
    [
        ("ann@a.test", True, "newest hard bounce on 2026-05-01"),
        ("ann+x@a.test", True, "newest hard bounce on 2026-05-01 as ann+x@a.test"),
        ("ann+x@a.test", False, "newest hard bounce on 2026-05-01 as a***@a.test"),
    ],
)
def test_the_detail_names_another_spelling_or_masks_it(spelling: str, keep: bool, detail: str) -> None:
    rows = batch(history_reason="hard_bounced", history_at=DAY, history_as=spelling)
    assert history.examine(rows, keep_addresses=keep)["history_detail"][0] == detail


def test_an_address_without_events_has_no_history() -> None:
    assert history.examine(batch()).row(0) == (None, None)


def test_a_batch_without_event_columns_has_no_history() -> None:
    found = history.examine(batch().select("email"))
    assert found.columns == ["history_reason", "history_detail"]
    assert found.row(0) == (None, None)


def test_an_empty_batch_stays_empty() -> None:
    assert history.examine(batch().clear()).height == 0
