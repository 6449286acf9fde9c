"""The dialect of SQLite."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.warehouse.dialects.base import Dialect

__all__ = ["SQLite"]


class SQLite(Dialect):
    """SQLite 3.35 and later, with the functions that `backends.sqlalchemy` registers on the connection."""

    name = "sqlite"
    kept_after_delete = ("SQLite keeps deleted rows in free pages of the file until VACUUM has run.",)
    types: ClassVar[dict[str, str]] = {
        "string": "text",
        "int16": "integer",
        "int32": "integer",
        "int64": "integer",
        "double": "real",
        "timestamp": "timestamp",
    }
    temporary = "create temp table {name} as {query}"
    temporary_empty = "create temp table {name} ({columns})"
    parsing = "explain {query}"
    read_only = ("pragma query_only = on", "pragma query_only = off")
    upsert = "conflict"
    typed = False
    make_schema = None
    version_query = "select sqlite_version()"
    fence = " limit -1"
    index = "create unique index temp.{table}_{column} on {table} ({column})"

    def key(self, value: str) -> str:
        return f"mailvet_key({value})"

    def shuffled(self, value: str) -> str:
        return f"mailvet_key({value})"

    def fold(self, value: str) -> str:
        return f"mailvet_fold({value})"

    def missing(self, value: str) -> str:
        return f"mailvet_missing({value})"

    def position(self, part: str, value: str) -> str:
        return f"instr({value}, {part})"

    def after_at(self, value: str) -> str:
        return f"mailvet_after_at({value})"

    def not_ascii(self, value: str) -> str:
        return f"length(cast({value} as blob)) > length({value})"

    def after_dot(self, value: str) -> str:
        return f"substr({value}, instr({value}, '.') + 1)"

    def has_digit_before_at(self, value: str) -> str:
        return f"{value} glob '*[0-9]*@*'"

    def after_digits(self, value: str) -> str:
        return f"mailvet_after_digits({value})"

    def without_last_digits(self, value: str) -> str:
        return f"rtrim({value}, '0123456789')"

    def greater(self, left: str, right: str) -> str:
        return f"max({left}, {right})"

    def seconds(self, at: str) -> str:
        return f"cast(strftime('%s', {at}) as integer)"

    def any_moment(self, value: str) -> str:
        return f"mailvet_any_utc({value})"

    def first_character(self, value: str) -> str:
        return f"substr({value}, 1, 1)"

    def moment(self, at: datetime) -> str:
        return f"'{at:%Y-%m-%d %H:%M:%S.%f}'"

    def as_moment(self, value: str) -> str:
        return f"mailvet_utc({value})"

    def differs(self, left: str, right: str) -> str:
        return f"{left} is not {right}"
