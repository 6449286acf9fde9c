"""The databases that a warehouse is tested on."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.warehouse.places import DuckDBPlace, MariaDBPlace, Place, PostgresPlace, SnowflakePlace, SQLitePlace


@pytest.fixture(scope="session")
def _postgres_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("postgres_server").new_database("contract")
    return url


@pytest.fixture
def postgres(_postgres_url: str) -> Iterator[PostgresPlace]:
    """PostgreSQL, empty."""
    place = PostgresPlace(_postgres_url)
    yield place
    place.close()


# fakesnow brings the driver of Snowflake, in versions that do not go together with ours: `make test-snowflake` runs
# these tests in an environment of its own.
_PLACES = ["duckdb", "postgresql", "mariadb", "sqlite", *(["snowflake"] if find_spec("fakesnow") else [])]


_NOT_AS_SNOWFLAKE = {
    "test_each_distinct_text_is_due_once_whatever_the_collation[snowflake]": "it reads a tab as two letters",
    "test_events_that_cannot_be_used_are_a_mistake_in_the_settings[snowflake-none.csv]": (
        "the name of a table is taken for that of a file"
    ),
    **dict.fromkeys(
        (
            r"test_a_cell_that_became_blank_loses_its_status[snowflake- \t]",
            r"test_a_cell_that_became_blank_loses_its_status[snowflake-\u200b\ufeff]",
            "test_a_split_writes_missing_cells_into_a_file_of_their_own[snowflake]",
            "test_rows_are_counted_by_what_is_known_and_by_how_often_a_text_stands[snowflake]",
            "test_verdicts_of_blank_cells_are_dropped_before_a_run_saves[snowflake]",
        ),
        "cells of blank marks alone are not missing there",
    ),
    **dict.fromkeys(
        (
            "test_an_address_is_forgotten_in_every_spelling[snowflake]",
            "test_everybody_at_a_domain_is_forgotten_only_when_asked_for[snowflake]",
            "test_to_forget_an_address_forgets_every_spelling_of_its_mailbox[snowflake]",
        ),
        "a statement that fails ends its transaction",
    ),
}
"""Where the stand-in is not like Snowflake."""


@pytest.fixture(params=_PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each database in turn, empty."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres")
        return
    made: Place
    if request.param == "mariadb":
        made = MariaDBPlace(request.getfixturevalue("mariadb_server"))
    elif request.param == "snowflake":
        why = _NOT_AS_SNOWFLAKE.get(request.node.name)
        if why is not None:
            request.applymarker(pytest.mark.xfail(reason=why))
        made = SnowflakePlace()
    elif request.param == "sqlite":
        made = SQLitePlace(tmp_path / "crm.db")
    else:
        made = DuckDBPlace(tmp_path / "crm.duckdb")
    yield made
    made.close()
