"""`mailvet gate`."""

from __future__ import annotations

import logging
from typing import Annotated, Optional

import typer

from mailvet.cli.arguments import load_settings, open_read_only, reading
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, print_json
from mailvet.cli.options import (
    AddressColumn,
    AsJson,
    Config,
    Encoding,
    Lenient,
    Limit,
    NoHeader,
    PolicyOption,
    Sheet,
    Source,
    Table,
    Where,
)

__all__ = ["gate"]


def gate(  # noqa: PLR0913  # the options of the command
    source: Source,
    table: Table = None,
    email_column: AddressColumn = None,
    where: Where = None,
    among: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="WORD", help="The audience: rows so recommended, as send; repeatable. Default: all rows."),
    ] = None,
    policy: PolicyOption = None,
    max_undeliverable_rate: Limit = None,
    max_bounce_rate: Limit = None,
    max_unknown_rate: Limit = None,
    max_do_not_send_rate: Limit = None,
    max_unverified_rate: Limit = None,
    max_unprobed_rate: Limit = None,
    max_missing_rate: Limit = None,
    max_age: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TIME", help="Verdicts older than this are stale, as 30d; alone it allows none."),
    ] = None,
    max_stale_rate: Limit = None,
    judge_by: Annotated[
        str, typer.Option(metavar="NAME", help="What --max-bounce-rate bounds: estimate, or upper end of its interval.")
    ] = "estimate",
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Of that interval.")] = "0.95",
    config: Config = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Hold a verified table against limits. Exit code 0: it keeps to all of them, else 1. Asks no server."""
    from mailvet.cli.show import show_gate
    from mailvet.gates import Limits
    from mailvet.runs.table_gate import held_against

    limits = Limits.of(
        max_undeliverable_rate=max_undeliverable_rate,
        max_bounce_rate=max_bounce_rate,
        max_unknown_rate=max_unknown_rate,
        max_do_not_send_rate=max_do_not_send_rate,
        max_unverified_rate=max_unverified_rate,
        max_unprobed_rate=max_unprobed_rate,
        max_missing_rate=max_missing_rate,
        max_age=max_age,
        max_stale_rate=max_stale_rate,
        judge_by=judge_by,
        confidence=confidence,
        among=",".join(among or ()),
    )
    settings = load_settings(config, policy=policy)
    warehouse = open_read_only(
        source,
        settings,
        table=table,
        column=email_column,
        where=where,
        reading=reading(encoding, no_header, lenient, sheet),
    )
    if not as_json:  # the warnings are shown with the figures
        logging.getLogger("mailvet").addHandler(logging.NullHandler())
    try:
        result = held_against(warehouse, settings, limits)
    finally:
        warehouse.close()
    if as_json:
        print_json(result.as_dict())
    else:
        show_gate(console(), result)
    raise typer.Exit(ExitCode.done if result.passed else ExitCode.gate_failed)
