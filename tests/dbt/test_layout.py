"""How the dbt package is laid out: one public macro a file, each dispatched, helpers apart."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.dbt.conftest import PACKAGE

MACROS = PACKAGE / "macros"
PUBLIC_FOLDERS = ("keys", "tables", "operations", "generic_tests", "generated")


def _public() -> set[str]:
    return {
        macro["name"]
        for path in MACROS.rglob("*.yml")
        for macro in yaml.safe_load(path.read_text("utf-8"))["macros"]
        if macro.get("docs", {}).get("show", True)
    }


def _defined(path: Path) -> list[str]:
    """The macros of a file; a test has the name that dbt gives its macro."""
    found = re.findall(r"\{%-? (macro|test) (\w+)\(", path.read_text("utf-8"))
    return [f"test_{name}" if kind == "test" else name for kind, name in found]


def test_every_public_macro_has_a_file_of_its_name() -> None:
    public = _public()
    places = {
        name: path.relative_to(MACROS)
        for path in sorted(MACROS.rglob("*.sql"))
        for name in _defined(path)
        if name in public
    }
    assert set(places) == public
    wrong = {
        name: place
        for name, place in places.items()
        if place.stem != name.removeprefix("test_") or place.parts[0] not in PUBLIC_FOLDERS
    }
    assert not wrong
    assert len(set(places.values())) == len(places)


def test_every_public_macro_is_dispatched() -> None:
    text = {
        name: text for path in MACROS.rglob("*.sql") for name in _defined(path) for text in [path.read_text("utf-8")]
    }
    for name in _public():
        assert f"adapter.dispatch('{name}', 'mailvet')" in text[name], name
        assert f"macro default__{name}(" in text[name], name


def test_words_that_are_choices_are_generated_and_not_typed_again() -> None:
    typed = re.compile(r"\[\s*'(deliverable|send|offline|estimate|marketing|status)',")
    found = [
        path.relative_to(MACROS).as_posix()
        for path in MACROS.rglob("*.sql")
        if path.parent.name != "generated" and typed.search(path.read_text("utf-8"))
    ]
    assert found == []


def test_the_package_tells_of_itself() -> None:
    readme = (PACKAGE / "README.md").read_text("utf-8")
    told = set(re.findall(r"`(\w+)`", readme))
    assert {name for name in _public() if not name.startswith("test_")} <= told
    assert (PACKAGE / "LICENSE").read_text("utf-8") == (PACKAGE.parent / "LICENSE").read_text("utf-8")
    assert "## [Unreleased]" in (PACKAGE / "CHANGELOG.md").read_text("utf-8")
