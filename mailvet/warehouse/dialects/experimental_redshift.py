"""The dialect of Amazon Redshift: only a parser of the dialect has read its statements; no server has run them."""

from __future__ import annotations

from typing import ClassVar

from mailvet.syntax.missing import WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["ExperimentalRedshift"]


class ExperimentalRedshift(Dialect):
    """Amazon Redshift."""

    name = "redshift"
    unproven = "a parser"
    kept_after_delete = (
        "Redshift keeps deleted rows in its blocks until VACUUM DELETE ONLY has run, and in its snapshots.",
    )
    primary_key = ""
    types: ClassVar[dict[str, str]] = {**Dialect.types, "string": "varchar(4096)"}
    executes_many = False
    rows_a_statement = 500
    upsert = "steps"
    session = ("set timezone = 'UTC'",)
    cost_query = (
        "select sum(d.input_bytes), null from sys_query_detail d join sys_query_history h on h.query_id = d.query_id "
        "where h.user_id = current_user_id and h.start_time >= {since}"
    )
    enter_schema = "set search_path to {name}"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"btrim({value}, {literal(characters)})"

    def after_at(self, value: str) -> str:
        return f"regexp_substr({value}, '[^@]*$')"

    def differs(self, left: str, right: str) -> str:
        return (
            f"({left} <> {right} or ({left} is null and {right} is not null) "
            f"or ({left} is not null and {right} is null))"
        )
