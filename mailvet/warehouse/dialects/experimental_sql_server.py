"""The dialect of SQL Server: only a parser of the dialect has read its statements; no server has run them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import WHITE_SPACE
from mailvet.warehouse.dialects.base import Dialect, literal

__all__ = ["ExperimentalSQLServer"]


class ExperimentalSQLServer(Dialect):
    """SQL Server 2019 and later, Azure SQL."""

    name = "mssql"
    unproven = "a parser"
    kept_after_delete = (
        "SQL Server keeps deleted rows in its pages until they are reused, and in the transaction log.",
    )
    marks = ("[", "]")
    types: ClassVar[dict[str, str]] = {
        "string": "nvarchar(4000)",
        "int16": "smallint",
        "int32": "int",
        "int64": "bigint",
        "double": "float",
        "timestamp": "datetime2(6)",
    }
    key_type = "varchar(64) collate Latin1_General_BIN2"
    temporary = "select * into {name} from ({query}) as mailvet__staged"
    temporary_empty = "create table {name} ({columns})"
    temporary_prefix = "#"
    update = "from_join"
    statement_end = ";"
    version_query = "select cast(serverproperty('productversion') as varchar(50))"
    groups_exactly = False
    finds_signals = False  # it has no regular expressions, and no WITH within a subquery
    add_column = "alter table {table} add {name} {kind}"

    def key(self, value: str) -> str:
        utf8 = f"convert(varchar(max), {value} collate Latin1_General_100_BIN2_UTF8)"
        return f"lower(convert(varchar(64), hashbytes('SHA2_256', {utf8}), 2)) collate Latin1_General_BIN2"

    def exact(self, value: str) -> str:
        return f"{value} collate Latin1_General_100_BIN2"

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"trim(N{literal(characters)} from {value})"

    def joined(self, *values: str) -> str:
        return f"concat({', '.join(values)})"

    def length(self, value: str) -> str:
        return f"len({value})"

    def not_ascii(self, value: str) -> str:
        return f"{value} collate Latin1_General_100_BIN2 like N'%[^ -~]%'"

    def fold(self, value: str) -> str:
        return f"lower({self.trimmed(value)}) collate Latin1_General_100_BIN2"

    def position(self, part: str, value: str) -> str:
        return f"charindex({part}, {value})"

    def after_at(self, value: str) -> str:
        return f"right({value}, charindex('@', reverse({value}) + '@') - 1)"

    def after_dot(self, value: str) -> str:
        return f"substring({value}, charindex('.', {value}) + 1, 4000)"

    def moment(self, at: datetime) -> str:
        return f"cast('{at:%Y-%m-%dT%H:%M:%S.%f}' as datetime2(6))"

    def differs(self, left: str, right: str) -> str:
        return (
            f"({left} <> {right} or ({left} is null and {right} is not null) "
            f"or ({left} is not null and {right} is null))"
        )

    def limited(self, query: str, count: int) -> str:
        return query.replace("select ", f"select top ({count}) ", 1)
