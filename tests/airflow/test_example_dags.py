"""The example DAGs do what they say."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from tests.airflow.conftest import CELLS, MISSING, PEOPLE, SHY, STRANGERS, RunDag, connect, rows

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "airflow_provider_mailvet" / "example_dags"


@pytest.fixture
def as_the_examples_expect(crm: Path, lab_connection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    connect(monkeypatch, "mail", conn_type="mailvet", extra={"config": str(tmp_path / "mailvet.toml")})
    return crm


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("verify_and_gate", {"audience_send": 16, "audience_reverify": 1, "audience_do_not_send": 6}),
        ("monthly_cleaning", {"contacts_do_not_send": 6}),
        ("signup_stream", {}),
    ],
)
def test_an_example_runs(name: str, tables: dict[str, int], run_dag: RunDag, as_the_examples_expect: Path) -> None:
    done = run_dag(import_module(f"airflow_provider_mailvet.example_dags.example_{name}").dag)
    assert done.state == "success", done.tasks
    crm = as_the_examples_expect
    assert rows(crm, "select count(mailvet_recommendation) from contacts") == [(len(CELLS) - MISSING,)]
    for table, count in tables.items():
        assert rows(crm, f"select count(*) from {table}") == [(count,)]


@pytest.fixture
def dbt_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example's dbt project, where the example DAG looks for it."""
    project = tmp_path / "newsletter"
    leave = shutil.ignore_patterns("target", "logs", "dbt_packages", "package-lock.yml")
    shutil.copytree(ROOT / "examples" / "dbt_project", project, ignore=leave)
    monkeypatch.setattr("airflow_provider_mailvet.example_dags.example_verify_dbt_gx.PROJECT", str(project))
    return project


@pytest.mark.slow
def test_contacts_become_an_audience_by_dbt_that_great_expectations_lets_through(
    run_dag: RunDag, as_the_examples_expect: Path, dbt_project: Path
) -> None:
    done = run_dag(import_module("airflow_provider_mailvet.example_dags.example_verify_dbt_gx").dag)
    assert done.state == "success", done.tasks
    assert set(done.xcom("gate").values()) == {True}
    crm = as_the_examples_expect
    # PEOPLE[0] is there a second time, in capitals.
    assert rows(crm, "select count(*), count(distinct lower(email)) from audience") == [(16, len(PEOPLE) + len(SHY))]
    assert rows(crm, "select count(*) from contacts_verified") == [(len(CELLS),)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("audience", "error"),
    [
        ("*", "AirflowFailException: The audience is not fit to be written to: expect_column_values_to_be_deliver"),
        ("id, email as address", "AirflowException: Great Expectations could not tell"),
    ],
    ids=["everybody, by a slip in its condition", "no column email"],
)
def test_nothing_is_sent_to_an_audience_that_great_expectations_does_not_let_through(
    audience: str,
    error: str,
    run_dag: RunDag,
    as_the_examples_expect: Path,
    dbt_project: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # None of dbt's tests is there to catch it before.
    (dbt_project / "models" / "models.yml").unlink()
    (dbt_project / "models" / "audience.sql").write_text(f"select {audience} from {{{{ ref('contacts_verified') }}}}")
    done = run_dag(import_module("airflow_provider_mailvet.example_dags.example_verify_dbt_gx").dag)
    states = {task: state for (task, _), state in done.tasks.items()}
    assert states == {"verify": "success", "dbt_build": "success", "gate": "failed", "send": "upstream_failed"}
    said = capfd.readouterr().out
    assert error in said, said[-3000:]
    assert not [address for address in (*PEOPLE, *STRANGERS) if address in said]


def test_every_example_is_tested() -> None:
    known = {"verify_and_gate", "monthly_cleaning", "signup_stream", "verify_dbt_gx"}
    assert {path.stem.removeprefix("example_") for path in FOLDER.glob("example_*.py")} == known
