"""
How each database says the same thing: types, quoting, keys, temporary tables, upserts and updates.

Everything else a warehouse asks is SQL that all of them read alike, and stands once in `mailvet.warehouse.due` and
`mailvet.warehouse.backends.sql`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mailvet.errors import SettingsError
from mailvet.syntax.missing import BLANK, WHITE_SPACE
from mailvet.warehouse.identifiers import STANDARD_MARKS, quoted

__all__ = ["DIALECTS", "Dialect", "DuckDB", "Postgres", "dialect_of", "literal", "missing_sql"]


def literal(text: str | None) -> str:
    """A string literal of standard SQL; only for words of our own, which hold no backslash."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


class Dialect:
    """
    Standard SQL; the subclasses say what differs.

    Methods take and return SQL expressions, if nothing else is said.
    """

    name: ClassVar[str] = ""
    marks: ClassVar[tuple[str, str]] = STANDARD_MARKS
    """What stands before and behind a quoted name."""
    types: ClassVar[dict[str, str]] = {
        "string": "varchar", "int16": "smallint", "int32": "integer", "int64": "bigint", "double": "double precision",
        "timestamp": "timestamp",
    }  # fmt: skip
    key_type: ClassVar[str] = "varchar(64)"
    primary_key: ClassVar[str] = " primary key"
    """Behind the column `email_key`; nothing where the database would not hold it."""
    reserved: ClassVar[frozenset[str]] = frozenset()
    """Names of our own columns that have to be quoted."""
    kept_after_delete: ClassVar[tuple[str, ...]] = (
        "The database may keep deleted rows in its files, undo log or time travel until its retention ends.",
    )
    """What the database keeps of rows that are deleted: a sentence each."""
    temporary: ClassVar[str] = "create temporary table {name} as {query}"
    temporary_empty: ClassVar[str] = "create temporary table {name} ({columns})"
    drop: ClassVar[str] = "drop table if exists {name}"
    temporary_prefix: ClassVar[str] = ""
    has_temporary: ClassVar[bool] = True
    """Otherwise plain tables with names of their own, dropped at the end."""
    table_options: ClassVar[str] = ""
    """Behind the list of columns of a table that stays."""
    verdict_index: ClassVar[str | None] = None
    """What makes the verdicts without their text quick to find, for `matches_texts`."""
    upsert: ClassVar[str] = "merge"
    """`conflict`: INSERT ... ON CONFLICT; `merge`: MERGE; `steps`: an UPDATE and an INSERT of what is missing."""
    update: ClassVar[str] = "from"
    """`from`: UPDATE ... FROM; `join`: UPDATE ... JOIN; `from_join`: UPDATE ... FROM t JOIN; `merge`: MERGE."""
    statement_end: ClassVar[str] = ""
    transactions: ClassVar[bool] = True
    """Whether several statements can be made to hold all or not at all."""
    groups_exactly: ClassVar[bool] = True
    """Whether GROUP BY tells texts apart that differ in nothing but case, accents or blanks at the end."""
    session: ClassVar[tuple[str, ...]] = ()
    """Statements at the start of a session; times have to be UTC."""
    analyze: ClassVar[str | None] = None
    """What tells the planner how large a table has become."""
    add_column: ClassVar[str] = "alter table {table} add column {name} {kind}"
    drop_column: ClassVar[str] = "alter table {table} drop column {name}"
    before_guesses: ClassVar[tuple[str, ...]] = ()
    """Statements within a transaction, before a query whose steps have other sizes than the planner guesses."""
    computed_once: ClassVar[str] = ""
    """Behind a subquery whose columns are used more than once, and are not to be computed each time."""
    matches_texts: ClassVar[bool] = False
    """Whether a cell is quicker compared with the text of a verdict, where that is stored, than with its key."""
    fence: ClassVar[str] = ""
    """
    Behind a step of a query of many steps, where the planner would else write each step into the next, and compute
    what is used twice in each of them two times, four times, eight times and so on.
    """
    finds_signals: ClassVar[bool] = True
    """Whether it can run the queries of `mailvet.warehouse.table_signals`."""
    typed: ClassVar[bool] = True
    """Whether a column holds nothing but what its type says."""
    index: ClassVar[str | None] = None
    """What makes a column of a temporary table quick to look up, where a scan is the only other way."""
    parsing: ClassVar[str | None] = None
    """What has the engine parse `query` (also as a `literal`) and run nothing; None where it has no such statement."""
    parsed: ClassVar[str | None] = None
    """What forgets it again."""
    read_only: ClassVar[tuple[str | None, str | None]] = (None, None)
    """Statements after which the session can change nothing, and can again."""
    executes_many: ClassVar[bool] = True
    """Whether the driver's `executemany` sends rows in bulk; otherwise one INSERT carries as many as these allow."""
    rows_a_statement: ClassVar[int] = 1000
    parameters_a_statement: ClassVar[int] = 32_000

    def quote(self, name: str) -> str:
        """A name, whatever it holds."""
        return quoted(name, self.marks)

    def own(self, name: str) -> str:
        """A column of our own tables, quoted where it has to be."""
        return self.quote(name) if name in self.reserved else name

    def literal(self, text: str) -> str:
        """A string literal of any text."""
        return literal(text)

    def text(self, value: str) -> str:
        """Cast to text."""
        return f"cast({value} as {self.types['string']})"

    def exact(self, value: str) -> str:
        """A text that is compared by its characters alone, whatever the column's collation."""
        return value

    def key(self, value: str) -> str:
        """`email_key` of a text: the lower-case hexadecimal SHA-256 of its UTF-8 form."""
        return f"sha2({value}, 256)"

    def shuffled(self, value: str) -> str:
        """Any order in which equal texts stand together and neighbours in the alphabet do not."""
        return self.key(value)

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        """Without these characters at the ends."""
        return f"trim({literal(characters)} from {value})"

    def fold(self, value: str) -> str:
        """Lower case, without white space at the ends."""
        return f"lower({self.trimmed(value)})"

    def missing(self, value: str) -> str:
        """Whether a text is null or holds nothing that can be seen: `mailvet.syntax.missing.is_missing`. Never null."""
        return f"({value} is null or {self.trimmed(self.exact(value), BLANK)} = '')"

    def position(self, part: str, value: str) -> str:
        """Where `part` begins in `value`, from 1; 0 where it does not occur."""
        return f"position({part} in {value})"

    def after_at(self, value: str) -> str:
        """What stands behind the last @."""
        return f"split_part({value}, '@', -1)"

    def after_dot(self, value: str) -> str:
        """What stands behind the first dot."""
        return f"substring({value}, {self.position(literal('.'), value)} + 1)"

    def has_digit_before_at(self, value: str) -> str:
        """Whether a digit stands somewhere before an @."""
        return f"{value} <> regexp_replace({value}, '[0-9][^@]*@', '')"

    def after_digits(self, value: str) -> str:
        """What stands behind the last digit; all of it where there is none."""
        return f"regexp_replace({value}, '^.*[0-9]', '')"

    def without_last_digits(self, value: str) -> str:
        """Without the digits at its end."""
        return f"regexp_replace({value}, '[0-9]+$', '')"

    def whole_number(self, value: str) -> str:
        """Digits as a number of 64 bits."""
        return f"cast({value} as {self.types['int64']})"

    def real(self, value: str) -> str:
        """A number as one with a fraction."""
        return f"cast({value} as {self.types['double']})"

    def greater(self, left: str, right: str) -> str:
        """The greater of two numbers."""
        return f"greatest({left}, {right})"

    def short(self, value: str) -> str:
        """A text no longer than an address, in the type that is quickest to join."""
        return value

    def length(self, value: str) -> str:
        """Characters of a text."""
        return f"length({value})"

    def joined(self, *values: str) -> str:
        """Texts, one behind the other."""
        return " || ".join(values)

    def not_ascii(self, value: str) -> str:
        """Whether a text holds characters beyond ASCII."""
        return f"{value} <> regexp_replace({value}, '[^ -~]', '')"

    def seconds(self, at: str) -> str:
        """Seconds since 1970 of a time in UTC."""
        return f"extract(epoch from {at})"

    def first_character(self, value: str) -> str:
        return f"substring({value}, 1, 1)"

    def moment(self, at: datetime) -> str:
        """A point in time; aware, UTC."""
        return f"timestamp '{at:%Y-%m-%d %H:%M:%S.%f}'"

    def as_moment(self, value: str) -> str:
        """A user's column as a time in UTC."""
        return f"cast({value} as {self.types['timestamp']})"

    def any_moment(self, value: str) -> str:
        """The same, and null where it holds no point in time."""
        return self.as_moment(value)

    def differs(self, left: str, right: str) -> str:
        """Whether two values differ, null being a value."""
        return f"{left} is distinct from {right}"

    def limited(self, query: str, count: int) -> str:
        """The first rows of `select ...`."""
        return f"{query} limit {count}"


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


class Postgres(Dialect):
    """PostgreSQL 12 and later."""

    name = "postgresql"
    kept_after_delete = (
        "PostgreSQL keeps deleted rows in its files until VACUUM has run, and in its write-ahead log.",
    )
    # Fewer collations to mind, and comparisons four times as fast: keys are compared byte by byte.
    key_type = 'varchar(64) collate "C"'
    types: ClassVar[dict[str, str]] = {**Dialect.types, "string": "text", "timestamp": "timestamptz"}
    temporary = "create temporary table {name} as {query}"
    # Room on each page, so that a renewed verdict stays on it and the index need not be touched (HOT).
    table_options = " with (fillfactor = 85)"
    upsert = "conflict"
    session = ("set timezone = 'UTC'", "set standard_conforming_strings = on")
    analyze = "analyze {name}"
    # It guesses the sizes far too low and would loop over every step.
    before_guesses = (
        "set local enable_nestloop = off",
        "select set_config('work_mem', '128MB', true) "
        "where pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('128MB')",
    )
    computed_once = fence = " offset 0"
    matches_texts = True
    verdict_index = "create index {name}_unnamed on {name} ((true)) where email is null"
    has_icu = True
    """Lower case for all scripts, whatever the locale of the database."""
    is_utf8 = True
    """Whether the database keeps its texts in UTF-8, so that what is longer in bytes holds letters beyond ASCII."""

    def exact(self, value: str) -> str:
        return f'{value} collate "C"'

    def key(self, value: str) -> str:
        return f"encode(sha256(convert_to({value}, 'UTF8')), 'hex')"

    def shuffled(self, value: str) -> str:
        return f'md5({value}) collate "C"'

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"btrim({value}, {literal(characters)})"

    def missing(self, value: str) -> str:
        # To trim all cells takes longer than all the rest; most begin with a visible character of ASCII.
        visible = f"({value}) collate \"C\" between '!' and '~'"
        blank = f"{self.trimmed(value, BLANK)} = ''"
        return f"(case when {visible} then false else {value} is null or {blank} end)"

    def fold(self, value: str) -> str:
        any_text = f'(lower({self.trimmed(value)} collate "{"und-x-icu" if self.has_icu else "default"}")) collate "C"'
        if not self.is_utf8:
            return any_text
        # To trim and lower all that there is takes twice as long as for ASCII that begins and ends visibly.
        ends = f'least(left({value}, 1) collate "C", right({value}, 1) collate "C") > \' \''
        visible = f"octet_length({value}) = length({value}) and {ends}"
        return f'case when {visible} then (lower({value} collate "C")) collate "C" else {any_text} end'

    def after_at(self, value: str) -> str:
        return f"reverse(split_part(reverse({value}), '@', 1))"

    def not_ascii(self, value: str) -> str:
        return f"({value}) collate \"C\" ~ '[^ -~]'"

    def has_digit_before_at(self, value: str) -> str:
        return f"{value} ~ '[0-9][^@]*@'"

    def without_last_digits(self, value: str) -> str:
        return f"rtrim({value}, '0123456789')"

    def any_moment(self, value: str) -> str:
        return f"nullif(nullif({self.as_moment(value)}, 'infinity'), '-infinity')"

    def moment(self, at: datetime) -> str:
        return f"timestamptz '{at:%Y-%m-%d %H:%M:%S.%f}+00'"


class SQLite(Dialect):
    """SQLite 3.35 and later, with the functions that `backends.sqlalchemy` registers on the connection."""

    name = "sqlite"
    kept_after_delete = ("SQLite keeps deleted rows in free pages of the file until VACUUM has run.",)
    types: ClassVar[dict[str, str]] = {
        "string": "text", "int16": "integer", "int32": "integer", "int64": "integer", "double": "real",
        "timestamp": "timestamp",
    }  # fmt: skip
    temporary = "create temp table {name} as {query}"
    temporary_empty = "create temp table {name} ({columns})"
    parsing = "explain {query}"
    read_only = ("pragma query_only = on", "pragma query_only = off")
    upsert = "conflict"
    typed = False
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


class MySQL(Dialect):
    """MySQL 8, which reads a temporary table only once in a statement, and so cannot look for signals."""

    name = "mysql"
    kept_after_delete = (
        "The server keeps deleted rows in its undo log and, as long as it is kept, in its binary log.",
    )
    marks = ("`", "`")
    types: ClassVar[dict[str, str]] = {
        "string": "text", "int16": "smallint", "int32": "integer", "int64": "bigint", "double": "double",
        "timestamp": "datetime(6)",
    }  # fmt: skip
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
        *MySQL.session, "set join_cache_level = 4", "set optimizer_switch = 'firstmatch=off'",
    )  # fmt: skip

    def short(self, value: str) -> str:
        return f"cast({value} as char(255)) collate utf8mb4_bin"  # long texts have no place in a hash table


class SQLServer(Dialect):
    """SQL Server 2019 and later, Azure SQL."""

    name = "mssql"
    kept_after_delete = (
        "SQL Server keeps deleted rows in its pages until they are reused, and in the transaction log.",
    )
    marks = ("[", "]")
    types: ClassVar[dict[str, str]] = {
        "string": "nvarchar(4000)", "int16": "smallint", "int32": "int", "int64": "bigint", "double": "float",
        "timestamp": "datetime2(6)",
    }  # fmt: skip
    key_type = "varchar(64) collate Latin1_General_BIN2"
    temporary = "select * into {name} from ({query}) as mailvet__staged"
    temporary_empty = "create table {name} ({columns})"
    temporary_prefix = "#"
    update = "from_join"
    statement_end = ";"
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


class Snowflake(Dialect):
    """Snowflake. Names of our own are written without quotes, so they are upper-case there as everything else."""

    name = "snowflake"
    kept_after_delete = (
        "Snowflake keeps deleted rows in Time Travel (DATA_RETENTION_TIME_IN_DAYS) and seven days more in Fail-safe.",
    )
    primary_key = ""
    types: ClassVar[dict[str, str]] = {**Dialect.types, "double": "double", "timestamp": "timestamp_ntz"}
    reserved = frozenset({"rows"})
    session: ClassVar[tuple[str, ...]] = ("alter session set timezone = 'UTC'",)
    update = "from"

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


class Redshift(Dialect):
    """Amazon Redshift."""

    name = "redshift"
    kept_after_delete = (
        "Redshift keeps deleted rows in its blocks until VACUUM DELETE ONLY has run, and in its snapshots.",
    )
    primary_key = ""
    types: ClassVar[dict[str, str]] = {**Dialect.types, "string": "varchar(4096)"}
    executes_many = False
    rows_a_statement = 500
    upsert = "steps"
    session = ("set timezone = 'UTC'",)

    def trimmed(self, value: str, characters: str = WHITE_SPACE) -> str:
        return f"btrim({value}, {literal(characters)})"

    def after_at(self, value: str) -> str:
        return f"regexp_substr({value}, '[^@]*$')"

    def differs(self, left: str, right: str) -> str:
        return (
            f"({left} <> {right} or ({left} is null and {right} is not null) "
            f"or ({left} is not null and {right} is null))"
        )


class BigQuery(Dialect):
    """BigQuery. Every statement holds by itself; a session for temporary tables is not asked for."""

    name = "bigquery"
    kept_after_delete = (
        "BigQuery keeps deleted rows for its time travel window (7 days by default) and seven days more in fail-safe.",
    )
    marks = ("`", "`")
    primary_key = ""
    key_type = "string"
    types: ClassVar[dict[str, str]] = {
        "string": "string", "int16": "int64", "int32": "int64", "int64": "int64", "double": "float64",
        "timestamp": "timestamp",
    }  # fmt: skip
    reserved = frozenset({"rows"})
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    transactions = False
    update = "merge"
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


class Databricks(Dialect):
    """Databricks SQL and Delta tables. Every statement holds by itself."""

    name = "databricks"
    kept_after_delete = (
        "Delta keeps deleted rows in the files of older versions until VACUUM has run after the retention.",
    )
    marks = ("`", "`")
    primary_key = ""
    key_type = "string"
    types: ClassVar[dict[str, str]] = {
        "string": "string", "int16": "smallint", "int32": "int", "int64": "bigint", "double": "double",
        "timestamp": "timestamp",
    }  # fmt: skip
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    transactions = False
    update = "merge"
    session = ("set time zone 'UTC'",)
    executes_many = False
    rows_a_statement = 10
    parameters_a_statement = 250  # at most 255 (Databricks: parameter markers)

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


class Trino(Dialect):
    """Trino, over connectors that can MERGE (Iceberg, Delta, Hive with transactions). Each statement by itself."""

    name = "trino"
    kept_after_delete = (
        "Table formats with snapshots keep deleted rows until the snapshots are expired and their files removed.",
    )
    primary_key = ""
    key_type = "varchar"
    types: ClassVar[dict[str, str]] = {**Dialect.types, "double": "double", "timestamp": "timestamp(6)"}
    temporary = "create table {name} as {query}"
    temporary_empty = "create table {name} ({columns})"
    has_temporary = False
    transactions = False
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


DIALECTS: dict[str, type[Dialect]] = {
    "postgresql": Postgres, "sqlite": SQLite, "mysql": MySQL, "mariadb": MariaDB, "mssql": SQLServer,
    "snowflake": Snowflake, "redshift": Redshift, "bigquery": BigQuery, "databricks": Databricks, "trino": Trino,
}  # fmt: skip
"""By the name that SQLAlchemy gives a dialect."""


def dialect_of(name: str) -> Dialect:
    """
    The dialect of this name (SQLAlchemy's).

    Raises:
        SettingsError: there is none.
    """
    try:
        return DIALECTS[name]()
    except KeyError:
        raise SettingsError(
            f"Databases of the kind {name} are not supported; these are: duckdb, {', '.join(DIALECTS)}. Copy the table "
            "to a file (CSV, Parquet) and verify that."
        ) from None


def missing_sql(value: str, dialect: str | Dialect) -> str:
    """
    The condition that a text is missing (`mailvet.syntax.missing.is_missing`): true or false, never null.

    Args:
        value: a SQL expression of a text.
        dialect: itself, or its name: SQLAlchemy's, `duckdb`, or `spark`, whose SQL is that of Databricks.

    Raises:
        SettingsError: there is no such dialect.
    """
    if isinstance(dialect, str):
        dialect = DuckDB() if dialect == "duckdb" else dialect_of("databricks" if dialect == "spark" else dialect)
    return dialect.missing(value)
