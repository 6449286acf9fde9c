"""Write each `mailvet/data/*.toml` as JSON beside it, which is read faster: `python docs/make_data.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).resolve().parent.parent / "mailvet/data"


def documents() -> dict[Path, str]:
    """The JSON files and what they hold."""
    return {
        path.with_suffix(".json"): json.dumps(
            tomllib.loads(path.read_text("utf-8")), ensure_ascii=False, separators=(",", ":")
        )
        + "\n"
        for path in sorted(DATA.glob("*.toml"))
    }


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, "utf-8")
