"""The dialect of Snowflake, seen by a stand-in for it (fakesnow) and by a parser."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["Snowflake"]


class Snowflake(Dialect):
    """Snowflake. Names of our own are written without quotes, so they are upper-case there as everything else."""

    name = "snowflake"
    unproven = "a stand-in for Snowflake and a parser"
    kept_after_delete = (
        "Snowflake keeps deleted rows in Time Travel (DATA_RETENTION_TIME_IN_DAYS) and seven days more in Fail-safe.",
    )
    primary_key = ""
    types: ClassVar[dict[str, str]] = {**Dialect.types, "double": "double", "timestamp": "timestamp_ntz"}
    reserved = frozenset({"rows"})
    session: ClassVar[tuple[str, ...]] = ("alter session set timezone = 'UTC'",)
    update = "from"
    folds_names = True
    cost_query = (
        "select sum(bytes_scanned), sum(credits_used_cloud_services) from table(information_schema."
        "query_history_by_user(end_time_range_start => {since}::timestamp_ltz, result_limit => 10000))"
    )
    version_query = "select current_version()"

    def own(self, name: str) -> str:
        return self.quote(name.upper()) if name in self.reserved else name

    def literal(self, text: str) -> str:
        return literal(text.replace("\\", "\\\\"))

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"trim({value}, {literal(characters)})"

    def position(self, part: str, value: str) -> str:
        return f"position({part}, {value})"

    def seconds(self, at: str) -> str:
        return f"date_part(epoch_second, {at})"

    def moment(self, at: datetime) -> str:
        return f"'{at:%Y-%m-%d %H:%M:%S.%f}'::timestamp_ntz"
