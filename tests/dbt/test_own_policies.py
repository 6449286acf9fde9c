"""Policies of the project's own and the risk budget: dbt's SQL recommends and chooses what the core does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mailvet.policies import own_policy, recommend
from mailvet.scoring.budget import Address, Budget, choose, upper_end
from mailvet.verdict import email_key
from mailvet.vocabulary import Policy, Reason
from tests.dbt.conftest import DbtProject

OWN: dict[str, Any] = {
    "based_on": "marketing",
    "role_account": "send",
    "not_probed": {"send_below_bounce": "12.5%"},
    "mailbox_accepted": {"send_within": "90d"},
    "accept_all": {"send_from_score": 70, "otherwise": "do_not_send"},
}
_LINE = (
    "{based_on: marketing, role_account: send, not_probed: {send_below_bounce: '12.5%'}, "
    "mailbox_accepted: {send_within: 90d}, accept_all: {send_from_score: 70, otherwise: do_not_send}}"
)
_PROJECT = """
name: shop
version: 1.0.0
config-version: 2
profile: shop
flags: {{send_anonymous_usage_stats: false, require_ref_prefers_node_package_to_root: true}}
models: {{shop: {{+materialized: table}}}}
vars: {{mailvet: {{mailvet_verdict_model: answers, mailvet_policies: {{b2b: {line}}}}}}}
"""
REASONS = ("mailbox_accepted", "role_account", "not_probed", "accept_all", "mailbox_not_found")
CHANCES = {"mailbox_accepted": 0.008, "role_account": 0.05, "not_probed": 0.12, "accept_all": 0.2}
ROWS = [
    (number, f"p{number}@acme{number % 9}.test", REASONS[min(number % 15, 4) if number % 15 < 5 else 0])
    for number in range(400)
]
"""Most of them accepted, the others of all reasons."""


def _chance(number: int, reason: str) -> float:
    return CHANCES.get(reason, 0.98) + (number % 3) / 1000


def _age(number: int) -> timedelta:
    return timedelta(days=1 if number % 2 else 200)


def _project(make_project: Callable[..., DbtProject], line: str = _LINE) -> DbtProject:
    project = make_project(rows=[*((number, email) for number, email, _ in ROWS), (1000, ROWS[0][1]), (1001, None)])
    project.write("dbt_project.yml", _PROJECT.format(line=line))
    now = datetime.now(timezone.utc)
    values = ", ".join(
        f"('{email}', '{reason}', {_chance(number, reason)!r}, {round(100 * (1 - _chance(number, reason)))}, "
        f"timestamp '{now - _age(number):%Y-%m-%d %H:%M:%S}', '{'free' if number % 5 == 0 else ''}')"
        for number, email, reason in ROWS
    )
    nothing = ("suggestion", "mx_host", "smtp_code", "smtp_reply", "evidence", "run_id", "mailbox_key", "operator")
    project.write(
        "models/answers.sql",
        "{{ config(alias='mailvet_verdicts') }}\nselect sha256(email) as email_key, email, 'risky' as status, reason, "
        "'reverify' as recommendation, cast(score as smallint) as score, cast(chance as double) as bounce_probability, "
        "flags, split_part(email, '@', 2) as domain, 'smtp' as depth, 1 as attempts, '1' as rules_version, checked_at, "
        "cast(null as timestamp) as next_check_at, "
        + ", ".join(f"cast(null as varchar) as {name}" for name in nothing)
        + f" from (values {values}) as v(email, reason, chance, score, checked_at, flags)",
    )
    return project


@pytest.mark.slow
def test_sql_recommends_and_chooses_what_the_core_does(make_project: Callable[..., DbtProject]) -> None:
    project = _project(make_project)
    project.write("models/judged.sql", "{{ mailvet.with_verdicts(ref('contacts'), policy='b2b') }}")
    project.write("models/chosen.sql", "{{ mailvet.send_list(ref('contacts'), max_bounce_rate='6%') }}")
    project.write("models/gate.sql", "{{ mailvet.gate_figures(ref('contacts'), among='send', policy='b2b') }}")
    project.built("run", "--select", "package:shop")
    policy = own_policy("b2b", OWN)
    expected = {
        number: str(
            recommend(
                Reason(reason),
                policy,
                round(100 * (1 - _chance(number, reason))),
                1,
                probability=_chance(number, reason),
                age=_age(number),
            )
        )
        for number, _, reason in ROWS
    }
    found = dict(project.rows("select id, mailvet_recommendation from dbt.judged where id < 1000"))
    assert found == expected
    assert set(expected.values()) == {"send", "reverify", "do_not_send"}
    sent = sum(advice == "send" for advice in expected.values()) + (expected[0] == "send")
    assert project.rows("select audience from dbt.gate") == [(sent,)]
    candidates = [
        Address(
            email_key(email),
            upper_end(Reason(reason), _chance(number, reason)),
            None if number % 5 == 0 else email.partition("@")[2],
            None,
            1 + (number == 0),
        )
        for number, email, reason in ROWS
        if str(recommend(Reason(reason), Policy.marketing, 80, 1)) != "do_not_send"
    ]
    chosen = choose(candidates, Budget(0.06))
    assert chosen.last is not None
    assert 0 < chosen.rows < chosen.candidates
    order = sorted(candidates, key=lambda each: (each.probability, each.key))
    keys = {each.key for each in order[: [each.key for each in order].index(chosen.last.key) + 1]}
    listed = project.rows("select id, email from dbt.chosen")
    assert {email_key(email) for _, email in listed} == keys
    assert len(listed) == chosen.rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{role_acount: send}", "mailvet_policies: b2b: reason is role_acount; choose one of"),
        ("{role_account: sent}", "mailvet_policies: b2b: role_account is sent; choose one of send, reverify"),
        ("{not_probed: {send_below: 0.03}}", "not_probed has no condition send_below of that kind"),
        ("{suppressed: send}", "suppressed is do_not_send under every policy"),
    ],
)
def test_what_cannot_be_read_of_a_policy_is_named(
    make_project: Callable[..., DbtProject], line: str, says: str
) -> None:
    project = _project(make_project, line)
    project.write("models/judged.sql", "{{ mailvet.with_verdicts(ref('contacts'), policy='b2b') }}")
    assert says in project.refused("run", "--select", "answers", "contacts", "judged")
