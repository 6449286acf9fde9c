"""Every tutorial works as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT
from tests.postgresql import PostgresServer
from tests.tutorials.pages import blocks_of, run_page

TUTORIALS = ROOT / "docs" / "tutorials"


def test_every_tutorial_is_run_here() -> None:
    assert {page.stem for page in TUTORIALS.glob("*.md")} == {"airflow-postgres", "dbt-duckdb", "files", "gx-pandas"}
    for page in TUTORIALS.glob("*.md"):
        assert sum(1 for block in blocks_of(page) for _ in block.commands()) >= 3, page


@pytest.mark.xdist_group("tutorials")
@pytest.mark.parametrize("name", ["../index", "files"])
def test_a_tutorial_works_as_it_is_written(tmp_path: Path, name: str) -> None:
    assert run_page(TUTORIALS / f"{name}.md", tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dbt-duckdb", "gx-pandas"])
def test_a_tutorial_on_a_tool_works_as_it_is_written(tmp_path: Path, name: str) -> None:
    assert run_page(TUTORIALS / f"{name}.md", tmp_path) == []


@pytest.mark.slow
def test_the_tutorial_on_airflow_works_as_it_is_written(tmp_path: Path, postgres_server: PostgresServer) -> None:
    environment = {"CRM": postgres_server.new_database("tutorial")}
    assert run_page(TUTORIALS / "airflow-postgres.md", tmp_path, environment) == []
