"""The list of disposable domains that `mailvet lists update` has put in place of the packaged one.

It is kept in the folder named by the environment variable MAILVET_LISTS_FOLDER, else in the user's data folder; workers
on other machines need the same file there.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

from mailvet.errors import SettingsError

__all__ = ["forget_kept", "kept_digest", "kept_domains", "kept_path", "lists_folder"]


def lists_folder() -> Path:
    """Where updated lists are kept; it need not exist."""
    if named := os.environ.get("MAILVET_LISTS_FOLDER"):
        return Path(named)
    if sys.platform == "linux" and os.environ.keys().isdisjoint(("XDG_DATA_HOME", "ANDROID_DATA")):
        return Path.home() / ".local/share/mailvet/lists"  # what the library says, without the time to import it
    import platformdirs

    return Path(platformdirs.user_data_dir("mailvet", appauthor=False)) / "lists"


def kept_path() -> Path:
    """The file of the updated list; it need not exist."""
    return lists_folder() / "disposable_domains.txt"


@cache
def kept_domains() -> frozenset[str] | None:
    """The domains of the list that was kept by an update; None where there is none.

    Raises:
        SettingsError: the list is there and cannot be read.
    """
    path = kept_path()
    try:
        return frozenset(line for line in path.read_text("utf-8").splitlines() if line and line[0] != "#")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The updated list {path} cannot be read ({type(error).__name__}); correct its rights, or delete it to "
            "use the packaged list"
        ) from error


@cache
def kept_digest() -> str:
    """Changes with every update; empty where the packaged list is in use."""
    kept = kept_domains()
    return "" if kept is None else hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()[:12]


def forget_kept() -> None:
    """Read the list anew, in this process, the next time it is needed."""
    kept_domains.cache_clear()
    kept_digest.cache_clear()
