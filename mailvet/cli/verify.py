"""`mailvet verify`."""

from __future__ import annotations

import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mailvet.cli.arguments import check_files, load_settings, parsed, reading, report_mode
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, log_to_stderr, say, say_remarks, say_written, stopped_advice
from mailvet.cli.options import (
    AddressColumn,
    Config,
    DepthOption,
    Encoding,
    Lenient,
    NoHeader,
    Overwrite,
    PolicyOption,
    RecheckOption,
    Sheet,
    Source,
    Table,
    Wait,
    Where,
)
from mailvet.cli.standard_streams import OutputError, give_up_output
from mailvet.errors import SourceError
from mailvet.runs.in_hand import process_in_hand as in_hand

if TYPE_CHECKING:
    from mailvet.gates import GateResult
    from mailvet.runs.results import RunResult
    from mailvet.settings import Settings
    from mailvet.warehouse.store import Warehouse

__all__ = ["verify"]


def verify(  # noqa: PLR0913  # the options of the command
    source: Source,
    table: Table = None,
    email_column: AddressColumn = None,
    key_column: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Of the source, write only this column to --output; repeatable."),
    ] = None,
    where: Where = None,
    depth: DepthOption = None,
    policy: PolicyOption = None,
    config: Config = None,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the rows with their status here (.csv, .tsv, .parquet, .jsonl, .xlsx; also s3://).",
        ),
    ] = None,
    split_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="One output file for each recommendation, status or reason."),
    ] = None,
    max_bounce_rate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="SHARE",
            help="With --split-by recommendation: send to the most rows whose hard bounces stay below this, as 2%.",
        ),
    ] = None,
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Of the bound of --max-bounce-rate.")] = "0.9",
    campaign: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="With --split-by recommendation: keep in mailvet_sends who is sent to."),
    ] = None,
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="LIST", help="Status columns to write, separated by commas."),
    ] = None,
    wait: Wait = "0s",
    recheck: RecheckOption = None,
    max_undeliverable_rate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SHARE", help="Gate: exit with 1 if more of the addresses are undeliverable, as 2%."),
    ] = None,
    max_undeliverable: Annotated[Optional[str], typer.Option(hidden=True)] = None,  # noqa: UP045
    no_write_back: Annotated[
        bool, typer.Option("--no-write-back", help="Save the verdicts, but put no columns on the table.")
    ] = False,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Also write an HTML report here; it holds no addresses."),
    ] = None,
    overwrite: Overwrite = False,
    output_encoding: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Of --output as CSV, as utf-8-sig (for Excel); default: as the source."),
    ] = None,
    delimiter: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="MARK", help="Between its cells: , ; | or tab; default: as the source."),
    ] = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    sheet: Sheet = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log lines instead of a live view.")] = False,
) -> None:
    """Verify a table or file. The verdicts are saved, and the status is written back."""
    from mailvet.gates import Limits
    from mailvet.reports import html as html_report
    from mailvet.runs.outputs import result_paths
    from mailvet.runs.recheck import parse_recheck
    from mailvet.runs.sources import open_source
    from mailvet.runs.table_gate import judged
    from mailvet.scoring.budget import Budget
    from mailvet.settings import parse_duration
    from mailvet.verdict import STATUS_COLUMNS
    from mailvet.warehouse.files import format_of
    from mailvet.warehouse.files.remote import is_remote

    settings = load_settings(config, depth=depth, policy=policy)
    again = parse_recheck(recheck)
    limits = Limits.of(max_undeliverable_rate=_undeliverable_limit(max_undeliverable_rate, max_undeliverable))
    is_file = format_of(Path(source)) is not None
    _check_output_options(source if is_file else None, output, split_by, key_column)
    budget = None if max_bounce_rate is None else Budget.of(max_bounce_rate, confidence)
    if report is not None:
        html_report.check_path(report)
    here = output is not None and not is_remote(output) and format_of(Path(output)) is not None
    results = result_paths(Path(str(output)), split_by) if here else []
    check_files(source, settings, config, overwrite=overwrite, report=report, results=results)
    work: dict[str, Any] = {
        "write_back": not (no_write_back or is_file),
        "columns": tuple(name.strip() for name in columns.split(",")) if columns else STATUS_COLUMNS,
        "output": output,
        "key_columns": tuple(key_column or ()),
        "split_by": split_by,
        "max_bounce_rate": max_bounce_rate,
        "confidence": confidence,
        "campaign": campaign,
        "wait": parsed(parse_duration, wait, "--wait"),
        "recheck": again,
        "in_hand": in_hand,
        "overwrite": overwrite,
        "output_encoding": output_encoding,
        "delimiter": delimiter,
    }
    in_hand.advice = stopped_advice(again, datetime.now(timezone.utc))
    warehouse = open_source(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=reading(encoding, no_header, lenient, sheet),
        updatable=not (no_write_back or is_file),
    )
    say_remarks(warehouse)
    try:
        result = _run_watched(warehouse, settings, verbose, work)
        if report is not None:
            html_report.write(
                report, html_report.gather(warehouse, settings, budget=budget), report_mode(source, settings)
            )
        gate = judged(warehouse, limits) if limits.applied and not result.degraded else None
    finally:
        warehouse.close()
    _show(result, report)
    if result.degraded:
        raise typer.Exit(ExitCode.degraded)
    if gate is not None and not gate.passed:
        _say_failed(gate)
        raise typer.Exit(ExitCode.gate_failed)
    raise typer.Exit(ExitCode.done)


def _undeliverable_limit(limit: str | None, old_name: str | None) -> str | None:
    if old_name is not None:
        advice = "--max-undeliverable is called --max-undeliverable-rate now."
        warnings.warn(advice, DeprecationWarning, stacklevel=1)
        say("Deprecated:", advice)
    return limit or old_name


def _check_output_options(
    file: str | None, output: str | None, split_by: str | None, key_column: list[str] | None
) -> None:
    if output is not None:
        return
    if file is not None:
        if not Path(file).expanduser().exists():
            raise SourceError(f"There is no file {file}. Check the path.")
        raise typer.BadParameter("a file is not changed in place: say where the result goes with --output")
    if split_by is not None:
        raise typer.BadParameter("--split-by needs --output")
    if key_column:
        raise typer.BadParameter("--key-column needs --output")


def _run_watched(warehouse: Warehouse, settings: Settings, verbose: bool, work: dict[str, Any]) -> RunResult:
    """Run with a live view where standard error is a terminal, else with log lines."""
    from mailvet.cli.progress import LogWatcher, TerminalWatcher
    from mailvet.runs.run import run

    terminal = console(stderr=True)
    if terminal.is_terminal and not verbose:
        with TerminalWatcher(terminal) as watcher:
            return run(warehouse, settings, watcher=watcher, **work)
    log_to_stderr()
    return run(warehouse, settings, watcher=LogWatcher(), **work)


def _show(result: RunResult, report: Path | None) -> None:
    from mailvet.cli.show import show_result

    try:
        show_result(console(), result)
        if report is not None:
            say_written(report)
        sys.stdout.flush()
    except OutputError as error:  # the verdicts are what was wanted
        say("Note:", f"The summary could not be printed: {error}.")
        give_up_output()


def _say_failed(gate: GateResult) -> None:
    for limit in gate.failed:
        if limit.figure is None:
            say("Gate failed:", f"{limit.text}.")
        else:
            say(
                "Gate failed:",
                f"{100 * limit.figure:.1f} % of the addresses are undeliverable, more than the "
                f"{100 * limit.limit:g} % allowed.",
            )
