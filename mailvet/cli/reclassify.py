"""`mailvet reclassify`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.arguments import load_settings
from mailvet.cli.messages import console
from mailvet.cli.options import Config, Source, Table

__all__ = ["reclassify"]


def reclassify(
    source: Source,
    table: Table = None,
    config: Config = None,
    write: Annotated[
        bool, typer.Option("--write", help="Save the verdicts that change; without it they are only counted.")
    ] = False,
) -> None:
    """Read stored replies again by newer rules. For after an upgrade. Asks no server."""
    from mailvet.runs.reclassify import open_verdicts, show
    from mailvet.runs.reclassify import reclassify as read_again

    settings = load_settings(config)
    warehouse = open_verdicts(source, settings, table, writable=write)
    try:
        show(console(), warehouse.name, read_again(warehouse, settings, write=write))
    finally:
        warehouse.close()
