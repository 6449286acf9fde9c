"""Files that a command is about to write: none is an input, another output, or something that mailvet did not write.

Paths are compared as files, not as texts: links, hard links and file systems that know no case of letters lead two
names to one file. A file that is there makes way if mailvet wrote it, so that a daily job goes on: the store holds the
hash of what was written to it, and where it does not, the file itself shows it (the generator of a report, the status
columns of a result). Everything else needs leave to be overwritten.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailvet.errors import MailvetError, SettingsError, SourceError, argument
from mailvet.vocabulary import Reason, Recommendation, Status
from mailvet.warehouse.files import format_of
from mailvet.warehouse.files.encodings import opened_text
from mailvet.warehouse.files.writing import part_names
from mailvet.warehouse.tables import is_list_of_ours

if TYPE_CHECKING:
    from mailvet.settings import Settings
    from mailvet.warehouse.store import Warehouse

__all__ = [
    "Input",
    "Output",
    "check_outputs",
    "check_results",
    "digest",
    "is_lab_counters",
    "is_lab_settings",
    "is_report",
    "is_result",
    "kept_files",
    "note_results",
    "result_paths",
    "same_file",
    "settings_inputs",
]

_HEAD_BYTES = 4096
_PARTS = ("missing", *map(str, Status), *map(str, Recommendation), *map(str, Reason))


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a command reads, or keeps."""

    what: str
    """For people: `the source`."""
    path: Path


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a command will write."""

    option: str
    """How it was named: `--report`."""
    path: Path
    is_ours: Callable[[Path], bool]
    """Whether a file that is there looks as if mailvet had written it for the same purpose."""
    may_replace: Input | None = None
    """The one input it may take the place of."""


def same_file(left: Path, right: Path) -> bool:
    """Whether two paths lead to one file, or would if both were there.

    Names in one folder that differ in nothing but case or Unicode form count as one while one of them is missing, since
    some file systems make them one.
    """
    if os.path.lexists(left) and os.path.lexists(right):
        try:
            return left.samefile(right)
        except OSError:
            pass  # a link that leads nowhere
    one, other = left.resolve(), right.resolve()
    if one == other:
        return True
    if one.exists() and other.exists():
        return False
    try:
        return one.parent.samefile(other.parent) and _folded(one.name) == _folded(other.name)
    except OSError:
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def check_outputs(
    outputs: Sequence[Output],
    inputs: Sequence[Input],
    *,
    overwrite: bool = False,
    digest_of: Callable[[Path], str | None] | None = None,
) -> None:
    """Refuse, before anything is asked or written, outputs that would destroy something.

    Args:
        outputs: what the command will write.
        inputs: what the command reads or keeps.
        overwrite: files that mailvet did not write may make way too; inputs never do.
        digest_of: the hash of what mailvet wrote to a path last, None where it wrote nothing there.

    Raises:
        SettingsError: an output is an input or another output. SourceError: it is a file that mailvet did not write.
    """
    for place, output in enumerate(outputs):
        for found in inputs:
            allowed = output.may_replace is not None and found == output.may_replace
            if not allowed and same_file(output.path, found.path):
                raise SettingsError(
                    f"{output.option} {output.path.name} is {found.what} itself and would replace it. Choose another "
                    "name. Nothing was checked."
                )
        for other in outputs[:place]:
            if same_file(output.path, other.path):
                raise SettingsError(
                    f"{output.option} and {other.option} both name {output.path.name}. Choose another name for one of "
                    "them. Nothing was checked."
                )
    for output in outputs:
        replaces_input = output.may_replace is not None and same_file(output.path, output.may_replace.path)
        if overwrite or replaces_input or not output.path.exists() or output.path.stat().st_size == 0:
            continue
        written = digest_of(output.path) if digest_of is not None else None
        if not (written == digest(output.path) if written is not None else output.is_ours(output.path)):
            changed = "was changed since mailvet wrote it" if written is not None else "was not written by mailvet"
            raise SourceError(
                f"{output.option} {output.path} is there already and {changed}. Choose another name, or let it be "
                f"overwritten ({argument('overwrite', True)}). Nothing was checked."
            )


def result_paths(output: Path, split_by: str | None) -> list[Path]:
    """All files that a result may be written to."""
    if split_by is None:
        return [output]
    return list(dict.fromkeys(part_names(output, [None], _PARTS).values()))


def check_results(
    warehouse: Warehouse,
    settings: Settings,
    output: Path,
    split_by: str | None,
    *,
    overwrite: bool = False,
    option: str = argument("output"),
) -> None:
    """`check_outputs` for the result of a run or an export. With every row kept in one file, it may replace its source.

    Raises:
        SettingsError, SourceError: as `check_outputs`.
    """
    inputs = kept_files(warehouse, settings)
    itself = inputs[0] if inputs and split_by is None and format_of(inputs[0].path) is not None else None
    ours = is_result(settings.store.prefix)
    outputs = [Output(option, path, ours, itself) for path in result_paths(output, split_by)]
    check_outputs(outputs, inputs, overwrite=overwrite, digest_of=warehouse.written_digest)


def kept_files(warehouse: Warehouse, settings: Settings) -> list[Input]:
    """The files that a source and its verdicts lie in, the source first, and those that settings name."""
    inputs = [Input(what, path) for what, path in warehouse.files.items()]
    if settings.store.path is not None:
        inputs.append(Input("the store of verdicts", settings.store.path))
    return inputs + settings_inputs(settings.lists.model_dump().values(), settings.history.events)


def note_results(warehouse: Warehouse, paths: Iterable[Path]) -> None:
    """Keep what was written, so that the next run may replace it."""
    warehouse.note_written({path: digest(path) for path in paths})


def settings_inputs(
    lists: Iterable[Iterable[str]] = (), events: str | None = None, config: Path | None = None
) -> list[Input]:
    """The files that settings name: lists of the user's own, events, and the settings file."""
    found = [] if config is None else [Input("the settings file", config)]
    entries = [entry for entries in lists for entry in entries]
    for what, text in [*(("one of your own lists", entry) for entry in entries), ("the file of events", events)]:
        if text is None or "@" in text or "\0" in text:
            continue
        path = Path(text).expanduser()
        if path.is_file():
            found.append(Input(what, path))
    return found


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in lower-case hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


# -------------------------------------------------------------------- what a file looks like


def is_report(path: Path) -> bool:
    """Whether the file is an HTML report of mailvet's."""
    return b'<meta name="generator" content="mailvet ' in _head(path)


def is_lab_settings(path: Path) -> bool:
    """Whether the file was written by `mailvet lab`."""
    return _head(path).startswith(b"# Written by the mailvet lab")


def is_lab_counters(path: Path) -> bool:
    """Whether the file holds a lab's counters."""
    return _head(path).startswith(b'{\n "hosts": {')


def is_result(prefix: str) -> Callable[[Path], bool]:
    """Whether a file has the status columns of this prefix."""

    def found(path: Path) -> bool:
        try:
            return is_list_of_ours(_columns(path), prefix)
        except (MailvetError, OSError, ValueError, csv.Error, StopIteration):
            return False

    return found


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_HEAD_BYTES)
    except OSError:
        return b""


def _columns(path: Path) -> list[str]:
    kind = format_of(path)
    if kind is None:
        return []
    if kind[0] == "xlsx":
        from mailvet.warehouse.files.sheets import header_of

        return header_of(path)
    if kind[0] == "parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    with opened_text(path, errors="replace") as text:
        line = text.readline(1 << 20).removeprefix("\ufeff")
    if kind[0] == "json":
        return list(json.loads(line))
    # Our names hold no delimiter, so that it does not matter which of them is the one.
    return [cell for mark in ",;\t|" for cell in next(csv.reader([line], delimiter=mark))]
