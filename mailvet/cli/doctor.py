"""`mailvet doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mailvet.cli.arguments import load_settings
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, print_json, say
from mailvet.cli.options import Config, DepthOption
from mailvet.errors import SettingsError

if TYPE_CHECKING:
    from mailvet.settings import Settings

__all__ = ["doctor"]


def doctor(
    source: Annotated[
        Optional[str],  # noqa: UP045  # read at run time
        typer.Argument(metavar="SOURCE", help="With --write-test: a DuckDB database, or a URL."),
    ] = None,
    write_test: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--write-test",
            metavar="SCHEMA",
            help="Hold the database SOURCE to the contract, in this schema: tables are made there and dropped again.",
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", metavar="FILE", help="Write what --write-test found as JSON, without names of yours."),
    ] = None,
    depth: DepthOption = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Is this machine fit to ask mail servers? Resolver, port 25, host name, reverse DNS, SPF, block lists, clock.

    With SOURCE and --write-test: does this database do what mailvet needs?
    """
    from mailvet.cli.show import show_checks
    from mailvet.doctor.checks import examine

    if source is not None or write_test is not None or output is not None:
        if source is None or write_test is None:
            raise SettingsError(
                "A write test needs a database and a schema: mailvet doctor SOURCE --write-test SCHEMA "
                "[--output FILE]. Without them leave SOURCE and --output out. Nothing was changed."
            )
        if depth is not None:
            raise SettingsError("A write test asks no server, so --depth does not go with it. Leave it out.")
        _write_test(source, write_test, output, load_settings(config), as_json=as_json)
        return
    checks = examine(load_settings(config, depth=depth))
    if as_json:
        print_json([check.as_dict() for check in checks], indent=1)
    else:
        show_checks(console(), checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(ExitCode.degraded)


def _write_test(source: str, schema: str, output: Path | None, settings: Settings, *, as_json: bool) -> None:
    from mailvet.cli.show import show_outcome
    from mailvet.doctor.write_test import CheckOutcome, place_of, write_test
    from mailvet.doctor.write_test.outcome import check_output
    from mailvet.runs.in_hand import process_in_hand

    if output is not None:
        check_output(output.expanduser().absolute())
    shown = console()

    def tell(outcome: CheckOutcome, error: str | None) -> None:
        if not as_json:
            show_outcome(shown, outcome, error)

    process_in_hand.advice = (
        f"Tables of the test whose names begin with mailvet were dropped from the schema {schema}; look whether any is "
        "left there if it was stopped twice."
    )
    with place_of(source, schema) as place:
        result = write_test(place, settings, on_outcome=tell)
    process_in_hand.reset()
    if output is not None:
        result.write(output.expanduser())
    if as_json:
        print_json(result.as_dict(), indent=1)
    else:
        failed = sum(not check.passed for check in result.checks)
        state = "all passed" if result.passed else f"{failed} failed"
        shown.print(f"\n{result.backend}: {len(result.checks)} checks, {state}.", highlight=False)
        if output is not None:
            shown.print(
                f"Written: {output}. It holds no names of yours; docs/warehouses.md says where to send it.",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if result.left:
        say("Note:", f"These tables could not be dropped from {schema}: {', '.join(result.left)}. Drop them yourself.")
    if not result.passed:
        raise typer.Exit(ExitCode.degraded)
