"""The table engine (Polars) and forks.

Its threads stay behind in the parent, and a child that uses it waits for ever.
"""

from __future__ import annotations

import os

from mailvet.errors import PreflightError, needs_package

__all__ = ["check_packages", "claim", "is_lost"]

_used_by: int | None = None
"""The process whose threads the table engine uses, once it was used."""


def is_lost() -> bool:
    """Whether this process was forked from one that had used the table engine, whose threads are gone here."""
    return _used_by is not None and _used_by != os.getpid()


def check_packages() -> None:
    """See whether what tables are made with is installed.

    Raises:
        MissingPackageError: it is not.
    """
    try:
        import polars
        import pyarrow
    except ImportError as error:
        raise needs_package(error) or error from None
    del polars, pyarrow


def claim() -> None:
    """Note that this process uses the table engine.

    Raises:
        PreflightError: it cannot.
    """
    global _used_by
    if is_lost():
        raise PreflightError(
            "This process was forked from one in which mailvet had already worked on a table, and the table engine "
            "does not survive that. Start worker processes with the method 'spawn' or 'forkserver', or use mailvet "
            "for the first time after the fork."
        )
    _used_by = os.getpid()
