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


# fakesnow brings the driver of Snowflake; where it is installed, its SQL is run as well as parsed.
_PLACES = ["duckdb", "postgresql", "mariadb", "sqlite", *(["snowflake"] if find_spec("fakesnow") else [])]


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
        made = SnowflakePlace()
    elif request.param == "sqlite":
        made = SQLitePlace(tmp_path / "crm.db")
    else:
        made = DuckDBPlace(tmp_path / "crm.duckdb")
    yield made
    made.close()
