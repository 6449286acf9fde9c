"""A policy of one's own in every warehouse: counts, stored recommendations, status columns, and no server asked."""

from __future__ import annotations

from mailvet.policies import own_policy
from mailvet.verdict import email_key
from tests.warehouse.answers import NOW, later, plan_of
from tests.warehouse.places import Place
from tests.warehouse.test_contract import saved

OWN = own_policy(
    "b2b",
    {
        "role_account": "send",
        "not_probed": {"send_below_bounce": 0.03},
        "mailbox_accepted": {"send_within": "36500d", "otherwise": "do_not_send"},
        "accept_all": {"send_within": "1s", "otherwise": "do_not_send"},
    },
)
EXPECTED = {
    "info@a.test": "send",
    "low@a.test": "send",
    "high@a.test": "reverify",
    "ok@a.test": "send",
    "all@a.test": "do_not_send",
    "gone@a.test": "do_not_send",
}


def test_stored_verdicts_are_judged_anew_without_a_server(place: Place) -> None:
    place.contacts(*EXPECTED)
    warehouse = place.opened()
    saved(warehouse, {"info@a.test": "role_account", "gone@a.test": "mailbox_not_found"})
    saved(warehouse, {"low@a.test": "not_probed"}, bounce_probability=0.0299)
    saved(warehouse, {"high@a.test": "not_probed"}, bounce_probability=0.03)
    saved(warehouse, {"ok@a.test": "mailbox_accepted", "all@a.test": "accept_all"})
    place.close_warehouses()
    warehouse = place.opened(policy=OWN)
    assert plan_of(warehouse, now=later(hours=1)).due == 0
    assert str(warehouse.policy) == "b2b"
    by_advice: dict[str, int] = {}
    for group in warehouse.verdict_counts():
        by_advice[str(group.recommendation)] = by_advice.get(str(group.recommendation), 0) + group.rows
    assert by_advice == {"send": 3, "reverify": 1, "do_not_send": 2}
    assert warehouse.summary().by_recommendation == by_advice
    assert warehouse.apply_policy() == 3
    warehouse.write_back(("recommendation",))
    assert dict(place.sql("select email, mailvet_recommendation from contacts")) == EXPECTED
    stored = dict(place.sql("select email_key, recommendation from mailvet_verdicts"))
    assert stored == {email_key(text): advice for text, advice in EXPECTED.items()}
    checked = {row[0] for row in place.sql("select count(*) from mailvet_verdicts where attempts = 1")}
    assert (checked, NOW.year) == ({6}, 2026)
