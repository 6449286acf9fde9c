"""One address without tables: the same verdict as by the columns, for every kind of cell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailvet.dns.routes import Route
from mailvet.lab import Lab, contact_table
from mailvet.probing.domain import MailboxResult
from mailvet.reference.columns import Reference
from mailvet.reference.own_lists import OwnLists
from mailvet.settings import Settings
from mailvet.verdict import Verdict, email_key
from mailvet.verification import api, columns, scalar, stream
from mailvet.verification.background import run_in_background
from mailvet.verification.verdict_settings import VerdictSettings
from mailvet.verification.verifier import Verifier
from mailvet.vocabulary import Reason, Status
from tests.probing import lab_settings

_OWN = {
    "allow": ("mailinator.com", "info@acme.com"),
    "deny": ("@competitor.com", "rude@acme.com"),
    "suppress": ("gone@acme.com", "left.com"),
    "extra_disposable": ("throwaway.example.org",),
    "traps": ("acme.com",),
}


def both(cells: list[str], configured: Settings) -> tuple[list[Verdict], list[Verdict]]:
    """The verdicts of the columns and those one by one, for distinct cells."""
    table = api._in_input_order(cells, run_in_background(api._verify_table(cells, configured))[0])
    columns = [Verdict.from_row(row) for row in table.to_pylist()]
    return columns, run_in_background(api._ask_each(cells, configured))[0]


def comparable(verdict: Verdict) -> dict[str, Any]:
    plain = verdict.as_dict()
    wait = (verdict.next_check_at - verdict.checked_at) if verdict.next_check_at and verdict.checked_at else None
    return {**plain, "checked_at": None, "next_check_at": wait}


@pytest.fixture(scope="module")
def big_lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("depth", ["offline", "dns"])
def test_every_cell_of_a_messy_table_gets_the_same_verdict_either_way(big_lab: Lab, depth: str) -> None:
    cells = list(dict.fromkeys(cell or "" for cell in contact_table(big_lab.world, rows=4000)["email"].to_pylist()))
    slow_enough = {"timeout": 1.0, "lifetime": 2.0}
    columns, singles = both(cells, lab_settings(big_lab, depth=depth, lists=_OWN, dns=slow_enough))
    for one, other in zip(columns, singles, strict=True):
        assert comparable(other) == comparable(one)


_LOCALS = st.sampled_from(
    [
        "ann",
        "Ann.Lee",
        "info",
        "INFO",
        "noreply",
        "no-reply+x",
        "ann+tag",
        "+ann",
        "gone",
        "rude",
        "=cmd",
        "jörg",
        "office+x",
        "postmaster",
        "a" * 65,
        "",
        "a b",
        "-ann",
        "a..b",
        "xkqjzvbwmt",
        "qwertz",
        "u1",
        "u2",
        "u3",
        "u4",
        "u5",
        "u6",
        "ann.",
        ".ann",
        "a.n.n.",
        "a.n.n",
        "info.",
        "ann_lee",
        "annle",
        "12345",
    ]
)
_DOMAINS = st.sampled_from(
    [
        "acme.com",
        "gmail.com",
        "gmial.com",
        "GMAIL.com",
        "mailinator.com",
        "x.mailinator.com",
        "competitor.com",
        "sub.competitor.com",
        "left.com",
        "sub.left.com",
        "throwaway.example.org",
        "duck.com",
        "privaterelay.appleid.com",
        "münchen.de",
        "acme",
        "acme.con",
        "hotmial.com",
        "yopmail.com",
        "",
        "web.de",
        "docomo.ne.jp",
        "d.vodafone.ne.jp",
        "EZWEB.ne.jp",
        "qq.com",
        "yahoo.com",
    ]
)
_CELLS = st.one_of(
    st.builds("{}@{}".format, _LOCALS, _DOMAINS),
    st.builds(" {}@{}\n".format, _LOCALS, _DOMAINS),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.builds("{}@{}".format, st.text(max_size=8).filter(str.isprintable), _DOMAINS),
)


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(_CELLS, min_size=1, max_size=30, unique=True))
def test_any_text_gets_the_same_verdict_either_way(cells: list[str]) -> None:
    columns, singles = both(cells, Settings.load(depth="offline", lists=_OWN))
    for one, other in zip(columns, singles, strict=True):
        assert comparable(other) == comparable(one)


@pytest.mark.parametrize(
    "cell",
    ["a..b@docomo.ne.jp", "abc.@ezweb.ne.jp", "a...b.@d.vodafone.ne.jp", " a..b@softbank.ne.jp ", "info.@au.com"],
)
def test_an_odd_address_of_a_japanese_carrier_is_real_and_cannot_be_verified(cell: str) -> None:
    columns, singles = both([cell], Settings.load(depth="offline"))
    for verdict in (*columns, *singles):
        assert (verdict.status, verdict.reason) == (Status.unknown, Reason.provider_unverifiable)
        assert "odd_dots" in verdict.flags
        assert verdict.suggestion is None


@pytest.mark.parametrize("cell", ["a..b@acme.com", ".a@docomo.ne.jp", "a..b@example.ne.jp", "a..b@notdocomo.ne.jp"])
def test_odd_dots_anywhere_else_are_a_fault_of_syntax(cell: str) -> None:
    columns, singles = both([cell], Settings.load(depth="offline"))
    assert {verdict.reason for verdict in (*columns, *singles)} == {Reason.syntax_invalid}


def test_an_odd_address_is_not_asked_about() -> None:
    finding = scalar.examine("a..b@docomo.ne.jp", OwnLists(), allow_special_use=False)
    finding.add_route(Route("docomo.ne.jp", None, (), "docomo"))
    assert not finding.worth_probing
    assert str(Reason.provider_unverifiable) in stream._SKIP_PROBING


def test_a_local_part_that_the_operator_does_not_give_out_is_a_doubt_and_no_answer() -> None:
    columns, singles = both(["annle@gmail.com", "ann.lee@gmail.com"], Settings.load(depth="offline"))
    for short, usual in (columns, singles):
        assert "local_part_unlikely" in short.flags
        assert "local_part_unlikely" not in usual.flags
        assert short.score < usual.score
        assert short.status is usual.status is Status.unknown


def test_what_several_cells_show_together_is_the_same_either_way() -> None:
    cells = [f"till{number}@acme.com" for number in range(1, 9)]
    cells += ["ann.lee@gmail.com", "a.n.n.lee+news@googlemail.com", "Ann.Lee@gmail.com", "till9@", "bob@acme.com"]
    columns, singles = both(cells, Settings.load(depth="offline"))
    for one, other in zip(columns, singles, strict=True):
        assert comparable(other) == comparable(one)
    assert [verdict.email for verdict in singles if "series" in verdict.flags] == cells[:8]
    duplicates = [verdict for verdict in singles if "duplicate_of" in verdict.flags]
    assert len(duplicates) == 2
    (kept,) = {verdict.evidence[-1].detail for verdict in duplicates}
    assert kept in {email_key("ann.lee@gmail.com"), email_key("Ann.Lee@gmail.com")}
    assert "@" not in str([verdict.evidence for verdict in duplicates])


def test_one_cell_alone_shows_nothing_of_a_table() -> None:
    assert api.verify("till1@acme.com", depth="offline").flags == ()


def test_a_mailbox_answer_is_judged_the_same_either_way(mailvet_lab_factory: Any) -> None:
    from tests.probing import acme

    lab = mailvet_lab_factory(acme("postfix", "ann", "bob:full", "cid:disabled", "dan:temporary"))
    configured = lab_settings(lab)
    cells = [f"{local}@acme.test" for local in ("ann", "bob", "cid", "dan", "eve", "ann+x", "info")]
    columns, singles = both(cells, configured)
    for one, other in zip(columns, singles, strict=True):
        # Whether the domain takes anybody may be known a moment sooner or later.
        left, right = comparable(one), comparable(other)
        left["flags"], right["flags"] = (set(row["flags"]) - {"accept_all_unknown"} for row in (left, right))
        assert left == right


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("retry_after", [None, 1.0, 5e6])
def test_every_mailbox_reason_is_judged_the_same_either_way(reason: Reason, retry_after: float | None) -> None:
    configured = Settings.load(depth="offline")
    reply = 'he said "no"\\\n\x01🙅'
    result = MailboxResult(reason, 550, reply, "mx.acme.com", True, retry_after=retry_after)
    finding = scalar.examine("ann+x@acme.com", OwnLists(), allow_special_use=False)
    finding.add_mailbox_result(result)
    alone = scalar.judge(finding, VerdictSettings.of(configured))

    async def by_columns() -> pl.DataFrame:
        async def read() -> None:
            return None

        batch = pl.DataFrame({"email": ["ann+x@acme.com"]})
        evidence = columns.offline_evidence(batch, Reference(), configured)
        evidence = evidence.with_columns(columns.mailbox_columns([result]))
        async with Verifier(configured) as verifier:
            return stream.Stream(verifier, read)._judge(evidence)

    (row,) = api._in_input_order(["ann+x@acme.com"], asyncio.run(by_columns())).to_pylist()
    assert comparable(alone) == comparable(Verdict.from_row(row))


def test_a_verdict_and_its_row_are_the_same(tmp_path: Path) -> None:
    finding = scalar.examine("ann@mailinator.com", OwnLists(), allow_special_use=False)
    verdict = scalar.judge(finding, VerdictSettings.of(Settings.load(depth="offline")))
    assert Verdict.from_row(scalar.as_row(verdict)) == verdict


def test_a_list_kept_in_a_file_counts_as_well(tmp_path: Path) -> None:
    path = tmp_path / "stop.txt"
    path.write_text("ann@acme.com\n")
    own = OwnLists.load(suppress=(str(path),))
    assert Reason.suppressed in scalar.examine("Ann@acme.com", own, allow_special_use=False).reasons
