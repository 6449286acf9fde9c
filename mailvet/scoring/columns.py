"""Evidence in, verdict out: a pure function over whole columns.

The reason is the first in the order of `mailvet.vocabulary.REASONS` that any layer has found; status, recommendation
and next check follow from it. The score is the sum of `mailvet.scoring.priors`; the place for what is learnt from your
own events is the argument `learnt`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from mailvet.policies import AnyPolicy, recommendation_sql
from mailvet.privacy import AT_SIGNS, keyed, mask_text, unnamed_suggestion
from mailvet.scoring.order import AT_LEAST, EVIDENCE_LAYERS, FLAGS, LONGEST_KEPT, RANKS, SERIES_DETAIL
from mailvet.scoring.priors import HALF, ROUTE_FOUND, ROUTED, SETTLED, WEIGHTS, bounce_probability, logit
from mailvet.settings import Settings
from mailvet.vocabulary import REASONS, Reason, Status, rules_version

__all__ = ["judge"]


def _bounce_probability(learnt: Mapping[Reason, float]) -> pl.Expr:
    starts = {str(reason): logit(learnt.get(reason, bounce_probability(reason))) for reason in REASONS}
    start = pl.col("reason").replace_strict(starts, return_dtype=pl.Float64)
    shift = pl.sum_horizontal(pl.col(flag).cast(pl.Float64) * row.weight for flag, row in WEIGHTS.items())
    settled = pl.col("reason").is_in([str(reason) for reason in SETTLED])
    odds = start + pl.when(settled).then(0.0).otherwise(shift + pl.col("routed").cast(pl.Float64) * ROUTED.weight)
    return 1.0 / (1.0 + (-odds).exp())


def _score(probability: pl.Expr) -> pl.Expr:
    """`mailvet.scoring.priors.score_of` of a column."""
    return (100.0 * (1.0 - probability) + HALF).floor().cast(pl.Int16)


def judge(
    evidence: pl.DataFrame,
    settings: Settings,
    *,
    now: datetime,
    run_id: str | None = None,
    lists_digest: str = "",
    learnt: Mapping[Reason, float] | None = None,
) -> pl.DataFrame:
    """The verdict of every row of evidence; one row in, one row out, order kept.

    Args:
        evidence: columns as the layers give them: `cell`, `email_key`, `domain`, one nullable reason per layer
            (`syntax_reason`, `reference_reason`, `history_reason`, `route_reason`, `mailbox_reason`), their details
            (`syntax_detail`, ...), the flags as booleans, `series_size` and `duplicate_key` (of
            `mailvet.signals.columns`, 0 and null for none), `suggestion`, `operator`, `mx_host`, `smtp_code`,
            `smtp_reply`, `retry_after` (seconds or null), `stopped` (why a layer was not asked, or null),
            `previous_reason` and `previous_attempts`. `mailbox_key` may be left out, and is null then.
        settings: policy, depth, greylisting schedule, whether to keep addresses.
        now: aware, UTC.
        run_id: of the run that judges; null in the verdicts where it is not given.
        lists_digest: of the user's own and updated lists, kept beside the version of the rules.
        learnt: P(hard bounce) of reasons, in place of their starts.

    Returns:
        The columns of `verdict_schema()`.
    """
    schedule = settings.retry.after_greylisting or REASONS[Reason.greylisted].recheck
    plan = _plan(settings.chosen_policy, settings.store.store_addresses, schedule, tuple((learnt or {}).items()))
    stamp = pl.lit(now).cast(pl.Datetime("us", "UTC"))
    empty = {column.name for column in evidence if column.null_count() == len(column)}
    if "mailbox_key" not in evidence.columns:
        evidence = evidence.with_columns(pl.lit(None, dtype=pl.String).alias("mailbox_key"))
    evidence = _as_private_as_asked(evidence, settings)
    rows = evidence.with_columns(_rank(evidence, [name for name in _CANDIDATES if name not in empty]))
    rows = rows.with_columns(_attempts("previous_reason" in empty))
    rows = rows.with_columns(_routed("route_fact" in evidence.columns))
    set_flags = [flag for flag in FLAGS if flag not in empty and rows[flag].any()]
    # Rows of one kind have the same answer, and a table of millions has a few hundred kinds.
    kind = rows.select(_kind(set_flags)).to_series()
    first = kind.arg_unique()
    answers = rows[first].with_columns(kind[first].alias("kind"), plan.reason).with_columns(plan.from_reason)
    answers = answers.with_columns(plan.recommendation).sort("kind").select("kind", *_OF_A_KIND)
    same = answers.drop("kind")[answers["kind"].search_sorted(kind)]
    wait = pl.col("scheduled") if "retry_after" in empty else _asked_for()
    return pl.concat([rows, same], how="horizontal").select(
        "email_key",
        plan.email,
        *("status", "reason", "recommendation", "score", "suggestion", "flags", "domain", "operator", "mx_host"),
        pl.col("smtp_code").cast(pl.Int16),
        "smtp_reply",
        pl.lit(str(settings.depth)).alias("depth"),
        _trace(rows, empty),
        stamp.alias("checked_at"),
        (stamp + wait.cast(pl.Duration("us"))).alias("next_check_at"),
        "attempts",
        pl.lit(run_id, dtype=pl.String).alias("run_id"),
        pl.lit(rules_version(lists_digest)).alias("rules_version"),
        "mailbox_key",
        "bounce_probability",
    )


def _as_private_as_asked(evidence: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The evidence without what the settings do not allow to be stored beside the address itself."""
    key, doubles = settings.privacy.key, evidence["duplicate_key"]
    if key is not None and doubles.null_count() < len(doubles):
        secret = key.get_secret_value()
        evidence = evidence.with_columns(_changed(doubles, lambda text: keyed(secret, text)))
    if settings.store.store_addresses:
        return evidence
    rows = evidence["suggestion"].is_not_null().arg_true()
    if len(rows):
        refused = pl.col("syntax_reason") == str(Reason.syntax_invalid)
        rule = pl.when(refused).then(pl.col("syntax_detail")).otherwise(pl.lit(str(Reason.typo_domain)))
        rules = evidence[rows].select(rule).to_series()
        unnamed = [
            unnamed_suggestion(text, rule)
            for text, rule in zip(evidence["suggestion"].gather(rows), rules, strict=True)
        ]
        suggestions = evidence["suggestion"].clone().scatter(rows, pl.Series(unnamed, dtype=pl.String))
        evidence = evidence.with_columns(suggestions.alias("suggestion"))
    texts = [name for name in ("smtp_reply", *(detail for _, detail in _FACTS.values())) if name in evidence]
    return evidence.with_columns(_changed(evidence[name], mask_text, within=AT_SIGNS) for name in texts)


def _changed(texts: pl.Series, change: Callable[[str], str], within: Sequence[str] = ()) -> pl.Series:
    """A column with the texts changed that are not null and, where signs are given, hold one of them."""
    meant = texts.str.contains_any(list(within)).fill_null(False) if within else texts.is_not_null()
    rows = meant.arg_true()
    return texts.clone().scatter(rows, pl.Series([change(text) for text in texts.gather(rows)], dtype=pl.String))


_CANDIDATES = ("syntax_reason", "reference_reason", "history_reason", "route_reason", "mailbox_reason")
_ORDER = {str(reason): rank for reason, rank in RANKS.items()}
_MOST_ATTEMPTS = 1_000
"""After so many alike, no rule changes its answer any more."""
_OF_A_KIND = (
    "reason",
    "status",
    "score",
    "bounce_probability",
    "recommendation",
    "flags",
    "scheduled",
    "is_open",
    "at_least",
)


def _rank(evidence: pl.DataFrame, candidates: Collection[str]) -> pl.Series:
    """The place in the order of `REASONS` of the first reason found."""
    rank = pl.Series("rank", [_ORDER[str(Reason.not_probed)]], dtype=pl.Int16).new_from_index(0, evidence.height)
    for name in candidates:
        # Most layers have nothing to say of most rows.
        rows = evidence[name].is_not_null().arg_true()
        found = evidence[name].gather(rows).replace_strict(_ORDER, default=None, return_dtype=pl.Int16)
        rank.scatter(rows, pl.select(pl.min_horizontal(found, rank.gather(rows))).to_series())
    return rank


def _attempts(is_first: bool) -> pl.Expr:
    """How often in a row the answer was this one."""
    if is_first:
        return pl.lit(1, dtype=pl.Int32).alias("attempts")
    before = pl.col("previous_reason").replace_strict(_ORDER, default=None, return_dtype=pl.Int16)
    # A verdict that is there was given at least once.
    again = pl.max_horizontal(pl.col("previous_attempts").fill_null(1), 1) + 1
    same = (pl.col("rank") == before).fill_null(False)
    return pl.when(same).then(again).otherwise(1).cast(pl.Int32).alias("attempts")


def _routed(is_known: bool) -> pl.Expr:
    """Whether the domain takes mail while nothing asked the mailbox."""
    if not is_known:
        return pl.lit(False).alias("routed")
    unasked = pl.col("rank") == _ORDER[str(Reason.not_probed)]
    return (unasked & (pl.col("route_fact") == ROUTE_FOUND).fill_null(False)).alias("routed")


def _kind(flags: Collection[str]) -> pl.Expr:
    """All that status, recommendation, score, flags and schedule follow from, as one number."""
    number: pl.Expr = pl.col("rank").cast(pl.Int64) * 2 ** len(FLAGS)
    for place, flag in enumerate(FLAGS):
        if flag in flags:
            number = number + pl.col(flag).fill_null(False).cast(pl.Int64) * 2**place
    number = number * 2 + pl.col("routed").cast(pl.Int64)
    return number * (_MOST_ATTEMPTS + 1) + pl.col("attempts").clip(1, _MOST_ATTEMPTS)


class _Plan(NamedTuple):
    """The expressions of a verdict, built once: to build them costs more than to run them over a few rows."""

    reason: pl.Expr
    from_reason: tuple[pl.Expr, ...]
    recommendation: pl.Expr
    email: pl.Expr


@lru_cache(maxsize=32)
def _plan(
    policy: AnyPolicy,
    store_addresses: bool,
    greylisting: tuple[timedelta, ...],
    learnt: tuple[tuple[Reason, float], ...],
) -> _Plan:
    address = pl.col("cell") if store_addresses else pl.lit(None, dtype=pl.String)
    unknown = [str(rule.reason) for rule in REASONS.values() if rule.status is Status.unknown]
    statuses = {str(rule.reason): str(rule.status) for rule in REASONS.values()}
    return _Plan(
        reason=pl.col("rank").replace_strict(dict(enumerate(_ORDER)), return_dtype=pl.String).alias("reason"),
        from_reason=(
            _bounce_probability(dict(learnt)).alias("bounce_probability"),
            _score(_bounce_probability(dict(learnt))).alias("score"),
            pl.col("reason").replace_strict(statuses, return_dtype=pl.String).alias("status"),
            pl.concat_str(
                [pl.when(pl.col(flag)).then(pl.lit(flag)) for flag in FLAGS], separator=",", ignore_nulls=True
            ).alias("flags"),
            _scheduled(greylisting).alias("scheduled"),
            pl.col("reason").is_in(unknown).alias("is_open"),
            pl.col("reason").is_in([str(reason) for reason in AT_LEAST]).alias("at_least"),
        ),
        recommendation=pl.sql_expr(
            recommendation_sql(
                policy, reason="reason", score="score", attempts="attempts", probability="bounce_probability"
            )
        ).alias("recommendation"),
        email=pl.when(pl.col("cell").str.len_bytes() <= LONGEST_KEPT).then(address).alias("email"),
    )


def _scheduled(greylisting: tuple[timedelta, ...]) -> pl.Expr:
    """Microseconds until the reason's schedule looks again; null for never."""
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
    return step.replace_strict(table, default=None, return_dtype=pl.Int64)


def _asked_for() -> pl.Expr:
    """Microseconds until we look again: as the answer itself asks, else by the schedule; null for never."""
    asked_for, scheduled = (pl.col("retry_after") * 1_000_000).cast(pl.Int64), pl.col("scheduled")
    return (
        pl.when("at_least")
        .then(pl.max_horizontal(asked_for, scheduled))
        .when("is_open")
        .then(pl.coalesce(asked_for, scheduled))
        .otherwise(scheduled)
    )


_FACTS = {
    "syntax": ("syntax_reason", "syntax_detail"),
    "reference": ("reference_reason", "reference_detail"),
    "history": ("history_reason", "history_detail"),
    "route": ("route_fact", "route_detail"),
    "mailbox": ("mailbox_reason", "mailbox_detail"),
    "run": ("run_fact", "stopped"),
}
"""Where it stands in the evidence -> the columns of a fact and of its detail."""


def _trace(rows: pl.DataFrame, empty: Collection[str]) -> pl.Series:
    """The evidence as a JSON array of {layer, fact, detail}, one entry for each fact found."""
    found = {place: (pl.col(fact), pl.col(detail)) for place, (fact, detail) in _FACTS.items() if fact not in empty}
    if rows["series"].any():
        size = pl.concat_str(pl.col("series_size").cast(pl.String), pl.lit(SERIES_DETAIL))
        found["series"] = (pl.when("series").then(pl.lit("series")), size)
    if rows["duplicate_of"].any():
        found["duplicate"] = (pl.when("duplicate_of").then(pl.lit("duplicate_of")), pl.col("duplicate_key"))
    facts = [(layer, *found[place]) for place, layer in EVIDENCE_LAYERS.items() if place in found]
    nothing = pl.Series("evidence", ["[]"]).new_from_index(0, rows.height)
    if not facts:
        return nothing
    held = rows.select(pl.any_horizontal(fact.is_not_null() for _, fact, _ in facts)).to_series().arg_true()
    return nothing.scatter(held, rows[held].select(_entries(facts)).to_series())


def _entries(facts: Collection[tuple[str, pl.Expr, pl.Expr]]) -> pl.Expr:
    entries = []
    for layer, fact, detail in facts:
        entry = pl.concat_str(
            pl.lit(f'{{"layer":"{layer}","fact":"'),
            fact,
            pl.lit('"'),
            pl.when(detail.is_null())
            .then(pl.lit(""))
            .otherwise(pl.concat_str(pl.lit(',"detail":'), _json_text(detail), ignore_nulls=True)),
            pl.lit("}"),
        )
        entries.append(entry)
    return pl.concat_str(pl.lit("["), pl.concat_str(entries, separator=",", ignore_nulls=True), pl.lit("]"))


def _json_text(text: pl.Expr) -> pl.Expr:
    escaped = text.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    escaped = escaped.str.replace_all(r"[\x00-\x1f\x7f]", " ")
    return pl.concat_str(pl.lit('"'), escaped, pl.lit('"'))
