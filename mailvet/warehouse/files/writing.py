"""Files that a source is written to with its status columns.

Each appears complete or not at all, and none unless all could be written. DuckDB is the writer, whichever database the
rows come from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb

from mailvet.errors import SettingsError, SourceError, argument
from mailvet.privacy import formula_sql
from mailvet.private_files import PrivateFolder, replaces
from mailvet.verdict import verdict_schema
from mailvet.warehouse.dialects import literal
from mailvet.warehouse.files import FORMATS, first_line, format_of, split_name, unique_names
from mailvet.warehouse.files.formats import is_tab_separated
from mailvet.warehouse.files.sheets import write_sheet
from mailvet.warehouse.files.text_output import encoded
from mailvet.warehouse.identifiers import quoted
from mailvet.warehouse.text_layout import AS_IT_CAME, TextLayout

__all__ = [
    "Query",
    "Writer",
    "check",
    "content_of",
    "copy_options",
    "escape_formula_sql",
    "part_conditions",
    "part_names",
    "publish",
    "quoted_names",
    "shown_sql",
]

Query = tuple[str, str]
"""A query of DuckDB's, and the options of COPY."""
Writer = Callable[[Path, Mapping[Path, Path]], None]
"""Writes one file: given where, and of the files written before it where each is before it takes its place."""


def check(output: Path) -> None:
    """Find out before a run whether a file of this name could be written.

    Raises:
        SourceError, SettingsError: it could not, and why.
    """
    if format_of(output) is None:
        raise SettingsError(
            f"{argument('output', output.name)}: the name must end in one of {', '.join(FORMATS)}, with .gz or .zst "
            "behind it if compressed."
        )
    if output.is_dir():
        raise SettingsError(f"{argument('output', str(output))} is a folder; give the name of a file.")
    if not output.resolve().parent.is_dir():
        raise SettingsError(
            f"{argument('output')}: there is no folder {output.resolve().parent}. Make it or correct the path."
        )
    if not os.access(output.resolve().parent, os.W_OK):
        raise SourceError(
            f"The folder {output.resolve().parent} may not be written to. Choose another {argument('output')}."
        )


def publish(
    db: duckdb.DuckDBPyConnection,
    contents: Mapping[Path, Query | Writer],
    mode: int,
    via: PrivateFolder | None = None,
    *,
    check: Callable[[Path], object] | None = None,
) -> list[Path]:
    """Write files, in this order.

    Args:
        db: the connection of the queries.
        contents: path -> what is written to it.
        mode: permissions of a file that is new; one that exists keeps its own.
        via: the one folder that the database may write to, if it may not write elsewhere.
        check: raises where a file is not to be replaced.

    Raises:
        SourceError: one could not be written; all are as they were.
    """
    output, partials = Path(), dict[Path, Path]()
    with contextlib.ExitStack() as replacing:
        try:
            for output, content in contents.items():
                partial = replacing.enter_context(replaces(output, mode))
                if callable(content):
                    content(partial, partials)
                else:
                    _copy(db, content, partial, via)
                partials[output] = partial
            if check is not None:
                for output in contents:
                    check(output.resolve())
            replacing.close()
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"{output} cannot be written: {first_line(str(error))}.") from None
    return list(contents)


def _copy(db: duckdb.DuckDBPyConnection, content: Query, partial: Path, via: PrivateFolder | None) -> None:
    query, options = content
    written = partial if via is None else via.new()
    # Over the file that is there: a temporary one of DuckDB's would have a name that can be guessed.
    db.execute(f"copy ({query}) to {literal(str(written))} ({options}, use_tmp_file false)")
    if written is not partial:
        _move(written, partial)


def _move(written: Path, partial: Path) -> None:
    try:
        os.replace(written, partial)
    except OSError:  # another file system
        shutil.copyfile(written, partial)
        written.unlink()


def part_conditions(part: str, output: Path, found: Sequence[str | None], expected: Sequence[str]) -> dict[Path, str]:
    """The file of each part of a result, and the condition on its rows.

    Args:
        part: SQL expression of the part that a row belongs to.
        output: the file that is split, `list.csv` becoming `list.send.csv`.
        found: the values that rows have; None is `unverified`.
        expected: values that get a file even where no row has them.
    """
    return {
        path: f"{part} is null" if word is None else f"{part} = {literal(word)}"
        for word, path in part_names(output, found, expected).items()
    }


def part_names(output: Path, found: Sequence[str | None], expected: Sequence[str]) -> dict[str | None, Path]:
    """The file of each value a result is split by, `list.csv` becoming `list.send.csv`; None is `unverified`."""
    stem, endings = split_name(output)
    words = [*expected, *sorted(word for word in found if word is not None and word not in expected)]
    names: dict[str | None, Path] = {word: output.with_name(f"{stem}.{word}{endings}") for word in words}
    if None in found:
        names[None] = output.with_name(f"{stem}.unverified{endings}")
    return names


def content_of(
    db: duckdb.DuckDBPyConnection,
    output: Path,
    query: str,
    headers: Sequence[str],
    *,
    layout: TextLayout = AS_IT_CAME,
    came: TextLayout = AS_IT_CAME,
    via: PrivateFolder | None = None,
) -> Query | Writer:
    """What `publish` writes to a file of this name.

    Args:
        db: the connection of the query.
        output: its name says the format.
        query: DuckDB's; for CSV with other names than its columns have, they come as its first row.
        headers: the names of the columns as they are to stand in the file, where they can.
        layout: how CSV is to be written.
        came: how the source was written.
        via: the one folder that the database may write to, if it may not write elsewhere.
    """
    kind, compression = format_of(output) or ("csv", None)
    if kind == "xlsx":
        return lambda partial, _: write_sheet(db, query, headers, partial, output)
    header = kind != "csv" or list(headers) == unique_names(headers)
    options = copy_options(output, header=header, delimiter=layout.delimiter or came.delimiter or ",")
    encoding = layout.encoding or came.encoding or "utf-8"
    if kind != "csv" or encoding in ("utf-8", "ascii"):
        return query, options
    plain = options.replace(f", compression {compression}", "")
    return encoded(
        lambda target: _copy(db, (query, plain), target, via), output, encoding, asked=layout.encoding is not None
    )


def copy_options(output: Path, *, header: bool = True, delimiter: str = ",") -> str:
    """The options of DuckDB's COPY for a file of this name; `delimiter` for what is not tab-separated."""
    named = format_of(output)
    assert named is not None
    kind, compression = named
    packed = f", compression {compression}" if compression and kind != "parquet" else ""
    if kind != "csv":
        return f"format {kind}{packed}"
    mark = "\t" if is_tab_separated(output) else delimiter
    return f"format csv, header {str(header).lower()}, delimiter {literal(mark)}{packed}"


def shown_sql(value: str, column: str, kind: str) -> str:
    """DuckDB's expression for a column of the verdicts in a file.

    Texts start no formula. Times in text files and sheets are to the second and say that they are in UTC.

    Args:
        value: an expression of it.
        column: of the verdict table.
        kind: of the file, as `format_of` names it.
    """
    type_name = str(verdict_schema().field(column).type)
    if type_name == "string":
        return escape_formula_sql(value)
    if type_name.startswith("timestamp") and kind in ("csv", "xlsx"):
        return f"strftime({value}::timestamp, '%Y-%m-%dT%H:%M:%SZ')"
    return value


def escape_formula_sql(value: str) -> str:
    """DuckDB's expression for `mailvet.privacy.escape_formula` of a text."""
    return f"case when {formula_sql(f'substr({value}, 1, 1)')} then '''' || {value} else {value} end"


def quoted_names(names: Sequence[str]) -> list[str]:
    """Names of columns for DuckDB, made unique."""
    return [quoted(name) for name in unique_names(names)]
