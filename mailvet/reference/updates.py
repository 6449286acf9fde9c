"""A newer list of disposable domains in place of the packaged one: `mailvet lists update --from FILE`.

The file is read and checked whole before anything is written, and what was kept before is replaced in one step: a
reader finds the old list or the new one (`mailvet.reference.updated_list`).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from mailvet.data.lists import packaged_disposable_domains
from mailvet.errors import SettingsError
from mailvet.reference.domains import disposable_domains
from mailvet.reference.updated_list import forget_kept, kept_domains, kept_path
from mailvet.syntax.parser import ascii_domain

__all__ = ["DisposableUpdate", "update_disposable"]

_LEAST_SHARE: Final = 0.5
"""A new list with fewer than this share of the entries in use is taken for a file that was cut off."""
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class DisposableUpdate:
    """What an update changed."""

    path: Path
    """Where the list is kept now."""
    entries: int
    """Domains of the new list that count."""
    added: int
    """Domains that are called disposable from now on."""
    removed: int
    """Domains that no longer are."""
    left_out: tuple[str, ...]
    """Domains of the new list that are a mailbox provider's, a forwarding service's or a misspelt provider's."""


def update_disposable(source: str | Path, *, force: bool = False) -> DisposableUpdate:
    """Use another list of disposable domains from now on, in this and every later process.

    Args:
        source: a text file with one domain a line (`#` starts a comment), a CSV with a column `domain`, or a JSON
            array.
        force: take a list that is less than half as long as the one in use.

    Raises:
        SettingsError: the file cannot be read, holds something that is no domain, or is suspiciously short. Nothing
            is changed then.
    """
    path = Path(source).expanduser()
    domains = _checked(path, _entries(path))
    before = disposable_domains()
    packaged = kept_domains() or packaged_disposable_domains()
    if len(domains) < _LEAST_SHARE * len(packaged) and not force:
        raise SettingsError(
            f"{path} holds {len(domains):,} domains and the list in use {len(packaged):,}; if it is not cut off, use "
            "--force"
        )
    target = kept_path()
    _replace(target, path, domains)
    forget_kept()
    after = disposable_domains()
    return DisposableUpdate(
        path=target,
        entries=len(domains & after),
        added=len(after - before),
        removed=len(before - after),
        left_out=tuple(sorted(domains - after)),
    )


def _entries(path: Path) -> list[tuple[str, str]]:
    """Where each entry stands, and the entry."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror or type(error).__name__}); correct --from"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text; save it as such") from error
    if path.suffix.lower() == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"{path} is not JSON: {error}") from error
        if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
            raise SettingsError(f"{path} is no JSON array of domains")
        return [(f"entry {number}", entry.strip()) for number, entry in enumerate(found, 1)]
    lines = [(f"line {number}", line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(where, line) for where, line in lines if line]
    if path.suffix.lower() == ".csv" and lines:
        header = next(csv.reader(io.StringIO(lines[0][1])))
        if "domain" not in header:
            raise SettingsError(f"{path} has no column 'domain'")
        place = header.index("domain")
        cells = [(where, next(csv.reader(io.StringIO(line)))) for where, line in lines[1:]]
        return [(where, row[place].strip() if place < len(row) else "") for where, row in cells]
    return lines


def _checked(path: Path, entries: list[tuple[str, str]]) -> frozenset[str]:
    found = [(where, ascii_domain(entry.lower())) for where, entry in entries]
    wrong = [where for where, domain in found if domain is None]
    if wrong:
        more = f" and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        raise SettingsError(f"{path}: no domain in {', '.join(wrong[:_SHOWN])}{more}; nothing was changed")
    if not found:
        raise SettingsError(f"{path} holds no domain; nothing was changed")
    return frozenset(domain for _, domain in found if domain is not None)


def _replace(target: Path, source: Path, domains: frozenset[str]) -> None:
    now = datetime.now(timezone.utc)
    text = f"# from {source.name}, {now:%Y-%m-%d %H:%M} UTC\n" + "".join(f"{domain}\n" for domain in sorted(domains))
    part: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".disposable-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(target)
    except OSError as error:
        if part is not None:
            with contextlib.suppress(OSError):
                Path(part).unlink()
        raise SettingsError(
            f"The list cannot be written to {target.parent} ({error.strerror or type(error).__name__}); name another "
            "folder with MAILVET_LISTS_FOLDER"
        ) from error
