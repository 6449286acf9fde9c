"""The dialect of DuckDB."""

from __future__ import annotations

from typing import ClassVar

from mailvet.syntax.missing import BLANK, WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["DuckDB"]


class DuckDB(Dialect):
    """DuckDB; only what the shared conditions need, its warehouse says the rest itself."""

    name = "duckdb"
    types: ClassVar[dict[str, str]] = {**Dialect.types, "double": "double"}

    def key(self, value: str) -> str:
        return f"sha256({value})"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"trim({value}, {literal(characters)})"

    def missing(self, value: str) -> str:
        # Most cells begin with a visible character of ASCII; to trim them all takes ten times as long.
        blank = f"{self.trimmed(value, BLANK)} = ''"
        return f"(case when {value} >= '!' and {value} < '~' then false else {value} is null or {blank} end)"

    def fold(self, value: str) -> str:
        # To look for all the white space there is takes ten times as long as all the rest, and cells that begin and
        # end in printable ASCII have none.
        visible = f"{value} >= '!' and {value} < '~' and {value}[-1] between '!' and '~'"
        return f"lower(case when {visible} then {value} else {self.trimmed(value)} end)"

    def position(self, part: str, value: str) -> str:
        return f"strpos({value}, {part})"

    def after_at(self, value: str) -> str:
        return f"string_split({value}, '@')[-1]"

    def has_digit_before_at(self, value: str) -> str:
        return f"regexp_matches({value}, '[0-9][^@]*@')"

    def without_last_digits(self, value: str) -> str:
        return f"rtrim({value}, '0123456789')"

    def seconds(self, at: str) -> str:
        return f"epoch({at})"

    def not_ascii(self, value: str) -> str:
        return f"strlen({value}) > length({value})"
