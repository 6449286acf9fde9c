"""Spark's jobs answer like one process, ask no more than it would, and refuse what cannot work before they start."""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import mailvet
from mailvet import spark as mv
from mailvet.errors import MailvetError, PreflightError, SettingsError, SourceError
from mailvet.lab import Lab, World
from mailvet.lab.guards import HarvestGuard
from mailvet.settings import Settings
from mailvet.spark import job
from mailvet.syntax.mailbox_key import mailbox_key
from mailvet.syntax.missing import is_missing
from mailvet.verdict import email_key
from tests.probing import asked, lab_settings
from tests.spark.conftest import Answered, Both, addresses

SAME = (
    "email",
    "status",
    "reason",
    "recommendation",
    "score",
    "suggestion",
    "flags",
    "domain",
    "operator",
    "smtp_code",
    "depth",
    "attempts",
    "rules_version",
)
OFFLINE = Settings.load(depth="offline")


def frame_of(spark: Any, *cells: str | None) -> Any:
    return spark.createDataFrame([(cell,) for cell in cells], "email string")


def by_text(verdicts: Any) -> dict[str, Any]:
    return {row["email"]: row for row in verdicts.collect()}


def comparable(name: str, value: Any) -> Any:
    """Whether the control had been asked when a recipient was answered is chance, with one process as with many."""
    return set(value.split(",")) - {"accept_all_unknown"} if name == "flags" else value


def test_spark_answers_what_one_process_answers(both: Both) -> None:
    keys = {email_key(cell) for cell in both.cells if not is_missing(cell)}
    assert set(both.by_spark) == set(both.alone) == keys
    differing = {
        (row["reason"], name, str(row[name]), str(both.by_spark[key][name]))
        for key, row in both.alone.items()
        for name in SAME
        if comparable(name, row[name]) != comparable(name, both.by_spark[key][name])
    }
    assert differing == set()


def test_the_contacts_met_every_kind_of_answer(both: Both) -> None:
    statuses = Counter(row["status"] for row in both.by_spark.values())
    assert set(statuses) == {"deliverable", "undeliverable", "risky", "unknown"}
    assert statuses["deliverable"] > 100


def slots_of(answered: Answered) -> dict[str, set[str]]:
    """Operator -> the tasks that wrote its answers, from the names of their files."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in glob.glob(f"{answered.staging}/answers/*.parquet"):
        slot = Path(path).name.split("-")[2]
        for operator in pq.read_table(path, columns=["operator"])["operator"].to_pylist():
            if operator is not None:
                found[operator].add(slot)
    return found


def test_no_operator_is_asked_by_two_tasks(answered: Answered) -> None:
    slots = slots_of(answered)
    assert len(slots) == 7
    assert {len(each) for each in slots.values()} == {1}
    assert len(set.union(*slots.values())) == 3, "adaptive execution has merged the partitions"


def test_the_cap_of_an_operator_holds_over_the_whole_job(answered: Answered) -> None:
    assert answered.peaks["mx.large.test"] == 2
    assert max(answered.peaks.values()) == 2


def test_each_mailbox_is_asked_once(answered: Answered) -> None:
    real = {address: times for address, times in answered.asked.items() if address in addresses()}
    assert len(real) == 90
    # Some are witnesses: asked again to see whether the server is still honest after a few refusals.
    times = Counter(real.values())
    assert times[1] >= 75
    assert max(times) <= 4


def test_there_is_one_verdict_for_each_distinct_text_and_a_status_beside_each_row(answered: Answered) -> None:
    texts = [row["email"] or "" for row in answered.frame.collect()]
    assert sorted(by_text(answered.verdicts)) == sorted({text for text in texts if text.strip()})
    rows = mv.with_status(answered.frame, "email", answered.verdicts).orderBy("id").collect()
    assert [row["email"] or "" for row in rows] == texts
    reasons = {row["email"]: row["mailvet_reason"] for row in rows}
    assert reasons["ann@small-3.test"] == reasons["ANN@customer-0.test"] == "mailbox_accepted"
    assert reasons["nobody@customer-5.test"] == "mailbox_not_found"
    assert reasons[None] is reasons[" "] is None


def test_a_second_run_asks_nobody(spark: Any, answered: Answered, tmp_path: Path) -> None:
    table = tmp_path / "verdicts"
    saved = mv.save(answered.verdicts, table)
    answered.lab.reset_counters()
    again = mv.verify(
        answered.frame, "email", settings=answered.settings, verdicts=table, staging=tmp_path / "staging", tasks=2
    )
    assert not asked(answered.lab)
    assert by_text(again) == by_text(saved)


def test_a_run_that_was_stopped_goes_on_with_what_is_left(answered: Answered, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    (staging / "answers").mkdir(parents=True)
    files = sorted(glob.glob(f"{answered.staging}/answers/*.parquet"))
    kept = pq.read_table(files[0])
    pq.write_table(kept, staging / "answers" / Path(files[0]).name)
    answered.lab.reset_counters()
    verdicts = mv.verify(answered.frame, "email", settings=answered.settings, staging=staging, tasks=2)
    known = {text.lower() for text in kept["email"].to_pylist()}
    assert known
    assert not known & set(asked(answered.lab))
    assert {text: row["reason"] for text, row in by_text(verdicts).items()} == {
        text: row["reason"] for text, row in by_text(answered.verdicts).items()
    }
    assert [path.name for path in staging.iterdir()] == ["answers"], "what was planned is left lying about"


def test_a_recheck_asks_fresh_verdicts_again_and_goes_on_where_it_was_stopped(
    answered: Answered, tmp_path: Path
) -> None:
    def verified(recheck: Any) -> dict[str, Any]:
        answered.lab.reset_counters()
        return by_text(
            mv.verify(
                answered.frame,
                "email",
                settings=answered.settings,
                verdicts=table,
                staging=tmp_path / "staging",
                tasks=2,
                recheck=recheck,
            )
        )

    table = tmp_path / "verdicts"
    before = by_text(mv.save(answered.verdicts, table))
    refused = {text for text, row in before.items() if row["reason"] == "mailbox_not_found"}
    after = verified("reason=mailbox_not_found")
    assert {address for address in asked(answered.lab) if address in refused} == refused
    assert {text for text, row in after.items() if row["run_id"] != before[text]["run_id"]} == refused
    # What the folder of a stopped job holds is not asked again; what it does not hold, is.
    assert verified("reason=mailbox_not_found") == after
    assert not asked(answered.lab)
    verified(["older-than=0s"])
    assert {address for address in asked(answered.lab) if address in addresses()} >= {*addresses()} - refused


def test_what_a_run_learns_about_servers_is_known_to_the_next(
    spark: Any, mailvet_lab_factory: Callable[..., Lab], tmp_path: Path
) -> None:
    living = [f"person{number:02}@acme.test" for number in range(20)]
    dead = [f"stranger{number:02}@acme.test" for number in range(20)]
    world = World().host("mx.acme.test", error_limit=None, guard=HarvestGuard(12))
    world.domain("acme.test", [(10, "mx.acme.test")])
    for person in living:
        world.mailbox(person)
    lab = mailvet_lab_factory(world, latency=0.002)
    frame, table = frame_of(spark, *living, *dead), tmp_path / "verdicts"

    def run(staging: str, **options: Any) -> Any:
        lab.reset_counters()
        return mv.verify(
            frame, "email", settings=lab_settings(lab), verdicts=table, staging=tmp_path / staging, tasks=1, **options
        )

    mv.save(run("first"), table)
    (row,) = pq.read_table(tmp_path / "verdicts_servers").to_pylist()
    assert row["suspected_since"] is not None
    # Servers that shut us out are asked for recipients first that the table knows, and for no other before.
    run("second", recheck="all", wait=timedelta(seconds=8)).collect()
    assert asked(lab)
    assert {*asked(lab)} <= {*living}


def test_texts_that_a_collation_calls_equal_stay_apart(spark: Any) -> None:
    frame = frame_of(spark, "Ann@acme.com", "ann@acme.com").selectExpr("collate(email, 'UTF8_LCASE') as email")
    assert set(by_text(mv.verify(frame, "email", settings=OFFLINE))) == {"Ann@acme.com", "ann@acme.com"}


def test_a_new_entry_on_an_own_list_makes_only_the_addresses_it_names_due(spark: Any) -> None:
    cells = ("ann@acme.com", "bob@acme.com", "eve@other.com")
    before = mv.verify(frame_of(spark, *cells), "email", settings=OFFLINE).localCheckpoint()
    own = Settings.load(depth="offline", lists={"deny": ["ann@acme.com"]})
    after = by_text(mv.verify(frame_of(spark, *cells), "email", settings=own, verdicts=before))
    assert [after[cell]["reason"] for cell in cells] == ["suppressed", "not_probed", "not_probed"]
    same_run = {cell for cell, row in by_text(before).items() if row["run_id"] == after[cell]["run_id"]}
    assert same_run == set(cells[1:])


def test_events_of_the_own_mail_count_before_anybody_is_asked(spark: Any) -> None:
    now = datetime.now(timezone.utc) - timedelta(days=10)
    events = spark.createDataFrame(
        [
            (" ANN@acme.com ", "Hard_Bounce", now),
            ("bob@acme.com", "delivered", now),
            ("bob@acme.com", "hard_bounce", now - timedelta(days=9)),
            ("eve@acme.com", "unsubscribe", now),
        ],
        "email string, event string, occurred_at timestamp",
    )
    frame = frame_of(spark, "ann@acme.com", "bob@acme.com", "eve@acme.com")
    verdicts = by_text(mv.verify(frame, "email", settings=OFFLINE, events=events))
    assert {cell: row["reason"] for cell, row in verdicts.items()} == {
        "ann@acme.com": "hard_bounced",
        "bob@acme.com": "recently_delivered",
        "eve@acme.com": "suppressed",
    }


def test_events_and_lists_hold_for_every_spelling_of_a_mailbox(spark: Any) -> None:
    now = datetime(2026, 11, 1, tzinfo=timezone.utc)
    cells = (
        "dots@gmail.com",
        "d.o.t.s+shop@googlemail.com",
        "d.o.t.s@acme.com",
        "ann@xn--bcher-kva.de",
        "bob+x@gmail.com",
    )
    events = spark.createDataFrame(
        [("Dots+x@gmail.com", "complaint", now), ("ANN@B\xdcCHER.de", "hard_bounce", now)],
        "email string, event string, occurred_at timestamp",
    )
    own = Settings.load(depth="offline", lists={"suppress": ["b.ob@gmail.com"]})
    found = by_text(mv.verify(frame_of(spark, *cells, "", None, "\u200b"), "email", settings=own, events=events))
    assert {cell: row["reason"] for cell, row in found.items()} == dict(
        zip(cells, ("suppressed", "suppressed", "not_probed", "hard_bounced", "suppressed"), strict=True)
    )
    assert "on 2026-11-01 as dots+x@gmail.com" in found[cells[1]]["evidence"]
    assert "on your own list as b.ob@gmail.com" in found[cells[4]]["evidence"]
    assert found[cells[0]]["mailbox_key"] == found[cells[1]]["mailbox_key"] == mailbox_key("dots@gmail.com")


@pytest.mark.parametrize("column", ["mailbox_key", "email_key"])
def test_events_may_say_by_keys_alone_whose_they_are(spark: Any, column: str) -> None:
    now = datetime(2026, 11, 1, tzinfo=timezone.utc)
    key = mailbox_key("dots@gmail.com") if column == "mailbox_key" else email_key("d.ots@gmail.com")
    events = spark.createDataFrame([(key, "complaint", now)], f"{column} string, event string, occurred_at timestamp")
    cells = ("dots@gmail.com", "d.ots@gmail.com", "bob@gmail.com")
    found = by_text(mv.verify(frame_of(spark, *cells), "email", settings=OFFLINE, events=events))
    assert [found[cell]["reason"] for cell in cells] == ["suppressed", "suppressed", "not_probed"]


def test_workers_load_nothing_heavy(spark: Any) -> None:
    from mailvet.spark.worker import Job

    work = Job(OFFLINE, mailvet.reference.own_lists.OwnLists(), "run")

    def loaded(batches: Any) -> Any:
        import sys

        import pyarrow as pa

        for _ in work.judge(batches):
            pass
        heavy = ("great_expectations", "airflow", "dbt", "duckdb", "sqlalchemy", "matplotlib")
        yield pa.RecordBatch.from_pydict(
            {"name": [name for name in heavy if name in sys.modules]}, schema=pa.schema([("name", pa.string())])
        )

    cells = frame_of(spark, "ann@acme.com").selectExpr("email", "sha2(email, 256) as email_key")
    assert cells.mapInArrow(loaded, "name string").collect() == []


# -------------------------------------------------------------------- refused before any job


def _no_column(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "mail", settings=OFFLINE)


def _numbers(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "id", settings=OFFLINE)


def _no_depth(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, depth="deep")


def _no_name(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=Settings.load(), staging=folder)


def _no_staging(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, depth="dns")


def _unwritable(frame: Any, folder: Path) -> Any:
    (folder / "file").write_text("")
    return mv.verify(frame, "email", settings=Settings.load(), depth="dns", staging=folder / "file" / "staging")


def _no_dns(frame: Any, folder: Path) -> Any:
    settings = Settings.load(dns={"nameservers": ["127.0.0.1"], "port": 9, "timeout": 0.1, "lifetime": 0.1})
    return mv.verify(frame, "email", settings=settings, depth="dns", staging=folder)


def _events_setting(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=Settings.load(depth="offline", history={"events": "events"}))


def _foreign_table(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, verdicts=frame)


def _odd_recheck(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, verdicts=str(folder / "none"), recheck="reason=gone")


def _recheck_of_nothing(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, recheck="all")


def _no_tasks(frame: Any, folder: Path) -> Any:
    return mv.verify(frame, "email", settings=OFFLINE, depth="dns", staging=folder, tasks=0)


@pytest.mark.parametrize(
    ("call", "kind", "advice"),
    [
        (_no_column, SourceError, "no column 'mail'.*id, email"),
        (_numbers, SourceError, "holds int, no text"),
        (_no_depth, SettingsError, "'deep' is no depth"),
        (_no_name, PreflightError, "smtp.hello_name"),
        (_no_staging, SettingsError, "staging="),
        (_unwritable, SourceError, "cannot be written to"),
        (_no_dns, PreflightError, "No DNS answers"),
        (_events_setting, SettingsError, "events=spark.table"),
        (_foreign_table, SourceError, "no table of verdicts"),
        (_no_tasks, SettingsError, "tasks=0"),
        (_odd_recheck, SettingsError, "'gone' is no reason"),
        (_recheck_of_nothing, SettingsError, "verdicts="),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(
    spark: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[Any, Path], Any],
    kind: type[MailvetError],
    advice: str,
) -> None:
    if call is _unwritable:
        monkeypatch.setattr(job, "_preflight", lambda settings: None)
    frame = spark.createDataFrame([(1, "ann@acme.com")], "id int, email string")
    spark.sparkContext.setJobGroup("refused", "refused")
    try:
        with pytest.raises(kind, match=advice):
            call(frame, tmp_path)
        assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refused")) == []
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)


def test_speculative_execution_is_refused(spark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = type(spark.conf).get

    def get(self: Any, key: str, *default: Any) -> Any:
        return "true" if key == "spark.speculation" else real(self, key, *default)

    monkeypatch.setattr(type(spark.conf), "get", get)
    settings = Settings.load(smtp={"hello_name": "probe.example.com"})
    with pytest.raises(SettingsError, match="asked twice"):
        mv.verify(frame_of(spark, "ann@acme.com"), "email", settings=settings, staging=tmp_path)


def test_what_mailvet_says_on_an_executor_is_said_by_the_driver(spark: Any) -> None:
    def fail(batches: Any) -> Any:
        raise PreflightError("No DNS answers here.")

    broken = spark.range(1).mapInArrow(fail, "id long")
    with pytest.raises(PreflightError, match=r"^No DNS answers here\.$"):
        job._started(broken.collect)
