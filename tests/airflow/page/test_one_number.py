"""One question, one number: every door tells the same counts and figures of one table, and judges them alike."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg
import pytest

import mailvet
from airflow_provider_mailvet.operators.check import MailvetCheckOperator
from airflow_provider_mailvet.operators.verify import MailvetVerifyOperator
from mailvet.gates import COUNTS, FIGURES
from mailvet.settings import Settings
from mailvet.verdict import email_key, verdict_schema
from mailvet.vocabulary import REASONS, Depth, Reason
from tests.airflow.conftest import connect
from tests.airflow.page import metadata
from tests.airflow.page.test_pages import path_of, words

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.postgresql import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent.parent
NOW = datetime.now(timezone.utc).replace(microsecond=0)

KNOWN = {
    "mailbox_not_found": (10, 1),
    "mailbox_accepted": (14, 98),
    "accept_all": (5, 93),
    "greylisted": (3, 85),
    "smtputf8_unsupported": (1, 40),
    "null_mx": (2, 0),
}
"""Reason -> how many addresses have a verdict of it, and its score."""

NAMES = (*(each.name for each in COUNTS), *(figure.name for figure in FIGURES), "low", "high")

AUDIENCES: tuple[tuple[str, ...], ...] = ((), ("send",), ("send", "reverify"), ("risky", "do_not_send"))

LIMITS: tuple[dict[str, Any], ...] = (
    {"max_undeliverable_rate": "20%"},
    {"max_undeliverable_rate": "60%"},
    {"max_bounce_rate": "2%", "among": ("send",)},
    {"max_bounce_rate": "40%", "judge_by": "upper"},
    {"max_bounce_rate": "30%", "judge_by": "upper", "confidence": 0.5},
    {"max_unknown_rate": 0.1, "max_do_not_send_rate": "5%"},
    {"max_unverified_rate": 0},
    {"max_unverified_rate": "80%", "max_unprobed_rate": "20%"},
    {"max_age": "30d"},
    {"max_age": "30d", "max_stale_rate": "15%"},
    {"max_missing_rate": "5%"},
)


def rows() -> list[tuple[int, str | None]]:
    """Addresses with a verdict, some on several rows, as many without one, and missing cells of every kind."""
    known = [f"{reason}{number}@shop.example" for reason, (count, _) in KNOWN.items() for number in range(count)]
    cells: list[str | None] = [*known, *known[:20], *known[:4], *(f"new{number}@shop.example" for number in range(40))]
    return list(enumerate([*cells, None, "", " \t", "\u00a0\u200b", None, None], 1))


def verdicts() -> list[dict[str, Any]]:
    found = []
    for reason, (count, score) in KNOWN.items():
        for number in range(count):
            cell = f"{reason}{number}@shop.example"
            found.append(
                {
                    "email_key": email_key(cell),
                    "email": cell,
                    "status": str(REASONS[Reason(reason)].status),
                    "reason": reason,
                    "recommendation": "send",
                    "score": score,
                    "flags": "",
                    "depth": str(Depth.smtp),
                    "evidence": "[]",
                    "checked_at": NOW - timedelta(days=40 if number % 3 == 0 else 2),
                    "next_check_at": NOW + timedelta(days=300),
                    "attempts": 1,
                    "rules_version": "2026.11",
                }
            )
    return found


class Door:
    """How one tool tells the figures of the table, and whether it keeps to limits."""

    def __init__(self, name: str) -> None:
        self.name = name

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError

    def passes(self, limits: dict[str, Any]) -> bool:
        raise NotImplementedError


class CommandLine(Door):
    def __init__(self, name: str, *source: str) -> None:
        super().__init__(name)
        self._source = source

    def _run(self, *options: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-m", "mailvet", "gate", *self._source, *options, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout)

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        return self._run("--max-age", "30d", *(part for word in among for part in ("--among", word)))[1]

    def passes(self, limits: dict[str, Any]) -> bool:
        options: list[str] = []
        for name, value in limits.items():
            for each in value if name == "among" else (value,):
                options += ["--" + name.replace("_", "-"), str(each)]
        code, told = self._run(*options)
        assert (code == 0) is told["passed"]
        return code == 0


class Python(Door):
    def __init__(self, name: str, *source: str) -> None:
        super().__init__(name)
        self._source, self._table = source

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        return mailvet.gate(self._source, table=self._table, among=among, max_age="30d").as_dict()

    def passes(self, limits: dict[str, Any]) -> bool:
        return mailvet.gate(self._source, table=self._table, **limits).passed


class Airflow(Door):
    def _result(self, **arguments: Any) -> dict[str, Any]:
        gate = MailvetCheckOperator(
            task_id="gate",
            conn_id=self.name,
            table="contacts",
            on_failure="warn",
            **({"max_unverified_rate": None} | arguments),
        )
        return gate.execute({})

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        return self._result(among=list(among), max_age="30d")

    def passes(self, limits: dict[str, Any]) -> bool:
        return bool(self._result(**limits)["passed"])


class GreatExpectations(Door):
    """It has an expectation for the bounce rate alone, whose details are the counts and figures of the gate."""

    def __init__(self, name: str, batch: Any, verdict_table: str) -> None:
        super().__init__(name)
        self._batch, self._table = batch, verdict_table

    def _result(self, **arguments: Any) -> Any:
        import ge_expectations as mx

        return self._batch.validate(
            mx.ExpectColumnBounceRateToBeBelow(column="email", verify="never", verdict_table=self._table, **arguments),
            result_format="SUMMARY",
        )

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        found = self._result(among=list(among) or None).result
        assert found["observed_value"] == pytest.approx(found["details"]["expected_bounce_rate"])
        return dict(found["details"])

    def passes(self, limits: dict[str, Any]) -> bool:
        given = dict(limits)
        if "among" in given:
            given["among"] = list(given["among"])
        return bool(self._result(max_rate=given.pop("max_bounce_rate"), **given).success)


class Dbt(Door):
    """A project with a model of the figures for each audience, and a test for each set of limits; run once."""

    def __init__(self, name: str, folder: Path, profile: dict[str, Any]) -> None:
        super().__init__(name)
        schema = str(profile.get("schema", "main"))
        (folder / "models").mkdir(parents=True)
        (folder / "dbt_packages").mkdir()
        (folder / "dbt_packages" / "mailvet").symlink_to(ROOT / "dbt_macros", target_is_directory=True)
        project = {
            "name": "shop",
            "version": "1.0.0",
            "config-version": 2,
            "profile": "shop",
            "flags": {"send_anonymous_usage_stats": False},
            "vars": {"mailvet_verdict_table": f"{schema}.mailvet_verdicts"},
            "models": {"shop": {"+materialized": "table"}},
            "seeds": {"mailvet": {"+enabled": False}},
        }
        tests = [{"mailvet.gate": {"name": f"limits_{n}", "arguments": _plain(each)}} for n, each in enumerate(LIMITS)]
        columns = [{"name": "email", "data_tests": tests}]
        source = {"name": "crm", "schema": schema, "tables": [{"name": "contacts", "columns": columns}]}
        for path, content in (
            ("dbt_project.yml", project),
            ("models/crm.yml", {"version": 2, "sources": [source]}),
            ("profiles.yml", {"shop": {"target": "it", "outputs": {"it": {**profile, "threads": 1}}}}),
        ):
            (folder / path).write_text(json.dumps(content))  # JSON is YAML
        for number, among in enumerate(AUDIENCES):
            (folder / "models" / f"figures_{number}.sql").write_text(
                f"{{{{ mailvet.gate_figures(source('crm', 'contacts'), among={list(among)}, max_age='30d') }}}}"
            )
        self._outcomes = self._run(folder, "run", "--select", "shop") and self._run(folder, "test")
        self._profile, self._schema = profile, schema

    @staticmethod
    def _run(folder: Path, *command: str) -> dict[str, str]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from dbt.cli.main import cli; cli()",
                *command,
                "--profiles-dir",
                ".",
                "--no-use-colors",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.startswith("DBT_")},
        )
        found = json.loads((folder / "target" / "run_results.json").read_text()) if done.returncode in (0, 1) else {}
        outcomes = {each["unique_id"].split(".")[2]: each["status"] for each in found.get("results", ())}
        assert outcomes, done.stdout + done.stderr
        assert "error" not in outcomes.values(), done.stdout
        return outcomes

    def figures(self, among: Sequence[str]) -> dict[str, Any]:
        query = f"select * from {self._schema}.figures_{AUDIENCES.index(tuple(among))}"
        if self._profile["type"] == "duckdb":
            with duckdb.connect(self._profile["path"], read_only=True) as database:
                found = database.execute(query)
                return dict(zip([c[0] for c in found.description or ()], found.fetchall()[0], strict=True))
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{self._profile['port']}/one_number") as connection:
            cursor = connection.execute(query)
            return dict(zip([c.name for c in cursor.description or ()], cursor.fetchall()[0], strict=True))

    def passes(self, limits: dict[str, Any]) -> bool:
        return {"pass": True, "fail": False}[self._outcomes[f"limits_{LIMITS.index(limits)}"]]


def _plain(limits: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in limits.items()}


@pytest.fixture
def databases(
    metadata_database: Path, postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The table with its verdicts in DuckDB and in PostgreSQL, and the XCom of a run that verified some more."""
    monkeypatch.setenv("MAILVET_DEPTH", "offline")
    path, url = str(tmp_path / "crm.duckdb"), postgres_server.new_database("one_number")
    names = verdict_schema().names
    connect(monkeypatch, "duck", conn_type="duckdb", host=path)
    connect(
        monkeypatch,
        "postgres",
        conn_type="postgres",
        host="127.0.0.1",
        port=postgres_server.port,
        login="postgres",
        schema="one_number",
    )
    with duckdb.connect(path) as database:
        database.execute("create table contacts (id integer, email varchar)")
        database.executemany("insert into contacts values (?, ?)", rows())
    warehouse = mailvet_table(path)
    import pyarrow as pa

    values = verdicts()
    stored = pa.table({f.name: pa.array([row.get(f.name) for row in values], f.type) for f in verdict_schema()})
    warehouse.open_for_writing()
    warehouse.save(stored)
    warehouse.close()
    summary = MailvetVerifyOperator(
        task_id="verify",
        conn_id="duck",
        table="contacts",
        depth="offline",
        max_addresses=9,
        outlets=[],
        write_back=False,
    ).execute({})
    with duckdb.connect(path, read_only=True) as database:
        database.execute("set TimeZone = 'UTC'")
        kept = database.execute(f"select {', '.join(names)} from mailvet_verdicts").fetchall()
    target = mailvet_table(url)
    target.open_for_writing()
    target.close()
    times = [place for place, name in enumerate(names) if name in ("checked_at", "next_check_at")]
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("insert into contacts values (0, null)")
        cursor.execute("delete from contacts")
        cursor.executemany("insert into contacts values (%s, %s)", rows())
        cursor.executemany(
            f"insert into mailvet_verdicts ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})",
            [
                [v.replace(tzinfo=timezone.utc) if n in times and v is not None else v for n, v in enumerate(row)]
                for row in kept
            ],
        )
    return {"path": path, "url": url, "port": postgres_server.port, "summary": summary}


def mailvet_table(database: str) -> Any:
    from mailvet.warehouse.opening import open_table

    if database.startswith("postgresql"):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("create table if not exists contacts (id integer, email text)")
    return open_table(database, "contacts", "email", updatable=False)


@pytest.fixture
def doors(databases: dict[str, Any], tmp_path: Path) -> list[Door]:
    import great_expectations as gx
    import pandas as pd

    path, url = databases["path"], databases["url"]
    context: Any = gx.get_context(mode="ephemeral")
    frame = pd.DataFrame(rows(), columns=["id", "email"])
    pandas = context.data_sources.add_pandas("pandas").add_dataframe_asset("contacts")
    sql = context.data_sources.add_postgres("pg", connection_string=url.replace("postgresql", "postgresql+psycopg", 1))
    batches = (
        pandas.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame}),
        sql.add_table_asset("contacts", table_name="contacts").add_batch_definition_whole_table("all").get_batch(),
    )
    postgres = {
        "type": "postgres",
        "host": "127.0.0.1",
        "port": databases["port"],
        "user": "postgres",
        "password": "",
        "dbname": "one_number",
        "schema": "public",
    }
    return [
        CommandLine("command line, DuckDB", path, "--table", "contacts"),
        CommandLine("command line, PostgreSQL", url, "--table", "contacts"),
        Python("Python, DuckDB", path, "contacts"),
        Python("Python, PostgreSQL", url, "contacts"),
        Airflow("duck"),
        Airflow("postgres"),
        Dbt("dbt, DuckDB", tmp_path / "dbt_duckdb", {"type": "duckdb", "path": path}),
        Dbt("dbt, PostgreSQL", tmp_path / "dbt_postgres", postgres),
        GreatExpectations("Great Expectations, Pandas", batches[0], path),
        GreatExpectations("Great Expectations, PostgreSQL", batches[1], "mailvet_verdicts"),
    ]


@pytest.mark.slow
def test_every_door_tells_the_same_of_one_table(
    databases: dict[str, Any], doors: list[Door], viewer: TestClient, tmp_path: Path
) -> None:
    for among in AUDIENCES:
        true = mailvet.gate(databases["path"], table="contacts", among=among, max_age="30d").as_dict()
        assert true["verified"] == 35 + 24 + 9
        assert 0 < true["stale"] < true["verified"] < true["addresses"] < true["rows"]
        for door in doors:
            told = door.figures(among)
            absent = {"stale", "stale_rate"} if isinstance(door, GreatExpectations) else set()
            for name in set(NAMES) - absent:
                expected = true[name] if true[name] is None else pytest.approx(true[name], rel=1e-9, abs=1e-12)
                assert told[name] == expected, (door.name, among, name)
    for limits in LIMITS:
        passed = mailvet.gate(databases["path"], table="contacts", **limits).passed
        for door in doors:
            if isinstance(door, GreatExpectations) and "max_bounce_rate" not in limits:
                continue
            assert door.passes(limits) is passed, (door.name, limits)
    assert {mailvet.gate(databases["path"], table="contacts", **limits).passed for limits in LIMITS} == {True, False}

    everything, kept, sent = (_rate(databases["path"], chosen) for chosen in (None, "kept", ("send",)))
    page = tmp_path / "report.html"
    command = [sys.executable, "-m", "mailvet", "report", databases["path"], "--table", "contacts", "--output", page]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shown = " ".join(shown.split())
    assert f"{everything:.1f} % if everything were sent, {kept:.1f} % if all but do_not_send, {sent:.1f} %" in shown
    report = words(page.read_text("utf-8")).replace("\u202f", " ")
    assert re.search(rf"If everything were sent \d+ {everything:.1f} %", report)
    assert re.search(rf"If all but do_not_send were sent \d+ {kept:.1f} %", report)
    assert re.search(rf"If only what is recommended were sent \d+ {sent:.1f} %", report)

    run = _page_of(viewer, databases["summary"], tmp_path)
    assert f"everything sent {everything:.1f} % all but “do not send” {kept:.1f} % only “send” {sent:.1f} %" in run
    rate = mailvet.gate(databases["path"], table="contacts").undeliverable_rate
    assert databases["summary"]["undeliverable_rate"] == pytest.approx(rate, abs=1e-5)


def _rate(path: str, among: Any) -> float:
    """The expected share of bounces in per cent: of an audience, or of all addresses but those not to be sent to."""
    if among != "kept":
        rate = mailvet.gate(path, table="contacts", among=among).expected_bounce_rate
        return 100 * float(rate)
    everything = mailvet.gate(path, table="contacts")
    forbidden = mailvet.gate(path, table="contacts", among=("do_not_send",))
    bounces = (
        everything.expected_bounce_rate * everything.audience - forbidden.expected_bounce_rate * forbidden.audience
    )
    return 100 * float(bounces / (everything.audience - forbidden.audience))


def _page_of(viewer: TestClient, summary: dict[str, Any], folder: Path) -> str:
    """What the page of a run says, for a run that left this XCom."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    dags = folder / "dags"
    dags.mkdir()
    (dags / "one_number.py").write_text(metadata.DAGS.partition("with DAG(")[0] + ONE_DAG)
    with create_session() as session:
        session.merge(DagBundleModel(name="one_number"))
    bag = DagBag(dag_folder=dags, bundle_path=dags, bundle_name="one_number")
    sync_bag_to_db(bag, bundle_name="one_number", bundle_version=None)
    at = NOW - timedelta(days=200)
    run_id = metadata.record("one_number", "verify", at, [summary | {"started_at": at.isoformat()}])
    page = viewer.get(path_of(run_id, "one_number", "verify"))
    assert page.status_code == 200
    return words(page.text)


ONE_DAG = """
with DAG("one_number", schedule=None):
    MailvetVerifyOperator(task_id="verify")
"""


def test_a_table_verified_in_part_is_judged_by_what_was_verified(tmp_path: Path) -> None:
    # A hundred contacts, twenty verified, ten of them undeliverable.
    path = str(tmp_path / "crm.duckdb")
    with duckdb.connect(path) as database:
        database.execute("create table contacts as select 'p' || n || '@shop.example' as email from range(100) t(n)")
    known = [
        dict(row, email=f"p{n}@shop.example", email_key=email_key(f"p{n}@shop.example"))
        for n, row in enumerate([*verdicts()[:10], *verdicts()[10:20]])
    ]
    import pyarrow as pa

    warehouse = mailvet_table(path)
    warehouse.open_for_writing()
    warehouse.save(pa.table({f.name: pa.array([row.get(f.name) for row in known], f.type) for f in verdict_schema()}))
    warehouse.close()
    found = mailvet.gate(path, table="contacts", max_undeliverable_rate="20%", settings=Settings.load(None))
    assert (found.undeliverable_rate, found.unverified_rate, found.passed) == (0.5, 0.8, False)
    assert any("80 of 100 addresses" in warning for warning in found.warnings)
