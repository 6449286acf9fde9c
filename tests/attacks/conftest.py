"""The databases that attacks are tried on, and the count of what was tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.warehouse.conftest import _postgres_url, place, postgres

__all__ = ["_postgres_url", "place", "postgres", "tried"]


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Report how many inputs of a kind the test tries; `make trust` adds them up."""

    def report(kind: str, inputs: int) -> None:
        record_property(f"attack: {kind}", inputs)

    return report
