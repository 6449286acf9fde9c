"""
The command line. Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 the run was degraded and says why, 4 a
fault of our own; 130 and 143 stopped by a signal.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import signal
import sys
import warnings
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, cast

import typer

from mailvet.cli.dbt import app as dbt_commands
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.standard_streams import OutputError, give_up_output, says_everything, standard_streams
from mailvet.errors import ConnectionLostError, MailvetError, PreflightError, RunUnderWayError, SourceError, option
from mailvet.privacy import PrintableFormatter, printable
from mailvet.runs.in_hand import OF_PROCESS as in_hand
from mailvet.runs.signals import StopSignals
from mailvet.vocabulary import Depth, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailvet.runs.recheck import Recheck
    from mailvet.settings import Settings
    from mailvet.warehouse.files import Reading
    from mailvet.warehouse.store import Warehouse

__all__ = ["ExitCode", "app", "main"]


class LabResolver(str, Enum):
    """How the DNS server of `mailvet lab` answers as a whole."""

    true = "true"
    nxdomain = "nxdomain"
    servfail = "servfail"
    dropped = "dropped"
    invents = "invents"


class LabWorld(str, Enum):
    """The mail worlds that `mailvet lab` serves."""

    default = "default"
    hostile = "hostile"


app = typer.Typer(
    name="mailvet",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dbt_commands)

# typer reads these annotations at run time, on Python 3.10 too, hence Optional.
Config = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", metavar="FILE", help="Settings; default: mailvet.toml in this folder, if there is one."),
]
DepthOption = Annotated[
    Optional[Depth],  # noqa: UP045
    typer.Option(metavar="DEPTH", help="How far to go: offline, dns or smtp."),
]
PolicyOption = Annotated[
    Optional[Policy],  # noqa: UP045
    typer.Option(metavar="POLICY", help="What the mail is for: marketing, transactional or signup."),
]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A CSV, TSV, Parquet or JSON Lines file, a DuckDB database, or a URL.")
]
Table = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME", help="Table of the database."),
]
Column = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--email-column", metavar="NAME", help="Column of addresses; default: the one called email or so."),
]
Where = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SQL", help="Condition on the rows to verify and to write."),
]
RecheckOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="WHICH",
        help="Ask again what is fresh: all, reason=mailbox_not_found, older-than=30d; by comma or repeated.",
    ),
]
LimitOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SHARE", help="The largest share allowed, as 2% or 0.02."),
]
Encoding = Annotated[str, typer.Option(metavar="NAME", help="Of a text file: utf-8, utf-16, cp1252, latin-1, ...")]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="A CSV file has no line of names; its columns are column1, column2, ...")
]
Lenient = Annotated[
    bool,
    typer.Option(
        "--lenient", help="Read CSV rows of uneven length, stray quotation marks and text above the header; count them."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Let outputs take the place of files that mailvet did not write.")
]
StoreOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="SOURCE", help="File or database as given to verify; default: the store of verdicts on files."
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from mailvet import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """
    Verify every e-mail address where the data already lives: send, re-verify or do not send, and why.

    Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 degraded (no network, blocked, database lost), 4 a
    fault of mailvet itself; 130 and 143 stopped by a signal.
    """


def _settings(config: Path | None, **arguments: Any) -> Settings:
    from mailvet.settings import Settings

    return Settings.load(_config_file(config), **arguments)


def _config_file(config: Path | None) -> Path | None:
    """The settings file that is read."""
    return Path("mailvet.toml") if config is None and Path("mailvet.toml").is_file() else config


def _check_files(
    source: str, settings: Settings, config: Path | None, *, overwrite: bool, report: Path | None,
    option: str = "--report", results: Sequence[Path] = (),
) -> None:  # fmt: skip
    """Before anything is opened: no output is an input or another output, and a report replaces reports alone."""
    from mailvet.runs.outputs import Input, Output, check_outputs, is_report, settings_inputs
    from mailvet.runs.run import default_store
    from mailvet.warehouse.opening import is_url

    inputs = [] if is_url(source) else [Input("the source", Path(source).expanduser())]
    itself = inputs[0] if len(results) == 1 and inputs else None
    inputs.append(Input("the store of verdicts", settings.store.path or default_store()))
    inputs += settings_inputs(settings.lists.model_dump().values(), settings.history.events, _config_file(config))
    # Whether a result is one of mailvet's shows in the store, which is not open yet.
    outputs = [Output("--output", path, lambda _: True, itself) for path in results]
    if report is not None:
        outputs.append(Output(option, report, is_report))
    check_outputs(outputs, inputs, overwrite=overwrite)


@app.command()
def check(
    addresses: Annotated[list[str], typer.Argument(help="Addresses, as they stand in your data.")],
    depth: Annotated[Depth, typer.Option(metavar="DEPTH", help="How far to go: offline, dns or smtp.")] = Depth.dns,
    policy: PolicyOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Verify single addresses and show the evidence; nothing is stored."""
    from mailvet.verdict import Verdict
    from mailvet.verification.stream import verify_all

    table, degraded = verify_all([_typed(text) for text in addresses], _settings(config, depth=depth, policy=policy))
    verdicts = [Verdict.from_row(row) for row in table.to_pylist()]
    for position, verdict in enumerate(verdicts):
        if as_json:
            print(json.dumps(verdict.as_dict(), ensure_ascii=not says_everything()))
        else:
            from mailvet.cli.show import explain

            if position:
                print()
            _console().print(explain(verdict))
    unasked = [fact.detail for verdict in verdicts for fact in verdict.evidence if fact.layer == "run"]
    if unasked:
        _say("Degraded:", f"not everything could be asked: {unasked[0] or 'the run was stopped'}.")
    elif degraded:
        _say("Degraded:", degraded)
    if unasked or degraded:
        raise typer.Exit(ExitCode.degraded)


@app.command()
def verify(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    key_column: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Of the source, write only this column to --output; repeatable."),
    ] = None,
    where: Where = None,
    depth: DepthOption = None,
    policy: PolicyOption = None,
    config: Config = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write the rows with their status here (.csv, .tsv, .parquet, .jsonl)."),
    ] = None,
    split_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="One output file for each recommendation, status or reason."),
    ] = None,
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="LIST", help="Status columns to write, separated by commas."),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="TIME", help="How long to stay for servers that say 'come back later', as 10m.")
    ] = "0s",
    recheck: RecheckOption = None,
    max_undeliverable_rate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SHARE", help="Gate: exit with 1 if more of the addresses are undeliverable, as 2%."),
    ] = None,
    max_undeliverable: Annotated[Optional[str], typer.Option(hidden=True)] = None,  # noqa: UP045
    write_back: Annotated[
        bool, typer.Option(" /--no-write-back", help="Save the verdicts, but put no columns on the table.")
    ] = True,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Also write an HTML report here; it holds no addresses."),
    ] = None,
    overwrite: Overwrite = False,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log lines instead of a live view.")] = False,
) -> None:
    """Verify a table or file, save the verdicts, and write the status back."""
    from mailvet.cli.progress import LogWatcher, TerminalWatcher
    from mailvet.cli.show import show_result
    from mailvet.gates import Limits
    from mailvet.reports import html as html_report
    from mailvet.runs.outputs import result_paths
    from mailvet.runs.recheck import parse_recheck
    from mailvet.runs.run import open_source, run
    from mailvet.runs.table_gate import judged
    from mailvet.settings import parse_duration
    from mailvet.verdict import STATUS_COLUMNS
    from mailvet.warehouse.files import format_of

    settings = _settings(config, depth=depth, policy=policy)
    patience = _parsed(parse_duration, wait, "--wait")
    again = parse_recheck(recheck)
    if max_undeliverable is not None:
        warnings.warn("--max-undeliverable is called --max-undeliverable-rate now.", DeprecationWarning, stacklevel=1)
        _say("Deprecated:", "--max-undeliverable is called --max-undeliverable-rate now.")
    limits = Limits.of(max_undeliverable_rate=max_undeliverable_rate or max_undeliverable)
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else STATUS_COLUMNS
    is_file = format_of(Path(source)) is not None
    if is_file and output is None:
        raise typer.BadParameter("a file is not changed in place: say where the result goes with --output")
    if split_by is not None and output is None:
        raise typer.BadParameter("--split-by needs --output")
    if key_column and output is None:
        raise typer.BadParameter("--key-column needs --output")
    back = write_back and not is_file
    if report is not None:
        html_report.check_path(report)
    results = [] if output is None or format_of(output) is None else result_paths(output, split_by)
    _check_files(source, settings, config, overwrite=overwrite, report=report, results=results)
    terminal, started = _console(stderr=True), datetime.now(timezone.utc)
    work: dict[str, Any] = {
        "write_back": back, "columns": chosen, "output": output, "key_columns": tuple(key_column or ()),
        "split_by": split_by, "wait": patience, "recheck": again, "in_hand": in_hand, "overwrite": overwrite,
    }  # fmt: skip
    in_hand.advice = stopped_advice(again, started)
    warehouse = open_source(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=_reading(encoding, no_header, lenient),
        updatable=back,
    )
    _say_remarks(warehouse)
    try:
        if terminal.is_terminal and not verbose:
            with TerminalWatcher(terminal) as watcher:
                result = run(warehouse, settings, watcher=watcher, **work)
        else:
            _log_to_stderr()
            result = run(warehouse, settings, watcher=LogWatcher(), **work)
        if report is not None:
            html_report.write(report, html_report.gather(warehouse, settings), _mode(source, settings))
        gate = judged(warehouse, limits) if limits.applied and not result.degraded else None
    finally:
        warehouse.close()
    try:
        show_result(_console(), result)
        if report is not None:
            _written(report)
        sys.stdout.flush()
    except OutputError as error:  # the verdicts are what was wanted
        _say("Note:", f"The summary could not be printed: {error}.")
        give_up_output()
    if result.degraded:
        raise typer.Exit(ExitCode.degraded)
    for limit in gate.failed if gate is not None else ():
        if limit.figure is None:
            _say("Gate failed:", f"{limit.text}.")
        else:
            _say(
                "Gate failed:",
                f"{100 * limit.figure:.1f} % of the addresses are undeliverable, more than the "
                f"{100 * limit.limit:g} % allowed.",
            )
    raise typer.Exit(ExitCode.done if gate is None or gate.passed else ExitCode.gate_failed)


def stopped_advice(recheck: Recheck | None, started: datetime) -> str:
    """How to go on after an interruption, without asking a second time what was asked already."""
    if recheck is None:
        return "What was verified is saved. Run the same again to go on; only what is left will be asked."
    return (
        "What was verified is saved. To go on without asking the same again, run it once more with --recheck "
        f"{recheck.not_since(started)}."
    )


@app.command()
def gate(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    where: Where = None,
    among: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="WORD", help="The audience: rows so recommended, as send; repeatable. Default: all rows."),
    ] = None,
    policy: PolicyOption = None,
    max_undeliverable_rate: LimitOption = None,
    max_bounce_rate: LimitOption = None,
    max_unknown_rate: LimitOption = None,
    max_do_not_send_rate: LimitOption = None,
    max_unverified_rate: LimitOption = None,
    max_unprobed_rate: LimitOption = None,
    max_missing_rate: LimitOption = None,
    max_age: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TIME", help="Verdicts older than this are stale, as 30d; alone it allows none."),
    ] = None,
    max_stale_rate: LimitOption = None,
    judge_by: Annotated[
        str, typer.Option(metavar="NAME", help="What --max-bounce-rate bounds: estimate, or upper end of its interval.")
    ] = "estimate",
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Of that interval.")] = "0.95",
    config: Config = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Hold a verified table against limits: exit code 0 if it keeps to all of them, else 1. Asks no server."""
    from mailvet.cli.show import show_gate
    from mailvet.gates import Limits
    from mailvet.runs.run import open_source
    from mailvet.runs.table_gate import held_against

    given = {
        "max_undeliverable_rate": max_undeliverable_rate, "max_bounce_rate": max_bounce_rate,
        "max_unknown_rate": max_unknown_rate, "max_do_not_send_rate": max_do_not_send_rate,
        "max_unverified_rate": max_unverified_rate, "max_unprobed_rate": max_unprobed_rate,
        "max_missing_rate": max_missing_rate, "max_age": max_age, "max_stale_rate": max_stale_rate,
        "judge_by": judge_by, "confidence": confidence, "among": ",".join(among or ()),
    }  # fmt: skip
    limits = Limits.of(**given)
    settings = _settings(config, policy=policy)
    warehouse = open_source(
        source, settings, table=table, column=email_column, where=where,
        reading=_reading(encoding, no_header, lenient), writable=False, updatable=False,
    )  # fmt: skip
    _say_remarks(warehouse)
    if not as_json:  # the warnings are shown with the figures
        logging.getLogger("mailvet").addHandler(logging.NullHandler())
    try:
        result = held_against(warehouse, settings, limits)
    finally:
        warehouse.close()
    if as_json:
        print(json.dumps(result.as_dict(), ensure_ascii=not says_everything()))
    else:
        show_gate(_console(), result)
    raise typer.Exit(ExitCode.done if result.passed else ExitCode.gate_failed)


@app.command()
def plan(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    where: Where = None,
    depth: DepthOption = None,
    recheck: RecheckOption = None,
    config: Config = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
) -> None:
    """What a run would do: addresses, domains, operators, time. Asks nobody and changes nothing."""
    from mailvet.cli.show import show_plan
    from mailvet.runs.forecast import estimate
    from mailvet.runs.run import open_source
    from mailvet.runs.run import plan as plan_run

    settings = _settings(config, depth=depth)
    warehouse = open_source(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=_reading(encoding, no_header, lenient),
        writable=False,
        updatable=False,
    )
    _say_remarks(warehouse)
    try:
        planned = plan_run(warehouse, settings, recheck=recheck)
    finally:
        warehouse.close()
    show_plan(_console(), warehouse.name, planned, estimate(planned, settings))


@app.command()
def report(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    where: Where = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The HTML file; it holds no addresses.")] = Path(
        "mailvet-report.html"
    ),
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Also compare the rows by this column, such as where they came from."),
    ] = None,
    policy: PolicyOption = None,
    config: Config = None,
    overwrite: Overwrite = False,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
) -> None:
    """How a verified source stands, here and as an HTML file. Asks nobody and changes nothing in the source."""
    from mailvet.cli.show import show_summary
    from mailvet.reports import html as html_report
    from mailvet.runs.run import open_source
    from mailvet.runs.run import plan as plan_run

    settings = _settings(config, policy=policy)
    html_report.check_path(output)
    _check_files(source, settings, config, overwrite=overwrite, report=output, option="--output")
    warehouse = open_source(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=_reading(encoding, no_header, lenient),
        writable=False,
        updatable=False,
    )
    _say_remarks(warehouse)
    try:
        plan_run(warehouse, settings)
        found = html_report.gather(warehouse, settings, by=by)
    finally:
        warehouse.close()
    html_report.write(output, found, _mode(source, settings))
    show_summary(_console(), found.summary, found.depth)
    _written(output)


def _mode(source: str, settings: Settings) -> int:
    """Permissions of a new report: as the settings say, else those of the source, 0600 where that is no file."""
    from mailvet.warehouse.opening import is_url

    if settings.output.permissions is not None:
        return settings.output.permissions
    path = Path(source).expanduser()
    return path.stat().st_mode & 0o777 if not is_url(source) and path.is_file() else 0o600


def _written(path: Path) -> None:
    from rich.text import Text

    _console().print(Text(f"Report: {printable(str(path))}"), soft_wrap=True)


@app.command()
def explain(
    address: Annotated[str, typer.Argument(help="The text as it stands in the table.")],
    source: StoreOption = None,
    config: Config = None,
) -> None:
    """The evidence behind a stored verdict."""
    from mailvet.cli.show import explain as rendered
    from mailvet.verdict import Verdict

    store = _store(source, config, read_only=True)
    try:
        row = store.stored(_typed(address))
    finally:
        store.close()
    if row is None:
        raise MailvetError(
            f"There is no verdict for this address in {store.name}. Verify the table first, or look at the "
            "address itself with: mailvet check"
        )
    _console().print(rendered(Verdict.from_row(row)))


@app.command()
def reclassify(
    source: Source,
    table: Table = None,
    config: Config = None,
    write: Annotated[
        bool, typer.Option("--write", help="Save the verdicts that change; without it they are only counted.")
    ] = False,
) -> None:
    """Read stored replies of mail servers again, after the rules on replies have improved. Asks nobody."""
    from mailvet.runs.reclassify import open_verdicts, show
    from mailvet.runs.reclassify import reclassify as read_again

    settings = _settings(config)
    warehouse = open_verdicts(source, settings, table, writable=write)
    try:
        show(_console(), warehouse.name, read_again(warehouse, settings, write=write))
    finally:
        warehouse.close()


@app.command()
def forget(
    address: Annotated[str, typer.Argument(help="The address to erase, in any spelling.")],
    domain: Annotated[bool, typer.Option("--domain", help="It is a domain: erase everybody at it.")] = False,
    source: StoreOption = None,
    config: Config = None,
) -> None:
    """Erase a mailbox, in all its spellings, from mailvet's own tables. Your own table is left as it is."""
    from mailvet.runs.forgetting import forget as erase
    from mailvet.warehouse.erasure import Wanted

    Wanted.of(_typed(address), domain=domain)  # a mistake is said before anything is opened
    store = _store(source, config, read_only=False)
    try:
        done = erase(store, _typed(address), domain=domain, journal=_settings(config).store.journal)
    finally:
        store.close()
    print(f"{done.verdicts} verdict{'' if done.verdicts == 1 else 's'} erased from {store.name}.")
    print("Not erased:", *(f"* {sentence}" for sentence in done.remains), sep="\n")


def _store(source: str | None, config: Path | None, *, read_only: bool) -> Any:
    """The verdicts on a SOURCE as `verify` takes it; those on files are in the store."""
    from mailvet.runs.run import default_store
    from mailvet.warehouse.files import format_of
    from mailvet.warehouse.opening import is_url, open_store

    if source is not None and not is_url(source) and format_of(Path(source)) is not None:
        if not Path(source).expanduser().exists():
            raise SourceError(f"There is no file {source}. Check the path.")
        source = None
    return open_store(source or _settings(config).store.path or default_store(), read_only=read_only)


list_commands = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(list_commands, name="lists")


@list_commands.command()
def update(
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="Domains: one a line, CSV, or a JSON array.")],
    force: Annotated[bool, typer.Option("--force", help="Take a list that is less than half as long.")] = False,
) -> None:
    """Use a newer list of disposable domains from now on; says what changed, and changes all or nothing."""
    from mailvet.reference.updates import update_disposable

    done = update_disposable(source, force=force)
    lines = [f"{done.entries:,} disposable domains: {done.added:,} added, {done.removed:,} removed."]
    if done.left_out:
        shown = ", ".join(done.left_out[:5]) + (", ..." if len(done.left_out) > 5 else "")
        lines.append(f"{len(done.left_out):,} left out: real mailbox providers and misspelt ones ({shown}).")
    _console().print("\n".join([*lines, f"Kept in {done.path}"]), highlight=False, soft_wrap=True)


@list_commands.callback(invoke_without_command=True)
def lists(context: typer.Context, config: Config = None) -> None:
    """Reference data: what it is, how old, from where; and your own lists."""
    if context.invoked_subcommand:
        return
    from rich.table import Table as RichTable
    from rich.text import Text

    from mailvet.reference.list_sources import list_infos
    from mailvet.reference.own_lists import OwnLists

    own = OwnLists.load(**_settings(config).lists.model_dump())
    infos = list_infos()
    table = RichTable(box=None, padding=(0, 2), header_style="dim")
    for name in ("list", "entries", "version", "date", "licence"):
        table.add_column(name, justify="right" if name == "entries" else "left")
    for info in infos:
        table.add_row(info.name, f"{info.entries:,}", info.version, info.date or "-", info.licence)
    for name in ("allow", "deny", "suppress", "extra_disposable"):
        kind = getattr(own, name)
        entries = len(kind.addresses) + len(kind.domains) + len(kind.only_domains)
        table.add_row(f"your own: {name}", f"{entries:,}", own.digest if entries else "-", "-", "-")
    console = _console()
    console.print(table)
    console.print()
    sources = RichTable.grid(padding=(0, 2))
    for info in infos:
        sources.add_row(Text(f"  {info.name}", style="dim"), Text(info.source))
    console.print(sources)


@app.command()
def doctor(
    depth: DepthOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Is this machine fit to ask mail servers? Resolver, port 25, host name, reverse DNS, SPF, block lists, clock."""
    from mailvet.cli.show import show_checks
    from mailvet.doctor.checks import examine

    checks = examine(_settings(config, depth=depth))
    if as_json:
        print(json.dumps([check.as_dict() for check in checks], ensure_ascii=not says_everything(), indent=1))
    else:
        show_checks(_console(), checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(ExitCode.degraded)


@app.command()
def lab(
    config: Annotated[Path, typer.Option(help="Where to write the lab's settings.")] = Path("mailvet-lab.toml"),
    contacts: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write a messy contact table here (.csv, .parquet or .duckdb)."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the contact table.", min=1)] = 10_000,
    world: Annotated[
        LabWorld, typer.Option(help="default: operators as they are; hostile: servers that lie or break.")
    ] = LabWorld.default,
    resolver: Annotated[
        LabResolver,
        typer.Option(help="Of the DNS server: true, or nxdomain, servfail, dropped to all questions, or invents."),
    ] = LabResolver.true,
    outage_after: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="From this recipient on all mail servers refuse connections.", min=1),
    ] = None,
    outage_seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="How long; default: for good.", min=0.0),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the mail world.")] = 7,
    counters: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="At the end, write what each server saw here, as JSON."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Start a mail world on loopback (DNS and SMTP servers with profiles of operators) to try things safely."""
    from mailvet.lab import FaultyResolver, Lab, contact_table, hostile_world, serve, write_contacts
    from mailvet.runs.outputs import Output, check_outputs, is_lab_counters, is_lab_settings

    outputs = [Output("--config", config, is_lab_settings)]
    if counters is not None:
        outputs.append(Output("--counters", counters, is_lab_counters))
    if contacts is not None:
        outputs.append(Output("--contacts", contacts, lambda _: False))
    check_outputs(outputs, [], overwrite=overwrite)
    running = Lab(
        hostile_world(seed) if world is LabWorld.hostile else None,
        seed=seed,
        resolver=None if resolver is LabResolver.true else FaultyResolver(resolver.value),
    )
    if outage_after is not None:
        running.plan_outage(outage_after, outage_seconds)
    if contacts is not None:
        write_contacts(contact_table(running.world, rows, seed), contacts)
        print(f"{rows:,} contacts in {contacts}")
    print(f"Stop the lab with Ctrl-C. Until then: mailvet verify ... --config {config}", flush=True)
    serve(running, config, counters)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _reading(encoding: str, no_header: bool, lenient: bool) -> Reading:
    from mailvet.warehouse.files import Reading

    return Reading(encoding, header=not no_header, lenient=lenient)


def _say_remarks(warehouse: Warehouse) -> None:
    """What was odd about a source."""
    for remark in warehouse.remarks:
        _say("Note:", remark)


def _say(head: str, text: str) -> None:
    """One paragraph on stderr."""
    from rich.text import Text

    console = _console(stderr=True)
    console.print(Text.assemble((head, "bold red"), " ", printable(text)), soft_wrap=not console.is_terminal)


def _log_to_stderr() -> None:
    layout = "%(asctime)s %(name)s %(levelname)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter(layout))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("mailvet").setLevel(logging.INFO)


def _typed(text: str) -> str:
    """An argument as it was typed: where the locale knows ASCII alone, Python keeps the octets of UTF-8 as they are."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def _parsed(parser: Any, text: str, option: str) -> Any:
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


_DUCKDB_ADVICE = (
    "If it is damaged, put back a copy of it, or move it away and verify anew; what was saved before stays in it."
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO)
"""What the machine lacks, which is neither the input's fault nor ours."""


def main() -> None:
    """Entry point: whatever happens, one paragraph and an exit code, never a traceback."""
    in_hand.reset()
    with standard_streams():
        with StopSignals(lambda: in_hand.sentences(in_hand.advice)) as signals:
            code = _call(signals)
        if in_hand.stuck:  # the database holds a thread that no exit would wait for in vain
            with contextlib.suppress(OSError, OutputError):
                sys.stdout.flush()
            os._exit(code)
    sys.exit(code)


def _call(signals: StopSignals) -> int:
    """Run the command; its exit code."""
    try:
        code = app(prog_name="mailvet", standalone_mode=False)
        if signals.number is None and code != ExitCode.interrupted:
            sys.stdout.flush()
            return int(code or 0)
    except BaseException as error:
        if signals.number is None and not isinstance(error, KeyboardInterrupt):
            return _failed(error)
    # Also where a library made another error of the signal's.
    _say("Stopped.", in_hand.sentences(in_hand.advice))
    return 128 + (signals.number or signal.SIGINT)


def _failed(error: BaseException) -> int:
    """Say what went wrong; the exit code for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.own_fault
    if isinstance(error, OutputError):
        _say("Error:", f"The output could not be written: {error}.")
        return ExitCode.bad_input
    if isinstance(error, PreflightError):
        _say("Not started:", error.worded(option))
        return ExitCode.degraded
    if isinstance(error, MailvetError):
        # Once servers were asked, the input was good.
        went_on = in_hand.begun or isinstance(error, (ConnectionLostError, RunUnderWayError))
        kept = f" {in_hand.sentences(in_hand.advice)}" if in_hand.begun else ""
        _say("Error:", error.worded(option) + kept)
        return ExitCode.degraded if went_on else ExitCode.bad_input
    if hasattr(error, "format_message") and hasattr(error, "show"):  # click.ClickException, which typer carries itself
        from typer import rich_utils

        rich_utils.rich_format_error(cast("Any", error))
        return ExitCode.bad_input
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        _say("Error:", _what_is_lacking(error))
        return ExitCode.degraded
    if type(error).__module__.lstrip("_").partition(".")[0] == "duckdb":
        _say(
            "Error:",
            f"DuckDB cannot read or write the database: {str(error).strip().splitlines()[0]}. {_DUCKDB_ADVICE}",
        )
        return ExitCode.degraded if in_hand.begun else ExitCode.bad_input
    from mailvet.cli.fault_report import write_fault_report

    report = write_fault_report(error)
    send = f"Please send the file {report} (it holds no addresses)" if report else "Please tell of it"
    kept = f" {in_hand.sentences(in_hand.advice)}" if in_hand.begun else ""
    _say("Error:", f"A fault of mailvet's own ({type(error).__name__}). {send} to its maintainers.{kept}")
    return ExitCode.own_fault


def _what_is_lacking(error: BaseException) -> str:
    if isinstance(error, MemoryError) or not isinstance(error, OSError):
        return "There is not enough memory."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "No more files can be opened: raise the limit (ulimit -n), or lower pacing.connections."
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{where}."
