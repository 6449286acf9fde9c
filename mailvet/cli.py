"""
The command line. Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 the run was degraded and says why.
"""

from __future__ import annotations

import json
import logging
import sys
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mailvet.errors import MailvetError, PreflightError
from mailvet.verdict import Depth, Policy

if TYPE_CHECKING:
    from mailvet.run import RunResult
    from mailvet.settings import Settings

__all__ = ["ExitCode", "app", "main"]


class ExitCode(IntEnum):
    """What the process tells its caller."""

    done = 0
    gate_failed = 1
    bad_input = 2
    degraded = 3


app = typer.Typer(
    name="mailvet",
    help="Verify every e-mail address where the data already lives: send, re-verify or do not send, and why.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# typer reads these annotations at run time, on Python 3.10 too, hence Optional.
Config = Annotated[Optional[Path], typer.Option("--config", help="Settings file (mailvet.toml).")]  # noqa: UP045
DepthOption = Annotated[Optional[Depth], typer.Option(help="How far to go.")]  # noqa: UP045
PolicyOption = Annotated[Optional[Policy], typer.Option(help="What the mail is for.")]  # noqa: UP045
Source = Annotated[str, typer.Argument(help="A CSV, TSV, Parquet or JSON Lines file (.gz, .zst), or a DuckDB database.")]
Table = Annotated[Optional[str], typer.Option(help="Table of the database.")]  # noqa: UP045
Column = Annotated[Optional[str], typer.Option("--email-column", help="Column of addresses.")]  # noqa: UP045
Where = Annotated[Optional[str], typer.Option(help="SQL condition on the rows.")]  # noqa: UP045
Encoding = Annotated[str, typer.Option(help="Of a text file: utf-8, latin-1, utf-16.")]


def _settings(config: Path | None, **arguments: Any) -> Settings:
    from mailvet.settings import Settings

    if config is None and Path("mailvet.toml").is_file():
        config = Path("mailvet.toml")
    return Settings.load(config, **arguments)


@app.command()
def check(
    addresses: Annotated[list[str], typer.Argument(help="Addresses, as they stand in your data.")],
    depth: Annotated[Depth, typer.Option(help="How far to go.")] = Depth.dns,
    policy: PolicyOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Verify single addresses and show the evidence; nothing is stored."""
    from mailvet.verdict import Verdict
    from mailvet.verifier import verify_many

    settings = _settings(config, depth=depth, policy=policy)
    verdicts = [Verdict.from_row(row) for row in verify_many(addresses, settings=settings).to_pylist()]
    for position, verdict in enumerate(verdicts):
        if as_json:
            print(json.dumps(verdict.as_dict(), ensure_ascii=False))
        else:
            from mailvet.report import explain

            if position:
                print()
            _console().print(explain(verdict))


@app.command()
def verify(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    key_column: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Of the source, write only these columns to --output (repeatable)."),
    ] = None,
    where: Where = None,
    depth: DepthOption = None,
    policy: PolicyOption = None,
    config: Config = None,
    output: Annotated[Optional[Path], typer.Option(help="Write the rows with their status here.")] = None,  # noqa: UP045
    split_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A status column, such as recommendation: one output file for each of its values."),
    ] = None,
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Status columns to write, separated by commas."),
    ] = None,
    wait: Annotated[str, typer.Option(help="How long to stay for servers that say 'come back later'.")] = "0s",
    max_undeliverable: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Gate: exit with 1 if a larger share is undeliverable, for example 2%."),
    ] = None,
    write_back: Annotated[bool, typer.Option(help="Put status columns on the table.")] = True,
    encoding: Encoding = "utf-8",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log lines instead of a live view.")] = False,
) -> None:
    """Verify a table or file, save the verdicts, and write the status back."""
    from mailvet.report import LogWatcher, TerminalWatcher, show_result
    from mailvet.run import open_source, run
    from mailvet.settings import parse_duration, parse_share
    from mailvet.verdict import STATUS_COLUMNS
    from mailvet.warehouse.duckdb import format_of

    settings = _settings(config, depth=depth, policy=policy)
    patience = _parsed(parse_duration, wait, "--wait")
    gate = _parsed(parse_share, max_undeliverable, "--max-undeliverable") if max_undeliverable else None
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else STATUS_COLUMNS
    is_file = format_of(Path(source)) is not None
    if is_file and output is None:
        raise typer.BadParameter("a file is not changed in place: say where the result goes with --output")
    if split_by is not None and output is None:
        raise typer.BadParameter("--split-by needs --output")
    if output is not None and format_of(output) is None:
        raise typer.BadParameter(f"--output {output.name}: end the name in .csv, .tsv, .parquet or .jsonl")
    if output is not None and not output.resolve().parent.is_dir():
        raise typer.BadParameter(f"--output: there is no folder {output.resolve().parent}")
    back = write_back and not is_file
    console = _console()
    warehouse = open_source(
        source, settings, table=table, column=email_column, where=where, encoding=encoding, updatable=back
    )
    work: dict[str, Any] = {
        "write_back": back, "columns": chosen, "output": output, "key_columns": tuple(key_column or ()),
        "split_by": split_by, "wait": patience,
    }  # fmt: skip
    try:
        if console.is_terminal and not verbose:
            with TerminalWatcher(console) as watcher:
                result = run(warehouse, settings, watcher=watcher, **work)
        else:
            _log_to_stderr()
            result = run(warehouse, settings, watcher=LogWatcher(), **work)
    finally:
        warehouse.close()
    show_result(console, result)
    raise typer.Exit(_judged(result, gate))


def _judged(result: RunResult, gate: float | None) -> int:
    if result.degraded:
        return ExitCode.degraded
    if gate is not None and result.undeliverable_share > gate:
        _console(stderr=True).print(
            f"[red]{100 * result.undeliverable_share:.1f} % of the addresses are undeliverable, more than the "
            f"{100 * gate:g} % allowed.[/]",
            highlight=False,
        )
        return ExitCode.gate_failed
    return ExitCode.done


@app.command()
def plan(
    source: Source,
    table: Table = None,
    email_column: Column = None,
    where: Where = None,
    depth: DepthOption = None,
    config: Config = None,
    encoding: Encoding = "utf-8",
) -> None:
    """What a run would do: addresses, domains, operators, time. Asks nobody and changes nothing."""
    from mailvet.planning import estimate
    from mailvet.report import show_plan
    from mailvet.run import open_source
    from mailvet.run import plan as plan_run

    settings = _settings(config, depth=depth)
    warehouse = open_source(
        source, settings, table=table, column=email_column, where=where, encoding=encoding, writable=False,
        updatable=False,
    )  # fmt: skip
    try:
        planned = plan_run(warehouse, settings)
    finally:
        warehouse.close()
    forecast = estimate(planned, settings)
    show_plan(_console(), warehouse.name, planned, forecast.by_operator, forecast.seconds)


@app.command()
def explain(
    address: Annotated[str, typer.Argument(help="The text as it stands in the table.")],
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="DuckDB database whose verdict is meant; default: the store of verdicts on files."),
    ] = None,
    config: Config = None,
) -> None:
    """The evidence behind a stored verdict."""
    from mailvet.report import explain as rendered
    from mailvet.verdict import Verdict, email_key

    store = _store(source, config, read_only=True)
    try:
        row = store.stored(email_key(address))
    finally:
        store.close()
    if row is None:
        raise MailvetError(
            f"There is no verdict for exactly this text in {store.name}. Verify the table first, or look at the "
            "address itself with: mailvet check"
        )
    _console().print(rendered(Verdict.from_row(row)))


@app.command()
def forget(
    address: Annotated[str, typer.Argument(help="The address to erase, in any spelling.")],
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="DuckDB database to erase it from; default: the store of verdicts on files."),
    ] = None,
    config: Config = None,
) -> None:
    """Erase an address from the stored verdicts. Your own table is left as it is."""
    from mailvet.verdict import email_key

    store = _store(source, config, read_only=False)
    try:
        count = store.forget(email_key(address), address.strip().lower())
    finally:
        store.close()
    _console().print(f"{count} verdict{'' if count == 1 else 's'} erased from {store.name}.", highlight=False)


def _store(source: Path | None, config: Path | None, *, read_only: bool) -> Any:
    from mailvet.run import default_store
    from mailvet.warehouse.duckdb import DuckDBWarehouse

    path = source or _settings(config).store.path or default_store()
    return DuckDBWarehouse.of_store(path, read_only=read_only)


@app.command()
def lists(config: Config = None) -> None:
    """Reference data: what it is, how old, from where; and your own lists."""
    from rich.table import Table as RichTable

    from mailvet.lists import OwnLists, list_infos

    settings = _settings(config)
    table = RichTable(box=None, padding=(0, 2), header_style="dim")
    for name in ("list", "entries", "version", "date", "licence", "source"):
        table.add_column(name, justify="right" if name == "entries" else "left", overflow="fold")
    for info in list_infos():
        table.add_row(info.name, f"{info.entries:,}", info.version, info.date or "-", info.licence, info.source)
    own = OwnLists.load(**settings.lists.model_dump())
    for name in ("allow", "deny", "suppress", "extra_disposable"):
        kind = getattr(own, name)
        entries = len(kind.addresses) + len(kind.domains) + len(kind.only_domains)
        table.add_row(f"your own: {name}", f"{entries:,}", own.digest or "-", "-", "-", "mailvet.toml [lists]")
    _console().print(table)


@app.command()
def lab(
    config: Annotated[Path, typer.Option(help="Where to write the lab's settings.")] = Path("mailvet-lab.toml"),
    contacts: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write a messy contact table here (.csv, .parquet or .duckdb)."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the contact table.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the mail world.")] = 7,
    counters: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="At the end, write what each server saw here, as JSON."),
    ] = None,
) -> None:
    """Start a mail world on loopback (DNS and SMTP servers with operators' manners) to try things safely."""
    from mailvet.lab import Lab, serve
    from mailvet.lab.contacts import write_contacts

    world = Lab(seed=seed)
    if contacts is not None:
        write_contacts(world.world.contacts(rows=rows, seed=seed), contacts)
        print(f"{rows:,} contacts in {contacts}")
    serve(world, config, counters)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("mailvet").setLevel(logging.INFO)


def _parsed(parser: Any, text: str, option: str) -> Any:
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def main() -> None:
    """Entry point: errors on purpose become one paragraph and an exit code, not a traceback."""
    try:
        app()
    except PreflightError as error:
        _console(stderr=True).print(f"[bold red]Not started:[/] {error}", highlight=False)
        sys.exit(ExitCode.degraded)
    except MailvetError as error:
        _console(stderr=True).print(f"[bold red]Error:[/] {error}", highlight=False)
        sys.exit(ExitCode.bad_input)
    except KeyboardInterrupt:
        _console(stderr=True).print("Stopped. What was verified is saved; run again to go on.", highlight=False)
        sys.exit(130)
