"""Reads the files of `mailvet/data`.

A file of TOML is what people write and review. Beside it lies the same as JSON (`docs/make_data.py` writes it), which a
process reads in a tenth of the time.
"""

from __future__ import annotations

import json
from functools import cache
from pkgutil import get_data
from typing import Any

__all__ = ["document", "text"]


def text(name: str) -> str:
    """A file by its name, as in "roles.csv"."""
    content = get_data("mailvet.data", name)
    if content is None:
        raise FileNotFoundError(f"mailvet/data/{name}")
    return content.decode("utf-8")


@cache
def document(name: str) -> dict[str, Any]:
    """What a TOML file holds, by its name without the ending, as in "operators"; not to be changed."""
    found: dict[str, Any] = json.loads(text(f"{name}.json"))
    return found
