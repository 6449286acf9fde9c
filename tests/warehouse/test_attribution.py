"""What each layer was worth, from verdicts alone."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailvet.vocabulary import REASONS, Reason, Status
from mailvet.warehouse.attribution import LAYERS, Group, by_layer, evidence_sql, first_layer


@pytest.mark.parametrize(
    ("reason", "found", "layer"),
    [
        ("syntax_invalid", {}, "syntax"),
        ("disposable", {"on_lists": True}, "reference"),
        ("domain_not_found", {"on_lists": True}, "reference"),
        ("domain_not_found", {"in_history": True}, "history"),
        ("domain_not_found", {"suspicious": True}, "route"),
        ("suppressed", {}, "history"),
        ("mailbox_not_found", {}, "mailbox"),
        ("greylisted", {"on_lists": True}, "reference"),
        ("greylisted", {"suspicious": True}, "suspicion"),
        ("mailbox_accepted", {"suspicious": True}, "suspicion"),
        ("mailbox_accepted", {}, None),
        ("greylisted", {}, None),
        ("dns_timeout", {}, None),
        ("recently_delivered", {}, None),
    ],
)
def test_the_cheapest_layer_that_found_something_gets_it(
    reason: str, found: dict[str, bool], layer: str | None
) -> None:
    facts = {"on_lists": False, "in_history": False, "suspicious": False} | found
    assert first_layer(Reason(reason), **facts) == layer


@pytest.mark.parametrize("reason", [rule.reason for rule in REASONS.values() if rule.status is Status.undeliverable])
def test_whatever_is_undeliverable_is_some_layer_s(reason: Reason) -> None:
    assert first_layer(reason, on_lists=False, in_history=False, suspicious=False) in LAYERS


def test_what_is_believed_falls_layer_by_layer() -> None:
    counts = by_layer(
        [
            Group("syntax_invalid", False, False, False, 3, 4),
            Group("disposable", True, False, False, 2, 2),
            Group("domain_not_found", True, False, False, 1, 1),
            Group("null_mx", False, False, False, 5, 5),
            Group("mailbox_not_found", False, False, True, 7, 10),
            Group("accept_all", False, False, False, 1, 1),
            Group("mailbox_accepted", False, False, False, 70, 80),
            Group("greylisted", False, False, True, 1, 1),
        ]
    )
    assert list(counts) == list(LAYERS)
    rows = {name: (c.addresses, c.rows, c.bad, c.believed, c.bad_believed) for name, c in counts.items()}
    assert rows == {
        "syntax": (3, 4, 4, 100, 16),
        "reference": (3, 3, 1, 97, 15),
        "history": (0, 0, 0, 97, 15),
        "route": (5, 5, 5, 92, 10),
        "mailbox": (8, 11, 10, 81, 0),
        "suspicion": (1, 1, 0, 80, 0),
    }


_GROUPS = st.lists(
    st.builds(
        Group,
        st.sampled_from([str(reason) for reason in Reason]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(0, 5),
        st.integers(0, 9),
    ),
    max_size=12,
)


@given(groups=_GROUPS)
def test_nothing_is_counted_twice_and_no_undeliverable_row_stays_unseen(groups: list[Group]) -> None:
    counts = by_layer(groups)
    assert counts["suspicion"].bad_believed == 0
    bad = sum(group.rows for group in groups if REASONS[Reason(group.reason)].status is Status.undeliverable)
    assert sum(count.bad for count in counts.values()) == bad
    total = sum(group.rows for group in groups)
    assert counts["suspicion"].believed + sum(count.rows for count in counts.values()) == total
    assert all(0 <= count.bad_believed <= count.believed for count in counts.values())


@pytest.mark.parametrize(
    ("evidence", "flags", "found"),
    [
        ("[]", "", (0, 0, 0)),
        ('[{"layer":"reference","fact":"role_account"}]', "role", (1, 0, 0)),
        ('[{"layer":"history","fact":"hard_bounced","detail":"x"}]', "", (0, 1, 0)),
        ('[{"layer":"history","fact":"recently_delivered"}]', "", (0, 0, 0)),
        ("[]", "free,gibberish,probed", (0, 0, 1)),
        ("[]", "series", (0, 0, 1)),
        ("[]", "duplicate_of,tagged,relay_alias", (0, 0, 0)),
        ('[{"layer":"mailbox","fact":"greylisted","detail":"\\"layer\\":\\"reference\\""}]', "", (0, 0, 0)),
    ],
)
def test_sql_reads_evidence_and_flags(evidence: str, flags: str, found: tuple[int, int, int]) -> None:
    columns = ", ".join(evidence_sql("evidence", "flags"))
    query = f"select {columns} from (select $1 as evidence, $2 as flags)"
    with duckdb.connect() as db:
        assert db.execute(query, [evidence, flags]).fetchall() == [found]
