"""`mailvet events import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mailvet.cli.options import Config

if TYPE_CHECKING:
    from mailvet.runs.event_import import ImportResult

__all__ = ["app"]

app = typer.Typer(
    name="events",
    no_args_is_help=True,
    help="What happened to your own mail.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _events() -> None:
    """What happened to your own mail."""


@app.command(name="import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="CSV, JSON, JSON Lines, Parquet, a zip of these; mbox, maildir, .eml; a database with --table.",
        ),
    ],
    sender: Annotated[
        str, typer.Option(metavar="NAME", help="Whose words they are: ses, sendgrid, mailgun, ...; or auto.")
    ],
    into: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="DATABASE", help="Where mailvet_events lies: beside your contacts. Default: the store for files."
        ),
    ] = None,
    table: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Table of SOURCE, where that is a database."),
    ] = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Import the others although many words are not known.")
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Read all of SOURCE again, not only what was added since last time.")
    ] = False,
    config: Config = None,
) -> None:
    """Read a sender's export, webhook dump or bounce mail into mailvet_events. What is there already is left alone."""
    from datetime import datetime, timedelta, timezone

    from mailvet.cli.arguments import load_settings
    from mailvet.runs.event_import import import_events
    from mailvet.runs.sources import default_store
    from mailvet.warehouse.opening import open_events, table_rows

    settings = load_settings(config)
    what: Any = Path(source).expanduser() if table is None else table_rows(source, table)
    store = open_events(into or settings.store.path or default_store())
    try:
        result = import_events(what, store, sender, allow_unknown=allow_unknown, from_start=from_start, name=table)
        keep, old = settings.history.keep_days, 0
        if keep:
            old = store.forget_engagement_before(datetime.now(timezone.utc) - timedelta(days=keep))
    finally:
        store.close()
    _show(result, store.name)
    if old:
        print(f"{old:,} opens and clicks older than {keep} days deleted (history.keep_days).")


@app.command()
def campaigns(
    into: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="DATABASE", help="Where mailvet_sends lies. Default: the store for files."),
    ] = None,
    config: Config = None,
) -> None:
    """What became of the campaigns that were recorded with --campaign, beside what was expected of them."""
    from mailvet.cli.arguments import load_settings
    from mailvet.privacy import printable
    from mailvet.runs.sources import default_store
    from mailvet.warehouse.opening import open_events

    settings = load_settings(config)
    store = open_events(into or settings.store.path or default_store())
    try:
        found = store.campaign_outcomes()
    finally:
        store.close()
    if not found:
        print(f"No campaign is recorded in {store.name}: use mailvet verify --split-by recommendation --campaign.")
        return
    for one in found:
        print(
            f"{printable(one.campaign)}, {one.exported_at:%Y-%m-%d}: {one.recipients:,} recipients; delivered "
            f"{one.delivered:,}, hard bounces {one.hard_bounces:,} (expected {one.expected_bounces:,.1f}), complaints "
            f"{one.complaints:,}, unsubscribes {one.unsubscribes:,}, no event {one.unknown:,}"
        )


def _show(result: ImportResult, name: str) -> None:
    from mailvet.privacy import printable

    total = result.events.total()
    if result.continued:
        print("Only what was added since the last import was read (--from-start reads all).")
    print(f"{result.records:,} records read, {total:,} events; {result.added:,} new in mailvet_events of {name}.")
    for word, count in result.events.most_common():
        print(f"  {word:<14} {count:>12,}")
    if result.echoes:
        print(f"{result.echoes:,} of these repeat an older event (the sender refused because of it).")
    for why, count in result.unusable.most_common():
        print(f"{count:,} {_WHY.get(why, why)}")
    for title, words in (("not known", result.unknown), ("class missing", result.class_missing)):
        for word, count in words.most_common(10):
            print(f"  {title}: {printable(word)[:60]!r} ({count:,})")
    if total:
        print('They count with [history] events = "mailvet_events" in mailvet.toml.')


_WHY = {
    "ignored": "say nothing about a mailbox",
    "unknown_word": "have a word that is not known",
    "class_missing": "are failures that do not say whether for good; counted for nothing",
    "no_word": "have no word",
    "no_address": "name no recipient",
    "no_time": "have no time",
    "future": "are dated in the future",
    "broken": "cannot be read",
    "other_sender": "are of another sender",
}
