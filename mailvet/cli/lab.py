"""`mailvet lab`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from mailvet.cli.options import Overwrite

__all__ = ["lab"]


class LabResolver(str, Enum):
    """How the DNS server of `mailvet lab` responds as a whole."""

    true = "true"
    nxdomain = "nxdomain"
    servfail = "servfail"
    dropped = "dropped"
    invents = "invents"


class LabWorld(str, Enum):
    """The mail worlds that `mailvet lab` serves."""

    default = "default"
    hostile = "hostile"


def lab(  # noqa: PLR0913  # the options of the command
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
    """Start a mail world on loopback. DNS and SMTP servers with profiles of operators, to try things safely."""
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
