"""`mailvet lists` and `mailvet lists update`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailvet.cli.arguments import load_settings
from mailvet.cli.messages import console
from mailvet.cli.options import Config

__all__ = ["app"]


app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


@app.command()
def update(
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="Domains: one a line, CSV, or a JSON array.")],
    force: Annotated[bool, typer.Option("--force", help="Take a list that is less than half as long.")] = False,
) -> None:
    """Use a newer list of disposable domains from now on; says what changed, and changes all or nothing."""
    from mailvet.reference.updates import update_disposable

    done = update_disposable(source, force=force)
    lines = [f"{done.entries:,} disposable domains: {done.added:,} added, {done.removed:,} removed."]
    if done.left_out:
        shown = ", ".join(done.left_out[:5]) + (", ..." if len(done.left_out) > 5 else "")
        lines.append(f"{len(done.left_out):,} left out: real mailbox providers and misspelt ones ({shown}).")
    console().print("\n".join([*lines, f"Kept in {done.path}"]), highlight=False, soft_wrap=True)


@app.callback(invoke_without_command=True)
def lists(context: typer.Context, config: Config = None) -> None:
    """Reference data and your own lists. What they are, how old, and from where."""
    if context.invoked_subcommand:
        return
    from rich.table import Table as RichTable
    from rich.text import Text

    from mailvet.reference.list_sources import list_infos
    from mailvet.reference.own_lists import OwnLists

    own = OwnLists.load(**load_settings(config).lists.model_dump())
    infos = list_infos()
    table = RichTable(box=None, padding=(0, 2), header_style="dim")
    for name in ("list", "entries", "version", "date", "licence"):
        table.add_column(name, justify="right" if name == "entries" else "left")
    for info in infos:
        table.add_row(info.name, f"{info.entries:,}", info.version, info.date or "-", info.licence)
    for name in ("allow", "deny", "suppress", "extra_disposable", "traps"):
        kind = getattr(own, name)
        entries = len(kind.addresses) + len(kind.domains) + len(kind.only_domains)
        table.add_row(f"your own: {name}", f"{entries:,}", own.digest if entries else "-", "-", "-")
    shown = console()
    shown.print(table)
    shown.print()
    sources = RichTable.grid(padding=(0, 2))
    for info in infos:
        sources.add_row(Text(f"  {info.name}", style="dim"), Text(info.source))
    shown.print(sources)
