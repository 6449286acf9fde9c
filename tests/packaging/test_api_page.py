"""docs/api.md is what the docstrings of the public names say."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from tests.packaging.checkout import ROOT


@pytest.fixture(scope="module")
def make_api() -> Any:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module("make_api")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_the_page_is_current(make_api: Any) -> None:
    """After a change that is meant: `python docs/make_api.py`."""
    assert make_api.PAGE.read_text("utf-8") == make_api.page(), "run python docs/make_api.py"


def test_every_public_name_stands_on_it(make_api: Any) -> None:
    import mailvet.sdk

    headings = set(make_api.PAGE.read_text("utf-8").splitlines())
    missing = {*mailvet.__all__, *mailvet.sdk.__all__} - {*mailvet._SUBMODULES, "__version__"}
    assert {name for name in missing if f"### {name}" not in headings} == set()


def test_sections_of_a_docstring_become_lists_and_examples_code(make_api: Any) -> None:
    docstring = """One line.

    Args:
        text: a cell,
            as it is.

    Raises:
        ValueError: never.

    >>> 1 + 1
    2
    """
    assert make_api._markdown(docstring).splitlines() == [
        "One line.",
        "",
        "**Args**",
        "",
        "- `text`: a cell,",
        "  as it is.",
        "",
        "**Raises**",
        "",
        "- `ValueError`: never.",
        "",
        "```python",
        ">>> 1 + 1",
        "2",
        "```",
    ]
