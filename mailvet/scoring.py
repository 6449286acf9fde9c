"""
Evidence in, verdict out: a pure function over whole columns.

The reason is the first in the order of `mailvet.verdict.REASONS` that any layer has found; status, recommendation
and next check follow from it. The score is 100 · (1 - P(hard bounce)), with P from a written-down table of
log-odds: where each reason starts, and how much each flag moves it. The weights below are prior judgements from
published bounce shares of verification services (accept-all about one in five, unknown about one in ten); the place
for weights learnt from your own events is the argument `learnt`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from mailvet.settings import Settings
from mailvet.verdict import REASONS, RULES_VERSION, Policy, Reason, Status, recommendation_sql

__all__ = ["AT_LEAST", "FLAGS", "SETTLED", "SHIFTS", "bounce_probability", "judge"]

FLAGS = (
    "free", "role", "disposable", "relay_alias", "tagged", "no_reply", "eai", "allowed",
    "accept_all", "accept_all_unknown", "gateway", "probed", "local_part_unlikely", "odd_dots",
)  # fmt: skip
"""Names of the flags, in the order in which they are written."""

# P(hard bounce) where a reason is all that is known.
_BASE: dict[Reason, float] = {
    Reason.mailbox_accepted: 0.01,
    Reason.recently_delivered: 0.01,
    Reason.recently_engaged: 0.005,
    Reason.recipient_throttled: 0.02,
    Reason.mailbox_full: 0.25,
    Reason.role_account: 0.05,
    Reason.disposable: 0.40,
    Reason.typo_domain: 0.90,
    Reason.suspected_trap: 0.50,
    Reason.accept_all: 0.20,
    Reason.security_gateway: 0.15,
    Reason.repeated_soft_bounce: 0.30,
    Reason.inactive: 0.15,
    Reason.provider_unverifiable: 0.12,
    Reason.not_probed: 0.12,
    Reason.greylisted: 0.12,
    Reason.domain_not_found: 0.995,
    Reason.syntax_invalid: 1.0,
    Reason.suppressed: 0.5,
    Reason.smtputf8_unsupported: 0.97,
    Reason.hard_bounced: 0.95,
}
_BASE_BY_STATUS = {Status.undeliverable: 0.98, Status.unknown: 0.12, Status.risky: 0.20, Status.deliverable: 0.01}

SHIFTS = {"relay_alias": -0.3, "tagged": -0.2, "no_reply": 0.5, "free": -0.1, "local_part_unlikely": 1.0}
"""Flag -> shift of the log-odds of a hard bounce. They hold only while the answer is open (not `SETTLED`)."""
SETTLED = frozenset(
    {rule.reason for rule in REASONS.values() if rule.status is Status.undeliverable}
    | {Reason.mailbox_accepted, Reason.typo_domain}
)


def bounce_probability(reason: Reason) -> float:
    """P(hard bounce) when nothing but the reason is known, between 0 and 1."""
    return _BASE.get(reason, _BASE_BY_STATUS[REASONS[reason].status])


def _score(learnt: Mapping[Reason, float]) -> pl.Expr:
    priors = {str(reason): learnt.get(reason, bounce_probability(reason)) for reason in REASONS}
    logit = {
        name: math.log(min(max(p, 1e-6), 1 - 1e-6) / (1 - min(max(p, 1e-6), 1 - 1e-6))) for name, p in priors.items()
    }
    start = pl.col("reason").replace_strict(logit, return_dtype=pl.Float64)
    shift = pl.sum_horizontal(pl.col(flag).cast(pl.Float64) * weight for flag, weight in SHIFTS.items())
    settled = pl.col("reason").is_in([str(reason) for reason in SETTLED])
    odds = start + pl.when(settled).then(0.0).otherwise(shift)
    return (100.0 / (1.0 + odds.exp())).round().cast(pl.Int16)


def judge(
    evidence: pl.DataFrame,
    settings: Settings,
    *,
    now: datetime,
    run_id: str | None = None,
    lists_digest: str = "",
    learnt: Mapping[Reason, float] | None = None,
) -> pl.DataFrame:
    """
    The verdict of every row of evidence; one row in, one row out, order kept.

    Args:
        evidence: columns as the layers give them: `cell`, `email_key`, `domain`, one nullable reason per layer
            (`syntax_reason`, `reference_reason`, `history_reason`, `route_reason`, `mailbox_reason`), their details
            (`syntax_detail`, ...), the flags as booleans, `suggestion`, `operator`, `mx_host`, `smtp_code`,
            `smtp_reply`, `retry_after` (seconds or null), `stopped` (why a layer was not asked, or null),
            `previous_reason` and `previous_attempts`.
        settings: policy, depth, greylisting schedule, whether to keep addresses.
        now: aware, UTC.

    Returns:
        The columns of `verdict_schema()`.
    """
    schedule = settings.retry.after_greylisting or REASONS[Reason.greylisted].recheck
    plan = _plan(Policy(settings.policy), settings.store.store_addresses, schedule, tuple((learnt or {}).items()))
    stamp = pl.lit(now).cast(pl.Datetime("us", "UTC"))
    return (
        evidence.with_columns(plan.reason)
        .with_columns(plan.from_reason)
        .with_columns(plan.recommendation)
        .select(
            *plan.first,
            pl.lit(str(settings.depth)).alias("depth"),
            plan.trace,
            stamp.alias("checked_at"),
            (stamp + plan.wait).alias("next_check_at"),
            "attempts",
            pl.lit(run_id, dtype=pl.String).alias("run_id"),
            pl.lit(f"{RULES_VERSION}{'+' if lists_digest else ''}{lists_digest}").alias("rules_version"),
        )
    )


class _Plan(NamedTuple):
    """The expressions of a verdict, built once: to build them costs more than to run them over a few rows."""

    reason: pl.Expr
    from_reason: tuple[pl.Expr, ...]
    recommendation: pl.Expr
    first: tuple[pl.Expr, ...]
    """The columns from `email_key` to `smtp_reply`."""
    trace: pl.Expr
    wait: pl.Expr


@lru_cache(maxsize=32)
def _plan(
    policy: Policy,
    store_addresses: bool,
    greylisting: tuple[timedelta, ...],
    learnt: tuple[tuple[Reason, float], ...],
) -> _Plan:
    candidates = ("syntax_reason", "reference_reason", "history_reason", "route_reason", "mailbox_reason")
    order = {str(reason): rank for rank, reason in enumerate(REASONS)}
    ranks = [pl.col(name).replace_strict(order, default=None, return_dtype=pl.Int16) for name in candidates]
    nothing_found = order[str(Reason.not_probed)]
    same = (pl.col("reason") == pl.col("previous_reason")).fill_null(False)
    address = pl.col("cell") if store_addresses else pl.lit(None, dtype=pl.String)
    return _Plan(
        reason=pl.min_horizontal(ranks)
        .fill_null(nothing_found)
        .replace_strict(dict(enumerate(order)), return_dtype=pl.String)
        .alias("reason"),
        from_reason=(
            # A verdict that is there was given at least once.
            pl.when(same)
            .then(pl.max_horizontal(pl.col("previous_attempts").fill_null(1), 1) + 1)
            .otherwise(1)
            .cast(pl.Int32)
            .alias("attempts"),
            _score(dict(learnt)).alias("score"),
            pl.col("reason")
            .replace_strict({str(r.reason): str(r.status) for r in REASONS.values()}, return_dtype=pl.String)
            .alias("status"),
        ),
        recommendation=pl.sql_expr(
            recommendation_sql(policy, reason="reason", score="score", attempts="attempts")
        ).alias("recommendation"),
        first=(
            pl.col("email_key"),
            # A text far longer than an address is kept by its key only.
            pl.when(pl.col("cell").str.len_bytes() <= 1024).then(address).alias("email"),
            *map(pl.col, ("status", "reason", "recommendation", "score", "suggestion")),
            pl.concat_str(
                [pl.when(pl.col(flag)).then(pl.lit(flag)) for flag in FLAGS], separator=",", ignore_nulls=True
            ).alias("flags"),
            *map(pl.col, ("domain", "operator", "mx_host")),
            pl.col("smtp_code").cast(pl.Int16),
            pl.col("smtp_reply"),
        ),
        trace=_trace().alias("evidence"),
        wait=_recheck(greylisting),
    )


AT_LEAST = (Reason.greylisted, Reason.sender_throttled, Reason.server_temporary_error)
"""Reasons whose schedule a server's own time never shortens: "try again in a second" is what it says to everybody."""


def _recheck(greylisting: tuple[timedelta, ...]) -> pl.Expr:
    """When to look again: as the answer itself asks, else by the reason's schedule; null for never."""
    schedules: dict[str, tuple[timedelta, ...]] = {str(rule.reason): rule.recheck for rule in REASONS.values()}
    schedules[str(Reason.greylisted)] = greylisting
    longest = max(len(schedule) for schedule in schedules.values())
    table = {
        f"{reason} {attempt}": round(schedule[min(attempt, len(schedule)) - 1].total_seconds() * 1_000_000)
        for reason, schedule in schedules.items()
        for attempt in range(1, longest + 1)
        if schedule
    }
    step = pl.concat_str("reason", pl.lit(" "), pl.col("attempts").clip(1, longest).cast(pl.String))
    waits = step.replace_strict(table, default=None, return_dtype=pl.Int64)
    asked_for = (pl.col("retry_after") * 1_000_000).cast(pl.Int64)
    open_answer = pl.col("reason").is_in(
        [str(rule.reason) for rule in REASONS.values() if rule.status is Status.unknown]
    )
    at_least = pl.col("reason").is_in([str(reason) for reason in AT_LEAST])
    return (
        pl.when(at_least)
        .then(pl.max_horizontal(asked_for, waits))
        .when(open_answer)
        .then(pl.coalesce(asked_for, waits))
        .otherwise(waits)
        .cast(pl.Duration("us"))
    )


def _trace() -> pl.Expr:
    """The evidence as a JSON array of {layer, fact, detail}, one entry for each layer that found something."""
    layers = {
        "syntax": ("syntax_reason", "syntax_detail"),
        "reference": ("reference_reason", "reference_detail"),
        "history": ("history_reason", "history_detail"),
        "route": ("route_fact", "route_detail"),
        "mailbox": ("mailbox_reason", "mailbox_detail"),
        "run": ("run_fact", "stopped"),
    }
    entries = []
    for layer, (fact, detail) in layers.items():
        entry = pl.concat_str(
            pl.lit(f'{{"layer":"{layer}","fact":"'),
            pl.col(fact),
            pl.lit('"'),
            pl.when(pl.col(detail).is_null())
            .then(pl.lit(""))
            .otherwise(pl.concat_str(pl.lit(',"detail":'), _json_text(pl.col(detail)), ignore_nulls=True)),
            pl.lit("}"),
        )
        entries.append(entry)
    return pl.concat_str(pl.lit("["), pl.concat_str(entries, separator=",", ignore_nulls=True), pl.lit("]"))


def _json_text(text: pl.Expr) -> pl.Expr:
    escaped = text.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    escaped = escaped.str.replace_all(r"[\x00-\x1f\x7f]", " ")
    return pl.concat_str(pl.lit('"'), escaped, pl.lit('"'))
