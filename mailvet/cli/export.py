"""`mailvet export`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from mailvet.cli.arguments import load_settings, reading
from mailvet.cli.messages import console, print_json, say_remarks
from mailvet.cli.options import (
    AddressColumn,
    AsJson,
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

__all__ = ["export"]


def export(  # noqa: PLR0913  # the options of the command
    source: Source,
    to: Annotated[str, typer.Option(metavar="NAME", help="The tool: mailchimp, brevo, hubspot, ...")],
    output: Annotated[
        str, typer.Option(metavar="FILE", help="Write the list here, as the tool takes it; also s3://, gs://, abfs://.")
    ],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="contacts, or suppression: addresses not to be sent to.")
    ] = "contacts",
    table: Table = None,
    email_column: AddressColumn = None,
    where: Where = None,
    among: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="WORD", help="Rows so recommended; repeatable. Default: send, of a suppression list do_not_send."
        ),
    ] = None,
    max_bounce_rate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="SHARE", help="The largest list that bounces no more than this, as 2%; not with --among."),
    ] = None,
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Of the bound of --max-bounce-rate.")] = "0.9",
    campaign: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Keep under this name who was handed on, to learn from what comes back."),
    ] = None,
    policy: PolicyOption = None,
    changes_since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="MANIFEST", help="Also write what was added, changed and removed since that export."),
    ] = None,
    overwrite: Overwrite = False,
    config: Config = None,
    encoding: Encoding = "utf-8",
    no_header: NoHeader = False,
    lenient: Lenient = False,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Hand a verified table over to the tool that sends: its columns, its limits, its hashes. Asks no server."""
    from mailvet.cli.show import show_export
    from mailvet.exports.export import export as write
    from mailvet.runs.sources import open_source

    settings = load_settings(config, policy=policy)
    warehouse = open_source(
        source,
        settings,
        writable=campaign is not None,
        updatable=False,
        table=table,
        column=email_column,
        where=where,
        reading=reading(encoding, no_header, lenient, sheet),
    )
    say_remarks(warehouse)
    try:
        result = write(
            warehouse,
            settings,
            to=to,
            output=output,
            kind=kind,
            among=among,
            max_bounce_rate=max_bounce_rate,
            confidence=confidence,
            campaign=campaign,
            changes_since=changes_since,
            overwrite=overwrite,
        )
    finally:
        warehouse.close()
    if as_json:
        print_json(result.as_dict())
    else:
        show_export(console(), result)
