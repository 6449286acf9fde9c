"""What every dialect says: the words of standard SQL, and what may differ from database to database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from mailvet.syntax.missing import BLANK, WHITE_SPACE
from mailvet.warehouse.identifiers import STANDARD_MARKS, quoted

__all__ = ["Dialect", "literal"]


def literal(text: str | None) -> str:
    """A string literal of standard SQL; only for words of our own, which hold no backslash."""
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


class Dialect:
    """Standard SQL; the subclasses say what differs.

    Methods take and return SQL expressions, if nothing else is said.
    """

    name: ClassVar[str] = ""
    marks: ClassVar[tuple[str, str]] = STANDARD_MARKS
    """What stands before and behind a quoted name."""
    types: ClassVar[dict[str, str]] = {
        "string": "varchar",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "double": "double precision",
        "timestamp": "timestamp",
    }
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
    empty: ClassVar[str | None] = None
    """What empties a temporary table more quickly than to make it anew."""
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
    groups_exactly: ClassVar[bool] = True
    """Whether GROUP BY tells texts apart that differ in nothing but case, accents or blanks at the end."""
    session: ClassVar[tuple[str, ...]] = ()
    """Statements at the start of a session; times have to be UTC."""
    unproven: ClassVar[str | None] = None
    """What has seen the statements of this dialect in place of a server, as long as no server has run them."""
    enter_schema: ClassVar[str | None] = None
    """What makes a schema the default one of a session; None where only the address of the database says it."""
    make_schema: ClassVar[str | None] = "create schema {name}"
    drop_schema: ClassVar[str] = "drop schema {name}"
    folds_names: ClassVar[bool] = False
    """Whether names of schemas are the same that differ in nothing but case."""
    version_query: ClassVar[str | None] = "select version()"
    """What tells the version of the server."""
    cost_query: ClassVar[str | None] = None
    """What tells the bytes that this user's statements have read since `{since}`, and their credits or null.

    `{location}` is that of the data. None where the engine does not tell.
    """
    analyze: ClassVar[str | None] = None
    """What tells the planner how large a table has become."""
    add_column: ClassVar[str] = "alter table {table} add column {name} {kind}"
    drop_column: ClassVar[str] = "alter table {table} drop column {name}"
    planner_hints: ClassVar[tuple[str, ...]] = ()
    """Statements within a transaction, before a query whose steps have other sizes than the planner guesses."""
    materialized: ClassVar[str] = ""
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

    # ---------------------------------------------------------------- statements

    def update_from(self, table: str, source: str, match: str, sets: Mapping[str, str], condition: str) -> str:
        """One UPDATE of a table by another.

        Args:
            table: its name, under which its columns are spoken of, as a user's condition may do.
            source: the other with an alias.
            match: which rows belong together.
            sets: column -> new value.
            condition: on rows that belong together, and are to be updated.
        """
        plain = ", ".join(f"{name} = {value}" for name, value in sets.items())
        if self.update == "join":
            dotted = ", ".join(f"{table}.{name} = {value}" for name, value in sets.items())
            return f"update {table} join {source} on {match} set {dotted} where {condition}"
        if self.update == "from_join":
            return f"update {table} set {plain} from {table} join {source} on {match} where {condition}"
        if self.update == "merge":
            merged = f"merge into {table} using {source} on {match} and {condition}"
            return f"{merged} when matched then update set {plain}{self.statement_end}"
        return f"update {table} set {plain} from {source} where {match} and {condition}"

    def upserts(self, table: str, batch: str, key: str, names: Sequence[str], keep: str | None) -> list[str]:
        """The statements that bring the rows of a batch into a table with the same columns.

        Args:
            table: its name.
            batch: the table of the batch, which is `b` in `keep`.
            key: the column that identifies a row.
            names: the columns.
            keep: which rows of the table stay as they are; None: none does.
        """
        renewed = {name: f"b.{name}" for name in names if name != key}
        listed = ", ".join(map(self.own, names))
        values = ", ".join(f"b.{name}" for name in names)
        same = f"{table}.{key} = b.{key}"
        if self.upsert == "conflict":
            sets = ", ".join(f"{name} = excluded.{name}" for name in renewed)
            news = f"not exists (select 1 from {table} where {same} and {keep})" if keep else "1 = 1"
            return [
                f"insert into {table} ({listed}) select {values} from {batch} b where {news} "
                f"on conflict ({key}) do update set {sets}"
            ]
        if self.upsert == "merge":
            sets = ", ".join(f"{name} = {new}" for name, new in renewed.items())
            news = f" and not ({keep})" if keep else ""
            return [
                f"merge into {table} using {batch} b on {same} when matched{news} then update set {sets} "
                f"when not matched then insert ({listed}) values ({values}){self.statement_end}"
            ]
        return [
            self.update_from(table, f"{batch} b", same, renewed, f"not ({keep})" if keep else "1 = 1"),
            f"insert into {table} ({listed}) select {values} from {batch} b where not exists "
            f"(select 1 from {table} where {same})",
        ]
