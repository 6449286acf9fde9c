"""What the command line says beside its results: on standard error, one paragraph each."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailvet.cli.standard_streams import says_everything
from mailvet.privacy import printable, printable_json

if TYPE_CHECKING:
    from mailvet.runs.recheck import Recheck
    from mailvet.warehouse.store import Warehouse

__all__ = ["console", "log_to_stderr", "print_json", "say", "say_remarks", "say_written", "stopped_advice"]


def console(*, stderr: bool = False) -> Any:
    """A `rich.console.Console`; the library is loaded when something is shown."""
    from rich.console import Console

    return Console(stderr=stderr)


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print a value as JSON on standard output: as it is where the encoding can say it, and never as marks that act."""
    print(printable_json(json.dumps(value, ensure_ascii=not says_everything(), indent=indent)))


def say(head: str, text: str) -> None:
    """Print one paragraph on standard error."""
    from rich.text import Text

    shown = console(stderr=True)
    shown.print(Text.assemble((head, "bold red"), " ", printable(text)), soft_wrap=not shown.is_terminal)


def say_remarks(warehouse: Warehouse) -> None:
    """Print what was odd about a source."""
    for remark in warehouse.remarks:
        say("Note:", remark)


def say_written(path: Path) -> None:
    """Print where a report is, on standard output."""
    from rich.text import Text

    console().print(Text(f"Report: {printable(str(path))}"), soft_wrap=True)


def stopped_advice(recheck: Recheck | None, started: datetime) -> str:
    """How to go on after an interruption, without asking a second time what was asked already."""
    if recheck is None:
        return "What was verified is saved. Run the same again to go on; only what is left will be asked."
    return (
        "What was verified is saved. To go on without asking the same again, run it once more with --recheck "
        f"{recheck.not_since(started)}."
    )


def log_to_stderr() -> None:
    """Send log lines to standard error: those of mailvet from INFO on, all others from WARNING on."""
    import logging

    from mailvet.cli.log_lines import PrintableFormatter

    layout = "%(asctime)s %(name)s %(levelname)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter(layout))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("mailvet").setLevel(logging.INFO)
