"""The dialect of Spark SQL, as Spark itself and Databricks read it."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect

__all__ = ["SparkSQL"]


class SparkSQL(Dialect):
    """Spark SQL; only what conditions and keys need, the rest is said by DataFrames."""

    name = "spark"
    marks = ("`", "`")
    key_type = "string"
    types: ClassVar[dict[str, str]] = {
        "string": "string",
        "int16": "smallint",
        "int32": "int",
        "int64": "bigint",
        "double": "double",
        "timestamp": "timestamp",
    }

    def literal(self, text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        listed = "".join(f"\\u{ord(c):04x}" for c in characters)
        return f"trim(both '{listed}' from {value})"

    def after_at(self, value: str) -> str:
        return f"substring_index({value}, '@', -1)"

    def seconds(self, at: str) -> str:
        return f"unix_timestamp({at})"

    def moment(self, at: datetime) -> str:
        return f"timestamp '{at:%Y-%m-%d %H:%M:%S.%f} UTC'"
