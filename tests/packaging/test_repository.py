"""The files of the repository: nothing of one machine in them, every list with its source and licence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT, repository_texts

# Written so that the patterns do not find themselves.
_HOMES = r"root|tmp|home/\w+|Users/\w+|work/(?:main|env|shared)|opt/(?:wheels|pypi)"
MACHINE_PATH = re.compile(rf"(?<![\w.$}}])/(?:{_HOMES})/\w")
_INDEX_HOSTS = r"\b(?:pypi|pythonhosted|debian)\.org|\bregistry\.npmjs"
_INDEX_OPTIONS = r"--(?:extra-)?index[-]url|--find[-]links|/simple/?\s"
INDEX = re.compile(f"{_INDEX_HOSTS}|{_INDEX_OPTIONS}")


def findings(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path, text in repository_texts():
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    return found


@pytest.mark.parametrize("pattern", [MACHINE_PATH, INDEX], ids=["machine path", "package index"])
def test_no_file_names_a_machine_or_an_index(pattern: re.Pattern[str]) -> None:
    assert len(repository_texts()) > 10
    assert findings(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATH, "see " + "/ro" + "ot/notes"),
        (MACHINE_PATH, '"/ho' + "me/ann/contacts.csv"),
        (INDEX, "pip install --index" + "-url x"),
        (INDEX, "https://py" + "pi.org/project/x"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


def test_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 200
    pin = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.+!]*(?: ; [a-z_]+ .+)?")
    assert [line for line in pins if not pin.fullmatch(line)] == []


def data_files() -> list[Path]:
    folder = ROOT / "mailvet" / "data"
    return [
        path for path, _ in repository_texts() if path.parent == folder and path.suffix not in (".py", ".md", ".json")
    ]


def test_every_data_file_says_source_licence_and_date() -> None:
    files = data_files()
    assert files, "mailvet/data holds the reference data"
    for path in files:
        head = path.read_text(encoding="utf-8")[:2000].lower()
        missing = [word for word in ("source", "licen[cs]e", r"\b20\d\d-\d\d") if not re.search(word, head)]
        assert not missing, f"{path.name} begins without {', '.join(missing)}"
