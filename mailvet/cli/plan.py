"""`mailvet plan`."""

from __future__ import annotations

from mailvet.cli.arguments import load_settings, open_read_only, reading
from mailvet.cli.messages import console
from mailvet.cli.options import (
    AddressColumn,
    Config,
    DepthOption,
    Encoding,
    Lenient,
    NoHeader,
    RecheckOption,
    Sheet,
    Source,
    Table,
    Where,
)

__all__ = ["plan"]


def plan(  # noqa: PLR0913  # the options of the command
    source: Source,
    table: Table = None,
    email_column: AddressColumn = None,
    where: Where = None,
    depth: DepthOption = None,
    recheck: RecheckOption = None,
    config: Config = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    sheet: Sheet = None,
) -> None:
    """What a run would do, and in what time. Addresses, domains, operators. Asks no server and changes nothing."""
    from mailvet.cli.show import show_plan
    from mailvet.runs.forecast import estimate
    from mailvet.runs.planning import plan as plan_run

    settings = load_settings(config, depth=depth)
    warehouse = open_read_only(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=reading(encoding, no_header, lenient, sheet),
    )
    try:
        planned = plan_run(warehouse, settings, recheck=recheck)
    finally:
        warehouse.close()
    show_plan(console(), warehouse.name, planned, estimate(planned, settings))
