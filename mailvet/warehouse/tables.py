"""Which table and column is meant, and whether the status columns that are already there can take a verdict.

The same words for every database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailvet.errors import SourceError, argument
from mailvet.warehouse.address_column import likely_columns
from mailvet.warehouse.identifiers import TableName, parse_table

__all__ = [
    "OWN_TABLES",
    "Column",
    "Relation",
    "check_targets",
    "choose_column",
    "choose_table",
    "is_list_of_ours",
    "may_replace",
    "readings_of",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, as far as we care."""

    name: str
    kind: str
    """Its type, as the database writes it."""
    family: str
    """text, number, time or other."""
    length: int | None = None
    """Characters that fit, None for no limit."""
    generated: bool = False
    """Its values are computed, so it cannot be written to."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view."""

    schema: str
    name: str
    is_view: bool = False
    visible: bool = True
    """Found without naming the schema."""
    catalog: str = ""
    """The database it lies in, where that is known."""


_SHOWN = 40
_LONGEST_NAME = 60  # characters of a column's name that an error shows


def choose_table(
    relations: Sequence[Relation], table: str, database: str, *, known: str = " that this user may see"
) -> Relation:
    """The table that is called so: `name` or `schema.name`, as it is or in double quotes, in any case if that is clear.

    A name without a schema is looked for where the database looks. A table elsewhere is named in the error only, since
    a run would write to it.

    Raises:
        SourceError: there is none, or more than one.
    """
    elsewhere: list[Relation] = []
    for wanted in readings_of(table):
        for fold in (str, str.lower):
            found = [r for r in relations if fold(r.name) == fold(wanted.name)]
            if wanted.schema:
                found = [r for r in found if fold(r.schema) == fold(wanted.schema)]
                found = [r for r in found if not wanted.catalog or fold(r.catalog) == fold(wanted.catalog)]
            else:
                elsewhere += [r for r in found if not r.visible and r not in elsewhere]
                found = [r for r in found if r.visible]
            if len(found) == 1:
                return found[0]
            if found:
                raise _ambiguous(table, database, found)
    if len(elsewhere) > 1:
        raise _ambiguous(table, database, elsewhere)
    if elsewhere:
        name = _qualified(elsewhere)
        raise SourceError(
            f"{table} is in no schema in which {database} looks for a name without one. Write {name} if that is meant."
        )
    names = _listed(
        [
            r.name if r.visible else f"{r.schema}.{r.name}"
            for r in relations
            if not r.name.lower().startswith("mailvet_")
        ]
    )
    raise SourceError(f"There is no table {table} in {database}{known}; there are: {names or 'no tables at all'}.")


def _ambiguous(table: str, database: str, relations: Sequence[Relation]) -> SourceError:
    names = _qualified(relations)
    return SourceError(f"{table} in {database} is ambiguous; write schema.table. There are: {names}.")


def _qualified(relations: Sequence[Relation]) -> str:
    return ", ".join(sorted(f"{r.schema}.{r.name}" for r in relations))


def readings_of(table: str) -> list[TableName]:
    """What a name may mean: a table called exactly so, dots and quotation marks included, or its parts."""
    readings = [TableName(table)] if table else []
    try:
        readings.append(parse_table(table))
    except SourceError:
        if not readings:
            raise
    return list(dict.fromkeys(readings))


def choose_column(columns: Sequence[Column], column: str | None, table: str, headers: Sequence[str] = ()) -> str:
    """The column of addresses: the one named, in any case, else the one whose name says so.

    Raises:
        SourceError: there is none, more than one, or it holds no text.
    """
    names = _listed([c.name for c in columns])
    if column is None:
        likely = likely_columns([c.name for c in columns])
        if len(likely) != 1:
            raise SourceError(
                f"Which column of {table} holds the addresses? Name it with {argument('email_column')}; there "
                f"are: {names}."
            )
        column = likely[0]
    found = [c for c in columns if c.name == column] or [c for c in columns if c.name.lower() == column.lower()]
    if not found:
        raise SourceError(f"There is no column {column} in {table}; there are: {names}.")
    chosen = found[0]
    if [header.strip().lower() for header in headers].count(chosen.name.lower()) > 1:
        raise SourceError(
            f"{table} has more than one column called {chosen.name}. Give them different names in its header."
        )
    if chosen.family != "text":
        texts = _listed([c.name for c in columns if c.family == "text"]) or "none"
        raise SourceError(
            f"The column {chosen.name} of {table} holds {chosen.kind}, not text, so it cannot hold addresses. Text "
            f"columns: {texts}."
        )
    return chosen.name


OWN_TABLES = (
    "mailvet_verdicts",
    "mailvet_runs",
    "mailvet_servers",
    "mailvet_events",
    "mailvet_imports",
    "mailvet_sends",
    "mailvet_shards",
    "mailvet_outputs",
    "mailvet_leases",
    "mailvet_samples",
)
"""Tables that mailvet keeps: no list may take the name of one, and a store of mailvet's own holds nothing else."""


def check_targets(targets: Mapping[str, TableName], source: TableName, default_schema: str) -> None:
    """Whether lists may be written to tables of these names.

    Neither the source, nor tables of mailvet's own, nor one table twice, in any case of letters.

    Args:
        targets: recommendation -> table.
        source: the table the rows come from, with its schema.
        default_schema: of a name without one.

    Raises:
        SourceError: they may not.
    """

    def key(name: TableName) -> tuple[str, str]:
        return (name.schema or default_schema).lower(), name.name.lower()

    seen: dict[tuple[str, str], TableName] = {}
    for target in targets.values():
        if key(target) == key(source):
            raise SourceError(f"The list {target} would replace the table it is made from. Choose another name.")
        if target.name.lower() in OWN_TABLES:
            raise SourceError(f"The list {target} would replace a table that mailvet keeps. Choose another name.")
        if key(target) in seen:
            raise SourceError(f"Two lists would be written to {target}. Choose another name.")
        seen[key(target)] = target


def is_list_of_ours(columns: Sequence[str], prefix: str) -> bool:
    """Whether a table or file that is there has the columns that mailvet writes beside every row."""
    present = {name.lower() for name in columns}
    return bool(prefix) and any(
        {f"{prefix}{name}".lower() for name in signs} <= present
        for signs in (("status", "reason"), ("recommendation",), ("status", "score"))
    )


def may_replace(target: TableName, columns: Sequence[str], prefix: str, *, replace: bool, overwrite: bool) -> None:
    """Whether a table that is there makes way for a list: one that mailvet wrote with `replace`, any with `overwrite`.

    Raises:
        SourceError: it does not.
    """
    if overwrite or (replace and is_list_of_ours(columns, prefix)):
        return
    if replace:
        raise SourceError(
            f"The table {target} was not written by mailvet: it has no columns {prefix}status and {prefix}reason. "
            f"Choose another name, or let it be overwritten ({argument('overwrite', True)}). Nothing was changed."
        )
    raise SourceError(f"The table {target} already exists. Choose another name, or replace it.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names]
    return ", ".join(sorted(shown)[:_SHOWN] if more else shown) + more
