"""The programs that pip cannot bring: where they are looked for, and what to install where they are missing.

A program is looked for in the folders of PATH, and beside each of their `bin` in `sbin` and in Debian's folder of
PostgreSQL: the PATH of a user who is not root names neither.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

__all__ = ["find", "postgresql_folder", "require", "search_path"]

_PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "chromium": "chromium",
        "mariadb-install-db": "mariadb-server",
        "mariadbd": "mariadb-server",
        "nsd": "nsd",
        "openssl": "openssl",
        "postfix": "postfix",
        "postgrey": "postgrey",
        "redis-server": "redis-server",
        "setpriv": "util-linux",
        "systemd-analyze": "systemd",
    }
)
"""The Debian package of each program."""


def search_path() -> list[Path]:
    """Folders in which programs are looked for, in order."""
    folders: list[Path] = []
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if entry:
            folders.append(Path(entry))
            if Path(entry).name == "bin":
                folders.append(Path(entry).with_name("sbin"))
    return list(dict.fromkeys(folders))


def find(name: str) -> str | None:
    """The path of a program, or None."""
    return shutil.which(name, path=os.pathsep.join(map(str, search_path())))


def require(*names: str) -> None:
    """Skip the test, with one line that says what to install, where one of the programs is missing."""
    missing = [name for name in names if find(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}. On Debian and Ubuntu: apt-get install {_packages(missing)}")


def _packages(names: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(_PACKAGES[name] for name in names))


def postgresql_folder() -> Path | None:
    """The folder of the newest installed PostgreSQL's `initdb` and `pg_ctl`, or None."""
    folders = [folder.parent / "lib" / "postgresql" for folder in search_path() if folder.name == "bin"]
    found = [path for folder in folders for path in folder.glob("*/bin/pg_ctl")]
    return max(found, key=lambda path: int(path.parts[-3])).parent if found else None
