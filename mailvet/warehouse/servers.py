"""What is kept about server addresses between runs: the table `mailvet_servers`, and the recipients that verdicts know.

A suspicion (the servers refused recipients known to exist) and the days on which servers refused everybody in the same
words are rows of `mailvet_servers`. Recipients known to exist are not kept a second time: they are read from the
verdicts that accepted them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pyarrow as pa

from mailvet.probing.memory import CANARY_DAYS, Canary, RefusedRuns, ServerMemory, Suspicion

__all__ = [
    "CANARIES_PER_HOST",
    "CANARY_AGE",
    "CANARY_SCHEMA",
    "MOST_CANARIES",
    "SERVERS",
    "SERVER_SCHEMA",
    "StoredServers",
]

SERVERS = "mailvet_servers"
CANARY_AGE = timedelta(days=CANARY_DAYS)
CANARIES_PER_HOST = 8
MOST_CANARIES = 50_000
"""For a run, over all hosts."""

_UTC = pa.timestamp("us", tz="UTC")
SERVER_SCHEMA = pa.schema(
    [
        pa.field("place", pa.string(), nullable=False),
        pa.field("suspected_since", _UTC),
        pa.field("rests", pa.int32()),
        pa.field("rest_until", _UTC),
        pa.field("refused_words", pa.string()),
        pa.field("refused_days", pa.string()),
        pa.field("changed_at", _UTC, nullable=False),
    ]
)
"""
Columns of `mailvet_servers`. `place`: see `mailvet.probing.memory`. `refused_words`: a reply, masked, with its code;
`refused_days`: dates in UTC, separated by commas.
"""
CANARY_SCHEMA = pa.schema([("mx_host", pa.string()), ("email", pa.string()), ("checked_at", _UTC)])
"""Recipients that a host has accepted: the text of the cell, and when."""


class StoredServers:
    """The memory of one run, and which of it has changed since it was read or saved.

    Args:
        stored: the rows of `mailvet_servers`.
        canaries: as `CANARY_SCHEMA`.
        special_use: reserved names may be domains, as in a lab.
    """

    def __init__(self, stored: pa.Table | None, canaries: pa.Table | None, *, special_use: bool = False) -> None:
        self.memory = ServerMemory()
        for row in stored.to_pylist() if stored is not None else ():
            self._recall(row)
        if canaries is not None and canaries.num_rows:
            self._recall_canaries(canaries, special_use)
        self._saved = self._state()

    def _recall(self, row: dict[str, object]) -> None:
        place, since, words = str(row["place"]), row["suspected_since"], row["refused_words"]
        if isinstance(since, datetime):
            until = row["rest_until"]
            self.memory.suspicions[place] = Suspicion(
                since, int(str(row["rests"] or 0)), until if isinstance(until, datetime) else None
            )
        if isinstance(words, str):
            days = tuple(date.fromisoformat(day) for day in str(row["refused_days"] or "").split(",") if day)
            self.memory.refused_runs[place] = RefusedRuns(words, days)

    def _recall_canaries(self, canaries: pa.Table, special_use: bool) -> None:
        # A worker of Spark sets the threads of the table engine before it is loaded.
        import polars as pl

        from mailvet.syntax import columns as syntax

        table = pl.DataFrame(pl.from_arrow(canaries))
        parsed = syntax.examine(table["email"], allow_special_use=special_use)
        known = pl.concat([table, parsed.select("local", "domain")], how="horizontal").drop_nulls(["local", "domain"])
        rows = known.sort("checked_at").select("mx_host", "local", "domain", "checked_at")
        for host, local, domain, at in rows.iter_rows():
            self.memory.canaries.setdefault(host.lower(), []).append(Canary(local, domain, at))

    def _state(self) -> dict[str, tuple[Suspicion | None, RefusedRuns | None]]:
        memory = self.memory
        return {
            place: (memory.suspicions.get(place), memory.refused_runs.get(place))
            for place in {*memory.suspicions, *memory.refused_runs}
        }

    def changes(self, now: datetime) -> pa.Table | None:
        """The rows that have changed since the last call, as `SERVER_SCHEMA`; None where none has.

        A row about a place of which nothing is to be kept any more has neither `suspected_since` nor `refused_words`.
        """
        state, saved = self._state(), self._saved
        if state == saved:
            return None
        self._saved = state
        changed = sorted(place for place in {*state, *saved} if state.get(place) != saved.get(place))
        rows = []
        for place in changed:
            suspicion, refused = state.get(place, (None, None))
            rows.append(
                {
                    "place": place,
                    "suspected_since": suspicion.since if suspicion else None,
                    "rests": suspicion.rests if suspicion else None,
                    "rest_until": suspicion.until if suspicion else None,
                    "refused_words": refused.words if refused else None,
                    "refused_days": ",".join(map(str, refused.days)) if refused else None,
                    "changed_at": now,
                }
            )
        return pa.Table.from_pylist(rows, schema=SERVER_SCHEMA)
