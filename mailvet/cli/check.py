"""`mailvet check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailvet.cli.arguments import config_file, load_settings, typed
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, print_json, say
from mailvet.cli.options import Config, PolicyOption
from mailvet.vocabulary import Depth, Policy

if TYPE_CHECKING:
    from mailvet.settings import Settings
    from mailvet.verification.verdict_settings import VerdictSettings

__all__ = ["check"]


def check(
    addresses: Annotated[list[str], typer.Argument(help="Addresses, as they stand in your data.")],
    depth: Annotated[Depth, typer.Option(metavar="DEPTH", help="How far to go: offline, dns or smtp.")] = Depth.dns,
    policy: PolicyOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Verify single addresses and show why. Nothing is stored."""
    from mailvet.verification.api import verify_in_order

    verdicts, degraded = verify_in_order([typed(text) for text in addresses], _settings(config, depth, policy))
    for position, verdict in enumerate(verdicts):
        if as_json:
            print_json(verdict.as_dict())
        else:
            from mailvet.cli.show_verdict import explain

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


def _settings(config: Path | None, depth: Depth, policy: str | None) -> Settings | VerdictSettings:
    """Those of the file, the environment and the options; to find that there are none takes no library."""
    from mailvet.verification.verdict_settings import VerdictSettings, environment_has_settings

    plain = policy is None or policy in Policy.__members__
    if plain and depth is Depth.offline and config_file(config) is None and not environment_has_settings():
        return VerdictSettings(depth, Policy(policy or Policy.marketing))
    return load_settings(config, depth=depth, policy=policy)
