"""What a company's own mail events say about an address."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import polars as pl
import pytest

from mailvet.history import columns as history

DAY = datetime(2026, 5, 1, tzinfo=timezone.utc)


def batch(**times: datetime | None) -> pl.DataFrame:
    columns = {name: [times.get(name)] for name in history.EVENT_COLUMNS}
    return pl.DataFrame({"email": ["ann@acme.test"], **columns}).with_columns(
        pl.col(*history.EVENT_COLUMNS).cast(pl.Datetime("us", "UTC"))
    )


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({}, None),
        ({"delivered_at": DAY}, None),
        ({"bounced_at": DAY}, "hard_bounced"),
        ({"bounced_at": DAY, "delivered_at": DAY + timedelta(days=1)}, None),
        ({"bounced_at": DAY, "delivered_at": DAY}, None),
        ({"bounced_at": DAY + timedelta(days=1), "delivered_at": DAY}, "hard_bounced"),
        ({"unsubscribed_at": DAY}, "suppressed"),
        ({"unsubscribed_at": DAY, "delivered_at": DAY + timedelta(days=9)}, "suppressed"),
        ({"unsubscribed_at": DAY, "bounced_at": DAY + timedelta(days=9)}, "suppressed"),
    ],
)
def test_the_newest_bounce_counts_unless_something_was_delivered_since(
    times: dict[str, datetime], reason: str | None
) -> None:
    found = history.examine(batch(**times)).row(0, named=True)
    assert found["history_reason"] == reason
    assert (found["history_detail"] is None) == (reason is None)


def test_the_detail_names_the_day() -> None:
    assert history.examine(batch(bounced_at=DAY))["history_detail"][0] == "newest hard bounce on 2026-05-01"


@pytest.mark.parametrize("columns", [(), ("bounced_at",)])
def test_a_batch_without_event_columns_has_no_history(columns: tuple[str, ...]) -> None:
    rows = batch().select("email", *columns)
    found = history.examine(rows)
    assert found.columns == ["history_reason", "history_detail"]
    assert found.height == 1
    assert found.null_count().row(0) == (1, 1)


def test_an_empty_batch_stays_empty() -> None:
    assert history.examine(batch().clear()).height == 0


def test_every_event_word_belongs_to_one_column() -> None:
    words = [word for kinds in history.EVENT_KINDS.values() for word in kinds]
    assert len(words) == len(set(words))
    assert all(word == word.lower() for word in words)
