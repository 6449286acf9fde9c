"""`mailvet dbt run` and `mailvet dbt path`."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mailvet.cli.arguments import parsed
from mailvet.cli.exit_codes import ExitCode
from mailvet.cli.messages import console, log_to_stderr, say_remarks, stopped_advice
from mailvet.cli.options import DepthOption, PolicyOption, RecheckOption, Wait

if TYPE_CHECKING:
    from mailvet.runs.results import RunResult

__all__ = ["app"]

app = typer.Typer(name="dbt", no_args_is_help=True, help="The dbt package, and a run over a project.")


@app.command()
def path() -> None:
    """Where the dbt package lies, for `packages: [{local: ...}]` in packages.yml."""
    from mailvet.dbt.package import package_path

    print(package_path())


@app.command()
def run(  # noqa: PLR0913  # the options of the command
    select: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--select", "-s", metavar="NAME", help="As dbt's; default: all whose meta speaks of mailvet."),
    ] = None,
    project_dir: Annotated[Path, typer.Option(metavar="FOLDER", help="With dbt_project.yml.")] = Path(),
    profiles_dir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="With profiles.yml; default: as dbt looks for it."),
    ] = None,
    profile: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Of profiles.yml."),
    ] = None,
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--target", "-t", metavar="NAME", help="Of the profile."),
    ] = None,
    variables: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--vars", metavar="YAML", help="As dbt's."),
    ] = None,
    email_column: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Column of addresses; default: as the model's meta says, else by its name."),
    ] = None,
    depth: DepthOption = None,
    policy: PolicyOption = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", metavar="FILE", help="Settings; default: mailvet.toml here or in the project."),
    ] = None,
    wait: Wait = "0s",
    recheck: RecheckOption = None,
    write_back: Annotated[
        bool, typer.Option("--write-back", help="Also put status columns on the selected tables.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; warnings stay.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for each selected table.")] = False,
) -> None:
    """Verify what the models or sources of a dbt project hold, and fill its verdict table: after `dbt run`."""
    from mailvet.cli.progress import LogWatcher
    from mailvet.cli.show import show_result
    from mailvet.dbt.runner import open_selected, read_project
    from mailvet.runs.in_hand import process_in_hand as in_hand
    from mailvet.runs.recheck import parse_recheck
    from mailvet.runs.run import run as run_source
    from mailvet.settings import parse_duration

    stay = parsed(parse_duration, wait, "--wait")
    started = datetime.now(timezone.utc)
    again = parse_recheck(recheck)
    # Two models may hold the same addresses, which share one verdict.
    once = again.not_since(started) if again is not None else None
    project_dir, config = project_dir.resolve(), _config(config, project_dir)
    arguments = {"depth": depth, "policy": policy}
    _settings(config, arguments)
    project = read_project(
        project_dir,
        select=select or (),
        profiles_dir=profiles_dir and profiles_dir.resolve(),
        profile=profile,
        target=target,
        variables=variables,
    )
    log_to_stderr()
    if quiet:
        logging.getLogger("mailvet").setLevel(logging.WARNING)
    worst = ExitCode.done
    in_hand.advice = stopped_advice(again, started)
    for selected in project.selected:
        settings = _settings(config, {**selected.options, **{k: v for k, v in arguments.items() if v is not None}})
        warehouse = open_selected(project, selected, settings, column=email_column, updatable=write_back)
        say_remarks(warehouse)
        try:
            result = run_source(
                warehouse,
                settings,
                write_back=write_back,
                wait=stay,
                watcher=LogWatcher(),
                recheck=once,
                in_hand=in_hand,
            )
        finally:
            warehouse.close()
        if as_json:
            print(json.dumps({"model": selected.name, **_plain(result)}), flush=True)
        elif not quiet:
            show_result(console(), result)
        if result.degraded:
            worst = ExitCode.degraded
    raise typer.Exit(worst)


def _plain(result: RunResult) -> dict[str, Any]:
    """What a run did and how its table stands, as plain values: counts, no address."""
    found = result.summary
    return {
        "run_id": result.run_id,
        "source": result.source,
        "depth": result.depth,
        "policy": result.policy,
        "rows": found.rows,
        "addresses": result.plan.addresses,
        "due": result.plan.due,
        "checked": result.checked,
        "written": result.written,
        "probes": result.probes,
        "lookups": result.lookups,
        "seconds": round(result.seconds, 1),
        "degraded": result.degraded,
        "by_status": dict(found.by_status),
        "by_reason": dict(found.by_reason),
        "by_recommendation": dict(found.by_recommendation),
    }


def _config(config: Path | None, project_dir: Path) -> Path | None:
    if config is not None:
        return config
    return next((path for path in (Path("mailvet.toml"), project_dir / "mailvet.toml") if path.is_file()), None)


def _settings(config: Path | None, options: dict[str, Any]) -> Any:
    from mailvet.settings import Settings

    return Settings.load(config, **{name: options[name] for name in ("depth", "policy") if options.get(name)})
