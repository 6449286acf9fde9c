"""What has changed in a list since it was last handed over.

The files of the last hand-over are what is compared with: its manifest names them, with their hashes, so that a file
that was edited since is not taken for what the tool has.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.exports.destinations import ListFormat
from mailvet.exports.writing import Names, list_query
from mailvet.private_files import PrivateFolder
from mailvet.runs.outputs import digest
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files import sql_path
from mailvet.warehouse.files.remote import beside, fetch, is_remote
from mailvet.warehouse.files.writing import Query

if TYPE_CHECKING:
    import duckdb

__all__ = ["CHANGES", "LastExport", "change_queries", "is_manifest", "read_last"]

CHANGES = ("added", "changed", "removed")
"""Rows that are new, rows whose columns differ, and rows of the last time that are gone (as they were then)."""


@dataclass(frozen=True, slots=True)
class LastExport:
    """An earlier hand-over."""

    manifest: Path
    files: Sequence[Path]
    columns: Sequence[str]


def is_manifest(path: Path) -> bool:
    """Whether a file is the manifest of a hand-over."""
    try:
        return "mailvet_version" in json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


@contextlib.contextmanager
def manifest_here(manifest: Path | str, *, alone: bool = False) -> Iterator[Path]:
    """The manifest of an earlier hand-over on this machine, and the files of its list beside it.

    Args:
        manifest: a path, or the URL of one in an object store.
        alone: without the files.

    Raises:
        SourceError: it cannot be fetched; a file that cannot be is missing later on.
    """
    if not is_remote(manifest):
        yield Path(manifest)
        return
    url = str(manifest)
    with PrivateFolder() as folder:
        here = fetch(url, folder)
        if is_manifest(here) and not alone:
            for entry in json.loads(here.read_text("utf-8"))["files"]:
                with contextlib.suppress(SourceError):
                    fetch(beside(url, Path(entry["name"]).name), folder)
        yield here


def read_last(path: Path, to: str, kind: str, headers: Sequence[str]) -> LastExport:
    """The hand-over that a manifest is of.

    Args:
        path: of the manifest.
        to: the tool.
        kind: the list.
        headers: the columns that are written now.

    Raises:
        SourceError: it is none, or one of its files is missing or was changed.
        SettingsError: it is of another tool or list, or of other columns.
    """
    given = argument("changes_since", str(path))
    if not path.exists():
        raise SourceError(f"{given}: there is no such file. Give the manifest of the last export of this list.")
    if not is_manifest(path):
        raise SourceError(f"{given} is no manifest of an export. Its name ends in .manifest.json.")
    found: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    if (found.get("to"), found.get("kind")) != (to, kind):
        raise SettingsError(f"{given} is of {found.get('to')}, {found.get('kind')}; this export is of {to}, {kind}.")
    if list(found.get("columns", ())) != list(headers):
        raise SettingsError(
            f"{given} is of other columns ({', '.join(found.get('columns', ()))}). Export once without "
            f"{argument('changes_since')}, and hand over the whole list."
        )
    files = []
    for entry in found["files"]:
        file = path.with_name(entry["name"])
        if not file.exists() or digest(file) != entry["sha256"]:
            state = "was changed since" if file.exists() else "is missing"
            raise SourceError(
                f"{file.name}, which the manifest {path.name} names, {state}, so what changed cannot be told. Put it "
                f"back, or export without {argument('changes_since')}."
            )
        files.append(file)
    return LastExport(path, files, headers)


def change_queries(
    db: duckdb.DuckDBPyConnection, last: LastExport, form: ListFormat, names: Names
) -> tuple[dict[Path, Query], dict[str, int]]:
    """What is written to `crm.added.csv`, `crm.changed.csv` and `crm.removed.csv`, and their numbers of rows.

    Args:
        db: with the table `list`; the last export is read now, as its files may be replaced.
        last: the last export.
        form: of the list.
        names: of the files.
    """
    count = len(last.columns)
    columns = [f"h{place}" for place in range(count)]
    db.execute(f"create table last as {_read(last, form, columns)}")
    place = next((number for number, name in enumerate(last.columns) if name == form.address), 0)
    same = " and ".join(f"list.{name} is not distinct from last.{name}" for name in columns)
    rows = {
        "added": f"(select list.* from list anti join last on last.h{place} = list.h{place})",
        "changed": f"(select list.* from list join last on last.h{place} = list.h{place} where not ({same}))",
        "removed": f"(select last.* from last anti join list on last.h{place} = list.h{place})",
    }
    queries: dict[Path, Query] = {}
    counts: dict[str, int] = {}
    for word in CHANGES:
        db.execute(
            f"create table {word} as select * replace (row_number() over (order by n) - 1 as n) from {rows[word]}"
        )
        (counts[word],) = db.execute(f"select count(*) from {word}").fetchall()[0]
        queries[names.change(word)] = list_query(names.output, form, last.columns, word)
    return queries, counts


def _read(last: LastExport, form: ListFormat, columns: Sequence[str]) -> str:
    """The rows of the last export, with `n`."""
    files = ", ".join(sql_path(file) for file in last.files)
    if form.format == "requests":
        member = _member(form)
        return (
            f"select {member} as h0, row_number() over () - 1 as n from (select unnest({form.member_list}) as member "
            f"from read_json([{files}], format = 'newline_delimited'))"
        )
    named = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    return (
        f"select *, row_number() over () - 1 as n from read_csv([{files}], header = {str(form.header).lower()}, "
        f"columns = {{{named}}}, auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
        "allow_quoted_nulls = false, parallel = false)"
    )


def _member(form: ListFormat) -> str:
    value = "member"
    for part in form.address.split(".") if form.address else ():
        value = f"{value}.{part.removesuffix('[]')}{'[1]' if part.endswith('[]') else ''}"
    return value
