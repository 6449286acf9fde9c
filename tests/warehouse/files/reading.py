"""What tests of files share: how a result is read, and verdicts for its rows."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from mailvet.warehouse.backends.duckdb.warehouse import DuckDBWarehouse
from mailvet.warehouse.files import INPUT, Reading, load
from tests.warehouse.answers import answers

Write = Callable[..., Path]
Open = Callable[..., DuckDBWarehouse]


def rows_of(path: Path, encoding: str = "utf-8") -> list[tuple[Any, ...]]:
    with duckdb.connect() as db:
        load(db, path, Reading(encoding))
        return list(db.execute(f"select * from {INPUT} order by rowid").fetchall())


def columns_of(path: Path) -> list[str]:
    with duckdb.connect() as db:
        load(db, path)
        return [row[0] for row in db.execute(f"describe {INPUT}").fetchall()]


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


def verified(warehouse: DuckDBWarehouse, **reasons: str) -> DuckDBWarehouse:
    warehouse.save(answers({"ann@x.test": "mailbox_accepted", "bob@x.test": "null_mx", "": "syntax_invalid"} | reasons))
    return warehouse
