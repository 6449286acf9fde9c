"""Tables, views and columns of a DuckDB database."""

from __future__ import annotations

from pathlib import Path

import duckdb

from mailvet.warehouse.identifiers import TableName
from mailvet.warehouse.tables import Column, Relation, choose_table

__all__ = ["columns_of", "described", "find_table"]


def find_table(db: duckdb.DuckDBPyConnection, table: str, path: Path | None) -> tuple[str, bool]:
    """(quoted name, whether it is a view)."""
    rows = db.execute(
        "select table_schema, table_name, table_type = 'VIEW', table_schema in (current_schema(), 'main'), "
        "table_catalog from information_schema.tables where table_catalog = current_database() order by all"
    ).fetchall()
    found = choose_table([Relation(*row) for row in rows], table, path.name if path else "the database", known="")
    return TableName(found.name, found.schema, found.catalog).sql(), found.is_view


def described(db: duckdb.DuckDBPyConnection, relation: str) -> list[Column]:
    """The columns of a relation."""
    return [
        Column(str(row[0]), str(row[1]), _family(str(row[1]))) for row in db.execute(f"describe {relation}").fetchall()
    ]


def columns_of(db: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """The names of its columns."""
    return [column.name for column in described(db, relation)]


def _family(kind: str) -> str:
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return "text"
    if kind.startswith(("TIMESTAMP", "DATE")):
        return "time"
    return "number" if kind.endswith("INT") or kind.startswith(("INTEGER", "DECIMAL", "DOUBLE", "FLOAT")) else "other"
