"""Data files: what they hold is what was reviewed, and each says from where, under which licence and of when it is."""

from __future__ import annotations

import importlib
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.checkout import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

sys.path.insert(0, str(ROOT / "docs"))
_make_licences: Any = importlib.import_module("make_licences")
checksums, lists = _make_licences.checksums, _make_licences.lists

DATA = sorted(path for path in (ROOT / "mailvet/data").iterdir() if path.suffix in (".csv", ".toml"))


def test_every_data_file_is_as_it_was_reviewed() -> None:
    """After a change that is meant: `python docs/make_licences.py`."""
    assert (ROOT / "docs/checksums.txt").read_text("utf-8") == checksums()


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_every_data_file_tells_of_its_licence_and_date(path: Path) -> None:
    text = path.read_text("utf-8")
    head = "\n".join(text.splitlines()[:60])
    assert re.search(r"licence", head), "no licence"
    dates = re.findall(r"20\d\d-\d\d(?:-\d\d)?", head)
    assert dates, "no date"
    assert all(date.fromisoformat(f"{found}-01"[:10]) <= date.today() for found in dates)


def test_every_list_stands_on_the_page_of_licences() -> None:
    assert lists() in (ROOT / "docs/licences.md").read_text("utf-8")


def test_every_list_of_others_has_its_notice() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    for line in lists().splitlines()[2:]:
        file, licence = (part.strip(" `") for part in line.split("|")[1:3])
        if licence != "Apache-2.0":
            assert file in notice, file
    assert "Permission is hereby granted" in notice


def test_every_dependency_stands_on_the_page_of_licences() -> None:
    page = (ROOT / "docs/licences.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        wanted += [] if extra in ("dev", "bench", "all") else requirements
    names = {re.split(r"[\[<>=; ]", text, maxsplit=1)[0].lower() for text in wanted} - {"mailvet", "tomli"}
    assert {name for name in names if f"\n| {name} |" not in page} == set()


def test_the_json_that_is_read_says_what_the_toml_does() -> None:
    """After a change that is meant: `python docs/make_data.py`."""
    written: dict[Path, str] = importlib.import_module("make_data").documents()
    assert {path: path.read_text("utf-8") for path in written} == written
    assert {path.name for path in written} == {path.name for path in (ROOT / "mailvet/data").glob("*.json")}
