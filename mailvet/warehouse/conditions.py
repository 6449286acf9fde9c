"""A condition on rows that a user wrote: whether it is one SQL expression, as the engine that will run it reads it.

A text becomes part of our statements only after it was parsed twice, as it is and within brackets. What parses both
ways closes no bracket, quotation mark or comment that it did not open, so it cannot end the statement it stands in.
Parsing runs nothing. How each engine is asked to parse stands with its session; here stand DuckDB's parser, and
sqlglot for engines that only parse what they also run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import duckdb

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.warehouse.files.faults import first_line

__all__ = ["check_borrowed", "forms", "parse_duckdb", "parse_with_sqlglot", "refusal"]

_SQLGLOT_NAMES = {"mssql": "tsql"}
"""SQLAlchemy's names of dialects that sqlglot calls otherwise."""

_HARMLESS_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Table functions of DuckDB that read nothing but their arguments."""


def forms(where: str) -> tuple[str, str]:
    """The condition as it is and within brackets; both have to parse. The line break ends a comment in the condition.

    Raises:
        SourceError: it holds nothing, or a NUL, at which some engines stop reading.
    """
    if not where.strip() or "\0" in where:
        raise SourceError(f"{argument('where')} holds no condition; give one on the rows, such as country = 'DE'.")
    return f"{where}\n", f"({where}\n)"


def refusal(table: str, words: str) -> SourceError:
    """What is said about a condition that does not parse or fails, with the engine's words."""
    return SourceError(f"The condition {argument('where')} does not work on {table}: {first_line(words)}.")


def parse_duckdb(where: str, table: str) -> None:
    """Whether DuckDB's own parser reads one expression; nothing is run.

    Raises:
        SourceError: it does not.
    """
    for form in forms(where):
        try:
            duckdb.SQLExpression(form)
        except duckdb.Error as error:
            raise refusal(table, str(error)) from None


def check_borrowed(where: str, table: str, tables: Collection[str]) -> None:
    """For a DuckDB connection of the user's, whose access to files is not ours to switch off.

    A condition may read tables of the database (`tables`, their bare names), but no file, no other program's data and
    no text as a query.

    Raises:
        SourceError: it does not parse, or reads something else.
    """
    parse_duckdb(where, table)
    with duckdb.connect(":memory:") as parser:
        statement = f"select 1 where {forms(where)[1]}"
        tree = json.loads(parser.execute("select json_serialize_sql($1)", [statement]).fetchall()[0][0])
    if tree.get("error"):
        raise refusal(table, str(tree.get("error_message") or "it cannot be read"))
    known = {name.lower() for name in tables}
    nodes = list(_nodes(tree))
    for node in nodes:
        for entry in (node.get("cte_map") or {}).get("map", ()):
            known.add(str(entry.get("key", "")).lower())
    for node in nodes:
        kind = node.get("type")
        if kind == "TABLE_FUNCTION":
            function = str((node.get("function") or {}).get("function_name", "")).lower()
            if function not in _HARMLESS_FUNCTIONS:
                raise refusal(table, f"it may not call {function or 'a table function'}(), which reads more than rows")
        elif kind == "BASE_TABLE" and str(node.get("table_name", "")).lower() not in known:
            raise refusal(table, f"there is no table {node.get('table_name')} in the database")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def parse_with_sqlglot(where: str, table: str, dialect: str) -> None:
    """The same for an engine that parses only what it runs, by sqlglot in the engine's dialect.

    Raises:
        SourceError: it is not one expression; SettingsError: sqlglot is not installed.
    """
    try:
        import sqlglot
        from sqlglot import errors, exp
    except ImportError:
        raise SettingsError("A condition on this database needs sqlglot to be checked: pip install sqlglot") from None
    _same_to_all(where, table, sqlglot.tokenize, _SQLGLOT_NAMES.get(dialect, dialect))
    for form in forms(where):
        try:
            statements = sqlglot.parse(f"select 1 where {form}", read=_SQLGLOT_NAMES.get(dialect, dialect))
        except errors.SqlglotError as error:
            details = getattr(error, "errors", None) or [{}]
            raise refusal(table, str(details[0].get("description") or error)) from None
        found = statements[0] if len(statements) == 1 else None
        parts = {name for name, value in found.args.items() if value} if isinstance(found, exp.Select) else set()
        if parts != {"expressions", "where"} or found is None or len(found.expressions) != 1:
            raise refusal(table, "it is not one condition on the rows")


def _same_to_all(where: str, table: str, tokenize: Callable[..., Any], dialect: str) -> None:
    """Refuse what sqlglot and the engine may cut into other words.

    What a backslash or a dollar sign escapes differs between engines, and so does what a comment or a quoted name may
    hold.
    """
    from sqlglot import errors

    if "\\" in where or "$$" in where:
        raise refusal(table, "it holds a backslash or $$, which engines read in several ways; write it without")
    try:
        tokens = tokenize(where, read=dialect)
    except errors.SqlglotError as error:
        raise refusal(table, str(error)) from None
    for token in tokens:
        texts = [] if "STRING" in token.token_type.name else [token.text]
        if any(mark in text for text in (*texts, *token.comments) for mark in "'\"`;"):
            raise refusal(table, "it holds a quotation mark or a semicolon in a comment or a name; write it without")
