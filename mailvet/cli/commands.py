"""The command line.

Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 the run was degraded and says why, 4 a fault of our own;
130 and 143 stopped by a signal.
"""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli import dbt, events, keys, lists
from mailvet.cli.check import check
from mailvet.cli.constraints import constraints
from mailvet.cli.doctor import doctor
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.explain import explain
from mailvet.cli.export import export
from mailvet.cli.forget import forget
from mailvet.cli.gate import gate
from mailvet.cli.help import SortedCommand
from mailvet.cli.lab import lab
from mailvet.cli.plan import plan
from mailvet.cli.process import run_command
from mailvet.cli.reclassify import reclassify
from mailvet.cli.report import report
from mailvet.cli.serve import serve
from mailvet.cli.verify import verify

__all__ = ["ExitCode", "app", "main"]

_EXAMPLES = """\b
Examples:
  mailvet check ann@gmial.com --depth offline
  mailvet verify contacts.csv --output checked.csv --depth dns
  mailvet verify crm.duckdb --table contacts
  mailvet gate crm.duckdb --table contacts --max-undeliverable-rate 2%
"""

app = typer.Typer(
    name="mailvet",
    epilog=_EXAMPLES,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain text: names are never cut short, and a log holds no boxes
    pretty_exceptions_show_locals=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from mailvet import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Verify every e-mail address where the data already lives: send, re-verify or do not send, and why.

    Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 degraded (no network, blocked, database lost), 4 a
    fault of mailvet itself; 130 and 143 stopped by a signal.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


for _command in (
    check,
    verify,
    gate,
    export,
    plan,
    report,
    explain,
    reclassify,
    forget,
    doctor,
    serve,
    lab,
    constraints,
):
    app.command(cls=SortedCommand)(_command)
app.add_typer(dbt.app)
app.add_typer(events.app)
app.add_typer(keys.app)
app.add_typer(lists.app, name="lists")


def main() -> None:
    """Entry point: whatever happens, one paragraph and an exit code, never a traceback."""
    run_command(app)
