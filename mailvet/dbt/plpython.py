"""What PostgreSQL's function `mailvet.verify` calls (PL/Python, made by the dbt package's `create_functions`).

It runs in the server's process, so it sees to it that a cancelled query ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from mailvet import MailvetError, Settings

# All of it now: an import of this module says what is missing on the server.
from mailvet.sdk import verdict_schema, verify_all

__all__ = ["verdict_rows"]

BATCH = 5_000


@lru_cache(maxsize=8)
def _settings(depth: str, config: str | None) -> Settings:
    return Settings.load(config, depth=depth)


def verdict_rows(
    cells: Sequence[str | None], depth: str, config: str | None, poll: Callable[[], object]
) -> Iterator[tuple[Any, ...]]:
    """The verdicts of an array of cells, in its order and length, as rows of the verdict table.

    Args:
        cells: texts as they stand in the table; None is a missing one.
        depth: offline, dns or smtp.
        config: path of a mailvet.toml on the server; None reads none.
        poll: a cheap query; the server looks at signals only when Python asks it something, and this is how it is
            asked a few times a second.

    Raises:
        MailvetError: its message becomes the query's error; also where no DNS, a closed port 25 or a block listing
            kept the answers from being full.
    """
    settings = _settings(depth, config)
    for start in range(0, len(cells), BATCH):
        table, degraded = verify_all(cells[start : start + BATCH], settings, poll)
        poll()
        if degraded:
            raise MailvetError(degraded)
        columns = [_column(table, name) for name in verdict_schema().names]
        yield from zip(*columns, strict=True)


def _column(table: Any, name: str) -> list[Any]:
    values = table.column(name).to_pylist()
    if str(verdict_schema().field(name).type).startswith("timestamp"):
        return [None if value is None else value.isoformat() for value in values]
    return list(values)
