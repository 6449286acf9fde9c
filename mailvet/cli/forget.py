"""`mailvet forget`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.arguments import load_settings, open_store_of, typed
from mailvet.cli.options import Config, Store

__all__ = ["forget"]


def forget(
    address: Annotated[str, typer.Argument(help="The address to erase, in any spelling.")],
    domain: Annotated[bool, typer.Option("--domain", help="It is a domain: erase everybody at it.")] = False,
    source: Store = None,
    config: Config = None,
) -> None:
    """Erase a person from mailvet's own tables. In all spellings of the mailbox. Your own table is left as it is."""
    from mailvet.runs.forgetting import forget as erase
    from mailvet.warehouse.erasure import Wanted

    Wanted.of(typed(address), domain=domain)  # a mistake is said before anything is opened
    store = open_store_of(source, config, read_only=False)
    try:
        done = erase(store, typed(address), domain=domain, journal=load_settings(config).store.journal)
    finally:
        store.close()
    print(f"{done.verdicts} verdict{'' if done.verdicts == 1 else 's'} erased from {store.name}.")
    for path in done.deleted:
        print(f"Deleted: {path}, a damaged journal that held it.")
    print("Not erased:", *(f"* {sentence}" for sentence in done.remains), sep="\n")
