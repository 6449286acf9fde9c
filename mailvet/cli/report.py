"""`mailvet report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mailvet.cli.arguments import check_files, load_settings, open_read_only, reading, report_mode
from mailvet.cli.messages import console, say_written
from mailvet.cli.options import (
    AddressColumn,
    Config,
    Encoding,
    Lenient,
    NoHeader,
    Overwrite,
    PolicyOption,
    Sheet,
    Source,
    Table,
    Where,
)

__all__ = ["report"]


def report(  # noqa: PLR0913  # the options of the command
    source: Source,
    table: Table = None,
    email_column: AddressColumn = None,
    where: Where = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The HTML file; it holds no addresses.")] = Path(
        "mailvet-report.html"
    ),
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Also compare the rows by this column, such as where they came from."),
    ] = None,
    max_bounce_rate: Annotated[
        str, typer.Option(metavar="SHARE", help="The risk budget whose audience the report shows.")
    ] = "2%",
    policy: PolicyOption = None,
    config: Config = None,
    overwrite: Overwrite = False,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    sheet: Sheet = None,
) -> None:
    """How a verified source stands. Here, and as an HTML file. Asks no server and changes nothing in the source."""
    from mailvet.cli.show import show_summary
    from mailvet.reports import html as html_report
    from mailvet.runs.planning import plan as plan_run
    from mailvet.scoring.budget import Budget

    settings = load_settings(config, policy=policy)
    budget = Budget.of(max_bounce_rate)
    html_report.check_path(output)
    check_files(source, settings, config, overwrite=overwrite, report=output, option="--output")
    warehouse = open_read_only(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=reading(encoding, no_header, lenient, sheet),
    )
    try:
        plan_run(warehouse, settings)
        found = html_report.gather(warehouse, settings, by=by, budget=budget)
    finally:
        warehouse.close()
    html_report.write(output, found, report_mode(source, settings))
    show_summary(console(), found.summary, found.depth)
    say_written(output)
