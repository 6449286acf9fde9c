"""Files to read, and what opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse
from mailvet.warehouse.binding import Binding

Write = Callable[..., Path]
Open = Callable[..., DuckDBWarehouse]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Make a file of this text or these bytes."""

    def make(content: str | bytes, name: str = "contacts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    warehouses: list[DuckDBWarehouse] = []

    def open_file(path: Path, column: str | None = None, **options: Any) -> DuckDBWarehouse:
        reading = options.pop("reading", None)
        store = tmp_path / "store" / "verdicts.duckdb"
        warehouse = DuckDBWarehouse.of_file(path, column, store, Binding(**options), reading)
        warehouses.append(warehouse)
        warehouse.open_for_writing()
        return warehouse

    yield open_file
    for warehouse in warehouses:
        warehouse.close()
