"""`mailvet check`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.arguments import load_settings, typed
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, print_json, say
from mailvet.cli.options import Config, PolicyOption
from mailvet.vocabulary import Depth

__all__ = ["check"]


def check(
    addresses: Annotated[list[str], typer.Argument(help="Addresses, as they stand in your data.")],
    depth: Annotated[Depth, typer.Option(metavar="DEPTH", help="How far to go: offline, dns or smtp.")] = Depth.dns,
    policy: PolicyOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Verify single addresses and show why. Nothing is stored."""
    from mailvet.verdict import Verdict
    from mailvet.verification.api import verify_all

    table, degraded = verify_all([typed(text) for text in addresses], load_settings(config, depth=depth, policy=policy))
    verdicts = [Verdict.from_row(row) for row in table.to_pylist()]
    for position, verdict in enumerate(verdicts):
        if as_json:
            print_json(verdict.as_dict())
        else:
            from mailvet.cli.show import explain

            if position:
                print()
            console().print(explain(verdict))
    unasked = [fact.detail for verdict in verdicts for fact in verdict.evidence if fact.layer == "run"]
    if unasked:
        say("Degraded:", f"not everything could be asked: {unasked[0] or 'the run was stopped'}.")
    elif degraded:
        say("Degraded:", degraded)
    if unasked or degraded:
        raise typer.Exit(ExitCode.degraded)
