"""`mailvet explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from mailvet.cli.arguments import open_store_of, typed
from mailvet.cli.messages import console
from mailvet.cli.options import Config, Store
from mailvet.errors import MailvetError

__all__ = ["explain"]


def explain(
    address: Annotated[str, typer.Argument(help="The text as it stands in the table.")],
    source: Store = None,
    config: Config = None,
) -> None:
    """The evidence behind a stored verdict."""
    from mailvet.cli.show_verdict import explain as rendered
    from mailvet.verdict import Verdict

    store = open_store_of(source, config, read_only=True)
    try:
        row = store.stored(typed(address))
    finally:
        store.close()
    if row is None:
        raise MailvetError(
            f"There is no verdict for this address in {store.name}. Verify the table first, or look at the "
            "address itself with: mailvet check"
        )
    console().print(rendered(Verdict.from_row(row)))
