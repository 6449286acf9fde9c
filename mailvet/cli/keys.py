"""`mailvet keys`: create, list, revoke."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mailvet.cli.options import AsJson, Config

if TYPE_CHECKING:
    from mailvet.service.keys import Key, Keys

__all__ = ["app"]

app = typer.Typer(
    name="keys",
    no_args_is_help=True,
    help="The API keys of `mailvet serve`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _keys() -> None:
    """The API keys of `mailvet serve`."""


@app.command()
def create(  # noqa: PLR0913  # the options of the command
    name: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    scope: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="verify, batches, erase; repeat it. Default: all three."),
    ] = None,
    publishable: Annotated[
        bool, typer.Option("--publishable", help="For pages: checks for forms and nothing else.")
    ] = False,
    per_second: Annotated[int, typer.Option(metavar="NUMBER", help="Requests a second.", min=1)] = 50,
    per_minute_and_client: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(metavar="NUMBER", help="Requests a minute of one client address.", min=1),
    ] = None,
    per_day: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(metavar="NUMBER", help="Addresses a day (UTC); default: no limit.", min=1),
    ] = None,
    expires: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TIME", help="When it ends, as 90d from now; default: never."),
    ] = None,
    replaces: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ID", help="A key like this one, which ends after --overlap."),
    ] = None,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long the replaced key holds still.")] = "24h",
    config: Config = None,
) -> None:
    """Make a key. It is printed once, as the last word, and kept nowhere.

    Example: mailvet keys create --name website
    """
    from mailvet.cli.arguments import parsed
    from mailvet.service.keys import FORM, SECRET_SCOPES
    from mailvet.settings import parse_duration

    keys = _open(config)
    if publishable and scope:
        raise typer.BadParameter("--publishable and --scope do not go together")
    if replaces is not None:
        key, text = keys.rotate(replaces, overlap=parsed(parse_duration, overlap, "--overlap").total_seconds())
    else:
        key, text = keys.create(
            name=name,
            scopes=(FORM,) if publishable else scope or SECRET_SCOPES,
            per_second=per_second,
            per_minute_and_client=per_minute_and_client,
            per_day=per_day,
            lifetime=None if expires is None else parsed(parse_duration, expires, "--expires").total_seconds(),
        )
    print(f"Key {key.id} ({', '.join(sorted(key.scopes))}), shown this once: {text}")


@app.command(name="list")
def list_(config: Config = None, as_json: AsJson = False) -> None:
    """Name the keys, and what each may do.

    Example: mailvet keys list
    """
    import time

    from mailvet.cli.messages import print_json
    from mailvet.privacy import printable

    found = _open(config).all()
    if as_json:
        print_json([_plain(key) for key in found])
        return
    now = time.time()
    for key in found:
        scopes = ",".join(sorted(key.scopes))
        print(f"{key.id}  {key.problem(now) or 'valid':<8} {scopes:<22} {key.per_second:>4}/s  {printable(key.name)}")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `mailvet keys list` names it.")], config: Config = None
) -> None:
    """End a key now; a running service takes it no longer.

    Example: mailvet keys revoke 3kq5wd7xya
    """
    found = _open(config).revoke(key)
    print(f"Key {found.id} is revoked.")


def _open(config: Path | None) -> Keys:
    from mailvet.cli.arguments import load_settings
    from mailvet.service.keys import Keys
    from mailvet.service.state import State, default_state

    settings = load_settings(config)
    return Keys(State(settings.service.state or default_state()))


def _plain(key: Key) -> dict[str, object]:
    from mailvet.service.keys import shown_time

    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "per_second": key.per_second,
        "per_minute_and_client": key.per_minute_and_client,
        "per_day": key.per_day,
        "created_at": shown_time(key.created_at),
        "expires_at": shown_time(key.expires_at),
        "revoked_at": shown_time(key.revoked_at),
    }
