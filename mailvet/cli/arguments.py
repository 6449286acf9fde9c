"""From the arguments of a command to what it works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from mailvet.errors import SourceError

if TYPE_CHECKING:
    from mailvet.settings import Settings
    from mailvet.warehouse.files import Reading
    from mailvet.warehouse.store import Warehouse

__all__ = [
    "check_files",
    "config_file",
    "load_settings",
    "open_read_only",
    "open_store_of",
    "parsed",
    "reading",
    "report_mode",
    "typed",
]

T = TypeVar("T")


def load_settings(config: Path | None, **arguments: Any) -> Settings:
    """The settings of the file, the environment and the arguments that were given."""
    from mailvet.settings import Settings

    return Settings.load(config_file(config), **arguments)


def config_file(config: Path | None) -> Path | None:
    """The settings file that is read."""
    return Path("mailvet.toml") if config is None and Path("mailvet.toml").is_file() else config


def reading(encoding: str, no_header: bool, lenient: bool, sheet: str | None) -> Reading:
    """How a file is read."""
    from mailvet.warehouse.files import Reading

    return Reading(encoding, header=not no_header, lenient=lenient, sheet=sheet)


def open_read_only(source: str, settings: Settings, **options: Any) -> Warehouse:
    """The warehouse of a command that changes nothing in it; what is odd about it is printed."""
    from mailvet.cli.messages import say_remarks
    from mailvet.runs.sources import open_source

    warehouse = open_source(source, settings, writable=False, updatable=False, **options)
    say_remarks(warehouse)
    return warehouse


def open_store_of(source: str | None, config: Path | None, *, read_only: bool) -> Any:
    """The verdicts on a SOURCE as `verify` takes it; those on files are in the store."""
    from mailvet.runs.sources import default_store
    from mailvet.warehouse.files import format_of
    from mailvet.warehouse.files.remote import is_remote
    from mailvet.warehouse.opening import is_url, open_store

    if is_remote(source):
        source = None
    if source is not None and not is_url(source) and format_of(Path(source)) is not None:
        if not Path(source).expanduser().exists():
            raise SourceError(f"There is no file {source}. Check the path.")
        source = None
    return open_store(source or load_settings(config).store.path or default_store(), read_only=read_only)


def check_files(
    source: str,
    settings: Settings,
    config: Path | None,
    *,
    overwrite: bool,
    report: Path | None,
    option: str = "--report",
    results: Sequence[Path] = (),
) -> None:
    """See before anything is opened that no output is an input or another output, and that a report replaces reports.

    Args:
        source: SOURCE as it was given.
        settings: which files they name.
        config: the settings file that was named.
        overwrite: files that mailvet did not write may be replaced too.
        report: the HTML report to be written.
        option: what names the report.
        results: all files that the result may be written to.

    Raises:
        SettingsError, SourceError: as `mailvet.runs.outputs.check_outputs`.
    """
    from mailvet.runs.outputs import Input, Output, check_outputs, is_report, settings_inputs
    from mailvet.runs.sources import default_store
    from mailvet.warehouse.opening import is_url

    inputs = [] if is_url(source) else [Input("the source", Path(source).expanduser())]
    itself = inputs[0] if len(results) == 1 and inputs else None
    inputs.append(Input("the store of verdicts", settings.store.path or default_store()))
    inputs += settings_inputs(settings.lists.model_dump().values(), settings.history.events, config_file(config))
    # Whether a result is one of mailvet's shows in the store, which is not open yet.
    outputs = [Output("--output", path, lambda _: True, itself) for path in results]
    if report is not None:
        outputs.append(Output(option, report, is_report))
    check_outputs(outputs, inputs, overwrite=overwrite)


def report_mode(source: str, settings: Settings) -> int:
    """Permissions of a new report: as the settings say, else those of the source, 0600 where that is no file."""
    from mailvet.warehouse.opening import is_url

    if settings.output.permissions is not None:
        return settings.output.permissions
    path = Path(source).expanduser()
    return path.stat().st_mode & 0o777 if not is_url(source) and path.is_file() else 0o600


def typed(text: str) -> str:
    """An argument as it was typed: where the locale knows ASCII alone, Python keeps the octets of UTF-8 as they are."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def parsed(parser: Callable[[str], T], text: str, option: str) -> T:
    """The value of an option.

    Raises:
        typer.BadParameter: it cannot be read.
    """
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
