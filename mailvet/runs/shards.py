"""Verifying one table from several processes without any coordination between them.

Each asks its own operators, so the pace at every operator is kept by one process alone.

Needs the DNS once, in the process that plans: which operator a domain belongs to is written in its MX records.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import idna

from mailvet.dns.routes import Route
from mailvet.errors import NetworkError, SettingsError
from mailvet.runs.forecast import seconds_at
from mailvet.runs.planning import plan
from mailvet.runs.recheck import RecheckText, parse_recheck
from mailvet.runs.record import new_run_id
from mailvet.settings import Settings
from mailvet.verdict import STATUS_COLUMNS
from mailvet.verification.background import run_in_background
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Depth
from mailvet.warehouse.store import Warehouse

__all__ = ["MOST_SHARDS", "ShardPlan", "plan_shards"]

MOST_SHARDS = 256
_PER_DOMAIN = 0.002  # seconds, where nothing but the DNS is asked


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Who asks what; the domains themselves are kept in the warehouse."""

    plan_id: str
    seconds: Sequence[float]
    """Expected length of each shard's run; its number is the place in this list."""
    addresses: Sequence[int]
    """Due addresses of each shard."""


def plan_shards(
    warehouse: Warehouse,
    settings: Settings,
    shards: int,
    *,
    columns: Sequence[str] = STATUS_COLUMNS,
    write_back: bool = True,
    recheck: RecheckText = None,
) -> ShardPlan:
    """Divide what is due among `shards` runs, whole operators to each, by the time they take.

    The division is kept in the table `mailvet_shards`. The tables and status columns are made too, so that the runs
    need not do so at once.

    Fewer shards come back where there are fewer operators, and one, which has nothing to do, where nothing is due: a
    task mapped over no shards would be skipped, and so would be what waits for it.

    Args:
        warehouse: from `open_source`, opened for writing.
        settings: depth, pace and the resolver.
        shards: 1 to 256.
        columns: the status columns that the runs will write.
        write_back: whether they will write any.
        recheck: what is asked again although it is fresh (see `mailvet.runs.recheck`); the same as for the runs.

    Raises:
        SettingsError: a number of shards that cannot be, or a `recheck` that cannot be read.
        SourceError: a DuckDB file, or a table that does not fit.
        NetworkError: no DNS response.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise SettingsError(f"{shards} shards cannot be; give a number from 1 to {MOST_SHARDS}.")
    again = parse_recheck(recheck)
    plan_id = new_run_id()
    warehouse.save_shards(plan_id, {}, datetime.now(timezone.utc))  # says at once where it cannot be done
    if write_back:
        warehouse.check_write_back(columns)
    planned = plan(warehouse, settings, recheck=again)
    counts = dict(planned.domains)
    operators = run_in_background(_operators(list(counts), settings)) if counts else {}
    work: dict[str, int] = {}
    for domain, count in counts.items():
        work[operators[domain]] = work.get(operators[domain], 0) + count
    smtp = Depth(settings.depth) is Depth.smtp
    seconds = {name: seconds_at(name, count, settings) if smtp else count * _PER_DOMAIN for name, count in work.items()}
    shard_of = _divided(seconds, min(shards, max(len(work), 1)))
    now = datetime.now(timezone.utc)
    # A plan of nothing is kept as well, under a name that no domain has.
    division = {domain: shard_of[operators[domain]] for domain in counts}
    warehouse.save_shards(plan_id, division or {"": 0}, now)
    warehouse.open_for_writing()
    if write_back:
        warehouse.prepare_write_back(columns)
    number = max(shard_of.values(), default=0) + 1
    return ShardPlan(
        plan_id,
        [sum(seconds[name] for name, shard in shard_of.items() if shard == each) for each in range(number)],
        [sum(work[name] for name, shard in shard_of.items() if shard == each) for each in range(number)],
    )


def _divided(seconds: Mapping[str, float], shards: int) -> dict[str, int]:
    """Each operator's shard: the longest first, always to the shard that has least to do."""
    free = [(0.0, shard) for shard in range(shards)]
    shard_of: dict[str, int] = {}
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        taken, shard = heapq.heappop(free)
        shard_of[name] = shard
        heapq.heappush(free, (taken + seconds[name], shard))
    return shard_of


async def _operators(domains: Sequence[str], settings: Settings) -> dict[str, str]:
    """The operator of each domain as written; its own name where there is none, or where no server will be asked."""
    if Depth(settings.depth) is not Depth.smtp:
        return {domain: domain for domain in domains}
    verifier = Verifier(settings)
    await verifier.open()
    try:
        if verifier.routes is None or verifier.cut_off:
            raise NetworkError(f"The shards cannot be planned. {verifier.degraded}")
        names = {domain: _ascii(domain) for domain in domains}
        routes = await verifier.routes.examine([name for name in set(names.values()) if name])
        return {domain: _operator(routes.get(name)) or domain for domain, name in names.items()}
    finally:
        await verifier.close()


def _operator(route: Route | None) -> str | None:
    return route.operator if route is not None else None


def _ascii(domain: str) -> str:
    """The domain as the DNS knows it; nothing for what is none."""
    try:
        return idna.encode(domain, uts46=True).decode()
    except UnicodeError:  # idna.IDNAError is one
        return ""
