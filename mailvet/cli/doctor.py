"""`mailvet doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.arguments import load_settings
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, print_json
from mailvet.cli.options import Config, DepthOption

__all__ = ["doctor"]


def doctor(
    depth: DepthOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Is this machine fit to ask mail servers? Resolver, port 25, host name, reverse DNS, SPF, block lists, clock."""
    from mailvet.cli.show import show_checks
    from mailvet.doctor.checks import examine

    checks = examine(load_settings(config, depth=depth))
    if as_json:
        print_json([check.as_dict() for check in checks], indent=1)
    else:
        show_checks(console(), checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(ExitCode.degraded)
