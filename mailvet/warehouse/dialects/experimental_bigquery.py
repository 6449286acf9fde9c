"""The dialect of BigQuery: only a parser of the dialect has read its statements; no server has run them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect

__all__ = ["ExperimentalBigQuery"]


class ExperimentalBigQuery(Dialect):
    """BigQuery. Every statement holds by itself; a session for temporary tables is not asked for."""

    name = "bigquery"
    unproven = "a parser"
    kept_after_delete = (
        "BigQuery keeps deleted rows for its time travel window (7 days by default) and seven days more in fail-safe.",
    )
    marks = ("`", "`")
    primary_key = ""
    key_type = "string"
    types: ClassVar[dict[str, str]] = {
        "string": "string",
        "int16": "int64",
        "int32": "int64",
        "int64": "int64",
        "double": "float64",
        "timestamp": "timestamp",
    }
    reserved = frozenset({"rows"})
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    update = "merge"
    cost_query = (
        "select sum(total_bytes_billed), null from `region-{location}`.INFORMATION_SCHEMA.JOBS_BY_USER "
        "where creation_time >= {since}"
    )
    version_query = None  # a service without one
    executes_many = False
    rows_a_statement = 400
    parameters_a_statement = 9_000

    def literal(self, text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def key(self, value: str) -> str:
        return f"to_hex(sha256({value}))"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        listed = "".join(f"\\u{ord(c):04x}" for c in characters)
        return f"trim({value}, '{listed}')"

    def position(self, part: str, value: str) -> str:
        return f"strpos({value}, {part})"

    def after_at(self, value: str) -> str:
        return f"regexp_extract({value}, '[^@]*$')"

    def seconds(self, at: str) -> str:
        return f"unix_seconds({at})"

    def moment(self, at: datetime) -> str:
        return f"timestamp '{at:%Y-%m-%d %H:%M:%S.%f}+00'"
