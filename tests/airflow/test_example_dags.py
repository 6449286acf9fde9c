"""The example DAGs do what they say."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.airflow.conftest import CELLS, RunDag, connect, rows

FOLDER = Path(__file__).parent.parent.parent / "airflow_provider_mailvet" / "example_dags"


@pytest.fixture
def as_the_examples_expect(crm: Path, lab_connection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    connect(monkeypatch, "mail", conn_type="mailvet", extra={"config": str(tmp_path / "mailvet.toml")})
    return crm


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("verify_and_gate", {"audience_send": 16, "audience_reverify": 1, "audience_do_not_send": 8}),
        ("monthly_cleaning", {"contacts_do_not_send": 8}),
        ("signup_stream", {}),
    ],
)
def test_an_example_runs(name: str, tables: dict[str, int], run_dag: RunDag, as_the_examples_expect: Path) -> None:
    done = run_dag(import_module(f"airflow_provider_mailvet.example_dags.example_{name}").dag)
    assert done.state == "success", done.tasks
    crm = as_the_examples_expect
    assert rows(crm, "select count(mailvet_recommendation) from contacts") == [(len(CELLS),)]
    for table, count in tables.items():
        assert rows(crm, f"select count(*) from {table}") == [(count,)]


def test_every_example_is_tested() -> None:
    known = {"verify_and_gate", "monthly_cleaning", "signup_stream"}
    assert {path.stem.removeprefix("example_") for path in FOLDER.glob("example_*.py")} == known
