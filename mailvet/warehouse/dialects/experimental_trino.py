"""The dialect of Trino: only a parser of the dialect has read its statements; no server has run them."""

from __future__ import annotations

from typing import ClassVar

from mailvet.warehouse.dialects.base import Dialect

__all__ = ["ExperimentalTrino"]


class ExperimentalTrino(Dialect):
    """Trino, over connectors that can MERGE (Iceberg, Delta, Hive with transactions). Each statement by itself."""

    name = "trino"
    unproven = "a parser"
    kept_after_delete = (
        "Table formats with snapshots keep deleted rows until the snapshots are expired and their files removed.",
    )
    primary_key = ""
    key_type = "varchar"
    types: ClassVar[dict[str, str]] = {**Dialect.types, "double": "double", "timestamp": "timestamp(6)"}
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    update = "merge"
    session = ("set time zone 'UTC'",)
    executes_many = False
    rows_a_statement = 200

    def key(self, value: str) -> str:
        return f"lower(to_hex(sha256(to_utf8({value}))))"

    def after_at(self, value: str) -> str:
        return f"element_at(split({value}, '@'), -1)"

    def seconds(self, at: str) -> str:
        return f"to_unixtime({at})"
