"""A gate on one table or file: open it, count it, hold the figures against the limits. Asks no server."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError
from mailvet.gates import GateResult, Limits, judge
from mailvet.runs.planning import plan as plan_run
from mailvet.runs.sources import open_source
from mailvet.scoring.priors import bounce_probability
from mailvet.settings import Settings
from mailvet.vocabulary import Reason
from mailvet.warehouse.store import Warehouse

if TYPE_CHECKING:
    from mailvet.warehouse.files import Reading

__all__ = ["gate", "held_against", "judged", "unverified_bounce_rate"]

log = logging.getLogger("mailvet")


def unverified_bounce_rate() -> float:
    """P(hard bounce), between 0 and 1, of an address without a verdict: the base rate of `not_probed`."""
    return bounce_probability(Reason.not_probed)


def gate(
    source: str | Path | Warehouse,
    *,
    table: str | None = None,
    email_column: str | None = None,
    where: str | None = None,
    policy: str | None = None,
    reading: Reading | None = None,
    settings: Settings | None = None,
    **limits: Any,
) -> GateResult:
    """Hold a verified table against limits.

    Only what stands in the verdict table is counted; no server is asked and nothing is changed.

    Args:
        source: what `mailvet verify` takes: a data file, a DuckDB database or a database URL; or an open table.
        table: of the database.
        email_column: None finds it by its name.
        where: SQL condition on the rows to count.
        reading: how a text file is read, for one that is not plain UTF-8 with a header.
        policy: its name; None as the settings say. An open table has its own.
        settings: None reads the environment.
        limits: the fields of `mailvet.gates.Limits`: `max_bounce_rate="2%"`, `max_age="30d"`, `among=["send"]`, ...

    Returns:
        `result.passed`, `result.limits`, `result.warnings`, and every count and figure by its name.

    Raises:
        SettingsError: a limit that cannot be read. SourceError: the source cannot be read.
    """
    asked = Limits.of(**limits)
    if not isinstance(source, (str, Path)):
        if table is not None or email_column is not None or where is not None or policy is not None:
            raise SettingsError(
                "The source is an open table: name table, email_column, where and policy on opening it."
            )
        return held_against(source, settings or Settings.load(), asked)
    chosen = Settings.load(policy=policy) if settings is None else settings.with_policy(policy)
    warehouse = open_source(
        str(source),
        chosen,
        table=table,
        column=email_column,
        where=where,
        reading=reading,
        writable=False,
        updatable=False,
    )
    for remark in warehouse.remarks:
        log.warning("%s: %s", warehouse.name, remark)
    try:
        return held_against(warehouse, chosen, asked)
    finally:
        warehouse.close()


def held_against(warehouse: Warehouse, settings: Settings, limits: Limits) -> GateResult:
    """Count an open table and judge it. Warnings go to the log as well.

    Raises:
        SourceError: the column holds numbers, or the condition on the rows fails.
    """
    plan_run(warehouse, settings, count_domains=False)
    return judged(warehouse, limits)


def judged(warehouse: Warehouse, limits: Limits) -> GateResult:
    """The same after a plan or a run over the table."""
    now = datetime.now(timezone.utc)
    result = judge(
        warehouse.verdict_counts(stale_before=None if limits.max_age is None else now - limits.max_age),
        limits,
        source=warehouse.name,
        policy=warehouse.policy,
        unverified_bounce_rate=unverified_bounce_rate(),
    )
    for warning in result.warnings:
        log.warning("%s: %s", warehouse.name, warning)
    return result
