"""The options and arguments that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mailvet.vocabulary import Depth

__all__ = [
    "AddressColumn",
    "AsJson",
    "Config",
    "DepthOption",
    "Encoding",
    "Lenient",
    "Limit",
    "NoHeader",
    "Overwrite",
    "PolicyOption",
    "RecheckOption",
    "Sheet",
    "Source",
    "Store",
    "Table",
    "Wait",
    "Where",
]

# typer reads these annotations at run time, on Python 3.10 too, hence Optional.
Config = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", metavar="FILE", help="Settings; default: mailvet.toml in this folder, if there is one."),
]
DepthOption = Annotated[
    Optional[Depth],  # noqa: UP045
    typer.Option(metavar="DEPTH", help="How far to go: offline, dns or smtp; default: as the settings say, else smtp."),
]
PolicyOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="POLICY",
        help="What the mail is for: marketing, transactional, signup, or a policy of your own ([policies.NAME] of the "
        "settings); default: as the settings say, else marketing.",
    ),
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A CSV, TSV, Parquet, JSON Lines or Excel file, a DuckDB database, or a URL."
    ),
]
Table = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME", help="Table of the database."),
]
AddressColumn = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--email-column", metavar="NAME", help="Column of addresses; default: the one called email or so."),
]
Where = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SQL", help="Condition on the rows to verify and to write."),
]
RecheckOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="WHICH",
        help="Ask again what is fresh: all, reason=mailbox_not_found, older-than=30d; by comma or repeated.",
    ),
]
Limit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SHARE", help="The largest share allowed, as 2% or 0.02."),
]
Encoding = Annotated[str, typer.Option(metavar="NAME", help="Of a text file: utf-8, utf-16, cp1252, latin-1, ...")]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="A CSV file has no line of names; its columns are column1, column2, ...")
]
Sheet = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME", help="Sheet of an Excel workbook; default: the only one that is not empty."),
]
Lenient = Annotated[
    bool,
    typer.Option(
        "--lenient", help="Read CSV rows of uneven length, stray quotation marks and text above the header; count them."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Let outputs take the place of files that mailvet did not write.")
]
Store = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="SOURCE", help="File or database as given to verify; default: the store of verdicts on files."
    ),
]
Wait = Annotated[
    str, typer.Option(metavar="TIME", help="How long to stay for servers that say 'come back later', as 10m.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
