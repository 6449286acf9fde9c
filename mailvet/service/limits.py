"""How often a key may ask: so many requests in a span, and so many addresses a day.

The first is the generic cell rate algorithm (ITU-T I.371, appendix I, as a virtual scheduling algorithm): of each
bucket it keeps one number, the time at which it will be full again. As many requests as the span allows may come at
once; then they come at the pace of the span.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Final

from mailvet.service.state import State

__all__ = ["Limits"]

_MOST_BUCKETS: Final = 50_000


class Limits:
    """What has been used of each limit.

    Args:
        state: where days are counted.
        shared: several processes count together, so rates are kept in the state as well.
    """

    def __init__(self, state: State, *, shared: bool) -> None:
        self._state, self._shared = state, shared
        self._full_at: dict[str, float] = {}

    def take(self, bucket: str, count: int, span: float, *, now: float | None = None) -> float:
        """Take one request from a bucket.

        Args:
            bucket: its name.
            count: requests in a span.
            span: seconds.
            now: seconds since 1970.

        Returns:
            0.0 where there was room; else the seconds until there is.
        """
        now = time.time() if now is None else now
        if self._shared:
            with self._state.transaction():
                row = self._state.row("select full_at from rates where bucket = ?", bucket)
                full_at, wait = _taken(row[0] if row else now, count, span, now)
                if not wait:
                    self._state.rows("insert or replace into rates values (?, ?)", bucket, full_at)
            return wait
        if len(self._full_at) >= _MOST_BUCKETS:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        full_at, wait = _taken(self._full_at.get(bucket, now), count, span, now)
        if not wait:
            self._full_at[bucket] = full_at
        return wait

    def take_of_day(self, owner: str, count: int, most: int, *, now: datetime | None = None) -> float:
        """Take addresses from a day's allowance (UTC).

        Returns:
            0.0 where there was room for all of them; else the seconds until the next day, and nothing is taken.
        """
        now = now or datetime.now(timezone.utc)
        row = self._state.row(
            "insert into used_days values (?, ?, ?) on conflict do update set used = used + excluded.used "
            "where used + excluded.used <= ? returning used",
            owner,
            f"{now:%Y-%m-%d}",
            count,
            most,
        )
        if row is not None and row[0] <= most:
            return 0.0
        if row is not None:  # the first of the day, and more than all of it
            self._state.rows("delete from used_days where owner = ? and day = ?", owner, f"{now:%Y-%m-%d}")
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - now).total_seconds()

    def forget_old(self) -> None:
        """Drop what counts no longer."""
        now = datetime.now(timezone.utc)
        self._state.rows("delete from used_days where day < ?", f"{now - timedelta(days=2):%Y-%m-%d}")
        self._state.rows("delete from rates where full_at < ?", now.timestamp())


def _taken(full_at: float, count: int, span: float, now: float) -> tuple[float, float]:
    """When the bucket is full again, and how long there is no room (then it stays as it is)."""
    after = max(full_at, now) + span / count
    wait = after - now - span
    return (after, 0.0) if wait <= 1e-9 else (full_at, wait)
