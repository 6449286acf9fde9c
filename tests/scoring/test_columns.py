"""Evidence in, verdict out."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mailvet.policies import recommend
from mailvet.scoring.columns import judge
from mailvet.scoring.order import FLAGS
from mailvet.scoring.priors import (
    PRIORS,
    SETTLED,
    WEIGHTS,
    Prior,
    Weight,
    bounce_probability,
    contributions,
    probability_of,
    score_of,
)
from mailvet.settings import Settings
from mailvet.verdict import Verdict, email_key, verdict_schema
from mailvet.vocabulary import REASONS, Policy, Reason, Status

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
SETTINGS = Settings()
_LAYERS = ("syntax", "reference", "history", "route", "mailbox")
_SCHEMA: dict[str, Any] = {
    "cell": pl.String,
    "email_key": pl.String,
    "domain": pl.String,
    "suggestion": pl.String,
    "operator": pl.String,
    "mx_host": pl.String,
    "smtp_code": pl.Int32,
    "smtp_reply": pl.String,
    "retry_after": pl.Float64,
    "stopped": pl.String,
    "run_fact": pl.String,
    "route_fact": pl.String,
    "previous_reason": pl.String,
    "previous_attempts": pl.Int64,
    "series_size": pl.Int32,
    "duplicate_key": pl.String,
    **{f"{layer}_reason": pl.String for layer in _LAYERS},
    **{f"{layer}_detail": pl.String for layer in _LAYERS},
    **dict.fromkeys(FLAGS, pl.Boolean),
}


def evidence(*rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of evidence; what is not given is null, a flag false."""
    flags = dict.fromkeys(FLAGS, False)
    whole = [{"cell": "ann@acme.test", "email_key": f"{n:064d}", **flags, **row} for n, row in enumerate(rows)]
    return pl.DataFrame(whole, schema=_SCHEMA)


def verdicts(*rows: dict[str, Any], settings: Settings = SETTINGS, **options: Any) -> list[dict[str, Any]]:
    table = judge(evidence(*rows), settings, now=NOW, **options)
    return table.to_arrow().cast(verdict_schema()).to_pylist()  # type: ignore[no-any-return]


def verdict(row: dict[str, Any] | None = None, /, *, under: Settings = SETTINGS, **more: Any) -> dict[str, Any]:
    return verdicts({**(row or {}), **more}, settings=under)[0]


def of_layer(reason: Reason) -> str:
    layer = REASONS[reason].layer
    return "mailbox" if layer == "run" else layer


_REASONS = st.sampled_from(sorted(Reason, key=str))
_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


# ---------------------------------------------------------------- reason


def test_without_any_evidence_an_address_was_not_probed() -> None:
    found = verdict()
    assert (found["reason"], found["status"], found["recommendation"]) == ("not_probed", "unknown", "reverify")


@given(first=_REASONS, second=_REASONS)
def test_of_two_reasons_the_one_that_stands_first_in_the_table_decides(first: Reason, second: Reason) -> None:
    row = {f"{of_layer(second)}_reason": str(second), f"{of_layer(first)}_reason": str(first)}
    given = [Reason(reason) for reason in row.values()]
    order = list(REASONS)
    assert verdict(row)["reason"] == min(given, key=order.index)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"history_reason": "suppressed", "syntax_reason": "syntax_invalid"}, "suppressed"),
        ({"history_reason": "hard_bounced", "mailbox_reason": "mailbox_accepted"}, "hard_bounced"),
        ({"mailbox_reason": "mailbox_not_found", "reference_reason": "role_account"}, "mailbox_not_found"),
        ({"mailbox_reason": "mailbox_accepted", "reference_reason": "role_account"}, "role_account"),
        ({"mailbox_reason": "greylisted", "reference_reason": "role_account"}, "greylisted"),
        ({"mailbox_reason": "accept_all", "reference_reason": "disposable"}, "disposable"),
        ({"route_reason": "null_mx", "reference_reason": "typo_domain"}, "null_mx"),
        ({"route_reason": "dns_timeout", "reference_reason": "disposable"}, "disposable"),
        ({"history_reason": "recently_delivered", "mailbox_reason": "accept_all"}, "recently_delivered"),
    ],
)
def test_the_stronger_fact_decides(row: dict[str, str], reason: str) -> None:
    assert verdict(row)["reason"] == reason


@given(reason=_REASONS)
def test_the_status_is_that_of_the_reason(reason: Reason) -> None:
    assert verdict({f"{of_layer(reason)}_reason": str(reason)})["status"] == REASONS[reason].status


# ---------------------------------------------------------------- recommendation and score


@given(
    rows=st.lists(
        st.tuples(_REASONS, st.integers(0, 5), st.booleans(), st.sets(st.sampled_from(FLAGS))), min_size=1, max_size=20
    ),
    policy=st.sampled_from(Policy),
)
def test_the_recommendation_is_that_of_the_vocabulary(
    rows: list[tuple[Reason, int, bool, set[str]]], policy: Policy
) -> None:
    table = [
        {
            f"{of_layer(reason)}_reason": str(reason),
            "previous_reason": str(reason) if same else None,
            "previous_attempts": before,
            **dict.fromkeys(flags, True),
        }
        for reason, before, same, flags in rows
    ]
    for found in verdicts(*table, settings=Settings(policy=policy)):
        assert found["recommendation"] == recommend(Reason(found["reason"]), policy, found["score"], found["attempts"])


@given(reason=_REASONS, flags=st.sets(st.sampled_from(FLAGS)))
def test_the_score_is_one_to_a_hundred_and_flags_never_move_a_settled_answer(reason: Reason, flags: set[str]) -> None:
    row = {f"{of_layer(reason)}_reason": str(reason)}
    plain, flagged = verdict(row)["score"], verdict({**row, **dict.fromkeys(flags, True)})["score"]
    assert 0 <= flagged <= 100
    if REASONS[reason].status is Status.undeliverable or reason is Reason.mailbox_accepted:
        assert plain == flagged


def test_the_score_falls_as_the_probability_of_a_bounce_rises() -> None:
    reasons = sorted(REASONS, key=bounce_probability)
    found = verdicts(*({f"{of_layer(reason)}_reason": str(reason)} for reason in reasons))
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == round(100 * (1 - bounce_probability(reasons[0])))


@pytest.mark.parametrize("status", list(Status))
def test_every_reason_of_a_status_scores_on_its_side(status: Status) -> None:
    for reason, rule in REASONS.items():
        if rule.status is status and reason is not Reason.suppressed:
            probability = bounce_probability(reason)
            assert {"deliverable": probability <= 0.05, "undeliverable": probability >= 0.9}.get(status, True)


@given(weaker=st.floats(0.01, 0.9), stronger=st.floats(0.01, 0.9))
def test_learnt_probabilities_take_the_place_of_the_priors_and_are_monotone(weaker: float, stronger: float) -> None:
    low, high = sorted((weaker, stronger))
    row = {"mailbox_reason": "accept_all"}
    scores = [verdicts(row, learnt={Reason.accept_all: p})[0]["score"] for p in (low, high)]
    assert scores[0] >= scores[1]
    assert scores[0] == pytest.approx(100 * (1 - low), abs=1)


def test_good_signs_raise_and_bad_signs_lower_an_open_answer() -> None:
    plain = verdict(mailbox_reason="accept_all")["score"]
    assert verdict(mailbox_reason="accept_all", relay_alias=True)["score"] > plain
    assert verdict(mailbox_reason="accept_all", no_reply=True)["score"] < plain


_FLAG_SETS = st.sets(st.sampled_from(FLAGS))


@given(reason=_REASONS, flags=_FLAG_SETS, another=st.sampled_from(sorted(WEIGHTS)))
def test_one_more_sign_moves_the_score_only_its_own_way(reason: Reason, flags: set[str], another: str) -> None:
    before, after = probability_of(reason, flags - {another}), probability_of(reason, flags | {another})
    if reason in SETTLED:
        assert after == before
    elif WEIGHTS[another].weight > 0:
        assert after > before
    else:
        assert after < before


@given(reason=_REASONS, flags=_FLAG_SETS)
def test_the_score_is_the_same_for_one_address_and_for_columns(reason: Reason, flags: set[str]) -> None:
    row = {f"{of_layer(reason)}_reason": str(reason), **dict.fromkeys(flags, True)}
    found = verdict(row)
    assert found["bounce_probability"] == pytest.approx(probability_of(reason, flags), rel=1e-14)
    assert found["score"] == score_of(probability_of(reason, flags))


@given(reason=_REASONS, flags=_FLAG_SETS)
def test_flags_never_change_reason_or_status(reason: Reason, flags: set[str]) -> None:
    row = {f"{of_layer(reason)}_reason": str(reason)}
    plain, flagged = verdict(row), verdict({**row, **dict.fromkeys(flags, True)})
    assert (plain["reason"], plain["status"]) == (flagged["reason"], flagged["status"])


@pytest.mark.parametrize("flag", ["gibberish", "keyboard_walk", "series", "burst", "duplicate_of", "no_reply"])
def test_suspicion_lowers_an_open_score(flag: str) -> None:
    plain, flagged = verdict(mailbox_reason="accept_all"), verdict({"mailbox_reason": "accept_all", flag: True})
    assert flagged["score"] < plain["score"]
    assert flagged["flags"] == flag


def test_every_start_and_weight_says_why_and_whence() -> None:
    assert set(PRIORS) == set(Reason)
    rows: list[Prior | Weight] = [*PRIORS.values(), *WEIGHTS.values()]
    for row in rows:
        assert len(row.why) > 10
        assert row.source
    assert set(WEIGHTS) <= set(FLAGS)


def test_what_an_explanation_adds_up_is_the_score() -> None:
    parts = contributions(Reason.accept_all, {"gibberish", "free", "probed"})
    assert [part.name for part in parts] == ["accept_all", "free", "gibberish"]
    odds = sum(part.log_odds for part in parts)
    found = verdict({"mailbox_reason": "accept_all", "gibberish": True, "free": True, "probed": True})
    assert found["score"] == round(100 / (1 + math.exp(odds)))
    assert [part.name for part in contributions(Reason.mailbox_accepted, {"gibberish"})] == ["mailbox_accepted"]


def test_series_and_duplicates_leave_their_evidence() -> None:
    key = "f" * 64
    trace = json.loads(verdict(series=True, series_size=950, duplicate_of=True, duplicate_key=key)["evidence"])
    assert trace == [
        {"layer": "suspicion", "fact": "series", "detail": "950 addresses of the domain differ only in a number"},
        {"layer": "suspicion", "fact": "duplicate_of", "detail": key},
    ]


# ---------------------------------------------------------------- attempts and next check


@pytest.mark.parametrize(
    ("previous", "before", "attempts"),
    [
        (None, None, 1),
        ("greylisted", 1, 2),
        ("greylisted", 7, 8),
        ("mailbox_full", 7, 1),
        ("greylisted", None, 2),
        ("greylisted", 0, 2),
    ],
)
def test_attempts_count_answers_alike_in_a_row(previous: str | None, before: int | None, attempts: int) -> None:
    row = verdict(mailbox_reason="greylisted", previous_reason=previous, previous_attempts=before)
    assert row["attempts"] == attempts


@given(reason=_REASONS, before=st.integers(0, 9))
def test_the_next_check_follows_the_reason_s_schedule(reason: Reason, before: int) -> None:
    row = verdict({f"{of_layer(reason)}_reason": str(reason)}, previous_reason=str(reason), previous_attempts=before)
    schedule = SETTINGS.retry.after_greylisting if reason is Reason.greylisted else REASONS[reason].recheck
    if not schedule:
        assert row["next_check_at"] is None
    else:
        assert row["next_check_at"] == NOW + schedule[min(row["attempts"], len(schedule)) - 1]
    assert row["checked_at"] == NOW


def test_the_greylisting_schedule_is_that_of_the_settings() -> None:
    patient = Settings.load(retry={"after_greylisting": ("7m", "9h")})
    waits = [
        verdict(mailbox_reason="greylisted", previous_reason="greylisted", previous_attempts=n, under=patient)[
            "next_check_at"
        ]
        - NOW
        for n in (0, 1, 2, 5)
    ]
    assert waits == [timedelta(hours=9)] * 4
    assert verdict(mailbox_reason="greylisted", under=patient)["next_check_at"] == NOW + timedelta(minutes=7)


@pytest.mark.parametrize(
    ("reason", "asked_for", "wait"),
    [
        ("greylisted", 1.0, timedelta(minutes=5)),
        ("greylisted", 900.0, timedelta(minutes=15)),
        ("sender_throttled", 10.0, timedelta(hours=1)),
        ("not_probed", 3600.0, timedelta(hours=1)),
        ("mailbox_not_found", 60.0, timedelta(days=180)),
        ("mailbox_full", 60.0, timedelta(days=3)),
    ],
)
def test_a_server_s_own_time_counts_for_open_answers_and_never_shortens_a_wait(
    reason: str, asked_for: float, wait: timedelta
) -> None:
    assert verdict(mailbox_reason=reason, retry_after=asked_for)["next_check_at"] == NOW + wait


def test_a_mailbox_that_stays_full_is_given_up() -> None:
    row = {"mailbox_reason": "mailbox_full", "previous_reason": "mailbox_full"}
    found = [verdict(row, previous_attempts=n)["recommendation"] for n in (1, 2, 3)]
    assert found == ["reverify", "do_not_send", "do_not_send"]


# ---------------------------------------------------------------- the record


@settings(max_examples=60)
@given(reply=_TEXT, detail=_TEXT, stopped=_TEXT)
def test_the_evidence_is_json_whatever_a_server_says(reply: str, detail: str, stopped: str) -> None:
    row = verdict(
        mailbox_reason="mailbox_not_found",
        mailbox_detail=reply,
        route_fact="route_found",
        route_detail=detail,
        run_fact="not_probed",
        stopped=stopped,
        smtp_reply=reply,
    )
    trace = json.loads(row["evidence"])
    assert [fact["layer"] for fact in trace] == ["route", "mailbox", "run"]
    assert all(set(fact) <= {"layer", "fact", "detail"} for fact in trace)
    if reply.isprintable():
        assert trace[1]["detail"] == reply
    assert Verdict.from_row(row).evidence[1].fact == "mailbox_not_found"


@pytest.mark.parametrize(
    "reply",
    ['he said "no"', "back\\slash", '\\"', "\x00\x01\x1f\x7f", "line\nbreak\ttab\r", "\u2028\u2029", "🙅 nein", ""],
)
def test_the_evidence_survives_characters_that_json_escapes(reply: str) -> None:
    assert json.loads(verdict(mailbox_reason="mailbox_not_found", mailbox_detail=reply)["evidence"])


def test_evidence_of_layers_that_found_nothing_is_left_out() -> None:
    assert json.loads(verdict()["evidence"]) == []
    only = json.loads(verdict(syntax_reason="syntax_invalid", syntax_detail="missing_at")["evidence"])
    assert only == [{"layer": "syntax", "fact": "syntax_invalid", "detail": "missing_at"}]


def test_flags_are_written_in_their_order_and_none_as_empty_text() -> None:
    assert verdict(dict.fromkeys(reversed(FLAGS), True))["flags"] == ",".join(FLAGS)
    assert verdict()["flags"] == ""


def test_flags_that_are_null_do_not_count() -> None:
    row = verdict(dict.fromkeys(FLAGS), mailbox_reason="accept_all")
    assert row["flags"] == ""
    assert row["score"] == 80


def test_the_address_is_kept_only_where_the_settings_say_and_where_it_is_one() -> None:
    assert verdict()["email"] == "ann@acme.test"
    assert verdict(under=Settings.load(store={"store_addresses": False}))["email"] is None
    assert verdict(cell="x" * 2000)["email"] is None


def test_the_version_of_the_rules_names_the_users_own_lists() -> None:
    assert verdicts({}, lists_digest="abc")[0]["rules_version"].endswith("+abc")
    assert "+" not in verdicts({})[0]["rules_version"]


def test_no_rows_give_no_verdicts_of_the_right_shape() -> None:
    empty = judge(evidence().clear(), SETTINGS, now=NOW)
    assert empty.height == 0
    assert empty.to_arrow().cast(verdict_schema()).schema == verdict_schema()


def test_the_order_of_the_rows_is_kept_and_the_evidence_is_not_changed() -> None:
    table = evidence(*({"cell": f"p{n}", "mailbox_reason": "greylisted" if n % 3 else None} for n in range(100)))
    before = table.clone()
    found = judge(table, SETTINGS, now=NOW, run_id="r1")
    assert found["email"].to_list() == table["cell"].to_list()
    assert set(found["run_id"]) == {"r1"}
    assert table.equals(before)
    assert found.equals(judge(table, SETTINGS, now=NOW, run_id="r1"))


def test_a_row_gets_the_verdict_it_would_get_alone() -> None:
    rows: list[dict[str, Any]] = [
        {},
        {"free": True},
        {"free": True, "gibberish": True},
        {"reference_reason": "role_account", "role": True},
        {"reference_reason": "typo_domain", "reference_detail": "gmail.com", "suggestion": "ann@gmail.com"},
        {"syntax_reason": "syntax_invalid", "syntax_detail": "missing_at"},
        {"mailbox_reason": "greylisted", "retry_after": 7200.0, "smtp_code": 450, "smtp_reply": "later"},
        {"mailbox_reason": "greylisted", "previous_reason": "greylisted", "previous_attempts": 2},
        {"mailbox_reason": "mailbox_full", "previous_reason": "mailbox_full", "previous_attempts": 2},
        {"mailbox_reason": "mailbox_full", "previous_reason": "greylisted", "previous_attempts": 2},
        {"series": True, "series_size": 7},
        {"series": True, "series_size": 9},
        {"duplicate_of": True, "duplicate_key": "b" * 64},
        {"run_fact": "not_probed", "stopped": "no resolver answers", "retry_after": 3600.0},
    ]
    rows = [{**row, "email_key": f"{number:064d}"} for number, row in enumerate(rows * 2)]
    assert verdicts(*rows) == [verdict(row) for row in rows]


# ---------------------------------------------------------------- many rows


def test_many_rows_are_judged_as_few_are() -> None:
    """What no row has is left out of the work; it must never be missed."""
    each: list[dict[str, Any]] = [{}]
    each += [{f"{layer}_reason": "role_account", f"{layer}_detail": 'a "b"'} for layer in _LAYERS]
    each += [{flag: True, "series_size": 7, "duplicate_key": "k"} for flag in FLAGS]
    each += [{"run_fact": "not_probed", "stopped": "no resolver"}, {"route_fact": "route_found", "route_detail": "mx"}]
    few = [judge(evidence(row), SETTINGS, now=NOW) for row in each]
    for row, right in zip(each, few, strict=True):
        assert_frame_equal(judge(pl.concat([evidence({}), evidence(row)]), SETTINGS, now=NOW).tail(1), right)


def test_a_mixture_of_many_rows_is_judged_row_by_row() -> None:
    rows = evidence(
        *({f"{layer}_reason": str(r), flag: True} for layer, flag in zip(_LAYERS, FLAGS, strict=False) for r in REASONS)
    )
    many = judge(pl.concat([rows] * (10_000 // rows.height + 1)), SETTINGS, now=NOW)
    assert_frame_equal(many.head(rows.height), judge(rows, SETTINGS, now=NOW))


def test_without_addresses_no_column_holds_one() -> None:
    under = Settings.load(store={"store_addresses": False})
    row = verdict(
        under=under,
        suggestion="ann.lee@gmail.com",
        smtp_reply="moved to ann.lee@a.test",
        smtp_code=550,
        history_reason="hard_bounced",
        history_detail="newest hard bounce on 2026-01-01 as ann.lee@a.test",
        mailbox_reason="mailbox_not_found",
        mailbox_detail="ann.lee\uff20a.test",
    )
    assert "ann.lee" not in str(row)
    assert row["suggestion"] == "typo_domain: gmail.com"
    assert json.loads(row["evidence"])[0]["detail"] == "newest hard bounce on 2026-01-01 as a***@a.test"
    refused = verdict(
        under=under, suggestion="ann.lee@a.test", syntax_reason="syntax_invalid", syntax_detail="local_dot"
    )
    assert refused["suggestion"] == "local_dot: a.test"


def test_under_a_key_the_trace_of_a_double_confirms_no_guess() -> None:
    key = email_key("ann@a.test")
    under = Settings.load(privacy={"key": "a secret of the user's own"})
    keyed = verdict(under=under, duplicate_of=True, duplicate_key=key)
    assert key not in str(keyed)
    detail = json.loads(keyed["evidence"])[0]["detail"]
    assert len(detail) == 64
    assert detail == json.loads(verdict(under=under, duplicate_of=True, duplicate_key=key)["evidence"])[0]["detail"]
    assert "secret" not in repr(under)
