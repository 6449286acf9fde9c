"""The files of the checkout, as the packaging tests see them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["ROOT", "repository_files", "repository_texts"]

ROOT = Path(__file__).resolve().parents[2]

_NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", ".hypothesis"}


def repository_files() -> list[Path]:
    """What is committed or about to be; without git, all but what building and testing leave behind."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        output = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    except (FileNotFoundError, subprocess.CalledProcessError):
        found = []
        for directory, names, files in os.walk(ROOT):
            names[:] = [name for name in names if name not in _NOT_OURS and not name.endswith("_cache")]
            found += [Path(directory) / file for file in files]
        return sorted(found)
    return sorted(path for name in output.split("\0") if name and (path := ROOT / name).is_file())


def repository_texts() -> list[tuple[Path, str]]:
    """The text files among them and their contents; a NUL byte or bad UTF-8 makes a file binary."""
    texts = []
    for path in repository_files():
        raw = path.read_bytes()
        if b"\0" in raw:
            continue
        try:
            texts.append((path, raw.decode("utf-8")))
        except UnicodeDecodeError:
            continue
    return texts
