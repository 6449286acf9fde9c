"""What every warehouse saves, writes and counts alike, whichever database it is, each rule on real servers."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from mailvet.errors import SettingsError, SourceError
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.verdict import STATUS_COLUMNS, email_key, verdict_schema
from mailvet.vocabulary import Policy
from mailvet.warehouse.own_tables import ADDED_LATER
from mailvet.warehouse.store import SILENT
from tests.warehouse.answers import NOW, answers, later, plan_of
from tests.warehouse.places import Place
from tests.warehouse.test_contract import due, saved, stored

# -------------------------------------------------------------------- saving


def test_what_is_saved_comes_back_as_it_was(place: Place) -> None:
    place.contacts("ann@a.test")
    reply = '550 5.1.1 it\'s \\full\\ 100% "no" :x ünknown'
    batch = answers(
        {"ann@a.test": "mailbox_full", "b@b.test": "accept_all"},
        smtp_code=452,
        smtp_reply=reply,
        flags="role,probed",
        attempts=2,
        evidence='[{"layer":"mailbox","detail":"a\\u0000b"}]',
    )
    warehouse = place.opened()
    warehouse.open_for_writing()
    warehouse.save(batch)
    assert [stored(warehouse, text) for text in ("ann@a.test", "b@b.test")] == batch.to_pylist()
    assert stored(warehouse, " ANN@a.test")["email"] == "ann@a.test"
    assert warehouse.stored("nobody@a.test") is None
    other = place.opened()  # committed when `save` returned
    assert stored(other, "ann@a.test") == batch.to_pylist()[0]


def test_no_silent_answer_replaces_any_known_verdict(place: Place) -> None:
    place.contacts("ann@a.test")
    known = ("mailbox_accepted", "mailbox_not_found", "accept_all", "hard_bounced")
    cells = {f"{silent}.{reason}@a.test": (silent, reason) for silent in SILENT for reason in known}
    warehouse = saved(place.opened(), {cell: reason for cell, (_, reason) in cells.items()})
    before = {cell: stored(warehouse, cell) for cell in cells}
    warehouse.save(answers({cell: str(silent) for cell, (silent, _) in cells.items()}, now=later(days=60)))
    for cell in cells:
        after = stored(warehouse, cell)
        assert after == before[cell] | {"next_check_at": after["next_check_at"]}
        assert after["next_check_at"] > later(days=60)


@pytest.mark.parametrize("silent", [SILENT[0], SILENT[3]])
def test_an_answer_that_says_nothing_never_replaces_a_known_verdict(place: Place, silent: str) -> None:
    place.contacts("ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_not_found"})
    before = stored(warehouse, "ann@a.test")
    warehouse.save(
        answers({"ann@a.test": str(silent), "new@a.test": str(silent), "bob@a.test": "accept_all"}, now=later(days=60))
    )
    after = stored(warehouse, "ann@a.test")
    assert after == before | {"next_check_at": after["next_check_at"]}
    assert after["next_check_at"] > later(days=60)
    assert stored(warehouse, "new@a.test")["reason"] == str(silent)
    assert stored(warehouse, "bob@a.test")["reason"] == "accept_all"


def test_a_verdict_that_nobody_could_confirm_for_half_a_year_gives_way(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted"})
    warehouse.save(answers({"ann@a.test": "connect_failed"}, now=later(days=181)))
    assert stored(warehouse, "ann@a.test")["reason"] == "connect_failed"


def test_an_unknown_verdict_gives_way_to_any_answer(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "greylisted"})
    for reason in ("not_probed", "mailbox_accepted", "mailbox_not_found", "accept_all"):
        warehouse.save(answers({"ann@a.test": reason}))
        assert stored(warehouse, "ann@a.test")["reason"] == reason


def test_a_silent_answer_counts_by_how_deep_it_asked(place: Place) -> None:
    place.contacts("ann@a.test", "bob@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "domain_not_found"}, depth="dns")
    saved(warehouse, {"bob@a.test": "mailbox_accepted"}, depth="smtp")
    before = stored(warehouse, "bob@a.test")
    warehouse.save(answers({"ann@a.test": "dns_timeout"}, depth="smtp"))
    warehouse.save(answers({"bob@a.test": "not_probed"}, depth="dns", now=later(days=61)))
    assert stored(warehouse, "ann@a.test")["reason"] == "domain_not_found"
    assert stored(warehouse, "bob@a.test") == before
    assert plan_of(warehouse).due == 0
    plan_of(warehouse, now=later(days=61))
    assert "bob@a.test" in due(warehouse)


def test_many_batches_make_one_table(place: Place) -> None:
    place.contacts("x")
    warehouse = place.opened()
    warehouse.open_for_writing()
    for start in range(0, 300, 100):
        texts = [f"p{n}@x.test" for n in range(start, start + 150)]  # the half of them for the second time
        warehouse.save(answers(dict.fromkeys(texts, "mailbox_accepted"), run_id=f"run{start}"))
    assert place.sql("select run_id, count(*) from mailvet_verdicts group by run_id order by run_id") == [
        ("run0", 100),
        ("run100", 100),
        ("run200", 150),
    ]


def test_what_was_asked_today_counts_by_operator(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    assert warehouse.asked_today(NOW) == {}
    saved(warehouse, {"a@a.test": "mailbox_accepted", "b@a.test": "mailbox_not_found"}, operator="a", smtp_code=250)
    warehouse.save(answers({"c@a.test": "not_probed"}, operator="a"))
    warehouse.save(answers({"d@a.test": "mailbox_accepted"}, operator="a", smtp_code=250, now=later(days=-1)))
    assert warehouse.asked_today(later(hours=2)) == {"a": 2}
    assert warehouse.asked_today(later(hours=13)) == {}


def test_verdicts_not_renewed_are_forgotten(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "bob@a.test": "mailbox_accepted"})
    warehouse.save(answers({"bob@a.test": "mailbox_accepted"}, now=later(days=40)))
    assert warehouse.forget_before(later(days=30)) == 1
    assert warehouse.stored("ann@a.test") is None


def test_a_run_is_one_row_and_can_be_completed(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened()
    warehouse.open_for_writing()
    warehouse.open_for_writing()
    warehouse.save_run({"run_id": "r1", "started_at": NOW, "rows": 3})
    warehouse.save_run({"run_id": "r1", "started_at": NOW, "finished_at": later(hours=1), "by_status": {"risky": 3}})
    rows = place.sql("select run_id, by_status from mailvet_runs")
    assert rows == [("r1", json.dumps({"risky": 3}))]


# -------------------------------------------------------------------- writing back


def test_every_row_gets_its_status_duplicates_too_and_a_missing_cell_none(place: Place) -> None:
    place.contacts("ann@a.test", "ann@a.test", None, "", "bob@b.test", "Ann@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "": "syntax_invalid", "bob@b.test": "null_mx"})
    warehouse.check_write_back(STATUS_COLUMNS)
    assert warehouse.write_back(STATUS_COLUMNS) == 3
    assert place.sql("select id, email, country, mailvet_reason, mailvet_recommendation from contacts order by id") == [
        (1, "ann@a.test", "DE", "mailbox_accepted", "send"),
        (2, "ann@a.test", "FR", "mailbox_accepted", "send"),
        (3, None, "DE", None, None),
        (4, "", "FR", None, None),
        (5, "bob@b.test", "DE", "null_mx", "do_not_send"),
        (6, "Ann@a.test", "FR", None, None),
    ]
    assert place.columns() == ["id", "email", "country", *(f"mailvet_{name}" for name in STATUS_COLUMNS)]
    warehouse.check_write_back(STATUS_COLUMNS)


def test_only_rows_whose_answer_changed_are_written(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", None)
    warehouse = saved(
        place.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "accept_all", "": "syntax_invalid"}
    )
    assert warehouse.write_back(STATUS_COLUMNS) == 2
    assert warehouse.write_back(STATUS_COLUMNS) == 0
    warehouse.save(answers({"bob@b.test": "mailbox_not_found"}, suggestion="Bob@b.test"))
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    warehouse.save(answers({"bob@b.test": "mailbox_not_found"}, suggestion="bob@b.test"))
    assert warehouse.write_back(("suggestion",)) == 1


@pytest.mark.parametrize("cell", [None, "", " \t", "\xa0", "\u200b\ufeff"])
def test_a_cell_that_became_blank_loses_its_status(place: Place, cell: str | None) -> None:
    place.contacts("ann@a.test", "bob@b.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "null_mx"})
    warehouse.write_back(STATUS_COLUMNS)
    place.sql("update contacts set email = ? where id = 1", [(cell,)])
    plan = plan_of(warehouse)
    assert (plan.missing, plan.addresses, plan.due) == (1, 1, 0)
    assert warehouse.write_back(STATUS_COLUMNS) == 1
    assert warehouse.write_back(STATUS_COLUMNS) == 0
    names = ", ".join(f"mailvet_{name}" for name in STATUS_COLUMNS)
    assert place.sql(f"select {names} from contacts where id = 1") == [(None,) * len(STATUS_COLUMNS)]
    assert place.sql("select mailvet_reason from contacts where id = 2") == [("null_mx",)]


def test_a_split_writes_missing_cells_into_a_file_of_their_own(place: Place, tmp_path: Path) -> None:
    place.contacts("ann@a.test", "bob@b.test", None, "\u200b ", "new@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "null_mx"})
    plan_of(warehouse)
    for column, part in (("recommendation", "send"), ("reason", "mailbox_accepted")):
        output = tmp_path / f"{column}.csv"
        written = warehouse.export(output, ("reason",), split_by=column)
        lines = {path.name.split(".")[1]: path.read_text().splitlines()[1:] for path in written}
        assert [line.partition(",")[0] for line in lines["missing"]] == ["3", "4"]
        assert [line.partition(",")[0] for line in lines["unverified"]] == ["5"]
        assert [line.partition(",")[0] for line in lines[part]] == ["1"]


def test_rows_without_an_address_have_a_table_of_their_own(place: Place) -> None:
    place.contacts("ann@a.test", None, " ", "new@a.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted"})
    plan_of(warehouse)
    warehouse.export_tables({"send": "list_send", "missing": "list_missing"}, ("reason",))
    assert place.sql("select id, mailvet_reason from list_send") == [(1, "mailbox_accepted")]
    assert place.sql("select id, mailvet_reason from list_missing order by id") == [(2, None), (3, None)]


def test_to_forget_an_address_forgets_every_spelling_of_its_mailbox(place: Place) -> None:
    place.contacts("x@a.test")
    texts = ("dots@gmail.com", "D.o.ts+shop@googlemail.com", "other@gmail.com", "d.ots@a.test")
    warehouse = saved(place.opened(), dict.fromkeys(texts, "mailbox_accepted"))
    assert warehouse.forget("d.ots@gmail.com") == 2
    assert {row[0] for row in place.sql("select email from mailvet_verdicts")} == {"other@gmail.com", "d.ots@a.test"}


def test_everybody_at_a_domain_is_forgotten_only_when_asked_for(place: Place) -> None:
    place.contacts("x@a.test")
    texts = ("ann@a.test", "Bob <bob@A.test>", "cid@sub.a.test", "a.test@b.test", "dan@b.test, eve@a.test")
    warehouse = saved(place.opened(), dict.fromkeys(texts, "mailbox_accepted"))
    with pytest.raises(SettingsError, match=r"--domain a\.test"):
        warehouse.forget("a.test")
    assert warehouse.forget("A.test", domain=True) == 3
    left = {row[0] for row in place.sql("select email from mailvet_verdicts")}
    assert left == {"cid@sub.a.test", "a.test@b.test"}
    assert warehouse.out_of_reach()


def test_verdicts_of_blank_cells_are_dropped_before_a_run_saves(place: Place) -> None:
    cells = ("", " ", "\u200b", "ann@a.test")
    place.contacts(*cells, None)
    warehouse = saved(place.opened(), {**dict.fromkeys(cells, "syntax_invalid"), "not an address": "syntax_invalid"})
    warehouse.write_back(("reason",))
    plan_of(warehouse)
    warehouse.open_for_writing()
    assert {row[0] for row in place.sql("select email from mailvet_verdicts")} == {"ann@a.test", "not an address"}


def _as_of_an_older_version(place: Place) -> None:
    """The verdict table without the columns that came later, as such a version has filled it."""
    place.close_warehouses()
    names = ", ".join(name for name in verdict_schema().names if name not in ADDED_LATER)
    place.sql(f"create table older as select {names} from mailvet_verdicts")
    place.sql("drop table mailvet_verdicts")
    place.sql(f"create table mailvet_verdicts as select {names} from older")
    if place.name in ("postgresql", "mariadb", "sqlite"):
        place.sql("create unique index mailvet_older on mailvet_verdicts (email_key)")


def test_a_table_of_an_older_version_is_read_as_it_is_and_upgraded_when_written_to(place: Place) -> None:
    place.contacts("D.o.ts+x@gmail.com", "", "ann@b\xfccher.test", "new@a.test")
    said_empty = '[{"layer":"syntax","fact":"syntax_invalid","detail":"empty"}]'
    reasons = {"D.o.ts+x@gmail.com": "mailbox_accepted", "": "syntax_invalid", "not an address": "syntax_invalid"}
    warehouse = saved(place.opened(), reasons)
    warehouse.save(answers({"ann@b\xfccher.test": "mailbox_accepted"}, domain="xn--bcher-kva.test"))
    warehouse.save(answers({" ": "syntax_invalid"}, email=None, evidence=said_empty))
    warehouse.save(answers({"hidden": "syntax_invalid"}, email=None))
    _as_of_an_older_version(place)
    warehouse = place.opened()
    assert plan_of(warehouse).due == 1
    older = stored(warehouse, "D.o.ts+x@gmail.com")
    assert (older["mailbox_key"], older["bounce_probability"]) == (None, None)
    counted = {group.reason: group.bounce_probability for group in warehouse.verdict_counts()}
    assert counted == {"mailbox_accepted": 0.5, "syntax_invalid": 0.5, None: None}
    assert warehouse.summary().bounce_after == pytest.approx(0.5)
    warehouse.open_for_writing()
    assert stored(warehouse, "D.o.ts+x@gmail.com")["mailbox_key"] == mailbox_key("dots@gmail.com")
    assert stored(warehouse, "D.o.ts+x@gmail.com")["bounce_probability"] == 0.5
    assert stored(warehouse, "ann@b\xfccher.test")["mailbox_key"] == mailbox_key("ann@xn--bcher-kva.test")
    kept = {row[0] for row in place.sql("select email_key from mailvet_verdicts")}
    texts = ("D.o.ts+x@gmail.com", "ann@b\xfccher.test", "not an address", "hidden")
    assert kept == set(map(email_key, texts))
    warehouse.save(answers({"new@a.test": "mailbox_accepted"}))
    assert stored(warehouse, "new@a.test")["mailbox_key"] == mailbox_key("new@a.test")
    assert warehouse.write_back(("reason",)) == 3


def test_rows_added_deleted_or_edited_meanwhile_never_get_a_wrong_answer(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test")
    warehouse = place.opened()
    plan_of(warehouse)
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "bob@b.test": "mailbox_not_found", "cid@c.test": "accept_all"})
    place.sql("update contacts set email = 'Ann@a.test' where id = 1")
    place.sql("delete from contacts where id = 2")
    place.sql("insert into contacts values (4, 'bob@b.test', 'DE'), (5, 'new@b.test', 'DE')")
    assert warehouse.write_back(("reason",)) == 2
    assert place.sql("select id, mailvet_reason from contacts order by id") == [
        (1, None),
        (3, "accept_all"),
        (4, "mailbox_not_found"),
        (5, None),
    ]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("mailvet_status varchar(5)", "too narrow for a status"),
        ("mailvet_score varchar(10)", "a score is a number"),
        ("mailvet_checked_at integer", "a checked_at is a timestamp"),
        ("MAILVET_REASON integer", "a reason is a text"),
    ],
)
def test_a_status_column_that_cannot_take_an_answer_is_told_up_front(place: Place, column: str, says: str) -> None:
    place.contacts("ann@a.test")
    place.sql(f"alter table contacts add column {column}")
    warehouse = place.opened()
    if place.any_width and "varchar(5)" in column:
        warehouse.check_write_back(STATUS_COLUMNS)
        return
    with pytest.raises(SourceError, match=says):
        warehouse.check_write_back(STATUS_COLUMNS)


def test_an_empty_suggestion_is_no_text_of_the_users(place: Place) -> None:
    place.contacts("ann@a.test", "bob@b.test")
    place.sql(f"alter table contacts add mailvet_suggestion {place.text}")
    place.sql("update contacts set mailvet_suggestion = ''")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted"})
    warehouse.check_write_back(("suggestion",))
    place.sql("update contacts set mailvet_suggestion = 'call again' where id = 1")
    with pytest.raises(SourceError, match=r"mailvet_suggestion of contacts in .* holds what mailvet did not write"):
        warehouse.check_write_back(("suggestion",))


def test_a_view_is_planned_but_never_written(place: Place) -> None:
    place.contacts("ann@a.test")
    place.sql("create view good as select * from contacts")
    with pytest.raises(SourceError, match="is a view"):
        place.opened("good")
    warehouse = saved(place.opened("good", updatable=False), {"ann@a.test": "mailbox_accepted"})
    assert plan_of(warehouse).rows == 1
    assert warehouse.summary().verified == 1


def test_names_may_be_reserved_words_and_hold_quotes_and_blanks(place: Place) -> None:
    quote = "`" if place.name == "mariadb" else '"'

    def q(name: str) -> str:
        return quote + name.replace(quote, quote * 2) + quote

    table, column = 'Order "by" `x`', "E-Mail Address"
    place.sql(f"create table {q(table)} ({q('select')} integer, {q(column)} varchar(99))")
    place.sql(f"insert into {q(table)} values (?, ?)", [(1, "ann@a.test")])
    warehouse = saved(place.opened(table), {"ann@a.test": "mailbox_accepted"})
    warehouse = saved(place.opened(table, prefix="Key to "), {"ann@a.test": "mailbox_accepted"})
    assert plan_of(warehouse).rows == 1
    warehouse.check_write_back(("reason",))
    assert warehouse.write_back(("reason",)) == 1
    assert place.sql(f"select {q('Key to reason')} from {q(table)}") == [("mailbox_accepted",)]


def test_a_table_or_column_that_is_not_there_is_named_with_what_there_is(place: Place) -> None:
    place.contacts("ann@a.test")
    with pytest.raises(SourceError, match=r"no table customers .*contacts"):
        place.opened("customers")
    with pytest.raises(SourceError, match=r"no column mail in contacts; there are: id, email, country"):
        place.opened(column="mail")
    with pytest.raises(SourceError, match=r"id of contacts holds .*not text"):
        place.opened(column="id")


# -------------------------------------------------------------------- results


def test_the_summary_counts_rows_by_their_verdicts(place: Place) -> None:
    place.contacts("ann@a.test", "ann@a.test", "bob@b.test", None, "new@c.test")
    warehouse = place.opened()
    plan_of(warehouse)
    saved(warehouse, {"ann@a.test": "mailbox_accepted", "": "syntax_invalid"}, score=98)
    saved(warehouse, {"bob@b.test": "mailbox_not_found"}, score=1)
    summary = warehouse.summary()
    assert (summary.rows, summary.missing, summary.verified) == (5, 1, 3)
    assert summary.by_reason == {"mailbox_accepted": 2, "mailbox_not_found": 1}
    assert summary.by_recommendation == {"send": 2, "do_not_send": 1}
    assert summary.bounce_before == pytest.approx((0.02 + 0.02 + 0.99 + 0.12) / 4)  # the last without a verdict
    assert summary.bounce_after == pytest.approx(0.02)


def test_a_change_of_policy_changes_recommendations_without_asking(place: Place) -> None:
    place.contacts("ann@a.test")
    warehouse = place.opened(policy=Policy.transactional)
    saved(warehouse, {"ann@a.test": "role_account"})
    assert plan_of(warehouse).due == 0
    assert warehouse.apply_policy() == 1
    assert warehouse.apply_policy() == 0
    assert stored(warehouse, "ann@a.test")["recommendation"] == "send"
    warehouse.write_back(("recommendation",))
    assert place.sql("select mailvet_recommendation from contacts") == [("send",)]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_a_file_gets_every_row_and_column_with_its_answer(place: Place, tmp_path: Path, ending: str) -> None:
    place.contacts("ann@a.test", None, "bob@b.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted"}, smtp_reply="=cmd()")
    plan_of(warehouse)
    output = tmp_path / f"out{ending}"
    assert warehouse.export(output, ("status", "score", "smtp_reply")) == [output]
    rows = duckdb.execute(f"select * from '{output}' order by id").fetchall()
    assert rows == [
        (1, "ann@a.test", "DE", "deliverable", 50, "'=cmd()"),
        (2, None, "FR", None, None, None),
        (3, "bob@b.test", "DE", None, None, None),
    ]
    assert warehouse.export(output, ("status",), key_columns=("id",)) == [output]
    assert [column[0] for column in duckdb.execute(f"select * from '{output}'").description] == ["id", "mailvet_status"]


def test_a_result_is_split_into_a_file_for_each_recommendation(place: Place, tmp_path: Path) -> None:
    place.contacts("ann@a.test", "bob@b.test", "cid@c.test")
    warehouse = saved(place.opened(), {"ann@a.test": "mailbox_accepted", "bob@b.test": "null_mx"})
    plan_of(warehouse)
    files = warehouse.export(
        tmp_path / "out.csv", ("reason",), split_by="recommendation", parts=("send", "reverify", "do_not_send")
    )
    found = {file.name: [line.split(",")[1] for line in file.read_text().splitlines()[1:]] for file in files}
    assert found == {
        "out.send.csv": ["ann@a.test"],
        "out.reverify.csv": [],
        "out.do_not_send.csv": ["bob@b.test"],
        "out.unverified.csv": ["cid@c.test"],
    }


def test_an_address_is_forgotten_in_every_spelling(place: Place) -> None:
    place.contacts("ann@a.test")
    texts = {
        "ann@a.test": "mailbox_accepted",
        " Ann@A.test": "mailbox_accepted",
        "joann@a.test": "mailbox_accepted",
        "Ann <ann@a.test>": "syntax_invalid",
        "ann@a.test.example": "mailbox_accepted",
        "b": "syntax_invalid",
    }
    warehouse = saved(place.opened(), texts)
    warehouse.save(answers({"ann@b.test": "typo_domain"}, suggestion="ann@a.test"))
    warehouse.save(answers({"ANN@A.TEST": "mailbox_accepted"}, email=None))
    assert warehouse.forget("ann@a.test") == 5
    left = place.sql("select email from mailvet_verdicts order by email")
    assert left == [("ann@a.test.example",), ("b",), ("joann@a.test",)]


def test_the_verdict_table_has_the_columns_of_the_contract_in_their_order(place: Place) -> None:
    place.contacts("ann@a.test")
    place.opened().open_for_writing()
    assert place.columns("mailvet_verdicts") == verdict_schema().names
