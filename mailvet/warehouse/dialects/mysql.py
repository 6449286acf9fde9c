"""The dialects of MySQL and MariaDB."""

from __future__ import annotations

from typing import ClassVar

from mailvet.syntax.missing import BLANK, WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["MariaDB", "MySQL"]


class MySQL(Dialect):
    """MySQL 8, which reads a temporary table only once in a statement, and so cannot look for signals."""

    name = "mysql"
    kept_after_delete = (
        "The server keeps deleted rows in its undo log and, as long as it is kept, in its binary log.",
    )
    marks = ("`", "`")
    types: ClassVar[dict[str, str]] = {
        "string": "text",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "double": "double",
        "timestamp": "datetime(6)",
    }
    key_type = "char(64)"
    reserved = frozenset({"rows"})
    drop = "drop temporary table if exists {name}"
    temporary = "create temporary table {name} {query}"
    temporary_empty = "create temporary table {name} ({columns}) character set utf8mb4 collate utf8mb4_bin"
    # Whatever the server's default is: a batch is saved as a whole or not at all.
    table_options = " engine = InnoDB character set utf8mb4 collate utf8mb4_bin"
    parsing = "prepare mailvet_condition from {literal}"
    parsed = "deallocate prepare mailvet_condition"
    read_only = ("set session transaction read only", "set session transaction read write")
    upsert = "steps"
    update = "join"
    groups_exactly = False
    finds_signals = False
    index = "alter table {table} add unique key ({column})"
    session: ClassVar[tuple[str, ...]] = (
        "set time_zone = '+00:00'",
        # Names in double quotes stay strings, errors stay errors: a status that is cut off must not be written.
        "set sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        # MariaDB returns JSON and texts alike; what we compare is compared by its characters.
        "set names utf8mb4 collate utf8mb4_bin",
    )

    def literal(self, text: str) -> str:
        return literal(text.replace("\\", "\\\\"))

    def text(self, value: str) -> str:
        return f"convert({value} using utf8mb4)"

    def exact(self, value: str) -> str:
        return f"{value} collate utf8mb4_bin"

    def key(self, value: str) -> str:
        return f"sha2({value}, 256)"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        # TRIM takes off one string, not a set of characters.
        listed = self._listed(characters)
        return f"regexp_replace({value}, '^[{listed}]+|[{listed}]+$', '')"

    def _listed(self, characters: str) -> str:
        """What stands between the brackets of a class of these characters, within a literal."""
        return "".join(f"\\x{{{ord(c):X}}}" for c in characters).replace("\\", "\\\\")

    def missing(self, value: str) -> str:
        # A pattern that ends at the end would let a line end pass behind it.
        return f"({value} is null or not {self.exact(value)} regexp '[^{self._listed(BLANK)}]')"

    def fold(self, value: str) -> str:
        return f"lower({self.trimmed(value)}) collate utf8mb4_bin"

    def position(self, part: str, value: str) -> str:
        return f"locate({part}, {value})"

    def after_at(self, value: str) -> str:
        return f"substring_index({value}, '@', -1)"

    def whole_number(self, value: str) -> str:
        return f"cast({value} as signed)"

    def length(self, value: str) -> str:
        return f"char_length({value})"

    def joined(self, *values: str) -> str:
        return f"concat({', '.join(values)})"

    def not_ascii(self, value: str) -> str:
        return f"length({value}) > char_length({value})"

    def seconds(self, at: str) -> str:
        return f"timestampdiff(second, '1970-01-01', {at})"

    def differs(self, left: str, right: str) -> str:
        return f"not ({left} <=> {right})"

    def as_moment(self, value: str) -> str:
        return f"cast({value} as datetime(6))"


class MariaDB(MySQL):
    """MariaDB 10.6 and later."""

    name = "mariadb"
    finds_signals = True
    fence = " limit 18446744073709551615"
    # Otherwise it joins tables without an index by comparing every row with every row.
    session: ClassVar[tuple[str, ...]] = (
        *MySQL.session,
        "set join_cache_level = 4",
        "set optimizer_switch = 'firstmatch=off'",
    )

    def short(self, value: str) -> str:
        return f"cast({value} as char(255)) collate utf8mb4_bin"  # long texts have no place in a hash table
