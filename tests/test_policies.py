"""Policies of the user's own: how they are read, and that Python and SQL recommend the same."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

import mailvet
from mailvet.errors import SettingsError
from mailvet.policies import NEVER_SENT, OwnPolicy, own_policy, possible_recommendations, recommend, recommendation_sql
from mailvet.settings import Settings
from mailvet.vocabulary import REASONS, Policy, Reason, Recommendation

B2B = {
    "based_on": "marketing",
    "role_account": "send",
    "not_probed": {"send_below_bounce": 0.03},
    "accept_all": {"send_from_score": 75, "otherwise": "do_not_send"},
    "mailbox_accepted": {"send_within": "90d"},
    "inactive": {"send_below_bounce": "20%", "send_within": "30d"},
    "mailbox_full": "reverify",
}
SEND, AGAIN, NEVER = Recommendation.send, Recommendation.reverify, Recommendation.do_not_send


@pytest.mark.parametrize(
    ("reason", "score", "probability", "days", "expected"),
    [
        (Reason.role_account, 95, 0.05, 400, SEND),
        (Reason.not_probed, 97, 0.0299, 0, SEND),
        (Reason.not_probed, 97, 0.03, 0, AGAIN),
        (Reason.accept_all, 75, 0.25, 0, SEND),
        (Reason.accept_all, 74, 0.26, 0, NEVER),
        (Reason.mailbox_accepted, 99, 0.01, 90, SEND),
        (Reason.mailbox_accepted, 99, 0.01, 91, AGAIN),
        (Reason.inactive, 85, 0.15, 30, SEND),
        (Reason.inactive, 85, 0.15, 31, AGAIN),
        (Reason.inactive, 79, 0.21, 1, AGAIN),
        (Reason.mailbox_full, 75, 0.25, 0, AGAIN),
        (Reason.mailbox_not_found, 2, 0.98, 0, NEVER),
        (Reason.recently_delivered, 99, 0.01, 0, SEND),
    ],
)
def test_a_line_decides_by_probability_score_and_age_and_the_base_by_the_rest(
    reason: Reason, score: int, probability: float, days: int, expected: Recommendation
) -> None:
    policy, age = own_policy("b2b", B2B), timedelta(days=days)
    assert recommend(reason, policy, score, 3, probability=probability, age=age) is expected


def _is_younger(days: int, span: timedelta) -> str:
    return f"{days} <= {span.days}"


def test_sql_recommends_what_python_recommends() -> None:
    policy = own_policy("b2b", B2B)
    with duckdb.connect() as db:
        for reason in REASONS:
            for score in (0, 74, 75, 85, 88, 90, 97, 99):
                for attempts, days in ((1, 0), (3, 60), (1, 120)):
                    sql = recommendation_sql(
                        policy,
                        reason=f"'{reason}'",
                        score=str(score),
                        attempts=str(attempts),
                        probability=f"{1 - score / 100!r}::double",
                        is_younger=partial(_is_younger, days),
                    )
                    (found,) = db.execute(f"select {sql}").fetchall()[0]
                    age = timedelta(days=days)
                    chance = 1 - score / 100
                    assert found == recommend(reason, policy, score, attempts, probability=chance, age=age)
                    assert Recommendation(found) in possible_recommendations(reason, policy)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"based_on": "newsletter"}, "based_on is 'newsletter'; choose one of marketing, transactional, signup"),
        ({"role_acount": "send"}, "role_acount is no reason; did you mean role_account?"),
        ({"role_account": "sent"}, "role_account is 'sent'; write one of send, reverify, do_not_send"),
        ({"role_account": True}, "role_account is True"),
        ({"not_probed": {"send_below": 0.03}}, "not_probed: there is no condition send_below"),
        ({"not_probed": {}}, "not_probed has no condition"),
        ({"not_probed": {"send_below_bounce": 3}}, "not_probed: '3' is no share"),
        ({"not_probed": {"send_below_bounce": True}}, "not_probed: True is no share"),
        ({"not_probed": {"send_from_score": 101}}, "not_probed: send_from_score is 101"),
        ({"not_probed": {"send_within": "a month"}}, "not_probed: 'a month' is no duration"),
        ({"not_probed": {"send_from_score": 90, "otherwise": "send"}}, "not_probed: otherwise is 'send'"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_there_is(table: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=f"policies.b2b: {says}".replace("?", r"\?")):
        Settings.load(policies={"b2b": table})


@pytest.mark.parametrize("reason", sorted(NEVER_SENT))
def test_no_policy_sends_to_people_who_objected_or_to_nothing(reason: Reason) -> None:
    with pytest.raises(SettingsError, match=f"{reason} is do_not_send under every policy"):
        Settings.load(policies={"b2b": {str(reason): "send"}})


def test_a_name_that_is_no_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="'b2c' is no policy; there are: marketing, transactional, signup, b2b"):
        Settings.load(policy="b2c", policies={"b2b": B2B})
    with pytest.raises(SettingsError, match="signup is a policy of mailvet's"):
        Settings.load(policies={"signup": B2B})
    with pytest.raises(SettingsError, match="There is no policy b2c"):
        Settings.load(policies={"b2b": B2B}).with_policy("b2c")


def test_a_policy_of_a_file_is_used_by_name(tmp_path: Path) -> None:
    config = tmp_path / "mailvet.toml"
    config.write_text(
        'policy = "b2b"\n[policies.b2b]\nbased_on = "marketing"\nrole_account = "send"\n'
        "not_probed = {send_below_bounce = 0.13}\n"
    )
    settings = Settings.load(config, suspicion={"whole_table": False})
    assert isinstance(settings.chosen_policy, OwnPolicy)
    found = {
        text: mailvet.verify(text, depth="offline", settings=settings).recommendation
        for text in ("info@acme.com", "ann.miller@acme.com", "no@way@x")
    }
    assert found == {"info@acme.com": SEND, "ann.miller@acme.com": SEND, "no@way@x": NEVER}
    table = mailvet.verify_many([f"ann{n}@acme.com" for n in range(600)], depth="offline", settings=settings)
    assert set(table["recommendation"].to_pylist()) == {"send"}
    plain = settings.with_policy("marketing")
    assert plain.chosen_policy is Policy.marketing
    assert mailvet.verify("info@acme.com", depth="offline", settings=plain).recommendation is NEVER
