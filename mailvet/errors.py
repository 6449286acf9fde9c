"""The errors mailvet raises. Every message says what is wrong and what to do next.

MailvetError
├── SettingsError      a setting, argument or configuration file that cannot be used
├── SourceError        a file, database, table or column that cannot be read or written
│   └── UnavailableError   a database that cannot be used now, and perhaps later: unreachable, broken off, overloaded
│       ├── LockedError    another process holds the database
│       ├── ConnectionLostError  the database broke the connection off
│       └── RunUnderWayError  another run is at work on the table
└── PreflightError     the machine is not fit for the depth asked for (no host name)
    ├── NetworkError       no DNS response, and perhaps one later
    └── MissingPackageError  a package that tables need is not installed

None of them ever carries a whole e-mail address.

A message names an argument by `argument("where")`, since each tool spells it its own way: `str(error)` gives Python's
spelling, `error.worded(spell)` that of a tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from mailvet.privacy import mask_text

__all__ = [
    "ConnectionLostError",
    "LockedError",
    "MailvetError",
    "MissingPackageError",
    "NetworkError",
    "PreflightError",
    "RunUnderWayError",
    "SettingsError",
    "SourceError",
    "Spelling",
    "UnavailableError",
    "argument",
    "needs_package",
    "option",
    "python_argument",
    "worded",
]

Spelling = Callable[[str, Any], str]
"""How the users of a tool write an argument, from its name and its value; the value is None where none is meant."""

# Unicode keeps these two for a program's own use (U+FDD0 to U+FDEF are noncharacters), so no message holds them.
_BEGIN: Final = "\ufdd0"
_END: Final = "\ufdd1"
_ARGUMENT = re.compile(f"{_BEGIN}([^{_END}]*){_END}")


def argument(name: str, value: bool | int | float | str | None = None) -> str:
    """An argument within a message of `MailvetError`, to be spelled by the tool that shows it.

    >>> str(SettingsError(f"Use {argument('write_back', False)}."))
    'Use write_back=False.'
    """
    return f"{_BEGIN}{json.dumps([name, value])}{_END}"


def worded(message: str, spell: Spelling) -> str:
    """A message with its arguments as `spell` writes them."""
    return _ARGUMENT.sub(lambda found: spell(*json.loads(found[1])), message)


def python_argument(name: str, value: Any) -> str:
    """An argument as Python writes it.

    >>> python_argument("where", None), python_argument("encoding", "cp1252")
    ('where', "encoding='cp1252'")
    """
    return name if value is None else f"{name}={value!r}"


def option(name: str, value: Any) -> str:
    """An argument as the command line writes it.

    >>> option("where", None), option("write_back", False), option("encoding", "cp1252")
    ('--where', '--no-write-back', '--encoding cp1252')
    """
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    return f"--{dashed}" if value is None else f"--{dashed} {value}"


class MailvetError(Exception):
    """Base of everything mailvet raises on purpose; `str(error)` is fit to show to a user: addresses are masked."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(mask_text(arg) if isinstance(arg, str) else arg for arg in args))

    def __str__(self) -> str:
        """The message with arguments as Python writes them."""
        return self.worded(python_argument)

    def worded(self, spell: Spelling) -> str:
        """The message with arguments as `spell` writes them."""
        return worded(super().__str__(), spell)


class SettingsError(MailvetError):
    """A setting, argument or configuration file cannot be used as it is."""


class SourceError(MailvetError):
    """A file, database, table or column cannot be read, planned over or written."""


class UnavailableError(SourceError):
    """The database cannot be used at the moment; the same may work later."""


class LockedError(UnavailableError):
    """Another process holds the database file; nothing was read or written."""


class ConnectionLostError(UnavailableError):
    """The connection to the database is gone: it ended, was restarted, failed over, or the network was cut."""


class RunUnderWayError(UnavailableError):
    """Another run is at work on the same table; nothing was asked."""


class PreflightError(MailvetError):
    """The machine cannot do what the depth asks for; nothing was probed."""


class MissingPackageError(PreflightError):
    """A package that this work needs is not installed: one address needs none of those that tables need."""


class NetworkError(PreflightError):
    """The network cannot do it at the moment; the same may work later."""


_OF_TABLES: Final = ("polars", "pyarrow", "duckdb")


def needs_package(error: ImportError) -> MissingPackageError | None:
    """What to install, where an import failed because a package that only tables need is not there."""
    missing = (error.name or "").partition(".")[0]
    if missing not in _OF_TABLES:
        return None
    return MissingPackageError(
        f"Tables need the package {missing}, which is not installed. Install {', '.join(_OF_TABLES)} (pip install "
        "mailvet brings them). mailvet.verify, mailvet.suggest and mailvet.classify_reply work without them."
    )
